//! The database of the process: what requests get their sessions from, and what operators ask it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, TransactionTrait};

use super::monitor::Monitor;
use super::pool::{Pool, PoolRole, PoolStats, check_reachable};
use super::replicas::{ReadTarget, Replicas, WalPosition};
use super::session::{Observer, Patience, Place};
use super::{DbError, Session};
use crate::config::Settings;
use crate::domain::viewer::ReaderId;

/// The database of the process; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    replicas: Option<Arc<Replicas>>,
    connection: DatabaseConnection,
    deadline: Duration,
    pool_timeout: Duration,
    observer: Option<Observer>,
    /// One for the process, whatever connection a statement runs on.
    monitor: Arc<Monitor>,
}

impl Database {
    /// Opens the pool and one connection, to see that the database is there.
    ///
    /// # Errors
    ///
    /// The address is wrong, the database cannot be reached, or the folder of an embedded one
    /// cannot be made.
    pub async fn connect(settings: &Settings) -> Result<Self, DbError> {
        let database = &settings.database;
        check_reachable(database).await?;
        let pool = Pool::open(settings, &database.url, PoolRole::Primary).await?;
        Ok(Self {
            connection: pool.as_connection(),
            pool,
            replicas: Replicas::open(settings).await?,
            deadline: database.deadline,
            pool_timeout: database.pool_timeout,
            observer: None,
            monitor: Arc::new(Monitor::new(&settings.monitor)),
        })
    }

    /// The same database by a connection that no request waits for: for a task that must go on however
    /// busy the others are.
    ///
    /// # Errors
    ///
    /// The database cannot be reached.
    pub async fn with_dedicated_pool(&self, settings: &Settings) -> Result<Self, DbError> {
        let database = &settings.database;
        let primary = (&database.url, PoolRole::Primary);
        let pool = Pool::open_of_size(database, primary, (1, 0)).await?;
        let connection = pool.as_connection();
        Ok(Self { pool, connection, observer: None, ..self.clone() })
    }

    /// Tells of the SQL of every statement of the sessions that are made from now on, in the engine's
    /// own spelling and without its values.
    pub fn observe(&mut self, observer: impl Fn(&str) + Send + Sync + 'static) {
        self.observer = Some(Arc::new(observer));
    }

    /// The primary, for something that waits for a connection for as long as the settings allow.
    #[must_use]
    pub fn session(&self) -> Session {
        self.session_on(Place::Primary(self.pool.clone()), None)
    }

    /// The primary, for a request that has no use for a connection after that time.
    #[must_use]
    pub fn session_until(&self, until: Instant) -> Session {
        self.session_on(Place::Primary(self.pool.clone()), Some(until))
    }

    /// The same for a request that only reads: the primary, or a replica that may serve that reader.
    #[must_use]
    pub fn session_for_reader(
        &self,
        reader: ReaderId,
        token: Option<WalPosition>,
        until: Instant,
    ) -> Session {
        let primary = self.pool.clone();
        let place = match &self.replicas {
            None => Place::Primary(primary),
            Some(replicas) => match replicas.choose(reader, token) {
                ReadTarget::Primary => Place::Primary(primary),
                ReadTarget::Replica(index) => {
                    Place::Replica { replicas: Arc::clone(replicas), index, primary }
                }
            },
        };
        self.session_on(place, Some(until))
    }

    /// A reader is about to be told what that session read.
    pub fn record_read(&self, reader: ReaderId, session: &Session) {
        if let Some(replicas) = &self.replicas {
            replicas.record_read(reader, session.read_target(), session.cached_as_of());
        }
    }

    /// A reader is about to be told what was kept, and was committed by then.
    pub fn record_cached_read(&self, reader: ReaderId, computed_at: Instant) {
        if let Some(replicas) = &self.replicas {
            replicas.record_cached_read(reader, computed_at);
        }
    }

    /// Whether the primary was that far so long ago already; true without replicas, where nobody is
    /// told how far it is.
    #[must_use]
    pub fn primary_reached(&self, position: WalPosition, ago: Duration) -> bool {
        let replicas = self.replicas.as_ref();
        replicas.is_none_or(|replicas| replicas.primary_reached(position, ago))
    }

    /// These have written by another server.
    pub fn record_remote_writes(&self, writers: &[ReaderId]) {
        let Some(replicas) = &self.replicas else { return };
        for writer in writers {
            replicas.record_write(*writer);
        }
    }

    /// These have written with that session; answers how far the primary is, for their token. `None`
    /// without replicas, and if the primary does not say.
    pub async fn record_write(
        &self,
        writers: &[ReaderId],
        session: &Session,
    ) -> Option<WalPosition> {
        let replicas = self.replicas.as_ref()?;
        let position = session.position().await;
        for writer in writers {
            replicas.record_write(*writer);
        }
        position.ok().flatten()
    }

    fn session_on(&self, place: Place, until: Option<Instant>) -> Session {
        let monitor = Arc::clone(&self.monitor);
        let patience = Patience { pool_timeout: self.pool_timeout, until: until.map(Into::into) };
        Session::new(place, (self.deadline, patience), self.observer.clone(), monitor)
    }

    /// What the connections are used for now: those to the primary first, then those to its replicas.
    #[must_use]
    pub fn pool_stats(&self) -> Vec<PoolStats> {
        let replicas = self.replicas.iter().flat_map(|replicas| replicas.stats());
        std::iter::once(self.pool.stats()).chain(replicas).collect()
    }

    /// Whether a replica can be read, whatever the primary does.
    #[must_use]
    pub fn has_replica(&self) -> bool {
        self.replicas.as_ref().is_some_and(|replicas| replicas.any_is_well())
    }

    /// Asks the primary for a sign of life, and answers how long that took: on the connection of the
    /// session that asks, because whoever holds one while they wait for another waits for others who do
    /// the same.
    pub async fn health(&self, session: &Session) -> DatabaseHealth {
        let started = Instant::now();
        let asked = match session.read_target() {
            ReadTarget::Primary => session.ping().await,
            // Those connections are others'.
            ReadTarget::Replica(_) => self.session_until(started + self.deadline).ping().await,
        };
        match asked {
            Ok(()) => DatabaseHealth { latency: Some(started.elapsed()), error: None },
            Err(error) => DatabaseHealth { latency: None, error: Some(error.to_string()) },
        }
    }

    /// Has SQLite look at how its tables have grown, where they have grown much: else it takes an index
    /// of few rows to be as good as one of all. PostgreSQL does so by itself.
    ///
    /// # Errors
    ///
    /// The statement fails.
    pub async fn optimize(&self) -> Result<(), DbError> {
        if !self.pool.dialect().is_sqlite() {
            return Ok(());
        }
        let optimized = self.connection.execute_unprepared("PRAGMA optimize").await;
        optimized.map(drop).map_err(|error| DbError::of("optimize", error))
    }

    /// Runs work in one transaction, which is taken back when the work fails.
    pub(super) async fn transaction<T, F>(&self, name: &'static str, work: F) -> Result<T, DbError>
    where
        F: AsyncFnOnce(&sea_orm::DatabaseTransaction) -> Result<T, DbErr>,
    {
        let of = |error| DbError::of(name, error);
        let transaction = self.connection.begin().await.map_err(of)?;
        let result = work(&transaction).await.map_err(of)?;
        transaction.commit().await.map_err(of)?;
        Ok(result)
    }

    /// Closes the connections.
    pub async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the database connections did not close cleanly");
        }
    }
}

/// Whether the database is well.
#[derive(Debug, Clone)]
pub struct DatabaseHealth {
    /// How long it took to answer; `None` if it did not.
    pub latency: Option<Duration>,
    /// Why it did not answer, without internals.
    pub error: Option<String>,
}
