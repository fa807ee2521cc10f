//! HTTP: methods, media types, bodies, headers, and the addresses beside the API.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::app::{
    Content, Engine, RawConnection, TestApp, TestDatabase, TestResponse, on_both_databases,
    raw_post, run_admin_statement, send_request,
};

const RESPONSE: &str = "application/graphql-response+json; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
/// Message about an empty body.
const EMPTY: &str = "the body is empty: send a JSON object with a `query`";
const HTML: &str = "text/html; charset=utf-8";

async fn start(flags: &[&str]) -> TestApp {
    TestApp::start_with(Engine::Sqlite, flags).await
}

/// The whole body of a request that was not executed.
pub fn refusal(message: &str, code: &str, details: &Value) -> Value {
    let mut extensions = json!({ "code": code, "requestId": "ID" });
    for (name, value) in details.as_object().into_iter().flatten() {
        extensions[name] = value.clone();
    }
    json!({ "errors": [{ "message": message, "extensions": extensions }] })
}

/// Error of an argument that no request should have.
pub fn bad(argument: &str, message: &str) -> Value {
    refusal(message, "BAD_USER_INPUT", &json!({ "argument": argument }))
}

fn not_found() -> Value {
    refusal("there is nothing at this address", "NOT_FOUND", &json!({}))
}

/// Posts that text as JSON.
async fn post(app: &TestApp, body: impl Into<reqwest::Body>) -> TestResponse {
    post_as(app, Some("application/json"), body).await
}

async fn post_as(
    app: &TestApp,
    content_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> TestResponse {
    let request = app
        .request(Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .body(body);
    send_request(match content_type {
        Some(content_type) => request.header("content-type", content_type),
        None => request,
    })
    .await
}

/// Gets `/graphql` with these parameters.
async fn get(app: &TestApp, parameters: &[(&str, &str)]) -> TestResponse {
    let query = serde_urlencoded::to_string(parameters).expect("text");
    let request = app.request(Method::GET, &format!("/graphql?{query}"));
    send_request(request.header("accept", "application/graphql-response+json")).await
}

fn typename() -> Value {
    json!({ "data": { "__typename": "Query" } })
}

// Methods

#[tokio::test]
async fn queries_are_executed_over_get_and_post() {
    let app = start(&[]).await;
    for response in
        [app.query("{ __typename }").await, get(&app, &[("query", "{ __typename }")]).await]
    {
        assert_eq!((response.status, response.header("content-type")), (200, RESPONSE));
        assert_eq!(response.body, typename());
    }
}

#[tokio::test]
async fn get_takes_variables_an_operation_name_and_extensions() {
    let app = start(&[]).await;
    let query =
        "query A { __typename } query B($code: String!) { cardByCode(code: $code) { code } }";
    let response = get(
        &app,
        &[
            ("query", query),
            ("operationName", "B"),
            ("variables", r#"{"code":"major_arcana_00"}"#),
            ("extensions", r#"{"some":"value"}"#),
        ],
    )
    .await;
    assert_eq!(response.body, json!({ "data": { "cardByCode": { "code": "major_arcana_00" } } }));
    let empty = [
        ("query", "{ __typename }"),
        ("operationName", ""),
        ("variables", ""),
        ("extensions", "null"),
        ("unknown", "member"),
    ];
    assert_eq!(get(&app, &empty).await.body, typename());
}

#[tokio::test]
async fn members_of_a_query_string_that_cannot_be_read_are_rejected() {
    let app = start(&[]).await;
    let query = ("query", "{ __typename }");
    let cases: [(&[(&str, &str)], Value); 6] = [
        (&[], bad("query", "`query` is missing: there is nothing to execute")),
        (
            &[query, ("variables", "{")],
            bad(
                "variables",
                "`variables` is not JSON: EOF while parsing an object at line 1 column 1",
            ),
        ),
        (&[query, ("variables", "[1]")], bad("variables", "`variables` must be an object")),
        (&[query, ("extensions", "1")], bad("extensions", "`extensions` must be an object")),
        (&[query, query], bad("query", "the query string cannot be read: duplicate field `query`")),
        (
            &[query, ("variables", "{}"), ("variables", "{}")],
            bad("query", "the query string cannot be read: duplicate field `variables`"),
        ),
    ];
    for (parameters, expected) in cases {
        let response = get(&app, parameters).await;
        assert_eq!((response.status, response.body_without_request_id()), (400, expected));
    }
}

#[tokio::test]
async fn only_queries_are_executed_over_get() {
    let app = start(&[]).await;
    for query in [
        "mutation { __typename }",
        "mutation M { __typename }",
        "query Q { __typename } mutation M { __typename }",
    ] {
        let operation = if query.contains("query") { "M" } else { "" };
        for accept in ["application/json", "application/graphql-response+json"] {
            let parameters = [("query", query), ("operationName", operation)];
            let path = serde_urlencoded::to_string(parameters).expect("text");
            let request = app.request(Method::GET, &format!("/graphql?{path}"));
            let response = send_request(request.header("accept", accept)).await;
            assert_eq!((response.status, response.header("allow")), (405, "POST"), "{query}");
            assert_eq!(
                response.body_without_request_id(),
                bad("method", "only queries are executed over GET")
            );
        }
    }
}

#[tokio::test]
async fn other_methods_are_rejected() {
    let app = start(&[]).await;
    for method in [Method::PUT, Method::PATCH, Method::DELETE] {
        let request = app.request(method.clone(), "/graphql").body(r#"{"query":"{__typename}"}"#);
        let response = send_request(request.header("content-type", "application/json")).await;
        assert_eq!((response.status, response.header("allow")), (405, "GET, HEAD, POST"));
        assert_eq!(
            response.body_without_request_id(),
            bad("method", "the method must be GET, HEAD or POST"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn pages_and_probes_reject_other_methods() {
    let app = start(&[]).await;
    let paths = [
        "/",
        "/graphiql/assets/nothing.js",
        "/health",
        "/health/live",
        "/health/ready",
        "/s/token",
        "/export/readings.json",
        "/export/readings.csv",
    ];
    for path in paths {
        for method in [Method::POST, Method::DELETE, Method::from_bytes(b"GETT").expect("a token")]
        {
            let response = send_request(app.request(method.clone(), path)).await;
            assert_eq!((response.status, response.header("allow")), (405, "GET, HEAD"));
            assert_eq!(response.header("content-type"), JSON, "{method} {path}");
            assert_eq!(
                response.body_without_request_id(),
                bad("method", "the method must be GET or HEAD"),
                "{method} {path}"
            );
        }
    }
}

/// RFC 9110, section 9.3.2.
#[tokio::test]
async fn head_has_the_status_and_headers_of_get_and_no_body() {
    let app = start(&["--response-cache-bytes=4000000"]).await;
    app.app.services.clock.stop();
    let cards = "%7Bcards%28first%3A50%29%7Bnodes%7Bcode+uprightMeaning%7D%7D%7D";
    let cards = format!("/graphql?query={cards}");
    let of_response = |response: &reqwest::Response| {
        let mut headers = response.headers().clone();
        for name in ["date", "x-request-id", "server-timing"] {
            assert!(headers.remove(name).is_some(), "{name}");
        }
        // A property of the message, not of the resource.
        headers.remove("transfer-encoding");
        (response.status(), headers)
    };
    let json = ("accept", "application/graphql-response+json");
    for (path, status, header) in [
        ("/graphql?query=%7B__typename%7D", 200, json),
        (cards.as_str(), 200, json),
        (cards.as_str(), 200, ("accept-encoding", "gzip")),
        (cards.as_str(), 200, ("accept-encoding", "gzip;q=1")),
        ("/graphql", 400, json),
        ("/graphql?query=%7B", 400, json),
        ("/graphql?query=mutation%7B__typename%7D", 405, json),
        ("/graphql?query=%7B__typename%7D", 401, ("authorization", "Bearer x")),
        ("/graphql?query=%7B__typename%7D", 406, ("accept", "text/plain")),
        ("/graphql", 200, ("accept", "text/html")),
        ("/", 200, json),
        ("/nothing", 404, json),
    ] {
        // Twice, so that both meet the same cached response.
        for _ in 0..2 {
            let send = |method| app.request(method, path).header(header.0, header.1).send();
            let get = send(Method::GET).await.expect("a response");
            let head = send(Method::HEAD).await.expect("a response");
            assert_eq!(get.status(), status, "{path}");
            assert_eq!(of_response(&head), of_response(&get), "{path} {header:?}");
            assert!(!get.bytes().await.expect("a body").is_empty(), "{path}");
            assert!(head.bytes().await.expect("no body").is_empty(), "{path}");
        }
    }
    // Section 13.1.2: conditions apply to HEAD as well.
    let tag = send_request(app.request(Method::HEAD, &cards)).await.header("etag").to_owned();
    let condition = app.request(Method::HEAD, &cards).header("if-none-match", &tag);
    assert_eq!(send_request(condition).await.status, 304);
}

/// After a HEAD the connection goes on with the next response.
#[tokio::test]
async fn the_response_to_a_head_is_its_headers_alone() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    for path in ["/graphql?query=%7B__typename%7D", "/graphql", "/health/live"] {
        connection.write(format!("HEAD {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        let response = connection.read_head().await;
        assert_ne!(response.header("content-length"), "", "{path}");
    }
    connection.write(raw_post("", r#"{"query":"{ __typename }"}"#)).await;
    assert_eq!(connection.read_response().await.json(), typename());
}

/// Without a redirect, which no preflight follows.
#[tokio::test]
async fn the_path_of_the_api_may_end_with_a_slash() {
    let app = start(&[]).await;
    let body = r#"{"query":"{ __typename }"}"#;
    let request = app.request(Method::POST, "/graphql/").header("content-type", "application/json");
    assert_eq!(send_request(request.body(body)).await.body, typename());
    let get = app.request(Method::GET, "/graphql/?query=%7B__typename%7D");
    assert_eq!(send_request(get).await.body, typename());
    let page = app.request(Method::GET, "/graphql/").header("accept", "text/html");
    assert_eq!(send_request(page).await.header("content-type"), HTML);
}

// Host

/// RFC 9112, section 3.2: one valid host in each request of HTTP/1.1, one at most in older ones.
#[tokio::test]
async fn a_request_of_http_1_names_one_host() {
    let app = start(&[]).await;
    let query = "?query=%7B__typename%7D";
    let cases: &[(&str, &str, &[&str], bool)] = &[
        ("/graphql", "1.1", &["a.example"], true),
        ("/graphql", "1.1", &["a.example:8000"], true),
        ("/graphql", "1.1", &["a.example:"], true),
        ("/graphql", "1.1", &["127.0.0.1"], true),
        ("/graphql", "1.1", &["[::1]:8000"], true),
        ("/graphql", "1.1", &["A.EXAMPLE."], true),
        // Empty if the target has no host.
        ("/graphql", "1.1", &[""], true),
        ("/graphql", "1.0", &[], true),
        ("/graphql", "1.0", &["a.example"], true),
        // The host of the target takes precedence, but the header is required.
        ("http://b.example/graphql", "1.1", &["a.example"], true),
        ("http://b.example/graphql", "1.1", &[], false),
        ("/graphql", "1.1", &[], false),
        ("/graphql", "1.1", &["a.example", "a.example"], false),
        ("/graphql", "1.1", &["a.example", "b.example"], false),
        ("/graphql", "1.1", &["a.example", ""], false),
        ("/graphql", "1.0", &["a.example", "b.example"], false),
        ("/graphql", "1.1", &["a.example, b.example"], false),
        ("/graphql", "1.1", &["a b"], false),
        ("/graphql", "1.1", &["a.example/path"], false),
        ("/graphql", "1.1", &["user@a.example"], false),
        ("/graphql", "1.1", &["[::1"], false),
        ("/graphql", "1.1", &["a.example:port"], false),
        ("/graphql", "1.1", &["a.example:65536"], false),
        ("/graphql", "1.1", &["a.example:80:80"], false),
        ("/graphql", "1.1", &["::1"], false),
        ("/health/live", "1.1", &[], false),
        ("/nothing", "1.1", &[], false),
    ];
    for (target, version, hosts, is_good) in cases {
        let lines: Vec<_> = hosts.iter().map(|host| format!("host: {host}\r\n")).collect();
        let lines = lines.concat();
        let mut connection = RawConnection::open(&app).await;
        let head = format!("GET {target}{query} HTTP/{version}\r\n{lines}x-request-id: ID\r\n\r\n");
        connection.write(head).await;
        let response = connection.read_response().await;
        let expected = if *is_good {
            (200, typename())
        } else {
            (400, bad("host", "the request must have one valid `host` header"))
        };
        assert_eq!((response.status, response.json()), expected, "{target} {version} {hosts:?}");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn head_returns_the_pages_without_a_body() {
    let app = start(&[]).await;
    for path in ["/", "/health/live", "/health/ready"] {
        let head = app.request(Method::HEAD, path).send().await.expect("a response");
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(head.bytes().await.expect("no body").len(), 0, "{path}");
    }
}

// Accept

#[tokio::test]
async fn the_response_has_the_media_type_that_the_client_prefers() {
    let app = start(&[]).await;
    let cases = [
        ("application/graphql-response+json", RESPONSE),
        ("application/json", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/html, */*;q=0.1", JSON),
        ("application/graphql-response+json, application/json", RESPONSE),
        ("application/json, application/graphql-response+json", RESPONSE),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE),
        ("application/graphql-response+json;q=0.5, application/json", JSON),
        ("application/graphql-response+json;q=0.5, application/json;q=0.4", RESPONSE),
        ("application/graphql-response+json;q=0, */*", JSON),
        ("application/json;q=0, application/graphql-response+json;q=0.001", RESPONSE),
        ("application/xml, application/json;q=0.2", JSON),
        ("application/graphql-response+json, */*;q=0.1", RESPONSE),
        // An empty list says nothing (RFC 9110, section 12.5.1).
        ("", JSON),
        (" , ", JSON),
        // An element that is no text does not affect the others.
        ("text/\u{fc}, application/graphql-response+json", RESPONSE),
        // An invalid weight counts as none.
        ("application/json;q=abc, application/graphql-response+json;q=0.5", JSON),
        ("application/json;q=NaN, application/graphql-response+json;q=0.5", JSON),
        ("application/json;q=inf, application/graphql-response+json;q=0.5", JSON),
        ("application/json;q=-1, application/graphql-response+json;q=0.5", JSON),
        ("application/json;q=1.001, application/graphql-response+json;q=0.5", JSON),
        ("application/json;q=0e0, application/graphql-response+json;q=0.5", JSON),
        ("application/json;q=, application/graphql-response+json;q=0.5", JSON),
    ];
    for (accept, expected) in cases {
        let request = app.request(Method::POST, "/graphql").header("accept", accept);
        let request = request.header("content-type", "application/json");
        let response = send_request(request.body(r#"{"query":"{ __typename }"}"#)).await;
        assert_eq!((response.status, response.header("content-type")), (200, expected), "{accept}");
        assert_eq!(response.body, typename());
        assert!(response.header("vary").contains("accept"), "{}", response.header("vary"));
    }
}

#[tokio::test]
async fn several_accept_headers_are_one() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    let two = "accept: application/json;q=0.1\r\naccept: application/graphql-response+json\r\n";
    connection.write(raw_post(two, r#"{"query":"{ __typename }"}"#)).await;
    assert_eq!(connection.read_response().await.header("content-type"), RESPONSE);
}

#[tokio::test]
async fn without_an_accept_header_the_response_is_json() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    // An invalid document: such clients expect 200.
    connection.write(raw_post("", r#"{"query":"{ nope }"}"#)).await;
    let response = connection.read_response().await;
    assert_eq!((response.status, response.header("content-type")), (200, JSON));
}

#[tokio::test]
async fn a_client_that_accepts_nothing_that_we_have_is_rejected() {
    let app = start(&[]).await;
    for accept in ["text/plain", "text/html", "application/xml, image/*", "*/*;q=0", "nonsense"] {
        let request = app.request(Method::POST, "/graphql").header("accept", accept);
        let request = request.header("content-type", "application/json");
        let response = send_request(request.body(r#"{"query":"{ __typename }"}"#)).await;
        assert_eq!((response.status, response.header("content-type")), (406, JSON), "{accept}");
        assert_eq!(
            response.body_without_request_id(),
            bad("accept", "responses are application/graphql-response+json or application/json")
        );
    }
}

#[tokio::test]
async fn a_document_at_fault_is_400_for_new_clients_and_200_for_old_ones() {
    let app = start(&[]).await;
    for query in ["{", "{ nope }", "query ($id: ID!) { card(id: $id) { id } }"] {
        for (accept, status) in
            [("application/graphql-response+json", 400), ("application/json", 200), ("*/*", 200)]
        {
            let request = app.request(Method::POST, "/graphql").header("accept", accept);
            let request = request.header("content-type", "application/json");
            let response = send_request(request.body(json!({ "query": query }).to_string())).await;
            assert_eq!(response.status, status, "{query} {accept}");
            assert_eq!(response.body.get("data"), None, "{}", response.body);
            assert_eq!(
                response.body["errors"].as_array().map(Vec::len),
                Some(1),
                "{}",
                response.body
            );
        }
    }
}

// Content-Type

#[tokio::test]
async fn json_in_utf_8_is_executed_however_it_is_spelled() {
    let app = start(&[]).await;
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON; charset=\"utf-8\"",
        "application/json; profile=x",
    ] {
        let response = post_as(&app, Some(content_type), r#"{"query":"{ __typename }"}"#).await;
        assert_eq!((response.status, response.body), (200, typename()), "{content_type}");
    }
}

#[tokio::test]
async fn bodies_that_any_page_can_make_a_browser_send_are_never_executed() {
    let app = start(&[]).await;
    for content_type in [
        None,
        Some(""),
        Some("text/plain"),
        Some("text/plain; application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/graphql"),
        Some("application/jsonp"),
        Some("application/json; charset=utf-16"),
        Some("application/json; charset=latin1"),
    ] {
        let response = post_as(&app, content_type, r#"{"query":"{ __typename }"}"#).await;
        assert_eq!(response.status, 415, "{content_type:?}");
        assert_eq!(
            response.body_without_request_id(),
            bad("content-type", "the body must be application/json in UTF-8")
        );
    }
}

#[tokio::test]
async fn a_body_has_one_content_type() {
    let app = start(&[]).await;
    for second in ["application/json", "text/plain"] {
        let request = app.request(Method::POST, "/graphql").header("accept", "application/json");
        let request =
            request.header("content-type", "application/json").header("content-type", second);
        let response = send_request(request.body(r#"{"query":"{ __typename }"}"#)).await;
        let expected = bad("content-type", "there may be one `content-type` header");
        assert_eq!((response.status, response.body_without_request_id()), (400, expected));
    }
}

/// RFC 9112, section 6.1: hyper decodes `chunked`, and would pass the rest on as the content.
#[tokio::test]
async fn a_transfer_coding_other_than_one_chunked_is_rejected() {
    let app = start(&[]).await;
    let send = async |lines: &[&str]| {
        let body = r#"{"query":"{ __typename }"}"#;
        let lines = lines.iter().map(|codings| format!("transfer-encoding: {codings}\r\n"));
        let mut connection = RawConnection::open(&app).await;
        let head = "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
        let lines = lines.collect::<String>();
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        connection.write(format!("{head}x-request-id: ID\r\n{lines}\r\n{chunks}")).await;
        (connection.read_response().await, connection)
    };
    for lines in [&["chunked"][..], &["Chunked"], &[", chunked"], &["", "chunked"]] {
        let (response, _) = send(lines).await;
        assert_eq!((response.status, response.json()), (200, typename()), "{lines:?}");
    }
    let unsupported =
        bad("transfer-encoding", "the only transfer coding of this server is `chunked`");
    let repeated = bad("transfer-encoding", "`transfer-encoding` may name `chunked` once");
    for (lines, status, expected) in [
        (&["gzip, chunked"][..], 501, &unsupported),
        (&["gzip", "chunked"], 501, &unsupported),
        (&["identity, chunked"], 501, &unsupported),
        (&["chunked, gzip, chunked"], 501, &unsupported),
        (&["x;y=z, chunked"], 501, &unsupported),
        (&["chunked, chunked"], 400, &repeated),
        (&["chunked", "Chunked"], 400, &repeated),
    ] {
        let (response, mut connection) = send(lines).await;
        assert_eq!((response.status, &response.json()), (status, expected), "{lines:?}");
        assert_eq!(response.header("connection"), "close");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(connection.read_to_end().await, b"");
    }
}

/// RFC 9110, section 15.5.16, with the header of section 12.5.3 that names the supported encoding.
#[tokio::test]
async fn a_compressed_body_is_rejected_as_such() {
    let app = start(&[]).await;
    let body = r#"{"query":"{ __typename }"}"#;
    let send = |encodings: &[&str], body: &'static [u8]| {
        let request =
            app.request(Method::POST, "/graphql").header("content-type", "application/json");
        let request = request.header("accept", "application/graphql-response+json").body(body);
        send_request(
            encodings
                .iter()
                .fold(request, |request, encoding| request.header("content-encoding", *encoding)),
        )
    };
    // `gzip -c` of an empty input; the content is never read.
    let compressed = b"\x1F\x8B\x08\0\0\0\0\0\x02\xFF\x03\0\0\0\0\0\0\0\0\0";
    for encodings in [
        &["gzip"][..],
        &["br"],
        &["zstd"],
        &["deflate"],
        &["x"],
        &["GZIP, identity"],
        &["identity", "gzip"],
    ] {
        for body in [&compressed[..], body.as_bytes()] {
            let response = send(encodings, body).await;
            assert_eq!(response.status, 415, "{encodings:?}");
            assert_eq!(response.header("accept-encoding"), "identity");
            assert_eq!(
                response.body_without_request_id(),
                bad(
                    "content-encoding",
                    "the body must not be compressed; send it without `content-encoding`"
                )
            );
        }
    }
    // Section 8.4: nothing is applied to the body.
    for encodings in [&[][..], &["identity"], &["Identity, identity"], &[""]] {
        let response = send(encodings, body.as_bytes()).await;
        assert_eq!((response.status, response.body), (200, typename()), "{encodings:?}");
    }
}

// Bodies

/// RFC 8259, section 8.1.
#[tokio::test]
async fn a_byte_order_mark_before_the_json_is_ignored() {
    let app = start(&[]).await;
    let response = post(&app, "\u{FEFF}{\"query\":\"{ __typename }\"}").await;
    assert_eq!((response.status, response.body), (200, typename()));
    let not_json = |why: &str| bad("body", &format!("the body is not JSON: {why}"));
    for (body, expected) in [
        ("\u{FEFF}", bad("body", EMPTY)),
        ("\u{FEFF}\u{FEFF}{}", not_json("expected value at line 1 column 1")),
        (" \u{FEFF}{}", not_json("expected value at line 1 column 2")),
        ("{}\u{FEFF}", not_json("trailing characters at line 1 column 3")),
    ] {
        let response = post(&app, body).await;
        assert_eq!((response.status, response.body_without_request_id()), (400, expected));
    }
}

#[tokio::test]
async fn bodies_that_are_no_request_are_rejected() {
    let app = start(&[]).await;
    let not_json = |why: &str| bad("body", &format!("the body is not JSON: {why}"));
    let cases: [(&[u8], Value); 14] = [
        (b"", bad("body", EMPTY)),
        (b"{ \"not a JSON", not_json("EOF while parsing a string at line 1 column 13")),
        (b"{\"query\":\"{ __typename }\"} {}", not_json("trailing characters at line 1 column 28")),
        (b"{\"query\":\"\xFF\"}", not_json("invalid unicode code point at line 1 column 11")),
        (b"\"{ __typename }\"", bad("body", "the body must be a JSON object")),
        (b"null", bad("body", "the body must be a JSON object")),
        (b"1", bad("body", "the body must be a JSON object")),
        (b"[]", bad("body", "batches of requests are off; send one request")),
        (
            b"[{\"query\":\"{ __typename }\"},{\"query\":\"{ __typename }\"}]",
            bad("body", "batches of requests are off; send one request"),
        ),
        (b"{}", bad("query", "`query` is missing: there is nothing to execute")),
        (b"{\"query\":null}", bad("query", "`query` is missing: there is nothing to execute")),
        (b"{\"qeury\":\"{ a }\"}", bad("query", "`query` is missing: there is nothing to execute")),
        (b"{\"Query\":\"{ a }\"}", bad("query", "`query` is missing: there is nothing to execute")),
        (b"query={__typename}", not_json("expected value at line 1 column 1")),
    ];
    for (body, expected) in cases {
        let response = post(&app, body).await;
        assert_eq!(
            (response.status, response.body_without_request_id()),
            (400, expected),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

/// A member of this name is JSON in a string to `serde_json::Value`.
#[tokio::test]
async fn json_in_a_string_stays_a_string() {
    const NAME: &str = "$serde_json::private::RawValue";
    let app = start(&[]).await;
    let body = json!({ NAME: "{\"query\":\"{ __typename }\"}" }).to_string();
    let response = post(&app, body).await;
    let missing = bad("query", "`query` is missing: there is nothing to execute");
    assert_eq!((response.status, response.body_without_request_id()), (400, missing));

    let query = "query($code: String!) { cardByCode(code: $code) { name } }";
    let variables = json!({ "code": { NAME: "\"major_arcana_04\"" } });
    let body = json!({ "query": query, "variables": variables }).to_string();
    let variables = variables.to_string();
    for response in [
        post(&app, body).await,
        get(&app, &[("query", query), ("variables", variables.as_str())]).await,
    ] {
        let expected = bad("variables", "`$code` must be a string");
        assert_eq!((response.status, response.body_without_request_id()), (400, expected));
    }

    // As nested JSON this would overflow the stack: each text is within the limits, and has the next one in it.
    let mut text = String::new();
    for _ in 0..15 {
        text = json!({ NAME: format!("{}{text}{}", "[".repeat(120), "]".repeat(120)) }).to_string();
    }
    let body = format!("{{\"query\":\"{{ __typename }}\",\"variables\":{{\"a\":{text}}}}}");
    let response = post(&app, body).await;
    assert_eq!((response.status, response.body), (200, typename()));
}

#[tokio::test]
async fn members_of_the_wrong_type_are_rejected_whatever_is_accepted() {
    let app = start(&[]).await;
    let wrong = [json!({ "a": "b" }), json!(0), json!(false), json!(["a"]), json!("a")];
    for (name, kind) in [
        ("query", "a string"),
        ("operationName", "a string"),
        ("variables", "an object"),
        ("extensions", "an object"),
    ] {
        for value in &wrong {
            let is_right = if kind == "a string" { value.is_string() } else { value.is_object() };
            if is_right {
                continue;
            }
            let mut body = json!({ "query": "{ __typename }" });
            body[name] = value.clone();
            for accept in ["application/json", "application/graphql-response+json"] {
                let request = app.request(Method::POST, "/graphql").header("accept", accept);
                let request = request.header("content-type", "application/json");
                let response = send_request(request.body(body.to_string())).await;
                assert_eq!(response.status, 400, "{body}");
                let expected = bad(name, &format!("`{name}` must be {kind}"));
                assert_eq!(response.body_without_request_id(), expected);
            }
        }
    }
}

#[tokio::test]
async fn members_that_are_null_or_unknown_count_as_absent() {
    let app = start(&[]).await;
    for body in [
        r#"{"query":"{ __typename }","operationName":null,"variables":null,"extensions":null}"#,
        r#"{"query":"{ __typename }","variables":{},"extensions":{"some":"value"},"more":[1]}"#,
    ] {
        assert_eq!(post(&app, body).await.body, typename());
    }
}

#[tokio::test]
async fn of_members_given_twice_in_a_body_the_last_counts() {
    let app = start(&[]).await;
    let body = r#"{"query":"{ nope }","query":"{ __typename }","variables":1,"variables":{}}"#;
    assert_eq!(post(&app, body).await.body, typename());
}

#[tokio::test]
async fn an_empty_operation_name_counts_as_absent() {
    let app = start(&[]).await;
    let several = "query A { __typename } query B { __typename }";
    for query in ["{ __typename }", several] {
        let body = json!({ "query": query, "operationName": "" }).to_string();
        for response in
            [post(&app, body).await, get(&app, &[("query", query), ("operationName", "")]).await]
        {
            if query == several {
                let message = "several operations: operationName must be one of A, B";
                let expected = bad("operationName", message);
                assert_eq!(response.body_without_request_id(), expected);
            } else {
                assert_eq!(response.body, typename());
            }
        }
    }
}

#[tokio::test]
async fn a_query_string_is_utf_8() {
    let app = start(&[]).await;
    let fetch = async |query: &str| {
        let request = app.request(Method::GET, &format!("/graphql?{query}"));
        send_request(request.header("accept", "application/json")).await
    };
    for query in [
        "query=%ff",
        "query=%7B__typename%7D&variables=%7B%22x%22:%22%FF%22%7D",
        "query=%7B__typename%7D&%C3=1",
        "query=%7B__typename%7D%23%C3&x=%BC",
    ] {
        let response = fetch(query).await;
        let expected = bad("query", "the query string must be UTF-8");
        assert_eq!((response.status, response.body_without_request_id()), (400, expected));
    }
    // The character that stands for such bytes elsewhere, and a percent sign alone.
    for query in ["query=%7B__typename%7D%23%EF%BF%BD", "query=%7B__typename%7D%23%&x=%f"] {
        assert_eq!(fetch(query).await.body, typename(), "{query}");
    }
}

fn body_of(length: usize) -> String {
    let request = r#"{"query":"{ __typename }"}"#;
    format!("{request}{}", " ".repeat(length - request.len()))
}

/// Sent piece by piece, so that no header says how long it is.
fn chunked(body: String) -> reqwest::Body {
    let stream = futures_util::stream::iter(
        body.into_bytes()
            .chunks(1_000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect::<Vec<_>>(),
    );
    reqwest::Body::wrap_stream(stream)
}

fn body_too_large(maximum: usize) -> Value {
    refusal(
        &format!("the body is larger than {maximum} bytes"),
        "QUERY_TOO_LARGE",
        &json!({ "what": "body", "maximum": maximum }),
    )
}

#[tokio::test]
async fn a_body_of_the_maximum_is_read_and_one_byte_more_is_rejected() {
    for (flags, maximum) in [(&[][..], 262_144), (&["--max-body-bytes=1000"][..], 1_000)] {
        let app = start(flags).await;
        for response in
            [post(&app, body_of(maximum)).await, post(&app, chunked(body_of(maximum))).await]
        {
            assert_eq!((response.status, response.body), (200, typename()));
        }
        for response in [
            post(&app, body_of(maximum + 1)).await,
            post(&app, chunked(body_of(maximum + 1))).await,
        ] {
            let body = response.body_without_request_id();
            assert_eq!((response.status, body), (413, body_too_large(maximum)));
            // RFC 9110, section 15.5.14: the client would send the rest.
            assert_eq!(response.header("connection"), "close");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_said_to_be_too_large_is_rejected_before_it_is_sent() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    connection
        .write(
            "POST /graphql HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             content-length: 99999999999\r\nx-request-id: ID\r\n\r\n",
        )
        .await;
    let response = connection.read_response().await;
    assert_eq!((response.status, response.json()), (413, body_too_large(262_144)));
    assert_eq!(response.header("connection"), "close");
    assert_eq!(connection.read_to_end().await, b"");
}

#[tokio::test]
async fn a_query_string_of_the_maximum_is_read_and_one_byte_more_is_rejected() {
    let app = start(&["--max-body-bytes=1000"]).await;
    let path = |length: usize| {
        let start = "query=%7B__typename%7D&x=";
        format!("/graphql?{start}{}", "x".repeat(length - start.len()))
    };
    let fetch = |length| {
        let request = app.request(Method::GET, &path(length));
        send_request(request.header("accept", "application/json"))
    };
    assert_eq!(fetch(1_000).await.body, typename());
    let response = fetch(1_001).await;
    let expected = refusal(
        "the query string is larger than 1000 bytes",
        "QUERY_TOO_LARGE",
        &json!({ "what": "query string", "maximum": 1_000 }),
    );
    assert_eq!((response.status, response.body_without_request_id()), (414, expected));
}

#[tokio::test]
async fn a_response_of_the_maximum_is_sent_and_one_byte_more_is_null() {
    let query = "{ cards(first: 100) { nodes { name uprightMeaning reversedMeaning } } }";
    let whole = start(&[]).await.query(query).await;
    let length = serde_json::to_vec(&whole.body).expect("JSON").len();
    assert!(length > 10_000, "{length}");

    let app = start(&[&format!("--max-response-bytes={length}")]).await;
    let response = app.query(query).await;
    assert_eq!((response.status, response.body), (200, whole.body));

    let maximum = length - 1;
    let flag = format!("--max-response-bytes={maximum}");
    for flags in [&[&*flag][..], &[&flag, "--response-cache-bytes=4000000"]] {
        let app = start(flags).await;
        // The second and third time the request memo and the response cache have had their chance.
        for _ in 0..3 {
            let response = app.query(query).await;
            assert_eq!((response.status, response.header("content-type")), (200, RESPONSE));
            assert_eq!(response.body_without_request_id(), response_too_large(maximum));
            assert_eq!(response.header("cache-control"), "private, no-store");
            let request = app.request(Method::POST, "/graphql");
            let request = request.header("content-type", "application/json");
            let response = send_request(request.body(json!({ "query": query }).to_string())).await;
            assert_eq!((response.status, response.header("content-type")), (200, JSON));
            assert_eq!(response.body_without_request_id(), response_too_large(maximum));
        }
    }
}

/// The whole body in place of a response that is too large: it has `data`, because the operation was executed.
pub fn response_too_large(maximum: usize) -> Value {
    let mut body = refusal(
        &format!("the response is larger than {maximum} bytes; select less at a time"),
        "QUERY_TOO_LARGE",
        &json!({ "what": "response", "maximum": maximum }),
    );
    body["data"] = Value::Null;
    body
}

#[tokio::test]
async fn a_header_of_any_size_is_rejected_and_the_server_stays_well() {
    let app = start(&[]).await;
    for request in [
        format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "x".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(1_000_000)),
        format!("GET / HTTP/1.1\r\nhost: test\r\n{}\r\n", "x: y\r\n".repeat(1_000)),
    ] {
        let mut connection = RawConnection::open(&app).await;
        // It may close the connection before it has read everything.
        connection.try_write(&request).await;
        let response = connection.read_to_end().await;
        let is_refused = response.starts_with(b"HTTP/1.1 4") || response.is_empty();
        assert!(is_refused, "{}", String::from_utf8_lossy(&response));
    }
    assert_eq!(app.data("{ __typename }").await, typename()["data"]);
}

// Compression

#[tokio::test]
async fn responses_are_compressed_as_the_client_accepts_and_stay_the_same() {
    let app = start(&[]).await;
    let body = json!({ "query": "{ cards(first: 50) { nodes { code name(locale: ZH_HANT) uprightMeaning } } }" });
    let client = || reqwest::Client::builder().no_proxy();
    let plain = client().gzip(false).brotli(false).zstd(false).build().expect("a client");
    let reading = [
        ("gzip", client().gzip(true).brotli(false).zstd(false)),
        ("br", client().gzip(false).brotli(true).zstd(false)),
        ("zstd", client().gzip(false).brotli(false).zstd(true)),
    ];
    let url = format!("{}/graphql", app.url);
    let fetch = |client: &reqwest::Client| {
        client.post(&url).header("content-type", "application/json").body(body.to_string())
    };
    let expected = fetch(&plain).send().await.expect("a response");
    assert_eq!(expected.headers().get("content-encoding"), None);
    let expected = expected.bytes().await.expect("a body");
    assert_eq!(json_of(&expected)["data"]["cards"]["nodes"].as_array().map(Vec::len), Some(50));
    for (encoding, reading) in reading {
        let sent =
            fetch(&plain).header("accept-encoding", encoding).send().await.expect("a response");
        assert_eq!(sent.headers()["content-encoding"], encoding);
        assert_eq!(sent.headers()["vary"], "accept, authorization, accept-encoding");
        let compressed = sent.bytes().await.expect("a body");
        assert!(compressed.len() * 2 < expected.len(), "{encoding}: {}", compressed.len());
        let reading = reading.build().expect("a client");
        let read = fetch(&reading).send().await.expect("a response").bytes().await.expect("a body");
        assert_eq!(read, expected, "{encoding}");
    }
    let unknown =
        fetch(&plain).header("accept-encoding", "compress").send().await.expect("a response");
    assert_eq!(unknown.headers().get("content-encoding"), None);
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

// Other origins

async fn preflight(app: &TestApp, origin: &str) -> TestResponse {
    preflight_of(app, "/graphql", origin, "authorization,content-type").await
}

/// Sends a preflight request for these headers from a page of that origin.
async fn preflight_of(app: &TestApp, path: &str, origin: &str, headers: &str) -> TestResponse {
    let request = app
        .request(Method::OPTIONS, path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", headers);
    send_request(request).await
}

async fn query_from(app: &TestApp, origin: &str) -> TestResponse {
    let request = app
        .request(Method::POST, "/graphql")
        .header("origin", origin)
        .header("content-type", "application/json")
        .body(r#"{"query":"{ __typename }"}"#);
    send_request(request).await
}

const EXPOSED: &str = "content-disposition,etag,ratelimit,retry-after,server-timing,\
     x-consistency-token,x-request-id";

#[tokio::test]
async fn pages_of_the_named_origins_may_call_the_server_and_no_others() {
    let origins = ["https://app.example", "http://localhost:3000"];
    let app = start(&["--cors-origins=https://app.example/,http://localhost:3000"]).await;
    for origin in origins {
        let response = preflight(&app, origin).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("access-control-allow-origin"), origin);
        assert_eq!(response.header("access-control-allow-methods"), "GET,POST");
        assert_eq!(response.header("access-control-allow-headers"), "authorization,content-type");
        assert_eq!(response.header("access-control-max-age"), "7200");
        // The cookie of a session is for these.
        assert_eq!(response.header("access-control-allow-credentials"), "true");
        let response = query_from(&app, origin).await;
        assert_eq!(response.body, typename());
        assert_eq!(response.header("access-control-allow-origin"), origin);
        assert_eq!(response.header("access-control-expose-headers"), EXPOSED);
        let vary: Vec<_> = response.headers.get_all("vary").iter().collect();
        let vary = format!("{vary:?}");
        assert!(vary.contains("origin"), "{vary}");
    }
    for origin in
        ["https://other.example", "https://app.example.evil", "http://app.example", "null"]
    {
        for response in [preflight(&app, origin).await, query_from(&app, origin).await] {
            assert_eq!(response.headers.get("access-control-allow-origin"), None, "{origin}");
        }
    }
}

/// Request headers of Apollo's client awareness and CSRF prevention, OpenTelemetry, Sentry and older libraries
/// (Fetch standard, section "CORS-preflight fetch").
#[tokio::test]
async fn pages_of_the_named_origins_may_send_the_headers_of_their_tools() {
    let app = start(&["--cors-origins=https://app.example"]).await;
    let tools = "apollo-require-preflight,apollographql-client-name,apollographql-client-version,\
         authorization,baggage,content-type,sentry-trace,traceparent,tracestate,x-requested-with";
    for path in ["/graphql", "/graphql/", "/export/readings.json"] {
        let response = preflight_of(&app, path, "https://app.example", tools).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("access-control-allow-origin"), "https://app.example");
        assert_eq!(response.header("access-control-allow-headers"), tools);
        assert_eq!(response.header("vary"), "origin");
        let response = preflight_of(&app, path, "https://other.example", tools).await;
        assert_eq!(response.headers.get("access-control-allow-origin"), None);
    }
    // And the request itself is executed.
    let request = app
        .request(Method::POST, "/graphql")
        .header("origin", "https://app.example")
        .header("content-type", "application/json")
        .body(r#"{"query":"{ __typename }"}"#);
    let tools = tools.split(',').filter(|name| !["authorization", "content-type"].contains(name));
    let request = tools.fold(request, |request, name| request.header(name, "some"));
    assert_eq!(send_request(request).await.body, typename());
}

#[tokio::test]
async fn a_wildcard_in_an_origin_is_one_label() {
    let app = start(&["--cors-origins=https://*.app.example,http://*.localhost:5173"]).await;
    for origin in
        ["https://a.app.example", "https://preview-7.app.example", "http://x.localhost:5173"]
    {
        for response in [preflight(&app, origin).await, query_from(&app, origin).await] {
            assert_eq!(response.header("access-control-allow-origin"), origin);
            assert_eq!(response.header("access-control-allow-credentials"), "true");
        }
    }
    for origin in [
        "https://app.example",
        "https://.app.example",
        "https://a.b.app.example",
        "https://a.app.example:8443",
        "https://aapp.example",
        "https://a.app.example.evil",
        "https://evil.example/.app.example",
        "https://evil.example:1.app.example",
        "https://user@a.app.example",
        "http://a.app.example",
        "http://a.localhost",
        "http://localhost:5173",
        "https://*.app.example",
        "null",
    ] {
        for response in [preflight(&app, origin).await, query_from(&app, origin).await] {
            assert_eq!(response.headers.get("access-control-allow-origin"), None, "{origin}");
        }
    }
}

#[tokio::test]
async fn no_page_of_another_origin_may_call_the_server_by_default() {
    let app = start(&[]).await;
    for response in [
        preflight(&app, "https://app.example").await,
        query_from(&app, "https://app.example").await,
    ] {
        assert_eq!(response.headers.get("access-control-allow-origin"), None);
        assert_eq!(response.headers.get("access-control-expose-headers"), None);
    }
}

#[tokio::test]
async fn a_star_allows_every_origin_without_credentials() {
    let app = start(&["--cors-origins=*"]).await;
    for response in [
        preflight(&app, "https://any.example").await,
        query_from(&app, "https://any.example").await,
    ] {
        assert_eq!(response.header("access-control-allow-origin"), "*");
        assert_eq!(response.headers.get("access-control-allow-credentials"), None);
    }
    let response = query_from(&app, "https://any.example").await;
    assert_eq!(response.header("access-control-expose-headers"), EXPOSED);
}

#[tokio::test]
async fn rejections_can_be_read_across_origins_too() {
    let app = start(&["--cors-origins=https://app.example"]).await;
    let origin = "https://app.example";
    for request in [
        app.request(Method::POST, "/graphql"),
        app.request(Method::PUT, "/graphql"),
        app.request(Method::GET, "/nothing"),
        app.request(Method::POST, "/graphql").bearer_auth("wrong"),
    ] {
        let response = send_request(request.header("origin", origin)).await;
        assert!(response.status >= 400);
        assert_eq!(response.header("access-control-allow-origin"), origin);
        assert_eq!(response.header("access-control-expose-headers"), EXPOSED);
    }
}

#[tokio::test]
async fn options_without_an_origin_gets_a_response() {
    let app = start(&[]).await;
    for path in ["/graphql", "/", "/nothing"] {
        let response = send_request(app.request(Method::OPTIONS, path)).await;
        assert_eq!((response.status, response.body), (200, Value::Null), "{path}");
    }
}

// Headers of every response

const API_POLICY: &str = "default-src 'none'";
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn assert_is_safe(headers: &HeaderMap, policy: &str, what: &str) {
    let all = |name: &str| {
        let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str()).collect();
        values.into_iter().map(|value| value.expect("text").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all("content-security-policy"), [policy], "{what}");
    assert_eq!(all("x-content-type-options"), ["nosniff"], "{what}");
    assert_eq!(all("x-frame-options"), ["DENY"], "{what}");
    assert_eq!(all("referrer-policy"), ["no-referrer"], "{what}");
    assert_eq!(all("cache-control").len(), 1, "{what}");
    assert_eq!(all("x-request-id").len(), 1, "{what}");
    assert_eq!(all("server-timing").len(), 1, "{what}");
}

#[tokio::test]
async fn every_kind_of_response_has_security_headers() {
    let app = start(&["--max-body-bytes=1000"]).await;
    let json =
        |request: reqwest::RequestBuilder| request.header("content-type", "application/json");
    let post = || app.request(Method::POST, "/graphql");
    let requests = [
        (200, json(post()).body(r#"{"query":"{ __typename }"}"#)),
        (200, json(post()).body(r#"{"query":"{ nope }"}"#)),
        (200, app.request(Method::GET, "/graphql?query=%7B__typename%7D")),
        (200, app.request(Method::GET, "/health/live")),
        (200, app.request(Method::GET, "/health/ready")),
        (200, app.request(Method::OPTIONS, "/graphql").header("origin", "https://a.example")),
        (400, json(post()).body("{")),
        (401, json(post()).bearer_auth("wrong").body(r#"{"query":"{ __typename }"}"#)),
        (404, app.request(Method::GET, "/nothing")),
        (404, app.request(Method::GET, "/graphiql/assets/nothing.js")),
        (405, app.request(Method::PUT, "/graphql")),
        (405, app.request(Method::POST, "/health/live")),
        (406, post().header("accept", "text/plain")),
        (413, json(post()).body(body_of(1_001))),
        (414, app.request(Method::GET, &format!("/graphql?query={}", "x".repeat(1_000)))),
        (415, post().body("{}")),
    ];
    for (status, request) in requests {
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), status);
        let what = format!("{status} of {}", response.url());
        assert_is_safe(response.headers(), API_POLICY, &what);
        assert_eq!(response.headers()["cache-control"], "private, no-store", "{what}");
    }
}

#[tokio::test]
async fn graphiql_and_its_parts_carry_the_headers_of_security() {
    let app = start(&[]).await;
    for path in ["/".to_owned(), page_parts(&app).await.swap_remove(0)] {
        let response = app.request(Method::GET, &path).send().await.expect("a response");
        assert_is_safe(response.headers(), PAGE_POLICY, &path);
    }
}

// GraphiQL

/// The addresses of the files that the page names.
async fn page_parts(app: &TestApp) -> Vec<String> {
    let page = app.request(Method::GET, "/").send().await.expect("the page");
    let page = page.text().await.expect("its text");
    let is_part = |text: &&str| text.starts_with("/graphiql/");
    let parts: Vec<_> = page.split('"').filter(is_part).map(str::to_owned).collect();
    assert!(parts.len() >= 3, "{page}");
    parts
}

#[tokio::test]
async fn graphiql_is_at_the_root_and_at_the_api_for_browsers() {
    let app = start(&[]).await;
    let of_chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (path, accept) in
        [("/", "*/*"), ("/", of_chromium), ("/graphql", "text/html"), ("/graphql", of_chromium)]
    {
        let request = app.request(Method::GET, path).header("accept", accept);
        let response = request.send().await.expect("a response");
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (reqwest::StatusCode::OK, &HTML.parse().expect("a value"))
        );
        // The page is revalidated each time, because the names in it change.
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let page = response.text().await.expect("text");
        assert!(page.contains("<title>Wasteland Tarot – GraphiQL</title>"), "{page}");
    }
    // A link with a query in it is for the API, also in a browser.
    let request = app.request(Method::GET, "/graphql?query=%7B__typename%7D");
    let response = send_request(request.header("accept", of_chromium)).await;
    assert_eq!((response.header("content-type"), response.body.clone()), (JSON, typename()));
}

#[tokio::test]
async fn assets_of_graphiql_are_immutable_because_their_names_change_with_them() {
    let app = start(&[]).await;
    for path in page_parts(&app).await {
        let file = path.strip_prefix("/graphiql/assets/").expect("a part");
        let (name, extension) = file.rsplit_once('.').expect("an extension");
        let hash = name.rsplit_once('-').expect("a hash").1;
        assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{file}");
        let response = app.request(Method::GET, &path).send().await.expect("a response");
        assert_eq!(response.status(), 200, "{path}");
        let kind = match extension {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{other} is no part of the page"),
        };
        assert_eq!(response.headers()["content-type"], kind);
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert!(!response.bytes().await.expect("a body").is_empty());
    }
}

#[tokio::test]
async fn graphiql_has_no_other_parts() {
    let app = start(&[]).await;
    for path in [
        "/graphiql/assets/",
        "/graphiql/assets/main.js",
        "/graphiql/assets/..%2F..%2F..%2Fgraphql.rs",
        "/graphiql/assets/%2Fetc%2Fpasswd",
        "/graphiql/assets/..%2Findex.html",
        "/graphiql/assets/..%5Cindex.html",
        "/graphiql/assets/..",
        "/graphiql/assets/%2E%2E",
        "/graphiql/assets/%FF",
        "/graphiql/assets/a/b.js",
        "/graphiql/assets/%00",
        "/graphiql/",
        "/graphiql/index.html",
    ] {
        let response = send_request(app.request(Method::GET, path)).await;
        let body = response.body_without_request_id();
        assert_eq!((response.status, body), (404, not_found()), "{path}");
    }
}

#[tokio::test]
async fn graphiql_can_be_switched_off() {
    let app = start(&[]).await;
    let parts = page_parts(&app).await;
    let app = start(&["--graphiql=false"]).await;
    for path in parts.iter().map(String::as_str).chain(["/"]) {
        let response = send_request(app.request(Method::GET, path)).await;
        let body = response.body_without_request_id();
        assert_eq!((response.status, body), (404, not_found()), "{path}");
    }
    let request = app.request(Method::GET, "/graphql").header("accept", "text/html");
    assert_eq!(send_request(request).await.status, 406);
    assert_eq!(app.data("{ __typename }").await, typename()["data"]);
}

#[tokio::test]
async fn production_has_neither_graphiql_nor_introspection() {
    let database = TestDatabase::new(Engine::Sqlite, Content::Reference).await;
    let settings = crate::support::app::settings_of(&database.url, &[]);
    assert!(settings.graphiql() && settings.introspection());
    let of = |environment: &str| {
        crate::support::app::settings_with(&[
            &format!("--app-env={environment}"),
            &format!("--database-url={}", database.url),
        ])
    };
    assert!(!of("production").graphiql() && !of("production").introspection());
    assert!(of("development").graphiql() && of("development").introspection());
}

// Introspection

#[tokio::test]
async fn introspection_can_be_switched_off() {
    let app = start(&["--introspection=false"]).await;
    for query in [
        "{ __schema { types { name } } }",
        "{ __type(name: \"Card\") { fields { name } } }",
        "{ a: __schema { queryType { name } } __typename }",
        "{ ...F } fragment F on Query { __schema { types { name } } }",
    ] {
        let response = app.query(query).await;
        assert_eq!(response.status, 400, "{query}");
        let refusal = json!({ "errors": [{
            "message": "introspection is disabled",
            "extensions": { "code": "GRAPHQL_VALIDATION_FAILED", "requestId": "ID" },
        }] });
        assert_eq!(response.body_without_request_id(), refusal, "{query}");
    }
    // The name that clients need to distinguish types stays.
    assert_eq!(app.query("{ __typename }").await.body, typename());
    let response = app.data("{ cardByCode(code: \"major_arcana_00\") { __typename } }").await;
    assert_eq!(response, json!({ "cardByCode": { "__typename": "Card" } }));
}

#[tokio::test]
async fn nothing_is_suggested_where_introspection_is_off() {
    let misspelled = [
        "{ card_by_code }",
        "{ cardByCodes(code: \"a\") { id } }",
        "{ cardByCode(cod: \"a\") { id } }",
        "{ cardByCode(code: \"a\") { nam } }",
        "{ cardByCode(code: \"a\") { name(local: EN) } }",
        "{ cardByCode(code: \"a\") { name(locale: ENG) } }",
        "{ cardByCode(code: \"a\") { ... on Crad { id } } }",
        "query ($a: Locales = EN) { cardByCode(code: \"a\") { name(locale: $a) } }",
        "{ cardByCode(code: \"a\") @skp(if: true) { id } }",
    ];
    let (off, on) = (start(&["--introspection=false"]).await, start(&[]).await);
    for query in misspelled {
        let response = off.query(query).await;
        assert_eq!(response.status, 400, "{}", response.body);
        let text = response.body.to_string().to_lowercase();
        assert!(!text.contains("did you mean"), "{text}");
        for secret in ["zh_hant", "zhhant", "uprightmeaning"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    for (query, message) in [
        (
            "{ cardByCode(code: \"a\") { nam } }",
            "type `Card` does not have a field `nam`; did you mean `name`?",
        ),
        (
            "{ cardByCode(code: \"a\") { name(local: EN) } }",
            "the argument `local` is not supported by `Card.name`; did you mean `locale`?",
        ),
        ("{ cardByCode(code: \"a\") { zzz } }", "type `Card` does not have a field `zzz`"),
    ] {
        assert_eq!(on.query(query).await.body["errors"][0]["message"], message);
    }
}

// Request ids

#[tokio::test]
async fn a_plain_request_id_is_echoed_in_header_and_body() {
    let app = start(&[]).await;
    let longest = "x".repeat(64);
    for id in ["a", "0198c5a1-7e1c-7cc2-9d7c-6b0f5d2d1b11", "Trace_1.2-3", &longest] {
        let request = app.request(Method::POST, "/graphql").header("x-request-id", id);
        let response = send_request(request).await;
        assert_eq!(response.header("x-request-id"), id);
        assert_eq!(response.body["errors"][0]["extensions"]["requestId"], id);
    }
}

#[tokio::test]
async fn a_strange_request_id_is_replaced() {
    let app = start(&[]).await;
    let too_long = "x".repeat(65);
    for id in ["", " ", "a b", "a,b", "<script>", "a\"b", "a/b", "a=b", "%0a", "é", &too_long] {
        let request = app.request(Method::POST, "/graphql").header("x-request-id", id);
        let response = send_request(request).await;
        let given = response.header("x-request-id");
        assert_ne!(given, id);
        assert!(uuid::Uuid::try_parse(given).is_ok(), "{given}");
        assert_eq!(response.body["errors"][0]["extensions"]["requestId"], given);
    }
}

#[tokio::test]
async fn every_request_without_an_id_gets_one_of_its_own() {
    let app = start(&[]).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let response = app.query("{ __typename }").await;
        let id = response.header("x-request-id").to_owned();
        assert!(uuid::Uuid::try_parse(&id).is_ok(), "{id}");
        ids.insert(id);
    }
    assert_eq!(ids.len(), 10);
}

#[tokio::test]
async fn each_error_carries_the_request_id() {
    let app = start(&[]).await;
    let query = "{ a: cards(first: 101) { totalCount } b: cards(first: -1) { totalCount } }";
    let response = app.query(query).await;
    // Asserts it for every error.
    let body = response.body_without_request_id();
    assert!(body["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{body}");
}

// Health, and addresses that are none

on_both_databases! {
    async fn the_server_is_live_and_ready(engine: Engine) {
        let app = TestApp::start(engine).await;
        let live = send_request(app.request(Method::GET, "/health/live")).await;
        assert_eq!((live.status, live.body), (200, json!({ "status": "ok" })));
        for path in ["/health", "/health/ready"] {
            let ready = send_request(app.request(Method::GET, path)).await;
            let expected = json!({ "status": "ok", "database": "ok" });
            assert_eq!((ready.status, ready.body), (200, expected));
        }
    }

    async fn a_server_whose_database_lacks_a_migration_is_live_and_not_ready(engine: Engine) {
        let app = TestApp::start(engine).await;
        let connection = app.database.connect().await;
        let forget = "DELETE FROM seaql_migrations WHERE version = \
            (SELECT max(version) FROM seaql_migrations)";
        sea_orm::ConnectionTrait::execute_unprepared(&connection, forget).await.expect("deleted");
        let ready = send_request(app.request(Method::GET, "/health/ready")).await;
        let expected = json!({ "status": "unready", "database": "1 migrations are missing" });
        assert_eq!((ready.status, ready.body), (503, expected));
        let live = send_request(app.request(Method::GET, "/health/live")).await;
        assert_eq!(live.status, 200);
    }

    async fn a_server_whose_database_is_gone_is_live_and_not_ready(engine: Engine) {
        let app = TestApp::start(engine).await;
        match engine {
            Engine::Sqlite => app.app.database.clone().close().await,
            Engine::Postgres => {
                let (_, name) = app.database.url.rsplit_once('/').expect("a name");
                run_admin_statement(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
            }
        }
        let ready = send_request(app.request(Method::GET, "/health/ready")).await;
        let expected = json!({ "status": "unready", "database": "the database cannot be reached" });
        assert_eq!((ready.status, ready.body), (503, expected));
        let live = send_request(app.request(Method::GET, "/health/live")).await;
        assert_eq!((live.status, live.body), (200, json!({ "status": "ok" })));
    }
}

#[tokio::test]
async fn there_is_nothing_at_other_addresses() {
    let app = start(&[]).await;
    for path in ["/nothing", "/graphql//", "/GraphQL", "/health/", "/.env", "/%00", "/graphql/x"] {
        for method in [Method::GET, Method::POST] {
            let response = send_request(app.request(method, path)).await;
            assert_eq!(response.header("content-type"), JSON, "{path}");
            let body = response.body_without_request_id();
            assert_eq!((response.status, body), (404, not_found()), "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_access_token_is_never_taken_for_nobody() {
    let app = start(&[]).await;
    for authorization in ["Bearer", "Bearer ", "Bearer wrong", "Basic dTpw", "wrong"] {
        for accept in ["application/json", "application/graphql-response+json"] {
            let request = app.request(Method::POST, "/graphql").header("accept", accept);
            let request = request.header("authorization", authorization);
            let request = request.header("content-type", "application/json");
            let response = send_request(request.body(r#"{"query":"{ __typename }"}"#)).await;
            assert_eq!(response.status, 401, "{authorization}");
            assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
            let body = response.body_without_request_id();
            assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{body}");
            assert_eq!(body.get("data"), None);
        }
    }
}

/// RFC 9110, section 11.4: credentials begin with a scheme, so an empty value has none.
#[tokio::test]
async fn an_empty_authorization_header_is_anonymous() {
    let app = start(&[]).await;
    for line in ["authorization:", "authorization: ", "Authorization: \t "] {
        let mut connection = RawConnection::open(&app).await;
        let body = r#"{"query":"{ viewer { username } }"}"#;
        connection.write(raw_post(&format!("{line}\r\n"), body)).await;
        let response = connection.read_response().await;
        assert_eq!(
            (response.status, response.json()),
            (200, json!({ "data": { "viewer": null } }))
        );
        // An export requires a user.
        connection
            .write(format!("GET /export/readings.json HTTP/1.1\r\nhost: test\r\n{line}\r\n\r\n"))
            .await;
        assert_eq!(connection.read_response().await.status, 401);
    }
}

#[tokio::test]
async fn two_access_tokens_are_rejected() {
    let app = start(&[]).await;
    let mut connection = RawConnection::open(&app).await;
    let headers = "authorization: Bearer a\r\nauthorization: Bearer b\r\nx-request-id: ID\r\n";
    connection.write(raw_post(headers, r#"{"query":"{ __typename }"}"#)).await;
    let response = connection.read_response().await;
    let message = "there may be one `authorization` header";
    assert_eq!(response.status, 401);
    assert_eq!(response.json(), refusal(message, "UNAUTHENTICATED", &json!({})));
}
