//! Settings of the cache. How long each kind of value is kept stands in `cache/policy.rs`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::{milliseconds, seconds, whole_number, write_redacted_url, yes_or_no};

/// Counters that tell when the entries below a part of the keys were last purged. Two parts that share
/// one are purged together, which is right and costs a computation. An answer is made with a hundred
/// parts and more, so there are many.
pub const PURGE_COUNTERS: usize = 65_536;
/// Characters of a pattern of keys.
pub const PATTERN: RangeInclusive<usize> = 1..=200;
/// Of the room for whole answers one may take this part at most.
pub const ANSWER_SHARE: u64 = 16;
/// Requests that are answered before they are read take at most so large a part of that room, besides.
pub const KNOWN_SHARE: u64 = 8;
/// Memory that such a request takes beside what was sent, in bytes, roughly.
pub const KNOWN_REQUEST_BYTES: usize = 2_048;
/// Bytes of a query string or a body, and of the headers that it is remembered with, up to which a request
/// may be one. More than any client's own.
pub const KNOWN_BYTES: usize = 16 * 1_024;
/// Memory that a kept answer takes beside its body, its variables and its surrogate keys, in bytes.
pub const KEPT_ANSWER_BYTES: usize = 512;
/// Bytes of the surrogate keys of an answer; common caches take 16 KiB with all other headers.
pub const SURROGATE_KEY_BYTES: usize = 4_096;
/// Lookups between two sweeps from which a row of the table is busy.
pub const BUSY_LOOKUPS: u64 = 1_000;
/// Percent of hits below which a busy row is worth a warning.
pub const LOW_HIT_RATE: u64 = 20;

/// Answers of Redis that may fail or be late one after another before it is left out.
pub const REDIS_FAILURES: u32 = 3;

/// Bytes of what the names of keys in Redis begin with.
const REDIS_PREFIX_BYTES: RangeInclusive<usize> = 1..=50;
/// More entries than the memory of a server holds.
const ENTRIES_MAXIMUM: usize = 10_000_000;

/// More bytes than the memory of a server holds.
const BYTES_MAXIMUM: u64 = 1 << 40;

/// What is kept in memory of what was computed.
#[derive(Debug, Clone, Args)]
pub struct CacheSettings {
    /// Whether what was computed is kept for the next time
    #[arg(id = "cache_enabled", long = "cache-enabled", env = "CACHE_ENABLED", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub enabled: bool,

    /// Values that are kept; the one used longest ago makes room for a new one
    #[arg(id = "cache_max_entries", long = "cache-max-entries", env = "CACHE_MAX_ENTRIES", value_parser = entries, default_value = "1000", global = true, hide_env_values = true)]
    pub max_entries: usize,

    /// Bytes of public answers that are kept whole; the one used longest ago makes room, one may take a sixteenth, and 0 keeps none
    #[arg(id = "cache_answers_bytes", long = "cache-answers-bytes", env = "CACHE_ANSWERS_BYTES", value_parser = answers_bytes, default_value = "16777216", global = true, hide_env_values = true)]
    pub answers_bytes: u64,

    /// Percent by which the lifetime of a value may be shorter, at random, so that what was computed together does not expire together
    #[arg(id = "cache_ttl_jitter", long = "cache-ttl-jitter", env = "CACHE_TTL_JITTER", value_parser = percent, default_value = "10", global = true, hide_env_values = true)]
    pub ttl_jitter: u8,

    /// What several servers on one database tell each other.
    #[command(flatten)]
    pub peers: PeerSettings,
}

/// Servers on one database: they hear of each other's writes, and share what they computed.
#[derive(Debug, Clone, Args)]
pub struct PeerSettings {
    /// Redis, where servers share what they computed and hear of each other's writes at once: `redis://…` or `rediss://…`
    #[arg(id = "redis_url", long = "redis-url", env = "REDIS_URL", value_parser = redis_url, global = true, hide_env_values = true)]
    pub redis_url: Option<RedisUrl>,

    /// What the names of all keys in Redis begin with; deployments that share one Redis need one each
    #[arg(id = "redis_prefix", long = "redis-prefix", env = "REDIS_PREFIX", value_parser = redis_prefix, default_value = "wasteland-tarot", global = true, hide_env_values = true)]
    pub redis_prefix: String,

    /// Milliseconds to wait for an answer of Redis
    #[arg(id = "redis_timeout_ms", long = "redis-timeout-ms", env = "REDIS_TIMEOUT_MS", value_parser = milliseconds, default_value = "50", global = true, hide_env_values = true)]
    pub redis_timeout: Duration,

    /// Milliseconds to wait for a connection to Redis
    #[arg(id = "redis_connect_timeout_ms", long = "redis-connect-timeout-ms", env = "REDIS_CONNECT_TIMEOUT_MS", value_parser = milliseconds, default_value = "250", global = true, hide_env_values = true)]
    pub redis_connect_timeout: Duration,

    /// Milliseconds between two tries to reach Redis
    #[arg(id = "redis_retry_ms", long = "redis-retry-ms", env = "REDIS_RETRY_MS", value_parser = milliseconds, default_value = "500", global = true, hide_env_values = true)]
    pub redis_retry: Duration,

    /// Milliseconds between two looks at what other servers have written
    #[arg(id = "cache_look_ms", long = "cache-look-ms", env = "CACHE_LOOK_MS", value_parser = milliseconds, default_value = "500", global = true, hide_env_values = true)]
    pub look: Duration,

    /// Milliseconds that may have passed since the last look at what other servers have written before nothing that is kept is answered; so old may a kept value be at most
    #[arg(id = "cache_staleness_ms", long = "cache-staleness-ms", env = "CACHE_STALENESS_MS", value_parser = milliseconds, default_value = "2000", global = true, hide_env_values = true)]
    pub staleness: Duration,

    /// Seconds for which it stays written down what each write made old; a server that did not look for half of that drops all that it has kept
    #[arg(id = "cache_outbox_seconds", long = "cache-outbox-seconds", env = "CACHE_OUTBOX_SECONDS", value_parser = seconds, default_value = "600", global = true, hide_env_values = true)]
    pub outbox: Duration,
}

/// The address of Redis, which may hold a password and is therefore never shown whole.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The address itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl std::fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_redacted_url(&self.0, formatter)
    }
}

fn redis_url(text: &str) -> Result<RedisUrl, String> {
    let is_known = ["redis", "rediss"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .is_some_and(|place| !place.is_empty())
    });
    if is_known && redis::parse_redis_url(text).is_some() {
        return Ok(RedisUrl(text.to_owned()));
    }
    Err("an address: redis://… or rediss://…".to_owned())
}

fn entries(text: &str) -> Result<usize, String> {
    whole_number(text, 1, ENTRIES_MAXIMUM)
}

fn answers_bytes(text: &str) -> Result<u64, String> {
    whole_number(text, 0, BYTES_MAXIMUM)
}

fn percent(text: &str) -> Result<u8, String> {
    whole_number(text, 0, 100)
}

fn redis_prefix(text: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    if REDIS_PREFIX_BYTES.contains(&text.len()) && begins && text.bytes().all(is_good) {
        return Ok(text.to_owned());
    }
    Err("a letter, and up to 49 letters, digits, `-`, `_` and `.`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_redis_are_shown_without_their_passwords() {
        let url = redis_url("redis://me:swordfish@10.0.0.1:6379/2").expect("an address");
        assert_eq!(format!("{url:?} {url}"), "redis://…@10.0.0.1:6379/2 redis://…@10.0.0.1:6379/2");
        for wrong in ["", "redis://", "http://localhost", "localhost:6379"] {
            assert!(redis_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_is_a_name() {
        let longest = "a".repeat(50);
        for good in ["a", "wasteland-tarot", "a1_b.c", &longest] {
            assert_eq!(redis_prefix(good).as_deref(), Ok(good));
        }
        for wrong in ["", "7", "-a", "a:b", "a{b}", "ä", &"a".repeat(51)] {
            assert!(redis_prefix(wrong).is_err(), "{wrong}");
        }
    }
}
