//! The database of the process: sessions for requests, and figures for operators.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{DbErr, TransactionTrait};

use super::driver::check_reachable;
use super::monitor::Monitor;
use super::pool::{AcquireTimeout, Pool, PoolRole, PoolSize, PoolStats};
use super::readiness::{PrimaryStatus, ReadinessProbe};
use super::replicas::{ReadTarget, Replicas, WalPosition};
use super::session::{Observer, Route, SessionOptions};
use super::shortages::Shortages;
use super::{DbError, Session};
use crate::config::Settings;
use crate::config::database::DatabaseUrl;
use crate::domain::viewer::ReaderId;

/// The database of the process; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    replicas: Option<Arc<Replicas>>,
    readiness: Arc<ReadinessProbe>,
    shortages: Arc<Shortages>,
    url: DatabaseUrl,
    deadline: Duration,
    pool_timeout: Duration,
    observer: Option<Observer>,
    /// One for the process, whatever pool a statement runs on.
    monitor: Arc<Monitor>,
}

impl Database {
    /// Connects once, to find out whether the database is there, and creates the pools.
    ///
    /// # Errors
    ///
    /// An address is wrong, the database cannot be reached, or the folder of an embedded one cannot be
    /// created.
    pub async fn connect(settings: &Settings) -> Result<Self, DbError> {
        let database = &settings.database;
        check_reachable(database).await?;
        let limits = PoolSize { size: settings.pool_size(), max_overflow: settings.max_overflow() };
        let shortages = Arc::<Shortages>::default();
        let of_primary = || Arc::clone(&shortages);
        let monitor = Arc::new(Monitor::new(&settings.monitor));
        let readiness = ReadinessProbe::open(database, of_primary(), Arc::clone(&monitor)).await?;
        Ok(Self {
            pool: Pool::open(database, &database.url, PoolRole::Primary, limits, of_primary())
                .await?,
            replicas: Replicas::open(database, limits).await?,
            readiness: Arc::new(readiness),
            shortages,
            url: database.url.clone(),
            deadline: database.deadline,
            pool_timeout: database.pool_timeout,
            observer: None,
            monitor,
        })
    }

    /// The same database by a pool of one connection that no request uses: for a task that must go on
    /// however busy the requests' pool is.
    ///
    /// # Errors
    ///
    /// The database cannot be reached.
    pub async fn with_dedicated_pool(&self, settings: &Settings) -> Result<Self, DbError> {
        let database = &settings.database;
        let limits = PoolSize { size: 1, max_overflow: 0 };
        let shortages = Arc::clone(&self.shortages);
        let pool =
            Pool::open(database, &database.url, PoolRole::Primary, limits, shortages).await?;
        Ok(Self { pool, observer: None, ..self.clone() })
    }

    /// Passes the SQL of each statement, without its values, to an observer. For sessions created from
    /// now on.
    pub fn observe(&mut self, observer: impl Fn(&str) + Send + Sync + 'static) {
        self.observer = Some(Arc::new(observer));
    }

    /// A session on the primary, with the pool's own acquire timeout.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session_on(Route::Primary(self.pool.clone()), None)
    }

    /// A session on the primary, for a request that ends at that time.
    #[must_use]
    pub fn session_until(&self, until: Instant) -> Session {
        self.session_on(Route::Primary(self.pool.clone()), Some(until))
    }

    /// A session for a request that only reads: on the primary, or on a replica that may serve the
    /// reader.
    #[must_use]
    pub fn session_for_reader(
        &self,
        reader: ReaderId,
        token: Option<WalPosition>,
        until: Instant,
    ) -> Session {
        let primary = self.pool.clone();
        let route = match &self.replicas {
            None => Route::Primary(primary),
            Some(replicas) => match replicas.choose(reader, token) {
                ReadTarget::Primary => Route::Primary(primary),
                ReadTarget::Replica(index) => {
                    let fresh_as_of = replicas.fresh_as_of(index);
                    Route::Replica { replicas: Arc::clone(replicas), index, fresh_as_of, primary }
                }
            },
        };
        self.session_on(route, Some(until))
    }

    fn session_on(&self, route: Route, until: Option<Instant>) -> Session {
        let acquire_timeout =
            AcquireTimeout { pool_timeout: self.pool_timeout, give_up_at: until.map(Into::into) };
        let options = SessionOptions {
            deadline: self.deadline,
            acquire_timeout,
            observer: self.observer.clone(),
            monitor: Arc::clone(&self.monitor),
        };
        Session::new(route, options)
    }

    /// Records that a reader is about to receive data that the session read.
    pub fn record_read(&self, reader: ReaderId, session: &Session) {
        if let Some(replicas) = &self.replicas {
            replicas.record_read(reader, session.read_target(), session.cached_as_of());
        }
    }

    /// Records that a reader is about to receive cached data. `computed_at` is the latest commit that
    /// the data may reflect.
    pub fn record_cached_read(&self, reader: ReaderId, computed_at: Instant) {
        if let Some(replicas) = &self.replicas {
            replicas.record_cached_read(reader, computed_at);
        }
    }

    /// True if the primary had reached the position that long ago, and without replicas, where clients
    /// receive no positions.
    #[must_use]
    pub fn primary_reached(&self, position: WalPosition, ago: Duration) -> bool {
        let replicas = self.replicas.as_ref();
        replicas.is_none_or(|replicas| replicas.primary_reached(position, ago))
    }

    /// Records that these writers have written through another server.
    pub fn record_remote_writes(&self, writers: &[ReaderId]) {
        let Some(replicas) = &self.replicas else { return };
        for writer in writers {
            replicas.record_write(*writer);
        }
    }

    /// Records that these writers have written with the session. Returns the primary's position, for
    /// their consistency token; `None` without replicas, and if the primary does not respond.
    pub async fn record_write(
        &self,
        writers: &[ReaderId],
        session: &Session,
    ) -> Option<WalPosition> {
        let replicas = self.replicas.as_ref()?;
        let position = session.wal_position().await;
        for writer in writers {
            replicas.record_write(*writer);
        }
        position.ok().flatten()
    }

    /// Figures of the pools: the primary's first, then those of its replicas.
    #[must_use]
    pub fn pool_stats(&self) -> Vec<PoolStats> {
        let replicas = self.replicas.iter().flat_map(|replicas| replicas.stats());
        std::iter::once(self.pool.stats()).chain(replicas).collect()
    }

    /// True if any replica can be read, whatever the state of the primary.
    #[must_use]
    pub fn has_replica(&self) -> bool {
        self.replicas.as_ref().is_some_and(|replicas| replicas.any_is_healthy())
    }

    /// State of the primary, by a connection that no request uses, within that time.
    ///
    /// # Errors
    ///
    /// The database cannot be reached or does not respond in time, or no migration was ever applied.
    pub async fn primary_status(&self, limit: Duration) -> Result<PrimaryStatus, DbError> {
        self.readiness.run(limit).await
    }

    /// Health of the primary, by a ping on the session's own connection: a request that waits for a
    /// second connection may wait for others that do the same.
    pub async fn health(&self, session: &Session) -> DatabaseHealth {
        let started = Instant::now();
        let pinged = match session.read_target() {
            ReadTarget::Primary => session.ping().await,
            // The session's connection is not the primary's.
            ReadTarget::Replica(_) => self.session_until(started + self.deadline).ping().await,
        };
        match pinged {
            Ok(()) => DatabaseHealth { latency: Some(started.elapsed()), error: None },
            Err(error) => DatabaseHealth { latency: None, error: Some(error.to_string()) },
        }
    }

    /// Updates SQLite's statistics of tables that have grown much. Without it SQLite takes an index of
    /// few rows to be as good as one of all rows. PostgreSQL does so by itself.
    ///
    /// # Errors
    ///
    /// The statement fails, or there is no connection.
    pub async fn optimize(&self) -> Result<(), DbError> {
        if !self.pool.dialect().is_sqlite() {
            return Ok(());
        }
        let acquire_timeout = AcquireTimeout { pool_timeout: self.pool_timeout, give_up_at: None };
        let mut connection = self.pool.acquire(acquire_timeout, self.deadline).await?;
        let optimized = connection.run_raw("PRAGMA optimize").await;
        optimized.map_err(|error| DbError::of_driver("optimize", error))
    }

    /// Runs bulk writes in one transaction, on a connection of its own without the timeouts of requests.
    /// Rolled back if the work fails.
    pub(super) async fn bulk_transaction<T, F>(
        &self,
        name: &'static str,
        work: F,
    ) -> Result<T, DbError>
    where
        F: AsyncFnOnce(&sea_orm::DatabaseTransaction) -> Result<T, DbErr>,
    {
        let of = |error| DbError::of(name, error);
        let connection = migration::connect(self.url.expose(), None).await.map_err(of)?;
        let transaction = connection.begin().await.map_err(of)?;
        let result = work(&transaction).await.map_err(of)?;
        transaction.commit().await.map_err(of)?;
        connection.close().await.map_err(of)?;
        Ok(result)
    }

    /// Closes the connections.
    pub async fn close(self) {
        self.readiness.close().await;
        self.pool.close().await;
    }
}

/// Health of the database.
#[derive(Debug, Clone)]
pub struct DatabaseHealth {
    /// Round-trip time; `None` if the database did not respond.
    pub latency: Option<Duration>,
    /// Reason why it did not respond, without internals.
    pub error: Option<String>,
}
