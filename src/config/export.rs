//! Settings of exports: answers of any length, written in batches.

use std::time::Duration;

use clap::Args;

use super::{milliseconds, whole_number};

/// Bytes that are handed to a client at a time. An idle limit is for as many.
pub const EXPORT_CHUNK_BYTES: usize = 65_536;
/// When to ask again for whom an export is being written.
pub const EXPORT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// More readings at a time are no longer little memory, and their cards no longer one statement.
const BATCH_MAXIMUM: u64 = 5_000;
/// Each may hold a batch in memory.
const EXPORTS_MAXIMUM: usize = 1_000;

/// How exports are written.
#[derive(Debug, Clone, Args)]
pub struct ExportSettings {
    /// Readings that an export reads at a time
    #[arg(id = "export_batch", long = "export-batch", env = "EXPORT_BATCH", value_parser = batch, default_value = "500", global = true, hide_env_values = true)]
    pub batch: u64,

    /// Milliseconds for which an export may read one batch, the wait for a connection included
    #[arg(id = "export_batch_timeout_ms", long = "export-batch-timeout-ms", env = "EXPORT_BATCH_TIMEOUT_MS", value_parser = milliseconds, default_value = "10000", global = true, hide_env_values = true)]
    pub batch_timeout: Duration,

    /// Milliseconds in which a client must take 64 KiB of an export
    #[arg(id = "export_idle_timeout_ms", long = "export-idle-timeout-ms", env = "EXPORT_IDLE_TIMEOUT_MS", value_parser = milliseconds, default_value = "30000", global = true, hide_env_values = true)]
    pub idle_timeout: Duration,

    /// Exports that are written at the same time, one for each user; more are refused
    #[arg(id = "max_exports", long = "max-exports", env = "MAX_EXPORTS", value_parser = exports, default_value = "4", global = true, hide_env_values = true)]
    pub exports: usize,
}

fn batch(text: &str) -> Result<u64, String> {
    whole_number(text, 1, BATCH_MAXIMUM)
}

fn exports(text: &str) -> Result<usize, String> {
    whole_number(text, 1, EXPORTS_MAXIMUM)
}
