//! Insertion of the reference data. Existing rows are left unchanged, so loading is idempotent and edits
//! by operators survive.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Query, SimpleExpr};
use sea_orm::{EntityTrait, FromQueryResult};

use super::bulk::insert_missing;
use super::entities::{
    card_interpretations, card_stats, card_texts, faction_texts, faction_voices, factions,
    spread_position_texts, spread_positions, spread_stats, spread_templates, spread_texts,
    voice_texts, voices, wasteland_cards,
};
use super::{Database, DbError, Session, StartLock};

/// The rows of the reference data, by table, in the order of foreign keys.
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

/// Inserts the missing reference rows, all or none.
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
        .bulk_transaction("reference_insert", async |transaction| {
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

/// True if each table has at least as many rows as the reference data. Foreign keys imply the tables that
/// are not counted. One statement, so that a start on a loaded database is cheap.
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

/// Time of the last change of any card or spread; `None` if there are none. A change of texts or positions
/// updates the time of their card or spread too.
pub async fn reference_changed_at(session: &Session) -> Result<Option<DateTime<Utc>>, DbError> {
    #[derive(FromQueryResult)]
    struct Changed {
        cards: Option<DateTime<Utc>>,
        spreads: Option<DateTime<Utc>>,
    }
    let query = Query::select()
        .expr_as(latest(wasteland_cards::Entity, wasteland_cards::Column::UpdatedAt), "cards")
        .expr_as(latest(spread_templates::Entity, spread_templates::Column::UpdatedAt), "spreads")
        .to_owned();
    let changed: Option<Changed> = session.one("reference_changed_at", &query).await?;
    Ok(changed.and_then(|changed| Ord::max(changed.cards, changed.spreads)))
}

fn latest<E: EntityTrait>(entity: E, column: E::Column) -> SimpleExpr {
    let query = Query::select().expr(Expr::col(column).max()).from(entity).to_owned();
    SimpleExpr::SubQuery(None, Box::new(query.into()))
}

fn count<E: EntityTrait>(entity: E) -> SimpleExpr {
    let query = Query::select().expr(Expr::col(Asterisk).count()).from(entity).to_owned();
    SimpleExpr::SubQuery(None, Box::new(query.into()))
}
