//! What the landing page counts.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::context::request;
use super::errors::ApiError;
use super::id::opaque_id;
use crate::cache::keys;
use crate::db::public_stats::public_counts;

/// The field of the query type that answers counts.
#[derive(Default)]
pub struct PublicStatsQuery;

#[Object]
impl PublicStatsQuery {
    /// Counts over the whole site.
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

/// Counts over the whole site.
#[derive(SimpleObject)]
pub struct PublicStats {
    /// An id of its own, always the same.
    id: ID,
    /// Active users.
    users: i64,
    /// Complete readings, private ones included.
    readings: i64,
    /// Cards of the deck.
    cards: usize,
    /// Active spreads.
    spreads: usize,
}
