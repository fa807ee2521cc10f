//! Statements on users' categories. Each takes the owner.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::reading_categories::{Column, Entity, Model};
use super::entities::reading_sessions;
use super::query::membership::is_one_of;
use super::{DbError, Session, Transaction};

/// A category's row.
pub type CategoryRow = Model;

/// Number of readings in a category.
#[derive(Debug, FromQueryResult)]
pub struct CategoryCount {
    /// The category.
    pub category_id: Uuid,
    /// Number of readings, archived ones included.
    pub readings: i64,
}

/// The owner's categories with these ids.
///
/// SQL: `categories_of_readings.snap`.
pub async fn categories_by_id(
    session: &Session,
    owner: Uuid,
    ids: &[Uuid],
) -> Result<Vec<CategoryRow>, DbError> {
    let query = Entity::find()
        .filter(Column::UserId.eq(owner))
        .filter(is_one_of(session.dialect(), Column::Id, ids))
        .into_query();
    session.all("categories_by_id", &query).await
}

/// Number of readings in each of these categories; empty categories are missing.
///
/// SQL: `categories_of_readings.snap`.
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
        .filter(is_one_of(session.dialect(), reading_sessions::Column::CategoryId, ids))
        .group_by(reading_sessions::Column::CategoryId)
        .into_query();
    session.all("reading_counts_by_category_id", &query).await
}

/// All categories of a user, by name.
pub async fn categories_of_user(
    session: &Session,
    owner: Uuid,
) -> Result<Vec<CategoryRow>, DbError> {
    let query = Entity::find()
        .filter(Column::UserId.eq(owner))
        .order_by_asc(Column::Name)
        .order_by_asc(Column::Id)
        .into_query();
    session.all("categories_of_user", &query).await
}

/// Locks the owner's category against deletion until the end of the transaction. Returns whether it
/// exists. Lock order: a category before readings.
pub async fn category_locked_shared(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
) -> Result<bool, DbError> {
    let query = Entity::find_by_id(id)
        .select_only()
        .column(Column::Id)
        .filter(Column::UserId.eq(owner))
        .lock(LockType::KeyShare)
        .into_query();
    Ok(!transaction.rows("category_locked_shared", &query).await?.is_empty())
}

/// The owner's category, locked exclusively until the end of the transaction.
pub async fn category_locked(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
) -> Result<Option<CategoryRow>, DbError> {
    let query =
        Entity::find_by_id(id).filter(Column::UserId.eq(owner)).lock(LockType::Update).into_query();
    transaction.one("category_locked", &query).await
}

/// Inserts a category, unless the owner has one with that name. Returns whether it was inserted.
pub async fn category_insert(
    transaction: &Transaction,
    category: CategoryRow,
) -> Result<bool, DbError> {
    let mut statement = insert([category]);
    statement
        .on_conflict(OnConflict::columns([Column::UserId, Column::Name]).do_nothing().to_owned());
    Ok(transaction.execute("category_insert", &statement).await? == 1)
}

/// Updates all columns of a category, unless the owner has another one with that name. Returns whether it
/// was updated. The owner's writes of categories are serialized by the lock of the viewer.
pub async fn category_change(
    transaction: &Transaction,
    category: &CategoryRow,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let of_that_name = Query::select()
        .expr(Expr::value(1))
        .from_as(Entity, "others")
        .and_where(Expr::col(("others", Column::UserId)).eq(category.user_id))
        .and_where(Expr::col(("others", Column::Name)).eq(category.name.as_str()))
        .and_where(Expr::col(("others", Column::Id)).ne(category.id))
        .to_owned();
    let statement = Query::update()
        .table(Entity)
        .value(Column::Name, category.name.as_str())
        .value(Column::Color, category.color.as_str())
        .value(Column::Icon, category.icon.clone())
        .value(Column::Description, category.description.clone())
        .value(Column::UpdatedAt, now)
        .and_where(Column::Id.eq(category.id))
        .and_where(Column::UserId.eq(category.user_id))
        .and_where(Expr::exists(of_that_name).not())
        .to_owned();
    Ok(transaction.execute("category_change", &statement).await? == 1)
}

/// Deletes a category of the owner.
pub async fn category_delete(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
) -> Result<(), DbError> {
    let statement = Query::delete()
        .from_table(Entity)
        .and_where(Column::Id.eq(id))
        .and_where(Column::UserId.eq(owner))
        .to_owned();
    transaction.execute("category_delete", &statement).await.map(drop)
}
