//! The default database of migrations, and its connection.

use std::path::Path;

use sea_orm_migration::sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

/// The embedded database used without `DATABASE_URL`, relative to the working directory.
pub const DEFAULT_DATABASE_URL: &str = "sqlite://data/wasteland.db?mode=rwc";

/// Opens one connection for migrations.
///
/// # Errors
///
/// The database cannot be reached, or the folder of an embedded one cannot be created.
#[expect(clippy::disallowed_methods, reason = "migrations take longer than requests may")]
pub async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    create_folder_of_embedded(url).map_err(|error| DbErr::Custom(format!("{url}: {error}")))?;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await
}

/// Creates the folder of an embedded database: SQLite creates a missing file, but not its folder.
pub fn create_folder_of_embedded(url: &str) -> std::io::Result<()> {
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(()) };
    let path = path.trim_start_matches("//").split('?').next().unwrap_or_default();
    match Path::new(path).parent() {
        Some(folder) if !path.starts_with(":memory:") => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}
