//! Concurrency limit of exports: one for each user, and a maximum over all users. An export reads much
//! and holds a batch in memory for as long as its client is slow.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::error::ServiceError;
use crate::config::export::EXPORT_RETRY_AFTER;
use crate::domain::lock::lock;

/// Permits of running exports in this process.
pub struct ExportPermits {
    limit: usize,
    active_users: ActiveUsers,
}

type ActiveUsers = Arc<Mutex<HashSet<Uuid>>>;

impl ExportPermits {
    /// At most `limit` exports at the same time.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, active_users: ActiveUsers::default() }
    }

    /// Acquires a permit for an export of that user; dropping it releases it.
    ///
    /// # Errors
    ///
    /// `RateLimited` if the user has a running export, `Overloaded` at the limit.
    pub fn acquire(&self, user: Uuid) -> Result<ExportPermit, ServiceError> {
        let mut active_users = lock(&self.active_users);
        if active_users.contains(&user) {
            let resource = "exports at the same time";
            return Err(ServiceError::RateLimited { resource, retry_after: EXPORT_RETRY_AFTER });
        }
        if active_users.len() >= self.limit {
            return Err(ServiceError::Overloaded);
        }
        active_users.insert(user);
        Ok(ExportPermit { user, active_users: Arc::clone(&self.active_users) })
    }
}

/// Permit to run one export.
pub struct ExportPermit {
    user: Uuid,
    active_users: ActiveUsers,
}

impl Drop for ExportPermit {
    fn drop(&mut self) {
        lock(&self.active_users).remove(&self.user);
    }
}
