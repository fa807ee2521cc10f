//! Draw counters by user and card.
//!
//! Invariant: each row equals a count of the cards of the user's complete readings. A write that adds or
//! removes a reading updates the rows in the same transaction. They belong to one user, so writers of
//! different users do not wait for each other, as they would at the counters of cards.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    CaseStatement, DeleteStatement, Expr, ExprTrait, InsertStatement, OnConflict, Query,
    SelectStatement, SimpleExpr,
};
use sea_orm::{ColumnTrait, DbErr, FromQueryResult, Order};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::user_card_stats::{Column, Entity, Model};
use super::entities::{reading_cards, reading_sessions};
use super::query::columns::decode_rows;
use super::query::count_if;
use super::{DbError, Session, Transaction};
use crate::domain::card::Orientation;
use crate::domain::reading::ReadingStatus;
use crate::domain::statistics::CardTally;

/// A drawn card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Draw {
    /// The card.
    pub card_id: Uuid,
    /// Upright or reversed.
    pub orientation: Orientation,
}

/// A user's draw counters, at most one for each card of the deck; cards never drawn are missing.
///
/// SQL: `analytics_top_cards.snap`.
pub async fn user_cards(session: &Session, user: Uuid) -> Result<Vec<CardTally>, DbError> {
    const STATEMENT: &str = "user_cards";
    let query = Query::select()
        .columns([Column::CardId, Column::Upright, Column::Reversed, Column::LastDrawnAt])
        .from(Entity)
        .and_where(Column::UserId.eq(user))
        // Null after all draws of the card were subtracted.
        .and_where(Column::LastDrawnAt.is_not_null())
        .to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    decode_rows(STATEMENT, &rows, |cells| {
        Ok(CardTally {
            card: cells.next()?,
            upright: cells.next()?,
            reversed: cells.next()?,
            last_drawn_at: cells.next()?,
        })
    })
}

/// Subquery: number of cards drawn by the user of a column.
pub(super) fn draws_of(user: SimpleExpr) -> SimpleExpr {
    let column = |column: Column| Expr::col((Entity, column));
    let draws = Query::select()
        .expr(column(Column::Upright).add(column(Column::Reversed)).sum().if_null(0_i64))
        .from(Entity)
        .and_where(column(Column::UserId).eq(user))
        .to_owned();
    SimpleExpr::SubQuery(None, Box::new(draws.into()))
}

/// Adds the cards of a new reading of the user.
pub async fn user_cards_add(
    transaction: &Transaction,
    user: Uuid,
    draws: &[Draw],
    made_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if draws.is_empty() {
        return Ok(());
    }
    let statement = add(user, draws, Sign::Plus, Some(made_at), now);
    transaction.execute("user_cards_add", &statement).await.map(drop)
}

/// Subtracts the cards of a deleted reading of the user.
pub async fn user_cards_subtract(
    transaction: &Transaction,
    user: Uuid,
    draws: &[Draw],
    made_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if draws.is_empty() {
        return Ok(());
    }
    let statement = add(user, draws, Sign::Minus, None, now);
    transaction.execute("user_cards_subtract", &statement).await?;
    let last = SimpleExpr::SubQuery(None, Box::new(last_drawn_at().into()));
    let statement = Query::update()
        .table(Entity)
        .value(Column::LastDrawnAt, last)
        .and_where(Column::UserId.eq(user))
        .and_where(Column::CardId.is_in(draws.iter().map(|draw| draw.card_id)))
        .and_where(Column::LastDrawnAt.eq(made_at))
        .to_owned();
    transaction.execute("user_cards_date", &statement).await.map(drop)
}

/// Direction of a change.
#[derive(Clone, Copy)]
enum Sign {
    Plus = 1,
    Minus = -1,
}

/// Adds or subtracts draws, in one statement that locks the rows in the order of their keys: two changes
/// of one user cannot deadlock.
fn add(
    user: Uuid,
    draws: &[Draw],
    sign: Sign,
    last_drawn_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> InsertStatement {
    let mut rows: BTreeMap<Uuid, Model> = BTreeMap::new();
    for draw in draws {
        let row = rows.entry(draw.card_id).or_insert(Model {
            user_id: user,
            card_id: draw.card_id,
            upright: 0,
            reversed: 0,
            last_drawn_at,
            created_at: now,
            updated_at: now,
        });
        match draw.orientation {
            Orientation::Upright => row.upright += sign as i32,
            Orientation::Reversed => row.reversed += sign as i32,
        }
    }
    let old = |column: Column| Expr::col((Entity, column));
    let new = |column: Column| Expr::col(("excluded", column));
    let is_later = old(Column::LastDrawnAt)
        .is_null()
        .or(old(Column::LastDrawnAt).lt(new(Column::LastDrawnAt)));
    let later = CaseStatement::new()
        .case(is_later, new(Column::LastDrawnAt))
        .finally(old(Column::LastDrawnAt));
    let mut statement = insert(rows.into_values());
    statement.on_conflict(
        OnConflict::columns([Column::UserId, Column::CardId])
            .value(Column::Upright, old(Column::Upright).add(new(Column::Upright)))
            .value(Column::Reversed, old(Column::Reversed).add(new(Column::Reversed)))
            .value(Column::LastDrawnAt, SimpleExpr::Case(Box::new(later)))
            .value(Column::UpdatedAt, now)
            .to_owned(),
    );
    statement
}

/// Subquery: time of the user's latest draw of the card, by a scan from the newest reading backwards.
fn last_drawn_at() -> SelectStatement {
    use reading_cards::Column as Drawn;
    use reading_sessions::Column as Reading;
    let reading = |column: Reading| Expr::col((reading_sessions::Entity, column));
    let drawn = |column: Drawn| Expr::col((reading_cards::Entity, column));
    Query::select()
        .expr(reading(Reading::CreatedAt))
        .from(reading_sessions::Entity)
        .inner_join(
            reading_cards::Entity,
            drawn(Drawn::ReadingId).equals((reading_sessions::Entity, Reading::Id)),
        )
        .and_where(reading(Reading::UserId).equals((Entity, Column::UserId)))
        .and_where(reading(Reading::Status).eq(ReadingStatus::Complete))
        .and_where(drawn(Drawn::CardId).equals((Entity, Column::CardId)))
        .order_by((reading_sessions::Entity, Reading::CreatedAt), Order::Desc)
        .limit(1)
        .to_owned()
}

/// Statements that recount all cards of all users.
pub(super) struct UserCardsRecount {
    pub(super) clear: DeleteStatement,
    pub(super) count: InsertStatement,
}

/// Recounts all cards of all users.
pub(super) fn recount_user_cards(now: DateTime<Utc>) -> Result<UserCardsRecount, DbErr> {
    use reading_cards::Column as Drawn;
    use reading_sessions::Column as Reading;
    let reading = |column: Reading| Expr::col((reading_sessions::Entity, column));
    let drawn = |column: Drawn| Expr::col((reading_cards::Entity, column));
    let count_of = |orientation: Orientation| count_if(drawn(Drawn::Orientation).eq(orientation));
    let counted = Query::select()
        .expr(reading(Reading::UserId))
        .expr(drawn(Drawn::CardId))
        .expr(count_of(Orientation::Upright))
        .expr(count_of(Orientation::Reversed))
        .expr(reading(Reading::CreatedAt).max())
        .expr(Expr::value(now))
        .expr(Expr::value(now))
        .from(reading_sessions::Entity)
        .inner_join(
            reading_cards::Entity,
            drawn(Drawn::ReadingId).equals((reading_sessions::Entity, Reading::Id)),
        )
        .and_where(reading(Reading::Status).eq(ReadingStatus::Complete))
        .group_by_col((reading_sessions::Entity, Reading::UserId))
        .group_by_col((reading_cards::Entity, Drawn::CardId))
        // Stores the rows of a user next to each other.
        .order_by((reading_sessions::Entity, Reading::UserId), Order::Asc)
        .order_by((reading_cards::Entity, Drawn::CardId), Order::Asc)
        .to_owned();
    let mut count = Query::insert();
    count
        .into_table(Entity)
        .columns([
            Column::UserId,
            Column::CardId,
            Column::Upright,
            Column::Reversed,
            Column::LastDrawnAt,
            Column::CreatedAt,
            Column::UpdatedAt,
        ])
        .select_from(counted)
        .map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(UserCardsRecount { clear: Query::delete().from_table(Entity).to_owned(), count })
}
