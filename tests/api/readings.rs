//! Readings and the cards drawn in them, and the visibility of their fields.

use chrono::TimeDelta;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::columns::{LocalizedText, TextList};
use wasteland_tarot::db::entities::{
    reading_cards, reading_categories, reading_sessions, spread_position_texts, spread_templates,
    users,
};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::card::Orientation;
use wasteland_tarot::domain::locale::{Locale, Localized};
use wasteland_tarot::domain::reading::{Karma, PrivacyLevel};
use wasteland_tarot::domain::voice::VoiceKey;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{Content, TestApp, TestDatabase, at, on_both_databases};
use crate::support::fixtures::{
    card, card_id, category, category_id, drawn_card, drawn_cards, id, private, reading,
    reading_id, rows, spread, spread_id, user, user_id,
};

const OPEN: &str = "id version question spread { id } spreadType characterVoice voice { key }
    karmaContext tags privacyLevel focusArea radiationFactor locale interpretation summary
    createdAt updatedAt user { id }
    cards { id position positionName zhName: positionName(locale: ZH_HANT) positionMeaning
        zhMeaning: positionMeaning(locale: ZH_HANT) orientation
        card { id } meaning interpretation }";
const OWNERS: &str =
    "notes isFavorite archivedAt category { id name color icon description readingCount }
    moodBefore moodAfter feedback satisfactionRating accuracyRating helpfulRating";

/// A public reading of Ada's with a value in every field.
async fn full_reading(app: &TestApp) {
    let (ada, bob) = (user("ada"), user("bob"));
    let admin = users::Model { is_admin: true, ..user("admin") };
    let work = reading_categories::Model {
        icon: Some("briefcase".to_owned()),
        description: Some("工作 & pay".to_owned()),
        ..category(&ada, "work")
    };
    let spread = spread(app, "vault_tec_spread");
    let full = reading_sessions::Model {
        spread_template_id: spread.id,
        spread_type: spread.spread_type,
        character_voice: VoiceKey::RailroadAgent,
        karma_context: Karma::Evil,
        question: "愛情會來嗎？ 🏚️\n\"Will it?\" — \\n".to_owned(),
        focus_area: Some("愛情".to_owned()),
        notes: Some("筆記\twith a tab".to_owned()),
        tags: TextList(
            ["zeta", "愛", "👩\u{200d}🚀", "a\"b\\c", "e\u{301}"].map(str::to_owned).into(),
        ),
        category_id: Some(work.id),
        radiation_factor: 0.15,
        interpretation: "整體的話。".to_owned(),
        summary: "一句話。".to_owned(),
        locale: Locale::ZhHant,
        mood_before: Some("anxious".to_owned()),
        mood_after: Some("平靜".to_owned()),
        is_favorite: true,
        archived_at: Some(at(300)),
        user_satisfaction: Some(5),
        accuracy_rating: Some(1),
        helpful_rating: Some(3),
        user_feedback: Some("準。".to_owned()),
        version: 7,
        created_at: at(1) + TimeDelta::microseconds(7),
        updated_at: at(2) + TimeDelta::microseconds(999_999),
        ..reading(app, &ada, "full", 1)
    };
    let mut drawn =
        drawn_cards(app, &full, &["major_arcana_13", "bottle_caps_11", "radiation_rods_07"]);
    drawn[1].orientation = Orientation::Reversed;
    // The other folder's readings and others' readings in no folder are not counted.
    let other = reading_sessions::Model {
        category_id: Some(work.id),
        ..private(reading(app, &ada, "other", 0))
    };
    let none = reading(app, &ada, "none", 0);
    app.insert(SeedRows {
        categories: vec![work, category(&ada, "empty")],
        users: vec![ada, bob, admin],
        readings: vec![full, other, none],
        drawn_cards: drawn,
    })
    .await;
}

/// The questions of a list of readings.
fn questions(nodes: &Value) -> Vec<&str> {
    let nodes = nodes.as_array().expect("readings");
    nodes.iter().map(|node| node["question"].as_str().expect("a question")).collect()
}

on_both_databases! {
    async fn a_reading_returns_every_field_to_its_owner(engine: Engine) {
        let app = TestApp::start(engine).await;
        full_reading(&app).await;
        let full = reading_id("full");
        let query = format!("{{ reading(id: {full:?}) {{ {OPEN} {OWNERS} }} }}");
        let mut data = app.data_as(id("ada"), &query).await;
        let cards = data["reading"]["cards"].take();
        assert_eq!(
            data["reading"],
            json!({
                "id": full,
                "version": 7,
                "question": "愛情會來嗎？ 🏚️\n\"Will it?\" — \\n",
                "spread": { "id": spread_id(&app, "vault_tec_spread") },
                "spreadType": "VAULT_TEC_SPREAD",
                "characterVoice": "RAILROAD_AGENT",
                "voice": { "key": "RAILROAD_AGENT" },
                "karmaContext": "EVIL",
                "tags": ["zeta", "愛", "👩\u{200d}🚀", "a\"b\\c", "e\u{301}"],
                "privacyLevel": "PUBLIC",
                "focusArea": "愛情",
                "radiationFactor": 0.15,
                "locale": "ZH_HANT",
                "interpretation": "整體的話。",
                "summary": "一句話。",
                "createdAt": "2026-05-28T20:26:41.000007Z",
                "updatedAt": "2026-05-28T20:26:42.999999Z",
                "user": { "id": user_id("ada") },
                "cards": null,
                "notes": "筆記\twith a tab",
                "isFavorite": true,
                "archivedAt": "2026-05-28T20:31:40.000000Z",
                "category": {
                    "id": category_id("work"),
                    "name": "work",
                    "color": "#a0b1c2",
                    "icon": "briefcase",
                    "description": "工作 & pay",
                    "readingCount": 2,
                },
                "moodBefore": "anxious",
                "moodAfter": "平靜",
                "feedback": "準。",
                "satisfactionRating": 5,
                "accuracyRating": 1,
                "helpfulRating": 3,
            })
        );
        let place = |position: i16, orientation: &str, code: &str, meaning: &str| {
            json!({
                "id": GlobalId::DrawnCard(id("full"), position).encode().to_string(),
                "position": position,
                "positionName": format!("Place {position}"),
                "zhName": format!("位置{position}"),
                "positionMeaning": format!("What place {position}"),
                "zhMeaning": format!("位置的意義{position}"),
                "orientation": orientation,
                "card": { "id": card_id(&app, code) },
                "meaning": meaning,
                "interpretation": format!("What is said of {code}."),
            })
        };
        let text = |code| card(&app, code).texts.get(Locale::En).clone();
        assert_eq!(
            cards,
            json!([
                place(1, "UPRIGHT", "major_arcana_13", &text("major_arcana_13").upright),
                place(2, "REVERSED", "bottle_caps_11", &text("bottle_caps_11").reversed),
                place(3, "UPRIGHT", "radiation_rods_07", &text("radiation_rods_07").upright),
            ])
        );
    }

    async fn absent_fields_of_a_reading_are_null_to_its_owner(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        app.insert(rows(vec![ada.clone()], vec![private(reading(&app, &ada, "bare", 1))])).await;
        let query = format!(
            "{{ reading(id: {:?}) {{ focusArea tags radiationFactor cards {{ id }} {OWNERS} }} }}",
            reading_id("bare")
        );
        assert_eq!(
            app.data_as(id("ada"), &query).await["reading"],
            json!({
                "focusArea": null, "tags": [], "radiationFactor": 0.5, "cards": [],
                "notes": null, "isFavorite": false, "archivedAt": null, "category": null,
                "moodBefore": null, "moodAfter": null, "feedback": null,
                "satisfactionRating": null, "accuracyRating": null, "helpfulRating": null,
            })
        );
    }

    async fn owner_only_fields_are_null_to_everyone_else(engine: Engine) {
        let app = TestApp::start(engine).await;
        full_reading(&app).await;
        let full = reading_id("full");
        for viewer in [None, Some(id("bob")), Some(id("admin"))] {
            let query = format!(
                "{{ reading(id: {full:?}) {{ question {OWNERS} }} node(id: {full:?}) {{ ...R }} }}
                 fragment R on Reading {{ question {OWNERS} }}"
            );
            let response = app.query_as_viewer(viewer, &query).await;
            let expected = json!({
                "question": "愛情會來嗎？ 🏚️\n\"Will it?\" — \\n",
                "notes": null, "isFavorite": null, "archivedAt": null, "category": null,
                "moodBefore": null, "moodAfter": null, "feedback": null,
                "satisfactionRating": null, "accuracyRating": null, "helpfulRating": null,
            });
            assert_eq!(
                response.body,
                json!({ "data": { "reading": expected, "node": expected } }),
                "{viewer:?}"
            );
        }
    }

    async fn privacy_and_archiving_decide_visibility_by_id_and_in_lists(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let archived = |reading| reading_sessions::Model { archived_at: Some(at(100)), ..reading };
        let make = |name, seconds| reading(&app, &ada, name, seconds);
        let friends =
            |reading| reading_sessions::Model { privacy_level: PrivacyLevel::Friends, ..reading };
        let readings = vec![
            make("public", 1),
            private(make("private", 2)),
            friends(make("friends", 3)),
            archived(make("public archived", 4)),
            archived(private(make("private archive", 5))),
            archived(friends(make("friends archive", 6))),
            make("public 2", 7),
        ];
        let names: Vec<String> = readings.iter().map(|reading| reading.question.clone()).collect();
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(rows(vec![ada.clone(), user("bob"), admin], readings)).await;

        // By an id a public reading is found even if it is archived; lists leave archived ones out.
        let to_others: &[&str] = &["public", "public archived", "public 2"];
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        for (viewer, by_id, of_user) in [
            (None, to_others, &["public 2", "public"] as &[&str]),
            (Some("bob"), to_others, &["public 2", "public"]),
            (Some("admin"), to_others, &["public 2", "public"]),
            (Some("ada"), &all, &["public 2", "friends", "private", "public"]),
        ] {
            let viewer = viewer.map(id);
            for name in &names {
                let object = reading_id(name);
                let query = format!(
                    "{{ reading(id: {object:?}) {{ question }}
                        node(id: {object:?}) {{ ...R }} nodes(ids: [{object:?}]) {{ ...R }} }}
                     fragment R on Reading {{ question }}"
                );
                let found = if by_id.contains(&name.as_str()) {
                    json!({ "question": name })
                } else {
                    Value::Null
                };
                assert_eq!(
                    app.query_as_viewer(viewer, &query).await.body,
                    json!({ "data": { "reading": found, "node": found, "nodes": [found] } }),
                    "{viewer:?} {name}"
                );
            }
            let response = app
                .query_as_viewer(
                    viewer,
                    "{ user(username: \"ada\") { readings { totalCount nodes { question } } }
                        publicReadings { totalCount nodes { question } } }",
                )
                .await;
            let (own, public) = (
                &response.body["data"]["user"]["readings"],
                &response.body["data"]["publicReadings"],
            );
            assert_eq!(questions(&own["nodes"]), of_user, "{viewer:?}");
            assert_eq!(own["totalCount"], of_user.len(), "{viewer:?}");
            assert_eq!(questions(&public["nodes"]), ["public 2", "public"], "{viewer:?}");
            assert_eq!(public["totalCount"], 2, "{viewer:?}");
        }
    }

    async fn a_private_reading_and_none_get_the_same_response(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let hidden = private(reading(&app, &ada, "hidden", 1));
        let friends = reading_sessions::Model {
            privacy_level: PrivacyLevel::Friends,
            ..reading(&app, &ada, "friend", 2)
        };
        let drawn = vec![drawn_card(&app, &hidden, 1, "major_arcana_00")];
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(SeedRows {
            users: vec![ada, user("bob"), admin],
            readings: vec![hidden, friends],
            drawn_cards: drawn,
            ..SeedRows::default()
        })
        .await;
        for viewer in [None, Some(id("bob")), Some(id("admin"))] {
            for query in [
                "{ reading(id: ID) { question cards { id } user { id } } }",
                "{ node(id: ID) { id __typename } }",
                "{ nodes(ids: [ID]) { id __typename } }",
            ] {
                let fetch = async |name: &str| {
                    let object = format!("{:?}", reading_id(name));
                    app.query_as_viewer(viewer, &query.replace("ID", &object)).await
                };
                let missing = fetch("absent").await;
                for name in ["hidden", "friend"] {
                    let hidden = fetch(name).await;
                    assert_eq!(hidden.text, missing.text, "{viewer:?} {query}");
                    assert_eq!(hidden.status, missing.status);
                    assert_eq!(hidden.statements(), missing.statements());
                    assert_eq!(hidden.body.get("errors"), None);
                    // They name the requested id, there or not.
                    let keys = |response: &crate::support::app::TestResponse, name: &str| {
                        response.header("surrogate-key").replace(&id(name).to_string(), "ID")
                    };
                    assert_eq!(keys(&hidden, name), keys(&missing, "absent"));
                    let differing = |response: &crate::support::app::TestResponse| {
                        let mut headers = response.headers.clone();
                        for name in ["x-request-id", "server-timing", "date", "surrogate-key"] {
                            headers.remove(name);
                        }
                        headers
                    };
                    assert_eq!(differing(&hidden), differing(&missing));
                }
            }
        }
    }

    async fn hidden_readings_leave_no_trace_in_the_flags_and_counts_of_lists(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let readings = vec![
            private(reading(&app, &ada, "older", 1)),
            reading(&app, &ada, "public", 2),
            private(reading(&app, &ada, "newer", 3)),
        ];
        app.insert(rows(vec![ada], readings)).await;
        let query = "{ user(username: \"ada\") { readings(first: 1) { ...L } }
                publicReadings(first: 1) { ...L } }
            fragment L on ReadingConnection { totalCount edges { cursor node { question } }
                pageInfo { hasNextPage hasPreviousPage } }";
        let data = app.data(query).await;
        for list in [&data["user"]["readings"], &data["publicReadings"]] {
            assert_eq!(list["totalCount"], 1);
            assert_eq!(list["edges"][0]["node"]["question"], "public");
            let flags = json!({ "hasNextPage": false, "hasPreviousPage": false });
            assert_eq!(list["pageInfo"], flags);
        }
        // Past the cursor of the only visible reading there is nothing either, on both sides.
        let cursor = &data["user"]["readings"]["edges"][0]["cursor"];
        let query = format!(
            "{{ user(username: \"ada\") {{
                after: readings(after: {cursor}) {{ nodes {{ id }} pageInfo {{ hasNextPage }} }}
                before: readings(before: {cursor}) {{ nodes {{ id }}
                    pageInfo {{ hasPreviousPage }} }}
            }} }}"
        );
        assert_eq!(
            app.data(&query).await["user"],
            json!({
                "after": { "nodes": [], "pageInfo": { "hasNextPage": false } },
                "before": { "nodes": [], "pageInfo": { "hasPreviousPage": false } },
            })
        );
    }

    async fn a_spread_still_resolves_in_a_reading_after_it_was_deactivated(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        spread_templates::Entity::update_many()
            .col_expr(spread_templates::Column::IsActive, Expr::value(false))
            .filter(spread_templates::Column::Name.eq("single_wasteland"))
            .exec(&database.connect().await)
            .await
            .expect("the spread is deactivated");
        let app = TestApp::start_on(database, &[]).await;
        let ada = user("ada");
        app.insert(rows(vec![ada.clone()], vec![reading(&app, &ada, "hope", 1)])).await;
        assert_eq!(
            app.data(
                "{ publicReadings { nodes { spreadType spread { name isActive cardCount } } } }"
            )
            .await["publicReadings"]["nodes"],
            json!([{
                "spreadType": "SINGLE_WASTELAND",
                "spread": { "name": "single_wasteland", "isActive": false, "cardCount": 1 },
            }])
        );
    }

    async fn positions_have_their_old_texts_after_the_spread_was_edited(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        spread_position_texts::Entity::update_many()
            .col_expr(spread_position_texts::Column::Name, Expr::value("Rewritten"))
            .exec(&database.connect().await)
            .await
            .expect("the positions are renamed");
        let app = TestApp::start_on(database, &[]).await;
        let ada = user("ada");
        let hope = reading(&app, &ada, "hope", 1);
        let drawn = reading_cards::Model {
            position_name: LocalizedText(Localized::new(
                "Answer".to_owned(),
                Some("答案".to_owned()),
            )),
            ..drawn_card(&app, &hope, 1, "major_arcana_00")
        };
        app.insert(SeedRows {
            users: vec![ada],
            readings: vec![hope],
            drawn_cards: vec![drawn],
            ..SeedRows::default()
        })
        .await;
        let data = app
            .data(
                "{ publicReadings { nodes { spread { positions { name } }
                    cards { positionName zh: positionName(locale: ZH_HANT) } } } }",
            )
            .await;
        assert_eq!(
            data["publicReadings"]["nodes"],
            json!([{
                "spread": { "positions": [{ "name": "Rewritten" }] },
                "cards": [{ "positionName": "Answer", "zh": "答案" }],
            }])
        );
    }

    async fn a_position_stored_in_english_only_is_english(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let hope = reading(&app, &ada, "hope", 1);
        let drawn = reading_cards::Model {
            position_name: LocalizedText(Localized::new("Answer".to_owned(), None)),
            ..drawn_card(&app, &hope, 1, "major_arcana_00")
        };
        app.insert(SeedRows {
            users: vec![ada],
            readings: vec![hope],
            drawn_cards: vec![drawn],
            ..SeedRows::default()
        })
        .await;
        let query = "{ publicReadings { nodes { cards {
            positionName(locale: ZH_HANT) meaning(locale: ZH_HANT) } } } }";
        let fool = card(&app, "major_arcana_00");
        let zh = &fool.texts.get(Locale::ZhHant).upright;
        assert_eq!(
            app.data(query).await["publicReadings"]["nodes"],
            json!([{ "cards": [{ "positionName": "Answer", "meaning": zh }] }])
        );
    }

    async fn cards_come_in_the_order_of_their_positions(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let hope = reading(&app, &ada, "hope", 1);
        let codes: Vec<String> =
            (0..15).map(|number| format!("major_arcana_{number:02}")).collect();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let mut drawn = drawn_cards(&app, &hope, &codes);
        drawn.reverse();
        app.insert(SeedRows {
            users: vec![ada],
            readings: vec![hope],
            drawn_cards: drawn,
            ..SeedRows::default()
        })
        .await;
        let data =
            app.data("{ publicReadings { nodes { cards { position card { code } } } } }").await;
        let expected: Vec<Value> = (1..)
            .zip(&codes)
            .map(|(position, code)| json!({ "position": position, "card": { "code": code } }))
            .collect();
        assert_eq!(data["publicReadings"]["nodes"][0]["cards"], json!(expected));
    }

    async fn numbers_come_out_as_they_were_written(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let factors = [0.0, 0.1, 0.15, 1.0 / 3.0, 0.7, 0.95, 1.0];
        let readings = (0_i32..)
            .zip(factors)
            .map(|(n, factor)| reading_sessions::Model {
                radiation_factor: factor,
                ..reading(&app, &ada, &format!("r{n}"), -i64::from(n))
            })
            .collect();
        app.insert(rows(vec![ada.clone()], readings)).await;
        let response = app.query("{ publicReadings { nodes { radiationFactor } } }").await;
        let expected: Vec<String> =
            factors.iter().map(|factor| format!("{{\"radiationFactor\":{factor:?}}}")).collect();
        assert_eq!(
            response.text,
            format!("{{\"data\":{{\"publicReadings\":{{\"nodes\":[{}]}}}}}}", expected.join(","))
        );
    }

    async fn an_owner_reads_their_private_list_by_id_in_any_number(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let readings =
            (1..=100).map(|n| private(reading(&app, &ada, &format!("r{n:03}"), n))).collect();
        app.insert(rows(vec![ada], readings)).await;
        let ids: Vec<String> = (1..=100).map(|n| reading_id(&format!("r{n:03}"))).collect();
        let query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        let fetch = async |user: Uuid| {
            let token = app.token_of(user);
            let body = json!({ "query": query, "variables": { "ids": ids } });
            app.send(Some(&token), &body).await
        };
        let own = fetch(id("ada")).await;
        let expected: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        assert_eq!(own.body, json!({ "data": { "nodes": expected } }));
        assert_eq!(own.statements(), 1);
        let others = fetch(id("bob")).await;
        assert_eq!(others.body, json!({ "data": { "nodes": vec![Value::Null; 100] } }));
    }

    async fn the_id_of_another_type_is_rejected_as_a_reading(engine: Engine) {
        let app = TestApp::start(engine).await;
        let object = user_id("ada");
        let response = app.query(&format!("{{ reading(id: {object:?}) {{ id }} }}")).await;
        assert_eq!(
            response.body_without_request_id(),
            json!({
                "data": { "reading": null },
                "errors": [{
                    "message": "`id` must be the id of a Reading; it is the id of a User",
                    "locations": [{ "line": 1, "column": 3 }],
                    "path": ["reading"],
                    "extensions": {
                        "code": "BAD_USER_INPUT", "argument": "id", "requestId": "ID"
                    },
                }],
            })
        );
    }
}
