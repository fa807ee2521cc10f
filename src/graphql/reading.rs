//! Readings and the cards drawn in them.

use std::sync::Arc;

use async_graphql::{Context, ID, Lookahead, Object, SimpleObject};

use super::card::Card;
use super::category::Category;
use super::context::{RequestContext, request};
use super::enums::{Karma, Locale, Orientation, PrivacyLevel, SpreadType, VoiceKey};
use super::errors::ApiError;
use super::id::GlobalId;
use super::inputs::PublicSearch;
use super::list::List;
use super::pagination::{PageArguments, Paginated};
use super::reading_lists::{ListName, PublicReadingFilter, ReadingPage};
use super::scalars::DateTime;
use super::share::ShareLink;
use super::spread::Spread;
use super::user::User;
use super::voice::Voice;
use crate::db::DbError;
use crate::db::drawn_cards::{DrawnCardRow, DrawnCardTexts};
use crate::db::query::columns::Columns;
use crate::db::readings::{ReadingRow, ReadingTexts, readings_page_public};
use crate::domain::{card, reading};
use crate::loaders::DrawnCardsOfReading;

/// Query fields that return readings.
#[derive(Default)]
pub struct ReadingQuery;

#[Object]
impl ReadingQuery {
    /// The reading with this id, if it is public or the viewer's own; otherwise null, whether it
    /// exists or not.
    async fn reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Id of a reading. The id of another type is a `BAD_USER_INPUT` error.")]
        id: ID,
    ) -> Option<Result<Reading, ApiError>> {
        let id = match GlobalId::parse("id", &id) {
            Ok(GlobalId::Reading(id)) => id,
            Ok(other) => return Some(Err(other.refuse("id", "Reading"))),
            Err(error) => return Some(Err(error)),
        };
        let loaded = request(context).loaders.reading_by_id.load_one(id).await;
        Some(loaded.map_err(ApiError::from).transpose()?.map(Reading))
    }

    /// Public readings of all users, the newest first, without archived ones.
    #[expect(clippy::too_many_arguments, reason = "they are the field's in the contract")]
    async fn public_readings(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Page size, 0 to 100 (default 20).")] first: Option<i32>,
        #[graphql(desc = "Return the items after this cursor.")] after: Option<String>,
        #[graphql(
            desc = "Page size from the end of the list, 0 to 100 (default 20 with `before`)."
        )]
        last: Option<i32>,
        #[graphql(desc = "Return the items before this cursor.")] before: Option<String>,
        #[graphql(desc = "Return the readings that match (default: all).")] filter: Option<
            PublicReadingFilter,
        >,
        #[graphql(
            desc = "Substring of the question; case-insensitive, at most 100 characters. At least 3 letters or digits in a row, or one character that is Chinese, Japanese or Korean; a shorter one finds nothing, see `searchNotice`. An empty text matches all."
        )]
        search: Option<String>,
    ) -> Result<ReadingPage, ApiError> {
        let name = ListName::public();
        let arguments = PageArguments { first, after, last, before };
        let page = name.request(context, &arguments)?;
        let mut filter = filter.unwrap_or_default().into_domain()?;
        filter.search = match PublicSearch::parse(search)? {
            PublicSearch::None => None,
            PublicSearch::Term(term) => Some(term),
            PublicSearch::TooShort => return Ok(ReadingPage::of_short_term(name, &page)),
        };
        let columns = Reading::columns_of_connection(&context.look_ahead());
        let session = request(context).session.for_field("Query.publicReadings");
        let count_limit = request(context).limits.public_count;
        let page = readings_page_public(&session, &filter, &page, columns, count_limit).await?;
        let page = page.map(Arc::new);
        Ok(ReadingPage { list: name, page, search_notice: None })
    }
}

/// True if the viewer is the owner of the reading.
#[must_use]
pub fn is_own(request: &RequestContext, reading: &ReadingRow) -> bool {
    request.viewer().is(reading.user_id)
}

/// A question, the cards drawn for it, and their interpretation.
#[derive(Clone)]
pub struct Reading(pub Arc<ReadingRow>);

impl Paginated for Reading {
    const EDGE: &'static str = "ReadingEdge";
    /// [`super::reading_lists::ReadingConnection`] has its fields, and is what the schema shows.
    const CONNECTION: &'static str = "PlainReadingConnection";
}

/// Fields of a reading that read its long texts.
const READING_TEXTS: [&str; 4] = ["interpretation", "summary", "notes", "feedback"];
/// Fields of a drawn card that read its long texts.
const DRAWN_CARD_TEXTS: [&str; 3] = ["positionName", "positionMeaning", "interpretation"];

/// Columns to read for an object: those of the long texts only if one of their fields is selected.
fn columns_with(object: &Lookahead<'_>, texts: &[&str]) -> Columns {
    if texts.iter().any(|text| object.field(text).exists()) {
        Columns::WithTexts
    } else {
        Columns::WithoutTexts
    }
}

impl Reading {
    /// Columns to read for the readings of a connection.
    pub(super) fn columns_of_connection(connection: &Lookahead<'_>) -> Columns {
        let nodes = [connection.field("nodes"), connection.field("edges").field("node")];
        Columns::widest(nodes.iter().map(|reading| columns_with(reading, &READING_TEXTS)))
    }

    fn texts(&self) -> Result<&ReadingTexts, ApiError> {
        let texts = self.0.texts.as_ref();
        texts.ok_or_else(|| DbError::NotLoaded { what: "the texts of a reading" }.into())
    }

    fn is_own(&self, context: &Context<'_>) -> bool {
        is_own(request(context), &self.0)
    }

    fn own<'a, T>(
        &'a self,
        context: &Context<'_>,
        value: impl FnOnce(&'a ReadingRow) -> Option<T>,
    ) -> Option<T> {
        if self.is_own(context) { value(&self.0) } else { None }
    }

    fn own_text<'a>(
        &'a self,
        context: &Context<'_>,
        text: impl FnOnce(&'a ReadingTexts) -> Option<&'a str>,
    ) -> Option<Result<&'a str, ApiError>> {
        if !self.is_own(context) {
            return None;
        }
        self.texts().map(text).transpose()
    }
}

/// A question, the cards drawn for it, and their interpretation. Notes, ratings, moods, category
/// and archive state are null for everyone but the owner.
#[Object]
impl Reading {
    /// Id of the reading, for `node` and `reading`.
    pub async fn id(&self) -> ID {
        GlobalId::Reading(self.0.id).encode()
    }

    /// Version, from 1, incremented by every change. Pass it as `expectedVersion` to detect
    /// concurrent changes.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// Question, 1 to 500 characters.
    async fn question(&self) -> &str {
        &self.0.question
    }

    /// Spread of the reading, even if it is no longer active.
    async fn spread(&self, context: &Context<'_>) -> Result<Spread, ApiError> {
        let id = self.0.spread_template_id;
        let found = request(context).catalogue.spread(id).map(Spread::of);
        found.ok_or_else(|| missing(format!("spread {id}")))
    }

    /// Kind of the spread at the time of the reading.
    async fn spread_type(&self) -> SpreadType {
        self.0.spread_type.into()
    }

    /// Voice of the interpretation, as an enum value.
    async fn character_voice(&self) -> VoiceKey {
        self.0.character_voice.into()
    }

    /// Voice of the interpretation.
    async fn voice(&self, context: &Context<'_>) -> Result<Voice, ApiError> {
        let key = self.0.character_voice;
        let found = request(context).catalogue.voice(key).map(Voice::of);
        found.ok_or_else(|| missing(format!("voice {key}")))
    }

    /// Tone of the reading.
    async fn karma_context(&self) -> Karma {
        self.0.karma_context.into()
    }

    /// Tags, at most 20 of 1 to 50 characters each.
    async fn tags(&self) -> &[String] {
        &self.0.tags.0
    }

    /// Visibility of the reading. `PRIVATE` while an admin hides it.
    async fn privacy_level(&self) -> PrivacyLevel {
        self.0.privacy_level.into()
    }

    /// Subject of the question, at most 100 characters; null if none was given.
    async fn focus_area(&self) -> Option<&str> {
        self.0.focus_area.as_deref()
    }

    /// Radiation factor, 0 to 1. Flavour: it does not influence draws.
    async fn radiation_factor(&self) -> f64 {
        self.0.radiation_factor
    }

    /// Language of the interpretation and summary. Fields with a `locale` argument do not depend on
    /// it.
    async fn locale(&self) -> Locale {
        self.0.locale.into()
    }

    /// Interpretation of the whole reading, in the reading's language.
    async fn interpretation(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.interpretation)
    }

    /// Summary in one line, in the reading's language.
    async fn summary(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.summary)
    }

    /// Time of creation.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Time of the last change.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Owner of the reading.
    async fn user(&self, context: &Context<'_>) -> Result<User, ApiError> {
        let id = self.0.user_id;
        let found = request(context).loaders.user_by_id.load_one(id).await?;
        found.map(User).ok_or_else(|| missing(format!("user {id}")))
    }

    /// Drawn cards in the order of their positions. At most 15.
    async fn cards(&self, context: &Context<'_>) -> Result<List<DrawnCard>, ApiError> {
        let columns = DrawnCard::columns(&context.look_ahead());
        let of = DrawnCardsOfReading { reading: self.0.id, columns };
        DrawnCard::all(context, "Reading.cards", of).await.map(List)
    }

    /// Notes of the owner, at most 1000 characters. Null for everyone but the owner.
    async fn notes(&self, context: &Context<'_>) -> Option<Result<&str, ApiError>> {
        self.own_text(context, |texts| texts.notes.as_deref())
    }

    /// True for a favourite of the owner. Null for everyone but the owner.
    async fn is_favorite(&self, context: &Context<'_>) -> Option<bool> {
        self.own(context, |row| Some(row.is_favorite))
    }

    /// Time of archiving; null if it is not archived. Null for everyone but the owner.
    async fn archived_at(&self, context: &Context<'_>) -> Option<DateTime> {
        self.own(context, |row| row.archived_at.map(DateTime))
    }

    /// Category of the reading; null if it has none. Null for everyone but the owner.
    async fn category(&self, context: &Context<'_>) -> Option<Result<Category, ApiError>> {
        let id = self.own(context, |row| row.category_id)?;
        let loaded = request(context).loaders.category_by_id.load_one(id).await;
        Some(loaded.map_err(ApiError::from).transpose()?.map(Category))
    }

    /// Mood before the reading, at most 50 characters. Null for everyone but the owner.
    async fn mood_before(&self, context: &Context<'_>) -> Option<&str> {
        self.own(context, |row| row.mood_before.as_deref())
    }

    /// Mood after the reading, at most 50 characters. Null for everyone but the owner.
    async fn mood_after(&self, context: &Context<'_>) -> Option<&str> {
        self.own(context, |row| row.mood_after.as_deref())
    }

    /// Feedback of the owner, at most 1000 characters. Null for everyone but the owner.
    async fn feedback(&self, context: &Context<'_>) -> Option<Result<&str, ApiError>> {
        self.own_text(context, |texts| texts.user_feedback.as_deref())
    }

    /// Satisfaction rating, 1 to 5. Null if not rated, and for everyone but the owner.
    async fn satisfaction_rating(&self, context: &Context<'_>) -> Option<i16> {
        self.own(context, |row| row.user_satisfaction)
    }

    /// Accuracy rating, 1 to 5. Null if not rated, and for everyone but the owner.
    async fn accuracy_rating(&self, context: &Context<'_>) -> Option<i16> {
        self.own(context, |row| row.accuracy_rating)
    }

    /// Helpfulness rating, 1 to 5. Null if not rated, and for everyone but the owner.
    async fn helpful_rating(&self, context: &Context<'_>) -> Option<i16> {
        self.own(context, |row| row.helpful_rating)
    }

    /// Time and reason, if an admin has hidden the reading; otherwise null. Null for everyone but the
    /// owner and admins.
    async fn hidden(&self, context: &Context<'_>) -> Option<Result<HiddenReading, ApiError>> {
        // Nobody but the owner and admins gets a reading that is not public.
        if self.0.privacy_level == reading::PrivacyLevel::Public {
            return None;
        }
        let loaded = request(context).loaders.hidden_reading_by_id.load_one(self.0.id).await;
        let row = loaded.map_err(ApiError::from).transpose()?;
        Some(row.map(|row| HiddenReading {
            since: DateTime(row.created_at),
            reason: row.reason.clone(),
        }))
    }

    /// Open share links of the reading, the newest first. At most 20. Null for everyone but the
    /// owner.
    async fn share_links(
        &self,
        context: &Context<'_>,
    ) -> Option<Result<List<ShareLink>, ApiError>> {
        let id = self.own(context, |row| Some(row.id))?;
        let loaded = request(context).loaders.open_shares_by_reading_id.load_one(id).await;
        let links = |shares: Arc<[_]>| shares.iter().cloned().map(ShareLink).collect();
        Some(
            loaded
                .map(|shares| List(shares.map(links).unwrap_or_default()))
                .map_err(ApiError::from),
        )
    }
}

/// Time and reason of a hidden reading. Its privacy level is `PRIVATE`, and its share links are closed.
#[derive(SimpleObject)]
pub struct HiddenReading {
    /// Time since which it is hidden.
    since: DateTime,
    /// Reason of the admin, 1 to 500 characters.
    reason: String,
}

/// A card drawn for a position of a reading.
pub struct DrawnCard {
    drawn: Arc<[DrawnCardRow]>,
    index: usize,
}

impl DrawnCard {
    /// The cards of a reading that the viewer may see, in the order of their positions.
    pub(super) async fn all(
        context: &Context<'_>,
        field: &'static str,
        of: DrawnCardsOfReading,
    ) -> Result<Vec<Self>, ApiError> {
        let cards = &request(context).loaders.drawn_cards_by_reading_id;
        let loaded = cards.load_one_for(field, of).await?;
        let Some(drawn) = loaded else { return Ok(Vec::new()) };
        Ok((0..drawn.len()).map(|index| Self { drawn: Arc::clone(&drawn), index }).collect())
    }

    /// Columns to read for the cards of a list.
    fn columns(cards: &Lookahead<'_>) -> Columns {
        columns_with(cards, &DRAWN_CARD_TEXTS)
    }

    pub(super) fn row(&self) -> &DrawnCardRow {
        &self.drawn[self.index]
    }

    pub(super) fn texts(&self) -> Result<&DrawnCardTexts, ApiError> {
        let texts = self.row().texts.as_ref();
        texts.ok_or_else(|| DbError::NotLoaded { what: "the texts of a drawn card" }.into())
    }

    pub(super) fn card<'a>(&self, context: &Context<'a>) -> Result<&'a Arc<card::Card>, ApiError> {
        let id = self.row().card_id;
        request(context).catalogue.card(id).ok_or_else(|| missing(format!("card {id}")))
    }

    /// Meaning of the card in its orientation.
    pub(super) fn meaning_in<'a>(
        &self,
        context: &Context<'a>,
        locale: Locale,
    ) -> Result<&'a str, ApiError> {
        let text = self.card(context)?.texts.get(locale.into());
        Ok(text.meaning(self.row().orientation))
    }
}

/// A card drawn for a position of a reading.
#[Object]
impl DrawnCard {
    /// Id of the drawn card. `node` does not accept it.
    async fn id(&self) -> ID {
        GlobalId::DrawnCard(self.row().reading_id, self.row().position_number).encode()
    }

    /// Number of the position, from 1.
    async fn position(&self) -> i16 {
        self.row().position_number
    }

    /// Name of the position at the time of the draw.
    async fn position_name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        Ok(self.texts()?.position_name.get(locale.into()))
    }

    /// Meaning of the position at the time of the draw.
    async fn position_meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        Ok(self.texts()?.position_meaning.get(locale.into()))
    }

    /// Orientation of the card.
    async fn orientation(&self) -> Orientation {
        self.row().orientation.into()
    }

    /// The card.
    #[graphql(name = "card")]
    async fn card_field(&self, context: &Context<'_>) -> Result<Card, ApiError> {
        self.card(context).map(Card::of)
    }

    /// Meaning of the card in its orientation.
    async fn meaning(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<String, ApiError> {
        self.meaning_in(context, locale).map(str::to_owned)
    }

    /// Interpretation of the card in this position, in the reading's language.
    async fn interpretation(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.interpretation)
    }
}

/// Error of missing reference data.
pub(super) fn missing(what: String) -> ApiError {
    DbError::MissingReferenceData { what }.into()
}
