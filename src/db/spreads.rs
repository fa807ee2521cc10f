//! Statements on spreads.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QueryTrait};
use uuid::Uuid;

use super::entities::{
    spread_position_texts, spread_positions, spread_stats, spread_templates, spread_texts,
};
use super::query::membership::is_one_of;
use super::{DbError, Session};

/// A spread's row.
pub type SpreadRow = spread_templates::Model;
/// A spread's texts in one language.
pub type SpreadTextRow = spread_texts::Model;
/// A position's row.
pub type PositionRow = spread_positions::Model;
/// A position's texts in one language.
pub type PositionTextRow = spread_position_texts::Model;
/// How often a spread was used and how it was rated.
pub type SpreadStatsRow = spread_stats::Model;

/// All spreads, inactive ones included.
///
/// # Errors
///
/// The statement fails.
pub async fn spreads_all(session: &Session) -> Result<Vec<SpreadRow>, DbError> {
    session.all("spreads_all", &spread_templates::Entity::find().into_query()).await
}

/// The texts of all spreads.
///
/// # Errors
///
/// The statement fails.
pub async fn spread_texts_all(session: &Session) -> Result<Vec<SpreadTextRow>, DbError> {
    session.all("spread_texts_all", &spread_texts::Entity::find().into_query()).await
}

/// The positions of all spreads, by number within each.
///
/// # Errors
///
/// The statement fails.
pub async fn positions_all(session: &Session) -> Result<Vec<PositionRow>, DbError> {
    let query = spread_positions::Entity::find()
        .order_by_asc(spread_positions::Column::SpreadId)
        .order_by_asc(spread_positions::Column::Number)
        .into_query();
    session.all("positions_all", &query).await
}

/// The texts of all positions.
///
/// # Errors
///
/// The statement fails.
pub async fn position_texts_all(session: &Session) -> Result<Vec<PositionTextRow>, DbError> {
    session.all("position_texts_all", &spread_position_texts::Entity::find().into_query()).await
}

/// The counters of these spreads; those never used may be left out.
///
/// # Errors
///
/// The statement fails.
pub async fn spread_stats_by_spread_id(
    session: &Session,
    spreads: &[Uuid],
) -> Result<Vec<SpreadStatsRow>, DbError> {
    let query = spread_stats::Entity::find()
        .filter(is_one_of(session, spread_stats::Column::SpreadId, spreads))
        .into_query();
    session.all("spread_stats_by_spread_id", &query).await
}
