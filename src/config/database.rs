//! Settings of the database.

use std::time::Duration;

use clap::Args;
use migration::DEFAULT_DATABASE_URL;

use super::{count, milliseconds, milliseconds_or_none, seconds, whole_number, write_redacted_url};

/// First pause before a failed connect is repeated; each pause is twice the one before.
pub const CONNECT_BACKOFF: Duration = Duration::from_millis(10);

/// Longest pause before a failed connect is repeated.
pub const CONNECT_BACKOFF_MAXIMUM: Duration = Duration::from_millis(500);

/// Interval at which a held start lock is tried again.
pub const START_LOCK_RETRY: Duration = Duration::from_millis(100);

/// Pause before a migration that got no lock is tried again. Requests that waited behind it run meanwhile.
pub const MIGRATION_LOCK_PAUSE: Duration = Duration::from_secs(1);

/// Maximum number of bound values of a statement; SQLite's limit is the lower one.
pub const BOUND_VALUES_MAXIMUM: usize = 32_000;

/// Number of public readings next to a cursor that a search on PostgreSQL compares one by one, before it uses
/// the index of trigrams. With fewer, more searches for common words read all matches from the index; with more,
/// each search for a rare word takes longer.
pub const SEARCH_PROBE_ROWS: u64 = 1_000;

/// The same of a filter by tags. Tags are rarer than words: among a million readings of 160 common tags each fills
/// a page by a probe of 5,000 in 8 ms, and without it took 110 ms; an absent one takes 5 ms more.
pub const TAG_PROBE_ROWS: u64 = 5_000;

/// Lifetime of the connection of readiness probes: a failover may lead new connections to another server.
pub const READINESS_CONNECTION_LIFETIME: Duration = Duration::from_secs(5);

/// Maximum counts of readings in one statement: SQLite accepts 500 parts of a UNION.
pub const READING_COUNTS_PER_STATEMENT: usize = 100;

/// Number of most recent acquires whose wait times are sampled.
pub const ACQUIRES_REMEMBERED: usize = 512;
/// Minimum interval between two warnings of an overflowing pool, and of a database without free connections.
pub const POOL_WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// Part of the request timeout that is reserved for the error response when no connection is acquired.
pub const RESPONSE_RESERVE: Duration = Duration::from_millis(250);
/// Upper bound of the pool size: the pool allocates a slot for each connection at the start.
const POOL_CONNECTIONS_MAXIMUM: u32 = 10_000;
/// Upper bound of `MIGRATION_LOCK_ATTEMPTS`: more than a day.
const LOCK_ATTEMPTS_MAXIMUM: u32 = 100_000;

/// The database and its connections.
#[derive(Debug, Clone, Args)]
pub struct DatabaseSettings {
    /// URL of the database: `sqlite://…` or `postgres://…`
    #[arg(id = "database_url", long = "database-url", env = "DATABASE_URL", value_parser = database_url, default_value = DEFAULT_DATABASE_URL, global = true, hide_env_values = true)]
    pub url: DatabaseUrl,

    /// Size of the connection pool (default: 20 in production, 5 in development, 1 in testing)
    #[arg(id = "database_pool_size", long = "database-pool-size", env = "DATABASE_POOL_SIZE", value_parser = pool_size, global = true, hide_env_values = true)]
    pub pool_size: Option<u32>,

    /// Maximum connections above the pool size (default: 10 in production, 2 in development, 0 in testing)
    #[arg(id = "database_max_overflow", long = "database-max-overflow", env = "DATABASE_MAX_OVERFLOW", value_parser = overflow, global = true, hide_env_values = true)]
    pub max_overflow: Option<u32>,

    /// Timeout of acquiring a connection, in seconds
    #[arg(id = "database_pool_timeout", long = "database-pool-timeout", env = "DATABASE_POOL_TIMEOUT", value_parser = seconds, default_value = "30", global = true, hide_env_values = true)]
    pub pool_timeout: Duration,

    /// Maximum lifetime of a connection, in seconds
    #[arg(id = "database_pool_recycle", long = "database-pool-recycle", env = "DATABASE_POOL_RECYCLE", value_parser = seconds, default_value = "3600", global = true, hide_env_values = true)]
    pub pool_recycle: Duration,

    /// Maximum time of a statement, enforced by PostgreSQL, in milliseconds
    #[arg(id = "database_statement_timeout_ms", long = "database-statement-timeout-ms", env = "DATABASE_STATEMENT_TIMEOUT_MS", value_parser = milliseconds, default_value = "3000", global = true, hide_env_values = true)]
    pub statement_timeout: Duration,

    /// Timeout of a statement that waits for a lock, in milliseconds
    #[arg(id = "database_lock_timeout_ms", long = "database-lock-timeout-ms", env = "DATABASE_LOCK_TIMEOUT_MS", value_parser = milliseconds, default_value = "1000", global = true, hide_env_values = true)]
    pub lock_timeout: Duration,

    /// Maximum idle time within a transaction, enforced by PostgreSQL, in milliseconds
    #[arg(id = "database_idle_transaction_timeout_ms", long = "database-idle-transaction-timeout-ms", env = "DATABASE_IDLE_TRANSACTION_TIMEOUT_MS", value_parser = milliseconds, default_value = "10000", global = true, hide_env_values = true)]
    pub idle_transaction_timeout: Duration,

    /// Timeout of a statement on the server's side, in milliseconds
    #[arg(id = "database_deadline_ms", long = "database-deadline-ms", env = "DATABASE_DEADLINE_MS", value_parser = milliseconds, default_value = "2500", global = true, hide_env_values = true)]
    pub deadline: Duration,

    /// Locks of migrations.
    #[command(flatten)]
    pub migration: MigrationSettings,

    /// Read replicas.
    #[command(flatten)]
    pub replicas: ReplicaSettings,
}

/// Locks of migrations on PostgreSQL. While a migration waits for the lock of a table, all requests that use
/// the table wait behind it.
#[derive(Debug, Clone, Args)]
pub struct MigrationSettings {
    /// Timeout of a migration that waits for a lock, in milliseconds (default: half of `DATABASE_LOCK_TIMEOUT_MS`)
    #[arg(id = "migration_lock_timeout_ms", long = "migration-lock-timeout-ms", env = "MIGRATION_LOCK_TIMEOUT_MS", value_parser = milliseconds, global = true, hide_env_values = true)]
    pub lock_timeout: Option<Duration>,

    /// Number of times that a migration is tried if it gets no lock
    #[arg(id = "migration_lock_attempts", long = "migration-lock-attempts", env = "MIGRATION_LOCK_ATTEMPTS", value_parser = lock_attempts, default_value = "60", global = true, hide_env_values = true)]
    pub lock_attempts: u32,
}

impl DatabaseSettings {
    /// Effective value of `MIGRATION_LOCK_TIMEOUT_MS`.
    #[must_use]
    pub fn migration_lock_timeout(&self) -> Duration {
        // PostgreSQL takes a timeout of 0 for none.
        let half = (self.lock_timeout / 2).max(Duration::from_millis(1));
        self.migration.lock_timeout.unwrap_or(half)
    }
}

/// Read replicas of a PostgreSQL database.
#[derive(Debug, Clone, Args)]
pub struct ReplicaSettings {
    /// URLs of read replicas of a PostgreSQL database, comma separated: `postgres://…,postgres://…`
    #[arg(id = "database_replica_urls", long = "database-replica-urls", env = "DATABASE_REPLICA_URLS", value_parser = replica_url, value_delimiter = ',', num_args = 0..=16, global = true, hide_env_values = true)]
    pub urls: Vec<DatabaseUrl>,

    /// Interval between two health checks of each replica, in milliseconds
    #[arg(id = "replica_check_ms", long = "replica-check-ms", env = "REPLICA_CHECK_MS", value_parser = milliseconds, default_value = "250", global = true, hide_env_values = true)]
    pub check: Duration,

    /// Maximum replication lag of a healthy replica, in milliseconds
    #[arg(id = "replica_max_lag_ms", long = "replica-max-lag-ms", env = "REPLICA_MAX_LAG_MS", value_parser = milliseconds, default_value = "5000", global = true, hide_env_values = true)]
    pub max_lag: Duration,

    /// Time after a write in which the same client reads from the primary unless it sends the consistency token, in milliseconds
    #[arg(id = "primary_after_write_ms", long = "primary-after-write-ms", env = "PRIMARY_AFTER_WRITE_MS", value_parser = milliseconds_or_none, default_value = "5000", global = true, hide_env_values = true)]
    pub primary_after_write: Duration,

    /// Maximum clients in the table of last served positions
    #[arg(id = "replica_readers", long = "replica-readers", env = "REPLICA_READERS", value_parser = count::<u64>, default_value = "100000", global = true, hide_env_values = true)]
    pub readers: u64,
}

impl ReplicaSettings {
    /// Time after which every healthy replica has caught up with anything that a client has seen.
    #[must_use]
    pub fn forget_after(&self) -> Duration {
        self.max_lag + self.primary_after_write + self.check * 8
    }
}

/// URL of a database; `Debug` and `Display` omit the credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL with its credentials.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `true` for an embedded database whose missing file is created.
    #[must_use]
    pub fn creates_file(&self) -> bool {
        let parameters = self.0.split_once('?').map_or("", |(_, parameters)| parameters);
        self.is_embedded() && parameters.split('&').any(|parameter| parameter == "mode=rwc")
    }

    /// `true` for SQLite.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_redacted_url(&self.0, formatter)
    }
}

fn database_url(text: &str) -> Result<DatabaseUrl, String> {
    // Each connection of the pool would open an in-memory database of its own.
    if text.starts_with("sqlite:") && (text.contains(":memory:") || text.contains("mode=memory")) {
        return Err("a database in a file, or on a server: in-memory databases are not supported"
            .to_owned());
    }
    if text.starts_with("sqlite:")
        || text.starts_with("postgres://")
        || text.starts_with("postgresql://")
    {
        return Ok(DatabaseUrl(text.to_owned()));
    }
    Err("an address that begins with sqlite:, postgres:// or postgresql://".to_owned())
}

fn replica_url(text: &str) -> Result<DatabaseUrl, String> {
    let text = text.trim();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(DatabaseUrl(text.to_owned()));
    }
    Err("addresses that begin with postgres:// or postgresql://, separated by commas".to_owned())
}

fn pool_size(text: &str) -> Result<u32, String> {
    whole_number(text, 1, POOL_CONNECTIONS_MAXIMUM)
}

fn lock_attempts(text: &str) -> Result<u32, String> {
    whole_number(text, 1, LOCK_ATTEMPTS_MAXIMUM)
}

fn overflow(text: &str) -> Result<u32, String> {
    whole_number(text, 0, POOL_CONNECTIONS_MAXIMUM)
}
