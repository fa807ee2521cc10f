//! The clock of the machine jumps, forwards and backwards: no value is stale, no row of a list is missed, and
//! sessions survive by a refresh; what is measured as a duration takes no notice.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::accounts::{mutate, payload};
use crate::sessions::{log_in, refreshed, start};
use crate::support::app::{TestApp, data_of, on_both_databases};
use crate::support::fixtures::spread_id;

const FLAGS: [&str; 3] =
    ["--daily-readings=1000", "--response-cache-bytes=1000000", "--refresh-token-seconds=31536000"];
/// Never before the time of the machine, by which the library of the tokens checks their expiry.
const JUMPS: [TimeDelta; 6] = [
    TimeDelta::hours(2),
    TimeDelta::hours(-1),
    TimeDelta::days(40),
    TimeDelta::days(-40),
    TimeDelta::milliseconds(-1),
    TimeDelta::days(1),
];

async fn query(app: &TestApp, token: &str, query: &str) -> Value {
    data_of(app.send(Some(token), &json!({ "query": query })).await)
}

async fn create(app: &TestApp, token: &str, question: &str) {
    let input = json!({
        "question": question,
        "spreadId": spread_id(app, "single_wasteland"),
        "privacyLevel": "PUBLIC",
    });
    let response =
        mutate(app, Some(token), ("createReading", "reading { question }"), &input).await;
    assert_eq!(payload("createReading", response)["reading"]["question"], question);
}

/// All readings, page by page.
async fn walk(app: &TestApp, token: &str) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = format!(
            "{{ viewer {{ readings(first: 3, after: {after}) {{
                nodes {{ question }} pageInfo {{ hasNextPage endCursor }} }} }} }}"
        );
        let page = query(app, token, &page).await["viewer"]["readings"].take();
        let nodes = page["nodes"].as_array().expect("a page");
        seen.extend(nodes.iter().map(|node| node["question"].as_str().expect("text").to_owned()));
        if page["pageInfo"]["hasNextPage"] == false {
            return seen;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

on_both_databases! {
    /// Tokens, cached values and pages of lists.
    async fn a_clock_that_jumps_makes_nothing_stale_and_sessions_survive_it(engine: Engine) {
        let app = start(engine, &["ada"], &FLAGS).await;
        let clock = &app.app.services.clock;
        let mut session = log_in(&app, "ada").await;
        let mut questions: Vec<String> = Vec::new();
        for (number, jump) in JUMPS.into_iter().enumerate() {
            // Cached before the jump.
            let stats = "{ viewer { stats { totalReadings } } }";
            let feed = "{ publicReadings(first: 100) { totalCount } }";
            for text in [stats, feed] {
                query(&app, &session.access, text).await;
            }
            clock.advance(jump);
            let token = &session.access;
            let response = app.send(Some(token), &json!({ "query": "{ viewer { username } }" })).await;
            // A token of the future counts as forged: after a jump backwards clients refresh their session.
            let expected = if jump < TimeDelta::minutes(-1) { 401 } else { 200 };
            assert_eq!(response.status, expected, "{jump}: {}", response.text);
            session = refreshed(&app, &session.refresh).await;
            for step in 0..3 {
                let question = format!("{number} {step}");
                create(&app, &session.access, &question).await;
                questions.push(question);
            }
            let total = questions.len();
            let counted = query(&app, &session.access, stats).await;
            assert_eq!(counted["viewer"]["stats"]["totalReadings"], total, "{jump}");
            let shown = query(&app, &session.access, feed).await;
            assert_eq!(shown["publicReadings"]["totalCount"], total, "{jump}");
            let mut walked = walk(&app, &session.access).await;
            walked.sort();
            let mut expected = questions.clone();
            expected.sort();
            assert_eq!(walked, expected, "{jump}");
        }
    }

    /// They are measured as durations, by a clock that never jumps.
    async fn a_clock_that_jumps_changes_no_rate_limit(engine: Engine) {
        let app = TestApp::start_with(engine, &["--rate-limit=5"]).await;
        let send = async || {
            let response = app.query("{ __typename }").await;
            (response.status, response.header("retry-after").parse::<u64>().ok())
        };
        let mut allowed = 0;
        while send().await.0 == 200 {
            allowed += 1;
            assert!(allowed <= 5, "there is no limit");
        }
        for jump in [TimeDelta::days(1), TimeDelta::days(-2)] {
            app.app.services.clock.advance(jump);
            let (status, retry_after) = send().await;
            assert_eq!(status, 429, "{jump}");
            assert!(retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)), "{retry_after:?}");
        }
    }
}
