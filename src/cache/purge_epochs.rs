//! Purge epochs: the order of purges and reads. A value carries the epoch before it was read; a purge comes after the
//! write that it is for. A value whose epoch is before the last purge of any prefix of its key may be older than a
//! write, and is never returned, however late it is stored.
//!
//! Invariant: an epoch that is read after a purge has returned is not before that purge.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::pattern::{Pattern, SEPARATOR};
use crate::config::cache::PURGE_COUNTERS;

/// Number of purges before an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PurgeEpoch(u64);

/// The prefixes of a key, from none of its parts to all: each can be purged. Each is the index of a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefixes(Vec<usize>);

impl KeyPrefixes {
    /// Prefixes of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(std::iter::once(ROOT_PREFIX).chain(prefix_indices(key.split(SEPARATOR))).collect())
    }

    /// Size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}

/// Prefixes of an entry that depends on several keys.
impl FromIterator<KeyPrefixes> for KeyPrefixes {
    fn from_iter<I: IntoIterator<Item = Self>>(prefixes: I) -> Self {
        let mut all = vec![ROOT_PREFIX];
        all.extend(prefixes.into_iter().flat_map(|prefixes| prefixes.0));
        all.sort_unstable();
        all.dedup();
        Self(all)
    }
}

/// The prefix of all keys.
const ROOT_PREFIX: usize = 0;

/// Index of each prefix that has at least one part.
fn prefix_indices<'a>(parts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = usize> {
    // Without a secret: this program makes the keys.
    let mut hasher = DefaultHasher::new();
    parts.map(move |part| {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
        let index = usize::try_from(hasher.finish() % (PURGE_COUNTERS as u64 - 1));
        1 + index.unwrap_or_default()
    })
}

/// The last purge of each prefix.
pub struct PurgeEpochs {
    current: AtomicU64,
    /// By the index of a prefix. Several prefixes may share one.
    purged: Box<[LastPurge]>,
    start: Instant,
}

/// The last purge of a prefix.
#[derive(Default)]
struct LastPurge {
    /// Its epoch; the first one if there was no purge.
    epoch: AtomicU64,
    /// Its time in microseconds since the start; 0 if there was no purge.
    micros: AtomicU64,
}

impl Default for PurgeEpochs {
    fn default() -> Self {
        let purged = (0..PURGE_COUNTERS).map(|_| LastPurge::default()).collect();
        Self { current: AtomicU64::new(0), purged, start: Instant::now() }
    }
}

impl PurgeEpochs {
    /// The epoch of reads that begin now.
    #[must_use]
    pub fn current(&self) -> PurgeEpoch {
        PurgeEpoch(self.current.load(Ordering::SeqCst))
    }

    /// True if no prefix was purged after that epoch.
    #[must_use]
    pub fn is_current(&self, prefixes: &KeyPrefixes, epoch: PurgeEpoch) -> bool {
        let last_purge = |prefix: &usize| self.purged[*prefix].epoch.load(Ordering::SeqCst);
        prefixes.0.iter().all(|prefix| last_purge(prefix) <= epoch.0)
    }

    /// True if no prefix was purged at that time or later: a database state with all commits until then has every
    /// write that a purge was for.
    #[must_use]
    pub fn is_current_at(&self, prefixes: &KeyPrefixes, committed_until: Instant) -> bool {
        let until = self.micros(committed_until);
        let last_purge = |prefix: &usize| self.purged[*prefix].micros.load(Ordering::SeqCst);
        prefixes.0.iter().all(|prefix| last_purge(prefix) < until)
    }

    /// Microseconds since the start, plus 1.
    fn micros(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.start).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX - 1) + 1
    }

    /// Purges all keys that match the pattern: reads from now on have a later epoch.
    pub fn purge(&self, pattern: &Pattern) {
        let prefix = prefix_indices(pattern.prefix()).last().unwrap_or(ROOT_PREFIX);
        let last = &self.purged[prefix];
        // The time first, so that it is there as soon as the epoch is.
        last.micros.fetch_max(self.micros(Instant::now()), Ordering::SeqCst);
        let epoch = self.current.fetch_add(1, Ordering::SeqCst) + 1;
        last.epoch.fetch_max(epoch, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn value_read_before_a_purge_is_not_current_after_it() {
        let purge_epochs = PurgeEpochs::default();
        let prefixes = KeyPrefixes::of("user:1:stats(+0,5)");
        let before = purge_epochs.current();
        assert!(purge_epochs.is_current(&prefixes, before));
        purge_epochs.purge(&pattern("user:1:*"));
        assert!(!purge_epochs.is_current(&prefixes, before));
        assert!(purge_epochs.is_current(&prefixes, purge_epochs.current()));
    }

    #[test]
    fn replica_state_before_a_purge_may_lack_the_write() {
        let purge_epochs = PurgeEpochs::default();
        let prefixes = KeyPrefixes::of("user:1:stats");
        let before = Instant::now();
        assert!(
            purge_epochs.is_current_at(&prefixes, before + std::time::Duration::from_micros(1))
        );
        purge_epochs.purge(&pattern("user:1:*"));
        assert!(!purge_epochs.is_current_at(&prefixes, before));
        let after = Instant::now() + std::time::Duration::from_micros(1);
        assert!(purge_epochs.is_current_at(&prefixes, after));
        assert!(purge_epochs.is_current_at(&KeyPrefixes::of("user:2:stats"), before));
    }

    #[test]
    fn purge_covers_keys_with_the_prefix_and_no_others() {
        let key = "analytics:1:spreads(..)";
        for (purged, is_current) in [
            ("*", false),
            ("analytics:*", false),
            ("analytics:1:*", false),
            ("analytics:1:spreads(..)", false),
            // Wider than necessary.
            ("analytics:1:spreads", false),
            ("*:1:*", false),
            ("analytics:11:*", true),
            ("user:1:*", true),
        ] {
            let purge_epochs = PurgeEpochs::default();
            let before = purge_epochs.current();
            purge_epochs.purge(&pattern(purged));
            assert_eq!(
                purge_epochs.is_current(&KeyPrefixes::of(key), before),
                is_current,
                "{purged}"
            );
        }
    }
}
