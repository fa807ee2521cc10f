//! Mutations of admins: cards, spreads, locks of accounts, cache invalidation. Each is in the audit log.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::Services;
use super::accounts::{Client, lock_viewer};
use super::audit::AuditEntry;
use super::error::ServiceError;
use super::logins;
use super::maintenance::reload_catalogue;
use super::validation::{Lines, Validator};
use crate::cache::invalidation::InvalidationEvent;
use crate::cache::pattern::Pattern;
use crate::config::content::{
    CARD_MEANING, CARD_NAME, IMAGE_URL, KEYWORD, KEYWORDS, POSITION_MEANING, POSITION_NAME,
    POSITION_PLACE, POSITION_ROTATION, POSITIONS, RADIATION_LEVEL, SPREAD_DESCRIPTION,
    SPREAD_GUIDE, SPREAD_NAME, THREAT_LEVEL, VAULT,
};
use crate::db::cards::{CardChange, CardTextChange, card_change, card_text_change};
use crate::db::spreads::{
    PositionChange, SpreadChange, SpreadTextChange, positions_replace, spread_change,
    spread_text_change,
};
use crate::db::users::{
    AdminUserRow, UserRow, ViewerLock, admin_user_by_id, user_set_lock, users_locked,
};
use crate::db::{Session, Transaction};
use crate::domain::audit::{AuditAction, AuditTarget, AuditTargetKind};
use crate::domain::card::Card;
use crate::domain::faction::FactionKey;
use crate::domain::locale::Locale;
use crate::domain::spread::{Difficulty, Spread};
use crate::domain::user_error::{UserError, UserErrorCode};

/// Locks the viewer's row and requires the admin role, which is read within the transaction that uses it.
pub(super) async fn lock_admin(
    transaction: &Transaction,
    viewer: Uuid,
) -> Result<(), ServiceError> {
    let user = lock_viewer(transaction, viewer, ViewerLock::Shared).await?;
    if user.is_admin { Ok(()) } else { Err(ServiceError::Forbidden) }
}

/// Locks the rows of the viewer, whose admin role it requires, and of another user, and returns the latter. Both are
/// locked by one statement in the order of their ids: two admins who lock or deactivate each other at the same time
/// wait for one another, and do not deadlock.
pub(super) async fn lock_admin_and(
    transaction: &Transaction,
    viewer: Uuid,
    user: Option<Uuid>,
    lock: ViewerLock,
) -> Result<Option<UserRow>, ServiceError> {
    let ids: Vec<Uuid> = std::iter::once(viewer).chain(user).collect();
    let mut users = users_locked(transaction, &ids, lock).await?;
    match users.iter().find(|row| row.id == viewer && row.is_active) {
        None => return Err(ServiceError::Unauthenticated),
        Some(row) if !row.is_admin => return Err(ServiceError::Forbidden),
        Some(_) => {}
    }
    let place = users.iter().position(|row| Some(row.id) == user);
    Ok(place.map(|place| users.swap_remove(place)))
}

/// Invalidates all cache entries whose keys match a pattern, on all servers. Returns the number of removed
/// entries on this one. The caller has verified the admin role.
///
/// # Errors
///
/// `UserErrors` for an invalid pattern, `RateLimited`.
pub async fn invalidate_cache(
    session: &Session,
    services: &Services,
    client: Client,
    pattern: &str,
) -> Result<usize, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    let pattern = Pattern::parse(pattern).map_err(|error| {
        ServiceError::user_error("pattern", UserErrorCode::Invalid, error.to_string())
    })?;
    let removed = services.cache.invalidate(&pattern).await;
    let entry = AuditEntry {
        action: AuditAction::CacheInvalidated,
        actor: client.actor(),
        target: None,
        reason: None,
        detail: Some(pattern.to_string()),
    };
    let now = services.clock.now();
    services
        .write(session, |write| async move {
            write.invalidate(InvalidationEvent::AdminRequested { pattern });
            write.audit(entry, now).await
        })
        .await?;
    Ok(removed)
}

/// Changes of a card: `None` leaves a field unchanged, `Some(None)` clears it.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field an input")]
pub struct CardUpdate {
    pub name: Option<Option<String>>,
    pub upright_meaning: Option<Option<String>>,
    pub reversed_meaning: Option<Option<String>>,
    pub keywords: Option<Option<Vec<String>>>,
    pub radiation_level: Option<Option<f64>>,
    pub threat_level: Option<Option<i32>>,
    pub vault_number: Option<Option<i32>>,
    pub image_url: Option<Option<String>>,
}

/// Changes a card, and its texts in one language. Returns the updated card.
///
/// # Errors
///
/// `Forbidden` for others than admins, `NotFound`, `UserErrors` for invalid input, `RateLimited`.
pub async fn update_card(
    session: &Session,
    services: &Services,
    client: Client,
    id: Uuid,
    locale: Locale,
    update: CardUpdate,
) -> Result<Arc<Card>, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    let now = services.clock.now();
    let (change, texts) = checked_card(update);
    let is_known = services.catalogue().card(id).is_some();
    services
        .write(session, |transaction| async move {
            lock_admin(&transaction, client.viewer).await?;
            transaction.invalidate(InvalidationEvent::CatalogueReplaced);
            if !is_known {
                return Err(ServiceError::NotFound("card"));
            }
            let (change, texts) = (change?, texts);
            card_change(&transaction, id, change, now).await?;
            card_text_change(&transaction, id, locale, texts, now).await?;
            let target = AuditTarget { kind: AuditTargetKind::Card, id };
            let entry = AuditEntry::new(AuditAction::CardUpdated, client.actor(), target);
            transaction.audit(entry.with_detail(locale.to_string()), now).await
        })
        .await?;
    let catalogue = reload_catalogue(services, session).await?;
    catalogue.card(id).cloned().ok_or(ServiceError::NotFound("card"))
}

fn checked_card(update: CardUpdate) -> (Result<CardChange, ServiceError>, CardTextChange) {
    let mut validator = Validator::default();
    let meaning = |validator: &mut Validator, field: &str, text: Option<Option<String>>| {
        validator
            .required(field, text)
            .map(|text| validator.text(field, &text, &CARD_MEANING, Lines::Multiple))
    };
    let texts = CardTextChange {
        name: validator
            .required("name", update.name)
            .map(|name| validator.text("name", &name, &CARD_NAME, Lines::Single)),
        upright_meaning: meaning(&mut validator, "uprightMeaning", update.upright_meaning),
        reversed_meaning: meaning(&mut validator, "reversedMeaning", update.reversed_meaning),
        keywords: validator
            .required("keywords", update.keywords)
            .map(|keywords| checked_keywords(&mut validator, &keywords)),
    };
    let radiation = validator.required("radiationLevel", update.radiation_level);
    let threat = validator.required("threatLevel", update.threat_level);
    let change = CardChange {
        radiation_level: radiation
            .map(|level| validator.fraction("radiationLevel", level, &RADIATION_LEVEL)),
        threat_level: threat.map(|level| validator.number("threatLevel", level, &THREAT_LEVEL)),
        vault_number: update
            .vault_number
            .map(|vault| vault.map(|vault| validator.number("vaultNumber", vault, &VAULT))),
        image_url: update.image_url.map(|url| {
            validator.optional_text("imageUrl", url.as_deref(), &IMAGE_URL, Lines::Single)
        }),
    };
    (validator.finish().map(|()| change), texts)
}

fn checked_keywords(validator: &mut Validator, keywords: &[String]) -> Vec<String> {
    validator.count("keywords", keywords.len(), &KEYWORDS);
    let keyword = |(index, word): (usize, &String)| {
        validator.text_at(&["keywords", &index.to_string()], word, &KEYWORD, Lines::Single)
    };
    keywords.iter().enumerate().map(keyword).collect()
}

/// Changes of a spread: `None` leaves a field unchanged, `Some(None)` clears it.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field an input")]
pub struct SpreadUpdate {
    pub display_name: Option<Option<String>>,
    pub description: Option<Option<String>>,
    pub interpretation_guide: Option<Option<String>>,
    pub difficulty: Option<Option<Difficulty>>,
    pub faction: Option<Option<FactionKey>>,
    pub is_active: Option<Option<bool>>,
    pub is_premium: Option<Option<bool>>,
    pub positions: Option<Option<Vec<PositionChange>>>,
}

/// Changes a spread, and its texts in one language. Existing readings keep the names of their positions.
/// Returns the updated spread.
///
/// # Errors
///
/// `Forbidden` for others than admins, `NotFound`, `UserErrors` for invalid input, `RateLimited`.
pub async fn update_spread(
    session: &Session,
    services: &Services,
    client: Client,
    id: Uuid,
    locale: Locale,
    update: SpreadUpdate,
) -> Result<Arc<Spread>, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    let now = services.clock.now();
    let spread = services.catalogue().spread(id).cloned();
    let positions = spread.as_ref().map_or(0, |spread| spread.positions.len());
    let checked = checked_spread(update, locale, positions);
    services
        .write(session, |transaction| async move {
            lock_admin(&transaction, client.viewer).await?;
            transaction.invalidate(InvalidationEvent::CatalogueReplaced);
            if spread.is_none() {
                return Err(ServiceError::NotFound("spread"));
            }
            let CheckedSpread { change, texts, positions } = checked?;
            spread_change(&transaction, id, change, now).await?;
            spread_text_change(&transaction, id, locale, texts, now).await?;
            if let Some(positions) = positions {
                positions_replace(&transaction, id, locale, positions, now).await?;
            }
            let target = AuditTarget { kind: AuditTargetKind::Spread, id };
            let entry = AuditEntry::new(AuditAction::SpreadUpdated, client.actor(), target);
            transaction.audit(entry.with_detail(locale.to_string()), now).await
        })
        .await?;
    let catalogue = reload_catalogue(services, session).await?;
    catalogue.spread(id).cloned().ok_or(ServiceError::NotFound("spread"))
}

struct CheckedSpread {
    change: SpreadChange,
    texts: SpreadTextChange,
    positions: Option<Vec<PositionChange>>,
}

fn checked_spread(
    update: SpreadUpdate,
    locale: Locale,
    before: usize,
) -> Result<CheckedSpread, ServiceError> {
    let mut validator = Validator::default();
    let display_name = validator.required("displayName", update.display_name);
    let description = validator.required("description", update.description);
    let texts = SpreadTextChange {
        display_name: display_name
            .map(|name| validator.text("displayName", &name, &SPREAD_NAME, Lines::Single)),
        description: description
            .map(|text| validator.text("description", &text, &SPREAD_DESCRIPTION, Lines::Multiple)),
        interpretation_guide: update.interpretation_guide.map(|guide| {
            let field = "interpretationGuide";
            validator.optional_text(field, guide.as_deref(), &SPREAD_GUIDE, Lines::Multiple)
        }),
    };
    let change = SpreadChange {
        difficulty: validator.required("difficulty", update.difficulty),
        faction: update.faction,
        is_active: validator.required("isActive", update.is_active),
        is_premium: validator.required("isPremium", update.is_premium),
    };
    let positions = validator
        .required("positions", update.positions)
        .map(|positions| checked_positions(&mut validator, positions, locale, before));
    validator.finish()?;
    Ok(CheckedSpread { change, texts, positions })
}

fn checked_positions(
    validator: &mut Validator,
    positions: Vec<PositionChange>,
    locale: Locale,
    before: usize,
) -> Vec<PositionChange> {
    const FIELD: &str = "positions";
    let count = positions.len();
    validator.count(FIELD, count, &POSITIONS);
    if locale != Locale::En && count > before {
        let message = "a new position needs its English texts first";
        validator.reject(UserError::new(FIELD, UserErrorCode::Invalid, message));
    }
    if positions.iter().zip(1..).any(|(position, number)| position.number != number) {
        let message = "positions must be numbered from 1 without gaps, in order";
        validator.reject(UserError::new(FIELD, UserErrorCode::Invalid, message));
    }
    let checked = |(index, position): (usize, PositionChange)| {
        let index = index.to_string();
        let places = [
            ("x", position.x, &POSITION_PLACE),
            ("y", position.y, &POSITION_PLACE),
            ("rotation", position.rotation, &POSITION_ROTATION),
        ];
        for (field, number, bounds) in places {
            if let Some(number) = number {
                validator.fraction_at(&[FIELD, &index, field], number, bounds);
            }
        }
        let mut text = |field: &str, text: &str, characters, lines| {
            validator.text_at(&[FIELD, &index, field], text, characters, lines)
        };
        PositionChange {
            name: text("name", &position.name, &POSITION_NAME, Lines::Single),
            meaning: text("meaning", &position.meaning, &POSITION_MEANING, Lines::Multiple),
            ..position
        }
    };
    positions.into_iter().enumerate().map(checked).collect()
}

/// Locks a user for the configured time and revokes their logins. Returns the updated user.
///
/// # Errors
///
/// `Forbidden` for others than admins, `NotFound`, `UserErrors` for the admin's own account,
/// `RateLimited`.
pub async fn lock_user(
    session: &Session,
    services: &Services,
    client: Client,
    user: Uuid,
) -> Result<AdminUserRow, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    if client.viewer == user {
        let message = "you cannot lock yourself";
        return Err(ServiceError::user_error("userId", UserErrorCode::Invalid, message));
    }
    let locked_until = services.clock.now() + services.settings.auth.admin_lock;
    set_lock(session, services, client, user, Some(locked_until)).await
}

/// Unlocks a user. Returns the updated user.
///
/// # Errors
///
/// `Forbidden` for others than admins, `NotFound`, `RateLimited`.
pub async fn unlock_user(
    session: &Session,
    services: &Services,
    client: Client,
    user: Uuid,
) -> Result<AdminUserRow, ServiceError> {
    services.rate_limits.check_admin_mutation(client.viewer)?;
    set_lock(session, services, client, user, None).await
}

async fn set_lock(
    session: &Session,
    services: &Services,
    client: Client,
    user: Uuid,
    locked_until: Option<DateTime<Utc>>,
) -> Result<AdminUserRow, ServiceError> {
    let now = services.clock.now();
    let action = match locked_until {
        Some(_) => AuditAction::UserLocked,
        None => AuditAction::UserUnlocked,
    };
    let entry = AuditEntry {
        action,
        actor: client.actor(),
        target: Some(AuditTarget::user(user)),
        reason: None,
        detail: locked_until.map(|until| until.to_rfc3339_opts(SecondsFormat::Secs, true)),
    };
    let changed = services.write(session, |transaction| async move {
        let lock = ViewerLock::Serialized;
        lock_admin_and(&transaction, client.viewer, Some(user), lock).await?;
        if !user_set_lock(&transaction, user, locked_until, now).await? {
            return Err(ServiceError::NotFound("user"));
        }
        if locked_until.is_some() {
            // Otherwise existing logins would stay valid.
            logins::end_all(&transaction, user, now).await?;
        }
        transaction.audit(entry, now).await?;
        let row = admin_user_by_id(&transaction, user).await?;
        row.ok_or(ServiceError::NotFound("user"))
    });
    changed.await
}
