//! PostgreSQL searches a user's readings in an index that holds their texts. In the table they lie in as
//! many pages as there are readings, and nothing finds one or two characters, or says of a word that
//! most readings have which of them are the user's.
//!
//! A row of an index holds 2,704 bytes at most. Readings whose texts do not fit have an index without
//! them.

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

const UP_ON_POSTGRES: [&str; 3] = [
    // With what lists that are searched are ordered by, and what says who may see a reading.
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
    // Hardly any are long. PostgreSQL would expect a third, and rather read all public readings of a user.
    "
    CREATE STATISTICS reading_sessions_length_of_texts
        ON (octet_length(question) + coalesce(octet_length(notes), 0)) FROM reading_sessions
    ",
];

const DOWN_ON_POSTGRES: [&str; 3] = [
    "DROP STATISTICS reading_sessions_length_of_texts",
    "DROP INDEX idx_reading_sessions_user_long_texts",
    "DROP INDEX idx_reading_sessions_user_texts",
];
