//! JWTs, valid for minutes: access tokens, which identify a user, and grants, which prove that the
//! password of a share link was given.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rand::RngExt;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::token_signature::install_provider;
use crate::config::auth::{AuthSettings, LEEWAY_SECONDS};

const ALGORITHM: Algorithm = Algorithm::HS256;
const ISSUER: &str = "wasteland-tarot";
const AUDIENCE: &str = "wasteland-tarot-api";
const GRANT_AUDIENCE: &str = "wasteland-tarot-share";
const SECRET_BYTES: usize = 32;

/// Reason for which a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Expired.
    #[error("the access token has expired")]
    Expired,
    /// Not valid yet.
    #[error("the access token is not valid yet")]
    NotYetValid,
    /// Malformed, or signed with another key.
    #[error("the access token is not valid")]
    Invalid,
}

#[derive(Debug, Serialize, Deserialize)]
struct JwtClaims {
    sub: Uuid,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
}

/// Verified claims of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// User id.
    pub user: Uuid,
    /// Login id; `None` of a token from the command line.
    pub login: Option<Uuid>,
}

/// A signed token and its expiry. It is a secret, so it has no `Debug`.
pub struct SignedToken {
    /// Compact JWT.
    pub token: String,
    /// Expiry.
    pub expires_at: DateTime<Utc>,
}

/// Issuer and verifier of tokens.
pub struct TokenIssuer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    access: Validation,
    grant: Validation,
    access_lifetime: Duration,
    grant_lifetime: Duration,
}

impl TokenIssuer {
    /// An issuer with the configured signing key, or a random one.
    #[must_use]
    pub fn new(settings: &AuthSettings) -> Self {
        install_provider();
        let random: [u8; SECRET_BYTES] = rand::rng().random();
        let secret = settings
            .jwt_secret
            .as_ref()
            .map_or(random.as_slice(), |secret| secret.expose_secret().as_bytes());
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            access: validation(AUDIENCE),
            grant: validation(GRANT_AUDIENCE),
            access_lifetime: settings.access_token_lifetime,
            grant_lifetime: settings.share_grant_lifetime,
        }
    }

    /// Issues an access token, valid from `now` for the configured lifetime.
    ///
    /// # Errors
    ///
    /// The token cannot be signed.
    pub fn issue_access_token(
        &self,
        AccessClaims { user, login }: AccessClaims,
        now: DateTime<Utc>,
    ) -> Result<SignedToken, jsonwebtoken::errors::Error> {
        self.sign(AUDIENCE, user, login, now, self.access_lifetime)
    }

    /// Verifies an access token.
    ///
    /// # Errors
    ///
    /// The token has expired or is invalid.
    pub fn verify_access_token(&self, token: &str) -> Result<AccessClaims, TokenError> {
        let claims = self.claims(token, &self.access)?;
        Ok(AccessClaims { user: claims.sub, login: claims.sid })
    }

    /// Issues a grant for a share link.
    ///
    /// # Errors
    ///
    /// The grant cannot be signed.
    pub fn issue_share_grant(
        &self,
        share: Uuid,
        now: DateTime<Utc>,
    ) -> Result<SignedToken, jsonwebtoken::errors::Error> {
        self.sign(GRANT_AUDIENCE, share, None, now, self.grant_lifetime)
    }

    /// `true` if the grant is valid and for that share link.
    #[must_use]
    pub fn verify_share_grant(&self, grant: &str, share: Uuid) -> bool {
        self.claims(grant, &self.grant).is_ok_and(|claims| claims.sub == share)
    }

    fn sign(
        &self,
        audience: &str,
        subject: Uuid,
        login: Option<Uuid>,
        now: DateTime<Utc>,
        lifetime: Duration,
    ) -> Result<SignedToken, jsonwebtoken::errors::Error> {
        let expires_at = now + lifetime;
        let claims = JwtClaims {
            sub: subject,
            iss: ISSUER.to_owned(),
            aud: audience.to_owned(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            sid: login,
        };
        let token = encode(&Header::new(ALGORITHM), &claims, &self.encoding)?;
        Ok(SignedToken { token, expires_at })
    }

    fn claims(&self, token: &str, validation: &Validation) -> Result<JwtClaims, TokenError> {
        let token =
            decode::<JwtClaims>(token, &self.decoding, validation).map_err(|error| match error
                .kind()
            {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::ImmatureSignature => TokenError::NotYetValid,
                _ => TokenError::Invalid,
            })?;
        // No extension is understood here, so none may be critical (RFC 7515, section 4.1.11). The library
        // leaves that to its callers.
        if token.header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        Ok(token.claims)
    }
}

fn validation(audience: &str) -> Validation {
    let mut validation = Validation::new(ALGORITHM);
    validation.leeway = LEEWAY_SECONDS;
    // RFC 7519, section 4.1.5. The default of the library is to ignore it.
    validation.validate_nbf = true;
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}
