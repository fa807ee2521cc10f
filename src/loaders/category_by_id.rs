//! The viewer's own categories, by id.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::categories::{CategoryRow, categories_by_id};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads categories.
pub struct CategoryById(pub(super) CurrentViewer);

impl Load for CategoryById {
    type Key = Uuid;
    type Value = Arc<CategoryRow>;

    async fn load(
        &self,
        session: &Session,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let Some(owner) = self.0.get().user_id() else { return Ok(HashMap::new()) };
        let rows = categories_by_id(session, owner, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}
