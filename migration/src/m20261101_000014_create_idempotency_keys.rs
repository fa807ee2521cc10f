//! Idempotency keys: a client that lost a response repeats its request without creating a second object.
//! `scope` is the requester: a user, or the address of an unregistered client.

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
        drop_tables(manager, &["idempotency_keys"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE idempotency_keys (
        scope varchar(100) NOT NULL,
        operation varchar(50) NOT NULL,
        key varchar(255) NOT NULL,
        user_id {uuid} REFERENCES users (id) ON DELETE CASCADE,
        request_hash varchar(64) NOT NULL,
        result_id {uuid},
        expires_at {ts} NOT NULL,
        created_at {ts} NOT NULL,
        PRIMARY KEY (scope, operation, key)
    )
    ",
    // The sweep of expired keys.
    "CREATE INDEX idx_idempotency_keys_expires_at ON idempotency_keys (expires_at)",
    // The cascade of a deleted account.
    "CREATE INDEX idx_idempotency_keys_user_id ON idempotency_keys (user_id)",
];
