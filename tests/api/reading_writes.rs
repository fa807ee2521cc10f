//! Making, changing and deleting readings.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::{
    daily_usage, idempotency_keys, reading_cards, reading_sessions, reading_shares, users,
};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::card::Orientation;
use wasteland_tarot::domain::interpretation::{PlacedCard, interpret_reading};
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::domain::reading::Karma;
use wasteland_tarot::domain::voice::VoiceKey;
use wasteland_tarot::services::maintenance::sweep;

use crate::http::response_too_large;
use crate::support::app::{TestApp, data_of, on_both_databases, send_request};
use crate::support::fixtures::{
    card, category, category_id, crowd, drawn_cards, id, private, reading, reading_id, rows,
    spread, spread_id, user, user_id,
};
use crate::support::mutations::{
    USER_ERRORS, failure, mutate, not_found, payload, refusal, refusals, unauthenticated,
};

const FIELDS: &str = "id version question spread { id } spreadType characterVoice voice { key }
    karmaContext tags privacyLevel focusArea radiationFactor locale interpretation summary
    createdAt updatedAt user { id } notes isFavorite archivedAt category { id } moodBefore moodAfter
    feedback satisfactionRating accuracyRating helpfulRating shareLinks { id }
    cards { position positionName zhName: positionName(locale: ZH_HANT) positionMeaning
        zhMeaning: positionMeaning(locale: ZH_HANT) orientation card { code } interpretation }";

/// Numbers of readings that the viewer has made, and has.
const MADE: &str = "{ viewer { readingQuota { used } readings { totalCount } } }";

/// A server with Ada, who has a folder, and Bob, who has one as well. They may make many readings.
async fn start(engine: crate::support::app::Engine) -> TestApp {
    let app = TestApp::start_with(engine, &["--daily-readings=500"]).await;
    let (ada, bob) = (user("ada"), user("bob"));
    app.insert(SeedRows {
        categories: vec![category(&ada, "work"), category(&bob, "his")],
        users: vec![ada, bob],
        ..SeedRows::default()
    })
    .await;
    app
}

/// The least that a reading takes.
fn least(app: &TestApp) -> Value {
    json!({ "question": "Will it rain?", "spreadId": spread_id(app, "single_wasteland") })
}

/// The input with these fields as well.
fn with(mut input: Value, more: &Value) -> Value {
    let fields = more.as_object().expect("fields");
    input.as_object_mut().expect("an input").extend(fields.clone());
    input
}

/// Makes a reading of Ada's; returns its id.
async fn make(app: &TestApp, more: &Value) -> String {
    let input = with(least(app), more);
    let made =
        payload(app, id("ada"), "createReading", input, "reading { id } userErrors { message }")
            .await;
    made["reading"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// The fields of a reading of Ada's.
async fn read(app: &TestApp, reading: &str) -> Value {
    let query = format!("{{ reading(id: {reading:?}) {{ {FIELDS} }} }}");
    app.data_as(id("ada"), &query).await["reading"].take()
}

/// Puts the clock to the noon of tomorrow, so that no day ends during a test.
fn to_noon(app: &TestApp) -> DateTime<Utc> {
    let clock = &app.app.services.clock;
    let now = clock.now();
    let noon = NaiveTime::from_hms_opt(12, 0, 0).expect("a time");
    let tomorrow = (now.date_naive() + TimeDelta::days(1)).and_time(noon).and_utc();
    clock.advance(tomorrow - now);
    tomorrow
}

fn midnight_after(time: DateTime<Utc>) -> String {
    format!("{}T00:00:00.000000Z", time.date_naive() + TimeDelta::days(1))
}

/// The cards that a full reading must have, and its texts, given the draw.
fn expected_words(app: &TestApp, cards: &Value, locale: Locale) -> (Value, String, String) {
    let catalogue = app.app.services.catalogue();
    let spread = spread(app, "vault_tec_spread");
    let drawn: Vec<_> = cards
        .as_array()
        .expect("cards")
        .iter()
        .map(|drawn| {
            let orientation = match drawn["orientation"].as_str() {
                Some("UPRIGHT") => Orientation::Upright,
                Some("REVERSED") => Orientation::Reversed,
                other => panic!("{other:?}"),
            };
            (card(app, drawn["card"]["code"].as_str().expect("a code")), orientation)
        })
        .collect();
    let lying: Vec<_> = drawn
        .iter()
        .map(|(card, orientation)| PlacedCard { card, orientation: *orientation })
        .collect();
    let voice = catalogue.voice(VoiceKey::Ghoul).expect("a voice");
    let said = interpret_reading(voice, &spread, &lying, Karma::Evil, locale);
    let places = spread.positions.iter().zip(&drawn).zip(said.cards);
    let cards = places.map(|((position, (card, orientation)), interpretation)| {
        let (en, zh) = (position.texts.get(Locale::En), position.texts.get(Locale::ZhHant));
        json!({
            "position": position.number,
            "positionName": en.name, "zhName": zh.name,
            "positionMeaning": en.meaning, "zhMeaning": zh.meaning,
            "orientation": orientation.as_str().to_uppercase(),
            "card": { "code": card.code },
            "interpretation": interpretation,
        })
    });
    (cards.collect(), said.overall, said.summary)
}

on_both_databases! {
    /// Absence of `data` says that nothing was executed, so it is there.
    async fn a_reading_whose_response_is_too_large_is_stored_and_its_data_is_null(engine: Engine) {
        let app = TestApp::start_with(engine, &["--max-response-bytes=4000"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let query = "mutation ($input: CreateReadingInput!) { createReading(input: $input) {
            reading { a: notes b: notes c: notes d: notes e: notes } } }";
        let input = with(least(&app), &json!({ "notes": "n".repeat(1_000) }));
        let body = json!({ "query": query, "variables": { "input": input } });
        let token = app.token_of(id("ada"));
        let media_types = ["application/graphql-response+json", "application/json"];
        for (stored, media_type) in (1..).zip(media_types) {
            let request = app.request(reqwest::Method::POST, "/graphql").bearer_auth(&token);
            let request = request.header("accept", media_type);
            let request = request.header("content-type", "application/json");
            let response = send_request(request.body(body.to_string())).await;
            assert_eq!(response.status, 200);
            assert!(response.header("content-type").starts_with(media_type));
            assert_eq!(response.body_without_request_id(), response_too_large(4_000));
            let viewer = json!({ "readingQuota": { "used": stored }, "readings": { "totalCount": stored } });
            assert_eq!(app.data_as(id("ada"), MADE).await, json!({ "viewer": viewer }));
        }
    }

    /// All fields, times to the microsecond included.
    async fn what_a_mutation_returns_is_what_is_stored(engine: Engine) {
        let app = start(engine).await;
        let fields = format!("reading {{ {FIELDS} }} userErrors {{ message }}");
        let input = with(least(&app), &json!({ "notes": "n", "radiationFactor": 0.1 }));
        let made = payload(&app, id("ada"), "createReading", input, &fields).await;
        let reading = made["reading"]["id"].as_str().expect("an id").to_owned();
        assert_eq!(read(&app, &reading).await, made["reading"]);

        let input = json!({ "id": reading, "question": "Will it snow?", "satisfactionRating": 5 });
        let changed = payload(&app, id("ada"), "updateReading", input, &fields).await;
        assert_ne!(changed["reading"], made["reading"]);
        assert_eq!(read(&app, &reading).await, changed["reading"]);
    }

    async fn a_reading_is_composed_of_its_input_in_its_language(engine: Engine) {
        let app = start(engine).await;
        for (locale, name) in [(Locale::En, "EN"), (Locale::ZhHant, "ZH_HANT")] {
            let input = json!({
                "question": "愛情會來嗎？\n\"Will it?\"", "spreadId": spread_id(&app, "vault_tec_spread"),
                "characterVoice": "GHOUL", "karmaContext": "EVIL", "focusArea": "愛情",
                "notes": "a\tnote", "tags": ["愛", "b"], "categoryId": category_id("work"),
                "moodBefore": "anxious", "radiationFactor": 0.25, "privacyLevel": "PUBLIC",
                "locale": name,
            });
            let fields = format!("reading {{ {FIELDS} }} {USER_ERRORS}");
            let made = payload(&app, id("ada"), "createReading", input, &fields).await;
            assert_eq!(made["userErrors"], json!([]));
            let got = &made["reading"];
            let (cards, interpretation, summary) = expected_words(&app, &got["cards"], locale);
            assert_eq!(
                *got,
                json!({
                    "id": got["id"], "version": 1,
                    "question": "愛情會來嗎？\n\"Will it?\"",
                    "spread": { "id": spread_id(&app, "vault_tec_spread") },
                    "spreadType": "VAULT_TEC_SPREAD", "characterVoice": "GHOUL",
                    "voice": { "key": "GHOUL" }, "karmaContext": "EVIL", "tags": ["愛", "b"],
                    "privacyLevel": "PUBLIC", "focusArea": "愛情", "radiationFactor": 0.25,
                    "locale": name, "interpretation": interpretation, "summary": summary,
                    "createdAt": got["createdAt"], "updatedAt": got["createdAt"],
                    "user": { "id": user_id("ada") }, "notes": "a\tnote", "isFavorite": false,
                    "archivedAt": null, "category": { "id": category_id("work") },
                    "moodBefore": "anxious", "moodAfter": null, "feedback": null,
                    "satisfactionRating": null, "accuracyRating": null, "helpfulRating": null,
                    "shareLinks": [], "cards": cards,
                })
            );
            // The response is the stored reading.
            assert_eq!(read(&app, got["id"].as_str().expect("an id")).await, *got);
            assert_eq!(cards.as_array().expect("cards").len(), 3);
        }
    }

    async fn defaults_of_a_reading_come_from_the_viewer(engine: Engine) {
        let app = TestApp::start(engine).await;
        let person = |name: &str, karma_score, preferred_voice| users::Model {
            karma_score,
            preferred_voice,
            ..user(name)
        };
        let people = [
            (person("good", 70, VoiceKey::Raider), "GOOD", "RAIDER"),
            (person("plain", 69, VoiceKey::PipBoy), "NEUTRAL", "PIP_BOY"),
            (person("evil", 30, VoiceKey::Codsworth), "EVIL", "CODSWORTH"),
        ];
        app.insert(rows(people.iter().map(|(row, ..)| row.clone()).collect(), Vec::new())).await;
        for (person, karma, voice) in people {
            let fields = "reading { karmaContext characterVoice tags privacyLevel radiationFactor
                locale notes focusArea moodBefore category { id } }";
            let made = payload(&app, person.id, "createReading", least(&app), fields).await;
            assert_eq!(
                made["reading"],
                json!({
                    "karmaContext": karma, "characterVoice": voice, "tags": [],
                    "privacyLevel": "PRIVATE", "radiationFactor": 0.5, "locale": "EN",
                    "notes": null, "focusArea": null, "moodBefore": null, "category": null,
                })
            );
        }
    }

    async fn texts_are_trimmed_and_composed_and_tags_are_there_once(engine: Engine) {
        let app = start(engine).await;
        let input = json!({
            "question": "  cafe\u{301}? \n", "notes": " \n ", "focusArea": "",
            "tags": [" love ", "love", "cafe\u{301}", "café", "Love", "愛"],
        });
        let made = read(&app, &make(&app, &input).await).await;
        assert_eq!(made["question"], "café?");
        // An empty text is none.
        assert_eq!(made["notes"], Value::Null);
        assert_eq!(made["focusArea"], Value::Null);
        assert_eq!(made["tags"], json!(["love", "café", "Love", "愛"]));
    }

    async fn every_text_of_a_new_reading_has_its_limit(engine: Engine) {
        let app = start(engine).await;
        for (field, min, max) in
            [("question", 1, 500), ("notes", 0, 1000), ("focusArea", 0, 100), ("moodBefore", 0, 50)]
        {
            // Characters are counted, not bytes.
            let text = |length: usize| json!({ field: "輻".repeat(length) });
            let made = read(&app, &make(&app, &text(max)).await).await;
            assert_eq!(made[field], "輻".repeat(max));
            let message = format!("{field} has {} characters; it must have at most {max}", max + 1);
            assert_eq!(
                refusals(&app, id("ada"), "createReading", with(least(&app), &text(max + 1))).await,
                refusal(&[field], "TOO_LONG", &message, [Some(min), i32::try_from(max).ok()])
            );
        }
        for empty in ["", " \n\t"] {
            let input = with(least(&app), &json!({ "question": empty }));
            assert_eq!(
                refusals(&app, id("ada"), "createReading", input).await,
                refusal(&["question"], "REQUIRED", "question is missing", [None, None])
            );
        }
    }

    async fn tags_of_a_new_reading_have_their_limits(engine: Engine) {
        let app = start(engine).await;
        let tags = |count: i32| (0..count).map(|n| format!("tag {n}")).collect::<Vec<_>>();
        let longest = "輻".repeat(50);
        let made = make(&app, &json!({ "tags": [longest] })).await;
        assert_eq!(read(&app, &made).await["tags"], json!([longest]));
        // One that comes twice counts once.
        let twenty: Vec<_> = tags(20).into_iter().chain(["tag 7".to_owned()]).collect();
        let made = make(&app, &json!({ "tags": twenty })).await;
        assert_eq!(read(&app, &made).await["tags"], json!(tags(20)));

        let refused = async |tags: Value| {
            let input = with(least(&app), &json!({ "tags": tags }));
            refusals(&app, id("ada"), "createReading", input).await
        };
        assert_eq!(
            refused(json!(tags(21))).await,
            refusal(&["tags"], "TOO_MANY", "tags has 21 tags; it must have at most 20", [None, Some(20)])
        );
        assert_eq!(
            refused(json!(["a", "輻".repeat(51)])).await,
            refusal(
                &["tags", "1"],
                "TOO_LONG",
                "tags[1] has 51 characters; it must have at most 50",
                [Some(1), Some(50)]
            )
        );
        assert_eq!(
            refused(json!(["a", "b", " "])).await,
            refusal(&["tags", "2"], "REQUIRED", "tags[2] is missing", [None, None])
        );
    }

    async fn characters_that_cannot_be_shown_are_rejected(engine: Engine) {
        let app = start(engine).await;
        for (field, has_lines) in
            [("question", true), ("notes", true), ("focusArea", false), ("moodBefore", false)]
        {
            let message = format!("{field} has characters that cannot be shown");
            let unseen = refusal(&[field], "INVALID", &message, [None, None]);
            for character in ['\0', '\u{7}', '\u{7f}', '\u{85}', '\n', '\t'] {
                let more = json!({ field: format!("a{character}b") });
                let got =
                    refusals(&app, id("ada"), "createReading", with(least(&app), &more)).await;
                let is_allowed = has_lines && ['\n', '\t'].contains(&character);
                let expected = if is_allowed { &json!([]) } else { &unseen };
                assert_eq!(got, *expected, "{field} {character:?}");
            }
        }
        let more = json!({ "tags": ["a\0b"] });
        assert_eq!(
            refusals(&app, id("ada"), "createReading", with(least(&app), &more)).await,
            refusal(
                &["tags", "0"],
                "INVALID",
                "tags[0] has characters that cannot be shown",
                [None, None]
            )
        );
    }

    async fn nobody_draws_above_a_radiation_of_0_95(engine: Engine) {
        let app = start(engine).await;
        for factor in [0.0, 0.95] {
            let made = make(&app, &json!({ "radiationFactor": factor })).await;
            assert_eq!(read(&app, &made).await["radiationFactor"], json!(factor));
        }
        for factor in [-0.01, 0.96, 1.0] {
            let message = format!("radiationFactor is {factor}; it must be from 0 to 0.95");
            let input = with(least(&app), &json!({ "radiationFactor": factor }));
            assert_eq!(
                refusals(&app, id("ada"), "createReading", input).await,
                refusal(&["radiationFactor"], "OUT_OF_RANGE", &message, [None, None])
            );
        }
        // A long number is cut.
        let input = with(least(&app), &json!({ "radiationFactor": 1e300 }));
        let number = format!("1{}…", "0".repeat(38));
        let message = format!("radiationFactor is {number}; it must be from 0 to 0.95");
        assert_eq!(
            refusals(&app, id("ada"), "createReading", input).await,
            refusal(&["radiationFactor"], "OUT_OF_RANGE", &message, [None, None])
        );
    }

    async fn everything_wrong_with_a_reading_is_found_at_once(engine: Engine) {
        let app = start(engine).await;
        let input = json!({
            "question": "", "spreadId": spread_id(&app, "single_wasteland"),
            "tags": ["", "ok"], "radiationFactor": 2, "moodBefore": "m".repeat(51),
        });
        let refused = refusals(&app, id("ada"), "createReading", input).await;
        let fields: Vec<&Value> =
            refused.as_array().expect("errors").iter().map(|error| &error["field"]).collect();
        let expected = [
            json!(["input", "question"]),
            json!(["input", "tags", "0"]),
            json!(["input", "moodBefore"]),
            json!(["input", "radiationFactor"]),
        ];
        assert_eq!(fields, expected.iter().collect::<Vec<_>>());
    }

    async fn a_reading_needs_a_spread_that_is_offered_and_a_category_of_ones_own(engine: Engine) {
        let app = start(engine).await;
        let unknown = wasteland_tarot::graphql::id::GlobalId::Spread(id("none")).encode();
        for (more, field, code, message) in [
            (
                json!({ "spreadId": unknown.to_string() }),
                "spreadId",
                "NOT_FOUND",
                "there is no such spread",
            ),
            (
                json!({ "categoryId": category_id("his") }),
                "categoryId",
                "NOT_FOUND",
                "there is no such category",
            ),
            (
                json!({ "categoryId": category_id("none") }),
                "categoryId",
                "NOT_FOUND",
                "there is no such category",
            ),
        ] {
            assert_eq!(
                refusals(&app, id("ada"), "createReading", with(least(&app), &more)).await,
                refusal(&[field], code, message, [None, None])
            );
        }
        let more = json!({ "spreadId": category_id("work") });
        let response = mutate(
            &app,
            Some(id("ada")),
            "createReading",
            &with(least(&app), &more),
            "reading { id }",
        )
        .await;
        assert_eq!(
            response.body_without_request_id(),
            failure(
                "createReading",
                "`spreadId` must be the id of a Spread; it is the id of a Category",
                &json!({ "code": "BAD_USER_INPUT", "argument": "spreadId" })
            )
        );
        // Rejected ones count nothing.
        let viewer = app.data_as(id("ada"), MADE).await;
        assert_eq!(
            viewer["viewer"],
            json!({ "readingQuota": { "used": 0 }, "readings": { "totalCount": 0 } })
        );
    }

    async fn a_spread_that_is_not_offered_any_more_makes_no_reading(engine: Engine) {
        let app = start(engine).await;
        app.insert(rows(vec![users::Model { is_admin: true, ..user("admin") }], Vec::new())).await;
        let input = with(least(&app), &json!({ "idempotencyKey": "k" }));
        let made = payload(&app, id("ada"), "createReading", input.clone(), "reading { id }").await;
        let offer = async |is_active: bool| {
            let input = json!({ "id": spread_id(&app, "single_wasteland"), "isActive": is_active });
            payload(&app, id("admin"), "adminUpdateSpread", input, "spread { isActive }").await
        };
        assert_eq!(offer(false).await, json!({ "spread": { "isActive": false } }));
        let message = "this spread is not offered any more";
        assert_eq!(
            refusals(&app, id("ada"), "createReading", least(&app)).await,
            refusal(&["spreadId"], "SPREAD_INACTIVE", message, [None, None])
        );
        // The object made with this key before is found again.
        assert_eq!(payload(&app, id("ada"), "createReading", input, "reading { id }").await, made);
        offer(true).await;
        make(&app, &json!({})).await;
        assert_eq!(used(&app).await["used"], 2);
    }

    async fn a_premium_spread_is_for_premium_users(engine: Engine) {
        let app = TestApp::start(engine).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        let premium = users::Model { is_premium: true, ..user("rich") };
        app.insert(rows(vec![user("ada"), admin, premium], Vec::new())).await;
        let spread = spread_id(&app, "single_wasteland");
        let input = json!({ "id": spread, "isPremium": true });
        payload(&app, id("admin"), "adminUpdateSpread", input, "spread { isPremium }").await;
        assert_eq!(
            refusals(&app, id("ada"), "createReading", least(&app)).await,
            refusal(&["spreadId"], "INVALID", "this spread is for premium users", [None, None])
        );
        let made =
            payload(&app, id("rich"), "createReading", least(&app), "reading { spread { id } }")
                .await;
        assert_eq!(made, json!({ "reading": { "spread": { "id": spread } } }));
    }

    async fn readings_are_written_by_signed_in_viewers(engine: Engine) {
        let app = start(engine).await;
        let id = reading_id("hope");
        for (mutation, input) in [
            ("createReading", least(&app)),
            ("updateReading", json!({ "id": id })),
            ("deleteReading", json!({ "id": id })),
            ("setReadingTags", json!({ "id": id, "tags": [] })),
        ] {
            let response = mutate(&app, None, mutation, &input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), unauthenticated(mutation));
            assert_eq!(response.statements(), 0);
        }
    }

    async fn a_reading_stores_the_names_of_its_positions(engine: Engine) {
        let app = start(engine).await;
        app.insert(rows(vec![users::Model { is_admin: true, ..user("admin") }], Vec::new())).await;
        let made = make(&app, &json!({})).await;
        let before = read(&app, &made).await;
        for locale in ["EN", "ZH_HANT"] {
            let input = json!({
                "id": spread_id(&app, "single_wasteland"), "locale": locale,
                "positions": [{ "number": 1, "name": "New", "meaning": "What is new." }],
            });
            let done = payload(&app, id("admin"), "adminUpdateSpread", input, USER_ERRORS).await;
            assert_eq!(done["userErrors"], json!([]));
        }
        assert_eq!(read(&app, &made).await, before);
        let after = read(&app, &make(&app, &json!({})).await).await;
        assert_eq!(after["cards"][0]["positionName"], "New");
        assert_eq!(after["cards"][0]["zhMeaning"], "What is new.");
    }

    async fn a_new_reading_is_seen_at_once(engine: Engine) {
        let app = start(engine).await;
        app.insert(crowd(&app, &user("ada"), 3)).await;
        let fields = "reading { id } readingEdge { cursor node { id } }
            viewer { readings(first: 1) { totalCount nodes { id } } readingQuota { used }
                tags { nodes { name readingCount } } categories { name readingCount } }";
        let input =
            with(least(&app), &json!({ "tags": ["new"], "categoryId": category_id("work") }));
        let made = payload(&app, id("ada"), "createReading", input, fields).await;
        let node = &made["reading"];
        assert_eq!(
            made,
            json!({
                "reading": node,
                "readingEdge": { "cursor": made["readingEdge"]["cursor"], "node": node },
                "viewer": {
                    "readings": { "totalCount": 4, "nodes": [node] },
                    "readingQuota": { "used": 1 },
                    "tags": { "nodes": [{ "name": "new", "readingCount": 1 }] },
                    "categories": [{ "name": "work", "readingCount": 1 }],
                },
            })
        );
        // The edge is one of the viewer's list: from it the list goes on.
        let query = format!(
            "{{ viewer {{ readings(first: 2, after: {}) {{ nodes {{ question }} }} }} }}",
            made["readingEdge"]["cursor"]
        );
        assert_eq!(
            app.data_as(id("ada"), &query).await["viewer"]["readings"]["nodes"],
            json!([{ "question": "r003" }, { "question": "r002" }])
        );
    }
}

/// Number of Ada's readings of today.
async fn used(app: &TestApp) -> Value {
    app.data_as(id("ada"), "{ viewer { readingQuota { limit used remaining resetsAt } } }").await
        ["viewer"]["readingQuota"]
        .take()
}

/// The user error where the day's limit is reached.
fn at_limit(limit: i32, now: DateTime<Utc>) -> Value {
    let readings = if limit == 1 { "1 reading".to_owned() } else { format!("{limit} readings") };
    let message = format!("you have made {readings} today, which is the most a day");
    let mut refused = refusal(&[], "READING_LIMIT", &message, [None, Some(limit)]);
    refused[0]["resetsAt"] = midnight_after(now).into();
    refused
}

on_both_databases! {
    async fn twenty_readings_a_day_are_made_and_no_more(engine: Engine) {
        let app = TestApp::start(engine).await;
        let rich = users::Model { is_premium: true, ..user("rich") };
        app.insert(rows(vec![user("ada"), rich], Vec::new())).await;
        let now = to_noon(&app);
        for (person, limit) in [("ada", 20), ("rich", 50)] {
            for number in 1..=limit {
                let made = payload(
                    &app,
                    id(person),
                    "createReading",
                    least(&app),
                    "reading { version } viewer { readingQuota { used } } userErrors { code }",
                )
                .await;
                assert_eq!(
                    made,
                    json!({
                        "reading": { "version": 1 },
                        "viewer": { "readingQuota": { "used": number } },
                        "userErrors": [],
                    })
                );
            }
            assert_eq!(
                refusals(&app, id(person), "createReading", least(&app)).await,
                at_limit(limit, now)
            );
        }
        assert_eq!(
            used(&app).await,
            json!({ "limit": 20, "used": 20, "remaining": 0, "resetsAt": midnight_after(now) })
        );
    }

    async fn a_day_ends_at_midnight_utc_and_deleting_gives_nothing_back(engine: Engine) {
        let app = TestApp::start_with(engine, &["--daily-readings=1"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let now = to_noon(&app);
        let made = make(&app, &json!({})).await;
        payload(&app, id("ada"), "deleteReading", json!({ "id": made }), USER_ERRORS).await;
        assert_eq!(refusals(&app, id("ada"), "createReading", least(&app)).await, at_limit(1, now));
        app.app.services.clock.advance(TimeDelta::hours(11) + TimeDelta::minutes(50));
        assert_eq!(refusals(&app, id("ada"), "createReading", least(&app)).await, at_limit(1, now));
        app.app.services.clock.advance(TimeDelta::minutes(10));
        make(&app, &json!({})).await;
        let tomorrow = now + TimeDelta::days(1);
        assert_eq!(
            used(&app).await,
            json!({ "limit": 1, "used": 1, "remaining": 0, "resetsAt": midnight_after(tomorrow) })
        );
    }

    async fn the_last_place_of_a_day_is_given_once(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let now = to_noon(&app);
        daily_usage::Entity::insert(daily_usage::ActiveModel::from(daily_usage::Model {
            user_id: id("ada"),
            utc_day: now.date_naive(),
            n: 19,
            created_at: now,
            updated_at: now,
        }))
        .exec_without_returning(&app.database.connect().await)
        .await
        .expect("the row is written");
        let requests = (0..100).map(|_| {
            payload(
                &app,
                id("ada"),
                "createReading",
                least(&app),
                "reading { id } userErrors { code }",
            )
        });
        let responses = join_all(requests).await;
        let made = responses.iter().filter(|response| response["reading"]["id"].is_string()).count();
        let limited = json!({ "reading": null, "userErrors": [{ "code": "READING_LIMIT" }] });
        assert_eq!(made, 1);
        assert_eq!(responses.iter().filter(|response| **response == limited).count(), 99);
        let viewer = app.data_as(id("ada"), MADE).await;
        assert_eq!(
            viewer["viewer"],
            json!({ "readingQuota": { "used": 20 }, "readings": { "totalCount": 1 } })
        );
    }

    async fn a_repeated_request_makes_nothing_new(engine: Engine) {
        let app = TestApp::start_with(engine, &["--daily-readings=1"]).await;
        app.insert(rows(vec![user("ada"), user("bob")], Vec::new())).await;
        let noon = to_noon(&app);
        let input = with(least(&app), &json!({ "idempotencyKey": " a key " }));
        let fields = format!(
            "reading {{ {FIELDS} }} readingEdge {{ cursor }}
             viewer {{ readingQuota {{ used }} }} {USER_ERRORS}"
        );
        let first = payload(&app, id("ada"), "createReading", input.clone(), &fields).await;
        assert!(first["reading"]["id"].is_string(), "{first}");
        assert_eq!(first["viewer"]["readingQuota"]["used"], 1);
        assert_eq!(payload(&app, id("ada"), "createReading", input.clone(), &fields).await, first);
        // Another's key is another key.
        let his = payload(&app, id("bob"), "createReading", input.clone(), &fields).await;
        assert_ne!(his["reading"]["id"], first["reading"]["id"]);

        let other = with(input.clone(), &json!({ "question": "Another?" }));
        let response = mutate(&app, Some(id("ada")), "createReading", &other, USER_ERRORS).await;
        assert_eq!(
            response.body_without_request_id(),
            failure(
                "createReading",
                "`idempotencyKey` was used before with another input",
                &json!({ "code": "BAD_USER_INPUT", "argument": "idempotencyKey" })
            )
        );

        // A reading deleted since is not made again.
        payload(
            &app,
            id("ada"),
            "deleteReading",
            json!({ "id": first["reading"]["id"] }),
            USER_ERRORS,
        )
        .await;
        let gone = payload(&app, id("ada"), "createReading", input.clone(), &fields).await;
        assert_eq!(
            gone,
            json!({
                "reading": null, "readingEdge": null,
                "viewer": { "readingQuota": { "used": 1 } }, "userErrors": [],
            })
        );

        // A day after, the key is forgotten, and swept.
        let clock = &app.app.services.clock;
        clock.advance(noon + TimeDelta::days(1) - clock.now() - TimeDelta::seconds(60));
        assert_eq!(
            payload(&app, id("ada"), "createReading", input.clone(), "reading { id }").await,
            json!({ "reading": null })
        );
        clock.advance(TimeDelta::seconds(120));
        let anew = payload(&app, id("ada"), "createReading", input, "reading { id }").await;
        assert!(anew["reading"]["id"].is_string(), "{anew}");
        let connection = app.database.connect().await;
        let keys =
            async || idempotency_keys::Entity::find().count(&connection).await.expect("a count");
        assert_eq!(keys().await, 2);
        sweep(&app.app.services, &app.app.database.session()).await.expect("the sweep runs");
        assert_eq!(keys().await, 1);
    }

    async fn a_request_that_was_rejected_may_be_repeated(engine: Engine) {
        let app = TestApp::start_with(engine, &["--daily-readings=1"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        to_noon(&app);
        make(&app, &json!({})).await;
        let input = with(least(&app), &json!({ "idempotencyKey": "k" }));
        assert_eq!(
            refusals(&app, id("ada"), "createReading", input.clone()).await[0]["code"],
            "READING_LIMIT"
        );
        app.app.services.clock.advance(TimeDelta::hours(12));
        let made = payload(&app, id("ada"), "createReading", input, "reading { version }").await;
        assert_eq!(made, json!({ "reading": { "version": 1 } }));
    }

    async fn ten_requests_at_once_with_one_key_make_one_reading(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let input = with(least(&app), &json!({ "idempotencyKey": "k" }));
        let requests = (0..10).map(|_| {
            payload(
                &app,
                id("ada"),
                "createReading",
                input.clone(),
                "reading { id summary } userErrors { code }",
            )
        });
        let responses = join_all(requests).await;
        assert!(responses[0]["reading"]["id"].is_string(), "{responses:?}");
        assert!(responses.iter().all(|response| *response == responses[0]), "{responses:?}");
        let viewer = app.data_as(id("ada"), MADE).await;
        assert_eq!(
            viewer["viewer"],
            json!({ "readingQuota": { "used": 1 }, "readings": { "totalCount": 1 } })
        );
    }

    async fn an_idempotency_key_has_1_to_255_characters(engine: Engine) {
        let app = start(engine).await;
        for key in ["k".to_owned(), "輻".repeat(255)] {
            make(&app, &json!({ "idempotencyKey": key })).await;
        }
        for (key, characters) in
            [(String::new(), 0), ("輻".repeat(256), 256), ("a\0b".to_owned(), 3)]
        {
            let input = with(least(&app), &json!({ "idempotencyKey": key }));
            let response =
                mutate(&app, Some(id("ada")), "createReading", &input, USER_ERRORS).await;
            let message = format!(
                "`idempotencyKey` has {characters} characters; it must have 1 to 255, \
                 none of them a control character"
            );
            let extensions = json!({ "code": "BAD_USER_INPUT", "argument": "idempotencyKey" });
            assert_eq!(
                response.body_without_request_id(),
                failure("createReading", &message, &extensions)
            );
        }
    }
}

/// Changes a reading of Ada's; returns the payload.
async fn update(app: &TestApp, reading: &str, more: &Value) -> Value {
    let fields = format!("reading {{ {FIELDS} }} {USER_ERRORS}");
    payload(app, id("ada"), "updateReading", with(json!({ "id": reading }), more), &fields).await
}

on_both_databases! {
    async fn an_update_changes_only_the_given_fields(engine: Engine) {
        let app = start(engine).await;
        let made =
            make(&app, &json!({ "tags": ["old"], "notes": "old", "focusArea": "old" })).await;
        let mut expected = read(&app, &made).await;
        let created_at = expected["createdAt"].clone();
        app.app.services.clock.advance(TimeDelta::seconds(1));
        for (field, value, returned) in [
            ("question", json!(" 新問題？ "), Some(("question", json!("新問題？")))),
            ("notes", json!("line\nline"), None),
            ("focusArea", json!("work"), None),
            ("tags", json!(["a", " a", "愛"]), Some(("tags", json!(["a", "愛"])))),
            (
                "categoryId",
                json!(category_id("work")),
                Some(("category", json!({ "id": category_id("work") }))),
            ),
            ("privacyLevel", json!("PUBLIC"), None),
            ("isFavorite", json!(true), None),
            ("moodAfter", json!("calm"), None),
            ("feedback", json!("Right."), None),
            ("satisfactionRating", json!(5), None),
            ("accuracyRating", json!(1), None),
            ("helpfulRating", json!(3), None),
            ("isFavorite", json!(false), None),
        ] {
            let changed = update(&app, &made, &json!({ field: value })).await;
            let (field, value) = returned.unwrap_or((field, value));
            expected[field] = value;
            expected["version"] = (expected["version"].as_i64().expect("a version") + 1).into();
            let got = &changed["reading"];
            assert!(got["updatedAt"].as_str() > created_at.as_str(), "{got}");
            expected["updatedAt"] = got["updatedAt"].clone();
            assert_eq!(changed, json!({ "reading": expected, "userErrors": [] }));
            assert_eq!(read(&app, &made).await, expected);
        }
        // Nothing to change is no change.
        assert_eq!(update(&app, &made, &json!({})).await["reading"], expected);
    }

    async fn null_clears_optional_fields(engine: Engine) {
        let app = start(engine).await;
        let more = json!({ "notes": "n", "focusArea": "f", "categoryId": category_id("work") });
        let made = make(&app, &more).await;
        let more = json!({
            "moodAfter": "m", "feedback": "f", "satisfactionRating": 1, "accuracyRating": 2,
            "helpfulRating": 3,
        });
        update(&app, &made, &more).await;
        for (field, shown) in [
            ("notes", "notes"),
            ("focusArea", "focusArea"),
            ("categoryId", "category"),
            ("moodAfter", "moodAfter"),
            ("feedback", "feedback"),
            ("satisfactionRating", "satisfactionRating"),
            ("accuracyRating", "accuracyRating"),
            ("helpfulRating", "helpfulRating"),
        ] {
            assert_ne!(read(&app, &made).await[shown], Value::Null, "{field}");
            let changed = update(&app, &made, &json!({ field: null })).await;
            assert_eq!(changed["reading"][shown], Value::Null, "{changed}");
            assert_eq!(read(&app, &made).await, changed["reading"]);
        }
        let before = read(&app, &made).await;
        for field in ["question", "tags", "privacyLevel", "isFavorite", "isArchived"] {
            let message = format!("{field} cannot be cleared");
            let refused = refusal(&[field], "REQUIRED", &message, [None, None]);
            assert_eq!(
                update(&app, &made, &json!({ field: null, "notes": "lost" })).await,
                json!({ "reading": null, "userErrors": refused })
            );
        }
        assert_eq!(read(&app, &made).await, before);
    }

    async fn every_field_of_an_update_has_its_limit(engine: Engine) {
        let app = start(engine).await;
        let made = make(&app, &json!({})).await;
        for (field, min, max) in [
            ("question", 1, 500),
            ("notes", 0, 1000),
            ("focusArea", 0, 100),
            ("moodAfter", 0, 50),
            ("feedback", 0, 1000),
        ] {
            let longest = "輻".repeat(max);
            assert_eq!(
                update(&app, &made, &json!({ field: longest })).await["reading"][field],
                longest
            );
            let message = format!("{field} has {} characters; it must have at most {max}", max + 1);
            assert_eq!(
                update(&app, &made, &json!({ field: "輻".repeat(max + 1) })).await["userErrors"],
                refusal(&[field], "TOO_LONG", &message, [Some(min), i32::try_from(max).ok()])
            );
        }
        for field in ["satisfactionRating", "accuracyRating", "helpfulRating"] {
            for rating in [1, 5] {
                assert_eq!(
                    update(&app, &made, &json!({ field: rating })).await["reading"][field],
                    rating
                );
            }
            for rating in [0, 6, -1, 65_537] {
                let message = format!("{field} is {rating}; it must be from 1 to 5");
                assert_eq!(
                    update(&app, &made, &json!({ field: rating })).await["userErrors"],
                    refusal(&[field], "OUT_OF_RANGE", &message, [Some(1), Some(5)])
                );
            }
        }
        let tags: Vec<String> = (0..21).map(|n| format!("t{n}")).collect();
        let refused =
            refusal(&["tags"], "TOO_MANY", "tags has 21 tags; it must have at most 20", [None, Some(20)]);
        for mutation in ["updateReading", "setReadingTags"] {
            let input = json!({ "id": made, "tags": tags });
            assert_eq!(refusals(&app, id("ada"), mutation, input).await, refused);
            let input = json!({ "id": made, "tags": tags[..20] });
            assert_eq!(refusals(&app, id("ada"), mutation, input).await, json!([]));
        }
        let message = "there is no such category";
        let refused = update(&app, &made, &json!({ "categoryId": category_id("his") })).await;
        assert_eq!(
            refused["userErrors"],
            refusal(&["categoryId"], "NOT_FOUND", message, [None, None])
        );
    }

    async fn a_reading_that_was_changed_meanwhile_is_not_overwritten(engine: Engine) {
        let app = start(engine).await;
        let made = make(&app, &json!({})).await;
        let changed = update(&app, &made, &json!({ "notes": "first", "expectedVersion": 1 })).await;
        assert_eq!(changed["reading"]["version"], 2);
        let before = read(&app, &made).await;
        let fields = format!("reading {{ {FIELDS} }} {USER_ERRORS}");
        for (mutation, change) in [
            ("updateReading", json!({ "notes": "second" })),
            ("setReadingTags", json!({ "tags": ["x"] })),
        ] {
            for expected in [1, 3] {
                let input = with(json!({ "id": made, "expectedVersion": expected }), &change);
                let message = format!(
                    "the reading was changed meanwhile: it has version 2, and not {expected}"
                );
                assert_eq!(
                    payload(&app, id("ada"), mutation, input, &fields).await,
                    json!({
                        "reading": before,
                        "userErrors":
                            refusal(&["expectedVersion"], "CONFLICT", &message, [None, None]),
                    })
                );
            }
        }
        assert_eq!(read(&app, &made).await, before);
        let done = update(&app, &made, &json!({ "notes": "2", "expectedVersion": 2 })).await;
        assert_eq!(done["reading"]["version"], 3);
    }

    async fn of_ten_changes_at_once_of_one_version_one_is_made(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let made = make(&app, &json!({})).await;
        let requests = (0..10).map(|n| {
            let input = json!({ "id": made, "notes": format!("{n}"), "expectedVersion": 1 });
            payload(
                &app,
                id("ada"),
                "updateReading",
                input,
                "reading { version notes } userErrors { code }",
            )
        });
        let responses = join_all(requests).await;
        let mut winners = responses.iter().filter(|response| response["userErrors"] == json!([]));
        let winner = winners.next().expect("one of them");
        assert_eq!(winners.count(), 0, "{responses:?}");
        let conflict =
            json!({ "reading": winner["reading"], "userErrors": [{ "code": "CONFLICT" }] });
        assert_eq!(responses.iter().filter(|response| **response == conflict).count(), 9, "{responses:?}");
        assert_eq!(read(&app, &made).await["version"], 2);
    }

    async fn readings_of_others_and_none_are_the_same_to_writers(engine: Engine) {
        let app = start(engine).await;
        let bob = user("bob");
        let readings =
            vec![private(reading(&app, &bob, "secret", 1)), reading(&app, &bob, "open", 1)];
        app.insert(rows(Vec::new(), readings)).await;
        for name in ["secret", "open", "none"] {
            let reading = reading_id(name);
            for (mutation, input) in [
                ("updateReading", json!({ "id": reading, "notes": "mine", "expectedVersion": 1 })),
                ("updateReading", json!({ "id": reading })),
                ("deleteReading", json!({ "id": reading })),
                ("setReadingTags", json!({ "id": reading, "tags": ["mine"] })),
                ("shareReading", json!({ "readingId": reading })),
            ] {
                let response = mutate(&app, Some(id("ada")), mutation, &input, USER_ERRORS).await;
                assert_eq!(
                    response.body_without_request_id(),
                    not_found(mutation, "reading"),
                    "{name}"
                );
            }
        }
        let query = "{ viewer { readings { nodes { version notes tags shareLinks { id } } } } }";
        let untouched = json!({ "version": 1, "notes": null, "tags": [], "shareLinks": [] });
        assert_eq!(
            app.data_as(bob.id, query).await["viewer"]["readings"]["nodes"],
            json!([untouched, untouched])
        );
    }

    async fn an_archived_reading_leaves_the_list_until_it_is_taken_back(engine: Engine) {
        let app = start(engine).await;
        let made = make(&app, &json!({})).await;
        let count = async || {
            let data = app.data_as(id("ada"), "{ viewer { readings { totalCount } } }").await;
            data["viewer"]["readings"]["totalCount"].clone()
        };
        assert_eq!(count().await, 1);
        let archived = update(&app, &made, &json!({ "isArchived": true })).await;
        let since = archived["reading"]["archivedAt"].clone();
        assert!(since.is_string(), "{archived}");
        assert_eq!(count().await, 0);
        // It stays archived since then.
        app.app.services.clock.advance(TimeDelta::hours(1));
        let again = update(&app, &made, &json!({ "isArchived": true })).await;
        assert_eq!(again["reading"]["archivedAt"], since);
        assert_eq!(again["reading"]["version"], 2, "nothing was written");
        let back = update(&app, &made, &json!({ "isArchived": false })).await;
        assert_eq!(back["reading"]["archivedAt"], Value::Null);
        assert_eq!(count().await, 1);
    }

    async fn a_deleted_reading_is_gone_with_its_cards_and_links(engine: Engine) {
        let app = start(engine).await;
        let remaining = reading(&app, &user("ada"), "kept", 1);
        let cards = drawn_cards(&app, &remaining, &["major_arcana_00"]);
        app.insert(SeedRows { readings: vec![remaining], drawn_cards: cards, ..SeedRows::default() })
            .await;
        let made =
            make(&app, &json!({ "tags": ["gone"], "spreadId": spread_id(&app, "celtic_cross") }))
                .await;
        let share = json!({ "readingId": made });
        let url = payload(&app, id("ada"), "shareReading", share, "shareLink { url }").await;
        let url = url["shareLink"]["url"].as_str().expect("an address").to_owned();
        let token = url.rsplit('/').next().expect("a token");

        let fields = "deletedReadingId userErrors { code }
            viewer { readings { totalCount } readingQuota { used } tags { nodes { name } } }";
        assert_eq!(
            payload(&app, id("ada"), "deleteReading", json!({ "id": made }), fields).await,
            json!({
                "deletedReadingId": made,
                "viewer": {
                    "readings": { "totalCount": 1 }, "readingQuota": { "used": 1 },
                    "tags": { "nodes": [] },
                },
                "userErrors": [],
            })
        );
        let again =
            mutate(&app, Some(id("ada")), "deleteReading", &json!({ "id": made }), USER_ERRORS)
                .await;
        assert_eq!(again.body_without_request_id(), not_found("deleteReading", "reading"));
        assert_eq!(read(&app, &made).await, Value::Null);
        let shared = format!("{{ sharedReading(token: {token:?}) {{ status }} }}");
        assert_eq!(app.data(&shared).await, json!({ "sharedReading": null }));
        let connection = app.database.connect().await;
        let cards = reading_cards::Entity::find().count(&connection).await.expect("a count");
        let links = reading_shares::Entity::find().count(&connection).await.expect("a count");
        let remaining =
            reading_sessions::Entity::find().filter(reading_sessions::Column::Id.eq(id("kept")));
        assert_eq!((cards, links, remaining.count(&connection).await.expect("a count")), (1, 0, 1));
    }

    async fn one_mutation_that_fails_leaves_the_others(engine: Engine) {
        let app = start(engine).await;
        let spread = spread_id(&app, "single_wasteland");
        let create = |question: &str| {
            format!(
                "createReading(input: {{ question: {question:?}, spreadId: {spread:?} }}) {{
                     reading {{ question }} userErrors {{ code }} }}"
            )
        };
        let query = format!(
            "mutation {{ a: {} b: deleteReading(input: {{ id: {:?} }}) {{ deletedReadingId }}
                         c: {} d: {} }}",
            create("first"),
            reading_id("none"),
            create(""),
            create("second")
        );
        let response = app.query_as(id("ada"), &query).await;
        assert_eq!(
            response.body["data"],
            json!({
                "a": { "reading": { "question": "first" }, "userErrors": [] },
                "b": null,
                "c": { "reading": null, "userErrors": [{ "code": "REQUIRED" }] },
                "d": { "reading": { "question": "second" }, "userErrors": [] },
            })
        );
        assert_eq!(response.body["errors"][0]["path"], json!(["b"]));
        let list = app.data_as(id("ada"), "{ viewer { readings { nodes { question } } } }").await;
        assert_eq!(
            list["viewer"]["readings"]["nodes"],
            json!([{ "question": "second" }, { "question": "first" }])
        );
    }

    async fn set_reading_tags_returns_the_reading_and_the_viewers_tags(engine: Engine) {
        let app = start(engine).await;
        let made = make(&app, &json!({ "tags": ["old", "kept"] })).await;
        let input = json!({ "id": made, "tags": ["new", "kept", " new"], "expectedVersion": 1 });
        let fields = "reading { version tags } userErrors { code }
            viewer { tags(orderBy: NAME) { nodes { name readingCount } } }";
        let response = mutate(&app, Some(id("ada")), "setReadingTags", &input, fields).await;
        assert_eq!(
            data_of(response)["setReadingTags"],
            json!({
                "reading": { "version": 2, "tags": ["new", "kept"] },
                "viewer": { "tags": { "nodes": [
                    { "name": "kept", "readingCount": 1 }, { "name": "new", "readingCount": 1 },
                ] } },
                "userErrors": [],
            })
        );
    }
}
