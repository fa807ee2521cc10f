//! Start lock: one process at a time prepares a database, by migrations and reference data. Processes that
//! start meanwhile wait for it.

use std::fs::{File, TryLockError};

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::{DbErr, RuntimeErr};

use super::DbError;
use super::driver::{connect_directly, file_of_embedded};
use crate::config::database::{DatabaseSettings, START_LOCK_RETRY};

/// Key of the advisory lock: "tarot" in ASCII.
const ADVISORY_LOCK: i64 = 0x74_61_72_6f_74;

/// The lock of a database during its preparation. Released when dropped, or with the process.
pub struct StartLock(LockHandle);

enum LockHandle {
    /// The folder of an embedded database. Locking it leaves no file behind.
    Folder(File),
    /// A connection to a database server, which holds an advisory lock.
    Server(Box<PgConnection>),
}

impl StartLock {
    /// Acquires the lock. Waits for as long as another process holds it.
    ///
    /// # Errors
    ///
    /// The database cannot be reached, or the folder of an embedded one cannot be created or locked.
    pub async fn acquire(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let mut handle = LockHandle::open(settings).await?;
        let mut is_logged = false;
        while !handle.try_lock().await? {
            if !is_logged {
                tracing::info!("another process prepares the database; waiting for it");
                is_logged = true;
            }
            tokio::time::sleep(START_LOCK_RETRY).await;
        }
        Ok(Self(handle))
    }

    /// Acquires the lock; `None` if another process holds it.
    ///
    /// # Errors
    ///
    /// As for [`Self::acquire`].
    pub async fn try_acquire(settings: &DatabaseSettings) -> Result<Option<Self>, DbError> {
        let mut handle = LockHandle::open(settings).await?;
        Ok(handle.try_lock().await?.then_some(Self(handle)))
    }

    /// Releases the lock.
    pub async fn release(self) {
        match self.0 {
            LockHandle::Folder(folder) => drop(folder),
            LockHandle::Server(connection) => {
                // A connection that breaks here releases the lock too.
                let _ = sqlx::Connection::close(*connection).await;
            }
        }
    }
}

impl LockHandle {
    async fn open(settings: &DatabaseSettings) -> Result<Self, DbError> {
        if !settings.url.is_embedded() {
            return Ok(Self::Server(Box::new(connect_directly(settings).await?)));
        }
        let file = file_of_embedded(&settings.url)?;
        // Before its folder is created, which may be a typing error as well.
        if !settings.url.creates_file() && !file.exists() {
            let message = "there is no such file; end the URL with `?mode=rwc` to create it";
            let cause = RuntimeErr::Internal(message.to_owned());
            return Err(DbError::of("start_lock", DbErr::Conn(cause)));
        }
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
