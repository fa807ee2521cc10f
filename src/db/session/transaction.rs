//! Transactions of a session. Rows are changed only in one.

use std::ops::Deref;

use sea_orm::FromQueryResult;
use sea_orm::sea_query::QueryStatementWriter;
use tokio::time::timeout;

use super::statement::{Kind, Statement, no_values, read_all};
use super::{Session, SessionState};
use crate::db::DbError;
use crate::db::monitor::StatementOrigin;
use crate::db::sql::build;

/// A session with an open transaction.
pub struct Transaction(Session);

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Session {
    /// Runs work in one transaction: commits if the work succeeds, rolls back if it fails. Reads of the
    /// session meanwhile happen inside the transaction.
    ///
    /// # Errors
    ///
    /// The errors of the work; or there is no connection, or the commit fails. If the connection is lost
    /// during the commit, the changes may be committed nevertheless.
    pub async fn transaction<T, E: From<DbError>, F: Future<Output = Result<T, E>>>(
        &self,
        work: impl FnOnce(Transaction) -> F,
    ) -> Result<T, E> {
        self.state.begin(&self.origin).await?;
        match work(Transaction(self.clone())).await {
            Ok(value) => {
                self.state.end(&self.origin, "COMMIT").await?;
                Ok(value)
            }
            Err(error) => {
                // A failed rollback closes the connection, and with it the transaction.
                let _ = self.state.end(&self.origin, "ROLLBACK").await;
                Err(error)
            }
        }
    }
}

impl Transaction {
    /// Number of rows that a statement changed.
    pub(in crate::db) async fn execute(
        &self,
        statement: &'static str,
        change: &impl QueryStatementWriter,
    ) -> Result<u64, DbError> {
        let (sql, values) = build(self.dialect(), change);
        let statement =
            Statement { name: statement, kind: Kind::Change, sql: &sql, values: &values };
        Ok(self.0.state.run(&self.0.origin, statement).await?.changed)
    }

    /// Rows that a statement changed, by its `RETURNING` clause.
    pub(in crate::db) async fn returning<R: FromQueryResult>(
        &self,
        name: &'static str,
        change: &impl QueryStatementWriter,
    ) -> Result<Vec<R>, DbError> {
        let (sql, values) = build(self.dialect(), change);
        let statement = Statement { name, kind: Kind::Returning, sql: &sql, values: &values };
        read_all(name, &self.0.state.run(&self.0.origin, statement).await?.rows)
    }
}

impl SessionState {
    async fn begin(&self, origin: &StatementOrigin) -> Result<(), DbError> {
        const NAME: &str = "begin";
        let pool = self.routing.pool();
        if pool.dialect().is_sqlite() {
            // A waiter for the write permit holds no connection.
            self.connection.lock().await.take();
        }
        let Ok(transaction) = timeout(self.options.deadline, pool.write_permit()).await else {
            return Err(DbError::Deadline { statement: NAME });
        };
        let values = no_values();
        let statement =
            Statement { name: NAME, kind: Kind::Begin, sql: pool.begin(), values: &values };
        let begun = self.attempt(origin, statement, Some(transaction)).await;
        if begun.is_err() {
            // Unknown whether a transaction is open on it.
            self.connection.lock().await.take();
        }
        begun.map(drop)
    }

    /// Ends the transaction. If that fails, the connection is closed.
    async fn end(&self, origin: &StatementOrigin, sql: &'static str) -> Result<(), DbError> {
        let values = no_values();
        let statement = Statement { name: "end", kind: Kind::Change, sql, values: &values };
        let ended = self.run(origin, statement).await;
        let mut connection = self.connection.lock().await;
        match (&ended, &mut *connection) {
            (Ok(_), Some(connection)) => drop(connection.close_transaction()),
            _ => drop(connection.take()),
        }
        ended.map(drop)
    }
}
