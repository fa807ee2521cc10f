//! Spreads and their positions.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::{
    spread_position_texts, spread_positions, spread_stats, spread_templates, spread_texts,
};
use wasteland_tarot::domain::locale::Locale;

use crate::support::app::{Content, TestApp, TestDatabase, on_both_databases};
use crate::support::fixtures::{card_id, spread, spread_id};

/// Every field that a spread has, in both languages where there are two.
const SPREAD: &str = "id name displayName zhDisplayName: displayName(locale: ZH_HANT)
    description zhDescription: description(locale: ZH_HANT) spreadType cardCount difficulty faction
    estimatedMinutes isActive isPremium usageCount meanRating
    positions { id number name zhName: name(locale: ZH_HANT) meaning
        zhMeaning: meaning(locale: ZH_HANT) x y rotation }";

async fn deactivate(connection: &DatabaseConnection, name: &str) {
    spread_templates::Entity::update_many()
        .col_expr(spread_templates::Column::IsActive, Expr::value(false))
        .filter(spread_templates::Column::Name.eq(name))
        .exec(connection)
        .await
        .expect("the spread is deactivated");
}

/// Sets how often a spread was used and rated.
pub async fn count(app: &TestApp, name: &str, usage: i64, rating_sum: i64, ratings: i64) {
    spread_stats::Entity::update_many()
        .col_expr(spread_stats::Column::UsageCount, Expr::value(usage))
        .col_expr(spread_stats::Column::RatingSum, Expr::value(rating_sum))
        .col_expr(spread_stats::Column::RatingN, Expr::value(ratings))
        .filter(spread_stats::Column::SpreadId.eq(spread(app, name).id))
        .exec(&app.database.connect().await)
        .await
        .expect("the counters are set");
}

async fn names(app: &TestApp) -> Value {
    let data = app.data("{ spreads { nodes { name } } }").await;
    data["spreads"]["nodes"]
        .as_array()
        .expect("spreads")
        .iter()
        .map(|spread| spread["name"].clone())
        .collect()
}

on_both_databases! {
    async fn a_spread_returns_every_field(engine: Engine) {
        let app = TestApp::start(engine).await;
        count(&app, "vault_tec_spread", 12, 13, 3).await;
        let id = spread_id(&app, "vault_tec_spread");
        let mut data = app.data(&format!("{{ spread(id: {id:?}) {{ {SPREAD} }} }}")).await;
        let positions = data["spread"]["positions"].take();
        assert_eq!(
            data["spread"],
            json!({
                "id": id,
                "name": "vault_tec_spread",
                "displayName": "Vault-Tec Spread",
                "zhDisplayName": "避難所科技牌陣",
                "description": "The orderly three-card spread from the Vault-Tec handbook, for \
                    seeing how a matter came about and where it is heading. The cards lie in a row \
                    from left to right.",
                "zhDescription": "避難所科技手冊裡最中規中矩的三張牌陣，用來看一件事怎麼開始、\
                    又會往哪裡去。\
                    三張牌由左到右排成一列。",
                "spreadType": "VAULT_TEC_SPREAD",
                "cardCount": 3,
                "difficulty": "BEGINNER",
                "faction": "VAULT_DWELLER",
                "estimatedMinutes": 11,
                "isActive": true,
                "isPremium": false,
                "usageCount": 12,
                "meanRating": 4.3,
                "positions": null,
            })
        );
        let places: Vec<Value> = positions
            .as_array()
            .expect("positions")
            .iter()
            .map(|place| {
                json!([
                    place["number"],
                    place["name"],
                    place["zhName"],
                    place["x"],
                    place["y"],
                    place["rotation"]
                ])
            })
            .collect();
        assert_eq!(
            places,
            [
                json!([1, "Past", "過去", 0.2, 0.5, 0.0]),
                json!([2, "Present", "現在", 0.5, 0.5, 0.0]),
                json!([3, "Future", "未來", 0.8, 0.5, 0.0]),
            ]
        );
        let ids: std::collections::HashSet<String> =
            (0..3).map(|index| positions[index]["id"].to_string()).collect();
        assert_eq!(ids.len(), 3, "each position has an id of its own");
        for place in positions.as_array().expect("positions") {
            for meaning in ["meaning", "zhMeaning"] {
                assert!(place[meaning].as_str().is_some_and(|text| !text.is_empty()), "{place}");
            }
        }
    }

    async fn a_spread_that_nobody_used_or_rated_has_no_mean(engine: Engine) {
        let app = TestApp::start(engine).await;
        let data = app
            .data("{ spreadByName(name: \"celtic_cross\") { faction usageCount meanRating } }")
            .await;
        assert_eq!(
            data,
            json!({ "spreadByName": { "faction": null, "usageCount": 0, "meanRating": null } })
        );
    }

    async fn a_layout_that_is_left_to_the_client_is_null(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let none = || Expr::value(Option::<f64>::None);
        spread_positions::Entity::update_many()
            .col_expr(spread_positions::Column::X, none())
            .col_expr(spread_positions::Column::Y, none())
            .col_expr(spread_positions::Column::Rotation, none())
            .exec(&database.connect().await)
            .await
            .expect("the layouts are removed");
        let app = TestApp::start_on(database, &[]).await;
        let query = "{ spreadByName(name: \"single_wasteland\") { positions { x y rotation } } }";
        assert_eq!(
            app.data(query).await,
            json!({ "spreadByName": { "positions": [{ "x": null, "y": null, "rotation": null }] } })
        );
    }

    async fn a_spread_is_the_same_however_it_is_found(engine: Engine) {
        let app = TestApp::start(engine).await;
        let id = spread_id(&app, "raider_chaos");
        let data = app
            .data(&format!(
                "{{ spread(id: {id:?}) {{ ...S }} spreadByName(name: \"raider_chaos\") {{ ...S }}
                    node(id: {id:?}) {{ ...S }} nodes(ids: [{id:?}]) {{ ...S }} }}
                 fragment S on Spread {{ {SPREAD} }}"
            ))
            .await;
        assert_eq!(data["spread"]["displayName"], "Raider Chaos");
        for found in [&data["spreadByName"], &data["node"], &data["nodes"][0]] {
            assert_eq!(*found, data["spread"]);
        }
    }

    async fn spreads_are_listed_by_usage_and_then_by_id(engine: Engine) {
        let app = TestApp::start(engine).await;
        count(&app, "celtic_cross", 7, 0, 0).await;
        count(&app, "raider_chaos", 9, 0, 0).await;
        assert_eq!(
            names(&app).await,
            json!([
                "raider_chaos",
                "celtic_cross",
                "single_wasteland",
                "vault_tec_spread",
                "wasteland_survival",
                "ncr_strategic",
                "brotherhood_council"
            ])
        );
    }

    async fn an_inactive_spread_is_not_listed_but_found_by_its_id(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        deactivate(&database.connect().await, "raider_chaos").await;
        let app = TestApp::start_on(database, &[]).await;
        assert_eq!(
            names(&app).await,
            json!([
                "single_wasteland",
                "vault_tec_spread",
                "wasteland_survival",
                "ncr_strategic",
                "brotherhood_council",
                "celtic_cross"
            ])
        );
        let id = spread_id(&app, "raider_chaos");
        let data = app
            .data(&format!(
                "{{ spreads {{ totalCount }} spreadByName(name: \"raider_chaos\") {{ id }}
                    spread(id: {id:?}) {{ name isActive }} }}"
            ))
            .await;
        assert_eq!(
            data,
            json!({
                "spreads": { "totalCount": 6 },
                "spreadByName": null,
                "spread": { "name": "raider_chaos", "isActive": false },
            })
        );
    }

    async fn a_missing_translation_of_a_spread_is_english(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        spread_texts::Entity::delete_many()
            .filter(spread_texts::Column::Locale.eq(Locale::ZhHant))
            .exec(&connection)
            .await
            .expect("the translations are deleted");
        spread_position_texts::Entity::delete_many()
            .filter(spread_position_texts::Column::Locale.eq(Locale::ZhHant))
            .filter(spread_position_texts::Column::Number.eq(2))
            .exec(&connection)
            .await
            .expect("the translations are deleted");
        let app = TestApp::start_on(database, &[]).await;
        let data = app
            .data(
                "{ spreadByName(name: \"vault_tec_spread\") { displayName(locale: ZH_HANT)
                    zh: description(locale: ZH_HANT) description
                    positions { name(locale: ZH_HANT) zh: meaning(locale: ZH_HANT) meaning } } }",
            )
            .await;
        let spread = &data["spreadByName"];
        assert_eq!(spread["displayName"], "Vault-Tec Spread");
        assert_eq!(spread["zh"], spread["description"]);
        let positions = &spread["positions"];
        assert_eq!(positions[0]["name"], "過去");
        assert_eq!(positions[1]["name"], "Present");
        assert_eq!(positions[1]["zh"], positions[1]["meaning"]);
        assert_ne!(positions[2]["zh"], positions[2]["meaning"]);
    }

    async fn an_unknown_name_finds_no_spread(engine: Engine) {
        let app = TestApp::start(engine).await;
        for name in ["horseshoe", "CELTIC_CROSS", "Celtic Cross", ""] {
            let query = format!("{{ spreadByName(name: {name:?}) {{ id }} }}");
            assert_eq!(app.data(&query).await, json!({ "spreadByName": null }), "{name:?}");
        }
    }

    async fn the_id_of_another_type_is_rejected_as_a_spread(engine: Engine) {
        let app = TestApp::start(engine).await;
        let id = card_id(&app, "major_arcana_00");
        let response = app.query(&format!("{{ spread(id: {id:?}) {{ id }} }}")).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.body_without_request_id(),
            json!({
                "data": { "spread": null },
                "errors": [{
                    "message": "`id` must be the id of a Spread; it is the id of a Card",
                    "locations": [{ "line": 1, "column": 3 }],
                    "path": ["spread"],
                    "extensions": {
                        "code": "BAD_USER_INPUT", "argument": "id", "requestId": "ID"
                    },
                }],
            })
        );
    }
}
