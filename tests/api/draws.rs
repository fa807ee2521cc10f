//! Drawing cards: every order of the deck is as likely as any other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use wasteland_tarot::domain::card::{Card, Orientation, Suit};
use wasteland_tarot::services::maintenance::fold_counters;
use wasteland_tarot::services::readings::{DrawnCard, draw, draw_with_duplicates};

use crate::support::app::{Engine, TestApp, data_of, on_both_databases};
use crate::support::fixtures::{id, rows, spread_id, user};
use crate::support::mutations::{USER_ERRORS, mutate, payload, refusal};

const DRAWS: u32 = 100_000;

/// The chi-square that a fair draw exceeds once in a million runs (Wilson and Hilferty).
fn critical(degrees: usize) -> f64 {
    const QUANTILE: f64 = 4.753_424;
    let degrees = f64::from(u32::try_from(degrees).expect("few"));
    let part = 2.0 / (9.0 * degrees);
    degrees * (1.0 - part + QUANTILE * part.sqrt()).powi(3)
}

/// Distance of these counts from the expected ones, which have the same sum.
fn chi_square(counts: impl IntoIterator<Item = (u32, f64)>) -> f64 {
    counts
        .into_iter()
        .map(|(count, expected)| (f64::from(count) - expected).powi(2) / expected)
        .sum()
}

/// Asserts that these counts are of things that are equally likely.
fn assert_uniform(counts: &[u32], what: &str) {
    let expected = f64::from(counts.iter().sum::<u32>())
        / f64::from(u32::try_from(counts.len()).expect("few"));
    let (chi, bound) =
        (chi_square(counts.iter().map(|count| (*count, expected))), critical(counts.len() - 1));
    assert!(chi < bound, "{what}: {chi} is not below {bound}: {counts:?}");
}

/// The deck, and each card's place in it.
async fn deck() -> (Vec<Arc<Card>>, HashMap<uuid::Uuid, usize>) {
    let app = TestApp::start(Engine::Sqlite).await;
    let deck = app.app.services.catalogue().cards().to_vec();
    let places = deck.iter().enumerate().map(|(place, card)| (card.id, place)).collect();
    (deck, places)
}

fn is_reversed(drawn: &DrawnCard) -> usize {
    usize::from(drawn.orientation == Orientation::Reversed)
}

#[tokio::test]
async fn each_card_and_each_way_to_lie_is_drawn_as_often() {
    let (deck, places) = deck().await;
    let draw_one = |deck: &[Arc<Card>]| draw(deck, 1);
    let draw_another = |deck: &[Arc<Card>]| draw_with_duplicates(deck, 1);
    for (what, draw) in [
        ("draw", &draw_one as &dyn Fn(&[Arc<Card>]) -> Vec<DrawnCard>),
        ("draw_with_duplicates", &draw_another),
    ] {
        let mut cards = vec![0; 78];
        let mut ways = vec![0; 2];
        let mut both = vec![0; 156];
        for _ in 0..DRAWS {
            let drawn = &draw(&deck)[0];
            let (place, way) = (places[&drawn.card.id], is_reversed(drawn));
            cards[place] += 1;
            ways[way] += 1;
            both[2 * place + way] += 1;
        }
        assert_uniform(&cards, what);
        assert_uniform(&ways, what);
        assert_uniform(&both, what);
    }
}

#[tokio::test]
async fn cards_of_one_draw_are_all_different_and_none_foretells_the_next() {
    let (deck, places) = deck().await;
    let mut cards = vec![0; 10 * 78];
    let mut ways = [0; 10 * 2];
    let mut distances = vec![0; 77];
    for _ in 0..DRAWS / 10 {
        let drawn = draw(&deck, 10);
        let different: HashSet<_> = drawn.iter().map(|drawn| drawn.card.id).collect();
        assert_eq!(different.len(), 10);
        let at: Vec<usize> = drawn.iter().map(|drawn| places[&drawn.card.id]).collect();
        for (place, (card, drawn)) in at.iter().zip(&drawn).enumerate() {
            cards[place * 78 + card] += 1;
            ways[place * 2 + is_reversed(drawn)] += 1;
        }
        for pair in at.windows(2) {
            distances[(pair[1] + 78 - pair[0]) % 78 - 1] += 1;
        }
    }
    // In every place each card is as likely.
    for place in cards.chunks(78) {
        assert_uniform(place, "cards of a place");
    }
    for place in ways.chunks(2) {
        assert_uniform(place, "ways to lie in a place");
    }
    assert_uniform(&distances, "from one card to the next");
}

#[test]
#[should_panic(expected = "is not below")]
fn a_card_that_came_a_third_more_often_would_be_detected() {
    let fair = DRAWS / 78;
    let mut counts = vec![fair; 78];
    counts[13] += fair / 3;
    counts[14] -= fair / 3;
    assert_uniform(&counts, "a card that is drawn more often");
}

#[tokio::test]
async fn the_whole_deck_can_be_drawn() {
    let (deck, _) = deck().await;
    let drawn = draw(&deck, 78);
    let different: HashSet<_> = drawn.iter().map(|drawn| drawn.card.id).collect();
    assert_eq!(different.len(), 78);
}

/// Draws cards without a viewer; returns the payload.
async fn draw_cards(app: &TestApp, input: &Value) -> Value {
    let fields = format!(
        "draws {{ orientation meaning zhMeaning: meaning(locale: ZH_HANT)
            card {{ code suit uprightMeaning reversedMeaning
                zhUpright: uprightMeaning(locale: ZH_HANT)
                zhReversed: reversedMeaning(locale: ZH_HANT) }} }}
         {USER_ERRORS}"
    );
    let response = mutate(app, None, "drawCards", input, &fields).await;
    assert_eq!(response.statements(), 0);
    data_of(response)["drawCards"].take()
}

fn codes(payload: &Value) -> Vec<&str> {
    let draws = payload["draws"].as_array().expect("draws");
    draws.iter().map(|draw| draw["card"]["code"].as_str().expect("a code")).collect()
}

on_both_databases! {
    async fn anybody_draws_1_to_10_cards(engine: Engine) {
        let app = TestApp::start(engine).await;
        assert_eq!(codes(&draw_cards(&app, &json!({})).await).len(), 1);
        for count in [1, 10] {
            let drawn = draw_cards(&app, &json!({ "count": count })).await;
            assert_eq!(codes(&drawn).len(), count);
            for draw in drawn["draws"].as_array().expect("draws") {
                let card = &draw["card"];
                let meanings = match draw["orientation"].as_str() {
                    Some("UPRIGHT") => [&card["uprightMeaning"], &card["zhUpright"]],
                    Some("REVERSED") => [&card["reversedMeaning"], &card["zhReversed"]],
                    other => panic!("{other:?}"),
                };
                assert_eq!([&draw["meaning"], &draw["zhMeaning"]], meanings);
            }
        }
        for count in [-1, 0, 11, 65_537] {
            let message = format!("count is {count}; it must be from 1 to 10");
            let bounds = [Some(1), Some(10)];
            assert_eq!(
                draw_cards(&app, &json!({ "count": count })).await,
                json!({
                    "draws": null,
                    "userErrors": refusal(&["count"], "OUT_OF_RANGE", &message, bounds),
                })
            );
        }
    }

    async fn a_draw_takes_only_cards_that_match_its_filter(engine: Engine) {
        let app = TestApp::start(engine).await;
        let suits = async |input: Value| {
            let mut suits = HashSet::new();
            for _ in 0..30 {
                let drawn = draw_cards(&app, &input).await;
                for draw in drawn["draws"].as_array().expect("draws") {
                    suits.insert(draw["card"]["suit"].as_str().expect("a suit").to_owned());
                }
            }
            suits
        };
        let all: HashSet<_> = Suit::ALL.iter().map(|suit| suit.as_str().to_uppercase()).collect();
        assert_eq!(suits(json!({ "count": 10 })).await, all);
        for suit in &all {
            assert_eq!(
                suits(json!({ "count": 10, "suit": suit })).await,
                HashSet::from([suit.clone()])
            );
        }
        let mut minor = all.clone();
        minor.remove("MAJOR_ARCANA");
        assert_eq!(suits(json!({ "count": 10, "excludeMajorArcana": true })).await, minor);
        let one = HashSet::from(["BOTTLE_CAPS".to_owned()]);
        let input = json!({ "count": 10, "excludeMajorArcana": true, "suit": "BOTTLE_CAPS" });
        assert_eq!(suits(input).await, one);

        let message = "the major arcana are excluded, and no other suit is selected";
        assert_eq!(
            draw_cards(&app, &json!({ "excludeMajorArcana": true, "suit": "MAJOR_ARCANA" })).await,
            json!({
                "draws": null,
                "userErrors": refusal(&["suit"], "INVALID", message, [None, None]),
            })
        );
    }

    async fn a_card_comes_twice_only_where_it_may(engine: Engine) {
        let app = TestApp::start(engine).await;
        // Ten of 14 cards: all of them different one time in 80, and 20 times in a row never.
        let repeated = async |allow_duplicates: bool| {
            let input =
                json!({ "count": 10, "suit": "BOTTLE_CAPS", "allowDuplicates": allow_duplicates });
            let mut repeated = 0;
            for _ in 0..20 {
                let drawn = draw_cards(&app, &input).await;
                let codes = codes(&drawn);
                assert_eq!(codes.len(), 10);
                let different: HashSet<_> = codes.iter().collect();
                repeated += usize::from(different.len() < 10);
            }
            repeated
        };
        assert_eq!(repeated(false).await, 0);
        assert!(repeated(true).await > 0);
    }

    async fn a_draw_is_counted_nowhere(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let drawn = payload(
            &app,
            id("ada"),
            "drawCards",
            json!({ "count": 10 }),
            "draws { card { code } }",
        )
        .await;
        assert_eq!(codes(&drawn).len(), 10);
        fold_counters(&app.app.services, &app.app.database.session()).await.expect("it folds");
        let data = app
            .data_as(
                id("ada"),
                "{ cards(first: 100) { nodes { drawCount } } publicStats { readings }
            viewer { readingQuota { used } readings { totalCount } } }",
            )
            .await;
        let counts = data["cards"]["nodes"].as_array().expect("cards");
        assert_eq!(counts.len(), 78);
        assert!(counts.iter().all(|card| card["drawCount"] == 0));
        assert_eq!(data["publicStats"]["readings"], 0);
        assert_eq!(
            data["viewer"],
            json!({ "readingQuota": { "used": 0 }, "readings": { "totalCount": 0 } })
        );
    }

    // Neither has `draw` an argument through which it could.
    async fn radiation_changes_no_draw(engine: Engine) {
        let app = TestApp::start_with(engine, &["--daily-readings=1000"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        for factor in [0.0, 0.95] {
            let mut suits = Suit::ALL
                .iter()
                .map(|suit| (suit.as_str().to_uppercase(), 0))
                .collect::<HashMap<_, _>>();
            let mut ways = HashMap::from([("UPRIGHT".to_owned(), 0), ("REVERSED".to_owned(), 0)]);
            let input = json!({
                "question": "Which?", "spreadId": spread_id(&app, "celtic_cross"),
                "radiationFactor": factor,
            });
            let requests = (0..100).map(|_| {
                payload(
                    &app,
                    id("ada"),
                    "createReading",
                    input.clone(),
                    "reading { cards { orientation card { suit } } }",
                )
            });
            for made in join_all(requests).await {
                for drawn in made["reading"]["cards"].as_array().expect("cards") {
                    *suits
                        .get_mut(drawn["card"]["suit"].as_str().expect("one"))
                        .expect("a suit") += 1;
                    *ways.get_mut(drawn["orientation"].as_str().expect("one")).expect("a way") += 1;
                }
            }
            assert_uniform(&ways.into_values().collect::<Vec<_>>(), "ways to lie");
            let expected = suits.into_iter().map(|(suit, count)| {
                let cards = if suit == "MAJOR_ARCANA" { 22.0 } else { 14.0 };
                (count, 1000.0 * cards / 78.0)
            });
            let (chi, bound) = (chi_square(expected), critical(Suit::ALL.len() - 1));
            assert!(chi < bound, "{factor}: {chi} is not below {bound}");
        }
    }
}
