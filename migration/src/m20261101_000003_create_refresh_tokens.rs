//! Refresh tokens, stored as hashes. The tokens that followed from one login are a family.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_tables, run};

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
        drop_tables(manager, &["refresh_tokens"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE refresh_tokens (
        id {uuid} PRIMARY KEY,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        token_hash varchar(64) NOT NULL UNIQUE,
        family_id {uuid} NOT NULL,
        expires_at {ts} NOT NULL,
        revoked_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    // Logging out everywhere, and the cascade of a deleted account.
    "CREATE INDEX idx_refresh_tokens_user_id ON refresh_tokens (user_id)",
    // Revoking a family whose token was used twice.
    "CREATE INDEX idx_refresh_tokens_family_id ON refresh_tokens (family_id)",
];
