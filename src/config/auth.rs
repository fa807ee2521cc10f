//! Settings of tokens.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::seconds;

/// A shorter secret could be guessed from one token.
const SECRET_BYTES_MINIMUM: usize = 32;

/// How tokens are made and checked.
#[derive(Debug, Clone, Args)]
pub struct AuthSettings {
    /// Key that signs access tokens, 32 bytes or more (random at each start in development; required in production)
    #[arg(long, env = "JWT_SECRET", value_parser = secret, global = true, hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

    /// Seconds for which an access token is good
    #[arg(id = "access_token_seconds", long = "access-token-seconds", env = "ACCESS_TOKEN_SECONDS", value_parser = seconds, default_value = "900", global = true, hide_env_values = true)]
    pub access_token_lifetime: Duration,
}

fn secret(text: &str) -> Result<SecretString, String> {
    if text.len() < SECRET_BYTES_MINIMUM {
        return Err(format!("at least {SECRET_BYTES_MINIMUM} bytes"));
    }
    Ok(SecretString::from(text))
}
