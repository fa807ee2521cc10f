//! The clock of limits, lock-outs and lifetimes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db;
use crate::domain::lock::lock;

/// A clock that tests can stop and advance.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_microseconds: AtomicI64,
    /// Time of a stopped clock, without the offset by which it was advanced.
    stopped_at: Mutex<Option<DateTime<Utc>>>,
}

impl Clock {
    /// Current time, truncated to the precision of the databases.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let time = lock(&self.stopped_at).unwrap_or_else(db::now);
        time + TimeDelta::microseconds(self.ahead_microseconds.load(Ordering::Relaxed))
    }

    /// Stops the clock; from then on only [`Clock::advance`] moves it.
    pub fn stop(&self) {
        *lock(&self.stopped_at) = Some(db::now());
    }

    /// Moves the clock forward, or back by a negative offset.
    pub fn advance(&self, by: TimeDelta) {
        let microseconds = by.num_microseconds().unwrap_or_default();
        self.ahead_microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}
