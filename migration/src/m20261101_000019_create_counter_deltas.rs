//! Counters of the whole site, and deltas of committed writes to them and to the counters of cards and
//! spreads. Writers insert deltas and never update a counter, where they would wait for each other; one
//! task deletes the deltas and updates the counters in the same transaction.

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
        drop_tables(manager, &["counter_deltas", "site_stats"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE site_stats (
        id smallint PRIMARY KEY CHECK (id = 1),
        users bigint NOT NULL,
        readings bigint NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    "
    INSERT INTO site_stats (id, users, readings, created_at, updated_at)
    SELECT 1, (SELECT count(*) FROM users WHERE is_active),
        (SELECT count(*) FROM reading_sessions WHERE status = 'complete'), {now}, {now}
    ",
    "
    CREATE TABLE counter_deltas (
        id {uuid} PRIMARY KEY,
        users integer NOT NULL,
        readings integer NOT NULL,
        draws {json} NOT NULL,
        uses {json} NOT NULL,
        created_at {ts} NOT NULL
    )
    ",
];
