//! Folded names of users for the search of admins: folded by the server, because PostgreSQL and SQLite fold case in
//! different ways.

use sea_orm_migration::prelude::*;
use search_text::fold_case;

use crate::dialect::{is_sqlite, run, run_on_postgres};
use crate::search_texts::{SearchedColumn, SearchedTable};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, if is_sqlite(manager) { &COLUMNS_ON_SQLITE } else { &COLUMNS_ON_POSTGRES })
            .await?;
        USERS.fold_all(manager).await?;
        run_on_postgres(manager, &REQUIRE_ON_POSTGRES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &DOWN).await
    }
}

const USERS: SearchedTable = SearchedTable {
    name: "users",
    fold: fold_case,
    columns: &[
        SearchedColumn { text: "username", search: "search_username" },
        SearchedColumn { text: "display_name", search: "search_display_name" },
        SearchedColumn { text: "email", search: "search_email" },
    ],
};

const COLUMNS_ON_POSTGRES: [&str; 3] = [
    "ALTER TABLE users ADD COLUMN search_username text",
    "ALTER TABLE users ADD COLUMN search_display_name text",
    "ALTER TABLE users ADD COLUMN search_email text",
];

// SQLite cannot add NOT NULL to an existing column.
const COLUMNS_ON_SQLITE: [&str; 3] = [
    "ALTER TABLE users ADD COLUMN search_username text NOT NULL DEFAULT ''",
    "ALTER TABLE users ADD COLUMN search_display_name text",
    "ALTER TABLE users ADD COLUMN search_email text NOT NULL DEFAULT ''",
];

const REQUIRE_ON_POSTGRES: [&str; 1] = ["
    ALTER TABLE users ALTER COLUMN search_username SET NOT NULL, ALTER COLUMN search_email SET NOT NULL
"];

const DOWN: [&str; 3] = [
    "ALTER TABLE users DROP COLUMN search_email",
    "ALTER TABLE users DROP COLUMN search_display_name",
    "ALTER TABLE users DROP COLUMN search_username",
];
