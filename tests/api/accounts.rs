//! Accounts: registering, profiles, and the end of an account.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, Statement,
    TransactionTrait,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use wasteland_tarot::db::entities::{
    daily_usage, idempotency_keys, login_sessions, reading_cards, reading_categories,
    reading_sessions, reading_shares, refresh_tokens, users,
};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::services::maintenance::fold_counters;
use wasteland_tarot::services::passwords::hash_password;

use crate::support::app::{Engine, TestApp, TestResponse, at, data_of, on_both_databases};
use crate::support::fixtures::{
    card, card_id, category, drawn_card, id, private, reading, reading_id, rows, spread_id, user,
    user_id,
};

/// The password of [`user_with_password`].
pub const PASSWORD: &str = "a password of tests";

const USER_ERROR: &str = "userErrors { field message code min max resetsAt lockedUntil }";
const SESSION: &str =
    "session { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt }";

/// A user of that name, with [`PASSWORD`].
pub async fn user_with_password(name: &str) -> users::Model {
    static HASH: OnceCell<String> = OnceCell::const_new();
    let hash = HASH.get_or_init(async || hash_password(PASSWORD.to_owned()).await.expect("a hash"));
    users::Model { password_hash: hash.await.clone(), ..user(name) }
}

/// The text of the mutation of that name, whose input is the variable `input`.
pub fn mutation(name: &str, selection: &str) -> String {
    let (first, rest) = name.split_at(1);
    let input = format!("{}{rest}Input", first.to_uppercase());
    format!(
        "mutation ($input: {input}!) {{ {name}(input: $input) {{ {selection} {USER_ERROR} }} }}"
    )
}

/// Sends the mutation of that name.
pub async fn mutate(
    app: &TestApp,
    token: Option<&str>,
    (name, selection): (&str, &str),
    input: &Value,
) -> TestResponse {
    let query = mutation(name, selection);
    app.send(token, &json!({ "query": query, "variables": { "input": input } })).await
}

/// Payload of a mutation that succeeded or returned user errors, and did not fail.
pub fn payload(name: &str, response: TestResponse) -> Value {
    data_of(response)[name].take()
}

/// User error about a field of the input.
fn refusal(field: &str, code: &str, message: &str, bounds: Option<(i32, i32)>) -> Value {
    json!({
        "field": ["input", field], "message": message, "code": code,
        "min": bounds.map(|(min, _)| min), "max": bounds.map(|(_, max)| max),
        "resetsAt": null, "lockedUntil": null,
    })
}

/// User error without bounds.
pub fn plain_refusal(field: &str, code: &str, message: &str) -> Value {
    refusal(field, code, message, None)
}

const LOOK_ALIKE: &str = "this username looks like one that is taken";

fn username_taken() -> Value {
    plain_refusal("username", "TAKEN", "this username is taken")
}

/// User error of a wrong name or password.
pub fn bad_credentials() -> Value {
    json!({
        "field": null, "message": "the name or the password is wrong", "code": "BAD_CREDENTIALS",
        "min": null, "max": null, "resetsAt": null, "lockedUntil": null,
    })
}

/// The code of the only error of a field, which failed.
pub fn failure_code(response: &TestResponse) -> &str {
    let errors = response.body["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 1, "{}", response.text);
    errors[0]["extensions"]["code"].as_str().expect("a code")
}

/// An input of `register` for that name.
pub fn registration(name: &str) -> Value {
    json!({ "email": format!("{name}@example.com"), "username": name, "password": PASSWORD })
}

/// The input with some values replaced.
pub fn with(mut input: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { unreachable!("changes are an object") };
    input.as_object_mut().expect("an input is one").extend(changes);
    input
}

async fn register(app: &TestApp, input: &Value) -> Value {
    let selection = format!("{SESSION} viewer {{ id username email displayName }}");
    payload("register", mutate(app, None, ("register", &selection), input).await)
}

/// Registers, which must succeed.
async fn registered(app: &TestApp, input: &Value) -> Value {
    let done = register(app, input).await;
    assert_eq!(done["userErrors"], json!([]), "{input}");
    done
}

/// User errors of a registration that changes nothing.
async fn refused(app: &TestApp, input: &Value) -> Value {
    let mut done = register(app, input).await;
    assert_eq!(done["session"], Value::Null, "{input}");
    assert_eq!(done["viewer"], Value::Null, "{input}");
    done["userErrors"].take()
}

async fn log_in(app: &TestApp, login: &str) -> Value {
    let input = json!({ "login": login, "password": PASSWORD });
    payload("login", mutate(app, None, ("login", "viewer { username }"), &input).await)
}

async fn count_users(app: &TestApp) -> u64 {
    users::Entity::find().count(&app.database.connect().await).await.expect("a count")
}

async fn updated(app: &TestApp, token: &str, input: &Value) -> Value {
    let selection = "user { username displayName bio faction preferredVoice }";
    payload("updateProfile", mutate(app, Some(token), ("updateProfile", selection), input).await)
}

on_both_databases! {
    async fn registering_makes_an_account_and_signs_in(engine: Engine) {
        let app = TestApp::start(engine).await;
        let input = json!({
            "email": " Ada@Example.COM ", "username": "Ada", "password": PASSWORD,
            "displayName": " 艾達 ✨ ", "faction": "BROTHERHOOD",
        });
        let selection = format!(
            "{SESSION} viewer {{ username email displayName bio faction karma karmaScore
                preferredVoice isAdmin isPremium readings {{ totalCount }} }}"
        );
        let done = payload("register", mutate(&app, None, ("register", &selection), &input).await);
        assert_eq!(done["userErrors"], json!([]));
        assert_eq!(
            done["viewer"],
            json!({
                "username": "ada", "email": "ada@example.com", "displayName": "艾達 ✨",
                "bio": null, "faction": "BROTHERHOOD", "karma": "NEUTRAL", "karmaScore": 50,
                "preferredVoice": "PIP_BOY", "isAdmin": false, "isPremium": false,
                "readings": { "totalCount": 0 },
            })
        );
        let access = done["session"]["accessToken"].as_str().expect("a token");
        let who = app.send(Some(access), &json!({ "query": "{ viewer { email } }" })).await;
        assert_eq!(who.body, json!({ "data": { "viewer": { "email": "ada@example.com" } } }));
        let refresh = json!({ "refreshToken": done["session"]["refreshToken"] });
        let renewed = mutate(&app, None, ("refreshSession", "viewer { username }"), &refresh).await;
        assert_eq!(payload("refreshSession", renewed)["viewer"], json!({ "username": "ada" }));

        let session = app.app.database.session();
        fold_counters(&app.app.services, &session).await.expect("the counters fold");
        assert_eq!(
            app.data("{ publicStats { users } }").await,
            json!({ "publicStats": { "users": 1 } })
        );
    }

    async fn a_password_is_stored_as_a_hash_only(engine: Engine) {
        let app = TestApp::start(engine).await;
        registered(&app, &registration("ada")).await;
        let connection = app.database.connect().await;
        let row = users::Entity::find().one(&connection).await.expect("read").expect("a user");
        assert!(row.password_hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(!format!("{row:?}").contains(PASSWORD));
    }

    async fn a_name_is_one_person_however_it_is_typed(engine: Engine) {
        let app = TestApp::start(engine).await;
        // The last one has a letter that is composed in lower case only.
        for (name, stored, other) in [
            ("Zoë", "zoë", "ZOE\u{308}"),
            ("陳小明", "陳小明", " 陳小明 "),
            ("H\u{331}anna", "\u{1e96}anna", "h\u{331}ANNA"),
        ] {
            let done = registered(&app, &registration(name)).await;
            assert_eq!(done["viewer"]["username"], stored);
            assert_eq!(done["viewer"]["email"], format!("{stored}@example.com"));

            let address = format!("{}@EXAMPLE.com", other.trim());
            let again = with(registration(other), json!({ "email": address }));
            assert_eq!(
                refused(&app, &again).await,
                json!([
                    plain_refusal("email", "TAKEN", "this e-mail address is taken"),
                    username_taken(),
                ]),
                "{other}"
            );
            for login in [name, stored, other, &address] {
                let done = log_in(&app, login).await;
                assert_eq!(done["viewer"], json!({ "username": stored }), "{login}: {done}");
            }
            let found = app
                .query_with_variables(
                    "query ($u: String!) { user(username: $u) { username } }",
                    json!({ "u": other }),
                )
                .await;
            assert_eq!(data_of(found), json!({ "user": { "username": stored } }), "{other}");
        }
        assert_eq!(count_users(&app).await, 3);
    }

    async fn a_taken_name_and_a_taken_address_have_codes_of_their_own(engine: Engine) {
        let app = TestApp::start(engine).await;
        registered(&app, &registration("ada")).await;
        let (address, name) = (
            plain_refusal("email", "TAKEN", "this e-mail address is taken"),
            username_taken(),
        );
        for (input, expected) in [
            (json!({ "email": "ADA@example.com" }), json!([address])),
            (json!({ "username": "ADA" }), json!([name])),
            (json!({ "email": "ada@example.com", "username": "ada" }), json!([address, name])),
        ] {
            assert_eq!(refused(&app, &with(registration("bob"), input)).await, expected);
        }
        assert_eq!(count_users(&app).await, 1);
    }

    async fn a_taken_name_is_reported_beside_other_errors_and_a_taken_address_is_not(engine: Engine) {
        let app = TestApp::start(engine).await;
        registered(&app, &registration("ada")).await;
        let short = refusal(
            "password",
            "TOO_SHORT",
            "password has 5 characters; it must have at least 8",
            Some((8, 128)),
        );
        let no_address = plain_refusal("email", "INVALID", "email must be an address such as ada@example.com");
        let look_alike = plain_refusal("username", "TAKEN", LOOK_ALIKE);
        for (input, expected) in [
            (json!({ "username": " ADA", "password": "short" }), json!([short, username_taken()])),
            (json!({ "email": "ada@example.com", "password": "short" }), json!([short])),
            (json!({ "email": "ada", "username": "ada" }), json!([no_address, username_taken()])),
            (json!({ "email": "ada", "username": "\u{430}\u{501}\u{430}" }), json!([no_address, look_alike])),
        ] {
            let input = with(registration("bob"), input);
            assert_eq!(refused(&app, &input).await, expected, "{input}");
        }
        assert_eq!(count_users(&app).await, 1);
    }

    async fn one_of_many_concurrent_registrations_gets_the_name(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        let inputs: Vec<Value> = (0..20)
            .map(|n| with(registration("ada"), json!({ "email": format!("{n}@example.com") })))
            .collect();
        let all = join_all(inputs.iter().map(|input| register(&app, input))).await;
        let (done, refused): (Vec<_>, Vec<_>) =
            all.iter().partition(|done| done["userErrors"] == json!([]));
        assert_eq!(done.len(), 1, "{all:?}");
        let taken = json!([username_taken()]);
        assert!(refused.iter().all(|refused| refused["userErrors"] == taken), "{refused:?}");
        assert_eq!(count_users(&app).await, 1);
    }

    async fn a_repeated_registration_creates_one_user(engine: Engine) {
        let app = TestApp::start(engine).await;
        let input = with(registration("Ada"), json!({ "idempotencyKey": "k", "displayName": "A" }));
        let first = registered(&app, &input).await;
        // The same input after case folding.
        let again = registered(&app, &with(input.clone(), json!({ "username": " ADA" }))).await;
        assert_eq!(again["viewer"], first["viewer"]);
        assert_ne!(again["session"]["refreshToken"], first["session"]["refreshToken"]);
        for done in [&first, &again] {
            let refresh = json!({ "refreshToken": done["session"]["refreshToken"] });
            let renewed =
                mutate(&app, None, ("refreshSession", "viewer { id }"), &refresh).await;
            let renewed = payload("refreshSession", renewed);
            assert_eq!(renewed["viewer"]["id"], first["viewer"]["id"]);
        }
        assert_eq!(count_users(&app).await, 1);

        for change in [
            json!({ "username": "other" }),
            json!({ "displayName": "B" }),
            json!({ "displayName": null }),
            json!({ "faction": "NCR" }),
        ] {
            let changed = with(input.clone(), change);
            let response = mutate(&app, None, ("register", "viewer { id }"), &changed).await;
            assert_eq!(
                response.body_without_request_id(),
                json!({
                    "data": { "register": null },
                    "errors": [{
                        "message": "`idempotencyKey` was used before with another input",
                        "locations": [{ "line": 1, "column": 37 }],
                        "path": ["register"],
                        "extensions": {
                            "code": "BAD_USER_INPUT", "argument": "idempotencyKey",
                            "requestId": "ID",
                        },
                    }],
                })
            );
        }
        let wrong = with(input.clone(), json!({ "password": "another password" }));
        assert_eq!(
            refused(&app, &wrong).await,
            json!([bad_credentials()])
        );
        // Without the key, or with another one, it is another registration.
        for key in [json!(null), json!("other")] {
            let other = with(input.clone(), json!({ "idempotencyKey": key }));
            assert_eq!(refused(&app, &other).await[0]["code"], "TAKEN");
        }
        // After a day the key is forgotten, swept or not.
        app.app.services.clock.advance(TimeDelta::days(1));
        assert_eq!(refused(&app, &input).await[0]["code"], "TAKEN");
    }

    async fn a_registration_that_was_rejected_does_not_use_its_key_up(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let input = with(registration("bob"), json!({ "idempotencyKey": "k", "username": "ada" }));
        assert_eq!(refused(&app, &input).await[0]["code"], "TAKEN");
        let other = with(input, json!({ "username": "bob" }));
        assert_eq!(registered(&app, &other).await["viewer"]["username"], "bob");
    }

    async fn one_registration_that_is_sent_many_times_at_once_makes_one_user(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        let input = with(registration("ada"), json!({ "idempotencyKey": "k" }));
        let all = join_all((0..10).map(|_| registered(&app, &input))).await;
        let ids: BTreeSet<String> = all.iter().map(|done| done["viewer"]["id"].to_string()).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(count_users(&app).await, 1);
    }

    async fn guessing_a_password_with_a_known_key_locks_as_a_login_does(engine: Engine) {
        let app = TestApp::start(engine).await;
        let input = with(registration("ada"), json!({ "idempotencyKey": "k" }));
        registered(&app, &input).await;
        let wrong = with(input.clone(), json!({ "password": "another password" }));
        for _ in 0..5 {
            assert_eq!(refused(&app, &wrong).await[0]["code"], "BAD_CREDENTIALS");
        }
        // The right one is not told from a wrong one.
        for input in [&wrong, &input] {
            let response = mutate(&app, None, ("register", "viewer { id }"), input).await;
            assert_eq!(failure_code(&response), "RATE_LIMITED");
        }
    }

    async fn a_username_that_looks_like_another_is_refused(engine: Engine) {
        let app = TestApp::start(engine).await;
        for (number, (name, look_alikes)) in [
            // A digit one, full-width letters.
            ("bill", &["bi1l", "BI1L", "\u{ff42}ill"][..]),
            ("zoe", &["z0e"]),
            ("corn", &["com"]),
            // All Cyrillic and all Latin.
            ("\u{430}\u{441}\u{435}", &["ace"]),
        ]
        .into_iter()
        .enumerate()
        {
            let first = with(registration(&format!("u{number}")), json!({ "username": name }));
            registered(&app, &first).await;
            for look_alike in look_alikes {
                let input = with(registration("other"), json!({ "username": look_alike }));
                assert_eq!(
                    refused(&app, &input).await,
                    json!([plain_refusal("username", "TAKEN", LOOK_ALIKE)]),
                    "{look_alike}"
                );
            }
        }
        let done = registered(&app, &registration("ada")).await;
        let token = done["session"]["accessToken"].as_str().expect("a token").to_owned();
        let rename = async |name: &str| {
            let input = json!({ "username": name });
            let response = mutate(&app, Some(&token), ("updateProfile", "user { username }"), &input);
            payload("updateProfile", response.await)
        };
        assert_eq!(
            rename("bi1l").await,
            json!({ "user": null, "userErrors": [plain_refusal("username", "TAKEN", LOOK_ALIKE)] })
        );
        // A look-alike of one's own name is no other user's.
        for name in ["lovelace", "1ovelace", "1ovelace"] {
            let done = json!({ "user": { "username": name }, "userErrors": [] });
            assert_eq!(rename(name).await, done);
        }
        let input = with(registration("other"), json!({ "username": "lovelace" }));
        assert_eq!(
            refused(&app, &input).await,
            json!([plain_refusal("username", "TAKEN", LOOK_ALIKE)])
        );
    }

    async fn a_username_is_one_in_all_spellings_that_differ_in_case(engine: Engine) {
        let app = TestApp::start(engine).await;
        for (number, (typed, stored, others)) in [
            // A small sigma at the end, and before a digit.
            ("ΖΟΔΟΣ", "ζοδος", &["ζοδοσ", "Ζοδος"][..]),
            ("νικοσ7", "νικοσ7", &["ΝΙΚΟΣ7", "νικος7"]),
            ("Straße", "straße", &["STRASSE", "STRAẞE", "strasse"]),
        ]
        .into_iter()
        .enumerate()
        {
            let first = with(registration(&format!("u{number}")), json!({ "username": typed }));
            assert_eq!(registered(&app, &first).await["viewer"]["username"], stored);
            for spelling in others.iter().chain(&[typed, stored]) {
                let input = with(registration("other"), json!({ "username": spelling }));
                let errors = refused(&app, &input).await;
                assert_eq!(errors[0]["field"], json!(["input", "username"]), "{spelling}: {errors}");
                assert_eq!(errors[0]["code"], "TAKEN", "{spelling}");
                let done = json!({ "viewer": { "username": stored }, "userErrors": [] });
                assert_eq!(log_in(&app, spelling).await, done, "{spelling}");
            }
        }
        // A look-alike is another name.
        registered(&app, &registration("bill")).await;
        assert_eq!(log_in(&app, "bi1l").await["userErrors"][0]["code"], "BAD_CREDENTIALS");
    }

    async fn an_older_look_alike_logs_in_by_its_own_spelling(engine: Engine) {
        let app = TestApp::start(engine).await;
        registered(&app, &registration("strasse")).await;
        // As the migration leaves it that adds the skeletons.
        registered(&app, &registration("other")).await;
        let connection = app.database.connect().await;
        let rename = "UPDATE users SET username = 'straße', search_username = 'strasse', \
            username_skeleton = NULL WHERE username = 'other'";
        connection.execute_unprepared(rename).await.expect("the name changes");
        for (spelling, stored) in
            [("strasse", "strasse"), ("straße", "straße"), ("STRAẞE", "straße"), ("STRASSE", "strasse")]
        {
            let done = json!({ "viewer": { "username": stored }, "userErrors": [] });
            assert_eq!(log_in(&app, spelling).await, done, "{spelling}");
        }
    }

    async fn a_username_may_not_mix_scripts(engine: Engine) {
        let app = TestApp::start(engine).await;
        let message = "username may not mix letters of several scripts";
        for name in ["p\u{430}ypal", "\u{3b1}da", "\u{434}\u{430}da"] {
            let input = with(registration("a"), json!({ "username": name }));
            assert_eq!(
                refused(&app, &input).await,
                json!([plain_refusal("username", "INVALID", message)]),
                "{name}"
            );
        }
        // Scripts that one language writes together, digits and signs.
        for (number, name) in ["廢土のネコ", "\u{434}\u{430}_7", "zoë.x", "가漢"].iter().enumerate() {
            let input = with(registration(&format!("b{number}")), json!({ "username": name }));
            registered(&app, &input).await;
        }
    }

    async fn a_common_password_is_refused(engine: Engine) {
        let app = TestApp::start(engine).await;
        let common = |field: &str| {
            let message = format!("{field} is one of the most common passwords");
            json!([plain_refusal(field, "TOO_COMMON", &message)])
        };
        for password in ["password", "PassWord1", "qwertyuiop", "1qaz2wsx"] {
            let input = with(registration("ada"), json!({ "password": password }));
            assert_eq!(refused(&app, &input).await, common("password"), "{password}");
        }
        let done = registered(&app, &registration("ada")).await;
        let token = done["session"]["accessToken"].as_str().expect("a token");
        let input = json!({ "currentPassword": PASSWORD, "newPassword": "iloveyou" });
        let change = ("changePassword", "session { accessToken }");
        let response = mutate(&app, Some(token), change, &input).await;
        assert_eq!(
            payload("changePassword", response),
            json!({ "session": null, "userErrors": common("newPassword") })
        );
    }

    async fn an_absent_field_of_a_profile_is_unchanged_and_null_clears_it(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let token = app.token_of(id("ada"));
        let full = json!({
            "username": "Lovelace", "displayName": "艾達", "bio": "讀牌人。\nSlowly.",
            "faction": "NCR", "preferredVoice": "GHOUL",
        });
        let shown = with(full.clone(), json!({ "username": "lovelace" }));
        assert_eq!(updated(&app, &token, &full).await, json!({ "user": shown, "userErrors": [] }));
        assert_eq!(
            updated(&app, &token, &json!({})).await,
            json!({ "user": shown, "userErrors": [] })
        );
        let changed = with(shown, json!({ "displayName": null, "bio": "Fast." }));
        let input = json!({ "displayName": null, "bio": " Fast. " });
        assert_eq!(updated(&app, &token, &input).await["user"], changed);
        // A text of nothing is none.
        let cleared = with(changed, json!({ "bio": null }));
        let input = json!({ "displayName": " ", "bio": "" });
        assert_eq!(updated(&app, &token, &input).await["user"], cleared);

        let input = json!({ "username": null, "faction": null, "preferredVoice": null });
        assert_eq!(
            updated(&app, &token, &input).await,
            json!({ "user": null, "userErrors": [
                plain_refusal("username", "REQUIRED", "username is missing"),
                plain_refusal("faction", "REQUIRED", "faction cannot be cleared"),
                plain_refusal("preferredVoice", "REQUIRED", "preferredVoice cannot be cleared"),
            ] })
        );
        let seen = app
            .data_as(id("ada"), "{ viewer { username displayName bio faction preferredVoice } }")
            .await;
        assert_eq!(seen["viewer"], cleared);
    }

    async fn a_username_is_changed_to_one_that_nobody_has(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada"), user("zoë")], Vec::new())).await;
        let token = app.token_of(id("ada"));
        let refused = json!({ "user": null, "userErrors": [username_taken()] });
        for name in ["zoë", "ZOE\u{308}"] {
            let input = json!({ "username": name, "bio": "not written" });
            assert_eq!(updated(&app, &token, &input).await, refused);
        }
        let seen = app.data_as(id("ada"), "{ viewer { username bio } }").await;
        assert_eq!(seen["viewer"], json!({ "username": "ada", "bio": null }));
        // One's own name is free.
        let same = updated(&app, &token, &json!({ "username": "ADA", "bio": "written" })).await;
        assert_eq!(same["user"]["username"], "ada");
        assert_eq!(same["user"]["bio"], "written");
    }

    async fn one_of_many_concurrent_renames_gets_the_username(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        let names: Vec<String> = (0..20).map(|n| format!("user{n}")).collect();
        app.insert(rows(names.iter().map(|name| user(name)).collect(), Vec::new())).await;
        let tokens: Vec<String> = names.iter().map(|name| app.token_of(id(name))).collect();
        let input = json!({ "username": "wanted" });
        let all = join_all(tokens.iter().map(|token| updated(&app, token, &input))).await;
        let (done, refused): (Vec<_>, Vec<_>) =
            all.iter().partition(|done| done["user"]["username"] == "wanted");
        assert_eq!(done.len(), 1, "{all:?}");
        let taken = json!([username_taken()]);
        assert!(refused.iter().all(|refused| refused["userErrors"] == taken), "{refused:?}");
    }

    async fn an_account_is_deleted_with_everything_that_is_theirs(engine: Engine) {
        let app = TestApp::start(engine).await;
        two_people_with_belongings(&app).await;
        assert_eq!(belongings(&app).await, [2, 4, 4, 2, 2, 2, 2, 2, 2]);
        let token = app.token_of(id("ada"));
        let delete = ("deleteAccount", "deletedUserId");
        let wrong = json!({ "password": "another password" });
        assert_eq!(
            payload("deleteAccount", mutate(&app, Some(&token), delete, &wrong).await),
            json!({ "deletedUserId": null, "userErrors": [
                plain_refusal("password", "BAD_CREDENTIALS", "the password is wrong"),
            ] })
        );
        assert_eq!(belongings(&app).await, [2, 4, 4, 2, 2, 2, 2, 2, 2]);
        let right = json!({ "password": PASSWORD });
        assert_eq!(
            payload("deleteAccount", mutate(&app, Some(&token), delete, &right).await),
            json!({ "deletedUserId": user_id("ada"), "userErrors": [] })
        );
        assert_eq!(belongings(&app).await, [1, 2, 2, 1, 1, 1, 1, 1, 1]);

        for response in [
            app.send(Some(&token), &json!({ "query": "{ viewer { id } }" })).await,
            mutate(&app, Some(&token), ("updateProfile", "user { id }"), &json!({})).await,
            mutate(&app, Some(&token), delete, &right).await,
        ] {
            assert_eq!(failure_code(&response), "UNAUTHENTICATED", "{}", response.text);
        }
        assert_eq!(log_in(&app, "ada").await["userErrors"][0]["code"], "BAD_CREDENTIALS");
        // The name is free again, and its next owner is somebody else.
        let done = registered(&app, &registration("ada")).await;
        assert_ne!(done["viewer"]["id"], user_id("ada"));
    }

    async fn a_deleted_account_is_counted_no_more(engine: Engine) {
        let app = TestApp::start(engine).await;
        two_people_with_belongings(&app).await;
        let (token, input) = (app.token_of(id("ada")), json!({ "password": PASSWORD }));
        let delete = ("deleteAccount", "deletedUserId");
        payload("deleteAccount", mutate(&app, Some(&token), delete, &input).await);
        let session = app.app.database.session();
        fold_counters(&app.app.services, &session).await.expect("the counters fold");
        let query = format!(
            "{{ publicStats {{ users readings }} publicReadings {{ nodes {{ user {{ username }} }} }}
                node(id: {:?}) {{ id }} card(id: {:?}) {{ drawCount }}
                spread(id: {:?}) {{ usageCount }} }}",
            reading_id("hers"),
            card_id(&app, "major_arcana_00"),
            spread_id(&app, "single_wasteland")
        );
        // The cards of Bob's second reading are random.
        let draws = reading_cards::Entity::find()
            .filter(reading_cards::Column::CardId.eq(card(&app, "major_arcana_00").id))
            .count(&app.database.connect().await)
            .await
            .expect("a count");
        assert!(draws >= 1);
        assert_eq!(
            app.data(&query).await,
            json!({
                "publicStats": { "users": 1, "readings": 2 },
                "publicReadings": { "nodes": [{ "user": { "username": "bob" } }] },
                "node": null,
                "card": { "drawCount": draws },
                "spread": { "usageCount": 2 },
            })
        );
    }

    async fn account_mutations_need_a_signed_in_viewer(engine: Engine) {
        let app = TestApp::start(engine).await;
        for (name, selection, input) in [
            ("updateProfile", "user { id }", json!({ "bio": "x" })),
            ("deleteAccount", "deletedUserId", json!({ "password": PASSWORD })),
            (
                "changePassword",
                "viewer { id }",
                json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD }),
            ),
        ] {
            let response = mutate(&app, None, (name, selection), &input).await;
            assert_eq!(response.status, 200);
            assert_eq!(response.body["data"], json!({ name: null }));
            assert_eq!(failure_code(&response), "UNAUTHENTICATED");
            let message = &response.body["errors"][0]["message"];
            assert_eq!(message, "this needs an access token; log in first", "{name}");
        }
    }
}

/// Ada and Bob, each with a category, a session, and two readings, of which one was made through the
/// API with a key and shared.
async fn two_people_with_belongings(app: &TestApp) {
    let (ada, bob) = (user_with_password("ada").await, user_with_password("bob").await);
    let (hers, his) =
        (private(reading(app, &ada, "hers", 1)), private(reading(app, &bob, "his", 2)));
    let drawn = [&hers, &his].map(|reading| drawn_card(app, reading, 1, "major_arcana_00"));
    app.insert(SeedRows {
        categories: vec![category(&ada, "her work"), category(&bob, "his work")],
        drawn_cards: drawn.into(),
        ..rows(vec![ada, bob], vec![hers, his])
    })
    .await;
    for name in ["ada", "bob"] {
        let token = app.token_of(id(name));
        assert_eq!(log_in(app, name).await["viewer"]["username"], name);
        let input = json!({
            "question": "Will it?", "spreadId": spread_id(app, "single_wasteland"),
            "idempotencyKey": "k", "privacyLevel": "PUBLIC",
        });
        let made = mutate(app, Some(&token), ("createReading", "reading { id }"), &input).await;
        let made = payload("createReading", made);
        let input = json!({ "readingId": made["reading"]["id"] });
        let shared = mutate(app, Some(&token), ("shareReading", "shareLink { id }"), &input).await;
        assert_eq!(payload("shareReading", shared)["userErrors"], json!([]));
    }
}

/// Counts of the users, readings, drawn cards, categories, logins, refresh tokens, idempotency
/// keys, share links and days of use.
async fn belongings(app: &TestApp) -> [u64; 9] {
    async fn count<E: EntityTrait>(app: &TestApp) -> u64
    where
        E::Model: Sync,
    {
        E::find().count(&app.database.connect().await).await.expect("a count")
    }
    [
        count::<users::Entity>(app).await,
        count::<reading_sessions::Entity>(app).await,
        count::<reading_cards::Entity>(app).await,
        count::<reading_categories::Entity>(app).await,
        count::<login_sessions::Entity>(app).await,
        count::<refresh_tokens::Entity>(app).await,
        count::<idempotency_keys::Entity>(app).await,
        count::<reading_shares::Entity>(app).await,
        count::<daily_usage::Entity>(app).await,
    ]
}

/// Only PostgreSQL lets two write at once.
#[tokio::test]
async fn a_username_that_somebody_takes_at_that_moment_is_taken() {
    if !Engine::has_postgres("a_username_that_somebody_takes_at_that_moment_is_taken") {
        return;
    }
    let app = TestApp::start(Engine::Postgres).await;
    app.insert(rows(vec![user("ada"), user("bob")], Vec::new())).await;
    let connection = app.database.connect().await;
    let transaction = connection.begin().await.expect("a transaction");
    transaction
        .execute_unprepared("UPDATE users SET username = 'wanted' WHERE username = 'bob'")
        .await
        .expect("bob takes the name");
    let (token, input) = (app.token_of(id("ada")), json!({ "username": "Wanted" }));
    let wait_and_commit = async {
        let waiting = "SELECT 1 AS one FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waiting = Statement::from_string(DbBackend::Postgres, waiting);
        while connection.query_one_raw(waiting.clone()).await.expect("a result").is_none() {
            tokio::task::yield_now().await;
        }
        transaction.commit().await.expect("bob has the name");
    };
    let (done, ()) = tokio::join!(updated(&app, &token, &input), wait_and_commit);
    assert_eq!(done, json!({ "user": null, "userErrors": [username_taken()] }));
}

/// The characters that a field takes do not depend on the database; stored text is read back.
#[tokio::test]
async fn each_input_of_a_registration_has_its_limits() {
    let app = TestApp::start(Engine::Sqlite).await;
    let address = |length: usize| format!("{}@example.com", "愛".repeat(length - 12));
    let invalid_address =
        || plain_refusal("email", "INVALID", "email must be an address such as ada@example.com");
    let too_long = |field: &str, length: usize, bounds: (i32, i32)| {
        let max = bounds.1;
        let message = format!("{field} has {length} characters; it must have at most {max}");
        refusal(field, "TOO_LONG", &message, Some(bounds))
    };
    let too_short = |field: &str, length: usize, bounds: (i32, i32)| {
        let min = bounds.0;
        let message = format!("{field} has {length} characters; it must have at least {min}");
        refusal(field, "TOO_SHORT", &message, Some(bounds))
    };
    let cases = [
        ("email", json!("a@b"), None),
        ("email", json!(address(255)), None),
        ("email", json!(address(256)), Some(too_long("email", 256, (3, 255)))),
        ("email", json!("@b"), Some(too_short("email", 2, (3, 255)))),
        ("email", json!("  "), Some(plain_refusal("email", "REQUIRED", "email is missing"))),
        ("email", json!("ada"), Some(invalid_address())),
        ("email", json!("ada@"), Some(invalid_address())),
        ("email", json!("@example.com"), Some(invalid_address())),
        ("email", json!("a@b@example.com"), Some(invalid_address())),
        ("email", json!("a b@example.com"), Some(invalid_address())),
        ("username", json!("愛"), None),
        ("username", json!("愛".repeat(50)), None),
        ("username", json!("a b-c_d.e'f"), None),
        ("username", json!("愛".repeat(51)), Some(too_long("username", 51, (1, 50)))),
        (
            "username",
            json!(" "),
            Some(plain_refusal("username", "REQUIRED", "username is missing")),
        ),
        (
            "username",
            json!("ada@home"),
            Some(plain_refusal(
                "username",
                "INVALID",
                "username may not have an @, which e-mail addresses have",
            )),
        ),
        (
            "username",
            json!("a\u{0}b"),
            Some(plain_refusal(
                "username",
                "INVALID",
                "username has characters that cannot be shown",
            )),
        ),
        ("password", json!("        "), None),
        ("password", json!("愛".repeat(128)), None),
        ("password", json!("愛".repeat(7)), Some(too_short("password", 7, (8, 128)))),
        ("password", json!("愛".repeat(129)), Some(too_long("password", 129, (8, 128)))),
        (
            "password",
            json!(""),
            Some(refusal("password", "REQUIRED", "password is missing", Some((8, 128)))),
        ),
        ("displayName", json!(null), None),
        ("displayName", json!("愛"), None),
        ("displayName", json!("愛".repeat(100)), None),
        ("displayName", json!("O'Hara & \"Co.\" (née X) #1 @home"), None),
        ("displayName", json!("愛".repeat(101)), Some(too_long("displayName", 101, (1, 100)))),
        (
            "displayName",
            json!("two\nlines"),
            Some(plain_refusal(
                "displayName",
                "INVALID",
                "displayName has characters that cannot be shown",
            )),
        ),
    ];
    let forbidden = r"<>{}\|^~[]`".chars().map(|character| {
        let message = r"displayName must have none of <>{}\|^~[]`";
        let refusal = plain_refusal("displayName", "INVALID", message);
        ("displayName", json!(format!("a{character}b")), Some(refusal))
    });
    for (number, (field, value, expected)) in cases.into_iter().chain(forbidden).enumerate() {
        let input = with(registration(&format!("user{number}")), json!({ field: value }));
        let expected: Vec<Value> = expected.into_iter().collect();
        let done = register(&app, &input).await;
        assert_eq!(done["userErrors"], json!(expected), "{field}: {value}");
        assert_eq!(done["session"].is_null(), !expected.is_empty(), "{field}: {value}");
    }
}

#[tokio::test]
async fn a_name_that_shows_nothing_has_one_error() {
    let app = TestApp::start(Engine::Sqlite).await;
    for (field, value, code, problem) in [
        ("username", "\u{200b}\u{3164}", "REQUIRED", "is missing"),
        ("username", "a\u{202e}b", "INVALID", "has characters that cannot be shown"),
        ("username", "a\u{200b}b", "INVALID", "may not have characters that show nothing"),
        ("email", "\u{200b}\u{200b}\u{200b}", "REQUIRED", "is missing"),
    ] {
        let input = with(registration("ada"), json!({ field: value }));
        let expected = plain_refusal(field, code, &format!("{field} {problem}"));
        assert_eq!(refused(&app, &input).await, json!([expected]), "{field}: {value:?}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let app = TestApp::start(Engine::Sqlite).await;
    let input =
        json!({ "email": "ada", "username": "a@b", "password": "short", "displayName": "<ada>" });
    let errors: Vec<Value> = refused(&app, &input)
        .await
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| json!([error["field"], error["code"]]))
        .collect();
    assert_eq!(
        errors,
        [
            json!([["input", "email"], "INVALID"]),
            json!([["input", "username"], "INVALID"]),
            json!([["input", "password"], "TOO_SHORT"]),
            json!([["input", "displayName"], "INVALID"]),
        ]
    );
    assert_eq!(count_users(&app).await, 0);
}

#[tokio::test]
async fn an_idempotency_key_has_its_limits() {
    let app = TestApp::start(Engine::Sqlite).await;
    for (name, key, is_good) in [
        ("one", "愛".to_owned(), true),
        ("two", "愛".repeat(255), true),
        ("three", "愛".repeat(256), false),
        ("four", String::new(), false),
        ("five", " ".to_owned(), false),
        ("six", "a\u{0}b".to_owned(), false),
    ] {
        let input = with(registration(name), json!({ "idempotencyKey": key }));
        let response = mutate(&app, None, ("register", "viewer { username }"), &input).await;
        if is_good {
            assert_eq!(payload("register", response)["viewer"]["username"], name);
        } else {
            assert_eq!(failure_code(&response), "BAD_USER_INPUT", "{name}");
            let argument = &response.body["errors"][0]["extensions"]["argument"];
            assert_eq!(argument, "idempotencyKey", "{name}");
        }
    }
}

#[tokio::test]
async fn each_input_of_a_profile_has_its_limits() {
    let app = TestApp::start(Engine::Sqlite).await;
    let ada = users::Model { faction: FactionKey::Ncr, created_at: at(1), ..user("ada") };
    app.insert(rows(vec![ada], Vec::new())).await;
    let token = app.token_of(id("ada"));
    for (field, value, code) in [
        ("username", "愛".repeat(50), None),
        ("username", "愛".repeat(51), Some("TOO_LONG")),
        ("username", " ".to_owned(), Some("REQUIRED")),
        ("username", "a@b".to_owned(), Some("INVALID")),
        ("displayName", "愛".repeat(100), None),
        ("displayName", "愛".repeat(101), Some("TOO_LONG")),
        ("displayName", "<ada>".to_owned(), Some("INVALID")),
        ("bio", "愛\n".repeat(249) + "\t愛", None),
        ("bio", "愛".repeat(500), None),
        ("bio", "愛".repeat(501), Some("TOO_LONG")),
        ("bio", "a\u{1b}[1m".to_owned(), Some("INVALID")),
    ] {
        let done = updated(&app, &token, &json!({ field: value })).await;
        match code {
            None => assert_eq!(done["user"][field], value, "{done}"),
            Some(code) => {
                assert_eq!(done["user"], Value::Null, "{field}: {value}");
                assert_eq!(done["userErrors"][0]["code"], code, "{field}: {value}");
                assert_eq!(done["userErrors"][0]["field"], json!(["input", field]));
            }
        }
    }
}

#[tokio::test]
async fn a_deactivated_user_keeps_their_name() {
    let app = TestApp::start(Engine::Sqlite).await;
    app.insert(rows(vec![users::Model { is_active: false, ..user("ada") }], Vec::new())).await;
    assert_eq!(refused(&app, &registration("ada")).await[1]["code"], "TAKEN");
    let connection = app.database.connect().await;
    let found = users::Entity::find().filter(users::Column::Username.eq("ada"));
    assert_eq!(found.count(&connection).await.expect("a count"), 1);
}
