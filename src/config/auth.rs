//! Settings of tokens, logins and lock-outs.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::{count, lifetime, seconds, whole_number};

/// A shorter secret could be guessed from one token.
const SECRET_BYTES_MINIMUM: usize = 32;

/// How tokens are made and checked, and when logins are refused.
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// Key that signs access tokens, 32 bytes or more (random at each start in development; required in production)
    #[arg(long, env = "JWT_SECRET", value_parser = secret, global = true, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

    /// Seconds for which an access token is good
    #[arg(id = "access_token_seconds", long = "access-token-seconds", env = "ACCESS_TOKEN_SECONDS", value_parser = seconds, default_value = "900", global = true, hide_env_values = true)]
    pub access_token_lifetime: Duration,

    /// Seconds for which a refresh token is good; each use gives a new one
    #[arg(id = "refresh_token_seconds", long = "refresh-token-seconds", env = "REFRESH_TOKEN_SECONDS", value_parser = lifetime, default_value = "1209600", global = true, hide_env_values = true)]
    pub refresh_token_lifetime: Duration,

    /// Seconds after a login when its last refresh token ends, however often it was renewed
    #[arg(id = "session_seconds", long = "session-seconds", env = "SESSION_SECONDS", value_parser = lifetime, default_value = "7776000", global = true, hide_env_values = true)]
    pub session_lifetime: Duration,

    /// Seconds after its use in which a refresh token may be used again, if what it was exchanged for was not used
    #[arg(id = "refresh_grace_seconds", long = "refresh-grace-seconds", env = "REFRESH_GRACE_SECONDS", value_parser = seconds, default_value = "30", global = true, hide_env_values = true)]
    pub refresh_grace: Duration,

    /// Passwords that may wait to be hashed; more are refused
    #[arg(long, env = "PASSWORD_QUEUE", value_parser = password_queue, default_value = "100", global = true, hide_env_values = true)]
    pub password_queue: usize,

    /// Wrong passwords in a row that lock an account
    #[arg(long, env = "LOGIN_FAILURES", value_parser = count::<u16>, default_value = "5", global = true, hide_env_values = true)]
    pub login_failures: u16,

    /// Seconds for which wrong passwords lock an account
    #[arg(id = "lock_out_seconds", long = "lock-out-seconds", env = "LOCK_OUT_SECONDS", value_parser = lifetime, default_value = "3600", global = true, hide_env_values = true)]
    pub lock_out: Duration,

    /// Seconds for which an admin locks an account
    #[arg(id = "admin_lock_seconds", long = "admin-lock-seconds", env = "ADMIN_LOCK_SECONDS", value_parser = lifetime, default_value = "86400", global = true, hide_env_values = true)]
    pub admin_lock: Duration,

    /// Seconds for which the password of a share link need not be given again
    #[arg(id = "share_grant_seconds", long = "share-grant-seconds", env = "SHARE_GRANT_SECONDS", value_parser = seconds, default_value = "900", global = true, hide_env_values = true)]
    pub share_grant_lifetime: Duration,
}

/// More would wait for longer than anybody does.
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
