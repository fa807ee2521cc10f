//! A connection acquired from the pool, and the transaction that may be open on it. Invariants: a
//! connection with an open transaction never returns to the pool; it is closed, which rolls the
//! transaction back. A connection whose statement was cancelled is not used again, and holds its permit,
//! until the response has come: the database executes the statement to its end.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Object, Pool};
use sea_orm::QueryResult;
use sea_orm::sqlx;
use sea_query_sqlx::SqlxValues;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::driver::{ConnectionManager, DriverConnection};
use super::shortages::WaitingLine;

/// A connection out of the pool. When dropped it is released to the pool, or closed if a transaction is
/// open on it; first its outstanding response is received, if there is one.
pub(super) struct PooledConnection {
    /// `None` only while it is dropped.
    object: Option<Object<ConnectionManager>>,
    transaction: Option<OpenTransaction>,
    /// True while a response is outstanding. Still set when a cancelled statement drops the connection.
    is_busy: bool,
    release: ReleasePolicy,
}

/// Settings for the release of a connection.
#[derive(Clone)]
pub(super) struct ReleasePolicy {
    /// Idle connections that the pool retains.
    pub(super) pool_size: usize,
    /// Maximum wait for the response of a cancelled statement.
    pub(super) response_timeout: Duration,
    /// Notified of each release.
    pub(super) line: Arc<WaitingLine>,
}

/// The transaction that is open on a connection.
#[derive(Default)]
pub(super) struct OpenTransaction {
    _write_permit: Option<OwnedSemaphorePermit>,
}

impl OpenTransaction {
    /// A transaction that other writers wait for, until the permit is dropped with it.
    pub(super) const fn with_write_permit(write_permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { _write_permit: write_permit }
    }
}

impl PooledConnection {
    pub(super) const fn new(object: Object<ConnectionManager>, release: ReleasePolicy) -> Self {
        Self { object: Some(object), transaction: None, is_busy: false, release }
    }

    fn driver(&mut self) -> Result<&mut DriverConnection, sqlx::Error> {
        self.object.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        self.is_busy = true;
        let result = self.driver()?.ping().await;
        self.is_busy = false;
        result
    }

    /// All rows of a statement.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        self.is_busy = true;
        let result = self.driver()?.rows(sql, values).await;
        self.is_busy = false;
        result
    }

    /// All rows of a statement that PostgreSQL plans for its values, although it is prepared and
    /// connections use generic plans otherwise. The setting is local to a transaction around the
    /// statement, so that it cannot outlive it; a pooler between server and database needs to know
    /// nothing of it.
    pub(super) async fn rows_with_custom_plan(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan";
        if self.has_transaction() || !self.driver()?.is_postgres() {
            return self.rows(sql, values).await;
        }
        self.open_transaction(OpenTransaction::default());
        self.run_raw(BEGIN).await?;
        let rows = self.rows(sql, values).await;
        self.run_raw(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        self.close_transaction();
        rows
    }

    /// Runs statements without values and without preparing them, in one round trip.
    pub(super) async fn run_raw(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.is_busy = true;
        let result = self.driver()?.run_raw(sql).await;
        self.is_busy = false;
        result
    }

    /// Number of rows that a statement changed.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<u64, sqlx::Error> {
        self.is_busy = true;
        let result = self.driver()?.execute(sql, values).await;
        self.is_busy = false;
        result
    }

    /// Lines of a statement's plan; the statement is not executed. On PostgreSQL the text is several
    /// statements, a transaction among them: unless all of them succeed, the connection is unusable.
    pub(super) async fn explain(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<String>, sqlx::Error> {
        if self.has_transaction() {
            return Err(sqlx::Error::Protocol("a transaction is open".to_owned()));
        }
        self.open_transaction(OpenTransaction::default());
        let plan = self.driver()?.explain(sql, values).await?;
        self.close_transaction();
        Ok(plan)
    }

    /// Marks a transaction as open. Called before it is begun.
    pub(super) fn open_transaction(&mut self, transaction: OpenTransaction) {
        self.transaction = Some(transaction);
    }

    /// Marks the transaction as ended. Called after the database confirmed its end.
    pub(super) fn close_transaction(&mut self) -> Option<OpenTransaction> {
        self.transaction.take()
    }

    pub(super) const fn has_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Closes the connection without a message to the server, which may be frozen.
    pub(super) fn discard(mut self) {
        self.disconnect();
    }

    fn disconnect(&mut self) {
        drop(self.object.take().map(Object::take));
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        let (transaction, release) = (self.transaction.take(), &self.release);
        match Handle::try_current() {
            Ok(runtime) if self.is_busy => {
                runtime.spawn(release_when_idle(object, transaction, release.clone()));
            }
            _ if self.is_busy || transaction.is_some() => drop(Object::take(object)),
            _ => release_to_pool(object, release),
        }
    }
}

/// Receives the outstanding response of a cancelled statement, then releases the connection, or closes it
/// if a transaction is open on it or no response comes.
async fn release_when_idle(
    mut object: Object<ConnectionManager>,
    transaction: Option<OpenTransaction>,
    release: ReleasePolicy,
) {
    let response = timeout(release.response_timeout, object.ping()).await;
    if transaction.is_none() && matches!(response, Ok(Ok(()))) {
        release_to_pool(object, &release);
    } else {
        drop(Object::take(object));
    }
    // The next writer begins only after the connection is closed.
    drop(transaction);
}

fn release_to_pool(object: Object<ConnectionManager>, release: &ReleasePolicy) {
    let pool = Object::pool(&object);
    drop(object);
    release.line.notify_release();
    if let Some(pool) = pool {
        close_surplus(&pool, release.pool_size);
    }
}

/// Closes idle connections above the pool's size: an overflow that nobody waits for any more.
fn close_surplus(pool: &Pool<ConnectionManager>, pool_size: usize) {
    if pool.status().available <= pool_size {
        return;
    }
    let mut idle = 0;
    let surplus = pool.retain(|_, _| {
        idle += 1;
        idle <= pool_size
    });
    let Ok(runtime) = Handle::try_current() else { return };
    for connection in surplus.removed {
        runtime.spawn(connection.close());
    }
}
