//! PostgreSQL accepts no further connection, because other clients use them all: requests wait for a returned
//! connection while the server has some, readiness is honest, and the reason is logged once.

use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::sqlx::{self, Connection, PgConnection};
use serde_json::{Value, json};

use wasteland_tarot::config::database::READINESS_CONNECTION_LIFETIME;

use crate::support::fixtures::{id, rows, user};
use crate::support::postgres_cluster::{PostgresCluster, has_cluster};
use crate::support::program::{Program, insert};

/// As many as the lowest concurrency limit: each of them waits for the deadline.
const FAILING_CLIENTS: usize = 4;
const CLIENTS: usize = 40;
const VIEWER: &str = "{ viewer { username } }";
const REFUSED: &str = "the database accepts no further connection";
const REASON: &str = "too many clients already";
const SERVERS: &str =
    "FROM pg_stat_activity WHERE datname = 'tarot' AND backend_type = 'client backend'";
const PAUSE: Duration = Duration::from_millis(20);

/// Connections that the server does not get.
#[derive(Default)]
pub struct Others(Vec<PgConnection>);

impl Others {
    /// Takes all connections that are left.
    pub async fn take_all(&mut self, cluster: &PostgresCluster) {
        loop {
            match PgConnection::connect(&cluster.url("postgres")).await {
                Ok(connection) => self.0.push(connection),
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("53300") => {
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn number(&mut self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(&mut self.0[0]).await.expect("a number")
    }

    /// Ends the server's connections, until it has none and gets none.
    async fn end_all_of_the_server(&mut self, cluster: &PostgresCluster) {
        while self.number(&format!("SELECT count(*) {SERVERS}")).await > 0 {
            self.number(&format!("SELECT count(pg_terminate_backend(pid, 60000)) {SERVERS}")).await;
            self.take_all(cluster).await;
        }
    }

    pub async fn go(self) {
        for connection in self.0 {
            connection.close().await.expect("the connection closes");
        }
    }
}

async fn viewers(server: &Program, clients: usize) -> Vec<Value> {
    let requests = (0..clients).map(|_| server.query_as(id("ada"), VIEWER));
    join_all(requests)
        .await
        .into_iter()
        .map(|response| response.body_without_request_id())
        .collect()
}

fn ready() -> (u16, Value) {
    (200, json!({ "status": "ok", "database": "ok" }))
}

#[tokio::test]
async fn requests_wait_for_returned_connections_while_the_database_has_no_other() {
    if !has_cluster("requests_wait_for_returned_connections_while_the_database_has_no_other") {
        return;
    }
    let cluster = PostgresCluster::start_with(&["max_connections=12"]).await;
    let url = cluster.url("tarot");
    insert(&url, rows(vec![user("ada")], Vec::new())).await;
    // All clients have one address.
    let flags = ["--max-concurrent-requests-per-client=100", "--queue-timeout-ms=60000"];
    let own = ["--database-pool-size=5", "--log-format=text"];
    let server = Program::start(&url, &[&own[..], &flags[..]].concat()).await;
    assert_eq!(server.ready().await, ready());
    let data = vec![json!({ "data": { "viewer": { "username": "ada" } } }); CLIENTS];

    let mut others = Others::default();
    others.take_all(&cluster).await;
    assert_eq!(viewers(&server, CLIENTS).await, data);
    assert_eq!((server.logged(REFUSED), server.logged(REASON)), (1, 1), "{}", server.log());
    assert_eq!(server.ready().await, ready());
    // The probe would connect anew now, and gets no connection.
    tokio::time::sleep(READINESS_CONNECTION_LIFETIME + PAUSE).await;
    for _ in 0..3 {
        assert_eq!(server.ready().await, ready());
    }
    assert_eq!(viewers(&server, CLIENTS).await, data);

    // Without any connection of its own there is nothing to wait for.
    others.end_all_of_the_server(&cluster).await;
    let failed = json!({
        "data": { "viewer": null },
        "errors": [{
            "message": "the database cannot be reached",
            "locations": [{ "line": 1, "column": 3 }],
            "path": ["viewer"],
            "extensions": { "code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1_000, "requestId": "ID" },
        }],
    });
    assert_eq!(viewers(&server, FAILING_CLIENTS).await, vec![failed; FAILING_CLIENTS]);
    let unready = json!({ "status": "unready", "database": "the database cannot be reached" });
    assert_eq!(server.ready().await, (503, unready));
    assert_eq!((server.logged(REFUSED), server.logged(REASON)), (1, 1), "{}", server.log());

    others.go().await;
    while server.ready().await != ready() {
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(viewers(&server, CLIENTS).await, data);
    assert!(server.logged("the database accepts connections again") > 0, "{}", server.log());
    // The pool grows again.
    let mut others = Others(vec![cluster.connect("postgres").await]);
    while others.number(&format!("SELECT count(*) {SERVERS}")).await < 6 {
        assert_eq!(viewers(&server, CLIENTS).await, data);
    }
}
