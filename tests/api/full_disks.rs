//! The disk of the database is full: writes fail with a code of their own and leave nothing, reads go on, readiness
//! has the reason, and nothing that was acknowledged is lost.
//!
//! For PostgreSQL the disk is `/dev/full`, on which every write fails as on a full disk. It needs no privileges: it
//! takes the place of a file that every write of the API has to extend. SQLite follows no link to another file, so it
//! gets a small disk.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{TestDatabase, fill};
use crate::support::fixtures::{id, rows, user};
use crate::support::postgres_cluster::{PostgresCluster, has_cluster};
use crate::support::program::{Program, insert};
use crate::support::small_disk::SmallDisk;
use crate::support::tables::{Access, differences};

const FULL: &str = "/dev/full";
const PAUSE: Duration = Duration::from_millis(20);
const READINGS: &str = "{ viewer { readings { nodes { question } } } }";

async fn create(server: &Program, question: &str) -> Value {
    let spread = server.spread_id("single_wasteland").await;
    let mutation = format!(
        "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {spread:?},
            idempotencyKey: {question:?} }}) {{ reading {{ question }} }} }}"
    );
    server.query_as(id("ada"), &mutation).await.body_without_request_id()
}

fn created(question: &str) -> Value {
    json!({ "data": { "createReading": { "reading": { "question": question } } } })
}

fn refused() -> Value {
    json!({
        "data": { "createReading": null },
        "errors": [{
            "message": "the database has no space left",
            "locations": [{ "line": 1, "column": 12 }],
            "path": ["createReading"],
            "extensions": { "code": "STORAGE_FULL", "requestId": "ID" },
        }],
    })
}

async fn assert_readings(server: &Program, questions: &[&str]) {
    let nodes: Vec<Value> = questions.iter().map(|text| json!({ "question": text })).collect();
    let expected = json!({ "data": { "viewer": { "readings": { "nodes": nodes } } } });
    assert_eq!(server.query_as(id("ada"), READINGS).await.body, expected);
}

fn ready() -> (u16, Value) {
    (200, json!({ "status": "ok", "database": "ok" }))
}

/// Asserts that writes fail and leave nothing, and that reads go on.
async fn assert_full(server: &Program, database: &TestDatabase) {
    assert_readings(server, &["Before?"]).await;
    let access = Access::open(database).await;
    let before = access.all().await;
    for question in ["Full?", "Full?", "Still full?"] {
        assert_eq!(create(server, question).await, refused());
    }
    let left = differences(&before, &access.all().await);
    assert!(left.is_empty(), "{left:#?}");
    access.close().await;
    assert_readings(server, &["Before?"]).await;
    let unready = json!({ "status": "unready", "database": "the database has no space left" });
    for _ in 0..3 {
        assert_eq!(server.ready().await, (503, unready.clone()));
    }
    assert_eq!(server.logged("no space left; writes fail until there is some"), 1);
}

async fn assert_recovered(server: &Program) {
    while server.ready().await != ready() {
        tokio::time::sleep(PAUSE).await;
    }
    // With the same key it is made, once.
    for _ in 0..2 {
        assert_eq!(create(server, "Full?").await, created("Full?"));
    }
    assert_readings(server, &["Full?", "Before?"]).await;
}

/// A disk of PostgreSQL that is full for the table to which every write adds a row.
pub struct FullDisk {
    file: PathBuf,
    aside: PathBuf,
}

impl FullDisk {
    /// Empties the table and replaces its file, while nobody else uses it.
    pub async fn begin(cluster: &PostgresCluster) -> Self {
        let access = Access::open(&cluster.database()).await;
        access.run("BEGIN; TRUNCATE cache_outbox").await;
        let path = "SELECT pg_relation_filepath('cache_outbox')::text AS text";
        let file = cluster.data_folder().join(access.texts(path).await.concat());
        let aside = file.with_extension("aside");
        std::fs::rename(&file, &aside).expect("the file is there");
        symlink(FULL, &file).expect("a link");
        access.run("COMMIT").await;
        access.close().await;
        Self { file, aside }
    }

    /// Gives the table its file again, and ends the processes that have the other one open. Under a lock: two
    /// processes that write to different files of one table confuse PostgreSQL.
    pub async fn end(self, cluster: &PostgresCluster) {
        let access = Access::open(&cluster.database()).await;
        access.run("BEGIN; LOCK TABLE cache_outbox IN ACCESS EXCLUSIVE MODE").await;
        std::fs::rename(&self.aside, &self.file).expect("the link is replaced");
        let own = access.number("SELECT pg_backend_pid()::bigint AS number").await;
        cluster.connection_killer().kill(&format!("pid <> {own}"));
        access.run("COMMIT").await;
        access.close().await;
    }
}

#[tokio::test]
async fn writes_to_a_full_disk_of_postgresql_are_refused_until_there_is_space() {
    if !has_cluster("writes_to_a_full_disk_of_postgresql_are_refused_until_there_is_space") {
        return;
    }
    let cluster = PostgresCluster::start().await;
    let database = cluster.database();
    insert(&database.url, rows(vec![user("ada")], Vec::new())).await;
    let server = Program::start(&database.url, &["--daily-readings=100"]).await;
    assert_eq!(create(&server, "Before?").await, created("Before?"));
    assert_eq!(server.ready().await, ready());

    let disk = FullDisk::begin(&cluster).await;
    assert_full(&server, &database).await;

    disk.end(&cluster).await;
    assert_recovered(&server).await;
    assert_eq!(server.logged("the database has space again"), 1);
}

#[tokio::test]
async fn writes_to_a_full_disk_of_sqlite_are_refused_until_there_is_space() {
    const BYTES: u64 = 64 << 20;
    let test = "writes_to_a_full_disk_of_sqlite_are_refused_until_there_is_space";
    let Some(disk) = SmallDisk::mount(test, BYTES) else { return };
    let path = disk.path().join("test.db");
    let database = TestDatabase::at(format!("sqlite://{}?mode=rwc", path.display()));
    fill(&database.url).await;
    insert(&database.url, rows(vec![user("ada")], Vec::new())).await;
    let server = Program::start(&database.url, &["--daily-readings=100"]).await;
    assert_eq!(create(&server, "Before?").await, created("Before?"));
    assert_eq!(server.ready().await, ready());

    let access = Access::open(&database).await;
    // Space within the write-ahead log would be used again.
    access.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
    access.close().await;
    disk.fill();
    assert_full(&server, &database).await;

    disk.empty();
    assert_recovered(&server).await;
    assert_eq!(server.logged("the database has space again"), 1);
}
