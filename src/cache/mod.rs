//! What is kept in memory of what was computed: values, each under a typed key ([`keys`]) for as long
//! as its row of the table says ([`policy`]), until a write purges it ([`changes`]).
//!
//! Where several servers work on one database they hear of each other's writes ([`peers`]), and may share
//! what they computed ([`shared`]).
//!
//! Invariants: a value that is older than a purge of its key is never answered ([`generations`]);
//! nothing that fails is kept; of many who miss the same value at once, one computes it; nothing that is
//! kept is answered by a server that does not know what others have written.

pub mod answers;
pub mod changes;
pub mod generations;
pub mod keys;
pub mod pattern;
pub mod peers;
pub mod policy;
pub mod scope;
pub mod shared;
pub mod statistics;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use moka::Expiry;
use moka::future::Cache as Entries;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use rand::RngExt;
use uuid::Uuid;

use crate::config::cache::CacheSettings;
use answers::Answers;
use changes::Change;
use generations::{Generations, Moment, Scopes};
use keys::Key;
use pattern::Pattern;
use peers::Peers;
use policy::Row;
use shared::{Found, Shared};
use statistics::Counters;

/// The values that are kept. One for the process.
pub struct Cache {
    is_enabled: bool,
    ttl_jitter: u8,
    max_entries: usize,
    entries: Entries<String, Entry>,
    answers: Answers,
    generations: Generations,
    peers: Peers,
    shared: Option<Shared>,
    counters: Counters,
    evictions: Arc<AtomicU64>,
    left_out: OnceLock<LeftOut>,
}

/// Whether the purge of that number for a change is left out.
type LeftOut = Box<dyn Fn(&Change, usize) -> bool + Send + Sync>;

/// A value that is kept.
#[derive(Clone)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    row: Row,
    /// By the clock of the app, which tests put forward.
    expires_at: DateTime<Utc>,
    ttl: Duration,
    as_of: Moment,
    made_by: Instant,
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

/// A value that was asked for.
#[derive(Debug)]
pub struct Looked<V> {
    /// The value.
    pub value: Arc<V>,
    /// Where it came from.
    pub lookup: Lookup,
    /// What it is made of was committed by then. A replica may not have all of it yet.
    pub made_by: Instant,
}

/// What a value is computed from, which tells where it may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// All that was committed when the computation begins.
    Primary,
    /// All that was committed when the request began.
    PrimaryBefore,
    /// What a replica has: all that was committed at that time, if that is known.
    Replica(Option<Instant>),
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
            answers: Answers::new(settings),
            generations: Generations::default(),
            peers: Peers::alone(settings.peers.staleness),
            shared: Shared::new(&settings.peers, Row::longest_ttl()),
            counters: Counters::default(),
            evictions,
            left_out: OnceLock::new(),
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

    /// What is known of other servers.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// What servers share, if they do.
    #[must_use]
    pub fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    /// Whether what was made of these, as of that moment, may be answered.
    #[must_use]
    pub fn is_current(&self, scopes: &Scopes, as_of: Moment) -> bool {
        self.peers.is_open() && self.generations.is_current(scopes, as_of)
    }

    /// Whether what is computed from that source may be kept here.
    #[must_use]
    pub fn may_keep(&self, scopes: &Scopes, source: Source) -> bool {
        self.peers.is_open()
            && match source {
                Source::Primary | Source::PrimaryBefore => true,
                Source::Replica(fresh_as_of) => {
                    fresh_as_of.is_some_and(|time| self.generations.has_all(scopes, time))
                }
            }
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
        found.map(|entry| value_of(&entry, key))
    }

    /// Keeps a value as of a moment before it was read, for as long as its row says.
    pub async fn set<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        value: Arc<V>,
        (as_of, now): (Moment, DateTime<Utc>),
    ) {
        if self.is_enabled {
            let expires_at = now + self.lifetime(key.row());
            let entry = entry(key, value, (as_of, now), expires_at);
            self.entries.insert(key.text().to_owned(), entry).await;
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
    ) -> Result<Looked<V>, E>
    where
        V: Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
    {
        if !self.is_enabled {
            return compute.await.map(just_computed);
        }
        let scopes = Scopes::of(key.text());
        if let Some(entry) = self.find(key, &scopes, now).await {
            self.counters.count(key.row(), Lookup::Hit);
            return Ok(looked(&entry, key, Lookup::Hit));
        }
        if !self.may_keep(&scopes, source) {
            self.counters.count(key.row(), Lookup::Miss);
            return compute.await.map(just_computed);
        }
        let mut compute = pin!(compute);
        let mut waiting = Some(before_waiting().await);
        let computes = AtomicBool::new(false);
        let entry = loop {
            let computation = async {
                // Before Redis is asked: what is good then is of all that was purged until now.
                let before = self.generations.now();
                let (shared, found) = Box::pin(self.find_shared(key, now)).await;
                if let Some((value, expires_at)) = shared {
                    return Ok(entry(key, Arc::new(value), (before, now), expires_at));
                }
                drop(waiting.take());
                computes.store(true, Ordering::Relaxed);
                self.counters.count(key.row(), Lookup::Miss);
                let value = Arc::new(compute.as_mut().await?);
                let expires_at = now + self.lifetime(key.row());
                if let (Some(found), Source::Primary) = (found, source) {
                    Box::pin(self.share(key, &value, found, (now, expires_at))).await;
                }
                Ok(entry(key, value, (as_of, now), expires_at))
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
        Ok(looked(&entry, key, lookup))
    }

    async fn find<V: Send + Sync + 'static>(
        &self,
        key: &Key<V>,
        scopes: &Scopes,
        now: DateTime<Utc>,
    ) -> Option<Entry> {
        // It may be good again later.
        if !self.peers.is_open() {
            return None;
        }
        let entry = self.entries.get(key.text()).await?;
        if self.is_fresh(&entry, scopes, now) {
            return Some(entry);
        }
        self.entries.invalidate(key.text()).await;
        None
    }

    fn is_fresh(&self, entry: &Entry, scopes: &Scopes, now: DateTime<Utc>) -> bool {
        now < entry.expires_at && self.is_current(scopes, entry.as_of)
    }

    /// A lifetime, shorter at random.
    fn with_jitter(&self, ttl: Duration) -> Duration {
        let shorter = f64::from(self.ttl_jitter) / 100.0 * rand::rng().random::<f64>();
        ttl.mul_f64(1.0 - shorter)
    }

    /// The value that another server has computed, and until when it is kept; and what a value that is
    /// computed from now on is to be shared with.
    async fn find_shared<V>(
        &self,
        key: &Key<V>,
        now: DateTime<Utc>,
    ) -> (Option<(V, DateTime<Utc>)>, Option<Found>) {
        let (Some(shared), Some(codec)) = (&self.shared, key.codec()) else { return (None, None) };
        let found = shared.find(key.text()).await;
        let value = found.as_ref().and_then(|found| found.value(key.text(), now, codec.decode));
        // It may have become unknown meanwhile what others have written.
        (value.filter(|_| self.peers.is_open()), found)
    }

    async fn share<V>(
        &self,
        key: &Key<V>,
        value: &V,
        found: Found,
        (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) {
        let (Some(shared), Some(codec)) = (&self.shared, key.codec()) else { return };
        let ttl = (expires_at - now).to_std().unwrap_or_default();
        if let Some(bytes) = (codec.encode)(&found.stamp(key.text(), expires_at), value) {
            shared.keep(key.text(), bytes, ttl).await;
        }
    }

    /// How long a value of that row is kept, which is a little less at random.
    fn lifetime(&self, row: Row) -> TimeDelta {
        TimeDelta::from_std(self.with_jitter(row.ttl())).unwrap_or_default()
    }

    /// Drops the value of a key.
    pub async fn delete<V>(&self, key: &Key<V>) {
        self.invalidate(&Pattern::of(key.text().to_owned())).await;
    }

    /// Drops all values whose keys the pattern means, and those that are being computed now. Answers
    /// how many were kept.
    pub async fn invalidate(&self, pattern: &Pattern) -> usize {
        self.invalidate_all(std::slice::from_ref(pattern)).await
    }

    async fn invalidate_all(&self, patterns: &[Pattern]) -> usize {
        for pattern in patterns {
            self.generations.purge(pattern);
        }
        let is_meant = |key: &str| patterns.iter().any(|pattern| pattern.fits(key));
        let meant = self.entries.iter().filter(|(key, _)| is_meant(key));
        let meant: Vec<Arc<String>> = meant.map(|(key, _)| key).collect();
        for key in &meant {
            self.entries.invalidate(key.as_str()).await;
        }
        meant.len()
    }

    /// Drops what is old because of these changes, of which this server has heard or which it has made.
    pub async fn purge(&self, changes: &[Change]) {
        let purges = |change: &Change| {
            let is_made = |number: usize| {
                self.left_out.get().is_none_or(|is_left_out| !is_left_out(change, number))
            };
            let purges = change.purges().into_iter().enumerate();
            purges.filter(|(number, _)| is_made(*number)).map(|(_, pattern)| pattern).collect()
        };
        let patterns: Vec<Pattern> = changes.iter().flat_map::<Vec<_>, _>(purges).collect();
        self.invalidate_all(&patterns).await;
    }

    /// Leaves out purges from now on, for a test of the tests that must find that out.
    pub fn leave_out(&self, is_left_out: impl Fn(&Change, usize) -> bool + Send + Sync + 'static) {
        let _ = self.left_out.set(Box::new(is_left_out));
    }

    /// Drops what a write of this server has made old, here and where servers share, and tells the others.
    /// To be called when the write has ended, whether or not it is known how, and before its client
    /// hears of it.
    pub async fn purge_everywhere(&self, note: Uuid, changes: &[Change]) {
        let is_told = match &self.shared {
            None => true,
            Some(shared) => Box::pin(shared.tell(note, changes)).await.is_ok(),
        };
        if is_told {
            self.peers.hear(note);
        } else {
            // What is shared may be old now: nothing of it is answered until a look at the notes has
            // seen to that.
            self.peers.close();
        }
        self.purge(changes).await;
    }
}

fn entry<V: Send + Sync + 'static>(
    key: &Key<V>,
    value: Arc<V>,
    (as_of, now): (Moment, DateTime<Utc>),
    expires_at: DateTime<Utc>,
) -> Entry {
    let ttl = (expires_at - now).to_std().unwrap_or_default();
    Entry { value, row: key.row(), expires_at, ttl, as_of, made_by: Instant::now() }
}

fn looked<V: Send + Sync + 'static>(entry: &Entry, key: &Key<V>, lookup: Lookup) -> Looked<V> {
    Looked { value: value_of(entry, key), lookup, made_by: entry.made_by }
}

fn just_computed<V>(value: V) -> Looked<V> {
    Looked { value: Arc::new(value), lookup: Lookup::Miss, made_by: Instant::now() }
}

/// Keys tell the types of their values, and only [`keys`] makes them.
fn value_of<V: Send + Sync + 'static>(entry: &Entry, key: &Key<V>) -> Arc<V> {
    let value = Arc::clone(&entry.value).downcast();
    value.unwrap_or_else(|_| unreachable!("{} has a value of its type", key.text()))
}
