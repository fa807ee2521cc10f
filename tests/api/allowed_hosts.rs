//! Hosts that requests may name.

use serde_json::json;

use crate::support::app::{Engine, RawConnection, TestApp, settings_with};
use crate::tcp_connections::http2;

async fn start(flags: &[&str]) -> TestApp {
    TestApp::start_with(Engine::Sqlite, flags).await
}

/// Status of a request to that path with these lines of headers; a refused one has the whole error.
async fn status(app: &TestApp, path: &str, host: &str) -> u16 {
    let mut connection = RawConnection::open(app).await;
    let head = format!("GET {path} HTTP/1.1\r\n{host}x-request-id: ID\r\n\r\n");
    connection.write(head).await;
    let response = connection.read_response().await;
    if response.status == 421 {
        let expected = json!({ "errors": [{
            "message": "this server does not serve the host of the request",
            "extensions": { "code": "BAD_USER_INPUT", "argument": "host", "requestId": "ID" },
        }] });
        assert_eq!(response.json(), expected);
    }
    response.status
}

const PATH: &str = "/graphql?query=%7B__typename%7D";

#[tokio::test]
async fn a_host_that_is_not_allowed_is_misdirected() {
    let flags = [
        "--allowed-hosts=tarot.example,*.preview.example,[2001:db8::1]",
        "--response-cache-bytes=4000000",
    ];
    let app = start(&flags).await;
    // Executed, cached, remembered.
    for _ in 0..3 {
        for host in [
            "tarot.example",
            "Tarot.Example:8443",
            "tarot.example.",
            "pr-7.preview.example",
            "[2001:db8::1]:8000",
            "localhost",
            "127.0.0.1:8000",
            "[::1]",
        ] {
            assert_eq!(status(&app, PATH, &format!("host: {host}\r\n")).await, 200, "{host}");
        }
        for host in [
            "evil.example",
            "tarot.example.evil.example",
            "eviltarot.example",
            "preview.example",
            "a.b.preview.example",
            ".preview.example",
            "10.0.0.1",
            "[2001:db8::2]",
            "",
        ] {
            assert_eq!(status(&app, PATH, &format!("host: {host}\r\n")).await, 421, "{host}");
            let probe = status(&app, "/health/ready", &format!("host: {host}\r\n")).await;
            assert_eq!(probe, 200, "{host}");
        }
    }
    for path in ["/", "/nothing", "/s/token", "/export/readings.json"] {
        assert_eq!(status(&app, path, "host: evil.example\r\n").await, 421, "{path}");
    }
    // The target decides.
    let target = format!("http://evil.example{PATH}");
    assert_eq!(status(&app, &target, "host: tarot.example\r\n").await, 421);
    let target = format!("http://tarot.example{PATH}");
    assert_eq!(status(&app, &target, "host: evil.example\r\n").await, 200);
}

#[tokio::test]
async fn the_authority_of_http_2_is_checked_too() {
    let app = start(&["--allowed-hosts=tarot.example"]).await;
    for (host, is_served) in [("tarot.example", true), ("evil.example", false)] {
        let mut connection = RawConnection::open(&app).await;
        connection.write(http2::PREFACE).await;
        connection.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
        connection.write(http2::get_from(1, PATH, &[(http2::AUTHORITY, host)])).await;
        let block = loop {
            if let (http2::HEADERS, 1, block) = http2::next(&mut connection).await {
                break block;
            }
        };
        assert_eq!(block[0] == http2::STATUS_200, is_served, "{host}");
    }
}

#[tokio::test]
async fn any_host_is_allowed_by_default() {
    let app = start(&[]).await;
    assert_eq!(status(&app, PATH, "host: anything.example\r\n").await, 200);
    let app = start(&["--allowed-hosts=*"]).await;
    assert_eq!(status(&app, PATH, "host: anything.example\r\n").await, 200);
}

#[test]
fn production_allows_the_host_of_its_public_url() {
    let hosts = |flags: &[&str]| settings_with(flags).allowed_hosts();
    let public_url = "--public-url=https://Tarot.example:8443/path";
    assert_eq!(hosts(&["--app-env=production", public_url]), ["tarot.example"]);
    assert_eq!(
        hosts(&["--app-env=production", public_url, "--allowed-hosts=a.example"]),
        ["a.example"]
    );
    let none: [&str; 0] = [];
    assert_eq!(hosts(&["--app-env=production", public_url, "--allowed-hosts=*"]), none);
    assert_eq!(hosts(&["--app-env=production"]), none);
    assert_eq!(hosts(&["--app-env=development", public_url]), none);
}
