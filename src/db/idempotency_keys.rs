//! Statements on the keys by which a client that lost an answer asks again.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryTrait};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::idempotency_keys::{Column, Entity, Model};
use super::{DbError, Transaction};

/// A key and what came of it.
pub type IdempotencyKeyRow = Model;

/// Writes a key, unless it was used and is remembered; answers what was written before. Somebody who
/// uses it at the same time is waited for.
///
/// # Errors
///
/// The statement fails.
pub async fn idempotency_key_claim(
    transaction: &Transaction,
    key: IdempotencyKeyRow,
    now: DateTime<Utc>,
) -> Result<Option<IdempotencyKeyRow>, DbError> {
    let known = Entity::find()
        .filter(Column::Scope.eq(&key.scope))
        .filter(Column::Operation.eq(&key.operation))
        .filter(Column::Key.eq(&key.key))
        .into_query();
    let mut statement = insert([key]);
    // One that was forgotten is as good as new.
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
    transaction.one("idempotency_key", &known).await
}

/// Deletes keys that are forgotten, at most so many. Answers how many.
///
/// # Errors
///
/// The statement fails.
pub async fn idempotency_keys_sweep(
    transaction: &Transaction,
    now: DateTime<Utc>,
    most: u64,
) -> Result<u64, DbError> {
    let of_row = [Column::Scope, Column::Operation, Column::Key];
    let expired = Query::select()
        .columns(of_row)
        .from(Entity)
        .and_where(Column::ExpiresAt.lte(now))
        .limit(most)
        .to_owned();
    let statement = Query::delete()
        .from_table(Entity)
        .and_where(Expr::tuple(of_row.map(Expr::col)).in_subquery(expired))
        .to_owned();
    transaction.execute("idempotency_keys_sweep", &statement).await
}

/// The row of a key with its result, which is known before it is made: its id is chosen first.
#[must_use]
pub fn idempotency_key(
    (scope, operation, key): (String, &str, String),
    (user, request_hash): (Option<Uuid>, String),
    result: Uuid,
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
) -> IdempotencyKeyRow {
    Model {
        scope,
        operation: operation.to_owned(),
        key,
        user_id: user,
        request_hash,
        result_id: Some(result),
        expires_at,
        created_at: now,
    }
}
