//! Moderation by admins: deactivates users, and hides and deletes public readings. Each change has a reason, which
//! its entry in the audit log states, and one transaction with the role of the admin, the change, the entry and the
//! invalidation of all caches.
//!
//! A deactivated user is a row of `users`: statements on public readings leave out those of inactive users, so one
//! small commit takes away all of their readings at once, however many they are. A hidden reading is a private one
//! with a row in `hidden_readings`.

use uuid::Uuid;

use super::Services;
use super::accounts::Client;
use super::admin::{lock_admin, lock_admin_and};
use super::audit::AuditEntry;
use super::error::ServiceError;
use super::logins;
use super::maintenance::fold_within;
use super::readings::remove;
use super::validation::{Lines, Validator};
use super::write_transaction::WriteTransaction;
use crate::cache::invalidation::{InvalidationEvent, ReadingVisibility};
use crate::config::content::REASON;
use crate::db::Session;
use crate::db::audit_log::audit_log_has;
use crate::db::counters::{counter_delta_insert, counter_delta_of_user};
use crate::db::hidden_readings::{
    ModeratedReading, any_reading_by_id, moderated_reading_by_id, moderated_reading_locked,
    reading_hide, reading_unhide,
};
use crate::db::readings::ReadingRow;
use crate::db::users::{AdminUserRow, UserRow, ViewerLock, admin_user_by_id, user_set_active};
use crate::domain::audit::{AuditAction, AuditTarget};
use crate::domain::user_error::UserErrorCode;

/// Result of a moderation.
#[derive(Debug, Clone)]
pub struct Moderated<T> {
    /// The object after it.
    pub object: T,
    /// False if the object was in that state before, and nothing was written.
    pub is_changed: bool,
}

fn checked_reason(reason: &str) -> Result<String, ServiceError> {
    let mut validator = Validator::default();
    let reason = validator.text("reason", reason, &REASON, Lines::Multiple);
    validator.finish()?;
    Ok(reason)
}

/// State of a user: an active one may sign in, and others see what is public of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activity {
    Active,
    Inactive,
}

/// Deactivates a user: ends their sessions and access tokens, and takes away what others see of them.
///
/// # Errors
///
/// `Forbidden` for others than admins, `NotFound`, `UserErrors` for an invalid reason and for the admin's own
/// account, `RateLimited`.
pub async fn deactivate_user(
    session: &Session,
    services: &Services,
    client: Client,
    user: Uuid,
    reason: &str,
) -> Result<Moderated<AdminUserRow>, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    if client.viewer == user {
        // So that an active admin is always left.
        let message = "you cannot deactivate yourself";
        return Err(ServiceError::user_error("userId", UserErrorCode::Invalid, message));
    }
    set_activity(session, services, client, user, Activity::Inactive, checked_reason(reason)?).await
}

/// Reactivates a user, whose profile and readings are seen again. Sessions stay ended.
///
/// # Errors
///
/// As [`deactivate_user`].
pub async fn reactivate_user(
    session: &Session,
    services: &Services,
    client: Client,
    user: Uuid,
    reason: &str,
) -> Result<Moderated<AdminUserRow>, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    set_activity(session, services, client, user, Activity::Active, checked_reason(reason)?).await
}

async fn set_activity(
    session: &Session,
    services: &Services,
    client: Client,
    user: Uuid,
    activity: Activity,
    reason: String,
) -> Result<Moderated<AdminUserRow>, ServiceError> {
    let moderated = services.write(session, |transaction| async move {
        // Exclusive: writes of the user end before it, or find the user inactive.
        let lock = ViewerLock::Exclusive;
        let before = lock_admin_and(&transaction, client.viewer, Some(user), lock).await?;
        let before = before.ok_or(ServiceError::NotFound("user"))?;
        let is_changed = before.is_active != (activity == Activity::Active);
        if is_changed {
            change_activity(&transaction, services, before, activity).await?;
            let action = match activity {
                Activity::Active => AuditAction::UserReactivated,
                Activity::Inactive => AuditAction::UserDeactivated,
            };
            let entry = AuditEntry::new(action, client.actor(), AuditTarget::user(user));
            transaction.audit(entry.with_reason(reason), services.clock.now()).await?;
        }
        let row = admin_user_by_id(&transaction, user).await?;
        let object = row.ok_or(ServiceError::NotFound("user"))?;
        Ok(Moderated { object, is_changed })
    });
    moderated.await
}

async fn change_activity(
    transaction: &WriteTransaction,
    services: &Services,
    user: UserRow,
    activity: Activity,
) -> Result<(), ServiceError> {
    let (now, UserRow { id, username, .. }) = (services.clock.now(), user);
    let delta = counter_delta_of_user(transaction, id).await?;
    let delta = match activity {
        Activity::Active => {
            transaction.invalidate(InvalidationEvent::UserReactivated);
            delta
        }
        Activity::Inactive => {
            transaction.invalidate(InvalidationEvent::UserDeactivated { user: id, username });
            logins::end_all(transaction, id, now).await?;
            delta.reversed()
        }
    };
    counter_delta_insert(transaction, delta, now).await?;
    fold_within(transaction, now).await?;
    Ok(user_set_active(transaction, id, activity == Activity::Active, now).await?)
}

/// A public or hidden reading, whoever owns it. The caller has verified the admin role.
pub async fn reading(session: &Session, id: Uuid) -> Result<Option<ReadingRow>, ServiceError> {
    Ok(moderated_reading_by_id(session, id).await?)
}

fn no_such_reading() -> ServiceError {
    let message = "there is no such public reading";
    ServiceError::user_error("readingId", UserErrorCode::NotFound, message)
}

/// Hides a public reading, so that its owner and admins alone see it, and why.
///
/// # Errors
///
/// `Forbidden` for others than admins, `UserErrors` for an invalid reason, and for a reading that does not exist or
/// that its owner has not published, `RateLimited`.
pub async fn hide_reading(
    session: &Session,
    services: &Services,
    client: Client,
    id: Uuid,
    reason: &str,
) -> Result<Moderated<ReadingRow>, ServiceError> {
    set_concealment(session, services, client, id, Concealment::Hidden, reason).await
}

/// Gives a hidden reading back the privacy level that its owner has chosen.
///
/// # Errors
///
/// As [`hide_reading`].
pub async fn unhide_reading(
    session: &Session,
    services: &Services,
    client: Client,
    id: Uuid,
    reason: &str,
) -> Result<Moderated<ReadingRow>, ServiceError> {
    set_concealment(session, services, client, id, Concealment::Shown, reason).await
}

/// State of a reading that its owner has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concealment {
    Hidden,
    Shown,
}

async fn set_concealment(
    session: &Session,
    services: &Services,
    client: Client,
    id: Uuid,
    concealment: Concealment,
    reason: &str,
) -> Result<Moderated<ReadingRow>, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    let reason = checked_reason(reason)?;
    let now = services.clock.now();
    let moderated = services.write(session, |transaction| async move {
        lock_admin(&transaction, client.viewer).await?;
        let found = moderated_reading_locked(&transaction, id).await?;
        let ModeratedReading { reading, hidden } = found.ok_or_else(no_such_reading)?;
        let action = match (concealment, hidden) {
            (Concealment::Hidden, None) => {
                reading_hide(&transaction, &reading, reason.clone(), now).await?;
                AuditAction::ReadingHidden
            }
            (Concealment::Shown, Some(hidden)) => {
                reading_unhide(&transaction, &hidden, now).await?;
                AuditAction::ReadingUnhidden
            }
            _ => return Ok(Moderated { object: reading, is_changed: false }),
        };
        transaction.invalidate(public_reading_changed(&reading));
        let entry = AuditEntry::new(action, client.actor(), AuditTarget::reading(id));
        transaction.audit(entry.with_reason(reason), now).await?;
        // No longer public if its owner has made it private while it was hidden.
        let object = any_reading_by_id(&transaction, id).await?.ok_or_else(no_such_reading)?;
        Ok(Moderated { object, is_changed: true })
    });
    moderated.await
}

fn public_reading_changed(reading: &ReadingRow) -> InvalidationEvent {
    InvalidationEvent::ReadingChanged {
        reading: reading.id,
        owner: reading.user_id,
        visibility: ReadingVisibility::Public,
    }
}

/// Deletes a public or a hidden reading, with its cards and share links. Returns false if it was deleted so before.
///
/// # Errors
///
/// As [`hide_reading`].
pub async fn delete_reading(
    session: &Session,
    services: &Services,
    client: Client,
    id: Uuid,
    reason: &str,
) -> Result<bool, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    let reason = checked_reason(reason)?;
    let now = services.clock.now();
    let deleted = services.write(session, |transaction| async move {
        // Whose counters change is decided under the lock of the owner, who may be deactivated meanwhile.
        let owner = moderated_reading_by_id(&transaction, id).await?.map(|reading| reading.user_id);
        let lock = ViewerLock::Shared;
        let owner = lock_admin_and(&transaction, client.viewer, owner, lock).await?;
        let found = moderated_reading_locked(&transaction, id).await?;
        let (Some(ModeratedReading { reading, .. }), Some(owner)) = (found, owner) else {
            let is_deleted = audit_log_has(&transaction, AuditAction::ReadingDeleted, id).await?;
            return if is_deleted { Ok(false) } else { Err(no_such_reading()) };
        };
        transaction.invalidate(public_reading_changed(&reading));
        remove(&transaction, &owner, &reading, now).await?;
        let target = AuditTarget::reading(id);
        let entry = AuditEntry::new(AuditAction::ReadingDeleted, client.actor(), target);
        transaction.audit(entry.with_reason(reason), now).await?;
        fold_within(&transaction, now).await?;
        Ok(true)
    });
    deleted.await
}
