//! Rows that a page of readings needs besides the readings themselves.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::super::context::RequestContext;
use crate::db::categories::CategoryRow;
use crate::db::drawn_cards::DrawnCardRow;
use crate::db::query::columns::Columns;
use crate::db::readings::ReadingRow;
use crate::db::users::UserRow;
use crate::loaders::DrawnCardsOfReading;

/// Kinds of rows to load before a page is written.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::graphql) struct RequiredRows {
    pub(in crate::graphql) users: bool,
    pub(in crate::graphql) categories: bool,
    pub(in crate::graphql) cards: Option<Columns>,
}

/// Loaded rows: users and categories by id, drawn cards by the id of their reading.
#[derive(Default)]
pub(in crate::graphql) struct LoadedRows {
    pub(in crate::graphql) users: HashMap<Uuid, Arc<UserRow>>,
    pub(in crate::graphql) categories: HashMap<Uuid, Arc<CategoryRow>>,
    pub(in crate::graphql) cards: HashMap<Uuid, Arc<[DrawnCardRow]>>,
}

impl RequiredRows {
    /// The rows; `None` if a statement fails.
    pub(super) async fn load(
        self,
        request: &RequestContext,
        readings: &[Arc<ReadingRow>],
    ) -> Option<LoadedRows> {
        let loaders = &request.loaders;
        let users = async {
            let ids = readings.iter().filter(|_| self.users).map(|reading| reading.user_id);
            loaders.user_by_id.load_many(ids).await
        };
        let categories = async {
            let own = readings.iter().filter(|reading| request.viewer().is(reading.user_id));
            let ids = own.filter(|_| self.categories).filter_map(|reading| reading.category_id);
            loaders.category_by_id.load_many(ids).await
        };
        let cards = async {
            let keys = readings.iter().filter_map(|reading| {
                Some(DrawnCardsOfReading { reading: reading.id, columns: self.cards? })
            });
            loaders.drawn_cards_by_reading_id.load_many(keys).await
        };
        // Concurrently, so that keys of other fields of this level join the same batches.
        let (users, categories, cards) = futures_util::join!(users, categories, cards);
        let cards = cards.ok()?.into_iter().map(|(key, drawn)| (key.reading, drawn)).collect();
        Some(LoadedRows { users: users.ok()?, categories: categories.ok()?, cards })
    }
}
