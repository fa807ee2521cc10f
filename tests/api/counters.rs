//! Counters: once the deltas are folded in, each is equal to a count of the rows.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use migration::{Migrator, MigratorTrait};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::columns::{DrawDeltas, UsageDeltas};
use wasteland_tarot::db::entities::{
    card_stats, counter_deltas, reading_cards, reading_sessions, site_stats, spread_stats,
    user_card_stats, users,
};
use wasteland_tarot::domain::card::Orientation;
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::maintenance::fold_counters;

use crate::support::app::{TestApp, at, data_of, on_both_databases};
use crate::support::fixtures::{card, drawn_cards, id, reading, rows, spread, spread_id, user};
use crate::support::mutations::{USER_ERRORS, mutate, payload};

const PASSWORD: &str = "a password of many";
const SPREADS: [&str; 4] = ["single_wasteland", "vault_tec_spread", "raider_chaos", "celtic_cross"];

/// All counters, stored or expected.
#[derive(Debug, PartialEq, Eq)]
struct Counters {
    draws: BTreeMap<Uuid, i64>,
    /// Uses, the sum of the ratings, and how many there are.
    uses: BTreeMap<Uuid, (i64, i64, i64)>,
    users: i64,
    readings: i64,
}

/// Counters recomputed from the rows.
async fn recount(connection: &DatabaseConnection) -> Counters {
    let cards = card_stats::Entity::find().all(connection).await.expect("cards");
    let spreads = spread_stats::Entity::find().all(connection).await.expect("spreads");
    let mut counters = Counters {
        draws: cards.into_iter().map(|row| (row.card_id, 0)).collect(),
        uses: spreads.into_iter().map(|row| (row.spread_id, (0, 0, 0))).collect(),
        users: 0,
        readings: 0,
    };
    for row in reading_cards::Entity::find().all(connection).await.expect("drawn cards") {
        *counters.draws.get_mut(&row.card_id).expect("a card") += 1;
    }
    for row in reading_sessions::Entity::find().all(connection).await.expect("readings") {
        let uses = counters.uses.get_mut(&row.spread_template_id).expect("a spread");
        uses.0 += 1;
        uses.1 += row.user_satisfaction.map_or(0, i64::from);
        uses.2 += row.user_satisfaction.map_or(0, |_| 1);
        counters.readings += 1;
    }
    let users = users::Entity::find().count(connection).await.expect("users");
    counters.users = i64::try_from(users).expect("few");
    counters
}

/// Stored counters.
async fn counted(connection: &DatabaseConnection) -> Counters {
    let cards = card_stats::Entity::find().all(connection).await.expect("cards");
    let spreads = spread_stats::Entity::find().all(connection).await.expect("spreads");
    let site = site_stats::Entity::find().one(connection).await.expect("the site").expect("a row");
    let uses =
        |row: spread_stats::Model| (row.spread_id, (row.usage_count, row.rating_sum, row.rating_n));
    Counters {
        draws: cards.into_iter().map(|row| (row.card_id, row.draw_count)).collect(),
        uses: spreads.into_iter().map(uses).collect(),
        users: site.users,
        readings: site.readings,
    }
}

/// Asserts that each user's card counters match the rows, without folding.
async fn assert_cards_of_users(connection: &DatabaseConnection) {
    let readings = reading_sessions::Entity::find().all(connection).await.expect("readings");
    let readings: BTreeMap<_, _> = readings.into_iter().map(|row| (row.id, row)).collect();
    let mut expected = BTreeMap::new();
    for card in reading_cards::Entity::find().all(connection).await.expect("drawn cards") {
        let reading = &readings[&card.reading_id];
        let at = reading.created_at;
        let row = expected.entry((reading.user_id, card.card_id)).or_insert((0, 0, at));
        match card.orientation {
            Orientation::Upright => row.0 += 1,
            Orientation::Reversed => row.1 += 1,
        }
        row.2 = at.max(row.2);
    }
    let rows = user_card_stats::Entity::find().all(connection).await.expect("rows");
    let mut stored = BTreeMap::new();
    for row in rows {
        match row.last_drawn_at {
            Some(last) => {
                stored.insert((row.user_id, row.card_id), (row.upright, row.reversed, last));
            }
            None => assert_eq!((row.upright, row.reversed), (0, 0)),
        }
    }
    assert_eq!(stored, expected);
}

async fn fold(app: &TestApp) {
    let session = app.app.database.session();
    fold_counters(&app.app.services, &session).await.expect("the counters are folded");
}

/// Asserts that clients see these counters.
async fn assert_shown(app: &TestApp, counters: &Counters) {
    let data = app
        .data(
            "{ publicStats { users readings } cards(first: 100) { nodes { id drawCount } }
               spreads(first: 100) { nodes { id usageCount meanRating } } }",
        )
        .await;
    let site = json!({ "users": counters.users, "readings": counters.readings });
    assert_eq!(data["publicStats"], site);
    let shown = |list: &str, id: &str, field: &str| {
        let nodes = data[list]["nodes"].as_array().expect("a list").iter();
        nodes.clone().find(|node| node["id"] == id).unwrap_or(&Value::Null)[field].clone()
    };
    for (card, draws) in &counters.draws {
        let id = GlobalId::Card(*card).encode();
        assert_eq!(shown("cards", &id, "drawCount"), *draws);
    }
    for (spread, (uses, sum, ratings)) in &counters.uses {
        let id = GlobalId::Spread(*spread).encode();
        assert_eq!(shown("spreads", &id, "usageCount"), *uses);
        let mean = shown("spreads", &id, "meanRating").as_f64();
        #[expect(clippy::cast_precision_loss, reason = "few ratings")]
        let expected = (*ratings > 0).then(|| *sum as f64 / *ratings as f64);
        let is_near = match (mean, expected) {
            (Some(mean), Some(expected)) => (mean - expected).abs() < 0.06,
            (mean, expected) => mean == expected,
        };
        assert!(is_near, "{mean:?} is not {expected:?}");
    }
}

async fn register(app: &TestApp, name: &str) -> Uuid {
    let input =
        json!({ "email": format!("{name}@example.com"), "username": name, "password": PASSWORD });
    let fields = format!("viewer {{ id }} {USER_ERRORS}");
    let made = data_of(mutate(app, None, "register", &input, &fields).await);
    match GlobalId::decode(made["register"]["viewer"]["id"].as_str().expect("an id")) {
        Some(GlobalId::User(id)) => id,
        other => panic!("{other:?}"),
    }
}

/// Users and their readings, under a random sequence of changes.
struct World {
    rng: StdRng,
    people: Vec<(Uuid, Vec<String>)>,
    names: u32,
}

impl World {
    async fn join(&mut self, app: &TestApp) {
        self.names += 1;
        let person = register(app, &format!("p{}", self.names)).await;
        self.people.push((person, Vec::new()));
    }

    async fn step(&mut self, app: &TestApp) {
        let who = self.rng.random_range(0..self.people.len());
        let person = self.people[who].0;
        match self.rng.random_range(0..100) {
            0..45 => {
                let spread = SPREADS[self.rng.random_range(0..SPREADS.len())];
                let input = json!({ "question": "Q?", "spreadId": spread_id(app, spread) });
                let made = payload(app, person, "createReading", input, "reading { id }").await;
                let id = made["reading"]["id"].as_str().expect("an id").to_owned();
                self.people[who].1.push(id);
            }
            45..80 => {
                let Some(reading) = self.some_reading(who) else { return };
                let rating = self.rng.random_range(0..=5);
                let rating = if rating == 0 { Value::Null } else { json!(rating) };
                let input = json!({ "id": reading, "satisfactionRating": rating, "notes": "n" });
                let changed = payload(app, person, "updateReading", input, USER_ERRORS).await;
                assert_eq!(changed["userErrors"], json!([]));
            }
            80..95 => {
                let Some(reading) = self.some_reading(who) else { return };
                self.people[who].1.retain(|other| *other != reading);
                let input = json!({ "id": reading });
                payload(app, person, "deleteReading", input, "deletedReadingId").await;
            }
            95..98 => {
                let input = json!({ "password": PASSWORD });
                let deleted = payload(app, person, "deleteAccount", input, USER_ERRORS).await;
                assert_eq!(deleted["userErrors"], json!([]));
                self.people.remove(who);
                self.join(app).await;
            }
            _ => fold(app).await,
        }
    }

    fn some_reading(&mut self, who: usize) -> Option<String> {
        let readings = &self.people[who].1;
        let index = self.rng.random_range(0..readings.len().max(1));
        readings.get(index).cloned()
    }
}

on_both_databases! {
    async fn after_any_changes_counters_equal_a_count_of_the_rows(engine: Engine) {
        let app = TestApp::start_with(engine, &["--daily-readings=500"]).await;
        let connection = app.database.connect().await;
        // Rows from before the counters count as well.
        let ada = user("ada");
        let old =
            reading_sessions::Model { user_satisfaction: Some(4), ..reading(&app, &ada, "old", 1) };
        let drawn = drawn_cards(&app, &old, &["major_arcana_00"]);
        app.insert(wasteland_tarot::db::seed::SeedRows {
            drawn_cards: drawn,
            ..rows(vec![ada], vec![old])
        })
        .await;
        let mut world = World { rng: StdRng::seed_from_u64(2026), people: Vec::new(), names: 0 };
        for _ in 0..3 {
            world.join(&app).await;
        }
        for step in 0..150 {
            world.step(&app).await;
            if step % 10 == 0 {
                assert_cards_of_users(&connection).await;
            }
        }
        assert_cards_of_users(&connection).await;
        // The last user to be deleted has many rows.
        let gone =
            world.people.iter().max_by_key(|(_, readings)| readings.len()).expect("people").0;
        fold(&app).await;
        let before = recount(&connection).await;
        assert_eq!(counted(&connection).await, before);
        payload(&app, gone, "deleteAccount", json!({ "password": PASSWORD }), USER_ERRORS).await;
        assert_eq!(counted(&connection).await, before);
        assert_cards_of_users(&connection).await;
        fold(&app).await;
        let after = recount(&connection).await;
        assert!(after.readings < before.readings && after.readings > 0, "{after:?}");
        assert_eq!(counted(&connection).await, after);
        assert_shown(&app, &after).await;
        // Nothing is left to fold, and nothing is folded twice.
        assert_eq!(counter_deltas::Entity::find().count(&connection).await.expect("a count"), 0);
        fold(&app).await;
        assert_eq!(counted(&connection).await, after);
    }

    async fn concurrent_folds_count_each_delta_once(engine: Engine) {
        let app = TestApp::start_with(engine, &["--database-pool-size=8"]).await;
        let connection = app.database.connect().await;
        let (card, spread) = (card(&app, "major_arcana_00").id, spread(&app, "raider_chaos").id);
        // More than one transaction takes.
        let rows = (0..1_203).map(|n| counter_deltas::Model {
            id: Uuid::now_v7(),
            users: 2,
            readings: 1,
            draws: DrawDeltas(BTreeMap::from([(card, 3)])),
            uses: UsageDeltas(
                serde_json::from_value(
                    json!({ spread.to_string(): { "uses": 1, "rating_sum": 5, "ratings": 1 } }),
                )
                .expect("uses"),
            ),
            created_at: at(n),
        });
        let rows: Vec<_> = rows.map(counter_deltas::ActiveModel::from).collect();
        for rows in rows.chunks(100) {
            counter_deltas::Entity::insert_many(rows.to_vec())
                .exec_without_returning(&connection)
                .await
                .expect("the rows are written");
        }
        join_all((0..6).map(|_| fold(&app))).await;
        let counted = counted(&connection).await;
        assert_eq!((counted.users, counted.readings), (2_406, 1_203));
        assert_eq!(counted.draws[&card], 3_609);
        assert_eq!(counted.draws.values().sum::<i64>(), 3_609);
        assert_eq!(counted.uses[&spread], (1_203, 6_015, 1_203));
        assert_eq!(counter_deltas::Entity::find().count(&connection).await.expect("a count"), 0);
        let stats = card_stats::Entity::find_by_id(card).one(&connection).await;
        assert_eq!(stats.expect("the row").expect("one").last_drawn_at, Some(at(1_202)));
    }

    async fn readings_made_while_others_fold_are_counted_once(engine: Engine) {
        let app =
            TestApp::start_with(engine, &["--database-pool-size=8", "--daily-readings=500"]).await;
        let connection = app.database.connect().await;
        app.insert(rows(vec![user("ada"), user("bob")], Vec::new())).await;
        let make = async |name: &str| {
            for _ in 0..20 {
                let input =
                    json!({ "question": "Q?", "spreadId": spread_id(&app, "vault_tec_spread") });
                let made = payload(&app, id(name), "createReading", input, USER_ERRORS).await;
                assert_eq!(made["userErrors"], json!([]));
            }
        };
        let keep_folding = async || {
            for _ in 0..20 {
                fold(&app).await;
            }
        };
        tokio::join!(make("ada"), make("bob"), keep_folding(), keep_folding());
        fold(&app).await;
        let counted = counted(&connection).await;
        assert_eq!(counted, recount(&connection).await);
        assert_eq!((counted.readings, counted.draws.values().sum::<i64>()), (40, 120));
    }

    async fn cards_of_a_user_are_counted_once_however_many_readings_come_and_go_at_once(
        engine: Engine,
    ) {
        let app =
            TestApp::start_with(engine, &["--database-pool-size=8", "--daily-readings=500"]).await;
        let connection = app.database.connect().await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let come_and_go = async || {
            for round in 0..8 {
                let input =
                    json!({ "question": "Q?", "spreadId": spread_id(&app, "celtic_cross") });
                let made = payload(&app, id("ada"), "createReading", input, "reading { id }").await;
                if round % 2 == 0 {
                    let input = made["reading"].clone();
                    payload(&app, id("ada"), "deleteReading", input, "deletedReadingId").await;
                }
            }
        };
        join_all((0..6).map(|_| come_and_go())).await;
        assert_cards_of_users(&connection).await;
        assert_eq!(recount(&connection).await.readings, 24);
    }

    async fn cards_of_users_are_counted_when_their_table_is_made(engine: Engine) {
        let app = TestApp::start(engine).await;
        let connection = app.database.connect().await;
        let people = [user("ada"), user("bob")];
        let readings: Vec<_> = (0_i64..)
            .zip(["a1", "a2", "b1", "b2", "b3"])
            .map(|(n, name)| reading(&app, &people[usize::from(name.starts_with('b'))], name, n))
            .collect();
        let codes = ["major_arcana_00", "bottle_caps_01", "radiation_rods_14"];
        let mut drawn_cards: Vec<_> = readings
            .iter()
            .zip([1, 3, 2, 1, 3])
            .flat_map(|(reading, count)| drawn_cards(&app, reading, &codes[..count]))
            .collect();
        for card in drawn_cards.iter_mut().step_by(3) {
            card.orientation = Orientation::Reversed;
        }
        let seed = rows(people.to_vec(), readings);
        app.insert(wasteland_tarot::db::seed::SeedRows { drawn_cards, ..seed }).await;
        let before = user_card_stats::Entity::find().count(&connection).await.expect("a count");
        let migrations = Migrator::migrations();
        let made = migrations.iter().position(|one| one.name().ends_with("user_card_stats"));
        let later = migrations.len() - made.expect("the migration");
        let later = u32::try_from(later).expect("few");
        Migrator::down(&connection, Some(later)).await.expect("down");
        Migrator::up(&connection, None).await.expect("up");
        let after = user_card_stats::Entity::find().count(&connection).await.expect("a count");
        assert_eq!((before, after), (6, 6));
        assert_cards_of_users(&connection).await;
    }

    async fn a_counter_goes_back_when_a_rating_is_taken_back(engine: Engine) {
        let app = TestApp::start(engine).await;
        let connection = app.database.connect().await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let input = json!({ "question": "Q?", "spreadId": spread_id(&app, "single_wasteland") });
        let made = payload(&app, id("ada"), "createReading", input, "reading { id }").await;
        let spread = spread(&app, "single_wasteland").id;
        for (rating, expected) in [
            (json!(5), (1, 5, 1)),
            (json!(5), (1, 5, 1)),
            (json!(2), (1, 2, 1)),
            (Value::Null, (1, 0, 0)),
            (json!(3), (1, 3, 1)),
        ] {
            let input = json!({ "id": made["reading"]["id"], "satisfactionRating": rating });
            payload(&app, id("ada"), "updateReading", input, USER_ERRORS).await;
            // Other ratings are nobody's but the owner's.
            let input =
                json!({ "id": made["reading"]["id"], "accuracyRating": 1, "helpfulRating": 1 });
            payload(&app, id("ada"), "updateReading", input, USER_ERRORS).await;
            fold(&app).await;
            assert_eq!(counted(&connection).await.uses[&spread], expected);
        }
        payload(&app, id("ada"), "deleteReading", made["reading"].clone(), USER_ERRORS).await;
        fold(&app).await;
        assert_eq!(counted(&connection).await.uses[&spread], (0, 0, 0));
        assert_eq!(counted(&connection).await, recount(&connection).await);
    }
}
