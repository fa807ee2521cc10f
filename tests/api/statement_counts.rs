//! Number of SQL statements per response, as its `Server-Timing` header reports it.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::Value;

use wasteland_tarot::db::entities::users;
use wasteland_tarot::db::seed::SeedRows;

use crate::support::app::{Engine, TestApp, on_both_databases, skip};
use crate::support::fixtures::{category, crowd, drawn_cards, id, reading, user};

/// A hundred public readings of ten users, with three cards each, all in folders.
async fn fill(app: &TestApp) {
    let people: Vec<_> =
        (0..10).map(|n| users::Model { is_admin: n == 0, ..user(&format!("u{n}")) }).collect();
    let categories: Vec<_> =
        people.iter().map(|owner| category(owner, &format!("c{}", owner.username))).collect();
    let readings: Vec<_> = (0_u8..100)
        .map(|n| {
            let owner = &people[usize::from(n % 10)];
            let mut reading = reading(app, owner, &format!("r{n:02}"), i64::from(n));
            reading.category_id = Some(categories[usize::from(n % 10)].id);
            reading
        })
        .collect();
    let codes = ["major_arcana_00", "bottle_caps_01", "radiation_rods_14"];
    let drawn = readings.iter().flat_map(|reading| drawn_cards(app, reading, &codes)).collect();
    app.insert(SeedRows { users: people, categories, readings, drawn_cards: drawn }).await;
}

/// The nodes of the response's only list.
fn node_count(body: &Value) -> usize {
    body["data"]["publicReadings"]["nodes"].as_array().expect("nodes").len()
}

/// Queries a list of 1, 20 and 100 readings with these fields, and asserts the number of statements
/// of each.
async fn assert_statements(app: &TestApp, viewer: Option<uuid::Uuid>, fields: &str, expected: u64) {
    for count in [1, 20, 100] {
        let query = format!("{{ publicReadings(first: {count}) {{ nodes {{ {fields} }} }} }}");
        let response = app.query_as_viewer(viewer, &query).await;
        assert_eq!(response.body.get("errors"), None, "{}", response.text);
        assert_eq!(node_count(&response.body), count);
        assert_eq!(response.statements(), expected, "{count} readings with {fields}");
    }
}

/// All that a list of readings shows.
const WHOLE_READING: &str = "question user { username displayName }
    spread { displayName positions { name meaning } } voice { displayName }
    cards { positionName meaning orientation card { name uprightMeaning } }";

on_both_databases! {
    async fn a_list_of_readings_with_users_spreads_and_cards_takes_three_statements(
        engine: Engine,
    ) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        assert_statements(&app, None, WHOLE_READING, 3).await;
        assert_statements(&app, Some(id("u3")), WHOLE_READING, 3).await;
    }

    async fn texts_are_loaded_with_any_selection(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        let list = |fields: &str| format!("publicReadings(first: 2) {{ {fields} }}");
        let reading = "nodes { interpretation summary notes feedback }";
        let cards = "nodes { cards { positionName positionMeaning interpretation } }";
        // In one level without and with, by each way to name a field.
        for fields in [
            format!("a: {} b: {} c: {}", list("nodes { id }"), list(reading), list(cards)),
            format!("a: {} b: {}", list("edges { node { text: interpretation } }"), list("nodes { id }")),
            format!("a: {}", list("... on ReadingConnection { nodes { ...Texts ... { summary } } }")),
            format!("a: {}", list("nodes { a: cards { orientation } b: cards { text: interpretation } }")),
            format!("a: {}", list("nodes { cards { orientation } ... on Reading { cards { ...CardTexts } } }")),
            "user(username: \"u3\") { a: readings(first: 2) { nodes { id } }
                b: readings(first: 2) { nodes { ... on Node { ...Texts } } } }".to_owned(),
        ] {
            let fragments = [
                ("...Texts", "fragment Texts on Reading { interpretation feedback }"),
                ("...CardTexts", "fragment CardTexts on DrawnCard { positionName positionMeaning }"),
            ];
            let used = fragments.iter().filter(|(spread, _)| fields.contains(spread));
            let used: Vec<_> = used.map(|(_, fragment)| *fragment).collect();
            let query = format!("query Texts($no: Boolean = false) {{ {fields}
                d: {} }} {}", list("nodes { summary @include(if: $no) }"), used.join(" "));
            let response = app.query_as(id("u3"), &query).await;
            assert_eq!(response.body.get("errors"), None, "{query}: {}", response.text);
        }
        // Both column sets of the same rows are one statement.
        let both = "a: cards { orientation } b: cards { interpretation }";
        assert_statements(&app, None, both, 2).await;
        let both = "user { a: readings(first: 2) { nodes { id } }
            b: readings(first: 2) { nodes { summary } } }";
        assert_statements(&app, None, both, 3).await;
    }

    async fn fields_alone_take_only_the_statement_of_the_list(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        assert_statements(&app, None, "question spread { positions { name } } voice { tone }", 1)
            .await;
    }

    async fn counters_take_one_statement_each_for_all_cards_and_spreads(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        let fields = "spread { usageCount meanRating } cards { card { drawCount } }";
        assert_statements(&app, None, fields, 4).await;

        let query = "{ cards(first: 100) { nodes { drawCount } }
            spreads { nodes { usageCount meanRating } } }";
        assert_eq!(app.query(query).await.statements(), 2);
    }

    async fn private_fields_take_no_statement_for_each_user(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        // Strangers' fields need nothing but the users; whether the viewer is an admin is one row
        // more, which may or may not be in the same batch.
        for viewer in ["u0", "u3"] {
            let fields = "user { email isAdmin isPremium karmaScore preferredVoice }";
            let query =
                |count| format!("{{ publicReadings(first: {count}) {{ nodes {{ {fields} }} }} }}");
            let mut taken = Vec::new();
            for count in [1, 20, 100] {
                let response = app.query_as(id(viewer), &query(count)).await;
                assert_eq!(node_count(&response.body), count);
                taken.push(response.statements());
            }
            assert!(taken.iter().all(|statements| (2..=3).contains(statements)), "{taken:?}");
        }
    }

    async fn folders_and_their_counts_take_one_statement_each(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for count in [1, 5, 10] {
            let query = format!(
                "{{ viewer {{ readings(first: {count}) {{ nodes {{
                    category {{ name readingCount }} }} }} }} }}"
            );
            let response = app.query_as(id("u3"), &query).await;
            let nodes =
                response.body["data"]["viewer"]["readings"]["nodes"].as_array().expect("nodes");
            assert_eq!(nodes.len(), count);
            assert!(nodes.iter().all(|node| node["category"]["readingCount"] == 10));
            assert_eq!(response.statements(), 4, "the viewer, the page, the folders, their counts");
        }
    }

    /// However many of the readings are the viewer's, whose newest is the first.
    async fn viewer_only_fields_take_one_statement_each(engine: Engine) {
        let app = TestApp::start_with(engine, &["--max-query-cost=1000000"]).await;
        fill(&app).await;
        let fields = "shareLinks { url }
            user { categories { name } tags { nodes { name } } readingQuota { used } }";
        assert_statements(&app, Some(id("u9")), fields, 6).await;
    }

    async fn readings_of_all_users_of_a_list_take_one_statement(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        assert_statements(&app, None, "user { readings(first: 3) { nodes { question } } }", 3)
            .await;
        let fields = "user { readings(first: 3) { totalCount edges { cursor }
            pageInfo { hasNextPage hasPreviousPage } } }";
        assert_statements(&app, None, fields, 3).await;
        // And with their cards.
        let fields = "user { readings(first: 3) { nodes { cards { position } } } }";
        assert_statements(&app, None, fields, 4).await;
    }

    async fn nodes_of_one_type_take_one_statement(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for count in [1_usize, 20, 100] {
            let ids: Vec<String> =
                (0..count).map(|n| crate::support::fixtures::reading_id(&format!("r{n:02}"))).collect();
            let query = format!(
                "{{ nodes(ids: {ids:?}) {{ ... on Reading {{ question cards {{ position }} }} }} }}"
            );
            let response = app.query(&query).await;
            assert_eq!(response.body.get("errors"), None);
            assert_eq!(response.statements(), 2, "{count}");
        }
    }

    async fn aliases_of_the_same_objects_are_loaded_together(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        let fields: String = (0..20)
            .map(|n| {
                format!(
                    " a{n}: reading(id: {:?}) {{ question }}",
                    crate::support::fixtures::reading_id(&format!("r{n:02}"))
                )
            })
            .collect::<Vec<_>>()
            .concat();
        let response = app.query(&format!("{{ {fields} }}")).await;
        assert_eq!(response.body.get("errors"), None);
        assert_eq!(response.statements(), 1);
    }

    async fn a_page_reads_no_more_rows_than_it_returns_and_one(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(crowd(&app, &user("ada"), 100)).await;
        let rows = async |query: &str| {
            let response = app.query(query).await;
            let timing = response.header("server-timing").to_owned();
            let (_, rows) = timing.split_once("statements, ").expect("rows are counted");
            let rows: usize =
                rows.split(' ').next().and_then(|rows| rows.parse().ok()).expect("a number");
            rows
        };
        assert_eq!(rows("{ publicReadings(first: 20) { nodes { id } } }").await, 21);
        assert_eq!(rows("{ publicReadings(last: 20) { totalCount nodes { id } } }").await, 21);
        // One user, and two rows more than are returned for each parent at most.
        let nested =
            rows("{ user(username: \"ada\") { readings(first: 20) { nodes { id } } } }").await;
        assert!(nested <= 1 + 22, "{nested}");
    }
}

/// PostgreSQL's own counts for this database: statements and their rows.
async fn counted_by_postgres(database: &sea_orm::DatabaseConnection) -> (i64, i64) {
    let sql = "SELECT coalesce(sum(calls), 0)::bigint AS statements,
            coalesce(sum(rows), 0)::bigint AS rows
        FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
        WHERE datname = current_database() AND query NOT LIKE '%pg_stat_statements%'";
    let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    let row = row.expect("the figures are read").expect("a row");
    let number = |name| row.try_get("", name).expect("a number");
    (number("statements"), number("rows"))
}

/// The other tests here rely on the server's own count, so it has to be true.
#[tokio::test]
async fn the_count_is_what_postgres_counts() {
    let test = "the_count_is_what_postgres_counts";
    if !Engine::has_postgres(test) {
        return;
    }
    let app = TestApp::start(Engine::Postgres).await;
    fill(&app).await;
    let database = app.database.connect().await;
    let counts = "CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()";
    if database.execute_unprepared(counts).await.is_err() {
        skip(test, "PostgreSQL with shared_preload_libraries=pg_stat_statements");
        return;
    }
    for fields in [
        "id",
        WHOLE_READING,
        "user { readings(first: 3) { totalCount nodes { cards { orientation } } } }",
        "cards { card { drawCount } } spread { usageCount }",
    ] {
        for count in [1, 20, 100] {
            let before = counted_by_postgres(&database).await;
            let query = format!("{{ publicReadings(first: {count}) {{ nodes {{ {fields} }} }} }}");
            let response = app.query_as(id("u3"), &query).await;
            assert_eq!(response.body.get("errors"), None, "{}", response.text);
            let after = counted_by_postgres(&database).await;
            let ours = (response.statements(), response.rows());
            let theirs = (after.0 - before.0, after.1 - before.1);
            let theirs = (theirs.0.unsigned_abs(), theirs.1.unsigned_abs());
            assert_eq!(ours, theirs, "statements and rows of {count} readings with {fields}");
        }
    }
}

/// With several threads a batch may be on its way while fields of its level are still being
/// resolved; the bound holds there as well, which is how the server runs.
#[test]
fn batches_are_whole_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let app = TestApp::start(Engine::Sqlite).await;
        fill(&app).await;
        for _ in 0..50 {
            assert_statements(&app, None, WHOLE_READING, 3).await;
        }
    });
}
