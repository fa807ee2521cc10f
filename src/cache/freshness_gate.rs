//! Decides whether this server may return cached values.
//!
//! Several servers write to one database. Each write inserts an outbox entry in its own transaction, and each
//! server polls the outbox and purges accordingly. Cached values are returned only while the last completed
//! poll began less than the staleness limit ago: everything that was committed before that poll began has been
//! purged here. So the time since then bounds the staleness of every cached value.
//!
//! Invariant: after [`FreshnessGate::close`] the gate stays closed until a poll that began later completes.
//! The states and their transitions are drawn in `docs/caching.md`.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::domain::lock::lock;

/// The gate in front of all caches of this server.
pub struct FreshnessGate {
    staleness: Duration,
    /// Lock-free copy of the admission of `protected.state`, for the check of each lookup.
    admission: AtomicAdmission,
    protected: Mutex<Protected>,
}

/// Everything behind the lock.
#[derive(Default)]
struct Protected {
    state: GateState,
    polls_begun: u64,
    /// Outbox entries that this server has applied, and when: its own writes, those that other servers
    /// published, and those that a poll found.
    applied: HashMap<Uuid, Instant>,
}

/// State of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum GateState {
    /// Open for ever: no outbox poller runs, and no other server is expected.
    #[default]
    Standalone,
    /// Closed, and no running poll may open it.
    Closed,
    /// Closed until this poll completes, which began after the gate was closed.
    CatchingUp { poll: PollStart },
    /// Open until `last` is older than the staleness limit.
    Open { last: PollStart },
    /// Open like [`GateState::Open`], while the next poll runs.
    Polling { last: PollStart, poll: PollStart },
}

/// Start of a poll of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PollStart {
    number: u64,
    began_at: Instant,
}

/// Handle of a running poll. Drop it if the poll fails.
#[derive(Debug)]
#[must_use = "a poll opens the gate when it completes"]
pub struct RunningPoll(PollStart);

impl GateState {
    /// The poller starts: other servers may write, so cached values count only after a poll.
    fn start_polling(self) -> Self {
        match self {
            Self::Standalone => Self::Closed,
            polling => polling,
        }
    }

    fn begin_poll(self, poll: PollStart) -> Self {
        match self {
            Self::Standalone => Self::Standalone,
            Self::Closed | Self::CatchingUp { .. } => Self::CatchingUp { poll },
            Self::Open { last } | Self::Polling { last, .. } => Self::Polling { last, poll },
        }
    }

    /// Opens the gate, unless it was closed or another poll began since this one did.
    fn complete_poll(self, completed: PollStart) -> Self {
        match self {
            Self::CatchingUp { poll } | Self::Polling { poll, .. } if poll == completed => {
                Self::Open { last: completed }
            }
            unchanged => unchanged,
        }
    }

    /// The last completed poll, if the gate is open because of one.
    fn last_poll(self) -> Option<PollStart> {
        match self {
            Self::Open { last } | Self::Polling { last, .. } => Some(last),
            Self::Standalone | Self::Closed | Self::CatchingUp { .. } => None,
        }
    }

    fn admission(self, staleness: Duration) -> Admission {
        match self {
            Self::Standalone => Admission::Always,
            Self::Closed | Self::CatchingUp { .. } => Admission::Never,
            Self::Open { last } | Self::Polling { last, .. } => {
                Admission::Until(last.began_at + staleness)
            }
        }
    }
}

impl FreshnessGate {
    /// A gate in the state [`GateState::Standalone`].
    #[must_use]
    pub fn new(staleness: Duration) -> Self {
        Self { staleness, admission: AtomicAdmission::new(), protected: Mutex::default() }
    }

    /// Closes the gate until the first poll completes, because other servers may write from now on.
    pub fn start_polling(&self) {
        self.transition(GateState::start_polling);
    }

    /// Closes the gate until a poll that begins later completes: another server may have written something
    /// that this one has not received, or the reverse.
    pub fn close(&self) {
        self.transition(|_| GateState::Closed);
    }

    /// To be called before the outbox is read.
    pub fn begin_poll(&self) -> RunningPoll {
        let mut protected = lock(&self.protected);
        protected.polls_begun += 1;
        let poll = PollStart { number: protected.polls_begun, began_at: Instant::now() };
        protected.state = protected.state.begin_poll(poll);
        RunningPoll(poll)
    }

    /// To be called when all entries that were in the outbox when the poll began have been applied.
    pub fn complete_poll(&self, RunningPoll(poll): RunningPoll) {
        self.transition(|state| state.complete_poll(poll));
    }

    /// The copy is written under the lock, so that it never belongs to an earlier state.
    fn transition(&self, next: impl FnOnce(GateState) -> GateState) {
        let mut protected = lock(&self.protected);
        protected.state = next(protected.state);
        self.admission.store(protected.state.admission(self.staleness));
    }

    /// True if cached values may be returned. One atomic load, and the clock where a poller runs.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.admission.load() {
            Admission::Always => true,
            Admission::Never => false,
            Admission::Until(deadline) => Instant::now() < deadline,
        }
    }

    /// Upper bound of the staleness of cached values: the time since the last completed poll began. `None`
    /// without a poller, and while the gate is closed.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let last = lock(&self.protected).state.last_poll()?;
        self.is_open().then(|| last.began_at.elapsed())
    }

    /// Records an outbox entry that was applied here and in Redis. Without a poller nothing would remove it
    /// again, so it is not recorded.
    pub fn mark_applied(&self, entry_id: Uuid) {
        let mut protected = lock(&self.protected);
        if protected.state != GateState::Standalone {
            protected.applied.insert(entry_id, Instant::now());
        }
    }

    /// True if the outbox entry was applied.
    #[must_use]
    pub fn is_applied(&self, entry_id: Uuid) -> bool {
        lock(&self.protected).applied.contains_key(&entry_id)
    }

    /// Removes entries that were applied before that time, except those that the last poll read: the next
    /// one may read them again.
    pub fn prune_applied(&self, before: Option<Instant>, read: &HashSet<Uuid>) {
        let Some(before) = before else { return };
        lock(&self.protected)
            .applied
            .retain(|entry_id, at| read.contains(entry_id) || *at >= before);
    }

    /// Removes all entries: the Redis that is connected now may lack them.
    pub fn clear_applied(&self) {
        lock(&self.protected).applied.clear();
    }
}

/// Condition under which a state of the gate admits cached values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Always,
    Never,
    Until(Instant),
}

/// An [`Admission`] in one atomic: microseconds since `start`, with the two ends of the range for the states
/// that have no deadline. Lookups take no lock.
struct AtomicAdmission {
    start: Instant,
    micros: AtomicU64,
}

impl AtomicAdmission {
    const ALWAYS: u64 = u64::MAX;
    const NEVER: u64 = 0;

    fn new() -> Self {
        Self { start: Instant::now(), micros: AtomicU64::new(Self::ALWAYS) }
    }

    fn load(&self) -> Admission {
        match self.micros.load(Ordering::SeqCst) {
            Self::ALWAYS => Admission::Always,
            Self::NEVER => Admission::Never,
            micros => Admission::Until(self.start + Duration::from_micros(micros)),
        }
    }

    fn store(&self, admission: Admission) {
        let micros = match admission {
            Admission::Always => Self::ALWAYS,
            Admission::Never => Self::NEVER,
            Admission::Until(deadline) => {
                let micros = deadline.saturating_duration_since(self.start).as_micros();
                // A deadline that is no later than the start has passed: never.
                u64::try_from(micros).unwrap_or(Self::ALWAYS - 1)
            }
        };
        self.micros.store(micros, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn poll(number: u64) -> PollStart {
        PollStart { number, began_at: Instant::now() }
    }

    #[test]
    fn gate_without_poller_is_open() {
        let gate = FreshnessGate::new(SECOND);
        assert!(gate.is_open());
        assert_eq!(gate.lag(), None);
    }

    #[test]
    fn completed_poll_opens_the_gate_for_the_staleness_limit() {
        let mut gate = FreshnessGate::new(SECOND);
        gate.start_polling();
        assert!(!gate.is_open());
        gate.complete_poll(gate.begin_poll());
        assert!(gate.is_open());
        assert!(gate.lag().is_some_and(|lag| lag < SECOND));
        gate.staleness = Duration::ZERO;
        gate.complete_poll(gate.begin_poll());
        assert!(!gate.is_open());
        assert_eq!(gate.lag(), None);
    }

    #[test]
    fn poll_that_began_before_the_close_does_not_open_the_gate() {
        let gate = FreshnessGate::new(SECOND);
        gate.start_polling();
        let running = gate.begin_poll();
        gate.close();
        gate.complete_poll(running);
        assert!(!gate.is_open());
        gate.complete_poll(gate.begin_poll());
        assert!(gate.is_open());
    }

    #[test]
    fn poll_that_was_replaced_does_not_open_the_gate() {
        let gate = FreshnessGate::new(SECOND);
        gate.start_polling();
        let failed = gate.begin_poll();
        let running = gate.begin_poll();
        gate.complete_poll(failed);
        assert!(!gate.is_open());
        gate.complete_poll(running);
        assert!(gate.is_open());
    }

    /// Each transition of the diagram in `docs/caching.md`.
    #[test]
    fn transitions_are_those_of_the_diagram() {
        use GateState::{CatchingUp, Closed, Open, Polling, Standalone};
        let (one, two) = (poll(1), poll(2));
        assert_eq!(Standalone.start_polling(), Closed);
        assert_eq!(Closed.begin_poll(one), CatchingUp { poll: one });
        assert_eq!(CatchingUp { poll: one }.begin_poll(two), CatchingUp { poll: two });
        assert_eq!(CatchingUp { poll: one }.complete_poll(one), Open { last: one });
        assert_eq!(Open { last: one }.begin_poll(two), Polling { last: one, poll: two });
        assert_eq!(Polling { last: one, poll: two }.complete_poll(two), Open { last: two });
        // Nothing else opens the gate.
        assert_eq!(Closed.complete_poll(one), Closed);
        assert_eq!(CatchingUp { poll: two }.complete_poll(one), CatchingUp { poll: two });
        assert_eq!(Standalone.begin_poll(one), Standalone);
    }
}
