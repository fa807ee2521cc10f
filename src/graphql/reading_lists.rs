//! Lists of readings: filter, order and pages.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject};
use object_macro::object;
use uuid::Uuid;

use super::context::request;
use super::enums::{Karma, PrivacyLevel, SpreadType, VoiceKey};
use super::errors::ApiError;
use super::fast_json::json_enums;
use super::id::GlobalId;
use super::inputs::{DateTimeRange, OrderDirection, fold_search};
use super::pagination::{Connection, CursorKey, PageArguments, of_order, read_time, write_cursor};
use super::reading::Reading;
use crate::config::content;
use crate::db::readings::{ReadingKey, ReadingRow, ReadingSort};
use crate::domain::counted::counted;
use crate::domain::page::{FetchedRows, Order, Page, PageRequest, Total};
use crate::domain::reading_list::{self, ArchiveFilter, OwnFilter};

/// Filter of a user's readings. All given fields must match; of a list, one item must match, so an
/// empty list matches nothing.
#[derive(InputObject, Default)]
pub struct ReadingFilter {
    /// One of these voices.
    character_voices: Option<Vec<VoiceKey>>,
    /// One of these tones.
    karma_contexts: Option<Vec<Karma>>,
    /// One of these kinds of spread.
    spread_types: Option<Vec<SpreadType>>,
    /// At least one of these tags, at most 20.
    tags_any: Option<Vec<String>>,
    /// All of these tags, at most 20. An empty list matches every reading.
    tags_all: Option<Vec<String>>,
    /// Created in this time range.
    created_at: Option<DateTimeRange>,
    /// One of these visibilities. Matches nothing of other users' readings.
    privacy_levels: Option<Vec<PrivacyLevel>>,
    /// Favourite, or not. Matches nothing of other users' readings.
    is_favorite: Option<bool>,
    /// Id of its category. Matches nothing of other users' readings.
    category_id: Option<ID>,
    /// With a category, or without. Matches nothing of other users' readings.
    has_category: Option<bool>,
    /// Smallest satisfaction rating, 1 to 5. Matches nothing of other users' readings.
    min_satisfaction: Option<i32>,
    /// Archive state. Values other than `ACTIVE` match nothing of other users' readings.
    #[graphql(default_with = "ArchiveState::Active")]
    archive: ArchiveState,
}

/// Filter of public readings. All given fields must match; of a list, one item must match, so an
/// empty list matches nothing.
#[derive(InputObject, Default)]
pub struct PublicReadingFilter {
    /// One of these voices.
    character_voices: Option<Vec<VoiceKey>>,
    /// One of these tones.
    karma_contexts: Option<Vec<Karma>>,
    /// One of these kinds of spread.
    spread_types: Option<Vec<SpreadType>>,
    /// At least one of these tags, at most 20.
    tags_any: Option<Vec<String>>,
    /// Created in this time range.
    created_at: Option<DateTimeRange>,
}

/// Archive state of readings.
#[derive(Enum, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[graphql(remote = "ArchiveFilter")]
pub enum ArchiveState {
    /// Not archived.
    #[default]
    Active,
    /// Archived.
    Archived,
    /// Archived or not.
    Any,
}

/// Sort field of readings.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "reading_list::ReadingOrderField")]
pub enum ReadingOrderField {
    /// Time of creation.
    CreatedAt,
    /// Time of the last change.
    UpdatedAt,
    /// Satisfaction rating. Readings without a rating come last in both directions. For the owner
    /// only: an error for other users' readings.
    Satisfaction,
}

/// Order of readings. Ties are ordered by id in the same direction.
#[derive(InputObject, Clone, Copy)]
pub struct ReadingOrder {
    /// Sort field.
    #[graphql(default_with = "ReadingOrderField::CreatedAt")]
    field: ReadingOrderField,
    /// Sort direction.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

impl From<ReadingOrder> for reading_list::ReadingOrder {
    fn from(order: ReadingOrder) -> Self {
        Self { field: order.field.into(), order: order.direction.into() }
    }
}

impl PublicReadingFilter {
    /// The filter as domain rules.
    ///
    /// # Errors
    ///
    /// There are too many tags.
    pub fn into_domain(self) -> Result<reading_list::ReadingFilter, ApiError> {
        let range = self.created_at.unwrap_or_default();
        Ok(reading_list::ReadingFilter {
            voices: domain_values(self.character_voices),
            karma: domain_values(self.karma_contexts),
            spread_types: domain_values(self.spread_types),
            tags_any: tags("tagsAny", self.tags_any)?,
            from: range.from.map(|from| from.0),
            to: range.to.map(|to| to.0),
            ..reading_list::ReadingFilter::default()
        })
    }
}

impl ReadingFilter {
    /// The filter as domain rules.
    ///
    /// # Errors
    ///
    /// There are too many tags, a rating is out of range, or an id is not that of a category.
    pub fn into_domain(self) -> Result<reading_list::ReadingFilter, ApiError> {
        let public = PublicReadingFilter {
            character_voices: self.character_voices,
            karma_contexts: self.karma_contexts,
            spread_types: self.spread_types,
            tags_any: self.tags_any,
            created_at: self.created_at,
        };
        Ok(reading_list::ReadingFilter {
            tags_all: tags("tagsAll", self.tags_all)?,
            own: OwnFilter {
                privacy_levels: domain_values(self.privacy_levels),
                is_favorite: self.is_favorite,
                category: self.category_id.as_ref().map(category).transpose()?,
                has_category: self.has_category,
                min_satisfaction: self.min_satisfaction.map(rating).transpose()?,
                archive: self.archive.into(),
            },
            ..public.into_domain()?
        })
    }
}

/// Sorted and without duplicates, so that equal filters are equal statements and cache keys.
/// Values of GraphQL enums as distinct domain values.
fn domain_values<G, D: From<G> + Ord>(values: Option<Vec<G>>) -> Option<Vec<D>> {
    values.map(|values| unique(values.into_iter().map(D::from).collect()))
}

fn unique<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

/// Name of the argument in errors.
const FILTER: &str = "filter";

fn tags(field: &str, tags: Option<Vec<String>>) -> Result<Option<Vec<String>>, ApiError> {
    let Some(tags) = tags else { return Ok(None) };
    if tags.len() > content::TAGS {
        return Err(ApiError::BadInput {
            argument: FILTER,
            message: format!(
                "`{field}` has {}; it must have at most {}",
                counted(tags.len(), "tag"),
                content::TAGS
            ),
        });
    }
    Ok(Some(unique(tags.iter().map(|tag| fold_search(tag)).collect())))
}

fn rating(rating: i32) -> Result<i16, ApiError> {
    let found = content::RATING.contains(&rating).then(|| i16::try_from(rating).ok()).flatten();
    found.ok_or_else(|| ApiError::BadInput {
        argument: FILTER,
        message: format!(
            "`minSatisfaction` is {rating}; it must be from {} to {}",
            content::RATING.start(),
            content::RATING.end()
        ),
    })
}

fn category(id: &ID) -> Result<Uuid, ApiError> {
    match GlobalId::parse("categoryId", id)? {
        GlobalId::Category(id) => Ok(id),
        other => Err(other.refuse("categoryId", "Category")),
    }
}

/// Name of a list of readings in an order; cursors are bound to both.
#[derive(Debug, Clone, Copy)]
pub struct ListName {
    field: ListField,
    order: reading_list::ReadingOrder,
}

#[derive(Debug, Clone, Copy)]
enum ListField {
    Public,
    OfUser,
}

impl ListName {
    /// `publicReadings`.
    #[must_use]
    pub fn public() -> Self {
        Self { field: ListField::Public, order: reading_list::ReadingOrder::default() }
    }

    /// `User.readings`.
    #[must_use]
    pub const fn of_user(order: reading_list::ReadingOrder) -> Self {
        Self { field: ListField::OfUser, order }
    }

    const fn as_str(self) -> &'static str {
        use reading_list::ReadingOrderField::{CreatedAt, Satisfaction, UpdatedAt};
        match (self.field, self.order.field, self.order.order) {
            (ListField::Public, ..) => "publicReadings:CREATED_AT:DESC",
            (ListField::OfUser, CreatedAt, Order::Desc) => "User.readings:CREATED_AT:DESC",
            (ListField::OfUser, CreatedAt, Order::Asc) => "User.readings:CREATED_AT:ASC",
            (ListField::OfUser, UpdatedAt, Order::Desc) => "User.readings:UPDATED_AT:DESC",
            (ListField::OfUser, UpdatedAt, Order::Asc) => "User.readings:UPDATED_AT:ASC",
            (ListField::OfUser, Satisfaction, Order::Desc) => "User.readings:SATISFACTION:DESC",
            (ListField::OfUser, Satisfaction, Order::Asc) => "User.readings:SATISFACTION:ASC",
        }
    }

    /// Checks the arguments of a page of this list.
    ///
    /// # Errors
    ///
    /// The errors of [`PageArguments::request`].
    pub fn request(
        self,
        context: &Context<'_>,
        arguments: &PageArguments,
    ) -> Result<PageRequest<ReadingKey>, ApiError> {
        let limits = &request(context).limits;
        let page = arguments.request::<ReadingKey>(context, limits, self.as_str())?;
        of_order(page, |key| match self.order.field {
            reading_list::ReadingOrderField::Satisfaction => {
                matches!(key.sort, ReadingSort::Satisfaction(_))
            }
            _ => matches!(key.sort, ReadingSort::Time(_)),
        })
    }

    fn key_of(self, reading: &ReadingRow) -> ReadingKey {
        ReadingKey::of(reading, self.order.field)
    }

    /// Cursor of a reading in this list.
    #[must_use]
    pub fn cursor_of(self, reading: &ReadingRow) -> String {
        write_cursor(self.as_str(), &self.key_of(reading))
    }
}

/// Prefix of a rating in a cursor, which tells it from a time.
const RATING: &str = "r";

impl CursorKey for ReadingKey {
    fn write(&self) -> String {
        let id = self.id.simple();
        match self.sort {
            ReadingSort::Time(time) => format!("{},{id}", time.timestamp_micros()),
            ReadingSort::Satisfaction(None) => format!("{RATING},{id}"),
            ReadingSort::Satisfaction(Some(rating)) => format!("{RATING}{rating},{id}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (sort, id) = text.split_once(',')?;
        let sort = match sort.strip_prefix(RATING) {
            Some("") => ReadingSort::Satisfaction(None),
            Some(rating) => {
                let rating: i16 = rating.parse().ok()?;
                let is_rating = content::RATING.contains(&i32::from(rating));
                ReadingSort::Satisfaction(is_rating.then_some(Some(rating))?)
            }
            None => ReadingSort::Time(read_time(sort)?),
        };
        Some(Self { sort, id: Uuid::try_parse(id).ok()? })
    }
}

/// Reason why a search was not executed.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchNotice {
    /// The term is too short for a search in the readings of all users: it must have 3 letters or digits
    /// in a row, or one character that is Chinese, Japanese or Korean.
    TermTooShort,
}

/// A page of a list of readings.
pub struct ReadingConnection {
    page: Connection<Reading>,
    total_count_is_exact: bool,
    search_notice: Option<SearchNotice>,
}

impl ReadingConnection {
    /// The page of that list, which cursors are bound to.
    #[must_use]
    pub fn new(list: ListName, page: Page<Arc<ReadingRow>>) -> Self {
        let total_count_is_exact = page.total.is_none_or(|total| total.is_exact);
        let key_of = |row: &Arc<ReadingRow>| list.key_of(row);
        let page = Connection::new(list.as_str(), page, key_of, Reading);
        Self { page, total_count_is_exact, search_notice: None }
    }

    /// The empty page of a search for a term that is too short.
    #[must_use]
    pub fn of_short_term(list: ListName, request: &PageRequest<ReadingKey>) -> Self {
        let nothing =
            FetchedRows { rows: Vec::new(), has_other_side: false, total: Some(Total::exact(0)) };
        let page = Self::new(list, request.page(nothing));
        Self { search_notice: Some(SearchNotice::TermTooShort), ..page }
    }
}

/// A page of a list of readings.
#[object]
impl ReadingConnection {
    #[graphql(flatten)]
    fn page(&self) -> &Connection<Reading> {
        &self.page
    }

    /// False if the list has more readings than `totalCount`, which is counted up to 10,000 in
    /// `publicReadings`.
    fn total_count_is_exact(&self) -> bool {
        self.total_count_is_exact
    }

    /// Reason why the search was not executed and the page is empty; null if it was executed, or
    /// if there is no search.
    fn search_notice(&self) -> Option<SearchNotice> {
        self.search_notice
    }
}

json_enums!(SearchNotice);
