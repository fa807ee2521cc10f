//! What each write has made old in the caches of all servers on the database: written in the write's own
//! transaction, so that it is there exactly if the write is. Servers read what was added since they
//! last looked, in the order of `position`; rows are swept after a while.
//!
//! On PostgreSQL a position is the number of the transaction: those of transactions that are still open
//! are known, so that none is overlooked that commits later than one that began after it. SQLite has one
//! writer at a time, and rows are numbered as they are committed.

use sea_orm_migration::prelude::*;

use crate::dialect::{drop_tables, is_sqlite, run, run_on_postgres};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = if is_sqlite(manager) {
            "CREATE TABLE cache_outbox (
                position integer PRIMARY KEY AUTOINCREMENT,
                id {uuid} NOT NULL UNIQUE,
                changes {json} NOT NULL,
                created_at {ts} NOT NULL
            )"
        } else {
            "CREATE TABLE cache_outbox (
                position bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
                id {uuid} PRIMARY KEY,
                changes {json} NOT NULL,
                created_at {ts} NOT NULL
            )"
        };
        let index = "CREATE INDEX idx_cache_outbox_position ON cache_outbox (position)";
        let swept = "CREATE INDEX idx_cache_outbox_created_at ON cache_outbox (created_at)";
        run(manager, &[table]).await?;
        run_on_postgres(manager, &[index]).await?;
        run(manager, &[swept]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["cache_outbox"]).await
    }
}
