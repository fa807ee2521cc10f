//! The one way to run a statement: it names it, bounds its time and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sea_query::SelectStatement;
use sea_orm::{FromQueryResult, QueryResult, sqlx};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;
use tokio::time::timeout_at;
use tracing::Instrument;

use super::DbError;
use super::error::is_lost_connection;
use super::lent::{Lent, Pool};

/// How many statements a request ran and how many rows came back.
#[derive(Debug, Default)]
pub struct StatementCount {
    statements: AtomicU64,
    rows: AtomicU64,
    microseconds: AtomicU64,
}

impl StatementCount {
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
}

/// Is told the SQL of each statement.
pub(super) type Observer = Arc<dyn Fn(&str) + Send + Sync>;

/// The database as one request sees it: all its statements run on one connection, one after another.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    pool: Pool,
    /// Nothing until the first statement, and while one runs.
    lent: Mutex<Option<Lent>>,
    deadline: Duration,
    observer: Option<Observer>,
    count: StatementCount,
}

impl Session {
    pub(super) fn new(pool: Pool, deadline: Duration, observer: Option<Observer>) -> Self {
        let count = StatementCount::default();
        Self(Arc::new(Shared { pool, lent: Mutex::default(), deadline, observer, count }))
    }

    /// What ran so far.
    #[must_use]
    pub fn count(&self) -> &StatementCount {
        &self.0.count
    }

    /// Which dialect the statements must be written in.
    pub(super) fn is_sqlite(&self) -> bool {
        self.0.pool.is_sqlite()
    }

    /// All rows of a query.
    pub(super) async fn all<R: FromQueryResult>(
        &self,
        statement: &'static str,
        query: &SelectStatement,
    ) -> Result<Vec<R>, DbError> {
        let rows = self.rows(statement, query).await?;
        rows.iter()
            .map(|row| R::from_query_result(row, ""))
            .collect::<Result<_, _>>()
            .map_err(|error| DbError::of(statement, error))
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
        let Shared { pool, lent, deadline, observer, count } = &*self.0;
        let (sql, values) = pool.build(query);
        if let Some(observer) = observer {
            observer(&sql);
        }
        count.statements.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!("statement", name = statement);
        let mut lent = lent.lock().await;
        let started = Instant::now();
        let rows = match run(pool, &mut lent, *deadline, &sql, &values).instrument(span).await {
            Ok(Some(rows)) => Ok(rows),
            Ok(None) => Err(DbError::Deadline { statement }),
            Err(RunError::Unavailable(error)) => Err(DbError::unavailable(error)),
            Err(RunError::Failed(error)) => Err(DbError::of_driver(statement, error)),
        };
        drop(lent);
        let microseconds = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        count.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        let rows = rows?;
        count.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(rows)
    }
}

/// Why there are no rows, apart from time.
enum RunError {
    /// There is no connection.
    Unavailable(sqlx::Error),
    /// There was one.
    Failed(sqlx::Error),
}

/// Runs a statement on the request's connection, or on one that is lent now; `None` when time is up.
/// While it runs the connection is out of its place, so that one whose statement was not finished is
/// never used again.
async fn run(
    pool: &Pool,
    place: &mut Option<Lent>,
    deadline: Duration,
    sql: &str,
    values: &SqlxValues,
) -> Result<Option<Vec<QueryResult>>, RunError> {
    let deadline = tokio::time::Instant::now() + deadline;
    let is_first = place.is_none();
    let mut connection = match place.take() {
        Some(connection) => connection,
        None => match timeout_at(deadline, pool.lend()).await {
            Ok(lent) => lent.map_err(RunError::Unavailable)?,
            Err(_) => return Ok(None),
        },
    };
    let mut run = timeout_at(deadline, connection.rows(sql, values.clone())).await;
    // A connection may have died while it lay in the pool. Nothing but this statement has been asked
    // on it, and it only reads: it is asked again where somebody answers.
    if is_first && matches!(&run, Ok(Err(error)) if is_lost_connection(error)) {
        connection.discard();
        connection = match timeout_at(deadline, pool.lend_tested()).await {
            Ok(lent) => lent.map_err(RunError::Unavailable)?,
            Err(_) => return Ok(None),
        };
        run = timeout_at(deadline, connection.rows(sql, values.clone())).await;
    }
    match run {
        Ok(Err(error)) if is_lost_connection(&error) => {
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
