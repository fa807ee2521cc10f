//! Everything that speaks SQL: the connections, the entities, and a file of statements a noun.
//!
//! Statements are built and run nowhere else. Each goes through a [`Session`], which counts it for
//! the request that it belongs to.

pub mod cache_outbox;
pub mod cards;
pub mod categories;
pub mod counters;
pub mod daily_usage;
pub mod drawn_cards;
pub mod entities;
pub mod exports;
pub mod factions;
pub mod idempotency_keys;
pub mod login_sessions;
pub mod migrations;
pub mod monitor;
pub mod public_stats;
pub mod query;
pub mod reading_writes;
pub mod readings;
pub mod reference;
pub mod seed;
pub mod shares;
pub mod spreads;
pub mod statistics;
pub mod user_card_stats;
pub mod users;
pub mod voices;

mod bulk;
mod database;
mod error;
mod lent;
mod pool;
mod replicas;
mod session;
mod sql;
mod start_lock;

pub use database::{Database, DatabaseHealth};
pub use error::DbError;
pub use pool::{PoolRole, PoolStats};
pub use replicas::WalPosition;
pub use session::{Session, StatementCounters, Transaction};
pub use start_lock::StartLock;

use chrono::{DateTime, SubsecRound, Utc};

/// Digits of a second that the databases keep and cursors carry.
const MICROSECONDS: u16 = 6;

/// The time as the databases keep it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the place that the others use")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(MICROSECONDS)
}
