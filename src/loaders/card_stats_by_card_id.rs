//! Counters of cards, by card.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use crate::db::cards::{CardStatsRow, card_stats_by_card_id};
use crate::db::{DbError, Session};

/// Loads counters of cards.
pub struct CardStatsByCardId(pub(super) Session);

impl Loader<Uuid> for CardStatsByCardId {
    type Value = Arc<CardStatsRow>;
    type Error = DbError;

    async fn load(&self, cards: &[Uuid]) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let rows = card_stats_by_card_id(&self.0, cards).await?;
        Ok(rows.into_iter().map(|row| (row.card_id, Arc::new(row))).collect())
    }
}
