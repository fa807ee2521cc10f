//! Readings by id, as far as the viewer may see them.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::cache::cache_tag::CacheTag;
use crate::db::readings::{ReadingRow, readings_by_id};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads readings.
pub struct ReadingById(pub(super) CurrentViewer);

impl Load for ReadingById {
    type Key = Uuid;
    type Value = Arc<ReadingRow>;

    async fn load(
        &self,
        session: &Session,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let rows = readings_by_id(session, self.0.get(), ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }

    fn cache_tags(reading: &Uuid, row: Option<&Self::Value>) -> Vec<CacheTag> {
        let owner = row.map(|row| CacheTag::Owner(row.user_id));
        std::iter::once(CacheTag::Reading(*reading)).chain(owner).collect()
    }
}
