//! Number of readings of a user on a UTC day; a conditional upsert enforces the daily limit.

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
        drop_tables(manager, &["daily_usage"]).await
    }
}

const UP: [&str; 1] = ["
    CREATE TABLE daily_usage (
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        utc_day date NOT NULL,
        n integer NOT NULL CHECK (n >= 0),
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (user_id, utc_day)
    )
    "];
