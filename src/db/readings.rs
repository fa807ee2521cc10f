//! Statements on readings. Each takes the viewer: none can answer with a reading that is somebody
//! else's and not public.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef, Order, SimpleExpr, Value};
use sea_orm::{
    ColumnTrait, Condition, DbErr, DerivePartialModel, EntityTrait, PartialModelTrait, QueryFilter,
    QueryResult, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use super::entities::columns::TextList;
use super::entities::reading_sessions::{Column, Entity, Model};
use super::query::columns::{Cells, Columns};
use super::query::constant;
use super::query::keyset::{Keyset, List, page_of_rows, pages_of_rows};
use super::query::membership::is_one_of;
use super::{DbError, Session};
use crate::domain::locale::Locale;
use crate::domain::page::{Page, PageRequest};
use crate::domain::reading::{Karma, PrivacyLevel};
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

/// A reading's place in a list that is sorted by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadingKey {
    /// When it was made, to the microsecond.
    pub created_at: DateTime<Utc>,
    /// Its id, which orders readings of the same time.
    pub id: Uuid,
}

impl ReadingKey {
    /// The key of a row.
    #[must_use]
    pub fn of(row: &ReadingRow) -> Self {
        Self { created_at: row.created_at, id: row.id }
    }

    fn values(self) -> [Value; 2] {
        [self.created_at.into(), self.id.into()]
    }
}

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

/// A page of everybody's public readings that are not archived, newest first.
///
/// # Errors
///
/// The statement fails.
pub async fn readings_page_public(
    session: &Session,
    request: &PageRequest<ReadingKey>,
    columns: Columns,
) -> Result<Page<ReadingRow>, DbError> {
    const STATEMENT: &str = "readings_page_public";
    let list =
        newest_first(readings(columns).filter(is_public()).filter(Column::ArchivedAt.is_null()));
    let key = request.key.map(ReadingKey::values);
    let query = list.select_page(request, key.as_ref().map(AsRef::as_ref));
    let rows = session.rows(STATEMENT, &query).await?;
    page_of_rows(request, &rows, |row, first| read(columns, row, first))
        .map_err(|error| DbError::of(STATEMENT, error))
}

/// A page of the readings of each user that are not archived and that the viewer may see, newest
/// first, in one statement for all users.
///
/// # Errors
///
/// The statement fails.
pub async fn readings_page_by_user_id(
    session: &Session,
    viewer: Viewer,
    users: &[Uuid],
    request: &PageRequest<ReadingKey>,
    columns: Columns,
) -> Result<HashMap<Uuid, Page<ReadingRow>>, DbError> {
    const STATEMENT: &str = "readings_page_by_user_id";
    let list = newest_first(
        readings(columns).filter(Column::ArchivedAt.is_null()).filter(visible_of(users, viewer)),
    );
    let key = request.key.map(ReadingKey::values);
    let query = list.select_page_per_parent(
        session.dialect(),
        &Column::UserId.into_column_ref(),
        users,
        request,
        key.as_ref().map(AsRef::as_ref),
    );
    let rows = session.rows(STATEMENT, &query).await?;
    pages_of_rows(request, &rows, |row, first| read(columns, row, first))
        .map_err(|error| DbError::of(STATEMENT, error))
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

/// What the viewer may see of the readings of these users. Where it is the same for all of them the
/// condition says no more than that, so that an index can serve it.
fn visible_of(users: &[Uuid], viewer: Viewer) -> Condition {
    match viewer.user_id() {
        Some(id) if users == [id] => Condition::all(),
        Some(id) if users.contains(&id) => visible_to(viewer),
        _ => Condition::any().add(is_public()),
    }
}

fn newest_first(readings: Select<Entity>) -> List {
    List {
        rows: readings.into_query(),
        keyset: Keyset {
            columns: vec![((Entity, Column::CreatedAt).into_column_ref(), "created_at")],
            id: ((Entity, Column::Id).into_column_ref(), "id"),
            order: Order::Desc,
        },
    }
}
