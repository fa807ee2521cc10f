//! Slow statements: what they were, how long they took and who asked for them. One for the process.
//!
//! Statements that differ only in how many values they have, or in a limit, are one slow query.
//! Invariant: no value is ever kept, only its kind and length, so that no password, token, question
//! or note can be read here.

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
use redaction::{bounded_name, bounded_sql, kinds_of, shape_of, type_on_postgres};

/// Which slow query: the same in every process and after every start.
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

/// On whose behalf a statement runs.
#[derive(Clone, Default)]
pub(super) struct Asker {
    /// The name of the GraphQL operation.
    pub(super) operation: Option<Arc<str>>,
    /// The GraphQL field, as `Type.field`, where the handle is that of a field.
    pub(super) field: Option<&'static str>,
    /// The mutation that is being executed, which is the field of all statements without one of their
    /// own; mutations of a request run one after another.
    pub(super) mutation: Arc<Mutex<Option<Arc<str>>>>,
}

impl Asker {
    fn field(&self) -> Option<Arc<str>> {
        let mutation = || lock(&self.mutation).clone();
        self.field.map(Arc::from).or_else(mutation)
    }
}

/// A slow query.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowQuery {
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Its text, with `?` for each value and each limit; what is repeated stands once.
    pub sql: Arc<str>,
    /// The longest that it took.
    pub worst: Duration,
    /// What it took the last time.
    pub latest: Duration,
    /// When that ended.
    pub occurred_at: DateTime<Utc>,
    /// How often it was slow since it was first noted.
    pub occurrences: u64,
    /// The name of the GraphQL operation that asked the last time.
    pub operation: Option<Arc<str>>,
    /// The GraphQL field that asked the last time.
    pub field: Option<Arc<str>>,
    /// The kinds of the values of the last time.
    pub parameters: Arc<[String]>,
}

struct Noted {
    query: SlowQuery,
    /// As it ran the last time.
    explainable: Option<Explainable>,
    /// The number of the last note of it: who has the lowest is the one seen longest ago.
    seen: u64,
    warned_at: Instant,
}

/// What is needed to ask for a statement's plan without its values.
#[derive(Clone)]
struct Explainable {
    sql: Arc<str>,
    values: Arc<[Value]>,
}

/// Notes statements that are slow.
pub(super) struct Monitor {
    threshold: Duration,
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    noted: HashMap<Fingerprint, Noted>,
    notes: u64,
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
        let mut noted: Vec<&SlowQuery> = state.noted.values().map(|noted| &noted.query).collect();
        noted.sort_unstable_by_key(|query| {
            std::cmp::Reverse((query.worst, query.occurred_at, query.fingerprint.0))
        });
        noted.into_iter().take(limit).cloned().collect()
    }

    fn explainable(&self, fingerprint: Fingerprint) -> Option<Explainable> {
        self.state().noted.get(&fingerprint)?.explainable.clone()
    }

    /// What a panic left behind is whole: each note is written in one step.
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn note(&self, run: &Watch<'_>, took: Duration) {
        let shape = shape_of(run.sql);
        let fingerprint = Fingerprint::of(&shape);
        let operation = run.asker.operation.as_ref().map(bounded_name);
        let field = run.asker.field();
        let parameters = kinds_of(run.values);
        let explainable = Explainable::of(run);
        let mut state = self.state();
        state.notes += 1;
        let seen = state.notes;
        if !state.noted.contains_key(&fingerprint) && state.noted.len() >= self.capacity {
            state.forget_oldest();
        }
        let before = state.noted.get(&fingerprint);
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
        let noted =
            Noted { query, explainable, seen, warned_at: warned_at.unwrap_or_else(Instant::now) };
        state.noted.insert(fingerprint, noted);
        drop(state);
        if !is_warned {
            tracing::warn!(
                duration_ms = took.as_secs_f64() * 1_000.0,
                statement = run.statement,
                operation = operation.as_deref(),
                field = field.as_deref(),
                "a statement was slow"
            );
        }
    }
}

impl State {
    fn forget_oldest(&mut self) {
        let oldest = self.noted.iter().min_by_key(|(_, noted)| noted.seen);
        if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
            self.noted.remove(&oldest);
        }
    }
}

/// A statement that is running. When it is dropped it is noted, if it was slow: whether it succeeded,
/// failed, or is given up because time is up or nobody waits for it any more.
pub(super) struct Watch<'a> {
    pub(super) monitor: &'a Monitor,
    pub(super) statement: &'static str,
    pub(super) sql: &'a str,
    pub(super) values: &'a [Value],
    pub(super) asker: &'a Asker,
    /// When the database was asked; nothing before there is a connection.
    pub(super) began: Option<Instant>,
    /// Whether it was ended for its time, which is too long whatever counts as slow.
    pub(super) is_out_of_time: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(began) = self.began else { return };
        let took = began.elapsed();
        if took >= self.monitor.threshold || self.is_out_of_time {
            self.monitor.note(self, took);
        }
    }
}

impl Explainable {
    /// Nothing for what has no plan, such as the end of a transaction, and for what is too long to keep.
    fn of(run: &Watch<'_>) -> Option<Self> {
        const PLANNED: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
        let is_planned = PLANNED.iter().any(|word| run.sql.starts_with(word));
        let is_kept = run.sql.len() <= SLOW_QUERY_BYTES;
        (is_planned && is_kept).then(|| Self {
            sql: run.sql.into(),
            values: run.values.iter().map(Value::as_null).collect(),
        })
    }
}

/// The slow queries that were noted, the slowest first.
#[must_use]
pub fn slow_queries(session: &Session, limit: usize) -> Vec<SlowQuery> {
    session.monitor().list(limit)
}

/// How the database would run a slow query with any values: its plan as text, which the statement is
/// not executed for. `None` where there is none: for the end of a transaction, for a text that was too
/// long to keep, where the query was forgotten since, and where the database cannot plan it any more.
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

/// Asks for the plan for any values, as the server's connections use it, in a transaction that can
/// change nothing and is taken back. One round trip: PostgreSQL stops at the first part that fails.
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
