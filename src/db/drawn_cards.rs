//! Statements on the cards drawn in readings.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QueryTrait};
use uuid::Uuid;

use super::entities::reading_cards::{Column, Entity, Model};
use super::query::membership::is_one_of;
use super::{DbError, Session};

/// A drawn card's row.
pub type DrawnCardRow = Model;

/// The drawn cards of these readings, by position within each. Whoever asks has the readings
/// already, so the viewer may see them.
///
/// # Errors
///
/// The statement fails.
pub async fn drawn_cards_by_reading_id(
    session: &Session,
    readings: &[Uuid],
) -> Result<Vec<DrawnCardRow>, DbError> {
    let query = Entity::find()
        .filter(is_one_of(session, Column::ReadingId, readings))
        .order_by_asc(Column::ReadingId)
        .order_by_asc(Column::PositionNumber)
        .into_query();
    session.all("drawn_cards_by_reading_id", &query).await
}
