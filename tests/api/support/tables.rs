//! Rows of all tables, read without the server: to be compared before and after, and to be broken.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use crate::support::app::TestDatabase;

/// Every row of every table as text, by table.
pub type Tables = BTreeMap<String, Vec<String>>;

/// One direct connection, distinguishable from those of the server.
pub struct Access(DatabaseConnection);

impl Access {
    #[expect(clippy::disallowed_methods, reason = "the server's own way is what is tested")]
    pub async fn open(database: &TestDatabase) -> Self {
        let mut options = ConnectOptions::new(&database.url);
        options.max_connections(1);
        Self(sea_orm::Database::connect(options).await.expect("the database opens"))
    }

    pub fn is_sqlite(&self) -> bool {
        self.0.get_database_backend() == DbBackend::Sqlite
    }

    /// Runs one or several statements.
    pub async fn run(&self, sql: &str) {
        self.0.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Column `text` of the rows of a query.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let rows = self.0.query_all_raw(statement).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(|row| row.try_get("", "text").expect("a text")).collect()
    }

    /// Column `number` of the row of a query.
    pub async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let row = self.0.query_one_raw(statement).await;
        let row = row.unwrap_or_else(|error| panic!("{sql}: {error}")).expect("a row");
        row.try_get("", "number").expect("a number")
    }

    /// Polls until the column `number` has that value.
    pub async fn wait_for(&self, sql: &str, number: i64) {
        while self.number(sql).await != number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// All rows of all tables.
    pub async fn all(&self) -> Tables {
        let mut tables = Tables::new();
        for table in self.names().await {
            let sql = if self.is_sqlite() {
                let columns = format!(
                    "SELECT 'quote(\"' || name || '\")' AS text FROM pragma_table_info('{table}')"
                );
                let row = self.texts(&columns).await.join(" || ',' || ");
                format!("SELECT {row} AS text FROM \"{table}\" ORDER BY 1")
            } else {
                format!("SELECT \"{table}\"::text AS text FROM \"{table}\" ORDER BY 1")
            };
            let rows = self.texts(&sql).await;
            tables.insert(table, rows);
        }
        assert!(tables.len() > 20, "not all tables were found: {:?}", tables.keys());
        tables
    }

    async fn names(&self) -> Vec<String> {
        // The tables of the text search hold blobs that differ for equal texts.
        let sql = if self.is_sqlite() {
            "SELECT name AS text FROM sqlite_master WHERE type = 'table'
                AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%_search_%'"
        } else {
            "SELECT tablename::text AS text FROM pg_tables WHERE schemaname = 'public'"
        };
        self.texts(sql).await
    }

    pub async fn close(self) {
        self.0.close().await.expect("the connection closes");
    }
}

/// Rows of one side only, by table.
pub fn differences(before: &Tables, after: &Tables) -> BTreeMap<String, Vec<String>> {
    let none = Vec::new();
    let mut differing = BTreeMap::new();
    for table in before.keys().chain(after.keys()) {
        let (old, new) = (before.get(table).unwrap_or(&none), after.get(table).unwrap_or(&none));
        if old == new {
            continue;
        }
        let gone = old.iter().filter(|row| !new.contains(row)).map(|row| format!("- {row}"));
        let come = new.iter().filter(|row| !old.contains(row)).map(|row| format!("+ {row}"));
        let mut rows: Vec<String> = gone.chain(come).collect();
        rows.push(format!("{} rows were {}", new.len(), old.len()));
        differing.insert(table.clone(), rows);
    }
    differing
}
