//! The README says what is so: its first query is answered as it shows, and its table names every
//! setting with its default.

use std::collections::BTreeMap;

use clap::{Args, Command};
use serde_json::Value;

use wasteland_tarot::config::Settings;
use wasteland_tarot::db::{StartLock, now};
use wasteland_tarot::services::catalogue::Catalogue;
use wasteland_tarot::services::seed::{SeedPlan, load_seed};

use crate::app::{TestApp, on_both_databases};

const README: &str = include_str!("../../README.md");

/// The first block of that language.
fn block(language: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("```").expect("the block ends").0
}

/// Name and default of the settings in the README's table.
fn table() -> BTreeMap<&'static str, &'static str> {
    README
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0)))
        .collect()
}

on_both_databases! {
    async fn the_first_query_is_answered_as_shown(engine: Engine) {
        let app = TestApp::start(engine).await;
        let database = &app.app.database;
        let catalogue = Catalogue::load(&database.session()).await.expect("the catalogue loads");
        let settings = &app.app.services.settings.database;
        let lock = StartLock::take(settings).await.expect("nobody else prepares it");
        let plan = (SeedPlan::demonstration(), now());
        let loaded = load_seed(settings, &lock, &catalogue, plan, |_| ()).await;
        assert!(loaded.expect("the demonstration loads").loaded);

        let shown: Value = serde_json::from_str(block("json")).expect("the answer is JSON");
        let answered = app.ask(block("graphql")).await;
        assert_eq!(answered.body, shown);
    }
}

#[test]
fn every_setting_is_in_the_table_with_its_default() {
    let table = table();
    let command = Settings::augment_args(Command::new("settings"));
    let mut settings = 0;
    for argument in command.get_arguments() {
        let Some(name) = argument.get_env().and_then(|name| name.to_str()) else { continue };
        settings += 1;
        let shown = table.get(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        if let Some(default) = argument.get_default_values().first() {
            assert_eq!(*shown, format!("`{}`", default.to_string_lossy()), "{name}");
        }
    }
    assert_eq!(table.len(), settings, "the table has settings that the program does not have");
}
