//! The viewer's own categories, all of them, by user.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::categories::{CategoryRow, categories_of_user};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads all categories of the viewer; others' are left out.
pub struct CategoriesByUserId(pub(super) CurrentViewer);

impl Load for CategoriesByUserId {
    type Key = Uuid;
    type Value = Arc<[Arc<CategoryRow>]>;

    async fn load(
        &self,
        session: &Session,
        users: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let Some(owner) = self.0.get().user_id().filter(|owner| users.contains(owner)) else {
            return Ok(HashMap::new());
        };
        let categories = categories_of_user(session, owner).await?;
        Ok(HashMap::from([(owner, categories.into_iter().map(Arc::new).collect())]))
    }
}
