//! The default database of migrations, and its connection.

use std::path::Path;
use std::time::Duration;

use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

/// The embedded database used without `DATABASE_URL`, relative to the working directory.
pub const DEFAULT_DATABASE_URL: &str = "sqlite://data/wasteland.db?mode=rwc";

/// Lock timeout of `sea-orm-cli`: half of what requests wait by default, because they wait behind a migration
/// that waits.
pub const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// Opens one connection for migrations. On PostgreSQL its statements wait no longer than `lock_timeout` for a
/// lock; without one they wait as long as the database allows.
///
/// # Errors
///
/// The database cannot be reached, or the folder of an embedded one cannot be created.
#[expect(clippy::disallowed_methods, reason = "migrations take longer than requests may")]
pub async fn connect(
    url: &str,
    lock_timeout: Option<Duration>,
) -> Result<DatabaseConnection, DbErr> {
    create_folder_of_embedded(url).map_err(|error| DbErr::Custom(format!("{url}: {error}")))?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    if let Some(timeout) = lock_timeout {
        options.map_sqlx_postgres_opts(move |options| {
            options.options([("lock_timeout", timeout.as_millis().to_string())])
        });
    }
    Database::connect(options).await
}

/// Creates the folder of an embedded database whose URL has `mode=rwc`: SQLite creates the missing file then, but
/// not its folder.
pub fn create_folder_of_embedded(url: &str) -> std::io::Result<()> {
    let Some(path) = url.strip_prefix("sqlite:").filter(|_| url.contains("mode=rwc")) else {
        return Ok(());
    };
    let path = path.trim_start_matches("//").split('?').next().unwrap_or_default();
    match Path::new(path).parent() {
        Some(folder) if !path.starts_with(":memory:") => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}
