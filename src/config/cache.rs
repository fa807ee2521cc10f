//! Settings of the cache. How long each kind of value is kept stands in `cache/policy.rs`.

use std::ops::RangeInclusive;

use clap::Args;

use super::{whole_number, yes_or_no};

/// Counters that tell when the entries below a part of the keys were last purged. Two parts that share
/// one are purged together, which is right and costs a computation.
pub const PURGE_COUNTERS: usize = 4_096;
/// Characters of a pattern of keys.
pub const PATTERN: RangeInclusive<usize> = 1..=200;
/// Lookups between two sweeps from which a row of the table is busy.
pub const BUSY_LOOKUPS: u64 = 1_000;
/// Percent of hits below which a busy row is worth a warning.
pub const LOW_HIT_RATE: u64 = 20;

/// More entries than the memory of a server holds.
const ENTRIES_MAXIMUM: usize = 10_000_000;

/// What is kept in memory of what was computed.
#[derive(Debug, Clone, Args)]
pub struct CacheSettings {
    /// Whether what was computed is kept for the next time
    #[arg(id = "cache_enabled", long = "cache-enabled", env = "CACHE_ENABLED", value_parser = yes_or_no, default_value = "true", action = clap::ArgAction::Set, global = true, hide_env_values = true)]
    pub enabled: bool,

    /// Values that are kept; the one used longest ago makes room for a new one
    #[arg(id = "cache_max_entries", long = "cache-max-entries", env = "CACHE_MAX_ENTRIES", value_parser = entries, default_value = "1000", global = true, hide_env_values = true)]
    pub max_entries: usize,

    /// Percent by which the lifetime of a value may be shorter, at random, so that what was computed together does not expire together
    #[arg(id = "cache_ttl_jitter", long = "cache-ttl-jitter", env = "CACHE_TTL_JITTER", value_parser = percent, default_value = "10", global = true, hide_env_values = true)]
    pub ttl_jitter: u8,
}

fn entries(text: &str) -> Result<usize, String> {
    whole_number(text, 1, ENTRIES_MAXIMUM)
}

fn percent(text: &str) -> Result<u8, String> {
    whole_number(text, 0, 100)
}
