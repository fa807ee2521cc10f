//! Variables, by the letter of the GraphQL specification.

use serde_json::{Value, json};

use crate::support::app::{TestApp, on_both_databases};
use crate::support::fixtures::card_id;

on_both_databases! {
    async fn an_absent_variable_leaves_the_argument_its_default(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($locale: Locale) {
            cardByCode(code: \"major_arcana_00\") { name(locale: $locale) } }";
        let name = |name: &str| json!({ "data": { "cardByCode": { "name": name } } });
        assert_eq!(app.query(query).await.body, name("Vault Newbie"));
        assert_eq!(app.query_with_variables(query, json!({})).await.body, name("Vault Newbie"));
        let chinese = app.query_with_variables(query, json!({ "locale": "ZH_HANT" })).await;
        assert_eq!(chinese.body, name("新手避難所居民"));
        let null = app.query_with_variables(query, json!({ "locale": null })).await;
        assert_eq!(null.status, 400);
        assert_eq!(
            null.body["errors"][0]["message"],
            "`$locale` must not be null where it is used"
        );
    }

    async fn the_default_of_a_variable_stands_in_where_it_is_absent(engine: Engine) {
        let app = TestApp::start(engine).await;
        for declaration in ["$locale: Locale = ZH_HANT", "$locale: Locale! = ZH_HANT"] {
            let query =
                format!("query ({declaration}) {{ voices {{ displayName(locale: $locale) }} }}");
            let absent = app.data(&query).await;
            assert_eq!(absent["voices"][0]["displayName"], "嗶嗶小子", "{declaration}");
            let english = app.query_with_variables(&query, json!({ "locale": "EN" })).await;
            assert_eq!(
                english.body["data"]["voices"][0]["displayName"], "Pip-Boy",
                "{declaration}"
            );
        }
    }

    async fn a_variable_with_a_default_of_null_may_be_sent(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($first: Int = null, $locale: Locale = null) {
            cards(first: $first) { nodes { name(locale: $locale) } } }";
        let variables = json!({ "first": 1, "locale": "ZH_HANT" });
        let expected = json!({ "data": { "cards": { "nodes": [{ "name": "新手避難所居民" }] } } });
        assert_eq!(app.query_with_variables(query, variables).await.body, expected);
    }

    async fn conditions_use_the_variable_or_its_default(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($x: Boolean = false, $y: Boolean! = true) {
            a: spreads(first: 1) @include(if: $x) { totalCount }
            b: spreads(first: 1) @skip(if: $x) { totalCount }
            ... @include(if: $y) { c: spreads(first: 1) { totalCount } }
            ...F @skip(if: $y) }
            fragment F on Query { d: spreads(first: 1) { totalCount } }";
        for (variables, expected) in [
            (json!({}), ["b", "c"].as_slice()),
            (json!({ "x": true }), &["a", "c"]),
            (json!({ "x": true, "y": false }), &["a", "d"]),
            (json!({ "x": false, "y": false }), &["b", "d"]),
        ] {
            let response = app.query_with_variables(query, variables.clone()).await;
            let total = json!({ "totalCount": 7 });
            let data: serde_json::Map<String, Value> =
                expected.iter().map(|name| ((*name).to_owned(), total.clone())).collect();
            assert_eq!(response.body, json!({ "data": data }), "{variables}");
        }
    }

    async fn a_condition_without_a_value_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($x: Boolean!) { suits @include(if: $x) { id } }";
        for variables in [json!({}), json!({ "x": null })] {
            let response = app.query_with_variables(query, variables).await;
            assert_eq!(response.status, 400);
            assert_eq!(
                response.body_without_request_id(),
                json!({
                    "errors": [{
                        "message": "`$x` must have a value",
                        "extensions": {
                            "code": "BAD_USER_INPUT", "argument": "variables", "requestId": "ID"
                        },
                    }],
                })
            );
        }
    }

    async fn a_single_value_stands_for_a_list_of_one(engine: Engine) {
        let app = TestApp::start(engine).await;
        let id = card_id(&app, "major_arcana_00");
        let expected = json!({ "data": { "nodes": [{ "id": id }] } });
        let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        assert_eq!(app.query_with_variables(query, json!({ "ids": id })).await.body, expected);
        assert_eq!(app.query(&format!("{{ nodes(ids: {id:?}) {{ id }} }}")).await.body, expected);
    }

    async fn variables_inside_lists_are_filled_in(engine: Engine) {
        let app = TestApp::start(engine).await;
        let (one, two) = (card_id(&app, "major_arcana_00"), card_id(&app, "bottle_caps_01"));
        let query = "query ($one: ID!, $two: ID!) { nodes(ids: [$two, $one]) { id } }";
        assert_eq!(
            app.query_with_variables(query, json!({ "one": one, "two": two })).await.body,
            json!({ "data": { "nodes": [{ "id": two }, { "id": one }] } })
        );
    }

    async fn variables_that_nobody_declared_are_ignored(engine: Engine) {
        let app = TestApp::start(engine).await;
        let response = app.query_with_variables("{ spreads { totalCount } }", json!({ "other": [1, 2] })).await;
        assert_eq!(response.body, json!({ "data": { "spreads": { "totalCount": 7 } } }));
    }

    async fn several_operations_each_have_their_own_variables(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query A($n: Int = 1) { cards(first: $n) { nodes { code } } }
            query B($n: Int = 2) { cards(first: $n) { nodes { code } } }";
        for (name, count) in [("A", 1), ("B", 2)] {
            let response = app.send(None, &json!({ "query": query, "operationName": name })).await;
            let nodes = &response.body["data"]["cards"]["nodes"];
            assert_eq!(nodes.as_array().map(Vec::len), Some(count), "{name} {}", response.text);
        }
    }

    async fn a_nullable_variable_may_stand_where_an_argument_has_a_default(engine: Engine) {
        let app = TestApp::start(engine).await;
        for name in ["", "Voices "] {
            let query = format!(
                "query {name}($locale: Locale) {{\n  voices {{ id displayName(locale: $locale) }}\n}}\n"
            );
            let data = app.data(&query).await;
            assert_eq!(data["voices"][0]["displayName"], "Pip-Boy", "{query}");
            assert_eq!(data["voices"].as_array().map(Vec::len), Some(14));
        }
    }
}
