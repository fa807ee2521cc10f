//! Objects that a viewer may not see are to them as if they were not there: a matrix of viewers,
//! kinds of objects, and ways to reach them.
//!
//! A small rule defines visibility. Each viewer sends every query to two servers: to one that holds
//! everything, and to its twin, which holds only the objects that viewer may see. The responses
//! must be the same byte for byte and take as many statements; and each must show the objects of
//! the rule.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use uuid::Uuid;

use wasteland_tarot::db::entities::{reading_categories, reading_sessions};
use wasteland_tarot::domain::reading::PrivacyLevel;
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::passwords::NO_PASSWORD;

use crate::support::app::{TestApp, TestResponse, on_both_databases, send_request};
use crate::support::fixtures::{category_id, id, reading_id, spread_id, user_id};
use crate::support::tables::{Access, differences};
use crate::support::world::{World, share_id};

const VIEWERS: [Option<&str>; 4] = [None, Some("bob"), Some("admin"), Some("ada")];

/// Selected fields of a reading. Each of its texts holds the name of the object that it comes from.
const READING: &str = "id question version tags notes category { name } shareLinks { title }
    cards { interpretation } user { username }";
const PAGE: &str = "totalCount edges { cursor node { ...Reading } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";

// The rule.

fn is_own(viewer: Option<&str>, owner: Uuid) -> bool {
    viewer.is_some_and(|viewer| id(viewer) == owner)
}

fn may_see(viewer: Option<&str>, reading: &reading_sessions::Model) -> bool {
    let is_public = reading.privacy_level == PrivacyLevel::Public;
    is_own(viewer, reading.user_id) || (is_public && reading.user_id != id("gone"))
}

fn is_listed(viewer: Option<&str>, reading: &reading_sessions::Model) -> bool {
    may_see(viewer, reading) && reading.archived_at.is_none()
}

fn may_see_category(viewer: Option<&str>, category: &reading_categories::Model) -> bool {
    is_own(viewer, category.user_id)
}

/// A query, and the expected content of its response.
struct MatrixQuery {
    text: String,
    shows: BTreeSet<String>,
    /// The length of the list, where it is one.
    total: Option<usize>,
    /// The id in the query, and one of the same kind that never was, where nothing may be seen.
    hidden: Option<(String, String)>,
}

/// The queries of one viewer.
struct Matrix<'a> {
    viewer: Option<&'a str>,
    world: &'a World,
    queries: Vec<MatrixQuery>,
}

impl World {
    fn owner_of_share(&self, reading: Uuid) -> Uuid {
        let readings = &self.rows.readings;
        readings.iter().find(|row| row.id == reading).expect("its reading").user_id
    }

    /// Removes everything that the viewer may not see.
    fn retain_visible(&mut self, viewer: Option<&str>) {
        let owners: Vec<Uuid> =
            self.shares.iter().map(|share| self.owner_of_share(share.reading_id)).collect();
        let mut owners = owners.into_iter();
        self.shares.retain(|_| owners.next().is_some_and(|owner| is_own(viewer, owner)));
        self.rows.readings.retain(|reading| may_see(viewer, reading));
        self.rows.categories.retain(|category| may_see_category(viewer, category));
        let (readings, categories) = (&mut self.rows.readings, &self.rows.categories);
        self.rows
            .drawn_cards
            .retain(|card| readings.iter().any(|reading| reading.id == card.reading_id));
        for reading in readings {
            let there = |folder: &Uuid| categories.iter().any(|category| category.id == *folder);
            reading.category_id = reading.category_id.filter(there);
        }
        self.rows.users.retain(|user| user.is_active);
    }
}

fn names<const N: usize>(of: [&str; N]) -> BTreeSet<String> {
    of.map(str::to_owned).into()
}

impl Matrix<'_> {
    /// The names that a reading shows where it is seen.
    fn shown(&self, reading: &reading_sessions::Model) -> BTreeSet<String> {
        let mut shown = names([&reading.question]);
        if is_own(self.viewer, reading.user_id) {
            let categories = self.world.rows.categories.iter();
            let of_reading =
                |category: &&reading_categories::Model| Some(category.id) == reading.category_id;
            shown.extend(categories.filter(of_reading).map(|category| category.name.clone()));
            let shares = self.world.shares.iter().filter(|share| share.reading_id == reading.id);
            shown.extend(shares.filter_map(|share| share.title.clone()));
        }
        shown
    }

    fn query(&mut self, text: String, shows: BTreeSet<String>) -> &mut MatrixQuery {
        let text = if text.contains("...Reading") {
            format!("{text} fragment Reading on Reading {{ {READING} }}")
        } else {
            text
        };
        self.queries.push(MatrixQuery { text, shows, total: None, hidden: None });
        self.queries.last_mut().expect("it was just added")
    }

    /// Adds queries of one object in these ways, in which `ID` stands for its id.
    fn add_object(
        &mut self,
        ways: &[&str],
        (object, missing): (&str, &str),
        shows: &BTreeSet<String>,
    ) {
        for way in ways {
            let text = way.replace("ID", &format!("{object:?}"));
            let hidden = shows.is_empty().then(|| (object.to_owned(), missing.to_owned()));
            self.query(text, shows.clone()).hidden = hidden;
        }
    }

    fn add_readings(&mut self, spread: &str) {
        let missing = reading_id("missing");
        for reading in &self.world.rows.readings {
            let name = reading.question.as_str();
            let shows = if may_see(self.viewer, reading) { self.shown(reading) } else { names([]) };
            let ways = [
                "{ reading(id: ID) { ...Reading } }",
                "{ node(id: ID) { ...Reading } }",
                "{ nodes(ids: [ID]) { ...Reading } }",
                "{ nodes(ids: [ID, ID]) { id } reading(id: ID) { ...Reading } }",
                "{ node(id: ID) { __typename id ... on Reading { user { readings { totalCount } } ...Reading } } }",
            ];
            self.add_object(&ways, (&reading_id(name), &missing), &shows);
            let drawn = |reading| GlobalId::DrawnCard(id(reading), 1).encode().to_string();
            let ways = ["{ node(id: ID) { id } }", "{ nodes(ids: [ID]) { id } }"];
            self.add_object(&ways, (&drawn(name), &drawn("missing")), &names([]));
            if is_own(self.viewer, reading.user_id) {
                continue;
            }
            // Viewers who may only read may change nothing, and learn nothing from trying.
            let ways = [
                "mutation { updateReading(input: { id: ID, notes: \"mine\" }) { reading { ...Reading } userErrors { message } } }",
                "mutation { updateReading(input: { id: ID, expectedVersion: 5 }) { reading { ...Reading } userErrors { message } } }",
                "mutation { setReadingTags(input: { id: ID, tags: [\"mine\"] }) { reading { ...Reading } userErrors { message } } }",
                "mutation { deleteReading(input: { id: ID }) { deletedReadingId userErrors { message } } }",
                "mutation { shareReading(input: { readingId: ID }) { shareLink { title } userErrors { message } } }",
            ];
            self.add_object(&ways, (&reading_id(name), &missing), &names([]));
        }
        for category in &self.world.rows.categories {
            let is_own = may_see_category(self.viewer, category);
            let shows = if is_own { names([&category.name]) } else { names([]) };
            let both = (category_id(&category.name), category_id("missing"));
            let both = (both.0.as_str(), both.1.as_str());
            let ways = [
                "{ node(id: ID) { ... on Category { name color readingCount } } }",
                "{ nodes(ids: [ID]) { ... on Category { name } } }",
            ];
            self.add_object(&ways, both, &shows);
            if is_own {
                continue;
            }
            let create = format!(
                "mutation {{ createReading(input: {{ question: \"?\", spreadId: {spread:?}, categoryId: ID }}) {{ reading {{ id }} userErrors {{ code message }} }} }}"
            );
            let ways = [
                "mutation { updateCategory(input: { id: ID, name: \"mine\" }) { category { name } userErrors { message } } }",
                "mutation { deleteCategory(input: { id: ID }) { changedReadingCount userErrors { message } } }",
                &create,
            ];
            self.add_object(&ways, both, &names([]));
        }
    }

    fn add_links_and_people(&mut self) {
        for share in &self.world.shares {
            let title = share.title.as_deref().expect("a title");
            let is_own = is_own(self.viewer, self.world.owner_of_share(share.reading_id));
            let shows = if is_own { names([title]) } else { names([]) };
            let both = (share_id(title), share_id("missing"));
            let both = (both.0.as_str(), both.1.as_str());
            self.add_object(&["{ node(id: ID) { ... on ShareLink { title } } }"], both, &shows);
            if !is_own {
                let ways = [
                    "mutation { revokeShare(input: { id: ID }) { deletedShareLinkId reading { id } userErrors { message } } }",
                ];
                self.add_object(&ways, both, &names([]));
            }
        }
        // A deactivated user is not shown, and neither are their readings.
        let fields = "... on User { username readings { totalCount nodes { question } } }";
        let one = format!("{{ node(id: ID) {{ {fields} }} }}");
        let many = format!("{{ nodes(ids: [ID]) {{ {fields} }} }}");
        let ways = [one.as_str(), many.as_str()];
        self.add_object(&ways, (&user_id("gone"), &user_id("missing")), &names([]));
        self.add_object(&["{ user(username: ID) { id } }"], ("gone", "missing"), &names([]));
        for owner in ["ada", "bob"] {
            let is_own = self.viewer == Some(owner);
            let readings = self.world.rows.readings.iter();
            let tagged = readings.filter(|reading| is_own && reading.user_id == id(owner));
            let tagged = tagged.map(|reading| reading.question.clone()).collect();
            let tags = "tags { totalCount nodes { name readingCount } }";
            self.query(format!("{{ user(username: {owner:?}) {{ {tags} }} }}"), tagged);
            let categories = self.world.rows.categories.iter();
            let folders = categories.filter(|folder| is_own && folder.user_id == id(owner));
            let folders = folders.map(|folder| folder.name.clone()).collect();
            let list = "categories { name readingCount }";
            self.query(format!("{{ user(username: {owner:?}) {{ {list} }} }}"), folders);
        }
    }

    /// The readings of a list, the newest first.
    fn list(&self, owner: Option<&str>) -> Vec<&reading_sessions::Model> {
        let readings = self.world.rows.readings.iter();
        let mut list: Vec<_> = readings
            .filter(|reading| match owner {
                Some(owner) => reading.user_id == id(owner) && is_listed(self.viewer, reading),
                // The public readings, for the owner as for anybody.
                None => is_listed(None, reading),
            })
            .collect();
        list.sort_by_key(|reading| std::cmp::Reverse((reading.created_at, reading.id)));
        list
    }

    /// Adds queries of pages of a list, before and after each reading that there is, visible or
    /// not: a cursor is a place.
    fn add_pages(&mut self, owner: Option<&str>, cursor_start: &str) {
        let (field, end) = match owner {
            Some(owner) => (format!("user(username: {owner:?}) {{ readings"), "}"),
            None => ("publicReadings".to_owned(), ""),
        };
        let world = self.world;
        let list: Vec<_> = self.list(owner).into_iter().cloned().collect();
        let mut fetch = |arguments: &str, page: Vec<&reading_sessions::Model>| {
            let shows = page.iter().flat_map(|reading| self.shown(reading)).collect();
            let text = format!("{{ {field}({arguments}) {{ {PAGE} }} {end} }}");
            self.query(text, shows).total = Some(list.len());
        };
        for count in [1, 2, 100] {
            fetch(&format!("first: {count}"), list.iter().take(count).collect());
            fetch(&format!("last: {count}"), list.iter().rev().take(count).collect());
        }
        for place in &world.rows.readings {
            let key = format!("{},{}", place.created_at.timestamp_micros(), place.id.simple());
            let cursor = BASE64_URL_SAFE_NO_PAD.encode(format!("{cursor_start}{key}"));
            let key_of = |reading: &reading_sessions::Model| (reading.created_at, reading.id);
            for count in [1, 100] {
                let after = list.iter().filter(|reading| key_of(reading) < key_of(place));
                fetch(&format!("first: {count}, after: {cursor:?}"), after.take(count).collect());
                let before = list.iter().rev().filter(|reading| key_of(reading) > key_of(place));
                fetch(&format!("last: {count}, before: {cursor:?}"), before.take(count).collect());
            }
        }
    }

    fn add_nested_lists(&mut self) {
        let of_all = self.list(None);
        let mut shows: BTreeSet<String> =
            of_all.iter().flat_map(|reading| self.shown(reading)).collect();
        for owner in ["ada", "bob", "gone"] {
            shows
                .extend(self.list(Some(owner)).into_iter().flat_map(|reading| self.shown(reading)));
        }
        let mut text = String::new();
        let _ = write!(
            text,
            "{{ publicReadings(first: 10) {{ totalCount nodes {{ ...Reading user {{ readings(first: 10) {{ {PAGE} }} }} }} }} }}"
        );
        self.query(text, shows);
    }
}

/// The part of a list's cursors before the place.
async fn cursor_start(app: &TestApp, list: &str, path: &str) -> String {
    let data = app.data(list).await;
    let cursor = data.pointer(path).and_then(Value::as_str).expect("a cursor");
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).expect("a cursor");
    let text = String::from_utf8(text).expect("a text");
    let (start, _) = text.rsplit_once('|').expect("a key");
    format!("{start}|")
}

async fn matrix<'a>(app: &TestApp, world: &'a World, viewer: Option<&'a str>) -> Matrix<'a> {
    let mut matrix = Matrix { viewer, world, queries: Vec::new() };
    matrix.add_readings(&spread_id(app, "single_wasteland"));
    matrix.add_links_and_people();
    let list = "{ publicReadings(first: 1) { edges { cursor } } }";
    let start = cursor_start(app, list, "/publicReadings/edges/0/cursor").await;
    matrix.add_pages(None, &start);
    let list = "{ user(username: \"ada\") { readings(first: 1) { edges { cursor } } } }";
    let start = cursor_start(app, list, "/user/readings/edges/0/cursor").await;
    for owner in ["ada", "bob"] {
        matrix.add_pages(Some(owner), &start);
    }
    matrix.add_nested_lists();
    matrix
}

/// The body without its varying parts.
fn text_of(response: &TestResponse) -> String {
    response.text.replace(response.header("x-request-id"), "ID")
}

fn total_of(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(fields) => {
            fields.get("totalCount").or_else(|| fields.values().find_map(total_of))
        }
        _ => None,
    }
}

on_both_databases! {
    async fn hidden_objects_look_like_missing_ones(engine: Engine) {
        let app = TestApp::start(engine).await;
        World::new(&app, NO_PASSWORD).write(&app).await;
        let world = World::new(&app, NO_PASSWORD);
        let rows = &world.rows;
        let all_names: BTreeSet<String> = rows
            .readings
            .iter()
            .map(|reading| reading.question.clone())
            .chain(rows.categories.iter().map(|category| category.name.clone()))
            .chain(world.shares.iter().filter_map(|share| share.title.clone()))
            .collect();
        let access = Access::open(&app.database).await;
        let before = access.all().await;
        for viewer in VIEWERS {
            let twin = TestApp::start(engine).await;
            let mut seen = World::new(&twin, NO_PASSWORD);
            seen.retain_visible(viewer);
            seen.write(&twin).await;
            let matrix = matrix(&app, &world, viewer).await;
            assert!(matrix.queries.len() > 200, "{}", matrix.queries.len());
            for MatrixQuery { text, shows, total, hidden } in &matrix.queries {
                let who = viewer.map(id);
                let response = app.query_as_viewer(who, text).await;
                let of_twin = twin.query_as_viewer(who, text).await;
                assert_eq!(text_of(&response), text_of(&of_twin), "{text} as {viewer:?}");
                let statements = response.statements();
                assert_eq!(statements, of_twin.statements(), "{text} as {viewer:?}");
                let shown: BTreeSet<String> = all_names
                    .iter()
                    .filter(|name| response.text.contains(name.as_str()))
                    .cloned()
                    .collect();
                assert_eq!(shown, *shows, "{text} as {viewer:?}: {}", response.text);
                if let Some(total) = total {
                    let expected = Value::from(*total);
                    assert_eq!(total_of(&response.body["data"]), Some(&expected), "{text}");
                }
                if let Some((object, missing)) = hidden {
                    let none = app.query_as_viewer(who, &text.replace(object, missing)).await;
                    assert_eq!(text_of(&response), text_of(&none), "{text} as {viewer:?}");
                    assert_eq!(statements, none.statements(), "{text} as {viewer:?}");
                }
            }
        }
        let changed = differences(&before, &access.all().await);
        assert!(changed.is_empty(), "{changed:#?}");
        access.close().await;
    }

    async fn an_export_holds_the_viewers_data_and_nothing_else(engine: Engine) {
        let app = TestApp::start(engine).await;
        let world = World::new(&app, NO_PASSWORD);
        let readings = world.rows.readings.clone();
        world.write(&app).await;
        for viewer in VIEWERS.into_iter().flatten() {
            for path in ["/export/readings.json", "/export/readings.csv"] {
                let request = app.request(reqwest::Method::GET, path);
                let response = send_request(request.bearer_auth(app.token_of(id(viewer)))).await;
                assert_eq!(response.status, 200);
                for reading in &readings {
                    let name = &reading.question;
                    // Each of its texts holds its name.
                    let is_there = response.text.contains(name);
                    assert_eq!(is_there, is_own(Some(viewer), reading.user_id), "{viewer} {name}");
                }
            }
        }
    }
}
