//! Which value is older than what. A value is as of the moment before it was read; a purge is after
//! the write that it is for. So a value that is as of a moment before the last purge of any part of
//! its key may be older than a write, and is never answered, however late it comes to be stored.
//!
//! Invariant: whoever reads the moment after a purge has returned reads a later one than the purge.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::keys::SEPARATOR;
use super::pattern::Pattern;
use crate::config::cache::PURGE_COUNTERS;

/// A moment in the order of purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// The beginnings of a key, from none of its parts to all: each can be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<usize>);

impl Scopes {
    /// Of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(std::iter::once(NO_PART).chain(beginnings(key.split(SEPARATOR))).collect())
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

/// Of everything that is made with all of these.
impl FromIterator<Scopes> for Scopes {
    fn from_iter<I: IntoIterator<Item = Self>>(scopes: I) -> Self {
        let mut all = vec![NO_PART];
        all.extend(scopes.into_iter().flat_map(|scopes| scopes.0));
        all.sort_unstable();
        all.dedup();
        Self(all)
    }
}

/// The beginning of all keys.
const NO_PART: usize = 0;

/// The number of each beginning that has a part at least.
fn beginnings<'a>(parts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = usize> {
    // Not from a secret: keys are made by this program.
    let mut hasher = DefaultHasher::new();
    parts.map(move |part| {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
        let number = usize::try_from(hasher.finish() % (PURGE_COUNTERS as u64 - 1));
        1 + number.unwrap_or_default()
    })
}

/// When what was last purged.
pub struct Generations {
    now: AtomicU64,
    /// By the number of a beginning. Several may share one.
    purged: Box<[LastPurge]>,
    start: Instant,
}

/// The last purge of a beginning.
#[derive(Default)]
struct LastPurge {
    /// Its moment; that of none is the first.
    moment: AtomicU64,
    /// Microseconds from the start; 0 of none.
    micros: AtomicU64,
}

impl Default for Generations {
    fn default() -> Self {
        let purged = (0..PURGE_COUNTERS).map(|_| LastPurge::default()).collect();
        Self { now: AtomicU64::new(0), purged, start: Instant::now() }
    }
}

impl Generations {
    /// The moment that what is read from now on is as of.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.now.load(Ordering::SeqCst))
    }

    /// Whether nothing of this was purged after that moment.
    #[must_use]
    pub fn is_current(&self, scopes: &Scopes, as_of: Moment) -> bool {
        let moment = |scope: &usize| self.purged[*scope].moment.load(Ordering::SeqCst);
        scopes.0.iter().all(|scope| moment(scope) <= as_of.0)
    }

    /// Whether nothing of this was purged at that time or later: what has all that was committed by then
    /// is no older than the last purge.
    #[must_use]
    pub fn has_all(&self, scopes: &Scopes, committed_by: Instant) -> bool {
        let by = self.micros(committed_by);
        scopes.0.iter().all(|scope| self.purged[*scope].micros.load(Ordering::SeqCst) < by)
    }

    /// The first is 1.
    fn micros(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.start).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX - 1) + 1
    }

    /// Everything that the pattern means is older than what is read after this.
    pub fn purge(&self, pattern: &Pattern) {
        let scope = beginnings(pattern.beginning()).last().unwrap_or(NO_PART);
        let last = &self.purged[scope];
        // First: whoever sees the moment before the purge sees that it is over later.
        last.micros.fetch_max(self.micros(Instant::now()), Ordering::SeqCst);
        let moment = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        last.moment.fetch_max(moment, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn what_was_read_before_a_purge_is_not_current_after_it() {
        let generations = Generations::default();
        let scopes = Scopes::of("user:1:stats(+0,5)");
        let before = generations.now();
        assert!(generations.is_current(&scopes, before));
        generations.purge(&pattern("user:1:*"));
        assert!(!generations.is_current(&scopes, before));
        assert!(generations.is_current(&scopes, generations.now()));
    }

    #[test]
    fn what_was_committed_before_a_purge_may_not_have_what_it_is_for() {
        let generations = Generations::default();
        let scopes = Scopes::of("user:1:stats");
        let before = Instant::now();
        assert!(generations.has_all(&scopes, before + std::time::Duration::from_micros(1)));
        generations.purge(&pattern("user:1:*"));
        assert!(!generations.has_all(&scopes, before));
        let after = Instant::now() + std::time::Duration::from_micros(1);
        assert!(generations.has_all(&scopes, after));
        assert!(generations.has_all(&Scopes::of("user:2:stats"), before));
    }

    #[test]
    fn a_purge_takes_what_begins_so_and_nothing_else() {
        let key = "analytics:1:spreads(..)";
        for (purged, is_current) in [
            ("*", false),
            ("analytics:*", false),
            ("analytics:1:*", false),
            ("analytics:1:spreads(..)", false),
            // Wider than it need be.
            ("analytics:1:spreads", false),
            ("*:1:*", false),
            ("analytics:11:*", true),
            ("user:1:*", true),
        ] {
            let generations = Generations::default();
            let before = generations.now();
            generations.purge(&pattern(purged));
            assert_eq!(generations.is_current(&Scopes::of(key), before), is_current, "{purged}");
        }
    }
}
