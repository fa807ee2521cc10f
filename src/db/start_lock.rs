//! One process at a time prepares a database: applies migrations and loads what is missing. Others
//! that start meanwhile wait, and then find nothing left to do.

use std::fs::{File, TryLockError};
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::{DbErr, RuntimeErr};

use super::DbError;
use super::pool::{connect_directly, file_of_embedded};
use crate::config::database::DatabaseSettings;

/// The number of the advisory lock: "tarot" in ASCII.
const ADVISORY_LOCK: i64 = 0x74_61_72_6f_74;
/// A lock that another process holds is tried again this much later.
const RETRY: Duration = Duration::from_millis(100);

/// The right to prepare a database. It ends when this is dropped, or with the process.
pub struct StartLock(Place);

enum Place {
    /// The folder of an embedded database. Locking it leaves no file behind.
    Folder(File),
    /// A connection to a database server, which holds an advisory lock.
    Server(Box<PgConnection>),
}

impl StartLock {
    /// Waits for the right for as long as another process has it.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, or the folder of an embedded one cannot be made or locked.
    pub async fn acquire(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let mut place = Place::open(settings).await?;
        let mut is_told = false;
        while !place.try_lock().await? {
            if !is_told {
                tracing::info!("another process prepares the database; waiting for it");
                is_told = true;
            }
            tokio::time::sleep(RETRY).await;
        }
        Ok(Self(place))
    }

    /// Gives the right back.
    pub async fn release(self) {
        match self.0 {
            Place::Folder(folder) => drop(folder),
            Place::Server(connection) => {
                // A connection that breaks here has given the lock back too.
                let _ = sqlx::Connection::close(*connection).await;
            }
        }
    }
}

impl Place {
    async fn open(settings: &DatabaseSettings) -> Result<Self, DbError> {
        if !settings.url.is_embedded() {
            return Ok(Self::Server(Box::new(connect_directly(settings).await?)));
        }
        let file = file_of_embedded(&settings.url)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
        let open = std::fs::create_dir_all(folder).and_then(|()| File::open(folder));
        open.map(Self::Folder).map_err(|error| failed(sqlx::Error::Io(error)))
    }

    async fn try_lock(&mut self) -> Result<bool, DbError> {
        match self {
            Self::Folder(folder) => match folder.try_lock() {
                Ok(()) => Ok(true),
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(error)) => Err(failed(sqlx::Error::Io(error))),
            },
            Self::Server(connection) => sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(ADVISORY_LOCK)
                .fetch_one(&mut **connection)
                .await
                .map_err(failed),
        }
    }
}

fn failed(error: sqlx::Error) -> DbError {
    DbError::of("start_lock", DbErr::Conn(RuntimeErr::SqlxError(error.into())))
}
