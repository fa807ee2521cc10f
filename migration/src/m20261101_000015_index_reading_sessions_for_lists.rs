//! Indexes of the lists of readings in their default sort.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_indexes, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(
            manager,
            &[
                "idx_reading_sessions_user_favorites",
                "idx_reading_sessions_user_public",
                "idx_reading_sessions_public_feed",
                "idx_reading_sessions_created_at",
                "idx_reading_sessions_user_id",
                "idx_reading_sessions_user_created_id",
                "idx_reading_sessions_user_created",
            ],
        )
        .await
    }
}

const UP: [&str; 7] = [
    // Counts within a time window. Without a tie-breaker, so pages use the next index.
    "CREATE INDEX idx_reading_sessions_user_created ON reading_sessions (user_id, created_at)",
    // A user's readings, newest first, page by page.
    "CREATE INDEX idx_reading_sessions_user_created_id ON reading_sessions (user_id, created_at DESC, id DESC)",
    // Ownership checks and counts of one user.
    "CREATE INDEX idx_reading_sessions_user_id ON reading_sessions (user_id)",
    // Windows over the whole site. With the id, because PostgreSQL assumes that an index of one column is
    // better correlated with the table than one of two, and would use it for the public feed in place of
    // the feed's own index.
    "CREATE INDEX idx_reading_sessions_created_at ON reading_sessions (created_at, id)",
    // The public feed, newest first.
    "
    CREATE INDEX idx_reading_sessions_public_feed ON reading_sessions (created_at DESC, id DESC)
    WHERE privacy_level = 'public' AND archived_at IS NULL
    ",
    // A user's public readings, newest first. Without it a page of a user with many private readings reads
    // and discards those.
    "
    CREATE INDEX idx_reading_sessions_user_public ON reading_sessions (user_id, created_at DESC, id DESC)
    WHERE privacy_level = 'public' AND archived_at IS NULL
    ",
    // A user's favourites, newest first.
    "
    CREATE INDEX idx_reading_sessions_user_favorites ON reading_sessions (user_id, created_at DESC, id DESC)
    WHERE is_favorite
    ",
];
