//! Connections of the database drivers: opening and replacing them (the manager of the deadpool pool), and
//! running statements on them.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use sea_orm::QueryResult;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions as _, Connection, Row, query_with};
use sea_query_sqlx::SqlxValues;

use super::DbError;
use super::error::is_shortage;
use super::query::Dialect;
use super::shortages::Shortages;
use crate::config::database::{
    CONNECT_BACKOFF, CONNECT_BACKOFF_MAXIMUM, DatabaseSettings, DatabaseUrl,
};

/// A connection of one of the drivers.
pub(super) enum DriverConnection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// Opens connections to one database, and decides which idle ones are too old.
pub(super) struct ConnectionManager {
    options: ConnectOptions,
    /// Age at which an idle connection is replaced.
    max_lifetime: Duration,
    shortages: Arc<Shortages>,
}

enum ConnectOptions {
    Postgres(Box<PgConnectOptions>),
    Sqlite(Box<SqliteConnectOptions>),
}

impl ConnectionManager {
    /// # Errors
    ///
    /// The address is wrong, or the folder of an embedded database cannot be created.
    pub(super) fn new(
        database: &DatabaseSettings,
        url: &DatabaseUrl,
        shortages: Arc<Shortages>,
    ) -> Result<Self, DbError> {
        let options = if url.is_embedded() {
            ConnectOptions::Sqlite(Box::new(sqlite_options(database, url)?))
        } else {
            ConnectOptions::Postgres(Box::new(postgres_options(database, url)?))
        };
        Ok(Self { options, max_lifetime: database.pool_recycle, shortages })
    }

    pub(super) const fn dialect(&self) -> Dialect {
        match self.options {
            ConnectOptions::Postgres(_) => Dialect::Postgres,
            ConnectOptions::Sqlite(_) => Dialect::Sqlite,
        }
    }

    async fn connect(&self) -> Result<DriverConnection, sqlx::Error> {
        match &self.options {
            ConnectOptions::Postgres(options) => {
                options.connect().await.map(DriverConnection::Postgres)
            }
            ConnectOptions::Sqlite(options) => {
                options.connect().await.map(DriverConnection::Sqlite)
            }
        }
    }
}

impl Manager for ConnectionManager {
    type Type = DriverConnection;
    type Error = sqlx::Error;

    /// Opens a connection. Repeated while the database is starting up, until the pool's timeout for creation
    /// ends it. [`sqlx::Error::PoolTimedOut`] at once where the database has no connection left: a returned one
    /// may come first.
    async fn create(&self) -> Result<DriverConnection, sqlx::Error> {
        let mut backoff = CONNECT_BACKOFF;
        loop {
            if !self.shortages.connections.permits_connect() {
                return Err(sqlx::Error::PoolTimedOut);
            }
            match self.connect().await {
                Ok(connection) => {
                    self.shortages.connections.record_connection();
                    return Ok(connection);
                }
                Err(error) if is_shortage(&error) => {
                    self.shortages.connections.record_refusal(&error);
                    return Err(sqlx::Error::PoolTimedOut);
                }
                Err(error) if is_transient(&error) => tokio::time::sleep(backoff).await,
                Err(error) => return Err(error),
            }
            backoff = CONNECT_BACKOFF_MAXIMUM.min(backoff * 2);
        }
    }

    /// Checks an idle connection before it is handed out: its age, but not whether it is alive, which
    /// would cost a round trip. The first statement finds that out, and is repeated elsewhere.
    async fn recycle(
        &self,
        _connection: &mut DriverConnection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        // Once closed, it might not be replaced during a shortage.
        if metrics.age() < self.max_lifetime || self.shortages.connections.is_there() {
            Ok(())
        } else {
            Err(RecycleError::message("older than the maximum lifetime"))
        }
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

impl DriverConnection {
    pub(super) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// One round trip that does nothing.
    pub(super) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => connection.ping().await,
            Self::Sqlite(connection) => connection.ping().await,
        }
    }

    /// Closes the connection with a message to the server.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => connection.close().await,
            Self::Sqlite(connection) => connection.close().await,
        }
    }

    /// All rows of a statement, which is prepared once for each connection.
    pub(super) async fn rows(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<QueryResult>, sqlx::Error> {
        // The text consists of the program's own parts; clients' input is among the values.
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => {
                query_with(sql, values).fetch_all(connection).await.map(query_results)
            }
            Self::Sqlite(connection) => {
                query_with(sql, values).fetch_all(connection).await.map(query_results)
            }
        }
    }

    /// Number of rows that a statement changed.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<u64, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => {
                query_with(sql, values).execute(connection).await.map(|done| done.rows_affected())
            }
            Self::Sqlite(connection) => {
                query_with(sql, values).execute(connection).await.map(|done| done.rows_affected())
            }
        }
    }

    /// Runs statements without values and without preparing them, in one round trip.
    pub(super) async fn run_raw(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
            Self::Sqlite(connection) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
        }
    }

    /// The lines of a plan: the last column of each row.
    pub(super) async fn explain(
        &mut self,
        sql: &str,
        values: SqlxValues,
    ) -> Result<Vec<String>, sqlx::Error> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => {
                let rows = sqlx::raw_sql(sql).fetch_all(connection).await?;
                rows.iter().map(|row| row.try_get(0)).collect()
            }
            Self::Sqlite(connection) => {
                let rows = query_with(sql, values).fetch_all(connection).await?;
                rows.iter().map(|row| row.try_get("detail")).collect()
            }
        }
    }
}

fn query_results<R: Row + Into<QueryResult>>(rows: Vec<R>) -> Vec<QueryResult> {
    rows.into_iter().map(Into::into).collect()
}

fn sqlite_options(
    database: &DatabaseSettings,
    url: &DatabaseUrl,
) -> Result<SqliteConnectOptions, DbError> {
    migration::create_folder_of_embedded(url.expose())
        .map_err(|error| DbError::unavailable(sqlx::Error::Configuration(error.into())))?;
    let options = SqliteConnectOptions::from_str(url.expose()).map_err(DbError::unavailable)?;
    Ok(options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(database.lock_timeout)
        // The slow-query monitor logs slow statements.
        .disable_statement_logging())
}

fn postgres_options(
    database: &DatabaseSettings,
    url: &DatabaseUrl,
) -> Result<PgConnectOptions, DbError> {
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let options = PgConnectOptions::from_str(url.expose()).map_err(DbError::unavailable)?;
    Ok(options
        .options([
            ("statement_timeout", milliseconds(database.statement_timeout)),
            ("lock_timeout", milliseconds(database.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                milliseconds(database.idle_transaction_timeout),
            ),
            // Each statement is planned once for each connection. By default PostgreSQL plans most
            // pages anew for each execution, because it overestimates the cost of a generic plan.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
        ])
        .disable_statement_logging())
}

/// Connects to a database server once, without a pool: the pool repeats a failed connect until its
/// timeout and then does not say why it failed. The address is parsed first, because libraries that
/// cannot parse it print all of it, the password included.
pub(super) async fn connect_directly(settings: &DatabaseSettings) -> Result<PgConnection, DbError> {
    let options =
        PgConnectOptions::from_str(settings.url.expose()).map_err(DbError::unavailable)?;
    match tokio::time::timeout(settings.pool_timeout, options.connect()).await {
        Ok(connected) => connected.map_err(DbError::unavailable),
        Err(_) => Err(DbError::unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// Path of the file of an embedded database, whether it exists or not.
pub(super) fn file_of_embedded(url: &DatabaseUrl) -> Result<PathBuf, DbError> {
    let options = SqliteConnectOptions::from_str(url.expose()).map_err(DbError::unavailable)?;
    Ok(options.get_filename().to_owned())
}

/// Fails at once, with the reason, if the database cannot be reached.
pub(super) async fn check_reachable(settings: &DatabaseSettings) -> Result<(), DbError> {
    if settings.url.is_embedded() {
        return file_of_embedded(&settings.url).map(drop);
    }
    connect_directly(settings).await?.close().await.map_err(DbError::unavailable)
}
