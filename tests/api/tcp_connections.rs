//! Connections: slow, silent and greedy clients are cut off, and others are served meanwhile.
//!
//! Two ways to see that the server has closed a connection: the client reads its end, or, with
//! `--max-connections=1`, another client is served. Neither measures time.

use std::path::Path;

use tokio::net::TcpSocket;

use crate::support::app::{Engine, RawConnection, TestApp, raw_post};

const QUERY: &str = r#"{"query":"{ __typename }"}"#;
const ANSWER: &[u8] = br#"{"data":{"__typename":"Query"}}"#;

async fn start(flags: &[&str]) -> TestApp {
    TestApp::start_with(Engine::Sqlite, flags).await
}

/// A server with room for one connection, so that a client that gets a response holds it.
async fn start_with_one_place(flag: &str) -> TestApp {
    start(&["--max-connections=1", flag]).await
}

/// Sends a request on a connection of its own, which is closed afterwards.
pub async fn assert_serves(app: &TestApp) {
    let mut connection = RawConnection::open(app).await;
    connection.write(raw_post("connection: close\r\n", QUERY)).await;
    let response = connection.read_response().await;
    assert_eq!((response.status, response.body.as_slice()), (200, ANSWER));
    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let app = start_with_one_place("--header-timeout-ms=200").await;
    let mut silent = RawConnection::open(&app).await;
    assert_serves(&app).await;
    assert_eq!(silent.read_to_end().await, b"");
}

#[tokio::test]
async fn a_connection_whose_header_does_not_end_is_closed() {
    let app = start_with_one_place("--header-timeout-ms=200").await;
    let mut slow = RawConnection::open(&app).await;
    slow.write("POST /graphql HTTP/1.1\r\nhost: te").await;
    assert_serves(&app).await;
    assert_eq!(slow.read_to_end().await, b"");
}

#[tokio::test]
async fn a_header_that_comes_byte_by_byte_is_given_no_more_time() {
    let app = start_with_one_place("--header-timeout-ms=200").await;
    let mut slow = RawConnection::open(&app).await;
    slow.write("GET /health/live HTTP/1.1\r\nx-slow: ").await;
    // Each byte comes long before the time for a header is over, and the header never ends.
    while slow.try_write("x").await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_serves(&app).await;
}

#[tokio::test]
async fn a_slow_header_of_a_later_request_closes_the_connection_too() {
    let app = start(&["--max-connections=1", "--header-timeout-ms=200"]).await;
    let mut slow = RawConnection::open(&app).await;
    slow.write(raw_post("", QUERY)).await;
    assert_eq!(slow.read_response().await.body, ANSWER);
    slow.write("POST /graphql HT").await;
    assert_serves(&app).await;
    assert_eq!(slow.read_to_end().await, b"");
}

#[tokio::test]
async fn a_body_that_does_not_end_gets_408_and_the_connection_is_closed() {
    let app = start_with_one_place("--body-timeout-ms=200").await;
    let mut slow = RawConnection::open(&app).await;
    let request = raw_post("x-request-id: slow\r\n", QUERY);
    slow.write(&request[..request.len() - 1]).await;
    let response = slow.read_response().await;
    assert_eq!(response.status, 408);
    assert_eq!(response.header("connection"), "close");
    assert_eq!(
        response.json(),
        serde_json::json!({ "errors": [{
            "message": "the body came too slowly",
            "extensions": { "code": "TIMEOUT", "requestId": "slow" },
        }] })
    );
    assert_eq!(slow.read_to_end().await, b"");
    assert_serves(&app).await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_no_more_time() {
    let app = start_with_one_place("--body-timeout-ms=200").await;
    let mut slow = RawConnection::open(&app).await;
    slow.write("POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n").await;
    slow.write("content-length: 100000\r\n\r\n").await;
    while slow.try_write(" ").await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_serves(&app).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let app = start_with_one_place("--idle-timeout-ms=200").await;
    let mut idle = RawConnection::open(&app).await;
    idle.write(raw_post("", QUERY)).await;
    assert_eq!(idle.read_response().await.body, ANSWER);
    assert_serves(&app).await;
    assert_eq!(idle.read_to_end().await, b"");
}

/// Twice as long as a header may take: the time for the header of a request begins with its first byte.
#[tokio::test]
async fn a_connection_may_idle_for_longer_than_a_header_may_take() {
    let app = start(&["--header-timeout-ms=200"]).await;
    let mut connection = RawConnection::open(&app).await;
    for _ in 0..3 {
        connection.write(raw_post("", QUERY)).await;
        assert_eq!(connection.read_response().await.body, ANSWER);
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    }
}

/// Until the end of both sides: RFC 9293, section 3.6.
#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_response() {
    let app = start(&["--response-cache-bytes=4000000"]).await;
    let cards = r#"{"query":"{ cards(first: 50) { nodes { uprightMeaning } } }"}"#;
    // The second is served from the cache, and the third before the request is parsed.
    for _ in 0..3 {
        for body in [QUERY, cards, "{"] {
            let mut connection = RawConnection::open(&app).await;
            connection.write(raw_post("", body)).await;
            connection.close_write().await;
            let response = connection.read_response().await;
            assert_eq!(response.status, if body == "{" { 400 } else { 200 });
            assert_eq!(response.json().get("data").is_some(), response.status == 200);
            assert_eq!(connection.read_to_end().await, b"");
        }
    }
    // All responses to requests that it has sent.
    let mut connection = RawConnection::open(&app).await;
    let get = "GET /health/live HTTP/1.1\r\nhost: test\r\n\r\n";
    connection.write([get, &raw_post("", QUERY), get].concat()).await;
    connection.close_write().await;
    for body in [&b"{\"status\":\"ok\"}"[..], ANSWER, b"{\"status\":\"ok\"}"] {
        assert_eq!(connection.read_response().await.body, body);
    }
    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn a_request_that_is_closed_before_its_end_is_over() {
    let app = start_with_one_place("--header-timeout-ms=60000").await;
    let request = raw_post("", QUERY);
    for said in [0, 30, request.len() - QUERY.len(), request.len() - 1] {
        let mut connection = RawConnection::open(&app).await;
        connection.write(&request[..said]).await;
        connection.close_write().await;
        connection.read_to_end().await;
        // The client still holds its end of the connection.
        assert_serves(&app).await;
    }
}

/// More than the buffers of both sides hold.
const LARGE_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A connection that were closed at once would be reset, and the client would lose the response (RFC 9112,
/// section 9.6).
#[tokio::test]
async fn a_client_that_sends_too_much_reads_its_response() {
    let app = start(&["--linger-timeout-ms=60000"]).await;
    let header = format!(
        "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
         content-length: {LARGE_BODY_BYTES}\r\n\r\n"
    );
    let mut connection = RawConnection::open(&app).await;
    connection.write(header).await;
    connection.write(vec![b' '; LARGE_BODY_BYTES]).await;
    let response = connection.read_response().await;
    assert_eq!((response.status, response.header("connection")), (413, "close"));
    assert_eq!(connection.read_to_end().await, b"");
    // And nothing after it is a request.
    connection.try_write(raw_post("", QUERY)).await;
    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn a_client_that_does_not_end_after_its_response_is_cut_off() {
    let app = start_with_one_place("--linger-timeout-ms=200").await;
    for chunk in ["", " "] {
        let mut greedy = RawConnection::open(&app).await;
        let header = "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             content-length: 99999999999\r\n\r\n";
        greedy.write(header).await;
        assert_eq!(greedy.read_response().await.status, 413);
        // Silent, or sending on.
        while !chunk.is_empty() && greedy.try_write(chunk.repeat(10_000)).await {}
        assert_serves(&app).await;
    }
}

/// Connects with a small window, so that little of a response fits into the kernel's buffers.
pub async fn connect_with_a_small_window(app: &TestApp) -> tokio::net::TcpStream {
    connect_with_window(app, 4_096).await
}

/// Connects with a window of about so many bytes, which does not grow.
pub async fn connect_with_window(app: &TestApp, bytes: u32) -> tokio::net::TcpStream {
    let address = app.url.strip_prefix("http://").expect("an address of ours");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(bytes).expect("a buffer");
    socket.connect(address.parse().expect("an address")).await.expect("the server accepts")
}

/// The path of GraphiQL's script, the largest response that there is.
pub async fn large_asset(app: &TestApp) -> String {
    let page = app.request(reqwest::Method::GET, "/").header("connection", "close");
    let page = page.send().await.expect("the page").text().await.expect("its text");
    let is_script = |text: &&str| {
        text.starts_with("/graphiql/")
            && Path::new(text).extension().is_some_and(|kind| kind == "js")
    };
    let path = page.split('"').find(is_script);
    path.expect("the page has a script").to_owned()
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_cut_off() {
    let app = start_with_one_place("--write-timeout-ms=200").await;
    let path = large_asset(&app).await;
    let unread = connect_with_a_small_window(&app).await;
    // More responses than the kernel buffers for a client.
    let requests = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").repeat(8);
    unread.writable().await.expect("an open connection");
    assert_eq!(unread.try_write(requests.as_bytes()).expect("room for it"), requests.len());
    assert_serves(&app).await;
    drop(unread);
}

#[tokio::test]
async fn two_hundred_slow_connections_are_closed_and_others_are_served_meanwhile() {
    let app = start(&["--header-timeout-ms=2000", "--body-timeout-ms=2000"]).await;
    let mut slow = Vec::new();
    for index in 0..200 {
        let mut connection = RawConnection::open(&app).await;
        let request = raw_post("", QUERY);
        // Some say nothing, some stop in their header, some in their body.
        let said = [0, 30, request.len() - 5][index % 3];
        connection.write(&request[..said]).await;
        slow.push(connection);
    }
    assert_serves(&app).await;
    for (index, connection) in slow.iter_mut().enumerate() {
        let said = connection.read_to_end().await;
        let expected: &[u8] = if index % 3 == 2 { b"HTTP/1.1 408 " } else { b"" };
        assert!(said.starts_with(expected), "{index}: {}", String::from_utf8_lossy(&said));
        assert_eq!(said.is_empty(), expected.is_empty());
    }
    assert_serves(&app).await;
}

#[tokio::test]
async fn a_connection_above_the_maximum_waits_until_another_is_closed() {
    let app = start(&["--max-connections=2"]).await;
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut connection = RawConnection::open(&app).await;
        connection.write(raw_post("", QUERY)).await;
        assert_eq!(connection.read_response().await.body, ANSWER);
        connections.push(connection);
    }
    let mut third = RawConnection::open(&app).await;
    third.write(raw_post("", QUERY)).await;
    let early =
        tokio::time::timeout(std::time::Duration::from_millis(300), third.read_response()).await;
    assert!(early.is_err(), "the third was served beside the two: {early:?}");
    // The two are still served.
    for connection in &mut connections {
        connection.write(raw_post("", QUERY)).await;
        assert_eq!(connection.read_response().await.body, ANSWER);
    }
    drop(connections.pop());
    assert_eq!(third.read_response().await.body, ANSWER);
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    for number in 0..20 {
        connection.write(raw_post(&format!("x-request-id: {number}\r\n"), QUERY)).await;
        let response = connection.read_response().await;
        assert_eq!((response.status, response.body.as_slice()), (200, ANSWER));
        assert_eq!(response.header("x-request-id"), number.to_string());
    }
}

#[tokio::test]
async fn pipelined_requests_get_responses_in_order() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    let requests: String =
        (0..5).map(|number| raw_post(&format!("x-request-id: {number}\r\n"), QUERY)).collect();
    connection.write(requests).await;
    for number in 0..5 {
        let response = connection.read_response().await;
        assert_eq!((response.status, response.body.as_slice()), (200, ANSWER));
        assert_eq!(response.header("x-request-id"), number.to_string());
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    let request = raw_post("expect: 100-continue\r\n", QUERY);
    let (header, body) = request.split_at(request.len() - QUERY.len());
    connection.write(header).await;
    assert_eq!(connection.read_exact(25).await, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write(body).await;
    assert_eq!(connection.read_response().await.body, ANSWER);
}

#[tokio::test]
async fn a_client_whose_request_is_rejected_gets_no_100_continue() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    connection
        .write(
            "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: text/plain\r\n\
             content-length: 1000\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
    assert_eq!(connection.read_response().await.status, 415);
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_do_no_harm() {
    let app = start_with_one_place("--header-timeout-ms=60000").await;
    let request = raw_post("", QUERY);
    for said in [0, 1, 20, request.len() - QUERY.len(), request.len() - 1, request.len()] {
        for _ in 0..5 {
            let mut connection = RawConnection::open(&app).await;
            connection.write(&request[..said]).await;
            drop(connection);
        }
    }
    assert_serves(&app).await;
}

#[tokio::test]
async fn bytes_that_are_not_http_are_rejected() {
    let app = start_with_one_place("--header-timeout-ms=60000").await;
    for nonsense in ["\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "GRAPHQL\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let mut connection = RawConnection::open(&app).await;
        connection.write(nonsense).await;
        let response = String::from_utf8(connection.read_to_end().await).expect("text");
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{nonsense:?}: {response}");
    }
    assert_serves(&app).await;
}

/// As much of HTTP/2 as these tests need.
pub mod http2 {
    use crate::support::app::RawConnection;

    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const ACKNOWLEDGED: u8 = 1;
    /// The reason of a server that refuses a stream above its maximum.
    pub const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
    /// The reason of a server that a client troubles too much.
    pub const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
    /// The reason of a client that has lost its interest.
    pub const CANCEL: [u8; 4] = [0, 0, 0, 8];
    /// `SETTINGS_INITIAL_WINDOW_SIZE` = 0: nothing may be sent until the client says so.
    pub const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
    /// `:status` 200, as the first byte of a block of headers.
    pub const STATUS_200: u8 = 0x88;
    /// `:status` 503: the name by its index, and the value with Huffman codes.
    pub const STATUS_503: [u8; 5] = [0x48, 0x83, 0x6C, 0x0C, 0xFF];
    /// `:status` 400.
    pub const STATUS_400: u8 = 0x8C;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short frame");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// Index of `:authority` and of `host` in the static table.
    pub const AUTHORITY: u8 = 1;
    pub const HOST: u8 = 38;
    const PATH: u8 = 4;
    const CONTENT_TYPE: u8 = 31;
    /// Index of `cookie`.
    pub const COOKIE: u8 = 32;
    /// `:method` GET and POST.
    const METHOD_GET: u8 = 0x82;
    const METHOD_POST: u8 = 0x83;

    /// The headers of `GET {path}`, with nothing compressed.
    pub fn get(stream: u32, path: &str) -> Vec<u8> {
        get_from(stream, path, &[(AUTHORITY, "test")])
    }

    /// The same with other hosts.
    pub fn get_from(stream: u32, path: &str, hosts: &[(u8, &str)]) -> Vec<u8> {
        let headers = [&[(PATH, path)], hosts].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(METHOD_GET, &headers))
    }

    /// `POST /graphql` with these headers and that body.
    pub fn post(stream: u32, headers: &[(u8, &str)], body: &str) -> Vec<u8> {
        let own = [(PATH, "/graphql"), (AUTHORITY, "test"), (CONTENT_TYPE, "application/json")];
        let head = block(METHOD_POST, &[&own, headers].concat());
        let head = frame(HEADERS, END_HEADERS, stream, &head);
        [head, frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
    }

    /// Length of a literal, of which the first 7 bits are in the first byte (RFC 7541, section 5.1).
    fn length(length: usize) -> Vec<u8> {
        const FIRST: u8 = 0x7f;
        let Some(mut rest) = length.checked_sub(usize::from(FIRST)) else {
            return vec![length.to_le_bytes()[0]];
        };
        let mut bytes = vec![FIRST];
        while rest >= 0x80 {
            bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        bytes.push(rest.to_le_bytes()[0]);
        bytes
    }

    /// A header block with nothing compressed.
    fn block(method: u8, headers: &[(u8, &str)]) -> Vec<u8> {
        // And `:scheme` http.
        let mut block = vec![method, 0x86];
        for (name, value) in headers {
            // A literal that is not indexed: four bits of the name's index, and the rest in a second byte.
            match name.checked_sub(15) {
                None => block.push(*name),
                Some(rest) => block.extend([15, rest]),
            }
            block.extend(length(value.len()));
            block.extend(value.as_bytes());
        }
        block
    }

    /// Grants a stream, or with 0 the connection, more bytes.
    pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
        frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
    }

    pub fn ping() -> Vec<u8> {
        frame(PING, 0, 0, &[7; 8])
    }

    /// The kind, stream and payload of the next frame.
    pub async fn next(connection: &mut RawConnection) -> (u8, u32, Vec<u8>) {
        let head = connection.read_exact(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = connection.read_exact(usize::try_from(length).expect("short")).await;
        (head[3], stream, payload)
    }
}

#[tokio::test]
async fn http_2_is_spoken_with_prior_knowledge() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    connection.write(http2::PREFACE).await;
    connection.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
    // Two requests at once.
    connection.write(http2::get(1, "/health/live")).await;
    connection.write(http2::get(3, "/health/live")).await;
    let mut streams = Vec::new();
    while streams.len() < 2 {
        match http2::next(&mut connection).await {
            (http2::HEADERS, _, block) => assert_eq!(block[0], http2::STATUS_200),
            (http2::DATA, stream, body) if !body.is_empty() => {
                assert_eq!(body, br#"{"status":"ok"}"#);
                streams.push(stream);
            }
            (http2::SETTINGS, 0, _) => {
                let acknowledgement = http2::frame(http2::SETTINGS, http2::ACKNOWLEDGED, 0, &[]);
                connection.write(acknowledgement).await;
            }
            _ => {}
        }
    }
    streams.sort_unstable();
    assert_eq!(streams, [1, 3]);
}

/// RFC 9113, section 8.3.1.
#[tokio::test]
async fn a_request_of_http_2_names_one_host() {
    use http2::{AUTHORITY, HOST, STATUS_200, STATUS_400};
    let app = start(&[]).await;
    let cases: [(&[(u8, &str)], u8); 8] = [
        (&[(AUTHORITY, "a.example")], STATUS_200),
        (&[(HOST, "a.example")], STATUS_200),
        (&[(AUTHORITY, "a.example"), (HOST, "A.example")], STATUS_200),
        (&[], STATUS_400),
        (&[(AUTHORITY, "a.example"), (HOST, "b.example")], STATUS_400),
        (&[(AUTHORITY, "a.example"), (HOST, "")], STATUS_400),
        (&[(HOST, "a.example"), (HOST, "a.example")], STATUS_400),
        (&[(HOST, "a b")], STATUS_400),
    ];
    for (hosts, status) in cases {
        let mut connection = RawConnection::open(&app).await;
        connection.write(http2::PREFACE).await;
        connection.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
        connection.write(http2::get_from(1, "/health/live", hosts)).await;
        let block = loop {
            if let (http2::HEADERS, 1, block) = http2::next(&mut connection).await {
                break block;
            }
        };
        assert_eq!(block[0], status, "{hosts:?}");
    }
}

/// RFC 9113, section 8.2.3.
#[tokio::test]
async fn http_2_may_send_each_cookie_in_a_header_of_its_own() {
    let app = crate::sessions::start(Engine::Sqlite, &["ada"], &[]).await;
    let session = crate::sessions::log_in(&app, "ada").await;
    let own = format!("refresh_token={}", session.refresh);
    let cookies = [(http2::COOKIE, "city=Zürich"), (http2::COOKIE, &*own), (http2::COOKIE, "a=b")];
    let query = r#"{"query":"mutation { refreshSession(input: {}) { userErrors { code } } }"}"#;
    let mut connection = RawConnection::open(&app).await;
    connection.write(http2::PREFACE).await;
    connection.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
    connection.write(http2::post(1, &cookies, query)).await;
    let body = loop {
        match http2::next(&mut connection).await {
            (http2::DATA, 1, body) if !body.is_empty() => break body,
            (http2::HEADERS, 1, block) => assert_eq!(block[0], http2::STATUS_200),
            _ => {}
        }
    };
    let body = String::from_utf8(body).expect("text");
    assert_eq!(body, r#"{"data":{"refreshSession":{"userErrors":[]}}}"#);
}

#[tokio::test]
async fn a_silent_http_2_connection_is_closed() {
    let app = start_with_one_place("--header-timeout-ms=200").await;
    let mut silent = RawConnection::open(&app).await;
    silent.write(http2::PREFACE).await;
    silent.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
    assert_serves(&app).await;
    silent.read_to_end().await;
}

#[tokio::test]
async fn an_http_2_client_that_does_not_read_its_response_is_cut_off() {
    let flags = ["--max-connections=1", "--idle-timeout-ms=200", "--request-timeout-ms=200"];
    let app = start(&flags).await;
    let mut greedy = RawConnection::open(&app).await;
    greedy.write(http2::PREFACE).await;
    greedy.write(http2::frame(http2::SETTINGS, 0, 0, &http2::NO_WINDOW)).await;
    greedy.write(http2::get(1, "/health/live")).await;
    assert_serves(&app).await;
    greedy.read_to_end().await;
}
