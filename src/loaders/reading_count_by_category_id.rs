//! Number of readings in the viewer's own categories, by category.

use std::collections::HashMap;

use uuid::Uuid;

use super::Load;
use crate::db::categories::reading_counts_by_category_id;
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads counts of readings; categories without any are left out.
pub struct ReadingCountByCategoryId(pub(super) CurrentViewer);

impl Load for ReadingCountByCategoryId {
    type Key = Uuid;
    type Value = i64;

    async fn load(
        &self,
        session: &Session,
        categories: &[Uuid],
    ) -> Result<HashMap<Uuid, i64>, DbError> {
        let Some(owner) = self.0.get().user_id() else { return Ok(HashMap::new()) };
        let rows = reading_counts_by_category_id(session, owner, categories).await?;
        Ok(rows.into_iter().map(|row| (row.category_id, row.readings)).collect())
    }
}
