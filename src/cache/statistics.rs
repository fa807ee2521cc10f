//! What the cache was good for, for each row of the table and in all.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::policy::{DEFAULT_TTL, Row};
use super::{Cache, Lookup};
use crate::config::cache::{BUSY_LOOKUPS, LOW_HIT_RATE};

/// Hits and misses of each row.
#[derive(Default)]
pub(super) struct Counters([Counter; Row::ALL.len()]);

impl Counters {
    pub(super) fn count(&self, row: Row, lookup: Lookup) {
        self.0[row as usize].count(lookup);
    }
}

/// Counts lookups as they happen.
#[derive(Debug, Default)]
pub struct Counter {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Counter {
    /// Counts one.
    pub fn count(&self, lookup: Lookup) {
        let number = match lookup {
            Lookup::Hit => &self.hits,
            Lookup::Miss => &self.misses,
        };
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// Those so far.
    #[must_use]
    pub fn so_far(&self) -> Lookups {
        Lookups {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

/// How often something was there, and how often not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// It was there.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

impl Lookups {
    /// The part of hits, 0 to 1; `None` of no lookups.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate has few digits")]
    pub fn hit_rate(self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }

    /// Those since earlier ones.
    fn since(self, before: Self) -> Self {
        Self { hits: self.hits - before.hits, misses: self.misses - before.misses }
    }

    fn are_poor(self) -> bool {
        let all = self.hits + self.misses;
        all >= BUSY_LOOKUPS && self.hits * 100 < all * LOW_HIT_RATE
    }
}

/// Looks again and again whether a row that is used much is of little use.
#[derive(Debug, Default)]
pub struct HitRateWatch([Lookups; Row::ALL.len()]);

impl HitRateWatch {
    /// The rows with [`BUSY_LOOKUPS`] or more since the last look of which fewer than
    /// [`LOW_HIT_RATE`] percent were hits.
    pub fn look(&mut self, cache: &Cache) -> Vec<(Row, Lookups)> {
        let rows = Row::ALL.into_iter().zip(&mut self.0);
        let since = rows.map(|(row, before)| {
            let now = cache.lookups(row);
            (row, now.since(std::mem::replace(before, now)))
        });
        since.filter(|(_, lookups)| lookups.are_poor()).collect()
    }
}

/// A row of the table and what it was good for.
#[derive(Debug, Clone, Copy)]
pub struct RowStats {
    /// The row.
    pub row: Row,
    /// Values that are kept.
    pub entries: usize,
    /// Since the start.
    pub lookups: Lookups,
}

/// What the cache was good for.
#[derive(Debug, Clone)]
pub struct CacheStats {
    /// Values that are kept.
    pub size: usize,
    /// Values that may be kept.
    pub max_size: usize,
    /// How long a value is kept of which the table says nothing else.
    pub default_ttl: Duration,
    /// Since the start, of all rows.
    pub lookups: Lookups,
    /// Values that made room for others since the start.
    pub evictions: u64,
    /// Each row.
    pub rows: [RowStats; Row::ALL.len()],
    /// See [`Peers::lag`](super::peers::Peers::lag).
    pub lag: Option<Duration>,
}

impl Cache {
    /// What it was good for. It goes through all entries.
    pub async fn stats(&self) -> CacheStats {
        self.entries.run_pending_tasks().await;
        let mut entries = [0; Row::ALL.len()];
        for (_, entry) in &self.entries {
            entries[entry.row as usize] += 1;
        }
        let rows = array::from_fn(|index| {
            let row = Row::ALL[index];
            RowStats { row, entries: entries[index], lookups: self.lookups(row) }
        });
        let mut lookups = Lookups::default();
        for row in &rows {
            lookups.hits += row.lookups.hits;
            lookups.misses += row.lookups.misses;
        }
        CacheStats {
            size: entries.iter().sum(),
            max_size: self.max_entries,
            default_ttl: DEFAULT_TTL,
            lookups,
            evictions: self.evictions.load(Ordering::Relaxed),
            rows,
            lag: self.peers.lag(),
        }
    }

    /// Those of a row since the start.
    #[must_use]
    pub fn lookups(&self, row: Row) -> Lookups {
        self.counters.0[row as usize].so_far()
    }
}
