//! Passwords at rest. They are hashed with Argon2id, slowly on purpose, and therefore on threads of
//! their own, as many at a time as there are cores, and never on one that serves requests.

use std::num::NonZero;
use std::thread::available_parallelism;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use rand::RngExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use unicode_normalization::UnicodeNormalization;

/// Memory of one hash, in KiB. With [`PASSES`] and [`LANES`] the least that OWASP recommends.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// What is stored where there is no password: it is no hash, so no password matches it.
pub const NO_PASSWORD: &str = "!";

/// A hash that no password is known for. It is checked where there is none, so that an unknown name
/// costs as much as a wrong password.
const UNKNOWN: &str = "$argon2id$v=19$m=19456,t=2,p=1$d2FzdGVsYW5kdGFyb3Qx$Zm9yIG5vYm9keSBhbmQgbm90aGluZyBhdCBhbGwhIQA";

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    turns: Semaphore,
    /// Places for those who have their turn and those who wait for it. Who finds none is sent away:
    /// a queue without an end would answer nobody in time.
    places: Semaphore,
}

/// A turn to hash, with its place in the queue.
type Turn<'a> = (SemaphorePermit<'a>, SemaphorePermit<'a>);

impl Passwords {
    /// With a queue of that length.
    #[must_use]
    pub fn new(queue: usize) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { turns: Semaphore::new(cores), places: Semaphore::new(cores.saturating_add(queue)) }
    }

    async fn turn(&self) -> Result<Turn<'_>, PasswordError> {
        let place = self.places.try_acquire().map_err(|_| PasswordError::Busy)?;
        // Neither is ever closed.
        let turn = self.turns.acquire().await.map_err(|_| PasswordError::Busy)?;
        Ok((turn, place))
    }

    /// The hash to store for a password.
    ///
    /// # Errors
    ///
    /// The password is too long for Argon2, too many wait, or the program is stopping.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let _turn = self.turn().await?;
        hash_password(password).await
    }

    /// Whether a password is the one of that hash. Without a hash it is not, after the same work.
    ///
    /// # Errors
    ///
    /// Too many wait, or the program is stopping.
    pub async fn matches(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let _turn = self.turn().await?;
        let matches = tokio::task::spawn_blocking(move || {
            let is_known = hash.as_ref().is_some_and(|hash| hash != NO_PASSWORD);
            let hash = hash.filter(|_| is_known).unwrap_or_else(|| UNKNOWN.to_owned());
            let password = composed(&password);
            let matches = Argon2::default().verify_password(password.as_bytes(), hash.as_str());
            is_known && matches.is_ok()
        });
        Ok(matches.await?)
    }
}

/// A password is the same however a keyboard composes its letters.
fn composed(password: &str) -> String {
    password.nfc().collect()
}

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Argon2 refuses it: it is longer than any password that the app lets through.
    #[error("the password cannot be hashed")]
    Refused(#[from] argon2::password_hash::Error),
    /// Too many wait for their turn.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The program is stopping.
    #[error("hashing the password was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The hash to store for a password: a PHC string with a salt of its own.
///
/// # Errors
///
/// The password is too long for Argon2, or the program is stopping.
pub async fn hash_password(password: String) -> Result<String, PasswordError> {
    tokio::task::spawn_blocking(move || {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
            .map_err(argon2::password_hash::Error::from)?;
        let salt: [u8; SALT_BYTES] = rand::rng().random();
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(composed(&password).as_bytes(), &salt)?;
        Ok(hash.to_string())
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_matches_its_password_and_no_other() {
        let hash = hash_password("wasteland".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let matches = |password: &str| {
            Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()
        };
        assert!(matches("wasteland"));
        assert!(!matches("Wasteland"));
        assert_ne!(hash, hash_password("wasteland".to_owned()).await.unwrap(), "the salt differs");
    }

    #[tokio::test]
    async fn an_unknown_name_costs_a_hash_and_matches_nothing() {
        let passwords = Passwords::new(10);
        assert!(argon2::PasswordHash::new(UNKNOWN).is_ok(), "else it would cost nothing");
        for hash in [None, Some(NO_PASSWORD.to_owned()), Some(UNKNOWN.to_owned())] {
            assert!(!passwords.matches("wasteland".to_owned(), hash).await.unwrap());
        }
    }

    #[tokio::test]
    async fn who_finds_no_place_in_the_queue_is_sent_away() {
        let passwords = Passwords::new(0);
        let cores = available_parallelism().map_or(1, NonZero::get);
        let hashed = (0..=cores).map(|_| passwords.matches("wasteland".to_owned(), None));
        let hashed = futures_util::future::join_all(hashed).await;
        let is_busy = |result: &&Result<bool, _>| matches!(result, Err(PasswordError::Busy));
        assert_eq!(hashed.iter().filter(is_busy).count(), 1);
    }

    #[tokio::test]
    async fn a_letter_is_the_same_however_it_is_composed() {
        let passwords = Passwords::new(10);
        let hash = passwords.hash("Zoe\u{308} wartet".to_owned()).await.unwrap();
        assert!(passwords.matches("Zo\u{eb} wartet".to_owned(), Some(hash)).await.unwrap());
    }

    #[test]
    fn no_password_matches_where_there_is_none() {
        for password in ["", NO_PASSWORD, "wasteland"] {
            assert!(Argon2::default().verify_password(password.as_bytes(), NO_PASSWORD).is_err());
        }
    }
}
