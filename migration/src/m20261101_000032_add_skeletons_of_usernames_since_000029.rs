//! Skeletons of usernames, of which look-alikes have one. The index refuses a new look-alike. Of those that are there
//! already the oldest has the skeleton, and the others none.

use sea_orm_migration::prelude::*;
use search_text::skeleton;

use crate::dialect::{drop_indexes, run};
use crate::search_texts::{SearchedColumn, SearchedTable};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &["ALTER TABLE users ADD COLUMN username_skeleton text"]).await?;
        USERS.fold_all(manager).await?;
        run(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, &["idx_users_username_skeleton"]).await?;
        run(manager, &["ALTER TABLE users DROP COLUMN username_skeleton"]).await
    }
}

const USERS: SearchedTable = SearchedTable {
    name: "users",
    fold: skeleton,
    columns: &[SearchedColumn { text: "username", search: "username_skeleton" }],
};

const UP: [&str; 2] = [
    "
    UPDATE users SET username_skeleton = NULL WHERE EXISTS (
        SELECT 1 FROM users AS older
        WHERE older.username_skeleton = users.username_skeleton
            AND (older.created_at, older.id) < (users.created_at, users.id)
    )
    ",
    "CREATE UNIQUE INDEX idx_users_username_skeleton ON users (username_skeleton)",
];
