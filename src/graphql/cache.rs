//! Cache statistics for admins.

use async_graphql::SimpleObject;

use super::scalars::milliseconds;
use crate::cache::statistics::{self, Lookups, PolicyStats};

/// Statistics of the cache of this server since its start.
#[derive(SimpleObject)]
pub struct CacheStats {
    /// Number of cached values.
    size: usize,
    /// Maximum number of cached values (`CACHE_MAX_ENTRIES`).
    max_size: usize,
    /// Default TTL in seconds, for values without a policy.
    default_ttl_seconds: u64,
    /// Cache hits of values and responses, waits for a computation in progress included.
    hits: u64,
    /// Cache misses of values and responses.
    misses: u64,
    /// Fraction of hits, 0 to 1; null before the first lookup.
    hit_rate: Option<f64>,
    /// Number of values evicted for lack of space.
    evictions: u64,
    /// Cache policies, always the same. At most 5.
    policies: Vec<CachePolicyStats>,
    /// Maximum delay in milliseconds with which writes of other servers on this database invalidate
    /// this cache; null while that is unknown, when nothing is served from the cache.
    invalidation_lag_ms: Option<f64>,
}

/// A cache policy with its statistics.
#[derive(SimpleObject)]
pub struct CachePolicyStats {
    /// Name of the cached data.
    name: &'static str,
    /// Pattern of its keys.
    key_pattern: &'static str,
    /// TTL in seconds, shortened a little at random for each value.
    ttl_seconds: u64,
    /// Number of cached values.
    entries: usize,
    /// Cache hits, waits for a computation in progress included. Hits of whole responses count for
    /// "public data".
    hits: u64,
    /// Cache misses.
    misses: u64,
    /// Fraction of hits, 0 to 1; null before the first lookup.
    hit_rate: Option<f64>,
}

impl From<statistics::CacheStats> for CacheStats {
    fn from(stats: statistics::CacheStats) -> Self {
        let Lookups { hits, misses } = stats.lookups;
        Self {
            size: stats.size,
            max_size: stats.max_size,
            default_ttl_seconds: stats.default_ttl.as_secs(),
            hits,
            misses,
            hit_rate: stats.lookups.hit_rate(),
            evictions: stats.evictions,
            invalidation_lag_ms: stats.lag.map(milliseconds),
            policies: stats.policies.into_iter().map(CachePolicyStats::from).collect(),
        }
    }
}

impl From<PolicyStats> for CachePolicyStats {
    fn from(PolicyStats { policy, entries, lookups }: PolicyStats) -> Self {
        let Lookups { hits, misses } = lookups;
        Self {
            name: policy.name(),
            key_pattern: policy.key_pattern(),
            ttl_seconds: policy.ttl().as_secs(),
            entries,
            hits,
            misses,
            hit_rate: lookups.hit_rate(),
        }
    }
}
