//! Users by id.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::cache::cache_tag::CacheTag;
use crate::db::users::{UserRow, users_by_id};
use crate::db::{DbError, Session};

/// Loads users.
pub struct UserById;

impl Load for UserById {
    type Key = Uuid;
    type Value = Arc<UserRow>;

    async fn load(
        &self,
        session: &Session,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Self::Value>, DbError> {
        let rows = users_by_id(session, ids).await?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }

    fn cache_tags(user: &Uuid, _: Option<&Self::Value>) -> Vec<CacheTag> {
        vec![CacheTag::User(*user)]
    }
}
