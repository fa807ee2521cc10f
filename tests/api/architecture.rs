//! Forbidden contents of the sources, and the separation of the layers.

use std::collections::{BTreeMap, BTreeSet};
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
        "the layers below do not depend on the transport",
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

/// True if the code names that path segment: `axum::…`, `crate::db::…`.
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
fn nothing_prints_past_the_queues() {
    const MACROS: [&str; 4] = ["print!(", "println!(", "eprint!(", "eprintln!("];
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| MACROS.iter().any(|name| source.code.contains(name)))
        .map(|source| source.path)
        .collect();
    assert!(
        wrong.is_empty(),
        "these wait for whoever reads, and panic without a reader: {wrong:#?}"
    );
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
        // Public data is the same for every viewer.
        let is_public = name.ends_with("_public");
        assert!(
            is_public || arguments.contains("viewer: Viewer"),
            "{name} does not take the viewer"
        );
    }
}

/// Files and folders of `graphql/` that know no type of the schema. Each other file there is a noun's.
const GRAPHQL_INFRASTRUCTURE: [&str; 22] = [
    "cache_hints",
    "context",
    "document_hash",
    "documents",
    "enums",
    "error_reporting",
    "errors",
    "fast_json",
    "field_costs",
    "field_collection",
    "guard",
    "id",
    "input_coercion",
    "inputs",
    "introspection",
    "list",
    "pagination",
    "scalars",
    "trusted_documents",
    "type_system",
    "user_error",
    "variables",
];

/// The module of a file of a layer, as its path: `fast_json/plan.rs` is `[fast_json, plan]`.
fn module_of(layer: &str, path: &str) -> Option<Vec<String>> {
    let rest = path.strip_prefix(layer)?.strip_prefix('/')?.strip_suffix(".rs")?;
    let mut module: Vec<String> = rest.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    Some(module)
}

/// The paths that start at the beginning of the text, their braces expanded: `a::{b, c::d}`.
fn expand(text: &str) -> (Vec<Vec<String>>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut paths = Vec::new();
        loop {
            let (found, after) = expand(rest);
            paths.extend(found);
            let after = after.trim_start_matches(|c| c != ',' && c != '}');
            match after.strip_prefix(',') {
                Some(next) if !next.trim_start().starts_with('}') => rest = next,
                Some(next) => return (paths, next.trim_start().trim_start_matches('}')),
                None => return (paths, after.trim_start_matches('}')),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let (tails, rest) = match rest.strip_prefix("::") {
        Some(rest) => expand(rest),
        None => (vec![Vec::new()], rest),
    };
    let paths = tails.into_iter().map(|tail| [vec![name.to_owned()], tail].concat()).collect();
    (paths, rest)
}

/// The modules of the layer that this one names, by `super::` or `crate::`.
fn imports_of(layer: &str, module: &[String], is_folder: bool, code: &str) -> Vec<Vec<String>> {
    let root = format!("crate::{layer}::");
    let starts = code.match_indices("super::").chain(code.match_indices(root.as_str()));
    let mut imports = Vec::new();
    for (at, found) in starts {
        if code[..at].ends_with("super::") || code[..at].ends_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        let mut base = module.to_vec();
        let mut rest = &code[at..];
        if found == root {
            base.clear();
            rest = &rest[root.len()..];
        } else if is_folder {
            // `super` of a folder's own file is the folder above it.
            base.push(String::new());
        }
        while let Some(above) = rest.strip_prefix("super::") {
            base.pop();
            rest = above;
        }
        if is_folder && base.last().is_some_and(String::is_empty) {
            base.pop();
        }
        imports.extend(expand(rest).0.into_iter().map(|path| [base.clone(), path].concat()));
    }
    imports
}

/// Which modules of a layer import which, by the longest path that is a module.
fn imports_within(layer: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files: Vec<_> = sources()
        .into_iter()
        .filter_map(|source| Some((module_of(layer, &source.path)?, source)))
        .filter(|(module, _)| !module.is_empty())
        .collect();
    let modules: BTreeSet<_> = files.iter().map(|(module, _)| module.clone()).collect();
    let module_at = |path: &[String]| {
        (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|it| modules.contains(it))
    };
    files
        .iter()
        .map(|(module, source)| {
            let is_folder = source.path.ends_with("/mod.rs");
            let imports = imports_of(layer, module, is_folder, &source.code);
            let imports = imports.iter().filter_map(|path| module_at(path));
            (module.clone(), imports.filter(|other| other != module).collect())
        })
        .collect()
}

#[test]
fn infrastructure_of_graphql_imports_no_nouns_and_has_no_circles() {
    let is_infrastructure =
        |module: &Vec<String>| GRAPHQL_INFRASTRUCTURE.contains(&module[0].as_str());
    let mut imports = imports_within("graphql");
    imports.retain(|module, _| is_infrastructure(module) && !module.contains(&"tests".to_owned()));
    for name in GRAPHQL_INFRASTRUCTURE {
        assert!(imports.contains_key(&vec![name.to_owned()]), "there is no graphql/{name}");
    }
    let nouns: Vec<_> = imports
        .iter()
        .flat_map(|(module, others)| others.iter().map(move |other| (module, other)))
        .filter(|(_, other)| !is_infrastructure(other))
        .map(|(module, other)| format!("{} imports {}", module.join("::"), other.join("::")))
        .collect();
    assert!(nouns.is_empty(), "{nouns:#?}");
    // A folder's own file declares and exports the folder's modules, which is no import of theirs.
    for (module, others) in &mut imports {
        others.retain(|other| !other.starts_with(module) && !module.starts_with(other));
    }
    // Modules that import none of the rest are removed; the remaining ones are a circle.
    while let Some(free) = imports
        .iter()
        .find(|(_, others)| others.iter().all(|other| !imports.contains_key(other)))
        .map(|(module, _)| module.clone())
    {
        imports.remove(&free);
    }
    assert!(imports.is_empty(), "a circle within {imports:#?}");
}

/// Constants with the name of a duration or size that are parts of a format, and no limits. All limits
/// are in `config/` and in the table of TTLs.
const FORMATS: [(&str, &str); 14] = [
    ("cache/", "SECOND"),
    ("cache/", "STALENESS"),
    ("domain/recommendation.rs", "SCORE_MAXIMUM"),
    ("graphql/id.rs", "ENCODED_BYTES_MAXIMUM"),
    ("graphql/id.rs", "PLAIN_BYTES_MAXIMUM"),
    ("http/graphql/", "TAG_BYTES"),
    ("services/logins.rs", "TOKEN_BYTES"),
    ("services/passwords.rs", "SALT_BYTES"),
    ("services/reference/", "EPOCH_MILLISECONDS"),
    ("services/seed/", "OVERSEER_PASSWORD_CHARACTERS"),
    ("services/seed/", "TAGS_MAXIMUM"),
    ("services/shares.rs", "TOKEN_BYTES"),
    ("services/tokens.rs", "KEY_ID_BYTES"),
    ("services/tokens.rs", "SECRET_BYTES"),
];

/// The name of the constant that a line declares.
fn constant_of(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("const ")?;
    let is_item = before.trim().is_empty() || before.trim().starts_with("pub");
    let name = rest.split(':').next().filter(|_| is_item && rest.contains('='))?;
    name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()).then_some(name)
}

#[test]
fn durations_and_sizes_are_settings() {
    const UNITS: [&str; 5] = ["BYTES", "CHARACTERS", "SECONDS", "MILLISECONDS", "MINUTES"];
    let mut wrong = Vec::new();
    for source in
        sources().iter().filter(|source| !is_in(&source.path, &["config/", "cache/policy.rs"]))
    {
        let tests_at = source.code.find("#[cfg(test)]").unwrap_or(source.code.len());
        for (number, line) in source.code[..tests_at].lines().enumerate() {
            let has_duration =
                ["from_secs(", "from_millis(", "from_mins(", "from_hours("].iter().any(|call| {
                    line.split(call)
                        .nth(1)
                        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                });
            let constant = constant_of(line);
            let has_unit = constant.is_some_and(|name| {
                name.split('_').any(|word| UNITS.contains(&word) || word == "MAXIMUM")
            });
            let is_format = constant.is_some_and(|name| {
                FORMATS
                    .iter()
                    .any(|(path, format)| source.path.starts_with(path) && *format == name)
            });
            if (has_duration || has_unit) && !is_format {
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
