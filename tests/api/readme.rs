//! The documentation is true: README's examples return what is shown, docs/sharing.md's steps work one after
//! another, every GraphQL example fits the schema, docs/settings.md names every setting with its default, and
//! every file, function and heading that is named exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::{Args, Command};
use serde_json::{Value, json};

use wasteland_tarot::config::Settings;

use crate::support::app::{TestApp, data_of, on_both_databases, send_request};

const README: &str = include_str!("../../README.md");
const SHARING: &str = include_str!("../../docs/sharing.md");
const SETTINGS: &str = include_str!("../../docs/settings.md");
/// Pages that name files and show examples.
const PAGES: [&str; 3] = ["README.md", "docs", "benches/README.md"];

/// A block of code: its language and its text.
type Block<'a> = (&'a str, &'a str);

/// The blocks of code of a page, in order.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```") {
        let (language, after) = after.split_once('\n').expect("a block has lines");
        let (text, after) = after.split_once("```").expect("the block ends");
        blocks.push((language, text));
        rest = after;
    }
    blocks
}

/// The GraphQL documents of a page.
fn documents(page: &str) -> Vec<&str> {
    let blocks = blocks(page).into_iter();
    blocks.filter(|(language, _)| *language == "graphql").map(|(_, text)| text).collect()
}

/// README and the pages of docs/, by path.
fn pages() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = BTreeMap::new();
    for name in PAGES {
        let path = root.join(name);
        let files = if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            entries.map(|entry| entry.expect("an entry").path()).collect()
        } else {
            vec![path]
        };
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "md")) {
            let name = file.strip_prefix(root).expect("below the root").display().to_string();
            pages.insert(name, fs::read_to_string(file).expect("a page"));
        }
    }
    pages
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
    async fn each_example_of_the_readme_returns_what_is_shown(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.load_demonstration().await;
        let blocks = blocks(README);
        let mut compared = 0;
        for pair in blocks.windows(2) {
            let [("graphql", document), ("json", shown)] = pair else { continue };
            let shown: Value = serde_json::from_str(shown).expect("JSON");
            // The headers of GraphiQL are JSON as well.
            if shown.get("data").is_some() {
                assert_eq!(app.query(document).await.body, shown, "{document}");
                compared += 1;
            }
        }
        assert_eq!(compared, 3, "the first query and two pages");
    }

    async fn the_demonstration_user_logs_in_and_creates_a_reading_as_shown(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.load_demonstration().await;
        let documents = documents(README);
        let [_, _, _, login, who, create] = documents[..] else {
            panic!("six examples, and not {}", documents.len());
        };
        let step = async |document: &str, token: Option<&str>| {
            data_of(app.send(token, &json!({ "query": document })).await)
        };
        let session = step(login, None).await;
        assert_eq!(session["login"]["userErrors"], json!([]));
        let token = session["login"]["session"]["accessToken"].as_str();

        let viewer = step(who, token).await;
        assert_eq!(viewer["viewer"]["username"], "demo");
        assert_eq!(viewer["viewer"]["readings"]["nodes"].as_array().map(Vec::len), Some(2));

        let created = step(create, token).await;
        assert_eq!(created["createReading"]["userErrors"], json!([]));
        let cards = created["createReading"]["reading"]["cards"].as_array().map(Vec::len);
        assert_eq!(cards, Some(3));
    }

    async fn every_graphql_example_fits_the_schema(engine: Engine) {
        let app = TestApp::start(engine).await;
        let variables = json!({ "spreadId": "x", "readingId": "x", "token": "x", "code": "x" });
        for (name, page) in pages() {
            for document in documents(&page) {
                let response = app.query_with_variables(document, variables.clone()).await;
                let errors = response.body["errors"].as_array().cloned().unwrap_or_default();
                for error in errors {
                    let code = error["extensions"]["code"].as_str().unwrap_or_default();
                    assert!(!code.starts_with("GRAPHQL_"), "{name}: {error}\n{document}");
                }
            }
        }
    }

    async fn an_account_leads_to_a_shared_reading_as_shown(engine: Engine) {
        let app = TestApp::start(engine).await;
        let documents = documents(SHARING);
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
        let page = send_request(app.request(reqwest::Method::GET, path)).await;
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

/// The text between backticks.
fn code_spans(page: &str) -> impl Iterator<Item = &str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// True if a code span is the path of a file or folder of the repository.
fn is_path(span: &str) -> bool {
    let begins = ["src/", "docs/", "tests/", "benches/", "fuzz/", "migration/", "scripts/", ".ci/"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    begins.iter().any(|begin| span.starts_with(begin)) && span.chars().all(is_plain)
}

#[test]
fn every_file_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (name, page) in pages() {
        // benches/README.md names files of its package.
        let base =
            if name.starts_with("benches/") { root.join("benches/suite") } else { root.into() };
        let is_there = |path: &str| base.join(path).exists() || root.join(path).exists();
        let named = code_spans(&page).filter(|span| is_path(span) && !is_there(span));
        missing.extend(named.map(|path| format!("{name}: {path}")));
        let folder = root.join(&name);
        let folder = folder.parent().expect("a folder");
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !path.is_empty() && !folder.join(path).exists() {
                missing.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// In the pages `src/file.rs` (`name`, `name`) says that the file has those names.
#[test]
fn every_function_that_is_named_is_in_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (page, text) in pages() {
        for (at, _) in text.match_indices("`src/") {
            let Some((path, after)) = text[at + 1..].split_once('`') else { continue };
            let names = after.strip_prefix(" (`").or_else(|| after.strip_prefix("\n   (`"));
            let Some(names) = names.and_then(|rest| rest.split(')').next()) else { continue };
            // A missing file is found by the test above.
            let Ok(source) = fs::read_to_string(root.join(path)) else { continue };
            for name in names.split([',', '`', ' ', '\n']).filter(|name| !name.is_empty()) {
                if !source.contains(name) {
                    missing.push(format!("{page}: {path} has no {name}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// GitHub's anchor of a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let text = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    text.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_within_the_pages_leads_to_a_heading() {
    let pages = pages();
    let mut missing = Vec::new();
    for (name, page) in &pages {
        let folder = Path::new(name).parent().expect("a folder");
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let Some((path, anchor)) = target.split_once('#') else { continue };
            if target.contains("://") {
                continue;
            }
            let path = if path.is_empty() { name.into() } else { folder.join(path) };
            let path =
                path.display().to_string().replace("docs/../", "").replace("benches/../", "");
            let Some(other) = pages.get(&path) else { continue };
            let headings = other.lines().filter(|line| line.starts_with('#'));
            if !headings.map(anchor_of).any(|found| found == anchor) {
                missing.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
