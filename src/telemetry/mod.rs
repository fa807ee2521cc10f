//! Log and standard output, set up once for the process. Nobody waits for either of them: a thread for each
//! writes the queued lines, and lines that do not fit into the queue are dropped and counted.

mod line;
mod output;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::config::Settings;
use crate::config::log::{FLUSH_TIMEOUT, LogFormat};
use line::LineFormat;
use output::Output;

/// Library that logs each migration; the server logs their number, which is enough.
const QUIET: &str = "sea_orm_migration";

static STDERR: OnceLock<Arc<Output>> = OnceLock::new();
static STDOUT: OnceLock<Arc<Output>> = OnceLock::new();

/// Starts logging to standard error in the configured format, and the queue of standard output. Panics are
/// logged as errors. A second start in the same process, as in tests, has no effect.
///
/// # Errors
///
/// The system has no file descriptors or no threads left.
pub fn start(settings: &Settings) -> io::Result<()> {
    if STDERR.get().is_some() {
        return Ok(());
    }
    let is_coloured = io::stderr().is_terminal();
    let format = match settings.log.format {
        Some(LogFormat::Json) => LineFormat::Json,
        None if settings.is_production() => LineFormat::Json,
        _ if is_coloured => LineFormat::ColouredText,
        _ => LineFormat::Text,
    };
    let (buffer_bytes, line_bytes) = (settings.log.buffer_bytes, settings.log.line_bytes);
    let stderr = Output::start(io::stderr().as_fd(), buffer_bytes, format)?;
    let stdout = Output::start(io::stdout().as_fd(), buffer_bytes, LineFormat::Text)?;
    let output = Arc::clone(STDERR.get_or_init(|| stderr));
    STDOUT.get_or_init(|| stdout);

    let filter = settings.log.filter.clone();
    let filter = if filter.iter().any(|(target, _)| target == QUIET) {
        filter
    } else {
        filter.with_target(QUIET, LevelFilter::WARN)
    };
    let layer = fmt::layer().with_writer(LogWriter { output, format, line_bytes });
    let subscriber = registry().with(filter);
    // Fails if the process has a subscriber already.
    let _ = match format {
        LineFormat::Json => subscriber.with(layer.json().flatten_event(true)).try_init(),
        LineFormat::Text | LineFormat::ColouredText => {
            subscriber.with(layer.with_target(false).with_ansi(is_coloured)).try_init()
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a task panicked");
    }));
    Ok(())
}

/// Queues a line for standard output.
pub fn print_line(line: &str) {
    if let Some(output) = STDOUT.get() {
        output.push(line);
    }
}

/// Writes a line to standard error: through the queue of the log, if it was started.
pub fn print_error(line: &str) {
    match STDERR.get() {
        Some(output) => output.push(line),
        None => {
            // Nobody is left to whom a failure could be reported.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

/// Number of log lines that were dropped since the start of the process.
#[must_use]
pub fn dropped_lines() -> u64 {
    STDERR.get().map_or(0, |output| output.dropped_lines())
}

/// Writes what is queued, at the end of the process. Gives up after [`FLUSH_TIMEOUT`].
pub fn flush() {
    let deadline = Instant::now() + FLUSH_TIMEOUT;
    for output in [&STDOUT, &STDERR].into_iter().filter_map(OnceLock::get) {
        output.finish(deadline);
    }
}

/// Writer of events, each of which is one line.
struct LogWriter {
    output: Arc<Output>,
    format: LineFormat,
    line_bytes: usize,
}

impl Write for &LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.output.push(&self.format.bounded(text.trim_end_matches('\n'), self.line_bytes));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}
