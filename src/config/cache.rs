//! Settings of the caches. The TTLs stand in `cache/policy.rs`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::{milliseconds, seconds, whole_number, write_redacted_url, yes_or_no};

/// Number of counters for the last purges of key prefixes. Two prefixes that share one are purged together, which is
/// correct and costs a computation. A response depends on a hundred prefixes and more, hence so many counters.
pub const PURGE_COUNTERS: usize = 65_536;
/// Length of a key pattern in characters.
pub const PATTERN: RangeInclusive<usize> = 1..=200;
/// Maximum share of one response in the response cache: 1 / 16.
pub const RESPONSE_CAPACITY_DIVISOR: u64 = 16;
/// Size of the request memo, beside the response cache and as a share of its size: 1 / 8.
pub const REQUEST_MEMO_CAPACITY_DIVISOR: u64 = 8;
/// Approximate memory of a memo entry besides the bytes of its request.
pub const REQUEST_MEMO_OVERHEAD_BYTES: usize = 2_048;
/// Maximum size of a request in the memo: query string or body, and the headers of its key. Larger than requests of
/// common clients.
pub const REQUEST_MEMO_MAX_REQUEST_BYTES: usize = 16 * 1_024;
/// Approximate memory of a cached response besides its body, operation name and surrogate keys, in bytes.
pub const RESPONSE_OVERHEAD_BYTES: usize = 512;
/// Maximum size of the surrogate keys of a response in bytes; common caches accept 16 KiB of headers in all.
pub const SURROGATE_KEY_BYTES: usize = 4_096;
/// Number of lookups between two sweeps that makes a cache policy busy.
pub const BUSY_LOOKUPS: u64 = 1_000;
/// Hit rate in percent below which a busy policy is logged.
pub const LOW_HIT_RATE: u64 = 20;

/// Failures of Redis commands in a row after which Redis is bypassed.
pub const REDIS_FAILURES: u32 = 3;

/// Length of the prefix of Redis keys in bytes.
const REDIS_PREFIX_BYTES: RangeInclusive<usize> = 1..=50;
/// Upper limit of the number of values: more than fit in the memory of a server.
const ENTRIES_MAXIMUM: usize = 10_000_000;

/// Upper limit of sizes in bytes: more than the memory of a server.
const BYTES_MAXIMUM: u64 = 1 << 40;

/// Settings of the caches of one server.
#[derive(Debug, Clone, Args)]
pub struct CacheSettings {
    /// Enable the response cache and the value cache
    #[arg(id = "cache_enabled", long = "cache-enabled", env = "CACHE_ENABLED", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub enabled: bool,

    /// Maximum number of cached values; the least recently used one is evicted first
    #[arg(id = "cache_max_entries", long = "cache-max-entries", env = "CACHE_MAX_ENTRIES", value_parser = entries, default_value = "1000", global = true, hide_env_values = true)]
    pub max_entries: usize,

    /// Maximum size of the response cache in bytes; the least recently used response is evicted first, one response may take a sixteenth, and 0 disables it
    #[arg(id = "response_cache_bytes", long = "response-cache-bytes", env = "RESPONSE_CACHE_BYTES", value_parser = response_cache_bytes, default_value = "16777216", global = true, hide_env_values = true)]
    pub response_cache_bytes: u64,

    /// Maximum random reduction of each TTL in percent, so that entries cached together do not expire together
    #[arg(id = "cache_ttl_jitter", long = "cache-ttl-jitter", env = "CACHE_TTL_JITTER", value_parser = percent, default_value = "10", global = true, hide_env_values = true)]
    pub ttl_jitter: u8,

    /// Send the cache tags of public responses as `surrogate-key`, for a CDN that purges by them
    #[arg(long, env = "SURROGATE_KEYS", value_parser = yes_or_no, default_value = "false", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub surrogate_keys: bool,

    /// Coherence of several servers on one database.
    #[command(flatten)]
    pub coherence: CoherenceSettings,
}

/// Settings of the coherence of several servers on one database: outbox, staleness and Redis.
#[derive(Debug, Clone, Args)]
pub struct CoherenceSettings {
    /// Redis for the shared cache tier and for invalidation messages between servers: `redis://…` or `rediss://…`
    #[arg(id = "redis_url", long = "redis-url", env = "REDIS_URL", value_parser = redis_url, global = true, hide_env_values = true)]
    pub redis_url: Option<RedisUrl>,

    /// Prefix of all keys and channels in Redis; deployments that share one Redis need different prefixes
    #[arg(id = "redis_prefix", long = "redis-prefix", env = "REDIS_PREFIX", value_parser = redis_prefix, default_value = "wasteland-tarot", global = true, hide_env_values = true)]
    pub redis_prefix: String,

    /// Timeout of a Redis command in milliseconds
    #[arg(id = "redis_timeout_ms", long = "redis-timeout-ms", env = "REDIS_TIMEOUT_MS", value_parser = milliseconds, default_value = "50", global = true, hide_env_values = true)]
    pub redis_timeout: Duration,

    /// Timeout of a connection attempt to Redis in milliseconds
    #[arg(id = "redis_connect_timeout_ms", long = "redis-connect-timeout-ms", env = "REDIS_CONNECT_TIMEOUT_MS", value_parser = milliseconds, default_value = "250", global = true, hide_env_values = true)]
    pub redis_connect_timeout: Duration,

    /// Pause between two connection attempts to Redis in milliseconds
    #[arg(id = "redis_retry_ms", long = "redis-retry-ms", env = "REDIS_RETRY_MS", value_parser = milliseconds, default_value = "500", global = true, hide_env_values = true)]
    pub redis_retry: Duration,

    /// Interval of the outbox poller in milliseconds
    #[arg(id = "outbox_poll_ms", long = "outbox-poll-ms", env = "OUTBOX_POLL_MS", value_parser = milliseconds, default_value = "500", global = true, hide_env_values = true)]
    pub outbox_poll: Duration,

    /// Maximum staleness of a cached value in milliseconds; the caches are bypassed while the last completed outbox poll began longer ago
    #[arg(id = "cache_staleness_ms", long = "cache-staleness-ms", env = "CACHE_STALENESS_MS", value_parser = milliseconds, default_value = "2000", global = true, hide_env_values = true)]
    pub staleness: Duration,

    /// Retention of outbox entries in seconds; a server that has not polled for half of it purges its whole cache
    #[arg(id = "outbox_retention_seconds", long = "outbox-retention-seconds", env = "OUTBOX_RETENTION_SECONDS", value_parser = seconds, default_value = "600", global = true, hide_env_values = true)]
    pub outbox_retention: Duration,
}

/// Address of Redis. It may contain a password, which `Debug` and `Display` leave out.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The address with its password.
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
    let has_scheme = ["redis", "rediss"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .is_some_and(|place| !place.is_empty())
    });
    if has_scheme && redis::parse_redis_url(text).is_some() {
        return Ok(RedisUrl(text.to_owned()));
    }
    Err("an address: redis://… or rediss://…".to_owned())
}

fn entries(text: &str) -> Result<usize, String> {
    whole_number(text, 1, ENTRIES_MAXIMUM)
}

fn response_cache_bytes(text: &str) -> Result<u64, String> {
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
    fn redis_urls_are_shown_without_passwords() {
        let url = redis_url("redis://me:swordfish@10.0.0.1:6379/2").expect("an address");
        assert_eq!(format!("{url:?} {url}"), "redis://…@10.0.0.1:6379/2 redis://…@10.0.0.1:6379/2");
        for wrong in ["", "redis://", "http://localhost", "localhost:6379"] {
            assert!(redis_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn prefix_accepts_names_only() {
        let longest = "a".repeat(50);
        for good in ["a", "wasteland-tarot", "a1_b.c", &longest] {
            assert_eq!(redis_prefix(good).as_deref(), Ok(good));
        }
        for wrong in ["", "7", "-a", "a:b", "a{b}", "ä", &"a".repeat(51)] {
            assert!(redis_prefix(wrong).is_err(), "{wrong}");
        }
    }
}
