//! `GraphQL-Cost`: what an operation costs, with its execution or before it, and how many statements it takes.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use wasteland_tarot::config::limits::{SCHEMA_COST, STATEMENT_COST, VALIDATION_COST};
use wasteland_tarot::graphql::field_costs::STATEMENTS;
use wasteland_tarot::graphql::guard::StatementCount;

use crate::support::app::{Engine, TestApp, TestResponse, on_both_databases, send_request};
use crate::support::fixtures::{card_id, category_id, id, reading_id, spread_id, user_id};
use crate::support::tables::Access;
use crate::support::world::{share_id, write_world};

const REPORT: &str = "report";
const VALIDATE: &str = "validate";

async fn ask(app: &TestApp, viewer: Option<&str>, reporting: &str, query: &str) -> TestResponse {
    let request = app
        .request(reqwest::Method::POST, "/graphql")
        .header("graphql-cost", reporting)
        .json(&json!({ "query": query }));
    send_request(match viewer {
        Some(name) => request.bearer_auth(app.token_of(id(name))),
        None => request,
    })
    .await
}

on_both_databases! {
    async fn a_report_is_beside_the_data(engine: Engine) {
        let app = TestApp::start_with(engine, &["--rate-limit=1000", "--rate-limit-cost=1000"]).await;
        write_world(&app).await;
        let query = "{ publicReadings(first: 3) { nodes { id } } voices { key } }";
        let data = app.data(query).await;
        let response = ask(&app, None, REPORT, query).await;
        let cost = 3 + 14 + STATEMENT_COST;
        let mut body = response.body.clone();
        // The query has been executed before, and points come back all the time.
        let remaining = body["extensions"]["cost"]["remaining"].take().as_u64().expect("a number");
        assert!((1_000 - 2 * cost..1_000).contains(&remaining), "{remaining}");
        let report = json!({ "cost": cost, "limit": 20_000, "remaining": null, "statements": 1 });
        assert_eq!(body, json!({ "data": data, "extensions": { "cost": report } }));
        assert_eq!(response.header("cache-control"), "private, no-store");
        // Nothing of the report is cached.
        assert_eq!(app.query(query).await.body, json!({ "data": data }));

        let response = ask(&app, None, REPORT, "{ __typename }").await;
        let report = &response.body["extensions"]["cost"];
        assert_eq!(report["cost"], 0);
        assert_eq!(report["statements"], 0);

        let unlimited = TestApp::start_with(engine, &["--rate-limit=0"]).await;
        let response = ask(&unlimited, None, REPORT, "{ voices { key } }").await;
        let report = json!({ "cost": 14, "limit": 20_000, "remaining": null, "statements": 0 });
        assert_eq!(response.body["extensions"], json!({ "cost": report }));
    }

    async fn validation_executes_nothing(engine: Engine) {
        let flags = ["--rate-limit=1000", "--rate-limit-cost=1000", "--max-query-cost=500"];
        let app = TestApp::start_with(engine, &flags).await;
        write_world(&app).await;
        let observer = Access::open(&app.database).await;
        let before = observer.all().await;
        let input = format!("{{ question: \"Why?\", spreadId: \"{}\" }}", spread_id(&app, "single_wasteland"));
        let mutation =
            format!("mutation {{ createReading(input: {input}) {{ reading {{ id cards {{ position }} }} }} }}");
        let response = ask(&app, Some("ada"), VALIDATE, &mutation).await;
        assert_eq!(response.status, 200);
        let report =
            json!({ "cost": 17 + STATEMENT_COST, "limit": 500, "remaining": 1_000 - VALIDATION_COST, "statements": null });
        assert_eq!(response.body, json!({ "extensions": { "cost": report } }));
        assert_eq!(response.statements(), 0);
        assert_eq!(observer.all().await, before);

        // A cost above the limit is reported as well, where an execution is refused.
        let dear = "{ publicReadings(first: 100) { nodes { cards { position } } } }";
        let response = ask(&app, None, VALIDATE, dear).await;
        assert_eq!(response.body["extensions"]["cost"]["cost"], 1_600 + 2 * STATEMENT_COST);
        let response = ask(&app, None, REPORT, dear).await;
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "COST_LIMIT_EXCEEDED");
        assert_eq!(response.body.get("data"), None);

        // Invalid documents and values are refused as ever.
        let response = ask(&app, None, VALIDATE, "{ nothing }").await;
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        observer.close().await;
    }
}

#[tokio::test]
async fn other_values_of_the_header_are_refused() {
    let app = TestApp::start(Engine::Sqlite).await;
    for value in ["", "Report", "report, validate", "all"] {
        let response = ask(&app, None, value, "{ __typename }").await;
        assert_eq!(response.status, 400, "{value}");
        let error = &response.body["errors"][0];
        assert_eq!(error["message"], "the header must be `report` or `validate`");
        assert_eq!(error["extensions"]["argument"], "graphql-cost");
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
    }
}

/// Surcharges are paid for what the arguments and the selection make dear, however they are written.
#[tokio::test]
async fn counts_searches_and_filters_cost_more() {
    let app = TestApp::start(Engine::Sqlite).await;
    let cost = async |query: &str| {
        let response = ask(&app, None, VALIDATE, query).await;
        response.body["extensions"]["cost"]["cost"]
            .as_u64()
            .unwrap_or_else(|| panic!("{response:?}"))
    };
    let page = cost("{ publicReadings(first: 0) { nodes { id } } }").await;
    assert_eq!(page, STATEMENT_COST);
    let search = cost("{ publicReadings(first: 0, search: \"the\") { nodes { id } } }").await;
    let filter =
        cost("{ publicReadings(first: 0, filter: { karmaContexts: [GOOD] }) { nodes { id } } }")
            .await;
    let count = cost("{ publicReadings(first: 0) { totalCount } }").await;
    let both = "publicReadings(first: 0, search: \"the\", filter: { karmaContexts: [GOOD] })";
    let all = cost(&format!("{{ {both} {{ totalCount }} }}")).await;
    assert!(search >= 500 && filter >= 500 && count >= 50, "{search} {filter} {count}");
    assert!(all > search + filter + count, "{all}");
    for same in [
        format!("{{ {both} {{ totalCountIsExact }} }}"),
        format!(
            "{{ {both} {{ ...F }} }} fragment F on ReadingConnection {{ ...{{ totalCount }} }}"
        ),
        "query ($s: String = \"the\", $f: PublicReadingFilter = { karmaContexts: [GOOD] }) {
            publicReadings(first: 0, search: $s, filter: $f) { totalCount } }"
            .to_owned(),
    ] {
        assert_eq!(cost(&same).await, all, "{same}");
    }
    for cheap in [
        "{ publicReadings(first: 0, search: null, filter: null) { nodes { id } } }",
        "query ($s: String) { publicReadings(first: 0, search: $s) { nodes { id } } }",
    ] {
        assert_eq!(cost(cheap).await, page, "{cheap}");
    }
    assert_eq!(cost("{ __schema { types { name } } }").await, SCHEMA_COST);
    // The document that took 5 s of SQL within all limits.
    let aliases: Vec<String> = (0..30)
        .map(|day| {
            let from = format!("2026-01-{:02}T00:00:00Z", day + 1);
            format!(
                "a{day}: publicReadings(first: 0, search: \"the\",
                    filter: {{ createdAt: {{ from: \"{from}\" }} }}) {{ totalCount }} "
            )
        })
        .collect();
    let response = app.query(&format!("{{ {} }}", aliases.join(" "))).await;
    assert_eq!(response.body["errors"][0]["extensions"]["code"], "COST_LIMIT_EXCEEDED");
    assert_eq!(response.statements(), 0);
}

/// Root fields. Ids have the name of their object after a `$`.
const ROOTS: &[&str] = &[
    "publicStats { users }",
    "publicReadings { nodes { id } }",
    "publicReadings(first: 3) { nodes { id READING } }",
    "publicReadings(first: 2, search: \"pub\") { totalCount edges { node { id READING } } }",
    "user(username: \"bob\") { id USER }",
    "viewer { id USER }",
    "cards(first: 2) { nodes { name CARD } }",
    "cards(first: 2, orderBy: { field: NAME, direction: DESC }) { nodes { name CARD } }",
    "card(id: $card) { name CARD }",
    "cardByCode(code: \"major_arcana_01\") { name CARD }",
    "spreads(first: 2) { nodes { name SPREAD } }",
    "spreads(first: 2, filter: { includeInactive: false }) { nodes { name SPREAD } }",
    "spreads(first: 2, filter: { includeInactive: true }) { nodes { name SPREAD } }",
    "spreads(first: 1, filter: { includeInactive: $flag }) { nodes { name } }",
    "spreads(first: 1, filter: $filter) { nodes { name } }",
    "spread(id: $spread) { name SPREAD }",
    "spreadByName(name: \"single_wasteland\") { name SPREAD }",
    "popularSpreads { mostUsed { name SPREAD } }",
    "recommendedSpreads { spread { name SPREAD } }",
    "voices { key }",
    "factions { key voices { key } }",
    "suits { suit }",
    "reading(id: $reading) { id READING }",
    "sharedReading(token: \"s:pub\") { status SHARED }",
    "sharedReading(token: \"s:none\") { status SHARED }",
    "node(id: $user) { id NODE }",
    "node(id: $reading) { id NODE }",
    "node(id: $category) { id NODE }",
    "node(id: $card) { id NODE }",
    "nodes(ids: [$user, $reading, $private, $category, $share, $card, $spread]) { id NODE }",
    "nodes(ids: [$user]) { id NODE }",
    "admin { __typename ADMIN }",
];
/// Fields of an object, by type.
const ADMIN: &[&str] = &[
    "cacheStats { hits }",
    "poolStats { poolSize }",
    "databaseHealth { status }",
    "again: databaseHealth { status }",
    "all: users { nodes { failedLogins } }",
    "again: users { nodes { failedLogins } }",
    "users(first: 3) { nodes { failedLogins user { id USER } } }",
    "auditLog { nodes { action actor { id USER } } }",
    "again: auditLog(first: 1) { nodes { action } }",
    "reading(id: $reading) { id READING }",
    "slowQueries { sql }",
    "slowQueries(limit: 3) { sql SLOW_QUERY }",
];
const SLOW_QUERY: &[&str] = &["plan", "again: plan", "occurrences"];
const NODE: &[&str] = &[
    "... on Reading { READING }",
    "... on User { USER }",
    "... on Category { name readingCount }",
    "... on ShareLink { title accessCount }",
    "... on Card { CARD }",
    "... on Spread { SPREAD }",
];
const SHARED: &[&str] = &[
    "title",
    "content { question }",
    "content { cards { position card { name CARD } } spread { SPREAD } }",
];
const READING: &[&str] = &[
    "cards { position card { name CARD } }",
    "told: cards { interpretation }",
    "user { username }",
    "user { USER }",
    "spread { SPREAD }",
    "category { name }",
    "category { readingCount }",
    "shareLinks { title }",
    "voice { key }",
    "question",
    "hidden { reason }",
];
const USER: &[&str] = &[
    "username",
    "readings(first: 2) { nodes { id READING } }",
    "readings(first: 0) { totalCount }",
    "stats { totalReadings }",
    "readingQuota { used }",
    "categories { name readingCount }",
    "tags(first: 2) { nodes { name } }",
    "all: tags { nodes { name } }",
    "again: tags { nodes { name } }",
    "email",
    "isAdmin isPremium",
    "karmaScore",
    "preferredVoice",
    "analytics { summary { totalReadings } }",
    "analytics { karma { count } frequency(days: 7) { count } topCards { draws } }",
    "analytics { spreads { count } voices { count } again: voices { count } satisfaction { mean } }",
    "analytics { patterns { __typename } comparison { __typename } }",
];
const CARD: &[&str] = &["drawCount", "code", "uprightMeaning"];
const SPREAD: &[&str] = &["usageCount", "meanRating", "usageCount meanRating", "displayName"];

const PLACEHOLDERS: [(&str, &[&str]); 8] = [
    ("READING", READING),
    ("USER", USER),
    ("CARD", CARD),
    ("SPREAD", SPREAD),
    ("ADMIN", ADMIN),
    ("SLOW_QUERY", SLOW_QUERY),
    ("NODE", NODE),
    ("SHARED", SHARED),
];

/// A text whose placeholders are replaced by up to three choices each.
fn written(random: &mut StdRng, text: &str, depth: usize) -> String {
    let mut text = text.to_owned();
    for (placeholder, choices) in PLACEHOLDERS {
        while text.contains(placeholder) {
            let count = if depth == 0 { 0 } else { random.random_range(0..=3) };
            let chosen: Vec<_> = choices.sample(random, count).copied().collect();
            let chosen: Vec<_> =
                chosen.into_iter().map(|choice| written(random, choice, depth - 1)).collect();
            let selection =
                if chosen.is_empty() { "__typename".to_owned() } else { chosen.join(" ") };
            text = text.replacen(placeholder, &selection, 1);
        }
    }
    text
}

/// A field with statements that is not in the texts would not be predicted by a test.
#[test]
fn all_fields_with_statements_are_generated() {
    let all = PLACEHOLDERS.iter().flat_map(|(_, choices)| *choices).chain(ROOTS);
    let words: HashSet<&str> =
        all.flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric())).collect();
    for StatementCount { type_name, field, .. } in STATEMENTS {
        assert!(words.contains(field), "{type_name}.{field}");
    }
}

/// Up to three root fields, with ids in place of their names.
fn generated_query(random: &mut StdRng, ids: &[(&str, String)]) -> String {
    let mut roots = String::new();
    for index in 0..random.random_range(1..=3) {
        let root = ROOTS.choose(random).expect("a field");
        let root = written(random, root, 3);
        roots = format!("{roots} r{index}: {root}");
    }
    for (name, id) in ids {
        roots = roots.replace(name, &format!("{id:?}"));
    }
    let is_set = random.random_bool(0.5);
    let variables: Vec<String> = [
        ("$flag", format!("$flag: Boolean! = {is_set}")),
        ("$filter", format!("$filter: SpreadFilter = {{ includeInactive: {is_set} }}")),
    ]
    .into_iter()
    .filter_map(|(name, declaration)| roots.contains(name).then_some(declaration))
    .collect();
    if variables.is_empty() {
        format!("{{{roots} }}")
    } else {
        format!("query ({}) {{{roots} }}", variables.join(" "))
    }
}

on_both_databases! {
    /// The prediction is an upper bound. It is exact but for fields that find what others have loaded, and ids of
    /// objects that need no statement, of which these queries are full.
    async fn statements_are_predicted(engine: Engine) {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let flags =
            ["--cache-enabled=false", "--rate-limit=0", "--max-query-cost=10000000", "--slow-query-ms=0"];
        let app = TestApp::start_with(engine, &flags).await;
        write_world(&app).await;
        let ids = [
            ("$user", user_id("bob")),
            ("$reading", reading_id("q:pub")),
            ("$private", reading_id("q:prv")),
            ("$category", category_id("c:work")),
            ("$share", share_id("s:pub")),
            ("$card", card_id(&app, "major_arcana_00")),
            ("$spread", spread_id(&app, "single_wasteland")),
        ];
        let (mut exact, mut executed, mut taken, mut expected) = (0, 0, 0, 0);
        for _ in 0..800 {
            let query = generated_query(&mut random, &ids);
            let viewer = ["ada", "admin"].choose(&mut random).copied();
            let response = ask(&app, viewer, REPORT, &query).await;
            let Some(predicted) = response.body["extensions"]["cost"]["statements"].as_u64() else {
                // Two selections of one field that differ in their arguments.
                assert_eq!(response.body.get("data"), None, "{query}: {}", response.body);
                continue;
            };
            let statements = response.statements();
            assert!(statements <= predicted, "{statements} > {predicted}: {query}");
            executed += 1;
            (taken, expected) = (taken + statements, expected + predicted);
            exact += u64::from(statements == predicted);
        }
        println!("{exact} of {executed} predictions are exact; {taken} of {expected} statements");
        assert!(executed > 600, "{executed}");
        assert!(exact * 4 > executed && taken * 2 > expected, "{exact}, {taken} of {expected}");
    }

    async fn public_readings_are_counted_up_to_a_bound(engine: Engine) {
        let query = "{
            all: publicReadings(first: 1) { totalCount totalCountIsExact }
            searched: publicReadings(first: 0, search: \"-pub\") { totalCount totalCountIsExact nodes { id } }
            flag: publicReadings(first: 0) { totalCountIsExact }
            none: publicReadings(first: 1) { nodes { id } } }";
        let counted = async |flags: &[&str]| {
            let app = TestApp::start_with(engine, flags).await;
            write_world(&app).await;
            app.data(query).await
        };
        let whole = counted(&[]).await;
        let count = |name: &str| whole[name]["totalCount"].as_u64().expect("a count");
        let (all, searched) = (count("all"), count("searched"));
        assert!(all > searched && searched > 1, "{all} {searched}");
        for name in ["all", "searched", "flag"] {
            assert_eq!(whole[name]["totalCountIsExact"], true, "{name}");
        }
        for (bound, [all_is_exact, searched_is_exact]) in [
            (all, [true, true]),
            (all - 1, [false, true]),
            (searched, [false, true]),
            (searched - 1, [false, false]),
        ] {
            let data = counted(&[&format!("--max-public-count={bound}")]).await;
            assert_eq!(data["all"], json!({ "totalCount": all.min(bound), "totalCountIsExact": all_is_exact }));
            assert_eq!(data["searched"], json!({
                "totalCount": searched.min(bound), "totalCountIsExact": searched_is_exact, "nodes": [],
            }));
            assert_eq!(data["flag"], json!({ "totalCountIsExact": all_is_exact }));
        }
    }

    /// A user's readings are counted to their end.
    async fn readings_of_a_user_are_counted_without_a_bound(engine: Engine) {
        let app = TestApp::start_with(engine, &["--max-public-count=1"]).await;
        write_world(&app).await;
        let query = "{ viewer { readings(first: 0) { totalCount totalCountIsExact } } }";
        let page = app.data_as(id("ada"), query).await["viewer"]["readings"].take();
        assert_eq!(page["totalCountIsExact"], true);
        assert!(page["totalCount"].as_u64() > Some(1), "{page}");
    }

    /// Fields with one response key are one field, whose selection sets are merged.
    async fn a_field_that_is_selected_twice_is_executed_once(engine: Engine) {
        let app = TestApp::start_with(engine, &["--cache-enabled=false"]).await;
        write_world(&app).await;
        let count = async || {
            let data = app.data_as(id("ada"), "{ viewer { readings(first: 0) { totalCount } } }").await;
            data["viewer"]["readings"]["totalCount"].as_u64().expect("a count")
        };
        let before = count().await;
        let input = format!("{{ question: \"Why?\", spreadId: \"{}\" }}", spread_id(&app, "single_wasteland"));
        for mutation in [
            format!(
                "mutation {{ createReading(input: {input}) {{ reading {{ id }} }}
                    createReading(input: {input}) {{ reading {{ question }} }} }}"
            ),
            format!(
                "mutation {{ ...F createReading(input: {input}) {{ reading {{ question }} }} ...F }}
                    fragment F on Mutation {{ createReading(input: {input}) {{ reading {{ id }} }} }}"
            ),
        ] {
            let data = app.data_as(id("ada"), &mutation).await;
            let reading = &data["createReading"]["reading"];
            assert_eq!(reading["question"], "Why?");
            let found = app.data_as(id("ada"), &format!("{{ reading(id: {}) {{ question }} }}", reading["id"])).await;
            assert_eq!(found, json!({ "reading": { "question": "Why?" } }));
        }
        assert_eq!(count().await, before + 2);

        let query = "{ publicReadings(first: 3) { nodes { id } }
            ...{ publicReadings(first: 3) { nodes { question ... on Node { id } } } } ...F }
            fragment F on Query {
                publicReadings(first: 3) { pageInfo { hasNextPage } nodes { user { id } } } __typename }";
        let response = app.query(query).await;
        // One page, and its users.
        assert_eq!(response.statements(), 2);
        let plain = "{ publicReadings(first: 3) { nodes { id question user { id } } pageInfo { hasNextPage } }
            __typename }";
        assert_eq!(response.body["data"], app.data(plain).await);
    }
}

/// A type whose fields depend on the object: each of them is merged with those of the interface.
#[tokio::test]
async fn fields_of_an_interface_and_its_objects_are_merged() {
    let app = TestApp::start(Engine::Sqlite).await;
    write_world(&app).await;
    let ids: Vec<Value> =
        vec![spread_id(&app, "single_wasteland").into(), card_id(&app, "major_arcana_00").into()];
    let query = format!(
        "{{ nodes(ids: {}) {{ id ... on Spread {{ positions {{ number }} }} ... on Card {{ code }}
            ... on Spread {{ name positions {{ number }} }} }} }}",
        Value::Array(ids.clone())
    );
    let data = app.data(&query).await;
    assert_eq!(data["nodes"][0]["id"], ids[0]);
    assert_eq!(data["nodes"][0]["name"], "single_wasteland");
    assert!(data["nodes"][0]["positions"].is_array());
    assert_eq!(data["nodes"][1], json!({ "id": ids[1], "code": "major_arcana_00" }));
}
