//! Moderation: deactivated users, hidden and deleted readings, and the audit log.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::{audit_log, users};
use wasteland_tarot::domain::audit::AuditAction;
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::accounts::promote;
use wasteland_tarot::services::maintenance::sweep;

use crate::sessions::{Pair, SESSION};
use crate::support::app::{Engine, TestApp, TestResponse, on_both_databases, send_request};
use crate::support::fixtures::{id, reading, reading_id, rows, user, user_id};
use crate::support::mutations::{USER_ERRORS, mutate, payload, refusal};
use crate::support::tables::{Access, differences};
use crate::support::world::{PASSWORD, write_world};

/// Caches whole responses, as a server does by default.
const CACHING: [&str; 1] = ["--response-cache-bytes=16777216"];

/// A server with Ada, Bob and an admin, each with readings.
async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start_with(engine, &CACHING).await;
    write_world(&app).await;
    app
}

const REASON: &str = "Advertises a casino.";

async fn moderate(app: &TestApp, mutation: &str, target: &str, fields: &str) -> Value {
    let key = if mutation.ends_with("User") { "userId" } else { "readingId" };
    let input = json!({ key: target, "reason": REASON });
    payload(app, id("admin"), mutation, input, fields).await
}

/// Moderates, which must change something.
async fn change(app: &TestApp, mutation: &str, target: &str) {
    let done = moderate(app, mutation, target, &format!("isChanged {USER_ERRORS}")).await;
    assert_eq!(done, json!({ "isChanged": true, "userErrors": [] }), "{mutation}");
}

/// Every way in which others reach what is Ada's: each response names her, or one of her readings.
fn ways_to_ada() -> Vec<String> {
    let (ada, public, archived) = (user_id("ada"), reading_id("q:pub"), reading_id("q:arch-pub"));
    let fields = "totalCount totalCountIsExact pageInfo { hasNextPage }
        nodes { question user { username displayName } }";
    let lists = [
        "first: 100",
        "last: 100",
        "filter: { tagsAny: [\"tag q:pub\", \"x\"] }",
        "filter: { karmaContexts: [GOOD, NEUTRAL, EVIL] }",
        "filter: { createdAt: { from: \"2020-01-01T00:00:00Z\" } }",
        "filter: { spreadTypes: [SINGLE_WASTELAND, VAULT_TEC_SPREAD, CELTIC_CROSS, RAIDER_CHAOS] }",
        "search: \"pub\"",
        "search: \"late-pub\", filter: { tagsAny: [\"tag q:late-pub\"] }",
    ];
    let lists = lists.map(|list| format!("{{ publicReadings({list}) {{ {fields} }} }}"));
    let others = [
        "{ user(username: \"ADA\") { id displayName readings { totalCount nodes { question } } } }"
            .to_owned(),
        "{ user(username: \"ada\") { username readings(search: \"pub\") { nodes { id question } } } }"
            .to_owned(),
        format!("{{ node(id: {ada:?}) {{ ... on User {{ username readings {{ totalCount }} }} }} }}"),
        format!("{{ nodes(ids: [{ada:?}, {public:?}]) {{ __typename ... on User {{ username }} ... on Reading {{ question }} }} }}"),
        format!("{{ reading(id: {public:?}) {{ question user {{ username }} }} }}"),
        format!("{{ reading(id: {archived:?}) {{ question }} }}"),
        format!("{{ node(id: {public:?}) {{ ... on Reading {{ question }} }} }}"),
        "{ sharedReading(token: \"s:pub\") { status title content { question authorName } } }".to_owned(),
        "{ sharedReading(token: \"s:prv\") { status title content { question authorName } } }".to_owned(),
    ];
    lists.into_iter().chain(others).collect()
}

/// True if a response shows something of Ada.
fn shows_ada(response: &str) -> bool {
    ["q:pub", "q:late-pub", "q:arch-pub", "q:prv", "ada", "s:pub"]
        .iter()
        .any(|word| response.contains(word))
}

/// Responses to all ways, by each kind of viewer.
async fn see(app: &TestApp) -> Vec<(String, TestResponse)> {
    let mut seen = Vec::new();
    for viewer in [None, Some(id("bob"))] {
        for query in ways_to_ada() {
            let response = app.query_as_viewer(viewer, &query).await;
            assert_eq!(response.body.get("errors"), None, "{query}: {}", response.text);
            seen.push((format!("{viewer:?}: {query}"), response));
        }
    }
    for page in ["/s/s:pub", "/s/s:prv"] {
        let response = send_request(app.request(reqwest::Method::GET, page)).await;
        seen.push((page.to_owned(), response));
    }
    seen
}

fn texts(seen: Vec<(String, TestResponse)>) -> Vec<(String, String)> {
    seen.into_iter().map(|(way, response)| (way, response.text)).collect()
}

async fn public_stats(app: &TestApp) -> Value {
    app.data("{ publicStats { users readings } }").await["publicStats"].take()
}

/// Draws of all cards, and uses of all spreads.
async fn counts(app: &TestApp) -> [i64; 2] {
    let query = "{ cards(first: 100) { nodes { drawCount } }
        spreads(first: 100, filter: { includeInactive: true }) { nodes { usageCount } } }";
    let data = app.data_as(id("admin"), query).await;
    [("cards", "drawCount"), ("spreads", "usageCount")].map(|(list, count)| {
        let nodes = data[list]["nodes"].as_array().expect("a list");
        nodes.iter().map(|node| node[count].as_i64().expect("a count")).sum()
    })
}

on_both_databases! {
    async fn what_belongs_to_a_deactivated_user_is_gone_at_once_and_back_when_reactivated(
        engine: Engine,
    ) {
        let app = start(engine).await;
        // The second time from the caches.
        let (before, warm) = (texts(see(&app).await), see(&app).await);
        for ((way, text), (_, cached)) in before.iter().zip(&warm) {
            assert!(shows_ada(text), "{way}: {text}");
            assert_eq!(text, &cached.text);
        }
        let warm = warm
            .iter()
            .filter(|(way, response)| !way.starts_with('/') && response.statements() == 0);
        assert!(warm.count() > 8, "the response cache is on");
        assert_eq!(public_stats(&app).await, json!({ "users": 3, "readings": 8 }));
        assert_eq!(counts(&app).await, [8, 8]);

        change(&app, "adminDeactivateUser", &user_id("ada")).await;
        for (way, response) in see(&app).await {
            assert!(!shows_ada(&response.text), "{way}: {}", response.text);
            if way.starts_with('/') {
                assert_eq!(response.status, 404, "{way}");
            }
        }
        // Her six readings, private ones included.
        assert_eq!(public_stats(&app).await, json!({ "users": 2, "readings": 2 }));
        assert_eq!(counts(&app).await, [2, 2]);
        let bobs = "{ publicReadings { totalCount nodes { question } } }";
        let expected = json!({ "totalCount": 1, "nodes": [{ "question": "q:bob-pub" }] });
        assert_eq!(app.data(bobs).await["publicReadings"], expected);

        change(&app, "adminReactivateUser", &user_id("ada")).await;
        assert_eq!(texts(see(&app).await), before);
        assert_eq!(public_stats(&app).await, json!({ "users": 3, "readings": 8 }));
        assert_eq!(counts(&app).await, [8, 8]);
    }

    async fn a_page_does_not_end_at_readings_of_deactivated_users(engine: Engine) {
        let app = TestApp::start(engine).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        let (ada, bob) = (user("ada"), user("bob"));
        let readings = (0..40).map(|number| {
            let owner = if number % 10 == 0 { &bob } else { &ada };
            reading(&app, owner, &format!("q:{number}"), number)
        });
        let readings = readings.collect();
        app.insert(rows(vec![ada, bob, admin], readings)).await;
        change(&app, "adminDeactivateUser", &user_id("ada")).await;
        let page = "publicReadings(first: 2) { totalCount nodes { question }
            pageInfo { endCursor hasNextPage hasPreviousPage } }";
        let first = app.data(&format!("{{ {page} }}")).await["publicReadings"].take();
        let cursor = &first["pageInfo"]["endCursor"];
        assert_eq!(
            first,
            json!({
                "totalCount": 4,
                "nodes": [{ "question": "q:30" }, { "question": "q:20" }],
                "pageInfo": { "endCursor": cursor, "hasNextPage": true, "hasPreviousPage": false },
            })
        );
        let next = page.replace("first: 2", &format!("first: 2, after: {cursor}"));
        let second = app.data(&format!("{{ {next} }}")).await["publicReadings"].take();
        assert_eq!(
            second,
            json!({
                "totalCount": 4,
                "nodes": [{ "question": "q:10" }, { "question": "q:0" }],
                "pageInfo": {
                    "endCursor": second["pageInfo"]["endCursor"],
                    "hasNextPage": false, "hasPreviousPage": true,
                },
            })
        );
    }

    async fn a_deactivated_user_has_no_session_and_logs_in_again_when_reactivated(engine: Engine) {
        let app = start(engine).await;
        let log_in = async || {
            let input = json!({ "login": "ada", "password": PASSWORD });
            let fields = format!("{SESSION} userErrors {{ code }}");
            let response = mutate(&app, None, "login", &input, &fields).await;
            response.body["data"]["login"].clone()
        };
        let session = Pair::of(&log_in().await["session"]);
        let viewer = json!({ "query": "{ viewer { username } }" });
        let refresh = json!({ "refreshToken": session.refresh });
        assert_eq!(app.send(Some(&session.access), &viewer).await.status, 200);

        change(&app, "adminDeactivateUser", &user_id("ada")).await;
        assert_eq!(app.send(Some(&session.access), &viewer).await.status, 401);
        let refreshed =
            mutate(&app, None, "refreshSession", &refresh, "userErrors { code }").await;
        let over = json!({ "userErrors": [{ "code": "SESSION_EXPIRED" }] });
        assert_eq!(refreshed.body["data"]["refreshSession"], over);
        let refused = json!({ "session": null, "userErrors": [{ "code": "BAD_CREDENTIALS" }] });
        assert_eq!(log_in().await, refused);

        change(&app, "adminReactivateUser", &user_id("ada")).await;
        // Sessions stay ended.
        assert_eq!(app.send(Some(&session.access), &viewer).await.status, 401);
        let refreshed =
            mutate(&app, None, "refreshSession", &refresh, "userErrors { code }").await;
        assert_eq!(refreshed.body["data"]["refreshSession"], over);
        let session = Pair::of(&log_in().await["session"]);
        assert_eq!(app.send(Some(&session.access), &viewer).await.status, 200);
    }

    async fn a_login_at_the_same_time_leaves_no_session(engine: Engine) {
        let app = start(engine).await;
        let (ada, input) = (user_id("ada"), json!({ "login": "ada", "password": PASSWORD }));
        for _ in 0..5 {
            let log_in = mutate(&app, None, "login", &input, SESSION);
            let deactivate = change(&app, "adminDeactivateUser", &ada);
            let (session, ()) = join(log_in, deactivate).await;
            let session = &session.body["data"]["login"]["session"];
            if !session.is_null() {
                let Pair { access, refresh } = Pair::of(session);
                let viewer = json!({ "query": "{ viewer { username } }" });
                assert_eq!(app.send(Some(&access), &viewer).await.status, 401);
                let refresh = json!({ "refreshToken": refresh });
                let fields = "session { accessToken }";
                let refreshed = mutate(&app, None, "refreshSession", &refresh, fields).await;
                assert_eq!(refreshed.body["data"]["refreshSession"], json!({ "session": null }));
            }
            change(&app, "adminReactivateUser", &user_id("ada")).await;
        }
    }

    async fn two_admins_who_deactivate_each_other_leave_one(engine: Engine) {
        let app = TestApp::start(engine).await;
        let admin = |name: &str| users::Model { is_admin: true, ..user(name) };
        app.insert(rows(vec![admin("ann"), admin("ben")], Vec::new())).await;
        let deactivate = async |who: &str, whom: &str| {
            let input = json!({ "userId": user_id(whom), "reason": REASON });
            let token = app.token_of(id(who));
            let query = "mutation ($input: AdminDeactivateUserInput!) {
                adminDeactivateUser(input: $input) { isChanged } }";
            let body = json!({ "query": query, "variables": { "input": input } });
            let response = app.send(Some(&token), &body).await;
            response.body["data"]["adminDeactivateUser"]["isChanged"] == true
        };
        let (ann, ben) = join(deactivate("ann", "ben"), deactivate("ben", "ann")).await;
        assert!(ann != ben, "{ann} {ben}");
        let connection = app.database.connect().await;
        let left = users::Entity::find().all(&connection).await.expect("users");
        let active: Vec<_> = left.iter().filter(|user| user.is_active).collect();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].id, id(if ann { "ann" } else { "ben" }));
    }

    async fn a_hidden_reading_is_seen_by_its_owner_and_admins_alone(engine: Engine) {
        let app = start(engine).await;
        let target = reading_id("q:pub");
        let mine = format!(
            "{{ reading(id: {target:?}) {{ question privacyLevel hidden {{ reason }} shareLinks {{ title }} }} }}"
        );
        let admins = format!(
            "{{ admin {{ reading(id: {target:?}) {{ question privacyLevel hidden {{ reason }} notes }} }}
                reading(id: {target:?}) {{ question }} }}"
        );
        let seen = async || {
            let list = "{ publicReadings { totalCount nodes { question } } }";
            let search = "{ publicReadings(search: \"q:pub\") { totalCount } }";
            let one = format!("{{ reading(id: {target:?}) {{ question hidden {{ reason }} }} }}");
            let share = "{ sharedReading(token: \"s:pub\") { status } }";
            let user = "{ user(username: \"ada\") { readings { totalCount } } }";
            let mut seen = Vec::new();
            for query in [list, search, &one, share, user] {
                for viewer in [None, Some(id("bob"))] {
                    seen.push(app.query_as_viewer(viewer, query).await.body["data"].clone());
                }
            }
            seen
        };
        let before = seen().await;
        assert_eq!(before, seen().await);

        change(&app, "adminHideReading", &target).await;
        let bobs_and_late = json!({ "publicReadings": { "totalCount": 2, "nodes": [
            { "question": "q:late-pub" }, { "question": "q:bob-pub" },
        ] } });
        let expected = [
            bobs_and_late,
            json!({ "publicReadings": { "totalCount": 0 } }),
            json!({ "reading": null }),
            json!({ "sharedReading": null }),
            json!({ "user": { "readings": { "totalCount": 1 } } }),
        ];
        let expected: Vec<Value> =
            expected.into_iter().flat_map(|data| [data.clone(), data]).collect();
        assert_eq!(seen().await, expected);
        assert_eq!(send_request(app.request(reqwest::Method::GET, "/s/s:pub")).await.status, 404);
        let hidden = json!({ "reason": REASON });
        assert_eq!(
            app.data_as(id("ada"), &mine).await["reading"],
            json!({ "question": "q:pub", "privacyLevel": "PRIVATE", "hidden": hidden,
                "shareLinks": [{ "title": "s:pub" }] })
        );
        assert_eq!(
            app.data_as(id("admin"), &admins).await,
            json!({
                "admin": { "reading": {
                    "question": "q:pub", "privacyLevel": "PRIVATE", "hidden": hidden, "notes": null,
                } },
                "reading": null,
            })
        );

        change(&app, "adminUnhideReading", &target).await;
        assert_eq!(seen().await, before);
        assert_eq!(
            app.data_as(id("ada"), &mine).await["reading"],
            json!({ "question": "q:pub", "privacyLevel": "PUBLIC", "hidden": null,
                "shareLinks": [{ "title": "s:pub" }] })
        );
    }

    async fn an_owner_cannot_publish_a_hidden_reading_and_chooses_its_later_level(engine: Engine) {
        let app = start(engine).await;
        let target = reading_id("q:pub");
        change(&app, "adminHideReading", &target).await;
        let update = async |change: Value| {
            let mut input = json!({ "id": target });
            input.as_object_mut().expect("an object").extend(change.as_object().expect("one").clone());
            let fields = format!("reading {{ question privacyLevel }} {USER_ERRORS}");
            payload(&app, id("ada"), "updateReading", input, &fields).await
        };
        let message = "an admin has hidden this reading, which cannot be public now";
        assert_eq!(
            update(json!({ "privacyLevel": "PUBLIC", "question": "new" })).await,
            json!({
                "reading": null,
                "userErrors": refusal(&["privacyLevel"], "INVALID", message, [None, None]),
            })
        );
        // Other fields may be changed.
        assert_eq!(
            update(json!({ "question": "new" })).await["reading"],
            json!({ "question": "new", "privacyLevel": "PRIVATE" })
        );
        assert_eq!(
            update(json!({ "privacyLevel": "FRIENDS" })).await["reading"],
            json!({ "question": "new", "privacyLevel": "FRIENDS" })
        );
        let done = moderate(&app, "adminUnhideReading", &target,
            "isChanged reading { privacyLevel hidden { reason } }").await;
        let expected =
            json!({ "isChanged": true, "reading": { "privacyLevel": "FRIENDS", "hidden": null } });
        assert_eq!(done, expected);
        assert_eq!(
            update(json!({ "privacyLevel": "PUBLIC" })).await["reading"],
            json!({ "question": "new", "privacyLevel": "PUBLIC" })
        );
    }

    async fn an_admin_deletes_a_public_or_a_hidden_reading(engine: Engine) {
        let app = start(engine).await;
        change(&app, "adminHideReading", &reading_id("q:late-pub")).await;
        for (name, left) in [("q:pub", 7), ("q:late-pub", 6)] {
            let target = reading_id(name);
            let done =
                moderate(&app, "adminDeleteReading", &target, "deletedReadingId isChanged").await;
            assert_eq!(done, json!({ "deletedReadingId": target, "isChanged": true }));
            assert_eq!(public_stats(&app).await["readings"], left);
            assert_eq!(counts(&app).await, [left, left]);
            let query = format!("{{ reading(id: {target:?}) {{ id }} }}");
            assert_eq!(app.data_as(id("ada"), &query).await["reading"], Value::Null);
            // A repeat says so.
            let done =
                moderate(&app, "adminDeleteReading", &target, "deletedReadingId isChanged").await;
            assert_eq!(done, json!({ "deletedReadingId": target, "isChanged": false }));
        }
        // The counters lost a reading of a deactivated user before.
        change(&app, "adminDeactivateUser", &user_id("ada")).await;
        assert_eq!(public_stats(&app).await, json!({ "users": 2, "readings": 2 }));
        change(&app, "adminDeleteReading", &reading_id("q:arch-pub")).await;
        assert_eq!(public_stats(&app).await, json!({ "users": 2, "readings": 2 }));
        change(&app, "adminReactivateUser", &user_id("ada")).await;
        assert_eq!(public_stats(&app).await, json!({ "users": 3, "readings": 5 }));
        assert_eq!(counts(&app).await, [5, 5]);
    }

    async fn a_repeated_moderation_says_so_and_writes_nothing(engine: Engine) {
        let app = start(engine).await;
        let tables = Access::open(&app.database).await;
        for (mutation, target, fields, object) in [
            ("adminDeactivateUser", user_id("ada"), "adminUser { isActive }",
                json!({ "adminUser": { "isActive": false } })),
            ("adminReactivateUser", user_id("ada"), "adminUser { isActive }",
                json!({ "adminUser": { "isActive": true } })),
            ("adminHideReading", reading_id("q:pub"), "reading { privacyLevel }",
                json!({ "reading": { "privacyLevel": "PRIVATE" } })),
            ("adminUnhideReading", reading_id("q:pub"), "reading { privacyLevel }",
                json!({ "reading": { "privacyLevel": "PUBLIC" } })),
        ] {
            let fields = format!("isChanged {fields} {USER_ERRORS}");
            let mut expected = object;
            expected["userErrors"] = json!([]);
            expected["isChanged"] = true.into();
            assert_eq!(moderate(&app, mutation, &target, &fields).await, expected);
            expected["isChanged"] = false.into();
            let before = tables.all().await;
            assert_eq!(moderate(&app, mutation, &target, &fields).await, expected);
            let differing = differences(&before, &tables.all().await);
            assert!(differing.is_empty(), "{mutation}: {differing:#?}");
        }
        tables.close().await;
    }

    async fn refused_moderations_change_nothing(engine: Engine) {
        let app = start(engine).await;
        let tables = Access::open(&app.database).await;
        let before = tables.all().await;
        let refuse = async |mutation: &str, input: Value| {
            payload(&app, id("admin"), mutation, input, USER_ERRORS).await["userErrors"].take()
        };
        let long = "é".repeat(501);
        for (mutation, target, key) in [
            ("adminDeactivateUser", user_id("ada"), "userId"),
            ("adminReactivateUser", user_id("ada"), "userId"),
            ("adminHideReading", reading_id("q:pub"), "readingId"),
            ("adminUnhideReading", reading_id("q:pub"), "readingId"),
            ("adminDeleteReading", reading_id("q:pub"), "readingId"),
        ] {
            for (reason, code, message, bounds) in [
                (" \u{200b}\n", "REQUIRED", "reason is missing", [None, None]),
                (&*long, "TOO_LONG", "reason has 501 characters; it must have at most 500", [Some(1), Some(500)]),
                ("a\u{7}b", "INVALID", "reason has characters that cannot be shown", [None, None]),
            ] {
                assert_eq!(
                    refuse(mutation, json!({ key: target, "reason": reason })).await,
                    refusal(&["reason"], code, message, bounds),
                    "{mutation}"
                );
            }
        }
        // An own account, and readings that nobody has published: as if there were none.
        assert_eq!(
            refuse("adminDeactivateUser", json!({ "userId": user_id("admin"), "reason": REASON })).await,
            refusal(&["userId"], "INVALID", "you cannot deactivate yourself", [None, None])
        );
        for mutation in ["adminHideReading", "adminUnhideReading", "adminDeleteReading"] {
            for name in ["q:prv", "q:friends", "q:arch-prv", "q:none"] {
                assert_eq!(
                    refuse(mutation, json!({ "readingId": reading_id(name), "reason": REASON })).await,
                    refusal(&["readingId"], "NOT_FOUND", "there is no such public reading", [None, None]),
                    "{mutation} {name}"
                );
            }
        }
        for mutation in ["adminDeactivateUser", "adminReactivateUser"] {
            let input = json!({ "userId": user_id("nobody"), "reason": REASON });
            let response = mutate(&app, Some(id("admin")), mutation, &input, USER_ERRORS).await;
            assert_eq!(response.body["errors"][0]["extensions"]["code"], "NOT_FOUND");
        }
        let query = format!("{{ admin {{ reading(id: {:?}) {{ id }} }} }}", reading_id("q:prv"));
        assert_eq!(app.data_as(id("admin"), &query).await, json!({ "admin": { "reading": null } }));
        let differing = differences(&before, &tables.all().await);
        assert!(differing.is_empty(), "{differing:#?}");
        // The longest reason.
        let input = json!({ "userId": user_id("ada"), "reason": "é".repeat(500) });
        assert_eq!(refuse("adminDeactivateUser", input).await, json!([]));
        tables.close().await;
    }
}

const ENTRY: &str =
    "action actorId actor { username } targetId reason detail clientAddress createdAt";

/// Entries of the audit log that match a filter, the newest first.
async fn entries(app: &TestApp, filter: &str) -> Vec<Value> {
    let query = format!(
        "{{ admin {{ auditLog(first: 100, filter: {filter}) {{ nodes {{ {ENTRY} }} }} }} }}"
    );
    let mut data = app.data_as(id("admin"), &query).await;
    let nodes = data["admin"]["auditLog"]["nodes"].take();
    serde_json::from_value(nodes).expect("a list")
}

async fn actions(app: &TestApp, filter: &str) -> Vec<String> {
    let entries = entries(app, filter).await;
    entries.iter().map(|entry| entry["action"].as_str().expect("an action").to_owned()).collect()
}

/// A row of the log.
fn audited(number: i64, action: AuditAction, actor: Uuid, target: Uuid) -> audit_log::Model {
    audit_log::Model {
        id: Uuid::now_v7(),
        action,
        actor_id: Some(actor),
        target_kind: Some(wasteland_tarot::domain::audit::AuditTargetKind::User),
        target_id: Some(target),
        reason: None,
        detail: None,
        client_address: Some("127.0.0.1".to_owned()),
        created_at: crate::support::app::at(number),
    }
}

async fn insert_audited(app: &TestApp, rows: Vec<audit_log::Model>) {
    use sea_orm::IntoActiveModel;
    let connection = app.database.connect().await;
    for rows in rows.chunks(500) {
        let rows = rows.iter().cloned().map(IntoActiveModel::into_active_model);
        audit_log::Entity::insert_many(rows).exec(&connection).await.expect("the rows");
    }
}

on_both_databases! {
    async fn the_audit_log_has_who_did_what_to_whom_and_why(engine: Engine) {
        let app = start(engine).await;
        let clock = &app.app.services.clock;
        clock.stop();
        let now = json!(clock.now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        let (ada, spam) = (user_id("ada"), reading_id("q:pub"));
        change(&app, "adminHideReading", &spam).await;
        change(&app, "adminUnhideReading", &spam).await;
        change(&app, "adminDeleteReading", &spam).await;
        change(&app, "adminDeactivateUser", &ada).await;
        change(&app, "adminReactivateUser", &ada).await;
        let entry = |action: &str, target: &str| json!({
            "action": action, "actorId": user_id("admin"), "actor": { "username": "admin" },
            "targetId": target, "reason": REASON, "detail": null, "clientAddress": "127.0.0.1",
            "createdAt": now,
        });
        let expected = vec![
            entry("USER_REACTIVATED", &ada),
            entry("USER_DEACTIVATED", &ada),
            entry("READING_DELETED", &spam),
            entry("READING_UNHIDDEN", &spam),
            entry("READING_HIDDEN", &spam),
        ];
        assert_eq!(entries(&app, "{}").await, expected);
        assert_eq!(entries(&app, &format!("{{ targetId: {spam:?} }}")).await, expected[2..]);

        clock.advance(TimeDelta::seconds(1));
        let card = crate::support::fixtures::card_id(&app, "major_arcana_00");
        let spread = crate::support::fixtures::spread_id(&app, "celtic_cross");
        for (mutation, input) in [
            ("adminUpdateCard", json!({ "id": card, "locale": "ZH_HANT", "name": "新" })),
            ("adminUpdateSpread", json!({ "id": spread, "isPremium": true })),
            ("adminLockUser", json!({ "userId": ada })),
            ("adminUnlockUser", json!({ "userId": ada })),
        ] {
            let done = payload(&app, id("admin"), mutation, input, USER_ERRORS).await;
            assert_eq!(done["userErrors"], json!([]));
        }
        let query = "mutation { adminInvalidateCache(pattern: \"analytics:*\") { removedEntries } }";
        app.data_as(id("admin"), query).await;
        let (session, services) = (app.app.database.session(), &app.app.services);
        let role = wasteland_tarot::db::users::Role::Premium;
        assert!(promote(&session, services, "bob", role).await.expect("promoted"));
        session.release().await;
        let since = (clock.now()).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let later = entries(&app, &format!("{{ createdAt: {{ from: {since:?} }} }}")).await;
        let brief = |entry: &Value| {
            let of = |name: &str| entry[name].clone();
            json!([of("action"), of("actorId"), of("targetId"), of("detail"), of("clientAddress")])
        };
        let admin = user_id("admin");
        let until = (clock.now() + TimeDelta::days(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let local = "127.0.0.1";
        assert_eq!(
            later.iter().map(brief).collect::<Vec<_>>(),
            [
                json!(["ROLE_GRANTED", null, user_id("bob"), "premium", null]),
                json!(["CACHE_INVALIDATED", admin, null, "analytics:*", local]),
                json!(["USER_UNLOCKED", admin, ada, null, local]),
                json!(["USER_LOCKED", admin, ada, until, local]),
                json!(["SPREAD_UPDATED", admin, spread, "en", local]),
                json!(["CARD_UPDATED", admin, card, "zh_hant", local]),
            ]
        );
    }

    async fn logins_and_reused_refresh_tokens_are_in_the_audit_log_and_guesses_are_not(
        engine: Engine,
    ) {
        let app = start(engine).await;
        let clock = &app.app.services.clock;
        clock.stop();
        let log_in = async |password: &str| {
            let input = json!({ "login": "ada", "password": password });
            mutate(&app, None, "login", &input, SESSION).await.body["data"]["login"].clone()
        };
        let Pair { refresh, .. } = Pair::of(&log_in(PASSWORD).await["session"]);
        for _ in 0..6 {
            log_in("a wrong password").await;
        }
        let input = json!({ "refreshToken": refresh });
        for seconds in [0, 60] {
            clock.advance(TimeDelta::seconds(seconds));
            mutate(&app, None, "refreshSession", &input, SESSION).await;
        }
        let ada = user_id("ada");
        let found = entries(&app, &format!("{{ targetId: {ada:?} }}")).await;
        let brief = |entry: &Value| json!([entry["action"], entry["actorId"], entry["clientAddress"]]);
        assert_eq!(
            found.iter().map(brief).collect::<Vec<_>>(),
            [
                json!(["REFRESH_TOKEN_REUSED", null, "127.0.0.1"]),
                json!(["LOGGED_IN", ada, "127.0.0.1"]),
            ]
        );
        let count = audit_log::Entity::find().count(&app.database.connect().await).await;
        assert_eq!(count.expect("a count"), 2);
    }

    async fn the_audit_log_is_filtered_and_paged(engine: Engine) {
        let app = start(engine).await;
        let kinds = [AuditAction::LoggedIn, AuditAction::UserLocked, AuditAction::RoleGranted];
        let rows = (0..30).map(|number| {
            let action = kinds[usize::try_from(number % 3).expect("small")];
            let actor = id(if number % 2 == 0 { "ada" } else { "bob" });
            audited(number, action, actor, id(if number < 10 { "ada" } else { "admin" }))
        });
        insert_audited(&app, rows.collect()).await;
        assert_eq!(actions(&app, "{}").await.len(), 30);
        assert_eq!(actions(&app, "{ actions: [USER_LOCKED] }").await, vec!["USER_LOCKED"; 10]);
        let two: BTreeSet<_> =
            actions(&app, "{ actions: [USER_LOCKED, LOGGED_IN, LOGGED_IN] }").await.into_iter().collect();
        assert_eq!(two, BTreeSet::from(["USER_LOCKED", "LOGGED_IN"].map(str::to_owned)));
        assert_eq!(actions(&app, "{ actions: [] }").await.len(), 0);
        let (ada, bob) = (user_id("ada"), user_id("bob"));
        assert_eq!(actions(&app, &format!("{{ actorId: {bob:?} }}")).await.len(), 15);
        assert_eq!(actions(&app, &format!("{{ actorId: {bob:?}, targetId: {ada:?} }}")).await.len(), 5);
        let time = |seconds| crate::support::app::at(seconds).to_rfc3339();
        let range = format!("{{ createdAt: {{ from: {:?}, to: {:?} }} }}", time(5), time(8));
        assert_eq!(actions(&app, &range).await.len(), 3);

        let (mut after, mut seen) = (Value::Null, Vec::new());
        loop {
            let query = format!(
                "{{ admin {{ auditLog(first: 7, after: {after}) {{ totalCount nodes {{ id createdAt }}
                    pageInfo {{ hasNextPage endCursor }} }} }} }}"
            );
            let data = app.data_as(id("admin"), &query).await;
            let page = &data["admin"]["auditLog"];
            assert_eq!(page["totalCount"], 30);
            seen.extend(page["nodes"].as_array().expect("a list").iter().cloned());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(seen.len(), 30);
        let times: Vec<&str> = seen.iter().filter_map(|entry| entry["createdAt"].as_str()).collect();
        assert!(times.is_sorted_by(|newer, older| newer > older), "{times:?}");

        for (filter, argument, message) in [
            (format!("{{ actorId: {:?} }}", reading_id("x")), "actorId", "User"),
            (format!("{{ targetId: {:?} }}", GlobalId::Category(id("x")).encode().as_str()), "targetId",
                "User, Reading, Card or Spread"),
        ] {
            let query = format!("{{ admin {{ auditLog(filter: {filter}) {{ totalCount }} }} }}");
            let response = app.query_as(id("admin"), &query).await;
            let error = &response.body["errors"][0];
            assert_eq!(error["extensions"]["argument"], argument, "{}", response.text);
            assert!(error["message"].as_str().expect("a text").contains(message), "{error}");
        }
        let query = "{ admin { auditLog(first: 101) { totalCount } } }";
        let response = app.query_as(id("admin"), query).await;
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "PAGE_SIZE_EXCEEDED");
    }

    async fn each_filter_of_the_audit_log_has_an_index(engine: Engine) {
        let app = start(engine).await;
        let kinds = AuditAction::ALL;
        let rows = (0..5_000_i64).map(|number| {
            let place = usize::try_from(number).expect("small");
            let actor = Uuid::from_u128(u128::from(number.unsigned_abs() % 500));
            audited(number, kinds[place % kinds.len()], actor, Uuid::from_u128(place as u128))
        });
        insert_audited(&app, rows.collect()).await;
        let connection = app.database.connect().await;
        connection.execute_unprepared("ANALYZE").await.expect("analyzed");
        let backend = connection.get_database_backend();
        let explain = if engine == Engine::Sqlite { "EXPLAIN QUERY PLAN " } else { "EXPLAIN " };
        let column = if engine == Engine::Sqlite { "detail" } else { "QUERY PLAN" };
        let some = if engine == Engine::Sqlite { "zeroblob(16)" } else { "'00000000-0000-0000-0000-000000000007'" };
        for (condition, index) in [
            ("created_at < '2026-11-01'".to_owned(), "idx_audit_log_created"),
            ("action = 'user_locked'".to_owned(), "idx_audit_log_action"),
            (format!("actor_id = {some}"), "idx_audit_log_actor"),
            (format!("target_id = {some}"), "idx_audit_log_target"),
        ] {
            let sql = format!(
                "{explain} SELECT * FROM audit_log WHERE {condition}
                ORDER BY created_at DESC, id DESC LIMIT 21"
            );
            let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await;
            let rows = rows.expect("a plan");
            let plan: Vec<String> =
                rows.iter().map(|row| row.try_get("", column).expect("a line")).collect();
            assert!(plan.iter().any(|line| line.contains(index)), "{condition}: {plan:#?}");
        }
    }

    async fn entries_of_the_audit_log_end_with_their_retention(engine: Engine) {
        let flags = ["--audit-log-retention-days=2"];
        let app = TestApp::start_with(engine, &flags).await;
        write_world(&app).await;
        let (session, services) = (app.app.database.session(), &app.app.services);
        services.clock.stop();
        change(&app, "adminDeactivateUser", &user_id("ada")).await;
        for (seconds, left) in [(2 * 86_400, 1), (1, 0)] {
            services.clock.advance(TimeDelta::seconds(seconds));
            sweep(services, &session).await.expect("swept");
            let count = audit_log::Entity::find().count(&app.database.connect().await).await;
            assert_eq!(count.expect("a count"), left, "{seconds}");
        }
    }

    async fn a_moderation_that_fails_leaves_nothing(engine: Engine) {
        let app = start(engine).await;
        let tables = Access::open(&app.database).await;
        tables.run("ALTER TABLE token_revocations RENAME TO elsewhere").await;
        let before = tables.all().await;
        let input = json!({ "userId": user_id("ada"), "reason": REASON });
        let response =
            mutate(&app, Some(id("admin")), "adminDeactivateUser", &input, USER_ERRORS).await;
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR");
        let differing = differences(&before, &tables.all().await);
        assert!(differing.is_empty(), "{differing:#?}");
        tables.close().await;
    }
}
