//! A user's own folders for readings.

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
        drop_tables(manager, &["reading_categories"]).await
    }
}

const UP: [&str; 1] = ["
    CREATE TABLE reading_categories (
        id {uuid} PRIMARY KEY,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        name varchar(100) NOT NULL,
        color varchar(7) NOT NULL,
        icon varchar(50),
        description text,
        created_at {ts} NOT NULL,
        updated_at {ts} NOT NULL,
        UNIQUE (user_id, name)
    )
    "];
