//! Counters of spreads, by spread.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::spreads::{SpreadStatsRow, spread_stats_by_spread_id};
use crate::db::{DbError, Session};

/// Loads counters of spreads.
pub struct SpreadStatsBySpreadId;

impl Load for SpreadStatsBySpreadId {
    type Key = Uuid;
    type Value = Arc<SpreadStatsRow>;

    async fn load(
        &self,
        session: &Session,
        spreads: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let rows = spread_stats_by_spread_id(session, spreads).await?;
        Ok(rows.into_iter().map(|row| (row.spread_id, Arc::new(row))).collect())
    }
}
