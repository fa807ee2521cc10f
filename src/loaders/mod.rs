//! DataLoaders, which prevent N+1 statements: the keys that a request's fields enqueue at one level are
//! loaded by one statement for each table.
//!
//! Loaders are named by key and arity. Each request has its own, with its viewer, so nothing that is
//! loaded for one viewer is ever returned to another.

mod card_stats_by_card_id;
mod categories_by_user_id;
mod category_by_id;
mod drawn_cards_by_reading_id;
mod hidden_reading_by_id;
mod open_shares_by_reading_id;
mod reading_by_id;
mod reading_count_by_category_id;
mod reading_counts;
mod readings_page_by_user_id;
mod request_loader;
mod share_by_id;
mod spread_stats_by_spread_id;
mod tags_by_user_id;
mod usage_today_by_user_id;
mod user_by_id;
mod user_stats_by_user_id;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::cache::cache_tag::CacheTags;
use crate::db::Session;
use crate::domain::statistics::Minute;
use crate::domain::viewer::CurrentViewer;

pub use card_stats_by_card_id::CardStatsByCardId;
pub use categories_by_user_id::CategoriesByUserId;
pub use category_by_id::CategoryById;
pub use drawn_cards_by_reading_id::{DrawnCardsByReadingId, DrawnCardsOfReading};
pub use hidden_reading_by_id::HiddenReadingById;
pub use open_shares_by_reading_id::OpenSharesByReadingId;
pub use reading_by_id::{ReadingById, ReadingOfId};
pub use reading_count_by_category_id::ReadingCountByCategoryId;
pub use reading_counts::{ReadingCountOfChart, ReadingCounts};
pub use readings_page_by_user_id::{ReadingsPageByUserId, ReadingsPageOfUser};
pub use request_loader::{BatchQueue, Load, LoadedValue, LoaderState, RequestLoader};
pub use share_by_id::ShareById;
pub use spread_stats_by_spread_id::SpreadStatsBySpreadId;
pub use tags_by_user_id::TagsByUserId;
pub use usage_today_by_user_id::UsageTodayByUserId;
pub use user_by_id::UserById;
pub use user_stats_by_user_id::{UserStatsByUserId, UserStatsKey};

/// Builds the loaders of one request, and registers each for [`Loaders::clear_all`].
struct LoaderBuilder<'a> {
    batch_queue: BatchQueue,
    session: &'a Session,
    cache_tags: &'a CacheTags,
    states: Vec<Arc<dyn LoaderState>>,
}

impl LoaderBuilder<'_> {
    /// A loader with the field that it mostly loads for.
    fn loader<L: Load>(&mut self, field: &'static str, load: L) -> RequestLoader<L> {
        let loader = RequestLoader::new(self, field, load);
        self.states.push(loader.state());
        loader
    }
}

/// The loaders of one request.
pub struct Loaders {
    /// Queue that runs the batches of all loaders.
    pub batch_queue: BatchQueue,
    /// Counters of cards.
    pub card_stats_by_card_id: RequestLoader<CardStatsByCardId>,
    /// All of the viewer's own categories.
    pub categories_by_user_id: RequestLoader<CategoriesByUserId>,
    /// The viewer's own categories.
    pub category_by_id: RequestLoader<CategoryById>,
    /// The cards drawn in readings.
    pub drawn_cards_by_reading_id: RequestLoader<DrawnCardsByReadingId>,
    /// Hidden readings with their reasons.
    pub hidden_reading_by_id: RequestLoader<HiddenReadingById>,
    /// Open share links of the viewer's readings.
    pub open_shares_by_reading_id: RequestLoader<OpenSharesByReadingId>,
    /// Readings that the viewer may see.
    pub reading_by_id: RequestLoader<ReadingById>,
    /// Number of readings in the viewer's categories.
    pub reading_count_by_category_id: RequestLoader<ReadingCountByCategoryId>,
    /// Counts of users' readings, for charts.
    pub reading_counts: RequestLoader<ReadingCounts>,
    /// Pages of users' readings.
    pub readings_page_by_user_id: RequestLoader<ReadingsPageByUserId>,
    /// The viewer's own share links.
    pub share_by_id: RequestLoader<ShareById>,
    /// Counters of spreads.
    pub spread_stats_by_spread_id: RequestLoader<SpreadStatsBySpreadId>,
    /// All of the viewer's own tags.
    pub tags_by_user_id: RequestLoader<TagsByUserId>,
    /// Number of readings that the viewer made today.
    pub usage_today_by_user_id: RequestLoader<UsageTodayByUserId>,
    /// Users.
    pub user_by_id: RequestLoader<UserById>,
    /// Statistics of users' readings.
    pub user_stats_by_user_id: RequestLoader<UserStatsByUserId>,
    states: Vec<Arc<dyn LoaderState>>,
}

impl Loaders {
    /// The loaders of a request of that viewer. Cache tags of loaded public data are added to `cache_tags`.
    #[must_use]
    pub fn new(
        session: &Session,
        viewer: &CurrentViewer,
        cache_tags: &CacheTags,
        now: DateTime<Utc>,
    ) -> Self {
        let viewer = || viewer.clone();
        let mut builder = LoaderBuilder {
            batch_queue: BatchQueue::default(),
            session,
            cache_tags,
            states: Vec::with_capacity(17),
        };
        Self {
            card_stats_by_card_id: builder.loader("Card.drawCount", CardStatsByCardId),
            categories_by_user_id: builder.loader("User.categories", CategoriesByUserId(viewer())),
            category_by_id: builder.loader("Reading.category", CategoryById(viewer())),
            drawn_cards_by_reading_id: builder.loader("Reading.cards", DrawnCardsByReadingId),
            hidden_reading_by_id: builder.loader("Reading.hidden", HiddenReadingById),
            open_shares_by_reading_id: builder
                .loader("Reading.shareLinks", OpenSharesByReadingId(viewer(), now)),
            reading_by_id: builder.loader("Query.reading", ReadingById(viewer())),
            reading_count_by_category_id: builder
                .loader("Category.readingCount", ReadingCountByCategoryId(viewer())),
            reading_counts: builder.loader("User.analytics", ReadingCounts(Minute::of(now))),
            readings_page_by_user_id: builder
                .loader("User.readings", ReadingsPageByUserId(viewer())),
            share_by_id: builder.loader("Query.node", ShareById(viewer())),
            spread_stats_by_spread_id: builder.loader("Query.spreads", SpreadStatsBySpreadId),
            tags_by_user_id: builder.loader("User.tags", TagsByUserId(viewer())),
            usage_today_by_user_id: builder
                .loader("User.readingQuota", UsageTodayByUserId(viewer(), now)),
            user_by_id: builder.loader("Reading.user", UserById),
            user_stats_by_user_id: builder.loader("User.stats", UserStatsByUserId(Minute::of(now))),
            batch_queue: builder.batch_queue,
            states: builder.states,
        }
    }

    /// Drops the results of all loaders, because a mutation is about to change rows.
    pub fn clear_all(&self) {
        self.states.iter().for_each(|loader| loader.clear_results());
    }
}
