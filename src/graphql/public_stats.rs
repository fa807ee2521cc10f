//! Public counts, for a landing page.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::context::request;
use super::errors::ApiError;
use super::id::opaque_id;
use crate::cache::keys;
use crate::db::public_stats::public_counts;

/// Query field that returns public counts.
#[derive(Default)]
pub struct PublicStatsQuery;

#[Object]
impl PublicStatsQuery {
    /// Counts over the whole site, for a landing page.
    async fn public_stats(&self, context: &Context<'_>) -> Result<PublicStats, ApiError> {
        let request = request(context);
        let session = request.session.for_field("Query.publicStats");
        let counts = request.cached(&keys::public_counts(), public_counts(&session)).await?;
        let spreads = request.catalogue.spreads().iter().filter(|spread| spread.is_active).count();
        Ok(PublicStats {
            id: opaque_id("PublicStats", "all"),
            users: counts.users,
            readings: counts.readings,
            cards: request.catalogue.cards().len(),
            spreads,
        })
    }
}

/// Counts over the whole site, for a landing page.
#[derive(SimpleObject)]
pub struct PublicStats {
    /// Id for client caches, always the same. `node` does not accept it.
    id: ID,
    /// Number of active users.
    users: i64,
    /// Number of complete readings, private ones included.
    readings: i64,
    /// Number of cards of the deck.
    cards: usize,
    /// Number of active spreads.
    spreads: usize,
}
