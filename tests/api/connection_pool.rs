//! The connection pool: its size and its overflow, its figures, waiting requests and their timeouts,
//! and connections that died or grew old.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::{Engine, TestApp, TestResponse, on_both_databases, run_admin_statement};
use crate::support::fixtures::{id, rows, spread_id, user};
use crate::support::tables::Access;

const STATS: &str =
    "poolStats { role poolSize checkedIn checkedOut overflow maxOverflow waiting acquireP95Ms }";

async fn start(engine: Engine, flags: &[&str]) -> TestApp {
    let app = TestApp::start_with(engine, flags).await;
    let mut overseer = user("overseer");
    overseer.is_admin = true;
    app.insert(rows(vec![overseer, user("ada")], Vec::new())).await;
    app
}

/// Figures of the pool once only the request that reads them holds a connection.
async fn stats(app: &TestApp) -> Value {
    let data = app.data_as(id("overseer"), &format!("{{ admin {{ {STATS} }} }}")).await;
    let pools = data["admin"]["poolStats"].as_array().expect("pools").clone();
    assert_eq!(pools.len(), 1);
    pools[0].clone()
}

/// Polls until it is so. That it never is fails the test in the end.
async fn until<T>(what: &str, mut poll: impl AsyncFnMut() -> Result<T, Value>) -> T {
    let mut seen = Value::Null;
    for _ in 0..600 {
        match poll().await {
            Ok(found) => return found,
            Err(other) => seen = other,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} never comes: {seen}");
}

/// The server waits for a lock for as long as a test holds it.
const PATIENT: [&str; 3] = [
    "--database-lock-timeout-ms=60000",
    "--database-statement-timeout-ms=60000",
    "--database-deadline-ms=60000",
];

/// Takes a lock that queries of `usageCount` wait for.
async fn lock(app: &TestApp) -> Access {
    let access = Access::open(&app.database).await;
    access.run("BEGIN; LOCK TABLE spread_stats IN ACCESS EXCLUSIVE MODE").await;
    access
}

async fn unlock(access: Access) {
    access.run("COMMIT").await;
    access.close().await;
}

const WAITS: &str = "{ spreads(first: 1) { nodes { usageCount } } }";
const FEED: &str = "{ publicReadings { nodes { id } } }";

on_both_databases! {
    async fn figures_are_those_of_the_settings_before_anything_happens(engine: Engine) {
        let app = start(engine, &["--database-pool-size=3", "--database-max-overflow=2"]).await;
        let seen = until("a quiet pool", async || {
            let seen = stats(&app).await;
            if seen["checkedOut"] == 1 { Ok(seen) } else { Err(seen) }
        })
        .await;
        let wait = seen["acquireP95Ms"].as_f64().expect("somebody waited");
        assert!(wait >= 0.0);
        assert_eq!(
            json!({ "seen": seen["role"], "size": seen["poolSize"], "overflow": seen["overflow"],
                "max": seen["maxOverflow"], "waiting": seen["waiting"] }),
            json!({ "seen": "PRIMARY", "size": 3, "overflow": 0, "max": 2, "waiting": 0 })
        );
    }

    async fn no_more_connections_are_opened_than_requests_need_at_once(engine: Engine) {
        let app = start(engine, &["--database-pool-size=3", "--database-max-overflow=2"]).await;
        for _ in 0..50 {
            app.data(FEED).await;
        }
        let seen = stats(&app).await;
        let open = seen["checkedIn"].as_u64().expect("idle") + seen["checkedOut"].as_u64().expect("in use");
        // One after another: each waits for the last one's connection to be back.
        assert!(open <= 2, "{seen}");
        assert_eq!(seen["overflow"], 0);
    }

    async fn many_requests_on_few_connections_all_get_responses(engine: Engine) {
        let app = start(engine, &["--database-pool-size=2", "--database-max-overflow=1"]).await;
        let requests = (0..200).map(|_| app.data("{ publicReadings { totalCount nodes { id } } }"));
        for data in join_all(requests).await {
            assert_eq!(data["publicReadings"]["totalCount"], 0);
        }
        let seen = until("a pool of its size", async || {
            let seen = stats(&app).await;
            if seen["overflow"] == 0 || seen["checkedIn"] == 2 { Ok(seen) } else { Err(seen) }
        })
        .await;
        assert!(seen["overflow"].as_u64() <= Some(1), "{seen}");
        assert_eq!(seen["waiting"], 0);
    }

    async fn health_reports_its_latency(engine: Engine) {
        let app = start(engine, &["--database-pool-size=1", "--database-max-overflow=0"]).await;
        let query = format!("{{ admin {{ databaseHealth {{ status latencyMs error {STATS} }} }} }}");
        let data = app.data_as(id("overseer"), &query).await;
        let health = &data["admin"]["databaseHealth"];
        assert_eq!(health["status"], "HEALTHY");
        assert_eq!(health["error"], Value::Null);
        assert!(health["latencyMs"].as_f64() > Some(0.0), "{health}");
        assert_eq!(health["poolStats"].as_array().map(Vec::len), Some(1));
    }
}

/// A test of one engine only.
macro_rules! on_postgres {
    ($($(#[$doc:meta])* async fn $name:ident() $body:block)+) => { $(
        $(#[$doc])*
        #[tokio::test]
        async fn $name() {
            if !Engine::has_postgres(stringify!($name)) {
                return;
            }
            $body
        }
    )+ };
}

on_postgres! {
    async fn connections_of_clients_that_disconnect_count_until_their_statements_end() {
        const CLIENTS: usize = 30;
        let flags = ["--database-pool-size=2", "--database-max-overflow=1"];
        let app = start(Engine::Postgres, &[&flags[..], &PATIENT[..]].concat()).await;
        let access = lock(&app).await;
        for _ in 0..CLIENTS {
            let query = app.query(WAITS);
            assert!(tokio::time::timeout(Duration::from_millis(20), query).await.is_err());
        }
        let waiting = "SELECT count(*) AS number FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = access.number(waiting).await;
        unlock(access).await;
        assert!((1..=3).contains(&waiting), "{waiting}");
        until("a quiet pool", async || {
            let seen = stats(&app).await;
            if seen["checkedOut"] == 1 && seen["waiting"] == 0 { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    async fn an_overflow_is_opened_while_it_is_needed_and_closed_when_it_comes_back() {
        let flags = [&["--database-pool-size=2", "--database-max-overflow=3"], &PATIENT[..]].concat();
        let app = start(Engine::Postgres, &flags).await;
        let access = lock(&app).await;
        let held = (0..4).map(|_| app.query(WAITS));
        let poll = async {
            // The fifth connection is that of the query itself.
            let seen = until("an overflow", async || {
                let seen = stats(&app).await;
                if seen["checkedOut"] == 5 { Ok(seen) } else { Err(seen) }
            })
            .await;
            unlock(access).await;
            seen
        };
        let (_, seen) = futures_util::join!(join_all(held), poll);
        assert_eq!(seen["overflow"], 3, "{seen}");
        assert_eq!(seen["poolSize"], 2);
        until("the pool's own size", async || {
            let seen = stats(&app).await;
            let idle = seen["checkedIn"].as_u64().unwrap_or(9);
            if idle <= 2 && seen["overflow"].as_u64() <= Some(1) { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    async fn the_wait_for_a_connection_is_reported_apart_from_query_time() {
        let flags = [&["--database-pool-size=1", "--database-max-overflow=0"], &PATIENT[..]].concat();
        let app = start(Engine::Postgres, &flags).await;
        let access = lock(&app).await;
        let second = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            app.query(FEED).await
        };
        let unlocked = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            unlock(access).await;
        };
        let (first, second, ()) = futures_util::join!(app.query(WAITS), second, unlocked);
        let at_work = |response: &TestResponse| response.milliseconds("sql") - response.milliseconds("pool");
        assert!(at_work(&first) > 200.0, "{}", first.header("server-timing"));
        assert!(second.milliseconds("pool") > 200.0, "{}", second.header("server-timing"));
    }

    async fn a_request_without_a_connection_fails_with_a_timeout() {
        let flags = ["--database-pool-size=1", "--database-max-overflow=0",
            "--request-timeout-ms=900"];
        let flags = [&flags, &PATIENT[..]].concat();
        let app = start(Engine::Postgres, &flags).await;
        let access = lock(&app).await;
        let held = app.query(WAITS);
        let second = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            app.query(FEED).await
        };
        let (first, second) = futures_util::join!(held, second);
        unlock(access).await;
        // The first has a connection and too little time, the second has no connection.
        assert_eq!(first.body["errors"][0]["extensions"]["code"], "TIMEOUT", "{}", first.text);
        let error = &second.body["errors"][0];
        assert_eq!(error["extensions"]["code"], "SERVICE_UNAVAILABLE", "{}", second.text);
        assert!(error["extensions"]["retryAfterMs"].as_u64() > Some(0), "{}", second.text);
        // And both connections come back.
        app.data(FEED).await;
    }

    async fn the_pools_own_timeout_ends_the_wait_where_it_is_the_shorter_one() {
        let flags = ["--database-pool-size=1", "--database-max-overflow=0",
            "--database-pool-timeout=1", "--database-lock-timeout-ms=60000",
            "--database-statement-timeout-ms=60000", "--database-deadline-ms=4000"];
        let app = start(Engine::Postgres, &flags).await;
        let access = lock(&app).await;
        let held = app.query(WAITS);
        let second = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            app.query(FEED).await
        };
        let (_, second) = futures_util::join!(held, second);
        unlock(access).await;
        let code = &second.body["errors"][0]["extensions"]["code"];
        assert_eq!(code, "SERVICE_UNAVAILABLE", "{}", second.text);
    }

    async fn connections_that_were_killed_while_idle_are_replaced_unseen() {
        let app = start(Engine::Postgres, &["--database-pool-size=4"]).await;
        let database = app.database.url.rsplit_once('/').expect("a name").1.to_owned();
        let kill = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        let spread = spread_id(&app, "single_wasteland");
        for round in 0..5 {
            let requests = (0..4).map(|_| app.data(FEED));
            join_all(requests).await;
            run_admin_statement(&kill).await;
            // A query, and a mutation whose first statement is its BEGIN.
            app.data(FEED).await;
            run_admin_statement(&kill).await;
            let question = format!("round {round}");
            let create = format!(
                "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {spread:?} }}) {{
                    reading {{ question }} }} }}"
            );
            let data = app.data_as(id("ada"), &create).await;
            assert_eq!(data["createReading"]["reading"]["question"], question.as_str());
        }
    }

    async fn connections_are_replaced_when_they_are_old() {
        let flags = ["--database-pool-size=1", "--database-max-overflow=0",
            "--database-pool-recycle=1"];
        let app = start(Engine::Postgres, &flags).await;
        let access = Access::open(&app.database).await;
        let pid = "SELECT coalesce(max(pid), 0)::bigint AS number FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
                AND backend_type = 'client backend'";
        app.data(FEED).await;
        let before = access.number(pid).await;
        until("another connection", async || {
            app.data(FEED).await;
            let now = access.number(pid).await;
            if now == before || now == 0 { Err(json!(now)) } else { Ok(()) }
        })
        .await;
        access.close().await;
    }
}
