//! Filters, orders and searches of cards: every page against an oracle that reads all cards in
//! memory, and the edges of the arguments.

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::{card_texts, wasteland_cards};
use wasteland_tarot::domain::card::{Card, CardType, Suit};
use wasteland_tarot::domain::locale::Locale;

use crate::support::app::{Content, TestApp, TestDatabase, on_both_databases};
use crate::support::fixtures::card;
use crate::support::page_walks::{assert_walks, error, refusal, reload};

const FIELDS: &[&str] = &["DECK", "NUMBER", "NAME", "RADIATION_LEVEL", "THREAT_LEVEL"];
const DIRECTIONS: &[&str] = &["ASC", "DESC"];

/// The text of a filter, and its predicate.
type Filter = (&'static str, fn(&Card) -> bool);

const FILTERS: &[Filter] = &[
    ("{}", |_| true),
    ("{ cardType: MAJOR }", |card| card.suit == Suit::MajorArcana),
    ("{ cardType: MINOR }", |card| card.suit.card_type() == CardType::Minor),
    ("{ suits: [] }", |_| false),
    ("{ suits: [BOTTLE_CAPS] }", |card| card.suit == Suit::BottleCaps),
    ("{ suits: [RADIATION_RODS, MAJOR_ARCANA, RADIATION_RODS] }", |card| {
        matches!(card.suit, Suit::RadiationRods | Suit::MajorArcana)
    }),
    ("{ cardType: MAJOR, suits: [BOTTLE_CAPS] }", |_| false),
    ("{ radiationLevel: { min: 0.4, max: 0.6 } }", |card| {
        (0.4..=0.6).contains(&card.radiation_level)
    }),
    ("{ radiationLevel: { max: 0 } }", |card| card.radiation_level <= 0.0),
    ("{ radiationLevel: { min: 0.9 } }", |card| card.radiation_level >= 0.9),
    ("{ radiationLevel: {} }", |_| true),
    ("{ radiationLevel: { min: 0.6, max: 0.4 } }", |_| false),
    ("{ threatLevel: { min: 3, max: 3 } }", |card| card.threat_level == 3),
    ("{ threatLevel: { min: 7 } }", |card| card.threat_level >= 7),
    ("{ threatLevel: { max: -1 } }", |_| false),
    ("{ threatLevel: { min: -2147483648, max: 2147483647 } }", |_| true),
    (
        "{ cardType: MINOR, suits: [COMBAT_WEAPONS, BOTTLE_CAPS],
        radiationLevel: { min: 0.3 }, threatLevel: { max: 3 } }",
        |card| {
            matches!(card.suit, Suit::CombatWeapons | Suit::BottleCaps)
                && card.radiation_level >= 0.3
                && card.threat_level <= 3
        },
    ),
    (
        "{ cardType: null, suits: null, radiationLevel: null, threatLevel: { min: null, max: null } }",
        |_| true,
    ),
];

fn suit_place(card: &Card) -> (usize, i16) {
    (Suit::ALL.iter().position(|suit| *suit == card.suit).expect("a suit"), card.number)
}

/// The matching cards, in order; equal ones are in deck order.
fn expected(
    app: &TestApp,
    fits: impl Fn(&Card) -> bool,
    field: &str,
    direction: &str,
) -> Vec<Value> {
    let catalogue = app.app.services.catalogue();
    let mut cards: Vec<Arc<Card>> =
        catalogue.cards().iter().filter(|card| fits(card)).cloned().collect();
    let name = |card: &Card| card.texts.get(Locale::En).name.to_lowercase();
    cards.sort_by(|one, other| {
        let deck = suit_place(one).cmp(&suit_place(other));
        let by_field = match field {
            "DECK" => deck,
            "NUMBER" => one.number.cmp(&other.number),
            "NAME" => name(one).cmp(&name(other)),
            "RADIATION_LEVEL" => {
                one.radiation_level.partial_cmp(&other.radiation_level).expect("numbers")
            }
            "THREAT_LEVEL" => one.threat_level.cmp(&other.threat_level),
            _ => Ordering::Equal,
        };
        if direction == "DESC" { by_field.reverse().then(deck) } else { by_field.then(deck) }
    });
    cards.iter().map(|card| card.code.as_str().into()).collect()
}

async fn codes(app: &TestApp, arguments: &str) -> Vec<Value> {
    let data =
        app.data(&format!("{{ cards(first: 100, {arguments}) {{ nodes {{ code }} }} }}")).await;
    let nodes = data["cards"]["nodes"].as_array().expect("cards");
    nodes.iter().map(|card| card["code"].clone()).collect()
}

async fn rename(database: &TestDatabase, app: &TestApp, code: &str, name: &str) {
    card_texts::Entity::update_many()
        .col_expr(card_texts::Column::Name, Expr::value(name))
        .filter(card_texts::Column::CardId.eq(card(app, code).id))
        .filter(card_texts::Column::Locale.eq(Locale::En))
        .exec(&database.connect().await)
        .await
        .expect("the card is renamed");
}

on_both_databases! {
    async fn pages_of_cards_are_those_of_the_oracle_in_every_order(engine: Engine) {
        let app = TestApp::start(engine).await;
        for field in FIELDS {
            for direction in DIRECTIONS {
                let order = format!("orderBy: {{ field: {field}, direction: {direction} }}");
                for (filter, fits) in FILTERS {
                    let arguments = format!("{order}, filter: {filter}");
                    let expected = expected(&app, fits, field, direction);
                    for size in [7, 100] {
                        assert_walks(&app, None, ("cards", "code"), &arguments, size, &expected).await;
                    }
                }
            }
        }
    }

    async fn no_filter_in_the_oracle_is_idle(engine: Engine) {
        let app = TestApp::start(engine).await;
        let counts: Vec<usize> = FILTERS
            .iter()
            .map(|(_, fits)| expected(&app, fits, "DECK", "ASC").len())
            .collect();
        assert_eq!(counts, [78, 22, 56, 0, 14, 36, 0, 26, 1, 2, 78, 0, 29, 2, 0, 78, 22, 78]);
    }

    async fn names_are_ordered_without_regard_to_capitals_and_hold_anything(engine: Engine) {
        let database = TestDatabase::new(engine, Content::Reference).await;
        let app = TestApp::start_on(database, &[]).await;
        let names = ["a|b,c", "A|B,C", "\u{e9}t\u{e9}", "zz", "Zy", "a,b"];
        for (number, name) in names.iter().enumerate() {
            rename(&app.database, &app, &format!("major_arcana_{number:02}"), name).await;
        }
        reload(&app).await;
        for direction in DIRECTIONS {
            let arguments = format!("orderBy: {{ field: NAME, direction: {direction} }}");
            let expected = expected(&app, |_| true, "NAME", direction);
            assert_walks(&app, None, ("cards", "code"), &arguments, 1, &expected).await;
        }
        let ordered = codes(&app, "orderBy: { field: NAME }, filter: { cardType: MAJOR }").await;
        let first = ["major_arcana_05", "major_arcana_07", "major_arcana_00", "major_arcana_01"];
        assert_eq!(ordered[..4], first);
        // Code points and no alphabet: é comes after z.
        assert_eq!(ordered[19..], ["major_arcana_04", "major_arcana_03", "major_arcana_02"]);
    }

    async fn an_absent_order_field_or_direction_is_the_deck_upwards(engine: Engine) {
        let app = TestApp::start(engine).await;
        let deck = expected(&app, |_| true, "DECK", "ASC");
        for arguments in ["orderBy: {}", "orderBy: null", "orderBy: { field: DECK }",
            "orderBy: { direction: ASC }", "filter: null, orderBy: null, search: null"]
        {
            assert_eq!(codes(&app, arguments).await, deck, "{arguments}");
        }
        assert_eq!(codes(&app, "orderBy: { direction: DESC }").await,
            deck.into_iter().rev().collect::<Vec<_>>());
    }

    async fn cards_are_found_by_their_texts_in_any_language(engine: Engine) {
        let app = TestApp::start(engine).await;
        let of_catalogue = |term: &str| {
            let term = term.trim().to_lowercase();
            expected(&app, |card| {
                let mut texts = vec![card.code.clone(), card.standard_name.clone()];
                for locale in Locale::ALL {
                    let text = card.texts.get(*locale);
                    texts.push(text.name.clone());
                    texts.extend(text.keywords.clone());
                }
                texts.iter().any(|text| text.to_lowercase().contains(&term))
            }, "DECK", "ASC")
        };
        let terms = ["fool", "THE FOOL", "Ace of", "瓶", "可樂瓶", "王牌", "機會", "opportunity",
            "OPPORTUNITY", "bottle_caps_1", "_", "a", "é", "zzz", "龘", "' OR '1'='1", "\\", "%",
            "  ace  ", "major_arcana_00", "輻射死神", "wheel of fortune", "10"];
        for term in terms {
            let found = codes(&app, &format!("search: {term:?}")).await;
            assert_eq!(found, of_catalogue(term), "{term:?}");
        }
        assert_eq!(codes(&app, "search: \"THE FOOL\"").await, [json!("major_arcana_00")]);
        assert_eq!(codes(&app, "search: \"輻射死神\"").await, [json!("major_arcana_13")]);
        assert_eq!(codes(&app, "search: \"可樂瓶\"").await.len(), 14);
        // The codes of all cards have one, and nothing has the other.
        assert_eq!(codes(&app, "search: \"_\"").await.len(), 78);
        assert_eq!(codes(&app, "search: \"%\"").await.len(), 0);
        for nothing in ["search: \"\"", "search: \" \\n \"", "search: null"] {
            assert_eq!(codes(&app, nothing).await.len(), 78, "{nothing}");
        }
        let both = "search: \"ace\", filter: { suits: [BOTTLE_CAPS] }, orderBy: { field: NAME }";
        let found = codes(&app, both).await;
        assert_eq!(found, [json!("bottle_caps_01")]);
    }

    async fn special_characters_of_a_card_are_found_as_they_are(engine: Engine) {
        let app = TestApp::start(engine).await;
        let names = ["100% Caps", "Cafe\u{301} \"Noir\"", "It's \\ this"];
        for (number, name) in names.iter().enumerate() {
            rename(&app.database, &app, &format!("major_arcana_{number:02}"), name).await;
        }
        reload(&app).await;
        let found = [("%", 0), ("0% c", 0), ("\"", 1), ("CAF\u{c9}", 1), ("cafe\u{301}", 1),
            ("\u{e9}", 1), ("\\", 2), ("t's", 2)];
        for (term, number) in found {
            let code = format!("major_arcana_{number:02}");
            assert_eq!(codes(&app, &format!("search: {}", json!(term))).await, [json!(code)], "{term:?}");
        }
        assert_eq!(codes(&app, "search: \"1_0\"").await.len(), 0);
    }

    async fn a_search_term_has_a_maximum_length(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = |length| format!("{{ cards(search: {:?}) {{ totalCount }} }}", "愛".repeat(length));
        app.data(&query(100)).await;
        assert_eq!(
            refusal(&app, None, &query(101)).await,
            error("`search` has 101 characters; it must have at most 100", "search")
        );
    }

    async fn a_card_cursor_is_good_for_its_order_and_any_filter(engine: Engine) {
        let app = TestApp::start(engine).await;
        let orders: Vec<(&str, &str)> = FIELDS
            .iter()
            .flat_map(|field| DIRECTIONS.iter().map(move |direction| (*field, *direction)))
            .collect();
        let query = |(field, direction): (&str, &str), more: &str| {
            format!("{{ cards(orderBy: {{ field: {field}, direction: {direction} }}, {more})
                {{ pageInfo {{ endCursor }} nodes {{ code }} }} }}")
        };
        for order in &orders {
            let data = app.data(&query(*order, "first: 30")).await;
            let cursor = data["cards"]["pageInfo"]["endCursor"].as_str().expect("a cursor");
            let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("base64");
            let text = String::from_utf8(text).expect("text");
            let (list, _) = text.rsplit_once('|').expect("a key");
            assert_eq!(list, format!("1|cards:{}:{}", order.0, order.1));
            for other in &orders {
                for argument in ["after", "before"] {
                    let query = query(*other, &format!("{argument}: {cursor:?}"));
                    if order == other {
                        app.data(&query).await;
                        continue;
                    }
                    assert_eq!(refusal(&app, None, &query).await, json!({
                        "message": format!("`{argument}` is no cursor of this list in this order"),
                        "code": "INVALID_CURSOR",
                        "argument": argument,
                    }));
                }
            }
            // The card of the cursor need not be in the list.
            let filter = "filter: { suits: [BOTTLE_CAPS] }";
            let all = expected(&app, |_| true, order.0, order.1);
            let after = app.data(&query(*order, &format!("first: 100, {filter}, after: {cursor:?}"))).await;
            let rest: Vec<&Value> = all[30..]
                .iter()
                .filter(|code| code.as_str().is_some_and(|code| code.starts_with("bottle_caps")))
                .collect();
            let found: Vec<&Value> = after["cards"]["nodes"].as_array().expect("cards")
                .iter().map(|node| &node["code"]).collect();
            assert_eq!(found, rest);
        }
    }

    async fn forged_card_cursors_are_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        let place = "major_arcana,3";
        let forged = [
            ("DECK", vec!["", "major_arcana", "x,3", "major_arcana,x", "major_arcana,3,n3"]),
            ("NUMBER", vec![place, "major_arcana,3,3", "major_arcana,3,nx", "major_arcana,3,n99999",
                "major_arcana,3,l3", "major_arcana,3,n"]),
            ("NAME", vec![place, "major_arcana,3,t*", "major_arcana,3,t_w", "major_arcana,3,n3"]),
            ("RADIATION_LEVEL", vec![place, "major_arcana,3,rNaN", "major_arcana,3,rnan",
                "major_arcana,3,rinf", "major_arcana,3,r-inf", "major_arcana,3,r1.1",
                "major_arcana,3,r-0.1", "major_arcana,3,r", "major_arcana,3,l1"]),
            ("THREAT_LEVEL", vec![place, "major_arcana,3,l0", "major_arcana,3,l11",
                "major_arcana,3,lx", "major_arcana,3,r0.5"]),
        ];
        for (field, keys) in forged {
            for key in keys {
                let cursor = BASE64_URL_SAFE_NO_PAD.encode(format!("1|cards:{field}:ASC|{key}"));
                let query = format!("{{ cards(orderBy: {{ field: {field} }}, after: {cursor:?})
                    {{ totalCount }} }}");
                let refused = refusal(&app, None, &query).await;
                assert_eq!(refused["code"], "INVALID_CURSOR", "{field} {key}");
            }
        }
    }

    async fn lists_of_cards_take_no_statement_and_their_counters_one(engine: Engine) {
        let app = TestApp::start(engine).await;
        let arguments = "search: \"a\", filter: { cardType: MINOR }, orderBy: { field: NAME }";
        let fetch = async |fields: &str| {
            app.query(&format!("{{ cards(first: 50, {arguments}) {{ totalCount nodes {{ {fields} }} }} }}"))
                .await
                .statements()
        };
        assert_eq!(fetch("name keywords radiationLevel").await, 0);
        assert_eq!(fetch("name drawCount").await, 1);
    }

    async fn a_page_of_cards_shows_changes_made_after_the_page_before(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = |after: &str| format!(
            "{{ cards(first: 3, orderBy: {{ field: THREAT_LEVEL, direction: DESC }}{after})
                {{ pageInfo {{ endCursor }} nodes {{ code }} }} }}"
        );
        let all = expected(&app, |_| true, "THREAT_LEVEL", "DESC");
        let page = app.data(&query("")).await;
        let cursor = page["cards"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
        // The first page's card goes to the end: the second page loses nothing.
        let first = page["cards"]["nodes"][0]["code"].as_str().expect("a code").to_owned();
        wasteland_cards::Entity::update_many()
            .col_expr(wasteland_cards::Column::ThreatLevel, Expr::value(1))
            .filter(wasteland_cards::Column::Code.eq(first))
            .exec(&app.database.connect().await)
            .await
            .expect("the card is changed");
        reload(&app).await;
        let page = app.data(&query(&format!(", after: {cursor:?}"))).await;
        let found: Vec<_> = page["cards"]["nodes"].as_array().expect("cards")
            .iter().map(|node| node["code"].clone()).collect();
        assert_eq!(found, all[3..6]);
    }
}
