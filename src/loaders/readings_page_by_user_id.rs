//! Pages of users' readings, by user: the same page of many users is one statement.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::Load;
use crate::cache::cache_tag::CacheTag;
use crate::db::query::columns::{ReadingColumns, widest};
use crate::db::readings::{ReadingKey, ReadingRow, readings_page_by_user_id};
use crate::db::{DbError, Session};
use crate::domain::page::{Page, PageRequest};
use crate::domain::reading_list::ReadingList;
use crate::domain::viewer::CurrentViewer;

/// A page of one user's readings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReadingsPageOfUser {
    /// Owner of the readings.
    pub user: Uuid,
    /// Filter and order.
    pub list: Arc<ReadingList>,
    /// Page of that list.
    pub request: PageRequest<ReadingKey>,
    /// Columns to read of each reading.
    pub columns: ReadingColumns,
}

/// Loads pages of readings, as far as the viewer may see them.
pub struct ReadingsPageByUserId(pub(super) CurrentViewer);

impl Load for ReadingsPageByUserId {
    type Key = ReadingsPageOfUser;
    type Value = Page<Arc<ReadingRow>>;

    async fn load(
        &self,
        session: &Session,
        keys: &[ReadingsPageOfUser],
    ) -> Result<HashMap<ReadingsPageOfUser, Self::Value>, DbError> {
        // Aliases may select different pages; each page is one statement, for any number of users and
        // columns.
        let mut keys_of: HashMap<_, Vec<&ReadingsPageOfUser>> = HashMap::new();
        for key in keys {
            keys_of.entry((&key.list, &key.request)).or_default().push(key);
        }
        let mut pages = HashMap::with_capacity(keys.len());
        for ((list, request), keys) in keys_of {
            let columns = widest(keys.iter().map(|key| key.columns));
            let users: BTreeSet<Uuid> = keys.iter().map(|key| key.user).collect();
            let users: Vec<Uuid> = users.into_iter().collect();
            let found =
                readings_page_by_user_id(session, self.0.get(), &users, list, request, columns)
                    .await?;
            let found: HashMap<Uuid, Self::Value> =
                found.into_iter().map(|(user, page)| (user, page.map(Arc::new))).collect();
            for key in keys {
                if let Some(page) = found.get(&key.user) {
                    pages.insert(key.clone(), page.clone());
                }
            }
        }
        Ok(pages)
    }

    fn cache_tags(page: &ReadingsPageOfUser, _: Option<&Self::Value>) -> Vec<CacheTag> {
        vec![CacheTag::Readings(page.user)]
    }
}
