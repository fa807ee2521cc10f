//! Passwords at rest. They are hashed with Argon2id, slowly on purpose, and therefore on a thread
//! of their own and never on one that serves requests.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use rand::RngExt;

/// Memory of one hash, in KiB. With [`PASSES`] and [`LANES`] the least that OWASP recommends.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;

/// What is stored where there is no password: it is no hash, so no password matches it.
pub const NO_PASSWORD: &str = "!";

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Argon2 refuses it: it is longer than any password that the app lets through.
    #[error("the password cannot be hashed")]
    Refused(#[from] argon2::password_hash::Error),
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
            .hash_password_with_salt(password.as_bytes(), &salt)?;
        Ok(hash.to_string())
    })
    .await?
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

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

    #[test]
    fn no_password_matches_where_there_is_none() {
        for password in ["", NO_PASSWORD, "wasteland"] {
            assert!(Argon2::default().verify_password(password.as_bytes(), NO_PASSWORD).is_err());
        }
    }
}
