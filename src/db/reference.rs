//! Writing many rows at once: reference data and demonstration data. Rows that are there already
//! stay as they are, so loading twice is loading once and an operator's edits survive.

use sea_orm::sea_query::OnConflict;
use sea_orm::sea_query::{
    Asterisk, Expr, ExprTrait, IntoIden, Query, SimpleExpr, TableRef, UpdateStatement,
};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    IntoActiveModel, Iterable, ModelTrait,
};

use super::entities::{
    card_interpretations, card_stats, card_texts, faction_texts, faction_voices, factions,
    reading_cards, reading_categories, reading_sessions, spread_position_texts, spread_positions,
    spread_stats, spread_templates, spread_texts, users, voice_texts, voices, wasteland_cards,
};
use super::{Database, DbError, StartLock};

/// The rows of the reference data, by table, in the order in which they can be written.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field a table")]
pub struct ReferenceRows {
    pub cards: Vec<wasteland_cards::Model>,
    pub card_texts: Vec<card_texts::Model>,
    pub card_stats: Vec<card_stats::Model>,
    pub voices: Vec<voices::Model>,
    pub voice_texts: Vec<voice_texts::Model>,
    pub factions: Vec<factions::Model>,
    pub faction_texts: Vec<faction_texts::Model>,
    pub faction_voices: Vec<faction_voices::Model>,
    pub interpretations: Vec<card_interpretations::Model>,
    pub spreads: Vec<spread_templates::Model>,
    pub spread_texts: Vec<spread_texts::Model>,
    pub positions: Vec<spread_positions::Model>,
    pub position_texts: Vec<spread_position_texts::Model>,
    pub spread_stats: Vec<spread_stats::Model>,
}

/// People and their readings, in the order in which they can be written.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field a table")]
pub struct SeedRows {
    pub users: Vec<users::Model>,
    pub categories: Vec<reading_categories::Model>,
    pub readings: Vec<reading_sessions::Model>,
    pub drawn_cards: Vec<reading_cards::Model>,
}

/// Bound values that one statement may have; SQLite's limit is the lower one.
const BOUND_VALUES_MAXIMUM: usize = 32_000;

/// Writes the reference rows that are not there yet, all or none.
///
/// # Errors
///
/// A statement fails; then nothing is written.
pub async fn insert_missing_reference(
    database: &Database,
    _lock: &StartLock,
    rows: ReferenceRows,
) -> Result<(), DbError> {
    database
        .transaction("reference_insert", async |transaction| {
            insert_missing(transaction, rows.cards).await?;
            insert_missing(transaction, rows.card_texts).await?;
            insert_missing(transaction, rows.card_stats).await?;
            insert_missing(transaction, rows.voices).await?;
            insert_missing(transaction, rows.voice_texts).await?;
            insert_missing(transaction, rows.factions).await?;
            insert_missing(transaction, rows.faction_texts).await?;
            insert_missing(transaction, rows.faction_voices).await?;
            insert_missing(transaction, rows.interpretations).await?;
            insert_missing(transaction, rows.spreads).await?;
            insert_missing(transaction, rows.spread_texts).await?;
            insert_missing(transaction, rows.positions).await?;
            insert_missing(transaction, rows.position_texts).await?;
            insert_missing(transaction, rows.spread_stats).await
        })
        .await
}

/// Writes demonstration rows that are not there yet, all or none.
///
/// # Errors
///
/// A statement fails; then nothing is written.
pub async fn insert_missing_seed(database: &Database, rows: SeedRows) -> Result<(), DbError> {
    database
        .transaction("seed_insert", async |transaction| {
            insert_missing(transaction, rows.users).await?;
            insert_missing(transaction, rows.categories).await?;
            insert_missing(transaction, rows.readings).await?;
            insert_missing(transaction, rows.drawn_cards).await
        })
        .await
}

/// Writes demonstration rows if there is no user yet, all or none, and sets the counters of cards
/// and spreads to what the readings say. Tells whether it did.
///
/// # Errors
///
/// A statement fails; then nothing is written.
pub async fn insert_seed_if_nobody(
    database: &Database,
    _lock: &StartLock,
    batches: impl IntoIterator<Item = SeedRows>,
) -> Result<bool, DbError> {
    database
        .transaction("seed_insert", async |transaction| {
            if users::Entity::find().one(transaction).await?.is_some() {
                return Ok(false);
            }
            for rows in batches {
                insert_missing(transaction, rows.users).await?;
                insert_missing(transaction, rows.categories).await?;
                insert_missing(transaction, rows.readings).await?;
                insert_missing(transaction, rows.drawn_cards).await?;
            }
            transaction.execute(&count_draws()).await?;
            transaction.execute(&count_uses()).await?;
            Ok(true)
        })
        .await
}

/// Sets the counters of every card to its draws.
fn count_draws() -> UpdateStatement {
    use card_stats::Column as Stats;
    use reading_cards::Column as Drawn;
    let drawn = |column: Drawn| (reading_cards::Entity, column);
    let of_card = || (card_stats::Entity, Stats::CardId);
    let counted = Query::select()
        .column(of_card())
        .expr_as(Expr::col(drawn(Drawn::CardId)).count(), "draws")
        .expr_as(Expr::col(drawn(Drawn::CreatedAt)).max(), "last")
        .from(card_stats::Entity)
        .left_join(reading_cards::Entity, Expr::col(drawn(Drawn::CardId)).equals(of_card()))
        .group_by_col(of_card())
        .to_owned();
    Query::update()
        .table(card_stats::Entity)
        .from(TableRef::SubQuery(counted.into(), "counted".into_iden()))
        .value(Stats::DrawCount, Expr::col(("counted", "draws")))
        .value(Stats::LastDrawnAt, Expr::col(("counted", "last")))
        .value(Stats::UpdatedAt, super::now())
        .and_where(Expr::col(of_card()).equals(("counted", Stats::CardId)))
        .to_owned()
}

/// Sets the counters of every spread to its readings and their ratings.
fn count_uses() -> UpdateStatement {
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
            Expr::col(reading(Reading::SpreadTemplateId)).equals(of_spread()),
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
        .value(Stats::UpdatedAt, super::now())
        .and_where(Expr::col(of_spread()).equals(("counted", Stats::SpreadId)))
        .to_owned()
}

#[derive(FromQueryResult)]
struct Counts {
    cards: i64,
    card_texts: i64,
    interpretations: i64,
    voice_texts: i64,
    faction_texts: i64,
    faction_voices: i64,
    spread_texts: i64,
    position_texts: i64,
    card_stats: i64,
    spread_stats: i64,
}

/// Whether each table holds as many rows as the reference data has, or more; where there is a text,
/// there is what it belongs to. One statement, so that
/// a start on a loaded database costs nothing.
///
/// # Errors
///
/// The statement fails.
pub async fn is_reference_complete(
    database: &Database,
    rows: &ReferenceRows,
) -> Result<bool, DbError> {
    let query = Query::select()
        .expr_as(count(wasteland_cards::Entity), "cards")
        .expr_as(count(card_texts::Entity), "card_texts")
        .expr_as(count(card_interpretations::Entity), "interpretations")
        .expr_as(count(voice_texts::Entity), "voice_texts")
        .expr_as(count(faction_texts::Entity), "faction_texts")
        .expr_as(count(faction_voices::Entity), "faction_voices")
        .expr_as(count(spread_texts::Entity), "spread_texts")
        .expr_as(count(spread_position_texts::Entity), "position_texts")
        .expr_as(count(spread_stats::Entity), "spread_stats")
        .expr_as(count(card_stats::Entity), "card_stats")
        .to_owned();
    let found = database.session().one::<Counts>("reference_counts", &query).await?;
    let has =
        |count: i64, expected: usize| usize::try_from(count).is_ok_and(|count| count >= expected);
    Ok(found.is_some_and(|found| {
        has(found.cards, rows.cards.len())
            && has(found.card_texts, rows.card_texts.len())
            && has(found.interpretations, rows.interpretations.len())
            && has(found.voice_texts, rows.voice_texts.len())
            && has(found.faction_texts, rows.faction_texts.len())
            && has(found.faction_voices, rows.faction_voices.len())
            && has(found.spread_texts, rows.spread_texts.len())
            && has(found.position_texts, rows.position_texts.len())
            && has(found.spread_stats, rows.spread_stats.len())
            && has(found.card_stats, rows.card_stats.len())
    }))
}

/// How many users there are.
///
/// # Errors
///
/// The statement fails.
pub async fn user_count(database: &Database) -> Result<u64, DbError> {
    let query = Query::select().expr_as(count(users::Entity), "count").to_owned();
    let rows = database.session().rows("user_count", &query).await?;
    let count: i64 = match rows.first() {
        Some(row) => row.try_get("", "count").map_err(|error| DbError::of("user_count", error))?,
        None => 0,
    };
    Ok(count.unsigned_abs())
}

fn count<E: EntityTrait>(entity: E) -> SimpleExpr {
    let query = Query::select().expr(Expr::col(Asterisk).count()).from(entity).to_owned();
    SimpleExpr::SubQuery(None, Box::new(query.into()))
}

async fn insert_missing<M>(transaction: &DatabaseTransaction, rows: Vec<M>) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<<<M as ModelTrait>::Entity as EntityTrait>::ActiveModel>,
    <<M as ModelTrait>::Entity as EntityTrait>::ActiveModel:
        ActiveModelTrait<Entity = M::Entity> + Send,
{
    let columns = <M::Entity as EntityTrait>::Column::iter().count();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let batch = rows.by_ref().take(BOUND_VALUES_MAXIMUM / columns);
        let active = batch.map(|row| {
            let mut row = row.into_active_model();
            // A model counts as unchanged, and unchanged columns would not be written.
            for column in <M::Entity as EntityTrait>::Column::iter() {
                row.reset(column);
            }
            row
        });
        M::Entity::insert_many(active)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}
