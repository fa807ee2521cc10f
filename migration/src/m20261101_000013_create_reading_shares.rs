//! Secret links to single readings.

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
        drop_tables(manager, &["reading_shares"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE reading_shares (
        id {uuid} PRIMARY KEY,
        reading_id {uuid} NOT NULL REFERENCES reading_sessions (id) ON DELETE CASCADE,
        token varchar(64) NOT NULL,
        password_hash text,
        is_active boolean NOT NULL DEFAULT TRUE,
        expires_at {ts},
        access_count bigint NOT NULL DEFAULT 0,
        last_access_at {ts},
        title varchar(100),
        description varchar(300),
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    // Lookup of a link by its token.
    "CREATE UNIQUE INDEX idx_reading_shares_token ON reading_shares (token)",
    // The links of a reading.
    "CREATE INDEX idx_reading_shares_reading_id ON reading_shares (reading_id)",
];
