//! Logins: what a right password gives, an access token for minutes and a refresh token for weeks.
//!
//! A refresh token is exchanged once. The tokens that followed from one login are a family; one that
//! is presented again ends the family, because somebody else may have it. The exception is a client
//! that lost the answer, or has two tabs: for a short while, and as long as what it was exchanged for
//! was not used, a token gives another successor and the first one dies.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use rand::RngExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use super::tokens::AccessToken;
use crate::db::login_sessions::{
    LoginRow, RefreshTokenRow, login_insert, login_locked, login_revoke, logins_revoke_all,
    refresh_token_by_hash, refresh_token_by_id, refresh_token_insert, refresh_token_revoke,
    refresh_token_use,
};
use crate::db::users::{UserRow, ViewerLock, viewer_locked};
use crate::db::{Session, Transaction};
use crate::domain::user_error::{UserError, UserErrorCode};

/// Random bytes of a refresh token.
const TOKEN_BYTES: usize = 32;

/// What a client keeps of a login. It is a secret, so it has no `Debug`.
pub struct Login {
    /// Good for minutes.
    pub access_token: String,
    /// Until then.
    pub access_token_expires_at: DateTime<Utc>,
    /// Good for weeks, once.
    pub refresh_token: String,
    /// Until then.
    pub refresh_token_expires_at: DateTime<Utc>,
}

/// Begins a login of a user.
///
/// # Errors
///
/// A statement fails.
pub async fn begin(
    transaction: &Transaction,
    services: &Services,
    user: Uuid,
) -> Result<Login, ServiceError> {
    let now = services.clock.now();
    let login = LoginRow {
        id: Uuid::now_v7(),
        user_id: user,
        expires_at: now + services.settings.auth.session_lifetime,
        revoked_at: None,
        created_at: now,
        updated_at: now,
    };
    login_insert(transaction, login.clone()).await?;
    Ok(renew(transaction, services, &login).await?.0)
}

/// Another pair of tokens of a login, and the id of the new refresh token.
async fn renew(
    transaction: &Transaction,
    services: &Services,
    login: &LoginRow,
) -> Result<(Login, Uuid), ServiceError> {
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
        successor_id: None,
        revoked_at: None,
        created_at: now,
        updated_at: now,
    };
    let id = row.id;
    refresh_token_insert(transaction, row).await?;
    let of_login = AccessToken { user: login.user_id, login: Some(login.id) };
    let access = services.tokens.issue(of_login, now)?;
    let login = Login {
        access_token: access.token,
        access_token_expires_at: access.expires_at,
        refresh_token,
        refresh_token_expires_at: expires_at,
    };
    Ok((login, id))
}

/// Exchanges a refresh token.
///
/// # Errors
///
/// `SESSION_EXPIRED` if it is none of ours, over, or was used before; or a statement fails.
pub async fn refresh(
    session: &Session,
    services: &Services,
    token: &str,
) -> Result<(Login, UserRow), ServiceError> {
    let hash = hash_of(token);
    let exchanged = session
        .transaction(|transaction| async move { exchange(&transaction, services, &hash).await })
        .await?;
    exchanged.ok_or_else(expired)
}

/// Answers nothing, and keeps what was written, where the token is good no more.
async fn exchange(
    transaction: &Transaction,
    services: &Services,
    hash: &str,
) -> Result<Option<(Login, UserRow)>, ServiceError> {
    let now = services.clock.now();
    let Some(found) = refresh_token_by_hash(transaction, hash).await? else { return Ok(None) };
    let Some(user) = viewer_locked(transaction, found.user_id, ViewerLock::Shared).await? else {
        return Ok(None);
    };
    let Some(login) = login_locked(transaction, found.family_id).await? else { return Ok(None) };
    if login.revoked_at.is_some() || login.expires_at <= now {
        return Ok(None);
    }
    // Again, because somebody may have used it before the login was locked.
    let Some(token) = refresh_token_by_id(transaction, found.id).await? else { return Ok(None) };
    let mut used_at = now;
    if token.revoked_at.is_some() {
        // One that died because its forerunner was presented again: its holder comes late.
        login_revoke(transaction, user.id, login.id, now).await?;
        return Ok(None);
    }
    if token.expires_at <= now {
        return Ok(None);
    }
    if let Some(first_use) = token.used_at {
        let successor = match token.successor_id {
            Some(id) => refresh_token_by_id(transaction, id).await?,
            None => None,
        };
        let is_in_grace = now <= first_use + services.settings.auth.refresh_grace;
        let unused = successor.filter(|successor| is_in_grace && successor.used_at.is_none());
        let Some(unused) = unused else {
            login_revoke(transaction, user.id, login.id, now).await?;
            return Ok(None);
        };
        refresh_token_revoke(transaction, unused.id, now).await?;
        used_at = first_use;
    }
    let (renewed, successor) = renew(transaction, services, &login).await?;
    refresh_token_use(transaction, token.id, successor, used_at, now).await?;
    Ok(Some((renewed, user)))
}

/// Which login ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOut<'a> {
    /// The one that this refresh token is of.
    OfToken(&'a str),
    /// The one that this access token came from.
    OfAccess(AccessToken),
}

/// Ends a login, or all logins of its user; answers whether there was one.
///
/// # Errors
///
/// A statement fails.
pub async fn log_out(
    session: &Session,
    services: &Services,
    which: LogOut<'_>,
    everywhere: bool,
) -> Result<bool, ServiceError> {
    let now = services.clock.now();
    session
        .transaction(|transaction| async move {
            let of = match which {
                LogOut::OfAccess(AccessToken { user, login }) => Some((user, login)),
                LogOut::OfToken(token) => of_token(&transaction, token, now).await?,
            };
            let ended = match of {
                Some((user, _)) if everywhere => logins_revoke_all(&transaction, user, now).await?,
                Some((user, Some(login))) => login_revoke(&transaction, user, login, now).await?,
                _ => 0,
            };
            Ok(ended > 0)
        })
        .await
}

/// The user and the login of a refresh token, unless the login is over: an old token ends nothing.
async fn of_token(
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
    UserError::of_whole(UserErrorCode::SessionExpired, "the session is over; log in again").into()
}

/// There is no refresh token at all.
#[must_use]
pub fn no_session() -> UserError {
    UserError::of_whole(UserErrorCode::SessionExpired, "there is no session; log in")
}

/// A refresh token as it is stored.
fn hash_of(token: &str) -> String {
    hex(&Sha256::digest(token))
}

/// As hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
