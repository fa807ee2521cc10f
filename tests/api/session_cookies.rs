//! The cookie of a refresh token: its attributes, the pages that may use it, and the pages from which it would
//! be lost.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::accounts::{PASSWORD, failure_code, mutate, payload, registration, with};
use crate::http::response_too_large;
use crate::sessions::{Pair, SESSION, body, is_over, log_in, post, start};
use crate::support::app::{
    Engine, TestApp, TestResponse, send_request, settings_with, try_settings,
};
use crate::support::fixtures::id;
use crate::support::mutations::failure;

/// The refresh token in the cookie of a response. Asserts the attributes of the cookie.
fn cookie_of(response: &TestResponse) -> String {
    cookie_at(response, "/graphql")
}

/// The refresh token in the cookie of that path.
fn cookie_at(response: &TestResponse, path: &str) -> String {
    let (token, attributes) = cookie_and_attributes(response);
    assert_eq!(attributes, format!("Path={path}; HttpOnly; Secure; SameSite=Strict"));
    token
}

/// The refresh token in the cookie of a response, and the attributes but for its age.
fn cookie_and_attributes(response: &TestResponse) -> (String, String) {
    let all: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
    assert_eq!(all.len(), 1, "{all:?} {}", response.text);
    let text = all[0].to_str().expect("text");
    let (pair, attributes) = text.split_once("; ").expect("attributes");
    let (age, attributes): (Vec<_>, Vec<_>) =
        attributes.split("; ").partition(|attribute| attribute.starts_with("Max-Age="));
    let age: i64 = age[0]["Max-Age=".len()..].parse().expect("an age");
    let two_weeks = TimeDelta::days(14).num_seconds();
    assert!((two_weeks - 30..=two_weeks).contains(&age), "{age}");
    let (_, token) = pair.split_once('=').expect("a name");
    assert_eq!(token.len(), 43);
    assert!(!response.text.contains(token), "the token is in the body as well");
    (token.to_owned(), attributes.join("; "))
}

const CLEARED: &str = "refresh_token=; Path=/graphql; Max-Age=0; HttpOnly; Secure; SameSite=Strict";

/// Logs Ada in with the cookie, with these headers.
async fn log_in_from(app: &TestApp, headers: &[(&str, &str)]) -> TestResponse {
    let input = json!({ "login": "ada", "password": PASSWORD, "tokenDelivery": "COOKIE" });
    post(app, headers, &body("login", SESSION, &input)).await
}

/// Logs Ada in with the cookie.
async fn log_in_with_cookie(app: &TestApp) -> String {
    let response = log_in_from(app, &[]).await;
    let token = cookie_of(&response);
    let done = payload("login", response);
    assert_eq!(done["session"]["refreshToken"], Value::Null);
    assert!(done["session"]["accessToken"].is_string());
    token
}

const ORIGIN: &str = "pages of this origin may not use the cookie: add the origin to CORS_ORIGINS, or set PUBLIC_URL to the \
    server's address";
const CROSS_SITE: &str = "page and server are two sites (as localhost and 127.0.0.1 are), so the cookie would be lost: use one \
    host name for both, or set REFRESH_COOKIE_SAME_SITE=none";
const PROXIED: &str = "the page reaches the server through a proxy: set PUBLIC_URL to the server's address there, such as \
    http://localhost:5173/api, or set REFRESH_COOKIE_PATH";
const INSECURE: &str = "browsers store the cookie from https only: set PUBLIC_URL to the server's https address, or \
    REFRESH_COOKIE_SECURE=false";

/// The body of a mutation that such a page may not send.
fn forbidden(mutation: &str, message: &str) -> Value {
    failure(mutation, message, &json!({ "code": "FORBIDDEN" }))
}

/// Sends a mutation with that cookie and these headers.
async fn with_cookie(
    app: &TestApp,
    token: &str,
    headers: &[(&str, &str)],
    (name, selection): (&str, &str),
    input: &Value,
) -> TestResponse {
    let settings = &app.app.services.settings;
    let own = settings.session_cookie.name(settings.server.public_url.as_deref());
    let cookie = format!("theme=dark; {own}={token}; other=1");
    let headers = [headers, &[("cookie", cookie.as_str())]].concat();
    post(app, &headers, &body(name, selection, input)).await
}

const REFRESH: (&str, &str) = ("refreshSession", SESSION);
const LOGOUT: (&str, &str) = ("logout", "loggedOut");

#[tokio::test]
async fn every_session_can_begin_with_a_cookie() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    log_in_with_cookie(&app).await;
    let by_cookie = json!({ "tokenDelivery": "COOKIE" });
    let input = with(registration("bob"), by_cookie.clone());
    let response = mutate(&app, None, ("register", SESSION), &input).await;
    cookie_of(&response);
    assert_eq!(payload("register", response)["session"]["refreshToken"], Value::Null);
    let input = with(json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD }), by_cookie);
    let token = app.token_of(id("ada"));
    let response = mutate(&app, Some(&token), ("changePassword", SESSION), &input).await;
    cookie_of(&response);
    assert_eq!(payload("changePassword", response)["session"]["refreshToken"], Value::Null);
    // A client that wants the token in the body gets no cookie.
    for delivery in [json!({}), json!({ "tokenDelivery": "BODY" })] {
        let input = with(json!({ "login": "ada", "password": PASSWORD }), delivery);
        let response = mutate(&app, None, ("login", SESSION), &input).await;
        assert_eq!(response.headers.get("set-cookie"), None);
        Pair::of(&payload("login", response)["session"]);
    }
}

#[tokio::test]
async fn a_session_in_the_cookie_is_renewed_in_the_cookie() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    let first = log_in_with_cookie(&app).await;
    let response = with_cookie(&app, &first, &[], REFRESH, &json!({})).await;
    let second = cookie_of(&response);
    assert_ne!(first, second);
    let done = payload("refreshSession", response);
    assert_eq!(done["session"]["refreshToken"], Value::Null);
    assert_eq!(done["userErrors"], json!([]));
    let response = with_cookie(&app, &second, &[], REFRESH, &json!({ "refreshToken": null })).await;
    let third = cookie_of(&response);

    // A token in the body is the one that is meant, and its successor comes in the body.
    let pair = log_in(&app, "ada").await;
    let input = json!({ "refreshToken": pair.refresh });
    let response = with_cookie(&app, &third, &[], REFRESH, &input).await;
    assert_eq!(response.headers.get("set-cookie"), None);
    Pair::of(&payload("refreshSession", response)["session"]);

    // One that is over is forgotten.
    app.app.services.clock.advance(TimeDelta::seconds(31));
    let response = with_cookie(&app, &first, &[], REFRESH, &json!({})).await;
    assert_eq!(response.header("set-cookie"), CLEARED);
    assert_eq!(payload("refreshSession", response)["userErrors"][0]["code"], "SESSION_EXPIRED");
    assert!(is_over(&app, &third).await);

    for headers in [&[][..], &[("cookie", "refresh_token=")], &[("cookie", "refresh=x")]] {
        let response = post(&app, headers, &body("refreshSession", SESSION, &json!({}))).await;
        assert_eq!(response.headers.get("set-cookie"), None);
        let error = &payload("refreshSession", response)["userErrors"][0];
        assert_eq!(error["code"], "SESSION_EXPIRED");
        assert_eq!(error["message"], "there is no session; log in");
    }
}

/// RFC 6265, section 5.4: a browser sends all cookies of the host, whoever has set them.
#[tokio::test]
async fn other_cookies_may_have_any_bytes() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    let refresh = async |lines: &[&[u8]]| {
        let request = app.request(reqwest::Method::POST, "/graphql");
        let request = request.header("content-type", "application/json");
        let request = request.body(body("refreshSession", SESSION, &json!({})).to_string());
        send_request(lines.iter().fold(request, |request, line| request.header("cookie", *line)))
            .await
    };
    let mut token = log_in_with_cookie(&app).await;
    let others: [&[u8]; 4] = ["city=Zürich".as_bytes(), b"city=Z\xFCrich", b"\xFF", b"=;; ="];
    for other in others {
        let own = format!("refresh_token={token}");
        let before = [other, b"; ", own.as_bytes()].concat();
        token = cookie_of(&refresh(&[&before]).await);
        let own = format!("refresh_token={token}; ");
        let after = [own.as_bytes(), other].concat();
        token = cookie_of(&refresh(&[&after]).await);
        // As HTTP/2 may send them.
        let own = format!("refresh_token={token}");
        token = cookie_of(&refresh(&[other, own.as_bytes()]).await);
    }
    let own = |before: &[u8], name: &[u8]| [before, name, b"=", token.as_bytes()].concat();
    for none in [
        own(b"", b"refresh_token\xFC"),
        own(b"\xFC", b"refresh_token"),
        own(b"", b"x_refresh_token"),
        own(b"", b"refresh_token2"),
        b"refresh_token=\xFC".to_vec(),
    ] {
        let response = refresh(&[&none]).await;
        assert_eq!(response.headers.get("set-cookie"), None, "{none:?}");
        let error = &payload("refreshSession", response)["userErrors"][0];
        assert_eq!(error["message"], "there is no session; log in", "{none:?}");
    }
}

#[tokio::test]
async fn a_response_that_is_too_large_sets_the_cookie() {
    let app = start(Engine::Sqlite, &["ada"], &["--max-response-bytes=100"]).await;
    let response = log_in_from(&app, &[]).await;
    let token = cookie_of(&response);
    assert_eq!(
        (response.status, response.body_without_request_id()),
        (200, response_too_large(100))
    );
    let response = with_cookie(&app, &token, &[], REFRESH, &json!({})).await;
    assert_ne!(cookie_of(&response), token);
}

#[tokio::test]
async fn only_our_own_pages_and_listed_ones_may_use_the_cookie() {
    let origins =
        "--cors-origins=https://app.example,https://other.example:8443,https://*.tarot.example";
    let app = start(Engine::Sqlite, &["ada"], &[origins]).await;
    let mut token = log_in_with_cookie(&app).await;
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://other.example",
        "https://tarot.example",
        "https://a.b.tarot.example",
        "http://192.168.0.2:8000",
        "http://localhost.evil.example",
        "http://localhost/",
        "null",
        "",
    ] {
        for (name, selection) in [REFRESH, LOGOUT] {
            let headers = [("origin", origin)];
            let response = with_cookie(&app, &token, &headers, (name, selection), &json!({})).await;
            assert_eq!(response.body_without_request_id(), forbidden(name, ORIGIN), "{origin}");
            assert_eq!(response.headers.get("set-cookie"), None);
        }
    }
    let port = app.url.rsplit(':').next().expect("a port");
    for origin in [
        &*app.url,
        "https://app.example",
        "https://other.example:8443",
        "https://pr-7.tarot.example",
        // Loopback names are one site, whatever their ports: a development server has its own.
        &format!("http://localhost:{port}"),
        "http://localhost:5173",
        "https://localhost:5173",
        "http://app.localhost:5173",
        "http://127.0.0.1",
        "http://127.8.9.10:5173",
        "http://[::1]:5173",
    ] {
        let response = with_cookie(&app, &token, &[("origin", origin)], REFRESH, &json!({})).await;
        token = cookie_of(&response);
    }
    // A token in the body needs no cookie, so any page may send it.
    let input = json!({ "refreshToken": token });
    let sent = body("refreshSession", SESSION, &input);
    let response = post(&app, &[("origin", "https://evil.example")], &sent).await;
    assert_eq!(payload("refreshSession", response)["userErrors"], json!([]));
}

#[tokio::test]
async fn over_https_the_cookie_has_a_name_that_only_https_can_set() {
    let https = "--public-url=https://tarot.example";
    for (flags, name) in [
        (&[][..], "refresh_token"),
        (&["--public-url=http://localhost:8000"], "refresh_token"),
        (&[https], "__Secure-refresh_token"),
        (&[https, "--refresh-cookie-path=/"], "__Host-refresh_token"),
        (
            &[https, "--refresh-cookie-path=/", "--refresh-cookie-domain=tarot.example"],
            "__Secure-refresh_token",
        ),
        (&[https, "--refresh-cookie-secure=false"], "refresh_token"),
        (&[https, "--refresh-cookie-name=mine"], "mine"),
    ] {
        let mut app = start(Engine::Sqlite, &["ada"], flags).await;
        app.url = format!("http://{}", app.app.services.settings.server.listen);
        let response = log_in_from(&app, &[]).await;
        let (token, _) = cookie_and_attributes(&response);
        assert!(
            response.header("set-cookie").starts_with(&format!("{name}={token};")),
            "{flags:?}"
        );
        let cookie = format!("{name}={token}");
        let sent = body("refreshSession", SESSION, &json!({}));
        let response = post(&app, &[("cookie", &cookie)], &sent).await;
        assert_eq!(payload("refreshSession", response)["userErrors"], json!([]), "{flags:?}");
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_query_but_not_use_the_cookie() {
    let flags = ["--cors-origins=*", "--public-url=https://tarot.example/base"];
    let mut app = start(Engine::Sqlite, &["ada"], &flags).await;
    // The URL above is the public one; requests of the test go to the listening address.
    app.url = format!("http://{}", app.app.services.settings.server.listen);
    let mut token = cookie_at(&log_in_from(&app, &[]).await, "/base/graphql");
    for origin in ["https://evil.example", "https://tarot.example/base", "null"] {
        let response = with_cookie(&app, &token, &[("origin", origin)], REFRESH, &json!({})).await;
        assert_eq!(failure_code(&response), "FORBIDDEN", "{origin}");
        assert_eq!(response.header("access-control-allow-credentials"), "");
    }
    // A server with a name is no loopback address.
    let local = [("origin", "http://localhost:5173")];
    let response = with_cookie(&app, &token, &local, REFRESH, &json!({})).await;
    assert_eq!(response.body_without_request_id(), forbidden("refreshSession", ORIGIN));
    for own in ["https://tarot.example", "https://tarot.example:443"] {
        let own = [("origin", own)];
        token =
            cookie_at(&with_cookie(&app, &token, &own, REFRESH, &json!({})).await, "/base/graphql");
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_of_the_cookie_and_clears_it() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    let done = json!({ "loggedOut": true, "userErrors": [] });
    let token = log_in_with_cookie(&app).await;
    let other = log_in(&app, "ada").await;
    let response = with_cookie(&app, &token, &[], LOGOUT, &json!({})).await;
    assert_eq!(response.header("set-cookie"), CLEARED);
    assert_eq!(payload("logout", response), done);
    assert!(is_over(&app, &token).await);
    assert!(!is_over(&app, &other.refresh).await);

    let token = log_in_with_cookie(&app).await;
    let other = log_in(&app, "ada").await;
    let response = with_cookie(&app, &token, &[], LOGOUT, &json!({ "everywhere": true })).await;
    assert_eq!(response.header("set-cookie"), CLEARED);
    assert_eq!(payload("logout", response), done);
    assert!(is_over(&app, &token).await);
    assert!(is_over(&app, &other.refresh).await);

    // Without a cookie there is none to clear.
    let other = log_in(&app, "ada").await;
    let input = json!({ "refreshToken": other.refresh });
    let response = mutate(&app, None, LOGOUT, &input).await;
    assert_eq!(response.headers.get("set-cookie"), None);
    assert_eq!(payload("logout", response), done);
}

#[tokio::test]
async fn a_deleted_account_leaves_no_cookie() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    let token = log_in_with_cookie(&app).await;
    let access = format!("Bearer {}", app.token_of(id("ada")));
    let headers = [("authorization", access.as_str())];
    let delete = ("deleteAccount", "deletedUserId");
    let input = json!({ "password": PASSWORD });
    let response = with_cookie(&app, &token, &headers, delete, &input).await;
    assert_eq!(response.header("set-cookie"), CLEARED);
    assert!(payload("deleteAccount", response)["deletedUserId"].is_string());
    assert!(is_over(&app, &token).await);
}

/// A page that logs in, by the headers of its browser.
struct Login<'a> {
    flags: &'a [&'a str],
    host: &'a str,
    origin: &'a str,
    fetch_site: Option<&'a str>,
}

/// The names of the page and of the server in development, and the relation that a browser sees.
const fn local<'a>(flags: &'a [&'a str], host: &'a str, fetch_site: &'a str) -> Login<'a> {
    Login { flags, host, origin: "http://localhost:5173", fetch_site: Some(fetch_site) }
}

impl Login<'_> {
    async fn send(&self) -> TestResponse {
        let mut app = start(Engine::Sqlite, &["ada"], self.flags).await;
        app.url = format!("http://{}", app.app.services.settings.server.listen);
        let mut headers = vec![("host", self.host), ("origin", self.origin)];
        headers.extend(self.fetch_site.map(|site| ("sec-fetch-site", site)));
        log_in_from(&app, &headers).await
    }
}

const LISTED: &str = "--cors-origins=http://localhost:5173,https://app.tarot.example,https://app.example,http://app.lan";
const NONE: &str = "--refresh-cookie-same-site=none";

#[tokio::test]
async fn a_login_whose_cookie_would_be_lost_is_refused() {
    let public = |url: &str| format!("--public-url={url}");
    let https = public("https://api.tarot.example");
    for (login, message) in [
        // The page's own address is another name of the same machine: two sites for a browser.
        (local(&[LISTED], "127.0.0.1:8000", "cross-site"), CROSS_SITE),
        (
            local(&[LISTED, "--refresh-cookie-same-site=lax"], "127.0.0.1:8000", "cross-site"),
            CROSS_SITE,
        ),
        // Without `Sec-Fetch-Site` the host names decide.
        (Login { fetch_site: None, ..local(&[LISTED], "127.0.0.1:8000", "") }, CROSS_SITE),
        (
            Login {
                flags: &[LISTED, &https],
                host: "127.0.0.1:8000",
                origin: "https://app.example",
                fetch_site: None,
            },
            CROSS_SITE,
        ),
        // Not in `CORS_ORIGINS`: a page of it could not read the response either.
        (
            Login {
                flags: &[NONE, &https],
                host: "api.tarot.example",
                origin: "https://app.example",
                fetch_site: Some("cross-site"),
            },
            ORIGIN,
        ),
        (local(&[&https], "api.tarot.example", "cross-site"), ORIGIN),
        // A development server's proxy, under a path that the server cannot know.
        (local(&[], "localhost:5173", "same-origin"), PROXIED),
        (local(&[LISTED], "127.0.0.1:8000", "same-origin"), PROXIED),
        // No browser stores a Secure cookie from this address.
        (
            Login {
                flags: &[LISTED],
                host: "api.lan:8000",
                origin: "http://app.lan",
                fetch_site: None,
            },
            INSECURE,
        ),
    ] {
        let response = login.send().await;
        let shown = (login.flags, login.host, login.origin);
        assert_eq!(response.headers.get("set-cookie"), None, "{shown:?}");
        assert_eq!(response.body_without_request_id(), forbidden("login", message), "{shown:?}");
    }
    assert!([ORIGIN, CROSS_SITE, PROXIED, INSECURE].iter().all(|message| message.len() <= 200));
}

#[tokio::test]
async fn a_login_whose_cookie_comes_back_sets_it() {
    let public = |url: &str| format!("--public-url={url}");
    let (https, proxy) = (public("https://api.tarot.example"), public("http://localhost:5173/api"));
    let strict = "HttpOnly; Secure; SameSite=Strict";
    for (login, attributes) in [
        // One host name for both.
        (local(&[LISTED], "localhost:8000", "same-site"), format!("Path=/graphql; {strict}")),
        (
            Login { fetch_site: None, ..local(&[LISTED], "localhost:8000", "") },
            format!("Path=/graphql; {strict}"),
        ),
        (
            local(&[LISTED, NONE], "127.0.0.1:8000", "cross-site"),
            "Path=/graphql; HttpOnly; Secure; SameSite=None".to_owned(),
        ),
        // A proxy whose address or path is set.
        (local(&[&proxy], "localhost:5173", "same-origin"), format!("Path=/api/graphql; {strict}")),
        (local(&[&proxy], "127.0.0.1:8000", "same-origin"), format!("Path=/api/graphql; {strict}")),
        (
            local(&["--refresh-cookie-path=/api"], "localhost:5173", "same-origin"),
            format!("Path=/api; {strict}"),
        ),
        (
            Login {
                flags: &[
                    LISTED,
                    &https,
                    "--refresh-cookie-domain=Tarot.example",
                    "--refresh-cookie-name=t",
                ],
                host: "127.0.0.1:8000",
                origin: "https://app.tarot.example",
                fetch_site: Some("same-site"),
            },
            format!("Path=/graphql; Domain=tarot.example; {strict}"),
        ),
        (
            Login {
                flags: &[LISTED, &https, NONE],
                host: "api.tarot.example",
                origin: "https://app.example",
                fetch_site: Some("cross-site"),
            },
            "Path=/graphql; HttpOnly; Secure; SameSite=None".to_owned(),
        ),
        (
            Login {
                flags: &[LISTED, "--refresh-cookie-secure=false", "--refresh-cookie-same-site=lax"],
                host: "app.lan:8000",
                origin: "http://app.lan",
                fetch_site: None,
            },
            "Path=/graphql; HttpOnly; SameSite=Lax".to_owned(),
        ),
    ] {
        let response = login.send().await;
        let (_, sent) = cookie_and_attributes(&response);
        assert_eq!(sent, attributes, "{:?} {} {}", login.flags, login.host, login.origin);
    }
}

#[tokio::test]
async fn every_mutation_that_begins_a_session_checks_the_page_first() {
    let app = start(Engine::Sqlite, &["ada"], &[LISTED]).await;
    let token = format!("Bearer {}", app.token_of(id("ada")));
    let headers = [
        ("authorization", token.as_str()),
        ("origin", "http://localhost:5173"),
        ("sec-fetch-site", "cross-site"),
    ];
    let by_cookie = json!({ "tokenDelivery": "COOKIE" });
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another password" });
    for (name, input) in [
        ("register", registration("bob")),
        ("login", json!({ "login": "ada", "password": "a wrong password" })),
        ("changePassword", change.clone()),
    ] {
        let response =
            post(&app, &headers, &body(name, SESSION, &with(input, by_cookie.clone()))).await;
        assert_eq!(response.body_without_request_id(), forbidden(name, CROSS_SITE));
    }
    // Nothing was written: there is no Bob yet, and Ada's password is the old one. A token in the body needs
    // no cookie.
    for (name, input) in [("register", registration("bob")), ("changePassword", change)] {
        let response = post(&app, &headers, &body(name, SESSION, &input)).await;
        assert_eq!(payload(name, response)["userErrors"], json!([]));
    }
}

#[tokio::test]
async fn the_cookie_has_the_name_and_the_attributes_of_the_settings() {
    let flags = [
        "--refresh-cookie-name=__Host-tarot",
        "--refresh-cookie-path=/",
        "--refresh-cookie-same-site=lax",
        "--public-url=https://tarot.example",
    ];
    let mut app = start(Engine::Sqlite, &["ada"], &flags).await;
    app.url = format!("http://{}", app.app.services.settings.server.listen);
    let response = log_in_from(&app, &[]).await;
    let (token, attributes) = cookie_and_attributes(&response);
    assert_eq!(attributes, "Path=/; HttpOnly; Secure; SameSite=Lax");
    assert!(response.header("set-cookie").starts_with("__Host-tarot="));
    // A cookie of another name is none.
    let other = format!("refresh_token={token}; host-tarot={token}");
    let response =
        post(&app, &[("cookie", &other)], &body("refreshSession", SESSION, &json!({}))).await;
    assert_eq!(
        payload("refreshSession", response)["userErrors"][0]["message"],
        "there is no session; log in"
    );
    let own = format!("refresh_token=other; __Host-tarot={token}");
    let response = post(&app, &[("cookie", &own)], &body("logout", "loggedOut", &json!({}))).await;
    assert_eq!(
        response.header("set-cookie"),
        "__Host-tarot=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
    );
    assert_eq!(payload("logout", response), json!({ "loggedOut": true, "userErrors": [] }));
}

#[tokio::test]
async fn an_expired_access_token_does_not_prevent_a_logout_by_the_cookie() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    let token = log_in_with_cookie(&app).await;
    let response =
        with_cookie(&app, &token, &[("authorization", "Bearer expired")], LOGOUT, &json!({})).await;
    assert_eq!(response.header("set-cookie"), CLEARED);
    assert_eq!(payload("logout", response), json!({ "loggedOut": true, "userErrors": [] }));
    assert!(is_over(&app, &token).await);
}

#[test]
fn attributes_that_browsers_would_drop_are_refused_at_the_start() {
    let line = |flags: &[&str]| match settings_with(flags).validate() {
        Ok(()) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    };
    let (https, http) =
        ("--public-url=https://api.tarot.example/base", "--public-url=http://tarot.lan");
    let (insecure, host) = ("--refresh-cookie-secure=false", "--refresh-cookie-name=__Host-tarot");
    let (secure, root) = ("--refresh-cookie-name=__secure-tarot", "--refresh-cookie-path=/");
    let domain = "--refresh-cookie-domain=tarot.example";
    let same_site = "REFRESH_COOKIE_SAME_SITE=\"none\" (beside REFRESH_COOKIE_SECURE=false): strict or lax, because \
        browsers drop such a cookie without Secure";
    let http_only = "REFRESH_COOKIE_SECURE=\"true\" (beside a PUBLIC_URL with http://): false, because browsers store a \
        Secure cookie from https:// and loopback addresses only";
    let secure_prefix = "REFRESH_COOKIE_NAME=\"__secure-tarot\" (beside REFRESH_COOKIE_SECURE=false): a name without \
        __Secure-, because browsers drop such a cookie without Secure";
    let host_prefix = "REFRESH_COOKIE_NAME=\"__Host-tarot\" (beside the other attributes): a name without __Host-, which \
        requires REFRESH_COOKIE_PATH=/, REFRESH_COOKIE_SECURE=true and no REFRESH_COOKIE_DOMAIN";
    let outside = |name: &str| {
        format!(
            "REFRESH_COOKIE_DOMAIN={name:?} (beside PUBLIC_URL): requires a PUBLIC_URL whose host is that domain or within it"
        )
    };
    let path = |path: &str| {
        format!(
            "REFRESH_COOKIE_PATH={path:?} (beside PUBLIC_URL): /base/graphql or the beginning of it, because browsers send the \
        cookie to this path only"
        )
    };
    for (flags, expected) in [
        (&[NONE, insecure][..], same_site.to_owned()),
        (&[http], http_only.to_owned()),
        (&[secure, https, insecure], secure_prefix.to_owned()),
        (&[host], host_prefix.to_owned()),
        (&[host, root, insecure], host_prefix.to_owned()),
        (&[host, https], host_prefix.to_owned()),
        (&[host, https, "--refresh-cookie-path=/base"], host_prefix.to_owned()),
        (&[host, https, root, domain], host_prefix.to_owned()),
        (&[domain], outside("tarot.example")),
        (&[domain, "--public-url=https://nottarot.example"], outside("tarot.example")),
        (
            &[https, "--refresh-cookie-domain=www.api.tarot.example"],
            outside("www.api.tarot.example"),
        ),
        (&[https, "--refresh-cookie-path=/graphql"], path("/graphql")),
        (&[https, "--refresh-cookie-path=/bas"], path("/bas")),
        (&[https, "--refresh-cookie-path=/base/graphql/"], path("/base/graphql/")),
    ] {
        assert_eq!(line(flags), expected, "{flags:?}");
    }
    for flags in [
        &[][..],
        &[https],
        &[http, insecure],
        &["--public-url=http://localhost:8000"],
        &["--public-url=http://[::1]:8000"],
        &[NONE],
        &[NONE, https],
        &[secure],
        &[secure, https],
        &[host, root],
        &[host, https, root],
        &[host, root, "--public-url=http://localhost:8000"],
        &[https, domain],
        &[https, "--refresh-cookie-domain=api.tarot.example"],
        &[https, "--refresh-cookie-path=/base/graphql"],
        &[https, "--refresh-cookie-path=/base/"],
        &[https, "--refresh-cookie-path=/base"],
        // Without a public address a proxy may add any path.
        &["--refresh-cookie-path=/api"],
    ] {
        assert_eq!(line(flags), "accepted", "{flags:?}");
    }
}

#[test]
fn a_name_a_path_and_a_domain_are_what_a_browser_accepts() {
    let takes = |flag: &str, value: &str| {
        try_settings(&[&format!("--refresh-cookie-{flag}={value}")]).is_ok()
    };
    for (flag, good, bad) in [
        (
            "name",
            &["a", "refresh_token", "__Host-a", "0"][..],
            &["", "a b", "a=b", "a;b", "é", "a,b"][..],
        ),
        ("path", &["/", "/api", "/a/b/"], &["", "api", "/a;b", "/a b", "/é"]),
        (
            "domain",
            &["tarot.example", "a-b.tarot.example"],
            &["", ".tarot.example", "localhost", "127.0.0.1", "a..b", "a b.c", "tarot.example:80"],
        ),
        ("same-site", &["strict", "lax", "none"], &["", "Strict ", "other"]),
        ("secure", &["true", "no"], &["", "maybe"]),
    ] {
        for value in good {
            assert!(takes(flag, value), "{flag}={value}");
        }
        for value in bad {
            assert!(!takes(flag, value), "{flag}={value}");
        }
    }
}
