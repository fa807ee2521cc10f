//! Statements that read readings. Each takes the viewer: none can return a reading that is private to
//! another user.
//!
//! The SQL of each statement and its plans, for both databases, are in `tests/api/golden/`; the test
//! `golden` names the GraphQL query of each file. A user's readings are `readings_of_a_user.snap` and
//! `own_readings_*.snap`, public ones `public_readings*.snap`, one reading `reading.snap`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{self, Alias, Expr, ExprTrait, IntoColumnRef, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryResult, QuerySelect, QueryTrait,
    Select,
};
use uuid::Uuid;

use super::entities::columns::TextList;
use super::entities::reading_sessions::{Column, Entity, Model};
use super::query::columns::{Cells, ReadingColumns};
use super::query::keyset::{AccessPath, Keyset, KeysetList, Probe, page_of_rows, pages_of_rows};
use super::query::membership::is_one_of;
use super::query::range::within;
use super::query::tags::{TagIndex, TagLookup};
use super::query::text::SearchIndex;
use super::query::{Dialect, constant};
use super::session::PlanMode;
use super::users::is_of_active_user;
use super::{DbError, Session};
use crate::config::database::{SEARCH_PROBE_ROWS, TAG_PROBE_ROWS};
use crate::domain::locale::Locale;
use crate::domain::page::{Order, Page, PageRequest, Total};
use crate::domain::reading::{Karma, PrivacyLevel};
use crate::domain::reading_list::{
    ArchiveFilter, OwnFilter, ReadingFilter, ReadingList, ReadingOrder, ReadingOrderField,
};
use crate::domain::spread::SpreadType;
use crate::domain::viewer::Viewer;
use crate::domain::voice::VoiceKey;

/// Declares a reading's columns once. From the list follow the row's type, the columns that a statement
/// selects, and their decoder, which reads cells by position: finding each cell by its column's name takes
/// longer than decoding it.
macro_rules! reading_columns {
    (
        row { $($field:ident: $type:ty = $column:ident,)+ }
        summary { $summary:ident: $summary_type:ty = $summary_column:ident, }
        texts { $($text:ident: $text_type:ty = $text_column:ident,)+ }
    ) => {
        /// A reading.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "a field a column")]
        pub struct ReadingRow {
            $(pub $field: $type,)+
            /// `None` if the statement did not select it.
            pub $summary: Option<$summary_type>,
            /// `None` if the statement did not select them.
            pub texts: Option<ReadingTexts>,
        }

        /// The long texts of a reading: most of its bytes.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "a field a column")]
        pub struct ReadingTexts {
            $(pub $text: $text_type,)+
        }

        /// Selects the columns of readings.
        pub(super) fn select_readings(columns: ReadingColumns) -> Select<Entity> {
            let mut select = Entity::find().select_only();
            $(select = select.column_as(Column::$column, stringify!($field));)+
            if columns >= ReadingColumns::WithSummary {
                select = select.column_as(Column::$summary_column, stringify!($summary));
            }
            if columns >= ReadingColumns::WithTexts {
                $(select = select.column_as(Column::$text_column, stringify!($text));)+
            }
            select
        }

        /// Decodes the columns of [`select_readings`], the first of which is at that index of the row.
        pub(super) fn decode_reading(
            columns: ReadingColumns,
            row: &QueryResult,
            first: usize,
        ) -> Result<ReadingRow, DbErr> {
            let mut cells = Cells::from(row, first);
            Ok(ReadingRow {
                $($field: cells.next()?,)+
                $summary: (columns >= ReadingColumns::WithSummary)
                    .then(|| cells.next())
                    .transpose()?,
                texts: (columns >= ReadingColumns::WithTexts)
                    .then(|| Ok::<_, DbErr>(ReadingTexts { $($text: cells.next()?,)+ }))
                    .transpose()?,
            })
        }

        impl From<Model> for ReadingRow {
            fn from(reading: Model) -> Self {
                Self {
                    $($field: reading.$field,)+
                    $summary: Some(reading.$summary),
                    texts: Some(ReadingTexts { $($text: reading.$text,)+ }),
                }
            }
        }
    };
}

reading_columns! {
    row {
        id: Uuid = Id,
        user_id: Uuid = UserId,
        spread_template_id: Uuid = SpreadTemplateId,
        spread_type: SpreadType = SpreadType,
        character_voice: VoiceKey = CharacterVoice,
        karma_context: Karma = KarmaContext,
        question: String = Question,
        focus_area: Option<String> = FocusArea,
        tags: TextList = Tags,
        category_id: Option<Uuid> = CategoryId,
        radiation_factor: f64 = RadiationFactor,
        locale: Locale = Locale,
        mood_before: Option<String> = MoodBefore,
        mood_after: Option<String> = MoodAfter,
        privacy_level: PrivacyLevel = PrivacyLevel,
        is_favorite: bool = IsFavorite,
        archived_at: Option<DateTime<Utc>> = ArchivedAt,
        user_satisfaction: Option<i16> = UserSatisfaction,
        accuracy_rating: Option<i16> = AccuracyRating,
        helpful_rating: Option<i16> = HelpfulRating,
        version: i32 = Version,
        created_at: DateTime<Utc> = CreatedAt,
        updated_at: DateTime<Utc> = UpdatedAt,
    }
    summary {
        summary: String = Summary,
    }
    texts {
        interpretation: String = Interpretation,
        notes: Option<String> = Notes,
        user_feedback: Option<String> = UserFeedback,
    }
}

/// Keyset of a reading in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingKey {
    /// Sort value.
    pub sort: ReadingSort,
    /// Id, which orders readings with the same sort value.
    pub id: Uuid,
}

/// Sort value of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadingSort {
    /// A time, to the microsecond.
    Time(DateTime<Utc>),
    /// The satisfaction rating, if there is one.
    Satisfaction(Option<i16>),
}

/// Generated columns with a value for readings without a satisfaction rating: below the worst or above
/// the best, so that they come last in either order.
const SATISFACTION_OR_LEAST: (&str, i16) = ("satisfaction_or_least", 0);
const SATISFACTION_OR_MOST: (&str, i16) = ("satisfaction_or_most", 6);

const fn satisfaction_column(order: Order) -> (&'static str, i16) {
    match order {
        Order::Desc => SATISFACTION_OR_LEAST,
        Order::Asc => SATISFACTION_OR_MOST,
    }
}

impl ReadingKey {
    /// Key of a row in a list with that order.
    #[must_use]
    pub fn of(row: &ReadingRow, field: ReadingOrderField) -> Self {
        let sort = match field {
            ReadingOrderField::CreatedAt => ReadingSort::Time(row.created_at),
            ReadingOrderField::UpdatedAt => ReadingSort::Time(row.updated_at),
            ReadingOrderField::Satisfaction => ReadingSort::Satisfaction(row.user_satisfaction),
        };
        Self { sort, id: row.id }
    }

    pub(super) fn values(self, order: Order) -> [Value; 2] {
        let sort = match self.sort {
            ReadingSort::Time(time) => time.into(),
            ReadingSort::Satisfaction(rating) => {
                rating.unwrap_or(satisfaction_column(order).1).into()
            }
        };
        [sort, self.id.into()]
    }
}

/// The table of readings.
const TABLE: &str = "reading_sessions";

/// Index of the searched texts.
const SEARCH: SearchIndex =
    SearchIndex { table: TABLE, index: "reading_sessions_search", row: "search_id" };

/// Column of the folded question, see [`SearchIndex`].
pub(super) const SEARCH_QUESTION: &str = "search_question";
/// Column of the folded notes.
pub(super) const SEARCH_NOTES: &str = "search_notes";

pub(super) const TAGS: TagIndex =
    TagIndex { table: TABLE, column: "tags", index: "reading_session_tags", row: "search_id" };

/// The readings with these ids that the viewer may see: their own, and public ones.
///
/// SQL: `reading.snap`, `nodes.snap`.
pub async fn readings_by_id(
    session: &Session,
    viewer: Viewer,
    ids: &[Uuid],
    columns: ReadingColumns,
) -> Result<Vec<ReadingRow>, DbError> {
    const STATEMENT: &str = "readings_by_id";
    let query = select_readings(columns)
        .filter(is_one_of(session.dialect(), Column::Id, ids))
        .filter(visible_to(viewer))
        .into_query();
    let rows = session.rows(STATEMENT, &query).await?;
    rows.iter()
        .map(|row| decode_reading(columns, row, 0))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// A page of all public readings that are not archived and match the filter, newest first. The part of
/// the filter on private columns is ignored. The readings are counted up to the limit.
///
/// SQL: `public_readings*.snap`.
pub async fn readings_page_public(
    session: &Session,
    filter: &ReadingFilter,
    request: &PageRequest<ReadingKey>,
    columns: ReadingColumns,
    count_limit: u64,
) -> Result<Page<ReadingRow>, DbError> {
    const STATEMENT: &str = "readings_page_public";
    let dialect = session.dialect();
    let searched = filter.search.as_ref();
    let in_feed = Condition::all().add(has_public_level()).add(Column::ArchivedAt.is_null());
    let condition = in_feed
        .clone()
        .add(is_of_active_user((Entity, Column::UserId)))
        .add(matches_public_columns(dialect, TagLookup::ByTag, filter))
        .add_option(searched.map(|text| SEARCH.contains(dialect, &[SEARCH_QUESTION], text)));
    let order = ReadingOrder::default();
    let mut list = ordered_readings(columns, condition, order);
    list.count_limit = Some(count_limit);
    let probe_rows = match (searched, &filter.tags_any) {
        (Some(_), _) => Some(SEARCH_PROBE_ROWS),
        (None, Some(_)) => Some(TAG_PROBE_ROWS),
        (None, None) => None,
    };
    if let Some(rows) = probe_rows.filter(|_| !dialect.is_sqlite()) {
        list.access = AccessPath::Probe(Probe { table: TABLE, condition: in_feed, rows });
    }
    let key = request.key.map(|key| key.values(order.order));
    let query = list.select_page(request, key.as_ref().map(AsRef::as_ref));
    // The search itself has one generic plan for all terms.
    let others = ReadingFilter { search: None, ..filter.clone() };
    let rows = session.rows_planned(STATEMENT, &query, plan_mode_for(&others)).await?;
    let page = page_of_rows(request, &rows, |row, first| decode_reading(columns, row, first))
        .map_err(|error| DbError::of(STATEMENT, error))?;
    let total = page.total.map(|total| Total::bounded(total.count, count_limit));
    Ok(Page { total, ..page })
}

/// A page of the readings of each user that the viewer may see and that match the filter, in one
/// statement for all users. Users without a matching reading may be missing from the result.
///
/// SQL: `readings_of_a_user*.snap` and `readings_of_users*.snap`; with a filter `own_*.snap`.
pub async fn readings_page_by_user_id(
    session: &Session,
    viewer: Viewer,
    users: &[Uuid],
    list: &ReadingList,
    request: &PageRequest<ReadingKey>,
    columns: ReadingColumns,
) -> Result<HashMap<Uuid, Page<ReadingRow>>, DbError> {
    const STATEMENT: &str = "readings_page_by_user_id";
    let ReadingList { filter, order } = list;
    let own: Vec<Uuid> = users.iter().copied().filter(|user| viewer.is(*user)).collect();
    // A filter on private columns matches no reading of other users.
    let users = if filter.own.is_set() { own.as_slice() } else { users };
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let dialect = session.dialect();
    let partitions = search_partitions(dialect, filter);
    let condition = Condition::all()
        .add(matches_public_columns(dialect, TagLookup::ByRow, filter))
        .add(matches_private_columns(&filter.own))
        .add(visible_of(users, viewer, |search_in| {
            let columns = search_in.columns();
            let text = filter.search.as_ref()?;
            Some(if partitions.is_empty() {
                SEARCH.contains(dialect, columns, text)
            } else {
                SEARCH.contains_unindexed(dialect, columns, text)
            })
        }));
    // In parts all of the user's texts are compared, whatever the number of matches.
    let plan_mode = if partitions.is_empty() { plan_mode_for(filter) } else { PlanMode::Generic };
    let mut list = ordered_readings(columns, condition, *order);
    if !partitions.is_empty() {
        list.access = AccessPath::Partitions(partitions);
    }
    let key = request.key.map(|key| key.values(order.order));
    let query = list.select_page_per_parent(
        dialect,
        &Column::UserId.into_column_ref(),
        users,
        request,
        key.as_ref().map(AsRef::as_ref),
    );
    let rows = session.rows_planned(STATEMENT, &query, plan_mode).await?;
    pages_of_rows(request, &rows, |row, first| decode_reading(columns, row, first))
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// Partitions for the search in a user's readings on PostgreSQL: those whose texts an index holds, and
/// those whose texts are too long for it. None if the filter needs a column that the index lacks, and on
/// SQLite, which has a full-text index.
fn search_partitions(dialect: Dialect, filter: &ReadingFilter) -> Vec<SimpleExpr> {
    // The same expression as in the two partial indexes.
    const OCTETS: &str =
        r#"octet_length("search_question") + coalesce(octet_length("search_notes"), 0)"#;
    let ReadingFilter { search, from, to, own, .. } = filter;
    let OwnFilter { privacy_levels, archive, .. } = own;
    let held = ReadingFilter {
        search: search.clone(),
        from: *from,
        to: *to,
        own: OwnFilter {
            privacy_levels: privacy_levels.clone(),
            archive: *archive,
            ..OwnFilter::default()
        },
        ..ReadingFilter::default()
    };
    if dialect.is_sqlite() || search.is_none() || *filter != held {
        return Vec::new();
    }
    ["<= 2400", "> 2400"].map(|length| Expr::cust(format!("{OCTETS} {length}"))).into()
}

/// With a filter the number of matches, and so the best plan, depends on the values.
fn plan_mode_for(filter: &ReadingFilter) -> PlanMode {
    if filter.is_set() { PlanMode::Custom } else { PlanMode::Generic }
}

/// The filter on columns that everybody may see, without the search.
fn matches_public_columns(
    dialect: Dialect,
    tag_lookup: TagLookup,
    filter: &ReadingFilter,
) -> Condition {
    let ReadingFilter { voices, karma, spread_types, tags_any, tags_all, from, to, .. } = filter;
    let one_of = |column: Column, values: Vec<Value>| {
        let column = Expr::col((Entity, column));
        match (dialect, tag_lookup) {
            // The unary plus keeps SQLite from an index of this column, where it would read all matches
            // and sort them. The feed's own index has these columns, and most readings match.
            (Dialect::Sqlite, TagLookup::ByTag) => Expr::cust_with_expr("+?", column).is_in(values),
            _ => column.is_in(values),
        }
    };
    within(&(Entity, Column::CreatedAt).into_column_ref(), *from, *to)
        .add_option(voices.as_ref().map(|voices| one_of(Column::CharacterVoice, values(voices))))
        .add_option(karma.as_ref().map(|karma| one_of(Column::KarmaContext, values(karma))))
        .add_option(spread_types.as_ref().map(|types| one_of(Column::SpreadType, values(types))))
        .add_option(tags_any.as_ref().map(|tags| TAGS.has_any(dialect, tag_lookup, tags)))
        .add_option(tags_all.as_ref().map(|tags| TAGS.has_all(dialect, tag_lookup, tags)))
}

/// The filter on columns that only the owner may see.
fn matches_private_columns(filter: &OwnFilter) -> Condition {
    let column = |column: Column| Expr::col((Entity, column));
    let OwnFilter {
        privacy_levels,
        is_favorite,
        category,
        has_category,
        min_satisfaction,
        archive,
    } = filter;
    let archived = column(Column::ArchivedAt);
    Condition::all()
        .add_option(match archive {
            ArchiveFilter::Active => Some(archived.is_null()),
            ArchiveFilter::Archived => Some(archived.is_not_null()),
            ArchiveFilter::Any => None,
        })
        .add_option(privacy_levels.as_ref().map(|levels| match levels.as_slice() {
            // The same expression as in the index of public readings.
            [PrivacyLevel::Public] => has_public_level(),
            levels => column(Column::PrivacyLevel).is_in(values(levels)),
        }))
        // The same expression as in the index of favourites.
        .add_option(is_favorite.map(|is_favorite| {
            let marked = column(Column::IsFavorite);
            if is_favorite { marked } else { marked.not() }
        }))
        .add_option(category.map(|id| column(Column::CategoryId).eq(id)))
        .add_option(has_category.map(|has| {
            let category = column(Column::CategoryId);
            if has { category.is_not_null() } else { category.is_null() }
        }))
        .add_option(min_satisfaction.map(|least| column(Column::UserSatisfaction).gte(least)))
}

fn values<T: Copy + Into<Value>>(items: &[T]) -> Vec<Value> {
    items.iter().copied().map(Into::into).collect()
}

/// The owner has chosen to publish it, and no admin hides it. The same expression as in the partial indexes.
pub(super) fn has_public_level() -> SimpleExpr {
    Expr::col((Entity, Column::PrivacyLevel)).eq(constant(PrivacyLevel::Public))
}

/// Visible to everybody: of the public level, and of a user who is not deactivated.
fn is_public() -> Condition {
    Condition::all().add(has_public_level()).add(is_of_active_user((Entity, Column::UserId)))
}

fn visible_to(viewer: Viewer) -> Condition {
    let public = Condition::any().add(is_public());
    match viewer {
        Viewer::Anonymous => public,
        Viewer::User(id) => public.add(Column::UserId.eq(id)),
    }
}

/// Whose readings a search is in, which decides the searched columns.
#[derive(Clone, Copy)]
enum SearchIn {
    OwnReadings,
    OtherReadings,
}

impl SearchIn {
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::OwnReadings => &[SEARCH_QUESTION, SEARCH_NOTES],
            Self::OtherReadings => &[SEARCH_QUESTION],
        }
    }
}

/// Visibility of the readings of these users to the viewer, together with the search in them. If it is
/// the same for all of them the condition is as simple as that, so that an index can serve it.
///
/// It does not leave out deactivated users, because nobody but an admin gets as far as one: PostgreSQL would expect
/// that the condition drops half of a user's readings, and then read and sort all of them for a page.
fn visible_of(
    users: &[Uuid],
    viewer: Viewer,
    search: impl Fn(SearchIn) -> Option<SimpleExpr>,
) -> Condition {
    let public =
        Condition::all().add(has_public_level()).add_option(search(SearchIn::OtherReadings));
    match viewer.user_id() {
        Some(id) if users == [id] => Condition::all().add_option(search(SearchIn::OwnReadings)),
        Some(id) if users.contains(&id) => {
            let own = Condition::all()
                .add(Column::UserId.eq(id))
                .add_option(search(SearchIn::OwnReadings));
            Condition::any().add(public).add(own)
        }
        _ => public,
    }
}

/// A list of readings that meet a condition.
pub(super) fn ordered_readings(
    columns: ReadingColumns,
    condition: Condition,
    order: ReadingOrder,
) -> KeysetList {
    let mut rows = select_readings(columns).into_query();
    let sort = match order.field {
        ReadingOrderField::CreatedAt => {
            ((Entity, Column::CreatedAt).into_column_ref(), "created_at")
        }
        ReadingOrderField::UpdatedAt => {
            ((Entity, Column::UpdatedAt).into_column_ref(), "updated_at")
        }
        ReadingOrderField::Satisfaction => {
            let (name, _) = satisfaction_column(order.order);
            let column = (Entity, Alias::new(name)).into_column_ref();
            // After the decoded columns, for the order of the page alone.
            rows.column(column.clone());
            (column, name)
        }
    };
    let order = match order.order {
        Order::Asc => sea_query::Order::Asc,
        Order::Desc => sea_query::Order::Desc,
    };
    let id = ((Entity, Column::Id).into_column_ref(), "id");
    let keyset = Keyset { columns: vec![sort], id, order };
    KeysetList { rows, condition, keyset, access: AccessPath::Ordered, count_limit: None }
}
