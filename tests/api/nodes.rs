//! Any object by its id.

use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::users;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{TestApp, on_both_databases};
use crate::support::fixtures::{
    card_id, category, category_id, id, private, reading, reading_id, rows, spread_id, user,
    user_id,
};
use wasteland_tarot::db::seed::SeedRows;

/// Ids of one object of each type that `node` finds, with the type's name.
async fn one_of_each(app: &TestApp) -> Vec<(&'static str, String)> {
    let ada = user("ada");
    let readings = vec![reading(app, &ada, "hope", 1)];
    let categories = vec![category(&ada, "work")];
    app.insert(SeedRows { users: vec![ada], readings, categories, ..SeedRows::default() }).await;
    let data = app.data("{ voices { id } factions { id } }").await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    vec![
        ("Card", card_id(app, "major_arcana_00")),
        ("Category", category_id("work")),
        ("Faction", text(&data["factions"][0]["id"])),
        ("Reading", reading_id("hope")),
        ("Spread", spread_id(app, "celtic_cross")),
        ("User", user_id("ada")),
        ("Voice", text(&data["voices"][0]["id"])),
    ]
}

on_both_databases! {
    async fn node_finds_each_type_by_the_id_that_the_object_has(engine: Engine) {
        let app = TestApp::start(engine).await;
        for (type_name, object) in one_of_each(&app).await {
            let query = format!("{{ node(id: {object:?}) {{ __typename id }} }}");
            assert_eq!(
                app.data_as(id("ada"), &query).await,
                json!({ "node": { "__typename": type_name, "id": object } })
            );
        }
    }

    async fn nodes_keep_the_order_of_the_ids_and_leave_gaps_null(engine: Engine) {
        let app = TestApp::start(engine).await;
        let objects = one_of_each(&app).await;
        let mut ids: Vec<String> = objects.iter().rev().map(|(_, object)| object.clone()).collect();
        ids.insert(2, reading_id("missing"));
        ids.push(ids[0].clone());
        let mut expected: Vec<Value> = objects
            .iter()
            .rev()
            .map(|(type_name, object)| json!({ "__typename": type_name, "id": object }))
            .collect();
        expected.insert(2, Value::Null);
        expected.push(expected[0].clone());

        let token = app.token_of(id("ada"));
        let body = json!({
            "query": "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }",
            "variables": { "ids": ids },
        });
        let response = app.send(Some(&token), &body).await;
        assert_eq!(response.body, json!({ "data": { "nodes": expected } }));
    }

    async fn missing_objects_of_every_type_are_null(engine: Engine) {
        let app = TestApp::start(engine).await;
        let none = Uuid::nil();
        for object in [
            GlobalId::Card(none),
            GlobalId::Category(none),
            GlobalId::Reading(none),
            GlobalId::Spread(none),
            GlobalId::User(none),
        ] {
            let object = object.encode();
            let query = format!(
                "{{ node(id: {:?}) {{ id }} nodes(ids: [{:?}]) {{ id }} }}",
                object.as_str(),
                object.as_str()
            );
            assert_eq!(app.data(&query).await, json!({ "node": null, "nodes": [null] }));
        }
    }

    async fn a_hundred_ids_are_taken_and_no_more(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        let ids = |count| json!({ "ids": vec![card_id(&app, "major_arcana_00"); count] });

        let response = app.query_with_variables(query, ids(100)).await;
        assert_eq!(response.body["data"]["nodes"].as_array().map(Vec::len), Some(100));
        assert_eq!(response.body.get("errors"), None);

        let response = app.query_with_variables(query, ids(101)).await;
        assert_eq!(
            response.body_without_request_id(),
            json!({
                "data": null,
                "errors": [{
                    "message": "`ids` has 101 ids; it must have at most 100",
                    "locations": [{ "line": 1, "column": 24 }],
                    "path": ["nodes"],
                    "extensions": {
                        "code": "BAD_USER_INPUT", "argument": "ids", "requestId": "ID"
                    },
                }],
            })
        );
        assert_eq!(app.data("{ nodes(ids: []) { id } }").await, json!({ "nodes": [] }));
    }

    async fn a_category_of_another_user_looks_like_none(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(SeedRows {
            categories: vec![category(&ada, "work")],
            users: vec![ada, user("bob"), admin],
            ..SeedRows::default()
        })
        .await;
        for viewer in [None, Some(id("bob")), Some(id("admin"))] {
            let fetch = async |object: &str| {
                let query = format!(
                    "{{ node(id: {object:?}) {{ id }} nodes(ids: [{object:?}]) {{ id }} }}"
                );
                app.query_as_viewer(viewer, &query).await
            };
            let (hidden, missing) =
                (fetch(&category_id("work")).await, fetch(&category_id("none")).await);
            assert_eq!(hidden.text, missing.text);
            assert_eq!(hidden.statements(), missing.statements());
            assert_eq!(hidden.body, json!({ "data": { "node": null, "nodes": [null] } }));
        }
    }

    async fn objects_that_are_no_nodes_are_rejected_by_name(engine: Engine) {
        let app = TestApp::start(engine).await;
        let data = app
            .data("{ suits { id } spreadByName(name: \"single_wasteland\") { positions { id } } }")
            .await;
        let position = &data["spreadByName"]["positions"][0]["id"];
        for (type_name, object) in
            [("SuitInfo", &data["suits"][0]["id"]), ("SpreadPosition", position)]
        {
            let response = app.query(&format!("{{ node(id: {object}) {{ id }} }}")).await;
            assert_eq!(
                response.body_without_request_id(),
                json!({
                    "data": { "node": null },
                    "errors": [{
                        "message": format!(
                            "`id` must be the id of a node; it is the id of a {type_name}"
                        ),
                        "locations": [{ "line": 1, "column": 3 }],
                        "path": ["node"],
                        "extensions": {
                            "code": "BAD_USER_INPUT", "argument": "id", "requestId": "ID"
                        },
                    }],
                })
            );
        }
    }

    async fn one_object_has_one_id(engine: Engine) {
        // Client caches would store two copies under two spellings of the same key.
        use base64::Engine as _;
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        app.insert(rows(vec![ada.clone()], vec![private(reading(&app, &ada, "hope", 1))])).await;
        let spell = |text: String| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
        let key = id("hope");
        for other in [
            spell(format!("Reading:{}", key.simple().to_string().to_uppercase())),
            spell(format!("Reading:{{{key}}}")),
            spell(format!("Reading:urn:uuid:{key}")),
            spell(format!("reading:{key}")),
            format!("{}=", reading_id("hope")),
            key.to_string(),
        ] {
            let response =
                app.query_as(id("ada"), &format!("{{ node(id: {other:?}) {{ id }} }}")).await;
            assert_eq!(response.body["data"], json!({ "node": null }), "{other}");
            assert_eq!(
                response.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
                "{other}"
            );
        }
        let query = format!("{{ node(id: {:?}) {{ id }} }}", reading_id("hope"));
        assert_eq!(
            app.data_as(id("ada"), &query).await,
            json!({ "node": { "id": reading_id("hope") } })
        );
    }
}
