//! Objects in memory are written as fast JSON where that is possible, and resolved field by field by the GraphQL library
//! where it is not. The bytes are the same.

use proptest::test_runner::{Config, TestRunner};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use wasteland_tarot::db::entities::columns::TextList;
use wasteland_tarot::db::entities::{reading_sessions, users};
use wasteland_tarot::domain::faction::FactionKey;
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::domain::voice::VoiceKey;
use wasteland_tarot::graphql::id::GlobalId;

use crate::support::app::{Engine, TestApp, TestResponse};
use crate::support::fixtures::{category, drawn_cards, id, private, reading, rows, user};

const LOCALES: &[&str] = &["", "(locale: EN)", "(locale: ZH_HANT)", "(locale: $locale)"];
const NO_ARGUMENT: &[&str] = &[""];

/// A field: its name, its possible arguments, and the object type that it returns.
type FieldOf = (&'static str, &'static [&'static str], Option<&'static str>);

const fn plain(name: &'static str) -> FieldOf {
    (name, NO_ARGUMENT, None)
}

const fn text(name: &'static str) -> FieldOf {
    (name, LOCALES, None)
}

const fn object(name: &'static str, type_name: &'static str) -> FieldOf {
    (name, NO_ARGUMENT, Some(type_name))
}

/// The fields in memory of the types.
const TYPES: &[(&str, &[FieldOf])] = &[
    (
        "ReadingConnection",
        &[
            object("edges", "ReadingEdge"),
            object("nodes", "Reading"),
            object("pageInfo", "PageInfo"),
            plain("totalCount"),
            plain("totalCountIsExact"),
            plain("searchNotice"),
        ],
    ),
    ("ReadingEdge", &[plain("cursor"), object("node", "Reading")]),
    (
        "PageInfo",
        &[plain("hasNextPage"), plain("hasPreviousPage"), plain("startCursor"), plain("endCursor")],
    ),
    (
        "Reading",
        &[
            plain("id"),
            plain("version"),
            plain("question"),
            object("spread", "Spread"),
            plain("spreadType"),
            plain("characterVoice"),
            object("voice", "Voice"),
            plain("karmaContext"),
            plain("tags"),
            plain("privacyLevel"),
            plain("focusArea"),
            plain("radiationFactor"),
            plain("locale"),
            plain("interpretation"),
            plain("summary"),
            plain("createdAt"),
            plain("updatedAt"),
            object("user", "User"),
            object("cards", "DrawnCard"),
            object("cards", "DrawnCard"),
            plain("notes"),
            plain("isFavorite"),
            plain("archivedAt"),
            object("category", "Category"),
            object("hidden", "HiddenReading"),
            plain("moodBefore"),
            plain("moodAfter"),
            plain("feedback"),
            plain("satisfactionRating"),
            plain("accuracyRating"),
            plain("helpfulRating"),
        ],
    ),
    (
        "DrawnCard",
        &[
            plain("id"),
            plain("position"),
            text("positionName"),
            text("positionMeaning"),
            plain("orientation"),
            object("card", "Card"),
            text("meaning"),
            plain("interpretation"),
        ],
    ),
    (
        "Card",
        &[
            plain("id"),
            plain("code"),
            text("name"),
            plain("cardType"),
            plain("suit"),
            plain("number"),
            text("rank"),
            plain("isCourt"),
            plain("standardName"),
            plain("standardSuit"),
            text("uprightMeaning"),
            text("reversedMeaning"),
            text("keywords"),
            plain("radiationLevel"),
            plain("threatLevel"),
            plain("vaultNumber"),
            plain("imageUrl"),
            (
                "interpretation",
                &["(voice: GHOUL)", "(voice: $voice)", "(voice: PIP_BOY, locale: ZH_HANT)"],
                None,
            ),
        ],
    ),
    (
        "Spread",
        &[
            plain("id"),
            plain("name"),
            text("displayName"),
            text("description"),
            plain("spreadType"),
            plain("cardCount"),
            plain("difficulty"),
            plain("faction"),
            plain("estimatedMinutes"),
            object("positions", "SpreadPosition"),
            plain("isActive"),
            plain("isPremium"),
        ],
    ),
    (
        "SpreadPosition",
        &[
            plain("id"),
            plain("number"),
            text("name"),
            text("meaning"),
            plain("x"),
            plain("y"),
            plain("rotation"),
        ],
    ),
    (
        "Voice",
        &[
            plain("id"),
            plain("key"),
            text("displayName"),
            plain("tone"),
            plain("vocabularyStyle"),
            plain("faction"),
        ],
    ),
    (
        "User",
        &[
            plain("id"),
            plain("username"),
            plain("displayName"),
            plain("bio"),
            plain("faction"),
            plain("karma"),
            plain("createdAt"),
        ],
    ),
    (
        "Category",
        &[plain("id"), plain("name"), plain("color"), plain("icon"), plain("description")],
    ),
    ("HiddenReading", &[plain("since"), plain("reason")]),
    (
        "CardConnection",
        &[
            object("edges", "CardEdge"),
            object("nodes", "Card"),
            object("pageInfo", "PageInfo"),
            plain("totalCount"),
        ],
    ),
    ("CardEdge", &[plain("cursor"), object("node", "Card")]),
    (
        "SpreadConnection",
        &[
            object("edges", "SpreadEdge"),
            object("nodes", "Spread"),
            object("pageInfo", "PageInfo"),
            plain("totalCount"),
        ],
    ),
    ("SpreadEdge", &[plain("cursor"), object("node", "Spread")]),
    (
        "TagConnection",
        &[
            object("edges", "TagEdge"),
            object("nodes", "Tag"),
            object("pageInfo", "PageInfo"),
            plain("totalCount"),
        ],
    ),
    ("TagEdge", &[plain("cursor"), object("node", "Tag")]),
    ("Tag", &[plain("id"), plain("name"), plain("readingCount"), plain("lastUsedAt")]),
    (
        "SuitInfo",
        &[
            plain("id"),
            plain("suit"),
            text("name"),
            plain("element"),
            plain("standardSuit"),
            plain("cardCount"),
        ],
    ),
    (
        "Faction",
        &[plain("id"), plain("key"), text("name"), plain("alignment"), object("voices", "Voice")],
    ),
];

/// Fields with direct values: the text up to the selection, and their type.
const ROOTS: [(&str, &str); 14] = [
    ("publicReadings", "ReadingConnection"),
    ("publicReadings(search: \"no\")", "ReadingConnection"),
    ("viewer { readings", "ReadingConnection"),
    ("viewer { readings(last: 2)", "ReadingConnection"),
    ("user(username: \"ben\") { readings(first: 3)", "ReadingConnection"),
    ("viewer { tags", "TagConnection"),
    ("cards(first: 3)", "CardConnection"),
    ("cards(first: 0)", "CardConnection"),
    ("cards(last: 2, search: \"bottle\")", "CardConnection"),
    ("spreads(first: 2)", "SpreadConnection"),
    ("spreadByName(name: \"celtic_cross\")", "Spread"),
    ("factions", "Faction"),
    ("suits", "SuitInfo"),
    ("voices", "Voice"),
];

/// Fields that the library has to resolve, by their parent type.
const RESOLVED: [(&str, &str); 13] = [
    ("Reading", "user { readings(first: 2) { nodes { id } } }"),
    ("Reading", "shareLinks { id }"),
    ("User", "categories { id }"),
    ("User", "readingQuota { used }"),
    ("User", "tags { nodes { name } }"),
    ("User", "stats { totalReadings currentStreakDays }"),
    ("User", "analytics { voices { count } }"),
    ("User", "email"),
    ("User", "isAdmin"),
    ("Category", "readingCount"),
    ("Card", "drawCount"),
    ("Spread", "usageCount"),
    ("Spread", "meanRating"),
];

/// Object types with an id that identifies the object.
const NODES: [&str; 6] = ["Reading", "Card", "Spread", "Voice", "User", "Category"];

/// Writes documents.
struct Author {
    rng: StdRng,
    fragments: Vec<String>,
    aliases: usize,
    directives: usize,
    /// Several fields may return one object under the same name, and fields that only the library
    /// resolves may be among them.
    is_wild: bool,
}

impl Author {
    fn one_in(&mut self, number: u32) -> bool {
        self.rng.random_ratio(1, number)
    }

    fn condition(&mut self) -> &'static str {
        if self.directives >= 20 || !self.one_in(9) {
            return "";
        }
        self.directives += 1;
        let conditions =
            ["@include(if: $yes)", "@skip(if: $yes)", "@include(if: $no)", "@skip(if: $no)"];
        conditions[self.rng.random_range(0..conditions.len())]
    }

    /// The selection of an object of that type, without its braces.
    fn selection(&mut self, type_name: &'static str, depth: usize) -> String {
        let (_, fields) = TYPES.iter().find(|(name, _)| *name == type_name).expect("a type");
        let mut written: Vec<String> = Vec::new();
        let mut objects: Vec<&str> = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            let (name, arguments, responses) = fields[self.rng.random_range(0..fields.len())];
            let arguments = arguments[self.rng.random_range(0..arguments.len())];
            let mut alias = String::new();
            let is_repeated = objects.contains(&name) && !self.is_wild;
            // A field with arguments may stand beside one with others.
            if (is_repeated || !arguments.is_empty() || self.one_in(8)) && self.aliases < 25 {
                self.aliases += 1;
                alias = format!("a{}: ", self.aliases);
            } else if is_repeated || !arguments.is_empty() {
                continue;
            }
            if alias.is_empty() && responses.is_some() {
                objects.push(name);
            }
            let selection = match responses {
                None => String::new(),
                Some(_) if depth == 0 => continue,
                Some(response) => format!(" {{ {} }}", self.selection(response, depth - 1)),
            };
            written.push(format!("{alias}{name}{arguments} {}{selection}", self.condition()));
        }
        if written.is_empty() || self.one_in(6) {
            written.push("__typename".to_owned());
        }
        if self.is_wild && self.one_in(12) {
            let resolved = RESOLVED.iter().filter(|(of, _)| *of == type_name);
            written.extend(resolved.map(|(_, field)| (*field).to_owned()).take(1));
        }
        if NODES.contains(&type_name) && self.one_in(8) {
            written.push("... on Node { id }".to_owned());
        }
        if self.one_in(5) {
            // Some of it in a fragment.
            let half = written.split_off(written.len() / 2);
            if !half.is_empty() {
                let condition = self.condition();
                let half = half.join(" ");
                written.push(match self.rng.random_range(0..3) {
                    0 => format!("... {condition} {{ {half} }}"),
                    1 => format!("... on {type_name} {condition} {{ {half} }}"),
                    _ => {
                        let name = format!("F{}", self.fragments.len());
                        self.fragments.push(format!("fragment {name} on {type_name} {{ {half} }}"));
                        format!("...{name} {condition}")
                    }
                });
            }
        }
        written.join(" ")
    }
}

/// A document of that seed.
fn document(seed: u64) -> String {
    let mut author = Author {
        rng: StdRng::seed_from_u64(seed),
        fragments: Vec::new(),
        aliases: 0,
        directives: 0,
        is_wild: seed.is_multiple_of(4),
    };
    let reading = format!("reading(id: \"{}\")", GlobalId::Reading(id("full")).encode().0);
    let (root, type_name) = match author.rng.random_range(0..=ROOTS.len()) {
        index if index < ROOTS.len() => ROOTS[index],
        _ => (reading.as_str(), "Reading"),
    };
    let selection = author.selection(type_name, 5);
    let end = if root.contains('{') { "}" } else { "" };
    // Used once each here, so that none is unused.
    let uses = "u: spreads(first: 1) @include(if: $yes) { nodes { displayName(locale: $locale) } }
        v: cardByCode(code: \"bottle_caps_01\") @skip(if: $no) { interpretation(voice: $voice) }";
    format!(
        "query ($locale: Locale = ZH_HANT, $voice: VoiceKey!, $yes: Boolean!, $no: Boolean = false)
        {{ {uses} {root} {{ {selection} }} {end} }}\n{}",
        author.fragments.join("\n")
    )
}

/// Two users and their readings, with a value in every column and with none.
async fn fill(app: &TestApp) {
    let ada = users::Model {
        display_name: Some("艾達 \"Ada\"".to_owned()),
        bio: Some("line\nbreak \\ \u{1}\u{2028}".to_owned()),
        faction: FactionKey::Brotherhood,
        ..user("ada")
    };
    let ben = user("ben");
    let folder = category(&ada, "folder");
    let full = reading_sessions::Model {
        focus_area: Some("愛情".to_owned()),
        notes: Some("notes".to_owned()),
        tags: TextList(vec!["輻射".to_owned(), "a \"b\"".to_owned()]),
        category_id: Some(folder.id),
        radiation_factor: 0.1 + 0.2,
        locale: Locale::ZhHant,
        character_voice: VoiceKey::SuperMutant,
        mood_before: Some("hopeful".to_owned()),
        mood_after: Some("grateful".to_owned()),
        is_favorite: true,
        user_satisfaction: Some(5),
        accuracy_rating: Some(1),
        helpful_rating: Some(3),
        user_feedback: Some("回饋".to_owned()),
        version: 7,
        ..reading(app, &ada, "full", 3)
    };
    let readings = vec![
        reading(app, &ada, "one", 1),
        private(reading(app, &ada, "two", 2)),
        full,
        reading(app, &ben, "four", 4),
        private(reading(app, &ben, "five", 5)),
    ];
    let codes = ["major_arcana_00", "bottle_caps_01", "radiation_rods_14"];
    let drawn = readings.iter().take(4).flat_map(|reading| drawn_cards(app, reading, &codes));
    let drawn = drawn.collect();
    let mut all = rows(vec![ada, ben], readings);
    all.categories = vec![folder];
    all.drawn_cards = drawn;
    app.insert(all).await;
}

async fn fetch(app: &TestApp, viewer: Option<&str>, query: &str) -> TestResponse {
    let token = viewer.map(|name| app.token_of(id(name)));
    let variables = json!({ "voice": "CODSWORTH", "yes": true });
    app.send(token.as_deref(), &json!({ "query": query, "variables": variables })).await
}

fn is_fast_json(response: &TestResponse) -> bool {
    let (_, counts) =
        response.header("server-timing").split_once("fast-json;desc=\"").expect("direct values");
    let counts = counts.split_once(" values\"").and_then(|(counts, _)| counts.split_once(" of "));
    counts.is_some_and(|(written, all)| written == all)
}

#[test]
fn fast_json_equals_the_response_of_the_library() {
    const CASES: u32 = 600;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (fast_json, library) = runtime.block_on(async {
        let fast_json = TestApp::start(Engine::Sqlite).await;
        let library = TestApp::start_with(Engine::Sqlite, &["--fast-json=false"]).await;
        fill(&fast_json).await;
        fill(&library).await;
        (fast_json, library)
    });
    let written = std::cell::Cell::new(0_u32);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&proptest::num::u64::ANY, |seed| {
            let query = document(seed);
            let viewer =
                [None, Some("ada"), Some("ben")][usize::try_from(seed % 3).expect("small")];
            let (ours, theirs) = runtime.block_on(async {
                (fetch(&fast_json, viewer, &query).await, fetch(&library, viewer, &query).await)
            });
            assert_eq!(theirs.body.get("errors"), None, "{query}\n{}", theirs.text);
            assert!(!is_fast_json(&theirs));
            assert_eq!(ours.text, theirs.text, "{query}");
            assert_eq!(ours.statements(), theirs.statements(), "{query}");
            written.set(written.get() + u32::from(is_fast_json(&ours)));
            Ok(())
        })
        .expect("both return the same");
    // Most documents select nothing else, so the comparison is one.
    let written = written.get();
    assert!(written > CASES / 2, "{written} of {CASES} were written by fast JSON");
}

/// A field that is selected twice is in the response once.
#[tokio::test]
async fn fields_selected_twice_are_written_once() {
    let app = TestApp::start(Engine::Sqlite).await;
    fill(&app).await;
    for (fields, once) in [
        ("x: question ... on Reading { x: question }", "x: question"),
        ("cards { x: position ... on DrawnCard { x: position } }", "cards { x: position }"),
        ("cards { position } cards { orientation }", "cards { position orientation }"),
    ] {
        let query = |fields: &str| format!("{{ publicReadings {{ nodes {{ {fields} }} }} }}");
        let response = app.query(&query(fields)).await;
        assert_eq!(response.body.get("errors"), None, "{fields}: {}", response.text);
        assert_eq!(response.text, app.query(&query(once)).await.text, "{fields}");
    }
}

/// Each possible field of a page is written as fast JSON, but for those that are listed.
#[tokio::test]
async fn every_field_of_a_page_has_fast_json() {
    // Tags of many users cost more than a request may.
    let app = TestApp::start_with(Engine::Sqlite, &["--max-query-cost=1000000"]).await;
    fill(&app).await;
    let schema = wasteland_tarot::graphql::sdl();
    for (type_name, fields) in TYPES {
        let (_, body) = schema.split_once(&format!("type {type_name} ")).expect("a type");
        let (body, _) = body.split_once("\n}").expect("its end");
        // Descriptions stand between triple quotes.
        let definitions = body.split("\"\"\"").step_by(2).flat_map(str::lines);
        let names = definitions
            .filter_map(|line| line.strip_prefix('\t'))
            .filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()))
            .filter_map(|line| line.split(['(', ':']).next());
        for name in names {
            let is_ours = fields.iter().any(|(field, ..)| *field == name);
            let is_listed = RESOLVED
                .iter()
                .any(|(of, field)| of == type_name && field.split([' ', '(']).next() == Some(name));
            let is_private = *type_name == "User"
                && ["readings", "isPremium", "karmaScore", "preferredVoice"].contains(&name);
            assert!(is_ours || is_listed || is_private, "{type_name}.{name} is not tried");
        }
    }
    for (type_name, field) in RESOLVED {
        let within = match type_name {
            "Reading" => field.to_owned(),
            "User" => format!("user {{ {field} }}"),
            "Category" => format!("category {{ {field} }}"),
            "Card" => format!("cards {{ card {{ {field} }} }}"),
            _ => format!("spread {{ {field} }}"),
        };
        let query = format!("{{ publicReadings {{ nodes {{ {within} }} }} }}");
        let response = app.query_as(id("ada"), &query).await;
        assert_eq!(response.body.get("errors"), None, "{query}");
        assert!(!is_fast_json(&response), "{query}");
    }
}
