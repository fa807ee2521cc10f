//! Readiness is honest: a busy server is ready, and one whose database takes no writes is not.

use serde_json::{Value, json};

use crate::support::app::{
    Content, Engine, TestApp, TestDatabase, run_admin_statement, send_request,
};
use crate::support::fixtures::{id, rows, spread_id, user};
use crate::support::postgres_cluster::{PostgresCluster, has_cluster};
use crate::support::tables::Access;

const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

async fn ready(app: &TestApp) -> (u16, Value) {
    let response = send_request(app.request(reqwest::Method::GET, "/health/ready")).await;
    (response.status, response.body)
}

fn is_ready() -> (u16, Value) {
    (200, json!({ "status": "ok", "database": "ok" }))
}

fn is_unready(reason: &str) -> (u16, Value) {
    (503, json!({ "status": "unready", "database": reason }))
}

/// Also the error of a mutation: `SERVICE_UNAVAILABLE`, and not an internal one.
#[tokio::test]
async fn a_primary_that_is_read_only_is_not_ready_and_refuses_mutations_until_it_is_writable() {
    let test =
        "a_primary_that_is_read_only_is_not_ready_and_refuses_mutations_until_it_is_writable";
    if !Engine::has_postgres(test) {
        return;
    }
    let database = TestDatabase::new(Engine::Postgres, Content::Reference).await;
    let (_, name) = database.url.rsplit_once('/').expect("a name");
    let name = name.to_owned();
    let app = TestApp::start_on(database, &[]).await;
    app.insert(rows(vec![user("ada")], Vec::new())).await;
    assert_eq!(ready(&app).await, is_ready());

    let setting = "default_transaction_read_only";
    run_admin_statement(&format!("ALTER DATABASE {name} SET {setting} = on")).await;
    // New connections have the setting.
    let end = "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE datname";
    run_admin_statement(&format!("{end} = '{name}'")).await;
    assert_eq!(ready(&app).await, is_unready("the database is read-only"));
    let live = send_request(app.request(reqwest::Method::GET, "/health/live")).await;
    assert_eq!((live.status, live.body), (200, json!({ "status": "ok" })));
    // Reads are served.
    let viewer = "{ viewer { username } }";
    assert_eq!(app.data_as(id("ada"), viewer).await, json!({ "viewer": { "username": "ada" } }));
    let create = format!(
        "mutation {{ createReading(input: {{ question: \"Why?\", spreadId: {:?} }}) {{ reading {{ question }} }} }}",
        spread_id(&app, "single_wasteland")
    );
    let refused = app.query_as(id("ada"), &create).await;
    let expected = json!({
        "data": { "createReading": null },
        "errors": [{
            "message": "the database is read-only",
            "locations": [{ "line": 1, "column": 12 }],
            "path": ["createReading"],
            "extensions": {
                "code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1_000, "requestId": "ID",
            },
        }],
    });
    assert_eq!((refused.status, refused.body_without_request_id()), (200, expected));

    run_admin_statement(&format!("ALTER DATABASE {name} RESET {setting}")).await;
    // No connection on which a write failed is used again, so the next one is a new one.
    let created = app.data_as(id("ada"), &create).await;
    assert_eq!(created, json!({ "createReading": { "reading": { "question": "Why?" } } }));
    while ready(&app).await != is_ready() {
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn a_server_whose_primary_is_a_replica_is_not_ready() {
    if !has_cluster("a_server_whose_primary_is_a_replica_is_not_ready") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    let standby = cluster.standby(None).await;
    let app = TestApp::start_on(standby.database(), &[]).await;
    assert_eq!(ready(&app).await, is_unready("the database is read-only"));
}

#[tokio::test]
async fn a_server_whose_pool_is_full_is_ready() {
    if !Engine::has_postgres("a_server_whose_pool_is_full_is_ready") {
        return;
    }
    let flags = [
        "--database-lock-timeout-ms=600000",
        "--database-statement-timeout-ms=600000",
        "--database-deadline-ms=600000",
        "--request-timeout-ms=600000",
    ];
    let app = TestApp::start_with(Engine::Postgres, &flags).await;
    app.insert(rows(vec![user("ada")], Vec::new())).await;
    let access = Access::open(&app.database).await;
    access.run("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await;
    let request = app.data_as(id("ada"), "{ viewer { username } }");
    let probe = async {
        access.wait_for("SELECT count(*) AS number FROM pg_locks WHERE NOT granted", 1).await;
        // The pool of tests has one connection.
        for _ in 0..3 {
            assert_eq!(ready(&app).await, is_ready());
        }
        access.run("ROLLBACK").await;
    };
    let (data, ()) = futures_util::join!(request, probe);
    assert_eq!(data, json!({ "viewer": { "username": "ada" } }));
}

/// Statements have ten minutes here.
#[tokio::test]
async fn a_probe_does_not_wait_for_a_frozen_database() {
    if !has_cluster("a_probe_does_not_wait_for_a_frozen_database") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    let app = TestApp::start_on(cluster.database(), &["--database-deadline-ms=600000"]).await;
    assert_eq!(ready(&app).await, is_ready());
    cluster.freeze();
    // More often than the probe has connections.
    for _ in 0..3 {
        let (status, body) = ready(&app).await;
        assert_eq!(status, 503);
        let reasons = ["the database does not answer", "the database cannot be reached"];
        assert!(reasons.iter().any(|reason| body["database"] == *reason), "{body}");
    }
    cluster.thaw();
    while ready(&app).await != is_ready() {
        tokio::time::sleep(PAUSE).await;
    }
}
