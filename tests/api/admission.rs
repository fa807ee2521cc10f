//! Admission: what one client may hold, who waits for whom, and what is refused when the server is overloaded. Statements wait
//! for a lock of the test, so that requests are executed for as long as a test wants.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::app::{
    Engine, TestApp, TestResponse, data_of, on_both_databases, send_request,
};
use crate::support::fixtures::{id, rows, user};
use crate::support::tables::Access;

const BEHIND_PROXY: &str = "--trusted-proxies=127.0.0.1";

/// Reads the readings from the database: it waits for the lock.
const BLOCKED: &str = "{ publicReadings(first: 1) { edges { cursor } } }";

/// Reads another table.
const FREE: &str = "{ user(username: \"ada\") { username } }";

/// A server on PostgreSQL, with a lock of the test on the readings.
struct BlockedServer {
    app: TestApp,
    lock: Access,
}

impl BlockedServer {
    /// `None` without PostgreSQL.
    async fn start(test: &str, flags: &[&str]) -> Option<Self> {
        if !Engine::has_postgres(test) {
            return None;
        }
        let own = [BEHIND_PROXY, "--database-pool-size=30", "--database-deadline-ms=60000"];
        let own = own.into_iter().chain(["--database-statement-timeout-ms=60000"]);
        let flags: Vec<_> =
            own.chain(["--database-lock-timeout-ms=60000"]).chain(flags.iter().copied()).collect();
        let app = TestApp::start_with(Engine::Postgres, &flags).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let lock = Access::open(&app.database).await;
        lock.run("BEGIN; LOCK TABLE reading_sessions IN ACCESS EXCLUSIVE MODE").await;
        Some(Self { app, lock })
    }

    /// Sends a query from an address, without waiting for its response.
    fn send(&self, address: &str, query: &str) -> JoinHandle<TestResponse> {
        tokio::spawn(send_request(request_from(&self.app, address, query)))
    }

    async fn unlock(self) -> TestApp {
        self.lock.run("COMMIT").await;
        self.app
    }

    /// Waits until so many requests are executed, and so many wait.
    async fn wait_until(&self, at_work: usize, queued: usize) {
        for _ in 0..1_000 {
            let stats = self.app.app.services.admission.stats();
            if (stats.at_work, stats.queued) == (at_work, queued) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.app.app.services.admission.stats());
    }
}

fn request_from(app: &TestApp, address: &str, query: &str) -> reqwest::RequestBuilder {
    app.request(Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .header("content-type", "application/json")
        .header("x-forwarded-for", address)
        .body(json!({ "query": query }).to_string())
}

fn assert_refused(response: &TestResponse) {
    assert_eq!(response.status, 503, "{}", response.text);
    assert_eq!(
        response.body_without_request_id(),
        json!({ "errors": [{
            "message": "the server is busy; try again in a moment",
            "extensions": {
                "code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1_000, "requestId": "ID",
            },
        }] })
    );
}

fn assert_served(response: TestResponse) {
    assert_eq!(data_of(response), json!({ "publicReadings": { "edges": [] } }));
}

#[tokio::test]
async fn one_address_executes_its_maximum_and_others_do_not_wait_for_it() {
    let test = "one_address_executes_its_maximum_and_others_do_not_wait_for_it";
    let flags = ["--max-concurrent-requests-per-client=2"];
    let Some(server) = BlockedServer::start(test, &flags).await else { return };
    let flood: Vec<_> = (0..6).map(|_| server.send("192.0.2.1", BLOCKED)).collect();
    server.wait_until(2, 4).await;
    let other = server.send("192.0.2.2", FREE).await.expect("a response");
    assert_eq!(data_of(other), json!({ "user": { "username": "ada" } }));
    server.wait_until(2, 4).await;
    let _app = server.unlock().await;
    for response in flood {
        assert_served(response.await.expect("a response"));
    }
}

#[tokio::test]
async fn addresses_of_a_48_network_execute_four_times_the_maximum() {
    let test = "addresses_of_a_48_network_execute_four_times_the_maximum";
    let flags = ["--max-concurrent-requests-per-client=1"];
    let Some(server) = BlockedServer::start(test, &flags).await else { return };
    let address = |network: u8| format!("2001:db8:0:{network}::1");
    let all: Vec<_> = (1..=5).map(|network| server.send(&address(network), BLOCKED)).collect();
    server.wait_until(4, 1).await;
    let other = server.send("2001:db8:1::1", FREE).await.expect("a response");
    assert_eq!(other.status, 200);
    let _app = server.unlock().await;
    for response in all {
        assert_served(response.await.expect("a response"));
    }
}

#[tokio::test]
async fn address_without_sql_time_executes_one_request_at_a_time() {
    let test = "address_without_sql_time_executes_one_request_at_a_time";
    let flags = ["--client-sql-ms-per-second=1"];
    let Some(server) = BlockedServer::start(test, &flags).await else { return };
    let first = server.send("192.0.2.1", BLOCKED);
    server.wait_until(1, 0).await;
    // Longer than what two seconds give.
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.lock.run("COMMIT").await;
    assert_served(first.await.expect("a response"));

    server.lock.run("BEGIN; LOCK TABLE reading_sessions IN ACCESS EXCLUSIVE MODE").await;
    let heavy: Vec<_> = (0..3).map(|_| server.send("192.0.2.1", BLOCKED)).collect();
    server.wait_until(1, 2).await;
    let light: Vec<_> = (0..3).map(|_| server.send("192.0.2.2", BLOCKED)).collect();
    server.wait_until(4, 2).await;
    let _app = server.unlock().await;
    for response in heavy.into_iter().chain(light) {
        assert_served(response.await.expect("a response"));
    }
}

#[tokio::test]
async fn new_documents_of_a_client_wait_for_its_turn() {
    const INVALID: &str = "{ nothing }";
    let test = "new_documents_of_a_client_wait_for_its_turn";
    let flags = ["--max-concurrent-requests-per-client=1"];
    let Some(server) = BlockedServer::start(test, &flags).await else { return };
    let first = server.send("192.0.2.1", BLOCKED);
    server.wait_until(1, 0).await;
    let waiting = server.send("192.0.2.1", INVALID);
    server.wait_until(1, 1).await;
    assert_eq!(server.send("192.0.2.2", INVALID).await.expect("a response").status, 400);
    server.wait_until(1, 1).await;
    let _app = server.unlock().await;
    assert_served(first.await.expect("a response"));
    assert_eq!(waiting.await.expect("a response").status, 400);
}

#[tokio::test]
async fn overloaded_server_refuses_at_once_and_serves_what_is_cached() {
    let test = "overloaded_server_refuses_at_once_and_serves_what_is_cached";
    let flags = [
        "--max-concurrent-requests=4",
        "--max-queued-requests=5",
        "--response-cache-bytes=1000000",
        "--cors-origins=https://app.example",
    ];
    let Some(server) = BlockedServer::start(test, &flags).await else { return };
    let cached = "{ suits { cardCount } }";
    let before = server.send("192.0.2.99", cached).await.expect("a response");
    let address = |number: usize| format!("192.0.2.{number}");
    // Different, because equal ones are executed once.
    let query =
        |number: usize| format!("{{ publicReadings(first: {number}) {{ edges {{ cursor }} }} }}");
    let first: Vec<_> =
        (11..=14).map(|number| server.send(&address(number), &query(number))).collect();
    server.wait_until(4, 0).await;
    let queued: Vec<_> =
        (1..=5).map(|number| server.send(&address(number), &query(number))).collect();
    server.wait_until(4, 5).await;
    assert!(!server.app.app.services.admission.stats().is_overloaded);

    assert_refused(&server.send("192.0.2.6", &query(6)).await.expect("a response"));
    // The queue is half as long as the concurrency limit now.
    server.wait_until(4, 2).await;
    assert!(server.app.app.services.admission.stats().is_overloaded);
    // Of a signed-in user not even the body and the access token are read.
    for token in [server.app.token_of(id("ada")), "no token".to_owned()] {
        let unread = request_from(&server.app, "192.0.2.7", "{")
            .bearer_auth(token)
            .header("origin", "https://app.example")
            .body("no JSON");
        let refused = send_request(unread).await;
        assert_refused(&refused);
        assert_eq!(refused.header("access-control-allow-origin"), "https://app.example");
        assert!(["1", "2", "3"].contains(&refused.header("retry-after")), "{refused:?}");
    }
    let probe = server.app.request(Method::GET, "/health/live").bearer_auth("no token");
    assert_eq!(send_request(probe).await.status, 200);
    let again = server.send("192.0.2.98", cached).await.expect("a response");
    assert_eq!((again.status, &again.text), (200, &before.text));

    let app = server.unlock().await;
    let mut refused = 0;
    for response in first.into_iter().chain(queued) {
        let response = response.await.expect("a response");
        if response.status == 503 {
            assert_refused(&response);
            refused += 1;
        } else {
            assert_served(response);
        }
    }
    assert_eq!(refused, 3);
    assert_eq!(app.query(BLOCKED).await.status, 200);
}

#[tokio::test]
async fn request_that_has_waited_too_long_is_refused() {
    let test = "request_that_has_waited_too_long_is_refused";
    let flags = ["--max-concurrent-requests-per-client=1", "--queue-timeout-ms=50"];
    let Some(server) = BlockedServer::start(test, &flags).await else { return };
    let first = server.send("192.0.2.1", BLOCKED);
    server.wait_until(1, 0).await;
    assert_refused(&server.send("192.0.2.1", BLOCKED).await.expect("a response"));
    let _app = server.unlock().await;
    assert_served(first.await.expect("a response"));
}

on_both_databases! {
    /// Also that all permits come back, whatever a request does.
    async fn admins_see_what_is_executed_and_queued(engine: Engine) {
        let app = TestApp::start_with(engine, &["--max-concurrent-requests=5"]).await;
        let mut admin = user("root");
        admin.is_admin = true;
        app.insert(rows(vec![admin], Vec::new())).await;
        let log_out = "mutation { logout(input: {}) { loggedOut } }";
        for query in [FREE, "{ nonsense }", log_out, "{ viewer { id } }"] {
            app.query_as(id("root"), query).await;
        }
        let query = "{ admin { admissionStats {
            concurrencyLimit atWork queued admitted refused isOverloaded
        } } }";
        let stats = app.data_as(id("root"), query).await;
        // The document with an error was not executed.
        assert_eq!(stats, json!({ "admin": { "admissionStats": {
            "concurrencyLimit": 5, "atWork": 1, "queued": 0, "admitted": 4, "refused": 0,
            "isOverloaded": false,
        } } }));
        let stats: Value = app.app.services.admission.stats().at_work.into();
        assert_eq!(stats, 0);
    }
}
