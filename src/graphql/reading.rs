//! Readings and the cards drawn in them.

use std::sync::Arc;

use async_graphql::{Context, ID, Lookahead, Object};
use object_macro::object;
use uuid::Uuid;

use super::card::Card;
use super::category::Category;
use super::context::{RequestContext, request};
use super::enums::{Karma, Locale, Orientation, PrivacyLevel, SpreadType, VoiceKey};
use super::errors::ApiError;
use super::fast_json::Direct;
use super::fast_json::object::{ColumnSet, columns_of};
use super::id::GlobalId;
use super::inputs::PublicSearch;
use super::list::List;
use super::pagination::{PageArguments, Paginated};
use super::reading_lists::{ListName, PublicReadingFilter, ReadingConnection};
use super::scalars::DateTime;
use super::share::ShareLink;
use super::spread::Spread;
use super::user::User;
use super::voice::Voice;
use crate::db::DbError;
use crate::db::categories::CategoryRow;
use crate::db::drawn_cards::DrawnCardRow;
use crate::db::hidden_readings::HiddenReadingRow;
use crate::db::query::columns::{DrawnCardColumns, ReadingColumns, widest};
use crate::db::readings::{ReadingRow, ReadingTexts, readings_page_public};
use crate::db::users::UserRow;
use crate::domain::{card, reading};
use crate::loaders::{DrawnCardsOfReading, LoadedValue, ReadingOfId};

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
    ) -> Option<Result<Direct<Reading>, ApiError>> {
        let id = match GlobalId::parse("id", &id) {
            Ok(GlobalId::Reading(id)) => id,
            Ok(other) => return Some(Err(other.refuse("id", "Reading"))),
            Err(error) => return Some(Err(error)),
        };
        let key = ReadingOfId { id, columns: columns_of(&context.look_ahead()) };
        let loaded = request(context).loaders.reading_by_id.load_one(key).await;
        Some(loaded.map_err(ApiError::from).transpose()?.map(|row| Direct(Reading(row))))
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
    ) -> Result<Direct<ReadingConnection>, ApiError> {
        let name = ListName::public();
        let arguments = PageArguments { first, after, last, before };
        let page = name.request(context, &arguments)?;
        let mut filter = filter.unwrap_or_default().into_domain()?;
        filter.search = match PublicSearch::parse(search)? {
            PublicSearch::None => None,
            PublicSearch::Term(term) => Some(term),
            PublicSearch::TooShort => {
                return Ok(Direct(ReadingConnection::of_short_term(name, &page)));
            }
        };
        let columns = Reading::columns_of_connection(&context.look_ahead());
        let session = request(context).session.for_field("Query.publicReadings");
        let count_limit = request(context).limits.public_count;
        let page = readings_page_public(&session, &filter, &page, columns, count_limit).await?;
        let page = page.map(Arc::new);
        Ok(Direct(ReadingConnection::new(name, page)))
    }
}

/// A question, the cards drawn for it, and their interpretation.
#[derive(Clone)]
pub struct Reading(pub Arc<ReadingRow>);

impl Paginated for Reading {
    const EDGE: &'static str = "ReadingEdge";
    /// [`super::reading_lists::ReadingConnection`] has its fields, and is what the schema shows.
    const CONNECTION: &'static str = "PlainReadingConnection";
}

impl ColumnSet for ReadingColumns {
    fn of(selects: impl Fn(&str) -> bool) -> Self {
        if ["interpretation", "notes", "feedback"].into_iter().any(&selects) {
            Self::WithTexts
        } else if selects("summary") {
            Self::WithSummary
        } else {
            Self::WithoutTexts
        }
    }
}

impl ColumnSet for DrawnCardColumns {
    fn of(selects: impl Fn(&str) -> bool) -> Self {
        if selects("interpretation") {
            Self::WithTexts
        } else if selects("positionMeaning") {
            Self::WithPositionTexts
        } else if selects("positionName") {
            Self::WithPositionNames
        } else {
            Self::WithoutTexts
        }
    }
}

impl Reading {
    /// Columns to read for the readings of a connection.
    pub(super) fn columns_of_connection(connection: &Lookahead<'_>) -> ReadingColumns {
        let nodes = [connection.field("nodes"), connection.field("edges").field("node")];
        widest(nodes.iter().map(columns_of))
    }

    fn texts(&self) -> Result<&ReadingTexts, ApiError> {
        let texts = self.0.texts.as_ref();
        texts.ok_or_else(|| not_loaded("the texts of a reading"))
    }

    /// True if the viewer is the owner.
    fn is_own(&self, request: &RequestContext) -> bool {
        request.viewer().is(self.0.user_id)
    }

    fn own<'a, T>(
        &'a self,
        request: &RequestContext,
        value: impl FnOnce(&'a ReadingRow) -> Option<T>,
    ) -> Option<T> {
        if self.is_own(request) { value(&self.0) } else { None }
    }

    fn user_key(&self, _: &RequestContext) -> Uuid {
        self.0.user_id
    }

    fn cards_key(&self, _: &RequestContext, columns: DrawnCardColumns) -> DrawnCardsOfReading {
        DrawnCardsOfReading { reading: self.0.id, columns }
    }

    fn category_key(&self, request: &RequestContext) -> Option<Uuid> {
        self.own(request, |row| row.category_id)
    }

    /// Nobody but the owner and admins gets a reading that is not public.
    fn hidden_key(&self, _: &RequestContext) -> Option<Uuid> {
        (self.0.privacy_level != reading::PrivacyLevel::Public).then_some(self.0.id)
    }

    fn own_text<'a>(
        &'a self,
        request: &RequestContext,
        text: impl FnOnce(&'a ReadingTexts) -> Option<&'a str>,
    ) -> Option<Result<&'a str, ApiError>> {
        if !self.is_own(request) {
            return None;
        }
        self.texts().map(text).transpose()
    }
}

/// A question, the cards drawn for it, and their interpretation. Notes, ratings, moods, category
/// and archive state are null for everyone but the owner.
#[object]
impl Reading {
    /// Id of the reading, for `node` and `reading`.
    pub fn id(&self) -> GlobalId {
        GlobalId::Reading(self.0.id)
    }

    /// Version, from 1, incremented by every change. Pass it as `expectedVersion` to detect
    /// concurrent changes.
    fn version(&self) -> i32 {
        self.0.version
    }

    /// Question, 1 to 500 characters.
    fn question(&self) -> &str {
        &self.0.question
    }

    /// Spread of the reading, even if it is no longer active.
    fn spread(&self, request: &RequestContext) -> Result<Spread, ApiError> {
        let id = self.0.spread_template_id;
        let found = request.catalogue.spread(id).map(Spread::of);
        found.ok_or_else(|| missing(format!("spread {id}")))
    }

    /// Kind of the spread at the time of the reading.
    fn spread_type(&self) -> SpreadType {
        self.0.spread_type.into()
    }

    /// Voice of the interpretation, as an enum value.
    fn character_voice(&self) -> VoiceKey {
        self.0.character_voice.into()
    }

    /// Voice of the interpretation.
    fn voice(&self, request: &RequestContext) -> Result<Voice, ApiError> {
        let key = self.0.character_voice;
        let found = request.catalogue.voice(key).map(Voice::of);
        found.ok_or_else(|| missing(format!("voice {key}")))
    }

    /// Tone of the reading.
    fn karma_context(&self) -> Karma {
        self.0.karma_context.into()
    }

    /// Tags, at most 20 of 1 to 50 characters each.
    fn tags(&self) -> &[String] {
        &self.0.tags.0
    }

    /// Visibility of the reading. `PRIVATE` while an admin hides it.
    fn privacy_level(&self) -> PrivacyLevel {
        self.0.privacy_level.into()
    }

    /// Subject of the question, at most 100 characters; null if none was given.
    fn focus_area(&self) -> Option<&str> {
        self.0.focus_area.as_deref()
    }

    /// Radiation factor, 0 to 1. Flavour: it does not influence draws.
    fn radiation_factor(&self) -> f64 {
        self.0.radiation_factor
    }

    /// Language of the interpretation and summary. Fields with a `locale` argument do not depend on
    /// it.
    fn locale(&self) -> Locale {
        self.0.locale.into()
    }

    /// Interpretation of the whole reading, in the reading's language.
    fn interpretation(&self) -> Result<&str, ApiError> {
        Ok(&self.texts()?.interpretation)
    }

    /// Summary in one line, in the reading's language.
    fn summary(&self) -> Result<&str, ApiError> {
        self.0.summary.as_deref().ok_or_else(|| not_loaded("the summary of a reading"))
    }

    /// Time of creation.
    fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Time of the last change.
    fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Owner of the reading.
    #[load(user_by_id, Self::user_key)]
    fn user(&self, loaded: LoadedValue<Arc<UserRow>>) -> Result<User, ApiError> {
        loaded?.map(User).ok_or_else(|| missing(format!("user {}", self.0.user_id)))
    }

    /// Drawn cards in the order of their positions. At most 15.
    #[load(drawn_cards_by_reading_id, Self::cards_key, columns = DrawnCardColumns)]
    fn cards(&self, loaded: LoadedValue<Arc<[DrawnCardRow]>>) -> Result<List<DrawnCard>, ApiError> {
        Ok(DrawnCard::all_of(loaded?))
    }

    /// Notes of the owner, at most 1000 characters. Null for everyone but the owner.
    fn notes(&self, request: &RequestContext) -> Option<Result<&str, ApiError>> {
        self.own_text(request, |texts| texts.notes.as_deref())
    }

    /// True for a favourite of the owner. Null for everyone but the owner.
    fn is_favorite(&self, request: &RequestContext) -> Option<bool> {
        self.own(request, |row| Some(row.is_favorite))
    }

    /// Time of archiving; null if it is not archived. Null for everyone but the owner.
    fn archived_at(&self, request: &RequestContext) -> Option<DateTime> {
        self.own(request, |row| row.archived_at.map(DateTime))
    }

    /// Category of the reading; null if it has none. Null for everyone but the owner.
    #[load(category_by_id, Self::category_key)]
    fn category(
        &self,
        loaded: LoadedValue<Arc<CategoryRow>>,
    ) -> Option<Result<Category, ApiError>> {
        Some(loaded.map_err(ApiError::from).transpose()?.map(Category))
    }

    /// Mood before the reading, at most 50 characters. Null for everyone but the owner.
    fn mood_before(&self, request: &RequestContext) -> Option<&str> {
        self.own(request, |row| row.mood_before.as_deref())
    }

    /// Mood after the reading, at most 50 characters. Null for everyone but the owner.
    fn mood_after(&self, request: &RequestContext) -> Option<&str> {
        self.own(request, |row| row.mood_after.as_deref())
    }

    /// Feedback of the owner, at most 1000 characters. Null for everyone but the owner.
    fn feedback(&self, request: &RequestContext) -> Option<Result<&str, ApiError>> {
        self.own_text(request, |texts| texts.user_feedback.as_deref())
    }

    /// Satisfaction rating, 1 to 5. Null if not rated, and for everyone but the owner.
    fn satisfaction_rating(&self, request: &RequestContext) -> Option<i16> {
        self.own(request, |row| row.user_satisfaction)
    }

    /// Accuracy rating, 1 to 5. Null if not rated, and for everyone but the owner.
    fn accuracy_rating(&self, request: &RequestContext) -> Option<i16> {
        self.own(request, |row| row.accuracy_rating)
    }

    /// Helpfulness rating, 1 to 5. Null if not rated, and for everyone but the owner.
    fn helpful_rating(&self, request: &RequestContext) -> Option<i16> {
        self.own(request, |row| row.helpful_rating)
    }

    /// Time and reason, if an admin has hidden the reading; otherwise null. Null for everyone but the
    /// owner and admins.
    #[load(hidden_reading_by_id, Self::hidden_key)]
    fn hidden(
        &self,
        loaded: LoadedValue<Arc<HiddenReadingRow>>,
    ) -> Option<Result<HiddenReading, ApiError>> {
        let row = loaded.map_err(ApiError::from).transpose()?;
        Some(row.map(HiddenReading))
    }

    /// Open share links of the reading, the newest first. At most 20. Null for everyone but the
    /// owner.
    async fn share_links(
        &self,
        context: &Context<'_>,
    ) -> Option<Result<List<ShareLink>, ApiError>> {
        let request = request(context);
        let id = self.own(request, |row| Some(row.id))?;
        let loaded = request.loaders.open_shares_by_reading_id.load_one(id).await;
        let links = |shares: Arc<[_]>| shares.iter().cloned().map(ShareLink).collect();
        Some(
            loaded
                .map(|shares| List(shares.map(links).unwrap_or_default()))
                .map_err(ApiError::from),
        )
    }
}

/// Time and reason of a hidden reading. Its privacy level is `PRIVATE`, and its share links are closed.
pub struct HiddenReading(Arc<HiddenReadingRow>);

/// Time and reason of a hidden reading. Its privacy level is `PRIVATE`, and its share links are closed.
#[object]
impl HiddenReading {
    /// Time since which it is hidden.
    fn since(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// Reason of the admin, 1 to 500 characters.
    fn reason(&self) -> &str {
        &self.0.reason
    }
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
        Ok(Self::all_of(loaded).0)
    }

    fn all_of(loaded: Option<Arc<[DrawnCardRow]>>) -> List<Self> {
        let drawn = loaded.unwrap_or_default();
        (0..drawn.len()).map(|index| Self { drawn: Arc::clone(&drawn), index }).collect()
    }

    pub(super) fn row(&self) -> &DrawnCardRow {
        &self.drawn[self.index]
    }

    pub(super) fn position_name_in(&self, locale: Locale) -> Result<&str, ApiError> {
        let name = self.row().position_name.as_ref();
        let name = name.ok_or_else(|| not_loaded("the names of positions"))?;
        Ok(name.get(locale.into()))
    }

    pub(super) fn position_meaning_in(&self, locale: Locale) -> Result<&str, ApiError> {
        let meaning = self.row().position_meaning.as_ref();
        let meaning = meaning.ok_or_else(|| not_loaded("the meanings of positions"))?;
        Ok(meaning.get(locale.into()))
    }

    pub(super) fn own_interpretation(&self) -> Result<&str, ApiError> {
        let text = self.row().interpretation.as_deref();
        text.ok_or_else(|| not_loaded("the interpretations of drawn cards"))
    }

    pub(super) fn card_of<'a>(
        &self,
        request: &'a RequestContext,
    ) -> Result<&'a Arc<card::Card>, ApiError> {
        let id = self.row().card_id;
        request.catalogue.card(id).ok_or_else(|| missing(format!("card {id}")))
    }

    /// Meaning of the card in its orientation.
    pub(super) fn meaning_in<'a>(
        &self,
        request: &'a RequestContext,
        locale: Locale,
    ) -> Result<&'a str, ApiError> {
        let text = self.card_of(request)?.texts.get(locale.into());
        Ok(text.meaning(self.row().orientation))
    }
}

/// A card drawn for a position of a reading.
#[object]
impl DrawnCard {
    /// Id of the drawn card. `node` does not accept it.
    fn id(&self) -> GlobalId {
        GlobalId::DrawnCard(self.row().reading_id, self.row().position_number)
    }

    /// Number of the position, from 1.
    fn position(&self) -> i16 {
        self.row().position_number
    }

    /// Name of the position at the time of the draw.
    fn position_name(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        self.position_name_in(locale)
    }

    /// Meaning of the position at the time of the draw.
    fn position_meaning(
        &self,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&str, ApiError> {
        self.position_meaning_in(locale)
    }

    /// Orientation of the card.
    fn orientation(&self) -> Orientation {
        self.row().orientation.into()
    }

    /// The card.
    fn card(&self, request: &RequestContext) -> Result<Card, ApiError> {
        self.card_of(request).map(Card::of)
    }

    /// Meaning of the card in its orientation.
    fn meaning<'a>(
        &'a self,
        request: &'a RequestContext,
        #[graphql(desc = "Language of the text.", default_with = "Locale::En")] locale: Locale,
    ) -> Result<&'a str, ApiError> {
        self.meaning_in(request, locale)
    }

    /// Interpretation of the card in this position, in the reading's language.
    fn interpretation(&self) -> Result<&str, ApiError> {
        self.own_interpretation()
    }
}

/// Error of columns that were not selected although a field needs them.
pub(super) fn not_loaded(what: &'static str) -> ApiError {
    DbError::NotLoaded { what }.into()
}

/// Error of missing reference data.
pub(super) fn missing(what: String) -> ApiError {
    DbError::MissingReferenceData { what }.into()
}
