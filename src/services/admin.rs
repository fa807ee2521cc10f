//! What operators change: cards, spreads and locks of accounts. Each change is in the log with who
//! made it.

use std::sync::Arc;

use uuid::Uuid;

use super::Services;
use super::accounts::lock_viewer;
use super::error::ServiceError;
use super::input::{Checks, Lines};
use super::upkeep::reload_catalogue;
use crate::cache::changes::Change;
use crate::cache::pattern::Pattern;
use crate::config::content::{
    CARD_MEANING, CARD_NAME, IMAGE_URL, KEYWORD, KEYWORDS, POSITION_MEANING, POSITION_NAME,
    POSITION_PLACE, POSITION_ROTATION, POSITIONS, RADIATION_LEVEL, SPREAD_DESCRIPTION,
    SPREAD_GUIDE, SPREAD_NAME, THREAT_LEVEL, VAULT,
};
use crate::db::cards::{CardChange, CardTextChange, card_change, card_text_change};
use crate::db::login_sessions::logins_revoke_all;
use crate::db::spreads::{
    PositionChange, SpreadChange, SpreadTextChange, positions_replace, spread_change,
    spread_text_change,
};
use crate::db::users::{AdminUserRow, ViewerLock, admin_user_by_id, user_set_lock};
use crate::db::{Session, Transaction};
use crate::domain::card::Card;
use crate::domain::faction::FactionKey;
use crate::domain::locale::Locale;
use crate::domain::spread::{Difficulty, Spread};
use crate::domain::user_error::{UserError, UserErrorCode};

/// Refuses who is no admin. The role is read from the database, within the transaction that uses it.
async fn hold_admin(transaction: &Transaction, viewer: Uuid) -> Result<(), ServiceError> {
    let user = lock_viewer(transaction, viewer, ViewerLock::Shared).await?;
    if user.is_admin { Ok(()) } else { Err(ServiceError::Forbidden) }
}

/// Drops what is cached under keys of a pattern, on all servers; answers how many values there were on
/// this one. Only for whom the caller has found to be an admin.
///
/// # Errors
///
/// The text is no pattern, or a statement fails.
pub async fn invalidate_cache(
    session: &Session,
    services: &Services,
    admin: Uuid,
    pattern: &str,
) -> Result<usize, ServiceError> {
    services.throttle.admin(admin)?;
    let pattern = Pattern::parse(pattern).map_err(|error| {
        ServiceError::refused("pattern", UserErrorCode::Invalid, error.to_string())
    })?;
    let removed = services.cache.invalidate(&pattern).await;
    let change = Change::Invalidated { pattern: pattern.clone() };
    services
        .write(session, |write| async move {
            write.changes(change);
            Ok(())
        })
        .await?;
    tracing::info!(%admin, %pattern, removed, "an admin invalidated a part of the cache");
    Ok(removed)
}

/// What an admin wants of a card; `None` keeps, an inner `None` clears.
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

/// Changes a card, and its texts in one language. Answers the card as it is then.
///
/// # Errors
///
/// The viewer is no admin, there is no such card, the input is refused, or a statement fails.
pub async fn update_card(
    session: &Session,
    services: &Services,
    admin: Uuid,
    (id, locale): (Uuid, Locale),
    update: CardUpdate,
) -> Result<Arc<Card>, ServiceError> {
    services.throttle.admin(admin)?;
    let now = services.clock.now();
    let (change, texts) = checked_card(update);
    let is_known = services.catalogue().card(id).is_some();
    services
        .write(session, |transaction| async move {
            hold_admin(&transaction, admin).await?;
            transaction.changes(Change::CatalogueReplaced);
            if !is_known {
                return Err(ServiceError::NotFound("card"));
            }
            let (change, texts) = (change?, texts);
            card_change(&transaction, id, change, now).await?;
            card_text_change(&transaction, (id, locale), texts, now).await?;
            Ok(())
        })
        .await?;
    tracing::info!(%admin, card = %id, locale = %locale, "an admin changed a card");
    let catalogue = reload_catalogue(services, session).await?;
    catalogue.card(id).cloned().ok_or(ServiceError::NotFound("card"))
}

fn checked_card(update: CardUpdate) -> (Result<CardChange, ServiceError>, CardTextChange) {
    let mut checks = Checks::default();
    let meaning = |checks: &mut Checks, field: &str, text: Option<Option<String>>| {
        checks
            .required(field, text)
            .map(|text| checks.text(field, &text, &CARD_MEANING, Lines::Many))
    };
    let texts = CardTextChange {
        name: checks
            .required("name", update.name)
            .map(|name| checks.text("name", &name, &CARD_NAME, Lines::One)),
        upright_meaning: meaning(&mut checks, "uprightMeaning", update.upright_meaning),
        reversed_meaning: meaning(&mut checks, "reversedMeaning", update.reversed_meaning),
        keywords: checks
            .required("keywords", update.keywords)
            .map(|keywords| checked_keywords(&mut checks, &keywords)),
    };
    let radiation = checks.required("radiationLevel", update.radiation_level);
    let threat = checks.required("threatLevel", update.threat_level);
    let change = CardChange {
        radiation_level: radiation
            .map(|level| checks.fraction("radiationLevel", level, &RADIATION_LEVEL)),
        threat_level: threat.map(|level| checks.number("threatLevel", level, &THREAT_LEVEL)),
        vault_number: update
            .vault_number
            .map(|vault| vault.map(|vault| checks.number("vaultNumber", vault, &VAULT))),
        image_url: update
            .image_url
            .map(|url| checks.optional_text("imageUrl", url.as_deref(), &IMAGE_URL, Lines::One)),
    };
    (checks.finish().map(|()| change), texts)
}

fn checked_keywords(checks: &mut Checks, keywords: &[String]) -> Vec<String> {
    checks.count("keywords", keywords.len(), &KEYWORDS);
    let keyword = |(index, word): (usize, &String)| {
        checks.text_at(&["keywords", &index.to_string()], word, &KEYWORD, Lines::One)
    };
    keywords.iter().enumerate().map(keyword).collect()
}

/// What an admin wants of a spread; `None` keeps, an inner `None` clears.
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

/// Changes a spread, and its texts in one language. Readings that used it keep what its positions
/// were called. Answers the spread as it is then.
///
/// # Errors
///
/// The viewer is no admin, there is no such spread, the input is refused, or a statement fails.
pub async fn update_spread(
    session: &Session,
    services: &Services,
    admin: Uuid,
    (id, locale): (Uuid, Locale),
    update: SpreadUpdate,
) -> Result<Arc<Spread>, ServiceError> {
    services.throttle.admin(admin)?;
    let now = services.clock.now();
    let spread = services.catalogue().spread(id).cloned();
    let positions = spread.as_ref().map_or(0, |spread| spread.positions.len());
    let checked = checked_spread(update, locale, positions);
    services
        .write(session, |transaction| async move {
            hold_admin(&transaction, admin).await?;
            transaction.changes(Change::CatalogueReplaced);
            if spread.is_none() {
                return Err(ServiceError::NotFound("spread"));
            }
            let CheckedSpread { change, texts, positions } = checked?;
            spread_change(&transaction, id, change, now).await?;
            spread_text_change(&transaction, (id, locale), texts, now).await?;
            if let Some(positions) = positions {
                positions_replace(&transaction, (id, locale), positions, now).await?;
            }
            Ok(())
        })
        .await?;
    tracing::info!(%admin, spread = %id, locale = %locale, "an admin changed a spread");
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
    let mut checks = Checks::default();
    let display_name = checks.required("displayName", update.display_name);
    let description = checks.required("description", update.description);
    let texts = SpreadTextChange {
        display_name: display_name
            .map(|name| checks.text("displayName", &name, &SPREAD_NAME, Lines::One)),
        description: description
            .map(|text| checks.text("description", &text, &SPREAD_DESCRIPTION, Lines::Many)),
        interpretation_guide: update.interpretation_guide.map(|guide| {
            let field = "interpretationGuide";
            checks.optional_text(field, guide.as_deref(), &SPREAD_GUIDE, Lines::Many)
        }),
    };
    let change = SpreadChange {
        difficulty: checks.required("difficulty", update.difficulty),
        faction: update.faction,
        is_active: checks.required("isActive", update.is_active),
        is_premium: checks.required("isPremium", update.is_premium),
    };
    let positions = checks
        .required("positions", update.positions)
        .map(|positions| checked_positions(&mut checks, positions, locale, before));
    checks.finish()?;
    Ok(CheckedSpread { change, texts, positions })
}

fn checked_positions(
    checks: &mut Checks,
    positions: Vec<PositionChange>,
    locale: Locale,
    before: usize,
) -> Vec<PositionChange> {
    const FIELD: &str = "positions";
    let count = positions.len();
    checks.count(FIELD, count, &POSITIONS);
    if locale != Locale::En && count > before {
        let message = "a new position needs its English texts first";
        checks.refuse(UserError::new(FIELD, UserErrorCode::Invalid, message));
    }
    if positions.iter().zip(1..).any(|(position, number)| position.number != number) {
        let message = "positions must be numbered from 1 without gaps, in order";
        checks.refuse(UserError::new(FIELD, UserErrorCode::Invalid, message));
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
                checks.fraction_at(&[FIELD, &index, field], number, bounds);
            }
        }
        let mut text = |field: &str, text: &str, characters, lines| {
            checks.text_at(&[FIELD, &index, field], text, characters, lines)
        };
        PositionChange {
            name: text("name", &position.name, &POSITION_NAME, Lines::One),
            meaning: text("meaning", &position.meaning, &POSITION_MEANING, Lines::Many),
            ..position
        }
    };
    positions.into_iter().enumerate().map(checked).collect()
}

/// Locks a user for a while, which ends their logins, or opens their account. Answers the user as they
/// are then.
///
/// # Errors
///
/// The viewer is no admin, there is no such user, or a statement fails.
pub async fn set_lock(
    session: &Session,
    services: &Services,
    admin: Uuid,
    user: Uuid,
    is_locked: bool,
) -> Result<AdminUserRow, ServiceError> {
    services.throttle.admin(admin)?;
    if admin == user && is_locked {
        let message = "you cannot lock yourself";
        return Err(ServiceError::refused("userId", UserErrorCode::Invalid, message));
    }
    let now = services.clock.now();
    let until = is_locked.then(|| now + services.settings.auth.admin_lock);
    let changed = session.transaction(|transaction| async move {
        hold_admin(&transaction, admin).await?;
        if !user_set_lock(&transaction, user, until, now).await? {
            return Err(ServiceError::NotFound("user"));
        }
        if is_locked {
            // Else a login that was begun before would go on.
            logins_revoke_all(&transaction, user, now).await?;
        }
        let row = admin_user_by_id(&transaction, user).await?;
        row.ok_or(ServiceError::NotFound("user"))
    });
    let changed = changed.await?;
    tracing::info!(%admin, %user, is_locked, "an admin changed a lock");
    Ok(changed)
}
