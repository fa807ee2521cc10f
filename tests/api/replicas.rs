//! Read replicas, with real ones: routing of requests to the databases, and the effects when one of them
//! lags, dies or comes back.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, TestResponse, data_of, send_request};
use crate::support::fixtures::{id, reading, rows, spread_id, user};
use crate::support::mutations::{USER_ERRORS, payload};
use crate::support::postgres_cluster::{Mode, PostgresCluster, has_cluster};
use crate::support::redis_server::{RedisServer, has_redis};
use crate::support::tables::Access;

const FEED: &str = "{ publicReadings { nodes { question } } }";

/// A server on a primary with one standby.
struct World {
    app: TestApp,
    primary: PostgresCluster,
    standby: PostgresCluster,
}

impl World {
    async fn start(test: &str, delay: Option<&str>, flags: &[&str]) -> Option<Self> {
        if !has_cluster(test) {
            return None;
        }
        let primary = PostgresCluster::start_with(&["wal_retrieve_retry_interval=200ms"]).await;
        let standby = primary.standby(delay).await;
        let replica = format!("--database-replica-urls={}", standby.database().url);
        let flags =
            [&["--database-pool-size=4", "--replica-check-ms=50", &replica], flags].concat();
        let app = TestApp::start_on(primary.database(), &flags).await;
        let mut overseer = user("overseer");
        overseer.is_admin = true;
        app.insert(rows(vec![overseer, user("ada"), user("bob")], Vec::new())).await;
        let world = Self { app, primary, standby };
        world.wait_for_replay().await;
        Some(world)
    }

    /// Waits until the standby has replayed the primary's writes.
    async fn wait_for_replay(&self) {
        let primary = Access::open(&self.primary.database()).await;
        let standby = Access::open(&self.standby.database()).await;
        let position = primary.texts("SELECT pg_current_wal_lsn()::text AS text").await.concat();
        let has = format!(
            "SELECT CASE WHEN pg_last_wal_replay_lsn() >= '{position}' THEN 1 ELSE 0 END::bigint
             AS number"
        );
        standby.wait_for(&has, 1).await;
        primary.close().await;
        standby.close().await;
    }

    /// Adds a public reading past the server, which therefore knows nothing of it.
    async fn publish(&self, question: &str) {
        let row = reading(&self.app, &user("bob"), question, 1);
        self.app.insert(rows(Vec::new(), vec![row])).await;
    }

    async fn feed(&self) -> Vec<String> {
        questions(&self.app.query(FEED).await)
    }

    /// Repeats the query until the feed holds that reading.
    async fn shows(&self, question: &str) {
        for _ in 0..400 {
            if self.feed().await.iter().any(|shown| shown == question) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{question} never comes");
    }

    async fn pause(&self, is_paused: bool) {
        let standby = Access::open(&self.standby.database()).await;
        let change = if is_paused { "pg_wal_replay_pause()" } else { "pg_wal_replay_resume()" };
        standby.run(&format!("SELECT {change}")).await;
        if is_paused {
            let state = "SELECT CASE pg_get_wal_replay_pause_state() WHEN 'paused' THEN 1 ELSE 0
                END::bigint AS number";
            standby.wait_for(state, 1).await;
        }
        standby.close().await;
    }

    /// Waits until the standby serves: while it is paused, something is not seen at once.
    async fn reads_the_standby_again(&self) {
        let mut number = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.feed().await;
            self.pause(true).await;
            number += 1;
            let question = format!("again {number}");
            self.publish(&question).await;
            let is_replica = !self.feed().await.contains(&question);
            self.pause(false).await;
            self.wait_for_replay().await;
            if is_replica {
                break;
            }
            assert!(number < 50, "it is never taken back");
        }
    }

    async fn create(&self, owner: Uuid, question: &str) -> TestResponse {
        let spread = spread_id(&self.app, "single_wasteland");
        let mutation = format!(
            "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {spread:?},
                privacyLevel: PUBLIC }}) {{ reading {{ question }} }} }}"
        );
        self.app.query_as(owner, &mutation).await
    }

    async fn query_with_token(&self, query: &str, token: &str) -> TestResponse {
        let request = self
            .app
            .request(reqwest::Method::POST, "/graphql")
            .header("content-type", "application/json")
            .header("x-consistency-token", token)
            .body(json!({ "query": query }).to_string());
        send_request(request).await
    }
}

fn questions(response: &TestResponse) -> Vec<String> {
    assert_eq!(response.body.get("errors"), None, "{}", response.text);
    let nodes = response.body["data"]["publicReadings"]["nodes"].as_array().expect("a page");
    nodes.iter().map(|node| node["question"].as_str().expect("a question").to_owned()).collect()
}

fn code(response: &TestResponse) -> &Value {
    &response.body["errors"][0]["extensions"]["code"]
}

#[tokio::test]
async fn queries_are_read_from_the_replica_and_mutations_written_to_the_primary() {
    let test = "queries_are_read_from_the_replica_and_mutations_written_to_the_primary";
    let Some(world) = World::start(test, None, &["--replica-max-lag-ms=60000"]).await else {
        return;
    };
    world.feed().await;
    world.pause(true).await;
    world.publish("later").await;
    // The primary has it, and no server was notified.
    assert_eq!(world.feed().await, Vec::<String>::new());
    let created = world.create(id("ada"), "mine").await;
    assert_eq!(created.body["data"]["createReading"]["reading"]["question"], "mine");
    let stats = "{ admin { poolStats { role } databaseHealth { status poolStats { role } } } }";
    let admin = world.app.data_as(id("overseer"), stats).await;
    let roles = json!([{ "role": "PRIMARY" }, { "role": "REPLICA" }]);
    assert_eq!(admin["admin"]["poolStats"], roles);
    assert_eq!(
        admin["admin"]["databaseHealth"],
        json!({ "status": "HEALTHY", "poolStats": roles })
    );
    world.pause(false).await;
    world.shows("later").await;
}

#[tokio::test]
async fn nobody_misses_what_they_have_written() {
    let test = "nobody_misses_what_they_have_written";
    // The replica is a second behind all the time.
    let Some(world) = World::start(test, Some("1s"), &["--replica-max-lag-ms=60000"]).await else {
        return;
    };
    let own = "{ viewer { readings { nodes { question } } } }";
    for number in 0..5 {
        let question = format!("mine {number}");
        let created = world.create(id("ada"), &question).await;
        let token = created.header("x-consistency-token").to_owned();
        assert!(token.starts_with("1-"), "{token:?}");
        let seen = world.app.data_as(id("ada"), own).await;
        assert_eq!(seen["viewer"]["readings"]["nodes"][0]["question"], question.as_str());
        // Clients without a consistency token are served by the replica.
        assert!(!world.feed().await.contains(&question));
        let response = world.query_with_token(FEED, &token).await;
        assert!(questions(&response).contains(&question), "{}", response.text);
        // From then on they do not go back.
        assert!(world.feed().await.contains(&question));
        // Until the replica has it and serves them again.
        world.wait_for_replay().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.feed().await;
    }
    let strange = world.query_with_token(FEED, "no token of ours").await;
    assert_eq!(strange.body.get("errors"), None, "{}", strange.text);
}

/// The loss of a connection says nothing about the primary, which then serves those who wrote lately.
#[tokio::test]
async fn nobody_misses_what_they_have_written_when_a_connection_of_the_health_checks_ends() {
    const ROUNDS: u32 = 20;
    // The text of the health check, and of no other statement.
    const END: &str =
        "SELECT count(pg_terminate_backend(pid, 60000)) AS number FROM pg_stat_activity
        WHERE query LIKE 'SELECT pg_%_lsn()::text, pg_is_in_recovery()'";
    let test = "nobody_misses_what_they_have_written_when_a_connection_of_the_health_checks_ends";
    // The replica is an hour behind, and a check that failed holds for 200 ms.
    let flags =
        ["--replica-max-lag-ms=86400000", "--replica-check-ms=200", "--daily-readings=65535"];
    let Some(world) = World::start(test, None, &flags).await else { return };
    world.pause(true).await;
    let own = "{ viewer { readings(first: 1) { nodes { question } } } }";
    let has_ended = Cell::new(false);
    let reader = async {
        let mut number = 0;
        while !has_ended.get() {
            let question = format!("mine {number}");
            assert_eq!(world.create(id("ada"), &question).await.body.get("errors"), None);
            for _ in 0..5 {
                let seen = world.app.data_as(id("ada"), own).await;
                assert_eq!(seen["viewer"]["readings"]["nodes"][0]["question"], question.as_str());
            }
            number += 1;
        }
    };
    let end_connections = async {
        let primary = Access::open(&world.primary.database()).await;
        let standby = Access::open(&world.standby.database()).await;
        for _ in 0..ROUNDS {
            for database in [&primary, &standby] {
                while database.number(END).await == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        has_ended.set(true);
        primary.close().await;
        standby.close().await;
    };
    futures_util::join!(reader, end_connections);
    world.pause(false).await;
}

#[tokio::test]
async fn nobody_goes_back_in_time() {
    let test = "nobody_goes_back_in_time";
    let flags = ["--replica-max-lag-ms=60000", "--primary-after-write-ms=0"];
    let Some(world) = World::start(test, Some("400ms"), &flags).await else { return };
    let mut seen = 0;
    for number in 0..40_usize {
        if number % 4 == 0 {
            // The writer is served by the primary only for as long as the replica is behind.
            let question = format!("mine {number}");
            assert_eq!(world.create(id("ada"), &question).await.body.get("errors"), None);
        }
        let feed = data_of(world.app.query_as(id("ada"), FEED).await);
        let now = feed["publicReadings"]["nodes"].as_array().expect("a page").len();
        assert_eq!(now, number / 4 + 1, "question {number}");
        assert!(now >= seen);
        seen = now;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

/// A server's cached data is from the primary, and the replica may be behind it.
#[tokio::test]
async fn nobody_reads_older_data_than_was_cached() {
    let test = "nobody_reads_older_data_than_was_cached";
    let flags = ["--replica-max-lag-ms=60000", "--response-cache-bytes=1000000"];
    let Some(world) = World::start(test, None, &flags).await else { return };
    let others = "{ publicReadings(first: 5) { nodes { question } } }";
    world.pause(true).await;
    assert_eq!(questions(&world.app.query(others).await), Vec::<String>::new());
    assert_eq!(world.create(id("ada"), "mine").await.body.get("errors"), None);
    // The writer is served by the primary, which fills the cache.
    assert_eq!(questions(&world.app.query_as(id("ada"), FEED).await), ["mine"]);
    let cached = world.app.query_as(id("bob"), FEED).await;
    assert_eq!(questions(&cached), ["mine"]);
    assert_eq!(cached.statements(), 0, "it is cached");
    assert_eq!(questions(&world.app.query_as(id("bob"), others).await), ["mine"]);
    // Clients that have seen nothing of it may still be served by the replica.
    let fresh = "{ publicReadings(first: 6) { nodes { question } } }";
    assert_eq!(questions(&world.app.query_as(id("overseer"), fresh).await), Vec::<String>::new());
    world.pause(false).await;
    world.wait_for_replay().await;
    world.reads_the_standby_again().await;
}

/// Data cached by another server may be older than the write in the token.
#[tokio::test]
async fn a_consistency_token_rejects_older_cached_data() {
    let test = "a_consistency_token_rejects_older_cached_data";
    let flags = ["--replica-max-lag-ms=60000", "--response-cache-bytes=1000000"];
    let Some(world) = World::start(test, None, &flags).await else { return };
    let replica = format!("--database-replica-urls={}", world.standby.database().url);
    let flags = [&flags[..], &["--replica-check-ms=50", &replica]].concat();
    // It gets no invalidations of other servers.
    let other = TestApp::start_on(world.primary.database(), &flags).await;
    let there = async |token: &str| {
        let request = other
            .request(reqwest::Method::POST, "/graphql")
            .header("content-type", "application/json")
            .header("x-consistency-token", token)
            .body(json!({ "query": FEED }).to_string());
        send_request(request).await
    };
    world.wait_for_replay().await;
    // Cached and memoized there.
    let token = world.create(id("ada"), "first").await.header("x-consistency-token").to_owned();
    assert_eq!(questions(&there(&token).await), ["first"]);
    // The writer reads from the primary there, and the data read is cached.
    let input = json!({ "question": "?", "spreadId": spread_id(&other, "single_wasteland") });
    payload(&other, id("bob"), "createReading", input, USER_ERRORS).await;
    for _ in 0..3 {
        assert_eq!(questions(&other.query_as(id("bob"), FEED).await), ["first"]);
        assert_eq!(questions(&other.query(FEED).await), ["first"]);
    }
    let token = world.create(id("ada"), "second").await.header("x-consistency-token").to_owned();
    assert_eq!(questions(&other.query(FEED).await), ["first"], "it is cached");
    assert_eq!(questions(&there(&token).await), ["second", "first"]);
}

#[tokio::test]
async fn nobody_misses_on_one_server_what_they_have_written_by_another() {
    let test = "nobody_misses_on_one_server_what_they_have_written_by_another";
    if !has_redis(test) {
        return;
    }
    let redis = RedisServer::start().await;
    let url = format!("--redis-url={}", redis.url());
    let flags =
        ["--replica-max-lag-ms=60000", "--outbox-poll-ms=40", "--redis-timeout-ms=300", &url];
    let Some(mut world) = World::start(test, None, &flags).await else { return };
    let replica = format!("--database-replica-urls={}", world.standby.database().url);
    let flags = [&flags[..], &["--replica-check-ms=50", &replica]].concat();
    world.app = world.app.with_outbox_poller().await;
    let other =
        TestApp::start_on(world.primary.database(), &flags).await.with_outbox_poller().await;
    let lag = "{ admin { cacheStats { invalidationLagMs } } }";
    for app in [&world.app, &other] {
        let lag_of = async || app.data_as(id("overseer"), lag).await["admin"]["cacheStats"].clone();
        while lag_of().await["invalidationLagMs"].is_null() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let own = "{ viewer { readings { nodes { question } } } }";
    let own = async || {
        let nodes = other.data_as(id("ada"), own).await["viewer"]["readings"]["nodes"].clone();
        nodes.as_array().expect("a page").len()
    };
    world.pause(true).await;
    assert_eq!(own().await, 0);
    assert_eq!(world.create(id("ada"), "mine").await.body.get("errors"), None);
    let mut tries = 0;
    // The other server gets the invalidation in the meantime.
    while own().await == 0 {
        tries += 1;
        assert!(tries < 100, "it is read from the replica, which does not have it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(own().await, 1);
    world.pause(false).await;
}

#[tokio::test]
async fn a_lagging_replica_is_avoided_and_used_again() {
    let test = "a_lagging_replica_is_avoided_and_used_again";
    let Some(world) = World::start(test, None, &["--replica-max-lag-ms=700"]).await else { return };
    world.pause(true).await;
    world.publish("while it lags").await;
    assert_eq!(world.feed().await, Vec::<String>::new());
    // It is too far behind after a while.
    world.shows("while it lags").await;
    world.pause(false).await;
    world.wait_for_replay().await;
    world.reads_the_standby_again().await;
}

#[tokio::test]
async fn a_dead_replica_is_avoided_unseen_and_used_again() {
    let test = "a_dead_replica_is_avoided_unseen_and_used_again";
    let Some(mut world) = World::start(test, None, &["--replica-max-lag-ms=60000"]).await else {
        return;
    };
    for round in 0..2 {
        world.feed().await;
        world.standby.stop(Mode::Immediate).await;
        let question = format!("round {round}");
        world.publish(&question).await;
        for _ in 0..20 {
            // Nobody sees an error, and the primary has it.
            assert!(world.feed().await.contains(&question));
        }
        world.standby.start_again().await;
        world.wait_for_replay().await;
    }
    world.reads_the_standby_again().await;
}

#[tokio::test]
async fn without_the_primary_reads_go_on_and_writes_are_rejected() {
    let test = "without_the_primary_reads_go_on_and_writes_are_rejected";
    let Some(mut world) = World::start(test, None, &["--replica-max-lag-ms=60000"]).await else {
        return;
    };
    // A client whose last request was served by the primary.
    assert_eq!(world.create(id("ada"), "mine").await.body.get("errors"), None);
    world.wait_for_replay().await;
    world.primary.stop(Mode::Immediate).await;
    let own = "{ viewer { readings { nodes { question } } } }";
    let mut tries = 0;
    loop {
        let response = world.app.query_as(id("ada"), own).await;
        if response.body.get("errors").is_none() {
            let question = &response.body["data"]["viewer"]["readings"]["nodes"][0]["question"];
            assert_eq!(question, "mine");
            break;
        }
        assert_eq!(code(&response), "SERVICE_UNAVAILABLE", "{}", response.text);
        tries += 1;
        assert!(tries < 100, "reads never go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.feed().await, ["mine"]);
    let refused = world.create(id("ada"), "lost").await;
    assert_eq!(code(&refused), "SERVICE_UNAVAILABLE", "{}", refused.text);
    let ready = send_request(world.app.request(reqwest::Method::GET, "/health/ready")).await;
    assert_eq!((ready.status, &ready.body["database"]), (200, &json!("read only")));
    let health = "{ admin { databaseHealth { status latencyMs error } } }";
    let health = world.app.data_as(id("overseer"), health).await;
    assert_eq!(
        health["admin"]["databaseHealth"],
        json!({
            "status": "UNHEALTHY",
            "latencyMs": null,
            "error": "the database cannot be reached",
        })
    );

    world.primary.start_again().await;
    let mut tries = 0;
    while world.create(id("ada"), "found").await.body.get("errors").is_some() {
        tries += 1;
        assert!(tries < 100, "writes never go on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ready = send_request(world.app.request(reqwest::Method::GET, "/health/ready")).await;
    assert_eq!((ready.status, &ready.body["database"]), (200, &json!("ok")));
}

#[tokio::test]
async fn a_replica_that_is_not_there_yet_stops_no_server() {
    if !has_cluster("a_replica_that_is_not_there_yet_stops_no_server") {
        return;
    }
    let primary = PostgresCluster::start().await;
    let replica = "--database-replica-urls=postgres://nobody@127.0.0.1:1/postgres";
    let app = TestApp::start_on(primary.database(), &[replica]).await;
    assert_eq!(questions(&app.query(FEED).await), Vec::<String>::new());
}
