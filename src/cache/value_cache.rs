//! The value cache: computed values in memory, each under a typed key, until its TTL ends or a write purges it.
//! Redis behind it holds the values that servers share.
//!
//! Invariants: a value that is older than a purge of its key is never returned; errors are not cached; of many
//! concurrent misses of one key, one computes the value.

use std::any::Any;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use moka::Expiry;
use moka::future::Cache as Entries;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use super::coherence::{Coherence, ReadSource};
use super::keys::Key;
use super::pattern::Pattern;
use super::policy::CachePolicy;
use super::purge_epochs::{KeyPrefixes, PurgeEpoch};
use super::redis_tier::{RedisLookup, RedisTier};
use super::statistics::Lookup;
use crate::config::cache::CacheSettings;

/// Cached values, by number of entries.
pub struct ValueCache {
    is_enabled: bool,
    max_entries: usize,
    entries: Entries<String, CachedValue>,
    evictions: Arc<AtomicU64>,
    coherence: Arc<Coherence>,
    redis_tier: Option<Arc<RedisTier>>,
}

/// A cached value.
#[derive(Clone)]
struct CachedValue {
    value: Arc<dyn Any + Send + Sync>,
    policy: CachePolicy,
    /// By the clock of the app, which tests move.
    expires_at: DateTime<Utc>,
    ttl: Duration,
    epoch: PurgeEpoch,
    computed_at: Instant,
}

/// Expiry by the machine's clock, so that values without further lookups are removed as well.
struct ValueTtl;

impl Expiry<String, CachedValue> for ValueTtl {
    fn expire_after_create(&self, _: &String, entry: &CachedValue, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &CachedValue,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// Result of a lookup.
#[derive(Debug)]
pub struct LookupResult<V> {
    /// The value.
    pub value: Arc<V>,
    /// Hit or miss.
    pub lookup: Lookup,
    /// Latest commit time of any data in the value. A replica may not have all of it yet.
    pub computed_at: Instant,
}

/// The circumstances of a computation.
#[derive(Debug, Clone, Copy)]
pub struct ComputeContext {
    /// Purge epoch before anything that the computation uses was read.
    pub epoch: PurgeEpoch,
    /// Time by the clock of the app.
    pub now: DateTime<Utc>,
    /// The database state that is read.
    pub source: ReadSource,
}

/// A value that Redis holds.
struct SharedValue<V> {
    value: V,
    expires_at: DateTime<Utc>,
}

impl ValueCache {
    /// An empty cache.
    pub(super) fn new(
        settings: &CacheSettings,
        coherence: Arc<Coherence>,
        redis_tier: Option<Arc<RedisTier>>,
    ) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&evictions);
        let entries = Entries::builder()
            .max_capacity(settings.max_entries as u64)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ValueTtl)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        let (is_enabled, max_entries) = (settings.enabled, settings.max_entries);
        Self { is_enabled, max_entries, entries, evictions, coherence, redis_tier }
    }

    /// The cached value of a key, if it may be returned. Counts a lookup.
    #[must_use]
    pub async fn get<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        now: DateTime<Utc>,
    ) -> Option<Arc<V>> {
        let found = self.find(key, &KeyPrefixes::of(key.text()), now).await;
        let lookup = if found.is_some() { Lookup::Hit } else { Lookup::Miss };
        self.coherence.counters.count(key.policy(), lookup);
        found.map(|entry| entry.downcast(key))
    }

    /// Stores a value that was read at that epoch or later, for the TTL of its policy.
    pub async fn set<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        value: Arc<V>,
        epoch: PurgeEpoch,
        now: DateTime<Utc>,
    ) {
        if self.is_enabled {
            let expires_at = now + self.coherence.lifetime(key.policy().ttl());
            let entry = CachedValue::new(key, value, epoch, Lifetime { now, expires_at });
            self.entries.insert(key.text().to_owned(), entry).await;
        }
    }

    /// The cached value of a key, or the computed one, which is stored. `before_waiting` runs on a miss; its
    /// result is dropped if this call is the one that computes. (Waiting requests release their database
    /// connection: a waiter with a connection may wait for a request that waits for a connection.)
    ///
    /// # Errors
    ///
    /// The error of the computation, for all calls that waited for it. It is not cached.
    pub async fn get_or_compute<V, E, W>(
        &self,
        key: &Key<V>,
        context: ComputeContext,
        before_waiting: impl AsyncFnOnce() -> W,
        compute: impl Future<Output = Result<V, E>>,
    ) -> Result<LookupResult<V>, E>
    where
        V: Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
    {
        if !self.is_enabled {
            return compute.await.map(LookupResult::computed);
        }
        let (counters, ComputeContext { epoch, now, source }) = (&self.coherence.counters, context);
        let prefixes = KeyPrefixes::of(key.text());
        if let Some(entry) = self.find(key, &prefixes, now).await {
            counters.count(key.policy(), Lookup::Hit);
            return Ok(entry.result(key, Lookup::Hit));
        }
        if !self.coherence.may_store(&prefixes, source) {
            counters.count(key.policy(), Lookup::Miss);
            return compute.await.map(LookupResult::computed);
        }
        let mut compute = pin!(compute);
        let mut waiting = Some(before_waiting().await);
        let is_computed_here = AtomicBool::new(false);
        let entry = loop {
            let computation = async {
                // Before the lookup in Redis: its value is current for all purges until now.
                let epoch_before_lookup = self.coherence.purge_epochs.current();
                let (shared, lookup) = Box::pin(self.find_in_redis(key, now)).await;
                if let Some(SharedValue { value, expires_at }) = shared {
                    let lifetime = Lifetime { now, expires_at };
                    return Ok(CachedValue::new(
                        key,
                        Arc::new(value),
                        epoch_before_lookup,
                        lifetime,
                    ));
                }
                drop(waiting.take());
                is_computed_here.store(true, Ordering::Relaxed);
                counters.count(key.policy(), Lookup::Miss);
                let value = Arc::new(compute.as_mut().await?);
                let expires_at = now + self.coherence.lifetime(key.policy().ttl());
                let lifetime = Lifetime { now, expires_at };
                if let (Some(lookup), ReadSource::Primary) = (lookup, source) {
                    Box::pin(self.store_in_redis(key, &value, lookup, lifetime)).await;
                }
                Ok(CachedValue::new(key, value, epoch, lifetime))
            };
            let entry = self.entries.try_get_with(key.text().to_owned(), computation).await;
            let entry = entry.map_err(|error: Arc<E>| E::clone(&error))?;
            // A value computed by another request may be older than a purge that came before this lookup.
            if is_computed_here.load(Ordering::Relaxed) || self.is_fresh(&entry, &prefixes, now) {
                break entry;
            }
            self.entries.invalidate(key.text()).await;
        };
        let lookup = if is_computed_here.into_inner() { Lookup::Miss } else { Lookup::Hit };
        if lookup == Lookup::Hit {
            counters.count(key.policy(), lookup);
        }
        Ok(entry.result(key, lookup))
    }

    async fn find<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        prefixes: &KeyPrefixes,
        now: DateTime<Utc>,
    ) -> Option<CachedValue> {
        // The entry stays: it may be current again when the gate opens.
        if !self.coherence.freshness_gate.is_open() {
            return None;
        }
        let entry = self.entries.get(key.text()).await?;
        if self.is_fresh(&entry, prefixes, now) {
            return Some(entry);
        }
        self.entries.invalidate(key.text()).await;
        None
    }

    fn is_fresh(&self, entry: &CachedValue, prefixes: &KeyPrefixes, now: DateTime<Utc>) -> bool {
        now < entry.expires_at && self.coherence.is_current(prefixes, entry.epoch)
    }

    /// The value that another server computed, and the lookup that a value computed from now on is stored
    /// with. Neither if the key is not shared, or Redis is not available.
    async fn find_in_redis<V>(
        &self,
        key: &Key<V>,
        now: DateTime<Utc>,
    ) -> (Option<SharedValue<V>>, Option<RedisLookup>) {
        let (Some(redis), Some(codec)) = (&self.redis_tier, key.codec()) else {
            return (None, None);
        };
        let lookup = redis.lookup(key.text()).await;
        let found = lookup.as_ref().and_then(|lookup| lookup.value(key.text(), now, codec.decode));
        let value = found.map(|(value, expires_at)| SharedValue { value, expires_at });
        // The gate may have closed meanwhile.
        (value.filter(|_| self.coherence.freshness_gate.is_open()), lookup)
    }

    async fn store_in_redis<V>(
        &self,
        key: &Key<V>,
        value: &V,
        lookup: RedisLookup,
        lifetime: Lifetime,
    ) {
        let (Some(redis), Some(codec)) = (&self.redis_tier, key.codec()) else { return };
        let header = lookup.into_header(key.text(), lifetime.expires_at);
        if let Some(bytes) = (codec.encode)(&header, value) {
            redis.store(key.text(), bytes, lifetime.ttl()).await;
        }
    }

    /// Removes the values of all keys that match any of the patterns, and returns their number.
    pub(super) async fn remove_matching(&self, patterns: &[Pattern]) -> usize {
        let matches = |key: &str| patterns.iter().any(|pattern| pattern.matches(key));
        let matching = self.entries.iter().filter(|(key, _)| matches(key));
        let matching: Vec<Arc<String>> = matching.map(|(key, _)| key).collect();
        for key in &matching {
            self.entries.invalidate(key.as_str()).await;
        }
        matching.len()
    }

    /// Maximum number of values.
    pub(super) fn max_entries(&self) -> usize {
        self.max_entries
    }

    /// Values that were evicted because of the maximum since the start.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Number of values of each policy, in the order of [`CachePolicy::ALL`]. Visits all entries.
    pub(super) async fn entries_by_policy(&self) -> [usize; CachePolicy::ALL.len()] {
        self.run_pending_tasks().await;
        let mut entries = [0; CachePolicy::ALL.len()];
        for (_, entry) in &self.entries {
            entries[entry.policy as usize] += 1;
        }
        entries
    }

    /// Applies evictions that are due.
    pub(super) async fn run_pending_tasks(&self) {
        self.entries.run_pending_tasks().await;
    }
}

/// The time for which a value may be returned, by the clock of the app.
#[derive(Debug, Clone, Copy)]
struct Lifetime {
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl Lifetime {
    fn ttl(self) -> Duration {
        (self.expires_at - self.now).to_std().unwrap_or_default()
    }
}

impl CachedValue {
    fn new<V: Send + Sync + 'static>(
        key: &Key<V>,
        value: Arc<V>,
        epoch: PurgeEpoch,
        lifetime: Lifetime,
    ) -> Self {
        let (policy, expires_at, ttl) = (key.policy(), lifetime.expires_at, lifetime.ttl());
        Self { value, policy, expires_at, ttl, epoch, computed_at: Instant::now() }
    }

    fn result<V: Send + Sync + 'static>(&self, key: &Key<V>, lookup: Lookup) -> LookupResult<V> {
        LookupResult { value: self.downcast(key), lookup, computed_at: self.computed_at }
    }

    /// Keys carry the types of their values, and only [`keys`](super::keys) makes them.
    fn downcast<V: Send + Sync + 'static>(&self, key: &Key<V>) -> Arc<V> {
        let value = Arc::clone(&self.value).downcast();
        value.unwrap_or_else(|_| unreachable!("{} has a value of its type", key.text()))
    }
}

impl<V> LookupResult<V> {
    /// A value that is not cached.
    fn computed(value: V) -> Self {
        Self { value: Arc::new(value), lookup: Lookup::Miss, computed_at: Instant::now() }
    }
}
