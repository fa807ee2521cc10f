//! Counts of users' readings, for charts.

use std::collections::HashMap;
use std::sync::Arc;

use super::Load;
use crate::db::statistics::{CountedReadings, ReadingCount, count_readings};
use crate::db::{DbError, Session};
use crate::domain::statistics::{Minute, TimeWindow};

/// Days of the narrower windows, up to the end of the minute.
const ROLLING: [u16; 2] = [7, 30];

/// Loads counts of users' readings as of a minute: one statement for all counts. Callers check that the viewer may see
/// them.
pub struct ReadingCounts(pub(super) Minute);

impl Load for ReadingCounts {
    type Key = ReadingCount;
    type Value = Arc<CountedReadings>;

    async fn load(
        &self,
        session: &Session,
        counts: &[ReadingCount],
    ) -> Result<HashMap<ReadingCount, Arc<CountedReadings>>, DbError> {
        let rolling = ROLLING.map(|days| TimeWindow::before(self.0.end(), days));
        let counted = count_readings(session, counts, rolling).await?;
        Ok(counts.iter().copied().zip(counted.into_iter().map(Arc::new)).collect())
    }
}
