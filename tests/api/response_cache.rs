//! The response cache: a cached public response takes no statement, and goes to nobody who would
//! get another response.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::persisted_documents::hash_of;
use crate::support::app::{
    Engine, TestApp, TestDatabase, TestResponse, on_both_databases, send_request,
};
use crate::support::fixtures::{card_id, category_id, id, reading_id, user_id};
use crate::support::mutations::{USER_ERRORS, payload};
use crate::support::tables::Access;
use crate::support::world::{share_id, write_world};

const FEED: &str = "query Feed($first: Int, $filter: PublicReadingFilter) {
    publicReadings(first: $first, filter: $filter) {
        totalCount nodes { question user { username } cards { interpretation card { name } } } } }";

/// The statements of a response, and its cache hits and misses.
fn counted(response: &TestResponse) -> (u64, String) {
    let timing = response.header("server-timing");
    let lookups = timing.split_once("cache;desc=\"").and_then(|(_, rest)| rest.split_once('"'));
    (response.statements(), lookups.map_or_else(String::new, |(lookups, _)| lookups.to_owned()))
}

fn hit() -> (u64, String) {
    (0, "1 hits, 0 misses".to_owned())
}

/// As much room as a server has by default.
const ROOM: &str = "--response-cache-bytes=16777216";

async fn start(engine: Engine, flags: &[&str]) -> TestApp {
    let app = TestApp::start_with(engine, &[&[ROOM], flags].concat()).await;
    write_world(&app).await;
    app
}

on_both_databases! {
    async fn a_cached_public_response_takes_no_statement(engine: Engine) {
        let app = start(engine, &[]).await;
        let first = app.query_with_variables(FEED, json!({ "first": 3, "filter": { "karmaContexts": ["NEUTRAL"], "tagsAny": ["tag q:pub"] } })).await;
        assert_eq!(first.body["data"]["publicReadings"]["totalCount"], 1, "{}", first.text);
        let (statements, lookups) = counted(&first);
        assert!(statements > 0);
        assert_eq!(lookups, "0 hits, 1 misses");

        // In another order, with the operation's name, by its hash, by GET, and by a signed-in viewer.
        let variables = json!({ "filter": { "tagsAny": ["tag q:pub"], "karmaContexts": ["NEUTRAL"] }, "first": 3 });
        let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash_of(FEED) } });
        let bob = app.token_of(id("bob"));
        for (token, body) in [
            (None, json!({ "query": FEED, "variables": variables })),
            (None, json!({ "query": FEED, "variables": variables, "operationName": "Feed" })),
            (Some(bob.as_str()), json!({ "query": FEED, "variables": variables })),
            (None, json!({ "query": FEED, "variables": variables, "extensions": extensions })),
            (None, json!({ "variables": variables, "extensions": extensions })),
        ] {
            let again = app.send(token, &body).await;
            assert_eq!((counted(&again), &again.text), (hit(), &first.text), "{body}");
            assert_eq!(again.header("content-type"), first.header("content-type"));
        }
        let query = [("query", FEED), ("variables", &variables.to_string())];
        let query = serde_urlencoded::to_string(query).expect("a query string");
        let again = app
            .request(Method::GET, &format!("/graphql?{query}"))
            .header("accept", "application/graphql-response+json");
        let again = send_request(again).await;
        assert_eq!((counted(&again), &again.text), (hit(), &first.text));

        // A different request is another cache key.
        for variables in [json!({}), json!({ "first": 4, "filter": variables["filter"] })] {
            let other = app.query_with_variables(FEED, variables).await;
            assert_eq!(counted(&other).1, "0 hits, 1 misses");
        }
        let json = app
            .request(Method::POST, "/graphql")
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(json!({ "query": FEED, "variables": variables }).to_string());
        let json = send_request(json).await;
        assert_eq!((counted(&json).1.as_str(), &json.text), ("0 hits, 1 misses", &first.text));
        assert_eq!(json.header("content-type"), "application/json; charset=utf-8");
    }

    /// For any order of viewers, each response is equal to that of a server without a cache.
    async fn nobody_gets_a_response_cached_for_another(engine: Engine) {
        let app = start(engine, &[]).await;
        let plain = TestDatabase::at(app.database.url.clone());
        let plain = TestApp::start_on(plain, &["--cache-enabled=false"]).await;
        let (ada, bob) = (user_id("ada"), user_id("bob"));
        let ids = [
            reading_id("q:pub"),
            reading_id("q:prv"),
            reading_id("q:arch-pub"),
            reading_id("q:gone-pub"),
            reading_id("none"),
            category_id("c:work"),
            share_id("s:pub"),
            card_id(&app, "major_arcana_00"),
            ada.clone(),
            bob,
        ];
        let list = ids.iter().map(|id| format!("{id:?}")).collect::<Vec<_>>().join(" ");
        let mut queries: Vec<String> = ids
            .iter()
            .map(|id| format!("{{ node(id: {id:?}) {{ id ... on Reading {{ question }} ... on User {{ username }} }} }}"))
            .collect();
        for name in ["q:pub", "q:prv", "q:arch-pub", "q:friends", "q:bob-prv"] {
            let reading = reading_id(name);
            queries.push(format!("{{ reading(id: {reading:?}) {{ question summary user {{ bio }} cards {{ interpretation }} }} }}"));
            queries.push(format!("{{ reading(id: {reading:?}) {{ question notes isFavorite }} }}"));
        }
        for query in [
            &format!("{{ nodes(ids: [{list}]) {{ id __typename ... on Category {{ name }} }} }}"),
            &format!("{{ nodes(ids: [{list}]) {{ id __typename }} }}"),
            "{ user(username: \"ada\") { username readings { totalCount nodes { question } } } }",
            "{ user(username: \"ada\") { username email isAdmin stats { totalReadings } } }",
            "{ user(username: \"gone\") { username } }",
            "{ publicReadings { totalCount nodes { question user { username readings { totalCount } } } } }",
            "{ publicReadings { nodes { question notes user { email } } } }",
            "{ publicReadings { totalCount nodes { question tags } } }",
            "{ spreads { totalCount nodes { name } } }",
            "{ spreads(filter: { includeInactive: true }) { totalCount nodes { name } } }",
            "{ viewer { username } publicStats { users } }",
            "{ admin { cacheStats { maxSize } } suits { name } }",
            "{ sharedReading(token: \"s:pub\") { title } }",
        ] {
            queries.push(query.to_owned());
        }
        let viewers = [None, Some("bob"), Some("ada"), Some("admin")];
        for first in 0..viewers.len() {
            app.clear_cache().await;
            for query in &queries {
                for turn in 0..2 * viewers.len() {
                    let viewer = viewers[(first + turn) % viewers.len()].map(id);
                    let found = app.query_as_viewer(viewer, query).await;
                    let expected = plain.query_as_viewer(viewer, query).await;
                    let what = format!("{query} as {viewer:?}, turn {turn} of {first}");
                    assert_eq!(found.body_without_request_id(), expected.body_without_request_id(), "{what}");
                    if expected.body.get("errors").is_none() {
                        assert_eq!(found.text, expected.text, "{what}");
                    }
                    for name in ["cache-control", "etag", "vary", "surrogate-key"] {
                        assert_eq!(found.header(name), expected.header(name), "{what}: {name}");
                    }
                }
            }
        }
    }

    async fn a_thousand_concurrent_requests_take_one_execution(engine: Engine) {
        let app = start(engine, &["--database-pool-size=1", "--database-max-overflow=0"]).await;
        let requests = (0..1_000).map(|_| app.query(FEED));
        let responses = join_all(requests).await;
        let bodies: BTreeSet<&str> = responses.iter().map(|response| response.text.as_str()).collect();
        assert_eq!(bodies.len(), 1);
        let executed: Vec<_> = responses.iter().map(counted).filter(|counted| *counted != hit()).collect();
        assert_eq!(executed.len(), 1, "{executed:?}");
        assert_eq!(executed[0].1, "0 hits, 1 misses");
        assert!(executed[0].0 > 0);
    }

    async fn errors_are_not_cached(engine: Engine) {
        let app = start(engine, &[]).await;
        let access = Access::open(&app.database).await;
        let query = "{ cardByCode(code: \"major_arcana_00\") { drawCount } }";
        access.run("ALTER TABLE card_stats RENAME TO card_stats_gone").await;
        for _ in 0..2 {
            let failed = app.query(query).await;
            assert!(failed.body["errors"].is_array(), "{}", failed.text);
            assert_eq!(failed.header("cache-control"), "private, no-store");
        }
        access.run("ALTER TABLE card_stats_gone RENAME TO card_stats").await;
        access.close().await;
        let response = app.query(query).await;
        // Without those of a deactivated user.
        assert_eq!(response.body, json!({ "data": { "cardByCode": { "drawCount": 8 } } }));
        assert_eq!(counted(&app.query(query).await), hit());
    }

    /// A drawn card's meaning is the card's, also where the card itself is not selected.
    async fn a_drawn_card_has_the_current_meaning_of_the_card(engine: Engine) {
        let app = start(engine, &[]).await;
        let query = "query Drawn($id: ID!) { reading(id: $id) { cards { meaning } } }";
        let reading = json!({ "id": reading_id("q:pub") });
        let which = "query Which($id: ID!) { reading(id: $id) { cards { orientation card { id } } } }";
        let which = app.query_with_variables(which, reading.clone()).await.body;
        let drawn = &which["data"]["reading"]["cards"][0];
        let text = if drawn["orientation"] == "UPRIGHT" { "uprightMeaning" } else { "reversedMeaning" };
        let before = app.query_with_variables(query, reading.clone()).await;
        assert!(before.header("surrogate-key").split(' ').any(|key| key == "cards"), "{}", before.text);
        assert_eq!(counted(&app.query_with_variables(query, reading.clone()).await), hit());

        let input = json!({ "id": drawn["card"]["id"], text: "New." });
        payload(&app, id("admin"), "adminUpdateCard", input, USER_ERRORS).await;
        let after = app.query_with_variables(query, reading).await.body;
        assert_eq!(after["data"]["reading"]["cards"][0]["meaning"], "New.");
    }

    /// The same bytes as from a server without a cache, on a miss and on a hit.
    async fn every_encoding_is_of_the_same_response(engine: Engine) {
        let app = start(engine, &[]).await;
        let plain = TestDatabase::at(app.database.url.clone());
        let plain = TestApp::start_on(plain, &["--response-cache-bytes=0"]).await;
        let builder = || reqwest::Client::builder().no_proxy();
        let client = builder().no_gzip().no_brotli().no_zstd().build().expect("a client");
        let body = json!({ "query": FEED }).to_string();
        let fetch = async |app: &TestApp, encoding: &str| {
            let sent = client
                .post(format!("{}/graphql", app.url))
                .header("content-type", "application/json")
                .header("accept-encoding", encoding)
                .body(body.clone());
            let response = sent.send().await.expect("a response");
            let headers = response.headers().clone();
            let header = |name: &str| headers.get(name).map(|value| value.to_str().expect(name).to_owned());
            let names = ["content-encoding", "etag", "vary", "cache-control", "content-type"];
            (names.map(header), response.bytes().await.expect("a body"))
        };
        for (encoding, expected) in [
            ("identity", None),
            ("gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("br", Some("br")),
            ("zstd", Some("zstd")),
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip,br", Some("br")),
            ("br;q=0.5, gzip", Some("gzip")),
            ("zstd;q=0, *", Some("br")),
            ("*", Some("br")),
            ("gzip;q=0.5, *", Some("br")),
            ("gzip, zstd, *", Some("zstd")),
            ("deflate", None),
        ] {
            let sent = fetch(&plain, encoding).await;
            assert_eq!(sent.0[0].as_deref(), expected, "{encoding}");
            for time in ["first", "again", "once more"] {
                assert_eq!(fetch(&app, encoding).await, sent, "{encoding}, {time}");
            }
        }
        let whole = fetch(&app, "identity").await.1;
        for client in [
            builder().no_brotli().no_zstd().build(),
            builder().no_gzip().no_zstd().build(),
            builder().no_gzip().no_brotli().build(),
        ] {
            let sent = client.expect("a client").post(format!("{}/graphql", app.url));
            let sent = sent.header("content-type", "application/json").body(body.clone());
            let read = sent.send().await.expect("a response").bytes().await.expect("a body");
            assert_eq!(read, whole);
        }
        // A response too short to be compressed is sent uncompressed, cached or not.
        for field in [r#"cardByCode(code: "x") { id }"#, "viewer { id }"] {
            for (bytes, encoding) in [(127, None), (128, Some("gzip"))] {
                let name = "n".repeat(bytes - r#"{"data":{"":null}}"#.len());
                let sent = client
                    .post(format!("{}/graphql", app.url))
                    .header("content-type", "application/json")
                    .header("accept-encoding", "gzip")
                    .body(json!({ "query": format!("{{ {name}: {field} }}") }).to_string());
                let response = sent.send().await.expect("a response");
                let found = response.headers().get("content-encoding");
                assert_eq!(found.and_then(|found| found.to_str().ok()), encoding, "{field}");
                if encoding.is_none() {
                    let body = response.bytes().await.expect("a body");
                    assert_eq!(body, format!(r#"{{"data":{{"{name}":null}}}}"#));
                }
            }
        }
    }

    async fn max_age_is_the_remaining_ttl(engine: Engine) {
        let app = start(engine, &["--cache-ttl-jitter=0"]).await;
        let clock = &app.app.services.clock;
        clock.stop();
        let cache_control = async || app.query("{ suits { name } }").await.header("cache-control").to_owned();
        assert_eq!(cache_control().await, "public, max-age=3600");
        clock.advance(TimeDelta::seconds(100));
        assert_eq!(cache_control().await, "public, max-age=3500");
        clock.advance(TimeDelta::milliseconds(3_499_500));
        assert_eq!(cache_control().await, "public, no-cache");
        clock.advance(TimeDelta::milliseconds(500));
        assert_eq!(cache_control().await, "public, max-age=3600");
    }

    async fn jitter_only_shortens_max_age(engine: Engine) {
        let app = start(engine, &["--cache-ttl-jitter=50"]).await;
        app.app.services.clock.stop();
        let mut all = BTreeSet::new();
        for number in 0..20 {
            let query = format!("query Number{number} {{ suits {{ name }} }}");
            app.data(&query).await;
            let cached = app.query(&query).await;
            let max_age = cached.header("cache-control").strip_prefix("public, max-age=").expect("seconds").to_owned();
            all.insert(max_age.parse::<u64>().expect("seconds"));
        }
        assert!(all.iter().all(|seconds| (1_800..=3_600).contains(seconds)), "{all:?}");
        assert!(all.len() > 5, "{all:?}");
    }

    /// An admin may request more at once. The response to an admin is not for viewers who may not.
    async fn cached_admin_fields_are_forbidden_to_others(engine: Engine) {
        let app = start(engine, &["--max-query-cost=50"]).await;
        let query = "{ publicReadings(first: 100) { nodes { question } } }";
        let refusal = app.query(query).await;
        assert_eq!(refusal.body["errors"][0]["extensions"]["code"], "COST_LIMIT_EXCEEDED", "{}", refusal.text);
        app.data_as(id("admin"), query).await;
        let again = app.query(query).await;
        assert_eq!(again.body_without_request_id(), refusal.body_without_request_id());
    }

    async fn operators_see_response_cache_lookups_of_public_data(engine: Engine) {
        let app = start(engine, &[]).await;
        for _ in 0..3 {
            app.data(FEED).await;
        }
        let query = "{ admin { cacheStats { size hits misses policies { name entries hits misses } } } }";
        let stats = app.data_as(id("admin"), query).await["admin"]["cacheStats"].clone();
        assert_eq!((&stats["size"], &stats["hits"], &stats["misses"]), (&json!(0), &json!(2), &json!(1)));
        let row = json!({ "name": "public data", "entries": 0, "hits": 2, "misses": 1 });
        assert_eq!(stats["policies"][4], row);
    }

    async fn admins_invalidate_cached_responses_by_tag(engine: Engine) {
        let app = start(engine, &[]).await;
        let drop = async |pattern: &str| {
            let query = format!("mutation {{ adminInvalidateCache(pattern: {pattern:?}) {{ userErrors {{ code }} }} }}");
            app.data_as(id("admin"), &query).await;
        };
        app.data(FEED).await;
        for pattern in ["*", "public:*", "public:feed:*", &format!("public:user:{}:*", id("ada"))] {
            assert_eq!(counted(&app.query(FEED).await), hit(), "{pattern}");
            drop(pattern).await;
            assert_eq!(counted(&app.query(FEED).await).1, "0 hits, 1 misses", "{pattern}");
        }
        for pattern in ["public:stats:*", "user:*", &format!("public:owner:{}:*", id("bob"))] {
            drop(pattern).await;
            assert_eq!(counted(&app.query(FEED).await), hit(), "{pattern}");
        }
    }
}

/// It counts as a request, and costs nothing beside.
#[tokio::test]
async fn a_cached_response_counts_as_a_request_and_costs_nothing_else() {
    let flags = [ROOM, "--rate-limit=3", "--rate-limit-cost=30"];
    let app = TestApp::start_with(Engine::Sqlite, &flags).await;
    let query = "{ spreads(first: 20) { nodes { name } } }";
    let code = |response: &TestResponse| response.body["errors"][0]["extensions"]["code"].clone();
    for expected in [Value::Null, Value::Null, Value::Null, "RATE_LIMITED".into()] {
        let response = app.query(query).await;
        assert_eq!(code(&response), expected, "{}", response.text);
    }
    let app = TestApp::start_with(Engine::Sqlite, &flags).await;
    assert_eq!(code(&app.query(query).await), Value::Null);
    let other = app.query("{ spreads(first: 20) { nodes { id } } }").await;
    assert_eq!(code(&other), "RATE_LIMITED", "{}", other.text);
}

#[tokio::test]
async fn a_cached_absence_of_a_user_ends_when_they_register() {
    let app = TestApp::start_with(Engine::Sqlite, &[ROOM]).await;
    let fetch = async || app.data("{ user(username: \"eve\") { username } }").await["user"].clone();
    for _ in 0..2 {
        assert_eq!(fetch().await, Value::Null);
    }
    let query = "mutation { register(input: { email: \"eve@example.com\", username: \"eve\", password: \"correct horse battery staple\" }) { viewer { id } userErrors { code } } }";
    app.data(query).await;
    assert_eq!(fetch().await, json!({ "username": "eve" }));
}

#[tokio::test]
async fn a_changed_profile_shows_in_every_cached_response() {
    let app = start(Engine::Sqlite, &[]).await;
    let queries = [
        "{ publicReadings { nodes { user { displayName } } } }".to_owned(),
        "{ user(username: \"ada\") { displayName } }".to_owned(),
        format!("{{ node(id: {:?}) {{ ... on User {{ displayName }} }} }}", user_id("ada")),
        format!("{{ reading(id: {:?}) {{ user {{ displayName }} }} }}", reading_id("q:pub")),
    ];
    for query in &queries {
        for _ in 0..2 {
            assert!(app.query(query).await.text.contains("ada of the vault"), "{query}");
        }
    }
    let input = json!({ "displayName": "Ada the second" });
    payload(&app, id("ada"), "updateProfile", input, USER_ERRORS).await;
    for query in &queries {
        let text = app.query(query).await.text;
        assert!(text.contains("Ada the second") && !text.contains("ada of the vault"), "{text}");
    }
}
