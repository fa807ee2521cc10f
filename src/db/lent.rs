//! The one connection that a request holds, from its first statement to its end. A request that took
//! one for each statement would hold several at once, and could wait for itself. Invariant: a
//! connection whose transaction is open never goes back to the pool.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

use sea_orm::QueryResult;
use sea_orm::sea_query::{
    PostgresQueryBuilder, QueryBuilder, QueryStatementWriter, SqlWriter, SqliteQueryBuilder, Value,
    Values,
};
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{
    self, AssertSqlSafe, Connection, PgPool, Postgres, Row, Sqlite, SqlitePool, query_with,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::query::Dialect;

/// Where connections are lent from.
#[derive(Clone)]
pub(super) enum Pool {
    Postgres(PgPool),
    Sqlite {
        pool: SqlitePool,
        /// One writes at a time. SQLite would let the others try again and again until one of them
        /// is lucky; here they wait in line.
        turn: Arc<Semaphore>,
    },
}

/// A connection out of the pool. Dropped, it goes back there, unless a transaction is open on it.
pub(super) struct Lent {
    /// Nothing only while it is dropped.
    connection: Option<Connected>,
    transaction: Option<OpenTransaction>,
}

enum Connected {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

/// What a connection holds for as long as a transaction is open on it.
pub(super) struct OpenTransaction {
    _turn: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(super) fn sqlite(pool: SqlitePool) -> Self {
        Self::Sqlite { pool, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Takes a connection, as it is: whether it still works is found out by using it.
    pub(super) async fn lend(&self) -> Result<Lent, sqlx::Error> {
        let connection = match self {
            Self::Postgres(pool) => Connected::Postgres(pool.acquire().await?),
            Self::Sqlite { pool, .. } => Connected::Sqlite(pool.acquire().await?),
        };
        Ok(Lent { connection: Some(connection), transaction: None })
    }

    /// Waits until a transaction may begin. Nobody who waits here may hold a connection: those that
    /// have their turn may be waiting for it.
    pub(super) async fn turn_to_write(&self) -> OpenTransaction {
        let turn = match self {
            Self::Postgres(_) => None,
            // It is never closed.
            Self::Sqlite { turn, .. } => Arc::clone(turn).acquire_owned().await.ok(),
        };
        OpenTransaction { _turn: turn }
    }

    /// How a transaction begins. On SQLite with the right to write: one that asks for it later may be
    /// refused without having waited.
    pub(super) const fn begin(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "BEGIN",
            Self::Sqlite { .. } => "BEGIN IMMEDIATE",
        }
    }

    /// Takes a connection that answers. Those that do not are thrown away.
    pub(super) async fn lend_tested(&self) -> Result<Lent, sqlx::Error> {
        loop {
            let mut lent = self.lend().await?;
            if lent.ping().await.is_ok() {
                return Ok(lent);
            }
            lent.discard();
        }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite { .. } => Dialect::Sqlite,
        }
    }

    /// A statement in the engine's own spelling, and its values.
    pub(super) fn build(&self, query: &impl QueryStatementWriter) -> (String, SqlxValues) {
        let mut text = Text::default();
        match self {
            Self::Postgres(_) => query.build_collect_into(PostgresQueryBuilder, &mut text),
            Self::Sqlite { .. } => query.build_collect_into(SqliteQueryBuilder, &mut text),
        }
        (text.sql, SqlxValues(Values(text.values)))
    }
}

/// A statement that is being written. Limits stand in it, other values are bound: for a limit that it
/// does not know PostgreSQL expects a tenth of all rows, takes a plan for any value to be dear, and so
/// plans each execution anew, which takes several times as long as reading a page. There are few
/// sizes of pages, so there are few statements more.
#[derive(Default)]
struct Text {
    sql: String,
    values: Vec<Value>,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.sql.write_str(text)
    }
}

impl Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sql)
    }
}

impl SqlWriter for Text {
    fn push_param<T: QueryBuilder>(&mut self, value: Value, builder: &T) {
        // Writing to a string cannot fail. No column is unsigned, so an unsigned number is a limit.
        let _ = match value {
            Value::BigUnsigned(Some(limit)) => write!(self.sql, "{limit}"),
            value => {
                self.values.push(value);
                let (placeholder, is_numbered) = builder.placeholder();
                if is_numbered {
                    write!(self.sql, "{placeholder}{}", self.values.len())
                } else {
                    self.sql.write_str(placeholder)
                }
            }
        };
    }

    fn as_writer(&mut self) -> &mut dyn Write {
        self
    }
}

impl Lent {
    async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.connection {
            Some(Connected::Postgres(connection)) => connection.ping().await,
            Some(Connected::Sqlite(connection)) => connection.ping().await,
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    /// All rows of a statement, which is kept prepared.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        // Its text is built of the program's own parts; what a client sent is among the values.
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut self.connection {
            Some(Connected::Postgres(connection)) => {
                query_with(sql, values).fetch_all(&mut **connection).await.map(results)
            }
            Some(Connected::Sqlite(connection)) => {
                query_with(sql, values).fetch_all(&mut **connection).await.map(results)
            }
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    /// All rows of a statement that PostgreSQL plans for its values, although it is kept prepared and
    /// connections plan for any values otherwise. The setting lasts for a transaction around the
    /// statement, so that it cannot stay behind, and needs nothing of what is between the two sides.
    pub(super) async fn rows_planned_anew(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan";
        if self.has_transaction() || !self.is_postgres() {
            return self.rows(sql, values).await;
        }
        self.open(OpenTransaction { _turn: None });
        self.run_raw(BEGIN).await?;
        let rows = self.rows(sql, values).await;
        self.run_raw(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        self.close();
        rows
    }

    const fn is_postgres(&self) -> bool {
        matches!(self.connection, Some(Connected::Postgres(_)))
    }

    /// Runs what has no values and is not kept prepared, in one round trip.
    async fn run_raw(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match &mut self.connection {
            Some(Connected::Postgres(connection)) => {
                sqlx::raw_sql(sql).execute(&mut **connection).await.map(drop)
            }
            Some(Connected::Sqlite(connection)) => {
                sqlx::raw_sql(sql).execute(&mut **connection).await.map(drop)
            }
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    /// Runs a statement that changes rows, and answers how many.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut self.connection {
            Some(Connected::Postgres(connection)) => query_with(sql, values)
                .execute(&mut **connection)
                .await
                .map(|done| done.rows_affected()),
            Some(Connected::Sqlite(connection)) => query_with(sql, values)
                .execute(&mut **connection)
                .await
                .map(|done| done.rows_affected()),
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    /// Asks for a statement's plan, which executes nothing; answers the last column of each row. On
    /// PostgreSQL the text is several statements, a transaction among them: if they are not all done,
    /// the connection is no good any more.
    pub(super) async fn explain(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<String>, sqlx::Error> {
        if self.has_transaction() {
            return Err(sqlx::Error::Protocol("a transaction is open".to_owned()));
        }
        let sql = AssertSqlSafe(sql.to_owned());
        match &mut self.connection {
            Some(Connected::Postgres(connection)) => {
                self.transaction = Some(OpenTransaction { _turn: None });
                let rows = sqlx::raw_sql(sql).fetch_all(&mut **connection).await?;
                self.transaction = None;
                rows.iter().map(|row| row.try_get(0)).collect()
            }
            Some(Connected::Sqlite(connection)) => {
                let rows = query_with(sql, values).fetch_all(&mut **connection).await?;
                rows.iter().map(|row| row.try_get("detail")).collect()
            }
            None => Err(sqlx::Error::PoolClosed),
        }
    }

    /// Says, before it is begun, that a transaction is open.
    pub(super) fn open(&mut self, transaction: OpenTransaction) {
        self.transaction = Some(transaction);
    }

    /// Says, after its end was answered, that none is open any more.
    pub(super) fn close(&mut self) -> Option<OpenTransaction> {
        self.transaction.take()
    }

    pub(super) const fn has_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Closes the connection without a word to the other side, which may not be listening.
    pub(super) fn discard(mut self) {
        self.detach();
    }

    fn detach(&mut self) {
        match self.connection.take() {
            Some(Connected::Postgres(connection)) => drop(connection.detach()),
            Some(Connected::Sqlite(connection)) => drop(connection.detach()),
            None => {}
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.has_transaction() {
            self.detach();
        }
    }
}

fn results<R: Row + Into<QueryResult>>(rows: Vec<R>) -> Vec<QueryResult> {
    rows.into_iter().map(Into::into).collect()
}
