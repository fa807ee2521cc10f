//! Read replicas: their health, and which of them may serve which reader.
//!
//! Invariant: nobody goes back in time. A reader who was served by one database is served by another one
//! only if that one has replayed all that the primary had committed when the reader was last served. So a
//! replica may serve a reader from the latest observation of the primary whose position the replica has
//! reached. Cached data counts as read from the primary when it was computed. The invariant holds within
//! one process; across processes it holds for clients that send the consistency token back.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Row};
use tokio::time::timeout;

use super::DbError;
use super::error::{is_lost_connection, is_shortage};
use super::pool::{Pool, PoolRole, PoolSize, PoolStats};
use crate::config::database::{CONNECT_BACKOFF, DatabaseSettings, DatabaseUrl, ReplicaSettings};
use crate::domain::lock::lock;
use crate::domain::viewer::ReaderId;

/// Position in the primary's write-ahead log: content of a consistency token, opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalPosition(u64);

/// Version prefix of a token.
const TOKEN_FORMAT: &str = "1-";

impl WalPosition {
    /// Parses a token; `None` if this server did not write it.
    #[must_use]
    pub fn parse_token(token: &str) -> Option<Self> {
        u64::from_str_radix(token.strip_prefix(TOKEN_FORMAT)?, 16).ok().map(Self)
    }

    /// Parses PostgreSQL's text of a `pg_lsn`: two hexadecimal numbers of 32 bits.
    pub(super) fn parse_lsn(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let part = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
        Some(Self(part(high)? << 32 | part(low)?))
    }
}

impl fmt::Display for WalPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{TOKEN_FORMAT}{:x}", self.0)
    }
}

/// A database that serves reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadTarget {
    Primary,
    Replica(usize),
}

/// The latest response to a reader.
#[derive(Debug, Clone, Copy)]
struct ReaderState {
    target: ReadTarget,
    /// Time of the response.
    at: Instant,
    wrote_at: Option<Instant>,
}

/// The replicas of the primary.
pub(super) struct Replicas {
    all: Vec<Replica>,
    settings: ReplicaSettings,
    readers: Cache<ReaderId, ReaderState>,
    hasher: RandomState,
    primary: Mutex<PrimaryState>,
}

struct Replica {
    pool: Pool,
    url: DatabaseUrl,
    state: Mutex<ReplicaState>,
}

/// Result of the last health check of a replica.
#[derive(Debug, Clone, Copy, Default)]
struct ReplicaState {
    is_healthy: bool,
    replayed: Option<WalPosition>,
    /// Time up to which all commits of the primary are visible.
    fresh_as_of: Option<Instant>,
}

/// Results of the last health checks of the primary.
#[derive(Default)]
struct PrimaryState {
    is_down: bool,
    /// The latest positions, the oldest first.
    positions: VecDeque<(Instant, WalPosition)>,
}

impl Replicas {
    /// The replicas of these settings, and a task that checks their health until they are dropped. A
    /// replica that cannot be reached is excluded until it can.
    ///
    /// # Errors
    ///
    /// An address is wrong.
    pub(super) async fn open(
        database: &DatabaseSettings,
        limits: PoolSize,
    ) -> Result<Option<Arc<Self>>, DbError> {
        if database.replicas.urls.is_empty() {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(database.replicas.urls.len());
        for url in &database.replicas.urls {
            let pool = Pool::open(database, url, PoolRole::Replica, limits, Arc::default()).await?;
            all.push(Replica { pool, url: url.clone(), state: Mutex::default() });
        }
        let probe = |url: &DatabaseUrl, role| Probe::new(url, role, database.deadline);
        let primary = probe(&database.url, PoolRole::Primary)?;
        let probes = all.iter().map(|replica| probe(&replica.url, PoolRole::Replica));
        let probes = probes.collect::<Result<Vec<_>, _>>()?;
        let replicas = Arc::new(Self {
            all,
            readers: Cache::builder()
                .max_capacity(database.replicas.readers)
                // After that time every healthy replica has what the reader has seen.
                .time_to_live(database.replicas.forget_after())
                .build(),
            settings: database.replicas.clone(),
            hasher: RandomState::new(),
            primary: Mutex::default(),
        });
        let mut checker = HealthChecker { primary, replicas: probes };
        checker.check(&replicas).await;
        tokio::spawn(checker.run(Arc::downgrade(&replicas), database.replicas.check));
        Ok(Some(replicas))
    }

    /// The database that may serve a reader: the one that served them last, if it still may.
    pub(super) fn choose(&self, reader: ReaderId, token: Option<WalPosition>) -> ReadTarget {
        let seen = self.readers.get(&reader);
        let wrote_lately = seen.is_some_and(|seen| {
            seen.wrote_at.is_some_and(|at| at.elapsed() < self.settings.primary_after_write)
        });
        let primary_is_down = lock(&self.primary).is_down;
        // A token says exactly which replicas have the write. Without a primary, slightly old data is
        // better than none.
        if wrote_lately && token.is_none() && !primary_is_down {
            return ReadTarget::Primary;
        }
        let may_serve = |index: usize| {
            let state = *lock(&self.all[index].state);
            let has_token = token.is_none_or(|token| state.replayed >= Some(token));
            let is_no_step_back = seen.is_none_or(|seen| {
                seen.target == ReadTarget::Replica(index)
                    || primary_is_down
                    || state.fresh_as_of.is_some_and(|fresh| fresh >= seen.at)
            });
            state.is_healthy && has_token && is_no_step_back
        };
        let first = match seen.map(|seen| seen.target) {
            Some(ReadTarget::Replica(index)) => index,
            _ => self.preferred_replica(reader),
        };
        let count = self.all.len();
        (0..count)
            .map(|step| (first + step) % count)
            .find(|index| may_serve(*index))
            .map_or(ReadTarget::Primary, ReadTarget::Replica)
    }

    fn preferred_replica(&self, reader: ReaderId) -> usize {
        let count = self.all.len() as u64;
        usize::try_from(self.hasher.hash_one(reader) % count).unwrap_or_default()
    }

    /// Records a response to a reader. `cached_as_of` is the latest commit that cached values in the
    /// response may reflect.
    pub(super) fn record_read(
        &self,
        reader: ReaderId,
        target: ReadTarget,
        cached_as_of: Option<Instant>,
    ) {
        let wrote_at = self.readers.get(&reader).and_then(|seen| seen.wrote_at);
        self.readers.insert(reader, ReaderState { target, at: Instant::now(), wrote_at });
        if let Some(computed_at) = cached_as_of {
            self.record_cached_read(reader, computed_at);
        }
    }

    /// Records a response of cached values to a reader: like a read of the primary at that time, unless
    /// the replica that served the reader last has these commits as well.
    pub(super) fn record_cached_read(&self, reader: ReaderId, computed_at: Instant) {
        let seen = self.readers.get(&reader);
        let has_it = match seen.map(|seen| seen.target) {
            Some(ReadTarget::Replica(index)) => self.fresh_as_of(index) >= Some(computed_at),
            Some(ReadTarget::Primary) => seen.is_some_and(|seen| seen.at >= computed_at),
            None => false,
        };
        if !has_it {
            let at = seen.map_or(computed_at, |seen| seen.at.max(computed_at));
            let wrote_at = seen.and_then(|seen| seen.wrote_at);
            let state = ReaderState { target: ReadTarget::Primary, at, wrote_at };
            self.readers.insert(reader, state);
        }
    }

    /// Records that a reader has written, through this server or another.
    pub(super) fn record_write(&self, reader: ReaderId) {
        let now = Instant::now();
        let state = ReaderState { target: ReadTarget::Primary, at: now, wrote_at: Some(now) };
        self.readers.insert(reader, state);
    }

    /// True if a health check that long ago found the primary at the position or after it.
    pub(super) fn primary_reached(&self, wanted: WalPosition, ago: Duration) -> bool {
        let primary = lock(&self.primary);
        primary.positions.iter().any(|(at, position)| *position >= wanted && at.elapsed() >= ago)
    }

    /// Pool of a replica.
    pub(super) fn pool(&self, index: usize) -> &Pool {
        &self.all[index].pool
    }

    /// Time up to which all commits of the primary are visible on a replica.
    pub(super) fn fresh_as_of(&self, index: usize) -> Option<Instant> {
        lock(&self.all[index].state).fresh_as_of
    }

    /// Excludes a replica that could not be reached, until the next health check.
    pub(super) fn mark_unhealthy(&self, index: usize) {
        lock(&self.all[index].state).is_healthy = false;
    }

    /// True if any replica can be read.
    pub(super) fn any_is_healthy(&self) -> bool {
        self.all.iter().any(|replica| lock(&replica.state).is_healthy)
    }

    pub(super) fn stats(&self) -> impl Iterator<Item = PoolStats> {
        self.all.iter().map(|replica| replica.pool.stats())
    }

    /// Applies the results of a health check that began at `checked_at`.
    fn apply(&self, checked_at: Instant, primary: &ProbeResult, replicas: &[ProbeResult]) {
        let mut known = lock(&self.primary);
        known.record(checked_at, primary);
        for (replica, result) in self.all.iter().zip(replicas) {
            replica.apply(&known, result, self.settings.max_lag);
        }
        known.forget_older_than(self.settings.forget_after());
    }
}

impl PrimaryState {
    fn record(&mut self, checked_at: Instant, result: &ProbeResult) {
        match result {
            Ok(position) => {
                if std::mem::take(&mut self.is_down) {
                    tracing::info!("the primary database responds again");
                }
                self.positions.push_back((checked_at, *position));
            }
            Err(ProbeFailure::NoFreeConnection) => {}
            Err(ProbeFailure::Unhealthy(reason)) => {
                if !std::mem::replace(&mut self.is_down, true) {
                    tracing::warn!(
                        reason,
                        "the primary database does not respond; reads go on from replicas"
                    );
                }
            }
        }
    }

    /// Time up to which all commits are at or before the position.
    fn committed_before(&self, position: Option<WalPosition>) -> Option<Instant> {
        let reached = self.positions.iter().rev().find(|(_, known)| position >= Some(*known));
        reached.map(|(at, _)| *at)
    }

    fn forget_older_than(&mut self, age: Duration) {
        // Positions older than any replica may be are useless, except the latest of them.
        while self.positions.len() > 2
            && self.positions.front().is_some_and(|(at, _)| at.elapsed() > age)
        {
            self.positions.pop_front();
        }
    }
}

impl Replica {
    fn apply(&self, primary: &PrimaryState, result: &ProbeResult, max_lag: Duration) {
        let mut state = lock(&self.state);
        let replayed = result.as_ref().ok().copied();
        // A failed check changes no known position.
        state.replayed = replayed.or(state.replayed);
        state.fresh_as_of = primary.committed_before(state.replayed).max(state.fresh_as_of);
        let latest = primary.positions.back().map(|(at, _)| *at);
        let lag = match (latest, state.fresh_as_of) {
            (Some(latest), Some(fresh)) => Some(latest.saturating_duration_since(fresh)),
            // No known position of the primary was ever reached.
            (Some(_), None) => None,
            (None, _) => Some(Duration::ZERO),
        };
        let responds = match result {
            Ok(_) => true,
            Err(ProbeFailure::NoFreeConnection) => state.is_healthy,
            Err(ProbeFailure::Unhealthy(_)) => false,
        };
        let is_healthy = responds && lag.is_some_and(|lag| lag <= max_lag);
        if is_healthy == state.is_healthy {
            return;
        }
        state.is_healthy = is_healthy;
        let url = &self.url;
        match result {
            _ if is_healthy => tracing::info!(%url, "a replica is healthy and serves reads"),
            Err(ProbeFailure::Unhealthy(reason)) => {
                tracing::warn!(%url, reason, "a replica is unhealthy and excluded");
            }
            Ok(_) | Err(ProbeFailure::NoFreeConnection) => {
                tracing::warn!(%url, ?lag, "a replica lags and is excluded");
            }
        }
    }
}

/// Position of a database, or the reason why it is unknown.
type ProbeResult = Result<WalPosition, ProbeFailure>;

enum ProbeFailure {
    /// The database has no connection left for the probe. Those of the pool may be fine.
    NoFreeConnection,
    /// The database does not respond, or has the wrong role.
    Unhealthy(String),
}

impl ProbeFailure {
    fn unhealthy(reason: &str) -> Self {
        Self::Unhealthy(reason.to_owned())
    }
}

impl From<sqlx::Error> for ProbeFailure {
    fn from(error: sqlx::Error) -> Self {
        if is_shortage(&error) {
            Self::NoFreeConnection
        } else {
            Self::Unhealthy(error.to_string())
        }
    }
}

/// Checks the health of all databases, on connections beside their pools: a busy pool is not an
/// unhealthy database.
struct HealthChecker {
    primary: Probe,
    replicas: Vec<Probe>,
}

/// A connection for health checks of one database.
struct Probe {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    role: PoolRole,
    timeout: Duration,
}

impl HealthChecker {
    async fn run(mut self, replicas: Weak<Replicas>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let Some(replicas) = replicas.upgrade() else { return };
            self.check(&replicas).await;
        }
    }

    async fn check(&mut self, replicas: &Replicas) {
        // Before the request is sent: all that is committed by now is before the position it returns.
        let checked_at = Instant::now();
        let primary = self.primary.run().await;
        let results = self.replicas.iter_mut().map(Probe::run);
        let results = futures_util::future::join_all(results).await;
        replicas.apply(checked_at, &primary, &results);
    }
}

impl Probe {
    fn new(url: &DatabaseUrl, role: PoolRole, timeout: Duration) -> Result<Self, DbError> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(DbError::unavailable)?;
        Ok(Self { options, connection: None, role, timeout })
    }

    async fn run(&mut self) -> ProbeResult {
        let Ok(queried) = timeout(self.timeout, self.query()).await else {
            return Err(ProbeFailure::unhealthy("no response in time"));
        };
        let (position, in_recovery) = queried?;
        match self.role {
            PoolRole::Primary if in_recovery => {
                return Err(ProbeFailure::unhealthy("it is itself a replica"));
            }
            PoolRole::Replica if !in_recovery => {
                return Err(ProbeFailure::unhealthy("it is not a replica"));
            }
            PoolRole::Primary | PoolRole::Replica => {}
        }
        let position = position.as_deref().and_then(WalPosition::parse_lsn);
        position.ok_or_else(|| ProbeFailure::unhealthy("it has replayed nothing yet"))
    }

    /// Position and recovery state. A lost connection says nothing about the database: it is replaced at once, and
    /// only a failed connect counts. Otherwise readers would miss their own writes until the next check, because
    /// those who wrote lately are sent to a replica when the primary is down.
    async fn query(&mut self) -> Result<(Option<String>, bool), sqlx::Error> {
        loop {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            match self.query_on(connection).await {
                Err(error) if is_lost_connection(&error) => {
                    tokio::time::sleep(CONNECT_BACKOFF).await;
                }
                result => return result,
            }
        }
    }

    async fn query_on(
        &mut self,
        mut connection: PgConnection,
    ) -> Result<(Option<String>, bool), sqlx::Error> {
        let sql = match self.role {
            PoolRole::Primary => "SELECT pg_current_wal_lsn()::text, pg_is_in_recovery()",
            PoolRole::Replica => "SELECT pg_last_wal_replay_lsn()::text, pg_is_in_recovery()",
        };
        let row = sqlx::query(sql).fetch_one(&mut connection).await?;
        self.connection = Some(connection);
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::WalPosition;

    #[test]
    fn wal_positions_round_trip() {
        let position = WalPosition::parse_lsn("16/B374D848").expect("a position");
        assert_eq!(position.to_string(), "1-16b374d848");
        assert_eq!(WalPosition::parse_token("1-16b374d848"), Some(position));
        assert!(WalPosition::parse_lsn("16/B374D849") > Some(position));
        assert!(WalPosition::parse_lsn("17/0") > Some(position));
    }

    #[test]
    fn foreign_tokens_are_rejected() {
        for text in ["", "1-", "2-16b374d848", "16/B374D848", "1-xyz", "1-1ffffffffffffffff"] {
            assert_eq!(WalPosition::parse_token(text), None, "{text}");
        }
    }
}
