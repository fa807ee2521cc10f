//! Readings that an admin has hidden. Such a reading is private, so that no public list, search or count has it,
//! whatever program executes them; its row here says why, and which privacy level it gets back.

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
        run(manager, &DOWN).await?;
        drop_tables(manager, &["hidden_readings"]).await
    }
}

const UP: [&str; 1] = ["
    CREATE TABLE hidden_readings (
        reading_id {uuid} PRIMARY KEY REFERENCES reading_sessions (id) ON DELETE CASCADE,
        privacy_level varchar(20) NOT NULL CHECK (privacy_level IN ('private', 'friends', 'public')),
        reason text NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
"];

// The level that the owner has chosen.
const DOWN: [&str; 1] = ["
    UPDATE reading_sessions SET privacy_level = (
        SELECT hidden_readings.privacy_level FROM hidden_readings
        WHERE hidden_readings.reading_id = reading_sessions.id
    )
    WHERE id IN (SELECT reading_id FROM hidden_readings)
"];
