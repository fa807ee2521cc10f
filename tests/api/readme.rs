//! The README says what is so: its first query is answered as it shows, and its way from an account to a
//! shared reading can be gone. docs/settings.md names every setting with its default.

use std::collections::BTreeMap;

use clap::{Args, Command};
use serde_json::{Value, json};

use wasteland_tarot::config::Settings;

use crate::support::app::{TestApp, answered, data_of, on_both_databases};

const README: &str = include_str!("../../README.md");
const SETTINGS: &str = include_str!("../../docs/settings.md");

/// The first block of that language.
fn block(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("the block ends").0
}

/// Name and default of each setting in the tables of docs/settings.md.
fn documented_settings() -> BTreeMap<&'static str, &'static str> {
    SETTINGS
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0)))
        .collect()
}

on_both_databases! {
    async fn the_first_query_is_answered_as_shown(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.demonstrate().await;

        let shown: Value = serde_json::from_str(block("json")).expect("the answer is JSON");
        let answered = app.ask(block("graphql")).await;
        assert_eq!(answered.body, shown);
    }
}

/// What stands under a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("## {heading}\n")).expect("the section");
    rest.split("\n## ").next().expect("its text")
}

/// The blocks of GraphQL in a text.
fn documents(text: &str) -> Vec<&str> {
    text.split("```graphql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("the block ends"))
        .collect()
}

on_both_databases! {
    async fn an_account_leads_to_a_shared_reading_as_shown(engine: Engine) {
        let app = TestApp::start(engine).await;
        let documents = documents(section("From an account to a shared reading"));
        let [register, spread, create, mine, share, shared] = documents[..] else {
            panic!("six steps, and not {}", documents.len());
        };
        let step = async |document: &str, token: Option<&str>, variables: Value| {
            data_of(app.send(token, &json!({ "query": document, "variables": variables })).await)
        };
        let registered = step(register, None, json!({})).await;
        assert_eq!(registered["register"]["userErrors"], json!([]));
        assert_eq!(registered["register"]["viewer"]["readingQuota"]["remaining"], 20);
        let token = registered["register"]["session"]["accessToken"].as_str();

        let spread = step(spread, token, json!({})).await;
        let spread_id = &spread["spreadByName"]["id"];
        let created = step(create, token, json!({ "spreadId": spread_id })).await;
        assert_eq!(created["createReading"]["userErrors"], json!([]));
        assert_eq!(created["createReading"]["viewer"]["readingQuota"]["remaining"], 19);
        let reading = &created["createReading"]["reading"];
        assert_eq!(reading["cards"].as_array().map(Vec::len), Some(3));

        let mine = step(mine, token, json!({})).await;
        let found = &mine["viewer"]["readings"]["nodes"][0];
        assert_eq!(found["id"], reading["id"]);
        assert_eq!(found["privacyLevel"], "PRIVATE");
        assert_eq!(mine["viewer"]["tags"]["nodes"].as_array().map(Vec::len), Some(2));

        let link = step(share, token, json!({ "readingId": reading["id"] })).await;
        assert_eq!(link["shareReading"]["userErrors"], json!([]));
        let url = link["shareReading"]["shareLink"]["url"].as_str().expect("an address");
        let path = url.strip_prefix(&app.url).expect("an address of this server");
        let page = answered(app.request(reqwest::Method::GET, path)).await;
        assert_eq!(page.status, 200);
        assert!(page.text.contains("<h1>The well</h1>"), "{}", page.text);

        let token = path.strip_prefix("/s/").expect("the path of a link");
        let shared = step(shared, None, json!({ "token": token })).await;
        assert_eq!(shared["sharedReading"]["status"], "OPEN");
        assert_eq!(shared["sharedReading"]["content"]["authorName"], "nora");
        let cards = shared["sharedReading"]["content"]["cards"].as_array().map(Vec::len);
        assert_eq!(cards, Some(3));
    }
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let documented = documented_settings();
    let command = Settings::augment_args(Command::new("settings"));
    let mut settings = 0;
    for argument in command.get_arguments() {
        let Some(name) = argument.get_env().and_then(|name| name.to_str()) else { continue };
        settings += 1;
        let shown = documented.get(name).unwrap_or_else(|| panic!("{name} is not documented"));
        if let Some(default) = argument.get_default_values().first() {
            assert_eq!(*shown, format!("`{}`", default.to_string_lossy()), "{name}");
        }
    }
    assert_eq!(
        documented.len(),
        settings,
        "settings are documented that the program does not have"
    );
}
