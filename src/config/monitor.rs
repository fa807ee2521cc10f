//! Settings of the slow-query monitor, and the size of its entries.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::{milliseconds_or_none, whole_number};

/// Page size of the list of slow queries.
pub const SLOW_QUERIES_LISTED: RangeInclusive<i32> = 0..=100;
/// Maximum bytes of a recorded SQL text; a longer one is truncated and has no plan.
pub const SLOW_QUERY_BYTES: usize = 16_384;
/// Maximum characters of a recorded operation name, which the client chose.
pub const OPERATION_CHARACTERS: usize = 100;
/// Maximum number of recorded parameter types.
pub const PARAMETERS: usize = 50;
/// Minimum interval between two warnings of the same slow query.
pub const WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// Timeout of EXPLAIN for an admin, on PostgreSQL.
pub const PLAN_TIMEOUT: Duration = Duration::from_secs(1);

/// Upper bound of `MAX_SLOW_QUERIES`.
const SLOW_QUERIES_MAXIMUM: usize = 1_000;

/// Threshold and capacity of the slow-query monitor.
#[derive(Debug, Clone, Args)]
pub struct MonitorSettings {
    /// Minimum duration of a slow SQL statement, in milliseconds; 0 records every statement
    #[arg(id = "slow_query_ms", long = "slow-query-ms", env = "SLOW_QUERY_MS", value_parser = milliseconds_or_none, default_value = "100", global = true, hide_env_values = true)]
    pub slow_query: Duration,

    /// Maximum recorded slow queries; the least recently seen one is evicted
    #[arg(id = "max_slow_queries", long = "max-slow-queries", env = "MAX_SLOW_QUERIES", value_parser = slow_queries, default_value = "100", global = true, hide_env_values = true)]
    pub slow_queries: usize,
}

fn slow_queries(text: &str) -> Result<usize, String> {
    whole_number(text, 1, SLOW_QUERIES_MAXIMUM)
}
