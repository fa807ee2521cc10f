//! Read replicas: which of them are well, and which may serve whom.
//!
//! Invariant: nobody goes back in time. Who was served by one database is served by another one only
//! if that has replayed all that the primary had committed when they were served last. The time from
//! which on a replica may serve somebody is therefore that of the latest look at the primary whose
//! position the replica has reached. What was kept and is told to somebody counts as read from the
//! primary when it was made. That holds within one process; across processes the token does, which
//! clients send back.

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
use super::pool::{Pool, PoolRole, PoolStats};
use crate::config::Settings;
use crate::config::database::{DatabaseUrl, ReplicaSettings};
use crate::domain::lock::lock;
use crate::domain::viewer::ReaderId;

/// How far the primary had written: what a write's token holds. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalPosition(u64);

/// What stands before a position in a token, and would change with its meaning.
const TOKEN_FORMAT: &str = "1-";

impl WalPosition {
    /// Reads a token; `None` if it is none of ours.
    #[must_use]
    pub fn parse_token(token: &str) -> Option<Self> {
        u64::from_str_radix(token.strip_prefix(TOKEN_FORMAT)?, 16).ok().map(Self)
    }

    /// Reads it as PostgreSQL writes it: two numbers of 32 bits.
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

/// Which database served somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadTarget {
    Primary,
    Replica(usize),
}

/// What is known of a reader.
#[derive(Debug, Clone, Copy)]
struct Seen {
    source: ReadTarget,
    /// When the last answer was there.
    at: Instant,
    wrote_at: Option<Instant>,
}

/// The replicas of the primary.
pub(super) struct Replicas {
    all: Vec<Replica>,
    settings: ReplicaSettings,
    readers: Cache<ReaderId, Seen>,
    hasher: RandomState,
    primary: Mutex<Primary>,
}

struct Replica {
    pool: Pool,
    url: DatabaseUrl,
    state: Mutex<State>,
}

/// What the last look at a replica found.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_well: bool,
    replayed: Option<WalPosition>,
    /// What the primary had committed then is there.
    fresh_as_of: Option<Instant>,
}

/// What is known of the primary.
#[derive(Default)]
struct Primary {
    is_down: bool,
    /// Where it was at the latest looks at it, the oldest first.
    positions: VecDeque<(Instant, WalPosition)>,
}

impl Replicas {
    /// The replicas of these settings, and a task that watches them for as long as they are there.
    /// One that cannot be reached is left out until it can.
    ///
    /// # Errors
    ///
    /// An address is wrong.
    pub(super) async fn open(settings: &Settings) -> Result<Option<Arc<Self>>, DbError> {
        let database = &settings.database;
        if database.replicas.urls.is_empty() {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(database.replicas.urls.len());
        for url in &database.replicas.urls {
            let pool = Pool::open(settings, url, PoolRole::Replica).await?;
            all.push(Replica { pool, url: url.clone(), state: Mutex::default() });
        }
        let watched = |url: &DatabaseUrl| {
            let options = PgConnectOptions::from_str(url.expose()).map_err(DbError::unavailable)?;
            Ok::<_, DbError>(Watched { options, connection: None, patience: database.deadline })
        };
        let primary = watched(&database.url)?;
        let watched = all.iter().map(|replica| watched(&replica.url));
        let watched = watched.collect::<Result<Vec<_>, _>>()?;
        let replicas = Arc::new(Self {
            all,
            readers: Cache::builder()
                .max_capacity(database.replicas.readers)
                // By then every replica that is well has what they have seen.
                .time_to_live(database.replicas.forget_after())
                .build(),
            settings: database.replicas.clone(),
            hasher: RandomState::new(),
            primary: Mutex::default(),
        });
        let mut watch = Watch { primary, replicas: watched };
        watch.look(&replicas).await;
        tokio::spawn(watch.keep_looking(Arc::downgrade(&replicas), database.replicas.check));
        Ok(Some(replicas))
    }

    /// The database that may serve a reader: the one that did, if it may.
    pub(super) fn choose(&self, reader: ReaderId, token: Option<WalPosition>) -> ReadTarget {
        let seen = self.readers.get(&reader);
        let wrote_lately = seen.is_some_and(|seen| {
            seen.wrote_at.is_some_and(|at| at.elapsed() < self.settings.primary_after_write)
        });
        let primary_is_down = lock(&self.primary).is_down;
        // Who knows how far they have written need not wait; and if there is no primary a little of
        // the past is better than nothing.
        if wrote_lately && token.is_none() && !primary_is_down {
            return ReadTarget::Primary;
        }
        let may_serve = |index: usize| {
            let state = *lock(&self.all[index].state);
            let has_it = token.is_none_or(|token| state.replayed >= Some(token));
            let is_no_step_back = seen.is_none_or(|seen| {
                seen.source == ReadTarget::Replica(index)
                    || primary_is_down
                    || state.fresh_as_of.is_some_and(|fresh| fresh >= seen.at)
            });
            state.is_well && has_it && is_no_step_back
        };
        let first = match seen.map(|seen| seen.source) {
            Some(ReadTarget::Replica(index)) => index,
            _ => self.place_of(reader),
        };
        let count = self.all.len();
        (0..count)
            .map(|step| (first + step) % count)
            .find(|index| may_serve(*index))
            .map_or(ReadTarget::Primary, ReadTarget::Replica)
    }

    fn place_of(&self, reader: ReaderId) -> usize {
        let count = self.all.len() as u64;
        usize::try_from(self.hasher.hash_one(reader) % count).unwrap_or_default()
    }

    /// Somebody was served, and told besides what was kept, and was committed by then.
    pub(super) fn record_read(&self, reader: ReaderId, source: ReadTarget, kept: Option<Instant>) {
        let wrote_at = self.readers.get(&reader).and_then(|seen| seen.wrote_at);
        self.readers.insert(reader, Seen { source, at: Instant::now(), wrote_at });
        if let Some(computed_at) = kept {
            self.record_cached_read(reader, computed_at);
        }
    }

    /// Somebody was told what was kept, and was committed by then: as if by the primary at that time,
    /// unless the replica that served them has it as well.
    pub(super) fn record_cached_read(&self, reader: ReaderId, computed_at: Instant) {
        let seen = self.readers.get(&reader);
        let has_it = match seen.map(|seen| seen.source) {
            Some(ReadTarget::Replica(index)) => self.fresh_as_of(index) >= Some(computed_at),
            Some(ReadTarget::Primary) => seen.is_some_and(|seen| seen.at >= computed_at),
            None => false,
        };
        if !has_it {
            let at = seen.map_or(computed_at, |seen| seen.at.max(computed_at));
            let wrote_at = seen.and_then(|seen| seen.wrote_at);
            self.readers.insert(reader, Seen { source: ReadTarget::Primary, at, wrote_at });
        }
    }

    /// Somebody has written, here or on another server.
    pub(super) fn record_write(&self, reader: ReaderId) {
        let now = Instant::now();
        self.readers
            .insert(reader, Seen { source: ReadTarget::Primary, at: now, wrote_at: Some(now) });
    }

    /// Whether a look so long ago found the primary that far.
    pub(super) fn primary_reached(&self, wanted: WalPosition, ago: Duration) -> bool {
        let primary = lock(&self.primary);
        primary.positions.iter().any(|(at, position)| *position >= wanted && at.elapsed() >= ago)
    }

    /// The connections to a replica.
    pub(super) fn pool(&self, index: usize) -> &Pool {
        &self.all[index].pool
    }

    /// What was committed by then is there.
    pub(super) fn fresh_as_of(&self, index: usize) -> Option<Instant> {
        lock(&self.all[index].state).fresh_as_of
    }

    /// A replica could not be reached: it is left out until the next look.
    pub(super) fn leave_out(&self, index: usize) {
        lock(&self.all[index].state).is_well = false;
    }

    /// Whether any replica can be read.
    pub(super) fn any_is_well(&self) -> bool {
        self.all.iter().any(|replica| lock(&replica.state).is_well)
    }

    pub(super) fn stats(&self) -> impl Iterator<Item = PoolStats> {
        self.all.iter().map(|replica| replica.pool.stats())
    }

    /// Takes in what a look has found.
    fn learn(&self, looked_at: Instant, primary: Option<WalPosition>, replicas: &[Found]) {
        let mut known = lock(&self.primary);
        if known.is_down != primary.is_none() {
            known.is_down = primary.is_none();
            if known.is_down {
                tracing::warn!("the primary database does not answer; replicas are read on");
            } else {
                tracing::info!("the primary database answers again");
            }
        }
        if let Some(position) = primary {
            known.positions.push_back((looked_at, position));
        }
        let latest = known.positions.back().map(|(at, _)| *at);
        for (replica, found) in self.all.iter().zip(replicas) {
            let mut state = lock(&replica.state);
            let replayed = found.as_ref().ok().copied();
            // A look that failed takes nothing back.
            state.replayed = replayed.or(state.replayed);
            let reached = known
                .positions
                .iter()
                .rev()
                .find(|(_, position)| state.replayed >= Some(*position));
            state.fresh_as_of = reached.map(|(at, _)| *at).max(state.fresh_as_of);
            let lag = match (latest, state.fresh_as_of) {
                (Some(latest), Some(fresh)) => Some(latest.saturating_duration_since(fresh)),
                // It was never seen to have what the primary had.
                (Some(_), None) => None,
                (None, _) => Some(Duration::ZERO),
            };
            let lags = lag.is_none_or(|lag| lag > self.settings.max_lag);
            let is_well = replayed.is_some() && !lags;
            if is_well != state.is_well {
                state.is_well = is_well;
                let url = &replica.url;
                match found {
                    _ if is_well => tracing::info!(%url, "a replica is well and read"),
                    Err(reason) => tracing::warn!(%url, reason, "a replica is left out"),
                    Ok(_) => tracing::warn!(%url, ?lag, "a replica lags and is left out"),
                }
            }
        }
        // What is older than any replica may be tells nothing, but that of the last that is.
        let oldest = self.settings.forget_after();
        while known.positions.len() > 2
            && known.positions.front().is_some_and(|(at, _)| at.elapsed() > oldest)
        {
            known.positions.pop_front();
        }
    }
}

/// How far a replica is, or why that is not known.
type Found = Result<WalPosition, String>;

/// The connections that the databases are looked at by. They are no pool's: one that is busy is not
/// ill.
struct Watch {
    primary: Watched,
    replicas: Vec<Watched>,
}

struct Watched {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    patience: Duration,
}

impl Watch {
    async fn keep_looking(mut self, replicas: Weak<Replicas>, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            let Some(replicas) = replicas.upgrade() else { return };
            self.look(&replicas).await;
        }
    }

    async fn look(&mut self, replicas: &Replicas) {
        const OF_PRIMARY: &str = "SELECT pg_current_wal_lsn()::text, pg_is_in_recovery()";
        const OF_REPLICA: &str = "SELECT pg_last_wal_replay_lsn()::text, pg_is_in_recovery()";
        // Before it is asked: all that was committed by now is before the position that it answers.
        let looked_at = Instant::now();
        let primary = self.primary.ask(OF_PRIMARY, false).await;
        let asked = self.replicas.iter_mut().map(|replica| replica.ask(OF_REPLICA, true));
        let found = futures_util::future::join_all(asked).await;
        replicas.learn(looked_at, primary.ok(), &found);
    }
}

impl Watched {
    async fn ask(&mut self, sql: &'static str, follows: bool) -> Found {
        let asked = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            let row = sqlx::query(sql).fetch_one(&mut connection).await?;
            self.connection = Some(connection);
            Ok::<_, sqlx::Error>((row.try_get::<Option<String>, _>(0)?, row.try_get::<bool, _>(1)?))
        };
        match timeout(self.patience, asked).await {
            Err(_) => Err("it does not answer".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok((_, in_recovery))) if in_recovery != follows => {
                Err(if follows { "it follows nobody" } else { "it is a replica itself" }.to_owned())
            }
            Ok(Ok((position, _))) => position
                .as_deref()
                .and_then(WalPosition::parse_lsn)
                .ok_or_else(|| "it has replayed nothing yet".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WalPosition;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let position = WalPosition::parse_lsn("16/B374D848").expect("a position");
        assert_eq!(position.to_string(), "1-16b374d848");
        assert_eq!(WalPosition::parse_token("1-16b374d848"), Some(position));
        assert!(WalPosition::parse_lsn("16/B374D849") > Some(position));
        assert!(WalPosition::parse_lsn("17/0") > Some(position));
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in ["", "1-", "2-16b374d848", "16/B374D848", "1-xyz", "1-1ffffffffffffffff"] {
            assert_eq!(WalPosition::parse_token(text), None, "{text}");
        }
    }
}
