//! `migrate`: applies, reverts and lists migrations.

use clap::Subcommand;

use super::startup::name_setting;
use super::{Failure, print};
use crate::config::Settings;
use crate::config::database::DatabaseSettings;
use crate::db::migrations::{self, KnownMigration, NewerMigration, Status};
use crate::db::{DbError, StartLock};
use crate::telemetry;

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
    telemetry::start(settings)?;
    let command = command.unwrap_or(MigrateCommand::Up);
    let migrated = migrate(&settings.database, &command).await;
    let listed = migrated.map_err(|error| name_setting(settings, &error))?;
    for KnownMigration { name, is_applied } in listed.known {
        print(&format!("{} {name}\n", if is_applied { "applied" } else { "pending" }))?;
    }
    for NewerMigration { name, is_compatible } in listed.newer {
        let verdict = if is_compatible { "compatible" } else { "not compatible" };
        print(&format!("applied {name} (of a newer version, {verdict} with this one)\n"))?;
    }
    Ok(())
}

/// Status of all migrations after the command.
async fn migrate(database: &DatabaseSettings, command: &MigrateCommand) -> Result<Status, DbError> {
    let lock = match command {
        // Reads only, so it need not wait for a process that migrates.
        MigrateCommand::Status => {
            let lock = StartLock::try_acquire(database).await?;
            if lock.is_none() {
                tracing::warn!("another process prepares the database; the status may change");
            }
            lock
        }
        MigrateCommand::Up | MigrateCommand::Down { .. } => {
            Some(StartLock::acquire(database).await?)
        }
    };
    if let Some(lock) = &lock {
        match command {
            MigrateCommand::Up => {
                let status = migrations::status(database).await?;
                if status.known.iter().all(|migration| migration.is_applied) {
                    tracing::info!("nothing to do: all migrations are applied");
                }
                migrations::up(database, lock).await?;
            }
            MigrateCommand::Down { steps } => migrations::down(database, lock, *steps).await?,
            MigrateCommand::Status => {}
        }
    }
    let listed = migrations::status(database).await?;
    if let Some(lock) = lock {
        lock.release().await;
    }
    Ok(listed)
}
