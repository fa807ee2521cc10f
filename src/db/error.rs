//! What can go wrong between the server and its database.

use sea_orm::{ConnAcquireErr, DbErr};

/// A failed statement. The cause is for the log; clients see a code only.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// No connection could be had: the database is away, or all connections are busy.
    #[error("the database cannot be reached")]
    Unavailable(#[source] std::sync::Arc<DbErr>),
    /// The statement took longer than it may.
    #[error("statement {statement} took longer than it may")]
    Deadline {
        /// The statement's name.
        statement: &'static str,
    },
    /// The database refused the statement, or a row is not what it should be.
    #[error("statement {statement} failed")]
    Failed {
        /// The statement's name.
        statement: &'static str,
        /// Why.
        #[source]
        cause: std::sync::Arc<DbErr>,
    },
    /// A row refers to reference data that is not there.
    #[error("{what} is missing from the reference data")]
    MissingReference {
        /// What is missing.
        what: String,
    },
}

impl DbError {
    pub(super) fn of(statement: &'static str, error: DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(
                ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed,
            )
            | DbErr::Conn(_) => Self::Unavailable(error.into()),
            error if is_lost_connection(&error) => Self::Unavailable(error.into()),
            error => Self::Failed { statement, cause: error.into() },
        }
    }
}

/// Whether the connection broke while the statement ran.
fn is_lost_connection(error: &DbErr) -> bool {
    use sea_orm::RuntimeErr::SqlxError;
    use sea_orm::sqlx::Error as Sqlx;
    let (DbErr::Exec(SqlxError(cause)) | DbErr::Query(SqlxError(cause))) = error else {
        return false;
    };
    match &**cause {
        Sqlx::Io(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::WorkerCrashed => true,
        // Class 57P is PostgreSQL's "operator intervention": it is stopping or starting.
        Sqlx::Database(cause) => cause.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}
