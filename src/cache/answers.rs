//! Whole public answers, as the bytes that are sent. An answer is the same for whoever may be given it,
//! so it is kept as a whole, and given again without anything being executed.
//!
//! Invariants: an answer that is older than a purge of anything that it is made with is never given; of
//! many who ask for the same at once, one has it made; what is not said to be kept is not kept, and not
//! given to anybody else.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use moka::Expiry;
use moka::future::Cache as Entries;
use moka::policy::EvictionPolicy;

use super::generations::{Moment, Scopes};
use super::policy::Row;
use super::{Cache, Lookup};
use crate::config::cache::{ANSWER_SHARE, CacheSettings, KEPT_ANSWER_BYTES};

/// What is asked for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The hash of the document.
    pub document: [u8; 32],
    /// The operation's name in it.
    pub operation: Option<Box<str>>,
    /// The hash of the variables, of which the same have one spelling.
    pub variables: [u8; 32],
    /// Whether it is for those only who are not signed in.
    pub is_for_signed_out: bool,
}

/// What an answer is found by: all that its bytes depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// What it answers.
    pub question: Arc<Question>,
    /// In which form.
    pub media_type: &'static str,
    /// Compressed how.
    pub encoding: Option<&'static str>,
}

/// What is the same for all encodings of an answer.
#[derive(Debug)]
pub struct Head {
    /// The entity tag.
    pub tag: HeaderValue,
    /// The surrogate keys.
    pub surrogate_keys: HeaderValue,
    /// When its time is over, by the clock of the app.
    pub expires_at: DateTime<Utc>,
    /// What it is made of was committed by then. A replica may not have all of it yet.
    pub made_by: Instant,
    scopes: Scopes,
    as_of: Moment,
    ttl: Duration,
}

impl Head {
    /// For how long it may still be given.
    #[must_use]
    pub fn remaining(&self, now: DateTime<Utc>) -> Duration {
        (self.expires_at - now).to_std().unwrap_or_default()
    }
}

/// An answer that is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KeptAnswer {
    /// What is sent.
    pub body: Bytes,
    /// What is said of it.
    pub head: Arc<Head>,
}

/// The answers that are kept, by weight.
pub struct Answers {
    /// Bytes of all; nothing is kept where there are none.
    room: u64,
    entries: Entries<AnswerKey, KeptAnswer>,
}

/// Whose answer it is.
#[derive(Debug)]
pub enum Given<T> {
    /// That of whoever asked, who had it made.
    Own(T),
    /// One that is kept.
    Kept(KeptAnswer),
}

/// By the clock of the machine, so that what nobody asks for is not kept for ever.
struct ByTtl;

impl Expiry<AnswerKey, KeptAnswer> for ByTtl {
    fn expire_after_create(
        &self,
        _: &AnswerKey,
        answer: &KeptAnswer,
        _: Instant,
    ) -> Option<Duration> {
        Some(answer.head.ttl)
    }

    fn expire_after_update(
        &self,
        _: &AnswerKey,
        answer: &KeptAnswer,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(answer.head.ttl)
    }
}

/// Memory that it takes, roughly.
fn weight(key: &AnswerKey, answer: &KeptAnswer) -> u64 {
    let named = key.question.operation.as_ref().map_or(0, |name| name.len());
    let head = answer.head.surrogate_keys.len() + answer.head.scopes.bytes();
    (answer.body.len() + named + head + KEPT_ANSWER_BYTES) as u64
}

impl Answers {
    pub(super) fn new(settings: &CacheSettings) -> Self {
        let room = if settings.enabled { settings.answers_bytes } else { 0 };
        let entries = Entries::builder()
            .weigher(|key: &AnswerKey, answer: &KeptAnswer| {
                u32::try_from(weight(key, answer)).unwrap_or(u32::MAX)
            })
            .max_capacity(room)
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByTtl)
            .build();
        Self { room, entries }
    }
}

/// Somebody's answer is not to be kept.
struct NotKept;

impl Cache {
    /// Whether whole answers are kept, and may be given.
    #[must_use]
    pub fn keeps_answers(&self) -> bool {
        self.answers.room > 0 && self.peers.is_open()
    }

    /// An answer to be kept, which is made with these, as of a moment before any of it was read.
    #[must_use]
    pub fn answer(
        &self,
        body: Bytes,
        (tag, surrogate_keys): (HeaderValue, HeaderValue),
        (scopes, as_of): (Scopes, Moment),
        (ttl, now): (Duration, DateTime<Utc>),
    ) -> KeptAnswer {
        let ttl = self.with_jitter(ttl);
        let expires_at = now + TimeDelta::from_std(ttl).unwrap_or_default();
        let made_by = Instant::now();
        let head = Head { tag, surrogate_keys, expires_at, made_by, scopes, as_of, ttl };
        KeptAnswer { body, head: Arc::new(head) }
    }

    /// The answer of a key, if it is kept. It is not counted.
    pub async fn kept_answer(&self, key: &AnswerKey, now: DateTime<Utc>) -> Option<KeptAnswer> {
        let answer = self.answers.entries.get(key).await?;
        // It may be good again later.
        if !self.peers.is_open() {
            return None;
        }
        if self.is_good(&answer, now) {
            return Some(answer);
        }
        self.answers.entries.invalidate(key).await;
        None
    }

    /// Keeps an answer, unless it is larger than one may be.
    pub async fn keep_answer(&self, key: AnswerKey, answer: KeptAnswer) {
        if self.has_room(&key, &answer) {
            self.answers.entries.insert(key, answer).await;
        }
    }

    /// The answer of a key that was not found: of all who ask for it at once, one does the work, which
    /// says what is to be kept of it. If that is nothing, the others do it too, each for themselves: it
    /// may be theirs alone. If whoever does it goes away, another takes over. Counts a lookup.
    pub async fn answer_once<T>(
        &self,
        key: &AnswerKey,
        now: DateTime<Utc>,
        work: impl Future<Output = (T, Option<KeptAnswer>)>,
    ) -> Given<T> {
        let mut work = pin!(work);
        let mut own = None;
        loop {
            let entry = self.answers.entries.try_get_with_by_ref(key, async {
                let (made, kept) = work.as_mut().await;
                own = Some(made);
                kept.filter(|answer| self.has_room(key, answer)).ok_or(NotKept)
            });
            let entry = entry.await;
            if let Some(made) = own {
                self.counters.count(Row::PublicData, Lookup::Miss);
                return Given::Own(made);
            }
            match entry {
                Ok(answer) if self.is_good(&answer, now) => {
                    self.counters.count(Row::PublicData, Lookup::Hit);
                    return Given::Kept(answer);
                }
                // It was made before a purge that came before this question.
                Ok(_) => self.answers.entries.invalidate(key).await,
                Err(_) => {
                    self.counters.count(Row::PublicData, Lookup::Miss);
                    return Given::Own(work.await.0);
                }
            }
        }
    }

    /// Counts that an answer was there.
    pub fn count_answer(&self) {
        self.counters.count(Row::PublicData, Lookup::Hit);
    }

    fn is_good(&self, answer: &KeptAnswer, now: DateTime<Utc>) -> bool {
        now < answer.head.expires_at && self.is_current(&answer.head.scopes, answer.head.as_of)
    }

    /// One answer must not push all others out.
    fn has_room(&self, key: &AnswerKey, answer: &KeptAnswer) -> bool {
        weight(key, answer) <= self.answers.room / ANSWER_SHARE
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
    use crate::cache::changes::Change;
    use crate::cache::scope::{Scope, beginnings};
    use crate::cache::statistics::Lookups;

    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct Flags {
        #[command(flatten)]
        cache: CacheSettings,
    }

    /// With room for sixteen answers of 1,000 bytes.
    fn cache_of(flags: &[&str]) -> Cache {
        let own = ["test", "--cache-ttl-jitter=0", "--cache-answers-bytes=16000"];
        let flags = own.into_iter().chain(flags.iter().copied());
        Cache::new(&Flags::try_parse_from(flags).expect("the flags are right").cache)
    }

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn key(operation: &str) -> AnswerKey {
        let question = Question {
            document: [0; 32],
            operation: Some(operation.into()),
            variables: [0; 32],
            is_for_signed_out: false,
        };
        AnswerKey { question: Arc::new(question), media_type: "application/json", encoding: None }
    }

    /// An answer that is made with the feed, as of now.
    fn answer(cache: &Cache, body: &'static str) -> KeptAnswer {
        let names = (HeaderValue::from_static("W/\"1\""), HeaderValue::from_static("feed"));
        let scopes = beginnings(&BTreeSet::from([Scope::Feed]));
        let made_with = (scopes, cache.generations().now());
        let ttl = Row::PublicData.ttl();
        cache.answer(Bytes::from_static(body.as_bytes()), names, made_with, (ttl, time(0)))
    }

    fn body_of(given: Given<&str>) -> String {
        match given {
            Given::Own(body) => format!("own {body}"),
            Given::Kept(kept) => String::from_utf8(kept.body.to_vec()).expect("a text"),
        }
    }

    /// Asks for what is made so, and kept.
    async fn ask(cache: &Cache, body: &'static str) -> String {
        let work = async { (body, Some(answer(cache, body))) };
        body_of(cache.answer_once(&key("a"), time(0), work).await)
    }

    async fn kept(cache: &Cache, key: &AnswerKey) -> bool {
        cache.kept_answer(key, time(0)).await.is_some()
    }

    fn public_change() -> Change {
        let (reading, owner) = (Uuid::nil(), Uuid::max());
        Change::ReadingChanged { reading, owner, is_public: true }
    }

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_have_it_made_once() {
        let cache = cache_of(&[]);
        let made = AtomicUsize::new(0);
        let (a, made) = (key("a"), &made);
        let asked = (0..1_000).map(|_| {
            cache.answer_once(&a, time(0), async {
                made.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                ("made", Some(answer(&cache, "made")))
            })
        });
        let given: Vec<String> = join_all(asked).await.into_iter().map(body_of).collect();
        assert_eq!(given.iter().filter(|body| *body == "own made").count(), 1);
        assert_eq!(given.iter().filter(|body| *body == "made").count(), 999);
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(cache.lookups(Row::PublicData), Lookups { hits: 999, misses: 1 });
    }

    #[tokio::test]
    async fn what_is_not_to_be_kept_is_made_by_each() {
        let cache = cache_of(&[]);
        let a = key("a");
        let asked = (0..10).map(|number| {
            cache.answer_once(&a, time(0), async move {
                tokio::task::yield_now().await;
                (number, None)
            })
        });
        for (number, given) in join_all(asked).await.into_iter().enumerate() {
            assert!(matches!(given, Given::Own(own) if own == number), "{given:?}");
        }
        assert!(!kept(&cache, &a).await);
        assert_eq!(cache.lookups(Row::PublicData), Lookups { hits: 0, misses: 10 });
    }

    #[tokio::test]
    async fn who_goes_away_hands_over() {
        let cache = cache_of(&[]);
        let (started, goes_away) = (Notify::new(), Notify::new());
        let a = key("a");
        let first = cache.answer_once(&a, time(0), async {
            started.notify_one();
            pending::<(&str, Option<KeptAnswer>)>().await
        });
        let first = async {
            select(Box::pin(first), Box::pin(goes_away.notified())).await;
        };
        let second = async {
            started.notified().await;
            let second = ask(&cache, "second");
            goes_away.notify_one();
            second.await
        };
        let ((), second) = tokio::join!(first, second);
        assert_eq!(second, "own second");
        assert!(kept(&cache, &a).await);
    }

    #[tokio::test]
    async fn a_write_that_commits_while_an_answer_is_made_leaves_no_older_answer() {
        let cache = cache_of(&[]);
        let (read, is_read) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel();
        let a = key("a");
        let before = cache.answer_once(&a, time(0), async {
            // It has read what was there before the write.
            let older = answer(&cache, "older");
            read.send(()).expect("the writer waits");
            goes_on.await.expect("the writer is done");
            ("older", Some(older))
        });
        let write = async {
            is_read.await.expect("it is read");
            cache.purge(&[public_change()]).await;
            // Who asks after the purge must not be given what was read before it.
            let after = ask(&cache, "newer");
            go_on.send(()).expect("it is still made");
            after.await
        };
        let (before, after) = tokio::join!(before, write);
        assert_eq!(body_of(before), "own older");
        assert_eq!(after, "own newer");
        assert_eq!(ask(&cache, "newest").await, "newer");
    }

    #[tokio::test]
    async fn an_answer_is_kept_until_its_time_is_over_or_a_part_of_it_is_purged() {
        let cache = cache_of(&[]);
        let a = key("a");
        let ttl = i64::try_from(Row::PublicData.ttl().as_secs()).expect("seconds");
        assert_eq!(ask(&cache, "one").await, "own one");
        assert!(cache.kept_answer(&a, time(ttl - 1)).await.is_some());
        assert!(cache.kept_answer(&a, time(ttl)).await.is_none());

        assert_eq!(ask(&cache, "two").await, "own two");
        cache.purge(&[Change::CountersFolded]).await;
        assert!(kept(&cache, &a).await);
        cache.purge(&[public_change()]).await;
        assert!(!kept(&cache, &a).await);
        for pattern in ["*", "public:*", "public:feed:*", "*:feed:*"] {
            assert_eq!(ask(&cache, "three").await, "own three", "{pattern}");
            cache.invalidate(&crate::cache::pattern::Pattern::parse(pattern).expect(pattern)).await;
            assert!(!kept(&cache, &a).await, "{pattern}");
        }
    }

    #[tokio::test]
    async fn an_answer_may_take_a_sixteenth_of_the_room_and_one_used_long_ago_makes_room() {
        let cache = cache_of(&[]);
        let mut fits = answer(&cache, "");
        let rest = 1_000 - usize::try_from(weight(&key("00"), &fits)).expect("a size");
        fits.body = vec![b'x'; rest].into();
        let too_large = KeptAnswer { body: vec![b'x'; rest + 1].into(), ..fits.clone() };
        assert_eq!(weight(&key("00"), &fits), 1_000);
        let given =
            cache.answer_once(&key("00"), time(0), async { ("own", Some(too_large)) }).await;
        assert_eq!(body_of(given), "own own");
        assert!(!kept(&cache, &key("00")).await);

        for number in 0..17 {
            let key = key(&format!("{number:02}"));
            cache.keep_answer(key.clone(), fits.clone()).await;
            cache.answers.entries.run_pending_tasks().await;
            assert!(kept(&cache, &key).await, "{number}");
        }
        assert!(!kept(&cache, &key("00")).await);
        for number in 1..17 {
            assert!(kept(&cache, &key(&format!("{number:02}"))).await, "{number}");
        }
    }

    #[tokio::test]
    async fn without_room_or_without_a_cache_nothing_is_kept() {
        for flag in ["--cache-answers-bytes=0", "--cache-enabled=false"] {
            let cache = cache_of(&[flag]);
            assert!(!cache.keeps_answers(), "{flag}");
            assert_eq!(ask(&cache, "one").await, "own one");
            assert_eq!(ask(&cache, "two").await, "own two", "{flag}");
        }
        assert!(cache_of(&[]).keeps_answers());
    }
}
