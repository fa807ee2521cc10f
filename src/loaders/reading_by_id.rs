//! Readings by id, as far as the viewer may see them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::cache::cache_tag::CacheTag;
use crate::db::query::columns::{ReadingColumns, widest};
use crate::db::readings::{ReadingRow, readings_by_id};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadingOfId {
    /// Id of the reading.
    pub id: Uuid,
    /// Columns to read.
    pub columns: ReadingColumns,
}

/// Loads readings.
pub struct ReadingById(pub(super) CurrentViewer);

impl Load for ReadingById {
    type Key = ReadingOfId;
    type Value = Arc<ReadingRow>;

    async fn load(
        &self,
        session: &Session,
        keys: &[ReadingOfId],
    ) -> Result<HashMap<ReadingOfId, Self::Value>, DbError> {
        let columns = widest(keys.iter().map(|key| key.columns));
        let ids: BTreeSet<Uuid> = keys.iter().map(|key| key.id).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let rows = readings_by_id(session, self.0.get(), &ids, columns).await?;
        let rows: HashMap<Uuid, Self::Value> =
            rows.into_iter().map(|row| (row.id, Arc::new(row))).collect();
        Ok(keys.iter().filter_map(|key| Some((*key, rows.get(&key.id)?.clone()))).collect())
    }

    fn cache_tags(reading: &ReadingOfId, row: Option<&Self::Value>) -> Vec<CacheTag> {
        let owner = row.map(|row| CacheTag::Owner(row.user_id));
        std::iter::once(CacheTag::Reading(reading.id)).chain(owner).collect()
    }
}
