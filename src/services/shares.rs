//! Share links: the bearer reads one reading until the link expires or is revoked.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use rand::RngExt;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::Services;
use super::accounts::lock_viewer;
use super::error::ServiceError;
use super::hash_queue::HashClient;
use super::idempotency::{IdempotentRequest, KeyOwner, claim_idempotency_key};
use super::passwords;
use super::rate_limits::RateLimitKey;
use super::tokens::SignedToken;
use super::validation::{Lines, Validator};
use crate::config::content::{SHARE_DESCRIPTION, SHARE_LINKS, SHARE_PASSWORD, SHARE_TITLE, YEARS};
use crate::db::Session;
use crate::db::reading_writes::{own_reading_by_id, own_reading_locked};
use crate::db::readings::ReadingRow;
use crate::db::shares::{
    ShareRow, SharedReadingRow, open_shares_by_reading_id, own_shares_by_id, share_accesses_add,
    share_insert, share_revoke, shared_reading_by_token,
};
use crate::db::users::ViewerLock;
use crate::domain::counted::counted;
use crate::domain::lock::lock;
use crate::domain::user_error::{UserError, UserErrorCode};

/// Random bytes of a link's token.
const TOKEN_BYTES: usize = 16;

/// Input of a new share link.
#[derive(Clone, Serialize)]
#[expect(missing_docs, reason = "a field an input")]
pub struct ShareInput {
    pub reading: Uuid,
    pub title: Option<String>,
    pub description: Option<String>,
    #[serde(serialize_with = "serialize_presence")]
    pub password: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Serializes only the presence of a password for the fingerprint of a request: no fast hash of a password
/// is ever stored.
#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn serialize_presence<S: Serializer>(
    password: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(password.is_some())
}

/// Creates a link to a reading of the viewer. Returns it, or the link that an earlier request with the
/// same idempotency key created, and the reading.
///
/// # Errors
///
/// `UserErrors` for invalid input or too many links, `NotFound` if the viewer has no such reading.
pub async fn share(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: ShareInput,
    idempotency_key: Option<&str>,
) -> Result<(Option<ShareRow>, ReadingRow), ServiceError> {
    let idempotent =
        IdempotentRequest::new(KeyOwner::User(viewer), "shareReading", idempotency_key, &input)?;
    let (mut share, password) = checked(services, input)?;
    if let Some(password) = password {
        // Hashing takes long: it runs only for the owner, and while no connection is held.
        let reading = own_reading_by_id(session, viewer, share.reading_id).await?;
        reading.ok_or(ServiceError::NotFound("reading"))?;
        session.release().await;
        share.password_hash =
            Some(services.passwords.hash(HashClient::user(viewer), password).await?);
    }
    let now = services.clock.now();
    let idempotent = idempotent.as_ref();
    let shared = session.transaction(|transaction| async move {
        lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        // Locked, so that concurrent requests cannot exceed the maximum number of links.
        let reading = own_reading_locked(&transaction, viewer, share.reading_id).await?;
        let reading = reading.ok_or(ServiceError::NotFound("reading"))?;
        if let Some(before) =
            claim_idempotency_key(&transaction, services, idempotent, share.id).await?
        {
            let before = own_shares_by_id(&transaction, viewer, &[before]).await?;
            return Ok((before.into_iter().next(), reading));
        }
        check_expiry(share.expires_at, now)?;
        let open = open_shares_by_reading_id(&transaction, viewer, &[reading.id], now).await?;
        if open.values().map(Vec::len).sum::<usize>() >= SHARE_LINKS {
            let message = format!("the reading has {SHARE_LINKS} open links, which is the most");
            let error = UserError::whole_input(UserErrorCode::TooMany, message);
            return Err(error.within(None, i32::try_from(SHARE_LINKS).ok()).into());
        }
        share_insert(&transaction, share.clone()).await?;
        Ok((Some(share), reading))
    });
    shared.await
}

/// Validates an expiry time: in the future, and in a year that both databases can compare.
fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let Some(expires_at) = expires_at else { return Ok(()) };
    let time = expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let message = if expires_at <= now {
        format!("expiresAt is {time}, which is over")
    } else if expires_at.year() > *YEARS.end() {
        format!("expiresAt is {time}; it must be before the year 10000")
    } else {
        return Ok(());
    };
    Err(ServiceError::user_error("expiresAt", UserErrorCode::OutOfRange, message))
}

/// Validated link without its password hash, and the password.
fn checked(
    services: &Services,
    input: ShareInput,
) -> Result<(ShareRow, Option<String>), ServiceError> {
    let now = services.clock.now();
    let mut validator = Validator::default();
    let title =
        validator.optional_text("title", input.title.as_deref(), &SHARE_TITLE, Lines::Single);
    let description = validator.optional_text(
        "description",
        input.description.as_deref(),
        &SHARE_DESCRIPTION,
        Lines::Multiple,
    );
    // Forms send an empty string for an empty field.
    let password = input.password.filter(|password| !password.is_empty());
    if let Some(password) = &password {
        let (count, min, max) =
            (passwords::length(password), *SHARE_PASSWORD.start(), *SHARE_PASSWORD.end());
        if !SHARE_PASSWORD.contains(&count) {
            let code = if count < min { UserErrorCode::TooShort } else { UserErrorCode::TooLong };
            let counted = counted(count, "character");
            let message = format!("password has {counted}; it must have {min} to {max}");
            let error = UserError::new("password", code, message);
            validator.reject(error.within_count(&SHARE_PASSWORD));
        }
    }
    validator.finish()?;
    let token: [u8; TOKEN_BYTES] = rand::rng().random();
    let share = ShareRow {
        id: Uuid::now_v7(),
        reading_id: input.reading,
        token: URL_SAFE_NO_PAD.encode(token),
        password_hash: None,
        is_active: true,
        expires_at: input.expires_at,
        access_count: 0,
        last_access_at: None,
        title,
        description,
        created_at: now,
        updated_at: now,
    };
    Ok((share, password))
}

/// Revokes a link of the viewer. Returns its reading.
///
/// # Errors
///
/// `NotFound` if the viewer has no such link.
pub async fn revoke(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    id: Uuid,
) -> Result<ReadingRow, ServiceError> {
    let now = services.clock.now();
    let revoked = session.transaction(|transaction| async move {
        lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        let reading = share_revoke(&transaction, viewer, id, now).await?;
        let reading = reading.ok_or(ServiceError::NotFound("share link"))?;
        let reading = own_reading_by_id(&transaction, viewer, reading).await?;
        reading.ok_or(ServiceError::NotFound("share link"))
    });
    revoked.await
}

/// Public URL of a link.
#[must_use]
pub fn share_url(services: &Services, share: &ShareRow) -> String {
    format!("{}/s/{}", services.settings.public_url(), share.token)
}

/// Result of opening a link.
pub enum ShareAccess {
    /// An open link, with its reading.
    Open(Box<SharedReadingRow>),
    /// A link with a password, without a valid grant.
    PasswordRequired,
    /// An expired link.
    Expired,
    /// A revoked link.
    Revoked,
}

/// Opens a link with an optional grant; `None` if there was never such a link. An access of an open link
/// is counted.
pub async fn open(
    session: &Session,
    services: &Services,
    token: &str,
    grant: Option<&str>,
) -> Result<Option<ShareAccess>, ServiceError> {
    let Some(found) = find(session, token).await? else { return Ok(None) };
    Ok(Some(match closed(services, &found) {
        Some(closed) => closed,
        None if found.share.password_hash.is_some()
            && !grant.is_some_and(|grant| {
                services.tokens.verify_share_grant(grant, found.share.id, services.clock.now())
            }) =>
        {
            ShareAccess::PasswordRequired
        }
        None => {
            services.share_accesses.record(found.share.id, services.clock.now());
            ShareAccess::Open(Box::new(found))
        }
    }))
}

async fn find(session: &Session, token: &str) -> Result<Option<SharedReadingRow>, ServiceError> {
    // PostgreSQL rejects texts with NUL as parameters.
    if token.contains('\0') {
        return Ok(None);
    }
    Ok(shared_reading_by_token(session, token).await?)
}

fn closed(services: &Services, found: &SharedReadingRow) -> Option<ShareAccess> {
    if !found.share.is_active {
        return Some(ShareAccess::Revoked);
    }
    let now = services.clock.now();
    found.share.expires_at.filter(|expires_at| *expires_at <= now).map(|_| ShareAccess::Expired)
}

/// Result of [`unlock`].
pub struct UnlockedShare {
    /// Proof for some minutes that the password was given.
    pub grant: SignedToken,
    /// The link and its reading.
    pub shared: Box<SharedReadingRow>,
}

/// Verifies the password of a link and issues a grant.
///
/// # Errors
///
/// `UserErrors` for a closed or unknown link and for a wrong password, `RateLimited`, `Overloaded`.
pub async fn unlock(
    session: &Session,
    services: &Services,
    address: IpAddr,
    token: &str,
    password: String,
) -> Result<UnlockedShare, ServiceError> {
    services.rate_limits.check_login_attempt(address)?;
    let closed_error =
        || ServiceError::user_error("token", UserErrorCode::ShareClosed, "this link is closed");
    let found = find(session, token).await?.ok_or_else(closed_error)?;
    if closed(services, &found).is_some() {
        return Err(closed_error());
    }
    session.release().await;
    if let Some(hash) = found.share.password_hash.clone() {
        services.rate_limits.check_login_failures(RateLimitKey::Share(found.share.id))?;
        let client = HashClient::unknown(address);
        if !services.passwords.verify(client, password, Some(hash)).await? {
            services.rate_limits.record_login_failure(RateLimitKey::Share(found.share.id));
            let message = "the password is wrong";
            return Err(ServiceError::user_error(
                "password",
                UserErrorCode::BadCredentials,
                message,
            ));
        }
    }
    let now = services.clock.now();
    let grant = services.tokens.issue_share_grant(found.share.id, now)?;
    services.share_accesses.record(found.share.id, now);
    Ok(UnlockedShare { grant, shared: Box::new(found) })
}

/// Accesses of links that are not yet written to the database. They are lost when the process dies: the
/// counts are informational.
#[derive(Debug, Default)]
pub struct ShareAccessCounter(Mutex<HashMap<Uuid, Accesses>>);

/// Accesses of one link.
#[derive(Debug, Clone, Copy)]
struct Accesses {
    count: i64,
    last_at: DateTime<Utc>,
}

impl ShareAccessCounter {
    fn map(&self) -> MutexGuard<'_, HashMap<Uuid, Accesses>> {
        lock(&self.0)
    }

    fn record(&self, share: Uuid, at: DateTime<Utc>) {
        let mut map = self.map();
        let accesses = map.entry(share).or_insert(Accesses { count: 0, last_at: at });
        accesses.count += 1;
        accesses.last_at = at;
    }

    /// Writes the counts to the database.
    ///
    /// # Errors
    ///
    /// A statement fails; the unwritten counts stay for the next call.
    pub async fn flush(&self, session: &Session) -> Result<(), ServiceError> {
        let taken = std::mem::take(&mut *self.map());
        // One transaction a link: the deletion of a reading locks its links in another order.
        let mut unwritten = taken.into_iter();
        while let Some((id, accesses)) = unwritten.next() {
            let written = session.transaction(|transaction| async move {
                share_accesses_add(&transaction, id, accesses.count, accesses.last_at).await
            });
            if let Err(error) = written.await {
                let mut map = self.map();
                for (id, accesses) in std::iter::once((id, accesses)).chain(unwritten) {
                    let empty = Accesses { count: 0, ..accesses };
                    map.entry(id).or_insert(empty).count += accesses.count;
                }
                return Err(error.into());
            }
        }
        Ok(())
    }
}
