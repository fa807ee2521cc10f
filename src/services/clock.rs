//! What time it is.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::db;

/// The clock that limits, lock-outs and lifetimes go by. Tests put it forward.
#[derive(Debug, Default)]
pub struct Clock {
    ahead_microseconds: AtomicI64,
}

impl Clock {
    /// The time, as the databases keep it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        db::now() + TimeDelta::microseconds(self.ahead_microseconds.load(Ordering::Relaxed))
    }

    /// Puts the clock forward, or back.
    pub fn advance(&self, by: TimeDelta) {
        let microseconds = by.num_microseconds().unwrap_or_default();
        self.ahead_microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}
