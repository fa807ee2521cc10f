//! Statements of exports. Each takes the owner: none can return a reading of another user.
//!
//! SQL: `tests/api/golden/*/export_of_readings.snap`.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, JoinType};
use sea_orm::{ColumnTrait, Condition};
use uuid::Uuid;

use super::drawn_cards::{DrawnCardRow, drawn_cards_by_reading_id};
use super::entities::{reading_categories, reading_sessions};
use super::query::batches::KeysetBatches;
use super::query::columns::{DrawnCardColumns, ReadingColumns};
use super::readings::{ReadingKey, ReadingRow, decode_reading, ordered_readings};
use super::{DbError, Session};
use crate::domain::page::Order;
use crate::domain::reading_list::{ReadingOrder, ReadingOrderField};

/// The newest first.
const ORDER: ReadingOrder =
    ReadingOrder { field: ReadingOrderField::CreatedAt, order: Order::Desc };
const CATEGORY_NAME: &str = "category_name";

/// A reading with its category and cards.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedReading {
    /// The reading, with its texts.
    pub reading: ReadingRow,
    /// Name of its category.
    pub category: Option<String>,
    /// Its cards by position, with their texts.
    pub cards: Vec<DrawnCardRow>,
}

/// All readings of a user in batches, the newest first, archived ones included.
pub struct ReadingExport(KeysetBatches);

impl ReadingExport {
    /// Batches of at most `batch` readings.
    #[must_use]
    pub fn new(owner: Uuid, batch: u64) -> Self {
        use reading_categories as categories;
        use reading_sessions::Column;
        let own = Condition::all().add(Column::UserId.eq(owner));
        let mut list = ordered_readings(ReadingColumns::WithTexts, own, ORDER);
        let category = (categories::Entity, categories::Column::Id);
        list.rows
            .expr_as(Expr::col((categories::Entity, categories::Column::Name)), CATEGORY_NAME)
            .join(
                JoinType::LeftJoin,
                categories::Entity,
                Expr::col(category).equals((reading_sessions::Entity, Column::CategoryId)),
            );
        Self(KeysetBatches::new(list, batch))
    }

    /// The next batch, in two statements; `None` at the end.
    pub async fn next(
        &mut self,
        session: &Session,
    ) -> Result<Option<Vec<ExportedReading>>, DbError> {
        const STATEMENT: &str = "readings_of_owner";
        let Some(query) = self.0.select() else { return Ok(None) };
        let rows = session.rows(STATEMENT, &query).await?;
        let readings: Vec<ExportedReading> = rows
            .iter()
            .map(|row| {
                Ok(ExportedReading {
                    reading: decode_reading(ReadingColumns::WithTexts, row, 0)?,
                    category: row.try_get("", CATEGORY_NAME)?,
                    cards: Vec::new(),
                })
            })
            .collect::<Result<_, _>>()
            .map_err(|error| DbError::of(STATEMENT, error))?;
        let last = readings
            .last()
            .map(|last| ReadingKey::of(&last.reading, ORDER.field).values(ORDER.order).into());
        self.0.advance(readings.len(), last);
        if readings.is_empty() {
            return Ok(None);
        }
        with_cards(session, readings).await.map(Some)
    }
}

async fn with_cards(
    session: &Session,
    mut readings: Vec<ExportedReading>,
) -> Result<Vec<ExportedReading>, DbError> {
    let ids: Vec<Uuid> = readings.iter().map(|whole| whole.reading.id).collect();
    let mut cards_of: HashMap<Uuid, Vec<DrawnCardRow>> = HashMap::with_capacity(ids.len());
    for card in drawn_cards_by_reading_id(session, &ids, DrawnCardColumns::WithTexts).await? {
        cards_of.entry(card.reading_id).or_default().push(card);
    }
    for whole in &mut readings {
        whole.cards = cards_of.remove(&whole.reading.id).unwrap_or_default();
    }
    Ok(readings)
}
