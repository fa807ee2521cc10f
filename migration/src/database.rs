//! Which database the migrations run on when nobody says so, and how it is opened.

use std::path::Path;

use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

/// The embedded database that is used when `DATABASE_URL` is not set, relative to the folder in
/// which the program is started.
pub const DEFAULT_DATABASE_URL: &str = "sqlite://data/wasteland.db?mode=rwc";

/// Opens one connection for migrations.
///
/// # Errors
///
/// The database cannot be reached, or the folder of an embedded one cannot be made.
#[expect(clippy::disallowed_methods, reason = "migrations take longer than requests may")]
pub async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    create_folder_of_embedded(url).map_err(|error| DbErr::Custom(format!("{url}: {error}")))?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await
}

/// SQLite makes a missing database file, but not the folder that it is to stand in.
///
/// # Errors
///
/// The folder cannot be made.
pub fn create_folder_of_embedded(url: &str) -> std::io::Result<()> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(()) };
    let path = path.trim_start_matches("//").split('?').next().unwrap_or_default();
    match Path::new(path).parent() {
        Some(folder) if !path.starts_with(":memory:") => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}
