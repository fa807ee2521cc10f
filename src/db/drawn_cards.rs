//! Statements on the cards drawn in readings.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::{
    DbErr, DerivePartialModel, EntityTrait, PartialModelTrait, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait,
};
use uuid::Uuid;

use super::entities::columns::{LocalizedText, raw_json};
use super::entities::reading_cards::{Column, Entity};
use super::query::columns::{Cells, DrawnCardColumns};
use super::query::membership::is_one_of;
use super::{DbError, Session};
use crate::domain::card::Orientation;
use crate::domain::locale::Localized;

/// A card drawn in a reading.
#[derive(Debug, Clone, PartialEq, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
#[expect(missing_docs, reason = "a field a column")]
pub struct DrawnCardRow {
    pub reading_id: Uuid,
    pub position_number: i16,
    pub card_id: Uuid,
    pub orientation: Orientation,
    /// `None` if the statement did not select it.
    #[sea_orm(skip)]
    pub position_name: Option<Arc<Localized<String>>>,
    /// `None` if the statement did not select it.
    #[sea_orm(skip)]
    pub position_meaning: Option<Arc<Localized<String>>>,
    /// `None` if the statement did not select it.
    #[sea_orm(skip)]
    pub interpretation: Option<String>,
}

/// Columns of texts, each with the smallest set that contains it.
const TEXTS: [(Column, DrawnCardColumns); 3] = [
    (Column::PositionName, DrawnCardColumns::WithPositionNames),
    (Column::PositionMeaning, DrawnCardColumns::WithPositionTexts),
    (Column::Interpretation, DrawnCardColumns::WithTexts),
];

/// The drawn cards of these readings, by position within each. The caller has loaded the readings, so the
/// viewer may see them.
///
/// SQL: `drawn_cards.snap`, `drawn_cards_with_*.snap`.
pub async fn drawn_cards_by_reading_id(
    session: &Session,
    readings: &[Uuid],
    columns: DrawnCardColumns,
) -> Result<Vec<DrawnCardRow>, DbError> {
    const STATEMENT: &str = "drawn_cards_by_reading_id";
    let mut select = DrawnCardRow::select_cols(Entity::find().select_only());
    for (column, set) in TEXTS {
        if columns >= set {
            select = select.column(column);
        }
    }
    let query = select
        .filter(is_one_of(session.dialect(), Column::ReadingId, readings))
        .order_by_asc(Column::ReadingId)
        .order_by_asc(Column::PositionNumber)
        .into_query();
    let rows = session.rows(STATEMENT, &query).await?;
    let mut texts = PositionTexts::default();
    rows.iter()
        .map(|row| decode_drawn_card(columns, row, &mut texts))
        .collect::<Result<_, _>>()
        .map_err(|error| DbError::of(STATEMENT, error))
}

fn decode_drawn_card<'a>(
    columns: DrawnCardColumns,
    row: &'a QueryResult,
    texts: &mut PositionTexts<'a>,
) -> Result<DrawnCardRow, DbErr> {
    let mut cells = Cells::from(row, 0);
    Ok(DrawnCardRow {
        reading_id: cells.next()?,
        position_number: cells.next()?,
        card_id: cells.next()?,
        orientation: cells.next()?,
        position_name: (columns >= DrawnCardColumns::WithPositionNames)
            .then(|| texts.decode(&mut cells))
            .transpose()?,
        position_meaning: (columns >= DrawnCardColumns::WithPositionTexts)
            .then(|| texts.decode(&mut cells))
            .transpose()?,
        interpretation: (columns >= DrawnCardColumns::WithTexts)
            .then(|| cells.next())
            .transpose()?,
    })
}

/// Position texts decoded so far. Most readings use one of a few spreads, so the same JSON repeats many
/// times; each is decoded once.
#[derive(Default)]
struct PositionTexts<'a>(HashMap<&'a [u8], Arc<Localized<String>>>);

impl<'a> PositionTexts<'a> {
    fn decode(&mut self, cells: &mut Cells<'a>) -> Result<Arc<Localized<String>>, DbErr> {
        let (row, index) = cells.next_index();
        let json = raw_json(row, index)?;
        if let Some(text) = self.0.get(json) {
            return Ok(Arc::clone(text));
        }
        let LocalizedText(text) =
            serde_json::from_slice(json).map_err(|error| DbErr::Json(error.to_string()))?;
        let text = Arc::new(text);
        self.0.insert(json, Arc::clone(&text));
        Ok(text)
    }
}
