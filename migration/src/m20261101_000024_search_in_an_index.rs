//! Covering index of a user's texts on PostgreSQL, for the search in a user's readings. In the table a
//! user's readings are spread over as many pages as there are readings; trigrams find neither terms of one
//! or two characters nor, for a frequent word, the readings of one user.
//!
//! An index row holds at most 2,704 bytes. Readings with longer texts have an index without them.

use sea_orm_migration::prelude::*;

use crate::dialect::run_on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, &UP_ON_POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, &DOWN_ON_POSTGRES).await
    }
}

pub(crate) const UP_ON_POSTGRES: [&str; 3] = [
    // Includes the columns of the orders and of visibility.
    "
    CREATE INDEX idx_reading_sessions_user_texts ON reading_sessions (user_id, created_at DESC, id DESC)
        INCLUDE (
            updated_at, satisfaction_or_least, satisfaction_or_most, archived_at, privacy_level, question,
            notes
        )
    WHERE octet_length(question) + coalesce(octet_length(notes), 0) <= 2400
    ",
    "
    CREATE INDEX idx_reading_sessions_user_long_texts ON reading_sessions
        (user_id, created_at DESC, id DESC)
    WHERE octet_length(question) + coalesce(octet_length(notes), 0) > 2400
    ",
    // Hardly any texts are long. Without statistics PostgreSQL expects a third, and prefers to read all
    // public readings of a user.
    "
    CREATE STATISTICS reading_sessions_length_of_texts
        ON (octet_length(question) + coalesce(octet_length(notes), 0)) FROM reading_sessions
    ",
];

pub(crate) const DOWN_ON_POSTGRES: [&str; 3] = [
    "DROP STATISTICS reading_sessions_length_of_texts",
    "DROP INDEX idx_reading_sessions_user_long_texts",
    "DROP INDEX idx_reading_sessions_user_texts",
];
