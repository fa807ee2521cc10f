//! Statements on logins and their refresh tokens. Decisions about a token are made while its login is
//! locked, so two uses of one token family are serialized.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{LockType, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::bulk::{delete_up_to, insert};
use super::entities::{login_sessions, refresh_tokens};
use super::{DbError, Session, Transaction};

/// A login.
pub type LoginRow = login_sessions::Model;
/// A refresh token, as a hash.
pub type RefreshTokenRow = refresh_tokens::Model;

/// Inserts a login.
pub async fn login_insert(transaction: &Transaction, login: LoginRow) -> Result<(), DbError> {
    transaction.execute("login_insert", &insert([login])).await.map(drop)
}

/// Inserts a refresh token.
pub async fn refresh_token_insert(
    transaction: &Transaction,
    token: RefreshTokenRow,
) -> Result<(), DbError> {
    transaction.execute("refresh_token_insert", &insert([token])).await.map(drop)
}

/// True if the user has logged in from the client network with that hash, in a login that is not yet swept.
pub async fn login_network_is_known(
    session: &Session,
    user: Uuid,
    network: &str,
) -> Result<bool, DbError> {
    use login_sessions::{Column, Entity};
    let query = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::UserId.eq(user))
        .filter(Column::Network.eq(network))
        .limit(1)
        .into_query();
    Ok(!session.rows("login_network_is_known", &query).await?.is_empty())
}

/// The refresh token with a hash.
pub async fn refresh_token_by_hash(
    session: &Session,
    hash: &str,
) -> Result<Option<RefreshTokenRow>, DbError> {
    use refresh_tokens::{Column, Entity};
    let query = Entity::find().filter(Column::TokenHash.eq(hash)).into_query();
    session.one("refresh_token_by_hash", &query).await
}

/// The refresh token with an id.
pub async fn refresh_token_by_id(
    session: &Session,
    id: Uuid,
) -> Result<Option<RefreshTokenRow>, DbError> {
    let query = refresh_tokens::Entity::find_by_id(id).into_query();
    session.one("refresh_token_by_id", &query).await
}

/// A login, locked against changes until the end of the transaction.
pub async fn login_locked(
    transaction: &Transaction,
    id: Uuid,
) -> Result<Option<LoginRow>, DbError> {
    let query = login_sessions::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).into_query();
    transaction.one("login_locked", &query).await
}

/// Records the first use of a token.
pub async fn refresh_token_use(
    transaction: &Transaction,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use refresh_tokens::{Column, Entity};
    let statement = Query::update()
        .table(Entity)
        .value(Column::UsedAt, now)
        .value(Column::UpdatedAt, now)
        .and_where(Column::Id.eq(id))
        .to_owned();
    transaction.execute("refresh_token_use", &statement).await.map(drop)
}

/// Revokes all tokens of a login but one.
pub async fn refresh_tokens_revoke_others(
    transaction: &Transaction,
    login: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use refresh_tokens::{Column, Entity};
    let statement = Query::update()
        .table(Entity)
        .value(Column::RevokedAt, now)
        .value(Column::UpdatedAt, now)
        .and_where(Column::FamilyId.eq(login))
        .and_where(Column::RevokedAt.is_null())
        .and_where(Column::Id.ne(id))
        .to_owned();
    transaction.execute("refresh_tokens_revoke_others", &statement).await.map(drop)
}

/// Revokes one login of a user. Returns the number of revoked logins.
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

/// Revokes all logins of a user. Returns their number.
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

/// Deletes up to `limit` expired logins, with their tokens. Returns their number.
pub async fn logins_sweep(
    transaction: &Transaction,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<u64, DbError> {
    use login_sessions::{Column, Entity};
    let statement = delete_up_to::<Entity>(Column::Id, Column::ExpiresAt.lte(now), limit);
    transaction.execute("logins_sweep", &statement).await
}
