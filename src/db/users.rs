//! Statements on people.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::entities::users::{Column, Entity, Model};
use super::query::membership::is_one_of;
use super::{DbError, Session};

/// A user's row.
pub type UserRow = Model;

/// The users of these ids.
///
/// # Errors
///
/// The statement fails.
pub async fn users_by_id(session: &Session, ids: &[Uuid]) -> Result<Vec<UserRow>, DbError> {
    let query = Entity::find().filter(is_one_of(session, Column::Id, ids)).into_query();
    session.all("users_by_id", &query).await
}

/// The user of that folded name, who is not deactivated.
///
/// # Errors
///
/// The statement fails.
pub async fn user_by_username(
    session: &Session,
    username: &str,
) -> Result<Option<UserRow>, DbError> {
    // PostgreSQL has no such texts and would fail on the question.
    if username.contains('\0') {
        return Ok(None);
    }
    let query = Entity::find()
        .filter(Column::Username.eq(username))
        .filter(Column::IsActive.eq(true))
        .into_query();
    session.one("user_by_username", &query).await
}

/// Whether there is any user, active or not.
///
/// # Errors
///
/// The statement fails.
pub async fn has_users(session: &Session) -> Result<bool, DbError> {
    let query = Entity::find().select_only().column(Column::Id).limit(1).into_query();
    Ok(!session.rows("has_users", &query).await?.is_empty())
}
