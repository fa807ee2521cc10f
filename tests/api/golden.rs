//! The text of every statement that the server sends, on both databases, in files beside this one: a
//! change of a statement is a change of a file, and is looked at. `cargo insta review` accepts one;
//! `INSTA_UPDATE=always cargo test golden` writes them all.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::app::{Content, Engine, TestApp, TestDatabase, on_both_databases};
use crate::fixtures::{
    category, category_id, drawn_cards, id, reading, reading_id, rows, user, user_id,
};

/// A question whose statements are held, by the name of their file. What stands in capitals is put in
/// by [`Values`].
pub const CASES: [(&str, &str); 22] = [
    ("public_readings", "publicReadings(first: 20) { nodes { question } }"),
    ("public_readings_with_texts", "publicReadings(first: 20) { nodes { interpretation } }"),
    ("public_readings_with_total", "publicReadings(first: 20) { totalCount nodes { question } }"),
    ("public_readings_after", "publicReadings(first: 20, after: CURSOR) { nodes { question } }"),
    ("public_readings_last", "publicReadings(last: 20) { nodes { question } }"),
    ("public_readings_before", "publicReadings(last: 20, before: CURSOR) { nodes { question } }"),
    ("users_of_readings", "publicReadings { nodes { user { username email } } }"),
    ("drawn_cards", "publicReadings { nodes { cards { orientation card { name } } } }"),
    ("drawn_cards_with_texts", "publicReadings { nodes { cards { interpretation } } }"),
    ("readings_of_users", "publicReadings { nodes { user { readings { nodes { question } } } } }"),
    (
        "readings_of_users_with_texts_and_total",
        "publicReadings { nodes { user { readings(last: 5) { totalCount nodes { summary } } } } }",
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
    ("nodes", "nodes(ids: [READING, USER, CATEGORY]) { id }"),
    ("user", "user(username: USERNAME) { username bio faction karma }"),
    ("viewer", "viewer { username email isAdmin }"),
    ("categories_of_readings", "viewer { readings { nodes { category { name readingCount } } } }"),
    ("draws_of_cards", "cards(first: 5) { nodes { drawCount } }"),
    ("uses_of_spreads", "spreads(first: 5) { nodes { usageCount meanRating } }"),
    ("public_stats", "publicStats { users readings }"),
];

/// What a case asks for.
pub struct Values {
    pub username: String,
    pub user: String,
    pub reading: String,
    pub category: String,
    /// Of the list of public readings.
    pub cursor: String,
    /// Of the list of the user's readings.
    pub own_cursor: String,
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
            ("CURSOR", &self.cursor),
        ]
        .iter()
        .fold(format!("{{ {fields} }}"), |query, (name, value)| {
            query.replace(name, &format!("{value:?}"))
        })
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
        let app = TestApp::start_observed(database, &[], observer).await;
        let ada = user("ada");
        let folder = category(&ada, "folder");
        let mut asked = reading(&app, &ada, "asked", 1);
        asked.category_id = Some(folder.id);
        let mut all = rows(vec![ada], vec![asked.clone()]);
        all.drawn_cards = drawn_cards(&app, &asked, &["major_arcana_00"]);
        all.categories = vec![folder];
        app.insert(all).await;
        let own = "user(username: \"ada\") { readings { pageInfo { startCursor } } }";
        let values = Values {
            username: "ada".to_owned(),
            user: user_id("ada"),
            reading: reading_id("asked"),
            category: category_id("folder"),
            cursor: first_cursor(&app, "publicReadings { pageInfo { startCursor } }").await,
            own_cursor: first_cursor(&app, own).await,
        };
        for (name, fields) in CASES {
            let query = values.query(fields);
            seen.lock().expect("no panic").clear();
            let answered = app.ask_as(id("ada"), &query).await;
            assert_eq!(answered.body.get("errors"), None, "{query}: {}", answered.text);
            // Those of one level have no order among themselves.
            let statements: Vec<_> = seen.lock().expect("no panic").iter().cloned().collect();
            assert!(!statements.is_empty(), "{name} asks the database for nothing");
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
