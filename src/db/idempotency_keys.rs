//! Statements on idempotency keys, with which a client that lost a response repeats its request.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryTrait};

use super::bulk::insert;
use super::entities::idempotency_keys::{Column, Entity, Model};
use super::{DbError, Transaction};

/// A key and the result of its request.
pub type IdempotencyKeyRow = Model;

/// Inserts a key, unless it exists and has not expired. Returns the existing row. Waits for a concurrent
/// request with the same key.
pub async fn idempotency_key_claim(
    transaction: &Transaction,
    key: IdempotencyKeyRow,
    now: DateTime<Utc>,
) -> Result<Option<IdempotencyKeyRow>, DbError> {
    let existing = Entity::find()
        .filter(Column::Scope.eq(&key.scope))
        .filter(Column::Operation.eq(&key.operation))
        .filter(Column::Key.eq(&key.key))
        .into_query();
    let mut statement = insert([key]);
    // An expired key is replaced.
    statement.on_conflict(
        OnConflict::columns([Column::Scope, Column::Operation, Column::Key])
            .update_columns([
                Column::UserId,
                Column::RequestHash,
                Column::ResultId,
                Column::ExpiresAt,
                Column::CreatedAt,
            ])
            .action_and_where(Expr::col((Entity, Column::ExpiresAt)).lte(now))
            .to_owned(),
    );
    if transaction.execute("idempotency_key_claim", &statement).await? == 1 {
        return Ok(None);
    }
    transaction.one("idempotency_key", &existing).await
}

/// Deletes up to `limit` expired keys. Returns their number.
pub async fn idempotency_keys_sweep(
    transaction: &Transaction,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<u64, DbError> {
    let of_row = [Column::Scope, Column::Operation, Column::Key];
    let expired = Query::select()
        .columns(of_row)
        .from(Entity)
        .and_where(Column::ExpiresAt.lte(now))
        .limit(limit)
        .to_owned();
    let statement = Query::delete()
        .from_table(Entity)
        .and_where(Expr::tuple(of_row.map(Expr::col)).in_subquery(expired))
        .to_owned();
    transaction.execute("idempotency_keys_sweep", &statement).await
}
