//! SQL: connections, entities, and a file of statements for each noun.
//!
//! Statements are built and run nowhere else. Each runs in a [`Session`], which counts it for its
//! request. A function that reads is named after what it returns, a function that writes after the noun
//! and the verb; its statement has the same name in logs and spans (one of several has its own). Its SQL and plans, for both
//! databases, are in `tests/api/golden/`.

pub mod audit_log;
pub mod cache_outbox;
pub mod cards;
pub mod categories;
pub mod counters;
pub mod daily_usage;
pub mod drawn_cards;
pub mod entities;
pub mod exports;
pub mod factions;
pub mod hidden_readings;
pub mod idempotency_keys;
pub mod login_sessions;
pub mod login_throttles;
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
pub mod token_revocations;
pub mod user_card_stats;
pub mod users;
pub mod voices;

mod bulk;
mod database;
mod driver;
mod error;
mod pool;
mod pooled_connection;
mod readiness;
mod replicas;
mod session;
mod shortages;
mod sql;
mod start_lock;

pub use database::{Database, DatabaseHealth};
pub use error::DbError;
pub use pool::{PoolRole, PoolStats};
pub use readiness::PrimaryStatus;
pub use replicas::WalPosition;
pub use session::{Session, StatementCounters, Transaction};
pub use start_lock::StartLock;

use chrono::{DateTime, SubsecRound, Utc};

/// Digits of a second in database columns and cursors.
const MICROSECONDS: u16 = 6;

/// Current time, with the precision of the databases.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "all other code calls this function")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(MICROSECONDS)
}
