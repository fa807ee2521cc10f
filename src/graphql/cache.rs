//! What operators see of the cache.

use async_graphql::SimpleObject;

use super::scalars::milliseconds;
use crate::cache::statistics::{self, Lookups, RowStats};

/// What the cache of this server was good for, since its start.
#[derive(SimpleObject)]
pub struct CacheStats {
    /// Values that are kept.
    size: usize,
    /// Values that may be kept (`CACHE_MAX_ENTRIES`).
    max_size: usize,
    /// For how many seconds a value is kept of which no row of the table says something else.
    default_ttl_seconds: u64,
    /// Lookups that found a value or a whole answer, or somebody else about to compute it.
    hits: u64,
    /// Lookups that had to compute the value or the answer.
    misses: u64,
    /// The part of hits, 0 to 1; null before the first lookup.
    hit_rate: Option<f64>,
    /// Values that made room for others.
    evictions: u64,
    /// The rows of the TTL table, always the same. At most 5.
    policies: Vec<CachePolicyStats>,
    /// By how many milliseconds what is kept can be behind what other servers on the database have
    /// written, at most; null while nothing that is kept is answered, because that is not known.
    invalidation_lag_ms: Option<f64>,
}

/// A row of the TTL table, and what it was good for.
#[derive(SimpleObject)]
pub struct CachePolicyStats {
    /// What it keeps.
    name: &'static str,
    /// How its keys are made.
    key_pattern: &'static str,
    /// For how many seconds a value is kept, and a little less at random.
    ttl_seconds: u64,
    /// Values that are kept.
    entries: usize,
    /// Lookups that found a value, or somebody else about to compute it; those of whole answers are in
    /// "public data".
    hits: u64,
    /// Lookups that had to compute the value.
    misses: u64,
    /// The part of hits, 0 to 1; null before the first lookup.
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
            policies: stats.rows.into_iter().map(CachePolicyStats::from).collect(),
        }
    }
}

impl From<RowStats> for CachePolicyStats {
    fn from(RowStats { row, entries, lookups }: RowStats) -> Self {
        let Lookups { hits, misses } = lookups;
        Self {
            name: row.name(),
            key_pattern: row.key_pattern(),
            ttl_seconds: row.ttl().as_secs(),
            entries,
            hits,
            misses,
            hit_rate: lookups.hit_rate(),
        }
    }
}
