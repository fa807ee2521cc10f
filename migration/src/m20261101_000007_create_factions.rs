//! The factions, their names for each locale, and the voices that each may use, by priority.

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
        drop_tables(manager, &["faction_voices", "faction_texts", "factions"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE factions (
        key varchar(50) PRIMARY KEY CHECK (key IN (
            'vault_dweller', 'brotherhood', 'ncr', 'legion', 'raiders', 'minutemen', 'railroad', 'institute',
            'independent'
        )),
        alignment varchar(50) NOT NULL,
        sort_order smallint NOT NULL,
        is_active boolean NOT NULL DEFAULT TRUE,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    "
    CREATE TABLE faction_texts (
        faction varchar(50) NOT NULL REFERENCES factions (key) ON DELETE CASCADE,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        name varchar(100) NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (faction, locale)
    )
    ",
    "
    CREATE TABLE faction_voices (
        faction varchar(50) NOT NULL REFERENCES factions (key) ON DELETE CASCADE,
        voice varchar(50) NOT NULL REFERENCES voices (key) ON DELETE CASCADE,
        priority smallint NOT NULL,
        created_at {ts} NOT NULL,
        PRIMARY KEY (faction, voice)
    )
    ",
];
