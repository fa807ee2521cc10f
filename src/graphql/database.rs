//! Database health and connection pools for admins.

use async_graphql::{Enum, SimpleObject};

use super::scalars::milliseconds;
use crate::db;

/// Role of a database.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "db::PoolRole")]
pub enum PoolRole {
    /// Primary: all writes go there.
    Primary,
    /// Replica of the primary: reads only.
    Replica,
}

/// Health of a database.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// The database responds.
    Healthy,
    /// The database does not respond.
    Unhealthy,
}

/// Connection pool of one server process and one database.
#[derive(SimpleObject)]
pub struct PoolStats {
    /// Role of the database.
    role: PoolRole,
    /// Size of the pool: connections that stay open (`DATABASE_POOL_SIZE`).
    pool_size: u32,
    /// Number of idle connections.
    checked_in: u32,
    /// Number of connections in use.
    checked_out: u32,
    /// Number of open connections above the pool size. They are closed when they return to a full
    /// pool.
    overflow: u32,
    /// Maximum number of connections above the pool size (`DATABASE_MAX_OVERFLOW`).
    max_overflow: u32,
    /// Number of requests that wait for a connection.
    waiting: usize,
    /// 95th percentile of the wait for a connection in milliseconds, over the last 512 requests;
    /// null before the first.
    acquire_p95_ms: Option<f64>,
}

/// Health of the primary database.
#[derive(SimpleObject)]
pub struct DatabaseHealth {
    /// Status of the primary.
    status: HealthStatus,
    /// Round trip in milliseconds; null if there was no response.
    latency_ms: Option<f64>,
    /// Cause of the failure; null if healthy.
    error: Option<String>,
    /// Connection pools of the primary and its replicas. At most 17.
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
    /// The GraphQL type of a health check.
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
