//! `seed`: loads demonstration data of any size.

use chrono::{DateTime, Utc};
use indicatif::{ProgressBar, ProgressStyle};

use super::startup::{DemoData, Migrations, credentials, prepare};
use super::{Failure, print};
use crate::config::Settings;
use crate::db::{StartLock, now};
use crate::services::seed::{SeedPlan, load_seed};
use crate::telemetry;

#[derive(clap::Args)]
pub(super) struct SeedArguments {
    /// Number of users; the first two are the user `demo` and the admin `overseer`
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    users: u32,

    /// Number of readings of all users
    #[arg(long)]
    readings: u32,

    /// Seed of the random number generator
    #[arg(long = "seed", value_name = "SEED", default_value_t = SeedPlan::demonstration().seed)]
    number: u64,

    /// Time of the last readings, as 2026-11-01T12:00:00Z; the same sizes, seed and time make the same
    /// rows [default: now]
    #[arg(long, value_parser = time)]
    until: Option<DateTime<Utc>>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "a time such as 2026-11-01T12:00:00Z".to_owned())
}

/// Applies migrations, inserts the reference data and then the demonstration data, with a progress bar.
pub(super) async fn run(settings: &Settings, arguments: &SeedArguments) -> Result<(), Failure> {
    if settings.is_production() {
        return Err("seed: demonstration data is refused in production".into());
    }
    telemetry::start(settings)?;
    let (database, catalogue) = prepare(settings, Migrations::Apply, DemoData::Skip).await?;
    let plan = SeedPlan {
        users: usize::try_from(arguments.users)?,
        readings: usize::try_from(arguments.readings)?,
        seed: arguments.number,
    };
    let style = "{bar:40} {human_pos} of {human_len} readings, {per_sec}, {eta} left";
    let bar = ProgressBar::new(arguments.readings.into())
        .with_style(ProgressStyle::with_template(style)?);
    let lock = StartLock::acquire(&settings.database).await?;
    let until = arguments.until.unwrap_or_else(now);
    let written = |readings: usize| bar.inc(readings as u64);
    let outcome = load_seed(&settings.database, &lock, &catalogue, plan, until, written).await?;
    bar.finish_and_clear();
    lock.release().await;
    database.close().await;
    if !outcome.loaded {
        return Err("seed: there are users already; seed fills a database that has none".into());
    }
    if let Some(credentials) = credentials(&outcome) {
        print(&format!("{credentials}\n"))?;
    }
    print(&format!("loaded {} users and {} readings\n", arguments.users, arguments.readings))
}
