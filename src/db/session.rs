//! The one way to run a statement: it names it, bounds its time and counts it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sea_query::{Expr, Query, QueryStatementWriter, SelectStatement, Value, Values};
use sea_orm::{FromQueryResult, QueryResult, sqlx};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::Instrument;

use super::DbError;
use super::error::is_lost_connection;
use super::lent::{Lent, OpenTransaction};
use super::monitor::{Asker, Monitor, Watch};
use super::pool::Pool;
use super::query::{Dialect, constant};
use super::replicas::{ReadTarget, Replicas, WalPosition};
use super::sql::build;
use crate::domain::lock::lock;

/// How many statements a request ran and how many rows came back.
#[derive(Debug, Default)]
pub struct StatementCounters {
    statements: AtomicU64,
    rows: AtomicU64,
    microseconds: AtomicU64,
    pool_wait_microseconds: AtomicU64,
}

impl StatementCounters {
    /// Statements so far.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Rows read so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The time that the statements took, waiting for a connection included.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }

    /// How much of that time they waited for a connection.
    #[must_use]
    pub fn pool_wait(&self) -> Duration {
        Duration::from_micros(self.pool_wait_microseconds.load(Ordering::Relaxed))
    }
}

/// Is told the SQL of each statement.
pub(super) type Observer = Arc<dyn Fn(&str) + Send + Sync>;

/// The database as one request sees it: all its statements run on one connection, one after another.
/// A handle knows on whose behalf it is used.
#[derive(Clone)]
pub struct Session(Arc<Shared>, Asker);

struct Shared {
    place: Place,
    /// The replica that was to be read could not be reached, before anything was read.
    is_on_primary: AtomicBool,
    has_read: AtomicBool,
    /// How many wait for what another request computes.
    waiting: AtomicUsize,
    /// Nothing until the first statement, and while one runs.
    lent: Mutex<Option<Lent>>,
    /// For each statement, once there is a connection.
    deadline: Duration,
    patience: Patience,
    observer: Option<Observer>,
    monitor: Arc<Monitor>,
    counters: StatementCounters,
    /// What its request was told that had been kept was committed by then.
    cached_as_of: std::sync::Mutex<Option<Instant>>,
}

/// Where a session's statements run.
pub(super) enum Place {
    /// On the primary.
    Primary(Pool),
    /// On a replica, or all on the primary if the replica cannot be reached.
    Replica { replicas: Arc<Replicas>, index: usize, primary: Pool },
}

/// How long to wait for a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For so long,
    pub(super) pool_timeout: Duration,
    /// and not after that time.
    pub(super) until: Option<tokio::time::Instant>,
}

impl Patience {
    /// Until when from now on.
    fn until(self) -> tokio::time::Instant {
        let longest = tokio::time::Instant::now() + self.pool_timeout;
        self.until.map_or(longest, |until| until.min(longest))
    }
}

impl Session {
    pub(super) fn new(
        place: Place,
        (deadline, patience): (Duration, Patience),
        observer: Option<Observer>,
        monitor: Arc<Monitor>,
    ) -> Self {
        let shared = Shared {
            place,
            is_on_primary: AtomicBool::default(),
            has_read: AtomicBool::default(),
            waiting: AtomicUsize::default(),
            lent: Mutex::default(),
            deadline,
            patience,
            observer,
            monitor,
            counters: StatementCounters::default(),
            cached_as_of: std::sync::Mutex::default(),
        };
        Self(Arc::new(shared), Asker::default())
    }

    /// The same session, for a GraphQL operation of that name.
    #[must_use]
    pub fn for_operation(&self, name: Option<&str>) -> Self {
        Self(Arc::clone(&self.0), Asker { operation: name.map(Arc::from), ..self.1.clone() })
    }

    /// The same session, for a GraphQL field, as `Type.field`.
    #[must_use]
    pub fn for_field(&self, field: &'static str) -> Self {
        Self(Arc::clone(&self.0), Asker { field: Some(field), ..self.1.clone() })
    }

    /// Says that from now on a mutation is executed, as `Mutation.field`: statements of this session
    /// that are no other field's are its own.
    pub fn begin_mutation(&self, field: String) {
        *lock(&self.1.mutation) = Some(field.into());
    }

    /// Says that its request is told something that was kept, and was committed by then.
    pub fn record_cached_as_of(&self, computed_at: Instant) {
        let mut cached_as_of = lock(&self.0.cached_as_of);
        *cached_as_of = (*cached_as_of).max(Some(computed_at));
    }

    /// When what its request was told that had been kept was committed at the latest.
    pub(super) fn cached_as_of(&self) -> Option<Instant> {
        *lock(&self.0.cached_as_of)
    }

    pub(super) fn monitor(&self) -> &Monitor {
        &self.0.monitor
    }

    /// What ran so far.
    #[must_use]
    pub fn counters(&self) -> &StatementCounters {
        &self.0.counters
    }

    /// Which dialect the statements must be written in.
    pub(super) fn dialect(&self) -> Dialect {
        self.0.pool().dialect()
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

    /// The rows of a query before anything is made of them.
    pub(super) async fn rows(
        &self,
        statement: &'static str,
        query: &SelectStatement,
    ) -> Result<Vec<QueryResult>, DbError> {
        self.rows_of(statement, query, Planning::ForAnyValues).await
    }

    /// The same, planned as is best.
    pub(super) async fn rows_of(
        &self,
        statement: &'static str,
        query: &SelectStatement,
        planning: Planning,
    ) -> Result<Vec<QueryResult>, DbError> {
        let (sql, values) = build(self.dialect(), query);
        Ok(self.0.run(&self.1, statement, Kind::Read(planning), &sql, values).await?.rows)
    }

    /// Asks for a statement's plan, which executes nothing; answers its lines.
    pub(super) async fn explain(
        &self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<String>, DbError> {
        let values = SqlxValues(Values(values));
        Ok(self.0.run(&self.1, "explain", Kind::Explain, sql, values).await?.plan)
    }

    /// Which database serves it.
    pub(super) fn read_target(&self) -> ReadTarget {
        match &self.0.place {
            Place::Replica { index, .. } if !self.0.is_on_primary.load(Ordering::Relaxed) => {
                ReadTarget::Replica(*index)
            }
            _ => ReadTarget::Primary,
        }
    }

    /// How far the primary has written.
    pub(super) async fn position(&self) -> Result<Option<WalPosition>, DbError> {
        #[derive(FromQueryResult)]
        struct Row {
            position: String,
        }
        let position = Expr::cust("pg_current_wal_lsn()::text");
        let query = Query::select().expr_as(position, "position").to_owned();
        let row: Option<Row> = self.one("wal_position", &query).await?;
        Ok(row.and_then(|row| WalPosition::parse_lsn(&row.position)))
    }

    /// Asks for a sign of life, on the connection that the session has, if it has one.
    pub(super) async fn ping(&self) -> Result<(), DbError> {
        let sign = Query::select().expr_as(constant(1), "alive").to_owned();
        self.rows("ping", &sign).await.map(drop)
    }

    /// Gives the connection back before the request's end, because something slow comes next that
    /// needs none. The next statement takes one again.
    pub async fn release(&self) {
        self.0.lent.lock().await.take();
    }

    /// Says that something waits for what another request computes, until the guard is dropped. Meanwhile
    /// the session has a connection only while a statement or a transaction needs it: whoever holds one
    /// while they wait may wait for somebody who waits for a connection.
    pub async fn release_while_waiting(&self) -> WaitGuard {
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        // Before it may be left off: whoever is left off does not wait any more.
        let waiting = WaitGuard(Arc::clone(&self.0));
        self.0.lent.lock().await.take_if(|lent| !lent.has_transaction());
        waiting
    }

    /// Whether all that was written before is read: it is not on a replica.
    #[must_use]
    pub fn is_on_primary(&self) -> bool {
        self.read_target() == ReadTarget::Primary
    }

    /// Of a session on a replica, a time by which all that was committed is there, if one is known.
    #[must_use]
    pub fn replica_fresh_as_of(&self) -> Option<Instant> {
        match (&self.0.place, self.read_target()) {
            (Place::Replica { replicas, .. }, ReadTarget::Replica(index)) => {
                replicas.fresh_as_of(index)
            }
            _ => None,
        }
    }

    /// Does work in one transaction, which is kept whole if the work succeeds, and taken back whole
    /// if it fails. What the session reads meanwhile is read in it.
    ///
    /// # Errors
    ///
    /// Those of the work; or there is no connection, or the database does not commit. If it was lost
    /// while it committed, what was written may be there all the same.
    pub async fn transaction<T, E: From<DbError>, F: Future<Output = Result<T, E>>>(
        &self,
        work: impl FnOnce(Transaction) -> F,
    ) -> Result<T, E> {
        self.0.begin(&self.1).await?;
        match work(Transaction(self.clone())).await {
            Ok(value) => {
                self.0.end(&self.1, "COMMIT").await?;
                Ok(value)
            }
            Err(error) => {
                // Where that fails the connection is closed, which takes the transaction back as well.
                let _ = self.0.end(&self.1, "ROLLBACK").await;
                Err(error)
            }
        }
    }
}

/// Something waits for what another request computes.
pub struct WaitGuard(Arc<Shared>);

impl Drop for WaitGuard {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A session while its transaction is open. Rows are changed only here.
pub struct Transaction(Session);

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Transaction {
    /// Changes rows, and answers how many.
    pub(super) async fn execute(
        &self,
        statement: &'static str,
        change: &impl QueryStatementWriter,
    ) -> Result<u64, DbError> {
        let Session(shared, asker) = &self.0;
        let (sql, values) = build(self.dialect(), change);
        Ok(shared.run(asker, statement, Kind::Change, &sql, values).await?.changed)
    }

    /// Changes rows, and answers what the statement returns of them.
    pub(super) async fn returning<R: FromQueryResult>(
        &self,
        statement: &'static str,
        change: &impl QueryStatementWriter,
    ) -> Result<Vec<R>, DbError> {
        let Session(shared, asker) = &self.0;
        let (sql, values) = build(self.dialect(), change);
        let ran = shared.run(asker, statement, Kind::Returning, &sql, values).await?;
        read_all(statement, &ran.rows)
    }
}

fn read_all<R: FromQueryResult>(
    statement: &'static str,
    rows: &[QueryResult],
) -> Result<Vec<R>, DbError> {
    rows.iter()
        .map(|row| R::from_query_result(row, ""))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(statement, error))
}

/// How PostgreSQL plans a query. SQLite plans all by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planning {
    /// Once for each connection: the best plan is the same whatever the values.
    ForAnyValues,
    /// Each time: how much is found depends on the values. It takes two more round trips, so it is for
    /// queries that search.
    ForTheseValues,
}

/// What a statement is, and so where it may run and what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rows.
    Read(Planning),
    /// A number of changed rows; within a transaction only.
    Change,
    /// Changed rows; within a transaction only.
    Returning,
    /// Begins a transaction.
    Begin,
    /// The plan of another statement; outside of a transaction only.
    Explain,
}

/// What a statement answered.
#[derive(Default)]
struct Ran {
    rows: Vec<QueryResult>,
    changed: u64,
    plan: Vec<String>,
}

impl Ran {
    const fn of_rows(rows: Vec<QueryResult>) -> Self {
        Self { rows, changed: 0, plan: Vec::new() }
    }
}

impl Shared {
    async fn begin(&self, asker: &Asker) -> Result<(), DbError> {
        const STATEMENT: &str = "begin";
        if self.pool().dialect().is_sqlite() {
            // Who waits for the turn to write must hold no connection.
            self.lent.lock().await.take();
        }
        let Ok(turn) = timeout(self.deadline, self.pool().turn_to_write()).await else {
            return Err(DbError::Deadline { statement: STATEMENT });
        };
        let mut turn = Some(turn);
        let sql = self.pool().begin();
        let statement = (STATEMENT, Kind::Begin);
        let begun = self.run_with(asker, statement, sql, no_values(), &mut turn).await;
        if begun.is_err() {
            // Whether there is a transaction on it is not known.
            self.lent.lock().await.take();
        }
        begun.map(drop)
    }

    /// Ends the transaction. If it cannot be ended its connection is closed.
    async fn end(&self, asker: &Asker, sql: &'static str) -> Result<(), DbError> {
        let ended = self.run(asker, "end", Kind::Change, sql, no_values()).await;
        let mut lent = self.lent.lock().await;
        match (&ended, &mut *lent) {
            (Ok(_), Some(lent)) => drop(lent.close()),
            _ => drop(lent.take()),
        }
        ended.map(drop)
    }

    async fn run(
        &self,
        asker: &Asker,
        statement: &'static str,
        kind: Kind,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Ran, DbError> {
        let ran = self.run_with(asker, (statement, kind), sql, values.clone(), &mut None).await;
        match ran {
            Err(DbError::Unavailable(_)) if self.falls_back() => {
                self.run_with(asker, (statement, kind), sql, values, &mut None).await
            }
            ran => ran,
        }
    }

    fn pool(&self) -> &Pool {
        match &self.place {
            Place::Primary(pool) => pool,
            Place::Replica { primary, .. } if self.is_on_primary.load(Ordering::Relaxed) => primary,
            Place::Replica { replicas, index, .. } => replicas.pool(*index),
        }
    }

    /// Whether the session goes on, from now on, on the primary: its replica could not be reached, and
    /// nothing was read there yet.
    fn falls_back(&self) -> bool {
        let Place::Replica { replicas, index, .. } = &self.place else { return false };
        if self.has_read.load(Ordering::Relaxed) {
            return false;
        }
        replicas.leave_out(*index);
        !self.is_on_primary.swap(true, Ordering::Relaxed)
    }

    async fn run_with(
        &self,
        asker: &Asker,
        (statement, kind): (&'static str, Kind),
        sql: &str,
        values: SqlxValues,
        turn: &mut Option<OpenTransaction>,
    ) -> Result<Ran, DbError> {
        if let Some(observer) = &self.observer {
            observer(sql);
        }
        self.counters.statements.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!("statement", name = statement);
        let mut place = self.lent.lock().await;
        let started = Instant::now();
        let mut watch = Watch {
            monitor: &self.monitor,
            statement,
            sql,
            values: &values.0.0,
            asker,
            began: None,
            is_out_of_time: false,
        };
        let statement_run = Statement { kind, sql, values: &values, turn, began: &mut watch.began };
        let run = statement_run.run(self.pool(), &mut place, (self.patience, self.deadline));
        let ran = result_of(statement, run.instrument(span).await);
        watch.is_out_of_time = matches!(ran, Err(DbError::Deadline { .. }));
        let began = watch.began;
        drop(watch);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            place.take_if(|lent| !lent.has_transaction());
        }
        drop(place);
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let ended = Instant::now();
        let waited = began.unwrap_or(ended).saturating_duration_since(started);
        self.counters.microseconds.fetch_add(micros(ended - started), Ordering::Relaxed);
        self.counters.pool_wait_microseconds.fetch_add(micros(waited), Ordering::Relaxed);
        let ran = ran?;
        self.has_read.store(true, Ordering::Relaxed);
        self.counters.rows.fetch_add(ran.rows.len() as u64, Ordering::Relaxed);
        Ok(ran)
    }
}

fn result_of(statement: &'static str, ran: Result<Option<Ran>, RunError>) -> Result<Ran, DbError> {
    match ran {
        Ok(Some(ran)) => Ok(ran),
        Ok(None) => Err(DbError::Deadline { statement }),
        Err(RunError::Unavailable(error)) => Err(DbError::unavailable(error)),
        Err(RunError::Failed(error)) => Err(DbError::of_driver(statement, error)),
    }
}

fn no_values() -> SqlxValues {
    SqlxValues(Values(Vec::new()))
}

/// Why a statement answered nothing, apart from time.
enum RunError {
    /// There is no connection.
    Unavailable(sqlx::Error),
    /// There was one.
    Failed(sqlx::Error),
}

/// A statement that is about to run.
struct Statement<'a> {
    kind: Kind,
    sql: &'a str,
    values: &'a SqlxValues,
    /// With which a transaction begins.
    turn: &'a mut Option<OpenTransaction>,
    /// Is told when the database is asked.
    began: &'a mut Option<Instant>,
}

impl Statement<'_> {
    /// Runs it on the request's connection, or on one that is lent now; `None` when time is up. While
    /// it runs the connection is out of its place, so that one whose statement was not finished is
    /// never used again.
    async fn run(
        mut self,
        pool: &Pool,
        place: &mut Option<Lent>,
        (patience, deadline): (Patience, Duration),
    ) -> Result<Option<Ran>, RunError> {
        let is_first = place.is_none();
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => pool.lend(patience.until(), deadline).await.map_err(RunError::Unavailable)?,
        };
        let mut ran = timeout(deadline, self.run_on(&mut connection)).await;
        // A connection may have died while it lay in the pool. Nothing but this statement has been
        // asked on it, and it changes nothing: it is asked again where somebody answers.
        if is_first && matches!(&ran, Ok(Err(error)) if is_lost_connection(error)) {
            if let Some(turn) = connection.close() {
                self.turn.replace(turn);
            }
            connection.discard();
            let lent = pool.lend_tested(patience.until(), deadline).await;
            connection = lent.map_err(RunError::Unavailable)?;
            ran = timeout(deadline, self.run_on(&mut connection)).await;
        }
        match ran {
            Ok(Err(error)) if is_lost_connection(&error) => {
                connection.discard();
                Err(RunError::Failed(error))
            }
            // What a plan was asked for with was not done to its end.
            Ok(Err(error)) if self.kind == Kind::Explain => {
                connection.discard();
                Err(RunError::Failed(error))
            }
            Ok(result) => {
                *place = Some(connection);
                result.map(Some).map_err(RunError::Failed)
            }
            // A server that is frozen enforces no timeout of its own and would never be ready again.
            Err(_) => {
                connection.discard();
                Ok(None)
            }
        }
    }

    async fn run_on(&mut self, connection: &mut Lent) -> Result<Ran, sqlx::Error> {
        let values = self.values.clone();
        if self.kind != Kind::Explain {
            *self.began = Some(Instant::now());
        }
        match self.kind {
            // The connection that the transaction was begun on is gone, and all of it with it.
            Kind::Change | Kind::Returning if !connection.has_transaction() => {
                Err(sqlx::Error::WorkerCrashed)
            }
            Kind::Read(Planning::ForTheseValues) => {
                connection.rows_planned_anew(self.sql, values).await.map(Ran::of_rows)
            }
            Kind::Read(Planning::ForAnyValues) | Kind::Returning => {
                connection.rows(self.sql, values).await.map(Ran::of_rows)
            }
            Kind::Begin => {
                // Before it is asked: if the answer never comes, there may be one.
                if let Some(turn) = self.turn.take() {
                    connection.open(turn);
                }
                connection.execute(self.sql, values).await.map(|_| Ran::default())
            }
            Kind::Change => connection
                .execute(self.sql, values)
                .await
                .map(|changed| Ran { changed, ..Ran::default() }),
            Kind::Explain => connection
                .explain(self.sql, values)
                .await
                .map(|plan| Ran { plan, ..Ran::default() }),
        }
    }
}
