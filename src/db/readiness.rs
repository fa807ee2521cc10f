//! Readiness of the primary, by a connection that no request uses: a full pool is not an unreachable database.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Expr, Query};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::monitor::Monitor;
use super::pool::{AcquireTimeout, Pool, PoolRole, PoolSize};
use super::session::{Route, SessionOptions};
use super::{DbError, Session, migrations};
use crate::config::database::{DatabaseSettings, READINESS_CONNECTION_LIFETIME};

/// State of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrimaryStatus {
    /// True if it refuses writes.
    pub is_read_only: bool,
    /// Number of migrations that are not applied.
    pub missing_migrations: usize,
}

/// Connection of the readiness probes.
pub(super) struct ReadinessProbe {
    pool: Pool,
    /// Probes run one after another.
    turn: Mutex<()>,
}

impl ReadinessProbe {
    /// # Errors
    ///
    /// The address is wrong, or the embedded database cannot be opened.
    pub(super) async fn open(database: &DatabaseSettings) -> Result<Self, DbError> {
        let size = PoolSize { size: 1, max_overflow: 0 };
        let settings =
            DatabaseSettings { pool_recycle: READINESS_CONNECTION_LIFETIME, ..database.clone() };
        let pool = Pool::open(&settings, &database.url, PoolRole::Primary, size).await?;
        Ok(Self { pool, turn: Mutex::default() })
    }

    /// State of the primary, within that time whatever the database does.
    pub(super) async fn run(
        &self,
        monitor: &Arc<Monitor>,
        limit: Duration,
    ) -> Result<PrimaryStatus, DbError> {
        let probe = async {
            let _turn = self.turn.lock().await;
            // Ends before the probe does, so that an unreachable database is reported as such.
            let deadline = limit / 2;
            let options = SessionOptions {
                deadline,
                acquire_timeout: AcquireTimeout { pool_timeout: deadline, give_up_at: None },
                observer: None,
                monitor: Arc::clone(monitor),
            };
            let session = Session::new(Route::Primary(self.pool.clone()), options);
            let is_read_only = is_read_only(&session).await?;
            let missing_migrations = migrations::missing(&session).await?.len();
            Ok(PrimaryStatus { is_read_only, missing_migrations })
        };
        let result = timeout(limit, probe).await;
        result.unwrap_or(Err(DbError::Deadline { statement: "readiness" }))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// True if the database refuses writes: it is a replica, or `default_transaction_read_only` is on.
async fn is_read_only(session: &Session) -> Result<bool, DbError> {
    #[derive(FromQueryResult)]
    struct Row {
        read_only: bool,
    }
    if session.dialect().is_sqlite() {
        return Ok(false);
    }
    let setting = Expr::cust("current_setting('transaction_read_only') = 'on'");
    let query = Query::select().expr_as(setting, "read_only").to_owned();
    let row: Option<Row> = session.one("primary_is_read_only", &query).await?;
    Ok(row.is_some_and(|row| row.read_only))
}
