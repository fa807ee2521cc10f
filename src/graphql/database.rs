//! What operators see of the databases and of the connections to them.

use async_graphql::{Enum, SimpleObject};

use super::scalars::milliseconds;
use crate::db;

/// What a database is to the server.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "db::PoolRole")]
pub enum PoolRole {
    /// Everything is written there.
    Primary,
    /// It follows the primary and is read.
    Replica,
}

/// Whether the database is well.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// It answers.
    Healthy,
    /// It does not.
    Unhealthy,
}

/// What the connections of one process to one database are used for now.
#[derive(SimpleObject)]
pub struct PoolStats {
    /// Which database.
    role: PoolRole,
    /// Connections that are kept open once they were needed (`DATABASE_POOL_SIZE`).
    pool_size: u32,
    /// Open connections that wait for work.
    checked_in: u32,
    /// Connections that requests hold.
    checked_out: u32,
    /// Open connections above the pool's size. They are closed when they come back to a full pool.
    overflow: u32,
    /// How many there may be above the pool's size (`DATABASE_MAX_OVERFLOW`).
    max_overflow: u32,
    /// Requests that wait for a connection.
    waiting: usize,
    /// What 19 of 20 of the last 512 requests waited for their connection at most, in milliseconds;
    /// null before the first.
    acquire_p95_ms: Option<f64>,
}

/// Whether the primary database answers.
#[derive(SimpleObject)]
pub struct DatabaseHealth {
    /// Whether it does.
    status: HealthStatus,
    /// How long it took to answer, in milliseconds; null if it did
    /// not answer.
    latency_ms: Option<f64>,
    /// Why it did not answer; null if it did.
    error: Option<String>,
    /// The connections to it, and to its replicas. At most 17.
    pool_stats: Vec<PoolStats>,
}

impl From<db::PoolStats> for PoolStats {
    fn from(stats: db::PoolStats) -> Self {
        Self {
            role: stats.role.into(),
            pool_size: stats.size,
            checked_in: stats.checked_in,
            checked_out: stats.checked_out,
            overflow: stats.overflow,
            max_overflow: stats.max_overflow,
            waiting: stats.waiting,
            acquire_p95_ms: stats.acquire_p95.map(milliseconds),
        }
    }
}

impl DatabaseHealth {
    /// As clients see it.
    #[must_use]
    pub fn new(health: db::DatabaseHealth, pools: Vec<db::PoolStats>) -> Self {
        Self {
            status: match health.error {
                None => HealthStatus::Healthy,
                Some(_) => HealthStatus::Unhealthy,
            },
            latency_ms: health.latency.map(milliseconds),
            error: health.error,
            pool_stats: pools.into_iter().map(PoolStats::from).collect(),
        }
    }
}
