//! Statements on people.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DerivePartialModel, EntityTrait, PartialModelTrait, QueryFilter, QuerySelect,
    QueryTrait, Select,
};
use uuid::Uuid;

use super::entities::users::{Column, Entity};
use super::query::membership::is_one_of;
use super::{DbError, Session};
use crate::domain::faction::FactionKey;
use crate::domain::voice::VoiceKey;

/// What requests read of a user: what some viewer may see, and nothing of the password.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct UserRow {
    pub id: Uuid,
    pub email: String,
    pub username: String,
    pub display_name: Option<String>,
    pub bio: Option<String>,
    pub faction: FactionKey,
    pub karma_score: i16,
    pub preferred_voice: VoiceKey,
    pub is_active: bool,
    pub is_admin: bool,
    pub is_premium: bool,
    pub created_at: DateTime<Utc>,
}

fn users() -> Select<Entity> {
    UserRow::select_cols(Entity::find().select_only())
}

/// The users of these ids.
///
/// # Errors
///
/// The statement fails.
pub async fn users_by_id(session: &Session, ids: &[Uuid]) -> Result<Vec<UserRow>, DbError> {
    let query = users().filter(is_one_of(session, Column::Id, ids)).into_query();
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
    let query = users()
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
