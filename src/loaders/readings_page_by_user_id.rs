//! Pages of users' readings, by user: the same page of many users is one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use uuid::Uuid;

use crate::db::readings::{ReadingKey, ReadingRow, readings_page_by_user_id};
use crate::db::{DbError, Session};
use crate::domain::page::{Page, PageRequest};
use crate::domain::viewer::Viewer;

/// A page of one user's readings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadingsPageOfUser {
    /// Whose readings.
    pub user: Uuid,
    /// Which page.
    pub request: PageRequest<ReadingKey>,
}

/// Loads pages of readings, as far as the viewer may see them.
pub struct ReadingsPageByUserId(pub(super) Session, pub(super) Viewer);

impl Loader<ReadingsPageOfUser> for ReadingsPageByUserId {
    type Value = Page<Arc<ReadingRow>>;
    type Error = DbError;

    async fn load(
        &self,
        keys: &[ReadingsPageOfUser],
    ) -> Result<HashMap<ReadingsPageOfUser, Self::Value>, DbError> {
        // Aliases may ask for different pages; each is a statement, whatever the number of users.
        let mut users_of: HashMap<&PageRequest<ReadingKey>, Vec<Uuid>> = HashMap::new();
        for key in keys {
            users_of.entry(&key.request).or_default().push(key.user);
        }
        let mut pages = HashMap::with_capacity(keys.len());
        for (request, users) in users_of {
            let found = readings_page_by_user_id(&self.0, self.1, &users, request).await?;
            for (user, page) in found {
                let key = ReadingsPageOfUser { user, request: request.clone() };
                pages.insert(key, page.map(Arc::new));
            }
        }
        Ok(pages)
    }
}
