//! Settings of the slow-query monitor, and how much it keeps of each.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::{milliseconds_or_none, whole_number};

/// Slow queries that one answer lists.
pub const SLOW_QUERIES_LISTED: RangeInclusive<i32> = 0..=100;
/// Bytes that are kept of the text of a slow query; what is longer is cut, and has no plan.
pub const SLOW_QUERY_BYTES: usize = 16_384;
/// Characters that are kept of the name of an operation, which the client chose.
pub const OPERATION_CHARACTERS: usize = 100;
/// Parameters of which the kind is kept.
pub const PARAMETERS: usize = 50;
/// Between two warnings of the same slow query.
pub const WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// What PostgreSQL may take to plan a slow query for an admin.
pub const PLAN_TIMEOUT: Duration = Duration::from_secs(1);

/// More are no list that anybody reads.
const SLOW_QUERIES_MAXIMUM: usize = 1_000;

/// Which statements are noted as slow.
#[derive(Debug, Clone, Args)]
pub struct MonitorSettings {
    /// Milliseconds from which a SQL statement is noted as slow; 0 notes every one
    #[arg(id = "slow_query_ms", long = "slow-query-ms", env = "SLOW_QUERY_MS", value_parser = milliseconds_or_none, default_value = "100", global = true, hide_env_values = true)]
    pub slow_query: Duration,

    /// Slow queries that are kept; the one seen longest ago makes room for a new one
    #[arg(id = "max_slow_queries", long = "max-slow-queries", env = "MAX_SLOW_QUERIES", value_parser = slow_queries, default_value = "100", global = true, hide_env_values = true)]
    pub slow_queries: usize,
}

fn slow_queries(text: &str) -> Result<usize, String> {
    whole_number(text, 1, SLOW_QUERIES_MAXIMUM)
}
