//! What is kept in memory of what was computed: values, each under a typed key ([`keys`]) for as long
//! as its row of the table says ([`policy`]), until a write purges it ([`changes`]).
//!
//! Invariants: a value that is older than a purge of its key is never answered ([`generations`]);
//! nothing that fails is kept; of many who miss the same value at once, one computes it.

pub mod changes;
pub mod generations;
pub mod keys;
pub mod pattern;
pub mod policy;
pub mod statistics;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use moka::Expiry;
use moka::future::Cache as Entries;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use rand::RngExt;

use crate::config::cache::CacheSettings;
use changes::Change;
use generations::{Generations, Moment, Scopes};
use keys::Key;
use pattern::Pattern;
use policy::Row;
use statistics::Counters;

/// The values that are kept. One for the process.
pub struct Cache {
    is_enabled: bool,
    ttl_jitter: u8,
    max_entries: usize,
    entries: Entries<String, Entry>,
    generations: Generations,
    counters: Counters,
    evictions: Arc<AtomicU64>,
}

/// A value that is kept.
#[derive(Clone)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    row: Row,
    /// By the clock of the app, which tests put forward.
    expires_at: DateTime<Utc>,
    ttl: Duration,
    as_of: Moment,
}

/// The same by the clock of the machine, so that what nobody asks for is not kept for ever.
struct ByTtl;

impl Expiry<String, Entry> for ByTtl {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was there, or somebody else was about to compute it.
    Hit,
    /// It was computed.
    Miss,
}

/// Whether what is computed may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is computed from all that was written.
    Current,
    /// It may be computed from what a replica has, which may be older than the last purge.
    MayLag,
}

impl Cache {
    /// Nothing, to begin with.
    #[must_use]
    pub fn new(settings: &CacheSettings) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&evictions);
        let entries = Entries::builder()
            .max_capacity(settings.max_entries as u64)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByTtl)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Self {
            is_enabled: settings.enabled,
            ttl_jitter: settings.ttl_jitter,
            max_entries: settings.max_entries,
            entries,
            generations: Generations::default(),
            counters: Counters::default(),
            evictions,
        }
    }

    /// Whether anything is kept.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// In which order things were purged.
    #[must_use]
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// The value of a key, if it is kept at that time. It is counted.
    #[must_use]
    pub async fn get<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        now: DateTime<Utc>,
    ) -> Option<Arc<V>> {
        let found = self.find(key, &Scopes::of(key.text()), now).await;
        self.counters.count(key.row(), if found.is_some() { Lookup::Hit } else { Lookup::Miss });
        found
    }

    /// Keeps a value as of a moment before it was read, for as long as its row says.
    pub async fn set<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        value: Arc<V>,
        (as_of, now): (Moment, DateTime<Utc>),
    ) {
        if self.is_enabled {
            self.entries.insert(key.text().to_owned(), self.entry(key, value, (as_of, now))).await;
        }
    }

    /// The value of a key: kept, or computed now and kept, as of a moment before anything that the
    /// computation uses was read. `before_waiting` is called when the value is not there, and what it
    /// answers is dropped when this call is the one to compute it.
    ///
    /// # Errors
    ///
    /// It cannot be computed; the error is not kept. Whoever waited for it gets it too.
    pub async fn get_or_compute<V, E, W>(
        &self,
        key: &Key<V>,
        (as_of, now, source): (Moment, DateTime<Utc>, Source),
        before_waiting: impl AsyncFnOnce() -> W,
        compute: impl Future<Output = Result<V, E>>,
    ) -> Result<(Arc<V>, Lookup), E>
    where
        V: Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
    {
        if !self.is_enabled {
            return compute.await.map(|value| (Arc::new(value), Lookup::Miss));
        }
        let scopes = Scopes::of(key.text());
        if let Some(value) = self.find(key, &scopes, now).await {
            self.counters.count(key.row(), Lookup::Hit);
            return Ok((value, Lookup::Hit));
        }
        if source == Source::MayLag {
            self.counters.count(key.row(), Lookup::Miss);
            return compute.await.map(|value| (Arc::new(value), Lookup::Miss));
        }
        let mut compute = pin!(compute);
        let mut waiting = Some(before_waiting().await);
        let computes = AtomicBool::new(false);
        let entry = loop {
            let computation = async {
                drop(waiting.take());
                computes.store(true, Ordering::Relaxed);
                self.counters.count(key.row(), Lookup::Miss);
                let value = compute.as_mut().await?;
                Ok(self.entry(key, Arc::new(value), (as_of, now)))
            };
            let entry = self.entries.try_get_with(key.text().to_owned(), computation).await;
            let entry = entry.map_err(|error: Arc<E>| E::clone(&error))?;
            // What somebody else computed may be older than a purge that came before this question.
            if computes.load(Ordering::Relaxed) || self.is_fresh(&entry, &scopes, now) {
                break entry;
            }
            self.entries.invalidate(key.text()).await;
        };
        let lookup = if computes.into_inner() { Lookup::Miss } else { Lookup::Hit };
        if lookup == Lookup::Hit {
            self.counters.count(key.row(), lookup);
        }
        Ok((value_of(&entry, key), lookup))
    }

    async fn find<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        scopes: &Scopes,
        now: DateTime<Utc>,
    ) -> Option<Arc<V>> {
        let entry = self.entries.get(key.text()).await?;
        if self.is_fresh(&entry, scopes, now) {
            return Some(value_of(&entry, key));
        }
        self.entries.invalidate(key.text()).await;
        None
    }

    fn is_fresh(&self, entry: &Entry, scopes: &Scopes, now: DateTime<Utc>) -> bool {
        now < entry.expires_at && self.generations.is_current(scopes, entry.as_of)
    }

    fn entry<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        value: Arc<V>,
        (as_of, now): (Moment, DateTime<Utc>),
    ) -> Entry {
        let shorter = f64::from(self.ttl_jitter) / 100.0 * rand::rng().random::<f64>();
        let ttl = key.row().ttl().mul_f64(1.0 - shorter);
        let expires_at = now + TimeDelta::from_std(ttl).unwrap_or_default();
        Entry { value, row: key.row(), expires_at, ttl, as_of }
    }

    /// Drops the value of a key.
    pub async fn delete<V>(&self, key: &Key<V>) {
        self.invalidate(&Pattern::of(key.text().to_owned())).await;
    }

    /// Drops all values whose keys the pattern means, and those that are being computed now. Answers
    /// how many were kept.
    pub async fn invalidate(&self, pattern: &Pattern) -> usize {
        self.generations.purge(pattern);
        let meant = self.entries.iter().filter(|(key, _)| pattern.fits(key));
        let meant: Vec<Arc<String>> = meant.map(|(key, _)| key).collect();
        for key in &meant {
            self.entries.invalidate(key.as_str()).await;
        }
        meant.len()
    }

    /// Drops what a write has made old. To be called after its commit.
    pub async fn purge(&self, change: &Change) {
        for pattern in change.purges() {
            self.invalidate(&pattern).await;
        }
    }
}

/// Keys tell the types of their values, and only [`keys`] makes them.
fn value_of<V: Send + Sync + 'static>(entry: &Entry, key: &Key<V>) -> Arc<V> {
    let value = Arc::clone(&entry.value).downcast();
    value.unwrap_or_else(|_| unreachable!("{} has a value of its type", key.text()))
}
