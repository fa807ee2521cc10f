//! The viewer's own tags, all of them, by user.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::db::reading_writes::{TagRow, tags_of_user};
use crate::db::{DbError, Session};
use crate::domain::viewer::CurrentViewer;

/// Loads all tags of the viewer; others' are left out.
pub struct TagsByUserId(pub(super) CurrentViewer);

impl Load for TagsByUserId {
    type Key = Uuid;
    type Value = Arc<[TagRow]>;

    async fn load(
        &self,
        session: &Session,
        users: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let Some(owner) = self.0.get().user_id().filter(|owner| users.contains(owner)) else {
            return Ok(HashMap::new());
        };
        Ok(HashMap::from([(owner, tags_of_user(session, owner).await?.into())]))
    }
}
