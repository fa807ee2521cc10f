//! Pages of every list: their arguments, flags, cursors and counts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::reading_sessions;
use wasteland_tarot::db::seed::SeedRows;

use crate::support::app::{
    Engine, TestApp, TestResponse, at, data_of, on_both_databases, settings_with,
};
use crate::support::fixtures::{crowd, id, private, reading, rows, user};

/// A list that can be paged through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    Public,
    OfUser,
    Cards,
    Spreads,
}

const LISTS: [List; 4] = [List::Public, List::OfUser, List::Cards, List::Spreads];
/// Items of each list after [`fill`]: more than a page for all but the spreads.
const FILLED: i64 = 45;

impl List {
    /// The query of one page, with these arguments in their parentheses.
    fn query(self, arguments: &str, fields: &str) -> String {
        let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
        match self {
            Self::Public => format!("{{ publicReadings{arguments} {{ {fields} }} }}"),
            Self::OfUser => {
                format!("{{ user(username: \"ada\") {{ readings{arguments} {{ {fields} }} }} }}")
            }
            Self::Cards => format!("{{ cards{arguments} {{ {fields} }} }}"),
            Self::Spreads => format!("{{ spreads{arguments} {{ {fields} }} }}"),
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Public => "publicReadings",
            Self::OfUser => "readings",
            Self::Cards => "cards",
            Self::Spreads => "spreads",
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Public | Self::OfUser => usize::try_from(FILLED).expect("a length"),
            Self::Cards => 78,
            Self::Spreads => 7,
        }
    }

    fn of(self, mut data: Value) -> Value {
        match self {
            Self::OfUser => data["user"]["readings"].take(),
            other => data[other.field()].take(),
        }
    }

    async fn fetch(self, app: &TestApp, arguments: &str) -> TestResponse {
        app.query(&self.query(arguments, PAGE)).await
    }

    async fn page(self, app: &TestApp, arguments: &str) -> Page {
        Page::of(&self.of(data_of(self.fetch(app, arguments).await)))
    }

    /// The error that rejects these arguments: its message, and its extensions without the request
    /// id. Asserts that the response holds nothing else.
    async fn refusal(self, app: &TestApp, arguments: &str) -> Value {
        let response = self.fetch(app, arguments).await;
        assert_eq!(response.status, 200, "{self:?} {arguments}");
        let mut body = response.body_without_request_id();
        let mut error = body["errors"][0].take();
        // A connection is never null, so its parent is: the user, or else everything.
        let data = if self == Self::OfUser { json!({ "user": null }) } else { Value::Null };
        assert_eq!(body, json!({ "data": data, "errors": [null] }), "{self:?} {arguments}");
        let path =
            if self == Self::OfUser { json!(["user", "readings"]) } else { json!([self.field()]) };
        let column = if self == Self::OfUser { 27 } else { 3 };
        assert_eq!(error["path"].take(), path);
        assert_eq!(error["locations"].take(), json!([{ "line": 1, "column": column }]));
        assert_eq!(error["extensions"]["requestId"].take(), "ID");
        let mut extensions = error["extensions"].take();
        extensions.as_object_mut().expect("extensions").remove("requestId");
        json!({ "message": error["message"], "extensions": extensions })
    }
}

const PAGE: &str = "edges { cursor node { id } } nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";

/// A page of a response.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    ids: Vec<String>,
    cursors: Vec<String>,
    has_next: bool,
    has_previous: bool,
}

impl Page {
    /// Reads a connection, and asserts that its parts are consistent.
    fn of(connection: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let edges = connection["edges"].as_array().expect("edges");
        let ids: Vec<String> = edges.iter().map(|edge| text(&edge["node"]["id"])).collect();
        let cursors: Vec<String> = edges.iter().map(|edge| text(&edge["cursor"])).collect();
        let nodes = connection["nodes"].as_array().expect("nodes");
        assert_eq!(nodes.iter().map(|node| text(&node["id"])).collect::<Vec<_>>(), ids);
        let info = &connection["pageInfo"];
        assert_eq!(info["startCursor"], json!(cursors.first()));
        assert_eq!(info["endCursor"], json!(cursors.last()));
        Self {
            ids,
            cursors,
            has_next: info["hasNextPage"].as_bool().expect("a flag"),
            has_previous: info["hasPreviousPage"].as_bool().expect("a flag"),
        }
    }

    fn first(&self) -> &str {
        self.cursors.first().expect("a page with items")
    }

    fn last(&self) -> &str {
        self.cursors.last().expect("a page with items")
    }

    fn flags(&self) -> (bool, bool) {
        (self.has_previous, self.has_next)
    }
}

/// Ada and her public readings.
async fn fill(app: &TestApp) {
    app.insert(crowd(app, &user("ada"), FILLED)).await;
}

/// All ids of a list, by one page or as many as it takes.
async fn all(app: &TestApp, list: List) -> Vec<String> {
    let page = list.page(app, "first: 100").await;
    assert_eq!((page.ids.len(), page.flags()), (list.len(), (false, false)), "{list:?}");
    page.ids
}

fn cursor(text: &str) -> String {
    BASE64.encode(text)
}

on_both_databases! {
    async fn a_page_holds_twenty_by_default(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let whole = all(&app, list).await;
            let expected = &whole[..20.min(whole.len())];
            let nulls = "first: null, after: null, last: null, before: null";
            for arguments in ["", "first: null", nulls] {
                let page = list.page(&app, arguments).await;
                assert_eq!(page.ids, expected, "{list:?} {arguments}");
                assert_eq!(page.flags(), (false, whole.len() > 20), "{list:?} {arguments}");
            }
            // The variables of a client that has not chosen yet.
            let query = list.query("first: $f, after: $a, last: $l, before: $b", PAGE);
            let query = format!("query ($f: Int, $a: String, $l: Int, $b: String) {query}");
            for variables in [json!({}), json!({ "f": null, "a": null, "l": null, "b": null })] {
                let response = app.query_with_variables(&query, variables).await;
                assert_eq!(Page::of(&list.of(data_of(response))).ids, expected, "{list:?}");
            }
        }
    }

    async fn an_empty_page_is_valid(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let page = list.page(&app, "first: 0").await;
            assert_eq!((page.ids.len(), page.flags()), (0, (false, true)), "{list:?}");
            let page = list.page(&app, "last: 0").await;
            assert_eq!((page.ids.len(), page.flags()), (0, (true, false)), "{list:?}");
        }
    }

    async fn a_hundred_items_are_given_and_a_hundred_and_one_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(crowd(&app, &user("ada"), 101)).await;
        for list in LISTS {
            for argument in ["first", "last"] {
                let page = list.page(&app, &format!("{argument}: 100")).await;
                let expected = if list.field().ends_with("eadings") { 100 } else { list.len() };
                assert_eq!(page.ids.len(), expected, "{list:?}");
                for requested in [101, 1_000_000, i32::MAX] {
                    assert_eq!(
                        list.refusal(&app, &format!("{argument}: {requested}")).await,
                        json!({
                            "message": format!(
                                "`{argument}` is {requested}; a page has at most 100 items"
                            ),
                            "extensions": {
                                "code": "PAGE_SIZE_EXCEEDED", "argument": argument,
                                "requested": requested, "maximum": 100,
                            },
                        })
                    );
                }
            }
        }
    }

    async fn the_maximum_is_a_setting(engine: Engine) {
        let flags = ["--max-page-size=5", "--default-page-size=3"];
        let app = TestApp::start_with(engine, &flags).await;
        fill(&app).await;
        for list in LISTS {
            assert_eq!(list.page(&app, "").await.ids.len(), 3, "{list:?}");
            assert_eq!(list.page(&app, "first: 5").await.ids.len(), 5, "{list:?}");
            assert_eq!(
                list.refusal(&app, "first: 6").await,
                json!({
                    "message": "`first` is 6; a page has at most 5 items",
                    "extensions": {
                        "code": "PAGE_SIZE_EXCEEDED", "argument": "first", "requested": 6,
                        "maximum": 5,
                    },
                })
            );
        }
    }

    async fn negative_numbers_are_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            for argument in ["first", "last"] {
                for number in [-1, i32::MIN] {
                    assert_eq!(
                        list.refusal(&app, &format!("{argument}: {number}")).await,
                        json!({
                            "message": format!("`{argument}` is {number}; it must be at least 0"),
                            "extensions": { "code": "BAD_USER_INPUT", "argument": argument },
                        })
                    );
                }
            }
        }
    }

    async fn arguments_that_contradict_each_other_are_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let page = list.page(&app, "first: 2").await;
            let cursor = page.first();
            for (arguments, argument, other) in [
                ("first: 2, last: 2".to_owned(), "last", "first"),
                (format!("first: 2, before: {cursor:?}"), "before", "first"),
                (format!("last: 2, after: {cursor:?}"), "after", "last"),
                (format!("after: {cursor:?}, before: {cursor:?}"), "before", "after"),
            ] {
                assert_eq!(
                    list.refusal(&app, &arguments).await,
                    json!({
                        "message": format!(
                            "`{argument}` and `{other}` contradict each other; give one of them"
                        ),
                        "extensions": { "code": "BAD_USER_INPUT", "argument": argument },
                    })
                );
            }
            // With nulls beside them they do not.
            let arguments = format!("first: 2, after: {cursor:?}, last: null, before: null");
            assert_eq!(list.page(&app, &arguments).await.ids.len(), 2);
        }
    }

    async fn every_list_is_walked_forwards_with_exact_flags(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let whole = all(&app, list).await;
            for size in [1, 3, 7, 20] {
                let mut page = list.page(&app, &format!("first: {size}")).await;
                let mut seen = 0;
                loop {
                    let expected = &whole[seen..whole.len().min(seen + size)];
                    assert_eq!(page.ids, expected, "{list:?} {size}");
                    let has_previous = seen > 0;
                    seen += page.ids.len();
                    assert_eq!(page.flags(), (has_previous, seen < whole.len()), "{list:?} {size}");
                    if !page.has_next {
                        break;
                    }
                    page =
                        list.page(&app, &format!("first: {size}, after: {:?}", page.last())).await;
                }
                assert_eq!(seen, whole.len());
            }
        }
    }

    async fn every_list_is_walked_backwards_with_exact_flags(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let whole = all(&app, list).await;
            for size in [1, 3, 7, 20] {
                let mut page = list.page(&app, &format!("last: {size}")).await;
                let mut end = whole.len();
                loop {
                    let expected = &whole[end.saturating_sub(size)..end];
                    assert_eq!(page.ids, expected, "{list:?} {size}");
                    let has_next = end < whole.len();
                    end -= page.ids.len();
                    assert_eq!(page.flags(), (end > 0, has_next), "{list:?} {size}");
                    if !page.has_previous {
                        break;
                    }
                    page =
                        list.page(&app, &format!("last: {size}, before: {:?}", page.first())).await;
                }
                assert_eq!(end, 0);
            }
        }
    }

    async fn a_page_after_the_end_is_empty_and_knows_that_items_precede_it(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let end = list.page(&app, "last: 1").await;
            let after = list.page(&app, &format!("after: {:?}", end.last())).await;
            assert_eq!((after.ids.len(), after.flags()), (0, (true, false)), "{list:?}");
            let start = list.page(&app, "first: 1").await;
            let before = list.page(&app, &format!("before: {:?}", start.first())).await;
            assert_eq!((before.ids.len(), before.flags()), (0, (false, true)), "{list:?}");
            // A cursor alone gives a page of the default size next to it.
            let whole = all(&app, list).await;
            let next = list.page(&app, &format!("after: {:?}", start.first())).await;
            assert_eq!(next.ids, whole[1..whole.len().min(21)], "{list:?}");
            let previous = list.page(&app, &format!("before: {:?}", end.first())).await;
            let last = whole.len() - 1;
            assert_eq!(previous.ids, whole[last.saturating_sub(20)..last], "{list:?}");
            let none = list.page(&app, &format!("first: 0, after: {:?}", start.first())).await;
            assert_eq!((none.ids.len(), none.flags()), (0, (true, true)), "{list:?}");
        }
    }

    async fn the_cursor_of_a_deleted_row_still_marks_its_place(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        let connection = app.database.connect().await;
        for (list, row) in [(List::Public, "r040"), (List::OfUser, "r030")] {
            let whole = list.page(&app, "first: 100").await;
            let place = whole.ids.iter().position(|id| *id == crate::support::fixtures::reading_id(row));
            let place = place.expect("the row is listed");
            let cursor = &whole.cursors[place];
            reading_sessions::Entity::delete_by_id(id(row))
                .exec(&connection)
                .await
                .expect("deleted");
            let after = list.page(&app, &format!("first: 2, after: {cursor:?}")).await;
            assert_eq!(after.ids, whole.ids[place + 1..place + 3], "{list:?}");
            assert_eq!(after.flags(), (true, true), "{list:?}");
            let before = list.page(&app, &format!("last: 2, before: {cursor:?}")).await;
            assert_eq!(before.ids, whole.ids[place - 2..place], "{list:?}");
            assert_eq!(before.flags(), (true, true), "{list:?}");
        }

        // Where the deleted row was the only one on that side, nothing is left there.
        let ends = List::Public.page(&app, "first: 100").await;
        for name in ["r045", "r001"] {
            reading_sessions::Entity::delete_by_id(id(name))
                .exec(&connection)
                .await
                .expect("deleted");
        }
        let after_first =
            List::Public.page(&app, &format!("first: 1, after: {:?}", ends.first())).await;
        assert_eq!((after_first.ids.len(), after_first.flags()), (1, (false, true)));
        let before_last =
            List::Public.page(&app, &format!("last: 1, before: {:?}", ends.last())).await;
        assert_eq!((before_last.ids.len(), before_last.flags()), (1, (true, false)));
        let after_last =
            List::Public.page(&app, &format!("first: 1, after: {:?}", ends.last())).await;
        assert_eq!((after_last.ids.len(), after_last.flags()), (0, (true, false)));
    }

    async fn a_cursor_that_is_none_of_the_list_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        let mut own = BTreeMap::new();
        for list in LISTS {
            own.insert(list.field(), list.page(&app, "first: 1").await.first().to_owned());
        }
        for list in LISTS {
            let ours = own[list.field()].clone();
            let text = String::from_utf8(BASE64.decode(&ours).expect("base64")).expect("text");
            let (format, rest) = text.split_once('|').expect("an age");
            let (order, key) = rest.rsplit_once('|').expect("an order");
            let others = own.iter().filter(|(field, _)| **field != list.field());
            let mut bad: Vec<String> = others.map(|(_, cursor)| cursor.clone()).collect();
            let other_order = if order.ends_with(":ASC") {
                order.replace(":ASC", ":DESC")
            } else {
                order.replace(":DESC", ":ASC")
            };
            assert_ne!(other_order, order);
            bad.extend([
                cursor(&format!("{format}|{other_order}|{key}")),
                cursor(&format!("0|{order}|{key}")),
                cursor(&format!("{order}|{key}")),
                cursor(&format!("{format}|{order}|{key}|")),
                cursor(&format!("{format}|{order}|")),
                cursor(&format!("{format}|{order}")),
                cursor(&format!("{format}|{order}|1")),
                cursor(&format!("{format}|{order}|x,y")),
                cursor(&format!("{format}|{order}|99999999999999999999,{}", "0".repeat(32))),
                cursor(&format!("{format}|{order}|9223372036854775807,zz")),
                cursor("\u{0}"),
                BASE64.encode([0xff, 0xfe]),
                String::new(),
                "garbage".to_owned(),
                "MQ==".to_owned(),
                "愛".to_owned(),
                "20".to_owned(),
                "2026-05-28T20:26:40Z".to_owned(),
                format!("{ours}="),
                "A".repeat(2_000),
            ]);
            for bad in bad {
                for argument in ["after", "before"] {
                    assert_eq!(
                        list.refusal(&app, &format!("{argument}: {bad:?}")).await,
                        json!({
                            "message":
                                format!("`{argument}` is no cursor of this list in this order"),
                            "extensions": { "code": "INVALID_CURSOR", "argument": argument },
                        }),
                        "{list:?} {bad}"
                    );
                }
            }
        }
    }

    async fn a_cursor_in_another_spelling_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        let ours = List::Public.page(&app, "first: 1").await.first().to_owned();
        let text = String::from_utf8(BASE64.decode(&ours).expect("base64")).expect("text");
        let (list, key) = text.rsplit_once('|').expect("a key");
        let (time, id) = key.split_once(',').expect("a time and an id");
        let hyphenated = Uuid::try_parse(id).expect("an id").hyphenated();
        assert_eq!(cursor(&format!("{list}|{time},{id}")), ours);
        for key in [format!("+{key}"), format!("0{key}"), format!("{time},{hyphenated}")] {
            assert_eq!(
                List::Public
                    .refusal(&app, &format!("after: {:?}", cursor(&format!("{list}|{key}"))))
                    .await,
                json!({
                    "message": "`after` is no cursor of this list in this order",
                    "extensions": { "code": "INVALID_CURSOR", "argument": "after" },
                }),
                "{key}"
            );
        }
    }

    async fn a_cursor_of_a_time_that_no_database_holds_is_rejected_or_empty(engine: Engine) {
        // Cursors are not signed; a forged one may break nothing.
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in [List::Public, List::OfUser] {
            let ours = list.page(&app, "first: 1").await.first().to_owned();
            let text = String::from_utf8(BASE64.decode(&ours).expect("base64")).expect("text");
            let (order, key) = text.rsplit_once('|').expect("an order");
            let (_, id) = key.split_once(',').expect("an id");
            for micros in [
                i64::MIN,
                -8_000_000_000_000_000_000,
                -1,
                0,
                253_402_300_800_000_000,
                8_000_000_000_000_000_000,
                i64::MAX,
            ] {
                for argument in ["after", "before"] {
                    let bad = cursor(&format!("{order}|{micros},{id}"));
                    let response = list.fetch(&app, &format!("{argument}: {bad:?}")).await;
                    let code = &response.body["errors"][0]["extensions"]["code"];
                    assert!(
                        code.is_null() || code == "INVALID_CURSOR",
                        "{micros} {}",
                        response.text
                    );
                }
            }
        }
    }

    async fn the_total_is_counted_only_where_it_is_selected(engine: Engine) {
        let app = TestApp::start(engine).await;
        fill(&app).await;
        for list in LISTS {
            let without = app.query(&list.query("first: 3", "nodes { id }")).await;
            let connection = list.of(without.body["data"].clone());
            assert_eq!(connection.get("totalCount"), None);
            let whole = list.page(&app, "first: 2").await;
            let after = format!("first: 1, after: {:?}", whole.last());
            let before = format!("last: 1, before: {:?}", whole.last());
            // The whole list is counted, whatever the page.
            for arguments in ["", "first: 0", "last: 2", &after, &before] {
                for fields in [
                    "totalCount",
                    "... { totalCount }",
                    "totalCount @include(if: true)",
                    "nodes { id } edges { cursor } totalCount pageInfo { endCursor }",
                ] {
                    let with = app.query(&list.query(arguments, fields)).await;
                    assert_eq!(with.statements(), without.statements(), "{list:?} {arguments}");
                    let connection = list.of(data_of(with));
                    assert_eq!(
                        connection["totalCount"],
                        list.len(),
                        "{list:?} {arguments} {fields}"
                    );
                }
            }
            let aliased = list.query("first: 1", "all: totalCount");
            let data = list.of(app.data(&aliased).await);
            assert_eq!(data, json!({ "all": list.len() }));
            let fragment = list.query("first: 1", "...T");
            let type_name = match list {
                List::Cards => "Card",
                List::Spreads => "Spread",
                List::Public | List::OfUser => "Reading",
            };
            let fragment =
                format!("{fragment} fragment T on {type_name}Connection {{ totalCount }}");
            let data = list.of(app.data(&fragment).await);
            assert_eq!(data, json!({ "totalCount": list.len() }));
        }
    }

    async fn the_total_is_of_the_rows_and_the_viewer(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let readings = vec![reading(&app, &ada, "one", 1), private(reading(&app, &ada, "two", 2))];
        app.insert(rows(vec![ada.clone()], readings)).await;
        let query =
            "{ user(username: \"ada\") { readings { totalCount } } publicReadings { totalCount } }";
        let totals = |own, public| {
            json!({
                "user": { "readings": { "totalCount": own } },
                "publicReadings": { "totalCount": public },
            })
        };
        assert_eq!(app.data(query).await, totals(1, 1));
        assert_eq!(app.data_as(ada.id, query).await, totals(2, 1));
        app.insert(rows(Vec::new(), vec![reading(&app, &ada, "three", 3)])).await;
        assert_eq!(app.data(query).await, totals(2, 2));
    }

    async fn fifty_readings_of_the_same_microsecond_are_walked_without_loss(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let same = at(0) + TimeDelta::microseconds(123_456);
        let readings = (0..50)
            .map(|n| reading_sessions::Model {
                created_at: same,
                ..reading(&app, &ada, &format!("r{n:02}"), 0)
            })
            .collect();
        app.insert(rows(vec![ada], readings)).await;
        let expected: Vec<String> =
            (0..50).rev().map(|n| crate::support::fixtures::reading_id(&format!("r{n:02}"))).collect();
        for list in [List::Public, List::OfUser] {
            for (size, next) in [("first: 7", "after"), ("last: 7", "before")] {
                let mut page = list.page(&app, size).await;
                let mut seen: Vec<String> = Vec::new();
                loop {
                    let is_forward = next == "after";
                    let at = if is_forward { seen.len() } else { 0 };
                    seen.splice(at..at, page.ids.iter().cloned());
                    let (more, from) = if is_forward {
                        (page.has_next, page.last())
                    } else {
                        (page.has_previous, page.first())
                    };
                    if !more {
                        break;
                    }
                    page = list.page(&app, &format!("{size}, {next}: {from:?}")).await;
                }
                assert_eq!(seen, expected, "{list:?} {size}");
            }
        }
    }

    async fn times_differ_to_the_microsecond(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        // Their ids sort the other way round, so that only the times can give this order.
        let readings = (0_i32..5)
            .map(|n| reading_sessions::Model {
                created_at: at(0) - TimeDelta::microseconds(i64::from(n)),
                ..reading(&app, &ada, &format!("r{n}"), 0)
            })
            .collect();
        app.insert(rows(vec![ada], readings)).await;
        for list in [List::Public, List::OfUser] {
            let mut page = list.page(&app, "first: 1").await;
            for n in 0..5 {
                assert_eq!(page.ids, [crate::support::fixtures::reading_id(&format!("r{n}"))], "{list:?}");
                page = list.page(&app, &format!("first: 1, after: {:?}", page.last())).await;
            }
            assert_eq!(page.ids.len(), 0);
        }
    }

    async fn each_author_in_a_list_has_a_page_of_their_own(engine: Engine) {
        let app = TestApp::start(engine).await;
        let names = ["ada", "bob", "cyd"];
        let people: Vec<_> = names.iter().map(|name| user(name)).collect();
        let readings = (0_i32..)
            .zip(&people)
            .flat_map(|(n, person)| {
                // Ada has one reading, Bob three, Cyd five; they take turns.
                (0..=2 * n).map(move |k| (n, k, person))
            })
            .map(|(n, k, person)| {
                reading(&app, person, &format!("{}{k}", person.username), i64::from(k * 10 + n))
            })
            .collect();
        app.insert(rows(people.clone(), readings)).await;
        let data = app
            .data(
                "{ publicReadings { nodes { question user { username
                    readings(first: 2) { totalCount nodes { question }
                        pageInfo { hasNextPage hasPreviousPage endCursor } } } } } }",
            )
            .await;
        let nodes = data["publicReadings"]["nodes"].as_array().expect("readings");
        assert_eq!(nodes.len(), 9);
        let mut end_of_cyd = Value::Null;
        for node in nodes {
            let (questions, total, next) = match node["user"]["username"].as_str() {
                Some("ada") => (vec!["ada0"], 1, false),
                Some("bob") => (vec!["bob2", "bob1"], 3, true),
                _ => (vec!["cyd4", "cyd3"], 5, true),
            };
            let page = &node["user"]["readings"];
            let found: Vec<&Value> = page["nodes"]
                .as_array()
                .expect("nodes")
                .iter()
                .map(|node| &node["question"])
                .collect();
            assert_eq!(found, questions);
            assert_eq!(page["totalCount"], total);
            assert_eq!(page["pageInfo"]["hasNextPage"], next);
            assert_eq!(page["pageInfo"]["hasPreviousPage"], false);
            if total == 5 {
                end_of_cyd = page["pageInfo"]["endCursor"].clone();
            }
        }

        // A second page under an alias: one more statement, for any parent.
        let query = format!(
            "{{ publicReadings {{ nodes {{ user {{ username
                one: readings(first: 2) {{ nodes {{ question }} pageInfo {{ hasPreviousPage }} }}
                two: readings(first: 2, after: {end_of_cyd}) {{ nodes {{ question }}
                    pageInfo {{ hasPreviousPage hasNextPage }} }} }} }} }} }}"
        );
        let response = app.query(&query).await;
        assert_eq!(
            response.statements(),
            4,
            "the list, its authors, and a statement for each page"
        );
        for node in response.body["data"]["publicReadings"]["nodes"].as_array().expect("readings") {
            // The cursor lies at 32 seconds: every list is cut there, whosever row it came from.
            let expected = match node["user"]["username"].as_str() {
                Some("ada") => json!({
                    "nodes": [{ "question": "ada0" }],
                    "pageInfo": { "hasPreviousPage": false, "hasNextPage": false },
                }),
                Some("bob") => json!({
                    "nodes": [{ "question": "bob2" }, { "question": "bob1" }],
                    "pageInfo": { "hasPreviousPage": false, "hasNextPage": true },
                }),
                _ => json!({
                    "nodes": [{ "question": "cyd2" }, { "question": "cyd1" }],
                    "pageInfo": { "hasPreviousPage": true, "hasNextPage": true },
                }),
            };
            assert_eq!(node["user"]["two"], expected);
        }
    }

    async fn authors_lists_are_cut_backwards_as_well(engine: Engine) {
        let app = TestApp::start(engine).await;
        let (ada, bob) = (user("ada"), user("bob"));
        let readings = (1_i32..=3)
            .flat_map(|n| {
                [
                    reading(&app, &ada, &format!("ada{n}"), i64::from(n)),
                    reading(&app, &bob, &format!("bob{n}"), i64::from(n)),
                ]
            })
            .collect();
        app.insert(rows(vec![ada, bob], readings)).await;
        let data = app
            .data(
                "{ publicReadings(first: 2) { nodes { user { username
                    readings(last: 2) { nodes { question }
                        pageInfo { hasNextPage hasPreviousPage } }
                } } } }",
            )
            .await;
        for node in data["publicReadings"]["nodes"].as_array().expect("readings") {
            let name = node["user"]["username"].as_str().expect("a name");
            assert_eq!(
                node["user"]["readings"],
                json!({
                    "nodes": [
                        { "question": format!("{name}2") }, { "question": format!("{name}1") },
                    ],
                    "pageInfo": { "hasNextPage": false, "hasPreviousPage": true },
                })
            );
        }
    }
}

#[test]
fn a_default_page_larger_than_the_maximum_is_no_setting() {
    let check = |size: &str| settings_with(&[size, "--max-page-size=50"]).validate();
    assert!(check("--default-page-size=50").is_ok());
    assert_eq!(
        check("--default-page-size=51").expect_err("one too many").to_string(),
        "DEFAULT_PAGE_SIZE=\"51\" (beside MAX_PAGE_SIZE): at most 50"
    );
}

/// Changes between two pages.
#[derive(Debug, Clone)]
enum Edit {
    /// A reading is made, so many microseconds from the beginning.
    Insert(i64),
    /// The reading of that place among those there are is deleted.
    Delete(usize),
}

#[derive(Debug, Clone)]
struct Walk {
    /// Microseconds; few values, so that many readings share one.
    times: Vec<i64>,
    size: usize,
    is_forward: bool,
    of_user: bool,
    /// For each page: true if the walk turns round after it, and the edits of others meanwhile.
    pages: Vec<(bool, Vec<Edit>)>,
}

fn walks() -> impl Strategy<Value = Walk> {
    let time = || 0_i64..6;
    let change = prop_oneof![time().prop_map(Edit::Insert), (0_usize..40).prop_map(Edit::Delete)];
    let page = (prop::bool::weighted(0.15), prop::collection::vec(change, 0..4));
    let pages = prop::collection::vec(page, 12);
    (prop::collection::vec(time(), 0..20), 1_usize..6, any::<bool>(), any::<bool>(), pages)
        .prop_map(|(times, size, is_forward, of_user, pages)| Walk {
            times,
            size,
            is_forward,
            of_user,
            pages,
        })
}

/// Walks through the readings of one database, and asserts every page against the existing rows.
/// Returns the ids of each page.
async fn walk(app: &TestApp, walk: &Walk) -> Vec<Vec<String>> {
    let connection = app.database.connect().await;
    reading_sessions::Entity::delete_many().exec(&connection).await.expect("the rows are deleted");
    let ada = user("ada");
    let mut count = 0_u64;
    let mut make = |micros: i64| {
        // Ids that say nothing of the order of insertion.
        count += 1;
        let name = format!("{:016x}", count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let created_at = at(0) + TimeDelta::microseconds(micros);
        reading_sessions::Model { created_at, ..reading(app, &ada, &name, 0) }
    };
    let readings: Vec<_> = walk.times.iter().map(|micros| make(*micros)).collect();
    // Newest first, as the lists are.
    let mut expected: Vec<_> =
        readings.iter().map(|reading| (reading.created_at, reading.question.clone())).collect();
    expected.sort_unstable_by(|left, right| right.cmp(left));
    app.insert(rows(vec![ada.clone()], readings)).await;

    let list = if walk.of_user { List::OfUser } else { List::Public };
    let arguments_of =
        |is_forward| if is_forward { ("first", "after") } else { ("last", "before") };
    let mut is_forward = walk.is_forward;
    let mut key: Option<(chrono::DateTime<chrono::Utc>, String)> = None;
    let mut arguments = format!("{}: {}", arguments_of(is_forward).0, walk.size);
    let mut pages = Vec::new();
    for (turns_round, changes) in &walk.pages {
        let page = list.page(app, &arguments).await;
        // Where the key lies among the rows, itself left out.
        let (start, end) = match (&key, is_forward) {
            (None, _) => (0, expected.len()),
            (Some(key), true) => {
                (expected.iter().filter(|row| *row >= key).count(), expected.len())
            }
            (Some(key), false) => (0, expected.iter().filter(|row| *row > key).count()),
        };
        let (from, to) = if is_forward {
            (start, end.min(start + walk.size))
        } else {
            (end.saturating_sub(walk.size).max(start), end)
        };
        let ids: Vec<String> = expected[from..to]
            .iter()
            .map(|(_, name)| crate::support::fixtures::reading_id(name))
            .collect();
        assert_eq!(page.ids, ids);
        assert_eq!(page.flags(), (from > 0, to < expected.len()));
        pages.push(page.ids.clone());
        is_forward ^= turns_round;
        let Some(cursor) = (if is_forward { page.cursors.last() } else { page.cursors.first() })
        else {
            break;
        };
        let (size_argument, cursor_argument) = arguments_of(is_forward);
        arguments = format!("{size_argument}: {}, {cursor_argument}: {cursor:?}", walk.size);
        key = Some(if is_forward { expected[to - 1].clone() } else { expected[from].clone() });

        for change in changes {
            match change {
                Edit::Insert(micros) => {
                    let reading = make(*micros);
                    expected.push((reading.created_at, reading.question.clone()));
                    expected.sort_unstable_by(|left, right| right.cmp(left));
                    app.insert(SeedRows { readings: vec![reading], ..SeedRows::default() }).await;
                }
                Edit::Delete(place) if !expected.is_empty() => {
                    let (_, name) = expected.remove(place % expected.len());
                    let deleted = reading_sessions::Entity::delete_by_id(id(&name));
                    deleted.exec(&connection).await.expect("the row is deleted");
                }
                Edit::Delete(_) => {}
            }
        }
    }
    connection.close().await.expect("the connection closes");
    pages
}

#[test]
fn pages_neither_repeat_nor_drop_rows_while_others_come_and_go() {
    const CASES: u32 = 24;
    let has_postgres =
        Engine::has_postgres("pages_neither_repeat_nor_drop_rows_while_others_come_and_go");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let apps = runtime.block_on(async {
        let mut apps = vec![TestApp::start(Engine::Sqlite).await];
        if has_postgres {
            apps.push(TestApp::start(Engine::Postgres).await);
        }
        apps
    });
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&walks(), |case| {
            let pages: Vec<_> = apps.iter().map(|app| runtime.block_on(walk(app, &case))).collect();
            for other in &pages {
                prop_assert_eq!(other, &pages[0], "both databases give the same pages");
            }
            Ok(())
        })
        .expect("every page is what it should be");
}
