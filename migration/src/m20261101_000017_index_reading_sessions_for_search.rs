//! Text search in question and notes: trigram indexes on PostgreSQL (on both columns, because a search in
//! either scans the table unless both have one), an FTS5 trigram index on SQLite, maintained by triggers.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_indexes, is_sqlite, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_sqlite(manager) {
            return run(manager, &UP_ON_SQLITE).await;
        }
        run(manager, &UP_ON_POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_sqlite(manager) {
            return run(manager, &DOWN_ON_SQLITE).await;
        }
        drop_indexes(
            manager,
            &["idx_reading_sessions_notes_trgm", "idx_reading_sessions_question_trgm"],
        )
        .await
    }
}

const UP_ON_POSTGRES: [&str; 2] = [
    "CREATE INDEX idx_reading_sessions_question_trgm ON reading_sessions USING GIN (question gin_trgm_ops)",
    "CREATE INDEX idx_reading_sessions_notes_trgm ON reading_sessions USING GIN (notes gin_trgm_ops)",
];

pub(crate) const UP_ON_SQLITE: [&str; 5] = [
    "
    CREATE VIRTUAL TABLE reading_sessions_search USING fts5 (
        question, notes, content = 'reading_sessions', content_rowid = 'search_id', tokenize = 'trigram'
    )
    ",
    // Existing readings.
    "INSERT INTO reading_sessions_search (reading_sessions_search) VALUES ('rebuild')",
    "
    CREATE TRIGGER reading_sessions_search_insert AFTER INSERT ON reading_sessions BEGIN
        INSERT INTO reading_sessions_search (rowid, question, notes)
        VALUES (new.search_id, new.question, new.notes);
    END
    ",
    "
    CREATE TRIGGER reading_sessions_search_delete AFTER DELETE ON reading_sessions BEGIN
        INSERT INTO reading_sessions_search (reading_sessions_search, rowid, question, notes)
        VALUES ('delete', old.search_id, old.question, old.notes);
    END
    ",
    "
    CREATE TRIGGER reading_sessions_search_update AFTER UPDATE OF question, notes ON reading_sessions BEGIN
        INSERT INTO reading_sessions_search (reading_sessions_search, rowid, question, notes)
        VALUES ('delete', old.search_id, old.question, old.notes);
        INSERT INTO reading_sessions_search (rowid, question, notes)
        VALUES (new.search_id, new.question, new.notes);
    END
    ",
];

pub(crate) const DOWN_ON_SQLITE: [&str; 4] = [
    "DROP TRIGGER reading_sessions_search_update",
    "DROP TRIGGER reading_sessions_search_delete",
    "DROP TRIGGER reading_sessions_search_insert",
    "DROP TABLE reading_sessions_search",
];
