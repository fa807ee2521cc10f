//! Slow statements, as operators see them: text, duration and operation, and never a value.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use wasteland_tarot::db::entities::{reading_sessions, users};

use crate::support::app::{
    Engine, RawConnection, TestApp, data_of, on_both_databases, settings_with,
};
use crate::support::fixtures::{
    category, category_id, drawn_cards, id, reading, reading_id, rows, spread_id, user,
};
use crate::support::mutations::{USER_ERRORS, mutate, payload};
use crate::support::tables::{Access, differences};
use crate::support::world::{PASSWORD, write_world};
use crate::tcp_connections::http2;

const FIELDS: &str = "id sql durationMs latestDurationMs occurredAt occurrences operationName field
    parameters";

/// Records every statement.
const ALL: &str = "--slow-query-ms=0";
/// A day: records only statements that hit their deadline.
const NONE: &str = "--slow-query-ms=86400000";

/// A server with an admin, Ada, and her readings with their cards.
async fn start(engine: Engine, flags: &[&str]) -> TestApp {
    // Every question is to reach the database.
    let flags: Vec<&str> = flags.iter().copied().chain(["--cache-enabled=false"]).collect();
    let app = TestApp::start_with(engine, &flags).await;
    let ada = user("ada");
    let folder = category(&ada, "folder");
    let readings: Vec<_> = (1..=5)
        .map(|number| reading_sessions::Model {
            category_id: Some(folder.id),
            ..reading(&app, &ada, &format!("r{number}"), number)
        })
        .collect();
    let drawn =
        readings.iter().flat_map(|reading| drawn_cards(&app, reading, &["major_arcana_00"]));
    let drawn = drawn.collect();
    let admin = users::Model { is_admin: true, ..user("admin") };
    let mut all = rows(vec![ada, admin], readings);
    all.drawn_cards = drawn;
    all.categories = vec![folder];
    app.insert(all).await;
    app
}

/// The slow queries with these fields, as the admin sees them.
async fn recorded_with(app: &TestApp, fields: &str) -> Vec<Value> {
    let query =
        format!("query SlowQueries {{ admin {{ slowQueries(limit: 100) {{ {fields} }} }} }}");
    let mut data = app.data_as(id("admin"), &query).await;
    match data["admin"]["slowQueries"].take() {
        Value::Array(recorded) => recorded,
        other => panic!("{other}"),
    }
}

async fn recorded(app: &TestApp) -> Vec<Value> {
    recorded_with(app, FIELDS).await
}

/// Those of that operation and field.
fn of<'a>(recorded: &'a [Value], operation: &str, field: &str) -> Vec<&'a Value> {
    let is_of = |query: &&Value| query["operationName"] == operation && query["field"] == field;
    recorded.iter().filter(is_of).collect()
}

/// Sends a named operation as Ada.
async fn fetch(app: &TestApp, query: &str) -> Value {
    app.data_as(id("ada"), query).await
}

on_both_databases! {
    async fn a_slow_query_has_its_operation_and_its_field(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        fetch(
            &app,
            "query Feed { publicReadings(first: 3) { nodes { question cards { position }
                user { username readings(first: 2) { nodes { id } } } category { name } } } }",
        )
        .await;
        fetch(&app, "query Me { viewer { email } }").await;
        fetch(&app, "query Ada { user(username: \"ada\") { username } }").await;
        fetch(&app, &format!("query One {{ reading(id: {:?}) {{ id }} }}", reading_id("r1"))).await;
        fetch(&app, &format!("query Node {{ node(id: {:?}) {{ id }} }}", reading_id("r2"))).await;
        fetch(&app, "query Uses { spreads { nodes { name } } }").await;
        fetch(&app, "query Draws { cards(first: 2) { nodes { drawCount } } }").await;
        fetch(&app, "query Counts { publicStats { users } }").await;
        fetch(&app, "query Tags { viewer { tags { nodes { name } } readingQuota { used } } }").await;
        fetch(&app, "{ publicStats { readings } }").await;

        // An entry names its latest operation: some of these statements are the same.
        let recorded = recorded(&app).await;
        for (operation, field) in [
            ("Feed", "Query.publicReadings"),
            ("Feed", "Reading.cards"),
            ("Feed", "User.readings"),
            ("Feed", "Reading.category"),
            ("SlowQueries", "Query.viewer"),
            ("Ada", "Query.user"),
            ("Node", "Query.node"),
            ("Uses", "Query.spreads"),
            ("Draws", "Card.drawCount"),
            ("Tags", "User.tags"),
            ("Tags", "User.readingQuota"),
        ] {
            assert_eq!(of(&recorded, operation, field).len(), 1, "{operation} {field}: {recorded:#?}");
        }
        let of_counts: Vec<_> =
            recorded.iter().filter(|query| query["field"] == "Query.publicStats").collect();
        assert_eq!(of_counts.len(), 1);
        assert_eq!(of_counts[0]["occurrences"], 2);
        assert_eq!(of_counts[0]["operationName"], Value::Null);
    }

    async fn the_first_field_names_the_batch(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        fetch(&app, "query Users { publicReadings(first: 3) { nodes { user { username } } } }").await;
        let before = recorded(&app).await;
        // The admin's own row is by the same statement, of a later request.
        let users: Vec<_> = before
            .iter()
            .filter(|query| {
                // Public readings are those of active users.
                let is_of_users =
                    |sql: &str| sql.contains("FROM \"users\"") && !sql.contains("reading_sessions");
                query["sql"].as_str().is_some_and(is_of_users)
            })
            .collect();
        assert_eq!(users.len(), 1, "{before:#?}");
        assert_eq!(users[0]["field"], "Query.viewer");
        assert_eq!(users[0]["operationName"], "SlowQueries");
        assert_eq!(users[0]["occurrences"], 2);
    }

    async fn statements_of_a_mutation_are_its_own(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        let input = json!({ "question": "?", "spreadId": spread_id(&app, "single_wasteland") });
        let query = "mutation Make($input: CreateReadingInput!, $profile: UpdateProfileInput!) {
            first: createReading(input: $input) { reading { cards { position } } }
            updateProfile(input: $profile) { user { bio } }
        }";
        let variables = json!({ "input": input, "profile": { "bio": "other" } });
        let token = app.token_of(id("ada"));
        let body = json!({ "query": query, "variables": variables });
        data_of(app.send(Some(&token), &body).await);

        let recorded = recorded(&app).await;
        let changes = |field: &str, text: &str| {
            let starts =
                |query: &&&Value| query["sql"].as_str().is_some_and(|sql| sql.starts_with(text));
            of(&recorded, "Make", field).iter().filter(starts).count()
        };
        assert_eq!(changes("Mutation.createReading", "INSERT INTO \"reading_sessions\""), 1);
        assert_eq!(changes("Mutation.createReading", "INSERT INTO \"reading_cards\""), 1);
        assert_eq!(changes("Mutation.updateProfile", "UPDATE \"users\""), 1);
        // The begin and the end of both transactions are the same.
        assert_eq!(changes("Mutation.updateProfile", "COMMIT"), 1);
        let commit = recorded.iter().find(|query| query["sql"] == "COMMIT").expect("recorded");
        assert_eq!(commit["occurrences"], 2);
    }

    async fn statements_that_differ_in_values_and_limits_are_one_slow_query(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        let query = |count: usize| {
            format!(
                "query Feed {{ publicReadings(first: {count}) {{ nodes {{ cards {{ position }}
                    user {{ readings(first: {count}) {{ nodes {{ id }} }} }} }} }} }}"
            )
        };
        fetch(&app, &query(1)).await;
        let once = recorded(&app).await;
        for count in [2, 3, 5] {
            fetch(&app, &query(count)).await;
        }
        let often = recorded(&app).await;
        let ids = |recorded: &[Value]| -> BTreeSet<String> {
            recorded.iter().map(|query| query["id"].to_string()).collect()
        };
        assert_eq!(ids(&once), ids(&often));
        for field in ["Query.publicReadings", "Reading.cards", "User.readings"] {
            let of_field = of(&often, "Feed", field);
            assert_eq!(of_field.len(), 1);
            assert_eq!(of_field[0]["occurrences"], 4, "{field}");
        }
        assert!(often.iter().all(|query| query["sql"].as_str().is_some_and(|sql| {
            !sql.contains('$') && !sql.contains("LIMIT 2") && !sql.contains("?, ?, ?")
        })));
    }

    async fn the_worst_is_stored_beside_the_latest_and_the_slowest_come_first(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        for _ in 0..20 {
            fetch(&app, "query Counts { publicStats { users } }").await;
        }
        fetch(&app, "query Feed { publicReadings { nodes { cards { position } } } }").await;
        let recorded = recorded(&app).await;
        let of_counts = of(&recorded, "Counts", "Query.publicStats");
        assert_eq!(of_counts[0]["occurrences"], 20);
        let worst: Vec<f64> =
            recorded.iter().map(|query| query["durationMs"].as_f64().expect("a number")).collect();
        assert!(worst.is_sorted_by(|one, next| one >= next), "{worst:?}");
        for query in &recorded {
            let latest = query["latestDurationMs"].as_f64().expect("a number");
            assert!(query["durationMs"].as_f64().is_some_and(|worst| worst >= latest), "{query}");
        }
        let two = "{ admin { slowQueries(limit: 2) { id } } }";
        let two = app.data_as(id("admin"), two).await;
        assert_eq!(two["admin"]["slowQueries"].as_array().map(Vec::len), Some(2));
    }

    async fn the_slow_query_seen_longest_ago_makes_room(engine: Engine) {
        let app = start(engine, &[ALL, "--max-slow-queries=3"]).await;
        let counts = "query Counts { publicStats { users } }";
        fetch(&app, counts).await;
        fetch(&app, "query Ada { user(username: \"ada\") { username } }").await;
        fetch(&app, counts).await;
        fetch(&app, "query Feed { publicReadings { nodes { id } } }").await;
        // The admin's own row is the fourth.
        let recorded = recorded(&app).await;
        let fields: BTreeSet<&str> =
            recorded.iter().filter_map(|query| query["field"].as_str()).collect();
        let expected = ["Query.publicReadings", "Query.publicStats", "Query.viewer"];
        assert_eq!(fields, BTreeSet::from(expected));
        assert_eq!(recorded.len(), 3);
    }

    async fn no_value_is_ever_logged(engine: Engine) {
        let app = TestApp::start_with(engine, &[ALL]).await;
        write_world(&app).await;
        let secret = |name: &str| format!("{name}-s3cret-秘密");
        let (ada, admin) = (Some(id("ada")), Some(id("admin")));
        let spread = spread_id(&app, "single_wasteland");
        let register = json!({
            "email": format!("{}@example.com", "s3cret"), "username": secret("name"),
            "password": secret("password"), "displayName": secret("display"),
            "idempotencyKey": secret("key"),
        });
        let create = json!({
            "spreadId": spread, "question": secret("question"), "notes": secret("notes"),
            "tags": [secret("tag"), secret("other")], "focusArea": secret("focus"),
        });
        let update = json!({
            "id": reading_id("q:prv"), "notes": secret("notes"), "feedback": secret("feedback"),
            "moodAfter": secret("mood"),
        });
        let password = json!({ "currentPassword": PASSWORD, "newPassword": secret("password") });
        let share = json!({ "readingId": reading_id("q:prv"), "title": secret("title"),
            "password": secret("share") });
        let mut responses = String::new();
        for (viewer, mutation, input) in [
            (None, "register", &register),
            (None, "login", &json!({ "login": secret("name"), "password": secret("wrong") })),
            (None, "login", &json!({ "login": secret("name"), "password": secret("password") })),
            (None, "refreshSession", &json!({ "refreshToken": secret("token") })),
            (ada, "createReading", &create),
            (ada, "updateReading", &update),
            (ada, "shareReading", &share),
            (ada, "renameTag", &json!({ "from": secret("tag"), "to": secret("renamed") })),
            (ada, "deleteTags", &json!({ "tags": [secret("renamed"), secret("other")] })),
            (ada, "updateProfile", &json!({ "bio": secret("bio") })),
            (ada, "changePassword", &password),
        ] {
            responses += &mutate(&app, viewer, mutation, input, USER_ERRORS).await.text;
        }
        assert!(!responses.contains("\"errors\""), "{responses}");
        let search = format!(
            "query Find {{ admin {{ users(search: {:?}) {{ nodes {{ id }} }} }}
                user(username: {:?}) {{ id }} sharedReading(token: {:?}) {{ title }} }}",
            secret("search"), secret("name"), secret("token")
        );
        data_of(app.query_as_viewer(admin, &search).await);

        let recorded = recorded_with(&app, &format!("{FIELDS} plan")).await;
        let text = Value::from(recorded.clone()).to_string();
        for secret in ["s3cret", "秘密", PASSWORD, "argon2", "example.com", "q:prv", "battery"] {
            assert!(!text.contains(secret), "{secret} is shown: {text}");
        }
        assert!(!text.contains(&id("ada").to_string()) && !text.contains(&id("ada").simple().to_string()));
        let kinds: BTreeSet<String> = recorded
            .iter()
            .flat_map(|query| query["parameters"].as_array().expect("a list"))
            .map(|kind| kind.as_str().expect("text").split('(').next().unwrap_or_default().to_owned())
            .collect();
        let known = ["array", "bool", "bytes", "date", "float", "int", "json", "null", "text",
            "timestamp", "uuid"];
        let is_known = |kind: &String| known.contains(&kind.as_str()) || kind.starts_with("and ");
        assert!(kinds.iter().all(is_known), "{kinds:?}");
        assert!(kinds.contains("text") && kinds.contains("uuid") && kinds.contains("timestamp"));
        let username = format!("text({})", secret("name").chars().count());
        let of_user = of(&recorded, "Find", "Query.user");
        assert_eq!(of_user[0]["parameters"], json!([username, "bool"]));
    }

    async fn every_statement_on_rows_has_a_plan_and_is_not_executed_for_it(engine: Engine) {
        let app = TestApp::start_with(engine, &[ALL, "--max-slow-queries=1000", "--max-query-cost=1000000", "--max-admin-query-cost=1000000"]).await;
        write_world(&app).await;
        let ada = id("ada");
        let spread = spread_id(&app, "single_wasteland");
        let create = json!({ "spreadId": spread, "question": "?", "tags": ["a", "b"],
            "categoryId": category_id("c:work"), "idempotencyKey": "k" });
        let update = json!({ "id": reading_id("q:prv"), "satisfactionRating": 3, "notes": null });
        for (mutation, input) in [
            ("createReading", create),
            ("updateReading", update),
            ("renameTag", json!({ "from": "a", "to": "c" })),
            ("deleteTags", json!({ "tags": ["b", "c"] })),
            ("shareReading", json!({ "readingId": reading_id("q:prv") })),
            ("createCategory", json!({ "name": "new", "color": "#123456" })),
            ("deleteCategory", json!({ "id": category_id("c:work") })),
            ("deleteReading", json!({ "id": reading_id("q:prv") })),
        ] {
            let errors = payload(&app, ada, mutation, input, USER_ERRORS).await;
            assert_eq!(errors["userErrors"], json!([]), "{mutation}");
        }
        app.data_as(ada, "{ publicReadings { totalCount nodes { cards { position }
            user { readings(last: 2) { totalCount nodes { id shareLinks { url } } }
                tags { nodes { name } } categories { readingCount } } } } }").await;
        app.data_as(id("admin"), "{ admin { users(search: \"a\", isLocked: false) { totalCount
            nodes { id } } } }").await;

        let access = Access::open(&app.database).await;
        let before = access.all().await;
        // Twice: nothing is left of the first time that would be in the way of the second.
        for _ in 0..2 {
            let mut planned = 0;
            for query in recorded_with(&app, "sql plan").await {
                let sql = query["sql"].as_str().expect("text");
                let has_plan = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"]
                    .iter()
                    .any(|word| sql.starts_with(word));
                assert_eq!(query["plan"].is_string(), has_plan, "{query:#?}");
                planned += u32::from(has_plan);
            }
            assert!(planned > 25, "{planned}");
        }
        let plans = recorded_with(&app, "plan").await;
        let text = Value::from(plans).to_string();
        assert!(text.contains("idx_reading_sessions_"), "{text}");
        let changed = differences(&before, &access.all().await);
        assert!(changed.is_empty(), "{changed:#?}");
        access.close().await;
        // The connection that planned, the only one, still writes.
        payload(&app, ada, "updateProfile", json!({ "bio": "after" }), "user { id }").await;
    }

    async fn plans_are_made_only_where_they_are_selected(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        fetch(&app, "query Counts { publicStats { users } }").await;
        let count = async |fields: &str| {
            let query = format!("{{ admin {{ slowQueries(limit: 2) {{ {fields} }} }} }}");
            app.query_as(id("admin"), &query).await.statements()
        };
        assert_eq!(count("sql").await, 1);
        assert_eq!(count("sql plan").await, 3);
    }

    async fn a_statement_that_is_given_up_for_its_time_is_slow_whatever_counts_as_slow(
        engine: Engine,
    ) {
        // The database's own limit, and ours.
        let lock = ["--database-lock-timeout-ms=300", "--database-lock-timeout-ms=9000"];
        let deadline = ["--database-deadline-ms=9000", "--database-deadline-ms=300"];
        for (lock, deadline) in lock.into_iter().zip(deadline) {
            let app = start(engine, &[NONE, lock, deadline]).await;
            fetch(&app, "query Counts { publicStats { users } }").await;
            assert_eq!(recorded(&app).await, Vec::<Value>::new());

            let access = Access::open(&app.database).await;
            let hold = if access.is_sqlite() {
                "BEGIN IMMEDIATE"
            } else {
                "BEGIN; LOCK TABLE users IN EXCLUSIVE MODE"
            };
            access.run(hold).await;
            let query = "mutation Rename { updateProfile(input: { bio: \"?\" }) { user { id } } }";
            let response = app.query_as(id("ada"), query).await;
            assert_eq!(response.body["errors"][0]["extensions"]["code"], "TIMEOUT");
            access.run("ROLLBACK").await;
            access.close().await;

            let recorded = recorded(&app).await;
            assert_eq!(recorded.len(), 1, "{recorded:#?}");
            assert_eq!(recorded[0]["operationName"], "Rename");
            assert_eq!(recorded[0]["field"], "Mutation.updateProfile");
            assert_eq!(recorded[0]["occurrences"], 1);
            assert!(recorded[0]["durationMs"].as_f64().is_some_and(|took| took >= 250.0), "{recorded:#?}");
        }
    }

    async fn slow_statements_are_recorded_and_fast_ones_are_not(engine: Engine) {
        // The work of a trigger takes longer than that, and an hour is longer than anything.
        let app = start(engine, &["--slow-query-ms=100"]).await;
        let access = Access::open(&app.database).await;
        let slow = if access.is_sqlite() {
            "CREATE TRIGGER slow BEFORE UPDATE ON users BEGIN
                SELECT count(*) FROM (WITH RECURSIVE number(n) AS
                    (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 1500000)
                    SELECT n FROM number);
             END"
        } else {
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN PERFORM pg_sleep(0.15); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION wait()"
        };
        access.run(slow).await;
        access.close().await;
        for _ in 0..2 {
            let query = "mutation Slow { updateProfile(input: { bio: \"?\" }) { user { id } } }";
            data_of(app.query_as(id("ada"), query).await);
        }
        let recorded = recorded(&app).await;
        let updates: Vec<_> = recorded
            .iter()
            .filter(|query| query["sql"].as_str().is_some_and(|sql| sql.starts_with("UPDATE")))
            .collect();
        assert_eq!(updates.len(), 1, "{recorded:#?}");
        assert_eq!(updates[0]["occurrences"], 2);
        assert_eq!(updates[0]["operationName"], "Slow");
        assert_eq!(updates[0]["field"], "Mutation.updateProfile");
        assert!(updates[0]["latestDurationMs"].as_f64().is_some_and(|took| took >= 100.0));
    }

    async fn a_limit_out_of_range_is_an_error(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        let fetch = async |limit: i32| {
            let query = format!("{{ admin {{ slowQueries(limit: {limit}) {{ id }} }} }}");
            app.query_as(id("admin"), &query).await.body_without_request_id()
        };
        assert_eq!(fetch(0).await["data"], json!({ "admin": { "slowQueries": [] } }));
        assert!(fetch(100).await["data"]["admin"]["slowQueries"].is_array());
        for limit in [-1, 101] {
            assert_eq!(
                fetch(limit).await,
                json!({
                    "data": { "admin": null },
                    "errors": [{
                        "message": format!("`limit` is {limit}; it must be from 0 to 100"),
                        "locations": [{ "line": 1, "column": 11 }],
                        "path": ["admin", "slowQueries"],
                        "extensions": {
                            "code": "BAD_USER_INPUT", "argument": "limit", "requestId": "ID",
                        },
                    }],
                })
            );
        }
    }

    async fn slow_queries_are_for_admins(engine: Engine) {
        let app = start(engine, &[ALL]).await;
        let query = "{ admin { slowQueries { sql plan } } }";
        for (viewer, code) in [(None, "UNAUTHENTICATED"), (Some(id("ada")), "FORBIDDEN")] {
            let body: Value = app.query_as_viewer(viewer, query).await.body;
            assert_eq!(body["data"], json!({ "admin": null }));
            assert_eq!(body["errors"][0]["extensions"]["code"], code);
        }
    }
}

/// PostgreSQL only: SQLite's readers wait for nobody.
#[tokio::test]
async fn a_statement_that_nobody_waits_for_any_more_is_noted() {
    if !Engine::has_postgres("a_statement_that_nobody_waits_for_any_more_is_noted") {
        return;
    }
    let app = start(Engine::Postgres, &["--slow-query-ms=1"]).await;
    let access = Access::open(&app.database).await;
    access.run("BEGIN; LOCK TABLE site_stats IN ACCESS EXCLUSIVE MODE").await;
    // Over HTTP/1.1 nobody can tell whether a client still waits.
    let mut client = RawConnection::open(&app).await;
    client.write(http2::PREFACE).await;
    client.write(http2::frame(http2::SETTINGS, 0, 0, &[])).await;
    client.write(http2::get(1, "/graphql?query=query+Left%7BpublicStats%7Busers%7D%7D")).await;
    let waiting = "SELECT count(*) AS number FROM pg_locks WHERE NOT granted
        AND relation = 'site_stats'::regclass";
    access.wait_for(waiting, 1).await;
    client.write(http2::frame(http2::RST_STREAM, 0, 1, &http2::CANCEL)).await;
    access.wait_for(waiting, 0).await;
    access.run("ROLLBACK").await;
    access.close().await;
    while of(&recorded(&app).await, "Left", "Query.publicStats").is_empty() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn statements_of_a_tenth_of_a_second_are_slow_by_default() {
    let settings = settings_with(&[]).monitor;
    assert_eq!((settings.slow_query.as_millis(), settings.slow_queries), (100, 100));
}
