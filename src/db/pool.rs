//! Connection pool of one database: its maximum size, the wait for a connection, and the figures for
//! operators.
//!
//! The pool is deadpool's over the drivers' connections, with at most `size + max_overflow` of them. Around
//! it: the size (idle connections above it are closed), the write permit of SQLite, the times of the latest
//! acquisitions, and the warning of an overflow. sqlx's own pool is not used because it sends a ping for
//! each connection that is released: one round trip a request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, PoolConfig, PoolError, TimeoutType, Timeouts};
use sea_orm::sqlx;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::DbError;
use super::driver::ConnectionManager;
use super::pooled_connection::{OpenTransaction, PooledConnection, ReleasePolicy};
use super::query::Dialect;
use super::shortages::{Shortages, WaitingLine};
use crate::config::database::{
    ACQUIRES_REMEMBERED, DatabaseSettings, DatabaseUrl, POOL_WARNING_INTERVAL,
};
use crate::domain::lock::lock;

/// Role of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolRole {
    /// The database that all writes go to.
    Primary,
    /// A read-only copy of the primary.
    Replica,
}

/// Figures of a pool at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStats {
    /// Role of the pool's database.
    pub role: PoolRole,
    /// Maximum number of idle connections.
    pub size: u32,
    /// Idle connections.
    pub checked_in: u32,
    /// Connections held by requests.
    pub checked_out: u32,
    /// Open connections above the size.
    pub overflow: u32,
    /// Maximum number of connections above the size.
    pub max_overflow: u32,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// 95th percentile of the latest waits for a connection; `None` before the first.
    pub acquire_p95: Option<Duration>,
}

/// Size of a pool, and connections that may be opened above it.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolSize {
    pub(super) size: u32,
    pub(super) max_overflow: u32,
}

/// Time limit of the wait for a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcquireTimeout {
    pub(super) pool_timeout: Duration,
    /// End of the request, if it ends earlier.
    pub(super) give_up_at: Option<Instant>,
}

impl AcquireTimeout {
    /// Deadline of a wait that starts now.
    fn deadline(self) -> Instant {
        let latest = Instant::now() + self.pool_timeout;
        self.give_up_at.map_or(latest, |give_up_at| give_up_at.min(latest))
    }
}

/// The connections to one database; cheap to clone.
#[derive(Clone)]
pub(super) struct Pool(Arc<PoolState>);

struct PoolState {
    connections: managed::Pool<ConnectionManager>,
    role: PoolRole,
    limits: PoolSize,
    shortages: Arc<Shortages>,
    /// Requests that wait because of a shortage of connections.
    line: Arc<WaitingLine>,
    release: ReleasePolicy,
    /// SQLite's one writer. SQLite itself would let the others retry until one of them is lucky; here
    /// they wait in line.
    writer: Option<Arc<Semaphore>>,
    acquire_times: Mutex<AcquireTimes>,
    is_overflowing: AtomicBool,
    overflow_logged_at: Mutex<Option<Instant>>,
}

/// Ring buffer of the latest waits for a connection.
#[derive(Default)]
struct AcquireTimes {
    latest: Vec<Duration>,
    next: usize,
}

impl Pool {
    /// Creates a pool. An embedded database is opened here, so that a failure is reported at the start;
    /// connections to a server are opened when they are needed.
    ///
    /// # Errors
    ///
    /// The address is wrong, or the embedded database cannot be opened.
    pub(super) async fn open(
        database: &DatabaseSettings,
        url: &DatabaseUrl,
        role: PoolRole,
        limits: PoolSize,
        shortages: Arc<Shortages>,
    ) -> Result<Self, DbError> {
        let manager = ConnectionManager::new(database, url, Arc::clone(&shortages))?;
        let is_sqlite = manager.dialect().is_sqlite();
        let maximum = usize::try_from(limits.size + limits.max_overflow).unwrap_or(usize::MAX);
        let connections = managed::Pool::builder(manager)
            .config(PoolConfig::new(maximum))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| DbError::unavailable(sqlx::Error::Configuration(error.into())))?;
        let line = Arc::new(WaitingLine::default());
        let pool = Self(Arc::new(PoolState {
            connections,
            role,
            limits,
            shortages,
            line: Arc::clone(&line),
            release: ReleasePolicy {
                pool_size: usize::try_from(limits.size).unwrap_or(usize::MAX),
                response_timeout: database.deadline,
                line,
            },
            writer: is_sqlite.then(|| Arc::new(Semaphore::new(1))),
            acquire_times: Mutex::default(),
            is_overflowing: AtomicBool::default(),
            overflow_logged_at: Mutex::default(),
        }));
        if is_sqlite {
            pool.get(database.pool_timeout, database.pool_timeout).await?;
        }
        Ok(pool)
    }

    /// Acquires a connection, untested: its first statement finds out whether it is alive. Waits for a
    /// free connection until `acquire_timeout`, and then at most `connect_timeout` for a new connection.
    pub(super) async fn acquire(
        &self,
        acquire_timeout: AcquireTimeout,
        connect_timeout: Duration,
    ) -> Result<PooledConnection, DbError> {
        self.acquire_until(acquire_timeout.deadline(), connect_timeout).await
    }

    async fn acquire_until(
        &self,
        deadline: Instant,
        connect_timeout: Duration,
    ) -> Result<PooledConnection, DbError> {
        let started = Instant::now();
        let wait = deadline.saturating_duration_since(started);
        let connection = self.get(wait, connect_timeout).await?;
        lock(&self.0.acquire_times).record(started.elapsed());
        self.0.warn_of_overflow();
        Ok(connection)
    }

    /// An idle connection, or a new one. Where the database accepts none, waits in line for a returned one.
    async fn get(
        &self,
        wait: Duration,
        connect_timeout: Duration,
    ) -> Result<PooledConnection, DbError> {
        let started = Instant::now();
        // Those in line are first.
        if self.0.line.len() == 0
            && let Some(connection) = self.get_or_connect(wait, connect_timeout).await?
        {
            return Ok(connection);
        }
        Box::pin(self.get_in_line(started, wait, connect_timeout)).await
    }

    async fn get_in_line(
        &self,
        started: Instant,
        wait: Duration,
        connect_timeout: Duration,
    ) -> Result<PooledConnection, DbError> {
        // While the pool has no connection, none can be returned.
        let give_up_at = || {
            let is_empty = self.0.connections.status().size == 0;
            started + if is_empty { wait.min(connect_timeout) } else { wait }
        };
        if let Some(head) = self.0.line.enter(give_up_at()).await {
            while Instant::now() < give_up_at() {
                let wait = give_up_at().saturating_duration_since(Instant::now());
                if let Some(connection) = self.get_or_connect(wait, connect_timeout).await? {
                    return Ok(connection);
                }
                let until = self.0.shortages.connections.next_connect().min(give_up_at());
                head.wait_for_release(until).await;
            }
        }
        Err(DbError::unavailable(sqlx::Error::PoolTimedOut))
    }

    /// An idle connection, or a new one; `None` if there is none and the database accepts none.
    async fn get_or_connect(
        &self,
        wait: Duration,
        connect_timeout: Duration,
    ) -> Result<Option<PooledConnection>, DbError> {
        let timeouts = Timeouts { wait: Some(wait), create: Some(connect_timeout), recycle: None };
        match self.0.connections.timeout_get(&timeouts).await {
            Ok(object) => Ok(Some(PooledConnection::new(object, self.0.release.clone()))),
            Err(PoolError::Backend(sqlx::Error::PoolTimedOut)) => Ok(None),
            Err(error) => Err(DbError::unavailable(acquire_error(error))),
        }
    }

    /// Acquires a connection that responds to a ping. Connections that do not are closed.
    pub(super) async fn acquire_tested(
        &self,
        acquire_timeout: AcquireTimeout,
        connect_timeout: Duration,
    ) -> Result<PooledConnection, DbError> {
        let deadline = acquire_timeout.deadline();
        loop {
            let mut connection = self.acquire_until(deadline, connect_timeout).await?;
            if let Ok(Ok(())) = timeout(connect_timeout, connection.ping()).await {
                return Ok(connection);
            }
            connection.discard();
            if Instant::now() >= deadline {
                return Err(DbError::unavailable(sqlx::Error::PoolTimedOut));
            }
        }
    }

    /// Waits for the permit to begin a transaction. A waiter holds no connection: the writer that it waits
    /// for may need it.
    pub(super) async fn write_permit(&self) -> OpenTransaction {
        match &self.0.writer {
            None => OpenTransaction::default(),
            // The semaphore is never closed.
            Some(writer) => {
                OpenTransaction::with_write_permit(Arc::clone(writer).acquire_owned().await.ok())
            }
        }
    }

    /// SQL that begins a transaction. On SQLite it takes the write lock: a transaction that requests it
    /// later may be refused without a wait.
    pub(super) fn begin(&self) -> &'static str {
        if self.dialect().is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.0.connections.manager().dialect()
    }

    /// Records that a statement failed because the database has no space left.
    pub(super) fn record_full_storage(&self) {
        self.0.shortages.storage.record_failure();
    }

    /// Current figures.
    pub(super) fn stats(&self) -> PoolStats {
        let PoolState { connections, role, limits, line, acquire_times, .. } = &*self.0;
        let status = connections.status();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let open = number(status.size);
        let checked_in = number(status.available);
        PoolStats {
            role: *role,
            size: limits.size,
            checked_in,
            checked_out: open - checked_in,
            overflow: open.saturating_sub(limits.size),
            max_overflow: limits.max_overflow,
            waiting: status.waiting + line.len(),
            acquire_p95: lock(acquire_times).p95(),
        }
    }

    /// Closes the idle connections; those in use are closed when they are released.
    pub(super) async fn close(&self) {
        for connection in self.0.connections.retain(|_, _| false).removed {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "a database connection did not close cleanly");
            }
        }
        self.0.connections.close();
    }
}

impl PoolState {
    /// Logs the begin of an overflow: once, and at most once in an interval.
    fn warn_of_overflow(&self) {
        let PoolSize { size, max_overflow } = self.limits;
        let open = self.connections.status().size;
        let is_overflowing = open > usize::try_from(size).unwrap_or(usize::MAX);
        if self.is_overflowing.swap(is_overflowing, Ordering::Relaxed) || !is_overflowing {
            return;
        }
        let mut logged_at = lock(&self.overflow_logged_at);
        if logged_at.is_some_and(|logged| logged.elapsed() < POOL_WARNING_INTERVAL) {
            return;
        }
        *logged_at = Some(Instant::now());
        tracing::warn!(
            role = ?self.role,
            pool_size = size,
            max_overflow,
            open,
            "the connection pool overflows; if it does so often, raise DATABASE_POOL_SIZE"
        );
    }
}

fn acquire_error(error: PoolError<sqlx::Error>) -> sqlx::Error {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(TimeoutType::Wait) => sqlx::Error::PoolTimedOut,
        PoolError::Timeout(_) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            sqlx::Error::PoolClosed
        }
    }
}

impl AcquireTimes {
    fn record(&mut self, wait: Duration) {
        if self.latest.len() < ACQUIRES_REMEMBERED {
            self.latest.push(wait);
        } else {
            self.latest[self.next] = wait;
        }
        self.next = (self.next + 1) % ACQUIRES_REMEMBERED;
    }

    fn p95(&self) -> Option<Duration> {
        let mut sorted = self.latest.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 95).div_ceil(100).saturating_sub(1)).copied()
    }
}
