//! JWTs, valid for minutes: access tokens, which identify a user, and grants, which prove that the
//! password of a share link was given.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use rand::RngExt;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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
    /// Not valid yet, or issued in the future.
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
    #[serde(default)]
    epoch: i32,
}

/// Verified claims of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// User id.
    pub user: Uuid,
    /// Login id; `None` of a token from the command line.
    pub login: Option<Uuid>,
    /// Epoch of the user's tokens in which it was issued.
    pub epoch: i32,
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
    header: Header,
    encoding: EncodingKey,
    /// The signing key, and earlier ones.
    keys: Vec<VerificationKey>,
    access: Validation,
    grant: Validation,
    access_lifetime: Duration,
    grant_lifetime: Duration,
}

/// A key with its id, which tokens name in their header.
struct VerificationKey {
    id: String,
    decoding: DecodingKey,
}

impl VerificationKey {
    fn new(secret: &[u8]) -> Self {
        Self { id: key_id(secret), decoding: DecodingKey::from_secret(secret) }
    }
}

/// Id of a key: a part of a hash, from which a key of full entropy cannot be found.
fn key_id(secret: &[u8]) -> String {
    const KEY_ID_BYTES: usize = 8;
    let hash =
        Sha256::new().chain_update("wasteland-tarot key id\0").chain_update(secret).finalize();
    hex::encode(&hash[..KEY_ID_BYTES])
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
        let previous = settings.jwt_previous_secrets.iter();
        let previous = previous.map(|secret| secret.expose_secret().as_bytes());
        Self {
            header: Header { kid: Some(key_id(secret)), ..Header::new(ALGORITHM) },
            encoding: EncodingKey::from_secret(secret),
            keys: std::iter::once(secret).chain(previous).map(VerificationKey::new).collect(),
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
        access: AccessClaims,
        now: DateTime<Utc>,
    ) -> Result<SignedToken, jsonwebtoken::errors::Error> {
        self.sign(AUDIENCE, access, now, self.access_lifetime)
    }

    /// Verifies an access token.
    ///
    /// # Errors
    ///
    /// The token has expired or is invalid.
    pub fn verify_access_token(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<AccessClaims, TokenError> {
        let claims = self.claims(token, &self.access, now)?;
        Ok(AccessClaims { user: claims.sub, login: claims.sid, epoch: claims.epoch })
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
        let subject = AccessClaims { user: share, login: None, epoch: 0 };
        self.sign(GRANT_AUDIENCE, subject, now, self.grant_lifetime)
    }

    /// `true` if the grant is valid and for that share link.
    #[must_use]
    pub fn verify_share_grant(&self, grant: &str, share: Uuid, now: DateTime<Utc>) -> bool {
        self.claims(grant, &self.grant, now).is_ok_and(|claims| claims.sub == share)
    }

    fn sign(
        &self,
        audience: &str,
        AccessClaims { user: subject, login, epoch }: AccessClaims,
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
            epoch,
        };
        let token = encode(&self.header, &claims, &self.encoding)?;
        Ok(SignedToken { token, expires_at })
    }

    fn claims(
        &self,
        token: &str,
        validation: &Validation,
        now: DateTime<Utc>,
    ) -> Result<JwtClaims, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        // No extension is understood here, so none may be critical (RFC 7515, section 4.1.11). The library
        // leaves that to its callers.
        if header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        // Tokens of earlier versions name no key. The id is a hint (RFC 7515, section 4.1.4).
        let named = self.keys.iter().position(|key| header.kid.as_ref() == Some(&key.id));
        let candidates = named.map_or(self.keys.as_slice(), |named| &self.keys[named..=named]);
        let mut refusal = TokenError::Invalid;
        for key in candidates {
            match decode::<JwtClaims>(token, &key.decoding, validation) {
                Ok(token) if token.claims.iat > latest_issue(now) => {
                    return Err(TokenError::NotYetValid);
                }
                Ok(token) => return Ok(token.claims),
                Err(error) => match error.kind() {
                    ErrorKind::ExpiredSignature => refusal = TokenError::Expired,
                    ErrorKind::ImmatureSignature => refusal = TokenError::NotYetValid,
                    _ => {}
                },
            }
        }
        Err(refusal)
    }
}

/// Latest time of issue of a token that is valid now: one from the future was made by somebody whose clock, or whose
/// key, cannot be trusted.
fn latest_issue(now: DateTime<Utc>) -> i64 {
    now.timestamp() + LEEWAY_SECONDS.cast_signed()
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
