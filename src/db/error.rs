//! What can go wrong between the server and its database.

use sea_orm::sqlx;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

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
    /// Columns are asked for that the statement did not read: a mistake in this program.
    #[error("{what} were not read")]
    NotLoaded {
        /// What is asked for.
        what: &'static str,
    },
    /// A row refers to reference data that is not there.
    #[error("{what} is missing from the reference data")]
    MissingReferenceData {
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
            error if cause_of(&error).is_some_and(is_lost_connection) => {
                Self::Unavailable(error.into())
            }
            error if cause_of(&error).is_some_and(is_out_of_time) => Self::Deadline { statement },
            error => Self::Failed { statement, cause: error.into() },
        }
    }

    /// Whether somebody else wrote, at the same time, what may be there once only.
    pub(super) fn is_of_uniqueness(&self) -> bool {
        let Self::Failed { cause, .. } = self else { return false };
        matches!(cause_of(cause), Some(sqlx::Error::Database(cause)) if cause.is_unique_violation())
    }

    /// There is no connection, whatever the driver says of it.
    pub(super) fn unavailable(error: sqlx::Error) -> Self {
        Self::of("connect", DbErr::Conn(RuntimeErr::SqlxError(error.into())))
    }

    /// What the driver says of a statement.
    pub(super) fn of_driver(statement: &'static str, error: sqlx::Error) -> Self {
        Self::of(statement, DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }
}

/// What the database driver says went wrong.
fn cause_of(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            Some(cause)
        }
        _ => None,
    }
}

/// Whether the connection broke while the statement ran, or there was none.
pub(super) fn is_lost_connection(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Class 57P is PostgreSQL's "operator intervention": it is stopping or starting.
        sqlx::Error::Database(cause) => cause.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Whether the database ended the statement because it ran, or waited for a lock, for longer than
/// the settings allow.
fn is_out_of_time(cause: &sqlx::Error) -> bool {
    let sqlx::Error::Database(cause) = cause else { return false };
    // PostgreSQL's query_canceled and lock_not_available, and SQLITE_BUSY.
    matches!(cause.code().as_deref(), Some("57014" | "55P03" | "5"))
}
