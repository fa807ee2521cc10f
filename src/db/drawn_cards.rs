//! Statements on the cards drawn in readings.

use sea_orm::{
    DerivePartialModel, EntityTrait, FromQueryResult, PartialModelTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::entities::columns::LocalizedText;
use super::entities::reading_cards::{Column, Entity};
use super::query::columns::Columns;
use super::query::membership::is_one_of;
use super::{DbError, Session};
use crate::domain::card::Orientation;

/// A card drawn in a reading.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct DrawnCardRow {
    pub reading_id: Uuid,
    pub position_number: i16,
    pub card_id: Uuid,
    pub orientation: Orientation,
    /// `None` where they were not asked for.
    #[sea_orm(skip)]
    pub texts: Option<DrawnCardTexts>,
}

/// The long texts of a drawn card: most of its bytes.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct DrawnCardTexts {
    pub position_name: LocalizedText,
    pub position_meaning: LocalizedText,
    pub interpretation: String,
}

/// The drawn cards of these readings, by position within each. Whoever asks has the readings
/// already, so the viewer may see them.
///
/// # Errors
///
/// The statement fails.
pub async fn drawn_cards_by_reading_id(
    session: &Session,
    readings: &[Uuid],
    columns: Columns,
) -> Result<Vec<DrawnCardRow>, DbError> {
    const STATEMENT: &str = "drawn_cards_by_reading_id";
    let mut select = DrawnCardRow::select_cols(Entity::find().select_only());
    if columns == Columns::WithTexts {
        select = DrawnCardTexts::select_cols(select);
    }
    let query = select
        .filter(is_one_of(session, Column::ReadingId, readings))
        .order_by_asc(Column::ReadingId)
        .order_by_asc(Column::PositionNumber)
        .into_query();
    let rows = session.rows(STATEMENT, &query).await?;
    rows.iter()
        .map(|row| {
            let mut drawn = DrawnCardRow::from_query_result(row, "")?;
            drawn.texts = columns.texts(row)?;
            Ok(drawn)
        })
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(STATEMENT, error))
}
