//! Readings: drawing cards, creating, updating and deleting a reading, and the daily quota.

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
use super::idempotency::{IdempotentRequest, KeyOwner, claim_idempotency_key};
use super::validation::{Lines, Validator};
use crate::cache::invalidation::{InvalidationEvent, ReadingVisibility};
use crate::config::content::{DRAW, FOCUS_AREA, MOOD, NOTES, QUESTION, RADIATION};
use crate::db::categories::category_locked_shared;
use crate::db::counters::{CounterDelta, counter_delta_insert};
use crate::db::daily_usage::daily_usage_increment;
use crate::db::entities::columns::{LocalizedText, TextList};
use crate::db::entities::{reading_cards, reading_sessions};
use crate::db::hidden_readings::{hidden_reading_set_privacy, hidden_readings_by_id};
use crate::db::reading_writes::{
    ReadingChange, draws_of_reading, own_reading_by_id, own_reading_locked, reading_change,
    reading_delete, reading_insert,
};
use crate::db::readings::ReadingRow;
use crate::db::user_card_stats::{self, user_cards_add, user_cards_subtract};
use crate::db::users::{UserRow, ViewerLock};
use crate::db::{Session, Transaction};
use crate::domain::card::{Card, Orientation, Suit};
use crate::domain::counted::counted;
use crate::domain::interpretation::{PlacedCard, interpret_reading};
use crate::domain::locale::Locale;
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::Spread;
use crate::domain::user_error::{UserError, UserErrorCode};
use crate::domain::voice::VoiceKey;

/// A drawn card.
#[derive(Debug, Clone)]
pub struct DrawnCard {
    /// Card of the deck.
    pub card: Arc<Card>,
    /// Upright or reversed.
    pub orientation: Orientation,
}

/// Draws `count` different cards. All orders of the deck and both orientations are equally likely, and
/// unpredictable: nothing else influences the draw.
#[must_use]
pub fn draw(deck: &[Arc<Card>], count: usize) -> Vec<DrawnCard> {
    let mut rng = rand::rng();
    let mut order: Vec<usize> = (0..deck.len()).collect();
    let (drawn, _) = order.partial_shuffle(&mut rng, count);
    drawn.iter().map(|index| oriented(&deck[*index], &mut rng)).collect()
}

/// Draws `count` cards, each from the whole deck.
#[must_use]
pub fn draw_with_duplicates(deck: &[Arc<Card>], count: usize) -> Vec<DrawnCard> {
    let mut rng = rand::rng();
    (0..count)
        .map(|_| rng.random_range(0..deck.len()))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|index| oriented(&deck[index], &mut rng))
        .collect()
}

fn oriented(card: &Arc<Card>, rng: &mut ThreadRng) -> DrawnCard {
    let orientation = if rng.random() { Orientation::Upright } else { Orientation::Reversed };
    DrawnCard { card: Arc::clone(card), orientation }
}

/// Input of a draw without a reading.
#[derive(Debug, Clone, Copy)]
pub struct DrawInput {
    /// Number of cards, 1 to 10.
    pub count: i32,
    /// The only suit to draw from.
    pub suit: Option<Suit>,
    /// Excludes the trumps.
    pub exclude_major_arcana: bool,
    /// Draws each card from the whole deck.
    pub allow_duplicates: bool,
}

/// Draws cards. The draw is neither stored nor counted.
///
/// # Errors
///
/// `UserErrors` if the count is out of range, or no card matches the input.
pub fn draw_cards(catalogue: &Catalogue, input: DrawInput) -> Result<Vec<DrawnCard>, ServiceError> {
    let mut validator = Validator::default();
    let count = validator.number("count", input.count, &DRAW);
    let deck: Vec<Arc<Card>> = catalogue
        .cards()
        .iter()
        .filter(|card| input.suit.is_none_or(|suit| card.suit == suit))
        .filter(|card| !input.exclude_major_arcana || card.suit != Suit::MajorArcana)
        .cloned()
        .collect();
    if deck.is_empty() {
        let message = "the major arcana are excluded, and no other suit is selected";
        validator.reject(UserError::new("suit", UserErrorCode::Invalid, message));
    }
    validator.finish()?;
    let count = usize::try_from(count).unwrap_or_default();
    Ok(if input.allow_duplicates { draw_with_duplicates(&deck, count) } else { draw(&deck, count) })
}

/// Input of a new reading.
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

/// Result of [`create`].
pub struct CreatedReading {
    /// The reading; `None` if an earlier request created it and it was deleted since.
    pub reading: Option<ReadingRow>,
    /// The owner.
    pub viewer: UserRow,
}

/// Draws cards for a spread, composes the interpretation, and stores the reading.
///
/// # Errors
///
/// `UserErrors` for invalid input or an exhausted daily quota.
pub async fn create(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: ReadingInput,
    idempotency_key: Option<&str>,
) -> Result<CreatedReading, ServiceError> {
    let idempotent =
        IdempotentRequest::new(KeyOwner::User(viewer), "createReading", idempotency_key, &input)?;
    let catalogue = services.catalogue();
    let (input, spread) = checked(&catalogue, input)?;
    let (idempotent, spread, catalogue) = (idempotent.as_ref(), &spread, &catalogue);
    let created = services.write(session, |transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        let id = Uuid::now_v7();
        if let Some(before) = claim_idempotency_key(&transaction, services, idempotent, id).await? {
            let reading = own_reading_by_id(&transaction, viewer, before).await?;
            return Ok(CreatedReading { reading, viewer: user });
        }
        consume_daily_quota(&transaction, services, &user).await?;
        check_spread(spread, &user)?;
        if let Some(category) = input.category {
            lock_category(&transaction, viewer, category).await?;
        }
        let now = services.clock.now();
        let NewReading { reading, cards } = compose(catalogue, spread, &user, input, id, now)?;
        let draws: Vec<_> = cards
            .iter()
            .map(|card| user_card_stats::Draw {
                card_id: card.card_id,
                orientation: card.orientation,
            })
            .collect();
        reading_insert(&transaction, reading.clone(), cards).await?;
        user_cards_add(&transaction, viewer, &draws, now, now).await?;
        transaction.invalidate(reading_changed(viewer, id, [reading.privacy_level; 2]));
        let card_ids = draws.into_iter().map(|draw| draw.card_id);
        let delta = CounterDelta::reading(spread.id, card_ids, None);
        counter_delta_insert(&transaction, delta, now).await?;
        Ok(CreatedReading { reading: Some(reading.into()), viewer: user })
    });
    created.await
}

fn checked(
    catalogue: &Catalogue,
    input: ReadingInput,
) -> Result<(ReadingInput, Arc<Spread>), ServiceError> {
    let mut validator = Validator::default();
    let optional = |validator: &mut Validator, field, text: Option<String>, characters, lines| {
        validator.optional_text(field, text.as_deref(), characters, lines)
    };
    let input = ReadingInput {
        question: validator.text("question", &input.question, &QUESTION, Lines::Multiple),
        focus_area: optional(
            &mut validator,
            "focusArea",
            input.focus_area,
            &FOCUS_AREA,
            Lines::Single,
        ),
        notes: optional(&mut validator, "notes", input.notes, &NOTES, Lines::Multiple),
        tags: validator.tags("tags", &input.tags),
        mood_before: optional(
            &mut validator,
            "moodBefore",
            input.mood_before,
            &MOOD,
            Lines::Single,
        ),
        radiation_factor: validator.fraction("radiationFactor", input.radiation_factor, &RADIATION),
        ..input
    };
    let spread = catalogue.spread(input.spread).cloned();
    if spread.is_none() {
        let message = "there is no such spread";
        validator.reject(UserError::new("spreadId", UserErrorCode::NotFound, message));
    }
    validator.finish()?;
    let spread = spread.ok_or(ServiceError::NotFound("spread"))?;
    Ok((input, spread))
}

fn check_spread(spread: &Spread, user: &UserRow) -> Result<(), ServiceError> {
    if !spread.is_active {
        let message = "this spread is not offered any more";
        return Err(ServiceError::user_error("spreadId", UserErrorCode::SpreadInactive, message));
    }
    if spread.is_premium && !user.is_premium {
        let message = "this spread is for premium users";
        return Err(ServiceError::user_error("spreadId", UserErrorCode::Invalid, message));
    }
    Ok(())
}

async fn lock_category(
    transaction: &Transaction,
    owner: Uuid,
    category: Uuid,
) -> Result<(), ServiceError> {
    if category_locked_shared(transaction, owner, category).await? {
        return Ok(());
    }
    let message = "there is no such category";
    Err(ServiceError::user_error("categoryId", UserErrorCode::NotFound, message))
}

/// Maximum readings of a user on a UTC day.
fn daily_limit(services: &Services, user: &UserRow) -> u16 {
    let content = &services.settings.content;
    if user.is_premium { content.daily_readings_premium } else { content.daily_readings }
}

fn next_day(day: NaiveDate) -> DateTime<Utc> {
    (day + TimeDelta::days(1)).and_time(NaiveTime::MIN).and_utc()
}

/// Counts a reading of today, if the daily limit is not reached.
async fn consume_daily_quota(
    transaction: &Transaction,
    services: &Services,
    user: &UserRow,
) -> Result<(), ServiceError> {
    let (now, limit) = (services.clock.now(), daily_limit(services, user));
    if daily_usage_increment(transaction, user.id, now, limit).await? {
        return Ok(());
    }
    let message = format!(
        "you have made {} today, which is the most a day",
        counted(limit.into(), "reading")
    );
    let mut error = UserError::whole_input(UserErrorCode::ReadingLimit, message);
    error.max = Some(limit.into());
    error.resets_at = Some(next_day(now.date_naive()));
    Err(error.into())
}

/// Usage of a user's daily limit of readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyQuota {
    /// Maximum readings per day.
    pub limit: i32,
    /// Readings made today, deleted ones included.
    pub used: i32,
    /// Start of the next UTC day.
    pub resets_at: DateTime<Utc>,
}

/// Quota of a user who made `readings_today` readings today.
#[must_use]
pub fn quota(services: &Services, user: &UserRow, readings_today: i32) -> DailyQuota {
    let today = services.clock.now().date_naive();
    DailyQuota {
        limit: daily_limit(services, user).into(),
        used: readings_today,
        resets_at: next_day(today),
    }
}

/// Rows of a new reading.
struct NewReading {
    reading: reading_sessions::Model,
    cards: Vec<reading_cards::Model>,
}

fn compose(
    catalogue: &Catalogue,
    spread: &Spread,
    user: &UserRow,
    input: ReadingInput,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<NewReading, ServiceError> {
    let key = input.character_voice.unwrap_or(user.preferred_voice);
    let voice = catalogue.voice(key).ok_or(ServiceError::NotFound("voice"))?;
    let karma = input.karma_context.unwrap_or_else(|| Karma::from_score(user.karma_score));
    let selected = draw(catalogue.cards(), spread.card_count());
    let draws: Vec<PlacedCard<'_>> = selected
        .iter()
        .map(|drawn| PlacedCard { card: &drawn.card, orientation: drawn.orientation })
        .collect();
    let interpreted = interpret_reading(voice, spread, &draws, karma, input.locale);
    let in_order = spread.positions.iter().zip(&draws).zip(interpreted.cards).zip(1..);
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
        interpretation: interpreted.overall,
        summary: interpreted.summary,
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
    Ok(NewReading { reading, cards })
}

/// Changes of a reading: `None` leaves a field unchanged, `Some(None)` clears it.
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

/// Result of [`update`].
pub enum UpdateOutcome {
    /// The updated reading.
    Reading(ReadingRow),
    /// A concurrent update came first: the current reading, and the error to report.
    Conflict(ReadingRow, UserError),
}

/// Changes a reading of the viewer. With an expected version it is changed only if it still has that
/// version.
///
/// # Errors
///
/// `UserErrors` for invalid input, `NotFound` if the viewer has no such reading.
pub async fn update(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    id: Uuid,
    expected_version: Option<i32>,
    update: ReadingUpdate,
) -> Result<UpdateOutcome, ServiceError> {
    let now = services.clock.now();
    let (change, is_archived) = checked_update(update)?;
    let changed = services.write(session, |transaction| async move {
        lock_viewer(&transaction, viewer, ViewerLock::Shared).await?;
        if let Some(Some(category)) = change.category_id {
            lock_category(&transaction, viewer, category).await?;
        }
        let before = own_reading_locked(&transaction, viewer, id).await?;
        let before = before.ok_or(ServiceError::NotFound("reading"))?;
        if let Some(expected) = expected_version.filter(|expected| *expected != before.version) {
            let message = format!(
                "the reading was changed meanwhile: it has version {}, and not {expected}",
                before.version
            );
            let error = UserError::new("expectedVersion", UserErrorCode::Conflict, message);
            return Ok(UpdateOutcome::Conflict(before, error));
        }
        if let Some(privacy_level) = change.privacy_level {
            change_hidden(&transaction, &before, privacy_level, now).await?;
        }
        let mut change = change;
        // An archived reading keeps its time of archiving, and nothing is written.
        match is_archived {
            Some(true) if before.archived_at.is_none() => change.archived_at = Some(Some(now)),
            Some(false) if before.archived_at.is_some() => change.archived_at = Some(None),
            _ => {}
        }
        if change == ReadingChange::default() {
            return Ok(UpdateOutcome::Reading(before));
        }
        let rating = change.user_satisfaction;
        let privacy = change.privacy_level.unwrap_or(before.privacy_level);
        transaction.invalidate(reading_changed(viewer, id, [before.privacy_level, privacy]));
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
        Ok(UpdateOutcome::Reading(after))
    });
    changed.await
}

/// A hidden reading cannot be published. Any other level is also the one that it gets back.
async fn change_hidden(
    transaction: &Transaction,
    before: &ReadingRow,
    privacy_level: PrivacyLevel,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    if before.privacy_level == PrivacyLevel::Public
        || hidden_readings_by_id(transaction, &[before.id]).await?.is_empty()
    {
        return Ok(());
    }
    if privacy_level == PrivacyLevel::Public {
        let message = "an admin has hidden this reading, which cannot be public now";
        return Err(ServiceError::user_error("privacyLevel", UserErrorCode::Invalid, message));
    }
    Ok(hidden_reading_set_privacy(transaction, before.id, privacy_level, now).await?)
}

/// Event of a changed reading, which others can see if it is public before or after the change.
fn reading_changed(owner: Uuid, reading: Uuid, privacy: [PrivacyLevel; 2]) -> InvalidationEvent {
    let visibility = if privacy.contains(&PrivacyLevel::Public) {
        ReadingVisibility::Public
    } else {
        ReadingVisibility::Private
    };
    InvalidationEvent::ReadingChanged { reading, owner, visibility }
}

fn checked_update(update: ReadingUpdate) -> Result<(ReadingChange, Option<bool>), ServiceError> {
    let mut validator = Validator::default();
    let text =
        |validator: &mut Validator, field, text: Option<Option<String>>, characters, lines| {
            text.map(|text| validator.optional_text(field, text.as_deref(), characters, lines))
        };
    let rating = |validator: &mut Validator, field, rating: Option<Option<i32>>| {
        rating.map(|rating| rating.map(|rating| validator.rating(field, rating)))
    };
    let question = validator.required("question", update.question);
    let tags = validator.required("tags", update.tags);
    let change = ReadingChange {
        question: question
            .map(|question| validator.text("question", &question, &QUESTION, Lines::Multiple)),
        notes: text(&mut validator, "notes", update.notes, &NOTES, Lines::Multiple),
        focus_area: text(
            &mut validator,
            "focusArea",
            update.focus_area,
            &FOCUS_AREA,
            Lines::Single,
        ),
        tags: tags.map(|tags| validator.tags("tags", &tags)),
        category_id: update.category,
        privacy_level: validator.required("privacyLevel", update.privacy_level),
        is_favorite: validator.required("isFavorite", update.is_favorite),
        archived_at: None,
        mood_after: text(&mut validator, "moodAfter", update.mood_after, &MOOD, Lines::Single),
        user_feedback: text(&mut validator, "feedback", update.feedback, &NOTES, Lines::Multiple),
        user_satisfaction: rating(&mut validator, "satisfactionRating", update.satisfaction_rating),
        accuracy_rating: rating(&mut validator, "accuracyRating", update.accuracy_rating),
        helpful_rating: rating(&mut validator, "helpfulRating", update.helpful_rating),
    };
    let is_archived = validator.required("isArchived", update.is_archived);
    validator.finish()?;
    Ok((change, is_archived))
}

/// Deletes a reading of the viewer, with its cards and share links. The daily quota is not refunded.
/// Returns the viewer.
///
/// # Errors
///
/// `NotFound` if the viewer has no such reading.
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
        transaction.invalidate(reading_changed(viewer, id, [reading.privacy_level; 2]));
        remove(&transaction, &user, &reading, now).await?;
        Ok(user)
    });
    deleted.await
}

/// Deletes a locked reading of a locked user, and its share in the counters.
pub(super) async fn remove(
    transaction: &Transaction,
    owner: &UserRow,
    reading: &ReadingRow,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let draws = draws_of_reading(transaction, reading.id).await?;
    // The counters lost the readings of a deactivated user before.
    if owner.is_active {
        let (spread, rating) = (reading.spread_template_id, reading.user_satisfaction);
        let card_ids = draws.iter().map(|draw| draw.card_id);
        let delta = CounterDelta::reading(spread, card_ids, rating).reversed();
        counter_delta_insert(transaction, delta, now).await?;
    }
    reading_delete(transaction, owner.id, reading.id).await?;
    user_cards_subtract(transaction, owner.id, &draws, reading.created_at, now).await?;
    Ok(())
}
