//! Indexes of a user's readings by time of change and by satisfaction, with unrated readings last in
//! either direction. Two generated columns replace NULL, because pages compare row values and a NULL
//! compares with nothing.
//!
//! Unfiltered lists exclude archived readings, and so do their indexes: otherwise a page of a user with
//! many archived readings would read and discard most of its rows.

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
        run(manager, if is_sqlite(manager) { &COLUMNS_ON_SQLITE } else { &COLUMNS_ON_POSTGRES })
            .await?;
        drop_indexes(manager, &REPLACED).await?;
        run(manager, &UP).await?;
        run(manager, if is_sqlite(manager) { &FEED_ON_SQLITE } else { &FEED_ON_POSTGRES }).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(
            manager,
            &[
                "idx_reading_sessions_public_feed",
                "idx_reading_sessions_user_category",
                "idx_reading_sessions_user_unsatisfied",
                "idx_reading_sessions_user_satisfied",
                "idx_reading_sessions_user_updated",
                "idx_reading_sessions_user_archived",
                "idx_reading_sessions_user_active",
            ],
        )
        .await?;
        run(manager, &DOWN).await
    }
}

// One statement: each would rewrite the whole table.
const COLUMNS_ON_POSTGRES: [&str; 1] = ["
    ALTER TABLE reading_sessions
        ADD COLUMN satisfaction_or_least smallint NOT NULL
            GENERATED ALWAYS AS (coalesce(user_satisfaction, 0)) STORED,
        ADD COLUMN satisfaction_or_most smallint NOT NULL
            GENERATED ALWAYS AS (coalesce(user_satisfaction, 6)) STORED
"];

const COLUMNS_ON_SQLITE: [&str; 2] = [
    "
    ALTER TABLE reading_sessions ADD COLUMN satisfaction_or_least smallint
        GENERATED ALWAYS AS (coalesce(user_satisfaction, 0)) VIRTUAL
    ",
    "
    ALTER TABLE reading_sessions ADD COLUMN satisfaction_or_most smallint
        GENERATED ALWAYS AS (coalesce(user_satisfaction, 6)) VIRTUAL
    ",
];

const REPLACED: [&str; 3] = [
    "idx_reading_sessions_user_created_id",
    "idx_reading_sessions_user_category",
    "idx_reading_sessions_public_feed",
];

const UP: [&str; 6] = [
    // A user's readings, newest first, page by page.
    "
    CREATE INDEX idx_reading_sessions_user_active ON reading_sessions (user_id, created_at DESC, id DESC)
    WHERE archived_at IS NULL
    ",
    // A user's archived readings.
    "
    CREATE INDEX idx_reading_sessions_user_archived ON reading_sessions (user_id, created_at DESC, id DESC)
    WHERE archived_at IS NOT NULL
    ",
    // A user's readings, last changed first.
    "
    CREATE INDEX idx_reading_sessions_user_updated ON reading_sessions (user_id, updated_at DESC, id DESC)
    WHERE archived_at IS NULL
    ",
    // Highest satisfaction first.
    "
    CREATE INDEX idx_reading_sessions_user_satisfied ON reading_sessions
        (user_id, satisfaction_or_least DESC, id DESC)
    WHERE archived_at IS NULL
    ",
    // Lowest satisfaction first.
    "
    CREATE INDEX idx_reading_sessions_user_unsatisfied ON reading_sessions
        (user_id, satisfaction_or_most, id)
    WHERE archived_at IS NULL
    ",
    // A user's readings in one category, newest first, and their number.
    "
    CREATE INDEX idx_reading_sessions_user_category ON reading_sessions
        (user_id, category_id, created_at DESC, id DESC)
    ",
];

// The public feed, newest first. Covers the most used filters, so that counts need no table reads. SQLite
// evaluates the index's own condition again, and needs its columns too.
const FEED_ON_POSTGRES: [&str; 1] = ["
    CREATE INDEX idx_reading_sessions_public_feed ON reading_sessions (created_at DESC, id DESC)
        INCLUDE (character_voice, karma_context, spread_type)
    WHERE privacy_level = 'public' AND archived_at IS NULL
"];

const FEED_ON_SQLITE: [&str; 1] = ["
    CREATE INDEX idx_reading_sessions_public_feed ON reading_sessions
        (created_at DESC, id DESC, character_voice, karma_context, spread_type, privacy_level, archived_at)
    WHERE privacy_level = 'public' AND archived_at IS NULL
"];

const DOWN: [&str; 5] = [
    "ALTER TABLE reading_sessions DROP COLUMN satisfaction_or_most",
    "ALTER TABLE reading_sessions DROP COLUMN satisfaction_or_least",
    "CREATE INDEX idx_reading_sessions_user_created_id ON reading_sessions (user_id, created_at DESC, id DESC)",
    "CREATE INDEX idx_reading_sessions_user_category ON reading_sessions (user_id, category_id)",
    "
    CREATE INDEX idx_reading_sessions_public_feed ON reading_sessions (created_at DESC, id DESC)
    WHERE privacy_level = 'public' AND archived_at IS NULL
    ",
];
