//! Revocations of access tokens: the epoch of each user whose tokens were revoked. A token of an earlier epoch is
//! not valid.

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
        drop_tables(manager, &["token_revocations"]).await
    }
}

const UP: [&str; 2] = [
    "
    CREATE TABLE token_revocations (
        user_id {uuid} PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        epoch integer NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    // A server that starts reads the revocations of the last minutes.
    "CREATE INDEX idx_token_revocations_updated_at ON token_revocations (updated_at)",
];
