//! The migrations as the server runs them: on a connection of their own, because building an index
//! on a large table takes longer than any statement of a request may.

use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::Query;
use sea_orm::{DatabaseConnection, FromQueryResult};

use super::pool::check_reachable;
use super::{DbError, Session, StartLock};
use crate::config::database::DatabaseSettings;

/// Applies the migrations that are missing. Each is applied whole or not at all.
///
/// # Errors
///
/// The database cannot be reached, or one of them fails; those before it stay applied.
pub async fn up(settings: &DatabaseSettings, _lock: &StartLock) -> Result<(), DbError> {
    let connection = connect(settings).await?;
    let missing = status_on(&connection).await?.iter().filter(|(_, applied)| !applied).count();
    if missing > 0 {
        tracing::info!(missing, "applying migrations");
    }
    Migrator::up(&connection, None).await.map_err(|error| DbError::of("migrations_up", error))
}

/// Takes the newest migrations back.
///
/// # Errors
///
/// The database cannot be reached, or one of them cannot be taken back.
pub async fn down(
    settings: &DatabaseSettings,
    _lock: &StartLock,
    steps: u32,
) -> Result<(), DbError> {
    let connection = connect(settings).await?;
    Migrator::down(&connection, Some(steps))
        .await
        .map_err(|error| DbError::of("migrations_down", error))
}

/// Each migration's name and whether it is applied, in their order.
///
/// # Errors
///
/// The database cannot be asked.
pub async fn status(settings: &DatabaseSettings) -> Result<Vec<(String, bool)>, DbError> {
    status_on(&connect(settings).await?).await
}

/// The names of the migrations that have not been applied, in their order, asked as requests ask: a
/// database that they cannot use is not fit to serve them, and one that they can use is.
///
/// # Errors
///
/// The database cannot be asked, or never had a migration.
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

pub(super) async fn connect(settings: &DatabaseSettings) -> Result<DatabaseConnection, DbError> {
    check_reachable(settings).await?;
    migration::connect(settings.url.expose()).await.map_err(|error| DbError::of("connect", error))
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
