//! Settings of tokens, logins and their throttles.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{SettingsError, count, lifetime, seconds, whole_number};

/// Tolerated clock skew between two machines.
pub const LEEWAY_SECONDS: u64 = 5;

/// Minimum bytes of the signing key: a shorter one can be found by brute force from one token.
const SECRET_BYTES_MINIMUM: usize = 32;

/// Lifetimes of tokens, and throttles of logins.
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// Signing key of access tokens, at least 32 bytes (default: random at each start; required in production)
    #[arg(long, env = "JWT_SECRET", value_parser = secret, global = true, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

    /// Earlier signing keys whose tokens are still valid, comma separated
    #[arg(long, env = "JWT_PREVIOUS_SECRETS", value_parser = secret, value_delimiter = ',', global = true, hide_env_values = true)]
    pub jwt_previous_secrets: Vec<SecretString>,

    /// Lifetime of an access token, in seconds
    #[arg(id = "access_token_seconds", long = "access-token-seconds", env = "ACCESS_TOKEN_SECONDS", value_parser = seconds, default_value = "900", global = true, hide_env_values = true)]
    pub access_token_lifetime: Duration,

    /// Lifetime of a refresh token, in seconds; each use issues a new one
    #[arg(id = "refresh_token_seconds", long = "refresh-token-seconds", env = "REFRESH_TOKEN_SECONDS", value_parser = lifetime, default_value = "1209600", global = true, hide_env_values = true)]
    pub refresh_token_lifetime: Duration,

    /// Maximum lifetime of a login, in seconds, however often its tokens are refreshed
    #[arg(id = "session_seconds", long = "session-seconds", env = "SESSION_SECONDS", value_parser = lifetime, default_value = "7776000", global = true, hide_env_values = true)]
    pub session_lifetime: Duration,

    /// Grace period after its first use in which a refresh token may be used again, in seconds
    #[arg(id = "refresh_grace_seconds", long = "refresh-grace-seconds", env = "REFRESH_GRACE_SECONDS", value_parser = seconds, default_value = "30", global = true, hide_env_values = true)]
    pub refresh_grace: Duration,

    /// Maximum passwords in the queue of hashing; further ones are rejected
    #[arg(long, env = "PASSWORD_QUEUE", value_parser = password_queue, default_value = "100", global = true, hide_env_values = true)]
    pub password_queue: usize,

    /// Wrong passwords of a client network for an account after which its attempts are refused for a while
    #[arg(long, env = "LOGIN_FAILURES", value_parser = count::<u16>, default_value = "5", global = true, hide_env_values = true)]
    pub login_failures: u16,

    /// First such wait, in seconds; each further wrong password doubles it
    #[arg(id = "login_wait_seconds", long = "login-wait-seconds", env = "LOGIN_WAIT_SECONDS", value_parser = seconds, default_value = "60", global = true, hide_env_values = true)]
    pub login_wait: Duration,

    /// Longest such wait, in seconds
    #[arg(id = "lock_out_seconds", long = "lock-out-seconds", env = "LOCK_OUT_SECONDS", value_parser = seconds, default_value = "3600", global = true, hide_env_values = true)]
    pub lock_out: Duration,

    /// Duration of a lock by an admin, in seconds
    #[arg(id = "admin_lock_seconds", long = "admin-lock-seconds", env = "ADMIN_LOCK_SECONDS", value_parser = lifetime, default_value = "86400", global = true, hide_env_values = true)]
    pub admin_lock: Duration,

    /// Lifetime of a grant for a share link with a password, in seconds
    #[arg(id = "share_grant_seconds", long = "share-grant-seconds", env = "SHARE_GRANT_SECONDS", value_parser = seconds, default_value = "900", global = true, hide_env_values = true)]
    pub share_grant_lifetime: Duration,
}

impl AuthSettings {
    /// Validates the signing keys for production, where they are required and must be random.
    ///
    /// # Errors
    ///
    /// `Invalid` with the setting of a key that is missing or can be guessed.
    pub fn validate_keys(&self) -> Result<(), SettingsError> {
        let invalid = |name: &str, value: &str, source_name: &str, expected: &str| {
            Err(SettingsError::Invalid {
                name: name.to_owned(),
                value: value.to_owned(),
                source_name: source_name.to_owned(),
                expected: expected.to_owned(),
            })
        };
        let Some(secret) = &self.jwt_secret else {
            let expected = "required in production, at least 32 bytes";
            return invalid("JWT_SECRET", "", "not set", expected);
        };
        let current = std::iter::once(("JWT_SECRET", secret));
        let previous = self.jwt_previous_secrets.iter().map(|key| ("JWT_PREVIOUS_SECRETS", key));
        for (name, key) in current.chain(previous) {
            if is_guessable(key.expose_secret()) {
                let expected = "a random key in production, such as `head -c 32 /dev/urandom | base64` prints: this one can be guessed";
                return invalid(name, "…", "in production", expected);
            }
        }
        Ok(())
    }

    /// Waits after the failure that leads to the first one, the next failure, and so on, up to the longest.
    #[must_use]
    pub fn login_waits(&self) -> Vec<Duration> {
        let mut waits = Vec::new();
        let mut wait = self.login_wait;
        while wait < self.lock_out {
            waits.push(wait);
            wait *= 2;
        }
        waits.push(self.lock_out);
        waits
    }

    /// Time without a wrong password after which the earlier ones are forgotten: so long that pausing for it gives
    /// no more attempts than waiting does.
    #[must_use]
    pub fn failures_remembered(&self) -> Duration {
        self.lock_out * (u32::from(self.login_failures) + 1)
    }
}

/// Upper bound of `PASSWORD_QUEUE`: a longer queue outlasts every timeout.
const PASSWORD_QUEUE_MAXIMUM: usize = 100_000;

fn password_queue(text: &str) -> Result<usize, String> {
    whole_number(text, 1, PASSWORD_QUEUE_MAXIMUM)
}

/// Minimum estimate of the entropy of a key, in bits. 16 random bytes in hexadecimal are estimated at 110 and more.
const SECRET_BITS_MINIMUM: f64 = 80.0;

/// Words of keys that were copied from documentation.
const PLACEHOLDERS: [&str; 6] =
    ["changeme", "change-me", "change_me", "development", "example", "placeholder"];

/// True for keys that a dictionary or a pattern finds: placeholders, few characters, sequences and repetitions. An
/// estimate from one sample cannot know how a key was made, so it refuses only what is no key at all.
fn is_guessable(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    if PLACEHOLDERS.iter().any(|word| lower.contains(word)) {
        return true;
    }
    let bytes = secret.as_bytes();
    let steps = bytes.windows(2).map(|pair| i16::from(pair[1]) - i16::from(pair[0]));
    let of_characters = mean_bits(bytes.iter().map(|byte| i16::from(*byte)));
    of_characters.min(mean_bits(steps)) * novel_length(bytes) < SECRET_BITS_MINIMUM
}

/// Shannon entropy of a symbol, in bits, by the frequencies in the sample.
fn mean_bits(symbols: impl Iterator<Item = i16>) -> f64 {
    let mut counts: HashMap<i16, f64> = HashMap::new();
    for symbol in symbols {
        *counts.entry(symbol).or_default() += 1.0;
    }
    let total: f64 = counts.values().sum();
    counts.values().map(|count| -(count / total) * (count / total).log2()).sum()
}

/// Number of bytes that repeat no earlier sequence of four.
fn novel_length(bytes: &[u8]) -> f64 {
    const SEQUENCE: usize = 4;
    let mut seen = HashSet::new();
    let novel = bytes.windows(SEQUENCE).filter(|sequence| seen.insert(*sequence)).count();
    f64::from(u32::try_from(novel + SEQUENCE - 1).unwrap_or(u32::MAX))
}

fn secret(text: &str) -> Result<SecretString, String> {
    if text.len() < SECRET_BYTES_MINIMUM {
        return Err(format!("at least {SECRET_BYTES_MINIMUM} bytes"));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_are_accepted_and_patterns_are_not() {
        for key in [
            // 16 and 32 random bytes in hexadecimal, 32 in base64, a passphrase.
            "9f86d081884c7d659a2feaa0c55ad015",
            "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            "q7Vb0xJm3o9pZk1sT5uYc8Wd2eRf4gHa6iLjNnBvCxE=",
            "marrow lantern cobalt thistle verge quarry",
        ] {
            assert!(!is_guessable(key), "{key}");
        }
        for key in [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "passwordpasswordpassword12345678",
            "changemechangemechangemechangeme",
            "Change-Me-9f86d081884c7d659a2feaa0c55ad015",
            "for-development-only-32-bytes-or-more",
            "abababababababababababababababab",
        ] {
            assert!(is_guessable(key), "{key}");
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let settings = |wait, longest| AuthSettings {
            login_wait: Duration::from_secs(wait),
            lock_out: Duration::from_secs(longest),
            ..defaults()
        };
        let waits = |wait, longest| {
            let waits = settings(wait, longest).login_waits();
            waits.iter().map(Duration::as_secs).collect::<Vec<_>>()
        };
        assert_eq!(waits(60, 3_600), [60, 120, 240, 480, 960, 1_920, 3_600]);
        assert_eq!(waits(60, 60), [60]);
        assert_eq!(waits(60, 10), [10]);
    }

    fn defaults() -> AuthSettings {
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            auth: AuthSettings,
        }
        <Defaults as clap::Parser>::parse_from(["test"]).auth
    }
}
