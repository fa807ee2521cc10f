//! Logins, and the refresh tokens of each: a token family. Tokens are stored as hashes.

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
        drop_tables(manager, &["refresh_tokens", "login_sessions"]).await
    }
}

const UP: [&str; 6] = [
    // The row by which a token family is locked and revoked.
    "
    CREATE TABLE login_sessions (
        id {uuid} PRIMARY KEY,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        expires_at {ts} NOT NULL,
        revoked_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    // Logging out everywhere, and the cascade of a deleted account.
    "CREATE INDEX idx_login_sessions_user_id ON login_sessions (user_id)",
    // The sweep of expired logins.
    "CREATE INDEX idx_login_sessions_expires_at ON login_sessions (expires_at)",
    "
    CREATE TABLE refresh_tokens (
        id {uuid} PRIMARY KEY,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        token_hash varchar(64) NOT NULL UNIQUE,
        family_id {uuid} NOT NULL REFERENCES login_sessions (id) ON DELETE CASCADE,
        expires_at {ts} NOT NULL,
        used_at {ts},
        successor_id {uuid},
        revoked_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    // The cascade of a deleted account.
    "CREATE INDEX idx_refresh_tokens_user_id ON refresh_tokens (user_id)",
    // The cascade of a deleted login.
    "CREATE INDEX idx_refresh_tokens_family_id ON refresh_tokens (family_id)",
];
