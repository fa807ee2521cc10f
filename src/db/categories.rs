//! Statements on users' categories. Each takes the owner.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::entities::reading_categories::{Column, Entity, Model};
use super::entities::reading_sessions;
use super::query::membership::is_one_of;
use super::{DbError, Session};

/// A category's row.
pub type CategoryRow = Model;

/// How many readings a category holds.
#[derive(Debug, FromQueryResult)]
pub struct CategoryCount {
    /// Which one.
    pub category_id: Uuid,
    /// Archived readings included.
    pub readings: i64,
}

/// The owner's categories of these ids.
///
/// # Errors
///
/// The statement fails.
pub async fn categories_by_id(
    session: &Session,
    owner: Uuid,
    ids: &[Uuid],
) -> Result<Vec<CategoryRow>, DbError> {
    let query = Entity::find()
        .filter(Column::UserId.eq(owner))
        .filter(is_one_of(session, Column::Id, ids))
        .into_query();
    session.all("categories_by_id", &query).await
}

/// How many readings each of the owner's categories holds; those without any are left out.
///
/// # Errors
///
/// The statement fails.
pub async fn reading_counts_by_category_id(
    session: &Session,
    owner: Uuid,
    ids: &[Uuid],
) -> Result<Vec<CategoryCount>, DbError> {
    let query = reading_sessions::Entity::find()
        .select_only()
        .column(reading_sessions::Column::CategoryId)
        .expr_as(Expr::col(reading_sessions::Column::Id).count(), "readings")
        .filter(reading_sessions::Column::UserId.eq(owner))
        .filter(is_one_of(session, reading_sessions::Column::CategoryId, ids))
        .group_by(reading_sessions::Column::CategoryId)
        .into_query();
    session.all("reading_counts_by_category_id", &query).await
}
