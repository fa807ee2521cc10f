//! Settings of logs.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::whole_number;

/// Timeout of writing the queued lines when the process ends.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a failed write: to a full disk, say, or to a pipe without a reader.
pub const WRITE_RETRY: Duration = Duration::from_millis(100);
/// Maximum bytes of one write. It ends at the end of a line.
pub const WRITE_BYTES: usize = LINE_BYTES_MAXIMUM;
/// Bytes of the queue that are left for the line about dropped lines.
pub const NOTICE_BYTES: usize = 256;
/// Bytes to which the strings of a line are truncated at most; a timestamp is shorter.
pub const FIELD_BYTES_MINIMUM: usize = 32;
/// Target of the lines of the audit log, which `LOG` can name as it names crates.
pub const AUDIT_TARGET: &str = "audit";
/// Maximum characters of a text from a client in a line of the log.
pub const CLIENT_TEXT_CHARACTERS: usize = 200;

/// Lower bound of `LOG_LINE_BYTES`: time, level, target and the begin of a message.
const LINE_BYTES_MINIMUM: usize = 1024;
/// Upper bound of `LOG_LINE_BYTES`, and lower bound of `LOG_BUFFER_BYTES`: every line fits.
const LINE_BYTES_MAXIMUM: usize = 65_536;
/// Upper bound of `LOG_BUFFER_BYTES`, 1 GiB.
const BUFFER_BYTES_MAXIMUM: usize = 1 << 30;

/// Crates whose events the log may show.
const LOCK_FILE: &str = include_str!("../../Cargo.lock");

/// Filter, format and sizes of logs.
#[derive(Debug, Clone, Args)]
pub struct LogSettings {
    /// Log level (error, warn, info, debug, trace, off) or a filter by crate and module such as `info,sqlx=debug`
    #[arg(id = "log", long = "log", env = "LOG", value_parser = filter, default_value = "info", global = true, hide_env_values = true)]
    pub filter: Targets,

    /// Format of log lines (default: text; json in production)
    #[arg(
        id = "log_format",
        long = "log-format",
        env = "LOG_FORMAT",
        value_enum,
        global = true,
        hide_env_values = true
    )]
    pub format: Option<LogFormat>,

    /// Maximum bytes of a log line; longer ones are truncated
    #[arg(id = "log_line_bytes", long = "log-line-bytes", env = "LOG_LINE_BYTES", value_parser = line_bytes, default_value = "8192", global = true, hide_env_values = true)]
    pub line_bytes: usize,

    /// Maximum bytes of log lines that wait to be written; further ones are dropped
    #[arg(id = "log_buffer_bytes", long = "log-buffer-bytes", env = "LOG_BUFFER_BYTES", value_parser = buffer_bytes, default_value = "4194304", global = true, hide_env_values = true)]
    pub buffer_bytes: usize,
}

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable.
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter whose targets are crates of this program, modules in them, or the audit log. Any word is a target for the
/// library, so that a misspelt level would log nothing.
fn filter(text: &str) -> Result<Targets, String> {
    const EXPECTED: &str =
        "error, warn, info, debug, trace, off, or a filter such as info,sqlx=debug";
    let text: String = text.split_whitespace().collect();
    let targets = text.parse().map_err(|_| EXPECTED.to_owned())?;
    for directive in text.split(',') {
        let name = directive.split('=').next().unwrap_or_default();
        let is_level = !directive.contains('=') && name.parse::<LevelFilter>().is_ok();
        if !is_level && !is_target(name.split("::").next().unwrap_or_default()) {
            return Err(format!("{EXPECTED}; {name:?} is no level, and no crate of this program"));
        }
    }
    Ok(targets)
}

fn is_target(name: &str) -> bool {
    name == AUDIT_TARGET || is_crate(name)
}

fn is_crate(name: &str) -> bool {
    LOCK_FILE
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .any(|package| package.replace('-', "_") == name)
}

fn line_bytes(text: &str) -> Result<usize, String> {
    whole_number(text, LINE_BYTES_MINIMUM, LINE_BYTES_MAXIMUM)
}

fn buffer_bytes(text: &str) -> Result<usize, String> {
    whole_number(text, LINE_BYTES_MAXIMUM, BUFFER_BYTES_MAXIMUM)
}
