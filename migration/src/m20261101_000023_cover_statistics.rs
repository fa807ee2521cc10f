//! Covering index of a user's readings by time, so that statistics are index-only scans.

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
        drop_indexes(manager, &["idx_reading_sessions_user_created"]).await?;
        run(manager, if is_sqlite(manager) { &UP_ON_SQLITE } else { &UP_ON_POSTGRES }).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, &["idx_reading_sessions_user_created"]).await?;
        run(manager, &DOWN).await
    }
}

// Counts, means and streaks of one user, or of several, over all readings or within a time window.
const UP_ON_POSTGRES: [&str; 1] = ["
    CREATE INDEX idx_reading_sessions_user_created ON reading_sessions (user_id, created_at)
    INCLUDE (id, status, spread_template_id, spread_type, character_voice, karma_context, user_satisfaction)
    "];

// The same; SQLite has no INCLUDE.
const UP_ON_SQLITE: [&str; 1] = ["
    CREATE INDEX idx_reading_sessions_user_created ON reading_sessions (
        user_id, created_at, id, status, spread_template_id, spread_type, character_voice, karma_context,
        user_satisfaction
    )
    "];

const DOWN: [&str; 1] =
    ["CREATE INDEX idx_reading_sessions_user_created ON reading_sessions (user_id, created_at)"];
