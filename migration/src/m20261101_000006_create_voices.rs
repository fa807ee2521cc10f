//! The voices that phrase an interpretation, with their templates for each locale.

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
        drop_tables(manager, &["voice_texts", "voices"]).await
    }
}

const UP: [&str; 2] = [
    "
    CREATE TABLE voices (
        key varchar(50) PRIMARY KEY CHECK (key IN (
            'pip_boy', 'vault_dweller', 'wasteland_trader', 'codsworth', 'super_mutant', 'ghoul', 'raider',
            'brotherhood_scribe', 'brotherhood_paladin', 'ncr_ranger', 'legion_centurion', 'minuteman',
            'railroad_agent', 'institute_scientist'
        )),
        tone varchar(50) NOT NULL,
        vocabulary_style varchar(50) NOT NULL,
        humor_style varchar(50),
        faction varchar(50),
        response_length varchar(10) NOT NULL CHECK (response_length IN ('short', 'medium', 'long')),
        detail_level varchar(50) NOT NULL,
        is_active boolean NOT NULL DEFAULT TRUE,
        sort_order smallint NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    "
    CREATE TABLE voice_texts (
        voice varchar(50) NOT NULL REFERENCES voices (key) ON DELETE CASCADE,
        locale varchar(10) NOT NULL CHECK (locale IN ('en', 'zh_hant')),
        display_name varchar(100) NOT NULL,
        templates {json} NOT NULL,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        PRIMARY KEY (voice, locale)
    )
    ",
];
