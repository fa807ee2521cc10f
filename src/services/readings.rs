//! Readings: drawing cards, making a reading, changing and deleting it.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::ThreadRng;
use rand::seq::SliceRandom;
use serde::Serialize;
use uuid::Uuid;

use super::Services;
use super::accounts::lock_viewer;
use super::catalogue::Catalogue;
use super::error::ServiceError;
use super::idempotency::{Repeatable, Who, made_before};
use super::input::{Checks, Lines};
use crate::cache::changes::Change;
use crate::config::content::{DRAW, FOCUS_AREA, MOOD, NOTES, QUESTION, RADIATION};
use crate::db::categories::category_locked_shared;
use crate::db::counters::{CounterDelta, counter_delta_insert};
use crate::db::daily_usage::daily_usage_increment;
use crate::db::entities::columns::{LocalizedText, TextList};
use crate::db::entities::{reading_cards, reading_sessions};
use crate::db::reading_writes::{
    ReadingChange, draws_of_reading, own_reading_by_id, own_reading_locked, reading_change,
    reading_delete, reading_insert,
};
use crate::db::readings::ReadingRow;
use crate::db::user_card_stats::{self, user_cards_add, user_cards_subtract};
use crate::db::users::{UserRow, ViewerLock};
use crate::db::{Session, Transaction};
use crate::domain::card::{Card, Orientation, Suit};
use crate::domain::interpretation::{Draw, interpret_reading};
use crate::domain::locale::Locale;
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::Spread;
use crate::domain::user_error::{UserError, UserErrorCode};
use crate::domain::voice::VoiceKey;

/// A card as it was drawn.
#[derive(Debug, Clone)]
pub struct DrawnCard {
    /// Which card.
    pub card: Arc<Card>,
    /// How it lies.
    pub orientation: Orientation,
}

/// Draws so many different cards: each order of the deck and each way to lie is as likely as any
/// other, and nobody can foretell them. Nothing else has a say in it.
#[must_use]
pub fn draw(deck: &[Arc<Card>], count: usize) -> Vec<DrawnCard> {
    let mut rng = rand::rng();
    let mut order: Vec<usize> = (0..deck.len()).collect();
    let (drawn, _) = order.partial_shuffle(&mut rng, count);
    drawn.iter().map(|index| lay(&deck[*index], &mut rng)).collect()
}

/// Draws so many cards, each from the whole deck.
#[must_use]
pub fn draw_with_duplicates(deck: &[Arc<Card>], count: usize) -> Vec<DrawnCard> {
    let mut rng = rand::rng();
    (0..count)
        .map(|_| rng.random_range(0..deck.len()))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|index| lay(&deck[index], &mut rng))
        .collect()
}

fn lay(card: &Arc<Card>, rng: &mut ThreadRng) -> DrawnCard {
    let orientation = if rng.random() { Orientation::Upright } else { Orientation::Reversed };
    DrawnCard { card: Arc::clone(card), orientation }
}

/// What cards to draw for nobody's reading.
#[derive(Debug, Clone, Copy)]
pub struct DrawInput {
    /// How many.
    pub count: i32,
    /// From one suit only.
    pub suit: Option<Suit>,
    /// Without the trumps.
    pub exclude_major_arcana: bool,
    /// Each from the whole deck.
    pub allow_duplicates: bool,
}

/// Draws cards. The draw is neither kept nor counted.
///
/// # Errors
///
/// The count is out of range, or the deck has none of the cards that are left.
pub fn draw_cards(catalogue: &Catalogue, input: DrawInput) -> Result<Vec<DrawnCard>, ServiceError> {
    let mut checks = Checks::default();
    let count = checks.number("count", input.count, &DRAW);
    let deck: Vec<Arc<Card>> = catalogue
        .cards()
        .iter()
        .filter(|card| input.suit.is_none_or(|suit| card.suit == suit))
        .filter(|card| !input.exclude_major_arcana || card.suit != Suit::MajorArcana)
        .cloned()
        .collect();
    if deck.is_empty() {
        let message = "the major arcana are excluded, and no other suit is asked for";
        checks.refuse(UserError::new("suit", UserErrorCode::Invalid, message));
    }
    checks.finish()?;
    let count = usize::try_from(count).unwrap_or_default();
    Ok(if input.allow_duplicates { draw_with_duplicates(&deck, count) } else { draw(&deck, count) })
}

/// What somebody asks the cards.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "a field an input")]
pub struct ReadingInput {
    pub question: String,
    pub spread: Uuid,
    pub character_voice: Option<VoiceKey>,
    pub karma_context: Option<Karma>,
    pub focus_area: Option<String>,
    pub notes: Option<String>,
    pub tags: Vec<String>,
    pub category: Option<Uuid>,
    pub mood_before: Option<String>,
    pub radiation_factor: f64,
    pub privacy_level: PrivacyLevel,
    pub locale: Locale,
}

/// A reading that was made, now or by the same request before.
pub struct Created {
    /// The reading; nothing if the one that was made before exists no more.
    pub reading: Option<ReadingRow>,
    /// Whose it is.
    pub viewer: UserRow,
}

/// Draws cards for a spread, has the voice say what they mean, and keeps the reading.
///
/// # Errors
///
/// The input is refused, the day's limit is reached, or a statement fails.
pub async fn create(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: ReadingInput,
    idempotency_key: Option<&str>,
) -> Result<Created, ServiceError> {
    let repeatable = Repeatable::new(Who::User(viewer), "createReading", idempotency_key, &input)?;
    let catalogue = services.catalogue();
    let (input, spread) = checked(&catalogue, input)?;
    let (repeatable, spread, catalogue) = (repeatable.as_ref(), &spread, &catalogue);
    let created = services.write(session, |transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        let id = Uuid::now_v7();
        if let Some(before) = made_before(&transaction, services, repeatable, id).await? {
            let reading = own_reading_by_id(&transaction, viewer, before).await?;
            return Ok(Created { reading, viewer: user });
        }
        take_from_limit(&transaction, services, &user).await?;
        check_spread(spread, &user)?;
        if let Some(category) = input.category {
            hold_category(&transaction, viewer, category).await?;
        }
        let now = services.clock.now();
        let composed = compose(catalogue, spread, &user, input, (id, now))?;
        let Composed { reading, cards } = composed;
        let draws: Vec<_> = cards
            .iter()
            .map(|card| user_card_stats::Draw {
                card_id: card.card_id,
                orientation: card.orientation,
            })
            .collect();
        reading_insert(&transaction, reading.clone(), cards).await?;
        user_cards_add(&transaction, viewer, &draws, (now, now)).await?;
        transaction.changes(changed_reading(viewer, id, [reading.privacy_level; 2]));
        let card_ids = draws.into_iter().map(|draw| draw.card_id);
        let delta = CounterDelta::reading(spread.id, card_ids, None);
        counter_delta_insert(&transaction, delta, now).await?;
        Ok(Created { reading: Some(reading.into()), viewer: user })
    });
    created.await
}

fn checked(
    catalogue: &Catalogue,
    input: ReadingInput,
) -> Result<(ReadingInput, Arc<Spread>), ServiceError> {
    let mut checks = Checks::default();
    let optional = |checks: &mut Checks, field, text: Option<String>, characters, lines| {
        checks.optional_text(field, text.as_deref(), characters, lines)
    };
    let input = ReadingInput {
        question: checks.text("question", &input.question, &QUESTION, Lines::Many),
        focus_area: optional(&mut checks, "focusArea", input.focus_area, &FOCUS_AREA, Lines::One),
        notes: optional(&mut checks, "notes", input.notes, &NOTES, Lines::Many),
        tags: checks.tags("tags", &input.tags),
        mood_before: optional(&mut checks, "moodBefore", input.mood_before, &MOOD, Lines::One),
        radiation_factor: checks.fraction("radiationFactor", input.radiation_factor, &RADIATION),
        ..input
    };
    let spread = catalogue.spread(input.spread).cloned();
    if spread.is_none() {
        let message = "there is no such spread";
        checks.refuse(UserError::new("spreadId", UserErrorCode::NotFound, message));
    }
    checks.finish()?;
    let spread = spread.ok_or(ServiceError::NotFound("spread"))?;
    Ok((input, spread))
}

fn check_spread(spread: &Spread, user: &UserRow) -> Result<(), ServiceError> {
    if !spread.is_active {
        let message = "this spread is not offered any more";
        return Err(ServiceError::refused("spreadId", UserErrorCode::SpreadInactive, message));
    }
    if spread.is_premium && !user.is_premium {
        let message = "this spread is for premium users";
        return Err(ServiceError::refused("spreadId", UserErrorCode::Invalid, message));
    }
    Ok(())
}

async fn hold_category(
    transaction: &Transaction,
    owner: Uuid,
    category: Uuid,
) -> Result<(), ServiceError> {
    if category_locked_shared(transaction, owner, category).await? {
        return Ok(());
    }
    let message = "there is no such category";
    Err(ServiceError::refused("categoryId", UserErrorCode::NotFound, message))
}

/// How many readings a user may make on a UTC day.
fn daily_limit(services: &Services, user: &UserRow) -> u16 {
    let content = &services.settings.content;
    if user.is_premium { content.daily_readings_premium } else { content.daily_readings }
}

fn next_day(day: NaiveDate) -> DateTime<Utc> {
    (day + TimeDelta::days(1)).and_time(NaiveTime::MIN).and_utc()
}

async fn take_from_limit(
    transaction: &Transaction,
    services: &Services,
    user: &UserRow,
) -> Result<(), ServiceError> {
    let (now, limit) = (services.clock.now(), daily_limit(services, user));
    if daily_usage_increment(transaction, user.id, now, limit).await? {
        return Ok(());
    }
    let message = format!("you have made {limit} readings today, which is the most a day");
    let mut error = UserError::of_whole(UserErrorCode::ReadingLimit, message);
    error.max = Some(limit.into());
    error.resets_at = Some(next_day(now.date_naive()));
    Err(error.into())
}

/// How many readings a user may still make today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// A day.
    pub limit: i32,
    /// Today.
    pub used: i32,
    /// When the next day begins.
    pub resets_at: DateTime<Utc>,
}

/// The quota of a user who made so many readings today.
#[must_use]
pub fn quota(services: &Services, user: &UserRow, made: i32) -> Quota {
    let today = services.clock.now().date_naive();
    Quota { limit: daily_limit(services, user).into(), used: made, resets_at: next_day(today) }
}

/// A reading that is ready to be written.
struct Composed {
    reading: reading_sessions::Model,
    cards: Vec<reading_cards::Model>,
}

fn compose(
    catalogue: &Catalogue,
    spread: &Spread,
    user: &UserRow,
    input: ReadingInput,
    (id, now): (Uuid, DateTime<Utc>),
) -> Result<Composed, ServiceError> {
    let key = input.character_voice.unwrap_or(user.preferred_voice);
    let voice = catalogue.voice(key).ok_or(ServiceError::NotFound("voice"))?;
    let karma = input.karma_context.unwrap_or_else(|| Karma::of_score(user.karma_score));
    let drawn = draw(catalogue.cards(), spread.card_count());
    let places: Vec<Draw<'_>> = drawn
        .iter()
        .map(|drawn| Draw { card: &drawn.card, orientation: drawn.orientation })
        .collect();
    let said = interpret_reading(voice, spread, &places, karma, input.locale);
    let in_order = spread.positions.iter().zip(&places).zip(said.cards).zip(1..);
    let cards = in_order
        .map(|(((position, draw), interpretation), draw_order)| reading_cards::Model {
            reading_id: id,
            position_number: position.number,
            card_id: draw.card.id,
            position_name: LocalizedText(position.texts.map(|_, text| text.name.clone())),
            position_meaning: LocalizedText(position.texts.map(|_, text| text.meaning.clone())),
            orientation: draw.orientation,
            draw_order,
            radiation_influence: draw.card.radiation_level * input.radiation_factor,
            interpretation,
            created_at: now,
        })
        .collect();
    let reading = reading_sessions::Model {
        id,
        user_id: user.id,
        spread_template_id: spread.id,
        spread_type: spread.spread_type,
        character_voice: key,
        karma_context: karma,
        question: input.question,
        focus_area: input.focus_area,
        notes: input.notes,
        tags: TextList(input.tags),
        category_id: input.category,
        status: ReadingStatus::Complete,
        radiation_factor: input.radiation_factor,
        interpretation: said.overall,
        summary: said.summary,
        locale: input.locale,
        mood_before: input.mood_before,
        mood_after: None,
        privacy_level: input.privacy_level,
        is_favorite: false,
        archived_at: None,
        user_satisfaction: None,
        accuracy_rating: None,
        helpful_rating: None,
        user_feedback: None,
        version: 1,
        completed_at: Some(now),
        created_at: now,
        updated_at: now,
    };
    Ok(Composed { reading, cards })
}

/// What the owner wants of a reading; `None` keeps, an inner `None` clears.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field an input")]
pub struct ReadingUpdate {
    pub question: Option<Option<String>>,
    pub notes: Option<Option<String>>,
    pub focus_area: Option<Option<String>>,
    pub tags: Option<Option<Vec<String>>>,
    pub category: Option<Option<Uuid>>,
    pub privacy_level: Option<Option<PrivacyLevel>>,
    pub is_favorite: Option<Option<bool>>,
    pub is_archived: Option<Option<bool>>,
    pub mood_after: Option<Option<String>>,
    pub feedback: Option<Option<String>>,
    pub satisfaction_rating: Option<Option<i32>>,
    pub accuracy_rating: Option<Option<i32>>,
    pub helpful_rating: Option<Option<i32>>,
}

/// What became of a change.
pub enum Changed {
    /// The reading as it is now.
    Reading(ReadingRow),
    /// Somebody was faster: the reading as they left it, and what to tell.
    Conflict(ReadingRow, UserError),
}

/// Changes a reading of the viewer's. With an expected version it is changed only if nobody else has
/// changed it since.
///
/// # Errors
///
/// The input is refused, the viewer has no such reading, or a statement fails.
pub async fn update(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    (id, expected_version): (Uuid, Option<i32>),
    update: ReadingUpdate,
) -> Result<Changed, ServiceError> {
    let now = services.clock.now();
    let (change, is_archived) = checked_update(update)?;
    let changed = services.write(session, |transaction| async move {
        lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        if let Some(Some(category)) = change.category_id {
            hold_category(&transaction, viewer, category).await?;
        }
        let before = own_reading_locked(&transaction, viewer, id).await?;
        let before = before.ok_or(ServiceError::NotFound("reading"))?;
        if let Some(expected) = expected_version.filter(|expected| *expected != before.version) {
            let message = format!(
                "the reading was changed meanwhile: it has version {}, and not {expected}",
                before.version
            );
            let error = UserError::new("expectedVersion", UserErrorCode::Conflict, message);
            return Ok(Changed::Conflict(before, error));
        }
        let mut change = change;
        // What is archived already stays archived since then, and nothing is written.
        match is_archived {
            Some(true) if before.archived_at.is_none() => change.archived_at = Some(Some(now)),
            Some(false) if before.archived_at.is_some() => change.archived_at = Some(None),
            _ => {}
        }
        if change == ReadingChange::default() {
            return Ok(Changed::Reading(before));
        }
        let rating = change.user_satisfaction;
        let privacy = change.privacy_level.unwrap_or(before.privacy_level);
        transaction.changes(changed_reading(viewer, id, [before.privacy_level, privacy]));
        let after = reading_change(&transaction, viewer, id, change, now).await?;
        let after = after.ok_or(ServiceError::NotFound("reading"))?;
        if rating.is_some_and(|rating| rating != before.user_satisfaction) {
            let delta = CounterDelta::rating(
                before.spread_template_id,
                before.user_satisfaction,
                after.user_satisfaction,
            );
            counter_delta_insert(&transaction, delta, now).await?;
        }
        Ok(Changed::Reading(after))
    });
    changed.await
}

/// What becomes of a reading, of which others see what is public before or after.
fn changed_reading(owner: Uuid, reading: Uuid, privacy: [PrivacyLevel; 2]) -> Change {
    Change::ReadingChanged { reading, owner, is_public: privacy.contains(&PrivacyLevel::Public) }
}

fn checked_update(update: ReadingUpdate) -> Result<(ReadingChange, Option<bool>), ServiceError> {
    let mut checks = Checks::default();
    let text = |checks: &mut Checks, field, text: Option<Option<String>>, characters, lines| {
        text.map(|text| checks.optional_text(field, text.as_deref(), characters, lines))
    };
    let rating = |checks: &mut Checks, field, rating: Option<Option<i32>>| {
        rating.map(|rating| rating.map(|rating| checks.rating(field, rating)))
    };
    let question = checks.required("question", update.question);
    let tags = checks.required("tags", update.tags);
    let change = ReadingChange {
        question: question
            .map(|question| checks.text("question", &question, &QUESTION, Lines::Many)),
        notes: text(&mut checks, "notes", update.notes, &NOTES, Lines::Many),
        focus_area: text(&mut checks, "focusArea", update.focus_area, &FOCUS_AREA, Lines::One),
        tags: tags.map(|tags| checks.tags("tags", &tags)),
        category_id: update.category,
        privacy_level: checks.required("privacyLevel", update.privacy_level),
        is_favorite: checks.required("isFavorite", update.is_favorite),
        archived_at: None,
        mood_after: text(&mut checks, "moodAfter", update.mood_after, &MOOD, Lines::One),
        user_feedback: text(&mut checks, "feedback", update.feedback, &NOTES, Lines::Many),
        user_satisfaction: rating(&mut checks, "satisfactionRating", update.satisfaction_rating),
        accuracy_rating: rating(&mut checks, "accuracyRating", update.accuracy_rating),
        helpful_rating: rating(&mut checks, "helpfulRating", update.helpful_rating),
    };
    let is_archived = checks.required("isArchived", update.is_archived);
    checks.finish()?;
    Ok((change, is_archived))
}

/// Deletes a reading of the viewer's, with its cards and share links. The day's limit is not given
/// back. Answers the viewer.
///
/// # Errors
///
/// The viewer has no such reading, or a statement fails.
pub async fn delete(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    id: Uuid,
) -> Result<UserRow, ServiceError> {
    let now = services.clock.now();
    let deleted = services.write(session, |transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        let reading = own_reading_locked(&transaction, viewer, id).await?;
        let reading = reading.ok_or(ServiceError::NotFound("reading"))?;
        transaction.changes(changed_reading(viewer, id, [reading.privacy_level; 2]));
        let draws = draws_of_reading(&transaction, id).await?;
        let (spread, rating) = (reading.spread_template_id, reading.user_satisfaction);
        let card_ids = draws.iter().map(|draw| draw.card_id);
        let delta = CounterDelta::reading(spread, card_ids, rating).reversed();
        counter_delta_insert(&transaction, delta, now).await?;
        reading_delete(&transaction, viewer, id).await?;
        user_cards_subtract(&transaction, viewer, &draws, (reading.created_at, now)).await?;
        Ok(user)
    });
    deleted.await
}
