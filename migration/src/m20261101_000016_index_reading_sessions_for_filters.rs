//! Indexes of the filters on readings. PostgreSQL indexes the tags themselves; SQLite reads them with
//! `json_each` within one user's readings.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_indexes, run, run_on_postgres};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await?;
        run_on_postgres(manager, &UP_ON_POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, &["DROP INDEX idx_reading_sessions_tags"]).await?;
        drop_indexes(
            manager,
            &[
                "idx_reading_sessions_category_id",
                "idx_reading_sessions_user_category",
                "idx_reading_sessions_karma_context",
                "idx_reading_sessions_character_voice",
                "idx_reading_sessions_spread_type",
            ],
        )
        .await
    }
}

const UP: [&str; 5] = [
    // Reports over the whole site; the list of one user is filtered row by row.
    "CREATE INDEX idx_reading_sessions_spread_type ON reading_sessions (spread_type)",
    "CREATE INDEX idx_reading_sessions_character_voice ON reading_sessions (character_voice)",
    "CREATE INDEX idx_reading_sessions_karma_context ON reading_sessions (karma_context)",
    // A user's readings in one category.
    "CREATE INDEX idx_reading_sessions_user_category ON reading_sessions (user_id, category_id)",
    // The cascade of a deleted category.
    "CREATE INDEX idx_reading_sessions_category_id ON reading_sessions (category_id)",
];

const UP_ON_POSTGRES: [&str; 1] = [
    // Readings with a tag: `tags @> '[…]'`. `= ANY(tags)` would not use it.
    "CREATE INDEX idx_reading_sessions_tags ON reading_sessions USING GIN (tags)",
];
