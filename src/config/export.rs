//! Settings of exports: responses of any length, streamed in batches.

use std::time::Duration;

use clap::Args;

use super::{milliseconds, whole_number};

/// Bytes of one chunk of an export, to which the idle timeout applies.
pub const EXPORT_CHUNK_BYTES: usize = 65_536;
/// `Retry-After` for a user whose export is running.
pub const EXPORT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Upper bound of `EXPORT_BATCH`: larger batches take much memory, and their cards several statements.
const BATCH_MAXIMUM: u64 = 5_000;
/// Upper bound of `MAX_EXPORTS`: each export holds a batch in memory.
const EXPORTS_MAXIMUM: usize = 1_000;

/// Batches, timeouts and concurrency of exports.
#[derive(Debug, Clone, Args)]
pub struct ExportSettings {
    /// Readings per batch of an export
    #[arg(id = "export_batch", long = "export-batch", env = "EXPORT_BATCH", value_parser = batch, default_value = "500", global = true, hide_env_values = true)]
    pub batch: u64,

    /// Timeout of reading one batch, the wait for a connection included, in milliseconds
    #[arg(id = "export_batch_timeout_ms", long = "export-batch-timeout-ms", env = "EXPORT_BATCH_TIMEOUT_MS", value_parser = milliseconds, default_value = "10000", global = true, hide_env_values = true)]
    pub batch_timeout: Duration,

    /// Timeout of a client for receiving 64 KiB of an export, in milliseconds
    #[arg(id = "export_idle_timeout_ms", long = "export-idle-timeout-ms", env = "EXPORT_IDLE_TIMEOUT_MS", value_parser = milliseconds, default_value = "30000", global = true, hide_env_values = true)]
    pub idle_timeout: Duration,

    /// Maximum concurrent exports, one per user; further ones are rejected
    #[arg(id = "max_exports", long = "max-exports", env = "MAX_EXPORTS", value_parser = exports, default_value = "4", global = true, hide_env_values = true)]
    pub exports: usize,
}

fn batch(text: &str) -> Result<u64, String> {
    whole_number(text, 1, BATCH_MAXIMUM)
}

fn exports(text: &str) -> Result<usize, String> {
    whole_number(text, 1, EXPORTS_MAXIMUM)
}
