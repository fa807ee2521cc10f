//! Coherence: what the response cache and the value cache share to decide if an entry may be returned or stored.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rand::RngExt;

use super::freshness_gate::FreshnessGate;
use super::purge_epochs::{KeyPrefixes, PurgeEpoch, PurgeEpochs};
use super::statistics::LookupCounters;
use crate::config::cache::CacheSettings;

/// Purge epochs, freshness gate and counters of all caches of this server.
pub(super) struct Coherence {
    pub(super) purge_epochs: PurgeEpochs,
    pub(super) freshness_gate: FreshnessGate,
    pub(super) counters: LookupCounters,
    ttl_jitter_percent: u8,
}

/// The database state that a value is computed from. It decides where the value may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadSource {
    /// The primary: everything that was committed when the computation begins.
    Primary,
    /// The primary, partly through loaders: everything that was committed when the request began.
    PrimaryAtRequestStart,
    /// A replica: everything that was committed at that time, or an unknown state.
    Replica(Option<Instant>),
}

impl Coherence {
    pub(super) fn new(settings: &CacheSettings) -> Self {
        Self {
            purge_epochs: PurgeEpochs::default(),
            freshness_gate: FreshnessGate::new(settings.coherence.staleness),
            counters: LookupCounters::default(),
            ttl_jitter_percent: settings.ttl_jitter,
        }
    }

    /// True if an entry with these key prefixes, computed at that epoch, may be returned.
    pub(super) fn is_current(&self, prefixes: &KeyPrefixes, epoch: PurgeEpoch) -> bool {
        self.freshness_gate.is_open() && self.purge_epochs.is_current(prefixes, epoch)
    }

    /// True if a value that is computed from that source may be stored in memory. A replica may not have the
    /// write yet that a purge was for.
    pub(super) fn may_store(&self, prefixes: &KeyPrefixes, source: ReadSource) -> bool {
        self.freshness_gate.is_open()
            && match source {
                ReadSource::Primary | ReadSource::PrimaryAtRequestStart => true,
                ReadSource::Replica(fresh_as_of) => {
                    fresh_as_of.is_some_and(|time| self.purge_epochs.is_current_at(prefixes, time))
                }
            }
    }

    /// A TTL, reduced at random, so that entries cached together do not expire together.
    pub(super) fn with_jitter(&self, ttl: Duration) -> Duration {
        let reduction = f64::from(self.ttl_jitter_percent) / 100.0 * rand::rng().random::<f64>();
        ttl.mul_f64(1.0 - reduction)
    }

    /// [`Coherence::with_jitter`] for sums with times of day.
    pub(super) fn lifetime(&self, ttl: Duration) -> TimeDelta {
        TimeDelta::from_std(self.with_jitter(ttl)).unwrap_or_default()
    }
}
