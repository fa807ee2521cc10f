//! The slow-query monitor of the process: text, duration and origin of slow statements.
//!
//! Statements that differ only in their limit or number of values are one slow query. Invariant: no value
//! is stored, only its type and length, so that no password, token, question or note can leak.

mod redaction;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Value;
use sha2::{Digest, Sha256};

use super::query::Dialect;
use super::{DbError, Session, now};
use crate::config::monitor::{MonitorSettings, PLAN_TIMEOUT, SLOW_QUERY_BYTES, WARNING_INTERVAL};
use crate::domain::lock::lock;
use redaction::{bounded_name, bounded_sql, shape_of, type_on_postgres, types_of};

/// Identity of a slow query, stable across processes and restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

impl Fingerprint {
    fn of(shape: &str) -> Self {
        let digest = Sha256::digest(shape.as_bytes());
        let bytes = digest.iter().take(size_of::<u128>());
        Self(bytes.fold(0, |number, byte| number << u8::BITS | u128::from(*byte)))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// GraphQL origin of a statement.
#[derive(Clone, Default)]
pub(super) struct StatementOrigin {
    /// Name of the operation.
    pub(super) operation: Option<Arc<str>>,
    /// Field, as `Type.field`, if the session handle belongs to one.
    pub(super) field: Option<&'static str>,
    /// Current mutation: the field of all statements without a field of their own. Mutations of a request
    /// run one after another.
    pub(super) mutation: Arc<Mutex<Option<Arc<str>>>>,
}

impl StatementOrigin {
    fn field(&self) -> Option<Arc<str>> {
        let mutation = || lock(&self.mutation).clone();
        self.field.map(Arc::from).or_else(mutation)
    }
}

/// A slow query.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowQuery {
    /// Identity.
    pub fingerprint: Fingerprint,
    /// Text, with `?` for each value and each limit, and repeated parts once.
    pub sql: Arc<str>,
    /// Longest duration.
    pub worst: Duration,
    /// Duration of the latest occurrence.
    pub latest: Duration,
    /// End of the latest occurrence.
    pub occurred_at: DateTime<Utc>,
    /// Number of slow occurrences since the first one in the list.
    pub occurrences: u64,
    /// GraphQL operation of the latest occurrence.
    pub operation: Option<Arc<str>>,
    /// GraphQL field of the latest occurrence.
    pub field: Option<Arc<str>>,
    /// Types of the values of the latest occurrence.
    pub parameters: Arc<[String]>,
}

struct Entry {
    query: SlowQuery,
    /// Statement of the latest occurrence.
    explainable: Option<Explainable>,
    /// Sequence number of the latest occurrence. The entry with the lowest is evicted first.
    sequence: u64,
    warned_at: Instant,
}

/// A statement whose plan can be requested without its values.
#[derive(Clone)]
struct Explainable {
    sql: Arc<str>,
    values: Arc<[Value]>,
}

/// Records slow statements.
pub(super) struct Monitor {
    threshold: Duration,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Fingerprint, Entry>,
    /// Number of recorded occurrences.
    occurrences: u64,
}

impl Monitor {
    pub(super) fn new(settings: &MonitorSettings) -> Self {
        Self {
            threshold: settings.slow_query,
            capacity: settings.slow_queries,
            state: Mutex::default(),
        }
    }

    /// The slow queries, the slowest first.
    fn list(&self, limit: usize) -> Vec<SlowQuery> {
        let state = self.state();
        let mut queries: Vec<&SlowQuery> =
            state.entries.values().map(|entry| &entry.query).collect();
        queries.sort_unstable_by_key(|query| {
            std::cmp::Reverse((query.worst, query.occurred_at, query.fingerprint.0))
        });
        queries.into_iter().take(limit).cloned().collect()
    }

    fn explainable(&self, fingerprint: Fingerprint) -> Option<Explainable> {
        self.state().entries.get(&fingerprint)?.explainable.clone()
    }

    /// The state is consistent even after a panic: each occurrence is recorded in one step.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn record(&self, timer: &StatementTimer<'_>, took: Duration) {
        let shape = shape_of(timer.sql);
        let fingerprint = Fingerprint::of(&shape);
        let operation = timer.origin.operation.as_ref().map(bounded_name);
        let field = timer.origin.field();
        let parameters = types_of(timer.values);
        let explainable = Explainable::of(timer);
        let mut state = self.state();
        state.occurrences += 1;
        let sequence = state.occurrences;
        if !state.entries.contains_key(&fingerprint) && state.entries.len() >= self.capacity {
            state.evict_oldest();
        }
        let before = state.entries.get(&fingerprint);
        let is_warned = before.is_some_and(|before| before.warned_at.elapsed() < WARNING_INTERVAL);
        let warned_at = before.filter(|_| is_warned).map(|before| before.warned_at);
        let query = SlowQuery {
            fingerprint,
            sql: before.map_or_else(|| bounded_sql(&shape), |before| Arc::clone(&before.query.sql)),
            worst: before.map_or(took, |before| before.query.worst.max(took)),
            latest: took,
            occurred_at: now(),
            occurrences: before.map_or(0, |before| before.query.occurrences) + 1,
            operation: operation.clone(),
            field: field.clone(),
            parameters,
        };
        let warned_at = warned_at.unwrap_or_else(Instant::now);
        state.entries.insert(fingerprint, Entry { query, explainable, sequence, warned_at });
        drop(state);
        if !is_warned {
            tracing::warn!(
                duration_ms = took.as_secs_f64() * 1_000.0,
                statement = timer.statement,
                operation = operation.as_deref(),
                field = field.as_deref(),
                "a statement was slow"
            );
        }
    }
}

impl State {
    fn evict_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.sequence);
        if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
            self.entries.remove(&oldest);
        }
    }
}

/// Timer of a running statement. When dropped it records the statement, if that was slow: whether it
/// succeeded, failed, exceeded its deadline, or was cancelled because nobody waits for it any more.
pub(super) struct StatementTimer<'a> {
    pub(super) monitor: &'a Monitor,
    pub(super) statement: &'static str,
    pub(super) sql: &'a str,
    pub(super) values: &'a [Value],
    pub(super) origin: &'a StatementOrigin,
    /// Time at which the statement was sent to the database; `None` before there is a connection.
    pub(super) began: Option<Instant>,
    /// True if its deadline ended the statement, which is slow whatever the threshold.
    pub(super) deadline_exceeded: bool,
}

impl Drop for StatementTimer<'_> {
    fn drop(&mut self) {
        let Some(began) = self.began else { return };
        let took = began.elapsed();
        if took >= self.monitor.threshold || self.deadline_exceeded {
            self.monitor.record(self, took);
        }
    }
}

impl Explainable {
    /// `None` for statements without a plan, such as the end of a transaction, and for long texts.
    fn of(timer: &StatementTimer<'_>) -> Option<Self> {
        const PLANNED: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        let has_plan = PLANNED.iter().any(|word| timer.sql.starts_with(word));
        let is_short = timer.sql.len() <= SLOW_QUERY_BYTES;
        (has_plan && is_short).then(|| Self {
            sql: timer.sql.into(),
            values: timer.values.iter().map(Value::as_null).collect(),
        })
    }
}

/// The recorded slow queries, the slowest first.
#[must_use]
pub fn slow_queries(session: &Session, limit: usize) -> Vec<SlowQuery> {
    session.monitor().list(limit)
}

/// The generic plan of a slow query, as text; the statement is not executed. `None` if it has no plan
/// (the end of a transaction), its text was too long to store, it was evicted, or the database cannot
/// plan it any more.
///
/// # Errors
///
/// The database cannot be reached, or takes too long.
pub async fn plan_of_slow_query(
    session: &Session,
    fingerprint: Fingerprint,
) -> Result<Option<String>, DbError> {
    let Some(Explainable { sql, values }) = session.monitor().explainable(fingerprint) else {
        return Ok(None);
    };
    let explain = match session.dialect() {
        Dialect::Sqlite => format!("EXPLAIN QUERY PLAN {sql}"),
        Dialect::Postgres => explain_on_postgres(&sql, &values),
    };
    match session.explain(&explain, values.to_vec()).await {
        Ok(lines) => Ok(Some(lines.join("\n"))),
        Err(error @ DbError::Failed { .. }) => {
            tracing::warn!(%error, "a slow query has no plan");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// SQL that returns the generic plan, which the server's connections use, in a read-only transaction that
/// is rolled back. One round trip: PostgreSQL stops at the first statement that fails.
fn explain_on_postgres(sql: &str, values: &[Value]) -> String {
    let timeout = PLAN_TIMEOUT.as_millis();
    let (types, nulls) = if values.is_empty() {
        (String::new(), String::new())
    } else {
        let types: Vec<String> = values.iter().map(type_on_postgres).collect();
        (format!("({})", types.join(", ")), format!("({})", vec!["NULL"; types.len()].join(", ")))
    };
    format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {timeout}; \
         SET LOCAL plan_cache_mode = force_generic_plan; \
         PREPARE slow_query {types} AS {sql}; EXPLAIN EXECUTE slow_query {nulls}; \
         DEALLOCATE slow_query; ROLLBACK"
    )
}
