//! Users, and the visibility of their fields.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::domain::voice::VoiceKey;

use crate::support::app::{TestApp, at, on_both_databases};
use crate::support::fixtures::{id, private, reading, rows, user, user_id};

/// Ada with a value in every field, Bob with none, and an admin.
async fn people(app: &TestApp) {
    let ada = users::Model {
        display_name: Some("艾達 ✨".to_owned()),
        bio: Some("讀牌人。\nI read cards — \"slowly\".".to_owned()),
        faction: FactionKey::Minutemen,
        karma_score: 85,
        preferred_voice: VoiceKey::Ghoul,
        is_premium: true,
        created_at: at(0) + chrono::TimeDelta::microseconds(250_001),
        ..user("ada")
    };
    let admin = users::Model { is_admin: true, ..user("admin") };
    app.insert(rows(vec![ada, user("bob"), admin], Vec::new())).await;
}

const PUBLIC: &str = "id username displayName bio faction karma createdAt";
const PRIVATE: &str = "email isAdmin isPremium karmaScore preferredVoice";

on_both_databases! {
    async fn a_user_sees_every_field_of_their_own(engine: Engine) {
        let app = TestApp::start(engine).await;
        people(&app).await;
        let expected = json!({
            "id": user_id("ada"),
            "username": "ada",
            "displayName": "艾達 ✨",
            "bio": "讀牌人。\nI read cards — \"slowly\".",
            "faction": "MINUTEMEN",
            "karma": "GOOD",
            "createdAt": "2026-05-28T20:26:40.250001Z",
            "email": "ada@example.com",
            "isAdmin": false,
            "isPremium": true,
            "karmaScore": 85,
            "preferredVoice": "GHOUL",
        });
        let data = app
            .data_as(
                id("ada"),
                &format!(
                    "{{ viewer {{ ...U }} user(username: \"ada\") {{ ...U }}
                        node(id: {0:?}) {{ ...U }} nodes(ids: [{0:?}]) {{ ...U }} }}
                     fragment U on User {{ {PUBLIC} {PRIVATE} }}",
                    user_id("ada")
                ),
            )
            .await;
        assert_eq!(
            data,
            json!({ "viewer": expected, "user": expected, "node": expected, "nodes": [expected] })
        );
    }

    async fn empty_fields_of_a_user_are_null(engine: Engine) {
        let app = TestApp::start(engine).await;
        people(&app).await;
        assert_eq!(
            app.data(&format!("{{ user(username: \"bob\") {{ {PUBLIC} }} }}")).await["user"],
            json!({
                "id": user_id("bob"),
                "username": "bob",
                "displayName": null,
                "bio": null,
                "faction": "INDEPENDENT",
                "karma": "NEUTRAL",
                // A whole second has its six digits as well, so that texts sort as times do.
                "createdAt": "2026-05-28T20:26:40.000000Z",
            })
        );
    }

    async fn nobody_is_signed_in_without_a_token(engine: Engine) {
        let app = TestApp::start(engine).await;
        let response = app.query("{ viewer { id } }").await;
        assert_eq!(response.body, json!({ "data": { "viewer": null } }));
        assert_eq!(response.statements(), 0);
    }

    async fn private_fields_are_null_for_strangers_and_open_to_admins(engine: Engine) {
        let app = TestApp::start(engine).await;
        people(&app).await;
        let hidden = json!({
            "email": null, "isAdmin": null, "isPremium": null, "karmaScore": null,
            "preferredVoice": null,
        });
        let open = json!({
            "email": "ada@example.com", "isAdmin": false, "isPremium": true, "karmaScore": 85,
            "preferredVoice": "GHOUL",
        });
        for (viewer, expected) in [
            (None, &hidden),
            (Some(id("bob")), &hidden),
            (Some(id("ada")), &open),
            (Some(id("admin")), &open),
        ] {
            let query = format!(
                "{{ user(username: \"ada\") {{ {PRIVATE} }} node(id: {:?}) {{ ...U }} }}
                 fragment U on User {{ {PRIVATE} }}",
                user_id("ada")
            );
            let response = app.query_as_viewer(viewer, &query).await;
            assert_eq!(
                response.body,
                json!({ "data": { "user": expected, "node": expected } }),
                "{viewer:?}"
            );
        }
    }

    async fn an_admin_who_is_no_longer_one_is_a_stranger_at_once(engine: Engine) {
        let app = TestApp::start(engine).await;
        people(&app).await;
        let token = app.token_of(id("admin"));
        let body = json!({ "query": "{ user(username: \"ada\") { email } }" });
        let before = app.send(Some(&token), &body).await;
        assert_eq!(before.body, json!({ "data": { "user": { "email": "ada@example.com" } } }));

        users::Entity::update_many()
            .col_expr(users::Column::IsAdmin, Expr::value(false))
            .filter(users::Column::Id.eq(id("admin")))
            .exec(&app.database.connect().await)
            .await
            .expect("the admin is demoted");
        let after = app.send(Some(&token), &body).await;
        assert_eq!(after.body, json!({ "data": { "user": { "email": null } } }));
    }

    async fn karma_turns_at_its_thresholds(engine: Engine) {
        let app = TestApp::start(engine).await;
        let scores = [
            (0, "EVIL"),
            (30, "EVIL"),
            (31, "NEUTRAL"),
            (69, "NEUTRAL"),
            (70, "GOOD"),
            (100, "GOOD"),
        ];
        let people = scores
            .iter()
            .map(|(score, _)| users::Model { karma_score: *score, ..user(&format!("u{score}")) })
            .collect();
        app.insert(rows(people, Vec::new())).await;
        for (score, karma) in scores {
            let query = format!("{{ user(username: \"u{score}\") {{ karma }} }}");
            assert_eq!(app.data(&query).await, json!({ "user": { "karma": karma } }), "{score}");
        }
    }

    async fn a_username_is_found_however_it_is_typed(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("zoë"), user("陳小明"), user("a_b"), user("axb")], Vec::new()))
            .await;
        for (typed, found) in [
            ("zoë", "zoë"),
            ("ZOË", "zoë"),
            ("zoe\u{308}", "zoë"),
            (" Zoë ", "zoë"),
            ("陳小明", "陳小明"),
            ("a_b", "a_b"),
        ] {
            let data = app
                .query_with_variables(
                    "query ($u: String!) { user(username: $u) { username } }",
                    json!({ "u": typed }),
                )
                .await;
            assert_eq!(
                data.body,
                json!({ "data": { "user": { "username": found } } }),
                "{typed:?}"
            );
        }
        for missing in ["zoe", "", "%", "z_ë", "zoë\0"] {
            let data = app
                .query_with_variables(
                    "query ($u: String!) { user(username: $u) { id } }",
                    json!({ "u": missing }),
                )
                .await;
            assert_eq!(data.body, json!({ "data": { "user": null } }), "{missing:?}");
        }
    }

    async fn an_inactive_user_and_their_readings_are_found_by_nobody(engine: Engine) {
        let app = TestApp::start(engine).await;
        let gone = users::Model {
            is_active: false,
            display_name: Some("Gone".to_owned()),
            ..user("gone")
        };
        let admin = users::Model { is_admin: true, ..user("admin") };
        let readings = vec![reading(&app, &gone, "hope", 1)];
        app.insert(rows(vec![gone, admin], readings)).await;
        for viewer in [None, Some(id("admin"))] {
            let fetch = async |name: &str| {
                let object = user_id(name);
                let query = format!(
                    "{{ user(username: {name:?}) {{ id }} node(id: {object:?}) {{ id }}
                        nodes(ids: [{object:?}]) {{ id }} }}"
                );
                app.query_as_viewer(viewer, &query).await
            };
            let (inactive, missing) = (fetch("gone").await, fetch("none").await);
            assert_eq!(
                inactive.body,
                json!({ "data": { "user": null, "node": null, "nodes": [null] } })
            );
            assert_eq!(inactive.text, missing.text);
        }
        let query = "{ publicReadings { nodes { question user { username displayName email } } } }";
        assert_eq!(app.data(query).await["publicReadings"]["nodes"], json!([]));
    }

    async fn the_token_of_an_inactive_or_deleted_user_is_no_viewer(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![users::Model { is_active: false, ..user("gone") }], Vec::new())).await;
        for name in ["gone", "none"] {
            let response = app.query_as(id(name), "{ viewer { id } suits { suit } }").await;
            assert_eq!(
                response.body_without_request_id(),
                json!({
                    "data": {
                        "viewer": null,
                        "suits": [
                            { "suit": "MAJOR_ARCANA" }, { "suit": "NUKA_COLA_BOTTLES" },
                            { "suit": "COMBAT_WEAPONS" }, { "suit": "BOTTLE_CAPS" },
                            { "suit": "RADIATION_RODS" },
                        ],
                    },
                    "errors": [{
                        "message": "the access token belongs to no active user",
                        "locations": [{ "line": 1, "column": 3 }],
                        "path": ["viewer"],
                        "extensions": { "code": "UNAUTHENTICATED", "requestId": "ID" },
                    }],
                }),
                "{name}"
            );
        }
    }

    async fn a_user_without_readings_has_an_empty_list(engine: Engine) {
        let app = TestApp::start(engine).await;
        people(&app).await;
        let data = app
            .data(
                "{ user(username: \"bob\") { readings { totalCount edges { cursor } nodes { id }
                    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }",
            )
            .await;
        assert_eq!(
            data["user"]["readings"],
            json!({
                "totalCount": 0,
                "edges": [],
                "nodes": [],
                "pageInfo": {
                    "hasNextPage": false, "hasPreviousPage": false,
                    "startCursor": null, "endCursor": null,
                },
            })
        );
    }

    async fn the_list_of_a_user_holds_no_readings_of_others(engine: Engine) {
        let app = TestApp::start(engine).await;
        let (ada, bob) = (user("ada"), user("bob"));
        let readings = vec![
            reading(&app, &ada, "hers", 1),
            reading(&app, &bob, "his", 2),
            private(reading(&app, &bob, "his own", 3)),
        ];
        app.insert(rows(vec![ada, bob], readings)).await;
        let query =
            "{ ada: user(username: \"ada\") { ...R } bob: user(username: \"bob\") { ...R } }
            fragment R on User { readings { totalCount nodes { question } } }";
        let list = |questions: &[&str]| {
            let nodes: Vec<Value> =
                questions.iter().map(|question| json!({ "question": question })).collect();
            json!({ "readings": { "totalCount": questions.len(), "nodes": nodes } })
        };
        assert_eq!(app.data(query).await, json!({ "ada": list(&["hers"]), "bob": list(&["his"]) }));
        assert_eq!(
            app.data_as(id("bob"), query).await,
            json!({ "ada": list(&["hers"]), "bob": list(&["his own", "his"]) })
        );
    }
}
