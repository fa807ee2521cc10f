//! The response cache: whole public responses, as the bytes that are sent. A response is the same for all clients that may
//! receive it, so it is cached as a whole and returned without executing anything.
//!
//! Invariants: a response that is older than a purge of any of its cache tags is never returned; of many concurrent
//! misses of one key, one computes; a response that is not marked as cacheable reaches its own client only.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use moka::Expiry;
use moka::future::Cache as Entries;
use moka::policy::EvictionPolicy;

use super::coherence::Coherence;
use super::policy::CachePolicy;
use super::purge_epochs::{KeyPrefixes, PurgeEpoch};
use super::statistics::Lookup;
use crate::config::cache::{CacheSettings, RESPONSE_CAPACITY_DIVISOR, RESPONSE_OVERHEAD_BYTES};

/// Key of an operation with its variables.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OperationKey {
    /// SHA-256 of the document.
    pub document: [u8; 32],
    /// Operation name in the document.
    pub operation: Option<Box<str>>,
    /// SHA-256 of the variables as canonical JSON.
    pub variables: [u8; 32],
    /// True for responses that only requests without a user may receive.
    pub signed_out_only: bool,
}

/// Key of a cached response: everything that its bytes depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResponseCacheKey {
    /// The operation.
    pub operation_key: Arc<OperationKey>,
    /// Value of `content-type`.
    pub media_type: &'static str,
    /// Value of `content-encoding`; `None` for uncompressed bodies.
    pub encoding: Option<&'static str>,
}

/// Metadata that all encodings of a response share.
#[derive(Debug)]
pub struct ResponseMetadata {
    /// Value of `etag`.
    pub entity_tag: HeaderValue,
    /// Value of `surrogate-key`.
    pub surrogate_keys: HeaderValue,
    /// End of the TTL, by the clock of the app.
    pub expires_at: DateTime<Utc>,
    /// Latest commit time of any data in the response. A replica may not have all of it yet.
    pub computed_at: Instant,
    prefixes: KeyPrefixes,
    epoch: PurgeEpoch,
    ttl: Duration,
}

impl ResponseMetadata {
    /// The rest of the TTL.
    #[must_use]
    pub fn remaining(&self, now: DateTime<Utc>) -> Duration {
        (self.expires_at - now).to_std().unwrap_or_default()
    }
}

/// A cached response. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CachedResponse {
    /// The body as it is sent.
    pub body: Bytes,
    /// Entity tag, surrogate keys and expiry.
    pub metadata: Arc<ResponseMetadata>,
}

/// A response that was just computed and may be cached.
#[derive(Debug)]
pub struct NewResponse {
    /// The uncompressed body.
    pub body: Bytes,
    /// Value of `etag`.
    pub entity_tag: HeaderValue,
    /// Value of `surrogate-key`.
    pub surrogate_keys: HeaderValue,
    /// Key prefixes of its cache tags.
    pub prefixes: KeyPrefixes,
    /// Purge epoch before any of its data was read.
    pub epoch: PurgeEpoch,
    /// TTL before the jitter.
    pub ttl: Duration,
}

/// Cached responses, by weight in bytes.
pub struct ResponseCache {
    /// Bytes of all responses; 0 disables the cache.
    capacity: u64,
    entries: Entries<ResponseCacheKey, CachedResponse>,
    coherence: Arc<Coherence>,
}

/// Result of [`ResponseCache::get_or_compute`].
#[derive(Debug)]
pub enum ComputedOrCached<T> {
    /// The caller's own computation.
    Computed(T),
    /// A cached response, computed by another request.
    Cached(CachedResponse),
}

/// Expiry by the machine's clock, so that responses without further requests are removed as well.
struct ResponseTtl;

impl Expiry<ResponseCacheKey, CachedResponse> for ResponseTtl {
    fn expire_after_create(
        &self,
        _: &ResponseCacheKey,
        response: &CachedResponse,
        _: Instant,
    ) -> Option<Duration> {
        Some(response.metadata.ttl)
    }

    fn expire_after_update(
        &self,
        _: &ResponseCacheKey,
        response: &CachedResponse,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(response.metadata.ttl)
    }
}

/// Approximate memory of an entry, in bytes.
fn weight(key: &ResponseCacheKey, response: &CachedResponse) -> u64 {
    let name = key.operation_key.operation.as_ref().map_or(0, |name| name.len());
    let metadata = response.metadata.surrogate_keys.len() + response.metadata.prefixes.bytes();
    (response.body.len() + name + metadata + RESPONSE_OVERHEAD_BYTES) as u64
}

/// The computed response is not marked as cacheable.
struct NotCacheable;

impl ResponseCache {
    pub(super) fn new(settings: &CacheSettings, coherence: Arc<Coherence>) -> Self {
        let capacity = if settings.enabled { settings.response_cache_bytes } else { 0 };
        let entries = Entries::builder()
            .weigher(|key: &ResponseCacheKey, response: &CachedResponse| {
                u32::try_from(weight(key, response)).unwrap_or(u32::MAX)
            })
            .max_capacity(capacity)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ResponseTtl)
            .build();
        Self { capacity, entries, coherence }
    }

    /// True if the cache is enabled and the freshness gate is open.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.capacity > 0 && self.coherence.freshness_gate.is_open()
    }

    /// A response ready to be cached, its TTL reduced by the jitter. It is not stored.
    #[must_use]
    pub fn prepare(&self, new: NewResponse, now: DateTime<Utc>) -> CachedResponse {
        let NewResponse { body, entity_tag, surrogate_keys, prefixes, epoch, ttl } = new;
        let ttl = self.coherence.with_jitter(ttl);
        let metadata = ResponseMetadata {
            entity_tag,
            surrogate_keys,
            expires_at: now + TimeDelta::from_std(ttl).unwrap_or_default(),
            computed_at: Instant::now(),
            prefixes,
            epoch,
            ttl,
        };
        CachedResponse { body, metadata: Arc::new(metadata) }
    }

    /// The cached response of a key, if it may be returned. Counts nothing.
    pub async fn get(&self, key: &ResponseCacheKey, now: DateTime<Utc>) -> Option<CachedResponse> {
        let response = self.entries.get(key).await?;
        // The entry stays: it may be current again when the gate opens.
        if !self.coherence.freshness_gate.is_open() {
            return None;
        }
        if self.is_fresh(&response, now) {
            return Some(response);
        }
        self.entries.invalidate(key).await;
        None
    }

    /// Stores a response, unless it exceeds the maximum size of one.
    pub async fn insert(&self, key: ResponseCacheKey, response: CachedResponse) {
        if self.fits(&key, &response) {
            self.entries.insert(key, response).await;
        }
    }

    /// The response of a key that was not found: of all concurrent calls one does the work, which also returns
    /// the response to cache. If it returns none, the other calls do their own work, because the response may
    /// belong to its client only. If that call is dropped, another one takes over. Counts a lookup.
    pub async fn get_or_compute<T>(
        &self,
        key: &ResponseCacheKey,
        now: DateTime<Utc>,
        work: impl Future<Output = (T, Option<CachedResponse>)>,
    ) -> ComputedOrCached<T> {
        let mut work = pin!(work);
        let mut own = None;
        loop {
            let entry = self.entries.try_get_with_by_ref(key, async {
                let (computed, response) = work.as_mut().await;
                own = Some(computed);
                response.filter(|response| self.fits(key, response)).ok_or(NotCacheable)
            });
            let entry = entry.await;
            if let Some(computed) = own {
                self.count(Lookup::Miss);
                return ComputedOrCached::Computed(computed);
            }
            match entry {
                Ok(response) if self.is_fresh(&response, now) => {
                    self.count(Lookup::Hit);
                    return ComputedOrCached::Cached(response);
                }
                // Computed before a purge that came before this call.
                Ok(_) => self.entries.invalidate(key).await,
                Err(_) => {
                    self.count(Lookup::Miss);
                    return ComputedOrCached::Computed(work.await.0);
                }
            }
        }
    }

    /// Counts a hit of [`ResponseCache::get`].
    pub fn count_hit(&self) {
        self.count(Lookup::Hit);
    }

    fn count(&self, lookup: Lookup) {
        self.coherence.counters.count(CachePolicy::PublicData, lookup);
    }

    fn is_fresh(&self, response: &CachedResponse, now: DateTime<Utc>) -> bool {
        let metadata = &response.metadata;
        now < metadata.expires_at && self.coherence.is_current(&metadata.prefixes, metadata.epoch)
    }

    /// True if the response is small enough: one response must not evict all others.
    fn fits(&self, key: &ResponseCacheKey, response: &CachedResponse) -> bool {
        weight(key, response) <= self.capacity / RESPONSE_CAPACITY_DIVISOR
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use clap::Parser;
    use futures_util::future::{join_all, select};
    use tokio::sync::{Notify, oneshot};
    use uuid::Uuid;

    use super::*;
    use crate::cache::Cache;
    use crate::cache::cache_tag::{CacheTag, key_prefixes};
    use crate::cache::invalidation::{InvalidationEvent, ReadingVisibility};
    use crate::cache::statistics::Lookups;

    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct Flags {
        #[command(flatten)]
        cache: CacheSettings,
    }

    /// A cache with capacity for sixteen responses of 1,000 bytes.
    fn cache_of(flags: &[&str]) -> Cache {
        let own = ["test", "--cache-ttl-jitter=0", "--response-cache-bytes=16000"];
        let flags = own.into_iter().chain(flags.iter().copied());
        Cache::new(&Flags::try_parse_from(flags).expect("the flags are right").cache)
    }

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn key(operation: &str) -> ResponseCacheKey {
        let operation_key = OperationKey {
            document: [0; 32],
            operation: Some(operation.into()),
            variables: [0; 32],
            signed_out_only: false,
        };
        ResponseCacheKey {
            operation_key: Arc::new(operation_key),
            media_type: "application/json",
            encoding: None,
        }
    }

    /// A response with the tag of the feed, computed now.
    fn response(cache: &Cache, body: &'static str) -> CachedResponse {
        let new = NewResponse {
            body: Bytes::from_static(body.as_bytes()),
            entity_tag: HeaderValue::from_static("W/\"1\""),
            surrogate_keys: HeaderValue::from_static("feed"),
            prefixes: key_prefixes(&BTreeSet::from([CacheTag::Feed])),
            epoch: cache.purge_epochs().current(),
            ttl: CachePolicy::PublicData.ttl(),
        };
        cache.responses().prepare(new, time(0))
    }

    fn body_of(result: ComputedOrCached<&str>) -> String {
        match result {
            ComputedOrCached::Computed(body) => format!("own {body}"),
            ComputedOrCached::Cached(cached) => {
                String::from_utf8(cached.body.to_vec()).expect("a text")
            }
        }
    }

    /// Gets the response, or computes this one and caches it.
    async fn get_or_compute(cache: &Cache, body: &'static str) -> String {
        let work = async { (body, Some(response(cache, body))) };
        body_of(cache.responses().get_or_compute(&key("a"), time(0), work).await)
    }

    async fn is_cached(cache: &Cache, key: &ResponseCacheKey) -> bool {
        cache.responses().get(key, time(0)).await.is_some()
    }

    fn public_event() -> InvalidationEvent {
        let (reading, owner) = (Uuid::nil(), Uuid::max());
        InvalidationEvent::ReadingChanged { reading, owner, visibility: ReadingVisibility::Public }
    }

    #[tokio::test]
    async fn thousand_concurrent_misses_compute_once() {
        let cache = cache_of(&[]);
        let computations = AtomicUsize::new(0);
        let (a, computations) = (key("a"), &computations);
        let requests = (0..1_000).map(|_| {
            cache.responses().get_or_compute(&a, time(0), async {
                computations.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                ("computed", Some(response(&cache, "computed")))
            })
        });
        let results: Vec<String> = join_all(requests).await.into_iter().map(body_of).collect();
        assert_eq!(results.iter().filter(|body| *body == "own computed").count(), 1);
        assert_eq!(results.iter().filter(|body| *body == "computed").count(), 999);
        assert_eq!(computations.load(Ordering::Relaxed), 1);
        assert_eq!(cache.lookups(CachePolicy::PublicData), Lookups { hits: 999, misses: 1 });
    }

    #[tokio::test]
    async fn uncacheable_response_is_computed_by_each_request() {
        let cache = cache_of(&[]);
        let a = key("a");
        let requests = (0..10).map(|number| {
            cache.responses().get_or_compute(&a, time(0), async move {
                tokio::task::yield_now().await;
                (number, None)
            })
        });
        for (number, result) in join_all(requests).await.into_iter().enumerate() {
            assert!(
                matches!(result, ComputedOrCached::Computed(own) if own == number),
                "{result:?}"
            );
        }
        assert!(!is_cached(&cache, &a).await);
        assert_eq!(cache.lookups(CachePolicy::PublicData), Lookups { hits: 0, misses: 10 });
    }

    #[tokio::test]
    async fn abandoned_computation_is_taken_over() {
        let cache = cache_of(&[]);
        let (started, abandoned) = (Notify::new(), Notify::new());
        let a = key("a");
        let first = cache.responses().get_or_compute(&a, time(0), async {
            started.notify_one();
            pending::<(&str, Option<CachedResponse>)>().await
        });
        let first = async {
            select(Box::pin(first), Box::pin(abandoned.notified())).await;
        };
        let second = async {
            started.notified().await;
            let second = get_or_compute(&cache, "second");
            abandoned.notify_one();
            second.await
        };
        let ((), second) = tokio::join!(first, second);
        assert_eq!(second, "own second");
        assert!(is_cached(&cache, &a).await);
    }

    #[tokio::test]
    async fn write_during_a_computation_leaves_no_stale_response() {
        let cache = cache_of(&[]);
        let (read, is_read) = oneshot::channel();
        let (resume, resumed) = oneshot::channel();
        let a = key("a");
        let before = cache.responses().get_or_compute(&a, time(0), async {
            // The state before the write was read.
            let older = response(&cache, "older");
            read.send(()).expect("the writer waits");
            resumed.await.expect("the writer is done");
            ("older", Some(older))
        });
        let write = async {
            is_read.await.expect("the value was read");
            cache.purge(&[public_event()]).await;
            // A request after the purge must not get a value that was read before it.
            let after = get_or_compute(&cache, "newer");
            resume.send(()).expect("the computation still runs");
            after.await
        };
        let (before, after) = tokio::join!(before, write);
        assert_eq!(body_of(before), "own older");
        assert_eq!(after, "own newer");
        assert_eq!(get_or_compute(&cache, "newest").await, "newer");
    }

    #[tokio::test]
    async fn response_is_cached_until_its_ttl_ends_or_a_tag_is_purged() {
        let cache = cache_of(&[]);
        let a = key("a");
        let ttl = i64::try_from(CachePolicy::PublicData.ttl().as_secs()).expect("seconds");
        assert_eq!(get_or_compute(&cache, "one").await, "own one");
        assert!(cache.responses().get(&a, time(ttl - 1)).await.is_some());
        assert!(cache.responses().get(&a, time(ttl)).await.is_none());

        assert_eq!(get_or_compute(&cache, "two").await, "own two");
        cache.purge(&[InvalidationEvent::CountersFolded]).await;
        assert!(is_cached(&cache, &a).await);
        cache.purge(&[public_event()]).await;
        assert!(!is_cached(&cache, &a).await);
        for pattern in ["*", "public:*", "public:feed:*", "*:feed:*"] {
            assert_eq!(get_or_compute(&cache, "three").await, "own three", "{pattern}");
            cache.invalidate(&crate::cache::pattern::Pattern::parse(pattern).expect(pattern)).await;
            assert!(!is_cached(&cache, &a).await, "{pattern}");
        }
    }

    #[tokio::test]
    async fn response_above_a_sixteenth_is_not_cached_and_the_least_recently_used_is_evicted() {
        let cache = cache_of(&[]);
        let mut fits = response(&cache, "");
        let rest = 1_000 - usize::try_from(weight(&key("00"), &fits)).expect("a size");
        fits.body = vec![b'x'; rest].into();
        let too_large = CachedResponse { body: vec![b'x'; rest + 1].into(), ..fits.clone() };
        assert_eq!(weight(&key("00"), &fits), 1_000);
        let result = cache
            .responses()
            .get_or_compute(&key("00"), time(0), async { ("own", Some(too_large)) })
            .await;
        assert_eq!(body_of(result), "own own");
        assert!(!is_cached(&cache, &key("00")).await);

        for number in 0..17 {
            let key = key(&format!("{number:02}"));
            cache.responses().insert(key.clone(), fits.clone()).await;
            cache.responses().entries.run_pending_tasks().await;
            assert!(is_cached(&cache, &key).await, "{number}");
        }
        assert!(!is_cached(&cache, &key("00")).await);
        for number in 1..17 {
            assert!(is_cached(&cache, &key(&format!("{number:02}"))).await, "{number}");
        }
    }

    #[tokio::test]
    async fn disabled_cache_stores_nothing() {
        for flag in ["--response-cache-bytes=0", "--cache-enabled=false"] {
            let cache = cache_of(&[flag]);
            assert!(!cache.responses().is_available(), "{flag}");
            assert_eq!(get_or_compute(&cache, "one").await, "own one");
            assert_eq!(get_or_compute(&cache, "two").await, "own two", "{flag}");
        }
        assert!(cache_of(&[]).responses().is_available());
    }
}
