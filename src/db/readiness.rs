//! Readiness of the primary, by a connection that no request uses: a full pool is not an unreachable database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::FromQueryResult;
use sea_orm::sea_query::{Expr, Query};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::timeout;
use uuid::Uuid;

use super::cache_outbox::{OutboxRow, outbox_insert};
use super::monitor::Monitor;
use super::pool::{AcquireTimeout, Pool, PoolRole, PoolSize};
use super::session::{Route, SessionOptions};
use super::shortages::Shortages;
use super::{DbError, Session, migrations, now};
use crate::config::database::{DatabaseSettings, READINESS_CONNECTION_LIFETIME};

/// State of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrimaryStatus {
    /// True if it refuses writes.
    pub is_read_only: bool,
    /// Number of migrations that are not applied.
    pub missing_migrations: usize,
}

/// Connection of the readiness probes, which run one after another.
pub(super) struct ReadinessProbe {
    database: DatabaseSettings,
    shortages: Arc<Shortages>,
    monitor: Arc<Monitor>,
    connection: Mutex<ProbeConnection>,
}

/// A pool of one connection, to be replaced at that time: a failover may lead new connections to another server.
struct ProbeConnection {
    pool: Pool,
    renew_at: Instant,
}

impl ReadinessProbe {
    /// # Errors
    ///
    /// The address is wrong, or the embedded database cannot be opened.
    pub(super) async fn open(
        database: &DatabaseSettings,
        shortages: Arc<Shortages>,
        monitor: Arc<Monitor>,
    ) -> Result<Self, DbError> {
        let connection = ProbeConnection::open(database, &shortages).await?;
        let (database, connection) = (database.clone(), Mutex::new(connection));
        Ok(Self { database, shortages, monitor, connection })
    }

    /// State of the primary, within that time whatever the database does.
    pub(super) async fn run(&self, limit: Duration) -> Result<PrimaryStatus, DbError> {
        let probe = async {
            let mut connection = self.connection.lock().await;
            // Ends before the probe does, so that an unreachable database is reported as such.
            let deadline = limit / 2;
            if Instant::now() < connection.renew_at {
                return self.status(&connection.pool, deadline).await;
            }
            let renewed = ProbeConnection::open(&self.database, &self.shortages).await?;
            match self.status(&renewed.pool, deadline).await {
                // The database is there: its other clients use all of its connections but ours.
                Err(error) if error.is_shortage() => {
                    self.status(&connection.pool, deadline / 2).await
                }
                status => {
                    *connection = renewed;
                    status
                }
            }
        };
        let result = timeout(limit, probe).await;
        result.unwrap_or(Err(DbError::Deadline { statement: "readiness" }))
    }

    async fn status(&self, pool: &Pool, deadline: Duration) -> Result<PrimaryStatus, DbError> {
        let options = SessionOptions {
            deadline,
            acquire_timeout: AcquireTimeout { pool_timeout: deadline, give_up_at: None },
            observer: None,
            monitor: Arc::clone(&self.monitor),
        };
        let session = Session::new(Route::Primary(pool.clone()), options);
        let is_read_only = is_read_only(&session).await?;
        let missing_migrations = migrations::missing(&session).await?.len();
        if self.shortages.storage.is_there() && !is_read_only && missing_migrations == 0 {
            trial_write(&session).await?;
            self.shortages.storage.record_success();
        }
        Ok(PrimaryStatus { is_read_only, missing_migrations })
    }

    pub(super) async fn close(&self) {
        self.connection.lock().await.pool.close().await;
    }
}

impl ProbeConnection {
    async fn open(
        database: &DatabaseSettings,
        shortages: &Arc<Shortages>,
    ) -> Result<Self, DbError> {
        let size = PoolSize { size: 1, max_overflow: 0 };
        let shortages = Arc::clone(shortages);
        let pool = Pool::open(database, &database.url, PoolRole::Primary, size, shortages).await?;
        Ok(Self { pool, renew_at: Instant::now() + READINESS_CONNECTION_LIFETIME })
    }
}

/// Writes to the table that every write of the API writes to: an outbox entry without events, which is swept with the
/// others.
async fn trial_write(session: &Session) -> Result<(), DbError> {
    let row = OutboxRow { id: Uuid::now_v7(), changes: json!([]) };
    session
        .transaction(|transaction| async move { outbox_insert(&transaction, row, now()).await })
        .await
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
