//! Settings of logs.

use clap::{Args, ValueEnum};

/// Filter and format of logs.
#[derive(Debug, Clone, Args)]
pub struct LogSettings {
    /// Log level (error, warn, info, debug, trace) or a filter such as `info,sqlx=debug`
    #[arg(id = "log", long = "log", env = "LOG", value_parser = filter, default_value = "info", global = true, hide_env_values = true)]
    pub filter: String,

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
}

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable.
    Text,
    /// One JSON object a line.
    Json,
}

fn filter(text: &str) -> Result<String, String> {
    text.parse::<tracing_subscriber::EnvFilter>().map(|_| text.to_owned()).map_err(|_| {
        "error, warn, info, debug, trace, or a filter such as info,sqlx=debug".to_owned()
    })
}
