//! Public answers that are kept whole: given again without a statement, and never to anybody who would
//! be answered otherwise.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::persisted_documents::hash_of;
use crate::support::app::{Answered, Engine, TestApp, TestDatabase, answered, on_both_databases};
use crate::support::fixtures::{card_id, category_id, id, reading_id, user_id};
use crate::support::mutations::{USER_ERRORS, payload};
use crate::support::tables::Access;
use crate::support::world::{share_id, write_world};

const FEED: &str = "query Feed($first: Int, $filter: PublicReadingFilter) {
    publicReadings(first: $first, filter: $filter) {
        totalCount nodes { question user { username } cards { interpretation card { name } } } } }";

/// The statements of an answer, and the hits and misses that it counts.
fn counted(answered: &Answered) -> (u64, String) {
    let timing = answered.header("server-timing");
    let lookups = timing.split_once("cache;desc=\"").and_then(|(_, rest)| rest.split_once('"'));
    (answered.statements(), lookups.map_or_else(String::new, |(lookups, _)| lookups.to_owned()))
}

fn kept() -> (u64, String) {
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
    async fn a_public_answer_is_given_again_without_a_statement(engine: Engine) {
        let app = start(engine, &[]).await;
        let first = app.ask_with(FEED, json!({ "first": 3, "filter": { "karmaContexts": ["NEUTRAL"], "tagsAny": ["tag q:pub"] } })).await;
        assert_eq!(first.body["data"]["publicReadings"]["totalCount"], 1, "{}", first.text);
        let (statements, lookups) = counted(&first);
        assert!(statements > 0);
        assert_eq!(lookups, "0 hits, 1 misses");

        // In another order, with the operation's name, by its hash, by GET, and by somebody who is signed in.
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
            assert_eq!((counted(&again), &again.text), (kept(), &first.text), "{body}");
            assert_eq!(again.header("content-type"), first.header("content-type"));
        }
        let query = [("query", FEED), ("variables", &variables.to_string())];
        let query = serde_urlencoded::to_string(query).expect("a query string");
        let again = app
            .request(Method::GET, &format!("/graphql?{query}"))
            .header("accept", "application/graphql-response+json");
        let again = answered(again).await;
        assert_eq!((counted(&again), &again.text), (kept(), &first.text));

        // What is asked otherwise is not the same.
        for variables in [json!({}), json!({ "first": 4, "filter": variables["filter"] })] {
            let other = app.ask_with(FEED, variables).await;
            assert_eq!(counted(&other).1, "0 hits, 1 misses");
        }
        let json = app
            .request(Method::POST, "/graphql")
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(json!({ "query": FEED, "variables": variables }).to_string());
        let json = answered(json).await;
        assert_eq!((counted(&json).1.as_str(), &json.text), ("0 hits, 1 misses", &first.text));
        assert_eq!(json.header("content-type"), "application/json; charset=utf-8");
    }

    /// Whoever asks first and whoever asks then, each is answered as by a server that keeps nothing.
    async fn nobody_is_given_what_another_may_see(engine: Engine) {
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
            app.forget_cached().await;
            for query in &queries {
                for turn in 0..2 * viewers.len() {
                    let viewer = viewers[(first + turn) % viewers.len()].map(id);
                    let found = app.ask_as_viewer(viewer, query).await;
                    let expected = plain.ask_as_viewer(viewer, query).await;
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

    async fn a_thousand_who_ask_at_once_are_answered_by_one_execution(engine: Engine) {
        let app = start(engine, &["--database-pool-size=1", "--database-max-overflow=0"]).await;
        let asked = (0..1_000).map(|_| app.ask(FEED));
        let answers = join_all(asked).await;
        let bodies: BTreeSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!(bodies.len(), 1);
        let executed: Vec<_> = answers.iter().map(counted).filter(|counted| *counted != kept()).collect();
        assert_eq!(executed.len(), 1, "{executed:?}");
        assert_eq!(executed[0].1, "0 hits, 1 misses");
        assert!(executed[0].0 > 0);
    }

    async fn what_fails_is_not_kept(engine: Engine) {
        let app = start(engine, &[]).await;
        let access = Access::open(&app.database).await;
        let query = "{ cardByCode(code: \"major_arcana_00\") { drawCount } }";
        access.run("ALTER TABLE card_stats RENAME TO card_stats_gone").await;
        for _ in 0..2 {
            let failed = app.ask(query).await;
            assert!(failed.body["errors"].is_array(), "{}", failed.text);
            assert_eq!(failed.header("cache-control"), "private, no-store");
        }
        access.run("ALTER TABLE card_stats_gone RENAME TO card_stats").await;
        access.close().await;
        let answered = app.ask(query).await;
        assert_eq!(answered.body, json!({ "data": { "cardByCode": { "drawCount": 10 } } }));
        assert_eq!(counted(&app.ask(query).await), kept());
    }

    /// A drawn card's meaning is the card's, also where the card itself is not asked for.
    async fn what_a_drawn_card_means_is_what_the_card_means_now(engine: Engine) {
        let app = start(engine, &[]).await;
        let query = "query Drawn($id: ID!) { reading(id: $id) { cards { meaning } } }";
        let reading = json!({ "id": reading_id("q:pub") });
        let which = "query Which($id: ID!) { reading(id: $id) { cards { orientation card { id } } } }";
        let which = app.ask_with(which, reading.clone()).await.body;
        let drawn = &which["data"]["reading"]["cards"][0];
        let text = if drawn["orientation"] == "UPRIGHT" { "uprightMeaning" } else { "reversedMeaning" };
        let before = app.ask_with(query, reading.clone()).await;
        assert!(before.header("surrogate-key").split(' ').any(|key| key == "cards"), "{}", before.text);
        assert_eq!(counted(&app.ask_with(query, reading.clone()).await), kept());

        let input = json!({ "id": drawn["card"]["id"], text: "New." });
        payload(&app, id("admin"), "adminUpdateCard", input, USER_ERRORS).await;
        let after = app.ask_with(query, reading).await.body;
        assert_eq!(after["data"]["reading"]["cards"][0]["meaning"], "New.");
    }

    /// The same bytes as a server sends that keeps nothing, the first time and again.
    async fn every_encoding_is_of_the_same_answer(engine: Engine) {
        let app = start(engine, &[]).await;
        let plain = TestDatabase::at(app.database.url.clone());
        let plain = TestApp::start_on(plain, &["--response-cache-bytes=0"]).await;
        let builder = || reqwest::Client::builder().no_proxy();
        let client = builder().no_gzip().no_brotli().no_zstd().build().expect("a client");
        let body = json!({ "query": FEED }).to_string();
        let ask = async |app: &TestApp, encoding: &str| {
            let sent = client
                .post(format!("{}/graphql", app.url))
                .header("content-type", "application/json")
                .header("accept-encoding", encoding)
                .body(body.clone());
            let answer = sent.send().await.expect("an answer");
            let headers = answer.headers().clone();
            let header = |name: &str| headers.get(name).map(|value| value.to_str().expect(name).to_owned());
            let names = ["content-encoding", "etag", "vary", "cache-control", "content-type"];
            (names.map(header), answer.bytes().await.expect("a body"))
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
            ("deflate", None),
        ] {
            let sent = ask(&plain, encoding).await;
            assert_eq!(sent.0[0].as_deref(), expected, "{encoding}");
            for time in ["first", "again", "once more"] {
                assert_eq!(ask(&app, encoding).await, sent, "{encoding}, {time}");
            }
        }
        let whole = ask(&app, "identity").await.1;
        for client in [
            builder().no_brotli().no_zstd().build(),
            builder().no_gzip().no_zstd().build(),
            builder().no_gzip().no_brotli().build(),
        ] {
            let sent = client.expect("a client").post(format!("{}/graphql", app.url));
            let sent = sent.header("content-type", "application/json").body(body.clone());
            let read = sent.send().await.expect("an answer").bytes().await.expect("a body");
            assert_eq!(read, whole);
        }
        // What is too short to be compressed is sent as it is, whether it is kept or not.
        for field in [r#"cardByCode(code: "x") { id }"#, "viewer { id }"] {
            for (bytes, encoding) in [(127, None), (128, Some("gzip"))] {
                let name = "n".repeat(bytes - r#"{"data":{"":null}}"#.len());
                let sent = client
                    .post(format!("{}/graphql", app.url))
                    .header("content-type", "application/json")
                    .header("accept-encoding", "gzip")
                    .body(json!({ "query": format!("{{ {name}: {field} }}") }).to_string());
                let answer = sent.send().await.expect("an answer");
                let found = answer.headers().get("content-encoding");
                assert_eq!(found.and_then(|found| found.to_str().ok()), encoding, "{field}");
                if encoding.is_none() {
                    let body = answer.bytes().await.expect("a body");
                    assert_eq!(body, format!(r#"{{"data":{{"{name}":null}}}}"#));
                }
            }
        }
    }

    async fn an_answer_tells_for_how_long_it_may_still_be_used(engine: Engine) {
        let app = start(engine, &["--cache-ttl-jitter=0"]).await;
        let clock = &app.app.services.clock;
        clock.stop();
        let told = async || app.ask("{ suits { name } }").await.header("cache-control").to_owned();
        assert_eq!(told().await, "public, max-age=3600");
        clock.advance(TimeDelta::seconds(100));
        assert_eq!(told().await, "public, max-age=3500");
        clock.advance(TimeDelta::milliseconds(3_499_500));
        assert_eq!(told().await, "public, no-cache");
        clock.advance(TimeDelta::milliseconds(500));
        assert_eq!(told().await, "public, max-age=3600");
    }

    async fn jitter_only_shortens_what_is_told(engine: Engine) {
        let app = start(engine, &["--cache-ttl-jitter=50"]).await;
        app.app.services.clock.stop();
        let mut all = BTreeSet::new();
        for number in 0..20 {
            let query = format!("query Number{number} {{ suits {{ name }} }}");
            app.data(&query).await;
            let kept = app.ask(&query).await;
            let told = kept.header("cache-control").strip_prefix("public, max-age=").expect("seconds").to_owned();
            all.insert(told.parse::<u64>().expect("seconds"));
        }
        assert!(all.iter().all(|seconds| (1_800..=3_600).contains(seconds)), "{all:?}");
        assert!(all.len() > 5, "{all:?}");
    }

    /// An admin may ask for more at once. What they were answered is not for who may not ask for it.
    async fn what_only_admins_may_ask_for_is_refused_to_others_all_the_same(engine: Engine) {
        let app = start(engine, &["--max-query-cost=50"]).await;
        let query = "{ publicReadings(first: 100) { nodes { question } } }";
        let refusal = app.ask(query).await;
        assert_eq!(refusal.body["errors"][0]["extensions"]["code"], "COST_LIMIT_EXCEEDED", "{}", refusal.text);
        app.data_as(id("admin"), query).await;
        let again = app.ask(query).await;
        assert_eq!(again.body_without_request_id(), refusal.body_without_request_id());
    }

    async fn operators_see_lookups_of_answers_among_those_of_public_data(engine: Engine) {
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

    async fn admins_drop_kept_answers_by_what_they_are_made_of(engine: Engine) {
        let app = start(engine, &[]).await;
        let drop = async |pattern: &str| {
            let query = format!("mutation {{ adminInvalidateCache(pattern: {pattern:?}) {{ userErrors {{ code }} }} }}");
            app.data_as(id("admin"), &query).await;
        };
        app.data(FEED).await;
        for pattern in ["*", "public:*", "public:feed:*", &format!("public:user:{}:*", id("ada"))] {
            assert_eq!(counted(&app.ask(FEED).await), kept(), "{pattern}");
            drop(pattern).await;
            assert_eq!(counted(&app.ask(FEED).await).1, "0 hits, 1 misses", "{pattern}");
        }
        for pattern in ["public:stats:*", "user:*", &format!("public:owner:{}:*", id("bob"))] {
            drop(pattern).await;
            assert_eq!(counted(&app.ask(FEED).await), kept(), "{pattern}");
        }
    }
}

/// It counts as a request, and costs nothing beside.
#[tokio::test]
async fn a_kept_answer_counts_as_a_request_and_costs_nothing_else() {
    let flags = [ROOM, "--rate-limit=3", "--rate-limit-cost=30"];
    let app = TestApp::start_with(Engine::Sqlite, &flags).await;
    let query = "{ spreads(first: 20) { nodes { name } } }";
    let code = |answered: &Answered| answered.body["errors"][0]["extensions"]["code"].clone();
    for expected in [Value::Null, Value::Null, Value::Null, "RATE_LIMITED".into()] {
        let answered = app.ask(query).await;
        assert_eq!(code(&answered), expected, "{}", answered.text);
    }
    let app = TestApp::start_with(Engine::Sqlite, &flags).await;
    assert_eq!(code(&app.ask(query).await), Value::Null);
    let other = app.ask("{ spreads(first: 20) { nodes { id } } }").await;
    assert_eq!(code(&other), "RATE_LIMITED", "{}", other.text);
}

#[tokio::test]
async fn a_user_who_was_not_there_is_when_they_have_registered() {
    let app = TestApp::start_with(Engine::Sqlite, &[ROOM]).await;
    let ask = async || app.data("{ user(username: \"eve\") { username } }").await["user"].clone();
    for _ in 0..2 {
        assert_eq!(ask().await, Value::Null);
    }
    let query = "mutation { register(input: { email: \"eve@example.com\", username: \"eve\", password: \"correct horse battery staple\" }) { viewer { id } userErrors { code } } }";
    app.data(query).await;
    assert_eq!(ask().await, json!({ "username": "eve" }));
}

#[tokio::test]
async fn a_profile_that_was_changed_is_seen_in_every_answer_that_shows_it() {
    let app = start(Engine::Sqlite, &[]).await;
    let queries = [
        "{ publicReadings { nodes { user { displayName } } } }".to_owned(),
        "{ user(username: \"ada\") { displayName } }".to_owned(),
        format!("{{ node(id: {:?}) {{ ... on User {{ displayName }} }} }}", user_id("ada")),
        format!("{{ reading(id: {:?}) {{ user {{ displayName }} }} }}", reading_id("q:pub")),
    ];
    for query in &queries {
        for _ in 0..2 {
            assert!(app.ask(query).await.text.contains("ada of the vault"), "{query}");
        }
    }
    let input = json!({ "displayName": "Ada the second" });
    payload(&app, id("ada"), "updateProfile", input, USER_ERRORS).await;
    for query in &queries {
        let text = app.ask(query).await.text;
        assert!(text.contains("Ada the second") && !text.contains("ada of the vault"), "{text}");
    }
}
