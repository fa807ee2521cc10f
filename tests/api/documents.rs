//! Documents through the whole server: documents of real clients are executed, and malicious ones
//! are rejected with their code, in few words, and leave the server well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use wasteland_tarot::db::seed::SeedRows;

use crate::support::app::{Engine, TestApp, TestResponse, on_both_databases, send_request};
use crate::support::fixtures::{
    card_id, drawn_cards, reading, reading_id, rows, spread_id, user, user_id,
};

/// A refusal is shorter than this, however long the document was.
const REFUSAL_BYTES_MAXIMUM: usize = 2_048;
const DOCUMENT_BYTES_MAXIMUM: usize = 16_384;

// Documents of real clients

on_both_databases! {
    async fn every_stored_document_is_executed(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ids = insert_reading(&app).await;
        let stored = stored_documents("tests/api/documents/accepted");
        assert!(stored.len() >= 35, "{} documents", stored.len());
        let mut refused = Vec::new();
        for (name, document) in stored {
            let mut body = json!({ "query": document.query });
            if let Some(variables) = document.variables {
                let variables = ids.iter().fold(variables, |text, (word, id)| text.replace(word, id));
                body["variables"] = serde_json::from_str(&variables).expect("JSON");
            }
            if let Some(operation) = document.operation {
                body["operationName"] = operation.into();
            }
            let response = app.send(None, &body).await;
            if response.status != 200 || response.body["data"].is_null() {
                refused.push(format!("{name}: {} {}", response.status, response.body));
            }
            for error in response.body["errors"].as_array().into_iter().flatten() {
                refused.push(format!("{name}: {error}"));
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }

    async fn every_example_of_graphiql_is_executed(engine: Engine) {
        let app = TestApp::start(engine).await;
        insert_reading(&app).await;
        let examples = stored_documents("src/http/graphiql/examples");
        assert!(examples.len() >= 6, "{} examples", examples.len());
        for (name, example) in examples {
            let variables = example.variables.unwrap_or_else(|| "{}".to_owned());
            let variables = serde_json::from_str(&variables).expect("JSON");
            let response = app.query_with_variables(&example.query, variables).await;
            assert_eq!((response.status, response.body.get("errors")), (200, None), "{name}");
            assert!(response.body["data"].is_object(), "{name}: {}", response.body);
        }
    }
}

#[derive(Default)]
pub struct Stored {
    pub query: String,
    variables: Option<String>,
    operation: Option<String>,
}

/// The documents of a folder by name, with their variables and operation names.
pub fn stored_documents(folder: &str) -> BTreeMap<String, Stored> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(&folder).expect("the folder is there");
    let paths: Vec<PathBuf> = paths.map(|entry| entry.expect("an entry").path()).collect();
    let is_document = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "graphql");
    let beside = |path: &Path, kind: &str| fs::read_to_string(path.with_extension(kind)).ok();
    paths
        .iter()
        .filter(is_document)
        .map(|path| {
            let stored = Stored {
                query: fs::read_to_string(path).expect("text"),
                variables: beside(path, "variables.json"),
                operation: beside(path, "operation"),
            };
            (path.file_stem().expect("a name").to_string_lossy().into_owned(), stored)
        })
        .collect()
}

/// A public reading of `dweller101`, and the ids that the stored documents name.
async fn insert_reading(app: &TestApp) -> [(&'static str, String); 4] {
    let (owner, card) = (user("dweller101"), "major_arcana_00");
    let reading = reading(app, &owner, "water", 1);
    let drawn_cards = drawn_cards(app, &reading, &[card]);
    app.insert(SeedRows { drawn_cards, ..rows(vec![owner], vec![reading]) }).await;
    [
        ("CARD_ID", card_id(app, card)),
        ("READING_ID", reading_id("water")),
        ("USER_ID", user_id("dweller101")),
        ("SPREAD_ID", spread_id(app, "single_wasteland")),
    ]
}

// Malicious documents

/// Asserts that a document was refused with one of these codes, in few words and before anything
/// was executed, and that the server is well.
async fn assert_refused(app: &TestApp, what: &str, response: TestResponse, codes: &[&str]) {
    let text = response.body.to_string();
    assert!(text.len() < REFUSAL_BYTES_MAXIMUM, "{what}: {} bytes, {text:.300}", text.len());
    assert_eq!(response.body.get("data"), None, "{what}: {text}");
    let errors = response.body["errors"].as_array().expect(what);
    assert!(!errors.is_empty(), "{what}: {text}");
    for error in errors {
        let code = error["extensions"]["code"].as_str().unwrap_or_default();
        assert!(codes.contains(&code), "{what}: {error} and not {codes:?}");
        assert_eq!(error["extensions"]["requestId"], response.header("x-request-id"), "{what}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && message.chars().count() <= 200, "{what}: {message}");
    }
    assert!([400, 413].contains(&response.status), "{what}: {}", response.status);
    let query = "{ cardByCode(code: \"major_arcana_00\") { code } }";
    let well = json!({ "cardByCode": { "code": "major_arcana_00" } });
    assert_eq!(app.data(query).await, well, "after {what}");
}

async fn assert_document_refused(app: &TestApp, what: &str, document: &str, codes: &[&str]) {
    assert_refused(app, what, app.query(document).await, codes).await;
}

/// Sends a body that is not to be made by a JSON library.
async fn send_text(app: &TestApp, body: String) -> TestResponse {
    let request = app
        .request(reqwest::Method::POST, "/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json");
    send_request(request.body(body)).await
}

async fn start() -> TestApp {
    TestApp::start(Engine::Sqlite).await
}

fn nested(before: &str, open: &str, inner: &str, close: &str, after: &str, depth: usize) -> String {
    format!("{before}{}{inner}{}{after}", open.repeat(depth), close.repeat(depth))
}

const DEPTHS: [usize; 6] = [33, 100, 1_000, 5_000, 20_000, 100_000];

#[tokio::test]
async fn deeply_nested_documents_are_rejected_in_every_construct() {
    let app = start().await;
    for depth in DEPTHS {
        for (what, document) in [
            ("selections", nested("", "{a", "{id}", "}", "", depth)),
            ("lists", nested("{a(x:", "[", "1", "]", ")}", depth)),
            ("objects", nested("{a(x:", "{x:", "1", "}", ")}", depth)),
            ("types", nested("query($a:", "[", "Int", "]", "){a}", depth)),
            ("inline fragments", nested("{", "...{", "a", "}", "}", depth)),
            ("defaults", nested("query($a:Int=", "[", "1", "]", "){a}", depth)),
            ("directives", nested("{a@skip(if:", "[", "1", "]", ")}", depth)),
            ("unclosed selections", "{a".repeat(depth)),
            ("unclosed lists", format!("{{a(x:{}", "[".repeat(depth))),
        ] {
            let what = format!("{depth} nested {what}");
            assert_document_refused(&app, &what, &document, &["QUERY_TOO_LARGE"]).await;
        }
    }
}

#[tokio::test]
async fn deeply_nested_variables_are_rejected() {
    let app = start().await;
    for depth in DEPTHS {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let variables = nested("{\"a\":", open, "1", close, "}", depth);
            for body in [
                format!(r#"{{"query":"{{ __typename }}","variables":{variables}}}"#),
                format!(r#"{{"query":"{{ __typename }}","extensions":{variables}}}"#),
            ] {
                let response = send_text(&app, body).await;
                let what = format!("{depth} nested {open}");
                assert_refused(&app, &what, response, &["QUERY_TOO_LARGE"]).await;
            }
        }
    }
}

/// Fragments, each of which spreads the next one twice.
fn fragment_bomb(length: usize) -> String {
    let mut text = "{...F0}".to_owned();
    for index in 1..length {
        let this = index - 1;
        write!(text, "fragment F{this} on Query{{...F{index} ...F{index}}}").expect("written");
    }
    write!(text, "fragment F{} on Query{{__typename}}", length - 1).expect("written");
    text
}

#[tokio::test]
async fn fragment_bombs_are_rejected() {
    let app = start().await;
    for length in [20, 30, 40, 100] {
        let what = format!("a bomb of {length} fragments");
        let bomb = fragment_bomb(length);
        assert_document_refused(&app, &what, &bomb, &["QUERY_TOO_LARGE"]).await;
        let unused = bomb.replace("{...F0}f", "{__typename}f");
        assert_document_refused(&app, &what, &unused, &["QUERY_TOO_LARGE"]).await;
    }
}

#[tokio::test]
async fn fragment_cycles_are_rejected() {
    let app = start().await;
    for length in [1, 2, 3, 40, 100] {
        let mut cycle = "{...F0}".to_owned();
        for index in 0..length {
            let next = (index + 1) % length;
            write!(cycle, "fragment F{index} on Query{{...F{next}}}").expect("written");
        }
        let codes = ["GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_LARGE"];
        let what = format!("a cycle of {length} fragments");
        assert_document_refused(&app, &what, &cycle, &codes).await;
        let unused = cycle.replace("{...F0}f", "{__typename}f");
        assert_document_refused(&app, &what, &unused, &codes).await;
    }
}

#[tokio::test]
async fn ten_thousand_of_anything_are_rejected() {
    let app = start().await;
    let many = |each: &dyn Fn(usize) -> String| (0..10_000).map(each).collect::<String>();
    for (what, document) in [
        ("aliases", format!("{{{}}}", many(&|index| format!("a{index}:__typename ")))),
        ("directives", format!("{{__typename{}}}", many(&|_| "@a".to_owned()))),
        ("operations", many(&|index| format!("query q{index}{{__typename}}"))),
        ("variables", format!("query({}){{a}}", many(&|index| format!("$v{index}:Int ")))),
        ("fields", format!("{{{}}}", many(&|_| "a ".to_owned()))),
        ("arguments", format!("{{a({})}}", many(&|index| format!("a{index}:1 ")))),
        ("fragments", format!("{{a}}{}", many(&|index| format!("fragment f{index} on Q{{a}}")))),
        ("list items", format!("{{a(x:[{}])}}", many(&|_| "1 ".to_owned()))),
    ] {
        let what = format!("10,000 {what}");
        assert_document_refused(&app, &what, &document, &["QUERY_TOO_LARGE"]).await;
    }
    let variables = many(&|index| format!(r#""v{index}":1,"#));
    let body = format!(
        r#"{{"query":"query($v:[ID!]!){{nodes(ids:$v){{id}}}}","variables":{{{variables}"v":[{}1]}}}}"#,
        "1,".repeat(10_000)
    );
    let response = send_text(&app, body).await;
    assert_refused(&app, "10,000 items in a variable", response, &["QUERY_TOO_LARGE"]).await;
}

#[tokio::test]
async fn thirty_aliases_of_one_costly_field_are_executed_and_thirty_one_rejected() {
    let app = start().await;
    let aliases = |count: usize| {
        let each = |index| format!("a{index}: cardByCode(code: \"major_arcana_00\") {{ code }} ");
        format!("{{ {} }}", (0..count).map(each).collect::<String>())
    };
    assert_eq!(app.data(&aliases(30)).await.as_object().map(serde_json::Map::len), Some(30));
    assert_document_refused(&app, "31 aliases", &aliases(31), &["QUERY_TOO_LARGE"]).await;
}

#[tokio::test]
async fn a_name_of_the_maximum_is_accepted_and_one_character_more_rejected() {
    for (flags, maximum) in [(&[][..], 256), (&["--max-name-characters=10"], 10)] {
        let app = TestApp::start_with(Engine::Sqlite, flags).await;
        let name = |length: usize| "n".repeat(length);
        let alias = |length: usize| format!("{{ {}: __typename }}", name(length));
        assert_eq!(app.data(&alias(maximum)).await, json!({ (name(maximum)): "Query" }));
        let variable = |length: usize| {
            format!("query (${0}: ID!) {{ node(id: ${0}) {{ id }} }}", name(length))
        };
        for document in [alias(maximum + 1), variable(maximum + 1)] {
            let response = app.query(&document).await;
            assert_eq!(response.status, 400);
            let error = &response.body_without_request_id()["errors"][0];
            let found = maximum + 1;
            assert_eq!(
                error["message"],
                format!(
                    "request is too large (name characters: at least {found}, maximum: {maximum})"
                )
            );
            assert_eq!(
                error["extensions"],
                json!({
                    "code": "QUERY_TOO_LARGE", "what": "name characters", "maximum": maximum,
                    "requestId": "ID",
                })
            );
        }
    }
}

#[tokio::test]
async fn a_query_that_could_return_too_much_is_rejected_before_it_runs() {
    let app = start().await;
    let query = "{ publicReadings(first: 100) { nodes { user { readings(first: 100) { nodes { \
        cards { card { code } } } } } } } }";
    let response = app.query(query).await;
    assert_eq!(response.statements(), 0);
    let extensions = &response.body["errors"][0]["extensions"];
    assert_eq!(extensions["maximum"], 20_000, "{}", response.body);
    assert!(extensions["cost"].as_u64().is_some_and(|cost| cost > 20_000), "{}", response.body);
    assert_refused(&app, "a costly query", response, &["COST_LIMIT_EXCEEDED"]).await;
}

#[tokio::test]
async fn a_query_that_is_too_deep_is_rejected() {
    let app = start().await;
    let query = nested(
        "{ publicReadings(first: 1) { nodes { ",
        "user { readings(first: 1) { nodes { ",
        "id",
        " } } }",
        " } } }",
        8,
    );
    let response = app.query(&query).await;
    assert_eq!(response.body["errors"][0]["extensions"]["maximum"], 15, "{}", response.body);
    assert_refused(&app, "a deep query", response, &["QUERY_TOO_DEEP"]).await;
}

#[tokio::test]
async fn text_that_is_no_document_is_rejected() {
    let app = start().await;
    let quotes = ["\"", "\"abc", "\"\\\"", "\"a\nb\"", "\"\"\"", "\"\"\"a\"\"", "\"\"\"\\\"\"\""];
    let strings = quotes.map(|string| format!("{{a(x:{string})}}"));
    let controls = ["{a\0}", "\0", "{a(x:\0\"\")}", "{a\u{b}b}", "\u{1b}{a}"];
    let escapes = [r"\uD800", r"\udfff", r"\uD83Cx", r"\u{110000}", r"\u00", r"\x41"];
    let escapes = escapes.map(|escape| format!("{{a(x:\"{escape}\")}}"));
    let others =
        ["", " ", "#", "{", "}", "{}", "{a", "{a}}", "{a)", "{a(x)}", "{a(x y:1)}", "\u{feff}"];
    let all = strings.iter().chain(&escapes).map(String::as_str).chain(controls).chain(others);
    for document in all {
        let what = format!("{document:?}");
        assert_document_refused(&app, &what, document, &["GRAPHQL_PARSE_FAILED"]).await;
    }
}

#[tokio::test]
async fn huge_numbers_are_rejected() {
    let app = start().await;
    let digits = "9".repeat(10_000);
    for number in [
        digits.clone(),
        format!("-{digits}"),
        format!("1e{digits}"),
        format!("0.{digits}"),
        format!("1e-{digits}"),
    ] {
        let what = format!("{number:.20}…");
        // A number that can be read is none that a page may have.
        let codes = ["GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"];
        let query = format!("{{ cards(first: {number}) {{ totalCount }} }}");
        assert_document_refused(&app, &what, &query, &codes).await;
    }
}

#[tokio::test]
async fn huge_numbers_in_variables_are_rejected() {
    let app = start().await;
    let digits = "9".repeat(10_000);
    for number in [digits.clone(), format!("-{digits}"), format!("1e{digits}"), "1e400".to_owned()]
    {
        let query = "query ($n: Int) { cards(first: $n) { totalCount } }";
        let body = format!(r#"{{"query":"{query}","variables":{{"n":{number}}}}}"#);
        let response = send_text(&app, body).await;
        let codes = ["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"];
        assert_refused(&app, &format!("{number:.20}…"), response, &codes).await;
    }
}

#[tokio::test]
async fn lone_surrogates_in_the_json_are_rejected() {
    let app = start().await;
    for surrogate in [r"\ud800", r"\udfff", r"\ud83cx", r"\ud83c\u0041"] {
        for body in [
            format!(r#"{{"query":"{{ __typename }} #{surrogate}"}}"#),
            format!(r#"{{"query":"{{ __typename }}","variables":{{"a":"{surrogate}"}}}}"#),
            format!(r#"{{"query":"{{ __typename }}","operationName":"{surrogate}"}}"#),
        ] {
            let response = send_text(&app, body.clone()).await;
            assert_refused(&app, &body, response, &["BAD_USER_INPUT"]).await;
        }
    }
}

#[tokio::test]
async fn a_document_of_the_maximum_is_executed_and_one_byte_more_rejected() {
    let app = start().await;
    let document = |bytes: usize| {
        let query = "{ __typename }";
        format!("{query}{}", " ".repeat(bytes - query.len()))
    };
    assert_eq!(app.data(&document(DOCUMENT_BYTES_MAXIMUM)).await, json!({ "__typename": "Query" }));
    let response = app.query(&document(DOCUMENT_BYTES_MAXIMUM + 1)).await;
    let extensions = &response.body["errors"][0]["extensions"];
    assert_eq!(
        (&extensions["what"], &extensions["maximum"]),
        (&json!("document bytes"), &json!(DOCUMENT_BYTES_MAXIMUM))
    );
    assert_refused(&app, "16 KiB + 1", response, &["QUERY_TOO_LARGE"]).await;
}

#[tokio::test]
async fn errors_are_reported_up_to_ten() {
    let app = start().await;
    let fields = |count| (0..count).map(|index| format!("f{index}")).collect::<Vec<_>>().join(" ");
    for (count, reported) in [(9, 9), (10, 10), (11, 10), (30, 10)] {
        let response = app.query(&format!("{{ {} }}", fields(count))).await;
        let errors = response.body["errors"].as_array().map(Vec::len);
        assert_eq!((response.status, errors), (400, Some(reported)), "{}", response.body);
    }
}

/// Documents with that name in each place.
fn documents(name: &str) -> [String; 9] {
    [
        format!("{{ {name} }}"),
        format!("{{ cards(first: 1) @{name} {{ totalCount }} }}"),
        format!("{{ ...{name} }}"),
        format!("{{ ... on {name} {{ a }} }}"),
        format!("query ($a: {name}) {{ __typename }}"),
        format!("query (${name}: Int) {{ __typename }}"),
        format!("{{ cards({name}: 1) {{ totalCount }} }}"),
        format!("{{ card(id: \"{name}\") {{ id }} }}"),
        format!("query {half} {{ a }} query {half} {{ a }}", half = &name[..name.len().min(5_000)]),
    ]
}

#[tokio::test]
async fn names_of_any_length_make_no_long_error() {
    let app = start().await;
    let name = "n".repeat(10_000);
    let accepted = ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT"];
    let too_long = ["QUERY_TOO_LARGE", "BAD_USER_INPUT"];
    let cases = [(&name[..256], &accepted[..]), (&name[..], &too_long[..])];
    let documents =
        cases.iter().flat_map(|(name, codes)| documents(name).map(|document| (document, codes)));
    for (document, codes) in documents {
        let response = app.query(&document).await;
        let text = response.body.to_string();
        assert!(text.len() < REFUSAL_BYTES_MAXIMUM, "{document:.40}: {} bytes", text.len());
        for error in response.body["errors"].as_array().expect("errors") {
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            assert!(codes.contains(&code), "{document:.40}: {code}");
        }
        assert_eq!(app.data("{ __typename }").await, json!({ "__typename": "Query" }));
    }
    let unknown: Value = json!({ "query": "{ __typename }", "operationName": name });
    let response = app.send(None, &unknown).await;
    assert_refused(&app, "a long operation name", response, &["BAD_USER_INPUT"]).await;
}
