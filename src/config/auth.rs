//! Settings of tokens, logins and lock-outs.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::{count, lifetime, seconds, whole_number};

/// Tolerated clock skew between two machines.
pub const LEEWAY_SECONDS: u64 = 5;

/// Minimum bytes of the signing key: a shorter one can be found by brute force from one token.
const SECRET_BYTES_MINIMUM: usize = 32;

/// Lifetimes of tokens, and lock-outs of accounts.
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// Signing key of access tokens, at least 32 bytes (default: random at each start; required in production)
    #[arg(long, env = "JWT_SECRET", value_parser = secret, global = true, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

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

    /// Consecutive wrong passwords that lock an account
    #[arg(long, env = "LOGIN_FAILURES", value_parser = count::<u16>, default_value = "5", global = true, hide_env_values = true)]
    pub login_failures: u16,

    /// Duration of a lock-out after wrong passwords, in seconds
    #[arg(id = "lock_out_seconds", long = "lock-out-seconds", env = "LOCK_OUT_SECONDS", value_parser = lifetime, default_value = "3600", global = true, hide_env_values = true)]
    pub lock_out: Duration,

    /// Duration of a lock by an admin, in seconds
    #[arg(id = "admin_lock_seconds", long = "admin-lock-seconds", env = "ADMIN_LOCK_SECONDS", value_parser = lifetime, default_value = "86400", global = true, hide_env_values = true)]
    pub admin_lock: Duration,

    /// Lifetime of a grant for a share link with a password, in seconds
    #[arg(id = "share_grant_seconds", long = "share-grant-seconds", env = "SHARE_GRANT_SECONDS", value_parser = seconds, default_value = "900", global = true, hide_env_values = true)]
    pub share_grant_lifetime: Duration,
}

/// Upper bound of `PASSWORD_QUEUE`: a longer queue outlasts every timeout.
const PASSWORD_QUEUE_MAXIMUM: usize = 100_000;

fn password_queue(text: &str) -> Result<usize, String> {
    whole_number(text, 1, PASSWORD_QUEUE_MAXIMUM)
}

fn secret(text: &str) -> Result<SecretString, String> {
    if text.len() < SECRET_BYTES_MINIMUM {
        return Err(format!("at least {SECRET_BYTES_MINIMUM} bytes"));
    }
    Ok(SecretString::from(text))
}
