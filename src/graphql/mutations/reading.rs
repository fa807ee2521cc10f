//! Drawing cards, and making, changing and deleting readings.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

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

/// Fields of the mutation type on readings.
#[derive(Default)]
pub struct ReadingMutation;

#[Object]
impl ReadingMutation {
    /// Draws cards for nothing in particular: the draw is neither kept nor counted. Anybody may.
    async fn draw_cards(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "From which cards, and how many.")] input: DrawCardsInput,
    ) -> Option<Result<DrawCardsPayload, ApiError>> {
        Some(draw_cards(begin_mutation(context), &input))
    }

    /// Draws the cards of a spread for a question, has a voice say what they mean, and keeps the
    /// reading. A user may make 20 a UTC day, a premium user 50.
    async fn create_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The question and how to read.")] input: CreateReadingInput,
    ) -> Option<Result<CreateReadingPayload, ApiError>> {
        Some(create_reading(begin_mutation(context), input).await)
    }

    /// Changes a reading of the viewer's. What is absent stays; null clears, where that is possible.
    async fn update_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateReadingInput,
    ) -> Option<Result<UpdateReadingPayload, ApiError>> {
        Some(update_reading(begin_mutation(context), input).await)
    }

    /// Deletes a reading of the viewer's, with its cards and share links. The day's limit is not given
    /// back.
    async fn delete_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which reading.")] input: DeleteReadingInput,
    ) -> Option<Result<DeleteReadingPayload, ApiError>> {
        Some(delete_reading(begin_mutation(context), input).await)
    }

    /// Gives a reading of the viewer's other tags.
    async fn set_reading_tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which reading, and its tags.")] input: SetReadingTagsInput,
    ) -> Option<Result<SetReadingTagsPayload, ApiError>> {
        Some(set_reading_tags(begin_mutation(context), input).await)
    }
}

/// From which cards, and how many.
#[derive(InputObject)]
struct DrawCardsInput {
    /// 1 to 10.
    #[graphql(default = 1)]
    count: i32,
    /// From this suit only.
    suit: Option<Suit>,
    /// Without the 22 trumps.
    #[graphql(default = false)]
    exclude_major_arcana: bool,
    /// Each from the whole deck, so that one may come twice.
    #[graphql(default = false)]
    allow_duplicates: bool,
}

/// What was drawn.
#[derive(SimpleObject, Default)]
struct DrawCardsPayload {
    /// In the order in which they were drawn.
    draws: Option<Vec<CardDraw>>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

/// A card as it was drawn.
struct CardDraw(DrawnCard);

/// A card as it was drawn.
#[Object]
impl CardDraw {
    /// How it lies.
    async fn orientation(&self) -> Orientation {
        self.0.orientation.into()
    }

    /// Which card.
    async fn card(&self) -> Card {
        Card::of(&self.0.card)
    }

    /// What the card means as it lies.
    async fn meaning(
        &self,
        #[graphql(desc = "The text's language.", default_with = "Locale::En")] locale: Locale,
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

/// A question and how to read.
#[derive(InputObject)]
struct CreateReadingInput {
    /// What is asked, 1 to 500 characters.
    question: String,
    /// An active spread.
    spread_id: ID,
    /// Which voice speaks; the viewer's preferred voice if nothing is said.
    character_voice: Option<VoiceKey>,
    /// The tone; that of the viewer's own karma if nothing is said.
    karma_context: Option<Karma>,
    /// What the question is about, at most 100 characters.
    focus_area: Option<String>,
    /// Notes for oneself, at most 1000 characters.
    notes: Option<String>,
    /// At most 20 labels of 1 to 50 characters; capitals matter, space around them does not.
    #[graphql(default)]
    tags: Vec<String>,
    /// One of the viewer's categories.
    category_id: Option<ID>,
    /// How the viewer feels, at most 50 characters.
    mood_before: Option<String>,
    /// The radiation at the table, 0 to 0.95. Flavour: it never changes a draw.
    #[graphql(default = 0.5)]
    radiation_factor: f64,
    /// Who may see it.
    #[graphql(default_with = "PrivacyLevel::Private")]
    privacy_level: PrivacyLevel,
    /// The language that it is composed in.
    #[graphql(default_with = "Locale::En")]
    locale: Locale,
    /// 1 to 255 characters that the client makes up, so that it can ask again when it lost the answer
    /// and gets the same reading. Remembered for a day.
    idempotency_key: Option<String>,
}

/// What became of a new reading.
#[derive(SimpleObject, Default)]
struct CreateReadingPayload {
    /// The reading. Null, without an error, if the one that was made with this idempotency key was
    /// deleted since.
    reading: Option<Reading>,
    /// Its place at the head of the viewer's readings.
    reading_edge: Option<Edge<Reading>>,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
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
        // With the viewer, whose quota may be the matter.
        Err(user_errors) => CreateReadingPayload {
            viewer: request.viewer_row().await?.map(User),
            user_errors,
            ..Default::default()
        },
        Ok(created) => {
            let reading = created.reading.map(shown);
            CreateReadingPayload {
                reading_edge: reading.clone().map(edge),
                reading,
                viewer: Some(User(Arc::new(created.viewer))),
                user_errors: Vec::new(),
            }
        }
    })
}

fn shown(row: ReadingRow) -> Reading {
    Reading(Arc::new(row))
}

/// A reading's place among its owner's readings.
fn edge(node: Reading) -> Edge<Reading> {
    Edge { cursor: ListName::of_user(ReadingOrder::default()).cursor_of(&node.0), node }
}

/// What to change of a reading. What is absent stays; null clears, where that is possible.
#[derive(InputObject)]
struct UpdateReadingInput {
    /// Which reading.
    id: ID,
    /// The version that the client has seen. If it is another by now nothing is changed.
    expected_version: Option<i32>,
    /// What is asked, 1 to 500 characters. The interpretation stays.
    question: MaybeUndefined<String>,
    /// At most 1000 characters.
    notes: MaybeUndefined<String>,
    /// At most 100 characters.
    focus_area: MaybeUndefined<String>,
    /// At most 20 of 1 to 50 characters; these replace the others.
    tags: MaybeUndefined<Vec<String>>,
    /// One of the viewer's categories; null takes it out of its category.
    category_id: MaybeUndefined<ID>,
    /// Who may see it.
    privacy_level: MaybeUndefined<PrivacyLevel>,
    /// Whether it is marked.
    is_favorite: MaybeUndefined<bool>,
    /// Whether it is archived, and so left out of all lists; keep its id to find it again.
    is_archived: MaybeUndefined<bool>,
    /// At most 50 characters.
    mood_after: MaybeUndefined<String>,
    /// At most 1000 characters.
    feedback: MaybeUndefined<String>,
    /// 1 to 5.
    satisfaction_rating: MaybeUndefined<i32>,
    /// 1 to 5.
    accuracy_rating: MaybeUndefined<i32>,
    /// 1 to 5.
    helpful_rating: MaybeUndefined<i32>,
}

/// What became of a change of a reading.
#[derive(SimpleObject, Default)]
struct UpdateReadingPayload {
    /// The reading as it is now; at a `CONFLICT`, as somebody else left it.
    reading: Option<Reading>,
    /// What to put right.
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
        Ok(UpdateOutcome::Reading(row)) => (Some(shown(row)), Vec::new()),
        Ok(UpdateOutcome::Conflict(row, error)) => (Some(shown(row)), vec![error.into()]),
    }
}

/// Which reading to delete.
#[derive(InputObject)]
struct DeleteReadingInput {
    /// A reading of the viewer's.
    id: ID,
}

/// What became of a reading.
#[derive(SimpleObject, Default)]
struct DeleteReadingPayload {
    /// The id of the reading that is there no more.
    deleted_reading_id: Option<ID>,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
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

/// The tags of a reading.
#[derive(InputObject)]
struct SetReadingTagsInput {
    /// Which reading.
    id: ID,
    /// At most 20 of 1 to 50 characters; these replace the others.
    tags: Vec<String>,
    /// The version that the client has seen. If it is another by now nothing is changed.
    expected_version: Option<i32>,
}

/// What became of the tags of a reading.
#[derive(SimpleObject, Default)]
struct SetReadingTagsPayload {
    /// The reading as it is now; at a `CONFLICT`, as somebody else left it.
    reading: Option<Reading>,
    /// The viewer, whose tags may be others now.
    viewer: Option<User>,
    /// What to put right.
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
