//! Migrations as the server runs them: on a dedicated connection, because building an index on a large
//! table takes longer than the statement timeout of requests.

use std::time::Duration;

use migration::{Migrator, MigratorTrait, applied_migrations, is_compatible};
use sea_orm::sea_query::Query;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult};

use super::driver::check_reachable;
use super::error::is_lock_failure;
use super::{DbError, Session, StartLock};
use crate::config::database::{DatabaseSettings, MIGRATION_LOCK_PAUSE};

/// Migrations of a database.
#[derive(Debug)]
pub struct Status {
    /// Migrations of this program in their order.
    pub known: Vec<KnownMigration>,
    /// Migrations that a newer program applied, in their order.
    pub newer: Vec<NewerMigration>,
}

/// A migration of this program.
#[derive(Debug)]
pub struct KnownMigration {
    /// Name.
    pub name: String,
    /// True if the database has it.
    pub is_applied: bool,
}

/// An applied migration that this program does not know.
#[derive(Debug)]
pub struct NewerMigration {
    /// Name.
    pub name: String,
    /// True if this program works with it.
    pub is_compatible: bool,
}

impl Status {
    /// Names of the missing migrations.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        let missing = self.known.iter().filter(|one| !one.is_applied);
        missing.map(|one| one.name.as_str()).collect()
    }

    /// Names of the migrations with which this program does not work.
    #[must_use]
    pub fn incompatible(&self) -> Vec<&str> {
        let incompatible = self.newer.iter().filter(|one| !one.is_compatible);
        incompatible.map(|one| one.name.as_str()).collect()
    }

    /// # Errors
    ///
    /// The database has migrations of a newer program: the order of migrations would be another one.
    fn only_known(self) -> Result<Vec<KnownMigration>, DbErr> {
        let newer: Vec<_> = self.newer.iter().map(|one| one.name.as_str()).collect();
        if newer.is_empty() {
            return Ok(self.known);
        }
        let newer = newer.join(", ");
        Err(DbErr::Migration(format!(
            "a newer version of this program has applied {newer}; use that version"
        )))
    }
}

/// Applies the missing migrations, each in a transaction.
///
/// # Errors
///
/// The database cannot be reached, or a migration fails; those before it stay applied.
pub async fn up(settings: &DatabaseSettings, _lock: &StartLock) -> Result<(), DbError> {
    let connection = connect(settings, Some(settings.migration_lock_timeout())).await?;
    let status = status_on(&connection).await?;
    let missing = status.missing().len();
    if missing == 0 {
        return Ok(());
    }
    tracing::info!(missing, "applying migrations");
    let failed = |error| DbError::of("migrations_up", error);
    let known = status.only_known().map_err(failed)?;
    for migration in known.iter().filter(|one| !one.is_applied) {
        let up = || Migrator::up(&connection, Some(1));
        until_locked(settings, &migration.name, up).await.map_err(failed)?;
    }
    Ok(())
}

/// Rolls the newest migrations back.
///
/// # Errors
///
/// The database cannot be reached, or a migration cannot be rolled back.
pub async fn down(
    settings: &DatabaseSettings,
    _lock: &StartLock,
    steps: u32,
) -> Result<(), DbError> {
    let connection = connect(settings, Some(settings.migration_lock_timeout())).await?;
    let status = status_on(&connection).await?;
    let failed = |error| DbError::of("migrations_down", error);
    let known = status.only_known().map_err(failed)?;
    let applied = known.iter().filter(|one| one.is_applied).rev();
    for migration in applied.take(usize::try_from(steps).unwrap_or(usize::MAX)) {
        let down = || Migrator::down(&connection, Some(1));
        until_locked(settings, &migration.name, down).await.map_err(failed)?;
    }
    Ok(())
}

/// Runs a migration until it gets its locks. Its failed transaction leaves nothing behind, and requests that
/// waited behind it run before the next attempt.
///
/// # Errors
///
/// The migration fails, or gets no lock in `MIGRATION_LOCK_ATTEMPTS` attempts.
async fn until_locked<F: Future<Output = Result<(), DbErr>>>(
    settings: &DatabaseSettings,
    migration: &str,
    run: impl Fn() -> F,
) -> Result<(), DbErr> {
    let attempts = settings.migration.lock_attempts;
    for attempt in 1..=attempts {
        match run().await {
            Err(error) if is_lock_failure(&error) => {
                tracing::warn!(
                    migration,
                    attempt,
                    attempts,
                    "another session holds a lock that a migration needs"
                );
            }
            result => return result,
        }
        if attempt < attempts {
            tokio::time::sleep(MIGRATION_LOCK_PAUSE).await;
        }
    }
    let timeout = settings.migration_lock_timeout().as_millis();
    Err(DbErr::Custom(format!(
        "{migration} got no lock in {attempts} attempts of {timeout} ms each; another session holds it \
         (pg_stat_activity lists the sessions and their transactions)"
    )))
}

/// Migrations of the database and of this program.
///
/// # Errors
///
/// The database cannot be reached, or its table of migrations is locked.
pub async fn status(settings: &DatabaseSettings) -> Result<Status, DbError> {
    let connection = connect(settings, Some(settings.migration_lock_timeout())).await?;
    status_on(&connection).await
}

/// Names of the missing migrations, in their order. Runs in a session like the statements of requests,
/// because readiness means that requests can use the database.
///
/// # Errors
///
/// The statement fails, or no migration was ever applied.
pub async fn missing(session: &Session) -> Result<Vec<String>, DbError> {
    let query = Query::select().column("version").from("seaql_migrations").to_owned();
    let applied: Vec<Applied> = session.all("migrations_applied", &query).await?;
    let is_missing = |name: &String| applied.iter().all(|one| one.version != *name);
    let all = Migrator::migrations();
    Ok(all.iter().map(|one| one.name().to_owned()).filter(is_missing).collect())
}

#[derive(FromQueryResult)]
struct Applied {
    version: String,
}

/// Opens one connection; see [`migration::connect`].
pub(super) async fn connect(
    settings: &DatabaseSettings,
    lock_timeout: Option<Duration>,
) -> Result<DatabaseConnection, DbError> {
    check_reachable(settings).await?;
    migration::connect(settings.url.expose(), lock_timeout)
        .await
        .map_err(|error| DbError::of("connect", error))
}

async fn status_on(connection: &DatabaseConnection) -> Result<Status, DbError> {
    let applied = applied_migrations(connection)
        .await
        .map_err(|error| DbError::of("migrations_status", error))?;
    let names: Vec<_> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    let newer = applied.iter().filter(|name| !names.contains(name));
    let newer = newer
        .map(|name| NewerMigration { name: name.clone(), is_compatible: is_compatible(name) })
        .collect();
    let known = names
        .into_iter()
        .map(|name| KnownMigration { is_applied: applied.contains(&name), name })
        .collect();
    Ok(Status { known, newer })
}
