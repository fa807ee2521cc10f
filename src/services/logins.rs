//! Logins and their tokens: a short-lived access token and a rotating refresh token.
//!
//! All refresh tokens of a login are a family: a tree, because a token that is presented again within the
//! grace period after its first use gets a further successor. Tabs of a browser share a token and refresh it
//! at the same time, and a client that lost a response repeats its request. All successors are live until
//! one of them is used after the grace period; that ends all others of the family. A token that is presented
//! later, or after it has ended, revokes the login: two parties hold its tokens, one of which may be a thief.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rand::RngExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Services;
use super::audit::AuditEntry;
use super::error::ServiceError;
use super::login_throttles::network_hash;
use super::token_revocations::revoke_access_tokens;
use super::tokens::AccessClaims;
use super::write_transaction::WriteTransaction;
use crate::db::login_sessions::{
    LoginRow, RefreshTokenRow, login_insert, login_locked, login_revoke, logins_revoke_all,
    refresh_token_by_hash, refresh_token_by_id, refresh_token_insert, refresh_token_use,
    refresh_tokens_revoke_others,
};
use crate::db::token_revocations::token_epoch;
use crate::db::users::{UserRow, ViewerLock, viewer_locked};
use crate::db::{Session, Transaction};
use crate::domain::audit::{AuditAction, AuditActor, AuditTarget};
use crate::domain::user_error::{UserError, UserErrorCode};

/// Random bytes of a refresh token.
const TOKEN_BYTES: usize = 32;

/// Tokens of a login. They are secrets, so it has no `Debug`.
pub struct TokenPair {
    /// JWT, valid for minutes.
    pub access_token: String,
    /// Expiry of the access token.
    pub access_token_expires_at: DateTime<Utc>,
    /// Random token, valid for weeks and exchanged once.
    pub refresh_token: String,
    /// Expiry of the refresh token.
    pub refresh_token_expires_at: DateTime<Utc>,
}

/// Starts a login of a user from that address.
pub async fn begin(
    transaction: &Transaction,
    services: &Services,
    user: Uuid,
    address: IpAddr,
) -> Result<TokenPair, ServiceError> {
    let now = services.clock.now();
    let login = LoginRow {
        id: Uuid::now_v7(),
        user_id: user,
        network: Some(network_hash(user, address)),
        expires_at: now + services.settings.auth.session_lifetime,
        revoked_at: None,
        created_at: now,
        updated_at: now,
    };
    login_insert(transaction, login.clone()).await?;
    issue_tokens(transaction, services, &login, None).await
}

/// Issues a pair of tokens of a login. The first pair of a login has no predecessor.
async fn issue_tokens(
    transaction: &Transaction,
    services: &Services,
    login: &LoginRow,
    predecessor_used_at: Option<DateTime<Utc>>,
) -> Result<TokenPair, ServiceError> {
    let now = services.clock.now();
    let secret: [u8; TOKEN_BYTES] = rand::rng().random();
    let refresh_token = URL_SAFE_NO_PAD.encode(secret);
    let expires_at = (now + services.settings.auth.refresh_token_lifetime).min(login.expires_at);
    let row = RefreshTokenRow {
        id: Uuid::now_v7(),
        user_id: login.user_id,
        token_hash: hash_of(&refresh_token),
        family_id: login.id,
        expires_at,
        used_at: None,
        predecessor_used_at,
        revoked_at: None,
        created_at: now,
        updated_at: now,
    };
    refresh_token_insert(transaction, row).await?;
    let epoch = token_epoch(transaction, login.user_id).await?;
    let of_login = AccessClaims { user: login.user_id, login: Some(login.id), epoch };
    let access = services.tokens.issue_access_token(of_login, now)?;
    Ok(TokenPair {
        access_token: access.token,
        access_token_expires_at: access.expires_at,
        refresh_token,
        refresh_token_expires_at: expires_at,
    })
}

/// Exchanges a refresh token for a new pair of tokens.
///
/// # Errors
///
/// `SESSION_EXPIRED` if the token is unknown, expired, revoked, or used again after its grace period.
pub async fn refresh(
    session: &Session,
    services: &Services,
    address: IpAddr,
    token: &str,
) -> Result<(TokenPair, UserRow), ServiceError> {
    let hash = hash_of(token);
    let exchanged = services
        .write(session, |write| async move { exchange(&write, services, address, &hash).await })
        .await?;
    exchanged.ok_or_else(expired)
}

/// Returns `None` for an invalid token. That is no error, so that the revocation of a reused token's login
/// is committed.
async fn exchange(
    transaction: &WriteTransaction,
    services: &Services,
    address: IpAddr,
    hash: &str,
) -> Result<Option<(TokenPair, UserRow)>, ServiceError> {
    let now = services.clock.now();
    let Some(found) = refresh_token_by_hash(transaction, hash).await? else { return Ok(None) };
    let Some(user) = viewer_locked(transaction, found.user_id, ViewerLock::Shared).await? else {
        return Ok(None);
    };
    let Some(login) = login_locked(transaction, found.family_id).await? else { return Ok(None) };
    if login.revoked_at.is_some() || login.expires_at <= now {
        return Ok(None);
    }
    // Read again, because the token may have been used before the login was locked.
    let Some(token) = refresh_token_by_id(transaction, found.id).await? else { return Ok(None) };
    let is_over = |began: DateTime<Utc>| began + services.settings.auth.refresh_grace < now;
    if token.revoked_at.is_some() {
        end_reused(transaction, &login, address, now).await?;
        return Ok(None);
    }
    if token.expires_at <= now {
        return Ok(None);
    }
    if token.used_at.is_some_and(is_over) {
        end_reused(transaction, &login, address, now).await?;
        return Ok(None);
    }
    if token.used_at.is_none() {
        refresh_token_use(transaction, token.id, now).await?;
        if token.predecessor_used_at.is_some_and(is_over) {
            refresh_tokens_revoke_others(transaction, login.id, token.id, now).await?;
        }
    }
    // The grace period begins with the first use, and no later use prolongs it.
    let used_at = token.used_at.unwrap_or(now);
    let tokens = issue_tokens(transaction, services, &login, Some(used_at)).await?;
    Ok(Some((tokens, user)))
}

/// Revokes a login one of whose refresh tokens was presented again after its end.
async fn end_reused(
    transaction: &WriteTransaction,
    login: &LoginRow,
    address: IpAddr,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    login_revoke(transaction, login.user_id, login.id, now).await?;
    let (actor, target) = (AuditActor::Address(address), AuditTarget::user(login.user_id));
    transaction.audit(AuditEntry::new(AuditAction::RefreshTokenReused, actor, target), now).await
}

/// Ends all logins of a user and their access tokens. Returns the number of logins.
pub async fn end_all(
    transaction: &WriteTransaction,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<u64, ServiceError> {
    revoke_access_tokens(transaction, user, now).await?;
    Ok(logins_revoke_all(transaction, user, now).await?)
}

/// Token that identifies the login to revoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutTarget<'a> {
    /// A refresh token of the login.
    RefreshToken(&'a str),
    /// Verified claims of an access token.
    AccessToken(AccessClaims),
}

/// Extent of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutScope {
    /// The login of the token.
    ThisLogin,
    /// All logins of its user.
    AllLogins,
}

/// Revokes a login, or all logins of its user. Returns `false` if there was none to revoke.
pub async fn log_out(
    session: &Session,
    services: &Services,
    target: LogoutTarget<'_>,
    scope: LogoutScope,
) -> Result<bool, ServiceError> {
    let now = services.clock.now();
    services
        .write(session, |transaction| async move {
            let login = match target {
                LogoutTarget::AccessToken(AccessClaims { user, login, .. }) => Some((user, login)),
                LogoutTarget::RefreshToken(token) => {
                    login_of_refresh_token(&transaction, token, now).await?
                }
            };
            let Some((user, login)) = login else { return Ok(false) };
            let revoked = match (scope, login) {
                (LogoutScope::AllLogins, _) => end_all(&transaction, user, now).await?,
                (LogoutScope::ThisLogin, Some(login)) => {
                    login_revoke(&transaction, user, login, now).await?
                }
                (LogoutScope::ThisLogin, None) => 0,
            };
            Ok(revoked > 0)
        })
        .await
}

/// User and login of a refresh token, unless the login has ended.
async fn login_of_refresh_token(
    transaction: &Transaction,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Uuid, Option<Uuid>)>, ServiceError> {
    let token = refresh_token_by_hash(transaction, &hash_of(token)).await?;
    let Some(token) = token else { return Ok(None) };
    let login = login_locked(transaction, token.family_id).await?;
    let login = login.filter(|login| login.revoked_at.is_none() && login.expires_at > now);
    Ok(login.map(|login| (login.user_id, Some(login.id))))
}

fn expired() -> ServiceError {
    UserError::whole_input(UserErrorCode::SessionExpired, "the session is over; log in again")
        .into()
}

/// User error for a request without a refresh token.
#[must_use]
pub fn no_session() -> UserError {
    UserError::whole_input(UserErrorCode::SessionExpired, "there is no session; log in")
}

/// SHA-256 of a refresh token in hexadecimal, as it is stored.
fn hash_of(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}
