//! Migrations as the server runs them: on a dedicated connection, because building an index on a large
//! table takes longer than the statement timeout of requests.

use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::Query;
use sea_orm::{DatabaseConnection, FromQueryResult};

use super::driver::check_reachable;
use super::{DbError, Session, StartLock};
use crate::config::database::DatabaseSettings;

/// Applies the missing migrations, each in a transaction.
///
/// # Errors
///
/// The database cannot be reached, or a migration fails; those before it stay applied.
pub async fn up(settings: &DatabaseSettings, _lock: &StartLock) -> Result<(), DbError> {
    let connection = connect(settings).await?;
    let missing = status_on(&connection).await?.iter().filter(|(_, applied)| !applied).count();
    if missing > 0 {
        tracing::info!(missing, "applying migrations");
    }
    Migrator::up(&connection, None).await.map_err(|error| DbError::of("migrations_up", error))
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
    let connection = connect(settings).await?;
    Migrator::down(&connection, Some(steps))
        .await
        .map_err(|error| DbError::of("migrations_down", error))
}

/// Name of each migration and whether it is applied, in their order.
pub async fn status(settings: &DatabaseSettings) -> Result<Vec<(String, bool)>, DbError> {
    status_on(&connect(settings).await?).await
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
