//! What is never there: the sources are read, and the layers held apart.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the top down. Each may import those below it, and none above.
const LAYERS: [(&str, &[&str]); 8] = [
    (
        "cli",
        &["http", "graphql", "loaders", "services", "cache", "db", "domain", "config", "telemetry"],
    ),
    ("http", &["graphql", "loaders", "services", "cache", "db", "domain", "config", "telemetry"]),
    ("graphql", &["loaders", "services", "cache", "db", "domain", "config"]),
    ("loaders", &["cache", "db", "domain", "config"]),
    ("services", &["cache", "db", "domain", "config"]),
    ("cache", &["domain", "config"]),
    ("db", &["domain", "config"]),
    ("domain", &[]),
];

/// Crates that only some places may use, and why.
const CRATES: [(&str, &[&str], &str); 4] = [
    ("axum", &["http/"], "HTTP ends at the handlers"),
    (
        "async_graphql",
        &["graphql/", "loaders/", "http/graphql/"],
        "what the app does is the same however it is asked",
    ),
    ("sea_orm", &["db/"], "queries are built and run in one place"),
    ("sqlx", &["db/"], "queries are built and run in one place"),
];

struct Source {
    /// From `src/`.
    path: String,
    /// The code without comments.
    code: String,
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let path = entry.path();
            if path.is_dir() && entry.file_name() != "node_modules" {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source");
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            let path = path.strip_prefix(&root).expect("below src").display().to_string();
            Source { path, code }
        })
        .collect()
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

/// Whether the code names that path segment: `axum::…`, `crate::db::…`.
fn names(code: &str, segment: &str) -> bool {
    let needle = format!("{segment}::");
    code.match_indices(&needle).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

#[test]
fn imports_point_down() {
    let all: Vec<&str> = LAYERS.iter().map(|(layer, _)| *layer).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((layer, below)) = LAYERS.iter().find(|(layer, _)| {
            source.path.starts_with(&format!("{layer}/")) || source.path == format!("{layer}.rs")
        }) else {
            continue;
        };
        for other in all.iter().filter(|other| *other != layer && !below.contains(other)) {
            if names(&source.code, &format!("crate::{other}")) {
                wrong.push(format!("{} imports {other}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places, why) in CRATES {
            if names(&source.code, name) && !is_in(&source.path, places) {
                wrong.push(format!("{} uses {name}: {why}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_statement_on_readings_takes_the_viewer() {
    let readings = sources().into_iter().find(|source| source.path == "db/readings.rs");
    let code = readings.expect("db/readings.rs").code;
    let functions: Vec<&str> = code.split("pub async fn ").skip(1).collect();
    assert!(functions.len() >= 3, "the statements are public async functions");
    for function in functions {
        let name = function.split('(').next().unwrap_or_default();
        let arguments = function.split(") ->").next().unwrap_or_default();
        // What is public is the same for every viewer.
        let is_public = name.ends_with("_public");
        assert!(
            is_public || arguments.contains("viewer: Viewer"),
            "{name} does not take the viewer"
        );
    }
}

#[test]
fn durations_and_sizes_are_settings() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.path.starts_with("config/")) {
        let tests_at = source.code.find("#[cfg(test)]").unwrap_or(source.code.len());
        for (number, line) in source.code[..tests_at].lines().enumerate() {
            let is_constant = line.trim_start().starts_with("const ")
                || line.trim_start().starts_with("pub const ");
            let has_duration =
                ["Duration::from_secs(", "Duration::from_millis("].iter().any(|call| {
                    line.split(call)
                        .nth(1)
                        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                });
            if has_duration && !is_constant {
                wrong.push(format!("{}, line {number} of its code: {}", source.path, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_drawer_is_called_utils() {
    let drawers = ["utils", "util", "helpers", "helper", "common", "manager", "misc"];
    let wrong: Vec<_> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.split(['/', '.']).any(|part| drawers.contains(&part)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Versions that must not go down, and those that go together: two have known holes without an entry
/// in the advisory database, and the parts of the GraphQL library are only meant for each other.
#[test]
fn locked_versions_keep_their_floors() {
    let lock: toml::Table =
        toml::from_str(include_str!("../../Cargo.lock")).expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("packages");
    let version_of = |name: &str| {
        let package = packages.iter().find(|package| package["name"].as_str() == Some(name));
        let version = package.and_then(|package| package["version"].as_str());
        version.unwrap_or_else(|| panic!("{name} is locked")).to_owned()
    };
    let major_minor_patch = |version: &str| {
        let mut parts = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        (next(), next(), next())
    };
    for name in
        ["async-graphql", "async-graphql-derive", "async-graphql-parser", "async-graphql-value"]
    {
        assert_eq!(version_of(name), "7.0.19", "{name}");
    }
    assert!(major_minor_patch(&version_of("jsonwebtoken")) >= (10, 3, 0));
    assert_eq!(major_minor_patch(&version_of("sea-orm")), (2, 0, 4));
}
