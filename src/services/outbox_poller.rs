//! The outbox poller: purges this server's caches for the writes of other servers, so that no cached value is staler
//! than the settings allow, whatever happens to Redis, the network and the other servers.
//!
//! Each write inserts an outbox entry in its own transaction, and the poller reads the entries at each interval. Servers
//! that share a Redis publish their invalidations there as well: that is faster, but messages may be lost.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use super::maintenance::reload_catalogue;
use crate::cache::freshness_gate::FreshnessGate;
use crate::cache::invalidation::InvalidationEvent;
use crate::cache::redis_tier::{PeerEvent, PeerMessage, RedisTier, RedisUnavailable};
use crate::db::cache_outbox::{OutboxPoll, outbox_poll};
use crate::db::{Database, DbError};

/// Polls until `stop` is done. The database has a pool of its own, so that a poll never waits for the
/// connections of requests ([`Database::with_dedicated_pool`]).
pub async fn run(services: Arc<Services>, database: Database, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    services.cache.freshness_gate().start_polling();
    let mut poller = OutboxPoller { services, database, state: PollerState::New };
    tokio::select! {
        () = &mut stop => {}
        () = Box::pin(poller.connect_and_poll()) => {}
    }
    poller.bypass_caches();
    poller.database.close().await;
}

struct OutboxPoller {
    services: Arc<Services>,
    database: Database,
    state: PollerState,
}

/// Progress of the poller. The diagram is in `docs/caching.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollerState {
    /// No poll has completed in this process.
    New,
    /// Redis was disconnected after `last`, so this Redis may lack invalidations.
    Interrupted { last: CompletedPoll },
    /// Every poll continues where the last one ended.
    CaughtUp { last: CompletedPoll },
}

/// A completed poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CompletedPoll {
    /// All entries below this position were applied.
    position: i64,
    began_at: Instant,
}

/// The extent of the next poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PollPlan {
    start: StartPosition,
    local: LocalCaches,
}

/// The first outbox position to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StartPosition {
    /// The end of the outbox: only entries of later polls are applied one by one.
    End,
    /// All entries from that position on.
    Entry(i64),
}

/// State of this server's caches before a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LocalCaches {
    /// All entries before the start position were applied.
    Applied,
    /// Entries before the start position may be missing: purge everything.
    MayLackEntries,
}

/// Error of a poll. It is tried again at the next tick.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Redis(#[from] RedisUnavailable),
}

/// Logs the first failure of each outage only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutageLog {
    Working,
    Logged,
}

impl OutageLog {
    fn log_once(&mut self, log: impl FnOnce()) {
        if std::mem::replace(self, Self::Logged) == Self::Working {
            log();
        }
    }
}

impl PollerState {
    /// Redis is connected to again, or for the first time.
    fn interrupted(self) -> Self {
        match self {
            Self::New => Self::New,
            Self::Interrupted { last } | Self::CaughtUp { last } => Self::Interrupted { last },
        }
    }

    fn last(self) -> Option<CompletedPoll> {
        match self {
            Self::New => None,
            Self::Interrupted { last } | Self::CaughtUp { last } => Some(last),
        }
    }
}

impl PollPlan {
    /// The plan after the last poll of this server, which is too old if entries may have been deleted since
    /// without having been read.
    fn after(last: Option<CompletedPoll>, max_age: Duration) -> Self {
        match last {
            Some(last) if last.began_at.elapsed() <= max_age => {
                Self { start: StartPosition::Entry(last.position), local: LocalCaches::Applied }
            }
            _ => Self { start: StartPosition::End, local: LocalCaches::MayLackEntries },
        }
    }

    /// The plan that also covers the entries from `applied` on, which this Redis may lack.
    fn covering(self, applied: i64) -> Self {
        let start = match self.start {
            StartPosition::Entry(own) => StartPosition::Entry(own.min(applied)),
            StartPosition::End => StartPosition::Entry(applied),
        };
        Self { start, ..self }
    }
}

impl OutboxPoller {
    /// Connects to Redis, if there is one, polls until it is disconnected, and so on.
    async fn connect_and_poll(&mut self) {
        let services = Arc::clone(&self.services);
        let coherence = &services.settings.cache.coherence;
        let mut outage = OutageLog::Working;
        loop {
            let connected = match services.cache.redis_tier() {
                None => Ok(None),
                Some(redis) => redis.connect().await.map(Some),
            };
            match connected {
                Ok(mut peer_events) => {
                    if peer_events.is_some() {
                        tracing::info!("connected to Redis");
                        outage = OutageLog::Working;
                    }
                    Box::pin(self.poll_until_disconnected(peer_events.as_mut())).await;
                    self.bypass_caches();
                }
                Err(error) => outage.log_once(|| {
                    let url = coherence.redis_url.as_ref().map(tracing::field::debug);
                    tracing::warn!(%error, url, "cannot connect to Redis; the caches are bypassed");
                }),
            }
            tokio::time::sleep(coherence.redis_retry).await;
        }
    }

    /// Closes the freshness gate and disconnects Redis.
    fn bypass_caches(&self) {
        self.services.cache.freshness_gate().close();
        if let Some(redis) = self.services.cache.redis_tier() {
            redis.disconnect();
        }
    }

    /// Polls and receives messages until Redis is disconnected; for ever without Redis.
    async fn poll_until_disconnected(
        &mut self,
        mut peer_events: Option<&mut UnboundedReceiver<PeerEvent>>,
    ) {
        let services = Arc::clone(&self.services);
        let mut ticks = tokio::time::interval(services.settings.cache.coherence.outbox_poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut outage = OutageLog::Working;
        self.state = self.state.interrupted();
        loop {
            let event = async {
                match &mut peer_events {
                    Some(events) => events.recv().await.unwrap_or(PeerEvent::Disconnected),
                    None => std::future::pending().await,
                }
            };
            let disconnected = async {
                match services.cache.redis_tier() {
                    Some(redis) => redis.disconnected().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = event => {
                    if self.receive(event).await.is_err() {
                        return;
                    }
                }
                () = disconnected => return,
                _ = ticks.tick() => match Box::pin(self.poll(peer_events.as_deref_mut())).await {
                    Ok(()) => outage = OutageLog::Working,
                    Err(error) => outage.log_once(|| {
                        tracing::warn!(%error, "outbox poll failed; it is tried again");
                    }),
                },
            }
        }
    }

    /// Position and time for which outbox entries are certain to be there: half of their retention.
    fn max_age(&self) -> Duration {
        self.services.settings.cache.coherence.outbox_retention / 2
    }

    /// The plan of the next poll. After an interruption this may be another Redis, or another run of it, so
    /// no entry counts as applied there.
    async fn plan(&self) -> Result<PollPlan, PollError> {
        if let PollerState::CaughtUp { last } = self.state {
            let start = StartPosition::Entry(last.position);
            return Ok(PollPlan { start, local: LocalCaches::Applied });
        }
        let plan = PollPlan::after(self.state.last(), self.max_age());
        let Some(redis) = self.services.cache.redis_tier() else { return Ok(plan) };
        self.services.cache.freshness_gate().clear_applied();
        if let Some(applied) = redis.applied_position().await? {
            return Ok(plan.covering(applied));
        }
        redis.purge(&[InvalidationEvent::Everything]).await?;
        Ok(plan)
    }

    /// Applies all outbox entries that are there by now, and opens the freshness gate.
    async fn poll(
        &mut self,
        peer_events: Option<&mut UnboundedReceiver<PeerEvent>>,
    ) -> Result<(), PollError> {
        let plan = self.plan().await?;
        let services = Arc::clone(&self.services);
        let (cache, redis) = (&services.cache, services.cache.redis_tier());
        let gate = cache.freshness_gate();
        let (running, began_at) = (gate.begin_poll(), Instant::now());
        let found = self.read_outbox(plan.start).await?;
        if matches!(plan.start, StartPosition::Entry(start) if found.next_position < start) {
            // Another database, or an older state of it.
            self.apply_everywhere(&[InvalidationEvent::Everything], redis).await?;
        }
        self.drain_messages(peer_events, redis).await?;
        let read: HashSet<Uuid> = found.rows.iter().map(|row| row.id).collect();
        let position = found.next_position;
        self.apply_entries(found, gate, redis).await?;
        if let Some(redis) = redis {
            redis.set_applied_position(position, self.max_age()).await?;
        }
        if plan.local == LocalCaches::MayLackEntries {
            cache.purge(&[InvalidationEvent::Everything]).await;
            self.load_revocations().await?;
        }
        gate.prune_applied(self.state.last().map(|last| last.began_at), &read);
        self.state = PollerState::CaughtUp { last: CompletedPoll { position, began_at } };
        gate.complete_poll(running);
        Ok(())
    }

    async fn read_outbox(&self, start: StartPosition) -> Result<OutboxPoll, PollError> {
        let from = match start {
            StartPosition::End => None,
            StartPosition::Entry(position) => Some(position),
        };
        let session = self.database.session();
        let found = outbox_poll(&session, from).await;
        session.release().await;
        Ok(found?)
    }

    /// Receives all messages that were published before this call: a reply to a ping comes after them.
    async fn drain_messages(
        &self,
        peer_events: Option<&mut UnboundedReceiver<PeerEvent>>,
        redis: Option<&RedisTier>,
    ) -> Result<(), PollError> {
        if let Some(redis) = redis {
            redis.ping().await?;
        }
        if let Some(peer_events) = peer_events {
            while let Ok(event) = peer_events.try_recv() {
                self.receive(event).await?;
            }
        }
        Ok(())
    }

    /// Applies the entries that no server published: their writers died, or could not reach Redis.
    async fn apply_entries(
        &self,
        found: OutboxPoll,
        gate: &FreshnessGate,
        redis: Option<&RedisTier>,
    ) -> Result<(), PollError> {
        for row in found.rows {
            if !gate.is_applied(row.id) {
                let events = InvalidationEvent::from_json(row.changes);
                self.apply_everywhere(&events, redis).await?;
                gate.mark_applied(row.id);
            }
        }
        Ok(())
    }

    /// Handles a message of another server. Its sender has purged Redis.
    async fn receive(&self, event: PeerEvent) -> Result<(), RedisUnavailable> {
        match event {
            PeerEvent::Message(PeerMessage::Invalidated { entry_id, events }) => {
                if self.apply(&events).await.is_ok() {
                    self.services.cache.freshness_gate().mark_applied(entry_id);
                }
                Ok(())
            }
            PeerEvent::Message(PeerMessage::Wrote { writers }) => {
                self.database.record_remote_writes(&writers);
                Ok(())
            }
            // The next poll finds the entry of a lost message.
            PeerEvent::Malformed => Ok(()),
            PeerEvent::Disconnected => Err(RedisUnavailable),
        }
    }

    /// Reads the revocations of access tokens that may be missing here.
    async fn load_revocations(&self) -> Result<(), PollError> {
        let session = self.database.session();
        let now = self.services.clock.now();
        self.services.token_revocations.load(&session, now).await?;
        session.release().await;
        Ok(())
    }

    /// Purges Redis and this server's caches.
    async fn apply_everywhere(
        &self,
        events: &[InvalidationEvent],
        redis: Option<&RedisTier>,
    ) -> Result<(), PollError> {
        if let Some(redis) = redis {
            redis.purge(events).await?;
        }
        self.apply(events).await
    }

    /// Purges this server's caches, revokes tokens, and loads the catalogue again if it changed.
    async fn apply(&self, events: &[InvalidationEvent]) -> Result<(), PollError> {
        self.services.cache.purge(events).await;
        self.services.token_revocations.apply(events);
        if events.iter().any(InvalidationEvent::may_revoke_tokens) {
            self.load_revocations().await?;
        }
        if events.iter().any(InvalidationEvent::affects_catalogue) {
            let session = self.database.session();
            Box::pin(reload_catalogue(&self.services, &session)).await?;
            session.release().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECENT: Duration = Duration::from_hours(1);

    fn completed(position: i64) -> CompletedPoll {
        CompletedPoll { position, began_at: Instant::now() }
    }

    #[test]
    fn plan_without_a_recent_poll_starts_at_the_end_and_purges_local_caches() {
        let all = PollPlan { start: StartPosition::End, local: LocalCaches::MayLackEntries };
        assert_eq!(PollPlan::after(None, RECENT), all);
        let last = completed(5);
        while last.began_at.elapsed().is_zero() {}
        assert_eq!(PollPlan::after(Some(last), Duration::ZERO), all);
    }

    #[test]
    fn plan_after_a_recent_poll_continues_there_or_at_an_earlier_position_of_redis() {
        let plan = PollPlan::after(Some(completed(5)), RECENT);
        let from = |start| PollPlan { start, local: LocalCaches::Applied };
        assert_eq!(plan, from(StartPosition::Entry(5)));
        assert_eq!(plan.covering(3), from(StartPosition::Entry(3)));
        assert_eq!(plan.covering(7), from(StartPosition::Entry(5)));
        let new = PollPlan::after(None, RECENT).covering(3);
        assert_eq!(new.start, StartPosition::Entry(3));
        assert_eq!(new.local, LocalCaches::MayLackEntries);
    }

    #[test]
    fn interruption_retains_the_last_poll() {
        let last = completed(5);
        assert_eq!(PollerState::New.interrupted(), PollerState::New);
        let interrupted = PollerState::Interrupted { last };
        assert_eq!(PollerState::CaughtUp { last }.interrupted(), interrupted);
        assert_eq!(interrupted.interrupted(), interrupted);
    }
}
