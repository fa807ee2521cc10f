//! Refresh tokens with several successors. A token has the time of the first use of its predecessor, when the grace
//! period of its siblings begins, in place of the id of its only successor.

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
        drop_indexes(manager, &["idx_refresh_tokens_family_id"]).await?;
        run(manager, &UP).await
    }

    /// The successors of used tokens are lost: such a token ends its session if it is used again.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, &["idx_refresh_tokens_family_revoked"]).await?;
        run(manager, &DOWN).await
    }
}

const UP: [&str; 4] = [
    "ALTER TABLE refresh_tokens ADD COLUMN predecessor_used_at {ts}",
    "
    UPDATE refresh_tokens SET predecessor_used_at = (
        SELECT predecessor.used_at FROM refresh_tokens AS predecessor
        WHERE predecessor.family_id = refresh_tokens.family_id
            AND predecessor.successor_id = refresh_tokens.id
    )
    ",
    "ALTER TABLE refresh_tokens DROP COLUMN successor_id",
    // Serves the valid tokens of a login, which may have thousands of used ones, and the cascade from a deleted
    // login.
    "CREATE INDEX idx_refresh_tokens_family_revoked ON refresh_tokens (family_id, revoked_at)",
];

const DOWN: [&str; 3] = [
    "ALTER TABLE refresh_tokens ADD COLUMN successor_id {uuid}",
    "ALTER TABLE refresh_tokens DROP COLUMN predecessor_used_at",
    "CREATE INDEX idx_refresh_tokens_family_id ON refresh_tokens (family_id)",
];
