//! Filters, orders and searches of readings: every page against an oracle that reads all readings
//! in memory, and the edges of the arguments.

use std::cmp::{Ordering, Reverse};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use search_text::{fold_case, has_trigram_of_words};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::columns::TextList;
use wasteland_tarot::db::entities::{reading_categories, reading_sessions, users};
use wasteland_tarot::domain::reading::{Karma, PrivacyLevel};
use wasteland_tarot::domain::spread::SpreadType;
use wasteland_tarot::domain::voice::VoiceKey;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{Engine, TestApp, at, data_of, on_both_databases};
use crate::support::fixtures::{
    category, category_id, id, private, reading, reading_id, rows, spread, user, user_id,
};
use crate::support::page_walks::{error, refusal};

// Data and its distribution.

/// The same numbers from the same seed, everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn some_of<T: Clone>(&mut self, items: &[T], maximum: usize) -> Vec<T> {
        (0..self.below(maximum + 1)).map(|_| self.of(items)).collect()
    }
}

const TEXTS: &[&str] = &[
    "Will the caravan come back?",
    "will THE Caravan be 100% full?",
    "What is under_scored?",
    "Why 'quotes' and \"more\" of them?",
    "back\\slash or not",
    "廢土戀人會回來嗎？",
    "Die Straße, die ſtille",
    "愛情 ΟΔΟΣ",
    "愛情問題：他還愛我嗎",
    "Émile ÉTAIT à l'heure?",
    "no",
    "愛",
    "%",
    "a_b%c",
    "ПРИВЕТ пустошь",
];

/// Search terms: found often, seldom and never; of one character and of many.
const TERMS: &[&str] = &[
    "caravan",
    "CARAVAN",
    "the",
    "100%",
    "0%",
    "%",
    "_",
    "r_s",
    "\"",
    "\"more\"",
    "'",
    "\\",
    "k\\s",
    "愛",
    "愛情",
    "愛情問題",
    "戀人會",
    "é",
    "étAIT",
    "É",
    "no",
    "a_b",
    "a%c",
    "zzz",
    "龘",
    "привет",
    "П",
    "  caravan ",
    "",
    " ",
    "e\u{301}",
    "OR",
    "NOT the",
    "*",
    "the*",
    "caravan come",
    "STRASSE",
    "οδος",
];

const TAGS: &[&str] = &["love", "Love", "愛情", "50%", "a_b", "\"quoted\"", "back\\slash", "it's"];

const VOICES: &[VoiceKey] = &[VoiceKey::PipBoy, VoiceKey::Ghoul, VoiceKey::Raider];
const KARMA: &[Karma] = &[Karma::Good, Karma::Neutral, Karma::Evil];
const SPREADS: &[&str] = &["single_wasteland", "celtic_cross", "raider_chaos"];
const PRIVACY: &[PrivacyLevel] =
    &[PrivacyLevel::Private, PrivacyLevel::Friends, PrivacyLevel::Public];

struct World {
    app: TestApp,
    readings: Vec<reading_sessions::Model>,
}

const PEOPLE: [&str; 2] = ["ada", "bob"];

impl World {
    async fn new(engine: Engine, count: usize) -> Self {
        let app = TestApp::start(engine).await;
        let mut chance = Chance(2_077);
        let people: Vec<users::Model> = PEOPLE.iter().map(|name| user(name)).collect();
        let folders: Vec<reading_categories::Model> =
            people.iter().map(|owner| category(owner, &format!("of {}", owner.username))).collect();
        let readings: Vec<_> = (0..count)
            .map(|number| {
                let who = chance.below(people.len());
                // Ties in time are common.
                let made = i64::try_from(chance.below(40)).expect("few") * 60;
                let changed = made + i64::try_from(chance.below(5)).expect("few");
                let chosen = spread(&app, chance.of(SPREADS));
                let tags = chance.some_of(TAGS, 3);
                let mut unique: Vec<String> = Vec::new();
                for tag in tags {
                    if !unique.iter().any(|other| other == tag) {
                        unique.push(tag.to_owned());
                    }
                }
                let rating = i16::try_from(chance.below(6)).expect("few");
                reading_sessions::Model {
                    // Ids do not sort as times do.
                    id: id(&format!("r{:03}", (number * 7919) % 1000)),
                    spread_template_id: chosen.id,
                    spread_type: chosen.spread_type,
                    character_voice: chance.of(VOICES),
                    karma_context: chance.of(KARMA),
                    question: chance.of(TEXTS).to_owned(),
                    notes: (!chance.one_in(3)).then(|| chance.of(TEXTS).to_owned()),
                    tags: TextList(unique),
                    category_id: chance.one_in(3).then_some(folders[who].id),
                    privacy_level: chance.of(PRIVACY),
                    is_favorite: chance.one_in(4),
                    archived_at: chance.one_in(5).then(|| at(5_000)),
                    user_satisfaction: (rating > 0).then_some(rating),
                    updated_at: at(changed),
                    ..reading(&app, &people[who], "", made)
                }
            })
            .collect();
        let mut all = rows(people, readings.clone());
        all.categories = folders;
        app.insert(all).await;
        Self { app, readings }
    }
}

// Queries and their expected results.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Public,
    Of(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    CreatedAt,
    UpdatedAt,
    Satisfaction,
}

/// A question, of which each part may be left out.
#[derive(Debug)]
struct ListQuery {
    viewer: Option<&'static str>,
    list: List,
    field: Field,
    is_ascending: bool,
    search: Option<&'static str>,
    voices: Option<Vec<VoiceKey>>,
    karma: Option<Vec<Karma>>,
    spreads: Option<Vec<&'static str>>,
    tags_any: Option<Vec<&'static str>>,
    tags_all: Option<Vec<&'static str>>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    privacy: Option<Vec<PrivacyLevel>>,
    is_favorite: Option<bool>,
    category: Option<&'static str>,
    has_category: Option<bool>,
    min_satisfaction: Option<i16>,
    archive: Option<&'static str>,
}

impl ListQuery {
    /// Everything of that list, newest first.
    const fn nothing() -> Self {
        Self {
            viewer: None,
            list: List::Public,
            field: Field::CreatedAt,
            is_ascending: false,
            search: None,
            voices: None,
            karma: None,
            spreads: None,
            tags_any: None,
            tags_all: None,
            from: None,
            to: None,
            privacy: None,
            is_favorite: None,
            category: None,
            has_category: None,
            min_satisfaction: None,
            archive: None,
        }
    }

    fn new(chance: &mut Chance) -> Self {
        let viewer = chance.of(&[None, Some("ada"), Some("bob")]);
        let list = chance.of(&[List::Public, List::Of("ada"), List::Of("ada"), List::Of("bob")]);
        let is_own = matches!(list, List::Of(owner) if viewer == Some(owner));
        // Each filter seldom, so that most find something.
        let field = match chance.below(if is_own { 4 } else { 3 }) {
            _ if list == List::Public => Field::CreatedAt,
            0 | 1 => Field::CreatedAt,
            2 => Field::UpdatedAt,
            _ => Field::Satisfaction,
        };
        let search = chance.one_in(2).then(|| chance.of(TERMS));
        let is_private = list != List::Public;
        let mut seldom = |possible: bool| possible && chance.one_in(9);
        let (voices, karma, spreads) = (seldom(true), seldom(true), seldom(true));
        let (tags_any, tags_all) = (seldom(true), seldom(is_private));
        let (from, to, privacy) = (seldom(true), seldom(true), seldom(is_private));
        let (favorite, category, has_category) =
            (seldom(is_private), seldom(is_private), seldom(is_private));
        let (satisfaction, archive) = (seldom(is_private), seldom(is_private));
        let time = |chance: &mut Chance| at(i64::try_from(chance.below(40)).expect("few") * 60);
        Self {
            viewer,
            list,
            field,
            is_ascending: list != List::Public && chance.one_in(2),
            search,
            voices: voices.then(|| chance.some_of(VOICES, 2)),
            karma: karma.then(|| chance.some_of(KARMA, 2)),
            spreads: spreads.then(|| chance.some_of(SPREADS, 2)),
            tags_any: tags_any.then(|| chance.some_of(TAGS, 3)),
            tags_all: tags_all.then(|| chance.some_of(TAGS, 2)),
            from: from.then(|| time(chance)),
            to: to.then(|| time(chance)),
            privacy: privacy.then(|| chance.some_of(PRIVACY, 2)),
            is_favorite: favorite.then(|| chance.one_in(2)),
            category: category.then(|| chance.of(&["of ada", "of bob"])),
            has_category: has_category.then(|| chance.one_in(2)),
            min_satisfaction: satisfaction.then(|| chance.of(&[1, 3, 5])),
            archive: archive.then(|| chance.of(&["ACTIVE", "ARCHIVED", "ANY"])),
        }
    }

    fn is_own(&self, reading: &reading_sessions::Model) -> bool {
        self.viewer.is_some_and(|viewer| id(viewer) == reading.user_id)
    }

    fn has_private_filter(&self) -> bool {
        self.privacy.is_some()
            || self.is_favorite.is_some()
            || self.category.is_some()
            || self.has_category.is_some()
            || self.min_satisfaction.is_some()
            || self.archive.is_some_and(|archive| archive != "ACTIVE")
    }

    fn fits(&self, reading: &reading_sessions::Model) -> bool {
        let is_public = reading.privacy_level == PrivacyLevel::Public;
        let is_own = self.is_own(reading);
        let is_listed = match self.list {
            List::Public => is_public,
            List::Of(owner) => reading.user_id == id(owner) && (is_public || is_own),
        };
        let knows = is_own || !self.has_private_filter();
        let is_archived = reading.archived_at.is_some();
        let is_where = match self.archive {
            None | Some("ACTIVE") => !is_archived,
            Some("ARCHIVED") => is_archived,
            Some(_) => true,
        };
        let text = self.search.map(trimmed);
        let is_searched = self.list != List::Public
            || text.as_deref().is_none_or(|text| text.is_empty() || has_trigram_of_words(text));
        let text = text.as_deref().map(fold_case);
        let holds = |text: &str, whole: &str| fold_case(whole).contains(text);
        let is_found = text.is_none_or(|text| {
            let reads_notes = is_own && self.list != List::Public;
            let notes = reading.notes.as_deref().filter(|_| reads_notes);
            holds(&text, &reading.question) || notes.is_some_and(|notes| holds(&text, notes))
        });
        let tags = &reading.tags.0;
        let has = |tag: &&str| tags.iter().any(|other| other == tag);
        is_listed
            && knows
            && is_where
            && is_searched
            && is_found
            && self.voices.as_ref().is_none_or(|all| all.contains(&reading.character_voice))
            && self.karma.as_ref().is_none_or(|all| all.contains(&reading.karma_context))
            && self
                .spreads
                .as_ref()
                .is_none_or(|all| all.iter().any(|name| reading.spread_type == type_of(name)))
            && self.tags_any.as_ref().is_none_or(|all| all.iter().any(has))
            && self.tags_all.as_ref().is_none_or(|all| all.iter().all(has))
            && self.from.is_none_or(|from| reading.created_at >= from)
            && self.to.is_none_or(|to| reading.created_at < to)
            && self.privacy.as_ref().is_none_or(|all| all.contains(&reading.privacy_level))
            && self.is_favorite.is_none_or(|is| reading.is_favorite == is)
            && self.category.is_none_or(|name| reading.category_id == Some(id(name)))
            && self.has_category.is_none_or(|has| reading.category_id.is_some() == has)
            && self.min_satisfaction.is_none_or(|least| reading.user_satisfaction >= Some(least))
    }

    /// The ids of the whole list, in order.
    fn expected(&self, readings: &[reading_sessions::Model]) -> Vec<String> {
        let mut found: Vec<_> = readings.iter().filter(|reading| self.fits(reading)).collect();
        let directed = |ordering: Ordering| {
            if self.is_ascending { ordering } else { ordering.reverse() }
        };
        found.sort_by(|one, other| {
            let sorted = match self.field {
                Field::CreatedAt => directed(one.created_at.cmp(&other.created_at)),
                Field::UpdatedAt => directed(one.updated_at.cmp(&other.updated_at)),
                Field::Satisfaction => {
                    let (first, second) = (one.user_satisfaction, other.user_satisfaction);
                    // Without a rating last, either way.
                    let has = Reverse(first.is_some()).cmp(&Reverse(second.is_some()));
                    has.then(directed(first.cmp(&second)))
                }
            };
            sorted.then(directed(one.id.cmp(&other.id)))
        });
        let encode =
            |reading: &&reading_sessions::Model| GlobalId::Reading(reading.id).encode().to_string();
        found.iter().map(encode).collect()
    }

    fn filter(&self) -> Value {
        fn words<T: ToString>(words: Option<&Vec<T>>) -> Value {
            let upper = |word: &T| word.to_string().to_uppercase();
            words.map_or(Value::Null, |words| words.iter().map(upper).collect())
        }
        let range = match (self.from, self.to) {
            (None, None) => Value::Null,
            (from, to) => json!({ "from": from, "to": to }),
        };
        let mut filter = json!({
            "characterVoices": words(self.voices.as_ref()),
            "karmaContexts": words(self.karma.as_ref()),
            "spreadTypes": words(self.spreads.as_ref()),
            "tagsAny": self.tags_any,
            "createdAt": range,
        });
        if self.list != List::Public {
            filter["tagsAll"] = json!(self.tags_all);
            filter["privacyLevels"] = words(self.privacy.as_ref());
            filter["isFavorite"] = json!(self.is_favorite);
            filter["categoryId"] = json!(self.category.map(category_id));
            filter["hasCategory"] = json!(self.has_category);
            filter["minSatisfaction"] = json!(self.min_satisfaction);
            if let Some(archive) = self.archive {
                filter["archive"] = json!(archive);
            }
        }
        filter
    }

    async fn page(&self, app: &TestApp, arguments: &str) -> Page {
        const PAGE: &str = "totalCount nodes { id }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
        let (query, path) = match self.list {
            List::Public => (
                format!(
                    "query($filter: PublicReadingFilter, $search: String) {{
                        publicReadings({arguments}, filter: $filter, search: $search) {{ {PAGE} }} }}"
                ),
                "/publicReadings",
            ),
            List::Of(owner) => (
                format!(
                    "query($filter: ReadingFilter, $search: String, $order: ReadingOrder) {{
                        user(username: {owner:?}) {{
                            readings({arguments}, filter: $filter, search: $search, orderBy: $order)
                                {{ {PAGE} }} }} }}"
                ),
                "/user/readings",
            ),
        };
        let field = match self.field {
            Field::CreatedAt => "CREATED_AT",
            Field::UpdatedAt => "UPDATED_AT",
            Field::Satisfaction => "SATISFACTION",
        };
        let order = json!({
            "field": field,
            "direction": if self.is_ascending { "ASC" } else { "DESC" },
        });
        let mut variables = json!({ "filter": self.filter(), "search": self.search });
        if self.list != List::Public {
            variables["order"] = order;
        }
        let token = self.viewer.map(|viewer| app.token_of(id(viewer)));
        let body = json!({ "query": query, "variables": variables });
        let data = data_of(app.send(token.as_deref(), &body).await);
        let page = data.pointer(path).expect("a page");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Page {
            ids: page["nodes"]
                .as_array()
                .expect("nodes")
                .iter()
                .filter_map(|node| text(&node["id"]))
                .collect(),
            total: page["totalCount"].as_u64().expect("a total"),
            has_next: page["pageInfo"]["hasNextPage"] == true,
            has_previous: page["pageInfo"]["hasPreviousPage"] == true,
            start: text(&page["pageInfo"]["startCursor"]),
            end: text(&page["pageInfo"]["endCursor"]),
        }
    }
}

struct Page {
    ids: Vec<String>,
    total: u64,
    has_next: bool,
    has_previous: bool,
    start: Option<String>,
    end: Option<String>,
}

fn type_of(name: &str) -> SpreadType {
    name.parse().expect("a kind of spread")
}

/// The term as the server normalizes it: composed, and without space around it.
fn trimmed(text: &str) -> String {
    text.replace("e\u{301}", "é").trim().to_owned()
}

on_both_databases! {
    async fn every_page_matches_a_filter_in_memory(engine: Engine) {
        let world = World::new(engine, 160).await;
        let mut chance = Chance(1_997);
        let mut found = 0;
        for number in 0..240 {
            let question = ListQuery::new(&mut chance);
            let expected = question.expected(&world.readings);
            found += usize::from(!expected.is_empty());
            let size = 1 + chance.below(20);
            let context = |at: usize| format!("question {number}, at {at}: {question:?}");

            let mut seen = Vec::new();
            let mut after = String::new();
            loop {
                let at = seen.len();
                let page = question.page(&world.app, &format!("first: {size}{after}")).await;
                assert_eq!(page.total, expected.len() as u64, "{}", context(at));
                assert_eq!(page.has_previous, at > 0, "{}", context(at));
                seen.extend(page.ids);
                assert_eq!(page.has_next, seen.len() < expected.len(), "{}", context(at));
                let Some(end) = page.end.filter(|_| page.has_next) else { break };
                after = format!(", after: {end:?}");
            }
            assert_eq!(seen, expected, "{}", context(0));

            let (mut seen, mut before): (Vec<String>, _) = (Vec::new(), String::new());
            loop {
                let page = question.page(&world.app, &format!("last: {size}{before}")).await;
                assert_eq!(page.has_next, !seen.is_empty(), "{}", context(seen.len()));
                seen.splice(0..0, page.ids);
                assert_eq!(page.has_previous, seen.len() < expected.len(), "{}", context(seen.len()));
                let Some(start) = page.start.filter(|_| page.has_previous) else { break };
                before = format!(", before: {start:?}");
            }
            assert_eq!(seen, expected, "{}", context(0));
        }
        assert!(found > 100, "only {found} questions find anything");
    }

    async fn null_arguments_are_absent(engine: Engine) {
        let world = World::new(engine, 60).await;
        let fetch = async |arguments: &str| {
            let query = format!("{{ viewer {{ readings{arguments} {{ totalCount nodes {{ id }} }} }} }}");
            world.app.data_as(id("ada"), &query).await
        };
        let nothing = "(filter: { characterVoices: null, karmaContexts: null, spreadTypes: null,
            tagsAny: null, tagsAll: null, createdAt: null, privacyLevels: null, isFavorite: null,
            categoryId: null, hasCategory: null, minSatisfaction: null }, search: null, orderBy: null)";
        let empty = "(filter: { createdAt: { from: null, to: null } }, search: \"  \", orderBy: {})";
        let plain = fetch("").await;
        assert_eq!(fetch(nothing).await, plain);
        assert_eq!(fetch(empty).await, plain);
        assert_eq!(fetch("(filter: null)").await, plain);
    }

    async fn filters_and_searches_find_nothing_by_private_data_of_others(engine: Engine) {
        let app = TestApp::start(engine).await;
        let (ada, bob) = (user("ada"), user("bob"));
        let folder = category(&ada, "folder");
        let open = reading_sessions::Model {
            notes: Some("a secret thing".to_owned()),
            is_favorite: true,
            user_satisfaction: Some(5),
            category_id: Some(folder.id),
            ..reading(&app, &ada, "open", 1)
        };
        let archived = reading_sessions::Model {
            archived_at: Some(at(9)),
            ..reading(&app, &ada, "archived", 2)
        };
        let hidden = private(reading(&app, &ada, "hidden", 3));
        let mut all = rows(vec![ada, bob], vec![open, archived, hidden]);
        all.categories = vec![folder];
        app.insert(all).await;

        let folder = category_id("folder");
        let own = [
            "filter: { privacyLevels: [PUBLIC] }".to_owned(),
            "filter: { isFavorite: true }".to_owned(),
            "filter: { hasCategory: true }".to_owned(),
            format!("filter: {{ categoryId: {folder:?} }}"),
            "filter: { minSatisfaction: 1 }".to_owned(),
            "filter: { archive: ARCHIVED }".to_owned(),
            "filter: { archive: ANY }".to_owned(),
            "search: \"secret\"".to_owned(),
            "search: \"se\"".to_owned(),
            "search: \"hidden\"".to_owned(),
        ];
        for argument in own {
            let query = format!(
                "{{ user(username: \"ada\") {{ readings({argument}) {{ totalCount nodes {{ id }} }} }} }}"
            );
            let total = async |viewer: Option<Uuid>| {
                let response = app.query_as_viewer(viewer, &query).await;
                data_of(response)["user"]["readings"].take()
            };
            let nothing = json!({ "totalCount": 0, "nodes": [] });
            assert_eq!(total(None).await, nothing, "{argument}");
            assert_eq!(total(Some(id("bob"))).await, nothing, "{argument}");
            let found = total(Some(id("ada"))).await;
            assert_ne!(found, nothing, "{argument}");
        }
        // The public feed is the same for everybody, and its search knows no notes.
        let query = "{ publicReadings(search: \"secret\") { totalCount } }";
        for viewer in [None, Some(id("ada"))] {
            let found = data_of(app.query_as_viewer(viewer, query).await);
            assert_eq!(found, json!({ "publicReadings": { "totalCount": 0 } }));
        }
    }

    /// PostgreSQL holds texts of 2,400 bytes in an index; longer ones are read from the table.
    async fn texts_of_any_length_are_searched_in_one_list(engine: Engine) {
        const SEARCHED: &str = "needle";
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let mut chance = Chance(2_400);
        // Hieroglyphs of four bytes each, which no compression makes much shorter.
        let mut strange = |bytes: usize| -> String {
            let character = |_| u32::try_from(0x1_3000 + chance.below(0x400)).expect("32 bits");
            let characters = (0..bytes / 4).map(character).filter_map(char::from_u32);
            characters.chain(std::iter::repeat_n('x', bytes % 4)).collect()
        };
        let mut searched = |name: &str, (question, notes): (usize, usize), seconds: i64| {
            let mut reading = reading(&app, &ada, name, seconds);
            reading.question = strange(question - SEARCHED.len()) + SEARCHED;
            reading.notes = Some(strange(notes));
            reading
        };
        let mut most = searched("most", (1_982, 3_976), 3);
        most.notes = most.notes.map(|notes| notes + "thread");
        let all = vec![
            searched("more", (1_982, 419), 1),
            searched("held", (1_982, 418), 2),
            most,
            searched("short", (10, 0), 4),
        ];
        app.insert(rows(vec![ada], all)).await;

        let fetch = async |arguments: String| {
            let page = "totalCount pageInfo { hasPreviousPage hasNextPage endCursor } nodes { id }";
            let query = format!("{{ viewer {{ readings({arguments}) {{ {page} }} }} }}");
            app.data_as(id("ada"), &query).await["viewer"]["readings"].take()
        };
        let mut page = fetch(format!("first: 2, search: {SEARCHED:?}")).await;
        let cursor = page["pageInfo"]["endCursor"].take();
        let nodes = |names: [&str; 2]| names.map(|name| json!({ "id": reading_id(name) }));
        let expected = json!({
            "totalCount": 4,
            "pageInfo": { "hasPreviousPage": false, "hasNextPage": true, "endCursor": null },
            "nodes": nodes(["short", "most"]),
        });
        assert_eq!(page, expected);
        let mut page = fetch(format!("first: 2, search: {SEARCHED:?}, after: {cursor}")).await;
        page["pageInfo"]["endCursor"].take();
        let expected = json!({
            "totalCount": 4,
            "pageInfo": { "hasPreviousPage": true, "hasNextPage": false, "endCursor": null },
            "nodes": nodes(["held", "more"]),
        });
        assert_eq!(page, expected);
        let page = fetch("search: \"thread\"".to_owned()).await;
        assert_eq!(page["nodes"], json!([{ "id": reading_id("most") }]));
    }

    async fn readings_of_several_people_are_searched_in_one_statement(engine: Engine) {
        let world = World::new(engine, 120).await;
        let fetch = async |viewer: Option<&str>| {
            let query = "{ publicReadings(first: 50) { nodes { user { username
                readings(search: \"愛\", first: 100) { nodes { id } } } } } }";
            let response = world.app.query_as_viewer(viewer.map(id), query).await;
            (response.statements(), data_of(response))
        };
        for viewer in [None, Some("ada")] {
            let (statements, data) = fetch(viewer).await;
            assert_eq!(statements, 3);
            for node in data["publicReadings"]["nodes"].as_array().expect("nodes") {
                let owner = PEOPLE.into_iter().find(|name| node["user"]["username"] == *name);
                let question = ListQuery {
                    viewer,
                    list: List::Of(owner.expect("one of the two")),
                    search: Some("愛"),
                    ..ListQuery::nothing()
                };
                let ids: Vec<_> = node["user"]["readings"]["nodes"]
                    .as_array()
                    .expect("nodes")
                    .iter()
                    .map(|node| node["id"].as_str().expect("an id").to_owned())
                    .collect();
                assert_eq!(ids, question.expected(&world.readings));
            }
        }
    }

    async fn ten_times_the_readings_take_the_same_statements_and_rows(engine: Engine) {
        let few = World::new(engine, 99).await;
        let many = World::new(engine, 999).await;
        let questions = [
            "publicReadings(first: 1, search: \"caravan\") { nodes { question } }",
            "publicReadings(first: 1, filter: { tagsAny: [\"love\", \"Love\", \"愛情\", \"50%\"] })
                { nodes { question } }",
            "viewer { readings(first: 1, search: \"愛\") { nodes { question } } }",
            "viewer { readings(first: 1, filter: { isFavorite: true }) { totalCount } }",
            "viewer { readings(first: 1, orderBy: { field: SATISFACTION }) { nodes { id } } }",
            "viewer { readings(first: 1, filter: { createdAt: { from: \"2026-05-28T00:00:00Z\" } })
                { nodes { id } } }",
        ];
        for question in questions {
            let query = format!("{{ {question} }}");
            let (less, more) = (
                few.app.query_as(id("ada"), &query).await,
                many.app.query_as(id("ada"), &query).await,
            );
            assert_eq!(less.body.get("errors"), None, "{}", less.text);
            assert_eq!(
                (less.statements(), less.rows()),
                (more.statements(), more.rows()),
                "{question}"
            );
        }
    }

    async fn invalid_filters_and_searches_are_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada"), user("bob")], Vec::new())).await;
        let of_ada = |arguments: &str| {
            format!("{{ user(username: \"ada\") {{ readings({arguments}) {{ nodes {{ id }} }} }} }}")
        };
        let public = |arguments: &str| format!("{{ publicReadings({arguments}) {{ nodes {{ id }} }} }}");
        let tags = |count: usize| {
            let tags: Vec<_> = (0..count).map(|number| format!("\"t{number}\"")).collect();
            tags.join(", ")
        };
        let refused = [
            (of_ada(&format!("search: {:?}", "愛".repeat(101))),
                error("`search` has 101 characters; it must have at most 100", "search")),
            (public(&format!("search: {:?}", "愛".repeat(101))),
                error("`search` has 101 characters; it must have at most 100", "search")),
            (of_ada(&format!("filter: {{ tagsAny: [{}] }}", tags(21))),
                error("`tagsAny` has 21 tags; it must have at most 20", "filter")),
            (of_ada(&format!("filter: {{ tagsAll: [{}] }}", tags(21))),
                error("`tagsAll` has 21 tags; it must have at most 20", "filter")),
            (public(&format!("filter: {{ tagsAny: [{}] }}", tags(21))),
                error("`tagsAny` has 21 tags; it must have at most 20", "filter")),
            (of_ada("filter: { minSatisfaction: 0 }"),
                error("`minSatisfaction` is 0; it must be from 1 to 5", "filter")),
            (of_ada("filter: { minSatisfaction: 6 }"),
                error("`minSatisfaction` is 6; it must be from 1 to 5", "filter")),
            (of_ada(&format!("filter: {{ categoryId: {:?} }}", user_id("ada"))),
                error("`categoryId` must be the id of a Category; it is the id of a User", "categoryId")),
            (of_ada("filter: { categoryId: \"x\" }"),
                error("`categoryId` is \"x\", which is no id of this server", "categoryId")),
        ];
        for (query, expected) in refused {
            assert_eq!(refusal(&app, Some("ada"), &query).await, expected, "{query}");
        }
        let strange = error("`orderBy` may be SATISFACTION for one's own readings only", "orderBy");
        let query = of_ada("orderBy: { field: SATISFACTION }");
        assert_eq!(refusal(&app, None, &query).await, strange);
        assert_eq!(refusal(&app, Some("bob"), &query).await, strange);

        let accepted = [
            of_ada(&format!("search: {:?}", "愛".repeat(100))),
            public(&format!("search: {:?}", "愛".repeat(100))),
            public("search: \"abc\""),
            public("search: \"\""),
            of_ada("search: \"\\u0000\""),
            public("search: \"\\u0000\\u0000\\u0000\""),
            of_ada(&format!("filter: {{ tagsAny: [{}], tagsAll: [{0}] }}", tags(20))),
            of_ada("filter: { tagsAny: [\"\\u0000\"] }"),
            of_ada("filter: { minSatisfaction: 1 }"),
            of_ada("filter: { minSatisfaction: 5 }"),
            of_ada("filter: { createdAt: { from: \"0001-01-01T00:00:00Z\", to: \"9999-12-31T23:59:59Z\" } }"),
            query,
        ];
        for query in accepted {
            app.data_as(id("ada"), &query).await;
        }
    }

    async fn times_are_of_the_years_1_to_9999_and_have_no_leap_second(engine: Engine) {
        let app = TestApp::start(engine).await;
        let fetch = async |time: &str| {
            let query = format!(
                "{{ publicReadings(filter: {{ createdAt: {{ to: {time:?} }} }}) {{ totalCount }} }}"
            );
            app.query(&query).await.body["errors"][0]["extensions"]["code"].clone()
        };
        for time in [
            "0001-01-01T00:00:00Z",
            "0001-01-01T23:59:00+23:59",
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T00:00:00-23:59",
            "2016-12-31T23:59:59Z",
        ] {
            assert_eq!(fetch(time).await, Value::Null, "{time}");
        }
        for time in [
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "10000-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2017-01-01T00:59:60+01:00",
            "2016-12-31T23:59:61Z",
            "2016-12-31",
        ] {
            assert_eq!(fetch(time).await, "GRAPHQL_VALIDATION_FAILED", "{time}");
        }
    }

    async fn a_cursor_of_another_order_is_rejected(engine: Engine) {
        let world = World::new(engine, 60).await;
        let mut orders = Vec::new();
        for field in ["CREATED_AT", "UPDATED_AT", "SATISFACTION"] {
            for direction in ["ASC", "DESC"] {
                orders.push(format!("orderBy: {{ field: {field}, direction: {direction} }}"));
            }
        }
        let query = |order: &str, more: &str| {
            format!("{{ viewer {{ readings({order}{more}) {{ nodes {{ id }} pageInfo {{ endCursor }} }} }} }}")
        };
        for order in &orders {
            let data = world.app.data_as(id("ada"), &query(order, ", first: 3")).await;
            let cursor = data["viewer"]["readings"]["pageInfo"]["endCursor"].as_str();
            let cursor = cursor.expect("a cursor").to_owned();
            let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(&cursor).expect("base64"));
            let text = text.expect("text");
            for other in &orders {
                for argument in ["after", "before"] {
                    let query = query(other, &format!(", {argument}: {cursor:?}"));
                    if order == other {
                        world.app.data_as(id("ada"), &query).await;
                        continue;
                    }
                    assert_eq!(
                        refusal(&world.app, Some("ada"), &query).await,
                        json!({
                            "message": format!("`{argument}` is no cursor of this list in this order"),
                            "code": "INVALID_CURSOR",
                            "argument": argument,
                        })
                    );
                }
            }
            // Nobody signs them: keys of the other kind and impossible ones under the right name.
            let (list, _) = text.rsplit_once('|').expect("a key");
            let nil = Uuid::nil().simple();
            let keys = if order.contains("SATISFACTION") {
                vec![format!("1790000000000000,{nil}"), format!("r0,{nil}"), format!("r6,{nil}"),
                    format!("rx,{nil}"), format!("-,{nil}"), "r".to_owned()]
            } else {
                vec![format!("r,{nil}"), format!("r3,{nil}"), format!("x,{nil}")]
            };
            for key in keys {
                let forged = BASE64_URL_SAFE_NO_PAD.encode(format!("{list}|{key}"));
                let query = query(order, &format!(", after: {forged:?}"));
                let refused = refusal(&world.app, Some("ada"), &query).await;
                assert_eq!(refused["code"], "INVALID_CURSOR", "{key}");
            }
        }
    }

    async fn a_reading_whose_tags_change_is_found_by_the_new_ones(engine: Engine) {
        let world = World::new(engine, 0).await;
        let ada = user("ada");
        let open = reading_sessions::Model {
            tags: TextList(vec!["old".to_owned(), "kept".to_owned()]),
            ..reading(&world.app, &ada, "open", 1)
        };
        world.app.insert(rows(Vec::new(), vec![open])).await;
        let is_found = async |tag: &str| {
            let query = format!(
                "{{ publicReadings(filter: {{ tagsAny: [{tag:?}] }}) {{ totalCount }}
                    user(username: \"ada\") {{ readings(filter: {{ tagsAll: [{tag:?}] }}) {{ totalCount }} }} }}"
            );
            let data = world.app.data(&query).await;
            let (public, own) =
                (&data["publicReadings"]["totalCount"], &data["user"]["readings"]["totalCount"]);
            assert_eq!(public, own, "{tag}");
            *public == 1
        };
        assert!(is_found("old").await);
        let rename = "mutation { renameTag(input: { from: \"old\", to: \"new\" }) { userErrors { code } } }";
        world.app.data_as(id("ada"), rename).await;
        assert!(!is_found("old").await);
        assert!(is_found("new").await);
        assert!(is_found("kept").await);
        let reading = GlobalId::Reading(id("open")).encode();
        let set = format!(
            "mutation {{ setReadingTags(input: {{ id: {:?}, tags: [\"only\"] }}) {{ userErrors {{ code }} }} }}",
            reading.as_str()
        );
        world.app.data_as(id("ada"), &set).await;
        assert!(is_found("only").await);
        assert!(!is_found("kept").await);
        let delete = format!(
            "mutation {{ deleteReading(input: {{ id: {:?} }}) {{ userErrors {{ code }} }} }}",
            reading.as_str()
        );
        world.app.data_as(id("ada"), &delete).await;
        assert!(!is_found("only").await);
    }
}
