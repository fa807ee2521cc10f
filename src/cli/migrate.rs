//! `migrate`: applies, reverts and lists migrations.

use clap::Subcommand;

use super::startup::name_setting;
use super::{Failure, print};
use crate::config::Settings;
use crate::db::{StartLock, migrations};

#[derive(Subcommand)]
pub(super) enum MigrateCommand {
    /// Apply missing migrations
    Up,
    /// Revert the newest migrations
    Down {
        /// Number of migrations
        #[arg(short = 'n', long, default_value_t = 1)]
        steps: u32,
    },
    /// List the migrations
    Status,
}

/// Runs the command, `up` by default, and prints the status of all migrations.
pub(super) async fn run(
    settings: &Settings,
    command: Option<MigrateCommand>,
) -> Result<(), Failure> {
    let database = &settings.database;
    let named = |error| name_setting(settings, &error);
    let lock = StartLock::acquire(database).await.map_err(named)?;
    match command.unwrap_or(MigrateCommand::Up) {
        MigrateCommand::Up => migrations::up(database, &lock).await.map_err(named)?,
        MigrateCommand::Down { steps } => {
            migrations::down(database, &lock, steps).await.map_err(named)?;
        }
        MigrateCommand::Status => {}
    }
    let listed = migrations::status(database).await.map_err(named)?;
    lock.release().await;
    for (name, applied) in listed {
        print(&format!("{} {name}\n", if applied { "applied" } else { "pending" }))?;
    }
    Ok(())
}
