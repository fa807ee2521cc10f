//! Counts of users' readings, for charts.

use std::collections::HashMap;
use std::sync::Arc;

use super::Load;
use crate::db::statistics::{CountedReadings, ReadingCount, count_readings};
use crate::db::{DbError, Session};
use crate::domain::statistics::{Minute, TimeWindow};

/// Days of the narrower windows, up to the end of the minute.
const ROLLING: [u16; 2] = [7, 30];

/// A count for a chart. Each chart has a cache key of its own, and rows that were read before the lookup of one key must not be
/// cached for another: so charts share a statement of one batch, and no result of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingCountOfChart {
    /// Field of the chart, as `Type.field`.
    pub chart: &'static str,
    /// The count.
    pub count: ReadingCount,
}

/// Loads counts of users' readings as of a minute: one statement for all counts of a batch. Callers check that the viewer may
/// see them.
pub struct ReadingCounts(pub(super) Minute);

impl Load for ReadingCounts {
    type Key = ReadingCountOfChart;
    type Value = Arc<CountedReadings>;

    async fn load(
        &self,
        session: &Session,
        keys: &[ReadingCountOfChart],
    ) -> Result<HashMap<ReadingCountOfChart, Arc<CountedReadings>>, DbError> {
        let rolling = ROLLING.map(|days| TimeWindow::before(self.0.end(), days));
        let mut counts: Vec<ReadingCount> = Vec::new();
        for key in keys {
            if !counts.contains(&key.count) {
                counts.push(key.count);
            }
        }
        let counted = count_readings(session, &counts, rolling).await?;
        let counted: HashMap<_, _> =
            counts.into_iter().zip(counted.into_iter().map(Arc::new)).collect();
        Ok(keys.iter().filter_map(|key| Some((*key, counted.get(&key.count)?.clone()))).collect())
    }
}
