//! Password hashing with Argon2id. It is slow on purpose, and therefore runs on blocking threads, as
//! many at a time as there are cores, and never on a thread that serves requests.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use rand::RngExt;
use unicode_normalization::UnicodeNormalization;

use super::hash_queue::{HashClient, HashPermit, HashQueue};

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
    queue: Arc<HashQueue>,
    hashed: AtomicU64,
}

impl PasswordHasher {
    /// A hasher with a queue of that length.
    #[must_use]
    pub fn new(queue: usize) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { queue: HashQueue::new(cores, queue), hashed: AtomicU64::default() }
    }

    /// Number of passwords that were hashed or verified.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    async fn acquire(&self, client: HashClient) -> Result<HashPermit, PasswordError> {
        let permit = self.queue.acquire(client).await.map_err(|_| PasswordError::QueueFull)?;
        self.hashed.fetch_add(1, Ordering::Relaxed);
        Ok(permit)
    }

    /// Hash of a password, to be stored.
    ///
    /// # Errors
    ///
    /// The password is too long for Argon2, the queue is full, or the program is stopping.
    pub async fn hash(
        &self,
        client: HashClient,
        password: String,
    ) -> Result<String, PasswordError> {
        let _permit = self.acquire(client).await?;
        hash_password(password).await
    }

    /// Compares a password with a hash. Without a hash the result is `false`, after the same work.
    ///
    /// # Errors
    ///
    /// The queue is full, or the program is stopping.
    pub async fn verify(
        &self,
        client: HashClient,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let _permit = self.acquire(client).await?;
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
    /// As many requests wait as the queue is long, and none of a client that waits for more.
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

    const CLIENT: HashClient = HashClient::user(uuid::Uuid::nil());

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
            assert!(!passwords.verify(CLIENT, "wasteland".to_owned(), hash).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_letter_is_the_same_however_it_is_composed() {
        let passwords = PasswordHasher::new(10);
        let hash = passwords.hash(CLIENT, "Zoe\u{308} wartet".to_owned()).await.unwrap();
        assert!(passwords.verify(CLIENT, "Zo\u{eb} wartet".to_owned(), Some(hash)).await.unwrap());
    }

    #[test]
    fn no_password_matches_where_there_is_none() {
        for password in ["", NO_PASSWORD, "wasteland"] {
            assert!(Argon2::default().verify_password(password.as_bytes(), NO_PASSWORD).is_err());
        }
    }
}
