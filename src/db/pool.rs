//! The connections to the database.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector,
    SqlxSqliteConnector, TransactionTrait,
};

use super::lent::Pool;
use super::monitor::Monitor;
use super::session::Observer;
use super::{DbError, Session};
use crate::config::Settings;
use crate::config::database::{DatabaseSettings, DatabaseUrl};

/// The database of the process; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    connection: DatabaseConnection,
    deadline: Duration,
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
        check_reachable(&settings.database).await?;
        let pool = open(settings).await.map_err(|error| DbError::of("connect", error))?;
        let connection = match &pool {
            Pool::Postgres(pool) => SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone()),
            Pool::Sqlite { pool, .. } => SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()),
        };
        let monitor = Arc::new(Monitor::new(&settings.monitor));
        Ok(Self { pool, connection, deadline: settings.database.deadline, observer: None, monitor })
    }

    /// Tells of the SQL of every statement of the sessions that are made from now on, in the engine's
    /// own spelling and without its values.
    pub fn observe(&mut self, observer: impl Fn(&str) + Send + Sync + 'static) {
        self.observer = Some(Arc::new(observer));
    }

    /// The database for one request.
    #[must_use]
    pub fn session(&self) -> Session {
        let monitor = Arc::clone(&self.monitor);
        Session::new(self.pool.clone(), self.deadline, self.observer.clone(), monitor)
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    ///
    /// There is none within the statement's deadline.
    pub async fn ping(&self) -> Result<(), DbError> {
        tokio::time::timeout(self.deadline, self.connection.ping())
            .await
            .map_err(|_| DbError::Deadline { statement: "ping" })?
            .map_err(|error| DbError::of("ping", error))
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

    pub(super) const fn connection(&self) -> &DatabaseConnection {
        &self.connection
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

async fn open(settings: &Settings) -> Result<Pool, DbErr> {
    let database = &settings.database;
    let url = database.url.expose();
    let connections = settings.pool_size() + settings.max_overflow();
    let refuse = |error: sea_orm::sqlx::Error| DbErr::Conn(RuntimeErr::SqlxError(error.into()));
    if database.url.is_embedded() {
        migration::create_folder_of_embedded(url)
            .map_err(|error| DbErr::Custom(error.to_string()))?;
        let options = SqliteConnectOptions::from_str(url)
            .map_err(refuse)?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(database.lock_timeout);
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .min_connections(0)
            .acquire_timeout(database.pool_timeout)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map_err(refuse)?;
        return Ok(Pool::sqlite(pool));
    }
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let options = PgConnectOptions::from_str(url).map_err(refuse)?.options([
        ("statement_timeout", milliseconds(database.statement_timeout)),
        ("lock_timeout", milliseconds(database.lock_timeout)),
        ("idle_in_transaction_session_timeout", milliseconds(database.idle_transaction_timeout)),
        // A statement is planned once for each connection. Left to itself PostgreSQL plans most pages
        // anew for each execution, because it takes a plan for any values to be dearer than it is.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
    ]);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(database.pool_timeout)
        .max_lifetime(database.pool_recycle)
        // The request's first statement finds out whether a connection still works, without a question
        // of its own.
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(refuse)?;
    Ok(Pool::Postgres(pool))
}
