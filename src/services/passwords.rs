//! Password hashing with Argon2id. It is slow on purpose, and therefore runs on blocking threads, as
//! many at a time as there are cores, and never on a thread that serves requests.

use std::num::NonZero;
use std::thread::available_parallelism;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use rand::RngExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use unicode_normalization::UnicodeNormalization;

/// Memory of one hash, in KiB. With [`PASSES`] and [`LANES`] the minimum that OWASP recommends.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// Stored instead of a hash where an account has no password: no password matches it.
pub const NO_PASSWORD: &str = "!";

/// A hash of no known password. It is verified where there is no account, so that an unknown name takes
/// as long as a wrong password.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$d2FzdGVsYW5kdGFyb3Qx$Zm9yIG5vYm9keSBhbmQgbm90aGluZyBhdCBhbGwhIQA";

/// Bounded password hashing.
#[derive(Debug)]
pub struct PasswordHasher {
    /// Permits to hash, one a core.
    workers: Semaphore,
    /// Permits to hash or to wait for that. Without one a request is rejected: in an unbounded queue
    /// every request would time out.
    queue: Semaphore,
}

/// A permit to hash, with its place in the queue.
struct HashPermit<'a> {
    _worker: SemaphorePermit<'a>,
    _queue: SemaphorePermit<'a>,
}

impl PasswordHasher {
    /// A hasher with a queue of that length.
    #[must_use]
    pub fn new(queue: usize) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { workers: Semaphore::new(cores), queue: Semaphore::new(cores.saturating_add(queue)) }
    }

    async fn acquire(&self) -> Result<HashPermit<'_>, PasswordError> {
        let queue = self.queue.try_acquire().map_err(|_| PasswordError::QueueFull)?;
        // The semaphores are never closed.
        let worker = self.workers.acquire().await.map_err(|_| PasswordError::QueueFull)?;
        Ok(HashPermit { _worker: worker, _queue: queue })
    }

    /// Hash of a password, to be stored.
    ///
    /// # Errors
    ///
    /// The password is too long for Argon2, the queue is full, or the program is stopping.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let _permit = self.acquire().await?;
        hash_password(password).await
    }

    /// Compares a password with a hash. Without a hash the result is `false`, after the same work.
    ///
    /// # Errors
    ///
    /// The queue is full, or the program is stopping.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let _permit = self.acquire().await?;
        let matches = tokio::task::spawn_blocking(move || {
            let is_known = hash.as_ref().is_some_and(|hash| hash != NO_PASSWORD);
            let hash = hash.filter(|_| is_known).unwrap_or_else(|| DUMMY_HASH.to_owned());
            let password = normalized(&password);
            let matches = Argon2::default().verify_password(password.as_bytes(), hash.as_str());
            is_known && matches.is_ok()
        });
        Ok(matches.await?)
    }
}

/// Number of characters of a password, in the form in which it is hashed.
#[must_use]
pub fn length(password: &str) -> usize {
    password.nfc().count()
}

/// NFC form: a password is the same however a keyboard composes its letters.
fn normalized(password: &str) -> String {
    password.nfc().collect()
}

/// Failure to hash or verify a password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Rejected by Argon2, because it is longer than any password that validation accepts.
    #[error("the password cannot be hashed")]
    Argon2(#[from] argon2::password_hash::Error),
    /// As many requests wait as the queue is long.
    #[error("the queue of passwords to hash is full")]
    QueueFull,
    /// The program is stopping.
    #[error("hashing the password was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Hash of a password: a PHC string with a random salt.
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
            .hash_password_with_salt(normalized(&password).as_bytes(), &salt)?;
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
        let passwords = PasswordHasher::new(10);
        assert!(argon2::PasswordHash::new(DUMMY_HASH).is_ok(), "else it would cost nothing");
        for hash in [None, Some(NO_PASSWORD.to_owned()), Some(DUMMY_HASH.to_owned())] {
            assert!(!passwords.verify("wasteland".to_owned(), hash).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_full_queue_rejects_a_password() {
        let passwords = PasswordHasher::new(0);
        let cores = available_parallelism().map_or(1, NonZero::get);
        let hashed = (0..=cores).map(|_| passwords.verify("wasteland".to_owned(), None));
        let hashed = futures_util::future::join_all(hashed).await;
        let is_busy = |result: &&Result<bool, _>| matches!(result, Err(PasswordError::QueueFull));
        assert_eq!(hashed.iter().filter(is_busy).count(), 1);
    }

    #[tokio::test]
    async fn a_letter_is_the_same_however_it_is_composed() {
        let passwords = PasswordHasher::new(10);
        let hash = passwords.hash("Zoe\u{308} wartet".to_owned()).await.unwrap();
        assert!(passwords.verify("Zo\u{eb} wartet".to_owned(), Some(hash)).await.unwrap());
    }

    #[test]
    fn no_password_matches_where_there_is_none() {
        for password in ["", NO_PASSWORD, "wasteland"] {
            assert!(Argon2::default().verify_password(password.as_bytes(), NO_PASSWORD).is_err());
        }
    }
}
