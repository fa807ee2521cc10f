//! Differential tests of validation and introspection against graphql-js, the reference implementation: both must
//! accept or reject the same generated documents, most of which have a mistake or two.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use wasteland_tarot::config::limits::DocumentLimits;
use wasteland_tarot::graphql::error_reporting::ErrorReporting;
use wasteland_tarot::graphql::guard::{MeasuredDocument, Refusal};
use wasteland_tarot::graphql::sdl;
use wasteland_tarot::graphql::type_system::TypeSystem;

use crate::documents::stored_documents;
use crate::support::app::{Engine, TestApp, run_script, settings_with};

/// Number of documents of a run; `scripts/validation N` compares any number.
const DOCUMENTS: usize = 2_000;

/// Errors as a server in production reports them.
pub const REPORTING: ErrorReporting = ErrorReporting { maximum: 10, names_schema: false };

/// Verdict on one document: the error message, or `None` if it is valid.
pub type Verdict = Option<String>;

/// Valid for graphql-js 16, but not since the specification of September 2025, whose `includeDeprecated` is a
/// `Boolean!`.
const OF_AN_EARLIER_EDITION: &str = "includeDeprecated : null";

/// Verdicts of graphql-js; `None` without Node.
pub async fn reference_verdicts(test: &str, documents: &[String]) -> Option<Vec<Verdict>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("documents.json");
    let request = json!({ "schema": sdl(), "documents": documents });
    fs::write(&file, request.to_string()).expect("a file");
    let path = file.to_str().expect("a path in UTF-8");
    let output = run_script(test, "conformance", "graphql-js.mjs", path).await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let verdicts: Vec<Verdict> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a verdict")).collect();
    assert_eq!(verdicts.len(), documents.len());
    Some(verdicts)
}

/// Verdict of this server; `None` for a document above a limit, because graphql-js has no limits.
fn our_verdict(types: &TypeSystem, limits: &DocumentLimits, document: &str) -> Option<Verdict> {
    let checked = MeasuredDocument::measure(document, limits)
        .and_then(|document| document.validate(types, REPORTING));
    match checked {
        Ok(_) => Some(None),
        Err(Refusal::TooLarge { .. } | Refusal::TooDeep { .. }) => None,
        Err(refusal) => Some(Some(refusal.to_string())),
    }
}

#[tokio::test]
async fn generated_documents_have_the_verdict_of_graphql_js() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let count = number("VALIDATION_DOCUMENTS")
        .map_or(DOCUMENTS, |count: u64| usize::try_from(count).expect("a number of documents"));
    let seed: u64 = number("VALIDATION_SEED").unwrap_or_else(rand::random);
    println!("VALIDATION_SEED={seed}");
    let generator = Generator::new();
    let mut random = StdRng::seed_from_u64(seed);
    let documents: Vec<String> = (0..count).map(|_| generator.document(&mut random)).collect();

    let test = "generated_documents_have_the_verdict_of_graphql_js";
    let Some(reference) = reference_verdicts(test, &documents).await else { return };
    let types = TypeSystem::served().expect("a valid schema");
    let limits = settings_with(&[]).limits.document;
    let (mut valid, mut compared, mut differences) = (0, 0, String::new());
    for (document, theirs) in documents.iter().zip(reference) {
        if document.contains(OF_AN_EARLIER_EDITION) {
            continue;
        }
        let Some(ours) = our_verdict(types, &limits, document) else { continue };
        compared += 1;
        valid += usize::from(ours.is_none());
        // graphql-js gives `__typename` no type, so under an alias it may stand beside a field of any type of
        // another object; the specification compares their shapes (5.3.2).
        let is_typename_of_no_type = theirs.is_none()
            && document.contains(": __typename")
            && ours
                .as_deref()
                .is_some_and(|message| message.contains("must not select different types"));
        if ours.is_some() != theirs.is_some() && !is_typename_of_no_type {
            let _ =
                writeln!(differences, "{document}\n  graphql-js: {theirs:?}\n  ours: {ours:?}\n");
        }
    }
    println!("{compared} documents compared, {valid} of them valid");
    assert!(differences.is_empty(), "VALIDATION_SEED={seed}\n{differences}");
    // A generator that only makes valid documents, or none, tests nothing.
    assert!(valid * 10 > compared && valid * 10 < compared * 9, "{valid} of {compared} are valid");
    assert!(compared * 10 > count * 9, "{compared} of {count}");
}

#[tokio::test]
async fn introspection_is_that_of_graphql_js() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("schema.json");
    fs::write(&file, json!({ "schema": sdl() }).to_string()).expect("a file");
    let path = file.to_str().expect("a path in UTF-8");
    let test = "introspection_is_that_of_graphql_js";
    let Some(output) = run_script(test, "conformance", "graphql-js.mjs", path).await else {
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reference: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let app = TestApp::start(Engine::Sqlite).await;
    let response = app.query(reference["source"].as_str().expect("a query")).await;
    assert_eq!(response.body.get("errors"), None);
    let (ours, theirs) =
        (&response.body["data"]["__schema"], &reference["result"]["data"]["__schema"]);
    for part in ["description", "queryType", "mutationType", "subscriptionType"] {
        assert_eq!(ours[part], theirs[part], "{part}");
    }
    for part in ["types", "directives"] {
        let (ours, theirs) = (by_name(&ours[part]), by_name(&theirs[part]));
        assert_eq!(
            ours.iter().map(|found| &found["name"]).collect::<Vec<_>>(),
            theirs.iter().map(|found| &found["name"]).collect::<Vec<_>>(),
            "{part}"
        );
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let name = theirs["name"].as_str().unwrap_or_default();
            // Each edition of the specification extends the types of introspection, and directives.
            if name.starts_with("__") {
                assert_eq!(field_types(ours), field_types(theirs), "{name}");
            } else if name == "deprecated" {
                assert_eq!(ours["locations"], theirs["locations"]);
            } else {
                assert_eq!(ours, theirs, "{}", theirs["name"]);
            }
        }
    }
}

/// Definitions sorted by name, without the descriptions of built-in types and directives, which differ between
/// libraries.
fn by_name(definitions: &Value) -> Vec<Value> {
    let mut definitions = definitions.as_array().expect("a list").clone();
    for definition in &mut definitions {
        let name = definition["name"].as_str().unwrap_or_default();
        let is_specified = name.starts_with("__")
            || ["Int", "Float", "String", "Boolean", "ID", "skip", "include", "deprecated"]
                .contains(&name)
            || ["specifiedBy", "oneOf"].contains(&name);
        if is_specified {
            remove_descriptions(definition);
        }
    }
    definitions.sort_by_key(|definition| definition["name"].to_string());
    definitions
}

fn field_types(definition: &Value) -> BTreeMap<String, Value> {
    let fields = definition["fields"].as_array().into_iter().flatten();
    fields.map(|field| (field["name"].to_string(), field["type"].clone())).collect()
}

fn remove_descriptions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("description");
            members.values_mut().for_each(remove_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_descriptions),
        _ => {}
    }
}

/// Generator of documents: those of real clients with changed tokens.
struct Generator {
    documents: Vec<Vec<String>>,
    names: Vec<String>,
}

/// Values of all kinds.
const VALUES: [&str; 27] = [
    "1",
    "-0",
    "0",
    "20",
    "2147483647",
    "2147483648",
    "1.5",
    "-1e3",
    "true",
    "false",
    "null",
    "EN",
    "MAJOR_ARCANA",
    "DESC",
    "\"\"",
    "\"text\"",
    "\"\"\"block \\\"\"\" text\"\"\"",
    "\"a\u{b}b\"",
    "\"\0\u{7f}\u{ffff}\"",
    "\"\"\"\u{1}\"\"\"",
    "\"\\u{1F600}\"",
    "\"\\uD83D\\uDE00\"",
    "[]",
    "[1, 2]",
    "[\"a\", null]",
    "{}",
    "{ first: 1 }",
];

/// Types of variables.
const TYPES: [&str; 14] = [
    "Int",
    "Int!",
    "[Int]",
    "[ Int! ] !",
    "String",
    "String!",
    "ID",
    "ID!",
    "[ID!]!",
    "Boolean",
    "Boolean!",
    "Locale",
    "Locale!",
    "Nothing",
];

/// Pieces that fit in many places.
const PIECES: [&str; 18] = [
    "__typename",
    "id",
    "...",
    "...on Card { id }",
    "... on Node { id __typename }",
    "@skip(if: true)",
    "@include(if: $flag)",
    "@deprecated",
    "@nothing",
    "a: id",
    "a: __typename",
    ",",
    "# comment\n",
    "#\u{1}\0\n",
    "\u{b}",
    "__typename(a: 1)",
    "{ id }",
    "... { __typename }",
];

impl Generator {
    fn new() -> Self {
        let folders = ["tests/api/documents/accepted", "src/http/graphiql/examples"];
        let stored = folders.into_iter().flat_map(stored_documents);
        let documents: Vec<Vec<String>> = stored.map(|(_, stored)| tokens(&stored.query)).collect();
        let is_name = |token: &&String| token.starts_with(|c: char| c.is_ascii_alphabetic());
        let mut names: Vec<String> = documents.iter().flatten().filter(is_name).cloned().collect();
        names.sort();
        names.dedup();
        Self { documents, names }
    }

    fn document(&self, random: &mut StdRng) -> String {
        let mut tokens = self.documents.choose(random).expect("documents").clone();
        // Few of the mutations leave a document valid, so most documents have none or one.
        let mutations = *[0, 1, 1, 1, 2, 3].choose(random).expect("a number");
        for _ in 0..mutations {
            self.mutate(&mut tokens, random);
        }
        tokens.join(" ").replace("# comment\n ", "# comment\n")
    }

    fn mutate(&self, tokens: &mut Vec<String>, random: &mut StdRng) {
        let at = random.random_range(0..tokens.len());
        let piece = |pieces: &[&str], random: &mut StdRng| {
            (*pieces.choose(random).expect("pieces")).to_owned()
        };
        match random.random_range(0..12) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, tokens[at].clone()),
            2 if at > 0 => tokens.swap(at - 1, at),
            3 => tokens[at] = self.names.choose(random).expect("names").clone(),
            4 => replace_value(tokens, random),
            5 => tokens.insert(at, piece(&PIECES, random)),
            6 => replace_variable_type(tokens, &piece(&TYPES, random), random),
            7 => insert_after(tokens, "{", &piece(&PIECES, random), random),
            8 => insert_after(tokens, "}", &piece(&PIECES, random), random),
            9 => {
                let name = self.names.choose(random).expect("names");
                insert_after(tokens, "{", &format!("{name} : __typename"), random);
            }
            10 => {
                insert_after(tokens, "(", &format!("first : {} ,", piece(&VALUES, random)), random);
            }
            _ => {
                let name = self.names.choose(random).expect("names").clone();
                replace_name(tokens, &name, random);
            }
        }
    }
}

/// Replaces the token after a colon, which is a value, a type, or a field with an alias.
fn replace_value(tokens: &mut [String], random: &mut StdRng) {
    let colons: Vec<usize> = positions(tokens, ":").filter(|at| at + 1 < tokens.len()).collect();
    if let Some(at) = colons.choose(random) {
        tokens[at + 1] = VALUES.choose(random).expect("values").to_string();
    }
}

fn positions<'a>(tokens: &'a [String], wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    tokens.iter().enumerate().filter(move |(_, token)| *token == wanted).map(|(at, _)| at)
}

fn insert_after(tokens: &mut Vec<String>, wanted: &str, piece: &str, random: &mut StdRng) {
    let found: Vec<usize> = positions(tokens, wanted).collect();
    if let Some(at) = found.choose(random) {
        tokens.insert(at + 1, piece.to_owned());
    }
}

fn replace_variable_type(tokens: &mut [String], ty: &str, random: &mut StdRng) {
    let found: Vec<usize> = (0..tokens.len().saturating_sub(2))
        .filter(|at| tokens[*at].starts_with('$') && tokens[at + 1] == ":")
        .collect();
    if let Some(at) = found.choose(random) {
        ty.clone_into(&mut tokens[at + 2]);
    }
}

fn replace_name(tokens: &mut [String], name: &str, random: &mut StdRng) {
    let found: Vec<usize> = (0..tokens.len())
        .filter(|at| tokens[*at].starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    if let Some(at) = found.choose(random) {
        name.clone_into(&mut tokens[*at]);
    }
}

/// Tokens of a document, without commas and comments. `$` stays with its name.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' if rest.starts_with("\"\"\"") => {
                rest[3..].find("\"\"\"").map_or(rest.len(), |end| end + 6)
            }
            '"' => string_length(rest),
            '.' => 3,
            '$' => 1 + word_length(&rest[1..]),
            c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => word_length(rest).max(1),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() && !token.starts_with('#') && token != "," {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

fn word_length(text: &str) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn string_length(text: &str) -> usize {
    let mut escaped = true;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 1)
}
