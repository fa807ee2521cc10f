//! Limits of one client: connections, streams, and responses that it does not take. Others are served
//! meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::app::{Engine, RawConnection, TestApp, raw_post, send_request};
use crate::tcp_connections::{assert_serves, connect_with_window, http2, large_asset};

const QUERY: &str = r#"{"query":"{ __typename }"}"#;
const ANSWER: &[u8] = br#"{"data":{"__typename":"Query"}}"#;
/// A response of 15 bytes.
const LIVE: &str = "/health/live";
const LIVE_BODY: &[u8] = br#"{"status":"ok"}"#;
const PAUSE: Duration = Duration::from_millis(20);
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

async fn start(flags: &[&str]) -> TestApp {
    TestApp::start_with(Engine::Sqlite, flags).await
}

/// Sends a request and reads the response; the connection stays open.
async fn assert_responds(connection: &mut RawConnection) {
    connection.write(raw_post("", QUERY)).await;
    assert_eq!(connection.read_response().await.body, ANSWER);
}

/// A connection that is served, and stays open.
async fn served(app: &TestApp) -> RawConnection {
    let mut connection = RawConnection::open(app).await;
    assert_responds(&mut connection).await;
    connection
}

/// True if a new connection is served, and not closed without a byte.
async fn is_served(app: &TestApp) -> bool {
    let mut connection = RawConnection::open(app).await;
    // The server may close it before all is sent.
    connection.try_write(raw_post("connection: close\r\n", QUERY)).await;
    let response = connection.read_to_end().await;
    assert!(response.is_empty() || response.ends_with(ANSWER));
    !response.is_empty()
}

// Connections

#[tokio::test]
async fn an_address_has_its_share_of_the_connections_and_leaves_the_others() {
    let app = start(&["--max-connections=3", "--max-connections-per-address=2"]).await;
    let mut held = vec![served(&app).await, served(&app).await];
    for _ in 0..3 {
        assert!(!is_served(&app).await, "an address has more than its share");
    }
    let mut other = RawConnection::open_from(&app, ELSEWHERE).await;
    assert_responds(&mut other).await;
    for connection in &mut held {
        assert_responds(connection).await;
    }
    held.pop();
    while !is_served(&app).await {
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn connections_of_a_trusted_proxy_are_not_counted() {
    let flags = ["--max-connections-per-address=1", "--trusted-proxies=127.0.0.1"];
    let app = start(&flags).await;
    let mut held = vec![served(&app).await, served(&app).await, served(&app).await];
    for connection in &mut held {
        assert_responds(connection).await;
    }
    let mut other = RawConnection::open_from(&app, ELSEWHERE).await;
    assert_responds(&mut other).await;
    assert_eq!(RawConnection::open_from(&app, ELSEWHERE).await.read_to_end().await, b"");
}

// Streams

/// A client of HTTP/2 that grants new streams no bytes.
struct Http2Client {
    connection: RawConnection,
    was_refused: bool,
}

impl Http2Client {
    async fn open(app: &TestApp) -> Self {
        Self::begin(RawConnection::open(app).await).await
    }

    async fn begin(mut connection: RawConnection) -> Self {
        connection.write(http2::PREFACE).await;
        connection.write(http2::frame(http2::SETTINGS, 0, 0, &http2::NO_WINDOW)).await;
        let mut client = Self { connection, was_refused: false };
        // The server knows the window once it acknowledges it.
        while client.next().await.0 != http2::SETTINGS {}
        let acknowledgement = http2::frame(http2::SETTINGS, http2::ACKNOWLEDGED, 0, &[]);
        client.write(acknowledgement).await;
        client
    }

    async fn write(&mut self, frame: Vec<u8>) {
        self.connection.write(frame).await;
    }

    async fn next(&mut self) -> (u8, u32, Vec<u8>) {
        http2::next(&mut self.connection).await
    }

    /// The next frame of that kind on that stream. No reset of the stream may come before it.
    async fn expect(&mut self, kind: u8, stream: u32) -> Vec<u8> {
        loop {
            match self.next().await {
                (found, on, payload) if (found, on) == (kind, stream) => return payload,
                (http2::RST_STREAM, on, reason) if on == stream => panic!("reset: {reason:?}"),
                (http2::GOAWAY, _, reason) => panic!("goaway: {reason:?}"),
                _ => {}
            }
        }
    }

    /// Requests a path; the block of the response's headers.
    async fn get(&mut self, stream: u32, path: &str) -> Vec<u8> {
        self.write(http2::get(stream, path)).await;
        self.expect(http2::HEADERS, stream).await
    }

    async fn assert_ok(&mut self, stream: u32, path: &str) {
        let block = self.get(stream, path).await;
        assert_eq!(block[0], http2::STATUS_200, "stream {stream}");
    }

    /// Grants a stream bytes, and reads so many of its response.
    async fn take(&mut self, stream: u32, bytes: usize) -> Vec<u8> {
        let granted = u32::try_from(bytes).expect("a window");
        self.write(
            [http2::window_update(stream, granted), http2::window_update(0, granted)].concat(),
        )
        .await;
        let mut taken = Vec::new();
        while taken.len() < bytes {
            taken.extend(self.expect(http2::DATA, stream).await);
        }
        taken
    }

    /// Asserts that a request gets 503, whose body is taken.
    async fn assert_refused(&mut self, stream: u32, path: &str) {
        let block = self.get(stream, path).await;
        // After the first time, the compression has an index for it.
        let is_first = !std::mem::replace(&mut self.was_refused, true);
        let is_index = block[0] > 0x80 && block[0] != http2::STATUS_200;
        let is_503 = if is_first { block.starts_with(&http2::STATUS_503) } else { is_index };
        assert!(is_503, "stream {stream}: {block:x?}");
        self.write(http2::window_update(stream, 10_000)).await;
        let body = self.expect(http2::DATA, stream).await;
        let mut body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        body["errors"][0]["extensions"]["requestId"].take();
        let delay = body["errors"][0]["extensions"]["retryAfterMs"].take();
        assert!(delay.as_u64().is_some_and(|delay| (1_000..=3_000).contains(&delay)), "{delay}");
        let expected = json!({ "errors": [{
            "message": "the server is busy; try again in a moment",
            "extensions": {
                "code": "SERVICE_UNAVAILABLE", "retryAfterMs": null, "requestId": null,
            },
        }] });
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn streams_above_the_maximum_are_refused() {
    let app = start(&["--max-streams=2"]).await;
    let mut client = Http2Client::open(&app).await;
    client.assert_ok(1, LIVE).await;
    client.assert_ok(3, LIVE).await;
    client.write(http2::get(5, LIVE)).await;
    loop {
        match client.next().await {
            (http2::RST_STREAM, 5, reason) => break assert_eq!(reason, http2::REFUSED_STREAM),
            (http2::HEADERS, 5, _) => panic!("three streams at once"),
            _ => {}
        }
    }
    assert_eq!(client.take(1, LIVE_BODY.len()).await, LIVE_BODY);
    client.assert_ok(7, LIVE).await;
}

#[tokio::test]
async fn a_client_that_resets_more_streams_than_it_may_is_cut_off() {
    let app = start(&["--max-reset-streams=5"]).await;
    let burst = |first: u32, count: u32| -> Vec<u8> {
        let streams = (0..count).map(|number| first + 2 * number);
        let reset = |stream| http2::frame(http2::RST_STREAM, 0, stream, &http2::CANCEL);
        streams.flat_map(|stream| [http2::get(stream, LIVE), reset(stream)].concat()).collect()
    };
    let mut client = Http2Client::open(&app).await;
    client.write(burst(1, 5)).await;
    client.assert_ok(101, LIVE).await;
    client.write(burst(201, 6)).await;
    let reason = loop {
        if let (http2::GOAWAY, 0, payload) = client.next().await {
            break payload[4..8].to_vec();
        }
    };
    assert_eq!(reason, http2::ENHANCE_YOUR_CALM);
    client.connection.read_to_end().await;
    assert_serves(&app).await;
}

// Responses that nobody takes

/// PINGs for as long as it takes: what is read gives a response no more time.
async fn ping_until_reset(client: &mut Http2Client, stream: u32, frame: &[u8]) {
    loop {
        client.write([http2::ping(), frame.to_vec()].concat()).await;
        loop {
            match client.next().await {
                (http2::PING, ..) => break,
                (http2::RST_STREAM, on, reason) if on == stream => {
                    assert_eq!(reason, http2::CANCEL);
                    return;
                }
                _ => {}
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn a_stream_whose_response_is_not_taken_is_reset_and_the_connection_goes_on() {
    let app = start(&["--write-timeout-ms=300"]).await;
    let path = large_asset(&app).await;
    let mut client = Http2Client::open(&app).await;
    for (stream, path) in [(1, LIVE), (3, &path)] {
        client.assert_ok(stream, path).await;
        ping_until_reset(&mut client, stream, &[]).await;
    }
    client.assert_ok(5, LIVE).await;
    assert_eq!(client.take(5, LIVE_BODY.len()).await, LIVE_BODY);
}

#[tokio::test]
async fn windows_of_one_byte_give_a_response_no_more_time() {
    let app = start(&["--write-timeout-ms=300"]).await;
    let path = large_asset(&app).await;
    let mut client = Http2Client::open(&app).await;
    client.assert_ok(1, &path).await;
    let one_byte = [http2::window_update(1, 1), http2::window_update(0, 1)].concat();
    ping_until_reset(&mut client, 1, &one_byte).await;
}

/// For several write timeouts.
#[tokio::test]
async fn a_client_that_takes_the_minimum_in_each_period_gets_its_whole_response() {
    let app = start(&["--write-timeout-ms=2000", "--write-minimum-bytes=65536"]).await;
    let path = large_asset(&app).await;
    let response = app.request(reqwest::Method::GET, &path).send().await.expect("a response");
    let whole = response.bytes().await.expect("the whole asset");
    let mut client = Http2Client::open(&app).await;
    client.assert_ok(1, &path).await;
    let mut taken = Vec::new();
    let part = whole.len() / 50 + 1;
    assert!(part * 10 > 65_536, "too small an asset: {}", whole.len());
    while taken.len() < whole.len() {
        taken.extend(client.take(1, part.min(whole.len() - taken.len())).await);
        tokio::time::sleep(PAUSE * 5).await;
    }
    assert!(taken == whole, "other bytes");
}

/// Reads responses of HTTP/1 for several write timeouts, a part after each pause, until the server closes the
/// connection. Returns the number of bytes.
async fn bytes_taken_slowly(app: &TestApp, path: &str, responses: usize) -> usize {
    let mut client = connect_with_window(app, 131_072).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n");
    let last = format!("{request}connection: close\r\n\r\n");
    let requests = format!("{request}\r\n").repeat(responses - 1) + &last;
    client.write_all(requests.as_bytes()).await.expect("room for the requests");
    let (mut part, mut taken) = (vec![0; 131_072], 0);
    loop {
        match client.read(&mut part).await {
            Ok(0) | Err(_) => return taken,
            Ok(bytes) => taken += bytes,
        }
        tokio::time::sleep(PAUSE * 3).await;
    }
}

/// The client takes bytes all the time, at most 2 MB each second, so a response of 4 MB takes longer than the timeout.
/// Only the minimum cuts it off.
#[tokio::test]
async fn a_client_of_http_1_has_to_take_the_minimum_in_each_period() {
    const RESPONSES: usize = 3;
    let minimum = |bytes: usize| format!("--write-minimum-bytes={bytes}");
    let timeout = "--write-timeout-ms=1000";
    let app = start(&[timeout, &minimum(1)]).await;
    let path = large_asset(&app).await;
    let response = app.request(reqwest::Method::GET, &path).send().await.expect("a response");
    let length = response.bytes().await.expect("the whole asset").len();
    assert!(length > 4_000_000, "too small an asset: {length}");
    assert!(bytes_taken_slowly(&app, &path, RESPONSES).await > RESPONSES * length);
    // More than all responses.
    let app = start(&[timeout, &minimum(RESPONSES * length * 2)]).await;
    let taken = bytes_taken_slowly(&app, &path, RESPONSES).await;
    assert!(taken > 0 && taken < RESPONSES * length, "{taken} of {RESPONSES} * {length}");
}

#[tokio::test]
async fn an_http_2_client_that_pings_while_idle_lives_for_the_idle_timeout() {
    let app = start(&["--header-timeout-ms=200", "--idle-timeout-ms=3000"]).await;
    let mut client = Http2Client::open(&app).await;
    client.assert_ok(1, LIVE).await;
    assert_eq!(client.take(1, LIVE_BODY.len()).await, LIVE_BODY);
    // For five times as long as a header may take.
    for _ in 0..50 {
        client.write(http2::ping()).await;
        client.expect(http2::PING, 0).await;
        tokio::time::sleep(PAUSE).await;
    }
    client.assert_ok(3, LIVE).await;
    assert_eq!(client.take(3, LIVE_BODY.len()).await, LIVE_BODY);
    // And for no longer.
    while client.connection.try_write(http2::ping()).await {
        tokio::time::sleep(PAUSE).await;
    }
    assert_serves(&app).await;
}

// Bytes of responses

#[tokio::test]
async fn responses_of_one_connection_hold_no_more_bytes_than_they_may() {
    let app = start(&["--max-unsent-bytes-per-connection=30"]).await;
    let mut client = Http2Client::open(&app).await;
    client.assert_ok(1, LIVE).await;
    client.assert_ok(3, LIVE).await;
    client.assert_refused(5, LIVE).await;
    // Another connection of the same address has bytes of its own.
    Http2Client::open(&app).await.assert_ok(1, LIVE).await;
    // Bytes of responses that were taken or cancelled are free again.
    assert_eq!(client.take(1, LIVE_BODY.len()).await, LIVE_BODY);
    client.assert_ok(7, LIVE).await;
    client.assert_refused(9, LIVE).await;
    client.write(http2::frame(http2::RST_STREAM, 0, 3, &http2::CANCEL)).await;
    let mut stream = 11;
    while client.get(stream, LIVE).await[0] != http2::STATUS_200 {
        stream += 2;
    }
}

/// Query with a response of about 320 KB, because the name of each value is repeated for each card.
fn large_query() -> String {
    let ids = (0..14).map(|number| format!("{:x<250}:id", format!("a{number}_")));
    format!("{{cards(first:78){{nodes{{{}}}}}}}", ids.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn a_large_response_without_room_is_neither_computed_nor_charged() {
    let flags = [
        "--max-unsent-bytes-per-connection=1400000",
        "--rate-limit=1000",
        "--rate-limit-cost=1000",
    ];
    let app = start(&flags).await;
    let validated = |query: String| {
        let request = app.request(reqwest::Method::POST, "/graphql");
        let body = json!({ "query": query });
        send_request(request.header("graphql-cost", "validate").json(&body))
    };
    let report = validated(large_query()).await.body["extensions"]["cost"].take();
    let cost = report["cost"].as_u64().expect("a number");
    let path = format!(
        "/graphql?query={}",
        large_query().replace(' ', "%20").replace('{', "%7B").replace('}', "%7D")
    );
    let mut client = Http2Client::open(&app).await;
    client.assert_ok(1, &path).await;
    client.assert_refused(3, &path).await;
    // Small ones have room.
    client.assert_ok(5, LIVE).await;
    let report = validated("{ __typename }".to_owned()).await.body["extensions"]["cost"].take();
    let remaining = report["remaining"].as_u64().expect("a number");
    assert!(remaining > 1_000 - 2 * cost, "{remaining} of 1,000 points are left, at {cost} each");
    // Another connection of the same address has bytes of its own.
    Http2Client::open(&app).await.assert_ok(1, &path).await;
}

#[tokio::test]
async fn responses_to_one_address_hold_no_more_bytes_than_they_may() {
    let app = start(&["--max-unsent-bytes-per-address=30"]).await;
    let mut first = Http2Client::open(&app).await;
    let mut second = Http2Client::open(&app).await;
    first.assert_ok(1, LIVE).await;
    second.assert_ok(1, LIVE).await;
    first.assert_refused(3, LIVE).await;
    second.assert_refused(3, LIVE).await;
    let other = RawConnection::open_from(&app, ELSEWHERE).await;
    Http2Client::begin(other).await.assert_ok(1, LIVE).await;
    // Connections that end give back what they hold.
    drop(first);
    let mut stream = 5;
    while second.get(stream, LIVE).await[0] != http2::STATUS_200 {
        stream += 2;
    }
}

#[tokio::test]
async fn all_responses_hold_no_more_bytes_than_they_may() {
    let app = start(&["--max-unsent-bytes=30"]).await;
    let mut first = Http2Client::open(&app).await;
    let other = RawConnection::open_from(&app, ELSEWHERE).await;
    let mut second = Http2Client::begin(other).await;
    first.assert_ok(1, LIVE).await;
    second.assert_ok(1, LIVE).await;
    first.assert_refused(3, LIVE).await;
    second.assert_refused(3, LIVE).await;
    assert_eq!(first.take(1, LIVE_BODY.len()).await, LIVE_BODY);
    second.assert_ok(5, LIVE).await;
}

#[tokio::test]
async fn responses_from_the_request_memo_hold_no_more_bytes_than_they_may() {
    const PATH: &str = "/graphql?query=%7Bsuits%7BcardCount%7D%7D";
    let counts = [22, 14, 14, 14, 14].map(|count| json!({ "cardCount": count }));
    let body = json!({ "data": { "suits": counts } }).to_string().into_bytes();
    let bytes = format!("--max-unsent-bytes-per-connection={}", body.len() * 2);
    let app = start(&[&bytes, "--response-cache-bytes=4000000"]).await;
    let mut client = Http2Client::open(&app).await;
    // Executed, cached, remembered.
    for stream in [1, 3, 5] {
        client.assert_ok(stream, PATH).await;
        assert_eq!(client.take(stream, body.len()).await, body);
    }
    client.assert_ok(7, PATH).await;
    client.assert_ok(9, PATH).await;
    client.assert_refused(11, PATH).await;
    assert_eq!(client.take(7, body.len()).await, body);
    client.assert_ok(13, PATH).await;
}
