//! The one connection that a request holds, from its first statement to its end. A request that took
//! one for each statement would hold several at once, and could wait for itself. Invariant: a
//! connection whose transaction is open never goes back to the pool.

use futures_util::future::BoxFuture;
use sea_orm::QueryResult;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Postgres, Row, Sqlite, query_with};
use sea_query_sqlx::SqlxValues;
use tokio::sync::OwnedSemaphorePermit;

use super::pool::Pool;

/// A connection out of the pool. Dropped, it goes back there, unless a transaction is open on it.
pub(super) struct Lent {
    /// Nothing only while it is dropped.
    connection: Option<Connected>,
    transaction: Option<OpenTransaction>,
    pool: Pool,
    place: Option<OwnedSemaphorePermit>,
}

/// A connection that the driver's pool has lent.
pub(super) enum Connected {
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

/// What a connection holds for as long as a transaction is open on it.
#[derive(Default)]
pub(super) struct OpenTransaction {
    _turn: Option<OwnedSemaphorePermit>,
}

impl OpenTransaction {
    /// One for which others wait.
    pub(super) const fn with_turn(turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { _turn: turn }
    }
}

impl Connected {
    /// Gives it back to the driver's pool, which first asks whether it still works.
    pub(super) fn return_to_pool(self) -> BoxFuture<'static, ()> {
        match self {
            Self::Postgres(mut connection) => Box::pin(connection.return_to_pool()),
            Self::Sqlite(mut connection) => Box::pin(connection.return_to_pool()),
        }
    }

    /// Closes it, in words.
    pub(super) fn close_on_drop(self) {
        match self {
            Self::Postgres(mut connection) => connection.close_on_drop(),
            Self::Sqlite(mut connection) => connection.close_on_drop(),
        }
    }
}

impl Lent {
    pub(super) const fn new(
        connection: Connected,
        pool: Pool,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { connection: Some(connection), transaction: None, pool, place: Some(place) }
    }

    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
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
        self.open(OpenTransaction::default());
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
                self.transaction = Some(OpenTransaction::default());
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
            return self.detach();
        }
        if let Some(connection) = self.connection.take() {
            self.pool.take_back(connection, self.place.take());
        }
    }
}

fn results<R: Row + Into<QueryResult>>(rows: Vec<R>) -> Vec<QueryResult> {
    rows.into_iter().map(Into::into).collect()
}
