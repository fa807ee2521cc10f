//! How often each user drew each card.
//!
//! Invariant: each row is what a count of the cards of the user's complete readings would be. Whoever
//! adds or removes a reading changes the rows in the same transaction. They are one user's, so that
//! nobody waits for others at them as at the counters of cards.

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
use super::query::columns::rows_of;
use super::query::count_if;
use super::{DbError, Session, Transaction};
use crate::domain::card::Orientation;
use crate::domain::reading::ReadingStatus;
use crate::domain::statistics::CardTally;

/// A card as it was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Draw {
    /// Which card.
    pub card_id: Uuid,
    /// How it lay.
    pub orientation: Orientation,
}

/// How often a user drew each card, but those never drawn: at most one row a card of the deck.
///
/// # Errors
///
/// The statement fails.
pub async fn user_cards(session: &Session, user: Uuid) -> Result<Vec<CardTally>, DbError> {
    const STATEMENT: &str = "user_cards";
    let query = Query::select()
        .columns([Column::CardId, Column::Upright, Column::Reversed, Column::LastDrawnAt])
        .from(Entity)
        .and_where(Column::UserId.eq(user))
        // Taken back, all of them.
        .and_where(Column::LastDrawnAt.is_not_null())
        .to_owned();
    let rows = session.rows(STATEMENT, &query).await?;
    rows_of(STATEMENT, &rows, |cells| {
        Ok(CardTally {
            card: cells.next()?,
            upright: cells.next()?,
            reversed: cells.next()?,
            last_drawn_at: cells.next()?,
        })
    })
}

/// How many cards the user of that column drew, in a statement on users.
pub(super) fn draws_of(user: SimpleExpr) -> SimpleExpr {
    let column = |column: Column| Expr::col((Entity, column));
    let draws = Query::select()
        .expr(column(Column::Upright).add(column(Column::Reversed)).sum().if_null(0_i64))
        .from(Entity)
        .and_where(column(Column::UserId).eq(user))
        .to_owned();
    SimpleExpr::SubQuery(None, Box::new(draws.into()))
}

/// Adds the cards of a reading of the user's that was made at that time.
///
/// # Errors
///
/// The statement fails.
pub async fn user_cards_add(
    transaction: &Transaction,
    user: Uuid,
    draws: &[Draw],
    (made_at, now): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbError> {
    if draws.is_empty() {
        return Ok(());
    }
    let statement = add(user, draws, 1, (Some(made_at), now));
    transaction.execute("user_cards_add", &statement).await.map(drop)
}

/// Takes back the cards of a reading of the user's that was made at that time and is gone now.
///
/// # Errors
///
/// A statement fails.
pub async fn user_cards_subtract(
    transaction: &Transaction,
    user: Uuid,
    draws: &[Draw],
    (made_at, now): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbError> {
    if draws.is_empty() {
        return Ok(());
    }
    let statement = add(user, draws, -1, (None, now));
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

/// Adds, or takes back: one statement that always takes the rows in the same order, so that two
/// changes of the same user's wait for each other and never both.
fn add(
    user: Uuid,
    draws: &[Draw],
    sign: i32,
    (last_drawn_at, now): (Option<DateTime<Utc>>, DateTime<Utc>),
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
            Orientation::Upright => row.upright += sign,
            Orientation::Reversed => row.reversed += sign,
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

/// When the row's user last drew its card: read from their newest reading on until one has it.
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

/// The statements that count all cards of all users anew.
pub(super) fn recount_user_cards(
    now: DateTime<Utc>,
) -> Result<(DeleteStatement, InsertStatement), DbErr> {
    use reading_cards::Column as Drawn;
    use reading_sessions::Column as Reading;
    let reading = |column: Reading| Expr::col((reading_sessions::Entity, column));
    let drawn = |column: Drawn| Expr::col((reading_cards::Entity, column));
    let that_lay = |orientation: Orientation| count_if(drawn(Drawn::Orientation).eq(orientation));
    let counted = Query::select()
        .expr(reading(Reading::UserId))
        .expr(drawn(Drawn::CardId))
        .expr(that_lay(Orientation::Upright))
        .expr(that_lay(Orientation::Reversed))
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
        // So that a user's rows lie side by side.
        .order_by((reading_sessions::Entity, Reading::UserId), Order::Asc)
        .order_by((reading_cards::Entity, Drawn::CardId), Order::Asc)
        .to_owned();
    let mut write = Query::insert();
    write
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
    Ok((Query::delete().from_table(Entity).to_owned(), write))
}
