//! Migrations as the server runs them: on a dedicated connection, because building an index on a large
//! table takes longer than the statement timeout of requests.

use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::Query;
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult};

use super::driver::check_reachable;
use super::error::is_lock_failure;
use super::{DbError, Session, StartLock};
use crate::config::database::{DatabaseSettings, MIGRATION_LOCK_PAUSE};

/// Applies the missing migrations, each in a transaction.
///
/// # Errors
///
/// The database cannot be reached, or a migration fails; those before it stay applied.
pub async fn up(settings: &DatabaseSettings, _lock: &StartLock) -> Result<(), DbError> {
    let connection = connect(settings, Some(settings.migration_lock_timeout())).await?;
    let status = status_on(&connection).await?;
    let missing: Vec<_> = status.into_iter().filter(|(_, applied)| !applied).collect();
    if !missing.is_empty() {
        tracing::info!(missing = missing.len(), "applying migrations");
    }
    for (migration, _) in missing {
        let up = || Migrator::up(&connection, Some(1));
        until_locked(settings, &migration, up)
            .await
            .map_err(|error| DbError::of("migrations_up", error))?;
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
    let applied = status.into_iter().filter(|(_, applied)| *applied).rev();
    for (migration, _) in applied.take(usize::try_from(steps).unwrap_or(usize::MAX)) {
        let down = || Migrator::down(&connection, Some(1));
        until_locked(settings, &migration, down)
            .await
            .map_err(|error| DbError::of("migrations_down", error))?;
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

/// Name of each migration and whether it is applied, in their order.
pub async fn status(settings: &DatabaseSettings) -> Result<Vec<(String, bool)>, DbError> {
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

async fn status_on(connection: &DatabaseConnection) -> Result<Vec<(String, bool)>, DbError> {
    let all = Migrator::get_migration_with_status_read_only(connection)
        .await
        .map_err(|error| DbError::of("migrations_status", error))?;
    Ok(all
        .iter()
        .map(|one| (one.name().to_owned(), one.status() == migration::MigrationStatus::Applied))
        .collect())
}
