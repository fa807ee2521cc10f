//! Users' folders for their readings.

use futures_util::future::join_all;
use serde_json::{Value, json};

use wasteland_tarot::db::entities::reading_sessions;
use wasteland_tarot::db::seed::SeedRows;

use crate::support::app::{Engine, TestApp, on_both_databases};
use crate::support::fixtures::{category, category_id, id, reading, reading_id, rows, user};
use crate::support::mutations::{
    USER_ERRORS, failure, mutate, not_found, payload, refusal, refusals, unauthenticated,
};

const FIELDS: &str = "id name color icon description readingCount";

/// A server with Ada and Bob, each of whom has a folder.
async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let (ada, bob) = (user("ada"), user("bob"));
    app.insert(SeedRows {
        categories: vec![category(&ada, "work"), category(&bob, "his")],
        users: vec![ada, bob],
        ..SeedRows::default()
    })
    .await;
    app
}

/// Ada's folders.
async fn categories(app: &TestApp, fields: &str) -> Value {
    let query = format!("{{ viewer {{ categories {{ {fields} }} }} }}");
    app.data_as(id("ada"), &query).await["viewer"]["categories"].take()
}

async fn create(app: &TestApp, input: Value) -> Value {
    let fields = format!("category {{ {FIELDS} }} {USER_ERRORS}");
    payload(app, id("ada"), "createCategory", input, &fields).await
}

on_both_databases! {
    async fn a_category_is_made_and_listed_by_name(engine: Engine) {
        let app = start(engine).await;
        let input = json!({
            "name": " 愛情 ", "color": "#A0b1C2", "icon": "heart", "description": "About\nlove",
        });
        let fields =
            format!("category {{ {FIELDS} }} viewer {{ categories {{ name }} }} {USER_ERRORS}");
        let made = payload(&app, id("ada"), "createCategory", input, &fields).await;
        let got = &made["category"];
        assert_eq!(
            made,
            json!({
                "category": {
                    "id": got["id"], "name": "愛情", "color": "#a0b1c2", "icon": "heart",
                    "description": "About\nlove", "readingCount": 0,
                },
                "viewer": { "categories": [{ "name": "work" }, { "name": "愛情" }] },
                "userErrors": [],
            })
        );
        assert_eq!(categories(&app, FIELDS).await[1], *got);
        let least = create(
            &app,
            json!({ "name": "a", "color": "#000000", "icon": " ", "description": "" }),
        )
        .await;
        assert_eq!(least["category"]["icon"], Value::Null);
        assert_eq!(least["category"]["description"], Value::Null);
        assert_eq!(
            categories(&app, "name").await,
            json!([{ "name": "a" }, { "name": "work" }, { "name": "愛情" }])
        );
    }

    async fn a_category_is_changed_field_by_field(engine: Engine) {
        let app = start(engine).await;
        let mut expected = json!({
            "id": category_id("work"), "name": "work", "color": "#a0b1c2", "icon": null,
            "description": null, "readingCount": 0,
        });
        let fields = format!("category {{ {FIELDS} }} {USER_ERRORS}");
        let update = async |field: &str, value: &Value| {
            let input = json!({ "id": category_id("work"), field: value });
            payload(&app, id("ada"), "updateCategory", input, &fields).await
        };
        for (field, value) in [
            ("name", json!("play")),
            ("color", json!("#ffffff")),
            ("icon", json!("ball")),
            ("description", json!("fun")),
            ("icon", Value::Null),
            ("description", Value::Null),
            // One's own name is not taken.
            ("name", json!("play")),
        ] {
            let changed = update(field, &value).await;
            expected[field] = value;
            assert_eq!(changed, json!({ "category": expected, "userErrors": [] }));
            assert_eq!(categories(&app, FIELDS).await, json!([expected]));
        }
        for field in ["name", "color"] {
            let message = format!("{field} cannot be cleared");
            let refused = refusal(&[field], "REQUIRED", &message, [None, None]);
            assert_eq!(
                update(field, &Value::Null).await,
                json!({ "category": null, "userErrors": refused })
            );
        }
        assert_eq!(categories(&app, FIELDS).await, json!([expected]));
    }

    async fn no_two_categories_of_a_user_have_one_name(engine: Engine) {
        let app = start(engine).await;
        create(&app, json!({ "name": "café", "color": "#000000" })).await;
        let taken = refusal(&["name"], "TAKEN", "you have a category of this name", [None, None]);
        for name in ["work", " work ", "cafe\u{301}"] {
            let input = json!({ "name": name, "color": "#000000" });
            assert_eq!(refusals(&app, id("ada"), "createCategory", input).await, taken);
        }
        let input = json!({ "id": category_id("work"), "name": "café", "icon": "lost" });
        assert_eq!(refusals(&app, id("ada"), "updateCategory", input).await, taken);
        assert_eq!(
            categories(&app, "name icon").await,
            json!([{ "name": "café", "icon": null }, { "name": "work", "icon": null }])
        );
        // Others may use it, and other letters are another name.
        for name in ["Work", "his"] {
            let made = create(&app, json!({ "name": name, "color": "#000000" })).await;
            assert_eq!(made["category"]["name"], name);
        }
    }

    async fn texts_of_a_category_have_their_limits(engine: Engine) {
        let app = start(engine).await;
        for (field, min, max) in [("name", 1, 100), ("icon", 0, 50), ("description", 0, 500)] {
            let longest = "輻".repeat(max);
            let mut input = json!({ "name": field, "color": "#000000" });
            input[field] = longest.as_str().into();
            assert_eq!(create(&app, input.clone()).await["category"][field], longest);
            input[field] = "輻".repeat(max + 1).into();
            let message = format!("{field} has {} characters; it must have at most {max}", max + 1);
            let refused =
                refusal(&[field], "TOO_LONG", &message, [Some(min), i32::try_from(max).ok()]);
            assert_eq!(refusals(&app, id("ada"), "createCategory", input).await, refused);
            let input = json!({ "id": category_id("work"), field: "輻".repeat(max + 1) });
            assert_eq!(refusals(&app, id("ada"), "updateCategory", input).await, refused);
        }
        for (field, text) in
            [("name", "a\nb"), ("name", "a\0b"), ("icon", "a\tb"), ("description", "a\0b")]
        {
            let mut input = json!({ "name": "n", "color": "#000000" });
            input[field] = text.into();
            let message = format!("{field} has characters that cannot be shown");
            let unseen = refusal(&[field], "INVALID", &message, [None, None]);
            assert_eq!(refusals(&app, id("ada"), "createCategory", input).await, unseen);
        }
        let missing = refusal(&["name"], "REQUIRED", "name is missing", [None, None]);
        assert_eq!(
            refusals(&app, id("ada"), "createCategory", json!({ "name": " ", "color": "#000000" }))
                .await,
            missing
        );
    }

    async fn a_color_is_a_number_sign_and_six_digits(engine: Engine) {
        let app = start(engine).await;
        for (number, color) in ["#000000", "#FFFFFF", " #a1B2c3 "].iter().enumerate() {
            let made = create(&app, json!({ "name": number.to_string(), "color": color })).await;
            assert_eq!(made["category"]["color"], color.trim().to_lowercase());
        }
        let message = "color must be of the form #rrggbb";
        let refused = refusal(&["color"], "INVALID", message, [None, None]);
        for color in [
            "", "#abc", "a0b1c2", "#a0b1c", "#a0b1cg", "#a0b1c2d", "##a0b1c", "red", "#輻射",
            "#a0b1c\0",
        ] {
            let input = json!({ "name": "n", "color": color });
            assert_eq!(
                refusals(&app, id("ada"), "createCategory", input).await,
                refused,
                "{color:?}"
            );
            let input = json!({ "id": category_id("work"), "color": color });
            assert_eq!(
                refusals(&app, id("ada"), "updateCategory", input).await,
                refused,
                "{color:?}"
            );
        }
    }

    async fn a_user_has_a_hundred_categories_and_no_more(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        let ada = user("ada");
        let categories = (1..=99).map(|n| category(&ada, &format!("c{n:03}"))).collect();
        app.insert(SeedRows { users: vec![ada.clone()], categories, ..SeedRows::default() }).await;
        // Ten at once find one place.
        let requests = (0..10).map(|n| {
            let input = json!({ "name": format!("new {n}"), "color": "#000000" });
            payload(
                &app,
                ada.id,
                "createCategory",
                input,
                "category { name } userErrors { field code max }",
            )
        });
        let responses = join_all(requests).await;
        let full = json!({
            "category": null,
            "userErrors": [{ "field": null, "code": "TOO_MANY", "max": 100 }],
        });
        assert_eq!(responses.iter().filter(|response| **response == full).count(), 9, "{responses:?}");
        assert_eq!(
            responses.iter().filter(|response| response["category"]["name"].is_string()).count(),
            1
        );
        let input = json!({ "name": "one more", "color": "#000000" });
        let message = "you have 100 categories, which is the most";
        assert_eq!(
            refusals(&app, ada.id, "createCategory", input.clone()).await,
            refusal(&[], "TOO_MANY", message, [None, Some(100)])
        );
        payload(&app, ada.id, "deleteCategory", json!({ "id": category_id("c001") }), USER_ERRORS)
            .await;
        assert_eq!(refusals(&app, ada.id, "createCategory", input).await, json!([]));
    }

    async fn a_deleted_category_leaves_its_readings(engine: Engine) {
        let app = start(engine).await;
        let ada = user("ada");
        let within = |name: &str| reading_sessions::Model {
            category_id: Some(id("work")),
            ..reading(&app, &ada, name, 1)
        };
        let archived =
            reading_sessions::Model { archived_at: Some(crate::support::app::at(5)), ..within("archived") };
        app.insert(rows(
            Vec::new(),
            vec![within("first"), archived, reading(&app, &ada, "outside", 1)],
        ))
        .await;
        let fields = "deletedCategoryId changedReadingCount viewer { categories { id } }
            userErrors { code }";
        assert_eq!(
            payload(&app, ada.id, "deleteCategory", json!({ "id": category_id("work") }), fields)
                .await,
            json!({
                "deletedCategoryId": category_id("work"), "changedReadingCount": 2,
                "viewer": { "categories": [] }, "userErrors": [],
            })
        );
        for (name, version) in [("first", 2), ("archived", 2), ("outside", 1)] {
            let query = format!(
                "{{ reading(id: {:?}) {{ question version category {{ id }} }} }}",
                reading_id(name)
            );
            assert_eq!(
                app.data_as(ada.id, &query).await["reading"],
                json!({ "question": name, "version": version, "category": null })
            );
        }
        let response = mutate(
            &app,
            Some(ada.id),
            "deleteCategory",
            &json!({ "id": category_id("work") }),
            fields,
        )
        .await;
        assert_eq!(response.body_without_request_id(), not_found("deleteCategory", "category"));
    }

    async fn categories_of_others_and_none_are_the_same(engine: Engine) {
        let app = start(engine).await;
        for name in ["his", "none"] {
            let category = category_id(name);
            for (mutation, input) in [
                ("updateCategory", json!({ "id": category, "name": "mine" })),
                ("deleteCategory", json!({ "id": category })),
            ] {
                let response = mutate(&app, Some(id("ada")), mutation, &input, USER_ERRORS).await;
                assert_eq!(
                    response.body_without_request_id(),
                    not_found(mutation, "category"),
                    "{name}"
                );
            }
            let query = format!("{{ node(id: {category:?}) {{ id }} }}");
            assert_eq!(app.data_as(id("ada"), &query).await["node"], Value::Null);
        }
        let query = "{ viewer { categories { name } } }";
        assert_eq!(
            app.data_as(id("bob"), query).await["viewer"]["categories"],
            json!([{ "name": "his" }])
        );
        for (mutation, input) in [
            ("createCategory", json!({ "name": "n", "color": "#000000" })),
            ("updateCategory", json!({ "id": category_id("work") })),
            ("deleteCategory", json!({ "id": category_id("work") })),
        ] {
            let response = mutate(&app, None, mutation, &input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), unauthenticated(mutation));
        }
    }

    async fn ten_requests_at_once_with_one_key_make_one_category(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let input = json!({ "name": "n", "color": "#000000", "idempotencyKey": "k" });
        let fields = "category { id name } userErrors { code }";
        let requests =
            (0..10).map(|_| payload(&app, id("ada"), "createCategory", input.clone(), fields));
        let responses = join_all(requests).await;
        assert_eq!(responses[0]["userErrors"], json!([]));
        assert!(responses.iter().all(|response| *response == responses[0]), "{responses:?}");
        assert_eq!(categories(&app, "name").await, json!([{ "name": "n" }]));

        let mut other = input.clone();
        other["color"] = "#000001".into();
        let response = mutate(&app, Some(id("ada")), "createCategory", &other, fields).await;
        let message = "`idempotencyKey` was used before with another input";
        let extensions = json!({ "code": "BAD_USER_INPUT", "argument": "idempotencyKey" });
        assert_eq!(
            response.body_without_request_id(),
            failure("createCategory", message, &extensions)
        );

        app.app.services.clock.advance(chrono::TimeDelta::days(1));
        let taken = refusal(&["name"], "TAKEN", "you have a category of this name", [None, None]);
        assert_eq!(refusals(&app, id("ada"), "createCategory", input).await, taken);
    }
}
