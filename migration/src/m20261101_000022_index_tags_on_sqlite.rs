//! Table of readings by tag on SQLite, which cannot index a JSON column. Maintained by triggers. PostgreSQL
//! indexes the column itself.

use sea_orm_migration::prelude::*;

use crate::dialect::{is_sqlite, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !is_sqlite(manager) {
            return Ok(());
        }
        run(manager, &UP_ON_SQLITE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !is_sqlite(manager) {
            return Ok(());
        }
        run(manager, &DOWN_ON_SQLITE).await
    }
}

const UP_ON_SQLITE: [&str; 5] = [
    "
    CREATE TABLE reading_session_tags (
        tag text NOT NULL,
        search_id integer NOT NULL,
        PRIMARY KEY (tag, search_id)
    ) WITHOUT ROWID
    ",
    // Existing readings.
    "
    INSERT INTO reading_session_tags (tag, search_id)
    SELECT DISTINCT value, search_id FROM reading_sessions, json_each(tags) ORDER BY value, search_id
    ",
    "
    CREATE TRIGGER reading_session_tags_insert AFTER INSERT ON reading_sessions BEGIN
        INSERT OR IGNORE INTO reading_session_tags (tag, search_id)
        SELECT value, new.search_id FROM json_each(new.tags);
    END
    ",
    "
    CREATE TRIGGER reading_session_tags_delete AFTER DELETE ON reading_sessions BEGIN
        DELETE FROM reading_session_tags
        WHERE search_id = old.search_id AND tag IN (SELECT value FROM json_each(old.tags));
    END
    ",
    "
    CREATE TRIGGER reading_session_tags_update AFTER UPDATE OF tags ON reading_sessions BEGIN
        DELETE FROM reading_session_tags
        WHERE search_id = old.search_id AND tag IN (SELECT value FROM json_each(old.tags));
        INSERT OR IGNORE INTO reading_session_tags (tag, search_id)
        SELECT value, new.search_id FROM json_each(new.tags);
    END
    ",
];

const DOWN_ON_SQLITE: [&str; 4] = [
    "DROP TRIGGER reading_session_tags_update",
    "DROP TRIGGER reading_session_tags_delete",
    "DROP TRIGGER reading_session_tags_insert",
    "DROP TABLE reading_session_tags",
];
