//! Rate limits: by address where nobody is signed in, and by account. Limits fill up evenly over a
//! minute or an hour, so a test that sends a few requests in a row meets them as configured.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;

use crate::accounts::{
    PASSWORD, bad_credentials, failure_code, mutate, mutation, payload, registration,
    user_with_password,
};
use crate::support::app::{Engine, TestApp, TestResponse, data_of, send_request};
use crate::support::fixtures::{id, rows, user_id};

const WRONG: &str = "a wrong password";
const QUERY: &str = "{ __typename }";

/// A server with an admin and two others, with these flags.
async fn start(flags: &[&str]) -> TestApp {
    let app = TestApp::start_with(Engine::Sqlite, flags).await;
    let admin = users::Model { is_admin: true, ..user_with_password("admin").await };
    let people = vec![admin, user_with_password("ada").await, user_with_password("bob").await];
    app.insert(rows(people, Vec::new())).await;
    app
}

/// Sends a request with these headers.
async fn post(app: &TestApp, headers: &[(&str, &str)], body: &Value) -> TestResponse {
    let request = app
        .request(Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .header("content-type", "application/json")
        .body(body.to_string());
    send_request(
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)),
    )
    .await
}

/// Sends a request from another address, as a proxy forwards it.
async fn from(app: &TestApp, address: &str, body: &Value) -> TestResponse {
    post(app, &[("x-forwarded-for", address)], body).await
}

async fn log_in_from(app: &TestApp, address: &str, login: &str, password: &str) -> TestResponse {
    let input = json!({ "login": login, "password": password });
    let body = json!({ "query": mutation("login", ""), "variables": { "input": input } });
    from(app, address, &body).await
}

/// Asserts that a whole request was rejected, with every header; returns the delay until the next
/// one is allowed, in milliseconds.
fn refused_request(response: &TestResponse, what: &str) -> u64 {
    assert_eq!(response.status, 429, "{}", response.text);
    let wait = wait_of(response);
    assert_eq!(
        response.body_without_request_id(),
        json!({ "errors": [{
            "message": format!("too many {what}; try again later"),
            "extensions": { "code": "RATE_LIMITED", "retryAfterMs": wait, "requestId": "ID" },
        }] })
    );
    // Whole seconds, of which too few would be a lie.
    assert_eq!(response.header("retry-after"), wait.div_ceil(1_000).to_string());
    wait
}

/// Asserts that a field was rejected; returns the delay until the next one is allowed, in
/// milliseconds.
fn refused_field(response: &TestResponse, field: &str, what: &str) -> u64 {
    assert_eq!(response.status, 200, "{}", response.text);
    let wait = wait_of(response);
    let mut body = response.body_without_request_id();
    body["errors"][0].as_object_mut().expect("an error").remove("locations");
    assert_eq!(
        body,
        json!({ "data": { field: null }, "errors": [{
            "message": format!("too many {what}; try again later"),
            "path": [field],
            "extensions": { "code": "RATE_LIMITED", "retryAfterMs": wait, "requestId": "ID" },
        }] })
    );
    wait
}

fn wait_of(response: &TestResponse) -> u64 {
    let wait = &response.body["errors"][0]["extensions"]["retryAfterMs"];
    wait.as_u64().unwrap_or_else(|| panic!("{}", response.text))
}

fn is_passed(response: &TestResponse) -> bool {
    assert!([200, 429].contains(&response.status), "{}", response.text);
    response.status == 200
}

#[tokio::test]
async fn refusals_of_one_address_come_at_a_pace() {
    let app = start(&["--rate-limit=1", "--refusal-rate=4"]).await;
    assert!(is_passed(&app.query(QUERY).await));
    let started = Instant::now();
    // The first one at once, the others every 250 ms. Pages count as well.
    let page = || send_request(app.request(Method::GET, "/nothing"));
    let (refused, pages) =
        tokio::join!(join_all((0..3).map(|_| app.query(QUERY))), join_all((0..2).map(|_| page())));
    for response in refused.iter().chain(&pages) {
        refused_request(response, "requests");
    }
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn requests_of_nobody_are_limited_by_address() {
    let app = start(&["--rate-limit=3"]).await;
    for _ in 0..3 {
        assert_eq!(data_of(app.query(QUERY).await), json!({ "__typename": "Query" }));
    }
    let wait = refused_request(&app.query(QUERY).await, "requests");
    // One more every twenty seconds.
    assert!((1_001..=20_001).contains(&wait), "{wait}");
    // Nothing is executed, whatever the request and its errors.
    let input = json!({ "login": "ada", "password": WRONG });
    refused_request(&mutate(&app, None, ("login", ""), &input).await, "requests");
    refused_request(&app.query("{ nonsense").await, "requests");
    let get = app.request(Method::GET, "/graphql?query=%7B__typename%7D");
    refused_request(
        &send_request(get.header("accept", "application/graphql-response+json")).await,
        "requests",
    );
    let bad = post(&app, &[("authorization", "Bearer x")], &json!({ "query": QUERY })).await;
    refused_request(&bad, "requests");
    let ada = users::Entity::find_by_id(id("ada")).one(&app.database.connect().await).await;
    assert_eq!(ada.expect("read").expect("a user").failed_logins, 0);
    // Probes of this machine are not limited.
    let live = send_request(app.request(Method::GET, "/health/live")).await;
    assert_eq!(live.status, 200);
}

#[tokio::test]
async fn pages_probes_and_what_is_not_there_count_as_requests() {
    let app = start(&["--rate-limit=2", "--trusted-proxies=127.0.0.1"]).await;
    let get = async |path: &str, address: &str| {
        let request = app.request(Method::GET, path).header("x-forwarded-for", address);
        send_request(request).await
    };
    let paths = ["/nothing", "/", "/health", "/health/live", "/health/ready", "/health/x"];
    for (number, path) in paths.into_iter().enumerate() {
        let address = format!("192.0.2.{number}");
        for _ in 0..2 {
            let status = get(path, &address).await.status;
            assert_eq!(status, if path == "/nothing" || path == "/health/x" { 404 } else { 200 });
        }
        refused_request(&get(path, &address).await, "requests");
        // They share one limit with all other requests.
        refused_request(&from(&app, &address, &json!({ "query": QUERY })).await, "requests");
    }
    for address in ["127.0.0.1", "127.0.0.9", "::1"] {
        for _ in 0..5 {
            for path in ["/health", "/health/live", "/health/ready"] {
                assert_eq!(get(path, address).await.status, 200, "{address}");
            }
        }
    }
    for _ in 0..2 {
        assert_eq!(get("/nothing", "127.0.0.1").await.status, 404);
    }
    refused_request(&get("/nothing", "127.0.0.1").await, "requests");
}

/// Four times as many as one account, or one /64 network.
#[tokio::test]
async fn accounts_of_an_address_and_addresses_of_a_48_network_share_a_limit() {
    let app = start(&["--rate-limit=2", "--trusted-proxies=127.0.0.1"]).await;
    let body = json!({ "query": QUERY });
    let as_user = async |name: &str, address: &str| {
        let token = format!("Bearer {}", app.token_of(id(name)));
        post(&app, &[("x-forwarded-for", address), ("authorization", &token)], &body).await
    };
    for name in ["ada", "bob", "cy", "dot"] {
        for _ in 0..2 {
            assert_eq!(as_user(name, "192.0.2.1").await.status, 200);
        }
    }
    refused_request(&as_user("eve", "192.0.2.1").await, "requests");
    // The limit of requests without an account is another one, and so is that of another address.
    assert_eq!(from(&app, "192.0.2.1", &body).await.status, 200);
    assert_eq!(as_user("eve", "192.0.2.2").await.status, 200);

    let address = |network: u8| format!("2001:db8:0:{network}::1");
    for network in 1..=4 {
        for _ in 0..2 {
            assert_eq!(from(&app, &address(network), &body).await.status, 200);
        }
    }
    refused_request(&from(&app, &address(5), &body).await, "requests");
    assert_eq!(from(&app, "2001:db8:1::1", &body).await.status, 200);
}

#[tokio::test]
async fn requests_of_users_are_limited_by_account() {
    let app = start(&["--rate-limit=2"]).await;
    let query = "{ viewer { username } }";
    for _ in 0..2 {
        app.data_as(id("ada"), query).await;
    }
    refused_request(&app.query_as(id("ada"), query).await, "requests");
    // Other users behind the same address are not limited, nor are requests without a token.
    for _ in 0..2 {
        assert_eq!(app.data_as(id("bob"), query).await, json!({ "viewer": { "username": "bob" } }));
        assert_eq!(app.data(query).await, json!({ "viewer": null }));
    }
    refused_request(&app.query_as(id("bob"), query).await, "requests");
    refused_request(&app.query(query).await, "requests");
}

#[tokio::test]
async fn an_invalid_token_uses_no_rate_limit_of_an_account() {
    let app = start(&["--rate-limit=2"]).await;
    let claims = json!({
        "sub": id("ada"), "iss": "wasteland-tarot", "aud": "wasteland-tarot-api", "exp": 1,
    });
    let expired = crate::support::app::forge(&claims, crate::support::app::SECRET);
    for status in [401, 401, 429] {
        let response = app.send(Some(&expired), &json!({ "query": QUERY })).await;
        assert_eq!(response.status, status);
    }
    for _ in 0..2 {
        app.data_as(id("ada"), QUERY).await;
    }
}

#[tokio::test]
async fn a_request_after_the_retry_delay_is_allowed() {
    let app = start(&["--rate-limit=20"]).await;
    for _ in 0..20 {
        app.data(QUERY).await;
    }
    let wait = refused_request(&app.query(QUERY).await, "requests");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    app.data(QUERY).await;
}

#[tokio::test]
async fn queries_cost_points() {
    let app = start(&["--rate-limit=100", "--rate-limit-cost=25"]).await;
    let ten = "{ cards(first: 10) { nodes { name } } }";
    for user in [None, Some(id("ada"))] {
        for _ in 0..2 {
            data_of(app.query_as_viewer(user, ten).await);
        }
        let refused = app.query_as_viewer(user, ten).await;
        let wait = refused_request(&refused, "cost points");
        // Five points are missing, and twenty-five come in a minute.
        assert!((1_001..=12_001).contains(&wait), "{wait}");
        assert_eq!(refused.statements(), 0);
        // A query within the rest of the limit passes, and a free one in any case.
        data_of(app.query_as_viewer(user, "{ cards(first: 5) { nodes { name } } }").await);
        data_of(app.query_as_viewer(user, QUERY).await);
        assert_eq!(app.query_as_viewer(user, ten).await.status, 429);
    }
}

#[tokio::test]
async fn a_query_that_costs_more_than_a_minute_allows_passes_on_a_full_limit() {
    let app = start(&["--rate-limit=100", "--rate-limit-cost=5"]).await;
    let ten = "{ cards(first: 10) { nodes { name } } }";
    data_of(app.query(ten).await);
    refused_request(&app.query("{ cards(first: 1) { nodes { name } } }").await, "cost points");
}

#[tokio::test]
async fn a_limit_of_nothing_is_none() {
    let app = start(&["--rate-limit=0", "--rate-limit-cost=5"]).await;
    for _ in 0..50 {
        data_of(app.query("{ spreads(first: 10) { nodes { name } } }").await);
    }
    let app = start(&["--rate-limit=1000", "--rate-limit-cost=0"]).await;
    for _ in 0..50 {
        data_of(app.query("{ spreads(first: 10) { nodes { name } } }").await);
    }
}

#[tokio::test]
async fn logins_are_limited_by_address() {
    let app = start(&["--login-rate=3", "--trusted-proxies=127.0.0.1"]).await;
    // Any login, whether or not it succeeds.
    for (login, password) in [("ada", PASSWORD), ("bob", WRONG), ("nobody", WRONG)] {
        payload("login", log_in_from(&app, "198.51.100.1", login, password).await);
    }
    let wait = refused_field(
        &log_in_from(&app, "198.51.100.1", "ada", PASSWORD).await,
        "login",
        "attempts",
    );
    assert!((1_001..=20_001).contains(&wait), "{wait}");
    // Passwords that are given elsewhere count as well, with whatever account.
    for (name, input) in [
        ("changePassword", json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD })),
        ("deleteAccount", json!({ "password": PASSWORD })),
    ] {
        let token = format!("Bearer {}", app.token_of(id("bob")));
        let headers = [("authorization", token.as_str()), ("x-forwarded-for", "198.51.100.1")];
        let body = json!({ "query": mutation(name, ""), "variables": { "input": input } });
        refused_field(&post(&app, &headers, &body).await, name, "attempts");
    }
    // Nothing else is: existing sessions stay, and other users log in.
    data_of(from(&app, "198.51.100.1", &json!({ "query": QUERY })).await);
    let done = payload("login", log_in_from(&app, "198.51.100.2", "ada", PASSWORD).await);
    assert_eq!(done["userErrors"], json!([]));
}

#[tokio::test]
async fn all_attempts_of_a_request_are_one_and_the_only_one() {
    let app = start(&["--login-rate=2"]).await;
    let field = |n| {
        format!(" a{n}: login(input: {{ login: \"ada\", password: {WRONG:?} }}) {{ __typename }}")
    };
    let many = format!("mutation {{{} }}", (0..30).map(field).collect::<String>());
    for _ in 0..2 {
        let response = app.query(&many).await;
        assert_eq!(response.body["data"]["a0"], json!({ "__typename": "LoginPayload" }));
        assert_eq!(response.body["data"]["a1"], Value::Null);
    }
    let response = app.query(&many).await;
    assert_eq!(response.body["data"]["a0"], Value::Null);
    assert_eq!(response.body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
}

#[tokio::test]
async fn wrong_passwords_are_limited_by_name_over_all_unknown_networks() {
    let flags = ["--login-failure-rate=3", "--login-failures=100", "--trusted-proxies=127.0.0.1"];
    let app = start(&flags).await;
    for name in ["ada", "nobody"] {
        for host in 0..3 {
            // The same name however it is typed.
            let login = if host == 1 { name.to_uppercase() } else { name.to_owned() };
            let address = format!("198.51.100.{host}");
            let response = log_in_from(&app, &address, &login, WRONG).await;
            assert_eq!(payload("login", response)["userErrors"], json!([bad_credentials()]));
        }
        for host in 3..6 {
            let address = format!("198.51.100.{host}");
            let response = log_in_from(&app, &address, name, WRONG).await;
            let wait = refused_field(&response, "login", "wrong passwords");
            // One more every twenty minutes.
            assert!((60_001..=1_200_001).contains(&wait), "{wait}");
        }
        // Nor is the right password checked, or it could be guessed.
        let response = log_in_from(&app, "198.51.100.99", name, PASSWORD).await;
        refused_field(&response, "login", "wrong passwords");
    }
    // Right ones are not counted.
    for _ in 0..10 {
        let done = payload("login", log_in_from(&app, "198.51.100.1", "bob", PASSWORD).await);
        assert_eq!(done["userErrors"], json!([]));
    }
}

#[tokio::test]
async fn registrations_are_limited_by_address() {
    let app = start(&["--registration-rate=2", "--trusted-proxies=127.0.0.1"]).await;
    let register = async |address: &str, input: &Value| {
        let body = json!({ "query": mutation("register", ""), "variables": { "input": input } });
        from(&app, address, &body).await
    };
    // Rejected ones count as well: they reveal the existing names.
    let done = payload("register", register("198.51.100.1", &registration("new")).await);
    assert_eq!(done["userErrors"], json!([]));
    let taken = payload("register", register("198.51.100.1", &registration("ada")).await);
    assert_eq!(taken["userErrors"][0]["code"], "TAKEN");
    let third = register("198.51.100.1", &registration("newer")).await;
    let wait = refused_field(&third, "register", "registrations");
    assert!((60_001..=1_800_001).contains(&wait), "{wait}");
    let done = payload("register", register("198.51.100.2", &registration("newer")).await);
    assert_eq!(done["userErrors"], json!([]));
}

#[tokio::test]
async fn mutations_of_an_admin_are_limited_by_account() {
    let app = start(&["--admin-rate=2"]).await;
    let other = users::Model { is_admin: true, ..user_with_password("other").await };
    app.insert(rows(vec![other], Vec::new())).await;
    let lock = async |admin: &str| {
        let (token, input) = (app.token_of(id(admin)), json!({ "userId": user_id("bob") }));
        mutate(&app, Some(&token), ("adminLockUser", "adminUser { lockedUntil }"), &input).await
    };
    for _ in 0..2 {
        assert_eq!(payload("adminLockUser", lock("admin").await)["userErrors"], json!([]));
    }
    let wait = refused_field(&lock("admin").await, "adminLockUser", "admin mutations");
    assert!((1_001..=30_001).contains(&wait), "{wait}");
    let token = app.token_of(id("admin"));
    let input = json!({ "userId": user_id("bob") });
    let unlock = ("adminUnlockUser", "adminUser { lockedUntil }");
    let response = mutate(&app, Some(&token), unlock, &input).await;
    refused_field(&response, "adminUnlockUser", "admin mutations");
    // Reads of admins are not limited, and another admin may go on.
    app.data_as(id("admin"), "{ admin { users { nodes { lockedUntil } } } }").await;
    assert_eq!(payload("adminLockUser", lock("other").await)["userErrors"], json!([]));
    assert_eq!(failure_code(&lock("ada").await), "FORBIDDEN");
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_a_trusted_proxy_only() {
    let query = json!({ "query": QUERY });
    let app = start(&["--rate-limit=1", "--trusted-proxies=127.0.0.1"]).await;
    for address in ["198.51.100.1", "198.51.100.2", "2001:db8::1"] {
        assert!(is_passed(&from(&app, address, &query).await), "{address}");
        assert!(!is_passed(&from(&app, address, &query).await), "{address}");
    }
    // The last address is the one that the proxy saw; those before it anybody can have written.
    assert!(!is_passed(&from(&app, "203.0.113.7, 198.51.100.1", &query).await));
    // Addresses of one IPv6 network are of one household, and an IPv4 address is the same in either
    // form.
    assert!(!is_passed(&from(&app, "2001:db8::ffff:2", &query).await));
    assert!(is_passed(&from(&app, "2001:db8:0:1::1", &query).await));
    assert!(!is_passed(&from(&app, "::ffff:198.51.100.1", &query).await));
    // The proxy itself.
    assert!(is_passed(&app.query(QUERY).await));
    assert!(!is_passed(&from(&app, "nonsense", &query).await));

    let app = start(&["--rate-limit=1"]).await;
    assert!(is_passed(&from(&app, "198.51.100.1", &query).await));
    assert!(!is_passed(&from(&app, "198.51.100.2", &query).await));
    let app = start(&["--rate-limit=1", "--trusted-proxies=10.0.0.0/8"]).await;
    assert!(is_passed(&from(&app, "198.51.100.1", &query).await));
    assert!(!is_passed(&from(&app, "198.51.100.2", &query).await));
}

/// Sends a request with these headers through a proxy.
async fn via_proxy(app: &TestApp, headers: &[(&str, &str)]) -> TestResponse {
    post(app, headers, &json!({ "query": QUERY })).await
}

/// Asserts that requests with these headers are all of one client, and of no other than the first one's.
async fn assert_one_client(app: &TestApp, header: &str, values: &[&str]) {
    let (first, others) = values.split_first().expect("values");
    assert!(is_passed(&via_proxy(app, &[(header, first)]).await), "{header}: {first}");
    for value in others {
        assert!(!is_passed(&via_proxy(app, &[(header, value)]).await), "{header}: {value}");
    }
}

#[tokio::test]
async fn a_forwarded_address_may_have_a_port_and_brackets() {
    let app = start(&["--rate-limit=1", "--trusted-proxies=127.0.0.1,10.0.0.0/8"]).await;
    assert_one_client(
        &app,
        "x-forwarded-for",
        &[
            "198.51.100.1",
            "198.51.100.1:4711",
            "::ffff:198.51.100.1",
            "[::ffff:198.51.100.1]:4711",
            "203.0.113.7:80,198.51.100.1:4711",
            "203.0.113.7, 198.51.100.1:4711 , 10.0.0.1:80",
            ", 198.51.100.1,,",
            "nonsense, 198.51.100.1",
        ],
    )
    .await;
    // Of IPv6 the limit is that of the /64 network.
    assert_one_client(
        &app,
        "x-forwarded-for",
        &[
            "2001:db8::1",
            "[2001:db8::1]",
            "[2001:db8::1]:4711",
            "2001:db8::ffff:2",
            "2001:DB8:0:0:1:2:3:4",
            "nonsense, [2001:db8::3]:1, 10.1.1.1:2",
        ],
    )
    .await;
    assert_one_client(&app, "x-forwarded-for", &["2001:db8:0:1::1", "[2001:db8:0:1::2]:3"]).await;
}

/// RFC 7239, with the examples of its sections 4, 6 and 7.
#[tokio::test]
async fn forwarded_names_the_client_in_its_parameter_for() {
    let app = start(&["--rate-limit=1", "--trusted-proxies=127.0.0.1,10.0.0.0/8"]).await;
    assert_one_client(
        &app,
        "forwarded",
        &[
            "for=192.0.2.43",
            "For=192.0.2.43",
            "for=\"192.0.2.43\"",
            "for=\"192.0.2.43:47011\"",
            "for=\"192.0.2.43:_port\"",
            "for=\"192\\.0.2.43\"",
            "for=192.0.2.43;proto=http;by=203.0.113.43",
            "by=203.0.113.43; for=192.0.2.43 ;host=\"a,b;for=1.1.1.1\"",
            "for=\"[2001:db8:cafe::17]:4711\", for=192.0.2.43",
            "for=unknown, for=192.0.2.43, for=\"10.0.0.1:80\"",
            "for=192.0.2.43;host=\"\\\"\",for=10.0.0.1;secret=_x,",
            "for=192.0.2.43;",
        ],
    )
    .await;
    assert_one_client(
        &app,
        "forwarded",
        &[
            "for=\"[2001:db8:cafe::17]:4711\"",
            "for=\"[2001:db8:cafe::18]\"",
            "For=\"[2001:db8:cafe::17]:4711\";proto=https",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_request_without_a_readable_client_is_that_of_the_proxy() {
    let app = start(&["--rate-limit=1", "--trusted-proxies=127.0.0.1,10.0.0.0/8"]).await;
    assert!(is_passed(&app.query(QUERY).await));
    for value in [
        "nonsense",
        "198.51.100.1, nonsense",
        "unknown",
        "198.51.100.1:port",
        "198.51.100.1:",
        "198.51.100.1:65536",
        "198.51.100.1:80:80",
        "198.51.100",
        "2001:db8::1]:80",
        "[2001:db8::1",
        "[2001:db8::1]80",
        "[2001:db8::1]:",
        "[198.51.100.1]:80",
        "fe80::1%eth0",
        "\"198.51.100.1\"",
        "198.51.100.1 198.51.100.2",
        "198.51.100.1;198.51.100.2",
        "",
        ",",
    ] {
        assert!(!is_passed(&via_proxy(&app, &[("x-forwarded-for", value)]).await), "{value}");
    }
    for value in [
        "for=unknown",
        "for=_hidden",
        "for=\"_hidden:_port\"",
        "for=192.0.2.43, for=unknown",
        "proto=https",
        "for",
        "for=",
        "192.0.2.43",
        "for=192.0.2.43;for=192.0.2.44",
        "for=\"192.0.2.43",
        "for=192.0.2.43\"",
        "for=\"192.0.2.43\"x",
        "for=192.0.2.43;proto",
        "for=192.0.2.43 x",
        // The client has opened a quoted string that would contain the element of its proxy.
        "for=192.0.2.43;x=\", for=198.51.100.1",
        "for=192.0.2.43;x=\", for=\"198.51.100.1\"",
        "for=192.0.2.43;x=\", for=198.51.100.1;host=\"a\\\"b\"",
        "for=192.0.2.43;x=\"\\, for=\"[2001:db8::1]\"",
    ] {
        assert!(!is_passed(&via_proxy(&app, &[("forwarded", value)]).await), "{value}");
    }
    // The proxy that reported no address counts as the client.
    assert_one_client(&app, "x-forwarded-for", &["10.0.0.1", "nonsense, 10.0.0.1", "x,10.0.0.1:5"])
        .await;
    assert_one_client(&app, "forwarded", &["for=10.0.0.2", "for=unknown, for=10.0.0.2"]).await;
}

#[tokio::test]
async fn only_the_header_that_the_proxy_writes_is_read() {
    let (one, other) = ("198.51.100.1", "198.51.100.2");
    let for_other = format!("for={other}");
    let forge = [("x-forwarded-for", one), ("forwarded", for_other.as_str())];
    let proxies = "--trusted-proxies=127.0.0.1";
    for (headers, counted) in [("x-forwarded-for", one), ("forwarded", other), ("Forwarded", other)]
    {
        let named = format!("--trusted-proxy-headers={headers}");
        let app = start(&["--rate-limit=1", proxies, &named]).await;
        assert!(is_passed(&via_proxy(&app, &forge).await));
        let header = headers.to_lowercase();
        let value = if counted == other { for_other.as_str() } else { one };
        assert!(!is_passed(&via_proxy(&app, &[(&header, value)]).await), "{headers}");
        // The other header alone is not read: this is the proxy.
        let ignored = forge.iter().find(|(name, _)| *name != header).expect("another");
        assert!(is_passed(&via_proxy(&app, &[*ignored]).await), "{headers}");
        assert!(!is_passed(&app.query(QUERY).await), "{headers}");
    }
    // If both headers are trusted, they must agree: otherwise the client may have forged one of them.
    let app = start(&["--rate-limit=1", proxies]).await;
    let agreeing = format!("for=\"{one}:80\"");
    let both = [("x-forwarded-for", one), ("forwarded", agreeing.as_str())];
    assert!(is_passed(&via_proxy(&app, &both).await));
    assert!(!is_passed(&via_proxy(&app, &both[..1]).await));
    assert!(is_passed(&app.query(QUERY).await));
    assert!(!is_passed(&via_proxy(&app, &forge).await), "neither, but the proxy");
    assert!(is_passed(&via_proxy(&app, &[("forwarded", &for_other)]).await));
}
