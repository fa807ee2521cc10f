//! Statements on readings. Each takes the viewer: none can answer with a reading that is somebody
//! else's and not public.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{IntoColumnRef, Order, Value};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryTrait, Select};
use uuid::Uuid;

use super::entities::reading_sessions::{Column, Entity, Model};
use super::query::keyset::{Keyset, List, page_of_rows, parent_of};
use super::query::membership::is_one_of;
use super::{DbError, Session};
use crate::domain::page::{Page, PageRequest};
use crate::domain::reading::PrivacyLevel;
use crate::domain::viewer::Viewer;

/// A reading's row.
pub type ReadingRow = Model;

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
    let query = Entity::find()
        .filter(is_one_of(session, Column::Id, ids))
        .filter(visible_to(viewer))
        .into_query();
    session.all("readings_by_id", &query).await
}

/// A page of everybody's public readings that are not archived, newest first.
///
/// # Errors
///
/// The statement fails.
pub async fn readings_page_public(
    session: &Session,
    request: &PageRequest<ReadingKey>,
) -> Result<Page<ReadingRow>, DbError> {
    const STATEMENT: &str = "readings_page_public";
    let list = newest_first(
        Entity::find()
            .filter(Column::PrivacyLevel.eq(PrivacyLevel::Public))
            .filter(Column::ArchivedAt.is_null()),
    );
    let key = request.key.map(ReadingKey::values);
    let query = list.select_page(request, key.as_ref().map(AsRef::as_ref));
    let rows = session.rows(STATEMENT, &query).await?;
    page_of_rows(request, &rows).map_err(|error| DbError::of(STATEMENT, error))
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
) -> Result<HashMap<Uuid, Page<ReadingRow>>, DbError> {
    const STATEMENT: &str = "readings_page_by_user_id";
    let list = newest_first(
        Entity::find().filter(Column::ArchivedAt.is_null()).filter(visible_to(viewer)),
    );
    let key = request.key.map(ReadingKey::values);
    let query = list.select_page_per_parent(
        session,
        Column::UserId.into_column_ref(),
        users,
        request,
        key.as_ref().map(AsRef::as_ref),
    );
    let mut rows_of: HashMap<Uuid, Vec<_>> = HashMap::with_capacity(users.len());
    for row in session.rows(STATEMENT, &query).await? {
        let user = parent_of(&row).map_err(|error| DbError::of(STATEMENT, error))?;
        rows_of.entry(user).or_default().push(row);
    }
    rows_of
        .into_iter()
        .map(|(user, rows)| Ok((user, page_of_rows(request, &rows)?)))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(STATEMENT, error))
}

fn visible_to(viewer: Viewer) -> Condition {
    let public = Condition::any().add(Column::PrivacyLevel.eq(PrivacyLevel::Public));
    match viewer {
        Viewer::Anonymous => public,
        Viewer::User(id) => public.add(Column::UserId.eq(id)),
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
