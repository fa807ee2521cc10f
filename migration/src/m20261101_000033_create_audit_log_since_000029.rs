//! Audit log: actions with their actors, targets and reasons. No foreign keys: an entry outlives its actor and
//! its target.

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
        drop_tables(manager, &["audit_log"]).await
    }
}

const UP: [&str; 5] = [
    // Without a CHECK of the actions: a newer program has more of them, and an older one still inserts.
    "
    CREATE TABLE audit_log (
        id {uuid} PRIMARY KEY,
        action varchar(50) NOT NULL,
        actor_id {uuid},
        target_kind varchar(20),
        target_id {uuid},
        reason text,
        detail text,
        client_address varchar(45),
        created_at {ts} NOT NULL,
        CHECK ((target_kind IS NULL) = (target_id IS NULL))
    )
    ",
    // The whole log, newest first, a range of time, and the sweep of the oldest entries.
    "CREATE INDEX idx_audit_log_created ON audit_log (created_at DESC, id DESC)",
    // The log of an action, of an actor and of a target, newest first.
    "CREATE INDEX idx_audit_log_action ON audit_log (action, created_at DESC, id DESC)",
    "
    CREATE INDEX idx_audit_log_actor ON audit_log (actor_id, created_at DESC, id DESC)
    WHERE actor_id IS NOT NULL
    ",
    "
    CREATE INDEX idx_audit_log_target ON audit_log (target_id, created_at DESC, id DESC)
    WHERE target_id IS NOT NULL
    ",
];
