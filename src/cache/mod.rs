//! The caches of this server, and what keeps them coherent with the database and with other servers.
//!
//! [`response_cache`] holds whole public responses, [`value_cache`] computed values with [`redis_tier`] behind it. An
//! [`invalidation`] event says what a write changed; [`purge_epochs`] and [`freshness_gate`] decide if an entry may
//! be returned. `docs/caching.md` has the picture of all caches, those of other layers included.
//!
//! Invariants: no entry that is older than a purge of its key is returned; errors are not cached; of many concurrent
//! misses of one key, one computes; nothing cached is returned while the writes of other servers may be unknown.

pub mod cache_tag;
mod coherence;
pub mod freshness_gate;
pub mod invalidation;
pub mod keys;
pub mod pattern;
pub mod policy;
pub mod purge_epochs;
pub mod redis_tier;
pub mod response_cache;
pub mod statistics;
pub mod value_cache;

#[cfg(test)]
mod coherence_model;
#[cfg(test)]
mod tests;

pub use coherence::ReadSource;

use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use crate::config::cache::CacheSettings;
use coherence::Coherence;
use freshness_gate::FreshnessGate;
use invalidation::InvalidationEvent;
use keys::Key;
use pattern::Pattern;
use policy::{CachePolicy, DEFAULT_TTL};
use purge_epochs::PurgeEpochs;
use redis_tier::RedisTier;
use response_cache::ResponseCache;
use statistics::{CacheStats, Lookups, PolicyStats};
use value_cache::ValueCache;

/// The response cache and the value cache. One for the process.
pub struct Cache {
    is_enabled: bool,
    responses: ResponseCache,
    values: ValueCache,
    coherence: Arc<Coherence>,
    redis_tier: Option<Arc<RedisTier>>,
    injected_fault: OnceLock<InjectedFault>,
}

/// A purge: one key pattern of one event.
#[derive(Debug, Clone, Copy)]
pub struct Purge<'a> {
    /// The event that it is for.
    pub event: &'a InvalidationEvent,
    /// Its number among the key patterns of the event.
    pub number: usize,
}

/// Returns true for a purge that is to be skipped.
type InjectedFault = Box<dyn Fn(Purge<'_>) -> bool + Send + Sync>;

impl Cache {
    /// Empty caches.
    #[must_use]
    pub fn new(settings: &CacheSettings) -> Self {
        let coherence = Arc::new(Coherence::new(settings));
        let redis_tier = RedisTier::new(&settings.coherence, CachePolicy::longest_ttl());
        let redis_tier = redis_tier.map(Arc::new);
        Self {
            is_enabled: settings.enabled,
            responses: ResponseCache::new(settings, Arc::clone(&coherence)),
            values: ValueCache::new(settings, Arc::clone(&coherence), redis_tier.clone()),
            coherence,
            redis_tier,
            injected_fault: OnceLock::new(),
        }
    }

    /// False if the settings turn the caches off.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// The cache of whole public responses.
    #[must_use]
    pub fn responses(&self) -> &ResponseCache {
        &self.responses
    }

    /// The cache of computed values.
    #[must_use]
    pub fn values(&self) -> &ValueCache {
        &self.values
    }

    /// The order of purges.
    #[must_use]
    pub fn purge_epochs(&self) -> &PurgeEpochs {
        &self.coherence.purge_epochs
    }

    /// The gate that closes the caches while they may be stale.
    #[must_use]
    pub fn freshness_gate(&self) -> &FreshnessGate {
        &self.coherence.freshness_gate
    }

    /// The tier in Redis, if the settings name a Redis.
    #[must_use]
    pub fn redis_tier(&self) -> Option<&RedisTier> {
        self.redis_tier.as_deref()
    }

    /// Purges the value of a key.
    pub async fn delete<V>(&self, key: &Key<V>) {
        self.invalidate(&Pattern::of(key.text().to_owned())).await;
    }

    /// Purges all values whose keys match the pattern, those being computed now included. Returns the number
    /// of removed values.
    pub async fn invalidate(&self, pattern: &Pattern) -> usize {
        self.invalidate_all(std::slice::from_ref(pattern)).await
    }

    async fn invalidate_all(&self, patterns: &[Pattern]) -> usize {
        for pattern in patterns {
            self.coherence.purge_epochs.purge(pattern);
        }
        self.values.remove_matching(patterns).await
    }

    /// Purges this server's caches for events of this server or of another one.
    pub async fn purge(&self, events: &[InvalidationEvent]) {
        let patterns = |event: &InvalidationEvent| -> Vec<Pattern> {
            let patterns = event.key_patterns().into_iter().enumerate();
            let is_made = |number: usize| {
                let fault = self.injected_fault.get();
                fault.is_none_or(|skips| !skips(Purge { event, number }))
            };
            patterns.filter(|(number, _)| is_made(*number)).map(|(_, pattern)| pattern).collect()
        };
        let patterns: Vec<Pattern> = events.iter().flat_map(patterns).collect();
        self.invalidate_all(&patterns).await;
    }

    /// Skips some purges from now on: tests inject this fault and must detect it.
    pub fn inject_fault(&self, skips: impl Fn(Purge<'_>) -> bool + Send + Sync + 'static) {
        let _ = self.injected_fault.set(Box::new(skips));
    }

    /// Purges this server's caches and Redis for a write of this server, and publishes the events to other
    /// servers. To be called when the transaction has ended, known to be committed or not, and before its
    /// client gets the response.
    pub async fn purge_everywhere(&self, entry_id: Uuid, events: &[InvalidationEvent]) {
        let is_published = match &self.redis_tier {
            None => true,
            Some(redis) => Box::pin(redis.publish_invalidation(entry_id, events)).await.is_ok(),
        };
        if is_published {
            self.coherence.freshness_gate.mark_applied(entry_id);
        } else {
            // Redis may hold stale values now: nothing is returned until a poll has applied the entry there.
            self.coherence.freshness_gate.close();
        }
        self.purge(events).await;
    }

    /// Statistics. Visits all entries of the value cache.
    pub async fn stats(&self) -> CacheStats {
        let entries = self.values.entries_by_policy().await;
        let policies = CachePolicy::ALL.map(|policy| PolicyStats {
            policy,
            entries: entries[policy as usize],
            lookups: self.lookups(policy),
        });
        CacheStats {
            size: entries.iter().sum(),
            max_size: self.values.max_entries(),
            default_ttl: DEFAULT_TTL,
            lookups: policies.iter().map(|stats| stats.lookups).sum(),
            evictions: self.values.evictions(),
            policies,
            lag: self.coherence.freshness_gate.lag(),
        }
    }

    /// Lookups of a policy since the start.
    #[must_use]
    pub fn lookups(&self, policy: CachePolicy) -> Lookups {
        self.coherence.counters.lookups(policy)
    }
}
