//! The one way to run a statement: it names it, bounds its time and counts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sea_query::SelectStatement;
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, QueryResult};
use tracing::Instrument;

use super::DbError;

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

    /// The time that the statements took, waiting for a connection included; those that ran at the
    /// same time are added up.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

/// The database as one request sees it.
#[derive(Clone)]
pub struct Session {
    connection: DatabaseConnection,
    deadline: Duration,
    count: Arc<StatementCount>,
}

impl Session {
    pub(super) fn new(
        connection: DatabaseConnection,
        deadline: Duration,
        count: Arc<StatementCount>,
    ) -> Self {
        Self { connection, deadline, count }
    }

    /// What ran so far.
    #[must_use]
    pub fn count(&self) -> &Arc<StatementCount> {
        &self.count
    }

    /// Which dialect the statements must be written in.
    pub(super) fn is_sqlite(&self) -> bool {
        self.connection.get_database_backend() == sea_orm::DbBackend::Sqlite
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
        let rows = self.run(statement, self.connection.query_all(query)).await?;
        self.count.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(rows)
    }

    async fn run<T>(
        &self,
        statement: &'static str,
        work: impl Future<Output = Result<T, sea_orm::DbErr>>,
    ) -> Result<T, DbError> {
        self.count.statements.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!("statement", name = statement);
        let started = Instant::now();
        let done = tokio::time::timeout(self.deadline, work.instrument(span)).await;
        let microseconds = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        match done {
            Ok(result) => result.map_err(|error| DbError::of(statement, error)),
            Err(_) => Err(DbError::Deadline { statement }),
        }
    }
}
