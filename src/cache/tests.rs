use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use futures_util::future::{join_all, select};
use proptest::prelude::*;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::keys::{self, Key, SpreadSelection};
use super::pattern::Pattern;
use super::policy::{self, CachePolicy};
use super::purge_epochs::PurgeEpoch;
use super::statistics::{HitRateMonitor, Lookup, Lookups, LowHitRate};
use super::value_cache::{ComputeContext, LookupResult};
use super::{Cache, ReadSource};
use crate::config::cache::CacheSettings;
use crate::domain::public_counts::PublicCounts;
use crate::domain::statistics::{CardTally, Minute, TimeWindow, UserReadingStats, UtcOffset};

#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    cache: CacheSettings,
}

fn cache_of(flags: &[&str]) -> Cache {
    let own = ["test", "--cache-ttl-jitter=0"];
    let flags = own.into_iter().chain(flags.iter().copied());
    Cache::new(&Flags::try_parse_from(flags).expect("the flags are right").cache)
}

fn time(seconds: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(seconds).expect("a time"))
}

fn counts(users: i64) -> PublicCounts {
    PublicCounts { users, readings: 0 }
}

async fn no_wait() {}

fn context(cache: &Cache, source: ReadSource) -> ComputeContext {
    ComputeContext { epoch: cache.purge_epochs().current(), now: time(0), source }
}

/// Looks up a value with this computation.
async fn get_or_compute(
    cache: &Cache,
    key: &Key<PublicCounts>,
    compute: impl Future<Output = Result<PublicCounts, String>>,
) -> Result<(i64, Lookup), String> {
    let context = context(cache, ReadSource::Primary);
    let LookupResult { value, lookup, .. } =
        cache.values().get_or_compute(key, context, no_wait, compute).await?;
    Ok((value.users, lookup))
}

async fn purge(cache: &Cache, pattern: &str) -> usize {
    cache.invalidate(&Pattern::parse(pattern).expect(pattern)).await
}

/// A value with a key of each policy is cached until its TTL ends.
#[tokio::test]
async fn each_policy_hits_a_second_before_its_ttl_and_misses_a_second_after() {
    async fn assert_cached<V: Send + Sync + 'static>(policy: CachePolicy, key: Key<V>, value: V) {
        assert_eq!(key.policy(), policy);
        let cache = cache_of(&[]);
        let epoch = cache.purge_epochs().current();
        cache.values().set(&key, Arc::new(value), epoch, time(0)).await;
        let ttl = policy.ttl().as_secs();
        assert!(cache.values().get(&key, time(ttl - 1)).await.is_some(), "{policy:?}");
        assert!(cache.values().get(&key, time(ttl + 1)).await.is_none(), "{policy:?}");
        let expected = Lookups { hits: 1, misses: 1 };
        assert_eq!(cache.lookups(policy), expected, "{policy:?}");
    }
    let user = Uuid::max();
    for policy in CachePolicy::ALL {
        match policy {
            CachePolicy::Analytics => {
                assert_cached(policy, keys::analytics_cards(user), Vec::<CardTally>::new()).await;
            }
            CachePolicy::SpreadsList => {
                assert_cached(policy, keys::spreads_list(SpreadSelection::Active), Vec::new())
                    .await;
            }
            CachePolicy::CardsList => {
                assert_cached(policy, keys::cards_list(None), Vec::new()).await;
            }
            CachePolicy::UserStats => {
                let key = keys::user_stats(user, UtcOffset(0), Minute::of(time(0)));
                assert_cached(policy, key, UserReadingStats::none()).await;
            }
            CachePolicy::PublicData => {
                assert_cached(policy, keys::public_counts(), counts(1)).await;
            }
        }
    }
}

#[test]
fn ttls_are_those_of_the_guide() {
    let minutes = |policy: CachePolicy| policy.ttl().as_secs() / 60;
    assert_eq!(CachePolicy::ALL.map(minutes), [5, 30, 60, 5, 60]);
    assert_eq!(policy::DEFAULT_TTL.as_secs(), 300);
}

#[test]
fn keys_match_the_table() {
    let user = Uuid::max();
    let all = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    let (from, to) = (Some(time(1)), Some(time(2)));
    for (key, expected) in [
        (keys::cards_list(None).text(), "cards:list:all".to_owned()),
        (keys::spreads_list(SpreadSelection::All).text(), "spreads:list:all".to_owned()),
        (keys::public_counts().text(), "public:stats:landing".to_owned()),
        (keys::analytics_cards(user).text(), format!("analytics:{all}:cards")),
        (
            keys::analytics_voices(user, TimeWindow { from, to }).text(),
            format!("analytics:{all}:voices(1000000..2000000)"),
        ),
        (
            keys::analytics_karma(user, TimeWindow { from, to: None }).text(),
            format!("analytics:{all}:karma(1000000..)"),
        ),
        (
            keys::user_stats(user, UtcOffset(-720), Minute::of(time(61))).text(),
            format!("user:{all}:stats(-720,60)"),
        ),
    ] {
        assert_eq!(key, expected);
    }
}

#[tokio::test]
async fn jitter_shortens_a_ttl_by_its_percentage_at_most() {
    let cache = cache_of(&["--cache-ttl-jitter=10"]);
    let ttl = CachePolicy::PublicData.ttl();
    let lifetime = || cache.coherence.lifetime(ttl).to_std().expect("a duration");
    let ttls: Vec<_> = (0..1_000).map(|_| lifetime()).collect();
    assert!(ttls.iter().all(|some| *some <= ttl && *some >= ttl.mul_f64(0.9)));
    assert!(ttls.iter().any(|some| *some < ttl.mul_f64(0.92)));
    assert!(ttls.iter().any(|some| *some > ttl.mul_f64(0.98)));
}

#[tokio::test]
async fn entry_above_the_maximum_evicts_the_least_recently_used() {
    let cache = cache_of(&[]);
    let epoch = cache.purge_epochs().current();
    let key = |number: u128| keys::analytics_cards(Uuid::from_u128(number));
    let set = async |number| cache.values().set(&key(number), Arc::default(), epoch, time(0)).await;
    for number in 0..1_000 {
        set(number).await;
        cache.values().run_pending_tasks().await;
    }
    // The oldest is looked up, and the second is stored again: neither is evicted.
    assert!(cache.values().get(&key(0), time(1)).await.is_some());
    cache.values().run_pending_tasks().await;
    set(1).await;
    let stats = cache.stats().await;
    assert_eq!((stats.size, stats.max_size, stats.evictions), (1_000, 1_000, 0));
    set(1_000).await;
    let stats = cache.stats().await;
    assert_eq!((stats.size, stats.evictions), (1_000, 1));
    assert!(cache.values().get(&key(2), time(1)).await.is_none());
    for number in [0, 1, 3, 999, 1_000] {
        assert!(cache.values().get(&key(number), time(1)).await.is_some(), "{number}");
    }
}

#[tokio::test]
async fn pattern_purges_matching_keys_and_returns_their_number() {
    let cache = cache_of(&[]);
    let epoch = cache.purge_epochs().current();
    let [one, eleven] = [1, 11]
        .map(|number| keys::user_stats(Uuid::from_u128(number), UtcOffset(0), Minute::of(time(0))));
    for key in [&one, &eleven] {
        cache.values().set(key, Arc::new(UserReadingStats::none()), epoch, time(0)).await;
    }
    assert_eq!(purge(&cache, &format!("user:{}:*", Uuid::from_u128(1))).await, 1);
    assert!(cache.values().get(&one, time(1)).await.is_none());
    assert!(cache.values().get(&eleven, time(1)).await.is_some());
    cache.delete(&eleven).await;
    assert!(cache.values().get(&eleven, time(1)).await.is_none());
    assert_eq!(cache.stats().await.size, 0);
}

#[tokio::test]
async fn thousand_concurrent_misses_compute_once() {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let computations = AtomicUsize::new(0);
    let lookups = (0..1_000).map(|_| {
        get_or_compute(&cache, &key, async {
            computations.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(counts(7))
        })
    });
    let results = join_all(lookups).await;
    assert!(results.iter().all(|result| matches!(result, Ok((7, _)))));
    assert_eq!(computations.into_inner(), 1);
    assert_eq!(cache.lookups(CachePolicy::PublicData), Lookups { hits: 999, misses: 1 });
}

#[tokio::test]
async fn errors_are_not_cached() {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let failed = get_or_compute(&cache, &key, async { Err("no database".to_owned()) }).await;
    assert_eq!(failed, Err("no database".to_owned()));
    assert_eq!(get_or_compute(&cache, &key, async { Ok(counts(1)) }).await, Ok((1, Lookup::Miss)));
}

#[tokio::test]
async fn abandoned_computation_is_taken_over() {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let (started, abandoned) = (Notify::new(), Notify::new());
    let first = get_or_compute(&cache, &key, async {
        started.notify_one();
        pending().await
    });
    let second = async {
        started.notified().await;
        let second = get_or_compute(&cache, &key, async { Ok(counts(2)) });
        abandoned.notify_one();
        second.await
    };
    let first = async {
        select(Box::pin(first), Box::pin(abandoned.notified())).await;
    };
    let ((), second) = tokio::join!(first, second);
    assert_eq!(second, Ok((2, Lookup::Miss)));
}

#[tokio::test]
async fn write_during_a_computation_leaves_no_stale_value() {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let (read, is_read) = oneshot::channel();
    let (resume, resumed) = oneshot::channel();
    let before = get_or_compute(&cache, &key, async {
        // The state before the write was read.
        read.send(()).expect("the writer waits");
        resumed.await.expect("the writer is done");
        Ok(counts(1))
    });
    let write = async {
        is_read.await.expect("the value was read");
        purge(&cache, "public:stats:*").await;
        // A lookup after the purge must not get a value that was read before it.
        let after = get_or_compute(&cache, &key, async { Ok(counts(2)) });
        resume.send(()).expect("the computation still runs");
        after.await
    };
    let (before, after) = tokio::join!(before, write);
    assert_eq!(before, Ok((1, Lookup::Miss)));
    assert_eq!(after, Ok((2, Lookup::Miss)));
    assert_eq!(get_or_compute(&cache, &key, async { Ok(counts(3)) }).await, Ok((2, Lookup::Hit)));
}

#[tokio::test]
async fn value_of_a_replica_is_cached_if_the_replica_has_the_purged_write() {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let look_up = async |fresh_as_of| {
        let context = context(&cache, ReadSource::Replica(Some(fresh_as_of)));
        let compute = async { Ok::<_, String>(counts(1)) };
        cache
            .values()
            .get_or_compute(&key, context, no_wait, compute)
            .await
            .expect("a value")
            .lookup
    };
    let before = Instant::now();
    purge(&cache, "public:*").await;
    assert_eq!((look_up(before).await, look_up(before).await), (Lookup::Miss, Lookup::Miss));
    let after = Instant::now();
    // Times of purges have a resolution of a microsecond.
    while after.elapsed().as_micros() < 2 {
        tokio::task::yield_now().await;
    }
    let after = Instant::now();
    assert_eq!((look_up(after).await, look_up(after).await), (Lookup::Miss, Lookup::Hit));
}

#[tokio::test]
async fn value_of_a_replica_of_unknown_state_is_not_cached() {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let context = context(&cache, ReadSource::Replica(None));
    let compute = async { Ok::<_, String>(counts(1)) };
    let LookupResult { value, lookup, .. } =
        cache.values().get_or_compute(&key, context, no_wait, compute).await.expect("a value");
    assert_eq!((value.users, lookup), (1, Lookup::Miss));
    assert_eq!(get_or_compute(&cache, &key, async { Ok(counts(2)) }).await, Ok((2, Lookup::Miss)));
    // A cached value is returned, though.
    let compute = async { Ok::<_, String>(counts(3)) };
    let LookupResult { value, lookup, .. } =
        cache.values().get_or_compute(&key, context, no_wait, compute).await.expect("a value");
    assert_eq!((value.users, lookup), (2, Lookup::Hit));
}

#[tokio::test]
async fn disabled_cache_stores_and_counts_nothing() {
    let cache = cache_of(&["--cache-enabled=false"]);
    let key = keys::public_counts();
    for number in [1, 2] {
        let result = get_or_compute(&cache, &key, async { Ok(counts(number)) }).await;
        assert_eq!(result, Ok((number, Lookup::Miss)));
    }
    assert_eq!(cache.stats().await.lookups, Lookups::default());
}

#[test]
fn busy_policy_with_few_hits_is_reported() {
    let cache = cache_of(&[]);
    let mut watch = HitRateMonitor::default();
    let count = |lookup, times| {
        for _ in 0..times {
            cache.coherence.counters.count(CachePolicy::Analytics, lookup);
        }
    };
    // One lookup less than a busy policy has.
    count(Lookup::Miss, 999);
    assert_eq!(watch.poll(|policy| cache.lookups(policy)), []);
    // Of a thousand lookups since then one hit too few, and then enough.
    count(Lookup::Hit, 199);
    count(Lookup::Miss, 801);
    assert_eq!(
        watch.poll(|policy| cache.lookups(policy)),
        [LowHitRate {
            policy: CachePolicy::Analytics,
            lookups: Lookups { hits: 199, misses: 801 }
        }]
    );
    count(Lookup::Hit, 200);
    count(Lookup::Miss, 800);
    assert_eq!(watch.poll(|policy| cache.lookups(policy)), []);
}

/// A step of several readers that compute a value while it is written.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A reader takes its purge epoch.
    Begin(usize),
    /// The reader reads the database.
    Read(usize),
    /// The reader caches the value.
    Store(usize),
    /// A write commits.
    Commit,
    /// The last writer purges that pattern.
    Purge(&'static str),
    /// A lookup.
    Get,
}

const READERS: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    const PATTERNS: &[&str] =
        &["public:stats:*", "public:*", "*", "public:stats:landing", "*:stats:*"];
    prop_oneof![
        (0..READERS).prop_map(Event::Begin),
        (0..READERS).prop_map(Event::Read),
        (0..READERS).prop_map(Event::Store),
        Just(Event::Commit),
        prop::sample::select(PATTERNS).prop_map(Event::Purge),
        Just(Event::Get),
    ]
}

/// The epoch that a value is stored with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoredEpoch {
    /// The rule under test: the epoch before the value was read.
    BeforeRead,
    /// The mistake: the epoch when the value is stored.
    AtStore,
}

/// A stale value that a lookup returned.
#[derive(Debug, PartialEq, Eq)]
struct Stale {
    returned: i64,
    purged: i64,
}

/// Plays the events. Returns the first value that is older than the last write whose purge was over.
async fn older_than_a_purge(events: &[Event], stored: StoredEpoch) -> Option<Stale> {
    let cache = cache_of(&[]);
    let key = keys::public_counts();
    let (mut written, mut purged) = (0, 0);
    let mut readers: [(Option<PurgeEpoch>, Option<i64>); READERS] = Default::default();
    for event in events {
        match event {
            Event::Begin(reader) => readers[*reader] = (Some(cache.purge_epochs().current()), None),
            Event::Read(reader) => {
                if readers[*reader].0.is_some() {
                    readers[*reader].1 = Some(written);
                }
            }
            Event::Store(reader) => {
                if let (Some(epoch), Some(read)) = std::mem::take(&mut readers[*reader]) {
                    let epoch = match stored {
                        StoredEpoch::BeforeRead => epoch,
                        StoredEpoch::AtStore => cache.purge_epochs().current(),
                    };
                    cache.values().set(&key, Arc::new(counts(read)), epoch, time(0)).await;
                }
            }
            Event::Commit => written += 1,
            Event::Purge(pattern) => {
                purge(&cache, pattern).await;
                purged = written;
            }
            Event::Get => {
                if let Some(value) = cache.values().get(&key, time(1)).await
                    && value.users < purged
                {
                    return Some(Stale { returned: value.users, purged });
                }
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_value_older_than_a_purge_is_returned(events in prop::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        prop_assert_eq!(runtime.block_on(older_than_a_purge(&events, StoredEpoch::BeforeRead)), None);
    }
}

/// Without the rule the stale value is returned: the test can fail.
#[tokio::test]
async fn epoch_of_the_store_in_place_of_the_read_is_detected() {
    let events = [
        Event::Begin(0),
        Event::Read(0),
        Event::Commit,
        Event::Purge("public:stats:*"),
        Event::Store(0),
        Event::Get,
    ];
    assert_eq!(
        older_than_a_purge(&events, StoredEpoch::AtStore).await,
        Some(Stale { returned: 0, purged: 1 })
    );
    assert_eq!(older_than_a_purge(&events, StoredEpoch::BeforeRead).await, None);
}
