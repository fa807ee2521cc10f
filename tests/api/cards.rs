//! Cards and suits.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::{card_stats, card_texts, wasteland_cards};
use wasteland_tarot::domain::locale::Locale;

use crate::support::app::{Content, TestApp, TestDatabase, on_both_databases};
use crate::support::fixtures::{card, card_id, spread_id};

/// Every field that a card has, in both languages where there are two.
const CARD: &str = "id code name zhName: name(locale: ZH_HANT) cardType suit number rank
    zhRank: rank(locale: ZH_HANT) isCourt standardName standardSuit
    uprightMeaning zhUpright: uprightMeaning(locale: ZH_HANT)
    reversedMeaning zhReversed: reversedMeaning(locale: ZH_HANT)
    keywords zhKeywords: keywords(locale: ZH_HANT)
    radiationLevel threatLevel vaultNumber imageUrl drawCount
    interpretation(voice: PIP_BOY)
    zhInterpretation: interpretation(voice: PIP_BOY, locale: ZH_HANT)";

on_both_databases! {
    /// Strings and comments of a document have any character (September 2025, section 2.1.1).
    async fn control_characters_in_a_document_are_characters(engine: Engine) {
        let app = TestApp::start(engine).await;
        let controls = (0..32_u8).map(char::from).filter(|c| !matches!(c, '\n' | '\r'));
        for control in controls.chain(['\u{7f}', '\u{85}', '\u{fffe}', '\u{10ffff}']) {
            for literal in [format!("\"a{control}b\""), format!("\"\"\"{control}\"\"\"")] {
                let query = format!("#{control}\n{{ cardByCode(code: {literal}) {{ id }} }}");
                let response = app.query(&query).await;
                assert_eq!(response.body, json!({ "data": { "cardByCode": null } }), "{query:?}");
            }
        }
    }

    async fn a_card_returns_every_field(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let connection = database.connect().await;
        wasteland_cards::Entity::update_many()
            .col_expr(wasteland_cards::Column::ImageUrl, Expr::value("https://example.com/1.webp"))
            .filter(wasteland_cards::Column::Code.eq("bottle_caps_01"))
            .exec(&connection)
            .await
            .expect("the picture is set");
        let app = TestApp::start_on(database, &[]).await;
        let id = card_id(&app, "bottle_caps_01");
        card_stats::Entity::update_many()
            .col_expr(card_stats::Column::DrawCount, Expr::value(3_000_000_000_i64))
            .filter(
                card_stats::Column::CardId.eq(card(&app, "bottle_caps_01").id),
            )
            .exec(&connection)
            .await
            .expect("the counter is set");

        let data = app.data(&format!("{{ card(id: {id:?}) {{ {CARD} }} }}")).await;
        let upright = "Prised from a split in the highway, one bright cap lies beside a packet of \
            dry tato seeds. Here is the small, solid start of a living: take it, plant it, and \
            give it time.";
        let zh_upright = "公路裂縫裡撿到一枚發亮的瓶蓋，旁邊還有一包沒受潮的種子。\
                謀生的機會實實在在擺在眼前，\
            收好它，種下去，慢慢等它長大。";
        assert_eq!(
            data["card"],
            json!({
                "id": id,
                "code": "bottle_caps_01",
                "name": "Ace of Bottle Caps",
                "zhName": "瓶蓋王牌",
                "cardType": "MINOR",
                "suit": "BOTTLE_CAPS",
                "number": 1,
                "rank": "Ace",
                "zhRank": "王牌",
                "isCourt": false,
                "standardName": "Ace of Pentacles",
                "standardSuit": "Pentacles",
                "uprightMeaning": upright,
                "zhUpright": zh_upright,
                "reversedMeaning": "The caravan boss's offer stayed pinned to the saloon door \
                    until the ink ran. Through doubt, poor sums or a bad lock on the strongbox, a \
                    good beginning is slipping out of your hand.",
                "zhReversed": "商隊徵人的紙條在酒館門上貼到字都糊了，你還在猶豫。\
                    起步的本錢沒算清楚，也沒看牢，\
                    好機會就這樣從指縫溜走。",
                "keywords": ["opportunity", "seed money", "new work", "solid ground"],
                "zhKeywords": ["機會", "本錢", "新差事", "穩當的立足點"],
                "radiationLevel": 0.15,
                "threatLevel": 1,
                "vaultNumber": 34,
                "imageUrl": "https://example.com/1.webp",
                "drawCount": 3_000_000_000_i64,
                "interpretation": format!(
                    "Asset scan complete, one inventory entry: Ace of Bottle Caps. {upright} Data \
                     point saved to Notes, tagged seed money, priority high."
                ),
                "zhInterpretation": format!(
                    "資產掃描完畢，庫存一筆：瓶蓋王牌。{zh_upright}\
                     資料已存入筆記，標籤「本錢」，優先級：高。"
                ),
            })
        );
    }

    async fn absent_fields_of_a_card_are_null(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "{ cardByCode(code: \"major_arcana_01\") { vaultNumber imageUrl drawCount } }";
        assert_eq!(
            app.data(query).await,
            json!({ "cardByCode": { "vaultNumber": null, "imageUrl": null, "drawCount": 0 } })
        );
    }

    async fn court_cards_are_those_from_eleven_in_a_minor_suit(engine: Engine) {
        let app = TestApp::start(engine).await;
        let data = app.data("{ cards(first: 100) { nodes { code isCourt } } }").await;
        let courts: Vec<&str> = data["cards"]["nodes"]
            .as_array()
            .expect("cards")
            .iter()
            .filter(|card| card["isCourt"] == true)
            .map(|card| card["code"].as_str().expect("a code"))
            .collect();
        let expected: Vec<String> =
            ["nuka_cola_bottles", "combat_weapons", "bottle_caps", "radiation_rods"]
                .iter()
                .flat_map(|suit| (11..=14).map(move |number| format!("{suit}_{number}")))
                .collect();
        assert_eq!(courts, expected);
    }

    async fn a_card_is_the_same_however_it_is_found(engine: Engine) {
        let app = TestApp::start(engine).await;
        let id = card_id(&app, "major_arcana_13");
        let data = app
            .data(&format!(
                "{{ card(id: {id:?}) {{ ...C }} cardByCode(code: \"major_arcana_13\") {{ ...C }}
                    node(id: {id:?}) {{ ...C }} nodes(ids: [{id:?}]) {{ ...C }} }}
                 fragment C on Card {{ {CARD} }}"
            ))
            .await;
        assert_eq!(data["card"]["name"], "Radiation Reaper");
        for found in [&data["cardByCode"], &data["node"], &data["nodes"][0]] {
            assert_eq!(*found, data["card"]);
        }
    }

    async fn an_unknown_code_finds_no_card(engine: Engine) {
        let app = TestApp::start(engine).await;
        for code in ["major_arcana_22", "MAJOR_ARCANA_00", "major_arcana_0", "", "%"] {
            let query = format!("{{ cardByCode(code: {code:?}) {{ id }} }}");
            assert_eq!(app.data(&query).await, json!({ "cardByCode": null }), "{code:?}");
        }
    }

    async fn cards_are_listed_by_suit_and_then_number(engine: Engine) {
        let app = TestApp::start(engine).await;
        let data = app.data("{ cards(first: 100) { totalCount nodes { suit number } } }").await;
        let expected: Vec<Value> = (0..=21)
            .map(|number| ("MAJOR_ARCANA", number))
            .chain(
                ["NUKA_COLA_BOTTLES", "COMBAT_WEAPONS", "BOTTLE_CAPS", "RADIATION_RODS"]
                    .into_iter()
                    .flat_map(|suit| (1..=14).map(move |number| (suit, number))),
            )
            .map(|(suit, number)| json!({ "suit": suit, "number": number }))
            .collect();
        assert_eq!(data["cards"], json!({ "totalCount": 78, "nodes": expected }));
    }

    async fn suits_come_in_deck_order_with_every_field(engine: Engine) {
        let app = TestApp::start(engine).await;
        let data = app
            .data(
                "{ suits { suit name zh: name(locale: ZH_HANT) element standardSuit cardCount } }",
            )
            .await;
        let suit =
            |suit: &str, name: &str, zh: &str, element: Option<&str>, standard: &str, count| {
                json!({
                    "suit": suit, "name": name, "zh": zh, "element": element,
                    "standardSuit": standard, "cardCount": count
                })
            };
        assert_eq!(
            data["suits"],
            json!([
                suit("MAJOR_ARCANA", "Major Arcana", "大阿爾克那", None, "Major Arcana", 22),
                suit("NUKA_COLA_BOTTLES", "Nuka-Cola Bottles", "可樂瓶", Some("water"), "Cups", 14),
                suit("COMBAT_WEAPONS", "Combat Weapons", "戰鬥武器", Some("air"), "Swords", 14),
                suit("BOTTLE_CAPS", "Bottle Caps", "瓶蓋", Some("earth"), "Pentacles", 14),
                suit("RADIATION_RODS", "Radiation Rods", "輻射棒", Some("fire"), "Wands", 14),
            ])
        );
        let ids = app.data("{ suits { id } }").await;
        let ids: std::collections::HashSet<String> = ids["suits"]
            .as_array()
            .expect("suits")
            .iter()
            .map(|suit| suit["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 5, "each suit has an id of its own");
    }

    async fn a_missing_translation_of_a_card_is_english(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        card_texts::Entity::delete_many()
            .filter(card_texts::Column::Locale.eq(Locale::ZhHant))
            .exec(&database.connect().await)
            .await
            .expect("the translations are deleted");
        let app = TestApp::start_on(database, &[]).await;
        let data = app
            .data(
                "{ cardByCode(code: \"major_arcana_00\") { name(locale: ZH_HANT)
                    rank(locale: ZH_HANT) keywords(locale: ZH_HANT)
                    upright: uprightMeaning(locale: ZH_HANT) uprightMeaning
                    reversed: reversedMeaning(locale: ZH_HANT) reversedMeaning } }",
            )
            .await;
        let card = &data["cardByCode"];
        assert_eq!(card["name"], "Vault Newbie");
        assert_eq!(card["rank"], "0");
        assert!(card["keywords"].as_array().is_some_and(|words| !words.is_empty()));
        assert_eq!(card["upright"], card["uprightMeaning"]);
        assert_eq!(card["reversed"], card["reversedMeaning"]);
    }

    async fn a_missing_translation_of_a_voices_text_is_english(engine: Engine) {
        use wasteland_tarot::db::entities::card_interpretations::{Column, Entity};
        let database = TestDatabase::new(engine, Content::Reference).await;
        Entity::delete_many()
            .filter(Column::Locale.eq(Locale::ZhHant))
            .exec(&database.connect().await)
            .await
            .expect("the translations are deleted");
        let app = TestApp::start_on(database, &[]).await;
        let data = app
            .data(
                "{ cardByCode(code: \"major_arcana_00\") { en: interpretation(voice: GHOUL)
                    zh: interpretation(voice: GHOUL, locale: ZH_HANT) } }",
            )
            .await;
        assert!(
            data["cardByCode"]["en"].as_str().is_some_and(|text| text.contains("Vault Newbie"))
        );
        assert_eq!(data["cardByCode"]["zh"], data["cardByCode"]["en"]);
    }

    async fn the_id_of_another_type_is_rejected_as_a_card(engine: Engine) {
        let app = TestApp::start(engine).await;
        let id = spread_id(&app, "celtic_cross");
        let response = app.query(&format!("{{ card(id: {id:?}) {{ id }} }}")).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.body_without_request_id(),
            json!({
                "data": { "card": null },
                "errors": [{
                    "message": "`id` must be the id of a Card; it is the id of a Spread",
                    "locations": [{ "line": 1, "column": 3 }],
                    "path": ["card"],
                    "extensions": {
                        "code": "BAD_USER_INPUT", "argument": "id", "requestId": "ID"
                    },
                }],
            })
        );
    }
}
