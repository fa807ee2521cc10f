//! Interpretations of each card by each voice, for each locale.

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
        drop_tables(manager, &["card_interpretations"]).await
    }
}

const UP: [&str; 1] = ["
    CREATE TABLE card_interpretations (
        card_id {uuid} NOT NULL REFERENCES wasteland_cards (id) ON DELETE CASCADE,
        voice varchar(50) NOT NULL REFERENCES voices (key) ON DELETE CASCADE,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        text text NOT NULL,
        is_active boolean NOT NULL DEFAULT TRUE,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (card_id, voice, locale)
    )
    "];
