//! Access tokens: signed statements of who a user is, good for a few minutes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::RngExt;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::auth::AuthSettings;

const ALGORITHM: Algorithm = Algorithm::HS256;
const ISSUER: &str = "wasteland-tarot";
const AUDIENCE: &str = "wasteland-tarot-api";
/// Clocks of two machines differ by this much at most.
const LEEWAY_SECONDS: u64 = 5;
const SECRET_BYTES: usize = 32;

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the access token has expired")]
    Expired,
    /// It is not one of ours, or was changed.
    #[error("the access token is not valid")]
    Invalid,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
}

/// Makes and checks access tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl Tokens {
    /// With the secret of the settings, or one made up now.
    #[must_use]
    pub fn new(settings: &AuthSettings) -> Self {
        let made_up: [u8; SECRET_BYTES] = rand::rng().random();
        let secret = settings
            .jwt_secret
            .as_ref()
            .map_or(made_up.as_slice(), |secret| secret.expose_secret().as_bytes());
        let mut validation = Validation::new(ALGORITHM);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            lifetime: settings.access_token_lifetime,
        }
    }

    /// A token for that user, good from now on for the lifetime of the settings.
    ///
    /// # Errors
    ///
    /// The token cannot be signed.
    pub fn issue(&self, user: Uuid) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = Claims {
            sub: user,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now.as_secs(),
            exp: (now + self.lifetime).as_secs(),
        };
        encode(&Header::new(ALGORITHM), &claims, &self.encoding)
    }

    /// The user that a token speaks for.
    ///
    /// # Errors
    ///
    /// It has expired or is not ours.
    pub fn check(&self, token: &str) -> Result<Uuid, TokenError> {
        decode::<Claims>(token, &self.decoding, &self.validation)
            .map(|token| token.claims.sub)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            })
    }
}
