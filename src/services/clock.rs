//! What time it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db;
use crate::domain::lock::lock;

/// The clock that limits, lock-outs and lifetimes go by. Tests put it forward.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_microseconds: AtomicI64,
    /// Where it stands, if it does, without what it was put forward by.
    stopped_at: Mutex<Option<DateTime<Utc>>>,
}

impl Clock {
    /// The time, as the databases keep it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let time = lock(&self.stopped_at).unwrap_or_else(db::now);
        time + TimeDelta::microseconds(self.ahead_microseconds.load(Ordering::Relaxed))
    }

    /// Stops the clock: it is moved by [`Clock::advance`] only.
    pub fn stop(&self) {
        *lock(&self.stopped_at) = Some(db::now());
    }

    /// Puts the clock forward, or back.
    pub fn advance(&self, by: TimeDelta) {
        let microseconds = by.num_microseconds().unwrap_or_default();
        self.ahead_microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}
