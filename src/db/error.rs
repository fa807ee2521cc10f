//! Errors of statements.

use sea_orm::sqlx;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// A failed statement. The cause is for the log; clients see only a code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// No connection: the database is unreachable, or all connections are in use.
    #[error("the database cannot be reached")]
    Unavailable(#[source] std::sync::Arc<DbErr>),
    /// The database refuses writes: it is a replica, or was made read-only.
    #[error("the database is read-only")]
    ReadOnly(#[source] std::sync::Arc<DbErr>),
    /// The database has no space left on its disk. The transaction was rolled back.
    #[error("the database has no space left")]
    StorageFull(#[source] std::sync::Arc<DbErr>),
    /// The statement exceeded its deadline.
    #[error("statement {statement} took longer than it may")]
    Deadline {
        /// Name of the statement.
        statement: &'static str,
    },
    /// The database rejected the statement, or a row cannot be decoded.
    #[error("statement {statement} failed")]
    Failed {
        /// Name of the statement.
        statement: &'static str,
        /// Cause.
        #[source]
        cause: std::sync::Arc<DbErr>,
    },
    /// Use of columns that the statement did not select: a bug in this program.
    #[error("{what} were not loaded")]
    NotLoaded {
        /// The columns.
        what: &'static str,
    },
    /// A row refers to missing reference data.
    #[error("{what} is missing from the reference data")]
    MissingReferenceData {
        /// The missing data.
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
            error if cause_of(&error).is_some_and(is_read_only) => Self::ReadOnly(error.into()),
            error if cause_of(&error).is_some_and(is_storage_full) => {
                Self::StorageFull(error.into())
            }
            error if cause_of(&error).is_some_and(is_out_of_time) => Self::Deadline { statement },
            error => Self::Failed { statement, cause: error.into() },
        }
    }

    /// True if a concurrent write violated a unique index.
    pub(super) fn is_unique_violation(&self) -> bool {
        let Self::Failed { cause, .. } = self else { return false };
        matches!(cause_of(cause), Some(sqlx::Error::Database(cause)) if cause.is_unique_violation())
    }

    /// True if the database accepts no further connection, and none of the pool was free in time.
    pub(super) fn is_shortage(&self) -> bool {
        let Self::Unavailable(cause) = self else { return false };
        matches!(&**cause, DbErr::Conn(RuntimeErr::SqlxError(cause))
            if matches!(**cause, sqlx::Error::PoolTimedOut))
    }

    /// The error of a failed connect or acquisition.
    pub(super) fn unavailable(error: sqlx::Error) -> Self {
        Self::of("connect", DbErr::Conn(RuntimeErr::SqlxError(error.into())))
    }

    /// The driver's error of a statement.
    pub(super) fn of_driver(statement: &'static str, error: sqlx::Error) -> Self {
        Self::of(statement, DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }
}

/// The driver's error in an ORM error.
fn cause_of(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            Some(cause)
        }
        _ => None,
    }
}

/// True if PostgreSQL cancelled the statement because of a lock of another session: after the lock timeout, or
/// in a deadlock.
pub(super) fn is_lock_failure(error: &DbErr) -> bool {
    let Some(sqlx::Error::Database(cause)) = cause_of(error) else { return false };
    matches!(cause.code().as_deref(), Some("55P03" | "40P01"))
}

/// True if the connection was lost during the statement, or there was none.
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

/// True if the database refuses to write. The connection is of no more use: after a failover, a new one leads to
/// the new primary.
pub(super) fn is_read_only(cause: &sqlx::Error) -> bool {
    let sqlx::Error::Database(cause) = cause else { return false };
    // PostgreSQL's read_only_sql_transaction, and SQLITE_READONLY.
    matches!(cause.code().as_deref(), Some("25006" | "8"))
}

/// True if all connections that the database accepts are in use.
pub(super) fn is_shortage(error: &sqlx::Error) -> bool {
    // PostgreSQL's too_many_connections.
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("53300"))
}

/// True if the database has no space left.
fn is_storage_full(cause: &sqlx::Error) -> bool {
    let sqlx::Error::Database(cause) = cause else { return false };
    // PostgreSQL's disk_full, and SQLITE_FULL.
    matches!(cause.code().as_deref(), Some("53100" | "13"))
}

/// True if the database cancelled the statement because of its statement timeout or lock timeout.
fn is_out_of_time(cause: &sqlx::Error) -> bool {
    let sqlx::Error::Database(cause) = cause else { return false };
    // PostgreSQL's query_canceled and lock_not_available, and SQLITE_BUSY.
    matches!(cause.code().as_deref(), Some("57014" | "55P03" | "5"))
}
