//! The tier that servers share: values in Redis, and word of what was written.
//!
//! Each beginning of a key (`user`, `user:42`, …) has a *token* in Redis, at random. A value is kept with
//! the tokens that its key's beginnings had before it was computed, and is good only while they have
//! them; whoever purges deletes the token, and whoever next asks makes up another. So a value that is
//! computed before a write and kept after it is never good, and neither is one whose token was lost.
//!
//! Invariants: what is read belongs to the run of the Redis server that it is read from, because one that
//! starts again may have an older state; whatever lies under a key that is not exactly what was put there
//! for it is as good as nothing; without Redis everything goes on, a little slower.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::RngExt;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, PushKind, RedisError, RedisResult, Value, cmd, pipe,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use uuid::Uuid;

use super::changes::Change;
use super::keys::SEPARATOR;
use super::pattern::Pattern;
use crate::config::cache::{PeerSettings, REDIS_FAILURES, RedisUrl};
use crate::domain::viewer::ReaderId;

/// In every key, and to be raised with what values look like or mean.
const FORMAT: u32 = 1;
/// The token of all keys.
const EVERYTHING: &str = "*";

/// The Redis that servers share.
pub struct Shared {
    url: RedisUrl,
    prefix: String,
    timeout: Duration,
    connect_timeout: Duration,
    /// How long tokens are kept; a value whose tokens are gone is not good any more.
    token_ttl: Duration,
    /// Nothing while Redis is left out.
    link: RwLock<Option<Link>>,
    failures: AtomicU32,
    lost: Notify,
    /// Who tells.
    server: Uuid,
}

/// A connection to one run of a Redis server. What is told there comes in on it as well, so that both
/// live and die together.
#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    /// What its keys begin with.
    namespace: Arc<str>,
}

/// What lies beside a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Whose value it is.
    pub key: String,
    /// Those that it was computed under.
    pub tokens: String,
    /// When it is to be computed anew.
    pub expires_at: DateTime<Utc>,
}

/// A value and what lies beside it.
#[derive(Serialize, Deserialize)]
struct Stamped<S, V> {
    stamp: S,
    value: V,
}

/// A value as it is kept in Redis.
#[must_use]
pub fn encode<V: Serialize>(stamp: &Stamp, value: &V) -> Option<Vec<u8>> {
    serde_json::to_vec(&Stamped { stamp, value }).ok()
}

/// A value that was kept in Redis, if it is one.
#[must_use]
pub fn decode<V: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<(Stamp, V)> {
    let Stamped { stamp, value } = serde_json::from_slice(bytes).ok()?;
    Some((stamp, value))
}

/// What was found of a key.
#[derive(Debug)]
pub struct Found {
    /// The tokens that the key's beginnings have, to keep another value under.
    tokens: String,
    /// What lies there, whatever it is.
    bytes: Option<Vec<u8>>,
}

impl Found {
    /// What is to lie beside another value of that key.
    #[must_use]
    pub fn stamp(self, key: &str, expires_at: DateTime<Utc>) -> Stamp {
        Stamp { key: key.to_owned(), tokens: self.tokens, expires_at }
    }

    /// The value, if what lies there was put there for that key, and is good.
    pub fn value<V>(
        &self,
        key: &str,
        now: DateTime<Utc>,
        decode: fn(&[u8]) -> Option<(Stamp, V)>,
    ) -> Option<(V, DateTime<Utc>)> {
        let (stamp, value) = decode(self.bytes.as_ref()?)?;
        let is_good = stamp.key == key && stamp.tokens == self.tokens && now < stamp.expires_at;
        is_good.then_some((value, stamp.expires_at))
    }
}

/// What a server tells the others.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    server: Uuid,
    #[serde(flatten)]
    said: Said,
}

/// What servers tell each other of a write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// What it has changed.
    Changed {
        /// The note in the database that says the same.
        note: Uuid,
        /// What was changed.
        changes: Vec<Change>,
    },
    /// By whom it was.
    Wrote {
        /// All names that they ask under.
        writers: Vec<ReaderId>,
    },
}

/// What comes in from Redis.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Another server told something.
    Said(Said),
    /// Something was said that is no word, so that one may have been missed.
    Noise,
    /// Nothing more will come in.
    Lost,
}

/// Redis did not do it, or did not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer")]
pub struct Unanswered;

impl Shared {
    /// The Redis of these settings, if there is one. It is left out until [`Shared::connect`].
    #[must_use]
    pub fn new(settings: &PeerSettings, longest_ttl: Duration) -> Option<Self> {
        let url = settings.redis_url.clone()?;
        Some(Self {
            url,
            prefix: settings.redis_prefix.clone(),
            timeout: settings.redis_timeout,
            connect_timeout: settings.redis_connect_timeout,
            token_ttl: longest_ttl * 2,
            link: RwLock::default(),
            failures: AtomicU32::default(),
            lost: Notify::new(),
            server: Uuid::now_v7(),
        })
    }

    /// Connects, and hears from now on what other servers tell.
    ///
    /// # Errors
    ///
    /// Redis cannot be reached, is older than version 6, or refuses.
    pub async fn connect(&self) -> Result<UnboundedReceiver<Heard>, RedisError> {
        let info = self.url.expose().into_connection_info()?;
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(redis))?;
        let (teller, hears) = mpsc::unbounded_channel();
        let server = self.server;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(move |info: PushInfo| match heard_of(info, server) {
                Some(word) => teller.send(word),
                None => Ok(()),
            });
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let about: String = cmd("INFO").arg("server").query_async(&mut connection).await?;
        let run = about.lines().find_map(|line| line.strip_prefix("run_id:"));
        // Without it nobody would know that Redis began anew, and what it held before could be trusted.
        let run = run.filter(|run| !run.is_empty()).ok_or_else(|| {
            RedisError::from((ErrorKind::UnexpectedReturnType, "INFO does not say its run_id"))
        })?;
        connection.subscribe(self.channel()).await?;
        let namespace = format!("{}:{FORMAT}:{run}", self.prefix).into();
        self.failures.store(0, Ordering::Relaxed);
        *self.link.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Link { connection, namespace });
        Ok(hears)
    }

    fn channel(&self) -> String {
        format!("{}:{FORMAT}:words", self.prefix)
    }

    /// Leaves Redis out until it is connected to again.
    pub fn leave_out(&self) {
        self.link.write().unwrap_or_else(PoisonError::into_inner).take();
        self.lost.notify_waiters();
    }

    /// Done when Redis is left out.
    pub async fn left_out(&self) {
        let lost = self.lost.notified();
        if self.link().is_some() {
            lost.await;
        }
    }

    fn link(&self) -> Option<Link> {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What there is of a key: its tokens, made up where there are none, and what lies under it. Nothing
    /// if Redis is left out or does not answer.
    pub async fn find(&self, key: &str) -> Option<Found> {
        let link = self.link()?;
        let names = token_names(&link.namespace, key);
        let place = place_of(&link.namespace, key);
        let mut asked = cmd("MGET");
        asked.arg(&names).arg(&place);
        let mut answers: Vec<Value> =
            self.run::<(Vec<Value>,)>(&link, pipe().add_command(asked.clone())).await?.0;
        if answers.iter().take(names.len()).any(|token| *token == Value::Nil) {
            let token = format!("{:032x}", rand::rng().random::<u128>());
            let mut made = pipe();
            for (name, _) in names.iter().zip(&answers).filter(|(_, token)| **token == Value::Nil) {
                made.cmd("SET").arg(name).arg(&token).arg("NX");
                made.arg("EX").arg(self.token_ttl.as_secs()).ignore();
            }
            answers = self.run::<(Vec<Value>,)>(&link, made.add_command(asked)).await?.0;
        }
        let bytes = answers.pop().and_then(|value| Vec::from_redis_value(value).ok());
        let bytes = bytes.filter(|bytes: &Vec<u8>| !bytes.is_empty());
        let tokens: Option<Vec<String>> = answers.into_iter().map(token_of).collect();
        if tokens.is_none() {
            // Something that is no token lies there: with it out of the way the next one can be made up.
            let _: Option<()> = self.run(&link, pipe().del(&names).ignore()).await;
        }
        Some(Found { tokens: tokens?.join(","), bytes })
    }

    /// Keeps what was computed after its tokens were found.
    pub async fn keep(&self, key: &str, bytes: Vec<u8>, ttl: Duration) {
        let Some(link) = self.link() else { return };
        let mut kept = pipe();
        kept.cmd("SET").arg(place_of(&link.namespace, key)).arg(bytes);
        kept.arg("PX").arg(ttl.as_millis().max(1).try_into().unwrap_or(u64::MAX)).ignore();
        let _: Option<()> = self.run(&link, &mut kept).await;
    }

    /// Makes what a write has made old no good any more, and tells the others, both or neither.
    ///
    /// # Errors
    ///
    /// It may not have been done.
    pub async fn tell(&self, note: Uuid, changes: &[Change]) -> Result<(), Unanswered> {
        let link = self.link().ok_or(Unanswered)?;
        let word = Said::Changed { note, changes: changes.to_vec() };
        let mut told = purged(&link.namespace, changes);
        told.publish(self.channel(), self.word(word)?).ignore();
        self.run(&link, &mut told).await.ok_or(Unanswered)
    }

    /// Tells the others who has written, so that they read the primary for a while: a replica that
    /// they would be served by may not have it yet.
    ///
    /// # Errors
    ///
    /// It may not have been told.
    pub async fn tell_of_writers(&self, writers: Vec<ReaderId>) -> Result<(), Unanswered> {
        let link = self.link().ok_or(Unanswered)?;
        let word = self.word(Said::Wrote { writers })?;
        let mut told = pipe();
        told.publish(self.channel(), word).ignore();
        self.run(&link, &mut told).await.ok_or(Unanswered)
    }

    fn word(&self, said: Said) -> Result<String, Unanswered> {
        serde_json::to_string(&Word { server: self.server, said }).map_err(|_| Unanswered)
    }

    /// Makes what a write has made old no good any more.
    ///
    /// # Errors
    ///
    /// It may not have been done.
    pub async fn purge(&self, changes: &[Change]) -> Result<(), Unanswered> {
        let link = self.link().ok_or(Unanswered)?;
        self.run(&link, &mut purged(&link.namespace, changes)).await.ok_or(Unanswered)
    }

    /// Up to where all notes have been heard of by somebody who made no good in this Redis what they
    /// made old; `None` if that is not known.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn position(&self) -> Result<Option<i64>, Unanswered> {
        let link = self.link().ok_or(Unanswered)?;
        let answer: (Value,) =
            self.run(&link, pipe().get(position_name(&link.namespace))).await.ok_or(Unanswered)?;
        Ok(i64::from_redis_value(answer.0).ok())
    }

    /// Says up to where all notes have been heard of. It is known for so long. That Redis answers means
    /// also that everything told before has come in.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn set_position(&self, position: i64, known: Duration) -> Result<(), Unanswered> {
        let link = self.link().ok_or(Unanswered)?;
        let name = position_name(&link.namespace);
        let seconds = known.as_secs().max(1);
        self.run(&link, pipe().set_ex(name, position, seconds).ignore()).await.ok_or(Unanswered)
    }

    /// Sees that Redis answers, and that everything that was told before has come in.
    ///
    /// # Errors
    ///
    /// Redis does not answer.
    pub async fn ping(&self) -> Result<(), Unanswered> {
        let link = self.link().ok_or(Unanswered)?;
        self.run(&link, pipe().cmd("PING").ignore()).await.ok_or(Unanswered)
    }

    /// Asks Redis. Nothing if it does not answer as it should; after several times it is left out.
    async fn run<T: FromRedisValue>(&self, link: &Link, asked: &mut Pipeline) -> Option<T> {
        let answered: RedisResult<T> = asked.query_async(&mut link.connection.clone()).await;
        match answered {
            Ok(answer) => {
                self.failures.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                self.fail(link, &error);
                None
            }
        }
    }

    fn fail(&self, link: &Link, error: &RedisError) {
        let is_lost = error.is_connection_dropped() || error.is_unrecoverable_error();
        if !is_lost && !error.is_timeout() && !error.is_io_error() {
            // It answers; what, is another question.
            tracing::warn!(%error, "Redis refuses");
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if is_lost || failures >= REDIS_FAILURES {
            let mut current = self.link.write().unwrap_or_else(PoisonError::into_inner);
            // Somebody may have connected again.
            if current.as_ref().is_some_and(|now| Arc::ptr_eq(&now.namespace, &link.namespace)) {
                tracing::warn!(%error, failures, "Redis is left out");
                *current = None;
                drop(current);
                self.lost.notify_waiters();
            }
        }
    }
}

/// Deletes the tokens of what changes make old, all at once.
fn purged(namespace: &str, changes: &[Change]) -> Pipeline {
    let mut purged = pipe();
    purged.atomic();
    for pattern in changes.iter().flat_map(Change::purges) {
        purged.del(token_name_of(namespace, &pattern)).ignore();
    }
    purged
}

/// What a push from Redis says; nothing if it is for the driver or said by this server itself.
fn heard_of(PushInfo { kind, data }: PushInfo, server: Uuid) -> Option<Heard> {
    match kind {
        PushKind::Disconnection => Some(Heard::Lost),
        PushKind::Message => {
            let word = match data.into_iter().nth(1) {
                Some(Value::BulkString(bytes)) => serde_json::from_slice(&bytes).ok(),
                _ => None,
            };
            match word {
                Some(Word { server: teller, .. }) if teller == server => None,
                Some(Word { said, .. }) => Some(Heard::Said(said)),
                None => Some(Heard::Noise),
            }
        }
        _ => None,
    }
}

/// Where a value lies. All names have one hash tag, so that a cluster keeps them together.
fn place_of(namespace: &str, key: &str) -> String {
    format!("{{{namespace}}}:value:{key}")
}

fn position_name(namespace: &str) -> String {
    format!("{{{namespace}}}:position")
}

/// The names of the tokens of a key's beginnings, from none of its parts to all.
fn token_names(namespace: &str, key: &str) -> Vec<String> {
    let ends = key.match_indices(SEPARATOR).map(|(end, _)| end).chain([key.len()]);
    let beginnings = ends.map(|end| &key[..end]);
    std::iter::once(EVERYTHING).chain(beginnings).map(|name| token_name(namespace, name)).collect()
}

/// The name of the token that a purge deletes: that of the last part that all keys that are meant begin
/// with.
fn token_name_of(namespace: &str, pattern: &Pattern) -> String {
    let beginning: Vec<&str> = pattern.beginning().collect();
    if beginning.is_empty() {
        return token_name(namespace, EVERYTHING);
    }
    token_name(namespace, &beginning.join(&SEPARATOR.to_string()))
}

fn token_name(namespace: &str, beginning: &str) -> String {
    format!("{{{namespace}}}:token:{beginning}")
}

fn token_of(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn found(bytes: &[u8], tokens: &str) -> Found {
        Found { tokens: tokens.to_owned(), bytes: Some(bytes.to_vec()) }
    }

    fn stamp() -> Stamp {
        let expires_at = NOW + chrono::TimeDelta::seconds(1);
        Stamp { key: "user:1:stats".to_owned(), tokens: "abc".to_owned(), expires_at }
    }

    #[test]
    fn a_value_is_good_for_its_key_its_tokens_and_its_time_alone() {
        let bytes = encode(&stamp(), &5).expect("bytes");
        let value = |key: &str, tokens: &str, now| found(&bytes, tokens).value(key, now, decode);
        assert_eq!(value("user:1:stats", "abc", NOW), Some((5, stamp().expires_at)));
        assert_eq!(value("user:2:stats", "abc", NOW), None);
        assert_eq!(value("user:1:stats", "abd", NOW), None);
        assert_eq!(value("user:1:stats", "abc", stamp().expires_at), None);
    }

    #[test]
    fn what_is_no_value_is_nothing() {
        let other = encode(&stamp(), &"five").expect("bytes");
        for bytes in [&b""[..], b"junk", b"{}", b"\xff\xfe", b"5", &other] {
            assert_eq!(found(bytes, "abc").value::<i32>("user:1:stats", NOW, decode), None);
        }
    }

    #[test]
    fn a_purge_deletes_the_token_of_a_beginning_of_each_key_that_it_means() {
        let names = token_names("n", "user:1:stats(+0,5)");
        let beginnings = ["*", "user", "user:1", "user:1:stats(+0,5)"];
        assert_eq!(names, beginnings.map(|name| format!("{{n}}:token:{name}")));
        for pattern in ["*", "user:*", "user:1:*", "user:1:stats", "user:1:stats(+0,5)", "*:1:*"] {
            let pattern = Pattern::parse(pattern).expect(pattern);
            assert!(names.contains(&token_name_of("n", &pattern)), "{pattern}");
        }
        for pattern in ["analytics:*", "user:11:*", "user:2:stats"] {
            let pattern = Pattern::parse(pattern).expect(pattern);
            assert!(!names.contains(&token_name_of("n", &pattern)), "{pattern}");
        }
    }

    #[test]
    fn what_a_server_says_itself_it_does_not_hear() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let said = Said::Changed { note: Uuid::max(), changes: vec![Change::CountersFolded] };
        let word = Word { server: one, said: said.clone() };
        let push = |text: String| PushInfo {
            kind: PushKind::Message,
            data: vec![Value::BulkString(b"words".into()), Value::BulkString(text.into_bytes())],
        };
        let text = serde_json::to_string(&word).expect("text");
        assert_eq!(heard_of(push(text.clone()), one), None);
        assert_eq!(heard_of(push(text), other), Some(Heard::Said(said)));
        assert_eq!(heard_of(push("junk".to_owned()), other), Some(Heard::Noise));
    }
}
