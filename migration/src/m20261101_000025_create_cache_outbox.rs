//! The cache outbox: invalidations of each write for the caches of all servers on the database, inserted in
//! the write's own transaction. Servers poll new rows, by `position`; old rows are swept.
//!
//! On PostgreSQL a position is the transaction number. The numbers of open transactions are known, so a poll
//! misses no transaction that commits after a later one. SQLite has one writer at a time, and rows are
//! numbered in the order of commits.

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
