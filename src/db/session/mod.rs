//! A database session: the one way to run a statement. It names each statement, bounds its time and
//! counts it.
//!
//! One request has one session, and a session has at most one connection, so its statements run one
//! after another. A request that acquired a connection for each statement would hold several at once,
//! and could wait for itself.

mod counters;
mod routing;
mod statement;
mod transaction;

pub use counters::StatementCounters;
pub use transaction::Transaction;

pub(super) use routing::Route;
pub(super) use statement::PlanMode;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, Query, SelectStatement, Value, Values};
use sea_orm::{FromQueryResult, QueryResult};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;
use tracing::Instrument;

use super::DbError;
use super::monitor::{Monitor, StatementOrigin, StatementTimer};
use super::pool::AcquireTimeout;
use super::pooled_connection::{OpenTransaction, PooledConnection};
use super::query::{Dialect, constant};
use super::replicas::{ReadTarget, WalPosition};
use super::sql::build;
use crate::domain::lock::lock;
use routing::Routing;
use statement::{Execution, Kind, Statement, StatementResult, read_all};

/// Receives the SQL of each statement.
pub(super) type Observer = Arc<dyn Fn(&str) + Send + Sync>;

/// A handle to the session of one request; cheap to clone. Each handle names the GraphQL operation and
/// field on whose behalf it is used.
#[derive(Clone)]
pub struct Session {
    state: Arc<SessionState>,
    origin: StatementOrigin,
}

/// Limits and instruments of a session.
pub(super) struct SessionOptions {
    /// Time limit of each statement, once there is a connection.
    pub(super) deadline: Duration,
    pub(super) acquire_timeout: AcquireTimeout,
    pub(super) observer: Option<Observer>,
    pub(super) monitor: Arc<Monitor>,
}

struct SessionState {
    routing: Routing,
    options: SessionOptions,
    /// Number of tasks of this request that wait for another request's computation.
    waits: AtomicUsize,
    /// `None` before the first statement, after a release, and while a statement runs.
    connection: Mutex<Option<PooledConnection>>,
    counters: StatementCounters,
    /// Latest commit time of any cached value in this response.
    cached_as_of: std::sync::Mutex<Option<Instant>>,
}

impl Session {
    pub(super) fn new(route: Route, options: SessionOptions) -> Self {
        let state = SessionState {
            routing: Routing::new(route),
            options,
            waits: AtomicUsize::default(),
            connection: Mutex::default(),
            counters: StatementCounters::default(),
            cached_as_of: std::sync::Mutex::default(),
        };
        Self { state: Arc::new(state), origin: StatementOrigin::default() }
    }

    /// The same session, on behalf of a GraphQL operation.
    #[must_use]
    pub fn for_operation(&self, name: Option<&str>) -> Self {
        let origin = StatementOrigin { operation: name.map(Arc::from), ..self.origin.clone() };
        Self { state: Arc::clone(&self.state), origin }
    }

    /// The same session, on behalf of a GraphQL field, written as `Type.field`.
    #[must_use]
    pub fn for_field(&self, field: &'static str) -> Self {
        let origin = StatementOrigin { field: Some(field), ..self.origin.clone() };
        Self { state: Arc::clone(&self.state), origin }
    }

    /// Attributes the statements of this session that have no field of their own to a mutation, written
    /// as `Mutation.field`, from now on.
    pub fn begin_mutation(&self, field: String) {
        *lock(&self.origin.mutation) = Some(field.into());
    }

    /// Records that the response contains a cached value, by the latest commit that the value may
    /// reflect.
    pub fn record_cached_as_of(&self, computed_at: Instant) {
        let mut cached_as_of = lock(&self.state.cached_as_of);
        *cached_as_of = (*cached_as_of).max(Some(computed_at));
    }

    /// Latest commit time of any cached value in this response.
    pub(super) fn cached_as_of(&self) -> Option<Instant> {
        *lock(&self.state.cached_as_of)
    }

    pub(super) fn monitor(&self) -> &Monitor {
        &self.state.options.monitor
    }

    /// Statements run so far.
    #[must_use]
    pub fn counters(&self) -> &StatementCounters {
        &self.state.counters
    }

    /// SQL dialect of the database that serves this session.
    pub(super) fn dialect(&self) -> Dialect {
        self.state.routing.pool().dialect()
    }

    /// All rows of a query.
    pub(super) async fn all<R: FromQueryResult>(
        &self,
        statement: &'static str,
        query: &SelectStatement,
    ) -> Result<Vec<R>, DbError> {
        read_all(statement, &self.rows(statement, query).await?)
    }

    /// The first row of a query.
    pub(super) async fn one<R: FromQueryResult>(
        &self,
        statement: &'static str,
        query: &SelectStatement,
    ) -> Result<Option<R>, DbError> {
        Ok(self.all(statement, query).await?.into_iter().next())
    }

    /// All rows of a query, undecoded.
    pub(super) async fn rows(
        &self,
        statement: &'static str,
        query: &SelectStatement,
    ) -> Result<Vec<QueryResult>, DbError> {
        self.rows_planned(statement, query, PlanMode::Generic).await
    }

    /// All rows of a query, undecoded, with a choice of PostgreSQL's plan mode.
    pub(super) async fn rows_planned(
        &self,
        statement: &'static str,
        query: &SelectStatement,
        plan_mode: PlanMode,
    ) -> Result<Vec<QueryResult>, DbError> {
        let (sql, values) = build(self.dialect(), query);
        let kind = Kind::Read(plan_mode);
        let statement = Statement { name: statement, kind, sql: &sql, values: &values };
        Ok(self.state.run(&self.origin, statement).await?.rows)
    }

    /// Lines of a statement's plan. The statement is not executed.
    pub(super) async fn explain(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<String>, DbError> {
        let values = SqlxValues(Values(values));
        let statement = Statement { name: "explain", kind: Kind::Explain, sql, values: &values };
        Ok(self.state.run(&self.origin, statement).await?.plan)
    }

    /// The database that serves this session.
    pub(super) fn read_target(&self) -> ReadTarget {
        self.state.routing.target()
    }

    /// Current write-ahead log position of the primary.
    pub(super) async fn wal_position(&self) -> Result<Option<WalPosition>, DbError> {
        #[derive(FromQueryResult)]
        struct Row {
            position: String,
        }
        let position = Expr::cust("pg_current_wal_lsn()::text");
        let query = Query::select().expr_as(position, "position").to_owned();
        let row: Option<Row> = self.one("wal_position", &query).await?;
        Ok(row.and_then(|row| WalPosition::parse_lsn(&row.position)))
    }

    /// A minimal query, on the session's own connection if it has one.
    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let query = Query::select().expr_as(constant(1), "alive").to_owned();
        self.rows("ping", &query).await.map(drop)
    }

    /// Releases the connection before the request ends, because slow work without statements follows.
    /// The next statement acquires one again.
    pub async fn release(&self) {
        self.state.connection.lock().await.take();
    }

    /// Marks, until the guard is dropped, that something waits for another request's computation.
    /// Meanwhile the session has a connection only while a statement or a transaction needs it: a waiter
    /// with a connection may wait for a request that waits for a connection.
    pub async fn release_while_waiting(&self) -> WaitGuard {
        self.state.waits.fetch_add(1, Ordering::SeqCst);
        // Created before the next await: a cancelled wait has to be counted down.
        let guard = WaitGuard(Arc::clone(&self.state));
        self.state.connection.lock().await.take_if(|connection| !connection.has_transaction());
        guard
    }

    /// True if the session reads the primary, where all earlier writes are visible.
    #[must_use]
    pub fn is_on_primary(&self) -> bool {
        self.read_target() == ReadTarget::Primary
    }

    /// Of a session on a replica: time up to which all commits are visible to all of its reads, if known.
    #[must_use]
    pub fn replica_fresh_as_of(&self) -> Option<Instant> {
        self.state.routing.replica_fresh_as_of()
    }
}

/// Guard of a wait for another request's computation.
pub struct WaitGuard(Arc<SessionState>);

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.0.waits.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SessionState {
    /// Runs a statement, on the primary if the session's replica cannot be reached.
    async fn run(
        &self,
        origin: &StatementOrigin,
        statement: Statement<'_>,
    ) -> Result<StatementResult, DbError> {
        match self.attempt(origin, statement, None).await {
            Err(DbError::Unavailable(_)) if self.routing.fail_over() => {
                self.attempt(origin, statement, None).await
            }
            result => result,
        }
    }

    /// Runs a statement on the database that the session is routed to. `transaction` is the one that the
    /// statement begins.
    async fn attempt(
        &self,
        origin: &StatementOrigin,
        statement: Statement<'_>,
        transaction: Option<OpenTransaction>,
    ) -> Result<StatementResult, DbError> {
        if let Some(observer) = &self.options.observer {
            observer(statement.sql);
        }
        self.counters.add_statement();
        let span = tracing::debug_span!("statement", name = statement.name);
        let mut connection = self.connection.lock().await;
        let started = Instant::now();
        let mut timer = StatementTimer {
            monitor: &self.options.monitor,
            statement: statement.name,
            sql: statement.sql,
            values: &statement.values.0.0,
            origin,
            began: None,
            deadline_exceeded: false,
        };
        let execution = Execution {
            statement,
            transaction,
            began: &mut timer.began,
            pool: self.routing.pool(),
            acquire_timeout: self.options.acquire_timeout,
            deadline: self.options.deadline,
        };
        // On the heap: the drivers' futures are large, and would be part of every resolver's.
        let result = Box::pin(execution.run(&mut connection).instrument(span)).await;
        timer.deadline_exceeded = matches!(result, Err(DbError::Deadline { .. }));
        let began = timer.began;
        drop(timer);
        if self.waits.load(Ordering::SeqCst) > 0 {
            connection.take_if(|connection| !connection.has_transaction());
        }
        drop(connection);
        self.counters.add_time(started, began);
        let result = result?;
        self.routing.record_read();
        self.counters.add_rows(result.rows.len());
        Ok(result)
    }
}
