//! Statements on share links. Those for the owner take the owner; all others take the secret token.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::bulk::{delete_up_to, insert};
use super::entities::reading_shares::{Column, Entity, Model};
use super::entities::{reading_sessions, users};
use super::hidden_readings::is_hidden;
use super::query::columns::ReadingColumns;
use super::query::membership::is_one_of;
use super::readings::{ReadingRow, decode_reading, select_readings};
use super::{DbError, Session, Transaction};

/// A share link.
pub type ShareRow = Model;

/// Inserts a share link.
pub async fn share_insert(transaction: &Transaction, share: ShareRow) -> Result<(), DbError> {
    transaction.execute("share_insert", &insert([share])).await.map(drop)
}

fn of_owner(owner: Uuid) -> SimpleExpr {
    let own = Query::select()
        .column(reading_sessions::Column::Id)
        .from(reading_sessions::Entity)
        .and_where(reading_sessions::Column::UserId.eq(owner))
        .and_where(
            Expr::col((reading_sessions::Entity, reading_sessions::Column::Id))
                .equals((Entity, Column::ReadingId)),
        )
        .to_owned();
    Expr::exists(own)
}

/// Open links are neither revoked nor expired.
fn is_open(now: DateTime<Utc>) -> SimpleExpr {
    Column::IsActive.eq(true).and(Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now)))
}

/// The open links of these readings of the owner, by reading, the newest first.
pub async fn open_shares_by_reading_id(
    session: &Session,
    owner: Uuid,
    readings: &[Uuid],
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, Vec<ShareRow>>, DbError> {
    let query = Entity::find()
        .filter(is_one_of(session.dialect(), Column::ReadingId, readings))
        .filter(of_owner(owner))
        .filter(is_open(now))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .into_query();
    let mut of_reading: HashMap<Uuid, Vec<ShareRow>> = HashMap::new();
    for share in session.all::<ShareRow>("open_shares_by_reading_id", &query).await? {
        of_reading.entry(share.reading_id).or_default().push(share);
    }
    Ok(of_reading)
}

/// The owner's links with these ids that are not revoked.
pub async fn own_shares_by_id(
    session: &Session,
    owner: Uuid,
    ids: &[Uuid],
) -> Result<Vec<ShareRow>, DbError> {
    let query = Entity::find()
        .filter(is_one_of(session.dialect(), Column::Id, ids))
        .filter(Column::IsActive.eq(true))
        .filter(of_owner(owner))
        .into_query();
    session.all("own_shares_by_id", &query).await
}

/// Revokes a link of the owner. Returns its reading, `None` if there is no such link.
pub async fn share_revoke(
    transaction: &Transaction,
    owner: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Uuid>, DbError> {
    #[derive(FromQueryResult)]
    struct Revoked {
        reading_id: Uuid,
    }
    let statement = Query::update()
        .table(Entity)
        .value(Column::IsActive, false)
        .value(Column::UpdatedAt, now)
        .and_where(Column::Id.eq(id))
        .and_where(Column::IsActive.eq(true))
        .and_where(of_owner(owner))
        .returning_col(Column::ReadingId)
        .to_owned();
    let revoked: Vec<Revoked> = transaction.returning("share_revoke", &statement).await?;
    Ok(revoked.into_iter().next().map(|revoked| revoked.reading_id))
}

/// A link and its reading.
#[derive(Debug, Clone)]
pub struct SharedReadingRow {
    /// The link.
    pub share: ShareRow,
    /// The reading, with its texts.
    pub reading: ReadingRow,
    /// Display name of the owner, or the username.
    pub author: String,
}

/// The link with a token, revoked or expired ones included, and its reading. `None` if there is no such
/// link, its reading is hidden, or its owner is deactivated.
pub async fn shared_reading_by_token(
    session: &Session,
    token: &str,
) -> Result<Option<SharedReadingRow>, DbError> {
    #[derive(FromQueryResult)]
    struct Author {
        username: String,
        display_name: Option<String>,
    }
    const READING: &str = "shared_reading";
    let query = Entity::find().filter(Column::Token.eq(token)).into_query();
    let Some(share) = session.one::<ShareRow>("share_by_token", &query).await? else {
        return Ok(None);
    };
    let query = select_readings(ReadingColumns::WithTexts)
        .filter(reading_sessions::Column::Id.eq(share.reading_id))
        .filter(is_hidden().not())
        .into_query();
    let rows = session.rows(READING, &query).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let reading = decode_reading(ReadingColumns::WithTexts, row, 0)
        .map_err(|error| DbError::of(READING, error))?;
    let author = users::Entity::find_by_id(reading.user_id)
        .select_only()
        .columns([users::Column::Username, users::Column::DisplayName])
        .filter(users::Column::IsActive.eq(true))
        .into_query();
    let author = session.one::<Author>("shared_reading_author", &author).await?;
    let author = author.map(|author| author.display_name.unwrap_or(author.username));
    Ok(author.map(|author| SharedReadingRow { share, reading, author }))
}

/// Adds to the access counter of a link.
pub async fn share_accesses_add(
    transaction: &Transaction,
    id: Uuid,
    accesses: i64,
    last: DateTime<Utc>,
) -> Result<(), DbError> {
    let statement = Query::update()
        .table(Entity)
        .value(Column::AccessCount, Expr::col(Column::AccessCount).add(accesses))
        .value(Column::LastAccessAt, last)
        .and_where(Column::Id.eq(id))
        .to_owned();
    transaction.execute("share_accesses_add", &statement).await.map(drop)
}

/// Deletes up to `limit` links that expired or were revoked before that time. Returns their number.
pub async fn shares_sweep(
    transaction: &Transaction,
    before: DateTime<Utc>,
    limit: u64,
) -> Result<u64, DbError> {
    let is_over = Column::ExpiresAt
        .lte(before)
        .or(Column::IsActive.eq(false).and(Column::UpdatedAt.lte(before)));
    let statement = delete_up_to::<Entity>(Column::Id, is_over, limit);
    transaction.execute("shares_sweep", &statement).await
}
