//! Connections to one database: how many may be open, who waits for one, and what becomes of those that
//! come back. The driver's pool opens and keeps them; that a pool has a size and an overflow above it,
//! and what that is used for, is here.
//!
//! Up to `size` connections are kept; more are opened while they are needed, and closed when they come
//! back to a pool that is full.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions, Connection, PgPool, SqlitePool};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::DbError;
use super::lent::{Connected, Lent, OpenTransaction};
use super::query::Dialect;
use crate::config::Settings;
use crate::config::database::{
    ACQUIRES_REMEMBERED, DatabaseSettings, DatabaseUrl, OVERFLOW_WARNING_INTERVAL,
};
use crate::domain::lock::lock;

/// What a database is to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolRole {
    /// Everything is written there.
    Primary,
    /// It follows the primary and is read.
    Replica,
}

/// What the connections to a database are used for at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStats {
    /// Which database.
    pub role: PoolRole,
    /// Connections that are kept open.
    pub size: u32,
    /// Connections that wait for work.
    pub checked_in: u32,
    /// Connections that somebody has.
    pub checked_out: u32,
    /// Open connections above the size.
    pub overflow: u32,
    /// How many there may be above the size.
    pub max_overflow: u32,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// What 19 of 20 of the latest requests waited at most; `None` before the first.
    pub acquire_p95: Option<Duration>,
}

/// The connections to one database; cheap to clone.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    connections: Connections,
    role: PoolRole,
    size: u32,
    max_overflow: u32,
    /// For an answer of the database.
    deadline: Duration,
    /// One for each connection that may be lent. In the driver's pool those who wait for a place and
    /// those who wait for a database that does not answer are the same; the former may wait for long.
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Connections on their way back: the driver asks each whether it still works.
    returning: AtomicUsize,
    returned: Notify,
    waits: Mutex<Waits>,
    is_overflowing: AtomicBool,
    /// When that was last said in the log.
    overflow_told_at: Mutex<Option<Instant>>,
}

enum Connections {
    Postgres(PgPool),
    Sqlite {
        pool: SqlitePool,
        /// One writes at a time. SQLite would let the others try again and again until one of them
        /// is lucky; here they wait in line.
        turn: Arc<Semaphore>,
    },
}

/// How long the latest requests waited, the oldest being replaced.
#[derive(Default)]
struct Waits {
    latest: Vec<Duration>,
    next: usize,
}

impl Pool {
    /// Opens one connection, to see that the database is there; the others are opened when they are
    /// needed.
    ///
    /// # Errors
    ///
    /// The address is wrong, or the database cannot be reached.
    pub(super) async fn open(
        settings: &Settings,
        url: &DatabaseUrl,
        role: PoolRole,
    ) -> Result<Self, DbError> {
        let most = (settings.pool_size(), settings.max_overflow());
        Self::open_of_size(&settings.database, (url, role), most).await
    }

    /// The same, of another size and overflow.
    pub(super) async fn open_of_size(
        database: &DatabaseSettings,
        (url, role): (&DatabaseUrl, PoolRole),
        (size, max_overflow): (u32, u32),
    ) -> Result<Self, DbError> {
        let connections = if url.is_embedded() {
            open_embedded(database, url, size + max_overflow).await?
        } else {
            open_server(database, url, size + max_overflow).await?
        };
        let places = usize::try_from(size + max_overflow).unwrap_or(usize::MAX);
        Ok(Self(Arc::new(Shared {
            connections,
            role,
            size,
            max_overflow,
            deadline: database.deadline,
            places: Arc::new(Semaphore::new(places)),
            waiting: AtomicUsize::default(),
            returning: AtomicUsize::default(),
            returned: Notify::new(),
            waits: Mutex::default(),
            is_overflowing: AtomicBool::default(),
            overflow_told_at: Mutex::default(),
        })))
    }

    /// The driver's pool for what is not done for a request.
    pub(super) fn as_connection(&self) -> DatabaseConnection {
        match &self.0.connections {
            Connections::Postgres(pool) => {
                SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone())
            }
            Connections::Sqlite { pool, .. } => {
                SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone())
            }
        }
    }

    /// Takes a connection, as it is: whether it still works is found out by using it. Waits for a place
    /// until `until`, and then no longer than `deadline` for a database that has to be connected to.
    pub(super) async fn lend(
        &self,
        until: Instant,
        deadline: Duration,
    ) -> Result<Lent, sqlx::Error> {
        let shared = &self.0;
        let started = Instant::now();
        let waiting = WaitGuard::new(&shared.waiting);
        let place = match timeout_at(until, Arc::clone(&shared.places).acquire_owned()).await {
            Ok(place) => place.map_err(|_| sqlx::Error::PoolClosed)?,
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        let connection = match timeout(deadline, shared.acquire()).await {
            Ok(connection) => connection?,
            Err(_) => return Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        };
        drop(waiting);
        lock(&shared.waits).note(started.elapsed());
        shared.look_at_overflow();
        Ok(Lent::new(connection, self.clone(), place))
    }

    /// Takes a connection that answers. Those that do not are thrown away.
    pub(super) async fn lend_tested(
        &self,
        until: Instant,
        deadline: Duration,
    ) -> Result<Lent, sqlx::Error> {
        loop {
            let mut lent = self.lend(until, deadline).await?;
            match timeout(deadline, lent.ping()).await {
                Ok(Ok(())) => return Ok(lent),
                Ok(Err(_)) | Err(_) => lent.discard(),
            }
            if Instant::now() >= until {
                return Err(sqlx::Error::PoolTimedOut);
            }
        }
    }

    /// Takes a connection back, with its place. One that nobody will need is closed.
    pub(super) fn take_back(&self, connection: Connected, place: Option<OwnedSemaphorePermit>) {
        let shared = &self.0;
        let Ok(runtime) = Handle::try_current() else { return };
        if shared.idle() >= shared.size {
            connection.close_on_drop();
        } else {
            let returning = Returning::new(Arc::clone(shared));
            let (back, deadline) = (connection.return_to_pool(), shared.deadline);
            runtime.spawn(async move {
                // A database that is frozen never says whether it works.
                let _ = timeout(deadline, back).await;
                drop((returning, place));
            });
        }
        shared.look_at_overflow();
    }

    /// Waits until a transaction may begin. Nobody who waits here may hold a connection: those that
    /// have their turn may be waiting for it.
    pub(super) async fn turn_to_write(&self) -> OpenTransaction {
        match &self.0.connections {
            Connections::Postgres(_) => OpenTransaction::default(),
            // It is never closed.
            Connections::Sqlite { turn, .. } => {
                OpenTransaction::with_turn(Arc::clone(turn).acquire_owned().await.ok())
            }
        }
    }

    /// How a transaction begins. On SQLite with the right to write: one that asks for it later may be
    /// refused without having waited.
    pub(super) fn begin(&self) -> &'static str {
        if self.dialect().is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self.0.connections {
            Connections::Postgres(_) => Dialect::Postgres,
            Connections::Sqlite { .. } => Dialect::Sqlite,
        }
    }

    /// What the connections are used for now.
    pub(super) fn stats(&self) -> PoolStats {
        let shared = &self.0;
        let returning = u32::try_from(shared.returning.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let open = shared.open();
        let checked_in = shared.idle().saturating_add(returning).min(open);
        PoolStats {
            role: shared.role,
            size: shared.size,
            checked_in,
            checked_out: open - checked_in,
            overflow: open.saturating_sub(shared.size),
            max_overflow: shared.max_overflow,
            waiting: shared.waiting.load(Ordering::Relaxed),
            acquire_p95: lock(&shared.waits).p95(),
        }
    }
}

impl Shared {
    /// A connection that waits for work, or a new one. One that is on its way back is waited for: it
    /// is there sooner than another can be opened.
    async fn acquire(&self) -> Result<Connected, sqlx::Error> {
        loop {
            let returned = self.returned.notified();
            if self.idle() > 0 || self.returning.load(Ordering::Acquire) == 0 {
                break;
            }
            returned.await;
        }
        Ok(match &self.connections {
            Connections::Postgres(pool) => Connected::Postgres(pool.acquire().await?),
            Connections::Sqlite { pool, .. } => Connected::Sqlite(pool.acquire().await?),
        })
    }

    fn open(&self) -> u32 {
        match &self.connections {
            Connections::Postgres(pool) => pool.size(),
            Connections::Sqlite { pool, .. } => pool.size(),
        }
    }

    fn idle(&self) -> u32 {
        let idle = match &self.connections {
            Connections::Postgres(pool) => pool.num_idle(),
            Connections::Sqlite { pool, .. } => pool.num_idle(),
        };
        u32::try_from(idle).unwrap_or(u32::MAX)
    }

    /// Says once that an overflow has begun; again when there was none in between, and not too often.
    fn look_at_overflow(&self) {
        let open = self.open();
        let overflows = open > self.size;
        if self.is_overflowing.swap(overflows, Ordering::Relaxed) || !overflows {
            return;
        }
        let mut told_at = lock(&self.overflow_told_at);
        if told_at.is_some_and(|told| told.elapsed() < OVERFLOW_WARNING_INTERVAL) {
            return;
        }
        *told_at = Some(Instant::now());
        tracing::warn!(
            role = ?self.role,
            pool_size = self.size,
            max_overflow = self.max_overflow,
            open,
            "the connection pool overflows; if it does so often, raise DATABASE_POOL_SIZE"
        );
    }
}

/// Counts somebody for as long as they wait.
struct WaitGuard<'a>(&'a AtomicUsize);

impl<'a> WaitGuard<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a connection for as long as it is on its way back.
struct Returning(Arc<Shared>);

impl Returning {
    fn new(shared: Arc<Shared>) -> Self {
        shared.returning.fetch_add(1, Ordering::Release);
        Self(shared)
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        self.0.returning.fetch_sub(1, Ordering::Release);
        self.0.returned.notify_waiters();
    }
}

impl Waits {
    fn note(&mut self, wait: Duration) {
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

async fn open_embedded(
    database: &DatabaseSettings,
    url: &DatabaseUrl,
    connections: u32,
) -> Result<Connections, DbError> {
    migration::create_folder_of_embedded(url.expose())
        .map_err(|error| DbError::unavailable(sqlx::Error::Configuration(error.into())))?;
    let options = SqliteConnectOptions::from_str(url.expose())
        .map_err(DbError::unavailable)?
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(database.lock_timeout)
        // Slow statements are told of in one way.
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(database.pool_timeout)
        .max_lifetime(database.pool_recycle)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(DbError::unavailable)?;
    Ok(Connections::Sqlite { pool, turn: Arc::new(Semaphore::new(1)) })
}

async fn open_server(
    database: &DatabaseSettings,
    url: &DatabaseUrl,
    connections: u32,
) -> Result<Connections, DbError> {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let options = PgConnectOptions::from_str(url.expose())
        .map_err(DbError::unavailable)?
        .options([
            ("statement_timeout", milliseconds(database.statement_timeout)),
            ("lock_timeout", milliseconds(database.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(database.idle_transaction_timeout),
            ),
            // A statement is planned once for each connection. Left to itself PostgreSQL plans most
            // pages anew for each execution, because it takes a plan for any values to be dearer
            // than it is.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
        ])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(database.pool_timeout)
        .max_lifetime(database.pool_recycle)
        // The request's first statement finds out whether a connection still works, without a question
        // of its own.
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Ok(Connections::Postgres(pool))
}

/// Connects to a database server once, without a pool, which would try again for as long as one may
/// wait for a connection and then not say why there is none. The address is read first, because
/// others who cannot read it complain with all of it, and the password is in it.
pub(super) async fn connect_directly(settings: &DatabaseSettings) -> Result<PgConnection, DbError> {
    let options =
        PgConnectOptions::from_str(settings.url.expose()).map_err(DbError::unavailable)?;
    match tokio::time::timeout(settings.pool_timeout, options.connect()).await {
        Ok(connected) => connected.map_err(DbError::unavailable),
        Err(_) => Err(DbError::unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// Where the file of an embedded database is, or is to be.
pub(super) fn file_of_embedded(url: &DatabaseUrl) -> Result<PathBuf, DbError> {
    let options = SqliteConnectOptions::from_str(url.expose()).map_err(DbError::unavailable)?;
    Ok(options.get_filename().to_owned())
}

/// Says at once, and why, when there is no database at the address.
pub(super) async fn check_reachable(settings: &DatabaseSettings) -> Result<(), DbError> {
    if settings.url.is_embedded() {
        return file_of_embedded(&settings.url).map(drop);
    }
    connect_directly(settings).await?.close().await.map_err(DbError::unavailable)
}
