//! Counters: draws of cards, uses of spreads, users and readings of the site.
//!
//! Invariant: after all deltas are folded, each counter equals a count of the rows of active users. A write that adds or
//! removes a reading, or activates or deactivates a user, inserts a delta in the same transaction; [`counters_fold`] deletes deltas and updates
//! the counters, in one transaction too. So each delta is folded once, and writers do not wait for each
//! other at the counter of a popular card.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{
    CaseStatement, Expr, ExprTrait, IntoIden, LockType, Query, SimpleExpr, TableRef,
    UpdateStatement,
};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::bulk::insert;
use super::entities::columns::{DrawDeltas, SpreadUsage, UsageDeltas};
use super::entities::{
    card_stats, counter_deltas, reading_cards, reading_sessions, site_stats, spread_stats, users,
};
use super::users::is_of_active_user;
use super::{DbError, Session, Transaction};
use crate::domain::reading::ReadingStatus;

/// Changes of the counters by one write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CounterDelta {
    /// Active users.
    pub users: i32,
    /// Complete readings of active users.
    pub readings: i32,
    /// Draws, by card.
    pub draws: BTreeMap<Uuid, i64>,
    /// Uses and ratings, by spread.
    pub uses: BTreeMap<Uuid, SpreadUsage>,
}

impl CounterDelta {
    /// Delta of a new reading.
    #[must_use]
    pub fn reading(
        spread: Uuid,
        cards: impl IntoIterator<Item = Uuid>,
        rating: Option<i16>,
    ) -> Self {
        let uses = SpreadUsage { uses: 1, ..SpreadUsage::rating(rating) };
        Self {
            users: 0,
            readings: 1,
            draws: cards.into_iter().map(|card| (card, 1)).collect(),
            uses: BTreeMap::from([(spread, uses)]),
        }
    }

    /// Delta of a changed rating.
    #[must_use]
    pub fn rating(spread: Uuid, from: Option<i16>, to: Option<i16>) -> Self {
        let (from, to) = (SpreadUsage::rating(from), SpreadUsage::rating(to));
        let uses = SpreadUsage {
            uses: 0,
            rating_sum: to.rating_sum - from.rating_sum,
            ratings: to.ratings - from.ratings,
        };
        Self { uses: BTreeMap::from([(spread, uses)]), ..Self::default() }
    }

    /// The opposite delta, for a deletion.
    #[must_use]
    pub fn reversed(self) -> Self {
        let reversed = |uses: SpreadUsage| SpreadUsage {
            uses: -uses.uses,
            rating_sum: -uses.rating_sum,
            ratings: -uses.ratings,
        };
        Self {
            users: -self.users,
            readings: -self.readings,
            draws: self.draws.into_iter().map(|(card, draws)| (card, -draws)).collect(),
            uses: self.uses.into_iter().map(|(spread, uses)| (spread, reversed(uses))).collect(),
        }
    }
}

impl SpreadUsage {
    fn rating(rating: Option<i16>) -> Self {
        Self { uses: 0, rating_sum: rating.map_or(0, i64::from), ratings: rating.map_or(0, |_| 1) }
    }
}

/// Inserts the delta of the transaction.
pub async fn counter_delta_insert(
    transaction: &Transaction,
    delta: CounterDelta,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let row = counter_deltas::Model {
        id: Uuid::now_v7(),
        users: delta.users,
        readings: delta.readings,
        draws: DrawDeltas(delta.draws),
        uses: UsageDeltas(delta.uses),
        created_at: now,
    };
    transaction.execute("counter_delta_insert", &insert([row])).await.map(drop)
}

/// The share of a user and all of their readings in the counters.
pub async fn counter_delta_of_user(session: &Session, user: Uuid) -> Result<CounterDelta, DbError> {
    use reading_cards::Column as Drawn;
    use reading_sessions::Column as Reading;
    #[derive(FromQueryResult)]
    struct OfCard {
        card_id: Uuid,
        draws: i64,
    }
    #[derive(FromQueryResult)]
    struct OfSpread {
        spread_id: Uuid,
        uses: i64,
        rating_sum: i64,
        ratings: i64,
    }
    let reading = |column: Reading| (reading_sessions::Entity, column);
    let of_card = |column: Drawn| (reading_cards::Entity, column);
    let cards = Query::select()
        .column(of_card(Drawn::CardId))
        .expr_as(Expr::col(of_card(Drawn::CardId)).count(), "draws")
        .from(reading_sessions::Entity)
        .inner_join(
            reading_cards::Entity,
            Expr::col(of_card(Drawn::ReadingId)).equals(reading(Reading::Id)),
        )
        .and_where(Expr::col(reading(Reading::UserId)).eq(user))
        .group_by_col(of_card(Drawn::CardId))
        .to_owned();
    let rating = || Expr::col(Reading::UserSatisfaction);
    let spreads = Query::select()
        .expr_as(Expr::col(Reading::SpreadTemplateId), "spread_id")
        .expr_as(Expr::col(Reading::Id).count(), "uses")
        .expr_as(rating().sum().if_null(0_i64), "rating_sum")
        .expr_as(rating().count(), "ratings")
        .from(reading_sessions::Entity)
        .and_where(Reading::UserId.eq(user))
        .group_by_col(Reading::SpreadTemplateId)
        .to_owned();
    let cards: Vec<OfCard> = session.all("draws_of_user", &cards).await?;
    let spreads: Vec<OfSpread> = session.all("uses_of_user", &spreads).await?;
    let readings: i64 = spreads.iter().map(|row| row.uses).sum();
    Ok(CounterDelta {
        users: 1,
        readings: i32::try_from(readings).unwrap_or(i32::MAX),
        draws: cards.into_iter().map(|row| (row.card_id, row.draws)).collect(),
        uses: spreads
            .into_iter()
            .map(|OfSpread { spread_id, uses, rating_sum, ratings }| {
                (spread_id, SpreadUsage { uses, rating_sum, ratings })
            })
            .collect(),
    })
}

/// Folds up to `limit` deltas into the counters. Returns their number. Processes that fold at the same
/// time do so one after another.
///
/// # Errors
///
/// A statement fails; then nothing is folded.
pub async fn counters_fold(
    transaction: &Transaction,
    limit: u64,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    use counter_deltas::{Column, Entity};
    let site = site_stats::Entity::find().lock(LockType::NoKeyUpdate).into_query();
    transaction.rows("site_stats_locked", &site).await?;
    let oldest = Query::select()
        .column(Column::Id)
        .from(Entity)
        .order_by(Column::Id, sea_orm::Order::Asc)
        .limit(limit)
        .to_owned();
    let take = Query::delete()
        .from_table(Entity)
        .and_where(Column::Id.in_subquery(oldest))
        .returning_all()
        .to_owned();
    let rows: Vec<counter_deltas::Model> =
        transaction.returning("counter_deltas_take", &take).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let folded = rows.len() as u64;
    let sum = DeltaSum::of(rows);
    for statement in sum.card_updates(now) {
        transaction.execute("card_stats_add", &statement).await?;
    }
    for statement in sum.spread_updates(now) {
        transaction.execute("spread_stats_add", &statement).await?;
    }
    transaction.execute("site_stats_add", &sum.site_update(now)).await?;
    Ok(folded)
}

/// Updates a row without an effect, for the time that it takes.
pub(super) async fn touch_site_stats(
    transaction: &Transaction,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    use site_stats::{Column, Entity};
    let statement = Query::update().table(Entity).value(Column::UpdatedAt, now).to_owned();
    transaction.execute("site_stats_touch", &statement).await.map(drop)
}

/// Sum of several deltas.
#[derive(Default)]
struct DeltaSum {
    users: i64,
    readings: i64,
    /// Draws by card, with the time of the latest.
    draws: BTreeMap<Uuid, (i64, Option<DateTime<Utc>>)>,
    /// Uses by spread, with the time of the latest.
    uses: BTreeMap<Uuid, (SpreadUsage, Option<DateTime<Utc>>)>,
}

impl DeltaSum {
    fn of(rows: Vec<counter_deltas::Model>) -> Self {
        let mut sum = Self::default();
        for row in rows {
            sum.users += i64::from(row.users);
            sum.readings += i64::from(row.readings);
            for (card, draws) in row.draws.0 {
                let (count, last) = sum.draws.entry(card).or_default();
                *count += draws;
                *last = Ord::max(*last, (draws > 0).then_some(row.created_at));
            }
            for (spread, more) in row.uses.0 {
                let (uses, last) = sum.uses.entry(spread).or_default();
                uses.uses += more.uses;
                uses.rating_sum += more.rating_sum;
                uses.ratings += more.ratings;
                *last = Ord::max(*last, (more.uses > 0).then_some(row.created_at));
            }
        }
        sum
    }

    fn card_updates(&self, now: DateTime<Utc>) -> impl Iterator<Item = UpdateStatement> {
        use card_stats::{Column, Entity};
        self.draws.iter().map(move |(card, (draws, last))| {
            Query::update()
                .table(Entity)
                .value(Column::DrawCount, Expr::col(Column::DrawCount).add(*draws))
                .value(Column::LastDrawnAt, later(Column::LastDrawnAt, *last))
                .value(Column::UpdatedAt, now)
                .and_where(Column::CardId.eq(*card))
                .to_owned()
        })
    }

    fn spread_updates(&self, now: DateTime<Utc>) -> impl Iterator<Item = UpdateStatement> {
        use spread_stats::{Column, Entity};
        self.uses.iter().map(move |(spread, (uses, last))| {
            Query::update()
                .table(Entity)
                .value(Column::UsageCount, Expr::col(Column::UsageCount).add(uses.uses))
                .value(Column::RatingSum, Expr::col(Column::RatingSum).add(uses.rating_sum))
                .value(Column::RatingN, Expr::col(Column::RatingN).add(uses.ratings))
                .value(Column::LastUsedAt, later(Column::LastUsedAt, *last))
                .value(Column::UpdatedAt, now)
                .and_where(Column::SpreadId.eq(*spread))
                .to_owned()
        })
    }

    fn site_update(&self, now: DateTime<Utc>) -> UpdateStatement {
        use site_stats::{Column, Entity};
        Query::update()
            .table(Entity)
            .value(Column::Users, Expr::col(Column::Users).add(self.users))
            .value(Column::Readings, Expr::col(Column::Readings).add(self.readings))
            .value(Column::UpdatedAt, now)
            .to_owned()
    }
}

/// The later of a column and a time.
fn later<C: ColumnTrait>(column: C, time: Option<DateTime<Utc>>) -> SimpleExpr {
    let Some(time) = time else { return Expr::col(column) };
    let is_later = column.is_null().or(column.lt(time));
    let later = CaseStatement::new().case(is_later, Expr::value(time)).finally(Expr::col(column));
    SimpleExpr::Case(Box::new(later))
}

/// Recounts the users and readings of the site.
pub(super) fn recount_site(now: DateTime<Utc>) -> UpdateStatement {
    let count = |query: sea_orm::sea_query::SelectStatement| {
        SimpleExpr::SubQuery(None, Box::new(query.into()))
    };
    let users = Query::select()
        .expr(Expr::col(users::Column::Id).count())
        .from(users::Entity)
        .and_where(users::Column::IsActive.eq(true))
        .to_owned();
    let readings = Query::select()
        .expr(Expr::col(reading_sessions::Column::Id).count())
        .from(reading_sessions::Entity)
        .and_where(reading_sessions::Column::Status.eq(ReadingStatus::Complete))
        .and_where(is_of_active_user((reading_sessions::Entity, reading_sessions::Column::UserId)))
        .to_owned();
    Query::update()
        .table(site_stats::Entity)
        .value(site_stats::Column::Users, count(users))
        .value(site_stats::Column::Readings, count(readings))
        .value(site_stats::Column::UpdatedAt, now)
        .to_owned()
}

/// Recounts the draws of all cards.
pub(super) fn recount_draws(now: DateTime<Utc>) -> UpdateStatement {
    use card_stats::Column as Stats;
    use reading_cards::Column as Drawn;
    let drawn = |column: Drawn| (reading_cards::Entity, column);
    let of_card = || (card_stats::Entity, Stats::CardId);
    let of_inactive = Query::select()
        .column(reading_sessions::Column::Id)
        .from(reading_sessions::Entity)
        .and_where(
            is_of_active_user((reading_sessions::Entity, reading_sessions::Column::UserId)).not(),
        )
        .to_owned();
    let is_of_active_owner = Expr::col(drawn(Drawn::ReadingId)).not_in_subquery(of_inactive);
    let counted = Query::select()
        .column(of_card())
        .expr_as(Expr::col(drawn(Drawn::CardId)).count(), "draws")
        .expr_as(Expr::col(drawn(Drawn::CreatedAt)).max(), "last")
        .from(card_stats::Entity)
        .left_join(
            reading_cards::Entity,
            Expr::col(drawn(Drawn::CardId)).equals(of_card()).and(is_of_active_owner),
        )
        .group_by_col(of_card())
        .to_owned();
    Query::update()
        .table(card_stats::Entity)
        .from(TableRef::SubQuery(counted.into(), "counted".into_iden()))
        .value(Stats::DrawCount, Expr::col(("counted", "draws")))
        .value(Stats::LastDrawnAt, Expr::col(("counted", "last")))
        .value(Stats::UpdatedAt, now)
        .and_where(Expr::col(of_card()).equals(("counted", Stats::CardId)))
        .to_owned()
}

/// Recounts the uses and ratings of all spreads.
pub(super) fn recount_uses(now: DateTime<Utc>) -> UpdateStatement {
    use reading_sessions::Column as Reading;
    use spread_stats::Column as Stats;
    let reading = |column: Reading| (reading_sessions::Entity, column);
    let of_spread = || (spread_stats::Entity, Stats::SpreadId);
    let rating = || Expr::col(reading(Reading::UserSatisfaction));
    let counted = Query::select()
        .column(of_spread())
        .expr_as(Expr::col(reading(Reading::Id)).count(), "uses")
        .expr_as(rating().sum().if_null(0_i64), "rating_sum")
        .expr_as(rating().count(), "rating_n")
        .expr_as(Expr::col(reading(Reading::CreatedAt)).max(), "last")
        .from(spread_stats::Entity)
        .left_join(
            reading_sessions::Entity,
            Expr::col(reading(Reading::SpreadTemplateId))
                .equals(of_spread())
                .and(is_of_active_user(reading(Reading::UserId))),
        )
        .group_by_col(of_spread())
        .to_owned();
    Query::update()
        .table(spread_stats::Entity)
        .from(TableRef::SubQuery(counted.into(), "counted".into_iden()))
        .value(Stats::UsageCount, Expr::col(("counted", "uses")))
        .value(Stats::RatingSum, Expr::col(("counted", "rating_sum")))
        .value(Stats::RatingN, Expr::col(("counted", "rating_n")))
        .value(Stats::LastUsedAt, Expr::col(("counted", "last")))
        .value(Stats::UpdatedAt, now)
        .and_where(Expr::col(of_spread()).equals(("counted", Stats::SpreadId)))
        .to_owned()
}
