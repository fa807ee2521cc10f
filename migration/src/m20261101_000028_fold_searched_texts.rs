//! Folded questions and notes for text search: folded by the server, because PostgreSQL and SQLite fold case in
//! different ways, and with trigrams for single Chinese, Japanese and Korean characters (see the crate
//! `search-text`). All search indexes are built on them: the trigrams of public questions and a user's texts on
//! PostgreSQL, the full-text index on SQLite.
//!
//! Folded texts can be longer, so more readings have texts that are too long for a row of the index of texts.

use sea_orm_migration::prelude::*;
use search_text::fold_for_trigrams;

use crate::dialect::{drop_indexes, is_sqlite, run};
use crate::m20261101_000017_index_reading_sessions_for_search as full_text;
use crate::m20261101_000024_search_in_an_index as texts;
use crate::m20261101_000026_search_public_readings as trigrams;
use crate::search_texts::{SearchedColumn, SearchedTable};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_sqlite(manager) {
            run(manager, &full_text::DOWN_ON_SQLITE).await?;
            run(manager, &COLUMNS_ON_SQLITE).await?;
            READINGS.fold_all(manager).await?;
            return run(manager, &UP_ON_SQLITE).await;
        }
        drop_indexes(manager, &[trigrams::INDEX]).await?;
        run(manager, &texts::DOWN_ON_POSTGRES).await?;
        run(manager, &COLUMNS_ON_POSTGRES).await?;
        READINGS.fold_all(manager).await?;
        run(manager, &UP_ON_POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_sqlite(manager) {
            run(manager, &full_text::DOWN_ON_SQLITE).await?;
            run(manager, &DROP_COLUMNS).await?;
            return run(manager, &full_text::UP_ON_SQLITE).await;
        }
        drop_indexes(manager, &[trigrams::INDEX]).await?;
        run(manager, &texts::DOWN_ON_POSTGRES).await?;
        run(manager, &DROP_COLUMNS).await?;
        run(manager, &texts::UP_ON_POSTGRES).await?;
        run(manager, &[trigrams::CREATE_INDEX]).await
    }
}

const READINGS: SearchedTable = SearchedTable {
    name: "reading_sessions",
    fold: fold_for_trigrams,
    columns: &[
        SearchedColumn { text: "question", search: "search_question" },
        SearchedColumn { text: "notes", search: "search_notes" },
    ],
};

const COLUMNS_ON_POSTGRES: [&str; 1] = ["
    ALTER TABLE reading_sessions ADD COLUMN search_question text, ADD COLUMN search_notes text
"];

// SQLite cannot add NOT NULL to an existing column.
const COLUMNS_ON_SQLITE: [&str; 2] = [
    "ALTER TABLE reading_sessions ADD COLUMN search_question text NOT NULL DEFAULT ''",
    "ALTER TABLE reading_sessions ADD COLUMN search_notes text",
];

const DROP_COLUMNS: [&str; 2] = [
    "ALTER TABLE reading_sessions DROP COLUMN search_notes",
    "ALTER TABLE reading_sessions DROP COLUMN search_question",
];

const UP_ON_POSTGRES: [&str; 6] = [
    "ALTER TABLE reading_sessions ALTER COLUMN search_question SET NOT NULL",
    // Without statistics the plan of a search does not depend on the rows that ANALYZE happens to sample:
    // a rare word in one of the sampled texts would count as a common one.
    "
    ALTER TABLE reading_sessions
        ALTER COLUMN search_question SET STATISTICS 0,
        ALTER COLUMN search_notes SET STATISTICS 0
    ",
    "
    CREATE INDEX idx_reading_sessions_question_trgm ON reading_sessions
        USING GIN (search_question gin_trgm_ops)
    WHERE privacy_level = 'public' AND archived_at IS NULL
    ",
    "
    CREATE INDEX idx_reading_sessions_user_texts ON reading_sessions (user_id, created_at DESC, id DESC)
        INCLUDE (
            updated_at, satisfaction_or_least, satisfaction_or_most, archived_at, privacy_level,
            search_question, search_notes
        )
    WHERE octet_length(search_question) + coalesce(octet_length(search_notes), 0) <= 2400
    ",
    "
    CREATE INDEX idx_reading_sessions_user_long_texts ON reading_sessions
        (user_id, created_at DESC, id DESC)
    WHERE octet_length(search_question) + coalesce(octet_length(search_notes), 0) > 2400
    ",
    "
    CREATE STATISTICS reading_sessions_length_of_texts
        ON (octet_length(search_question) + coalesce(octet_length(search_notes), 0)) FROM reading_sessions
    ",
];

const UP_ON_SQLITE: [&str; 5] = [
    "
    CREATE VIRTUAL TABLE reading_sessions_search USING fts5 (
        search_question, search_notes,
        content = 'reading_sessions', content_rowid = 'search_id', tokenize = 'trigram case_sensitive 1'
    )
    ",
    "INSERT INTO reading_sessions_search (reading_sessions_search) VALUES ('rebuild')",
    "
    CREATE TRIGGER reading_sessions_search_insert AFTER INSERT ON reading_sessions BEGIN
        INSERT INTO reading_sessions_search (rowid, search_question, search_notes)
        VALUES (new.search_id, new.search_question, new.search_notes);
    END
    ",
    "
    CREATE TRIGGER reading_sessions_search_delete AFTER DELETE ON reading_sessions BEGIN
        INSERT INTO reading_sessions_search (reading_sessions_search, rowid, search_question, search_notes)
        VALUES ('delete', old.search_id, old.search_question, old.search_notes);
    END
    ",
    "
    CREATE TRIGGER reading_sessions_search_update
    AFTER UPDATE OF search_question, search_notes ON reading_sessions BEGIN
        INSERT INTO reading_sessions_search (reading_sessions_search, rowid, search_question, search_notes)
        VALUES ('delete', old.search_id, old.search_question, old.search_notes);
        INSERT INTO reading_sessions_search (rowid, search_question, search_notes)
        VALUES (new.search_id, new.search_question, new.search_notes);
    END
    ",
];
