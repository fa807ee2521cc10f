//! Users. `email` is stored in lower case, `username` case-folded; both are unique, and login accepts either.

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
        drop_tables(manager, &["users"]).await
    }
}

const UP: [&str; 3] = [
    "
    CREATE TABLE users (
        id {uuid} PRIMARY KEY,
        email varchar(255) NOT NULL,
        username varchar(50) NOT NULL,
        display_name varchar(100),
        password_hash text NOT NULL,
        bio text,
        faction varchar(50) NOT NULL DEFAULT 'independent' CHECK (faction IN (
            'vault_dweller', 'brotherhood', 'ncr', 'legion', 'raiders', 'minutemen', 'railroad', 'institute',
            'independent'
        )),
        karma_score smallint NOT NULL DEFAULT 50 CHECK (karma_score BETWEEN 0 AND 100),
        preferred_voice varchar(50) NOT NULL DEFAULT 'pip_boy' CHECK (preferred_voice IN (
            'pip_boy', 'vault_dweller', 'wasteland_trader', 'codsworth', 'super_mutant', 'ghoul', 'raider',
            'brotherhood_scribe', 'brotherhood_paladin', 'ncr_ranger', 'legion_centurion', 'minuteman',
            'railroad_agent', 'institute_scientist'
        )),
        is_active boolean NOT NULL DEFAULT TRUE,
        is_verified boolean NOT NULL DEFAULT FALSE,
        is_admin boolean NOT NULL DEFAULT FALSE,
        is_premium boolean NOT NULL DEFAULT FALSE,
        failed_logins integer NOT NULL DEFAULT 0,
        locked_until {ts},
        last_login_at {ts},
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL
    )
    ",
    "CREATE UNIQUE INDEX idx_users_email ON users (email)",
    "CREATE UNIQUE INDEX idx_users_username ON users (username)",
];
