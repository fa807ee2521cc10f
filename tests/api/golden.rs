//! The text of every statement that the server sends, on both databases, in files beside this one:
//! a change of a statement is a change of a file, and is reviewed. `cargo insta review` accepts
//! one; `INSTA_UPDATE=always cargo test golden` writes them all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use uuid::Uuid;

use crate::support::app::{Content, Engine, TestApp, TestDatabase, on_both_databases};
use crate::support::fixtures::{
    category, category_id, drawn_cards, id, reading, reading_id, rows, user, user_id,
};

/// A question whose statements are held, by the name of their file. What stands in capitals is put in
/// by [`Values`].
pub const CASES: &[(&str, &str)] = &[
    ("public_readings", "publicReadings(first: 20) { nodes { question } }"),
    ("public_readings_with_summary", "publicReadings(first: 20) { nodes { summary } }"),
    ("public_readings_with_texts", "publicReadings(first: 20) { nodes { interpretation } }"),
    ("public_readings_with_total", "publicReadings(first: 20) { totalCount nodes { question } }"),
    ("public_readings_after", "publicReadings(first: 20, after: CURSOR) { nodes { question } }"),
    ("public_readings_last", "publicReadings(last: 20) { nodes { question } }"),
    ("public_readings_before", "publicReadings(last: 20, before: CURSOR) { nodes { question } }"),
    ("users_of_readings", "publicReadings { nodes { user { username email } } }"),
    ("drawn_cards", "publicReadings { nodes { cards { orientation card { name } } } }"),
    ("drawn_cards_with_position_names", "publicReadings { nodes { cards { positionName } } }"),
    ("drawn_cards_with_position_texts", "publicReadings { nodes { cards { positionMeaning } } }"),
    ("drawn_cards_with_texts", "publicReadings { nodes { cards { interpretation } } }"),
    ("readings_of_users", "publicReadings { nodes { user { readings { nodes { question } } } } }"),
    (
        "readings_of_users_with_texts_and_total",
        "publicReadings { nodes { user { readings(last: 5) { totalCount nodes { interpretation } } } } }",
    ),
    (
        "readings_of_a_user",
        "user(username: USERNAME) { readings(first: 5) { nodes { question } } }",
    ),
    (
        "readings_of_a_user_after",
        "user(username: USERNAME) { readings(first: 5, after: OWN_CURSOR) { nodes { question } } }",
    ),
    (
        "readings_of_a_user_before",
        "user(username: USERNAME) { readings(last: 5, before: OWN_CURSOR) { nodes { question } } }",
    ),
    ("reading", "reading(id: READING) { question }"),
    ("reading_with_texts", "reading(id: READING) { interpretation }"),
    ("nodes", "nodes(ids: [READING, USER, CATEGORY]) { id }"),
    ("user", "user(username: USERNAME) { username bio faction karma }"),
    ("viewer", "viewer { username email isAdmin }"),
    ("categories_of_readings", "viewer { readings { nodes { category { name readingCount } } } }"),
    ("draws_of_cards", "cards(first: 5) { nodes { drawCount } }"),
    ("uses_of_spreads", "spreads(first: 5) { nodes { usageCount meanRating } }"),
    ("public_stats", "publicStats { users readings }"),
    ("public_readings_searched", "publicReadings(search: TERM) { nodes { question } }"),
    (
        "public_readings_searched_after",
        "publicReadings(search: TERM, after: CURSOR) { nodes { question } }",
    ),
    ("public_readings_searched_with_total", "publicReadings(search: TERM) { totalCount }"),
    ("public_readings_tagged", "publicReadings(filter: { tagsAny: [TAG] }) { nodes { question } }"),
    (
        "public_readings_tagged_with_total",
        "publicReadings(filter: { tagsAny: [TAG, \"grief\"] }) { totalCount }",
    ),
    (
        "public_readings_of_words",
        "publicReadings(filter: { characterVoices: [GHOUL, RAIDER], karmaContexts: [EVIL],
            spreadTypes: [CELTIC_CROSS] }) { nodes { question } }",
    ),
    (
        "public_readings_of_a_voice_with_total",
        "publicReadings(filter: { characterVoices: [GHOUL] }) { totalCount }",
    ),
    (
        "public_readings_of_a_time",
        "publicReadings(filter: { createdAt: { from: FROM, to: TO } }) { nodes { question } }",
    ),
    (
        "public_readings_of_a_time_searched_and_tagged",
        "publicReadings(search: TERM, filter: { tagsAny: [TAG], createdAt: { from: FROM, to: TO } })
            { nodes { question } }",
    ),
    (
        "own_readings_searched",
        "user(username: USERNAME) { readings(search: TERM) { nodes { question } } }",
    ),
    (
        "own_readings_searched_with_total",
        "user(username: USERNAME) { readings(search: TERM) { totalCount } }",
    ),
    (
        "own_readings_searched_for_little",
        "user(username: USERNAME) { readings(search: SHORT) { nodes { question } } }",
    ),
    (
        "own_readings_tagged",
        "user(username: USERNAME) { readings(filter: { tagsAny: [TAG, \"grief\"] })
            { nodes { question } } }",
    ),
    (
        "own_readings_with_all_tags",
        "user(username: USERNAME) { readings(filter: { tagsAll: [TAG, \"trust\"] })
            { nodes { question } } }",
    ),
    (
        "own_readings_tagged_with_total",
        "user(username: USERNAME) { readings(filter: { tagsAny: [TAG] }) { totalCount } }",
    ),
    (
        "own_readings_of_a_voice",
        "user(username: USERNAME) { readings(filter: { characterVoices: [GHOUL] })
            { nodes { question } } }",
    ),
    (
        "own_readings_of_words_with_total",
        "user(username: USERNAME) { readings(filter: { characterVoices: [GHOUL],
            karmaContexts: [EVIL], spreadTypes: [CELTIC_CROSS] }) { totalCount nodes { question } } }",
    ),
    (
        "own_readings_of_a_time",
        "user(username: USERNAME) { readings(filter: { createdAt: { from: FROM, to: TO } })
            { totalCount nodes { question } } }",
    ),
    (
        "own_favorites",
        "user(username: USERNAME) { readings(filter: { isFavorite: true }) { nodes { question } } }",
    ),
    (
        "own_readings_of_a_category",
        "user(username: USERNAME) { readings(filter: { categoryId: CATEGORY })
            { totalCount nodes { question } } }",
    ),
    (
        "own_readings_without_a_category",
        "user(username: USERNAME) { readings(filter: { hasCategory: false })
            { nodes { question } } }",
    ),
    (
        "own_public_readings",
        "user(username: USERNAME) { readings(filter: { privacyLevels: [PUBLIC] })
            { nodes { question } } }",
    ),
    (
        "own_satisfying_readings",
        "user(username: USERNAME) { readings(filter: { minSatisfaction: 5 })
            { nodes { question } } }",
    ),
    (
        "own_archived_readings",
        "user(username: USERNAME) { readings(filter: { archive: ARCHIVED })
            { nodes { question } } }",
    ),
    (
        "own_readings_archived_or_not",
        "user(username: USERNAME) { readings(filter: { archive: ANY }) { nodes { question } } }",
    ),
    (
        "own_readings_by_change",
        "user(username: USERNAME) { readings(orderBy: { field: UPDATED_AT })
            { nodes { question } } }",
    ),
    (
        "own_readings_by_change_after",
        "user(username: USERNAME) { readings(first: 5, after: CHANGE_CURSOR,
            orderBy: { field: UPDATED_AT }) { nodes { question } } }",
    ),
    (
        "own_readings_by_satisfaction",
        "user(username: USERNAME) { readings(orderBy: { field: SATISFACTION })
            { nodes { question } } }",
    ),
    (
        "own_readings_by_satisfaction_after",
        "user(username: USERNAME) { readings(first: 5, after: SATISFACTION_CURSOR,
            orderBy: { field: SATISFACTION }) { nodes { question } } }",
    ),
    (
        "own_readings_by_dissatisfaction",
        "user(username: USERNAME) { readings(orderBy: { field: SATISFACTION, direction: ASC })
            { nodes { question } } }",
    ),
    (
        "own_readings_by_all",
        "user(username: USERNAME) { readings(first: 5, search: TERM, after: SATISFACTION_CURSOR,
            orderBy: { field: SATISFACTION }, filter: { tagsAny: [TAG], tagsAll: [\"trust\"],
            characterVoices: [GHOUL, RAIDER], karmaContexts: [EVIL], spreadTypes: [CELTIC_CROSS],
            createdAt: { from: FROM, to: TO }, privacyLevels: [PUBLIC], isFavorite: true,
            categoryId: CATEGORY, hasCategory: true, minSatisfaction: 2, archive: ANY })
            { totalCount nodes { question } } }",
    ),
    (
        "readings_of_users_searched",
        "publicReadings { nodes { user { readings(search: TERM) { nodes { question } } } } }",
    ),
    ("stats", "viewer { stats { totalReadings cardsDrawn currentStreakDays } }"),
    ("analytics_summary", "viewer { analytics { summary { totalReadings } } }"),
    (
        "analytics_summary_of_a_range",
        "viewer { analytics { summary(range: RANGE) { totalReadings } } }",
    ),
    ("analytics_frequency", "viewer { analytics { frequency { date count } } }"),
    (
        "analytics_counts",
        "viewer { analytics { summary { totalReadings } spreads { count } voices { count } karma { count } \
         frequency { count } } }",
    ),
    ("analytics_satisfaction", "viewer { analytics { satisfaction { mean trend } } }"),
    ("analytics_patterns", "viewer { analytics { patterns { busiestWeekday busiestHour } } }"),
    ("analytics_top_cards", "viewer { analytics { topCards { draws } } }"),
    ("analytics_comparison", "viewer { analytics { comparison { direction } } }"),
];

/// True if a case narrows a list, so that rows are read and dropped.
pub fn is_narrowed(fields: &str) -> bool {
    fields.contains("search: ") || fields.contains("filter: ")
}

/// Values of a case.
pub struct Values {
    pub username: String,
    pub user: String,
    pub reading: String,
    pub category: String,
    /// Of the list of public readings.
    pub cursor: String,
    /// Of the list of the user's readings.
    pub own_cursor: String,
    /// Search term of readings.
    pub found: Found,
}

/// Of which much, little or nothing is found.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    pub tag: &'static str,
    pub term: &'static str,
    pub short_term: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

/// A place in a list of a user's readings.
fn cursor(order: &str, sort: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("1|User.readings:{order}:DESC|{sort},{}", Uuid::nil().simple()))
}

impl Values {
    /// The query of a case's fields.
    pub fn query(&self, fields: &str) -> String {
        [
            ("USERNAME", &self.username),
            ("USER", &self.user),
            ("READING", &self.reading),
            ("CATEGORY", &self.category),
            ("OWN_CURSOR", &self.own_cursor),
            ("CHANGE_CURSOR", &cursor("UPDATED_AT", "1790000000000000")),
            ("SATISFACTION_CURSOR", &cursor("SATISFACTION", "r3")),
            ("CURSOR", &self.cursor),
            ("TERM", &self.found.term.to_owned()),
            ("SHORT", &self.found.short_term.to_owned()),
            ("TAG", &self.found.tag.to_owned()),
            ("FROM", &self.found.from.to_owned()),
            ("TO", &self.found.to.to_owned()),
        ]
        .iter()
        .fold(format!("{{ {fields} }}"), |query, (name, value)| {
            query.replace(name, &format!("{value:?}"))
        })
        .replace("RANGE", "{ from: \"2026-01-01T00:00:00Z\", to: \"2027-01-01T00:00:00Z\" }")
    }
}

/// The cursor of the first item of a list of these fields.
pub async fn first_cursor(app: &TestApp, list: &str) -> String {
    let data = app.data(&format!("{{ {list} }}")).await;
    let page = data.pointer("/publicReadings/pageInfo/startCursor");
    let page = page.or_else(|| data.pointer("/user/readings/pageInfo/startCursor"));
    page.and_then(Value::as_str).expect("a cursor").to_owned()
}

/// Where the files of an engine are.
pub const fn files(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "golden/sqlite",
        Engine::Postgres => "golden/postgres",
    }
}

on_both_databases! {
    async fn every_statement_is_as_its_file_says(engine: Engine) {
        let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let observer = {
            let seen = Arc::clone(&seen);
            move |sql: &str| {
                seen.lock().expect("no panic").insert(sql.to_owned());
            }
        };
        let database = TestDatabase::new(engine, Content::Reference).await;
        let app = TestApp::start_observed(database, &["--cache-enabled=false"], observer).await;
        let ada = user("ada");
        let folder = category(&ada, "folder");
        let mut target = reading(&app, &ada, "target", 1);
        target.category_id = Some(folder.id);
        let mut all = rows(vec![ada], vec![target.clone()]);
        all.drawn_cards = drawn_cards(&app, &target, &["major_arcana_00"]);
        all.categories = vec![folder];
        app.insert(all).await;
        let own = "user(username: \"ada\") { readings { pageInfo { startCursor } } }";
        let values = Values {
            username: "ada".to_owned(),
            user: user_id("ada"),
            reading: reading_id("target"),
            category: category_id("folder"),
            cursor: first_cursor(&app, "publicReadings { pageInfo { startCursor } }").await,
            own_cursor: first_cursor(&app, own).await,
            found: Found {
                tag: "love",
                term: "term",
                short_term: "愛",
                from: "2026-10-01T00:00:00Z",
                to: "2026-11-01T00:00:00Z",
            },
        };
        for (name, fields) in CASES.iter().copied() {
            let query = values.query(fields);
            seen.lock().expect("no panic").clear();
            let response = app.query_as(id("ada"), &query).await;
            assert_eq!(response.body.get("errors"), None, "{query}: {}", response.text);
            // Those of one level have no order among themselves.
            let statements: Vec<_> = seen.lock().expect("no panic").iter().cloned().collect();
            assert!(!statements.is_empty(), "{name} sends no statement");
            insta::with_settings!({
                snapshot_path => files(engine),
                prepend_module_to_snapshot => false,
                omit_expression => true,
                description => format!("{{ {fields} }}"),
            }, {
                insta::assert_snapshot!(name, statements.join(";\n\n"));
            });
        }
    }
}
