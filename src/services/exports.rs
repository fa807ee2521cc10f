//! Who has an export written: one for each user, and so many in all. An export reads much and holds a
//! batch of it in memory for as long as its client is slow.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::error::ServiceError;
use crate::config::export::EXPORT_RETRY_AFTER;
use crate::domain::lock::lock;

/// The exports of the process.
pub struct Exports {
    maximum: usize,
    running: Running,
}

type Running = Arc<Mutex<HashSet<Uuid>>>;

impl Exports {
    /// So many at the same time.
    #[must_use]
    pub fn new(maximum: usize) -> Self {
        Self { maximum, running: Running::default() }
    }

    /// Begins an export for that user, which lasts until the answer is dropped.
    ///
    /// # Errors
    ///
    /// The user has one, or there are as many as may be.
    pub fn begin(&self, user: Uuid) -> Result<ExportTurn, ServiceError> {
        let mut running = lock(&self.running);
        if running.contains(&user) {
            let what = "exports at the same time";
            return Err(ServiceError::Throttled { what, retry_after: EXPORT_RETRY_AFTER });
        }
        if running.len() >= self.maximum {
            return Err(ServiceError::Busy);
        }
        running.insert(user);
        Ok(ExportTurn { user, running: Arc::clone(&self.running) })
    }
}

/// The right to have an export written.
pub struct ExportTurn {
    user: Uuid,
    running: Running,
}

impl Drop for ExportTurn {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.user);
    }
}
