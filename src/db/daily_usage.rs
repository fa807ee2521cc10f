//! Statements on the number of readings of a user on a UTC day.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::daily_usage::{Column, Entity, Model};
use super::{DbError, Session, Transaction};

/// Counts a reading on the current day, if there are fewer than `limit`. Returns whether it was counted.
/// Concurrent calls of a user wait for each other here, so the limit is exact.
pub async fn daily_usage_increment(
    transaction: &Transaction,
    user: Uuid,
    now: DateTime<Utc>,
    limit: u16,
) -> Result<bool, DbError> {
    let n = || Expr::col((Entity, Column::N));
    let first =
        Model { user_id: user, utc_day: now.date_naive(), n: 1, created_at: now, updated_at: now };
    let mut statement = insert([first]);
    statement.on_conflict(
        OnConflict::columns([Column::UserId, Column::UtcDay])
            .value(Column::N, n().add(1))
            .value(Column::UpdatedAt, now)
            .action_and_where(n().lt(i32::from(limit)))
            .to_owned(),
    );
    Ok(transaction.execute("daily_usage_increment", &statement).await? == 1)
}

/// Number of readings that the user made on a day.
pub async fn daily_usage(session: &Session, user: Uuid, day: NaiveDate) -> Result<i32, DbError> {
    let query = Entity::find()
        .select_only()
        .column(Column::N)
        .filter(Column::UserId.eq(user))
        .filter(Column::UtcDay.eq(day))
        .into_query();
    let row: Option<Usage> = session.one("daily_usage", &query).await?;
    Ok(row.map_or(0, |row| row.n))
}

#[derive(sea_orm::FromQueryResult)]
struct Usage {
    n: i32,
}
