//! Statistics of the caches: hits and misses of each cache policy and in all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::policy::CachePolicy;
use crate::config::cache::{BUSY_LOOKUPS, LOW_HIT_RATE};

/// Outcome of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The value was cached, or another request was computing it.
    Hit,
    /// The value was computed.
    Miss,
}

/// Hits and misses of each policy.
#[derive(Default)]
pub(super) struct LookupCounters([LookupCounter; CachePolicy::ALL.len()]);

impl LookupCounters {
    pub(super) fn count(&self, policy: CachePolicy, lookup: Lookup) {
        self.0[policy as usize].count(lookup);
    }

    /// Lookups of a policy since the start.
    pub(super) fn lookups(&self, policy: CachePolicy) -> Lookups {
        self.0[policy as usize].snapshot()
    }
}

/// Counts lookups as they happen.
#[derive(Debug, Default)]
pub struct LookupCounter {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl LookupCounter {
    /// Counts one lookup.
    pub fn count(&self, lookup: Lookup) {
        let number = match lookup {
            Lookup::Hit => &self.hits,
            Lookup::Miss => &self.misses,
        };
        number.fetch_add(1, Ordering::Relaxed);
    }

    /// The numbers so far.
    #[must_use]
    pub fn snapshot(&self) -> Lookups {
        Lookups {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

/// Numbers of hits and misses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Lookups that found a value.
    pub hits: u64,
    /// Lookups that computed the value.
    pub misses: u64,
}

impl Lookups {
    /// Fraction of hits, 0 to 1; `None` without lookups.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate has few digits")]
    pub fn hit_rate(self) -> Option<f64> {
        let all = self.hits + self.misses;
        (all > 0).then(|| self.hits as f64 / all as f64)
    }

    /// The difference to earlier numbers.
    fn since(self, before: Self) -> Self {
        Self { hits: self.hits - before.hits, misses: self.misses - before.misses }
    }

    fn is_busy_with_low_hit_rate(self) -> bool {
        let all = self.hits + self.misses;
        all >= BUSY_LOOKUPS && self.hits * 100 < all * LOW_HIT_RATE
    }
}

impl std::iter::Sum for Lookups {
    fn sum<I: Iterator<Item = Self>>(lookups: I) -> Self {
        lookups.fold(Self::default(), |sum, one| Self {
            hits: sum.hits + one.hits,
            misses: sum.misses + one.misses,
        })
    }
}

/// Finds policies that are used much and hit rarely.
#[derive(Debug, Default)]
pub struct HitRateMonitor([Lookups; CachePolicy::ALL.len()]);

/// A policy with a low hit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LowHitRate {
    /// The policy.
    pub policy: CachePolicy,
    /// Its lookups since the poll before.
    pub lookups: Lookups,
}

impl HitRateMonitor {
    /// The policies with [`BUSY_LOOKUPS`] or more lookups since the last poll, fewer than [`LOW_HIT_RATE`]
    /// percent of which were hits.
    pub fn poll(&mut self, lookups: impl Fn(CachePolicy) -> Lookups) -> Vec<LowHitRate> {
        let policies = CachePolicy::ALL.into_iter().zip(&mut self.0);
        let since = policies.map(|(policy, before)| {
            let now = lookups(policy);
            LowHitRate { policy, lookups: now.since(std::mem::replace(before, now)) }
        });
        since.filter(|low| low.lookups.is_busy_with_low_hit_rate()).collect()
    }
}

/// Statistics of one policy.
#[derive(Debug, Clone, Copy)]
pub struct PolicyStats {
    /// The policy.
    pub policy: CachePolicy,
    /// Number of cached values.
    pub entries: usize,
    /// Lookups since the start.
    pub lookups: Lookups,
}

/// Statistics of the value cache and of all lookups.
#[derive(Debug, Clone)]
pub struct CacheStats {
    /// Number of cached values.
    pub size: usize,
    /// Maximum number of cached values.
    pub max_size: usize,
    /// TTL of a value without a policy of its own.
    pub default_ttl: Duration,
    /// Lookups since the start, of all policies.
    pub lookups: Lookups,
    /// Values that were evicted because of the maximum since the start.
    pub evictions: u64,
    /// Statistics of each policy.
    pub policies: [PolicyStats; CachePolicy::ALL.len()],
    /// See [`FreshnessGate::lag`](super::freshness_gate::FreshnessGate::lag).
    pub lag: Option<Duration>,
}
