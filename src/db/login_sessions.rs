//! Statements on logins and their refresh tokens. What is decided about a token is decided while its
//! login is locked, so two uses of one family come one after the other.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{LockType, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::{login_sessions, refresh_tokens};
use super::{DbError, Session, Transaction};

/// A login.
pub type LoginRow = login_sessions::Model;
/// A refresh token, as a hash.
pub type RefreshTokenRow = refresh_tokens::Model;

/// Writes a login.
///
/// # Errors
///
/// The statement fails.
pub async fn login_insert(transaction: &Transaction, login: LoginRow) -> Result<(), DbError> {
    transaction.execute("login_insert", &insert([login])).await.map(drop)
}

/// Writes a refresh token.
///
/// # Errors
///
/// The statement fails.
pub async fn refresh_token_insert(
    transaction: &Transaction,
    token: RefreshTokenRow,
) -> Result<(), DbError> {
    transaction.execute("refresh_token_insert", &insert([token])).await.map(drop)
}

/// The refresh token of a hash.
///
/// # Errors
///
/// The statement fails.
pub async fn refresh_token_by_hash(
    session: &Session,
    hash: &str,
) -> Result<Option<RefreshTokenRow>, DbError> {
    use refresh_tokens::{Column, Entity};
    let query = Entity::find().filter(Column::TokenHash.eq(hash)).into_query();
    session.one("refresh_token_by_hash", &query).await
}

/// The refresh token of an id.
///
/// # Errors
///
/// The statement fails.
pub async fn refresh_token_by_id(
    session: &Session,
    id: Uuid,
) -> Result<Option<RefreshTokenRow>, DbError> {
    let query = refresh_tokens::Entity::find_by_id(id).into_query();
    session.one("refresh_token_by_id", &query).await
}

/// A login, which nobody else changes until the end of the transaction.
///
/// # Errors
///
/// The statement fails.
pub async fn login_locked(
    transaction: &Transaction,
    id: Uuid,
) -> Result<Option<LoginRow>, DbError> {
    let query = login_sessions::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).into_query();
    transaction.one("login_locked", &query).await
}

/// Notes that a token was exchanged for another.
///
/// # Errors
///
/// The statement fails.
pub async fn refresh_token_use(
    transaction: &Transaction,
    id: Uuid,
    successor: Uuid,
    used_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use refresh_tokens::{Column, Entity};
    let statement = Query::update()
        .table(Entity)
        .value(Column::UsedAt, used_at)
        .value(Column::SuccessorId, successor)
        .value(Column::UpdatedAt, now)
        .and_where(Column::Id.eq(id))
        .to_owned();
    transaction.execute("refresh_token_use", &statement).await.map(drop)
}

/// Revokes one token.
///
/// # Errors
///
/// The statement fails.
pub async fn refresh_token_revoke(
    transaction: &Transaction,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use refresh_tokens::{Column, Entity};
    let statement = Query::update()
        .table(Entity)
        .value(Column::RevokedAt, now)
        .value(Column::UpdatedAt, now)
        .and_where(Column::Id.eq(id))
        .to_owned();
    transaction.execute("refresh_token_revoke", &statement).await.map(drop)
}

/// Ends one login of a user.
///
/// # Errors
///
/// The statement fails.
pub async fn login_revoke(
    transaction: &Transaction,
    user: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    use login_sessions::Column;
    let mut statement = revoke(user, now);
    statement.and_where(Column::Id.eq(id));
    transaction.execute("login_revoke", &statement).await
}

/// Ends all logins of a user.
///
/// # Errors
///
/// The statement fails.
pub async fn logins_revoke_all(
    transaction: &Transaction,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    transaction.execute("logins_revoke_all", &revoke(user, now)).await
}

fn revoke(user: Uuid, now: DateTime<Utc>) -> sea_orm::sea_query::UpdateStatement {
    use login_sessions::{Column, Entity};
    Query::update()
        .table(Entity)
        .value(Column::RevokedAt, now)
        .value(Column::UpdatedAt, now)
        .and_where(Column::UserId.eq(user))
        .and_where(Column::RevokedAt.is_null())
        .to_owned()
}

/// Deletes logins that are over, with their tokens; at most so many. Answers how many.
///
/// # Errors
///
/// The statement fails.
pub async fn logins_sweep(
    transaction: &Transaction,
    now: DateTime<Utc>,
    most: u64,
) -> Result<u64, DbError> {
    use login_sessions::{Column, Entity};
    let expired = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(Column::ExpiresAt.lte(now))
        .limit(most)
        .to_owned();
    let statement =
        Query::delete().from_table(Entity).and_where(Column::Id.in_subquery(expired)).to_owned();
    transaction.execute("logins_sweep", &statement).await
}
