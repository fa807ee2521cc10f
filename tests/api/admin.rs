//! Changes and views of operators.

use chrono::{SecondsFormat, TimeDelta};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{Engine, TestApp, at, data_of, on_both_databases};
use crate::support::fixtures::{
    card, card_id, id, reading, reading_id, rows, spread, spread_id, user, user_id,
};
use crate::support::mutations::{
    USER_ERRORS, failure, mutate, not_found, payload, refusal, refusals, unauthenticated,
};

/// A server with an admin and Ada, who is none.
async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let admin = users::Model { is_admin: true, ..user("admin") };
    let ada = user("ada");
    let spam = reading(&app, &ada, "spam", 1);
    app.insert(rows(vec![ada, admin], vec![spam])).await;
    app
}

async fn set_admin(app: &TestApp, name: &str, is_admin: bool) {
    users::Entity::update_many()
        .col_expr(users::Column::IsAdmin, Expr::value(is_admin))
        .filter(users::Column::Id.eq(id(name)))
        .exec(&app.database.connect().await)
        .await
        .expect("the role is changed");
}

/// Each mutation for admins, with an input that changes something.
fn mutations(app: &TestApp) -> [(&'static str, Value); 9] {
    [
        ("adminUpdateCard", json!({ "id": card_id(app, "major_arcana_00"), "name": "New" })),
        (
            "adminUpdateSpread",
            json!({ "id": spread_id(app, "single_wasteland"), "isPremium": true }),
        ),
        ("adminLockUser", json!({ "userId": user_id("ada") })),
        ("adminUnlockUser", json!({ "userId": user_id("ada") })),
        ("adminHideReading", json!({ "readingId": reading_id("spam"), "reason": "Spam." })),
        ("adminUnhideReading", json!({ "readingId": reading_id("spam"), "reason": "Sorry." })),
        ("adminDeleteReading", json!({ "readingId": reading_id("spam"), "reason": "Spam." })),
        ("adminDeactivateUser", json!({ "userId": user_id("ada"), "reason": "Spam." })),
        ("adminReactivateUser", json!({ "userId": user_id("ada"), "reason": "Sorry." })),
    ]
}

fn forbidden(mutation: &str) -> Value {
    failure(mutation, "only admins may see or do this", &json!({ "code": "FORBIDDEN" }))
}

const CARD: &str = "id name zhName: name(locale: ZH_HANT) uprightMeaning
    zhUpright: uprightMeaning(locale: ZH_HANT) reversedMeaning
    zhReversed: reversedMeaning(locale: ZH_HANT) keywords zhKeywords: keywords(locale: ZH_HANT)
    radiationLevel threatLevel vaultNumber imageUrl";
const SPREAD: &str = "id displayName zhName: displayName(locale: ZH_HANT) description
    zhDescription: description(locale: ZH_HANT) difficulty faction isActive isPremium cardCount
    positions { number name zhName: name(locale: ZH_HANT) meaning
        zhMeaning: meaning(locale: ZH_HANT) x y rotation }";

/// Public view of a card or of a spread.
async fn seen(app: &TestApp, field: &str, object: &str, fields: &str) -> Value {
    app.data(&format!("{{ {field}(id: {object:?}) {{ {fields} }} }}")).await[field].take()
}

on_both_databases! {
    async fn admin_mutations_are_forbidden_to_others(engine: Engine) {
        let app = start(engine).await;
        for (mutation, input) in mutations(&app) {
            let response = mutate(&app, None, mutation, &input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), unauthenticated(mutation));
            let response = mutate(&app, Some(id("ada")), mutation, &input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), forbidden(mutation));
            // They see no error of the input.
            let wrong = json!({ "id": "?", "userId": "?", "readingId": "?", "reason": "" });
            let wrong: Value = wrong
                .as_object()
                .expect("fields")
                .iter()
                .filter(|(field, _)| input.get(field.as_str()).is_some())
                .map(|(field, value)| (field.clone(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let response = mutate(&app, Some(id("ada")), mutation, &wrong, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), forbidden(mutation));
        }
        let card = seen(&app, "card", &card_id(&app, "major_arcana_00"), CARD).await;
        assert_eq!(card["name"], "Vault Newbie");
        let query = "{ admin { users { nodes { id } } } }";
        for (viewer, code) in [(None, "UNAUTHENTICATED"), (Some(id("ada")), "FORBIDDEN")] {
            let response = app.query_as_viewer(viewer, query).await;
            assert_eq!(response.body["data"], json!({ "admin": null }));
            assert_eq!(response.body["errors"][0]["extensions"]["code"], code);
        }
    }

    async fn a_role_counts_as_it_is_in_the_database_now(engine: Engine) {
        let app = start(engine).await;
        app.insert(rows(vec![user("bob")], Vec::new())).await;
        for (mutation, input) in mutations(&app) {
            let fetch = async |name: &str| {
                mutate(&app, Some(id(name)), mutation, &input, USER_ERRORS)
                    .await
                    .body_without_request_id()
            };
            let done = json!({ "data": { mutation: { "userErrors": [] } } });
            // Bob and not Ada, whom the inputs are about: nobody may lock themself.
            assert_eq!(fetch("admin").await, done);
            set_admin(&app, "admin", false).await;
            assert_eq!(fetch("admin").await, forbidden(mutation));
            set_admin(&app, "bob", true).await;
            assert_eq!(fetch("bob").await, done);
            set_admin(&app, "bob", false).await;
            set_admin(&app, "admin", true).await;
        }
    }

    async fn a_changed_card_is_seen_by_the_next_request_in_its_language(engine: Engine) {
        let app = start(engine).await;
        let fool = card_id(&app, "major_arcana_00");
        let mut expected = seen(&app, "card", &fool, CARD).await;
        let update = async |input: Value| {
            let fields = format!("card {{ {CARD} }} {USER_ERRORS}");
            payload(&app, id("admin"), "adminUpdateCard", input, &fields).await
        };
        for (locale, fields) in [
            ("EN", ["name", "uprightMeaning", "reversedMeaning", "keywords"]),
            ("ZH_HANT", ["zhName", "zhUpright", "zhReversed", "zhKeywords"]),
        ] {
            let input = json!({
                "id": fool, "locale": locale, "name": format!("N {locale}"),
                "uprightMeaning": "上\nU",
                "reversedMeaning": "逆 R", "keywords": ["one", "二"],
            });
            for (field, value) in fields.iter().zip([
                json!(format!("N {locale}")),
                json!("上\nU"),
                json!("逆 R"),
                json!(["one", "二"]),
            ]) {
                assert_ne!(expected[field], value);
                expected[field] = value;
            }
            assert_eq!(update(input).await, json!({ "card": expected, "userErrors": [] }));
            assert_eq!(seen(&app, "card", &fool, CARD).await, expected);
        }
        for (field, value) in [
            ("radiationLevel", json!(0.55)),
            ("threatLevel", json!(9)),
            ("vaultNumber", json!(101)),
            ("imageUrl", json!("https://example.com/輻.png")),
            ("vaultNumber", Value::Null),
            ("imageUrl", Value::Null),
        ] {
            expected[field] = value.clone();
            let changed = update(json!({ "id": fool, field: value })).await;
            assert_eq!(changed, json!({ "card": expected, "userErrors": [] }));
            assert_eq!(seen(&app, "card", &fool, CARD).await, expected);
        }
        for field in [
            "name",
            "uprightMeaning",
            "reversedMeaning",
            "keywords",
            "radiationLevel",
            "threatLevel",
        ] {
            let message = format!("{field} cannot be cleared");
            let refused = refusal(&[field], "REQUIRED", &message, [None, None]);
            let input = json!({ "id": fool, field: null, "vaultNumber": 1 });
            assert_eq!(update(input).await, json!({ "card": null, "userErrors": refused }));
        }
        assert_eq!(seen(&app, "card", &fool, CARD).await, expected);
        // Its neighbours stay as they were.
        let names = app.data("{ cards(first: 2) { nodes { name } } }").await;
        assert_eq!(
            names["cards"]["nodes"],
            json!([{ "name": "N EN" }, { "name": "Tech Specialist" }])
        );
    }

    async fn every_field_of_a_card_has_its_limit(engine: Engine) {
        let app = start(engine).await;
        let fool = card_id(&app, "major_arcana_00");
        let update = async |field: &str, value: Value| {
            refusals(&app, id("admin"), "adminUpdateCard", json!({ "id": fool, field: value }))
                .await
        };
        for (field, max) in [("name", 100), ("uprightMeaning", 2000), ("reversedMeaning", 2000)] {
            assert_eq!(update(field, "輻".repeat(max).into()).await, json!([]));
            let message = format!("{field} has {} characters; it must have at most {max}", max + 1);
            let bounds = [Some(1), i32::try_from(max).ok()];
            assert_eq!(
                update(field, "輻".repeat(max + 1).into()).await,
                refusal(&[field], "TOO_LONG", &message, bounds)
            );
            let message = format!("{field} is missing");
            assert_eq!(
                update(field, "".into()).await,
                refusal(&[field], "REQUIRED", &message, [None, None])
            );
        }
        for (field, min, max) in [("threatLevel", 1, 10), ("vaultNumber", 1, 122)] {
            for number in [min, max] {
                assert_eq!(update(field, number.into()).await, json!([]));
            }
            for number in [min - 1, max + 1] {
                let message = format!("{field} is {number}; it must be from {min} to {max}");
                assert_eq!(
                    update(field, number.into()).await,
                    refusal(&[field], "OUT_OF_RANGE", &message, [Some(min), Some(max)])
                );
            }
        }
        for level in [0.0, 1.0] {
            assert_eq!(update("radiationLevel", level.into()).await, json!([]));
        }
        for level in [-0.001, 1.001] {
            let message = format!("radiationLevel is {level}; it must be from 0 to 1");
            let refused = refusal(&["radiationLevel"], "OUT_OF_RANGE", &message, [None, None]);
            assert_eq!(update("radiationLevel", level.into()).await, refused);
        }
        let words = |count: usize| json!((0..count).map(|n| format!("w{n}")).collect::<Vec<_>>());
        for count in [1, 20] {
            assert_eq!(update("keywords", words(count)).await, json!([]));
        }
        for (count, code) in [(0, "REQUIRED"), (21, "TOO_MANY")] {
            let message = format!("keywords has {count} items; it must have 1 to 20");
            assert_eq!(
                update("keywords", words(count)).await,
                refusal(&["keywords"], code, &message, [Some(1), Some(20)])
            );
        }
        assert_eq!(update("keywords", json!(["輻".repeat(50)])).await, json!([]));
        let message = "keywords[1] has 51 characters; it must have at most 50";
        assert_eq!(
            update("keywords", json!(["a", "輻".repeat(51)])).await,
            refusal(&["keywords", "1"], "TOO_LONG", message, [Some(1), Some(50)])
        );
        let url = |length: usize| format!("https://{}", "a".repeat(length - 8));
        assert_eq!(update("imageUrl", url(2000).into()).await, json!([]));
        let message = "imageUrl has 2001 characters; it must have at most 2000";
        assert_eq!(
            update("imageUrl", url(2001).into()).await,
            refusal(&["imageUrl"], "TOO_LONG", message, [Some(1), Some(2000)])
        );
    }

    async fn a_changed_spread_is_seen_by_the_next_request_in_its_language(engine: Engine) {
        let app = start(engine).await;
        let vault = spread_id(&app, "vault_tec_spread");
        let mut expected = seen(&app, "spread", &vault, SPREAD).await;
        let update = async |input: Value| {
            let fields = format!("spread {{ {SPREAD} }} {USER_ERRORS}");
            payload(&app, id("admin"), "adminUpdateSpread", input, &fields).await
        };
        for (locale, name, description) in
            [("EN", "displayName", "description"), ("ZH_HANT", "zhName", "zhDescription")]
        {
            let input = json!({
                "id": vault, "locale": locale, "displayName": format!("N {locale}"),
                "description": format!("What is new in {locale}."),
                "interpretationGuide": format!("How to read in {locale}."),
            });
            expected[name] = format!("N {locale}").into();
            expected[description] = format!("What is new in {locale}.").into();
            assert_eq!(update(input).await, json!({ "spread": expected, "userErrors": [] }));
            assert_eq!(seen(&app, "spread", &vault, SPREAD).await, expected);
        }
        let guide = |locale| {
            spread(&app, "vault_tec_spread").texts.get(locale).interpretation_guide.clone()
        };
        assert_eq!(guide(Locale::En).as_deref(), Some("How to read in EN."));
        assert_eq!(guide(Locale::ZhHant).as_deref(), Some("How to read in ZH_HANT."));
        update(json!({ "id": vault, "interpretationGuide": null })).await;
        assert_eq!(guide(Locale::En), None);
        for (field, value) in [
            ("difficulty", json!("EXPERT")),
            ("faction", json!("RAILROAD")),
            ("faction", Value::Null),
            ("isPremium", json!(true)),
            ("isActive", json!(false)),
        ] {
            expected[field] = value.clone();
            let changed = update(json!({ "id": vault, field: value })).await;
            assert_eq!(changed, json!({ "spread": expected, "userErrors": [] }));
        }
        // It is not offered, but found by its id, and counted no more.
        assert_eq!(seen(&app, "spread", &vault, SPREAD).await, expected);
        let data = app.data("{ spreads { nodes { name } } publicStats { spreads } }").await;
        assert!(
            !data["spreads"]["nodes"]
                .as_array()
                .expect("spreads")
                .contains(&json!({ "name": "vault_tec_spread" }))
        );
        assert_eq!(data["publicStats"]["spreads"], 6);
        for field in
            ["displayName", "description", "difficulty", "isActive", "isPremium", "positions"]
        {
            let message = format!("{field} cannot be cleared");
            let refused = refusal(&[field], "REQUIRED", &message, [None, None]);
            let input = json!({ "id": vault, field: null });
            assert_eq!(update(input).await, json!({ "spread": null, "userErrors": refused }));
        }
    }

    async fn every_text_of_a_spread_has_its_limits(engine: Engine) {
        let app = start(engine).await;
        let vault = spread_id(&app, "vault_tec_spread");
        let update = async |field: &str, length: usize| {
            let input = json!({ "id": vault, field: "輻".repeat(length) });
            refusals(&app, id("admin"), "adminUpdateSpread", input).await
        };
        for (field, min, max) in
            [("displayName", 1, 150), ("description", 10, 1000), ("interpretationGuide", 0, 2000)]
        {
            let bounds = [i32::try_from(min).ok(), i32::try_from(max).ok()];
            for length in [min, max] {
                assert_eq!(update(field, length).await, json!([]), "{field} {length}");
            }
            let message = format!("{field} has {} characters; it must have at most {max}", max + 1);
            assert_eq!(
                update(field, max + 1).await,
                refusal(&[field], "TOO_LONG", &message, bounds)
            );
        }
        let message = "description has 9 characters; it must have at least 10";
        assert_eq!(
            update("description", 9).await,
            refusal(&["description"], "TOO_SHORT", message, [Some(10), Some(1000)])
        );
    }

    async fn positions_are_replaced_as_a_whole(engine: Engine) {
        let app = start(engine).await;
        let vault = spread_id(&app, "vault_tec_spread");
        let before = seen(&app, "spread", &vault, SPREAD).await;
        let place = |number: usize| {
            let (name, meaning) = (format!("N{number}"), format!("M{number}"));
            json!({ "number": number, "name": name, "meaning": meaning })
        };
        let replace = async |locale: &str, positions: Vec<Value>| {
            let input = json!({ "id": vault, "locale": locale, "positions": positions });
            let fields = format!("spread {{ {SPREAD} }} {USER_ERRORS}");
            let done = payload(&app, id("admin"), "adminUpdateSpread", input, &fields).await;
            assert_eq!(done["userErrors"], json!([]));
            assert_eq!(seen(&app, "spread", &vault, SPREAD).await, done["spread"]);
            done["spread"].clone()
        };
        let mut four: Vec<Value> = (1..=4).map(place).collect();
        let edges = json!({ "x": 0.0, "y": 1.0, "rotation": 90.0 });
        four[0]
            .as_object_mut()
            .expect("a position")
            .extend(edges.as_object().expect("numbers").clone());
        let after = replace("EN", four).await;
        let position = |number: usize, zh: [&Value; 2]| {
            json!({
                "number": number, "name": format!("N{number}"), "meaning": format!("M{number}"),
                "zhName": zh[0], "zhMeaning": zh[1], "x": null, "y": null, "rotation": null,
            })
        };
        let old = |number: usize| {
            [
                &before["positions"][number - 1]["zhName"],
                &before["positions"][number - 1]["zhMeaning"],
            ]
        };
        let mut expected = [1, 2, 3].map(|number| position(number, old(number))).to_vec();
        // The new one has no Chinese yet, so English stands in.
        expected.push(position(4, [&json!("N4"), &json!("M4")]));
        expected[0]["x"] = json!(0.0);
        expected[0]["y"] = json!(1.0);
        expected[0]["rotation"] = json!(90.0);
        assert_eq!(after["positions"], json!(expected));
        assert_eq!(after["cardCount"], 4);
        // Number of cards drawn from now on.
        let draw = async || {
            let input = json!({ "question": "Q?", "spreadId": vault });
            let made = payload(
                &app,
                id("ada"),
                "createReading",
                input,
                "reading { cards { positionName } }",
            )
            .await;
            made["reading"]["cards"].as_array().expect("cards").len()
        };
        assert_eq!(draw().await, 4);
        let chinese = (1..=4)
            .map(|number| json!({ "number": number, "name": "名", "meaning": "義" }))
            .collect();
        let after = replace("ZH_HANT", chinese).await;
        assert_eq!(after["positions"][3]["name"], "N4");
        assert_eq!(after["positions"][3]["zhName"], "名");
        for count in [15, 1] {
            let after = replace("EN", (1..=count).map(place).collect()).await;
            assert_eq!(after["cardCount"], count);
            assert_eq!(draw().await, count);
        }
    }

    async fn positions_are_numbered_in_order_and_bounded(engine: Engine) {
        let app = start(engine).await;
        let vault = spread_id(&app, "vault_tec_spread");
        let before = seen(&app, "spread", &vault, SPREAD).await;
        let place = |number: i32| json!({ "number": number, "name": "N", "meaning": "M" });
        let refused = async |locale: &str, positions: &Value| {
            let input = json!({ "id": vault, "locale": locale, "positions": positions });
            refusals(&app, id("admin"), "adminUpdateSpread", input).await
        };
        for (numbers, code) in [(0..0, "REQUIRED"), (1..17, "TOO_MANY")] {
            let positions: Vec<Value> = numbers.map(place).collect();
            let message = format!("positions has {} items; it must have 1 to 15", positions.len());
            assert_eq!(
                refused("EN", &json!(positions)).await,
                refusal(&["positions"], code, &message, [Some(1), Some(15)])
            );
        }
        let message = "positions must be numbered from 1 without gaps, in order";
        let misnumbered = refusal(&["positions"], "INVALID", message, [None, None]);
        for numbers in [&[1, 3] as &[i32], &[2], &[0, 1], &[2, 1], &[1, 1], &[65_537]] {
            let positions: Vec<Value> = numbers.iter().copied().map(place).collect();
            assert_eq!(refused("EN", &json!(positions)).await, misnumbered, "{numbers:?}");
        }
        let four: Vec<Value> = (1..=4).map(place).collect();
        assert_eq!(
            refused("ZH_HANT", &json!(four)).await,
            refusal(
                &["positions"],
                "INVALID",
                "a new position needs its English texts first",
                [None, None]
            )
        );
        for (field, value, code, message, bounds) in [
            (
                "name",
                json!("輻".repeat(101)),
                "TOO_LONG",
                "positions[1].name has 101 characters; it must have at most 100",
                [Some(1), Some(100)],
            ),
            ("name", json!(" "), "REQUIRED", "positions[1].name is missing", [None, None]),
            (
                "meaning",
                json!("輻".repeat(501)),
                "TOO_LONG",
                "positions[1].meaning has 501 characters; it must have at most 500",
                [Some(1), Some(500)],
            ),
            ("x", json!(-0.01), "OUT_OF_RANGE", "positions[1].x is -0.01; it must be from 0 to 1", [None, None]),
            ("y", json!(1.01), "OUT_OF_RANGE", "positions[1].y is 1.01; it must be from 0 to 1", [None, None]),
            (
                "rotation",
                json!(360.5),
                "OUT_OF_RANGE",
                "positions[1].rotation is 360.5; it must be from -360 to 360",
                [None, None],
            ),
        ] {
            let mut second = place(2);
            second[field] = value;
            assert_eq!(
                refused("EN", &json!([place(1), second])).await,
                refusal(&["positions", "1", field], code, message, bounds)
            );
        }
        assert_eq!(seen(&app, "spread", &vault, SPREAD).await, before);
        let longest = json!([{
            "number": 1, "name": "輻".repeat(100), "meaning": "輻".repeat(500),
            "x": 1, "y": 0, "rotation": -360,
        }]);
        assert_eq!(refused("EN", &longest).await, json!([]));
    }

    async fn objects_that_admins_change_must_exist(engine: Engine) {
        let app = start(engine).await;
        let none = id("none");
        for (mutation, field, what, missing, other) in [
            ("adminUpdateCard", "id", "Card", GlobalId::Card(none), GlobalId::User(none)),
            ("adminUpdateSpread", "id", "Spread", GlobalId::Spread(none), GlobalId::Card(none)),
            ("adminLockUser", "userId", "User", GlobalId::User(none), GlobalId::Spread(none)),
            ("adminUnlockUser", "userId", "User", GlobalId::User(none), GlobalId::Spread(none)),
        ] {
            let fetch = async |object: GlobalId| {
                let input = json!({ field: object.encode().to_string() });
                mutate(&app, Some(id("admin")), mutation, &input, USER_ERRORS)
                    .await
                    .body_without_request_id()
            };
            assert_eq!(fetch(missing).await, not_found(mutation, &what.to_lowercase()));
            let message = format!(
                "`{field}` must be the id of a {what}; it is the id of a {}",
                other.type_name()
            );
            let extensions = json!({ "code": "BAD_USER_INPUT", "argument": field });
            assert_eq!(fetch(other).await, failure(mutation, &message, &extensions));
        }
    }

    async fn a_lock_ends_sessions_and_then_itself(engine: Engine) {
        const PASSWORD: &str = "a password of many";
        let app = start(engine).await;
        let input = json!({ "email": "eve@example.com", "username": "eve", "password": PASSWORD });
        let fields = "session { refreshToken } viewer { id }";
        let registered = data_of(mutate(&app, None, "register", &input, fields).await);
        let eve = registered["register"]["viewer"]["id"].clone();
        let refresh_token = registered["register"]["session"]["refreshToken"].clone();
        let log_in = async || {
            let input = json!({ "login": "eve", "password": PASSWORD });
            data_of(mutate(&app, None, "login", &input, USER_ERRORS).await)["login"]["userErrors"]
                .take()
        };
        assert_eq!(log_in().await, json!([]));

        let fields = format!(
            "adminUser {{ user {{ username }} isActive lockedUntil failedLogins }} {USER_ERRORS}"
        );
        let a_day_from_now = || {
            let until = app.app.services.clock.now() + TimeDelta::days(1);
            until.to_rfc3339_opts(SecondsFormat::Micros, true)
        };
        let earliest = a_day_from_now();
        let locked =
            payload(&app, id("admin"), "adminLockUser", json!({ "userId": eve }), &fields).await;
        let locked_until = locked["adminUser"]["lockedUntil"].clone();
        assert_eq!(
            locked,
            json!({
                "adminUser": {
                    "user": { "username": "eve" }, "isActive": true, "lockedUntil": locked_until,
                    "failedLogins": 0,
                },
                "userErrors": [],
            })
        );
        let latest = a_day_from_now();
        let time = locked_until.as_str().expect("a time");
        assert!(earliest.as_str() <= time && time <= latest.as_str(), "{time}");

        let refused = log_in().await;
        assert_eq!(refused[0]["code"], "ACCOUNT_LOCKED");
        assert_eq!(refused[0]["lockedUntil"], locked_until);
        let input = json!({ "refreshToken": refresh_token });
        let refreshed = data_of(mutate(&app, None, "refreshSession", &input, USER_ERRORS).await);
        assert_eq!(refreshed["refreshSession"]["userErrors"][0]["code"], "SESSION_EXPIRED");

        let names = async |is_locked: bool| {
            let query = format!(
                "{{ admin {{ users(isLocked: {is_locked}) {{
                     totalCount nodes {{ user {{ username }} }} }} }} }}"
            );
            let data = app.data_as(id("admin"), &query).await;
            let nodes = data["admin"]["users"]["nodes"].as_array().expect("users").clone();
            assert_eq!(data["admin"]["users"]["totalCount"], nodes.len());
            nodes
                .iter()
                .map(|node| node["user"]["username"].as_str().expect("a name").to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(true).await, ["eve"]);
        assert_eq!(names(false).await, ["admin", "ada"]);
        let unlocked =
            payload(&app, id("admin"), "adminUnlockUser", json!({ "userId": eve }), &fields).await;
        assert_eq!(unlocked["adminUser"]["lockedUntil"], Value::Null);
        assert_eq!(names(true).await, [""; 0]);
        assert_eq!(log_in().await, json!([]));
        // The session that the lock ended stays over.
        let refreshed = data_of(mutate(&app, None, "refreshSession", &input, USER_ERRORS).await);
        assert_eq!(refreshed["refreshSession"]["userErrors"][0]["code"], "SESSION_EXPIRED");

        payload(&app, id("admin"), "adminLockUser", json!({ "userId": eve }), &fields).await;
        app.app.services.clock.advance(TimeDelta::hours(23));
        assert_eq!(log_in().await[0]["code"], "ACCOUNT_LOCKED");
        assert_eq!(names(true).await, ["eve"]);
        app.app.services.clock.advance(TimeDelta::hours(1));
        assert_eq!(names(true).await, [""; 0]);
        assert_eq!(log_in().await, json!([]));
    }

    async fn an_admin_unlocks_a_locked_account(engine: Engine) {
        let app = TestApp::start(engine).await;
        let now = app.app.services.clock.now();
        let locked = users::Model {
            failed_logins: 5,
            locked_until: Some(now + TimeDelta::hours(1)),
            last_login_at: Some(at(60)),
            ..user("ada")
        };
        app.insert(rows(
            vec![users::Model { is_admin: true, ..user("admin") }, locked],
            Vec::new(),
        ))
        .await;
        let fields = "id user { username email } isActive lockedUntil failedLogins lastLoginAt";
        let query = format!("{{ admin {{ users(isLocked: true) {{ nodes {{ {fields} }} }} }} }}");
        let listed = app.data_as(id("admin"), &query).await["admin"]["users"]["nodes"][0].take();
        let mut expected = json!({
            "id": listed["id"], "user": { "username": "ada", "email": "ada@example.com" },
            "isActive": true,
            "lockedUntil": (now + TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Micros, true),
            "failedLogins": 5, "lastLoginAt": "2026-05-28T20:27:40.000000Z",
        });
        assert_eq!(listed, expected);
        assert_ne!(listed["id"], user_id("ada"));
        let input = json!({ "userId": user_id("ada") });
        let unlocked = payload(
            &app,
            id("admin"),
            "adminUnlockUser",
            input,
            &format!("adminUser {{ {fields} }}"),
        )
        .await;
        expected["lockedUntil"] = Value::Null;
        expected["failedLogins"] = 0.into();
        assert_eq!(unlocked["adminUser"], expected);
    }

    async fn admins_page_through_users_and_find_them_by_name_or_address(engine: Engine) {
        let app = TestApp::start(engine).await;
        let person = |name: &str, seconds, display_name: Option<&str>, is_active| users::Model {
            display_name: display_name.map(str::to_owned),
            created_at: at(seconds),
            is_active,
            ..user(name)
        };
        let people = vec![
            users::Model { is_admin: true, ..person("admin", 0, None, true) },
            person("ann", 1, Some("艾達"), true),
            person("a_b", 2, Some("100% Bob, Größe ΟΔΟΣ"), true),
            person("axb", 2, None, true),
            users::Model {
                email: "someone@vault.example".to_owned(),
                ..person("gone", 4, None, false)
            },
        ];
        app.insert(rows(people, Vec::new())).await;
        let page = async |arguments: &str| {
            let query = format!(
                "{{ admin {{ users({arguments}) {{ totalCount
                nodes {{ isActive user {{ username }} }}
                pageInfo {{ hasNextPage endCursor }} }} }} }}"
            );
            let mut page = app.data_as(id("admin"), &query).await["admin"]["users"].take();
            let nodes = page["nodes"].as_array().expect("users").iter();
            let names: Vec<String> = nodes
                .map(|node| node["user"]["username"].as_str().expect("a name").to_owned())
                .collect();
            (names, page["pageInfo"].take())
        };
        // The newest first; those of one time by id.
        let all = ["gone", "axb", "a_b", "ann", "admin"];
        assert_eq!(page("first: 100").await.0, all);
        for size in 1..=5 {
            let (mut seen, mut after) = (Vec::new(), String::new());
            loop {
                let (names, info) = page(&format!("first: {size}{after}")).await;
                seen.extend(names);
                after = format!(", after: {}", info["endCursor"]);
                assert_eq!(info["hasNextPage"], seen.len() < all.len());
                if info["hasNextPage"] == false {
                    break;
                }
            }
            assert_eq!(seen, all, "{size}");
        }
        for (search, found) in [
            ("AN", &["ann"] as &[&str]),
            ("艾達", &["ann"]),
            ("達", &["ann"]),
            // Folded alike on both databases.
            ("GRÖSSE ΟΔΟΣ", &["a_b"]),
            ("größe οδος", &["a_b"]),
            ("a_b", &["a_b"]),
            ("%", &["a_b"]),
            ("vault.", &["gone"]),
            ("BOB", &["a_b"]),
            ("example.com", &all[1..]),
            ("", &all),
            ("none", &[]),
            ("a\\u0000b", &[]),
        ] {
            assert_eq!(page(&format!("search: \"{search}\"")).await.0, found, "{search}");
        }
        let query = "{ admin { users(search: \"gone\") { nodes { isActive } } } }";
        assert_eq!(
            app.data_as(id("admin"), query).await["admin"]["users"]["nodes"],
            json!([{ "isActive": false }])
        );
    }

    async fn admin_mutations_are_throttled(engine: Engine) {
        let app = TestApp::start_with(engine, &["--admin-rate=3"]).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(rows(vec![user("ada"), admin], Vec::new())).await;
        for (mutation, input) in &mutations(&app)[..3] {
            assert_eq!(refusals(&app, id("admin"), mutation, input.clone()).await, json!([]));
        }
        let (mutation, input) = &mutations(&app)[3];
        let response = mutate(&app, Some(id("admin")), mutation, input, USER_ERRORS).await;
        assert_eq!(response.body["data"], json!({ *mutation: null }));
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
        assert_eq!(card(&app, "major_arcana_00").texts.get(Locale::En).name, "New");
    }
}
