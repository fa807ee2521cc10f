//! Set-up of logs, once for the process.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Settings;
use crate::config::log::LogFormat;

/// The migration library logs each step; the server logs their number, which is enough.
const QUIET: &str = "sea_orm_migration=warn";

/// Starts logging to standard error in the configured format. Panics are logged as errors.
pub fn start(settings: &Settings) {
    let format = settings.log.format.unwrap_or(if settings.is_production() {
        LogFormat::Json
    } else {
        LogFormat::Text
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{}", settings.log.filter)))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second start in the same process, as in tests, has no effect.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a task panicked");
    }));
}
