//! Shortages of a database: of connections that it could accept, and of space for data.
//!
//! [`Shortages`] is shared by the pools of one database, so that a reason is logged once. [`WaitingLine`] is the line
//! of the requests of one pool that wait for a returned connection while the database accepts no other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sea_orm::sqlx;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::config::database::{CONNECT_BACKOFF, CONNECT_BACKOFF_MAXIMUM, POOL_WARNING_INTERVAL};
use crate::domain::lock::lock;

/// Shortages of one database.
#[derive(Default)]
pub(super) struct Shortages {
    pub(super) connections: ConnectionShortage,
    pub(super) storage: StorageShortage,
}

/// State of a shortage of connections: all that the database accepts are in use. Few connects are tried meanwhile,
/// because PostgreSQL starts a process for each, also for those that it refuses.
#[derive(Default)]
pub(super) struct ConnectionShortage(Mutex<ShortageState>);

#[derive(Default)]
struct ShortageState {
    /// `None` while the database accepts connections.
    refusal: Option<Refusal>,
    logged_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Refusal {
    next_connect: Instant,
    pause: Duration,
}

impl ConnectionShortage {
    /// True while the database accepts no connections.
    pub(super) fn is_there(&self) -> bool {
        lock(&self.0).refusal.is_some()
    }

    /// Permits a connect: always without a shortage, and during one after a pause that grows.
    pub(super) fn permits_connect(&self) -> bool {
        let mut state = lock(&self.0);
        let Some(refusal) = &mut state.refusal else { return true };
        let is_due = Instant::now() >= refusal.next_connect;
        if is_due {
            refusal.pause = CONNECT_BACKOFF_MAXIMUM.min(refusal.pause * 2);
            refusal.next_connect = Instant::now() + refusal.pause;
        }
        is_due
    }

    /// Records that the database refused a connection.
    pub(super) fn record_refusal(&self, error: &sqlx::Error) {
        let now = Instant::now();
        let mut state = lock(&self.0);
        if state.refusal.is_some() {
            return;
        }
        state.refusal =
            Some(Refusal { next_connect: now + CONNECT_BACKOFF, pause: CONNECT_BACKOFF });
        if state.logged_at.is_none_or(|logged| now - logged >= POOL_WARNING_INTERVAL) {
            state.logged_at = Some(now);
            drop(state);
            tracing::warn!(
                %error,
                "the database accepts no further connection; requests wait for those of the pool"
            );
        }
    }

    /// Records that the database accepted a connection.
    pub(super) fn record_connection(&self) {
        if lock(&self.0).refusal.take().is_some() {
            tracing::info!("the database accepts connections again");
        }
    }

    /// Time of the next connect.
    pub(super) fn next_connect(&self) -> Instant {
        lock(&self.0).refusal.map_or_else(Instant::now, |refusal| refusal.next_connect)
    }
}

/// State of a shortage of space: a statement failed because of it, and nothing shows yet that there is space again.
#[derive(Default)]
pub(super) struct StorageShortage(AtomicBool);

impl StorageShortage {
    /// True from a failure until a trial write succeeds.
    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Records that a statement failed for want of space.
    pub(super) fn record_failure(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!("the database has no space left; writes fail until there is some");
        }
    }

    /// Records that a trial write succeeded.
    pub(super) fn record_success(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("the database has space again");
        }
    }
}

/// The requests that wait for a connection of a pool which cannot grow, in the order of their arrival.
pub(super) struct WaitingLine {
    head: Semaphore,
    waiting: AtomicUsize,
    released: Notify,
}

impl Default for WaitingLine {
    fn default() -> Self {
        Self { head: Semaphore::new(1), waiting: AtomicUsize::new(0), released: Notify::new() }
    }
}

/// The head of the line.
pub(super) struct HeadOfLine<'a> {
    line: &'a WaitingLine,
    _counted: Counted<'a>,
    _permit: SemaphorePermit<'a>,
}

/// A request that is counted while it is in the line.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl WaitingLine {
    /// Number of requests in the line.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until the request is at the head of the line; `None` if it is not by that time.
    pub(super) async fn enter(&self, give_up_at: Instant) -> Option<HeadOfLine<'_>> {
        let counted = Counted::new(&self.waiting);
        // The semaphore is never closed.
        let permit = timeout_at(give_up_at, self.head.acquire()).await.ok()?.ok()?;
        Some(HeadOfLine { line: self, _counted: counted, _permit: permit })
    }

    /// Records that a connection was returned to the pool.
    pub(super) fn notify_release(&self) {
        self.released.notify_one();
    }
}

impl HeadOfLine<'_> {
    /// Waits until a connection is returned to the pool, or until that time.
    pub(super) async fn wait_for_release(&self, until: Instant) {
        let _ = timeout_at(until, self.line.released.notified()).await;
    }
}
