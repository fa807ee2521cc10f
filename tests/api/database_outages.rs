//! PostgreSQL stops, dies, freezes or has no room: clients get an error, acknowledged writes stay,
//! and the server recovers by itself when the database does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::sqlx::{self, Connection, PgConnection};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;

use crate::support::app::{TestApp, TestResponse, data_of, send_request};
use crate::support::fixtures::{id, rows, spread_id, user};
use crate::support::postgres_cluster::{Mode, PASSWORD, PostgresCluster, has_cluster};
use crate::support::tables::{Access, differences};
use crate::transactions::assert_counters_agree;

/// Limit after which a test counts as hung. It is not a test of speed.
const HANGS: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(20);
/// Only the deadline of statements ends a statement that the database does not finish.
const ONLY_THE_DEADLINE: [&str; 2] = ["--request-timeout-ms=600000", "--database-deadline-ms=1500"];
/// No deadline ends a statement that a test holds up.
const PATIENT: [&str; 4] = [
    "--request-timeout-ms=600000",
    "--database-deadline-ms=600000",
    "--database-statement-timeout-ms=600000",
    "--database-lock-timeout-ms=600000",
];
const VIEWER: &str = "{ viewer { username } suits { cardCount } }";
const ADMIN: &str = "{ admin { users { totalCount } } }";
const QUESTIONS: &str = "SELECT question AS text FROM reading_sessions ORDER BY question";

/// A server on the cluster, with ada, who is an admin, and bob.
async fn start(cluster: &PostgresCluster, flags: &[&str]) -> TestApp {
    start_observed(cluster, flags, |_| ()).await
}

async fn start_observed(
    cluster: &PostgresCluster,
    flags: &[&str],
    observer: impl Fn(&str) + Send + Sync + 'static,
) -> TestApp {
    let app = TestApp::start_observed(cluster.database(), flags, observer).await;
    let ada = users::Model { is_admin: true, ..user("ada") };
    app.insert(rows(vec![ada, user("bob")], Vec::new())).await;
    app
}

/// Something that must come to an end.
async fn ends<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS, work).await.expect("it hangs")
}

fn create(app: &TestApp, question: &str) -> String {
    let spread = spread_id(app, "single_wasteland");
    format!(
        "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {spread:?},
            idempotencyKey: {question:?} }}) {{ reading {{ id question }} userErrors {{ message }} }} }}"
    )
}

async fn health(app: &TestApp, path: &str) -> (u16, Value) {
    let TestResponse { status, body, .. } = send_request(app.request(Method::GET, path)).await;
    (status, body)
}

/// Holds that the server lives and is not ready, for that reason.
async fn assert_unready(app: &TestApp, reasons: &[&str]) {
    assert_eq!(health(app, "/health/live").await, (200, json!({ "status": "ok" })));
    let (status, mut body) = health(app, "/health/ready").await;
    let reason = body["database"].take();
    assert!(reasons.iter().any(|one| reason == *one), "{reason}");
    assert_eq!((status, body), (503, json!({ "status": "unready", "database": null })));
}

const AWAY: &str = "the database cannot be reached";

/// A body that says of that field, which begins there, that the database cannot be reached.
fn away(field: &str, column: u32) -> Value {
    json!({
        "data": { field: null },
        "errors": [{
            "message": AWAY,
            "locations": [{ "line": 1, "column": column }],
            "path": [field],
            "extensions": { "code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1_000, "requestId": "ID" },
        }],
    })
}

/// Asserts that requests that need the database get its error, and all others are served.
async fn assert_away(app: &TestApp) {
    let mut viewer = away("viewer", 3);
    viewer["data"]["suits"] = [22, 14, 14, 14, 14].map(|n| json!({ "cardCount": n })).into();
    let create = create(app, "Anybody there?");
    let requests = [
        (VIEWER, viewer),
        (ADMIN, away("admin", 3)),
        (&create, away("createReading", 12)),
        ("{ publicStats { users } }", away("publicStats", 3)),
    ];
    let requests = requests.map(|(query, mut expected)| async move {
        let response = app.query_as(id("ada"), query).await;
        if query.starts_with("{ publicStats") {
            expected["data"] = Value::Null;
        }
        assert_eq!((response.status, response.body_without_request_id()), (200, expected));
    });
    ends(join_all(requests)).await;
    ends(assert_unready(app, &[AWAY])).await;
}

/// Waits until the server is ready again, and holds that from then on it does everything.
async fn assert_recovers(app: &TestApp, question: &str) {
    let ready = async {
        while health(app, "/health/ready").await.0 != 200 {
            tokio::time::sleep(PAUSE).await;
        }
    };
    ends(ready).await;
    let data =
        app.data_as(id("ada"), "{ viewer { username } admin { users { totalCount } } }").await;
    let expected =
        json!({ "viewer": { "username": "ada" }, "admin": { "users": { "totalCount": 2 } } });
    assert_eq!(data, expected);
    assert_made(app, question).await;
}

/// Makes a reading.
async fn assert_made(app: &TestApp, question: &str) {
    let data = app.data_as(id("ada"), &create(app, question)).await;
    assert_eq!(data["createReading"]["reading"]["question"], question);
}

/// Fills the pool: has so many connections wait at the same time.
async fn fill_pool(app: &TestApp, connections: u32) {
    let access = Access::open(&app.database).await;
    access.run("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await;
    let requests = join_all((0..connections).map(|_| app.data_as(id("ada"), VIEWER)));
    let let_go = async {
        let waiting = "SELECT count(*) AS number FROM pg_locks WHERE NOT granted";
        access.wait_for(waiting, connections.into()).await;
        access.run("ROLLBACK").await;
    };
    futures_util::join!(requests, let_go);
    access.close().await;
}

async fn assert_a_stop_is_survived(mode: Mode) {
    let mut cluster = PostgresCluster::start().await;
    let app = start(&cluster, &ONLY_THE_DEADLINE).await;
    assert_made(&app, "Before?").await;
    cluster.stop(mode).await;
    // Once with a connection in the pool and once without.
    for _ in 0..2 {
        assert_away(&app).await;
    }
    cluster.start_again().await;
    assert_recovers(&app, "After?").await;
    let access = Access::open(&app.database).await;
    assert_eq!(access.texts(QUESTIONS).await, ["After?", "Before?"]);
    access.close().await;
}

#[tokio::test]
async fn a_database_that_is_stopped_and_started_again_is_away_and_then_back() {
    if has_cluster("a_database_that_is_stopped_and_started_again_is_away_and_then_back") {
        assert_a_stop_is_survived(Mode::Fast).await;
    }
}

#[tokio::test]
async fn a_database_that_breaks_down_and_recovers_is_away_and_then_back() {
    if has_cluster("a_database_that_breaks_down_and_recovers_is_away_and_then_back") {
        assert_a_stop_is_survived(Mode::Immediate).await;
    }
}

#[tokio::test]
async fn connections_that_end_while_nobody_uses_them_are_no_errors_of_anybody() {
    const CONNECTIONS: u32 = 3;
    if !has_cluster("connections_that_end_while_nobody_uses_them_are_no_errors_of_anybody") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    let flags: Vec<&str> = PATIENT.into_iter().chain(["--database-pool-size=3"]).collect();
    let app = start(&cluster, &flags).await;
    let end_all = async || {
        fill_pool(&app, CONNECTIONS).await;
        let killed = cluster.connection_killer().kill("TRUE");
        assert!(killed >= CONNECTIONS, "{killed}");
    };

    end_all().await;
    assert_eq!(health(&app, "/health/ready").await.0, 200);

    end_all().await;
    for data in join_all((0..CONNECTIONS).map(|_| app.data_as(id("ada"), VIEWER))).await {
        assert_eq!(data["viewer"]["username"], "ada");
    }

    // One that begins a transaction for itself, because it is planned for its values.
    end_all().await;
    let search = "{ publicReadings(search: \"water\") { nodes { id } } }";
    assert_eq!(app.data(search).await, json!({ "publicReadings": { "nodes": [] } }));

    end_all().await;
    join_all(["One?", "Two?", "Three?"].map(|question| assert_made(&app, question))).await;
    let access = Access::open(&app.database).await;
    assert_eq!(access.texts(QUESTIONS).await, ["One?", "Three?", "Two?"]);
    access.close().await;
}

#[tokio::test]
async fn a_mutation_whose_connection_ends_at_any_of_its_statements_leaves_nothing() {
    if !has_cluster("a_mutation_whose_connection_ends_at_any_of_its_statements_leaves_nothing") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    // Number of statements, and the one before which the connection ends.
    let (count, fatal) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (axe, counted, fatal_one) =
        (cluster.connection_killer(), Arc::clone(&count), Arc::clone(&fatal));
    let observer = move |_: &str| {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        if number == fatal_one.load(Ordering::SeqCst) {
            // One of the test's own may not have ended yet.
            assert!(axe.kill("TRUE") > 0, "there was none");
        }
    };
    let app = start_observed(&cluster, &PATIENT, observer).await;
    let fetch = async |question: &str, fatal_number: u32| {
        fatal.store(fatal_number, Ordering::SeqCst);
        count.store(0, Ordering::SeqCst);
        let response = ends(app.query_as(id("ada"), &create(&app, question))).await;
        fatal.store(0, Ordering::SeqCst);
        response
    };
    data_of(fetch("Whole?", 0).await);
    let statements = count.load(Ordering::SeqCst);
    assert!(statements > 5, "{statements}");

    // The first statement begins the transaction, and is repeated on another connection.
    let data = data_of(fetch("First?", 1).await);
    assert_eq!(data["createReading"]["reading"]["question"], "First?");
    for number in 2..=statements {
        let access = Access::open(&app.database).await;
        let before = access.all().await;
        access.close().await;
        let response = fetch("Broken?", number).await;
        assert_eq!(
            (response.status, response.body_without_request_id()),
            (200, away("createReading", 12)),
            "statement {number} of {statements}"
        );
        let access = Access::open(&app.database).await;
        let left = differences(&before, &access.all().await);
        assert!(left.is_empty(), "statement {number} of {statements}: {left:#?}");
        access.close().await;
        // Has a connection in the pool again, which the next round ends.
        assert_eq!(app.data_as(id("ada"), VIEWER).await["viewer"]["username"], "ada");
    }
    // With the same key it is made, once nothing is in its way.
    assert_made(&app, "Broken?").await;
    assert_counters_agree(&app).await;
}

#[tokio::test]
async fn a_mutation_whose_connection_ends_while_it_waits_leaves_nothing() {
    if !has_cluster("a_mutation_whose_connection_ends_while_it_waits_leaves_nothing") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    let app = start(&cluster, &PATIENT).await;
    let access = Access::open(&app.database).await;
    let before = access.all().await;
    access.run("BEGIN; LOCK TABLE reading_cards IN EXCLUSIVE MODE").await;
    let end = async {
        access.wait_for("SELECT count(*) AS number FROM pg_locks WHERE NOT granted", 1).await;
        assert_eq!(cluster.connection_killer().kill("wait_event_type = 'Lock'"), 1);
    };
    let document = create(&app, "Broken?");
    let (response, ()) =
        ends(futures_util::future::join(app.query_as(id("ada"), &document), end)).await;
    assert_eq!(
        (response.status, response.body_without_request_id()),
        (200, away("createReading", 12))
    );
    access.run("ROLLBACK").await;
    let left = differences(&before, &access.all().await);
    assert!(left.is_empty(), "{left:#?}");
    access.close().await;
    assert_made(&app, "Broken?").await;
}

#[tokio::test]
async fn a_frozen_database_is_an_error_and_not_a_wait() {
    if !has_cluster("a_frozen_database_is_an_error_and_not_a_wait") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    let flags: Vec<&str> =
        ONLY_THE_DEADLINE.into_iter().chain(["--database-pool-size=2"]).collect();
    let app = start(&cluster, &flags).await;
    fill_pool(&app, 2).await;
    cluster.freeze();
    // The first ones find connections that were there, the last ones cannot even connect.
    for attempt in 0..2 {
        let create = create(&app, "Anybody there?");
        let requests = [VIEWER, ADMIN, &create].map(|query| app.query_as(id("ada"), query));
        for response in ends(join_all(requests)).await {
            assert_eq!(response.status, 200, "{}", response.text);
            let errors = response.body["errors"].as_array().expect("errors");
            let codes: Vec<&Value> = errors.iter().map(|one| &one["extensions"]["code"]).collect();
            let is_told = codes == ["TIMEOUT"] || codes == ["SERVICE_UNAVAILABLE"];
            assert!(is_told, "attempt {attempt}: {}", response.text);
            assert!(!response.text.contains(PASSWORD), "{}", response.text);
        }
        // More often than there are connections: a probe that leaked its connection would use them
        // up.
        ends(assert_unready(&app, &[AWAY, "the database does not answer"])).await;
    }
    cluster.thaw();
    assert_recovers(&app, "After?").await;
    // Nobody waited for the response any more, and the statement had not begun before the thaw.
    let access = Access::open(&app.database).await;
    assert_eq!(access.texts(QUESTIONS).await, ["After?"]);
    access.close().await;
}

#[tokio::test]
async fn a_database_whose_connections_are_all_others_is_away_until_they_go() {
    if !has_cluster("a_database_whose_connections_are_all_others_is_away_until_they_go") {
        return;
    }
    let cluster = PostgresCluster::start_with(&["max_connections=8"]).await;
    let app = start(&cluster, &ONLY_THE_DEADLINE).await;
    let mut others: Vec<PgConnection> = Vec::new();
    let fill = async |others: &mut Vec<PgConnection>| loop {
        match PgConnection::connect(&cluster.url("postgres")).await {
            Ok(connection) => others.push(connection),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("53300") => break,
            Err(error) => panic!("{error}"),
        }
    };
    fill(&mut others).await;
    let end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
        WHERE datname = 'tarot' AND backend_type = 'client backend'";
    let ended: Vec<bool> =
        sqlx::query_scalar(end).fetch_all(&mut others[0]).await.expect("it is ended");
    assert_eq!(ended, [true]);
    fill(&mut others).await;
    assert_away(&app).await;
    for other in others {
        other.close().await.expect("the connection closes");
    }
    assert_recovers(&app, "After?").await;
}

/// A client that creates readings, and repeats each request with the same key until it is
/// acknowledged.
struct Writer<'a> {
    app: &'a TestApp,
    name: String,
    acknowledged: &'a RefCell<BTreeMap<String, Value>>,
    failed: &'a Cell<u32>,
}

impl Writer<'_> {
    async fn write(&self, count: u32) {
        for number in 0..count {
            let question = format!("{} {number}", self.name);
            let document = create(self.app, &question);
            let reading = loop {
                let response = self.app.query_as(id(&self.name), &document).await;
                let Some(errors) = response.body["errors"].as_array() else {
                    break data_of(response)["createReading"]["reading"]["id"].take();
                };
                let code = &errors[0]["extensions"]["code"];
                let is_expected = code == "SERVICE_UNAVAILABLE" || code == "TIMEOUT";
                assert!(is_expected && errors.len() == 1, "{}", response.text);
                self.failed.set(self.failed.get() + 1);
                tokio::time::sleep(PAUSE).await;
            };
            assert!(reading.is_string(), "{question}: {reading}");
            self.acknowledged.borrow_mut().insert(question, reading);
        }
    }
}

#[tokio::test]
async fn a_database_that_is_killed_loses_nothing_that_was_acknowledged_and_doubles_nothing() {
    const WRITERS: usize = 8;
    const READINGS_EACH: u32 = 20;
    const KILLS: usize = 3;
    let test = "a_database_that_is_killed_loses_nothing_that_was_acknowledged_and_doubles_nothing";
    if !has_cluster(test) {
        return;
    }
    let mut cluster = PostgresCluster::start().await;
    let flags = ["--database-pool-size=4", "--daily-readings=65535"];
    let flags: Vec<&str> = ONLY_THE_DEADLINE.into_iter().chain(flags).collect();
    let app = TestApp::start_on(cluster.database(), &flags).await;
    let names: Vec<String> = (0..WRITERS).map(|number| format!("writer{number}")).collect();
    app.insert(rows(names.iter().map(|name| user(name)).collect(), Vec::new())).await;

    let (acknowledged, failed) = (RefCell::new(BTreeMap::new()), Cell::new(0));
    let total = WRITERS * READINGS_EACH as usize;
    let writers = join_all(names.iter().map(|name| {
        let (app, name) = (&app, name.clone());
        let writer = Writer { app, name, acknowledged: &acknowledged, failed: &failed };
        async move { writer.write(READINGS_EACH).await }
    }));
    let killer = async {
        for kill in 1..=KILLS {
            while acknowledged.borrow().len() < kill * total / (KILLS + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cluster.kill_postmaster().await;
            assert!(acknowledged.borrow().len() < total, "it was killed too late");
            // Somebody noticed.
            let before = failed.get();
            while failed.get() == before {
                tokio::time::sleep(PAUSE).await;
            }
            cluster.start_again().await;
        }
    };
    ends(futures_util::future::join(writers, killer)).await;

    let acknowledged = acknowledged.into_inner();
    let questions: Vec<&String> = acknowledged.keys().collect();
    let access = Access::open(&app.database).await;
    let mut there = access.texts(QUESTIONS).await;
    there.sort();
    assert_eq!(there.iter().collect::<Vec<_>>(), questions);
    access.close().await;
    assert_eq!(questions.len(), total);
    for name in &names {
        let query = "{ viewer { readings(first: 100) { nodes { id question } } } }";
        let data = app.data_as(id(name), query).await;
        for reading in data["viewer"]["readings"]["nodes"].as_array().expect("readings") {
            let question = reading["question"].as_str().expect("a question");
            assert_eq!(acknowledged[question], reading["id"], "{question}");
        }
    }
    assert_counters_agree(&app).await;
}
