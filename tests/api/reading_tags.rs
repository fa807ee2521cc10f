//! Labels of readings, over all readings of a user.

use serde_json::{Value, json};

use wasteland_tarot::db::entities::columns::TextList;
use wasteland_tarot::db::entities::reading_sessions;
use wasteland_tarot::graphql::tag::tag_id;

use crate::support::app::{Engine, TestApp, at, on_both_databases};
use crate::support::fixtures::{id, private, reading, reading_id, rows, user};
use crate::support::mutations::{
    USER_ERRORS, failure, mutate, payload, refusal, refusals, unauthenticated,
};

fn tagged(
    app: &TestApp,
    owner: &str,
    name: &str,
    seconds: i64,
    tags: &[&str],
) -> reading_sessions::Model {
    let tags = TextList(tags.iter().map(|tag| (*tag).to_owned()).collect());
    reading_sessions::Model { tags, ..private(reading(app, &user(owner), name, seconds)) }
}

/// Ada has three readings with tags, one of them archived, and one without; Bob has one with the
/// same tags.
async fn start(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let archived = reading_sessions::Model {
        archived_at: Some(at(9)),
        ..tagged(&app, "ada", "archived", 3, &["b", "愛"])
    };
    let readings = vec![
        tagged(&app, "ada", "first", 1, &["c", "a", "b"]),
        tagged(&app, "ada", "second", 2, &["a", "c"]),
        archived,
        tagged(&app, "ada", "bare", 4, &[]),
        tagged(&app, "bob", "his", 5, &["a", "b", "c"]),
    ];
    app.insert(rows(vec![user("ada"), user("bob")], readings)).await;
    app
}

/// The tags of each reading, and its version.
async fn state(app: &TestApp) -> Value {
    let mut state = json!({});
    for (owner, name) in
        [("ada", "first"), ("ada", "second"), ("ada", "archived"), ("ada", "bare"), ("bob", "his")]
    {
        let query = format!("{{ reading(id: {:?}) {{ version tags }} }}", reading_id(name));
        let mut reading = app.data_as(id(owner), &query).await["reading"].take();
        state[name] = json!([reading["version"].take(), reading["tags"].take()]);
    }
    state
}

fn tag(name: &str) -> String {
    tag_id(id("ada"), name).to_string()
}

/// The readings before any change.
fn untouched() -> Value {
    json!({
        "first": [1, ["c", "a", "b"]], "second": [1, ["a", "c"]], "archived": [1, ["b", "愛"]],
        "bare": [1, []], "his": [1, ["a", "b", "c"]],
    })
}

const CHANGED: &str = "tag { id name readingCount lastUsedAt } deletedTagIds changedReadingCount
    viewer { tags(orderBy: NAME) { nodes { name readingCount } } } userErrors { code }";

/// A list of tags with how many readings have them.
fn counts(tags: &[(&str, i32)]) -> Value {
    let nodes: Vec<Value> =
        tags.iter().map(|(name, count)| json!({ "name": name, "readingCount": count })).collect();
    json!({ "tags": { "nodes": nodes } })
}

on_both_databases! {
    async fn a_renamed_tag_keeps_its_place_in_every_reading_of_the_viewer(engine: Engine) {
        let app = start(engine).await;
        let input = json!({ "from": " b ", "to": " 新 " });
        assert_eq!(
            payload(&app, id("ada"), "renameTag", input, CHANGED).await,
            json!({
                "tag": {
                    "id": tag("新"), "name": "新", "readingCount": 2,
                    "lastUsedAt": "2026-05-28T20:26:43.000000Z",
                },
                "deletedTagIds": [tag("b")], "changedReadingCount": 2,
                "viewer": counts(&[("a", 2), ("c", 2), ("愛", 1), ("新", 2)]),
                "userErrors": [],
            })
        );
        let mut expected = untouched();
        expected["first"] = json!([2, ["c", "a", "新"]]);
        expected["archived"] = json!([2, ["新", "愛"]]);
        assert_eq!(state(&app).await, expected);
    }

    async fn a_tag_renamed_onto_another_is_merged_with_it(engine: Engine) {
        let app = start(engine).await;
        let input = json!({ "from": "a", "to": "c" });
        assert_eq!(
            payload(&app, id("ada"), "renameTag", input, CHANGED).await,
            json!({
                "tag": {
                    "id": tag("c"), "name": "c", "readingCount": 2,
                    "lastUsedAt": "2026-05-28T20:26:42.000000Z",
                },
                "deletedTagIds": [tag("a")], "changedReadingCount": 2,
                "viewer": counts(&[("b", 2), ("c", 2), ("愛", 1)]),
                "userErrors": [],
            })
        );
        let mut expected = untouched();
        // Each is there once, where the first of the two was.
        expected["first"] = json!([2, ["c", "b"]]);
        expected["second"] = json!([2, ["c"]]);
        assert_eq!(state(&app).await, expected);
    }

    async fn a_tag_renamed_to_its_own_name_changes_nothing(engine: Engine) {
        let app = start(engine).await;
        let renamed =
            payload(&app, id("ada"), "renameTag", json!({ "from": "a", "to": "a" }), CHANGED).await;
        assert_eq!(renamed["tag"]["readingCount"], 2);
        assert_eq!(renamed["deletedTagIds"], json!([]));
        assert_eq!(renamed["changedReadingCount"], 0);
        assert_eq!(state(&app).await, untouched());
    }

    async fn merged_tags_become_one(engine: Engine) {
        let app = start(engine).await;
        // The one that stays may be among them, and one may be named twice.
        let input = json!({ "from": ["c", "b", "a", "c"], "to": "a" });
        assert_eq!(
            payload(&app, id("ada"), "mergeTags", input, CHANGED).await,
            json!({
                "tag": {
                    "id": tag("a"), "name": "a", "readingCount": 3,
                    "lastUsedAt": "2026-05-28T20:26:43.000000Z",
                },
                "deletedTagIds": [tag("b"), tag("c")], "changedReadingCount": 3,
                "viewer": counts(&[("a", 3), ("愛", 1)]),
                "userErrors": [],
            })
        );
        let mut expected = untouched();
        expected["first"] = json!([2, ["a"]]);
        expected["second"] = json!([2, ["a"]]);
        expected["archived"] = json!([2, ["a", "愛"]]);
        assert_eq!(state(&app).await, expected);
        // Into one that is not there yet.
        let merged = payload(
            &app,
            id("ada"),
            "mergeTags",
            json!({ "from": ["a", "愛"], "to": "all" }),
            CHANGED,
        )
        .await;
        assert_eq!(merged["viewer"], counts(&[("all", 3)]));
        assert_eq!(merged["deletedTagIds"], json!([tag("a"), tag("愛")]));
    }

    async fn deleted_tags_leave_the_others_in_order(engine: Engine) {
        let app = start(engine).await;
        let fields = "deletedTagIds changedReadingCount
            viewer { tags(orderBy: NAME) { nodes { name readingCount } } } userErrors { code }";
        assert_eq!(
            payload(&app, id("ada"), "deleteTags", json!({ "tags": ["a", "b"] }), fields).await,
            json!({
                "deletedTagIds": [tag("a"), tag("b")], "changedReadingCount": 3,
                "viewer": counts(&[("c", 2), ("愛", 1)]),
                "userErrors": [],
            })
        );
        let mut expected = untouched();
        expected["first"] = json!([2, ["c"]]);
        expected["second"] = json!([2, ["c"]]);
        expected["archived"] = json!([2, ["愛"]]);
        assert_eq!(state(&app).await, expected);
        let rest =
            payload(&app, id("ada"), "deleteTags", json!({ "tags": ["c", "愛"] }), fields).await;
        assert_eq!(rest["viewer"], counts(&[]));
        assert_eq!(state(&app).await["first"], json!([3, []]));
    }

    async fn tags_of_no_reading_are_rejected_and_nothing_is_changed(engine: Engine) {
        let app = start(engine).await;
        app.insert(rows(Vec::new(), vec![tagged(&app, "bob", "other", 6, &["only his"])])).await;
        for name in ["none", "only his", "A", "%", "_"] {
            let message = format!("none of your readings has the tag {name:?}");
            for (mutation, input, path) in [
                ("renameTag", json!({ "from": name, "to": "x" }), &["from"] as &[&str]),
                ("mergeTags", json!({ "from": ["a", name], "to": "x" }), &["from", "1"]),
                ("mergeTags", json!({ "from": [name], "to": "x" }), &["from", "0"]),
                ("deleteTags", json!({ "tags": ["a", "b", name] }), &["tags", "2"]),
            ] {
                assert_eq!(
                    refusals(&app, id("ada"), mutation, input).await,
                    refusal(path, "NOT_FOUND", &message, [None, None]),
                    "{mutation} {name}"
                );
            }
        }
        for (mutation, input, path) in [
            ("mergeTags", json!({ "from": [], "to": "x" }), "from"),
            ("deleteTags", json!({ "tags": [] }), "tags"),
            ("renameTag", json!({ "from": "a", "to": " " }), "to"),
        ] {
            let message = format!("{path} is missing");
            assert_eq!(
                refusals(&app, id("ada"), mutation, input).await,
                refusal(&[path], "REQUIRED", &message, [None, None])
            );
        }
        let bounds = [Some(1), Some(50)];
        let message = "to has 51 characters; it must have at most 50";
        for (mutation, from) in [("renameTag", json!("a")), ("mergeTags", json!(["a"]))] {
            let input = json!({ "from": from, "to": "輻".repeat(51) });
            assert_eq!(
                refusals(&app, id("ada"), mutation, input).await,
                refusal(&["to"], "TOO_LONG", message, bounds)
            );
            let input = json!({ "from": from, "to": "a\0" });
            let message = "to has characters that cannot be shown";
            assert_eq!(
                refusals(&app, id("ada"), mutation, input).await,
                refusal(&["to"], "INVALID", message, [None, None])
            );
        }
        assert_eq!(state(&app).await, untouched());
        let renamed = payload(
            &app,
            id("ada"),
            "renameTag",
            json!({ "from": "a", "to": "輻".repeat(50) }),
            CHANGED,
        )
        .await;
        assert_eq!(renamed["tag"]["readingCount"], 2);
    }

    async fn tags_are_changed_by_signed_in_viewers(engine: Engine) {
        let app = TestApp::start(engine).await;
        for (mutation, input) in [
            ("renameTag", json!({ "from": "a", "to": "b" })),
            ("mergeTags", json!({ "from": ["a"], "to": "b" })),
            ("deleteTags", json!({ "tags": ["a"] })),
        ] {
            let response = mutate(&app, None, mutation, &input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), unauthenticated(mutation));
        }
    }

    async fn a_tag_may_be_made_of_anything_that_can_be_shown(engine: Engine) {
        const ODD: [&str; 16] = [
            "a\"b",
            "it's",
            "100%",
            "_",
            "back\\slash",
            "\\\"",
            "?",
            "$1",
            "[\"x\"]",
            "{}",
            "null",
            "1",
            "👩\u{200d}🚀",
            "愛情",
            "a:b,c",
            "\u{e000}",
        ];
        let app = TestApp::start(engine).await;
        let all = tagged(&app, "ada", "odd", 1, &ODD);
        app.insert(rows(vec![user("ada")], vec![all])).await;
        let read = async || {
            let query = format!("{{ reading(id: {:?}) {{ tags }} }}", reading_id("odd"));
            app.data_as(id("ada"), &query).await["reading"]["tags"].take()
        };
        for (place, odd) in ODD.iter().enumerate() {
            let renamed = payload(
                &app,
                id("ada"),
                "renameTag",
                json!({ "from": odd, "to": "plain" }),
                CHANGED,
            )
            .await;
            assert_eq!(renamed["deletedTagIds"], json!([tag(odd)]), "{renamed}");
            let mut expected = json!(ODD);
            expected[place] = "plain".into();
            assert_eq!(read().await, expected);
            let back = payload(
                &app,
                id("ada"),
                "mergeTags",
                json!({ "from": ["plain"], "to": odd }),
                CHANGED,
            )
            .await;
            assert_eq!(back["tag"]["name"], *odd);
            assert_eq!(read().await, json!(ODD));
            // Each is found by its own text.
            let query =
                format!("{{ viewer {{ tags(search: {}) {{ nodes {{ name }} }} }} }}", json!(odd));
            let found = app.data_as(id("ada"), &query).await["viewer"]["tags"]["nodes"].take();
            assert!(
                found.as_array().expect("tags").contains(&json!({ "name": odd })),
                "{odd}: {found}"
            );
        }
        let deleted = payload(
            &app,
            id("ada"),
            "deleteTags",
            json!({ "tags": ODD[1..] }),
            "changedReadingCount",
        )
        .await;
        assert_eq!(deleted["changedReadingCount"], 1);
        assert_eq!(read().await, json!([ODD[0]]));
    }

    async fn a_list_of_tags_has_at_most_250(engine: Engine) {
        let app = TestApp::start(engine).await;
        let names: Vec<String> = (0..251).map(|n| format!("t{n:03}")).collect();
        let readings = names.chunks(20).enumerate().map(|(n, tags)| {
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            tagged(&app, "ada", &format!("r{n}"), 1, &tags)
        });
        app.insert(rows(vec![user("ada")], readings.collect())).await;
        let merge = json!({ "from": names[..250], "to": "one" });
        let merged = payload(
            &app,
            id("ada"),
            "mergeTags",
            merge,
            "changedReadingCount tag { readingCount }",
        )
        .await;
        assert_eq!(merged, json!({ "changedReadingCount": 13, "tag": { "readingCount": 13 } }));
        let response =
            mutate(&app, Some(id("ada")), "deleteTags", &json!({ "tags": names }), USER_ERRORS)
                .await;
        assert_eq!(
            response.body["errors"][0]["extensions"]["code"], "QUERY_TOO_LARGE",
            "{}",
            response.body
        );
    }
}

/// A page of Ada's tags: their names, `hasNextPage`, and the end cursor.
async fn page(app: &TestApp, arguments: &str) -> (Vec<String>, bool, Value) {
    let query = format!(
        "{{ viewer {{ tags({arguments}) {{
             nodes {{ name }} pageInfo {{ hasNextPage endCursor }} }} }} }}"
    );
    let mut page = app.data_as(id("ada"), &query).await["viewer"]["tags"].take();
    let names = page["nodes"].as_array().expect("tags").iter();
    let names = names.map(|tag| tag["name"].as_str().expect("a name").to_owned()).collect();
    let has_next = page["pageInfo"]["hasNextPage"] == true;
    (names, has_next, page["pageInfo"]["endCursor"].take())
}

/// Ada's tags differ in all that they are ordered by: how often, how recently, and name.
async fn in_order(engine: Engine) -> TestApp {
    let app = TestApp::start(engine).await;
    let readings = vec![
        tagged(&app, "ada", "r1", 1, &["old twice", "愛情問題", "Zeta"]),
        tagged(&app, "ada", "r2", 2, &["old twice", "twice"]),
        tagged(&app, "ada", "r3", 3, &["twice", "new", "also new"]),
    ];
    app.insert(rows(vec![user("ada"), user("bob")], readings)).await;
    app
}

on_both_databases! {
    async fn tags_come_in_three_orders(engine: Engine) {
        let app = in_order(engine).await;
        let by_name = ["Zeta", "also new", "new", "old twice", "twice", "愛情問題"];
        let most_used = ["twice", "old twice", "also new", "new", "Zeta", "愛情問題"];
        let recently_used = ["also new", "new", "twice", "old twice", "Zeta", "愛情問題"];
        for (arguments, expected) in [
            ("first: 100", most_used),
            ("orderBy: MOST_USED", most_used),
            ("orderBy: NAME", by_name),
            ("orderBy: RECENTLY_USED", recently_used),
        ] {
            let (names, has_next, _) = page(&app, arguments).await;
            assert_eq!(
                (names.as_slice(), has_next),
                (expected.map(str::to_owned).as_slice(), false),
                "{arguments}"
            );
        }
        let data = app
            .data_as(
                id("ada"),
                "{ viewer { tags(orderBy: NAME) { totalCount
            edges { node { id name readingCount lastUsedAt } } } } }",
            )
            .await;
        assert_eq!(data["viewer"]["tags"]["totalCount"], 6);
        assert_eq!(
            data["viewer"]["tags"]["edges"][3],
            json!({ "node": {
                "id": tag("old twice"), "name": "old twice", "readingCount": 2,
                "lastUsedAt": "2026-05-28T20:26:42.000000Z",
            } })
        );
    }

    async fn pages_of_tags_neither_repeat_nor_drop_one(engine: Engine) {
        let app = in_order(engine).await;
        for order in ["MOST_USED", "NAME", "RECENTLY_USED"] {
            let (all, _, _) = page(&app, &format!("orderBy: {order}")).await;
            for size in 1..=6 {
                let (mut seen, mut after) = (Vec::new(), String::new());
                loop {
                    let (names, has_next, end) =
                        page(&app, &format!("orderBy: {order}, first: {size}{after}")).await;
                    seen.extend(names);
                    after = format!(", after: {end}");
                    assert_eq!(has_next, seen.len() < all.len(), "{order} {size}");
                    if !has_next {
                        break;
                    }
                }
                assert_eq!(seen, all, "{order} {size}");
            }
        }
    }

    async fn a_page_of_tags_goes_on_where_a_deleted_one_was(engine: Engine) {
        let app = in_order(engine).await;
        let (names, _, end) = page(&app, "orderBy: NAME, first: 2").await;
        assert_eq!(names, ["Zeta", "also new"]);
        payload(&app, id("ada"), "deleteTags", json!({ "tags": ["also new"] }), USER_ERRORS).await;
        payload(
            &app,
            id("ada"),
            "renameTag",
            json!({ "from": "愛情問題", "to": "a first" }),
            USER_ERRORS,
        )
        .await;
        let (names, has_next, _) = page(&app, &format!("orderBy: NAME, after: {end}")).await;
        assert_eq!(
            (names, has_next),
            (["new", "old twice", "twice"].map(str::to_owned).into(), false)
        );
    }

    async fn tags_are_found_by_part_of_their_names(engine: Engine) {
        let app = in_order(engine).await;
        for (search, expected) in [
            ("twice", &["old twice", "twice"] as &[&str]),
            ("TWICE", &["old twice", "twice"]),
            (" zet ", &["Zeta"]),
            ("情問", &["愛情問題"]),
            ("愛", &["愛情問題"]),
            ("%", &[]),
            ("_", &[]),
            ("", &["Zeta", "also new", "new", "old twice", "twice", "愛情問題"]),
            ("none", &[]),
        ] {
            let (names, ..) =
                page(&app, &format!("orderBy: NAME, search: {}", json!(search))).await;
            assert_eq!(names, expected, "{search:?}");
        }
    }

    async fn a_cursor_of_another_order_is_rejected(engine: Engine) {
        let app = in_order(engine).await;
        let (_, _, end) = page(&app, "orderBy: NAME, first: 1").await;
        for order in ["MOST_USED", "RECENTLY_USED"] {
            let query = format!(
                "{{ viewer {{ tags(orderBy: {order}, after: {end}) {{ nodes {{ name }} }} }} }}"
            );
            let response = app.query_as(id("ada"), &query).await;
            let mut expected = failure(
                "tags",
                "`after` is no cursor of this list in this order",
                &json!({ "code": "INVALID_CURSOR", "argument": "after" }),
            );
            expected["data"] = json!({ "viewer": { "tags": null } });
            expected["errors"][0]["path"] = json!(["viewer", "tags"]);
            expected["errors"][0]["locations"] = json!([{ "line": 1, "column": 12 }]);
            assert_eq!(response.body_without_request_id(), expected);
        }
    }

    async fn tags_and_categories_are_for_nobody_but_their_owner(engine: Engine) {
        let app = in_order(engine).await;
        let query = "{ user(username: \"ada\") {
            tags { nodes { name } } categories { id } readingQuota { used } } }";
        let hidden = json!({ "user": { "tags": null, "categories": null, "readingQuota": null } });
        let his = "{ viewer { tags { totalCount nodes { name } } } }";
        for viewer in [None, Some(id("bob"))] {
            assert_eq!(app.query_as_viewer(viewer, query).await.body, json!({ "data": hidden }));
        }
        assert_eq!(
            app.data_as(id("bob"), his).await["viewer"]["tags"],
            json!({ "totalCount": 0, "nodes": [] })
        );
    }
}
