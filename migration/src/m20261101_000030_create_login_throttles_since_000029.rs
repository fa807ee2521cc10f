//! Throttles of logins: the recent wrong passwords of a client network for an account, and the networks from
//! which a user has logged in.

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
        run(manager, &["ALTER TABLE login_sessions DROP COLUMN network"]).await?;
        drop_tables(manager, &["login_throttles"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE login_throttles (
        subject varchar(64) PRIMARY KEY,
        failures integer NOT NULL,
        locked_until {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    // The sweep of failures that are forgotten.
    "CREATE INDEX idx_login_throttles_updated_at ON login_throttles (updated_at)",
    // Null of logins from before.
    "ALTER TABLE login_sessions ADD COLUMN network varchar(64)",
];
