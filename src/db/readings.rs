//! Statements on readings. Each takes the viewer: none can answer with a reading that is somebody
//! else's and not public.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{self, Alias, Expr, ExprTrait, IntoColumnRef, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, Condition, DbErr, DerivePartialModel, EntityTrait, PartialModelTrait, QueryFilter,
    QueryResult, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use super::entities::columns::TextList;
use super::entities::reading_sessions::{Column, Entity, Model};
use super::query::columns::{Cells, Columns};
use super::query::keyset::{Keyset, List, page_of_rows, pages_of_rows};
use super::query::membership::is_one_of;
use super::query::range::within;
use super::query::tags::{Among, TagIndex};
use super::query::text::SearchIndex;
use super::query::{Dialect, constant};
use super::session::Planning;
use super::{DbError, Session};
use crate::domain::locale::Locale;
use crate::domain::page::{Order, Page, PageRequest};
use crate::domain::reading::{Karma, PrivacyLevel};
use crate::domain::reading_list::{
    ArchiveFilter, OwnFilter, ReadingFilter, ReadingList, ReadingOrder, ReadingOrderField,
};
use crate::domain::spread::SpreadType;
use crate::domain::viewer::Viewer;
use crate::domain::voice::VoiceKey;

/// A reading.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct ReadingRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub spread_template_id: Uuid,
    pub spread_type: SpreadType,
    pub character_voice: VoiceKey,
    pub karma_context: Karma,
    pub question: String,
    pub focus_area: Option<String>,
    pub tags: TextList,
    pub category_id: Option<Uuid>,
    pub radiation_factor: f64,
    pub locale: Locale,
    pub mood_before: Option<String>,
    pub mood_after: Option<String>,
    pub privacy_level: PrivacyLevel,
    pub is_favorite: bool,
    pub archived_at: Option<DateTime<Utc>>,
    pub user_satisfaction: Option<i16>,
    pub accuracy_rating: Option<i16>,
    pub helpful_rating: Option<i16>,
    pub version: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// `None` where they were not asked for.
    #[sea_orm(skip)]
    pub texts: Option<ReadingTexts>,
}

/// The long texts of a reading: most of its bytes.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct ReadingTexts {
    pub interpretation: String,
    pub summary: String,
    pub notes: Option<String>,
    pub user_feedback: Option<String>,
}

pub(super) fn readings(columns: Columns) -> Select<Entity> {
    let select = ReadingRow::select_cols(Entity::find().select_only());
    match columns {
        Columns::WithoutTexts => select,
        Columns::WithTexts => ReadingTexts::select_cols(select),
    }
}

/// Reads the columns of [`readings`], the first of which is in that place.
pub(super) fn read(columns: Columns, row: &QueryResult, first: usize) -> Result<ReadingRow, DbErr> {
    let mut cells = Cells::from(row, first);
    Ok(ReadingRow {
        id: cells.next()?,
        user_id: cells.next()?,
        spread_template_id: cells.next()?,
        spread_type: cells.next()?,
        character_voice: cells.next()?,
        karma_context: cells.next()?,
        question: cells.next()?,
        focus_area: cells.next()?,
        tags: cells.next()?,
        category_id: cells.next()?,
        radiation_factor: cells.next()?,
        locale: cells.next()?,
        mood_before: cells.next()?,
        mood_after: cells.next()?,
        privacy_level: cells.next()?,
        is_favorite: cells.next()?,
        archived_at: cells.next()?,
        user_satisfaction: cells.next()?,
        accuracy_rating: cells.next()?,
        helpful_rating: cells.next()?,
        version: cells.next()?,
        created_at: cells.next()?,
        updated_at: cells.next()?,
        texts: match columns {
            Columns::WithoutTexts => None,
            Columns::WithTexts => Some(ReadingTexts {
                interpretation: cells.next()?,
                summary: cells.next()?,
                notes: cells.next()?,
                user_feedback: cells.next()?,
            }),
        },
    })
}

impl From<Model> for ReadingRow {
    fn from(reading: Model) -> Self {
        Self {
            id: reading.id,
            user_id: reading.user_id,
            spread_template_id: reading.spread_template_id,
            spread_type: reading.spread_type,
            character_voice: reading.character_voice,
            karma_context: reading.karma_context,
            question: reading.question,
            focus_area: reading.focus_area,
            tags: reading.tags,
            category_id: reading.category_id,
            radiation_factor: reading.radiation_factor,
            locale: reading.locale,
            mood_before: reading.mood_before,
            mood_after: reading.mood_after,
            privacy_level: reading.privacy_level,
            is_favorite: reading.is_favorite,
            archived_at: reading.archived_at,
            user_satisfaction: reading.user_satisfaction,
            accuracy_rating: reading.accuracy_rating,
            helpful_rating: reading.helpful_rating,
            version: reading.version,
            created_at: reading.created_at,
            updated_at: reading.updated_at,
            texts: Some(ReadingTexts {
                interpretation: reading.interpretation,
                summary: reading.summary,
                notes: reading.notes,
                user_feedback: reading.user_feedback,
            }),
        }
    }
}

/// A reading's place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingKey {
    /// What the list is ordered by.
    pub sort: ReadingSort,
    /// Its id, which orders readings that are equal in that.
    pub id: Uuid,
}

/// What a reading is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadingSort {
    /// A time, to the microsecond.
    Time(DateTime<Utc>),
    /// How satisfying it was, if anything was said.
    Satisfaction(Option<i16>),
}

/// What a satisfaction is where there is none: below the worst, or above the best, so that it comes
/// last.
const SATISFACTION_OR_LEAST: (&str, i16) = ("satisfaction_or_least", 0);
const SATISFACTION_OR_MOST: (&str, i16) = ("satisfaction_or_most", 6);

const fn satisfaction_column(order: Order) -> (&'static str, i16) {
    match order {
        Order::Desc => SATISFACTION_OR_LEAST,
        Order::Asc => SATISFACTION_OR_MOST,
    }
}

impl ReadingKey {
    /// The key of a row in a list of that order.
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

/// The texts that are searched.
const SEARCH: SearchIndex =
    SearchIndex { table: "reading_sessions", index: "reading_sessions_search", row: "search_id" };

pub(super) const TAGS: TagIndex = TagIndex {
    table: "reading_sessions",
    column: "tags",
    index: "reading_session_tags",
    row: "search_id",
};

/// The readings of these ids that the viewer may see: their own, and public ones.
///
/// # Errors
///
/// The statement fails.
pub async fn readings_by_id(
    session: &Session,
    viewer: Viewer,
    ids: &[Uuid],
) -> Result<Vec<ReadingRow>, DbError> {
    const STATEMENT: &str = "readings_by_id";
    // One object, or a few: whoever opens a reading reads it.
    let columns = Columns::WithTexts;
    let query = readings(columns)
        .filter(is_one_of(session.dialect(), Column::Id, ids))
        .filter(visible_to(viewer))
        .into_query();
    let rows = session.rows(STATEMENT, &query).await?;
    rows.iter()
        .map(|row| read(columns, row, 0))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// A page of everybody's public readings that are not archived and pass the filter, newest first.
/// Nothing is found by what only their owners know of them.
///
/// # Errors
///
/// The statement fails.
pub async fn readings_page_public(
    session: &Session,
    filter: &ReadingFilter,
    request: &PageRequest<ReadingKey>,
    columns: Columns,
) -> Result<Page<ReadingRow>, DbError> {
    const STATEMENT: &str = "readings_page_public";
    let dialect = session.dialect();
    let searched = filter.search.as_ref();
    let condition = Condition::all()
        .add(is_public())
        .add(Column::ArchivedAt.is_null())
        .add(passes(dialect, Among::Many, filter))
        .add_option(searched.map(|text| SEARCH.contains(dialect, &["question"], text)));
    let order = ReadingOrder::default();
    let list = in_order(columns, condition, order);
    let key = request.key.map(|key| key.values(order.order));
    let query = list.select_page(request, key.as_ref().map(AsRef::as_ref));
    let rows = session.rows_of(STATEMENT, &query, planning_for(filter)).await?;
    page_of_rows(request, &rows, |row, first| read(columns, row, first))
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// A page of the readings of each user that the viewer may see and that pass the filter, in one
/// statement for all users. A user of whose readings the viewer cannot find any has no page.
///
/// # Errors
///
/// The statement fails.
pub async fn readings_page_by_user_id(
    session: &Session,
    viewer: Viewer,
    users: &[Uuid],
    list: &ReadingList,
    (request, columns): (&PageRequest<ReadingKey>, Columns),
) -> Result<HashMap<Uuid, Page<ReadingRow>>, DbError> {
    const STATEMENT: &str = "readings_page_by_user_id";
    let ReadingList { filter, order } = list;
    let own: Vec<Uuid> = users.iter().copied().filter(|user| viewer.is(*user)).collect();
    // What only the owner knows finds nothing of others.
    let users = if filter.own.is_set() { own.as_slice() } else { users };
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let dialect = session.dialect();
    let parts = searched_in_parts(dialect, filter);
    let condition = Condition::all()
        .add(passes(dialect, Among::Few, filter))
        .add(known_to_owner(&filter.own))
        .add(visible_of(users, viewer, |is_own| {
            let columns: &[_] = if is_own { &["question", "notes"] } else { &["question"] };
            let text = filter.search.as_ref()?;
            Some(if parts.is_empty() {
                SEARCH.contains(dialect, columns, text)
            } else {
                SEARCH.compares(columns, text)
            })
        }));
    // All is looked at, however much is found.
    let planning = if parts.is_empty() { planning_for(filter) } else { Planning::ForAnyValues };
    let mut list = in_order(columns, condition, *order);
    list.parts = parts;
    let key = request.key.map(|key| key.values(order.order));
    let query = list.select_page_per_parent(
        dialect,
        &Column::UserId.into_column_ref(),
        users,
        request,
        key.as_ref().map(AsRef::as_ref),
    );
    let rows = session.rows_of(STATEMENT, &query, planning).await?;
    pages_of_rows(request, &rows, |row, first| read(columns, row, first))
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// The parts in which a user's readings are searched: those of which an index holds the texts, and those
/// whose texts are too long for it. None where something is looked at that the index does not hold, or
/// where there is no such index: SQLite has one that finds words.
fn searched_in_parts(dialect: Dialect, filter: &ReadingFilter) -> Vec<SimpleExpr> {
    // As the two indexes have it.
    const OCTETS: &str = r#"octet_length("question") + coalesce(octet_length("notes"), 0)"#;
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

/// How much is found depends on what is looked for, and so does the best way to find it.
fn planning_for(filter: &ReadingFilter) -> Planning {
    if filter.is_set() { Planning::ForTheseValues } else { Planning::ForAnyValues }
}

/// What everybody may find readings by, the search apart.
fn passes(dialect: Dialect, among: Among, filter: &ReadingFilter) -> Condition {
    let ReadingFilter { voices, karma, spread_types, tags_any, tags_all, from, to, .. } = filter;
    let one_of = |column: Column, words: Vec<Value>| {
        let column = Expr::col((Entity, column));
        match (dialect, among) {
            // SQLite would read all readings of a word and sort them. The feed's own index has these
            // columns, and most readings have words that are asked for.
            (Dialect::Sqlite, Among::Many) => Expr::cust_with_expr("+?", column).is_in(words),
            _ => column.is_in(words),
        }
    };
    within(&(Entity, Column::CreatedAt).into_column_ref(), *from, *to)
        .add_option(voices.as_ref().map(|words| one_of(Column::CharacterVoice, values(words))))
        .add_option(karma.as_ref().map(|words| one_of(Column::KarmaContext, values(words))))
        .add_option(spread_types.as_ref().map(|words| one_of(Column::SpreadType, values(words))))
        .add_option(tags_any.as_ref().map(|tags| TAGS.has_any(dialect, among, tags)))
        .add_option(tags_all.as_ref().map(|tags| TAGS.has_all(dialect, among, tags)))
}

/// What only the owner may find readings by.
fn known_to_owner(filter: &OwnFilter) -> Condition {
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
        .add_option(privacy_levels.as_ref().map(|words| match words.as_slice() {
            // As the index of public readings has it.
            [PrivacyLevel::Public] => is_public(),
            words => column(Column::PrivacyLevel).is_in(values(words)),
        }))
        // As the index of favourites has it.
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

fn values<T: Copy + Into<Value>>(words: &[T]) -> Vec<Value> {
    words.iter().copied().map(Into::into).collect()
}

fn is_public() -> SimpleExpr {
    Expr::col((Entity, Column::PrivacyLevel)).eq(constant(PrivacyLevel::Public))
}

fn visible_to(viewer: Viewer) -> Condition {
    let public = Condition::any().add(is_public());
    match viewer {
        Viewer::Anonymous => public,
        Viewer::User(id) => public.add(Column::UserId.eq(id)),
    }
}

/// What the viewer may see of the readings of these users, and what is found there: by what it holds if
/// it is their own, and if not. Where it is the same for all of them the condition says no more than
/// that, so that an index can serve it.
fn visible_of(
    users: &[Uuid],
    viewer: Viewer,
    found: impl Fn(bool) -> Option<SimpleExpr>,
) -> Condition {
    let public = Condition::all().add(is_public()).add_option(found(false));
    match viewer.user_id() {
        Some(id) if users == [id] => Condition::all().add_option(found(true)),
        Some(id) if users.contains(&id) => {
            let own = Condition::all().add(Column::UserId.eq(id)).add_option(found(true));
            Condition::any().add(public).add(own)
        }
        _ => public,
    }
}

pub(super) fn in_order(columns: Columns, condition: Condition, order: ReadingOrder) -> List {
    let mut rows = readings(columns).into_query();
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
            // After the others, where nobody reads it but the order of the page.
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
    List { rows, condition, keyset, parts: Vec::new() }
}
