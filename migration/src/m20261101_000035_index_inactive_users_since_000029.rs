//! Indexes with which public lists leave out the readings of deactivated users: the few users who are, and the
//! owner of each reading of the feed, so that counts still need no table reads.

use sea_orm_migration::prelude::*;

use crate::concurrent_index::ConcurrentIndex;
use crate::dialect::{drop_indexes, is_sqlite};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        // Indexes of large tables are built while requests write.
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        INACTIVE_USERS.create_or_replace(manager).await?;
        feed(manager, FEED).create_or_replace(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        feed(manager, FEED_BEFORE).create_or_replace(manager).await?;
        drop_indexes(manager, &[INACTIVE_USERS.name]).await
    }
}

const INACTIVE_USERS: ConcurrentIndex =
    ConcurrentIndex { name: "idx_users_inactive", definition: "ON users (id) WHERE NOT is_active" };

/// The definition of an index on each database.
#[derive(Clone, Copy)]
struct Definitions {
    postgres: &'static str,
    sqlite: &'static str,
}

fn feed(manager: &SchemaManager<'_>, definitions: Definitions) -> ConcurrentIndex {
    let Definitions { postgres, sqlite } = definitions;
    let definition = if is_sqlite(manager) { sqlite } else { postgres };
    ConcurrentIndex { name: "idx_reading_sessions_public_feed", definition }
}

const FEED: Definitions = Definitions {
    postgres: "ON reading_sessions (created_at DESC, id DESC)
        INCLUDE (character_voice, karma_context, spread_type, user_id)
        WHERE privacy_level = 'public' AND archived_at IS NULL",
    sqlite:
        "ON reading_sessions (created_at DESC, id DESC, character_voice, karma_context, spread_type,
            privacy_level, archived_at, user_id)
        WHERE privacy_level = 'public' AND archived_at IS NULL",
};

const FEED_BEFORE: Definitions = Definitions {
    postgres: "ON reading_sessions (created_at DESC, id DESC)
        INCLUDE (character_voice, karma_context, spread_type)
        WHERE privacy_level = 'public' AND archived_at IS NULL",
    sqlite:
        "ON reading_sessions (created_at DESC, id DESC, character_voice, karma_context, spread_type,
            privacy_level, archived_at)
        WHERE privacy_level = 'public' AND archived_at IS NULL",
};
