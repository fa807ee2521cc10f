//! Validation by the specification, and coercion before execution: the whole body of each refusal, and nothing
//! written.

use serde_json::{Value, json};

use crate::support::app::{Engine, TestApp, TestResponse, on_both_databases};
use crate::support::fixtures::{rows, user};

/// Body of a request error in the document.
fn invalid(message: &str, line: u32, column: u32) -> Value {
    json!({
        "errors": [{
            "message": message,
            "locations": [{ "line": line, "column": column }],
            "extensions": { "code": "GRAPHQL_VALIDATION_FAILED", "requestId": "ID" },
        }],
    })
}

/// Body of a request error in the variables.
fn bad_variable(message: &str) -> Value {
    json!({
        "errors": [{
            "message": message,
            "extensions": { "code": "BAD_USER_INPUT", "argument": "variables", "requestId": "ID" },
        }],
    })
}

async fn refuse(app: &TestApp, document: &str, message: &str, line: u32, column: u32) {
    let response = app.query(document).await;
    let body = response.body_without_request_id();
    assert_eq!((response.status, body), (400, invalid(message, line, column)), "{document}");
}

on_both_databases! {
    async fn a_mistake_after_a_mutation_leaves_nothing_written(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let viewer = crate::support::fixtures::id("ada");
        let first = "a: createCategory(input: { name: \"Love\", color: \"#aa0000\" }) { category { name } }";
        let done = app.query_as(viewer, &format!("mutation {{ {first} }}")).await;
        assert_eq!(done.body["data"]["a"]["category"]["name"], "Love", "{}", done.text);
        let first = first.replace("Love", "Work");
        // Each second field is refused for a value: in the document, and in a variable.
        for (document, variables, message) in [
            (
                format!("mutation {{ {first} b: createCategory(input: \"hunter2\") {{ __typename }} }}"),
                json!({}),
                "`input` must be an object of the type `CreateCategoryInput`",
            ),
            (
                format!("mutation ($input: CreateCategoryInput!) {{ {first} b: createCategory(input: $input) {{ __typename }} }}"),
                json!({ "input": "hunter2" }),
                "`$input` must be an object of the type `CreateCategoryInput`",
            ),
            (
                format!("mutation ($input: CreateCategoryInput!) {{ {first} b: createCategory(input: $input) {{ __typename }} }}"),
                json!({ "input": { "name": ["hunter2"], "color": "#cc0000" } }),
                "`$input.name` must be a string",
            ),
            (
                format!("mutation ($name: String!) {{ {first} b: createCategory(input: {{ name: $name, color: \"#bb0000\" }}) {{ __typename }} }}"),
                json!({ "name": null }),
                "`$name` must have a value",
            ),
        ] {
            let body = json!({ "query": document, "variables": variables });
            let response = app.send(Some(&app.token_of(viewer)), &body).await;
            assert_eq!(response.status, 400, "{}", response.body);
            assert_eq!(response.body.get("data"), None);
            assert_eq!(response.body["errors"][0]["message"], message);
            assert!(!response.text.contains("hunter2"), "{}", response.text);
        }
        let data = app.data_as(viewer, "{ viewer { categories { name } } }").await;
        assert_eq!(data, json!({ "viewer": { "categories": [{ "name": "Love" }] } }));
    }

    async fn variables_belong_to_their_operation(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query A($f: Int) { cards(first: $f) { totalCount nodes { id } } }
            query B($f: String) { cards(search: $f) { totalCount } }
            query C($f: Locale) { suits { name(locale: $f) } }";
        let send = async |operation: &str, variables: Value| {
            let body = json!({ "query": query, "operationName": operation, "variables": variables });
            app.send(None, &body).await.body
        };
        let a = send("A", json!({ "f": 1 })).await;
        assert_eq!(a["data"]["cards"]["totalCount"], 78);
        assert_eq!(a["data"]["cards"]["nodes"].as_array().map(Vec::len), Some(1));
        let absent = send("A", json!({})).await;
        assert_eq!(absent["data"]["cards"]["nodes"].as_array().map(Vec::len), Some(20));
        let b = send("B", json!({ "f": "vault" })).await;
        assert!(b["data"]["cards"]["totalCount"].as_i64().is_some_and(|count| count < 78), "{b}");
        // Absent, the variable leaves the default of the argument, beside other operations as well.
        let c = send("C", json!({})).await;
        assert_eq!(c["data"]["suits"].as_array().map(Vec::len), Some(5), "{c}");
    }
}

async fn start() -> TestApp {
    TestApp::start(Engine::Sqlite).await
}

#[tokio::test]
async fn integers_have_32_bits() {
    let app = start().await;
    let out = "must be an integer from -2147483648 to 2147483647";
    for number in ["2147483648", "-2147483649", "3000000000", "9223372036854775807"] {
        refuse(
            &app,
            &format!("{{ cards(first: {number}) {{ totalCount }} }}"),
            &format!("`first` {out}"),
            1,
            16,
        )
        .await;
        let query = "query ($first: Int) { cards(first: $first) { totalCount } }";
        let variables = serde_json::from_str(&format!("{{\"first\":{number}}}")).expect("JSON");
        let response = app.query_with_variables(query, variables).await;
        let body = response.body_without_request_id();
        assert_eq!((response.status, body), (400, bad_variable(&format!("`$first` {out}"))));
    }
    for number in ["-0", "0", "20"] {
        let data = app.data(&format!("{{ cards(first: {number}) {{ totalCount }} }}")).await;
        assert_eq!(data, json!({ "cards": { "totalCount": 78 } }), "{number}");
    }
    // JSON has one kind of number.
    let query = "query ($first: Int) { cards(first: $first) { totalCount } }";
    let response = app.query_with_variables(query, json!({ "first": 2.0 })).await;
    assert_eq!(response.body, json!({ "data": { "cards": { "totalCount": 78 } } }));
    let response = app.query_with_variables(query, json!({ "first": 2.5 })).await;
    assert_eq!(
        response.body_without_request_id(),
        bad_variable("`$first` must be an integer of 32 bits")
    );
}

#[tokio::test]
async fn values_of_another_kind_are_refused_without_being_repeated() {
    let app = start().await;
    let login = |input: &str| format!("mutation {{ login(input: {input}) {{ __typename }} }}");
    let object = "`input` must be an object of the type `LoginInput`";
    for (input, message) in [
        ("\"hunter2\"", object),
        ("4711", object),
        ("HUNTER2", object),
        ("true", object),
        ("[\"hunter2\"]", object),
        ("null", "`input` must not be null"),
        ("{ login: \"ada\", password: 4711 }", "`input.password` must be a string"),
        ("{ login: \"ada\", password: HUNTER2 }", "`input.password` must be a string"),
        ("{ login: \"ada\", password: [\"hunter2\"] }", "`input.password` must be a string"),
        ("{ login: \"ada\", password: null }", "`input.password` must not be null"),
        ("{ login: \"ada\" }", "`input.password` is required"),
        (
            "{ login: \"ada\", password: \"hunter2\", second: \"hunter2\" }",
            "`input.second` is not a field of `LoginInput`",
        ),
        (
            "{ login: \"ada\", password: \"hunter2\", password: \"hunter3\" }",
            "`input` has a field that is given twice",
        ),
        (
            "{ login: \"ada\", password: \"hunter2\", tokenDelivery: \"hunter2\" }",
            "`input.tokenDelivery` must be a value of the enum `TokenDelivery`, written without quotes: BODY, COOKIE",
        ),
        (
            "{ login: \"ada\", password: \"hunter2\", tokenDelivery: HUNTER2 }",
            "`input.tokenDelivery` must be a value of the enum `TokenDelivery`: BODY, COOKIE",
        ),
    ] {
        let response = app.query(&login(input)).await;
        let error = &response.body["errors"][0];
        assert_eq!((response.status, error["message"].as_str()), (400, Some(message)), "{input}");
        assert_eq!(response.body.get("data"), None);
        assert!(!response.text.to_lowercase().contains("hunter"), "{}", response.text);
        assert!(!response.text.contains("4711"), "{}", response.text);
    }
    let query = "mutation ($input: LoginInput!) { login(input: $input) { __typename } }";
    for (input, message) in [
        (json!("hunter2"), "`$input` must be an object of the type `LoginInput`"),
        (json!(["hunter2"]), "`$input` must be an object of the type `LoginInput`"),
        (json!({ "login": "ada", "password": 4711 }), "`$input.password` must be a string"),
        (
            json!({ "login": "ada", "password": { "hunter2": 1 } }),
            "`$input.password` must be a string",
        ),
        (json!({ "login": "ada", "password": null }), "`$input.password` must not be null"),
        (json!({ "login": "ada" }), "`$input.password` is required"),
        (
            json!({ "login": "ada", "password": "x", "second": "hunter2" }),
            "`$input.second` is not a field of `LoginInput`",
        ),
        // No name, and perhaps a value in the wrong place.
        (
            json!({ "login": "ada", "password": "x", "hunter 2": 1 }),
            "`$input` has a field that `LoginInput` does not have",
        ),
        (
            json!({ "login": "ada", "password": "x", "hunter2".repeat(6): 1 }),
            "`$input` has a field that `LoginInput` does not have",
        ),
        (
            json!({ "login": "ada", "password": "x", "tokenDelivery": "HUNTER2" }),
            "`$input.tokenDelivery` must be a value of the enum `TokenDelivery`: BODY, COOKIE",
        ),
        (
            json!({ "login": "ada", "password": "x", "tokenDelivery": null }),
            "`$input.tokenDelivery` must not be null",
        ),
    ] {
        let response = app.query_with_variables(query, json!({ "input": input })).await;
        assert_eq!(
            (response.status, response.body_without_request_id()),
            (400, bad_variable(message)),
            "{input}"
        );
    }
}

#[tokio::test]
async fn syntax_errors_do_not_repeat_the_text() {
    let app = start().await;
    for document in [
        "mutation { login(input: { login: \"ada\" password: \"x\" \"hunter2\" }) { __typename } }",
        "mutation { login(input: { login: \"ada\" password: \"hunter2 }) { __typename } }",
        "mutation { login(input: { login: \"ada\" password: hunter2\"x\" }) { __typename } }",
        "mutation { login(input: { login: \"ada\" password: 12hunter2 }) { __typename } }",
        "mutation { login(input: { login: \"ada\" password: 'hunter2' }) { __typename } }",
        "mutation { login(input: { login: \"ada\" password: \"\\hunter2\" }) { __typename } }",
    ] {
        let response = app.query(document).await;
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "GRAPHQL_PARSE_FAILED");
        assert!(!response.text.contains("hunter"), "{document}: {}", response.text);
    }
}

#[tokio::test]
async fn documents_are_validated_whole() {
    let app = start().await;
    for (document, message, column) in [
        (
            "{ voices { displayName(locale: \"EN\") } }",
            "`locale` must be a value of the enum `Locale`, written without quotes: EN, ZH_HANT",
            32,
        ),
        (
            "query ($f: String) { cards(first: $f) { totalCount } }",
            "variable `$f` of type `String` cannot be used for argument `first` of type `Int`",
            28,
        ),
        (
            "query ($l: Locale!, $l: Locale!) { voices { displayName(locale: $l) } }",
            "the variable `$l` is declared multiple times",
            21,
        ),
        (
            "{ voices { a: displayName a: id } }",
            "fields with the response name `a` differ in name or arguments: give one of them an alias",
            27,
        ),
        ("{ cards @nothing { totalCount } }", "the schema has no directive `@nothing`", 9),
        (
            "query ($f: Nothing) { cards(first: $f) { totalCount } }",
            "the schema has no type `Nothing`",
            8,
        ),
        (
            "query ($c: Strin!) { cardByCode(code: $c) { id } }",
            "the schema has no type `Strin`; did you mean `String`?",
            8,
        ),
        ("{ __typename(a: 1) }", "the argument `a` is not supported by `Query.__typename`", 14),
        (
            "{ __typename { a } }",
            "field selection of scalar type `String` must not have subselections",
            3,
        ),
        ("{ voices }", "`voices` is of type `[Voice!]!`: select fields of it, `voices { … }`", 3),
        (
            "{ a: cards(first: 1) }",
            "`cards` is of type `CardConnection!`: select fields of it, `cards { … }`",
            3,
        ),
        ("query ($f: Int) { __typename }", "unused variable: `$f`", 8),
        (
            "{ __typename } fragment F on Query { __typename }",
            "fragment `F` must be used in an operation",
            16,
        ),
    ] {
        let response = app.query(document).await;
        let error = &response.body["errors"][0];
        assert_eq!(
            (response.status, error["message"].as_str()),
            (400, Some(message)),
            "{document}"
        );
        assert_eq!(error["locations"], json!([{ "line": 1, "column": column }]), "{document}");
        assert_eq!(error["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(response.body.get("data"), None);
    }
    for document in [
        "query ($x: Boolean!) { __typename @skip(if: $x) }",
        "query ($x: Boolean = false) { __typename @skip(if: $x) }",
    ] {
        let response = app.query_with_variables(document, json!({ "x": false })).await;
        assert_eq!(response.body, json!({ "data": { "__typename": "Query" } }), "{document}");
    }
}

/// Fragments too, which are checked after all operations.
#[tokio::test]
async fn errors_in_literals_are_in_the_order_of_the_document() {
    let app = start().await;
    let document = "fragment F on Query { cards(first: true) { totalCount } }
        { ...F node(id: true) { id } }";
    let response = app.query(document).await;
    let errors = response.body["errors"].as_array().expect("errors");
    let lines: Vec<_> = errors.iter().map(|error| &error["locations"][0]["line"]).collect();
    assert_eq!(lines, [1, 2], "{}", response.text);
}

/// Message and column of each error of a response.
fn mistakes(response: &TestResponse) -> Vec<(&str, Option<u64>)> {
    let errors = response.body["errors"].as_array().expect("errors").iter();
    errors
        .map(|error| {
            let message = error["message"].as_str().expect("a text");
            (message, error["locations"][0]["column"].as_u64())
        })
        .collect()
}

#[tokio::test]
async fn all_unknown_fields_and_wrong_values_of_a_document_are_reported() {
    let app = start().await;
    let response = app
        .query("{ cards(first: \"x\", last: \"y\") { totalCoun } voices { displayName(locale: DE) } nothing }")
        .await;
    let integer = "must be an integer of 32 bits";
    assert_eq!(
        mistakes(&response),
        [
            (&*format!("`first` {integer}"), Some(16)),
            (&*format!("`last` {integer}"), Some(27)),
            (
                "type `CardConnection` does not have a field `totalCoun`; did you mean `totalCount`?",
                Some(34)
            ),
            ("`locale` must be a value of the enum `Locale`: EN, ZH_HANT", Some(75)),
            ("type `Query` does not have a field `nothing`", Some(81)),
        ]
    );
    // Of one input, a missing field beside one that does not exist.
    let input = "{ question: 3, spreadID: \"x\", tags: [1, \"a\", 2] }";
    let response =
        app.query(&format!("mutation {{ createReading(input: {input}) {{ __typename }} }}")).await;
    assert_eq!(
        mistakes(&response),
        [
            (
                "`input.spreadID` is not a field of `CreateReadingInput`; did you mean `spreadId`?",
                Some(33)
            ),
            ("`input.question` must be a string", Some(33)),
            ("`input.spreadId` is required", Some(33)),
            ("`input.tags[0]` must be a string", Some(33)),
            ("`input.tags[2]` must be a string", Some(33)),
        ]
    );
    for error in response.body["errors"].as_array().expect("errors") {
        assert_eq!(error["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    }
}

#[tokio::test]
async fn all_mistakes_in_variables_are_reported() {
    let app = start().await;
    let query = "mutation ($a: Int, $b: Int!, $i: CreateReadingInput!, $l: Locale) {
        createReading(input: $i) { __typename }
        drawCards(input: { count: $a }) { __typename }
        other: drawCards(input: { count: $b }) { draws { meaning(locale: $l) } } }";
    let input = json!({ "question": "?", "spreadID": "x", "tags": ["a", null] });
    let variables = json!({ "a": "x", "i": input, "l": null });
    let response = app.query_with_variables(query, variables).await;
    assert_eq!(
        mistakes(&response),
        [
            ("`$a` must be an integer of 32 bits", None),
            ("`$b` must have a value", None),
            (
                "`$i.spreadID` is not a field of `CreateReadingInput`; did you mean `spreadId`?",
                None
            ),
            ("`$i.spreadId` is required", None),
            ("`$i.tags[1]` must not be null", None),
            ("`$l` must not be null where it is used", None),
        ]
    );
    for error in response.body["errors"].as_array().expect("errors") {
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
        assert_eq!(error["extensions"]["argument"], "variables");
    }
    assert_eq!(response.body.get("data"), None);
}

#[tokio::test]
async fn mistakes_above_the_maximum_are_not_reported() {
    let app = TestApp::start_with(Engine::Sqlite, &["--max-errors=3"]).await;
    let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    for (count, reported) in [(3, 3), (4, 3), (200, 3)] {
        let response = app.query_with_variables(query, json!({ "ids": vec![1.5; count] })).await;
        assert_eq!(mistakes(&response).len(), reported, "{count}");
        let list = vec!["1.5"; count].join(" ");
        let response = app.query(&format!("{{ nodes(ids: [{list}]) {{ id }} }}")).await;
        assert_eq!(mistakes(&response).len(), reported, "{count}");
        let fields = (0..count).fold(String::new(), |fields, number| format!("{fields} f{number}"));
        let response = app.query(&format!("{{ suits {{ {fields} }} }}")).await;
        assert_eq!(mistakes(&response).len(), reported, "{count}");
    }
}

#[tokio::test]
async fn mistakes_name_nothing_of_the_schema_without_introspection() {
    let app = TestApp::start_with(Engine::Sqlite, &["--introspection=false"]).await;
    for (document, messages) in [
        (
            "mutation { createReading(input: { question: \"?\", spreadID: \"x\", locale: DE }) { __typename } }",
            [
                "`input.spreadID` is not a field of `CreateReadingInput`",
                "`input.spreadId` is required",
                "`input.locale` must be a value of the enum `Locale`",
            ]
            .as_slice(),
        ),
        (
            "{ voices { displayName(locale: \"EN\") } }",
            &["`locale` must be a value of the enum `Locale`, written without quotes"],
        ),
        ("query ($c: Strin!) { cardByCode(code: $c) { id } }", &["the schema has no type `Strin`"]),
    ] {
        let response = app.query(document).await;
        let found: Vec<_> = mistakes(&response).iter().map(|(message, _)| *message).collect();
        assert_eq!(found, messages, "{document}");
    }
}

#[tokio::test]
async fn the_grammar_is_that_of_the_specification() {
    let app = start().await;
    let card = json!({ "cards": { "totalCount": 78 } });
    for document in [
        "query ($x: [ Int! ] = [ 1 , 2 ]) { cards(first: 1) { totalCount } ...@skip(if: true) { a: nodes(ids: $x) { id } } }",
        "{ cards,(first: 1) { totalCount } }",
        "{ cards ( first : 1 ,,, ) { , totalCount , } }",
        "\u{feff}{ cards { totalCount } }",
    ] {
        let response = app.query(document).await;
        if document.contains("$x") {
            // Int is no ID: the white space is read, and the type compared.
            assert_eq!(
                response.body["errors"][0]["message"],
                "variable `$x` of type `[Int!]` cannot be used for argument `ids` of type `[ID!]!`"
            );
        } else {
            assert_eq!(response.body["data"], card, "{document}");
        }
    }
    for (literal, text) in
        [(r#""\u{1F600}""#, "😀"), (r#""\uD83D\uDE00""#, "😀"), (r#""""a \""" b""""#, "a \"\"\" b")]
    {
        let query =
            format!("query ($x: String = {literal}) {{ cards(search: $x) {{ totalCount }} }}");
        let by_literal = app.query(&query).await.body;
        let query = "query ($x: String) { cards(search: $x) { totalCount } }";
        let by_variable = app.query_with_variables(query, json!({ "x": text })).await.body;
        assert_eq!(by_literal["data"], by_variable["data"], "{literal}");
    }
    for document in [
        r#"{ cards(search: "\uD83D") { totalCount } }"#,
        "{ cards(search: \"\\u{110000}\") { totalCount } }",
        "{ cards { } }",
        "{ }",
    ] {
        let response = app.query(document).await;
        assert_eq!(response.status, 400);
        assert_eq!(
            response.body["errors"][0]["extensions"]["code"], "GRAPHQL_PARSE_FAILED",
            "{document}"
        );
    }
}

#[tokio::test]
async fn a_null_where_none_may_be_is_refused_before_execution() {
    let app = start().await;
    let query = "query ($l: Locale) { voices { displayName(locale: $l) } }";
    let response = app.query_with_variables(query, json!({ "l": null })).await;
    assert_eq!(response.status, 400);
    assert_eq!(
        response.body_without_request_id(),
        bad_variable("`$l` must not be null where it is used")
    );
    refuse(&app, "{ voices { displayName(locale: null) } }", "`locale` must not be null", 1, 32)
        .await;
    // In another operation of the document the same name may be null.
    let query = "query A($l: Int) { cards(first: $l) { totalCount } } query B($l: Locale) { voices { displayName(locale: $l) } }";
    let body = json!({ "query": query, "operationName": "A", "variables": { "l": null } });
    assert_eq!(app.send(None, &body).await.body["data"], json!({ "cards": { "totalCount": 78 } }));
}

#[tokio::test]
async fn custom_scalars_are_checked_before_execution() {
    let app = start().await;
    let time = "must be a time of RFC 3339 such as 2026-11-23T08:15:30Z";
    let query = "query ($from: DateTime) { publicReadings(filter: { createdAt: { from: $from } }) { totalCount } }";
    // U+2212 is a minus sign, and not the one of RFC 3339.
    let minus = "2026-11-23T08:15:30\u{2212}08:00";
    for value in [json!("yesterday"), json!(1), json!({}), json!(["2026"]), json!(minus)] {
        let response = app.query_with_variables(query, json!({ "from": value })).await;
        assert_eq!(response.body_without_request_id(), bad_variable(&format!("`$from` {time}")));
    }
    let literal = |text: &str| {
        format!(
            "{{ publicReadings(filter: {{ createdAt: {{ from: \"{text}\" }} }}) {{ totalCount }} }}"
        )
    };
    let message = format!("`filter.createdAt.from` {time}");
    refuse(&app, &literal(minus), &message, 1, 26).await;
    let data = app.data(&literal(&minus.replace('\u{2212}', "-"))).await;
    assert_eq!(data, json!({ "publicReadings": { "totalCount": 0 } }));
}

/// Documents on which graphql-js departs from the specification.
#[tokio::test]
async fn the_specification_counts_where_graphql_js_departs_from_it() {
    let app = start().await;
    for (document, code) in [
        (
            "{ node(id: 1) { ... on Card { x: __typename } ... on Spread { x: cardCount } } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            "mutation { createReading(input: { question: \"?\", spreadId: 1, radiationFactor: 1e400 }) \
             { reading { id } } }",
            "GRAPHQL_PARSE_FAILED",
        ),
    ] {
        let response = app.query(document).await;
        assert_eq!((response.status, response.body.get("data")), (400, None), "{document}");
        assert_eq!(response.body["errors"][0]["extensions"]["code"], code, "{document}");
    }
    let query = r#"{ cards(search: "a") { totalCount } cards(search: """a""") { totalCount } }"#;
    assert!(app.data(query).await["cards"]["totalCount"].is_u64());
}

#[tokio::test]
async fn an_id_is_a_string_or_an_integer_of_64_bits() {
    let app = start().await;
    let query = "query ($id: ID!) { card(id: $id) { id } }";
    let must = "must be an ID: a string or an integer of 64 bits";
    let variables =
        |number: &str| serde_json::from_str(&format!("{{\"id\":{number}}}")).expect("JSON");
    for number in [
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "3.0",
        "1e3",
        "true",
    ] {
        refuse(&app, &format!("{{ card(id: {number}) {{ id }} }}"), &format!("`id` {must}"), 1, 12)
            .await;
        let response = app.query_with_variables(query, variables(number)).await;
        let body = response.body_without_request_id();
        assert_eq!((response.status, body), (400, bad_variable(&format!("`$id` {must}"))));
    }
    // An integer is its text, which is no id of this server.
    for number in ["-4", "0", "9223372036854775807", "-9223372036854775808"] {
        let message = format!("`id` is \"{number}\", which is no id of this server");
        for response in [
            app.query(&format!("{{ card(id: {number}) {{ id }} }}")).await,
            app.query_with_variables(query, variables(number)).await,
        ] {
            assert_eq!(response.body["data"], json!({ "card": null }), "{number}");
            assert_eq!(response.body["errors"][0]["message"], message);
        }
    }
}

#[tokio::test]
async fn introspection_and_data_are_one_response_in_the_order_of_the_operation() {
    let app = start().await;
    let query = "query ($name: String!, $no: Boolean!) {
        first: __typename
        node: __type(name: $name) { name interfaces { name } possibleTypes { name } isOneOf }
        cards { totalCount }
        ...Rest
        hidden: __schema @include(if: $no) { description }
        none: __type(name: \"Nothing\") { name }
    }
    fragment Rest on Query { time: __type(name: \"DateTime\") { specifiedByURL } spreads { totalCount } }";
    let response = app.query_with_variables(query, json!({ "name": "Node", "no": false })).await;
    let types = response.body["data"]["node"]["possibleTypes"].as_array().map(Vec::len);
    assert!(types.is_some_and(|types| types > 5), "{}", response.text);
    let keys: Vec<&str> =
        ["first", "node", "cards", "time", "spreads", "none"].into_iter().collect();
    let at = |key: &str| response.text.find(&format!("\"{key}\":")).expect(key);
    assert!(keys.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{}", response.text);
    let data = &response.body["data"];
    assert_eq!(data["node"]["interfaces"], json!([]));
    assert_eq!(data["node"]["isOneOf"], Value::Null);
    assert_eq!(data["none"], Value::Null);
    assert_eq!(data["cards"], json!({ "totalCount": 78 }));
    assert!(data["time"]["specifiedByURL"].as_str().is_some_and(|url| url.starts_with("https://")));
    assert_eq!(data.get("hidden"), None);
}
