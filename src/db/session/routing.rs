//! Routing of a session to the primary or to a replica, and failover from the replica to the primary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::db::pool::Pool;
use crate::db::replicas::{ReadTarget, Replicas};

/// The database on which a session's statements run.
pub(in crate::db) enum Route {
    /// On the primary.
    Primary(Pool),
    /// On a replica, or all on the primary if the replica cannot be reached.
    Replica {
        replicas: Arc<Replicas>,
        index: usize,
        /// Time up to which all commits were visible on the replica before the first read, if known.
        fresh_as_of: Option<Instant>,
        primary: Pool,
    },
}

/// The route of a session, and its failover.
pub(super) struct Routing {
    route: Route,
    has_failed_over: AtomicBool,
    has_read: AtomicBool,
}

impl Routing {
    pub(super) fn new(route: Route) -> Self {
        Self { route, has_failed_over: AtomicBool::default(), has_read: AtomicBool::default() }
    }

    /// The pool of the database that serves the session now.
    pub(super) fn pool(&self) -> &Pool {
        match (&self.route, self.target()) {
            (Route::Replica { replicas, .. }, ReadTarget::Replica(index)) => replicas.pool(index),
            (Route::Replica { primary: pool, .. } | Route::Primary(pool), _) => pool,
        }
    }

    /// The database that serves the session now.
    pub(super) fn target(&self) -> ReadTarget {
        match &self.route {
            Route::Replica { index, .. } if !self.has_failed_over.load(Ordering::Relaxed) => {
                ReadTarget::Replica(*index)
            }
            _ => ReadTarget::Primary,
        }
    }

    /// Time up to which all commits are visible to all reads of the session, if it is on a replica and known.
    pub(super) fn replica_fresh_as_of(&self) -> Option<Instant> {
        match (&self.route, self.target()) {
            (Route::Replica { fresh_as_of, .. }, ReadTarget::Replica(_)) => *fresh_as_of,
            _ => None,
        }
    }

    /// Records that a statement succeeded: from now on the session stays where it is, because one request
    /// reads one database.
    pub(super) fn record_read(&self) {
        self.has_read.store(true, Ordering::Relaxed);
    }

    /// Moves the session from its unreachable replica to the primary, unless it has read from the
    /// replica. Returns whether it moved.
    pub(super) fn fail_over(&self) -> bool {
        let Route::Replica { replicas, index, .. } = &self.route else { return false };
        if self.has_read.load(Ordering::Relaxed) {
            return false;
        }
        replicas.mark_unhealthy(*index);
        !self.has_failed_over.swap(true, Ordering::Relaxed)
    }
}
