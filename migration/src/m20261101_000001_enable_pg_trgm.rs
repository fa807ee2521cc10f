//! PostgreSQL's extension for trigram indexes, for the text search of readings. SQLite has FTS5, see the
//! migration that indexes readings for search.

use sea_orm_migration::prelude::*;

use crate::dialect::run_on_postgres;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, &["CREATE EXTENSION IF NOT EXISTS pg_trgm"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, &["DROP EXTENSION IF EXISTS pg_trgm"]).await
    }
}
