//! Cache coherence: a server that caches and one that does not, on one database, return the same after
//! any writes, and every missing purge is detected.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::cache::Purge;
use wasteland_tarot::cache::invalidation::{InvalidationEvent, ReadingVisibility};
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::maintenance::fold_counters;

use crate::support::app::{
    Engine, TestApp, TestDatabase, TestResponse, data_of, on_both_databases,
};
use crate::support::fixtures::{card_id, id, reading_id, spread_id, user_id};
use crate::support::mutations::{USER_ERRORS, mutate, payload};
use crate::support::page_walks::reload;
use crate::support::world::PASSWORD;
use crate::value_cache::{create_reading, start};

/// Possible queries. `{user}` is a username, `{person}` and `{reading}` are ids. Whole responses to
/// the later ones are cached where nobody is signed in.
const READS: [&str; 22] = [
    "{ viewer { stats { totalReadings readingsThisMonth readingsThisWeek readingsLast7Days
        meanSatisfaction favoriteVoice favoriteSpread { name } cardsDrawn karma { karma count }
        currentStreakDays } } }",
    "{ viewer { stats(utcOffsetMinutes: 480) { totalReadings readingsThisMonth currentStreakDays } } }",
    "{ viewer { analytics { summary { totalReadings readingsLast7Days meanSatisfaction favoriteVoice }
        frequency(days: 3) { date count } patterns { busiestWeekday busiestHour readingsPerWeek
        longestStreakDays } } } }",
    "{ viewer { analytics(utcOffsetMinutes: -720) { spreads { spreadType count } voices { voice count }
        karma { karma count } frequency(days: 2) { date count } } } }",
    "{ viewer { analytics { satisfaction(days: 5) { mean trend histogram { rating count } }
        topCards { card { name } draws upright reversed percentOfDraws }
        comparison(days: 2) { direction current { readings meanSatisfaction } previous { readings } } } } }",
    "{ publicStats { users readings cards spreads } }",
    "{ cards(first: 30, filter: { cardType: MAJOR }) { totalCount nodes { code name drawCount } } }",
    "{ spreads(first: 20) { totalCount nodes { name displayName isActive usageCount } } }",
    "{ popularSpreads { mostUsed { name } bestRated { name } newest { name } } }",
    "{ publicReadings(first: 5) { totalCount nodes { id question tags user { username }
        spread { displayName } cards { card { name } } } } }",
    "{ user(username: \"{user}\") { username displayName readings(first: 3) { nodes { question } } } }",
    "{ viewer { tags(first: 5) { nodes { name readingCount } } categories { name readingCount } } }",
    "{ reading(id: \"{reading}\") { version question tags privacyLevel updatedAt user { username displayName }
        cards { interpretation card { name drawCount } } spread { displayName usageCount } } }",
    "{ node(id: \"{reading}\") { id ... on Reading { question tags focusArea } } }",
    "{ nodes(ids: [\"{person}\", \"{reading}\"]) { id ... on User { username bio } ... on Reading { version } } }",
    "{ user(username: \"{user}\") { id username bio karma
        readings(first: 3) { totalCount nodes { version tags privacyLevel updatedAt } } } }",
    "{ publicReadings(first: 3, filter: { tagsAny: [\"both\", \"love\"] }) { totalCount nodes { id tags } } }",
    "{ publicReadings(first: 0) { totalCount } }",
    "{ publicReadings(first: 3, search: \"why\") { totalCount nodes { question user { displayName } } } }",
    "{ spreads(first: 3, orderBy: { field: NAME, direction: ASC }) { totalCount nodes { name usageCount meanRating } } }",
    "{ spreadByName(name: \"celtic_cross\") { isActive displayName } suits { name } publicStats { users readings spreads } }",
    "{ cardByCode(code: \"major_arcana_00\") { name drawCount } recommendedSpreads(input: { karma: GOOD }) { score } }",
];

/// Possible writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Create,
    Rate,
    Hide,
    Delete,
    Retag,
    Rename,
    RenameUser,
    Mark,
    File,
    Unfile,
    Register,
    DeleteAccount,
    Fold,
    EditCard,
    SwitchSpread,
}

const WRITES: [Write; 15] = [
    Write::Create,
    Write::Rate,
    Write::Hide,
    Write::Delete,
    Write::Retag,
    Write::Rename,
    Write::RenameUser,
    Write::Mark,
    Write::File,
    Write::Unfile,
    Write::Register,
    Write::DeleteAccount,
    Write::Fold,
    Write::EditCard,
    Write::SwitchSpread,
];

const PEOPLE: [&str; 3] = ["ada", "bob", "admin"];

fn filled_for(query: &str, user: &str, reading: &str) -> String {
    filled(query, user, &user_id(user), reading)
}

fn filled(query: &str, user: &str, person: &str, reading: &str) -> String {
    query.replace("{user}", user).replace("{person}", person).replace("{reading}", reading)
}

/// Two servers on one database: one with caches, one without.
struct Pair {
    cached: TestApp,
    plain: TestApp,
    rng: StdRng,
    log: Vec<String>,
    /// The ids of all readings that were ever made, as clients see them.
    readings: Vec<String>,
    /// Id of Eve, while she has an account.
    eve: Option<Uuid>,
}

impl Pair {
    async fn start(engine: Engine, seed: u64) -> Self {
        let flags = ["--daily-readings=1000", "--response-cache-bytes=16777216"];
        let cached = start(engine, &flags).await;
        let database = TestDatabase::at(cached.database.url.clone());
        let plain = TestApp::start_on(database, &["--cache-enabled=false"]).await;
        // Both clocks stand at the same time.
        cached.app.services.clock.stop();
        let clock = &plain.app.services.clock;
        clock.stop();
        clock.advance(cached.app.services.clock.now() - clock.now());
        let readings = ["q:one", "q:two"].map(reading_id).into();
        Self {
            cached,
            plain,
            rng: StdRng::seed_from_u64(seed),
            log: Vec::new(),
            readings,
            eve: None,
        }
    }

    fn any<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.random_range(0..all.len())]
    }

    /// Sends a query to both; true if the responses are equal.
    async fn agree(&mut self, who: Option<&str>, query: &str) -> bool {
        let cached = self.cached.query_as_viewer(who.map(id), query).await;
        let plain = self.plain.query_as_viewer(who.map(id), query).await;
        let body = |response: &TestResponse| match response.body.get("errors") {
            None => response.text.clone(),
            Some(_) => response.body_without_request_id().to_string(),
        };
        let (cached, plain) = (body(&cached), body(&plain));
        self.log.push(format!("{who:?} queries {query}: {cached}"));
        if cached != plain {
            self.log.push(format!("but it is {plain}"));
        }
        cached == plain
    }

    async fn read(&mut self) -> bool {
        let who = self.any(&[Some("ada"), Some("bob"), Some("admin"), None]);
        let query = self.any(&READS);
        let user = self.any(&["ada", "bob", "eve", "adaline"]);
        let reading = self.rng.random_range(0..self.readings.len());
        let reading = self.readings[reading].clone();
        self.agree(who, &filled_for(query, user, &reading)).await
    }

    /// All possible queries.
    async fn read_all(&mut self) -> bool {
        let mut agree = true;
        for who in [Some("ada"), Some("bob"), None] {
            for query in READS {
                agree &= self.agree(who, &filled_for(query, "ada", &reading_id("q:one"))).await;
            }
        }
        agree
    }

    /// True if both servers return the same to all queries about these people and all readings.
    async fn agree_on_everything(&mut self, people: &[(&str, String)]) -> bool {
        let mut queries = BTreeSet::new();
        for query in READS {
            for (user, person) in people {
                for reading in &self.readings {
                    queries.insert(filled(query, user, person, reading));
                }
            }
        }
        for query in queries {
            for who in [None, Some("ada")] {
                if !self.agree(who, &query).await {
                    return false;
                }
            }
        }
        self.log.retain(|line| line.contains("writes"));
        true
    }

    async fn read_everything(&mut self, people: &[(&str, String)]) {
        assert!(self.agree_on_everything(people).await, "{}", self.log.join("\n"));
    }

    /// Writes through the server that caches.
    async fn change(&mut self, who: &str, mutation: &str, input: Value) {
        self.log.push(format!("{who} writes: {mutation} {input}"));
        let fields = match mutation {
            "createReading" => "reading { id } userErrors { message }",
            _ => "userErrors { message }",
        };
        let made = payload(&self.cached, id(who), mutation, input, fields).await;
        assert_eq!(made["userErrors"], json!([]));
        let reading = made["reading"]["id"].as_str();
        self.readings.extend(reading.map(str::to_owned));
        if who == "admin" {
            reload(&self.plain).await;
        }
    }

    async fn fold(&mut self) {
        self.log.push("somebody writes: what was counted is folded".to_owned());
        let (services, database) = (&self.cached.app.services, &self.cached.app.database);
        fold_counters(services, &database.session()).await.expect("the counters are folded");
    }

    /// One of a person's readings, the newest first.
    async fn reading_of(&mut self, who: &str) -> Option<Value> {
        let query = "{ viewer { readings(first: 5) { nodes { id } } } }";
        let readings = self.plain.data_as(id(who), query).await;
        let readings = readings["viewer"]["readings"]["nodes"].as_array().expect("a list").clone();
        let number = self.rng.random_range(0..readings.len().max(1));
        readings.get(number).map(|reading| reading["id"].clone())
    }

    /// The id of one of a person's folders.
    async fn folder_of(&self, who: &str) -> Value {
        let folders = self.plain.data_as(id(who), "{ viewer { categories { id } } }").await;
        folders["viewer"]["categories"][0]["id"].clone()
    }

    /// Eve comes or goes.
    async fn register(&mut self) {
        if self.eve.is_some() {
            return;
        }
        let input = json!({ "email": "eve@example.com", "username": "eve", "password": PASSWORD });
        let fields = "viewer { id } userErrors { field message }";
        let made = data_of(mutate(&self.cached, None, "register", &input, fields).await);
        assert_eq!(made["register"]["userErrors"], json!([]));
        let eve = made["register"]["viewer"]["id"].as_str().expect("an id");
        let Ok(GlobalId::User(eve)) = GlobalId::parse("id", eve) else { panic!("{eve}") };
        self.eve = Some(eve);
        let input = json!({
            "question": "why eve?", "spreadId": spread_id(&self.cached, "single_wasteland"),
            "privacyLevel": "PUBLIC", "tags": ["love"],
        });
        let made = payload(&self.cached, eve, "createReading", input, "reading { id }").await;
        self.readings.push(made["reading"]["id"].as_str().expect("an id").to_owned());
    }

    async fn delete_account(&mut self) {
        let Some(eve) = self.eve.take() else { return };
        let input = json!({ "password": PASSWORD });
        let gone = payload(&self.cached, eve, "deleteAccount", input, USER_ERRORS).await;
        assert_eq!(gone["userErrors"], json!([]));
    }

    /// Writes through the server that caches, or past it.
    async fn write(&mut self, write: Write, who: &str, past: bool) {
        self.log.push(format!("{who} writes: {write:?}"));
        match write {
            Write::Register => return self.register().await,
            Write::DeleteAccount => return self.delete_account().await,
            _ => {}
        }
        let spread = self.any(&["single_wasteland", "raider_chaos"]);
        let changed = match write {
            Write::Create => Some(json!({
                "question": self.any(&["why?", "為什麼？"]),
                "spreadId": spread_id(&self.cached, spread),
                "characterVoice": self.any(&["PIP_BOY", "SUPER_MUTANT", "GHOUL"]),
                "tags": self.any(&[["love"], ["work"]]),
                "privacyLevel": self.any(&["PUBLIC", "PRIVATE"]),
            })),
            Write::Rate | Write::Hide | Write::Delete | Write::Mark | Write::File => {
                let Some(reading) = self.reading_of(who).await else { return };
                Some(match write {
                    Write::Rate => {
                        json!({ "id": reading, "satisfactionRating": self.rng.random_range(1..=5) })
                    }
                    Write::Hide => json!({
                        "id": reading, "privacyLevel": self.any(&["PUBLIC", "PRIVATE"]),
                        "isArchived": self.any(&[true, false]),
                    }),
                    Write::Mark => json!({
                        "id": reading, "isFavorite": self.any(&[true, false]),
                        "tags": self.any(&[["love", "life"], ["work", "play"]]),
                    }),
                    Write::File => {
                        let mut folder = self.folder_of(who).await;
                        if folder.is_null() {
                            let input = json!({ "name": "Things", "color": "#a0b1c2" });
                            let fields = "category { id }";
                            let made =
                                payload(&self.cached, id(who), "createCategory", input, fields);
                            folder = made.await["category"]["id"].clone();
                        }
                        json!({ "id": reading, "categoryId": folder })
                    }
                    _ => json!({ "id": reading }),
                })
            }
            Write::Retag => Some(json!({ "from": self.any(&["love", "work"]), "to": "both" })),
            Write::Unfile => {
                let folder = self.folder_of(who).await;
                if folder.is_null() {
                    return;
                }
                Some(json!({ "id": folder }))
            }
            Write::RenameUser => {
                let names = if who == "ada" { ["ada", "adaline"] } else { [who, who] };
                Some(json!({ "username": self.any(&names) }))
            }
            Write::Rename => Some(json!({ "displayName": self.any(&["Nora", "諾拉"]) })),
            Write::EditCard => Some(json!({
                "id": card_id(&self.cached, "major_arcana_00"),
                "name": self.any(&["The Wanderer", "The Newcomer", "The Stranger"]),
            })),
            Write::SwitchSpread => Some(json!({
                "id": spread_id(&self.cached, "celtic_cross"), "isActive": self.any(&[true, false]),
            })),
            Write::Fold | Write::Register | Write::DeleteAccount => None,
        };
        let (writer, other) =
            if past { (&self.plain, &self.cached) } else { (&self.cached, &self.plain) };
        let Some(input) = changed else {
            let (services, database) = (&writer.app.services, &writer.app.database);
            fold_counters(services, &database.session()).await.expect("the counters are folded");
            return;
        };
        let (mutation, author) = match write {
            Write::Create => ("createReading", who),
            Write::Rate | Write::Hide | Write::Mark | Write::File => ("updateReading", who),
            Write::Unfile => ("deleteCategory", who),
            Write::Delete => ("deleteReading", who),
            Write::Retag => ("renameTag", who),
            Write::Rename | Write::RenameUser => ("updateProfile", who),
            Write::EditCard => ("adminUpdateCard", "admin"),
            _ => ("adminUpdateSpread", "admin"),
        };
        let fields = match write {
            Write::Create => format!("reading {{ id }} {USER_ERRORS}"),
            _ => USER_ERRORS.to_owned(),
        };
        let made = mutate(writer, Some(id(author)), mutation, &input, &fields).await;
        let reading = made.body["data"][mutation]["reading"]["id"].as_str();
        self.readings.extend(reading.map(str::to_owned));
        assert_eq!(made.body.get("errors"), None, "{}", made.text);
        if !past && author == "admin" {
            // Another server's catalogue, and not part of the cache.
            reload(other).await;
        }
    }

    fn advance(&mut self) {
        let by = self.any(&[1, 40, 70, 301, 3_601, 90_000]);
        self.log.push(format!("{by} seconds pass"));
        for app in [&self.cached, &self.plain] {
            app.app.services.clock.advance(TimeDelta::seconds(by));
        }
    }
}

/// Sequences unless `CACHE_SEQUENCES` says otherwise, and steps of each.
const SEQUENCES: u64 = 20;
const STEPS: usize = 30;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

on_both_databases! {
    /// `scripts/coherence N` plays any number, and `CACHE_SEED=S` one of them again.
    async fn a_caching_server_returns_the_same_as_one_without_a_cache(engine: Engine) {
        let first = number_of("CACHE_SEED");
        let count = number_of("CACHE_SEQUENCES").unwrap_or(SEQUENCES);
        let seeds = first.map_or(0..count, |seed| seed..seed + 1);
        for seed in seeds {
            let mut pair = Pair::start(engine, seed).await;
            for _ in 0..STEPS {
                let agree = match pair.rng.random_range(0..10) {
                    0..6 => pair.read().await,
                    6..9 => {
                        let (write, who) = (pair.any(&WRITES), pair.any(&PEOPLE));
                        pair.write(write, who, false).await;
                        true
                    }
                    _ => {
                        pair.advance();
                        true
                    }
                };
                assert!(agree, "CACHE_SEED={seed}\n{}", pair.log.join("\n"));
            }
        }
    }

    /// Reads everything before and after each kind of write, which detects a purge that leaves
    /// something out.
    async fn every_write_shows_in_every_cached_response(engine: Engine) {
        let mut pair = Pair::start(engine, 0).await;
        let mut people = vec![
            ("ada", user_id("ada")),
            ("adaline", user_id("ada")),
            ("bob", user_id("bob")),
        ];
        let spread = spread_id(&pair.cached, "single_wasteland");
        let (first, second) = (reading_id("q:one"), reading_id("q:two"));
        let moderate = |mutation: &'static str, mut input: Value| {
            input["reason"] = json!("Spam.");
            ("admin", mutation, input)
        };
        let change = |change: Value| {
            let mut input = json!({ "id": first });
            input.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            ("ada", "updateReading", input)
        };
        let create = |level: &str| {
            let input = json!({
                "question": "why?", "spreadId": spread, "tags": ["love"], "privacyLevel": level,
            });
            ("ada", "createReading", input)
        };
        let card = card_id(&pair.cached, "major_arcana_00");
        let celtic_cross = spread_id(&pair.cached, "celtic_cross");
        pair.read_everything(&people).await;
        for (who, mutation, input) in [
            create("PRIVATE"),
            create("PUBLIC"),
            change(json!({ "question": "why not?" })),
            change(json!({ "tags": ["love", "work"] })),
            change(json!({ "satisfactionRating": 4 })),
            change(json!({ "isFavorite": true })),
            change(json!({ "privacyLevel": "PRIVATE" })),
            change(json!({ "privacyLevel": "PUBLIC" })),
            change(json!({ "isArchived": true })),
            change(json!({ "isArchived": false })),
            ("ada", "renameTag", json!({ "from": "work", "to": "both" })),
            ("ada", "deleteTags", json!({ "tags": ["both"] })),
            ("ada", "updateProfile", json!({ "displayName": "Nora" })),
            ("ada", "updateProfile", json!({ "username": "adaline" })),
            ("ada", "updateProfile", json!({ "username": "ada", "bio": "of the vault" })),
            ("admin", "adminUpdateCard", json!({ "id": card, "name": "The Stranger" })),
            ("admin", "adminUpdateSpread", json!({ "id": celtic_cross, "isActive": false })),
            ("ada", "deleteReading", json!({ "id": first })),
            moderate("adminHideReading", json!({ "readingId": second })),
            moderate("adminUnhideReading", json!({ "readingId": second })),
            moderate("adminDeactivateUser", json!({ "userId": user_id("bob") })),
            moderate("adminReactivateUser", json!({ "userId": user_id("bob") })),
            moderate("adminDeleteReading", json!({ "readingId": second })),
        ] {
            pair.change(who, mutation, input).await;
            pair.read_everything(&people).await;
            pair.fold().await;
            pair.read_everything(&people).await;
        }

        // Taking a folder away changes the readings that were in it.
        let input = json!({ "name": "Things", "color": "#a0b1c2" });
        let made = payload(&pair.cached, id("ada"), "createCategory", input, "category { id }").await;
        let folder = &made["category"]["id"];
        let reading = pair.readings.last().expect("a public one").clone();
        pair.change("ada", "updateReading", json!({ "id": reading, "categoryId": folder })).await;
        pair.read_everything(&people).await;
        pair.change("ada", "deleteCategory", json!({ "id": folder })).await;
        pair.read_everything(&people).await;

        people.push(("eve", user_id("nobody")));
        pair.read_everything(&people).await;
        pair.register().await;
        let eve = GlobalId::User(pair.eve.expect("she is there")).encode().to_string();
        people.push(("eve", eve));
        pair.read_everything(&people).await;
        pair.fold().await;
        pair.read_everything(&people).await;
        pair.delete_account().await;
        pair.read_everything(&people).await;
    }

    /// No server purges after writes made past the caching server: the test above would detect a
    /// missing purge.
    async fn a_missing_purge_is_detected(engine: Engine) {
        for write in [Write::Create, Write::Rate, Write::Delete, Write::Rename, Write::Fold] {
            let mut pair = Pair::start(engine, 7).await;
            create_reading(&pair.cached, "ada").await;
            assert!(pair.read_all().await, "{}", pair.log.join("\n"));
            pair.write(write, "ada", true).await;
            assert!(!pair.read_all().await, "{write:?} is not found out: {}", pair.log.join("\n"));
            pair.cached.clear_cache().await;
            reload(&pair.cached).await;
            assert!(pair.read_all().await, "{}", pair.log.join("\n"));
        }
    }
}

/// Writes that make all purges between them.
#[derive(Debug, Clone, Copy)]
enum Planted {
    Register,
    Rename,
    DeleteAccount,
    RatePrivate,
    RatePublic,
    Archive,
    Retag,
    EditCard,
    SwitchSpread,
    Deactivate,
    Reactivate,
    Fold,
}

/// A purge: for which change, and the how manieth.
type Rule = (&'static str, usize);

/// Purges that nobody can miss.
const UNSEEN: [Rule; 14] = [
    // Values cached under the former name have the user's tag as well,
    ("UserChanged", 0),
    ("UserDeleted", 0),
    ("UserDeactivated", 0),
    // and so are lists of their readings.
    ("UserDeleted", 3),
    ("UserDeactivated", 3),
    // No statistics depend on a profile,
    ("UserChanged", 3),
    // none are shown of a deleted user,
    ("UserDeleted", 5),
    ("UserDeleted", 6),
    // and those of a deactivated one do not change,
    ("UserDeactivated", 5),
    ("UserDeactivated", 6),
    // and tags and folders are in none.
    ("ReadingsChanged", 3),
    ("ReadingsChanged", 4),
    // Only another version of the program has other voices and factions.
    ("CatalogueReplaced", 2),
    ("CatalogueReplaced", 3),
];

fn name_of(event: &InvalidationEvent) -> &'static str {
    match event {
        InvalidationEvent::UserRegistered { .. } => "UserRegistered",
        InvalidationEvent::UserChanged { .. } => "UserChanged",
        InvalidationEvent::UserDeleted { .. } => "UserDeleted",
        InvalidationEvent::UserDeactivated { .. } => "UserDeactivated",
        InvalidationEvent::UserReactivated => "UserReactivated",
        InvalidationEvent::ReadingChanged { visibility: ReadingVisibility::Private, .. } => {
            "ReadingChanged, private"
        }
        InvalidationEvent::ReadingChanged { visibility: ReadingVisibility::Public, .. } => {
            "ReadingChanged, public"
        }
        InvalidationEvent::ReadingsChanged { .. } => "ReadingsChanged",
        InvalidationEvent::TokensRevoked { .. } => "TokensRevoked",
        InvalidationEvent::CatalogueReplaced => "CatalogueReplaced",
        InvalidationEvent::CountersFolded => "CountersFolded",
        InvalidationEvent::AdminRequested { .. } => "AdminRequested",
        InvalidationEvent::Everything => "Everything",
    }
}

impl Planted {
    const ALL: [Self; 12] = [
        Self::Register,
        Self::Rename,
        Self::DeleteAccount,
        Self::RatePrivate,
        Self::RatePublic,
        Self::Archive,
        Self::Retag,
        Self::EditCard,
        Self::SwitchSpread,
        Self::Deactivate,
        Self::Reactivate,
        Self::Fold,
    ];

    /// Two servers on which the write is possible, and the people to read about.
    async fn prepare(self) -> (Pair, [(&'static str, String); 2]) {
        let mut pair = Pair::start(Engine::Sqlite, 0).await;
        let mut people = [("ada", user_id("ada")), ("adaline", user_id("ada"))];
        let first = reading_id("q:one");
        match self {
            Self::Register => people[1] = ("eve", user_id("nobody")),
            Self::DeleteAccount => {
                pair.register().await;
                let eve = GlobalId::User(pair.eve.expect("she is there")).encode().to_string();
                people[1] = ("eve", eve);
            }
            Self::RatePrivate => {
                let hidden = json!({ "id": first, "privacyLevel": "PRIVATE" });
                pair.change("ada", "updateReading", hidden).await;
            }
            Self::Deactivate | Self::Reactivate => {
                people[1] = ("bob", user_id("bob"));
                if matches!(self, Self::Reactivate) {
                    Self::Deactivate.carry_out_moderation(&mut pair).await;
                }
            }
            Self::Retag => {
                let tagged = json!({ "id": first, "tags": ["love"] });
                pair.change("ada", "updateReading", tagged).await;
            }
            Self::Fold => {
                let spread = spread_id(&pair.cached, "single_wasteland");
                let input = json!({ "question": "?", "spreadId": spread });
                pair.change("ada", "createReading", input).await;
                return (pair, people);
            }
            _ => {}
        }
        pair.fold().await;
        (pair, people)
    }

    async fn carry_out(self, pair: &mut Pair) {
        let first = reading_id("q:one");
        let (who, mutation, input) = match self {
            Self::Register => {
                let input =
                    json!({ "email": "eve@example.com", "username": "eve", "password": PASSWORD });
                let made = mutate(&pair.cached, None, "register", &input, USER_ERRORS).await;
                assert_eq!(data_of(made)["register"]["userErrors"], json!([]));
                return;
            }
            Self::DeleteAccount => return pair.delete_account().await,
            Self::Deactivate | Self::Reactivate => return self.carry_out_moderation(pair).await,
            Self::Fold => return pair.fold().await,
            Self::Rename => ("ada", "updateProfile", json!({ "username": "adaline" })),
            Self::RatePrivate | Self::RatePublic => {
                ("ada", "updateReading", json!({ "id": first, "satisfactionRating": 4 }))
            }
            Self::Archive => ("ada", "updateReading", json!({ "id": first, "isArchived": true })),
            Self::Retag => ("ada", "renameTag", json!({ "from": "love", "to": "both" })),
            Self::EditCard => {
                let card = card_id(&pair.cached, "major_arcana_00");
                ("admin", "adminUpdateCard", json!({ "id": card, "name": "The Stranger" }))
            }
            Self::SwitchSpread => {
                let spread = spread_id(&pair.cached, "celtic_cross");
                ("admin", "adminUpdateSpread", json!({ "id": spread, "isActive": false }))
            }
        };
        pair.change(who, mutation, input).await;
    }

    async fn carry_out_moderation(self, pair: &mut Pair) {
        let mutation = match self {
            Self::Reactivate => "adminReactivateUser",
            _ => "adminDeactivateUser",
        };
        let input = json!({ "userId": user_id("bob"), "reason": "Spam." });
        pair.change("admin", mutation, input).await;
    }

    /// The purges that it makes.
    async fn rules(self) -> BTreeSet<Rule> {
        let (mut pair, _) = self.prepare().await;
        let made = Arc::new(Mutex::new(BTreeSet::new()));
        let recorded = Arc::clone(&made);
        pair.cached.app.services.cache.inject_fault(move |Purge { event, number }| {
            recorded.lock().expect("nobody panics").insert((name_of(event), number));
            false
        });
        self.carry_out(&mut pair).await;
        made.lock().expect("nobody panics").clone()
    }

    /// True if a response is stale when that purge is left out.
    async fn finds_out(self, rule: Rule) -> bool {
        let (mut pair, people) = self.prepare().await;
        pair.read_everything(&people).await;
        let cache = &pair.cached.app.services.cache;
        cache.inject_fault(move |Purge { event, number }| (name_of(event), number) == rule);
        self.carry_out(&mut pair).await;
        !pair.agree_on_everything(&people).await
    }
}

/// The test that reads everything before and after each write detects each single missing purge.
#[tokio::test]
async fn each_single_missing_purge_is_detected() {
    let (mut seen, mut unseen) = (BTreeSet::new(), BTreeSet::new());
    for write in Planted::ALL {
        for rule in write.rules().await {
            if !seen.contains(&rule) && write.finds_out(rule).await {
                seen.insert(rule);
            } else {
                unseen.insert(rule);
            }
        }
    }
    let unseen: BTreeSet<Rule> = unseen.difference(&seen).copied().collect();
    assert_eq!(unseen, BTreeSet::from(UNSEEN));
}
