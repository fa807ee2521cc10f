//! Share links: whoever has one reads one reading, until it is over or revoked.

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
use super::idempotency::{Repeatable, Who, made_before};
use super::input::{Checks, Lines};
use super::throttle::Key;
use super::tokens::Issued;
use crate::config::content::{SHARE_DESCRIPTION, SHARE_LINKS, SHARE_PASSWORD, SHARE_TITLE};
use crate::db::Session;
use crate::db::reading_writes::{own_reading_by_id, own_reading_locked};
use crate::db::readings::ReadingRow;
use crate::db::shares::{
    ShareRow, SharedReadingRow, open_shares_by_reading_id, own_shares_by_id, share_accesses_add,
    share_insert, share_revoke, shared_reading_by_token,
};
use crate::db::users::ViewerLock;
use crate::domain::lock::lock;
use crate::domain::user_error::{UserError, UserErrorCode};

/// What is later is no time of either database's.
const LAST_YEAR: i32 = 9_999;
/// Random bytes of a link.
const TOKEN_BYTES: usize = 16;

/// A link that somebody wants.
#[derive(Clone, Serialize)]
#[expect(missing_docs, reason = "a field an input")]
pub struct ShareInput {
    pub reading: Uuid,
    pub title: Option<String>,
    pub description: Option<String>,
    #[serde(serialize_with = "whether_given")]
    pub password: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A repetition with a password is none of a request without one. What the password was is not kept,
/// not even as the hash of a request.
#[expect(clippy::ref_option, reason = "serde gives it so")]
fn whether_given<S: Serializer>(
    password: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(password.is_some())
}

/// Makes a link to a reading of the viewer's. Answers it, or what the same request made before, and
/// the reading.
///
/// # Errors
///
/// The input is refused, there are too many links, the viewer has no such reading, or a statement
/// fails.
pub async fn share(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: ShareInput,
    idempotency_key: Option<&str>,
) -> Result<(Option<ShareRow>, ReadingRow), ServiceError> {
    let repeatable = Repeatable::new(Who::User(viewer), "shareReading", idempotency_key, &input)?;
    let (mut share, password) = checked(services, input)?;
    if let Some(password) = password {
        // Hashing takes long: only for whom it may be of use, and while no connection is held.
        let reading = own_reading_by_id(session, viewer, share.reading_id).await?;
        reading.ok_or(ServiceError::NotFound("reading"))?;
        session.release().await;
        share.password_hash = Some(services.passwords.hash(password).await?);
    }
    let now = services.clock.now();
    let repeatable = repeatable.as_ref();
    let shared = session.transaction(|transaction| async move {
        lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        // Locked, so that two links that are made at once are counted one after the other.
        let reading = own_reading_locked(&transaction, viewer, share.reading_id).await?;
        let reading = reading.ok_or(ServiceError::NotFound("reading"))?;
        if let Some(before) = made_before(&transaction, services, repeatable, share.id).await? {
            let before = own_shares_by_id(&transaction, viewer, &[before]).await?;
            return Ok((before.into_iter().next(), reading));
        }
        check_expiry(share.expires_at, now)?;
        let open = open_shares_by_reading_id(&transaction, viewer, &[reading.id], now).await?;
        if open.values().map(Vec::len).sum::<usize>() >= SHARE_LINKS {
            let message = format!("the reading has {SHARE_LINKS} open links, which is the most");
            let error = UserError::of_whole(UserErrorCode::TooMany, message);
            return Err(error.within(None, i32::try_from(SHARE_LINKS).ok()).into());
        }
        share_insert(&transaction, share.clone()).await?;
        Ok((Some(share), reading))
    });
    shared.await
}

/// A link is over at some time to come, of a year that both databases can compare.
fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<(), ServiceError> {
    let Some(expires_at) = expires_at else { return Ok(()) };
    let time = expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let message = if expires_at <= now {
        format!("expiresAt is {time}, which is over")
    } else if expires_at.year() > LAST_YEAR {
        format!("expiresAt is {time}; it must be before the year 10000")
    } else {
        return Ok(());
    };
    Err(ServiceError::refused("expiresAt", UserErrorCode::OutOfRange, message))
}

/// The link without its password's hash, and the password.
fn checked(
    services: &Services,
    input: ShareInput,
) -> Result<(ShareRow, Option<String>), ServiceError> {
    let now = services.clock.now();
    let mut checks = Checks::default();
    let title = checks.optional_text("title", input.title.as_deref(), &SHARE_TITLE, Lines::One);
    let description = checks.optional_text(
        "description",
        input.description.as_deref(),
        &SHARE_DESCRIPTION,
        Lines::Many,
    );
    // What a form sends for a field that was left empty.
    let password = input.password.filter(|password| !password.is_empty());
    if let Some(password) = &password {
        let (count, min, max) =
            (password.chars().count(), *SHARE_PASSWORD.start(), *SHARE_PASSWORD.end());
        if !SHARE_PASSWORD.contains(&count) {
            let code = if count < min { UserErrorCode::TooShort } else { UserErrorCode::TooLong };
            let message = format!("password has {count} characters; it must have {min} to {max}");
            let error = UserError::new("password", code, message);
            checks.refuse(error.within_count(&SHARE_PASSWORD));
        }
    }
    checks.finish()?;
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

/// Revokes a link of the viewer's. Answers its reading.
///
/// # Errors
///
/// The viewer has no such link, or a statement fails.
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

/// The address of a link.
#[must_use]
pub fn url_of(services: &Services, share: &ShareRow) -> String {
    format!("{}/s/{}", services.settings.public_url(), share.token)
}

/// What a stranger with a link is told.
pub enum Shared {
    /// The reading.
    Open(Box<SharedReadingRow>),
    /// That a password is wanted.
    PasswordRequired,
    /// That it is over.
    Expired,
    /// That it was revoked.
    Revoked,
}

/// What a link leads to, for somebody with that grant; nothing if there never was such a link. An
/// open one is counted.
///
/// # Errors
///
/// A statement fails.
pub async fn open(
    session: &Session,
    services: &Services,
    token: &str,
    grant: Option<&str>,
) -> Result<Option<Shared>, ServiceError> {
    let Some(found) = find(session, token).await? else { return Ok(None) };
    Ok(Some(match closed(services, &found) {
        Some(closed) => closed,
        None if found.share.password_hash.is_some()
            && !grant.is_some_and(|grant| services.tokens.is_granted(grant, found.share.id)) =>
        {
            Shared::PasswordRequired
        }
        None => {
            services.share_accesses.count(found.share.id, services.clock.now());
            Shared::Open(Box::new(found))
        }
    }))
}

async fn find(session: &Session, token: &str) -> Result<Option<SharedReadingRow>, ServiceError> {
    // PostgreSQL has no such texts and would fail on the question.
    if token.contains('\0') {
        return Ok(None);
    }
    Ok(shared_reading_by_token(session, token).await?)
}

fn closed(services: &Services, found: &SharedReadingRow) -> Option<Shared> {
    if !found.share.is_active {
        return Some(Shared::Revoked);
    }
    let now = services.clock.now();
    found.share.expires_at.filter(|expires_at| *expires_at <= now).map(|_| Shared::Expired)
}

/// A link whose password was given.
pub struct Unlocked {
    /// Shows for minutes that it was.
    pub grant: Issued,
    /// What the link leads to.
    pub shared: Box<SharedReadingRow>,
}

/// Checks the password of a link.
///
/// # Errors
///
/// The link is over or was never there, the password is wrong, there were too many attempts, or a
/// statement fails.
pub async fn unlock(
    session: &Session,
    services: &Services,
    address: IpAddr,
    token: &str,
    password: String,
) -> Result<Unlocked, ServiceError> {
    services.throttle.attempt(address)?;
    let closed_error =
        || ServiceError::refused("token", UserErrorCode::ShareClosed, "this link is closed");
    let found = find(session, token).await?.ok_or_else(closed_error)?;
    if closed(services, &found).is_some() {
        return Err(closed_error());
    }
    session.release().await;
    if let Some(hash) = found.share.password_hash.clone() {
        services.throttle.known_failures(Key::Share(found.share.id))?;
        if !services.passwords.matches(password, Some(hash)).await? {
            services.throttle.wrong_password(Key::Share(found.share.id));
            let message = "the password is wrong";
            return Err(ServiceError::refused("password", UserErrorCode::BadCredentials, message));
        }
    }
    let now = services.clock.now();
    let grant = services.tokens.grant(found.share.id, now)?;
    services.share_accesses.count(found.share.id, now);
    Ok(Unlocked { grant, shared: Box::new(found) })
}

/// How often links were opened since that was last written. What is here when a process dies is lost:
/// the counts are for people to look at.
#[derive(Debug, Default)]
pub struct ShareAccesses(Mutex<HashMap<Uuid, (i64, DateTime<Utc>)>>);

impl ShareAccesses {
    fn map(&self) -> MutexGuard<'_, HashMap<Uuid, (i64, DateTime<Utc>)>> {
        lock(&self.0)
    }

    fn count(&self, share: Uuid, at: DateTime<Utc>) {
        let mut map = self.map();
        let (count, last) = map.entry(share).or_insert((0, at));
        *count += 1;
        *last = at;
    }

    /// Writes the counts.
    ///
    /// # Errors
    ///
    /// A statement fails; then they are written the next time.
    pub async fn write(&self, session: &Session) -> Result<(), ServiceError> {
        let counted = std::mem::take(&mut *self.map());
        if counted.is_empty() {
            return Ok(());
        }
        // Each by itself: whoever deletes a reading locks its links in an order of their own.
        let mut left = counted.into_iter();
        while let Some((id, (count, last))) = left.next() {
            let written = session.transaction(|transaction| async move {
                share_accesses_add(&transaction, id, count, last).await
            });
            if let Err(error) = written.await {
                let mut map = self.map();
                for (id, (count, last)) in std::iter::once((id, (count, last))).chain(left) {
                    map.entry(id).or_insert((0, last)).0 += count;
                }
                return Err(error.into());
            }
        }
        Ok(())
    }
}
