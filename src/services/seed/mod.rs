//! Demonstration data: invented people and their readings, skewed like real use, in English and in
//! Chinese. A plan and a time always give the same rows; they come in batches, so that a million
//! readings take no more memory than a thousand.

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
pub use readings::{Deck, Generator};

/// The demonstration user's password; it is no secret, which is why production refuses the data.
const DEMO_PASSWORD: &str = "wasteland";
const OVERSEER_PASSWORD_CHARACTERS: usize = 20;
/// Digits of a second that the databases keep.
const MICROSECONDS: u16 = 6;

/// How much to make. The same plan makes the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedPlan {
    /// How many people.
    pub users: usize,
    /// How many readings they made between them.
    pub readings: usize,
    /// Which of the many sets of that size.
    pub seed: u64,
}

impl SeedPlan {
    /// The small set that the program offers on a new database.
    #[must_use]
    pub const fn demonstration() -> Self {
        Self { users: 50, readings: 2_000, seed: 2_077 }
    }
}

/// What loading the demonstration came to. It holds a password, so it has no `Debug`.
pub struct Demonstration {
    /// Whether it was loaded now; else somebody was there already and nothing was written.
    pub loaded: bool,
    /// The password of the admin `overseer`, when it was made now. Nothing keeps it.
    pub overseer_password: Option<String>,
}

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The database failed; nothing was written.
    #[error("the demonstration data could not be written")]
    Database(#[from] DbError),
    /// A password could not be hashed.
    #[error("the demonstration's passwords could not be set")]
    Password(#[from] PasswordError),
    /// Readings cannot be made of what is there.
    #[error("there are no {0} to make readings of")]
    Missing(&'static str),
}

/// Loads a plan's rows unless there is any user: so a second call changes nothing. `progress` is told
/// how many readings are written, batch by batch.
///
/// # Errors
///
/// The database fails or the reference data is missing; then nothing was written.
pub async fn load_seed(
    settings: &DatabaseSettings,
    lock: &StartLock,
    catalogue: &Catalogue,
    (plan, now): (SeedPlan, DateTime<Utc>),
    mut progress: impl FnMut(usize),
) -> Result<Demonstration, SeedError> {
    let generator = Generator::new(plan, Deck::of(catalogue), now)?;
    let Some(load) = SeedLoad::begin(settings, lock).await? else {
        return Ok(Demonstration { loaded: false, overseer_password: None });
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
    Ok(Demonstration { loaded: true, overseer_password: Some(password) })
}

/// The same rows, with the hashes for the first people.
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

/// An id that sorts by that time.
fn id_at(rng: &mut StdRng, time: DateTime<Utc>) -> Uuid {
    let milliseconds = time.timestamp_millis().unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &rng.random()).into_uuid()
}

/// The time as the databases keep it.
fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(MICROSECONDS)
}

#[cfg(test)]
mod tests;
