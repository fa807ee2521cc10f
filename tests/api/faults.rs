//! A database that is stopped, killed or frozen, and comes back: what clients and operators are told
//! meanwhile, and that nothing that was acknowledged is lost or there twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::{Answered, TestApp, answered};
use crate::cluster::{Cluster, Stop};
use crate::fixtures::{id, rows, spread_id, user};
use crate::tables::Access;

const FEED: &str = "{ publicReadings { nodes { question } } }";

async fn start(cluster: &Cluster, flags: &[&str]) -> TestApp {
    let flags = [&["--database-pool-size=4"], flags].concat();
    let app = TestApp::start_on(cluster.database().await, &flags).await;
    let mut overseer = user("overseer");
    overseer.is_admin = true;
    overseer.is_premium = true;
    app.insert(rows(vec![overseer, user("ada")], Vec::new())).await;
    app
}

async fn health(app: &TestApp, kind: &str) -> (u16, Value) {
    let answered = answered(app.request(reqwest::Method::GET, &format!("/health/{kind}"))).await;
    (answered.status, answered.body)
}

/// The codes of an answer, which tells nothing of the inside.
fn codes(answered: &Answered) -> BTreeSet<String> {
    for word in ["postgres", "127.0.0.1", "sqlx", "reading_sessions", "password"] {
        assert!(!answered.text.contains(word), "{}", answered.text);
    }
    let errors = answered.body["errors"].as_array().into_iter().flatten();
    errors.map(|error| error["extensions"]["code"].as_str().unwrap_or("none").to_owned()).collect()
}

fn only(code: &str) -> BTreeSet<String> {
    BTreeSet::from([code.to_owned()])
}

/// Asks until there is an answer again.
async fn recovers(app: &TestApp) {
    for _ in 0..300 {
        if app.ask(FEED).await.body.get("errors").is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server does not find its database again");
}

#[tokio::test]
async fn a_database_that_was_stopped_is_found_again() {
    let Some(cluster) = Cluster::start("a_database_that_was_stopped_is_found_again") else { return };
    let app = start(&cluster, &["--database-deadline-ms=700"]).await;
    for how in [Stop::Fast, Stop::Immediate] {
        assert_eq!(health(&app, "ready").await.0, 200);
        cluster.stop(how);
        let admin = "{ admin { poolStats { poolSize } } }";
        assert_eq!(codes(&app.ask(FEED).await), only("SERVICE_UNAVAILABLE"), "{how:?}");
        assert_eq!(codes(&app.ask_as(id("overseer"), admin).await), only("SERVICE_UNAVAILABLE"));
        let reading = "mutation { deleteReading(input: { id: \"x\" }) { deletedReadingId } }";
        assert_ne!(codes(&app.ask_as(id("ada"), reading).await), BTreeSet::new());
        assert_eq!(health(&app, "live").await, (200, json!({ "status": "ok" })));
        assert_eq!(health(&app, "ready").await.0, 503);
        cluster.start_again();
        recovers(&app).await;
        assert_eq!(health(&app, "ready").await.0, 200);
    }
}

#[tokio::test]
async fn a_database_that_is_frozen_is_given_up_and_found_again() {
    let test = "a_database_that_is_frozen_is_given_up_and_found_again";
    let Some(cluster) = Cluster::start(test) else { return };
    let app = start(&cluster, &["--database-deadline-ms=500"]).await;
    app.data(FEED).await;
    cluster.freeze();
    // The first has a connection that never answers, the others find none.
    for _ in 0..3 {
        let codes = codes(&app.ask(FEED).await);
        assert!(codes == only("TIMEOUT") || codes == only("SERVICE_UNAVAILABLE"), "{codes:?}");
    }
    assert_eq!(health(&app, "live").await.0, 200);
    assert_eq!(health(&app, "ready").await.0, 503);
    cluster.thaw();
    recovers(&app).await;
    assert_eq!(health(&app, "ready").await.0, 200);
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_or_doubled_when_the_database_is_killed() {
    let test = "nothing_acknowledged_is_lost_or_doubled_when_the_database_is_killed";
    let Some(cluster) = Cluster::start(test) else { return };
    let flags = ["--database-deadline-ms=1000", "--premium-daily-readings=10000"];
    let app = start(&cluster, &flags).await;
    let spread = spread_id(&app, "single_wasteland");
    let is_over = AtomicBool::new(false);
    let write = async |writer: usize| {
        let mut written = Vec::new();
        let mut number = 0;
        while !is_over.load(Ordering::Relaxed) {
            let question = format!("{writer}-{number}");
            number += 1;
            let mutation = format!(
                "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {spread:?},
                    idempotencyKey: {question:?} }}) {{ reading {{ question }} userErrors {{ code }} }} }}"
            );
            // The same again and again until it is acknowledged.
            loop {
                let answered = app.ask_as(id("overseer"), &mutation).await;
                if answered.body["data"]["createReading"]["reading"]["question"] == question.as_str() {
                    break;
                }
                let codes = codes(&answered);
                let is_known = codes.iter().all(|code| {
                    code == "SERVICE_UNAVAILABLE" || code == "TIMEOUT"
                });
                assert!(is_known && !codes.is_empty(), "{}", answered.text);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            written.push(question);
        }
        written
    };
    let kill = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            cluster.kill();
            cluster.start_again();
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let (written, ()) = futures_util::join!(join_all((0..6).map(write)), kill);
    let written: BTreeSet<String> = written.into_iter().flatten().collect();
    assert!(written.len() > 20, "only {} were written", written.len());

    let access = Access::open(&cluster.database_as_it_is()).await;
    let mut there = access.texts("SELECT question AS text FROM reading_sessions").await;
    there.sort();
    assert_eq!(there, written.into_iter().collect::<Vec<_>>());
    access.close().await;
}
