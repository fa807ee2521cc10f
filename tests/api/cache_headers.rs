//! Cache headers: for each field of the query type and each kind of viewer, the same on a miss and
//! on a hit of the response cache; and no second transfer of an unchanged response.

use std::collections::BTreeSet;

use async_graphql::parser::types::ConstDirective;
use async_graphql::{Positioned, Value as Constant};
use reqwest::Method;
use serde_json::json;

use wasteland_tarot::graphql::cache_hints::{Revalidation, hint_of};
use wasteland_tarot::graphql::sdl;

use crate::schema::{fields_of, types_of};
use crate::support::app::{Engine, TestApp, TestResponse, on_both_databases, send_request};
use crate::support::fixtures::{card_id, id, reading, reading_id, rows, spread_id, user};
use crate::support::mutations::{USER_ERRORS, payload};
use crate::support::world::write_world;

/// Directive of `cache-control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CacheControl {
    /// Storable, for that number of seconds.
    MaxAge(u64),
    /// Storable, with revalidation each time.
    Revalidate,
    /// Not storable.
    Private,
}
use CacheControl::{MaxAge, Private, Revalidate};

impl CacheControl {
    fn cache_control(self) -> String {
        match self {
            MaxAge(seconds) => format!("public, max-age={seconds}"),
            Revalidate => "public, no-cache".to_owned(),
            Private => "private, no-store".to_owned(),
        }
    }
}

/// A field of the query type.
struct FieldCase {
    field: &'static str,
    /// With its arguments and fields.
    selection: String,
    /// To nobody, to a user, and to an admin.
    directive: [CacheControl; 3],
    /// Where it is public.
    keys: String,
}

const VIEWERS: [Option<&str>; 3] = [None, Some("bob"), Some("admin")];
/// The same for every viewer.
const CARDS: [CacheControl; 3] = [MaxAge(3_600); 3];
const SPREADS: [CacheControl; 3] = [MaxAge(1_800); 3];
const CHANGING: [CacheControl; 3] = [Revalidate; 3];
/// Signed-in viewers may see more.
const SIGNED_OUT: [CacheControl; 3] = [Revalidate, Private, Private];
const NEVER: [CacheControl; 3] = [Private; 3];

fn table(app: &TestApp) -> Vec<FieldCase> {
    let (ada, late) = (id("ada"), reading_id("q:late-pub"));
    let of_reading = format!("owner-{ada} reading-{}", id("q:late-pub"));
    let any_node = format!("cards factions {of_reading} spreads voices");
    let (card, spread) = (card_id(app, "major_arcana_00"), spread_id(app, "celtic_cross"));
    let row = |field, selection: &str, directive, keys: &str| FieldCase {
        field,
        selection: format!("{field}{selection}"),
        directive,
        keys: keys.to_owned(),
    };
    vec![
        row(
            "node",
            &format!("(id: {late:?}) {{ id ... on Reading {{ question }} }}"),
            SIGNED_OUT,
            &any_node,
        ),
        row("nodes", &format!("(ids: [{late:?}]) {{ id }}"), SIGNED_OUT, &any_node),
        row("viewer", " { id username }", NEVER, ""),
        row(
            "user",
            "(username: \"Ada\") { username karma readings { nodes { question } } }",
            SIGNED_OUT,
            &format!("readings-{ada} user-{ada} username-YWRh"),
        ),
        row("card", &format!("(id: {card:?}) {{ name keywords }}"), CARDS, "cards"),
        row("cardByCode", "(code: \"major_arcana_00\") { name }", CARDS, "cards"),
        row(
            "cards",
            " { totalCount edges { cursor node { name } } pageInfo { hasNextPage } }",
            CARDS,
            "cards",
        ),
        row("suits", " { name cardCount }", CARDS, "cards"),
        row(
            "spread",
            &format!("(id: {spread:?}) {{ name positions {{ meaning }} }}"),
            SPREADS,
            "spreads",
        ),
        row("spreadByName", "(name: \"celtic_cross\") { name }", SPREADS, "spreads"),
        row("spreads", " { nodes { name } }", SIGNED_OUT, "spreads stats"),
        row("popularSpreads", " { newest { name } }", CHANGING, "spreads stats"),
        row("recommendedSpreads", " { score spread { name } }", CHANGING, "spreads stats"),
        row("voices", " { key tone }", CARDS, "voices"),
        row("factions", " { key voices { key } }", CARDS, "factions voices"),
        row("reading", &format!("(id: {late:?}) {{ question }}"), SIGNED_OUT, &of_reading),
        row(
            "publicReadings",
            "(first: 1) { nodes { question tags user { username } cards { card { name } } } }",
            CHANGING,
            &format!("cards feed user-{ada}"),
        ),
        row("sharedReading", "(token: \"s:pub\") { status }", NEVER, ""),
        row("publicStats", " { users cards }", CHANGING, "cards spreads stats"),
        row("admin", " { cacheStats { size } }", NEVER, ""),
    ]
}

/// As much as a server has by default.
const ROOM: &str = "--response-cache-bytes=16777216";

fn address_of(query: &str) -> String {
    let query = serde_urlencoded::to_string([("query", query)]).expect("a query string");
    format!("/graphql?{query}")
}

/// Sends a GET request as that viewer, with that entity tag in `if-none-match`.
async fn get(app: &TestApp, viewer: Option<&str>, query: &str, tag: Option<&str>) -> TestResponse {
    let mut request = app
        .request(Method::GET, &address_of(query))
        .header("accept", "application/graphql-response+json");
    if let Some(viewer) = viewer {
        request = request.bearer_auth(app.token_of(id(viewer)));
    }
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    send_request(request).await
}

/// Asserts these cache headers, and none that contradict them.
fn assert_cache_headers(response: &TestResponse, directive: CacheControl, keys: &str, what: &str) {
    assert_eq!(
        response.header("cache-control"),
        directive.cache_control(),
        "{what}: {}",
        response.text
    );
    assert_eq!(response.header("vary"), "accept, authorization, accept-encoding", "{what}");
    assert_eq!(response.headers.get_all("vary").iter().count(), 1, "{what}");
    assert_eq!(response.headers.get("age"), None, "{what}");
    assert_eq!(response.header("surrogate-key"), keys, "{what}");
    let tag = response.header("etag");
    assert_eq!(tag.starts_with("W/\"") && tag.len() == 26, directive != Private, "{what}: {tag:?}");
}

async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start_with(engine, &["--cache-ttl-jitter=0", ROOM]).await;
    app.app.services.clock.stop();
    write_world(&app).await;
    app
}

#[tokio::test]
async fn every_field_of_the_query_type_has_a_row() {
    let app = TestApp::start(Engine::Sqlite).await;
    let rows: Vec<_> = table(&app).into_iter().map(|row| row.field.to_owned()).collect();
    let types = types_of(sdl());
    let fields: BTreeSet<_> =
        fields_of(&types["Query"]).iter().map(|field| field.node.name.node.to_string()).collect();
    assert_eq!(rows.len(), fields.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), fields);
}

on_both_databases! {
    async fn cache_headers_are_those_of_the_table(engine: Engine) {
        let app = start(engine).await;
        for FieldCase { field, selection, directive, keys } in table(&app) {
            for (viewer, directive) in VIEWERS.into_iter().zip(directive) {
                let query = format!("{{ {selection} }}");
                let first = get(&app, viewer, &query, None).await;
                let again = get(&app, viewer, &query, None).await;
                let known = get(&app, viewer, &query, None).await;
                let posted = app.query_as_viewer(viewer.map(id), &query).await;
                let keys = if directive == Private { "" } else { &keys };
                let all =
                    [("first", &first), ("again", &again), ("known", &known), ("posted", &posted)];
                for (time, response) in all {
                    let what = format!("{field} to {viewer:?}, {time}");
                    assert_cache_headers(response, directive, keys, &what);
                    assert_eq!(response.status, 200, "{what}");
                    // Only admins get anything from `admin`.
                    let is_refused = field == "admin" && viewer != Some("admin");
                    assert_eq!(response.body.get("errors").is_some(), is_refused, "{what}: {}", response.text);
                    if !is_refused {
                        assert_eq!(response.text, first.text, "{what}");
                    }
                    assert_eq!(response.header("etag"), first.header("etag"), "{what}");
                }
            }
        }
    }

    /// Cards and spreads are in memory, and others may have changed them.
    async fn without_fresh_invalidations_responses_must_be_revalidated(engine: Engine) {
        let app = start(engine).await;
        let query = "{ cardByCode(code: \"major_arcana_00\") { name } }";
        for _ in 0..3 {
            let response = get(&app, None, query, None).await;
            assert_eq!(response.header("cache-control"), "public, max-age=3600");
        }
        app.app.services.cache.freshness_gate().close();
        let response = get(&app, None, query, None).await;
        assert_eq!((response.status, response.header("cache-control")), (200, "public, no-cache"));
    }

    /// Public fields stay public in fragments and under aliases, and are private together with
    /// private ones.
    async fn a_response_is_as_private_as_its_most_private_field(engine: Engine) {
        let app = start(engine).await;
        let late = reading_id("q:late-pub");
        for (query, directive) in [
            ("{ suits { name } voices { key } }".to_owned(), MaxAge(3_600)),
            ("{ suits { name } spreadByName(name: \"celtic_cross\") { name } }".to_owned(), MaxAge(1_800)),
            ("{ other: suits { ...Name __typename } __typename } fragment Name on SuitInfo { name }".to_owned(), MaxAge(3_600)),
            ("{ suits { name } cardByCode(code: \"major_arcana_00\") { drawCount } }".to_owned(), Revalidate),
            ("{ spreadByName(name: \"celtic_cross\") { meanRating } }".to_owned(), Revalidate),
            ("{ suits { name } viewer { id } }".to_owned(), Private),
            ("{ suits { name } ...Viewer } fragment Viewer on Query { viewer { id } }".to_owned(), Private),
            ("{ suits { name } viewer @include(if: false) { id } }".to_owned(), Private),
            (format!("{{ reading(id: {late:?}) {{ question notes }} }}"), Private),
            (format!("{{ node(id: {late:?}) {{ ... on Reading {{ question }} ... on Category {{ name }} }} }}"), Private),
            ("{ publicReadings { nodes { user { email } } } }".to_owned(), Private),
            ("{ user(username: \"nobody\") { username } }".to_owned(), Revalidate),
            ("{ __typename }".to_owned(), Private),
            ("{ suits { name } __schema { queryType { name } } }".to_owned(), Private),
        ] {
            let response = get(&app, None, &query, None).await;
            assert_eq!(response.body.get("errors"), None, "{query}: {}", response.text);
            let keys = response.header("surrogate-key").to_owned();
            assert_eq!(keys.is_empty(), directive == Private, "{query}: {keys}");
            assert_cache_headers(&response, directive, &keys, &query);
        }
    }

    async fn errors_are_not_cacheable(engine: Engine) {
        let app = start(engine).await;
        for (query, has_data) in [
            // One field fails, and the others do not.
            ("{ suits { name } card(id: \"none\") { name } }", true),
            ("{ cards(first: -1) { totalCount } }", true),
            ("{ nope }", false),
            ("{ suits { name }", false),
            ("query One { suits { name } } query Two { suits { name } }", false),
        ] {
            let response = get(&app, None, query, Some("*")).await;
            assert!(response.body["errors"].is_array(), "{query}: {}", response.text);
            assert_eq!(response.body.get("data").is_some(), has_data, "{query}: {}", response.text);
            assert_eq!(response.status, if has_data { 200 } else { 400 }, "{query}");
            assert_cache_headers(&response, Private, "", query);
        }
        let unknown = json!({ "version": 1, "sha256Hash": "0".repeat(64) });
        let unknown = json!({ "extensions": { "persistedQuery": unknown } });
        assert_cache_headers(&app.send(None, &unknown).await, Private, "", "an unknown hash");
        let wrong = app.send(Some("wrong"), &json!({ "query": "{ suits { name } }" })).await;
        assert_eq!(wrong.status, 401);
        assert_cache_headers(&wrong, Private, "", "a wrong token");
        let drawn = app.query("mutation { drawCards(input: { count: 1 }) { draws { card { name } } } }").await;
        assert_cache_headers(&drawn, Private, "", "a mutation");
    }

    async fn an_unchanged_response_is_304(engine: Engine) {
        let app = start(engine).await;
        let query = "{ user(username: \"ada\") { username bio displayName } }";
        let whole = get(&app, None, query, None).await;
        let tag = whole.header("etag").to_owned();
        let strong = tag.strip_prefix("W/").expect("a weak tag");
        for known in [tag.as_str(), strong, "*", &format!("\"other\", {tag}"), &format!("{strong} , W/\"x\"")] {
            let response = get(&app, None, query, Some(known)).await;
            assert_eq!((response.status, response.text.as_str()), (304, ""), "{known}");
            for name in ["cache-control", "etag", "vary", "surrogate-key"] {
                assert_eq!(response.header(name), whole.header(name), "{known}: {name}");
            }
            for name in ["content-type", "content-encoding"] {
                assert_eq!(response.headers.get(name), None, "{known}: {name}");
            }
        }
        for other in ["W/\"other\"", "", strong.trim_matches('"')] {
            let response = get(&app, None, query, Some(other)).await;
            assert_eq!((response.status, &response.text), (200, &whole.text), "{other}");
        }
        // The tag is that of the other media type, whose bytes are the same.
        let json = app.request(Method::GET, &address_of(query)).header("accept", "application/json");
        let json = send_request(json.header("if-none-match", &tag)).await;
        assert_eq!((json.status, &json.text), (200, &whole.text));
        // A POST request gets the whole response.
        let posted = app
            .request(Method::POST, "/graphql")
            .header("accept", "application/graphql-response+json")
            .header("content-type", "application/json")
            .header("if-none-match", &tag)
            .body(json!({ "query": query }).to_string());
        let posted = send_request(posted).await;
        assert_eq!((posted.status, posted.text, posted.headers["etag"].clone()), (200, whole.text.clone(), whole.headers["etag"].clone()));
        // A signed-in viewer may see more, and gets no 304.
        let signed_in = get(&app, Some("bob"), query, Some(&tag)).await;
        assert_eq!((signed_in.status, signed_in.text), (200, whole.text));

        let input = json!({ "displayName": "Ada the second" });
        let changed = payload(&app, id("ada"), "updateProfile", input, USER_ERRORS).await;
        assert_eq!(changed["userErrors"], json!([]));
        let after = get(&app, None, query, Some(&tag)).await;
        assert_eq!(after.status, 200);
        assert_eq!(after.body["data"]["user"]["displayName"], "Ada the second");
        assert_ne!(after.header("etag"), tag);
    }

    async fn a_page_of_many_people_has_one_key_for_all_of_them(engine: Engine) {
        let app = TestApp::start(engine).await;
        let people: Vec<_> = (0..100).map(|number| user(&format!("user{number:02}"))).collect();
        let readings = people.iter().zip(1..);
        let readings = readings
            .map(|(owner, second)| reading(&app, owner, &format!("q{second}"), second))
            .collect();
        app.insert(rows(people, readings)).await;
        let keys = async |first: usize| {
            let query = format!("{{ publicReadings(first: {first}) {{ nodes {{ user {{ username }} }} }} }}");
            get(&app, None, &query, None).await.header("surrogate-key").to_owned()
        };
        // `feed`, and a blank and 41 characters for each user.
        let fine = keys(97).await;
        assert_eq!(fine.split(' ').count(), 98, "{fine}");
        assert_eq!(fine.len(), 4 + 97 * 42);
        assert_eq!(keys(98).await, "all-users feed");
    }
}

#[tokio::test]
async fn a_rate_limited_response_is_not_cacheable() {
    let app = TestApp::start_with(Engine::Sqlite, &["--rate-limit=1"]).await;
    let first = get(&app, None, "{ suits { name } }", None).await;
    assert_eq!(first.header("cache-control"), "public, max-age=3600");
    let second = get(&app, None, "{ suits { name } }", Some("*")).await;
    assert_eq!(second.status, 429);
    assert_cache_headers(&second, Private, "", "too many requests");
}

#[tokio::test]
async fn origins_that_are_named_are_a_part_of_the_one_line() {
    let app = TestApp::start_with(Engine::Sqlite, &["--cors-origins=https://app.example"]).await;
    let request = app.request(Method::GET, &address_of("{ suits { name } }"));
    let response = send_request(request.header("origin", "https://app.example")).await;
    let vary: Vec<_> = response.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["accept, authorization, accept-encoding, origin"]);
}

/// The seconds and the scope that a directive says.
fn hinted(directives: &[Positioned<ConstDirective>]) -> Option<(u64, String)> {
    let hint = directives.iter().find(|one| one.node.name.node == "cacheControl")?;
    let argument = |name| hint.node.get_argument(name).map(|value| value.node.clone());
    let (Some(Constant::Number(seconds)), Some(Constant::Enum(scope))) =
        (argument("maxAge"), argument("scope"))
    else {
        panic!("{hint:?}");
    };
    Some((seconds.as_u64().expect("seconds"), scope.to_string()))
}

#[test]
fn the_printed_schema_has_the_hints_of_the_table() {
    let mut found = 0;
    for (type_name, definition) in types_of(sdl()) {
        let of_type = hinted(&definition.directives);
        for field in fields_of(&definition) {
            let name = field.node.name.node.as_str();
            let expected = hint_of(&type_name, name).map(|hint| {
                let seconds = hint.policy.ttl().as_secs();
                (
                    if hint.revalidation == Revalidation::WhenExpired { seconds } else { 0 },
                    "PUBLIC".to_owned(),
                )
            });
            let own = hinted(&field.node.directives).or_else(|| of_type.clone());
            assert_eq!(own, expected, "{type_name}.{name}");
            found += usize::from(expected.is_some());
        }
    }
    assert!(found > 100, "{found}");
}
