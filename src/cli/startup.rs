//! Steps that several commands share: opening a database that is ready for use, and loading the
//! demonstration set.

use super::{Failure, with_causes};
use crate::config::Settings;
use crate::db::{Database, DbError, StartLock, migrations, now};
use crate::services::catalogue::Catalogue;
use crate::services::reference::load_reference;
use crate::services::seed::{SeedOutcome, SeedPlan, load_seed};
use crate::telemetry;

/// Migration of a database server at the start. An embedded database is always migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Migrations {
    /// Apply missing migrations.
    Apply,
    /// Fail if migrations are missing.
    Require,
}

/// Demonstration set to load at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DemoData {
    /// Load the small set into a database without users.
    Load,
    /// Load nothing.
    Skip,
}

/// Opens the database, verifies that its schema is up to date, and inserts missing reference data. Of
/// several programs that start at the same time, one does so and the others wait.
pub(super) async fn prepare(
    settings: &Settings,
    migrations_mode: Migrations,
    demo_data: DemoData,
) -> Result<(Database, Catalogue), Failure> {
    let named = |error| name_setting(settings, &error);
    let lock = StartLock::acquire(&settings.database).await.map_err(named)?;
    if migrations_mode == Migrations::Apply || settings.database.url.is_embedded() {
        migrations::up(&settings.database, &lock).await.map_err(named)?;
    }
    let database = Database::connect(settings).await.map_err(named)?;
    let status = migrations::status(&settings.database).await.map_err(named)?;
    let incompatible = status.incompatible();
    if !incompatible.is_empty() {
        return Err(format!(
            "the database has migrations of a newer version of this program, which this one does not work with: \
             {}. Start the newer version",
            incompatible.join(", ")
        )
        .into());
    }
    let missing = status.missing();
    if !missing.is_empty() {
        return Err(format!(
            "the database lacks these migrations: {}. Run `wasteland-tarot migrate`, or serve with --migrate",
            missing.join(", ")
        )
        .into());
    }
    load_reference(&database, &lock).await?;
    let catalogue = Catalogue::load(&database.session()).await?;
    if demo_data == DemoData::Load {
        load_demo_data(settings, &lock, &catalogue).await?;
    }
    lock.release().await;
    Ok((database, catalogue))
}

/// A database error with the setting that is the most likely cause.
pub(super) fn name_setting(settings: &Settings, error: &DbError) -> Failure {
    format!("DATABASE_URL={}: {}", settings.database.url, with_causes(error)).into()
}

/// Loads the demonstration set into a database without users, and prints its credentials.
async fn load_demo_data(
    settings: &Settings,
    lock: &StartLock,
    catalogue: &Catalogue,
) -> Result<(), Failure> {
    let plan = SeedPlan::demonstration();
    let outcome = load_seed(&settings.database, lock, catalogue, plan, now(), |_| ()).await?;
    if !outcome.loaded {
        telemetry::print_line("The database has users already; no demonstration data was loaded.");
    }
    if let Some(credentials) = credentials(&outcome) {
        telemetry::print_line(&credentials);
    }
    Ok(())
}

/// Credentials of newly loaded demonstration users, as text for a person.
pub(super) fn credentials(outcome: &SeedOutcome) -> Option<String> {
    let password = outcome.overseer_password.as_ref()?;
    Some(format!(
        "demonstration users: `demo` with the password `wasteland`, and the admin `overseer`\n\
         with the password `{password}`, which is shown this once"
    ))
}
