//! Sessions: logging in and being locked out, refresh tokens, logging out, and other fields that need
//! a password.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{join, join_all};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use wasteland_tarot::db::entities::{
    idempotency_keys, login_sessions, login_throttles, refresh_tokens, users,
};
use wasteland_tarot::db::now;
use wasteland_tarot::services::maintenance::sweep;
use wasteland_tarot::services::tokens::AccessClaims;

use crate::accounts::{
    PASSWORD, bad_credentials, failure_code, mutate, mutation, payload, plain_refusal,
    registration, user_with_password, with,
};
use crate::support::app::{
    Engine, SECRET, TestApp, TestDatabase, TestResponse, data_of, forge, on_both_databases,
    send_request,
};
use crate::support::fixtures::{id, reading, reading_id, rows, user};

/// Selection of both tokens.
pub const SESSION: &str =
    "session { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt }";
const WRONG: &str = "a wrong password";

/// A server with users with a password.
pub async fn start(engine: Engine, names: &[&str], flags: &[&str]) -> TestApp {
    let app = TestApp::start_with(engine, flags).await;
    let mut people = Vec::new();
    for name in names {
        people.push(user_with_password(name).await);
    }
    app.insert(rows(people, Vec::new())).await;
    app
}

/// Both tokens of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub access: String,
    pub refresh: String,
}

impl Pair {
    pub fn of(session: &Value) -> Self {
        let text = |name: &str| session[name].as_str().expect("a token").to_owned();
        Self { access: text("accessToken"), refresh: text("refreshToken") }
    }
}

/// Body of a logout that found no session.
fn nothing_ended() -> Value {
    json!({ "data": { "logout": { "loggedOut": false, "userErrors": [] } } })
}

async fn try_login(app: &TestApp, login: &str, password: &str) -> TestResponse {
    let input = json!({ "login": login, "password": password });
    mutate(app, None, ("login", &format!("{SESSION} viewer {{ username }}")), &input).await
}

/// Logs in, which must succeed.
pub async fn log_in(app: &TestApp, login: &str) -> Pair {
    let done = payload("login", try_login(app, login, PASSWORD).await);
    assert_eq!(done["userErrors"], json!([]), "{login}");
    Pair::of(&done["session"])
}

/// Setting under which `x-forwarded-for` names the client.
const BEHIND_PROXY: &str = "--trusted-proxies=127.0.0.1";
const HERE: &str = "198.51.100.1";
const ELSEWHERE: &str = "198.51.100.2";

/// Outcome of a mutation with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Right,
    Wrong,
    /// Refused for so many seconds.
    Waits(i64),
}

impl Outcome {
    /// Outcome of a response, the whole of which is checked.
    fn of(field: &str, response: &TestResponse) -> Self {
        let done = &response.body["data"][field];
        if !done.is_null() {
            let errors = done["userErrors"].as_array().expect("a list");
            if errors.is_empty() {
                return Self::Right;
            }
            assert_eq!(errors.len(), 1, "{}", response.text);
            assert_eq!(errors[0]["code"], "BAD_CREDENTIALS", "{}", response.text);
            return Self::Wrong;
        }
        let wait = &response.body["errors"][0]["extensions"]["retryAfterMs"];
        let wait = wait.as_u64().unwrap_or_else(|| panic!("{}", response.text));
        let mut body = response.body_without_request_id();
        body["errors"][0].as_object_mut().expect("an error").remove("locations");
        assert_eq!(
            body,
            json!({ "data": { field: null }, "errors": [{
                "message": "too many wrong passwords; try again later", "path": [field],
                "extensions": { "code": "RATE_LIMITED", "retryAfterMs": wait, "requestId": "ID" },
            }] })
        );
        Self::Waits(i64::try_from(wait.div_ceil(1_000)).expect("a short wait"))
    }
}

/// Asserts that an attempt is refused for that time, of which some has passed.
fn assert_waits(outcome: Outcome, seconds: i64) {
    let Outcome::Waits(wait) = outcome else { panic!("{outcome:?}") };
    assert!((seconds - PASSED..=seconds).contains(&wait), "{wait} of {seconds}");
}

/// Longest time in seconds between two requests that follow each other.
const PASSED: i64 = 20;

async fn outcome(app: &TestApp, login: &str, password: &str) -> Outcome {
    Outcome::of("login", &try_login(app, login, password).await)
}

/// Outcome of a login from that address.
async fn outcome_from(app: &TestApp, address: &str, login: &str, password: &str) -> Outcome {
    let input = json!({ "login": login, "password": password });
    let sent = body("login", "viewer { id }", &input);
    Outcome::of("login", &post(app, &[("x-forwarded-for", address)], &sent).await)
}

/// User error of a failed login, which has no other effect.
async fn login_refused(app: &TestApp, login: &str, password: &str) -> Value {
    let mut done = payload("login", try_login(app, login, password).await);
    assert_eq!([&done["session"], &done["viewer"]], [&Value::Null; 2], "{login}");
    let errors = done["userErrors"].as_array_mut().expect("a list");
    assert_eq!(errors.len(), 1, "{login}");
    errors.remove(0)
}

/// The new pair, or nothing where the session is over.
async fn try_refresh(app: &TestApp, token: &str) -> Option<Pair> {
    let input = json!({ "refreshToken": token });
    let selection = format!("{SESSION} viewer {{ id }}");
    let done =
        payload("refreshSession", mutate(app, None, ("refreshSession", &selection), &input).await);
    if done["userErrors"] == json!([]) {
        return Some(Pair::of(&done["session"]));
    }
    let mut over = bad_credentials();
    over["code"] = "SESSION_EXPIRED".into();
    over["message"] = "the session is over; log in again".into();
    assert_eq!(done, json!({ "session": null, "viewer": null, "userErrors": [over] }));
    None
}

pub async fn refreshed(app: &TestApp, token: &str) -> Pair {
    try_refresh(app, token).await.expect("the session goes on")
}

pub async fn is_over(app: &TestApp, token: &str) -> bool {
    try_refresh(app, token).await.is_none()
}

fn advance(app: &TestApp, by: TimeDelta) {
    app.app.services.clock.advance(by);
}

/// Puts the clock forward to that time, from its current one: expiry times just before it are at a
/// distance from it.
fn advance_to(app: &TestApp, time: DateTime<Utc>) {
    let clock = &app.app.services.clock;
    clock.advance(time - clock.now());
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).expect("a time")
}

async fn row(app: &TestApp, name: &str) -> users::Model {
    let connection = app.database.connect().await;
    let found = users::Entity::find_by_id(id(name)).one(&connection).await;
    found.expect("read").expect("a user")
}

/// Sends a request with these headers and no others of that kind.
pub async fn post(app: &TestApp, headers: &[(&str, &str)], body: &Value) -> TestResponse {
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

/// The body of a request with one mutation.
pub fn body(name: &str, selection: &str, input: &Value) -> Value {
    json!({ "query": mutation(name, selection), "variables": { "input": input } })
}

on_both_databases! {
    async fn one_logs_in_with_the_address_or_the_username(engine: Engine) {
        let app = start(engine, &["ada", "bob"], &[]).await;
        assert_eq!(row(&app, "ada").await.last_login_at, None);
        for login in ["ada", " ADA ", "ada@example.com", "Ada@Example.COM"] {
            let before = now();
            let done = payload("login", try_login(&app, login, PASSWORD).await);
            let after = now();
            assert_eq!(done["viewer"], json!({ "username": "ada" }), "{login}");
            assert_eq!(done["userErrors"], json!([]));
            let ends = |name: &str, after: TimeDelta| time(&done["session"][name]) - after;
            for began in [
                ends("accessTokenExpiresAt", TimeDelta::minutes(15)),
                ends("refreshTokenExpiresAt", TimeDelta::days(14)),
                row(&app, "ada").await.last_login_at.expect("recorded"),
            ] {
                assert!(before <= began && began <= after, "{before} {began} {after}");
            }
            let access = &Pair::of(&done["session"]).access;
            let who = app.send(Some(access), &json!({ "query": "{ viewer { username } }" })).await;
            assert_eq!(data_of(who), json!({ "viewer": { "username": "ada" } }));
        }
        assert_eq!(row(&app, "bob").await.last_login_at, None);
    }

    async fn fields_after_a_login_see_its_viewer(engine: Engine) {
        let app = start(engine, &["ada", "bob"], &[]).await;
        let token = app.token_of(id("ada"));
        let selection = "viewer { username email }";
        let input = json!({ "login": "bob", "password": PASSWORD });
        let done = payload("login", mutate(&app, Some(&token), ("login", selection), &input).await);
        // The e-mail address is Bob's own, and Ada may not see it.
        assert_eq!(done["viewer"], json!({ "username": "bob", "email": "bob@example.com" }));
    }

    async fn a_wrong_password_and_an_unknown_name_get_the_same_response(engine: Engine) {
        let app = start(engine, &["ada"], &["--login-failures=100"]).await;
        let gone = users::Model { is_active: false, ..user_with_password("gone").await };
        app.insert(rows(vec![gone], Vec::new())).await;
        let wrong = try_login(&app, "ada", WRONG).await;
        assert_eq!(
            wrong.body,
            json!({ "data": { "login": {
                "session": null, "viewer": null, "userErrors": [bad_credentials()],
            } } })
        );
        let shown = |response: &TestResponse| {
            let mut headers = response.headers.clone();
            for name in ["x-request-id", "date"] {
                assert!(headers.remove(name).is_some(), "{name}");
            }
            // It has durations, and no statements or rows.
            let timing = headers.remove("server-timing").expect("a header");
            let timing = timing.to_str().expect("text");
            assert!(timing.starts_with("total;dur=") && !timing.contains("sql"), "{timing}");
            (response.status, headers, response.text.clone())
        };
        for (login, password) in [
            ("ada@example.com", WRONG),
            ("nobody", WRONG),
            ("nobody@example.com", PASSWORD),
            ("", PASSWORD),
            // Deactivated.
            ("gone", PASSWORD),
            ("gone", WRONG),
            // Invalid passwords.
            ("ada", ""),
            ("ada", &"x".repeat(5_000)),
        ] {
            let other = try_login(&app, login, password).await;
            assert_eq!(shown(&other), shown(&wrong), "{login}");
        }
        let other = try_login(&app, "a\u{0}da", PASSWORD).await;
        assert_eq!(other.text, wrong.text);
    }

    async fn five_wrong_passwords_lock_the_address_out_of_the_account(engine: Engine) {
        let app = start(engine, &["ada", "bob"], &[BEHIND_PROXY]).await;
        // A right password takes four wrong ones back, by whichever name they were given.
        for _ in 0..2 {
            for login in ["ada", "ada", "ADA", " ada "] {
                assert_eq!(outcome_from(&app, HERE, login, WRONG).await, Outcome::Wrong);
            }
            assert_eq!(row(&app, "ada").await.failed_logins, 4);
            assert_eq!(outcome_from(&app, HERE, "ada", PASSWORD).await, Outcome::Right);
            assert_eq!(row(&app, "ada").await.failed_logins, 0);
        }
        for _ in 0..5 {
            assert_eq!(outcome_from(&app, HERE, "ada", WRONG).await, Outcome::Wrong);
        }
        // The right password meets the lock as a wrong one does, and neither is checked.
        let hashed = app.app.services.passwords.hashed();
        for password in [PASSWORD, WRONG, PASSWORD] {
            assert_waits(outcome_from(&app, HERE, "ada", password).await, 60);
        }
        assert_eq!(app.app.services.passwords.hashed(), hashed);
        assert_eq!(row(&app, "ada").await.failed_logins, 5);
        // The owner elsewhere, and others here, are not locked.
        assert_eq!(outcome_from(&app, ELSEWHERE, "ada", PASSWORD).await, Outcome::Right);
        assert_eq!(outcome_from(&app, HERE, "bob", PASSWORD).await, Outcome::Right);
        assert_waits(outcome_from(&app, HERE, "ada", PASSWORD).await, 60);
    }

    async fn waits_double_up_to_an_hour(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        for _ in 0..4 {
            assert_eq!(outcome(&app, "ada", WRONG).await, Outcome::Wrong);
        }
        for wait in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            assert_eq!(outcome(&app, "ada", WRONG).await, Outcome::Wrong, "{wait}");
            assert_waits(outcome(&app, "ada", WRONG).await, wait);
            advance(&app, TimeDelta::seconds(wait - PASSED));
            assert_waits(outcome(&app, "ada", PASSWORD).await, PASSED);
            advance(&app, TimeDelta::seconds(PASSED));
        }
        // Pausing for four hours is no shorter way than waiting for an hour each time.
        advance(&app, TimeDelta::hours(4) - TimeDelta::seconds(PASSED));
        assert_eq!(outcome(&app, "ada", WRONG).await, Outcome::Wrong);
        assert_waits(outcome(&app, "ada", WRONG).await, 3_600);
        advance(&app, TimeDelta::hours(6) + TimeDelta::seconds(PASSED));
        for _ in 0..4 {
            assert_eq!(outcome(&app, "ada", WRONG).await, Outcome::Wrong);
        }
        assert_eq!(outcome(&app, "ada", PASSWORD).await, Outcome::Right);
        for _ in 0..5 {
            assert_eq!(outcome(&app, "ada", WRONG).await, Outcome::Wrong);
        }
        assert_waits(outcome(&app, "ada", PASSWORD).await, 60);
    }

    async fn a_lock_survives_a_restart_and_holds_on_all_servers(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        for _ in 0..5 {
            outcome(&app, "ada", WRONG).await;
        }
        let other = TestApp::start_on(TestDatabase::at(app.database.url.clone()), &[]).await;
        assert_waits(outcome(&other, "ada", PASSWORD).await, 60);
    }

    async fn waits_and_failures_are_settings(engine: Engine) {
        let flags = ["--login-failures=1", "--login-wait-seconds=70", "--lock-out-seconds=200"];
        let app = start(engine, &["ada"], &flags).await;
        for wait in [70, 140, 200, 200] {
            assert_eq!(outcome(&app, "ada", WRONG).await, Outcome::Wrong, "{wait}");
            assert_waits(outcome(&app, "ada", PASSWORD).await, wait);
            advance(&app, TimeDelta::seconds(wait));
        }
        assert_eq!(outcome(&app, "ada", PASSWORD).await, Outcome::Right);
    }

    /// Neither the answers nor their times tell the names of one account from names of nobody.
    async fn two_names_of_an_account_look_like_two_names_of_nobody(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let account = ["ada@example.com", "ada"];
        let nobody = ["nobody@example.com", "nobody"];
        // 0 is the e-mail address and 1 the username; a pause lets each lock end.
        let mut rng = StdRng::seed_from_u64(3);
        let mut locked = 0_i32;
        for step in 0..120 {
            let name = rng.random_range(0..2);
            let one = outcome(&app, account[name], WRONG).await;
            match (one, outcome(&app, nobody[name], WRONG).await) {
                (Outcome::Wrong, Outcome::Wrong) => {}
                (Outcome::Waits(one), Outcome::Waits(other)) => {
                    locked += 1;
                    assert!((one - other).abs() < PASSED, "{one} and {other}, step {step}");
                }
                other => panic!("{other:?}, step {step}"),
            }
            if step % 20 == 19 {
                advance(&app, TimeDelta::seconds([30, 100, 500, 7_200][rng.random_range(0..4)]));
            }
        }
        assert!(locked > 20, "{locked}");
    }

    async fn a_second_name_gives_no_further_attempts(engine: Engine) {
        let app = start(engine, &["ada"], &[BEHIND_PROXY]).await;
        for login in ["ada@example.com", "ada", "ada@example.com", "ada", "ada"] {
            assert_eq!(outcome_from(&app, HERE, login, WRONG).await, Outcome::Wrong);
        }
        // The account is locked, neither name is: the right password is not known to be right.
        assert_eq!(outcome_from(&app, HERE, "ada", PASSWORD).await, Outcome::Wrong);
        assert_eq!(outcome_from(&app, HERE, "ada@example.com", PASSWORD).await, Outcome::Wrong);
        assert_eq!(outcome_from(&app, ELSEWHERE, "ada", PASSWORD).await, Outcome::Right);
        advance(&app, TimeDelta::seconds(60));
        assert_eq!(outcome_from(&app, HERE, "ada", PASSWORD).await, Outcome::Right);
    }

    async fn of_wrong_passwords_at_once_five_are_told(engine: Engine) {
        let app = start(engine, &["ada"], &["--database-pool-size=8"]).await;
        let all = join_all((0..20).map(|_| outcome(&app, "ada", WRONG))).await;
        let told = all.iter().filter(|outcome| **outcome == Outcome::Wrong).count();
        assert_eq!(told, 5, "{all:?}");
        assert_waits(outcome(&app, "ada", PASSWORD).await, 60);
    }

    async fn too_many_failures_everywhere_delay_clients_of_unknown_networks(engine: Engine) {
        let flags = [BEHIND_PROXY, "--login-failure-rate=3", "--login-failures=100"];
        let app = start(engine, &["ada"], &flags).await;
        let known = ["198.51.100.77", "2001:db8:0:7::1"];
        for address in known {
            assert_eq!(outcome_from(&app, address, "ada", PASSWORD).await, Outcome::Right);
        }
        let attack = async |app: &TestApp| {
            for host in 0..3 {
                let address = format!("203.0.113.{host}");
                assert_eq!(outcome_from(app, &address, "ada", WRONG).await, Outcome::Wrong);
            }
            for address in ["203.0.113.9", "2001:db8:0:8::1"] {
                let delayed = outcome_from(app, address, "ada", PASSWORD).await;
                // One more every twenty minutes.
                assert!(matches!(delayed, Outcome::Waits(1_100..=1_200)), "{delayed:?}");
            }
            // Another address of the same IPv6 network is known.
            for address in ["198.51.100.77", "2001:db8:0:7::ffff"] {
                assert_eq!(outcome_from(app, address, "ada", PASSWORD).await, Outcome::Right);
            }
            // Counted by the typed name: two names of an account look like two names of nobody.
            let other_name = outcome_from(app, "203.0.113.8", "ada@example.com", WRONG).await;
            assert_eq!(other_name, Outcome::Wrong);
        };
        attack(&app).await;
        // Known networks outlast the process, and the end of their logins.
        let everywhere = json!({ "everywhere": true });
        log_out(&app, Some(&app.token_of(id("ada"))), &everywhere).await;
        attack(&TestApp::start_on(TestDatabase::at(app.database.url.clone()), &flags).await).await;
    }

    async fn spellings_of_a_username_are_throttled_as_one_name(engine: Engine) {
        let flags = [BEHIND_PROXY, "--login-failure-rate=3", "--login-failures=100"];
        let app = start(engine, &["straße"], &flags).await;
        for (host, spelling) in ["straße", "STRASSE", "strasse"].into_iter().enumerate() {
            let address = format!("203.0.113.{host}");
            assert_eq!(outcome_from(&app, &address, spelling, WRONG).await, Outcome::Wrong);
        }
        for spelling in ["straße", "Strasse"] {
            let delayed = outcome_from(&app, "203.0.113.9", spelling, PASSWORD).await;
            assert!(matches!(delayed, Outcome::Waits(1_100..=1_200)), "{delayed:?}");
        }
    }

    async fn a_request_checks_one_password(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let aliased = |count: usize, password: &str| {
            let field = |n| {
                format!(" a{n}: login(input: {{ login: \"ada\", password: {password:?} }}) {{
                    viewer {{ username }} userErrors {{ code }} }}")
            };
            format!("mutation {{{} }}", (0..count).map(field).collect::<String>())
        };
        let response = app.query(&aliased(30, WRONG)).await;
        assert_eq!(row(&app, "ada").await.failed_logins, 1);
        let data = response.body["data"].as_object().expect("data");
        assert_eq!(data["a0"]["userErrors"], json!([{ "code": "BAD_CREDENTIALS" }]));
        assert_eq!(data.len(), 30);
        assert!((1..30).all(|n| data[&format!("a{n}")].is_null()), "{}", response.text);
        let error = &response.body_without_request_id()["errors"][0];
        assert_eq!(error["path"], json!(["a1"]));
        assert_eq!(error["message"], "a request may give one password; send another request");
        assert_eq!(
            error["extensions"],
            json!({ "code": "BAD_USER_INPUT", "argument": "input", "requestId": "ID" })
        );
        // The right one is not found by a guess that comes second.
        let mixed = aliased(2, PASSWORD).replacen(PASSWORD, WRONG, 1);
        let response = app.query(&mixed).await;
        assert_eq!(response.body["data"]["a1"], Value::Null);
        assert_eq!(row(&app, "ada").await.failed_logins, 2);

        let response = app.query(&aliased(100, WRONG)).await;
        assert_eq!(response.status, 400);
        assert_eq!(failure_code(&response), "QUERY_TOO_LARGE");
        assert_eq!(row(&app, "ada").await.failed_logins, 2);
    }

    async fn all_fields_that_take_a_password_share_the_one(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let token = app.token_of(id("ada"));
        let first = format!("login(input: {{ login: \"ada\", password: {WRONG:?} }}) {{ __typename }}");
        for second in [
            format!("changePassword(input: {{ currentPassword: {WRONG:?}, newPassword: {WRONG:?} }})
                {{ __typename }}"),
            format!("deleteAccount(input: {{ password: {WRONG:?} }}) {{ __typename }}"),
            format!("register(input: {{ email: \"b@example.com\", username: \"b\",
                password: {WRONG:?} }}) {{ __typename }}"),
        ] {
            let query = format!("mutation {{ {first} {second} }}");
            let response = app.send(Some(&token), &json!({ "query": query })).await;
            assert_eq!(failure_code(&response), "BAD_USER_INPUT", "{query}: {}", response.text);
        }
        assert_eq!(row(&app, "ada").await.failed_logins, 3);
        let count = users::Entity::find().count(&app.database.connect().await).await;
        assert_eq!(count.expect("a count"), 1);
    }

    async fn a_deactivated_user_gets_no_session(engine: Engine) {
        let app = start(engine, &[], &[]).await;
        let input = with(registration("ada"), json!({ "idempotencyKey": "k" }));
        let register = ("register", SESSION);
        let done = payload("register", mutate(&app, None, register, &input).await);
        let session = Pair::of(&done["session"]);
        users::Entity::update_many()
            .col_expr(users::Column::IsActive, false.into())
            .exec(&app.database.connect().await)
            .await
            .expect("deactivated");
        assert_eq!(login_refused(&app, "ada", PASSWORD).await, bad_credentials());
        assert!(is_over(&app, &session.refresh).await);
        let again = payload("register", mutate(&app, None, register, &input).await);
        assert_eq!(again, json!({ "session": null, "userErrors": [bad_credentials()] }));
        let who = app.send(Some(&session.access), &json!({ "query": "{ viewer { id } }" })).await;
        assert_eq!(failure_code(&who), "UNAUTHENTICATED");
    }

    async fn a_bad_access_token_does_not_prevent_a_login(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        for (number, header) in bad_headers(&app).iter().enumerate() {
            let with_header = [("authorization", header.as_str())];
            let refresh = log_in(&app, "ada").await.refresh;
            let credentials = json!({ "login": "ada", "password": PASSWORD });
            for (name, input) in [
                ("login", credentials),
                ("register", registration(&format!("new{number}"))),
                ("refreshSession", json!({ "refreshToken": refresh })),
            ] {
                let sent = body(name, "viewer { username email }", &input);
                let done = payload(name, post(&app, &with_header, &sent).await);
                assert_eq!(done["userErrors"], json!([]), "{header}");
                assert!(done["viewer"]["email"].is_string(), "{name}, {header}");
            }
        }
    }

    async fn a_bad_access_token_does_not_prevent_a_logout(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        for header in bad_headers(&app) {
            let with_header = [("authorization", header.as_str())];
            let refresh = log_in(&app, "ada").await.refresh;
            let input = json!({ "refreshToken": refresh });
            let sent = body("logout", "loggedOut", &input);
            let response = post(&app, &with_header, &sent).await;
            assert_eq!(
                response.body,
                json!({ "data": { "logout": { "loggedOut": true, "userErrors": [] } } }),
                "{header}"
            );
            assert!(is_over(&app, &refresh).await, "{header}");
            // Nothing else names the session: an expired token is no proof of one.
            let sent = body("logout", "loggedOut", &json!({}));
            let response = post(&app, &with_header, &sent).await;
            assert_eq!(response.body, nothing_ended(), "{header}");
        }
    }

    async fn a_logout_without_a_session_succeeds_and_ends_none(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let session = log_in(&app, "ada").await;
        for input in [json!({}), json!({ "everywhere": true }), json!({ "refreshToken": "none of ours" })] {
            let response = post(&app, &[], &body("logout", "loggedOut", &input)).await;
            assert_eq!((response.status, response.body), (200, nothing_ended()), "{input}");
        }
        assert!(!is_over(&app, &session.refresh).await);
    }

    async fn a_bad_access_token_is_rejected_everywhere_else(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let login = format!("login(input: {{ login: \"ada\", password: {WRONG:?} }}) {{ __typename }}");
        let profile = "updateProfile(input: {}) { user { id } }";
        for header in bad_headers(&app) {
            for query in [
                "{ viewer { id } }".to_owned(),
                "{ __typename }".to_owned(),
                format!("mutation {{ {profile} }}"),
                "mutation { drawCards(input: {}) { draws { orientation } } }".to_owned(),
                format!("mutation {{ {login} {profile} }}"),
                format!("mutation {{ {profile} {login} }}"),
                format!("mutation {{ {login} ...M }} fragment M on Mutation {{ {profile} }}"),
                format!("mutation {{ {login} ... {{ login: {profile} }} }}"),
                // Its validity is not revealed either.
                "{ nonsense".to_owned(),
                "mutation { login }".to_owned() + " { x }",
            ] {
                let sent = json!({ "query": query });
                let response = post(&app, &[("authorization", &header)], &sent).await;
                assert_eq!(response.status, 401, "{query}: {}", response.text);
                assert_eq!(failure_code(&response), "UNAUTHENTICATED");
                assert_eq!(response.body.get("data"), None);
            }
            // Which operation of a document runs decides.
            let query = format!("mutation Begin {{ {login} }} mutation Other {{ {profile} }}");
            for (operation, status) in [("Begin", 200), ("Other", 401)] {
                let sent = json!({ "query": query, "operationName": operation });
                let response = post(&app, &[("authorization", &header)], &sent).await;
                assert_eq!(response.status, status, "{operation}: {}", response.text);
            }
        }
    }

    async fn a_grant_is_no_access_token_and_an_access_token_no_grant(engine: Engine) {
        let app = start(engine, &[], &[]).await;
        let ada = user("ada");
        let hope = reading(&app, &ada, "hope", 1);
        app.insert(rows(vec![ada], vec![hope])).await;
        let input = json!({ "readingId": reading_id("hope"), "password": "secret" });
        let owner = app.token_of(id("ada"));
        let shared = mutate(&app, Some(&owner), ("shareReading", "shareLink { url }"), &input).await;
        let shared = payload("shareReading", shared);
        let url = shared["shareLink"]["url"].as_str().expect("an address");
        let link = url.rsplit('/').next().expect("a token");
        let unlock = json!({ "token": link, "password": "secret" });
        let unlocked = mutate(&app, None, ("unlockSharedReading", "grant"), &unlock).await;
        let unlocked = payload("unlockSharedReading", unlocked);
        let grant = unlocked["grant"].as_str().expect("a grant");

        let services = &app.app.services;
        let of_ada = services.tokens.issue_share_grant(id("ada"), now()).expect("a grant").token;
        for token in [grant, &of_ada] {
            let response = app.send(Some(token), &json!({ "query": "{ viewer { id } }" })).await;
            assert_eq!(response.status, 401);
            assert_eq!(failure_code(&response), "UNAUTHENTICATED");
        }
        let share = share_of(grant);
        let as_share = services.tokens.issue_access_token(AccessClaims { user: share, login: None, epoch: 0 }, now());
        let as_share = as_share.expect("a token").token;
        for (given, status) in [
            (grant, "OPEN"),
            (&*owner, "PASSWORD_REQUIRED"),
            (&*as_share, "PASSWORD_REQUIRED"),
            (&*of_ada, "PASSWORD_REQUIRED"),
        ] {
            let query = "query ($t: String!, $g: String) { sharedReading(token: $t, grant: $g) { status } }";
            let response = app.query_with_variables(query, json!({ "t": link, "g": given })).await;
            assert_eq!(data_of(response), json!({ "sharedReading": { "status": status } }));
        }
    }
}

/// The share link that a grant is for.
fn share_of(grant: &str) -> Uuid {
    use base64::Engine as _;
    let claims = grant.split('.').nth(1).expect("claims");
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["sub"].as_str().and_then(|subject| subject.parse().ok()).expect("an id")
}

/// `authorization` headers that are not good: an expired token, a forged one, and none at all.
fn bad_headers(app: &TestApp) -> [String; 4] {
    let tokens = &app.app.services.tokens;
    let access = AccessClaims { user: id("ada"), login: None, epoch: 0 };
    let expired =
        tokens.issue_access_token(access, now() - TimeDelta::hours(1)).expect("a token").token;
    let claims = json!({
        "sub": id("ada"), "iss": "wasteland-tarot", "aud": "wasteland-tarot-api",
        "iat": now().timestamp(), "exp": now().timestamp() + 900,
    });
    let good = forge(&claims, SECRET);
    assert!(tokens.verify_access_token(&good, now()).is_ok(), "the forger knows how");
    let forged = forge(&claims, "another secret that is long enough as well");
    [
        format!("Bearer {expired}"),
        format!("Bearer {forged}"),
        "Bearer nonsense".to_owned(),
        "Basic YWRhOnBhc3N3b3Jk".to_owned(),
    ]
}

on_both_databases! {
    async fn a_refresh_token_is_exchanged_for_a_new_pair(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let first = log_in(&app, "ada").await;
        let second = refreshed(&app, &first.refresh).await;
        let third = refreshed(&app, &second.refresh).await;
        assert!(first.refresh != second.refresh && second.refresh != third.refresh);
        let who = app.send(Some(&third.access), &json!({ "query": "{ viewer { username } }" })).await;
        assert_eq!(data_of(who), json!({ "viewer": { "username": "ada" } }));
        for token in ["", "nonsense", &"x".repeat(10_000), &third.access, "a\u{0}b"] {
            assert!(is_over(&app, token).await);
        }
        assert!(!is_over(&app, &third.refresh).await, "nonsense ends nothing");
    }

    async fn a_token_that_is_used_again_too_late_ends_the_session(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let (other, first) = (log_in(&app, "ada").await, log_in(&app, "ada").await);
        let second = refreshed(&app, &first.refresh).await;
        advance(&app, TimeDelta::seconds(31));
        assert!(is_over(&app, &first.refresh).await);
        assert!(is_over(&app, &second.refresh).await);
        assert!(!is_over(&app, &other.refresh).await, "another session goes on");

        // The moment begins with the first use and is not prolonged by the second.
        let first = log_in(&app, "ada").await;
        refreshed(&app, &first.refresh).await;
        advance(&app, TimeDelta::seconds(20));
        let second = refreshed(&app, &first.refresh).await;
        advance(&app, TimeDelta::seconds(11));
        assert!(is_over(&app, &first.refresh).await);
        assert!(is_over(&app, &second.refresh).await);
    }

    async fn a_refresh_token_ends_after_two_weeks_without_use(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let (left, used) = (log_in(&app, "ada").await, log_in(&app, "ada").await);
        advance(&app, TimeDelta::days(14) - TimeDelta::seconds(30));
        let used = refreshed(&app, &used.refresh).await;
        advance(&app, TimeDelta::seconds(30));
        assert!(is_over(&app, &left.refresh).await);
        assert!(!is_over(&app, &used.refresh).await);
    }

    async fn a_session_ends_after_ninety_days_however_often_it_is_renewed(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let began = app.app.services.clock.now();
        let mut pair = log_in(&app, "ada").await;
        for day in [13, 26, 39, 52, 65, 78] {
            advance_to(&app, began + TimeDelta::days(day));
            pair = refreshed(&app, &pair.refresh).await;
        }
        advance_to(&app, began + TimeDelta::days(90) - TimeDelta::seconds(30));
        let input = json!({ "refreshToken": pair.refresh });
        let last = mutate(&app, None, ("refreshSession", SESSION), &input).await;
        let last = payload("refreshSession", last);
        let ends = time(&last["session"]["refreshTokenExpiresAt"]) - began;
        assert!(ends >= TimeDelta::days(90) && ends < TimeDelta::days(90) + TimeDelta::minutes(1));
        advance_to(&app, time(&last["session"]["refreshTokenExpiresAt"]));
        assert!(is_over(&app, &Pair::of(&last["session"]).refresh).await);
    }

    async fn refresh_tokens_are_stored_as_hashes_only(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let first = log_in(&app, "ada").await;
        let second = refreshed(&app, &first.refresh).await;
        let connection = app.database.connect().await;
        let mut stored = refresh_tokens::Entity::find().all(&connection).await.expect("read");
        stored.sort_by_key(|token| token.id);
        let hashes: Vec<&str> = stored.iter().map(|token| &*token.token_hash).collect();
        assert_eq!(hashes, [hash(&first.refresh), hash(&second.refresh)]);
        let logins = login_sessions::Entity::find().all(&connection).await.expect("read");
        for token in [&first.refresh, &second.refresh] {
            assert_eq!(token.len(), 43, "256 bits");
            assert!(!format!("{stored:?} {logins:?}").contains(token.as_str()));
        }
    }

    async fn logging_out_ends_one_session(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let [first, second, third] =
            [log_in(&app, "ada").await, log_in(&app, "ada").await, log_in(&app, "ada").await];
        let done = json!({ "loggedOut": true, "userErrors": [] });
        let nothing = json!({ "loggedOut": false, "userErrors": [] });
        let by_token = json!({ "refreshToken": first.refresh });
        assert_eq!(log_out(&app, None, &by_token).await, done);
        assert_eq!(log_out(&app, None, &by_token).await, nothing);
        assert!(is_over(&app, &first.refresh).await);
        // The session that the access token came from, also after it was renewed.
        let second = refreshed(&app, &second.refresh).await;
        assert_eq!(log_out(&app, Some(&second.access), &json!({})).await, done);
        assert_eq!(log_out(&app, Some(&second.access), &json!({})).await, nothing);
        assert!(is_over(&app, &second.refresh).await);
        // A token of no session, and one that nobody has.
        let token = app.token_of(id("ada"));
        assert_eq!(log_out(&app, Some(&token), &json!({})).await, nothing);
        assert_eq!(log_out(&app, None, &json!({ "refreshToken": "nonsense" })).await, nothing);
        assert!(!is_over(&app, &third.refresh).await);
        // The access token is good until it ends.
        let who = json!({ "query": "{ viewer { username } }" });
        let who = app.send(Some(&second.access), &who).await;
        assert_eq!(data_of(who), json!({ "viewer": { "username": "ada" } }));
    }

    async fn logging_out_everywhere_ends_all_sessions_of_one_user(engine: Engine) {
        let app = start(engine, &["ada", "bob"], &[]).await;
        let of_bob = log_in(&app, "bob").await;
        let done = json!({ "loggedOut": true, "userErrors": [] });
        for way in 0..3 {
            let [first, second] = [log_in(&app, "ada").await, log_in(&app, "ada").await];
            let (token, input) = match way {
                0 => (None, json!({ "refreshToken": first.refresh, "everywhere": true })),
                1 => (Some(first.access.clone()), json!({ "everywhere": true })),
                _ => (Some(app.token_of(id("ada"))), json!({ "everywhere": true })),
            };
            assert_eq!(log_out(&app, token.as_deref(), &input).await, done);
            assert!(is_over(&app, &first.refresh).await);
            assert!(is_over(&app, &second.refresh).await);
            assert!(!is_accepted(&app, &first.access).await);
            assert!(!is_accepted(&app, &second.access).await);
        }
        assert!(!is_over(&app, &of_bob.refresh).await);
        assert!(is_accepted(&app, &of_bob.access).await);
        let nothing = json!({ "loggedOut": false, "userErrors": [] });
        let token = app.token_of(id("ada"));
        assert_eq!(log_out(&app, Some(&token), &json!({ "everywhere": true })).await, nothing);
    }

    async fn a_changed_password_ends_all_other_sessions(engine: Engine) {
        let app = start(engine, &["ada", "bob"], &[]).await;
        let of_bob = log_in(&app, "bob").await;
        let [first, second] = [log_in(&app, "ada").await, log_in(&app, "ada").await];
        let new = "another password";
        let wrong = json!({ "currentPassword": WRONG, "newPassword": new });
        assert_eq!(
            change_password(&app, &first.access, &wrong).await,
            json!({ "session": null, "viewer": null, "userErrors": [
                plain_refusal("currentPassword", "BAD_CREDENTIALS", "the password is wrong"),
            ] })
        );
        let second = refreshed(&app, &second.refresh).await;
        let right = json!({ "currentPassword": PASSWORD, "newPassword": new });
        let done = change_password(&app, &first.access, &right).await;
        assert_eq!(done["userErrors"], json!([]));
        assert_eq!(done["viewer"], json!({ "username": "ada" }));
        let begun = Pair::of(&done["session"]);
        for ended in [&first, &second] {
            assert!(is_over(&app, &ended.refresh).await);
            assert!(!is_accepted(&app, &ended.access).await);
        }
        assert!(is_accepted(&app, &begun.access).await);
        assert!(is_accepted(&app, &refreshed(&app, &begun.refresh).await.access).await);
        assert!(!is_over(&app, &of_bob.refresh).await);
        assert_eq!(login_refused(&app, "ada", PASSWORD).await, bad_credentials());
        let done = payload("login", try_login(&app, "ada", new).await);
        assert_eq!(done["viewer"], json!({ "username": "ada" }));
        let hash = row(&app, "bob").await.password_hash;
        assert_eq!(hash, user_with_password("bob").await.password_hash);
    }

    async fn wrong_passwords_at_a_change_count_as_at_a_login(engine: Engine) {
        let app = start(engine, &["ada"], &[BEHIND_PROXY]).await;
        let token = app.token_of(id("ada"));
        let give = async |address: &str, name: &str, input: &Value| {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", &*bearer), ("x-forwarded-for", address)];
            Outcome::of(name, &post(&app, &headers, &body(name, "__typename", input)).await)
        };
        let wrong = json!({ "currentPassword": WRONG, "newPassword": WRONG });
        for _ in 0..4 {
            assert_eq!(give(HERE, "changePassword", &wrong).await, Outcome::Wrong);
        }
        assert_eq!(give(HERE, "deleteAccount", &json!({ "password": WRONG })).await, Outcome::Wrong);
        // The owner of a token knows the account, and is told of its lock.
        let right = json!({ "currentPassword": PASSWORD, "newPassword": WRONG });
        for input in [&wrong, &right] {
            assert_waits(give(HERE, "changePassword", input).await, 60);
        }
        let password = json!({ "password": PASSWORD });
        assert_waits(give(HERE, "deleteAccount", &password).await, 60);
        // A login without a token is not, and gets no further attempts.
        assert_eq!(outcome_from(&app, HERE, "ada", PASSWORD).await, Outcome::Wrong);
        assert_eq!(outcome_from(&app, ELSEWHERE, "ada", PASSWORD).await, Outcome::Right);
        assert_eq!(give(ELSEWHERE, "changePassword", &right).await, Outcome::Right);
    }

    async fn a_flood_of_passwords_delays_no_owner(engine: Engine) {
        let flags = [BEHIND_PROXY, "--password-queue=4", "--database-pool-size=8"];
        let app = start(engine, &["ada"], &flags).await;
        assert_eq!(outcome_from(&app, HERE, "ada", PASSWORD).await, Outcome::Right);
        let server = &app;
        let attempt = |number: usize| async move {
            let input = json!({ "login": format!("nobody{number}"), "password": WRONG });
            let sent = body("login", "viewer { id }", &input);
            post(server, &[("x-forwarded-for", ELSEWHERE)], &sent).await
        };
        let flood = join_all((0..60).map(attempt));
        let owner = async {
            for _ in 0..5 {
                assert_eq!(outcome_from(&app, HERE, "ada", PASSWORD).await, Outcome::Right);
            }
        };
        let (flood, ()) = join(flood, owner).await;
        let refused = flood.iter().filter(|response| response.body["data"]["login"].is_null());
        let mut count = 0_u64;
        for response in refused {
            count += 1;
            let mut body = response.body_without_request_id();
            body["errors"][0].as_object_mut().expect("an error").remove("locations");
            assert_eq!(
                body,
                json!({ "data": { "login": null }, "errors": [{
                    "message": "the server is busy; try again in a moment", "path": ["login"],
                    "extensions": {
                        "code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1_000, "requestId": "ID",
                    },
                }] })
            );
        }
        assert!((1..60).contains(&count), "{count}");
        // A refused attempt was no failure.
        let counted = app.database.connect().await;
        let counted = login_throttles::Entity::find().count(&counted).await.expect("a count");
        assert_eq!(counted, 2 * (60 - count));
    }

    async fn forgotten_failures_are_swept(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let connection = app.database.connect().await;
        let left = async || {
            let swept = sweep(&app.app.services, &app.app.database.session()).await;
            swept.expect("what is forgotten is deleted");
            login_throttles::Entity::find().count(&connection).await.expect("a count")
        };
        outcome(&app, "ada", WRONG).await;
        // One by name and one by account.
        assert_eq!(left().await, 2);
        advance(&app, TimeDelta::hours(6) - TimeDelta::seconds(PASSED));
        outcome(&app, "nobody", WRONG).await;
        assert_eq!(left().await, 4);
        advance(&app, TimeDelta::seconds(PASSED));
        assert_eq!(left().await, 2);
        advance(&app, TimeDelta::hours(6));
        assert_eq!(left().await, 0);
    }

    async fn expired_rows_are_swept_and_nothing_else(engine: Engine) {
        let app = start(engine, &["ada"], &[]).await;
        let old = log_in(&app, "ada").await;
        let ended = log_in(&app, "ada").await;
        log_out(&app, None, &json!({ "refreshToken": ended.refresh })).await;
        let register = ("register", "viewer { id }");
        for (name, key) in [("bob", "old"), ("eve", "new")] {
            let input = with(registration(name), json!({ "idempotencyKey": key }));
            payload("register", mutate(&app, None, register, &input).await);
            // The second key and its login are half a day younger.
            advance(&app, TimeDelta::hours(12));
        }
        let connection = app.database.connect().await;
        let left = async || {
            let swept = sweep(&app.app.services, &app.app.database.session()).await;
            swept.expect("what has expired is deleted");
            [
                login_sessions::Entity::find().count(&connection).await.expect("a count"),
                refresh_tokens::Entity::find().count(&connection).await.expect("a count"),
                idempotency_keys::Entity::find().count(&connection).await.expect("a count"),
            ]
        };
        assert_eq!(left().await, [4, 4, 1]);
        let keys = idempotency_keys::Entity::find().all(&connection).await.expect("read");
        assert_eq!(keys[0].key, "new");
        advance(&app, TimeDelta::hours(12));
        assert_eq!(left().await, [4, 4, 0]);
        advance(&app, TimeDelta::days(10));
        let renewed = refreshed(&app, &old.refresh).await;
        let day = TimeDelta::days(1);
        advance(&app, TimeDelta::days(90) - day * 10 - day * 3 / 2 - TimeDelta::minutes(1));
        assert_eq!(left().await, [4, 5, 0]);
        // All but the one that began half a day later.
        advance(&app, TimeDelta::minutes(2));
        assert_eq!(left().await, [1, 1, 0]);
        assert!(is_over(&app, &renewed.refresh).await);
        advance(&app, TimeDelta::hours(12));
        assert_eq!(left().await, [0, 0, 0]);
    }
}

/// True if an access token is accepted; a revoked one is refused with the whole request.
async fn is_accepted(app: &TestApp, token: &str) -> bool {
    let response = app.send(Some(token), &json!({ "query": "{ viewer { id } }" })).await;
    if response.status == 200 {
        assert_eq!(response.body.get("errors"), None, "{}", response.text);
        return true;
    }
    assert_is_revoked(&response);
    false
}

/// Asserts that a request was refused because of its revoked access token.
pub fn assert_is_revoked(response: &TestResponse) {
    assert_eq!(response.status, 401, "{}", response.text);
    assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    assert_eq!(
        response.body_without_request_id(),
        json!({ "errors": [{
            "message": "the access token was revoked",
            "extensions": { "code": "UNAUTHENTICATED", "requestId": "ID" },
        }] })
    );
}

/// A refresh token as it is to be stored.
pub fn hash(token: &str) -> String {
    Sha256::digest(token).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub async fn log_out(app: &TestApp, token: Option<&str>, input: &Value) -> Value {
    payload("logout", mutate(app, token, ("logout", "loggedOut"), input).await)
}

async fn change_password(app: &TestApp, token: &str, input: &Value) -> Value {
    let selection = format!("{SESSION} viewer {{ username }}");
    payload("changePassword", mutate(app, Some(token), ("changePassword", &selection), input).await)
}

#[tokio::test]
async fn a_new_password_has_its_limits() {
    let app = start(Engine::Sqlite, &["ada"], &[]).await;
    let mut current = PASSWORD.to_owned();
    for (length, code) in [
        (7, Some("TOO_SHORT")),
        (8, None),
        (128, None),
        (129, Some("TOO_LONG")),
        (0, Some("REQUIRED")),
    ] {
        let new = "愛".repeat(length);
        let input = json!({ "currentPassword": current, "newPassword": new });
        let done = change_password(&app, &app.token_of(id("ada")), &input).await;
        if let Some(code) = code {
            let error = &done["userErrors"][0];
            assert_eq!(error["code"], code, "{length}");
            assert_eq!(error["field"], json!(["input", "newPassword"]));
            assert_eq!([&error["min"], &error["max"]], [&json!(8), &json!(128)]);
        } else {
            assert_eq!(done["userErrors"], json!([]), "{length}");
            current = new;
        }
    }
}
