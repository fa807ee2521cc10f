//! [`Load`]: clients that write and read without a break, and repeat what was not acknowledged, while a test breaks
//! the server or what it depends on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{TestDatabase, TestResponse};
use crate::support::fixtures::id;
use crate::support::program::Program;
use crate::support::tables::Access;

const PAUSE: Duration = Duration::from_millis(20);
/// A fault from which nothing has recovered by then.
const HANGS: Duration = Duration::from_mins(5);
/// Codes of errors that a fault may lead to.
const EXPECTED_CODES: [&str; 3] = ["SERVICE_UNAVAILABLE", "TIMEOUT", "STORAGE_FULL"];
/// Queries of readers: their own data, public data, and data from the caches.
const QUERIES: [&str; 4] = [
    "{ viewer { username readings(first: 5) { totalCount nodes { question } } } }",
    "{ publicReadings(first: 5) { nodes { question cards { card { name } } } } }",
    "{ viewer { stats { totalReadings } } }",
    "{ publicStats { readings } spreads(first: 5) { nodes { name } } }",
];

/// Clients of a server, and what was acknowledged to them.
pub struct Load<'a> {
    server: &'a Program,
    writers: Vec<String>,
    readers: usize,
    writer_pause: Duration,
    spread: String,
    /// Ids of the readings by their question, which is also their idempotency key.
    acknowledged: RefCell<BTreeMap<String, String>>,
    responses: Cell<u64>,
    failures: Cell<u64>,
    has_ended: Cell<bool>,
}

/// Requests so far.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    pub responses: u64,
    pub failures: u64,
}

impl<'a> Load<'a> {
    /// Each of the writers is a user; the readers are the same users.
    pub async fn new(server: &'a Program, writers: Vec<String>, readers: usize) -> Self {
        Self {
            server,
            writers,
            readers,
            writer_pause: Duration::ZERO,
            spread: server.spread_id("single_wasteland").await,
            acknowledged: RefCell::default(),
            responses: Cell::default(),
            failures: Cell::default(),
            has_ended: Cell::default(),
        }
    }

    /// Lets each writer pause after each write.
    pub fn with_writer_pause(self, writer_pause: Duration) -> Self {
        Self { writer_pause, ..self }
    }

    /// Runs all clients while `faults` runs.
    pub async fn run<T>(&self, faults: impl Future<Output = T>) -> T {
        let writers = join_all(self.writers.iter().map(|writer| self.write(writer)));
        let readers = join_all((0..self.readers).map(|reader| self.read(reader)));
        let faults = async {
            let result = faults.await;
            self.has_ended.set(true);
            result
        };
        futures_util::join!(faults, writers, readers).0
    }

    pub fn requests(&self) -> Requests {
        Requests { responses: self.responses.get(), failures: self.failures.get() }
    }

    /// Number of acknowledged writes.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.borrow().len()
    }

    /// Waits for that many more acknowledged writes.
    pub async fn wait_for_writes(&self, count: usize) {
        let wanted = self.acknowledged() + count;
        self.until("writes are acknowledged", async || self.acknowledged() >= wanted).await;
    }

    /// Waits until a client notices a fault.
    pub async fn wait_for_failure(&self) {
        let before = self.failures.get();
        self.until("a request fails", async || self.failures.get() > before).await;
    }

    /// Time until the server is ready and a write is acknowledged that was sent after now.
    pub async fn recovery(&self) -> Duration {
        let began = Instant::now();
        self.until("the server is ready", async || {
            matches!(self.server.try_ready().await, Some((200, _)))
        })
        .await;
        // Each of the writers may have one on its way.
        self.wait_for_writes(self.writers.len() + 1).await;
        began.elapsed()
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let poll = async {
            while !is_so().await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let is_in_time = tokio::time::timeout(HANGS, poll).await.is_ok();
        assert!(is_in_time, "never: {what}\n{}", self.server.log());
    }

    /// The data of a response, or `None` of a request that failed as requests may.
    async fn send(&self, user: &str, query: &str) -> Option<Value> {
        let response = self.server.try_query_as(id(user), query).await;
        let data = match response {
            Err(_) => None,
            Ok(TestResponse { text, mut body, .. }) => match body.get("errors") {
                None => Some(body["data"].take()),
                Some(errors) => {
                    let errors = errors.as_array().expect("a list");
                    let codes = errors.iter().map(|error| &error["extensions"]["code"]);
                    let mut codes = codes.map(|code| code.as_str().expect("a code"));
                    let is_expected = codes.all(|code| EXPECTED_CODES.contains(&code));
                    assert!(is_expected, "{text}\n{}", self.server.log());
                    None
                }
            },
        };
        let counter = if data.is_some() { &self.responses } else { &self.failures };
        counter.set(counter.get() + 1);
        data
    }

    /// Creates readings, and repeats each request with the same key until it is acknowledged.
    async fn write(&self, writer: &str) {
        let mut number = 0;
        while !self.has_ended.get() {
            let question = format!("{writer} {number}");
            let mutation = format!(
                "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {:?},
                    privacyLevel: PUBLIC, idempotencyKey: {question:?} }}) {{ reading {{ id }} }} }}",
                self.spread
            );
            let mut data = loop {
                if let Some(data) = self.send(writer, &mutation).await {
                    break data;
                }
                tokio::time::sleep(PAUSE).await;
            };
            let Value::String(reading) = data["createReading"]["reading"]["id"].take() else {
                panic!("{question}: {data}");
            };
            self.acknowledged.borrow_mut().insert(question, reading);
            number += 1;
            if !self.writer_pause.is_zero() {
                tokio::time::sleep(self.writer_pause).await;
            }
        }
    }

    async fn read(&self, reader: usize) {
        let mut number = reader;
        while !self.has_ended.get() {
            let user = &self.writers[number % self.writers.len()];
            if self.send(user, QUERIES[number % QUERIES.len()]).await.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
            number += 1;
        }
    }

    /// Asserts that the database has what was acknowledged, each once and with that id, and nothing else.
    pub async fn assert_nothing_is_lost_or_doubled(&self, database: &TestDatabase) {
        let access = Access::open(database).await;
        let mut there = access.texts("SELECT question AS text FROM reading_sessions").await;
        access.close().await;
        there.sort();
        let acknowledged = self.acknowledged.borrow().clone();
        let found: BTreeSet<&String> = there.iter().collect();
        assert_eq!(found.len(), there.len(), "doubled: {there:?}");
        let lost: Vec<_> = acknowledged.keys().filter(|sent| !found.contains(sent)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(there.len(), acknowledged.len(), "never acknowledged: {there:?}");
        for (question, reading) in acknowledged.iter().rev().step_by(7).take(200) {
            let body = json!({
                "query": "query ($id: ID!) { node(id: $id) { ... on Reading { question } } }",
                "variables": { "id": reading },
            });
            let response = self.server.send(None, &body).await;
            assert_eq!(response.body["data"]["node"]["question"], **question, "{}", response.text);
        }
    }
}
