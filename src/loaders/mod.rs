//! DataLoaders: where N+1 is removed. Everything that a request's fields ask for at one level is
//! loaded by one statement a table.
//!
//! Loaders are named by key and arity, are made anew for each request, and know its viewer; so
//! nothing that one viewer may see is ever kept for another.

mod card_stats_by_card_id;
mod categories_by_user_id;
mod category_by_id;
mod drawn_cards_by_reading_id;
mod open_shares_by_reading_id;
mod reading_by_id;
mod reading_count_by_category_id;
mod readings_page_by_user_id;
mod request_loader;
mod share_by_id;
mod spread_stats_by_spread_id;
mod tags_by_user_id;
mod usage_today_by_user_id;
mod user_by_id;
mod user_figures_by_user_id;

use chrono::{DateTime, Utc};

use crate::cache::scope::MadeWith;
use crate::db::Session;
use crate::domain::statistics::Minute;
use crate::domain::viewer::CurrentViewer;

pub use card_stats_by_card_id::CardStatsByCardId;
pub use categories_by_user_id::CategoriesByUserId;
pub use category_by_id::CategoryById;
pub use drawn_cards_by_reading_id::{DrawnCardsByReadingId, DrawnCardsOfReading};
pub use open_shares_by_reading_id::OpenSharesByReadingId;
pub use reading_by_id::ReadingById;
pub use reading_count_by_category_id::ReadingCountByCategoryId;
pub use readings_page_by_user_id::{ReadingsPageByUserId, ReadingsPageOfUser};
pub use request_loader::{BatchQueue, Load, RequestLoader};
pub use share_by_id::ShareById;
pub use spread_stats_by_spread_id::SpreadStatsBySpreadId;
pub use tags_by_user_id::TagsByUserId;
pub use usage_today_by_user_id::UsageTodayByUserId;
pub use user_by_id::UserById;
pub use user_figures_by_user_id::{FiguresOfUser, UserFiguresByUserId};

/// What the loaders of one request are made of.
struct Source<'a> {
    batches: &'a BatchQueue,
    session: &'a Session,
    made_with: &'a MadeWith,
}

impl Source<'_> {
    /// A loader, and the field that it mostly loads for.
    fn loader<L: Load>(&self, field: &'static str, load: L) -> RequestLoader<L> {
        RequestLoader::new(self.batches, (self.session, self.made_with), field, load)
    }
}

/// The loaders of one request.
pub struct Loaders {
    /// What makes the others' batches run.
    pub batch_queue: BatchQueue,
    /// Counters of cards.
    pub card_stats_by_card_id: RequestLoader<CardStatsByCardId>,
    /// All of the viewer's own categories.
    pub categories_by_user_id: RequestLoader<CategoriesByUserId>,
    /// The viewer's own categories.
    pub category_by_id: RequestLoader<CategoryById>,
    /// The cards drawn in readings.
    pub drawn_cards_by_reading_id: RequestLoader<DrawnCardsByReadingId>,
    /// Open share links of the viewer's readings.
    pub open_shares_by_reading_id: RequestLoader<OpenSharesByReadingId>,
    /// Readings that the viewer may see.
    pub reading_by_id: RequestLoader<ReadingById>,
    /// How many readings the viewer's categories hold.
    pub reading_count_by_category_id: RequestLoader<ReadingCountByCategoryId>,
    /// Pages of users' readings.
    pub readings_page_by_user_id: RequestLoader<ReadingsPageByUserId>,
    /// The viewer's own share links.
    pub share_by_id: RequestLoader<ShareById>,
    /// Counters of spreads.
    pub spread_stats_by_spread_id: RequestLoader<SpreadStatsBySpreadId>,
    /// All of the viewer's own tags.
    pub tags_by_user_id: RequestLoader<TagsByUserId>,
    /// How many readings the viewer made today.
    pub usage_today_by_user_id: RequestLoader<UsageTodayByUserId>,
    /// People.
    pub user_by_id: RequestLoader<UserById>,
    /// What users' readings come to.
    pub user_figures_by_user_id: RequestLoader<UserFiguresByUserId>,
}

impl Loaders {
    /// The loaders of a request of that viewer, which note what they load.
    #[must_use]
    pub fn new(
        session: &Session,
        viewer: &CurrentViewer,
        made_with: &MadeWith,
        now: DateTime<Utc>,
    ) -> Self {
        let batch_queue = BatchQueue::default();
        let viewer = || viewer.clone();
        let source = Source { batches: &batch_queue, session, made_with };
        Self {
            card_stats_by_card_id: source.loader("Card.drawCount", CardStatsByCardId),
            categories_by_user_id: source.loader("User.categories", CategoriesByUserId(viewer())),
            category_by_id: source.loader("Reading.category", CategoryById(viewer())),
            drawn_cards_by_reading_id: source.loader("Reading.cards", DrawnCardsByReadingId),
            open_shares_by_reading_id: source
                .loader("Reading.shareLinks", OpenSharesByReadingId(viewer(), now)),
            reading_by_id: source.loader("Query.reading", ReadingById(viewer())),
            reading_count_by_category_id: source
                .loader("Category.readingCount", ReadingCountByCategoryId(viewer())),
            readings_page_by_user_id: source
                .loader("User.readings", ReadingsPageByUserId(viewer())),
            share_by_id: source.loader("Query.node", ShareById(viewer())),
            spread_stats_by_spread_id: source.loader("Query.spreads", SpreadStatsBySpreadId),
            tags_by_user_id: source.loader("User.tags", TagsByUserId(viewer())),
            usage_today_by_user_id: source
                .loader("User.readingQuota", UsageTodayByUserId(viewer(), now)),
            user_by_id: source.loader("Reading.user", UserById),
            user_figures_by_user_id: source
                .loader("User.stats", UserFiguresByUserId(Minute::of(now))),
            batch_queue,
        }
    }

    /// Forgets what was loaded, because it is about to be changed.
    pub fn clear_all(&self) {
        self.card_stats_by_card_id.forget();
        self.categories_by_user_id.forget();
        self.category_by_id.forget();
        self.drawn_cards_by_reading_id.forget();
        self.open_shares_by_reading_id.forget();
        self.reading_by_id.forget();
        self.reading_count_by_category_id.forget();
        self.readings_page_by_user_id.forget();
        self.share_by_id.forget();
        self.spread_stats_by_spread_id.forget();
        self.tags_by_user_id.forget();
        self.usage_today_by_user_id.forget();
        self.user_by_id.forget();
        self.user_figures_by_user_id.forget();
    }
}
