//! What this server knows of what other servers on its database have written.
//!
//! Each write notes in the database, in its own transaction, what it makes old. A server that *follows*
//! the others reads those notes again and again. What it keeps is answered only while its last look is
//! not too long ago: whatever was committed before that look began has been purged here. So the time
//! since it is the most by which an answer can be behind.
//!
//! Invariant: after [`Peers::close`] nothing that is kept is answered until a look that began later has
//! ended.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::domain::lock::lock;

/// Whether what is kept may be answered.
pub struct Peers {
    /// The beginning of time.
    start: Instant,
    /// How long ago the last look may be.
    staleness: Duration,
    /// Microseconds since the start until which what is kept may be answered. For those who ask often.
    open_until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    follows: bool,
    /// How often what is kept was closed.
    closed: u64,
    /// When the last look that counts began. Nothing where no others are followed, and while closed.
    looked_at: Option<Instant>,
    /// Notes that were heard of already, and when: those that a server told, and its own.
    heard: HashMap<Uuid, Instant>,
}

/// A look that has begun.
#[derive(Debug, Clone, Copy)]
pub struct LookBegun {
    at: Instant,
    closed: u64,
}

impl Peers {
    /// Nobody else is there: what is kept may be answered, until this server begins to follow.
    #[must_use]
    pub fn alone(staleness: Duration) -> Self {
        Self {
            start: Instant::now(),
            staleness,
            open_until: AtomicU64::new(u64::MAX),
            state: Mutex::default(),
        }
    }

    /// From now on this server follows others: what is kept is answered after a look at what they have
    /// written.
    pub fn follow(&self) {
        lock(&self.state).follows = true;
        self.close();
    }

    /// Whether what is kept may be answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let until = self.open_until.load(Ordering::SeqCst);
        until == u64::MAX || self.micros(Instant::now()) < until
    }

    fn micros(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.start).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX - 1)
    }

    /// Nothing that is kept is answered until the next look: something was written elsewhere that this
    /// server may never hear of by itself, or here that the others may not have heard of.
    pub fn close(&self) {
        let mut state = lock(&self.state);
        state.closed += 1;
        state.looked_at = None;
        self.open_until.store(0, Ordering::SeqCst);
    }

    /// To be called before the notes are read.
    #[must_use]
    pub fn begin_look(&self) -> LookBegun {
        LookBegun { at: Instant::now(), closed: lock(&self.state).closed }
    }

    /// All notes that were there when the look began have been heard of.
    pub fn end_look(&self, look: LookBegun) {
        let mut state = lock(&self.state);
        if state.closed != look.closed {
            return;
        }
        state.looked_at = Some(look.at);
        self.open_until.store(self.micros(look.at + self.staleness), Ordering::SeqCst);
    }

    /// By how much an answer can be behind what other servers have written, at most; `None` if no others
    /// are followed, and while nothing that is kept is answered.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let looked_at = lock(&self.state).looked_at?;
        self.is_open().then(|| looked_at.elapsed())
    }

    /// A note was heard of, and everywhere else as well.
    pub fn hear(&self, note: Uuid) {
        let mut state = lock(&self.state);
        if state.follows {
            state.heard.insert(note, Instant::now());
        }
    }

    /// Whether a note was heard of.
    #[must_use]
    pub fn has_heard(&self, note: Uuid) -> bool {
        lock(&self.state).heard.contains_key(&note)
    }

    /// Forgets notes that were heard of before that time, but for those that may be read again.
    pub fn forget_heard(&self, before: Option<Instant>, read: &HashSet<Uuid>) {
        let mut state = lock(&self.state);
        state
            .heard
            .retain(|note, at| read.contains(note) || before.is_none_or(|before| *at >= before));
    }

    /// Forgets all notes: where values are shared now, nobody may have heard of them.
    pub fn forget_all_heard(&self) {
        lock(&self.state).heard.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_follows_nobody_may_answer_what_is_kept() {
        let peers = Peers::alone(SECOND);
        assert!(peers.is_open());
        assert_eq!(peers.lag(), None);
    }

    #[test]
    fn what_is_kept_is_answered_for_a_while_after_a_look() {
        let mut peers = Peers::alone(SECOND);
        peers.follow();
        assert!(!peers.is_open());
        peers.end_look(peers.begin_look());
        assert!(peers.is_open());
        assert!(peers.lag().is_some_and(|lag| lag < SECOND));
        peers.staleness = Duration::ZERO;
        let long_ago = LookBegun { at: peers.start, ..peers.begin_look() };
        peers.end_look(long_ago);
        assert!(!peers.is_open());
        assert_eq!(peers.lag(), None);
    }

    #[test]
    fn a_look_that_began_before_it_was_closed_opens_nothing() {
        let peers = Peers::alone(SECOND);
        let look = peers.begin_look();
        peers.close();
        peers.end_look(look);
        assert!(!peers.is_open());
        peers.end_look(peers.begin_look());
        assert!(peers.is_open());
    }
}
