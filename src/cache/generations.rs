//! Which value is older than what. A value is as of the moment before it was read; a purge is after
//! the write that it is for. So a value that is as of a moment before the last purge of any part of
//! its key may be older than a write, and is never answered, however late it comes to be stored.
//!
//! Invariant: whoever reads the moment after a purge has returned reads a later one than the purge.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

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
    purged: Box<[AtomicU64]>,
}

impl Default for Generations {
    fn default() -> Self {
        let purged = (0..PURGE_COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Self { now: AtomicU64::new(0), purged }
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
        scopes.0.iter().all(|scope| self.purged[*scope].load(Ordering::SeqCst) <= as_of.0)
    }

    /// Everything that the pattern means is older than what is read after this.
    pub fn purge(&self, pattern: &Pattern) {
        let moment = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        let scope = beginnings(pattern.beginning()).last().unwrap_or(NO_PART);
        self.purged[scope].fetch_max(moment, Ordering::SeqCst);
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
