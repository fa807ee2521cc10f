//! The cards drawn in readings, by reading.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use crate::db::drawn_cards::{DrawnCardRow, drawn_cards_by_reading_id};
use crate::db::{DbError, Session};

/// Loads drawn cards.
pub struct DrawnCardsByReadingId(pub(super) Session);

impl Loader<Uuid> for DrawnCardsByReadingId {
    type Value = Vec<Arc<DrawnCardRow>>;
    type Error = DbError;

    async fn load(&self, readings: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let mut cards: HashMap<Uuid, Self::Value> = HashMap::with_capacity(readings.len());
        for row in drawn_cards_by_reading_id(&self.0, readings).await? {
            cards.entry(row.reading_id).or_default().push(Arc::new(row));
        }
        Ok(cards)
    }
}
