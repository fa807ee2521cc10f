//! Draws, and mutations of readings.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::super::list::List;
use super::{category_key, reading_key, spread_key};
use crate::db::readings::ReadingRow;
use crate::domain::reading_list::ReadingOrder;
use crate::graphql::card::Card;
use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::enums::{Karma, Locale, Orientation, PrivacyLevel, Suit, VoiceKey};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::id::GlobalId;
use crate::graphql::pagination::Edge;
use crate::graphql::reading::Reading;
use crate::graphql::reading_lists::ListName;
use crate::graphql::user::User;
use crate::graphql::user_error::UserError;
use crate::services::readings::{
    self, DrawInput, DrawnCard, ReadingInput, ReadingUpdate, UpdateOutcome,
};

/// Mutations of readings, and draws without one.
#[derive(Default)]
pub struct ReadingMutation;

#[Object]
impl ReadingMutation {
    /// Draw cards without a reading; the draw is neither stored nor counted. No access token
    /// needed.
    async fn draw_cards(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Cards to draw.")] input: DrawCardsInput,
    ) -> Option<Result<DrawCardsPayload, ApiError>> {
        Some(draw_cards(begin_mutation(context), &input))
    }

    /// Create a reading: draw the cards of a spread for a question and have a voice interpret them.
    /// Limit: 20 readings on a UTC day, 50 for premium users.
    async fn create_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Question and options of the reading.")] input: CreateReadingInput,
    ) -> Option<Result<CreateReadingPayload, ApiError>> {
        Some(create_reading(begin_mutation(context), input).await)
    }

    /// Change a reading of the viewer. Absent fields are unchanged; null clears a field where that
    /// is allowed.
    async fn update_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Fields to change.")] input: UpdateReadingInput,
    ) -> Option<Result<UpdateReadingPayload, ApiError>> {
        Some(update_reading(begin_mutation(context), input).await)
    }

    /// Delete a reading of the viewer with its cards and share links. It still counts towards the
    /// daily limit.
    async fn delete_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Reading to delete.")] input: DeleteReadingInput,
    ) -> Option<Result<DeleteReadingPayload, ApiError>> {
        Some(delete_reading(begin_mutation(context), input).await)
    }

    /// Replace the tags of a reading of the viewer.
    async fn set_reading_tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Reading and its new tags.")] input: SetReadingTagsInput,
    ) -> Option<Result<SetReadingTagsPayload, ApiError>> {
        Some(set_reading_tags(begin_mutation(context), input).await)
    }
}

/// Input of drawCards.
#[derive(InputObject)]
struct DrawCardsInput {
    /// Number of cards, 1 to 10.
    #[graphql(default = 1)]
    count: i32,
    /// Draw from this suit only (default: the whole deck).
    suit: Option<Suit>,
    /// Draw without the 22 trumps of the major arcana.
    #[graphql(default = false)]
    exclude_major_arcana: bool,
    /// Draw each card from the whole deck, so that a card may occur more than once.
    #[graphql(default = false)]
    allow_duplicates: bool,
}

/// Result of drawCards.
#[derive(SimpleObject, Default)]
struct DrawCardsPayload {
    /// Drawn cards in the order of the draw. At most 10.
    draws: Option<List<CardDraw>>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// A drawn card.
struct CardDraw(DrawnCard);

/// A drawn card.
#[Object]
impl CardDraw {
    /// Orientation of the card.
    async fn orientation(&self) -> Orientation {
        self.0.orientation.into()
    }

    /// The card.
    async fn card(&self) -> Card {
        Card::of(&self.0.card)
    }

    /// Meaning of the card in its orientation.
    async fn meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> &str {
        self.0.card.texts.get(locale.into()).meaning(self.0.orientation)
    }
}

fn draw_cards(
    request: &RequestContext,
    input: &DrawCardsInput,
) -> Result<DrawCardsPayload, ApiError> {
    let input = DrawInput {
        count: input.count,
        suit: input.suit.map(Into::into),
        exclude_major_arcana: input.exclude_major_arcana,
        allow_duplicates: input.allow_duplicates,
    };
    Ok(match split_user_errors(readings::draw_cards(&request.catalogue, input))? {
        Err(user_errors) => DrawCardsPayload { draws: None, user_errors },
        Ok(drawn) => DrawCardsPayload {
            draws: Some(drawn.into_iter().map(CardDraw).collect()),
            user_errors: Vec::new(),
        },
    })
}

/// Input of createReading.
#[derive(InputObject)]
struct CreateReadingInput {
    /// Question, 1 to 500 characters.
    question: String,
    /// Id of an active spread.
    spread_id: ID,
    /// Voice of the interpretation (default: the viewer's preferred voice).
    character_voice: Option<VoiceKey>,
    /// Tone of the reading (default: the viewer's karma).
    karma_context: Option<Karma>,
    /// Subject of the question, at most 100 characters.
    focus_area: Option<String>,
    /// Notes, visible to the owner alone, at most 1000 characters.
    notes: Option<String>,
    /// Tags, at most 20 of 1 to 50 characters each, case-sensitive, trimmed.
    #[graphql(default)]
    tags: Vec<String>,
    /// Id of a category of the viewer.
    category_id: Option<ID>,
    /// Mood before the reading, at most 50 characters.
    mood_before: Option<String>,
    /// Radiation factor, 0 to 0.95. Flavour: it does not influence draws.
    #[graphql(default = 0.5)]
    radiation_factor: f64,
    /// Visibility of the reading.
    #[graphql(default_with = "PrivacyLevel::Private")]
    privacy_level: PrivacyLevel,
    /// Language of the interpretation.
    #[graphql(default_with = "Locale::En")]
    locale: Locale,
    /// Idempotency key, 1 to 255 characters chosen by the client: a retry with the same key returns
    /// the same reading. Valid for a day.
    idempotency_key: Option<String>,
}

/// Result of createReading.
#[derive(SimpleObject, Default)]
struct CreateReadingPayload {
    /// The new reading. Null without an error if a retry finds that it was deleted since.
    reading: Option<Reading>,
    /// Edge of the reading at the head of the viewer's readings.
    reading_edge: Option<Edge<Reading>>,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn create_reading(
    request: &RequestContext,
    input: CreateReadingInput,
) -> Result<CreateReadingPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let reading = ReadingInput {
        question: input.question,
        spread: spread_key("spreadId", &input.spread_id)?,
        character_voice: input.character_voice.map(Into::into),
        karma_context: input.karma_context.map(Into::into),
        focus_area: input.focus_area,
        notes: input.notes,
        tags: input.tags,
        category: input.category_id.map(|id| category_key("categoryId", &id)).transpose()?,
        mood_before: input.mood_before,
        radiation_factor: input.radiation_factor,
        privacy_level: input.privacy_level.into(),
        locale: input.locale.into(),
    };
    let (session, services) = (&request.session, &request.services);
    let key = input.idempotency_key.as_deref();
    let done = readings::create(session, services, viewer, reading, key).await;
    Ok(match split_user_errors(done)? {
        // With the viewer, whose quota may be used up.
        Err(user_errors) => CreateReadingPayload {
            viewer: request.viewer_row().await?.map(User),
            user_errors,
            ..Default::default()
        },
        Ok(created) => {
            let reading = created.reading.map(reading_of);
            CreateReadingPayload {
                reading_edge: reading.clone().map(edge),
                reading,
                viewer: Some(User(Arc::new(created.viewer))),
                user_errors: Vec::new(),
            }
        }
    })
}

fn reading_of(row: ReadingRow) -> Reading {
    Reading(Arc::new(row))
}

/// Edge of a reading in its owner's readings, in the default order.
fn edge(node: Reading) -> Edge<Reading> {
    Edge::new(ListName::of_user(ReadingOrder::default()).cursor_of(&node.0), node)
}

/// Input of updateReading. Absent fields are unchanged; null clears a field where that is allowed.
#[derive(InputObject)]
struct UpdateReadingInput {
    /// Id of the reading.
    id: ID,
    /// Version known to the client (`Reading.version`). If the current one differs, nothing is
    /// changed: `CONFLICT`.
    expected_version: Option<i32>,
    /// Question, 1 to 500 characters. The interpretation is unchanged.
    question: MaybeUndefined<String>,
    /// Notes, at most 1000 characters.
    notes: MaybeUndefined<String>,
    /// Subject of the question, at most 100 characters.
    focus_area: MaybeUndefined<String>,
    /// Tags, at most 20 of 1 to 50 characters each. They replace the existing ones.
    tags: MaybeUndefined<Vec<String>>,
    /// Id of a category of the viewer; null removes the reading from its category.
    category_id: MaybeUndefined<ID>,
    /// Visibility of the reading.
    privacy_level: MaybeUndefined<PrivacyLevel>,
    /// True for a favourite.
    is_favorite: MaybeUndefined<bool>,
    /// True to archive it: lists leave it out unless `filter.archive` includes it.
    is_archived: MaybeUndefined<bool>,
    /// Mood after the reading, at most 50 characters.
    mood_after: MaybeUndefined<String>,
    /// Feedback, at most 1000 characters.
    feedback: MaybeUndefined<String>,
    /// Satisfaction rating, 1 to 5.
    satisfaction_rating: MaybeUndefined<i32>,
    /// Accuracy rating, 1 to 5.
    accuracy_rating: MaybeUndefined<i32>,
    /// Helpfulness rating, 1 to 5.
    helpful_rating: MaybeUndefined<i32>,
}

/// Result of updateReading.
#[derive(SimpleObject, Default)]
struct UpdateReadingPayload {
    /// The updated reading; on `CONFLICT`, the current one.
    reading: Option<Reading>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn update_reading(
    request: &RequestContext,
    input: UpdateReadingInput,
) -> Result<UpdateReadingPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let id = reading_key("id", &input.id)?;
    let expected_version = input.expected_version;
    let category: Option<Option<ID>> = input.category_id.into();
    let category = match category {
        Some(Some(id)) => Some(Some(category_key("categoryId", &id)?)),
        Some(None) => Some(None),
        None => None,
    };
    let privacy_level: Option<Option<PrivacyLevel>> = input.privacy_level.into();
    let update = ReadingUpdate {
        question: input.question.into(),
        notes: input.notes.into(),
        focus_area: input.focus_area.into(),
        tags: input.tags.into(),
        category,
        privacy_level: privacy_level.map(|level| level.map(Into::into)),
        is_favorite: input.is_favorite.into(),
        is_archived: input.is_archived.into(),
        mood_after: input.mood_after.into(),
        feedback: input.feedback.into(),
        satisfaction_rating: input.satisfaction_rating.into(),
        accuracy_rating: input.accuracy_rating.into(),
        helpful_rating: input.helpful_rating.into(),
    };
    let (session, services) = (&request.session, &request.services);
    let done = readings::update(session, services, viewer, id, expected_version, update).await;
    let (reading, user_errors) = changed(split_user_errors(done)?);
    Ok(UpdateReadingPayload { reading, user_errors })
}

fn changed(done: Result<UpdateOutcome, Vec<UserError>>) -> (Option<Reading>, Vec<UserError>) {
    match done {
        Err(user_errors) => (None, user_errors),
        Ok(UpdateOutcome::Reading(row)) => (Some(reading_of(row)), Vec::new()),
        Ok(UpdateOutcome::Conflict(row, error)) => (Some(reading_of(row)), vec![error.into()]),
    }
}

/// Input of deleteReading.
#[derive(InputObject)]
struct DeleteReadingInput {
    /// Id of the reading.
    id: ID,
}

/// Result of deleteReading.
#[derive(SimpleObject, Default)]
struct DeleteReadingPayload {
    /// Id of the deleted reading.
    deleted_reading_id: Option<ID>,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn delete_reading(
    request: &RequestContext,
    input: DeleteReadingInput,
) -> Result<DeleteReadingPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let id = reading_key("id", &input.id)?;
    let done = readings::delete(&request.session, &request.services, viewer, id).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => DeleteReadingPayload { user_errors, ..Default::default() },
        Ok(viewer) => DeleteReadingPayload {
            deleted_reading_id: Some(GlobalId::Reading(id).encode()),
            viewer: Some(User(Arc::new(viewer))),
            user_errors: Vec::new(),
        },
    })
}

/// Input of setReadingTags.
#[derive(InputObject)]
struct SetReadingTagsInput {
    /// Id of the reading.
    id: ID,
    /// Tags, at most 20 of 1 to 50 characters each. They replace the existing ones.
    tags: Vec<String>,
    /// Version known to the client (`Reading.version`). If the current one differs, nothing is
    /// changed: `CONFLICT`.
    expected_version: Option<i32>,
}

/// Result of setReadingTags.
#[derive(SimpleObject, Default)]
struct SetReadingTagsPayload {
    /// The updated reading; on `CONFLICT`, the current one.
    reading: Option<Reading>,
    /// The viewer with their current tags.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn set_reading_tags(
    request: &RequestContext,
    input: SetReadingTagsInput,
) -> Result<SetReadingTagsPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let id = reading_key("id", &input.id)?;
    let expected_version = input.expected_version;
    let update = ReadingUpdate { tags: Some(Some(input.tags)), ..ReadingUpdate::default() };
    let (session, services) = (&request.session, &request.services);
    let done = readings::update(session, services, viewer, id, expected_version, update).await;
    let (reading, user_errors) = changed(split_user_errors(done)?);
    let viewer = request.viewer_row().await?.map(User);
    Ok(SetReadingTagsPayload { reading, viewer, user_errors })
}
