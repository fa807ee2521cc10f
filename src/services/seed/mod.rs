//! Demonstration data: invented people and their readings, skewed like real use, in English and
//! Chinese. A plan and a time always generate the same rows. Rows are generated in batches, so that a
//! million readings take no more memory than a thousand.

mod files;
mod people;
mod readings;
mod times;

use chrono::{DateTime, SubsecRound, Utc};
use rand::RngExt;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::config::database::DatabaseSettings;
use crate::db::seed::{SeedLoad, SeedRows};
use crate::db::{DbError, StartLock};
use crate::services::catalogue::Catalogue;
use crate::services::passwords::{PasswordError, hash_password};
pub use readings::{Deck, SeedGenerator};

/// Password of the demonstration user. It is public, therefore production refuses the data.
const DEMO_PASSWORD: &str = "wasteland";
const OVERSEER_PASSWORD_CHARACTERS: usize = 20;
/// Fractional digits of a second that the databases store.
const MICROSECONDS: u16 = 6;

/// Size and seed of the data. The same plan generates the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedPlan {
    /// Number of users.
    pub users: usize,
    /// Number of readings of all users.
    pub readings: usize,
    /// Seed of the random number generator.
    pub seed: u64,
}

impl SeedPlan {
    /// The small set of `serve --demo`.
    #[must_use]
    pub const fn demonstration() -> Self {
        Self { users: 50, readings: 2_000, seed: 2_077 }
    }
}

/// Result of [`load_seed`]. It holds a password, so it has no `Debug`.
pub struct SeedOutcome {
    /// `false` if the database had users already, and nothing was written.
    pub loaded: bool,
    /// Generated password of the admin `overseer`, if the data was loaded. It is stored nowhere.
    pub overseer_password: Option<String>,
}

/// Failure to load demonstration data.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The database failed; nothing was written.
    #[error("the demonstration data could not be written")]
    Database(#[from] DbError),
    /// A password could not be hashed.
    #[error("the demonstration's passwords could not be set")]
    Password(#[from] PasswordError),
    /// Missing reference data or people.
    #[error("there are no {0} to generate readings from")]
    Missing(&'static str),
}

/// Loads a plan's rows into a database without users; a second call therefore changes nothing. `progress`
/// is called with the number of readings of each written batch.
///
/// # Errors
///
/// The database fails or the reference data is missing; then nothing was written.
pub async fn load_seed(
    settings: &DatabaseSettings,
    lock: &StartLock,
    catalogue: &Catalogue,
    plan: SeedPlan,
    now: DateTime<Utc>,
    mut progress: impl FnMut(usize),
) -> Result<SeedOutcome, SeedError> {
    let generator = SeedGenerator::new(plan, Deck::of(catalogue), now)?;
    let Some(load) = SeedLoad::begin(settings, lock).await? else {
        return Ok(SeedOutcome { loaded: false, overseer_password: None });
    };
    let password = Alphanumeric.sample_string(&mut rand::rng(), OVERSEER_PASSWORD_CHARACTERS);
    let hashes =
        [hash_password(DEMO_PASSWORD.to_owned()).await?, hash_password(password.clone()).await?];
    for rows in with_passwords(generator, hashes) {
        let readings = rows.readings.len();
        load.insert(rows).await?;
        progress(readings);
    }
    load.finish().await?;
    tracing::info!(users = plan.users, readings = plan.readings, "loaded the demonstration data");
    Ok(SeedOutcome { loaded: true, overseer_password: Some(password) })
}

/// Adds the password hashes of the first people to the rows.
fn with_passwords(
    batches: impl Iterator<Item = SeedRows>,
    hashes: [String; 2],
) -> impl Iterator<Item = SeedRows> {
    let mut hashes = hashes.into_iter();
    batches.map(move |mut rows| {
        for (user, hash) in rows.users.iter_mut().zip(&mut hashes) {
            user.password_hash = hash;
        }
        rows
    })
}

fn chance(rng: &mut StdRng, percent: u32) -> bool {
    rng.random_ratio(percent, 100)
}

/// A version 7 UUID with that timestamp.
fn id_at(rng: &mut StdRng, time: DateTime<Utc>) -> Uuid {
    let milliseconds = time.timestamp_millis().unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &rng.random()).into_uuid()
}

/// Time in the precision of the databases.
fn truncated(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(MICROSECONDS)
}

#[cfg(test)]
mod tests;
