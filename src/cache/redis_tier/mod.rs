//! The cache tier in Redis, which servers share: values, and messages about writes.
//!
//! Each prefix of a key (`user`, `user:42`, …) has a random *token* in Redis. A value is stored with the tokens that its
//! key's prefixes had before it was computed, and counts while they are the same. A purge deletes the token, and the
//! next lookup creates another. So a value that is computed before a write and stored after it never counts, and
//! neither does one whose token was lost.
//!
//! Invariants: keys belong to one run of the Redis server, because a restarted one may have an older state; bytes that
//! are not exactly what was stored for a key count as a miss; without Redis everything works, only slower.

mod envelope;
mod peer_message;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rand::RngExt;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, RedisError, RedisResult, ServerErrorKind, Value, cmd, pipe,
};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use uuid::Uuid;

pub use envelope::{EnvelopeHeader, RedisLookup, decode, encode};
pub use peer_message::{PeerEvent, PeerMessage};

use super::invalidation::InvalidationEvent;
use super::pattern::{Pattern, SEPARATOR};
use crate::config::cache::{CoherenceSettings, REDIS_FAILURES, RedisUrl};
use crate::domain::viewer::ReaderId;
use peer_message::{Message, peer_event};

/// Version of the encoding, in every key. Raise it when values look different or mean something else.
const FORMAT: u32 = 2;
/// Name of the token of all keys.
const EVERYTHING: &str = "*";

/// The tier in Redis.
pub struct RedisTier {
    url: RedisUrl,
    prefix: String,
    timeout: Duration,
    connect_timeout: Duration,
    /// TTL of tokens. A value without its tokens does not count any more.
    token_ttl: Duration,
    connection: RwLock<ConnectionState>,
    /// Failed commands in a row.
    failures: AtomicU32,
    disconnected: Notify,
    /// Sender of messages.
    server: Uuid,
}

/// State of the connection.
#[derive(Clone, Default)]
enum ConnectionState {
    /// Redis is bypassed until [`RedisTier::connect`] succeeds.
    #[default]
    Disconnected,
    /// Commands are sent.
    Connected(Connection),
}

/// A connection to one run of a Redis server. The subscription uses it too, so that commands and messages
/// are lost together.
#[derive(Clone)]
struct Connection {
    multiplexed: MultiplexedConnection,
    /// Prefix of all keys.
    namespace: Arc<str>,
}

/// A command failed, or its reply is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis is not available")]
pub struct RedisUnavailable;

impl RedisTier {
    /// The tier of these settings, disconnected; `None` without `REDIS_URL`.
    #[must_use]
    pub fn new(settings: &CoherenceSettings, longest_ttl: Duration) -> Option<Self> {
        let url = settings.redis_url.clone()?;
        Some(Self {
            url,
            prefix: settings.redis_prefix.clone(),
            timeout: settings.redis_timeout,
            connect_timeout: settings.redis_connect_timeout,
            token_ttl: longest_ttl * 2,
            connection: RwLock::default(),
            failures: AtomicU32::default(),
            disconnected: Notify::new(),
            server: Uuid::now_v7(),
        })
    }

    /// Connects and subscribes to the messages of other servers.
    ///
    /// # Errors
    ///
    /// Redis cannot be reached, is older than version 6, is a replica, or rejects a command.
    pub async fn connect(&self) -> Result<UnboundedReceiver<PeerEvent>, RedisError> {
        let info = self.url.expose().into_connection_info()?;
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(redis))?;
        let (sender, events) = mpsc::unbounded_channel();
        let server = self.server;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.timeout))
            .set_push_sender(move |info: PushInfo| match peer_event(info, server) {
                Some(event) => sender.send(event),
                None => Ok(()),
            });
        let mut multiplexed = client.get_multiplexed_async_connection_with_config(&config).await?;
        let info: String = cmd("INFO").arg("server").query_async(&mut multiplexed).await?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        // Without it a restart would go unnoticed, and values from before would count.
        let run = run.filter(|run| !run.is_empty()).ok_or_else(|| {
            RedisError::from((ErrorKind::UnexpectedReturnType, "INFO has no run_id"))
        })?;
        let info: String = cmd("INFO").arg("replication").query_async(&mut multiplexed).await?;
        if !info.lines().any(|line| line == "role:master") {
            return Err(RedisError::from((
                ErrorKind::Client,
                "it is a replica, which takes no writes",
            )));
        }
        multiplexed.subscribe(self.channel()).await?;
        let namespace = format!("{}:{FORMAT}:{run}", self.prefix).into();
        self.failures.store(0, Ordering::Relaxed);
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) =
            ConnectionState::Connected(Connection { multiplexed, namespace });
        Ok(events)
    }

    fn channel(&self) -> String {
        format!("{}:{FORMAT}:invalidations", self.prefix)
    }

    /// Bypasses Redis until it is connected again.
    pub fn disconnect(&self) {
        *self.connection.write().unwrap_or_else(PoisonError::into_inner) =
            ConnectionState::Disconnected;
        self.disconnected.notify_waiters();
    }

    /// Returns when Redis is disconnected.
    pub async fn disconnected(&self) {
        let disconnected = self.disconnected.notified();
        if self.connection().is_some() {
            disconnected.await;
        }
    }

    fn connection(&self) -> Option<Connection> {
        let state = self.connection.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            ConnectionState::Connected(connection) => Some(connection.clone()),
            ConnectionState::Disconnected => None,
        }
    }

    /// Looks up a key and the tokens of its prefixes, and creates those that are missing. `None` if Redis is
    /// not available.
    pub async fn lookup(&self, key: &str) -> Option<RedisLookup> {
        let connection = self.connection()?;
        let token_keys = token_keys(&connection.namespace, key);
        let value_key = value_key(&connection.namespace, key);
        let mut get = cmd("MGET");
        get.arg(&token_keys).arg(&value_key);
        let mut found: Vec<Value> =
            self.run::<(Vec<Value>,)>(&connection, pipe().add_command(get.clone())).await?.0;
        if found.iter().take(token_keys.len()).any(|token| *token == Value::Nil) {
            let token = format!("{:032x}", rand::rng().random::<u128>());
            let mut create = pipe();
            let missing = token_keys.iter().zip(&found).filter(|(_, token)| **token == Value::Nil);
            for (name, _) in missing {
                create.cmd("SET").arg(name).arg(&token).arg("NX");
                create.arg("EX").arg(self.token_ttl.as_secs()).ignore();
            }
            found = self.run::<(Vec<Value>,)>(&connection, create.add_command(get)).await?.0;
        }
        let bytes = found.pop().and_then(|value| Vec::from_redis_value(value).ok());
        let bytes = bytes.filter(|bytes: &Vec<u8>| !bytes.is_empty());
        let tokens: Option<Vec<String>> = found.into_iter().map(token_of).collect();
        if tokens.is_none() {
            // Something else is stored under the name of a token. Delete it, so that the next lookup can
            // create one.
            let _: Option<()> = self.run(&connection, pipe().del(&token_keys).ignore()).await;
        }
        Some(RedisLookup { tokens: tokens?.join(","), bytes })
    }

    /// Stores a value that was computed after the lookup of its tokens.
    pub async fn store(&self, key: &str, bytes: Vec<u8>, ttl: Duration) {
        let Some(connection) = self.connection() else { return };
        let mut set = pipe();
        set.cmd("SET").arg(value_key(&connection.namespace, key)).arg(bytes);
        set.arg("PX").arg(ttl.as_millis().max(1).try_into().unwrap_or(u64::MAX)).ignore();
        let _: Option<()> = self.run(&connection, &mut set).await;
    }

    /// Purges Redis for the events of a write, then publishes them to the other servers: who receives them finds Redis
    /// purged. Not in one transaction: up to version 7.0 Redis inserts the message, which this subscribed connection
    /// receives too, into the reply of EXEC, and the reply that is left over answers the next command.
    ///
    /// # Errors
    ///
    /// Redis is not available. The purge may have been executed or not.
    pub async fn publish_invalidation(
        &self,
        entry_id: Uuid,
        events: &[InvalidationEvent],
    ) -> Result<(), RedisUnavailable> {
        let connection = self.connection().ok_or(RedisUnavailable)?;
        let message = PeerMessage::Invalidated { entry_id, events: events.to_vec() };
        let mut commands = purge_command(&connection.namespace, events);
        commands.publish(self.channel(), self.encode_message(message)?).ignore();
        self.run(&connection, &mut commands).await.ok_or(RedisUnavailable)
    }

    /// Publishes the clients that wrote something, so that other servers read the primary for them for a
    /// while: a replica may not have the write yet.
    ///
    /// # Errors
    ///
    /// Redis is not available. The message may have been published or not.
    pub async fn publish_writers(&self, writers: Vec<ReaderId>) -> Result<(), RedisUnavailable> {
        let connection = self.connection().ok_or(RedisUnavailable)?;
        let message = self.encode_message(PeerMessage::Wrote { writers })?;
        let mut publish = pipe();
        publish.publish(self.channel(), message).ignore();
        self.run(&connection, &mut publish).await.ok_or(RedisUnavailable)
    }

    fn encode_message(&self, message: PeerMessage) -> Result<String, RedisUnavailable> {
        let message = Message { server: self.server, message };
        serde_json::to_string(&message).map_err(|_| RedisUnavailable)
    }

    /// Purges Redis for these events.
    ///
    /// # Errors
    ///
    /// Redis is not available. The purge may have been executed or not.
    pub async fn purge(&self, events: &[InvalidationEvent]) -> Result<(), RedisUnavailable> {
        let connection = self.connection().ok_or(RedisUnavailable)?;
        let mut commands = purge_command(&connection.namespace, events);
        if commands.cmd_iter().next().is_none() {
            return Ok(());
        }
        self.run(&connection, &mut commands).await.ok_or(RedisUnavailable)
    }

    /// Outbox position up to which invalidations were applied to this Redis; `None` if it is unknown.
    ///
    /// # Errors
    ///
    /// Redis is not available.
    pub async fn applied_position(&self) -> Result<Option<i64>, RedisUnavailable> {
        let connection = self.connection().ok_or(RedisUnavailable)?;
        let position_key = position_key(&connection.namespace);
        let found: Option<(Value,)> = self.run(&connection, pipe().get(position_key)).await;
        let (position,) = found.ok_or(RedisUnavailable)?;
        Ok(i64::from_redis_value(position).ok())
    }

    /// Records the outbox position up to which invalidations were applied to this Redis, for that time.
    ///
    /// # Errors
    ///
    /// Redis is not available.
    pub async fn set_applied_position(
        &self,
        position: i64,
        ttl: Duration,
    ) -> Result<(), RedisUnavailable> {
        let connection = self.connection().ok_or(RedisUnavailable)?;
        let mut set = pipe();
        let seconds = ttl.as_secs().max(1);
        set.set_ex(position_key(&connection.namespace), position, seconds).ignore();
        self.run(&connection, &mut set).await.ok_or(RedisUnavailable)
    }

    /// Waits for a reply of Redis. Every message published before it has been received by then.
    ///
    /// # Errors
    ///
    /// Redis is not available.
    pub async fn ping(&self) -> Result<(), RedisUnavailable> {
        let connection = self.connection().ok_or(RedisUnavailable)?;
        self.run(&connection, pipe().cmd("PING").ignore()).await.ok_or(RedisUnavailable)
    }

    /// Sends commands. `None` if they fail; Redis is disconnected after several failures in a row.
    async fn run<T: FromRedisValue>(
        &self,
        connection: &Connection,
        commands: &mut Pipeline,
    ) -> Option<T> {
        let reply: RedisResult<T> = commands.query_async(&mut connection.multiplexed.clone()).await;
        match reply {
            Ok(reply) => {
                self.failures.store(0, Ordering::Relaxed);
                Some(reply)
            }
            Err(error) => {
                self.record_failure(connection, &error);
                None
            }
        }
    }

    fn record_failure(&self, connection: &Connection, error: &RedisError) {
        let is_lost = error.is_connection_dropped()
            || error.is_unrecoverable_error()
            || takes_no_writes(error);
        if !is_lost && !error.is_timeout() && !error.is_io_error() {
            // Redis replied, with an error.
            tracing::warn!(%error, "Redis rejected a command");
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if is_lost || failures >= REDIS_FAILURES {
            let mut state = self.connection.write().unwrap_or_else(PoisonError::into_inner);
            // Another task may have connected again meanwhile.
            if let ConnectionState::Connected(current) = &*state
                && Arc::ptr_eq(&current.namespace, &connection.namespace)
            {
                tracing::warn!(%error, failures, "Redis disconnected");
                *state = ConnectionState::Disconnected;
                drop(state);
                self.disconnected.notify_waiters();
            }
        }
    }
}

/// True if Redis became a replica, or loads its data. It holds values that no purge reaches, until it is connected
/// again as the primary that it is then.
fn takes_no_writes(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
        )
    )
}

/// Deletes the tokens of everything that the events invalidate, atomically by one command. Empty if that is nothing.
fn purge_command(namespace: &str, events: &[InvalidationEvent]) -> Pipeline {
    let patterns = events.iter().flat_map(InvalidationEvent::key_patterns);
    let keys: Vec<_> = patterns.map(|pattern| purged_token_key(namespace, &pattern)).collect();
    let mut commands = pipe();
    if !keys.is_empty() {
        commands.del(keys).ignore();
    }
    commands
}

/// Redis key of a value. All Redis keys have one hash tag, so that they share a slot in a cluster.
fn value_key(namespace: &str, key: &str) -> String {
    format!("{{{namespace}}}:value:{key}")
}

fn position_key(namespace: &str) -> String {
    format!("{{{namespace}}}:position")
}

/// Redis keys of the tokens of a key's prefixes, from none of its parts to all.
fn token_keys(namespace: &str, key: &str) -> Vec<String> {
    let ends = key.match_indices(SEPARATOR).map(|(end, _)| end).chain([key.len()]);
    let prefixes = ends.map(|end| &key[..end]);
    std::iter::once(EVERYTHING).chain(prefixes).map(|name| token_key(namespace, name)).collect()
}

/// Redis key of the token that a purge deletes: that of the longest prefix of all matching keys.
fn purged_token_key(namespace: &str, pattern: &Pattern) -> String {
    let prefix: Vec<&str> = pattern.prefix().collect();
    if prefix.is_empty() {
        return token_key(namespace, EVERYTHING);
    }
    token_key(namespace, &prefix.join(&SEPARATOR.to_string()))
}

fn token_key(namespace: &str, prefix: &str) -> String {
    format!("{{{namespace}}}:token:{prefix}")
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

    #[test]
    fn purge_is_one_command_and_no_transaction() {
        let events = [InvalidationEvent::Everything, InvalidationEvent::CountersFolded];
        let mut commands = purge_command("n", &events);
        commands.publish("channel", "message").ignore();
        let packed = String::from_utf8(commands.get_packed_pipeline()).expect("text");
        let names: Vec<&str> =
            packed.lines().filter(|line| matches!(*line, "DEL" | "PUBLISH" | "MULTI")).collect();
        assert_eq!(names, ["DEL", "PUBLISH"], "{packed}");
    }

    #[test]
    fn purge_deletes_the_token_of_a_prefix_of_each_matching_key() {
        let keys = token_keys("n", "user:1:stats(+0,5)");
        let prefixes = ["*", "user", "user:1", "user:1:stats(+0,5)"];
        assert_eq!(keys, prefixes.map(|name| format!("{{n}}:token:{name}")));
        for pattern in ["*", "user:*", "user:1:*", "user:1:stats", "user:1:stats(+0,5)", "*:1:*"] {
            let pattern = Pattern::parse(pattern).expect(pattern);
            assert!(keys.contains(&purged_token_key("n", &pattern)), "{pattern}");
        }
        for pattern in ["analytics:*", "user:11:*", "user:2:stats"] {
            let pattern = Pattern::parse(pattern).expect(pattern);
            assert!(!keys.contains(&purged_token_key("n", &pattern)), "{pattern}");
        }
    }
}
