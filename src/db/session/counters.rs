//! Statements, rows and time of one request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Statements of a request, the rows that they returned and the time that they took.
#[derive(Debug, Default)]
pub struct StatementCounters {
    statements: AtomicU64,
    rows: AtomicU64,
    microseconds: AtomicU64,
    pool_wait_microseconds: AtomicU64,
}

impl StatementCounters {
    /// Number of statements so far.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Number of rows read so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Time of all statements, the wait for a connection included.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }

    /// The part of [`Self::time`] spent waiting for a connection.
    #[must_use]
    pub fn pool_wait(&self) -> Duration {
        Duration::from_micros(self.pool_wait_microseconds.load(Ordering::Relaxed))
    }

    /// Counts a statement, whatever its result.
    pub(super) fn add_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds the time of a statement that ends now. `began` is when it was sent to the database, `None`
    /// if it got no connection.
    pub(super) fn add_time(&self, started: Instant, began: Option<Instant>) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let ended = Instant::now();
        let pool_wait = began.unwrap_or(ended).saturating_duration_since(started);
        self.microseconds.fetch_add(micros(ended - started), Ordering::Relaxed);
        self.pool_wait_microseconds.fetch_add(micros(pool_wait), Ordering::Relaxed);
    }

    pub(super) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
