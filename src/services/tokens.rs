//! Signed statements, good for a few minutes: access tokens, which say who a user is, and grants,
//! which say that the password of a share link was given.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::RngExt;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::auth::AuthSettings;

const ALGORITHM: Algorithm = Algorithm::HS256;
const ISSUER: &str = "wasteland-tarot";
const AUDIENCE: &str = "wasteland-tarot-api";
const GRANT_AUDIENCE: &str = "wasteland-tarot-share";
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
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
}

/// Whom an access token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessToken {
    /// The user.
    pub user: Uuid,
    /// The login that it came from, if from one.
    pub login: Option<Uuid>,
}

/// A token and its end. It is a secret, so it has no `Debug`.
pub struct Issued {
    /// The token.
    pub token: String,
    /// From when on it is good no more.
    pub expires_at: DateTime<Utc>,
}

/// Makes and checks tokens.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    access: Validation,
    grant: Validation,
    access_lifetime: Duration,
    grant_lifetime: Duration,
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
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            access: validation(AUDIENCE),
            grant: validation(GRANT_AUDIENCE),
            access_lifetime: settings.access_token_lifetime,
            grant_lifetime: settings.share_grant_lifetime,
        }
    }

    /// An access token for that user, good from that time on for the lifetime of the settings.
    ///
    /// # Errors
    ///
    /// The token cannot be signed.
    pub fn issue(
        &self,
        AccessToken { user, login }: AccessToken,
        now: DateTime<Utc>,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        self.sign(AUDIENCE, user, login, now, self.access_lifetime)
    }

    /// Whom an access token speaks for.
    ///
    /// # Errors
    ///
    /// It has expired or is not ours.
    pub fn check(&self, token: &str) -> Result<AccessToken, TokenError> {
        let claims = self.claims(token, &self.access)?;
        Ok(AccessToken { user: claims.sub, login: claims.sid })
    }

    /// A grant for that share link.
    ///
    /// # Errors
    ///
    /// It cannot be signed.
    pub fn grant(
        &self,
        share: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        self.sign(GRANT_AUDIENCE, share, None, now, self.grant_lifetime)
    }

    /// Whether a grant is one for that share link.
    #[must_use]
    pub fn is_granted(&self, grant: &str, share: Uuid) -> bool {
        self.claims(grant, &self.grant).is_ok_and(|claims| claims.sub == share)
    }

    fn sign(
        &self,
        audience: &str,
        subject: Uuid,
        login: Option<Uuid>,
        now: DateTime<Utc>,
        lifetime: Duration,
    ) -> Result<Issued, jsonwebtoken::errors::Error> {
        let expires_at = now + lifetime;
        let claims = Claims {
            sub: subject,
            iss: ISSUER.to_owned(),
            aud: audience.to_owned(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            sid: login,
        };
        let token = encode(&Header::new(ALGORITHM), &claims, &self.encoding)?;
        Ok(Issued { token, expires_at })
    }

    fn claims(&self, token: &str, validation: &Validation) -> Result<Claims, TokenError> {
        decode::<Claims>(token, &self.decoding, validation).map(|token| token.claims).map_err(
            |error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            },
        )
    }
}

fn validation(audience: &str) -> Validation {
    let mut validation = Validation::new(ALGORITHM);
    validation.leeway = LEEWAY_SECONDS;
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}
