//! One statement: its kinds, its result, and its execution on the session's connection.

use std::time::{Duration, Instant};

use sea_orm::sea_query::Values;
use sea_orm::{FromQueryResult, QueryResult, sqlx};
use sea_query_sqlx::SqlxValues;
use tokio::time::timeout;

use crate::db::DbError;
use crate::db::error::{is_lost_connection, is_read_only};
use crate::db::pool::{AcquireTimeout, Pool};
use crate::db::pooled_connection::{OpenTransaction, PooledConnection};

/// PostgreSQL's plan mode for a query. SQLite plans by the text alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum PlanMode {
    /// Planned once for each connection: the best plan is the same for all values.
    Generic,
    /// Planned for each execution: the number of matches depends on the values. Takes two more round
    /// trips, so it is for searches.
    Custom,
}

/// Kind of a statement: where it may run and what it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Returns rows.
    Read(PlanMode),
    /// Returns a number of changed rows; within a transaction only.
    Change,
    /// Returns changed rows; within a transaction only.
    Returning,
    /// Begins a transaction.
    Begin,
    /// Returns the plan of another statement; outside of transactions only.
    Explain,
}

/// A statement to run.
#[derive(Clone, Copy)]
pub(super) struct Statement<'a> {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) sql: &'a str,
    pub(super) values: &'a SqlxValues,
}

/// Result of a statement; its kind says which part is filled.
#[derive(Default)]
pub(super) struct StatementResult {
    pub(super) rows: Vec<QueryResult>,
    pub(super) changed: u64,
    pub(super) plan: Vec<String>,
}

impl StatementResult {
    fn of_rows(rows: Vec<QueryResult>) -> Self {
        Self { rows, ..Self::default() }
    }

    fn of_changes(changed: u64) -> Self {
        Self { changed, ..Self::default() }
    }

    fn of_plan(plan: Vec<String>) -> Self {
        Self { plan, ..Self::default() }
    }
}

/// Decoded rows of a statement.
pub(super) fn read_all<R: FromQueryResult>(
    statement: &'static str,
    rows: &[QueryResult],
) -> Result<Vec<R>, DbError> {
    rows.iter()
        .map(|row| R::from_query_result(row, ""))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(statement, error))
}

pub(super) fn no_values() -> SqlxValues {
    SqlxValues(Values(Vec::new()))
}

/// The execution of a statement.
pub(super) struct Execution<'a> {
    pub(super) statement: Statement<'a>,
    /// Attached to the connection when the statement begins a transaction.
    pub(super) transaction: Option<OpenTransaction>,
    /// Set when the statement is sent to the database.
    pub(super) began: &'a mut Option<Instant>,
    pub(super) pool: &'a Pool,
    pub(super) acquire_timeout: AcquireTimeout,
    pub(super) deadline: Duration,
}

impl Execution<'_> {
    /// Runs the statement on the session's connection, or on one acquired now. Meanwhile the connection
    /// is out of its slot, so that one whose statement was cancelled is never used again.
    pub(super) async fn run(
        mut self,
        slot: &mut Option<PooledConnection>,
    ) -> Result<StatementResult, DbError> {
        let is_fresh = slot.is_none();
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => self.pool.acquire(self.acquire_timeout, self.deadline).await?,
        };
        let mut result = timeout(self.deadline, self.run_on(&mut connection)).await;
        // A connection may have died while it was idle. This statement is the first one on it and
        // changes nothing, so it is repeated on a connection that responds to a ping.
        if is_fresh && matches!(&result, Ok(Err(error)) if is_lost_connection(error)) {
            if let Some(transaction) = connection.close_transaction() {
                self.transaction = Some(transaction);
            }
            connection.discard();
            connection = self.pool.acquire_tested(self.acquire_timeout, self.deadline).await?;
            result = timeout(self.deadline, self.run_on(&mut connection)).await;
        }
        let Statement { name, kind, .. } = self.statement;
        let Ok(result) = result else {
            // A frozen server enforces no timeout of its own and would never be ready again.
            connection.discard();
            return Err(DbError::Deadline { statement: name });
        };
        match &result {
            // A failed EXPLAIN may leave its own transaction open.
            Err(error)
                if is_lost_connection(error) || is_read_only(error) || kind == Kind::Explain =>
            {
                connection.discard();
            }
            _ => *slot = Some(connection),
        }
        result.map_err(|error| DbError::of_driver(name, error)).inspect_err(|error| {
            if matches!(error, DbError::StorageFull(_)) {
                self.pool.record_full_storage();
            }
        })
    }

    async fn run_on(
        &mut self,
        connection: &mut PooledConnection,
    ) -> Result<StatementResult, sqlx::Error> {
        let Statement { kind, sql, values, .. } = self.statement;
        let values = values.clone();
        if kind != Kind::Explain {
            *self.began = Some(Instant::now());
        }
        match kind {
            // The connection with the transaction is gone, and the transaction with it.
            Kind::Change | Kind::Returning if !connection.has_transaction() => {
                Err(sqlx::Error::WorkerCrashed)
            }
            Kind::Read(PlanMode::Custom) => {
                connection.rows_with_custom_plan(sql, values).await.map(StatementResult::of_rows)
            }
            Kind::Read(PlanMode::Generic) | Kind::Returning => {
                connection.rows(sql, values).await.map(StatementResult::of_rows)
            }
            Kind::Begin => {
                // Before it is sent: if no response comes, a transaction may be open.
                if let Some(transaction) = self.transaction.take() {
                    connection.open_transaction(transaction);
                }
                connection.execute(sql, values).await.map(|_| StatementResult::default())
            }
            Kind::Change => connection.execute(sql, values).await.map(StatementResult::of_changes),
            Kind::Explain => connection.explain(sql, values).await.map(StatementResult::of_plan),
        }
    }
}
