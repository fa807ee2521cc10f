//! Memoized requests, recognised by their bytes: their response is returned before they are parsed,
//! and is exactly the same as without the memo.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use wasteland_tarot::config::cache::REQUEST_MEMO_MAX_REQUEST_BYTES;

use crate::http::bad;
use crate::persisted_documents::hash_of;
use crate::support::app::{
    Engine, RawConnection, RawResponse, TestApp, TestResponse, on_both_databases, raw_post,
    send_request,
};
use crate::support::fixtures::{id, spread_id};
use crate::support::mutations::{USER_ERRORS, payload};
use crate::support::world::write_world;

const FEED: &str =
    "query Feed($first: Int) { publicReadings(first: $first) { nodes { question tags } } }";
const CARDS: &str = "{ cards(first: 5) { nodes { name } } }";
const ADA: &str = "{ user(username: \"ada\") { username readings { totalCount } } }";

async fn start(engine: Engine, flags: &[&str]) -> TestApp {
    let app =
        TestApp::start_with(engine, &[&["--response-cache-bytes=4000000"], flags].concat()).await;
    write_world(&app).await;
    app.app.services.clock.stop();
    app
}

/// A request, as the test above all others sends it again.
struct TestRequest {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl TestRequest {
    fn post(body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self {
            method: Method::POST,
            path: "/graphql".to_owned(),
            headers,
            body: Some(body.to_string()),
        }
    }

    fn get(query: &[(&str, &str)]) -> Self {
        let query = serde_urlencoded::to_string(query).expect("a query string");
        Self {
            method: Method::GET,
            path: format!("/graphql?{query}"),
            headers: Vec::new(),
            body: None,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn send(&self, app: &TestApp) -> TestResponse {
        let mut request = app.request(self.method.clone(), &self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        send_request(request).await
    }
}

/// All headers but those of this response alone.
fn headers(response: &TestResponse) -> HeaderMap {
    let mut headers = response.headers.clone();
    for name in ["date", "x-request-id", "server-timing"] {
        assert!(headers.remove(name).is_some(), "{name}");
    }
    headers
}

fn memoized(app: &TestApp) -> u64 {
    app.app.request_memo.count()
}

on_both_databases! {
    async fn a_memoized_request_gets_the_same_response(engine: Engine) {
        let app = start(engine, &["--cors-origins=https://tarot.example"]).await;
        let feed = json!({ "query": FEED, "variables": { "first": 2 } });
        let tag = TestRequest::get(&[("query", CARDS)]).send(&app).await.header("etag").to_owned();
        let all = [
            TestRequest::post(&feed),
            TestRequest::post(&json!({ "query": FEED, "variables": { "first": 3 } })),
            TestRequest::post(&json!({ "query": CARDS })),
            TestRequest::post(&json!({ "query": ADA })),
            TestRequest::post(&feed).with("accept", "application/graphql-response+json"),
            TestRequest::post(&feed).with("accept", "application/graphql-response+json;q=0.5, application/json"),
            TestRequest::post(&feed).with("accept-encoding", "gzip"),
            TestRequest::post(&feed).with("accept-encoding", "gzip, deflate, br, zstd"),
            TestRequest::post(&feed).with("origin", "https://tarot.example"),
            TestRequest::post(&feed).with("origin", "https://other.example"),
            TestRequest::get(&[("query", FEED)]),
            TestRequest::get(&[("query", CARDS)]),
            TestRequest::get(&[("query", CARDS)]).with("accept", "application/json"),
            TestRequest::get(&[("query", CARDS)]).with("accept-encoding", "br"),
        ];
        for (number, sent) in all.iter().enumerate() {
            // The first is computed, the second is cached and then memoized, and the third is memoized.
            sent.send(&app).await;
            let found = sent.send(&app).await;
            assert_eq!(memoized(&app), number as u64 + 1, "{:?}", sent.headers);
            let again = sent.send(&app).await;
            assert_eq!(again.status, 200, "{}", again.text);
            assert_eq!((again.status, &again.text), (found.status, &found.text));
            assert_eq!(headers(&again), headers(&found), "{:?}", sent.headers);
            let cache = |response: &TestResponse| response.header("server-timing").contains("1 hits, 0 misses");
            assert!(cache(&again) && cache(&found));
        }
        // And to every client that has it.
        let condition = TestRequest::get(&[("query", CARDS)]).with("if-none-match", &tag);
        let memoized_before = memoized(&app);
        let again = condition.send(&app).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""));
        let others = TestRequest::get(&[("query", CARDS), ("operationName", "")]).with("if-none-match", &tag);
        let found = others.send(&app).await;
        assert_eq!((found.status, found.text.as_str()), (304, ""));
        assert_eq!(headers(&again), headers(&found));
        assert_eq!(memoized(&app), memoized_before, "a response without a body is not memoized");
        // A POST query gets the whole response.
        let whole = TestRequest::post(&json!({ "query": CARDS })).with("if-none-match", "*").send(&app).await;
        assert_eq!(whole.status, 200);
    }

    async fn a_response_that_depends_on_more_than_the_key_is_not_memoized(engine: Engine) {
        let app = start(engine, &[]).await;
        let hash = hash_of(FEED);
        let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
        for sent in [
            // A request that registers a document registers it each time.
            TestRequest::post(&json!({ "query": FEED, "extensions": extensions })),
            TestRequest::post(&json!({ "query": CARDS })).with("authorization", &format!("Bearer {}", app.token_of(id("ada")))),
            TestRequest::post(&json!({ "query": "{ admin { cacheStats { size } } }" })),
            TestRequest::post(&json!({ "query": "{ nothing }" })),
            TestRequest::post(&json!({ "query": CARDS })).with("accept", "application/json").with("accept", "text/html"),
            // Only the compression layer understands that.
            TestRequest::post(&json!({ "query": CARDS })).with("accept-encoding", "gzip;q=1"),
            TestRequest::post(&json!({ "query": CARDS, "operationName": null, "more": "x".repeat(17_000) })),
        ] {
            for _ in 0..3 {
                sent.send(&app).await;
            }
            assert_eq!(memoized(&app), 0, "{:?} {:?}", sent.headers, sent.body);
        }
        // So large, and no larger.
        let of_bytes = |bytes: usize| {
            let (accept, encodings) = ("application/json", "identity");
            let empty = TestRequest::get(&[("query", CARDS), ("more", "")]).path.len() - "/graphql?".len();
            let more = "x".repeat(bytes - accept.len() - encodings.len() - empty);
            let sent = TestRequest::get(&[("query", CARDS), ("more", &more)]);
            sent.with("accept", accept).with("accept-encoding", encodings)
        };
        for (bytes, count) in [(REQUEST_MEMO_MAX_REQUEST_BYTES + 1, 0), (REQUEST_MEMO_MAX_REQUEST_BYTES, 1)] {
            for _ in 0..3 {
                of_bytes(bytes).send(&app).await;
            }
            assert_eq!(memoized(&app), count, "{bytes}");
        }
        // By its hash it is.
        for _ in 0..3 {
            let by_hash = TestRequest::post(&json!({ "extensions": extensions })).send(&app).await;
            assert!(by_hash.body["data"]["publicReadings"].is_object(), "{}", by_hash.text);
        }
        assert_eq!(memoized(&app), 2);
    }

    async fn a_signed_in_viewer_gets_no_memoized_public_response(engine: Engine) {
        let app = start(engine, &[]).await;
        let body = json!({ "query": ADA });
        for _ in 0..3 {
            TestRequest::post(&body).send(&app).await;
        }
        assert_eq!(memoized(&app), 1);
        let of_nobody = TestRequest::post(&body).send(&app).await.body;
        let token = format!("Bearer {}", app.token_of(id("ada")));
        let own = TestRequest::post(&body).with("authorization", &token).send(&app).await.body;
        assert!(count(&own) > count(&of_nobody), "{own} {of_nobody}");
        let bad = TestRequest::post(&body).with("authorization", "Bearer nonsense").send(&app).await;
        assert_eq!(bad.status, 401, "{}", bad.text);
    }

    async fn a_change_invalidates_memoized_requests(engine: Engine) {
        let app = start(engine, &[]).await;
        let sent = TestRequest::post(&json!({ "query": ADA }));
        for _ in 0..3 {
            sent.send(&app).await;
        }
        let before = count(&sent.send(&app).await.body);
        let spread = spread_id(&app, "single_wasteland");
        let input = json!({ "question": "?", "spreadId": spread, "privacyLevel": "PUBLIC" });
        payload(&app, id("ada"), "createReading", input, USER_ERRORS).await;
        for _ in 0..3 {
            assert_eq!(count(&sent.send(&app).await.body), before + 1);
        }
    }
}

fn count(body: &Value) -> i64 {
    body["data"]["user"]["readings"]["totalCount"].as_i64().expect("a number")
}

/// The layer of compression would refuse it when everything is done.
#[tokio::test]
async fn a_client_without_encodings_gets_an_uncompressed_response() {
    let app = start(Engine::Sqlite, &[]).await;
    for encodings in ["identity;q=0", "*;q=0", "gzip;q=0, identity;q=0"] {
        let sent = TestRequest::post(&json!({ "query": CARDS })).with("accept-encoding", encodings);
        for _ in 0..3 {
            let response = sent.send(&app).await;
            assert_eq!(
                (response.status, response.header("content-encoding")),
                (200, ""),
                "{encodings}"
            );
        }
    }
}

#[tokio::test]
async fn a_memoized_request_counts_for_rate_limits() {
    let app = start(Engine::Sqlite, &["--rate-limit=5"]).await;
    let sent = TestRequest::post(&json!({ "query": CARDS }));
    for left in (0..5).rev() {
        let response = sent.send(&app).await;
        assert_eq!(response.status, 200);
        assert!(
            response.header("ratelimit").contains(&format!("r={left};")),
            "{:?}",
            response.headers
        );
    }
    assert_eq!(memoized(&app), 1);
    assert_eq!(sent.send(&app).await.status, 429);
}

/// Requests that differ from a memoized one in parts outside the key follow the same rules as all others (docs/http.md
/// has their sections).
#[tokio::test]
async fn a_memoized_request_bypasses_no_http_check() {
    let app = start(Engine::Sqlite, &[]).await;
    let body = json!({ "query": CARDS }).to_string();
    let expected = post_raw(&app, "/graphql", "host: test\r\n", &body).await;
    assert_eq!(expected.status, 200);
    let mut memo = memoized(&app);
    for _ in 0..2 {
        post_raw(&app, "/graphql", "host: test\r\n", &body).await;
    }
    assert_eq!(memoized(&app), memo + 1);
    memo = memoized(&app);
    // A request that the memo serves, at both addresses.
    for path in ["/graphql", "/graphql/"] {
        let response = post_raw(&app, path, "host: test\r\n", &body).await;
        assert!(response.header("server-timing").contains("1 hits"), "{path}");
        assert_eq!(response.body, expected.body);
    }
    assert_eq!(memoized(&app), memo);
    for hosts in ["", "host: test\r\nhost: test\r\n", "host: a b\r\n"] {
        let headers = format!("{hosts}x-request-id: ID\r\n");
        let response = post_raw(&app, "/graphql", &headers, &body).await;
        let refusal = bad("host", "the request must have one valid `host` header");
        assert_eq!((response.status, response.json()), (400, refusal), "{hosts}");
    }
    let compressed = "host: test\r\ncontent-encoding: gzip\r\n";
    assert_eq!(post_raw(&app, "/graphql", compressed, &body).await.status, 415);
    for authorization in ["authorization:\r\n", "authorization: \r\n"] {
        let headers = format!("host: test\r\n{authorization}");
        let response = post_raw(&app, "/graphql", &headers, &body).await;
        assert_eq!((response.status, &response.body), (200, &expected.body));
    }
    // A byte order mark makes it another request with the same response.
    for _ in 0..3 {
        let marked = format!("\u{FEFF}{body}");
        let response = post_raw(&app, "/graphql", "host: test\r\n", &marked).await;
        assert_eq!((response.status, &response.body), (200, &expected.body));
    }
    assert_eq!(memoized(&app), memo + 1);
    // A GET may have a body too.
    let query = serde_urlencoded::to_string([("query", CARDS)]).expect("a query string");
    let coded = "transfer-encoding: gzip, chunked\r\n";
    for (coding, status) in [("", 200), ("", 200), ("", 200), (coded, 501)] {
        let mut connection = RawConnection::open(&app).await;
        let head = format!("GET /graphql?{query} HTTP/1.1\r\nhost: test\r\n{coding}\r\n");
        connection.write(head).await;
        assert_eq!(connection.read_response().await.status, status, "{coding}");
    }
    assert_eq!(memoized(&app), memo + 2);
}

/// RFC 9110, section 9.3.2.
#[tokio::test]
async fn head_has_the_headers_of_a_memoized_get() {
    let app = start(Engine::Sqlite, &[]).await;
    let get = TestRequest::get(&[("query", CARDS)]);
    for _ in 0..3 {
        get.send(&app).await;
    }
    assert_eq!(memoized(&app), 1);
    let found = get.send(&app).await;
    let head = TestRequest { method: Method::HEAD, ..TestRequest::get(&[("query", CARDS)]) };
    for _ in 0..3 {
        let response = head.send(&app).await;
        assert_eq!((response.status, response.text.as_str()), (200, ""));
        assert_eq!(headers(&response), headers(&found));
    }
    assert_eq!(memoized(&app), 1, "a response without a body is not memoized");
}

async fn post_raw(app: &TestApp, path: &str, headers: &str, body: &str) -> RawResponse {
    let mut connection = RawConnection::open(app).await;
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\n{headers}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    connection.write(request).await;
    connection.read_response().await
}

/// The body may come in pieces, and end too early.
#[tokio::test]
async fn a_memoized_request_may_arrive_in_pieces() {
    let app = start(Engine::Sqlite, &[]).await;
    let body = json!({ "query": CARDS }).to_string();
    for _ in 0..3 {
        TestRequest::post(&json!({ "query": CARDS })).send(&app).await;
    }
    let request = raw_post("", &body);
    let end = request.len() - body.len();
    for ends in [vec![], vec![end], vec![end + 10], vec![end, end + 10, end + 20]] {
        let mut client = RawConnection::open(&app).await;
        // Twice, to see that the connection goes on.
        for _ in 0..2 {
            let mut sent = 0;
            for end in ends.iter().copied().chain([request.len()]) {
                client.write(&request[sent..end]).await;
                sent = end;
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            let response = client.read_response().await;
            assert_eq!(response.status, 200);
            assert_eq!(response.json()["data"]["cards"]["nodes"].as_array().map(Vec::len), Some(5));
        }
    }
    let mut client = RawConnection::open(&app).await;
    client.write(&request[..end + 10]).await;
    client.reset();
    // And the server goes on.
    assert_eq!(TestRequest::post(&json!({ "query": CARDS })).send(&app).await.status, 200);
}
