//! Settings of admission: how many requests are executed at once, how many wait, and what one client may take of both.

use std::time::Duration;

use clap::Args;

use super::{milliseconds, whole_number};

/// Limit of the accounts of one address together, and of the /64 networks of an IPv6 /48, as a multiple of the limit of one
/// of them.
pub const SHARED_NETWORK_FACTOR: u32 = 4;

/// SQL time that a client may use at once after a pause, as a multiple of what it may use in a second.
pub const SQL_BUDGET_BURST_SECONDS: f64 = 2.0;

/// Requests at once of a client without SQL budget.
pub const REQUESTS_WITHOUT_BUDGET: u32 = 1;

/// Interval at which overload is evaluated.
pub const OVERLOAD_PERIOD: Duration = Duration::from_secs(1);

/// Share of refused requests in a period that makes the next one a period of overload.
pub const OVERLOAD_REFUSED_SHARE: f64 = 0.1;

/// Target of the wait under overload, which bounds the queue.
pub const OVERLOAD_QUEUE_TIME: Duration = Duration::from_millis(2);

/// Minimum interval between two warnings of overload.
pub const OVERLOAD_WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Requests after which the concurrency limit is adjusted.
pub const LIMIT_WINDOW_REQUESTS: u32 = 64;

/// Adjustments after which latency is measured at low concurrency.
pub const BASELINE_WINDOWS: u32 = 100;

/// Mean latency that does not lower the concurrency limit, as a multiple of the mean latency at low concurrency.
pub const LATENCY_TOLERANCE: f64 = 1.1;

/// Lowest concurrency limit, at which the latency is taken to be that of a server without load.
pub const CONCURRENCY_MINIMUM: usize = 4;

/// Upper bound of the numbers of requests.
const REQUESTS_MAXIMUM: usize = 100_000;

/// Upper bound of the SQL budget: more than there can be connections.
const SQL_BUDGET_MAXIMUM: u32 = 10_000_000;

/// Limits of admission.
#[derive(Debug, Clone, Args)]
pub struct AdmissionSettings {
    /// Upper bound of the requests that are executed at once; the limit below it follows the latency
    #[arg(long, env = "MAX_CONCURRENT_REQUESTS", value_parser = concurrency, default_value = "64", global = true, hide_env_values = true)]
    pub max_concurrent_requests: usize,

    /// Maximum requests that wait to be executed
    #[arg(long, env = "MAX_QUEUED_REQUESTS", value_parser = requests, default_value = "256", global = true, hide_env_values = true)]
    pub max_queued_requests: usize,

    /// Time that a request waits to be executed, in milliseconds
    #[arg(id = "queue_timeout_ms", long = "queue-timeout-ms", env = "QUEUE_TIMEOUT_MS", value_parser = milliseconds, default_value = "500", global = true, hide_env_values = true)]
    pub queue_timeout: Duration,

    /// Maximum requests of one client that are executed at once
    #[arg(long, env = "MAX_CONCURRENT_REQUESTS_PER_CLIENT", value_parser = requests, default_value = "8", global = true, hide_env_values = true)]
    pub max_concurrent_requests_per_client: usize,

    /// Maximum requests of one client that wait to be executed
    #[arg(long, env = "MAX_QUEUED_REQUESTS_PER_CLIENT", value_parser = requests, default_value = "256", global = true, hide_env_values = true)]
    pub max_queued_requests_per_client: usize,

    /// SQL time that one client may use in a second, in milliseconds, before it waits behind all others; 0 turns it off
    #[arg(long, env = "CLIENT_SQL_MS_PER_SECOND", value_parser = sql_budget, default_value = "1000", global = true, hide_env_values = true)]
    pub client_sql_ms_per_second: u32,
}

fn concurrency(text: &str) -> Result<usize, String> {
    whole_number(text, CONCURRENCY_MINIMUM, REQUESTS_MAXIMUM)
}

fn requests(text: &str) -> Result<usize, String> {
    whole_number(text, 1, REQUESTS_MAXIMUM)
}

fn sql_budget(text: &str) -> Result<u32, String> {
    whole_number(text, 0, SQL_BUDGET_MAXIMUM)
}

#[cfg(test)]
impl Default for AdmissionSettings {
    /// Defaults from the declarations of the settings.
    fn default() -> Self {
        use clap::FromArgMatches;
        let command = Self::augment_args(clap::Command::new("admission"));
        let matches = command.get_matches_from(["admission"]);
        Self::from_arg_matches(&matches).expect("defaults are valid")
    }
}
