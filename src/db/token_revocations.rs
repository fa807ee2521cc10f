//! Statements on the epochs of access tokens. The epoch of a user without a row is 0.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::token_revocations::{Column, Entity, Model};
use super::{DbError, Session, Transaction};

#[derive(FromQueryResult)]
struct Epoch {
    epoch: i32,
}

/// Epoch of the tokens of a user.
pub async fn token_epoch(session: &Session, user: Uuid) -> Result<i32, DbError> {
    let query = Entity::find()
        .select_only()
        .column(Column::Epoch)
        .filter(Column::UserId.eq(user))
        .into_query();
    let row: Option<Epoch> = session.one("token_epoch", &query).await?;
    Ok(row.map_or(0, |row| row.epoch))
}

/// Begins a new epoch of the tokens of a user, and returns it.
pub async fn token_epoch_begin(
    transaction: &Transaction,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<i32, DbError> {
    const FIRST: i32 = 1;
    let mut statement =
        insert([Model { user_id: user, epoch: FIRST, created_at: now, updated_at: now }]);
    statement
        .on_conflict(
            OnConflict::column(Column::UserId)
                .value(Column::Epoch, Expr::col((Entity, Column::Epoch)).add(1))
                .value(Column::UpdatedAt, now)
                .to_owned(),
        )
        .returning(Query::returning().column(Column::Epoch));
    let rows: Vec<Epoch> = transaction.returning("token_epoch_begin", &statement).await?;
    Ok(rows.first().map_or(FIRST, |row| row.epoch))
}

/// Epoch of the tokens of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
#[expect(missing_docs, reason = "a field a column")]
pub struct TokenEpochRow {
    pub user_id: Uuid,
    pub epoch: i32,
}

/// Epochs that began after that time.
pub async fn token_epochs_since(
    session: &Session,
    since: DateTime<Utc>,
) -> Result<Vec<TokenEpochRow>, DbError> {
    let query = Entity::find()
        .select_only()
        .columns([Column::UserId, Column::Epoch])
        .filter(Column::UpdatedAt.gt(since))
        .into_query();
    session.all("token_epochs_since", &query).await
}
