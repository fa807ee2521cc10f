//! Counters of cards, by card.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::cards::{CardStatsRow, card_stats_by_card_id};
use crate::db::{DbError, Session};

/// Loads counters of cards.
pub struct CardStatsByCardId;

impl Load for CardStatsByCardId {
    type Key = Uuid;
    type Value = Arc<CardStatsRow>;

    async fn load(
        &self,
        session: &Session,
        cards: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let rows = card_stats_by_card_id(session, cards).await?;
        Ok(rows.into_iter().map(|row| (row.card_id, Arc::new(row))).collect())
    }
}
