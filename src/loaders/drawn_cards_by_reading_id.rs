//! The cards drawn in readings, by reading.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::drawn_cards::{DrawnCardRow, drawn_cards_by_reading_id};
use crate::db::query::columns::{DrawnCardColumns, widest};
use crate::db::{DbError, Session};

/// The cards of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DrawnCardsOfReading {
    /// Id of the reading.
    pub reading: Uuid,
    /// Columns to read of each card.
    pub columns: DrawnCardColumns,
}

/// Loads drawn cards.
pub struct DrawnCardsByReadingId;

impl Load for DrawnCardsByReadingId {
    type Key = DrawnCardsOfReading;
    type Value = Arc<[DrawnCardRow]>;

    async fn load(
        &self,
        session: &Session,
        keys: &[DrawnCardsOfReading],
    ) -> Result<HashMap<DrawnCardsOfReading, Self::Value>, DbError> {
        // Aliases may select different columns of the same cards: one statement reads all of them.
        let columns = widest(keys.iter().map(|key| key.columns));
        let readings: BTreeSet<Uuid> = keys.iter().map(|key| key.reading).collect();
        let readings: Vec<Uuid> = readings.into_iter().collect();
        let rows = drawn_cards_by_reading_id(session, &readings, columns).await?;
        let cards: HashMap<Uuid, Self::Value> = rows
            .chunk_by(|left, right| left.reading_id == right.reading_id)
            .filter_map(|drawn| Some((drawn.first()?.reading_id, drawn.into())))
            .collect();
        Ok(keys.iter().filter_map(|key| Some((*key, cards.get(&key.reading)?.clone()))).collect())
    }
}
