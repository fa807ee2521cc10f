//! Indexes that are built while requests write to their table, on PostgreSQL.
//!
//! `CREATE INDEX` blocks all writes to its table until it is done. `CREATE INDEX CONCURRENTLY` blocks none, but
//! does not run in a transaction: a migration that uses it has `use_transaction` of `Some(false)`, and every
//! step of it may have been done before by an attempt that failed. On SQLite, where one connection writes at a
//! time anyway, the index is created in the usual way.

use sea_orm_migration::SchemaManager;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbErr, Statement, TransactionTrait};

use crate::dialect::{is_sqlite, run};

/// An index and its definition: what follows the name in `CREATE INDEX`, from `ON` or `ON … USING` on.
#[derive(Debug, Clone, Copy)]
pub struct ConcurrentIndex {
    /// Name.
    pub name: &'static str,
    /// Definition, from `ON` on.
    pub definition: &'static str,
}

impl ConcurrentIndex {
    /// Creates the index, or replaces the index of that name by one of this definition. Queries use the old
    /// index until the new one is valid.
    ///
    /// # Errors
    ///
    /// A statement fails, or the migration runs in a transaction. It can be run again.
    pub async fn create_or_replace(self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        let Self { name, definition } = self;
        if is_sqlite(manager) {
            let drop = format!("DROP INDEX IF EXISTS {name}");
            return run(manager, &[&drop, &format!("CREATE INDEX {name} {definition}")]).await;
        }
        let new = format!("{name}_new");
        let connection = manager.get_connection();
        // The build waits for all older transactions. Nobody waits behind it, so it needs no lock timeout.
        let timeout = text_of(manager, "SELECT current_setting('lock_timeout') AS value").await?;
        connection.execute_unprepared("SET lock_timeout = 0").await?;
        let built = self.build(manager, &new).await;
        let timeout = timeout.unwrap_or_default();
        connection.execute_unprepared(&format!("SET lock_timeout = '{timeout}'")).await?;
        built?;
        // The table is locked for a moment.
        let transaction = connection.begin().await?;
        for sql in
            [format!("DROP INDEX IF EXISTS {name}"), format!("ALTER INDEX {new} RENAME TO {name}")]
        {
            transaction.execute_unprepared(&sql).await?;
        }
        transaction.commit().await
    }

    /// Builds the new index, unless an attempt before did so and failed later.
    async fn build(self, manager: &SchemaManager<'_>, new: &str) -> Result<(), DbErr> {
        let state = format!(
            "SELECT CAST(indisvalid AS text) AS value FROM pg_index
            WHERE indexrelid = to_regclass('{new}')"
        );
        if text_of(manager, &state).await?.as_deref() == Some("true") {
            return Ok(());
        }
        // A build that fails leaves an invalid index behind.
        let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {new}");
        let create = format!("CREATE INDEX CONCURRENTLY {new} {}", self.definition);
        run(manager, &[&drop, &create]).await
    }
}

/// The column `value` of a statement's first row.
async fn text_of(manager: &SchemaManager<'_>, sql: &str) -> Result<Option<String>, DbErr> {
    let statement = Statement::from_string(manager.get_database_backend(), sql);
    let row = manager.get_connection().query_one_raw(statement).await?;
    row.map(|row| row.try_get("", "value")).transpose()
}
