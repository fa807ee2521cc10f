//! Exports of one's own readings: whole or noticeably cut, in bounded memory, and nobody else's.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use wasteland_tarot::db::entities::columns::TextList;
use wasteland_tarot::db::entities::{reading_sessions, users};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::card::Orientation;
use wasteland_tarot::domain::locale::Locale;

use crate::golden::files;
use crate::support::app::{
    Content, Engine, TestApp, TestDatabase, TestResponse, at, forge, on_both_databases,
    send_request,
};
use crate::support::fixtures::{
    category, drawn_card, drawn_cards, id, private, reading, reading_id, rows, user,
};
use crate::support::tables::Access;

const JSON: &str = "/export/readings.json";
const CSV: &str = "/export/readings.csv";

async fn export(app: &TestApp, name: &str, path: &str) -> TestResponse {
    send_request(app.request(Method::GET, path).bearer_auth(app.token_of(id(name)))).await
}

/// An export of which nothing has been read, and which is not compressed.
async fn begin(app: &TestApp, name: &str, path: &str) -> Response {
    let request = app.request(Method::GET, path).bearer_auth(app.token_of(id(name)));
    request.header("accept-encoding", "identity").send().await.expect("the server responds")
}

/// Ada's readings, one with a value in every field and texts that are hard to write, and one of Bob's.
fn difficult(app: &TestApp) -> SeedRows {
    let (ada, bob) = (user("ada"), user("bob"));
    let folder = category(&ada, "folder");
    let full = reading_sessions::Model {
        question: "=1+1, \"quoted\"\nand 「避難所」？".to_owned(),
        focus_area: Some("+focus".to_owned()),
        notes: Some("-notes,\r\nof two lines".to_owned()),
        tags: TextList(vec!["@water".to_owned(), "冬天, 水".to_owned()]),
        category_id: Some(folder.id),
        interpretation: "\tinterpretation; \u{2028} \u{1f3da}".to_owned(),
        summary: "\rsummary".to_owned(),
        locale: Locale::ZhHant,
        mood_before: Some("anxious".to_owned()),
        mood_after: Some("'hopeful'".to_owned()),
        is_favorite: true,
        archived_at: Some(at(90)),
        user_satisfaction: Some(5),
        accuracy_rating: Some(4),
        helpful_rating: Some(3),
        user_feedback: Some("<b>feedback</b>".to_owned()),
        version: 7,
        updated_at: at(99),
        ..private(reading(app, &ada, "full", 3))
    };
    let plain = reading(app, &ada, "plain", 3);
    let (older, bobs) = (private(reading(app, &ada, "older", 1)), reading(app, &bob, "bobs", 2));
    let mut drawn = drawn_cards(app, &full, &["major_arcana_00", "bottle_caps_11"]);
    drawn[1].orientation = Orientation::Reversed;
    drawn.push(drawn_card(app, &older, 1, "major_arcana_04"));
    drawn.push(drawn_card(app, &bobs, 1, "major_arcana_01"));
    let mut all = rows(vec![ada, bob], vec![older, full, plain, bobs]);
    all.drawn_cards = drawn;
    all.categories = vec![folder];
    all
}

/// Expected export of Ada's readings: the newest first, and of two of the same time the one with
/// the larger id.
fn expected(app: &TestApp) -> Value {
    let catalogue = app.app.services.catalogue();
    let card = |code: &str, position: i64, locale: Locale, orientation: &str| {
        let is_chinese = locale == Locale::ZhHant;
        json!({
            "position": position,
            "positionName":
                if is_chinese { format!("位置{position}") } else { format!("Place {position}") },
            "positionMeaning": if is_chinese {
                format!("位置的意義{position}")
            } else {
                format!("What place {position}")
            },
            "code": code,
            "name": catalogue.card_by_code(code).expect("a card").texts.get(locale).name,
            "orientation": orientation,
            "interpretation": format!("What is said of {code}."),
        })
    };
    let plain = |name: &str, second: &str, privacy: &str, cards: Value| {
        json!({
            "id": reading_id(name), "version": 1,
            "createdAt": format!("2026-05-28T20:26:{second}.000000Z"),
            "updatedAt": format!("2026-05-28T20:26:{second}.000000Z"),
            "question": name, "focusArea": null, "spread": "single_wasteland",
            "spreadType": "SINGLE_WASTELAND", "characterVoice": "PIP_BOY",
            "karmaContext": "NEUTRAL", "locale": "EN", "radiationFactor": 0.5,
            "privacyLevel": privacy, "isFavorite": false, "archivedAt": null, "category": null,
            "tags": [], "notes": null, "moodBefore": null, "moodAfter": null,
            "satisfactionRating": null, "accuracyRating": null, "helpfulRating": null,
            "feedback": null, "summary": format!("{name} in a line."),
            "interpretation": format!("What is said of {name}."), "cards": cards,
        })
    };
    let mut full = plain(
        "full",
        "43",
        "PRIVATE",
        json!([
            card("major_arcana_00", 1, Locale::ZhHant, "UPRIGHT"),
            card("bottle_caps_11", 2, Locale::ZhHant, "REVERSED"),
        ]),
    );
    let values = json!({
        "version": 7, "updatedAt": "2026-05-28T20:28:19.000000Z",
        "question": "=1+1, \"quoted\"\nand 「避難所」？", "focusArea": "+focus", "locale": "ZH_HANT",
        "isFavorite": true, "archivedAt": "2026-05-28T20:28:10.000000Z", "category": "folder",
        "tags": ["@water", "冬天, 水"], "notes": "-notes,\r\nof two lines", "moodBefore": "anxious",
        "moodAfter": "'hopeful'", "satisfactionRating": 5, "accuracyRating": 4, "helpfulRating": 3,
        "feedback": "<b>feedback</b>", "summary": "\rsummary",
        "interpretation": "\tinterpretation; \u{2028} \u{1f3da}",
    });
    for (field, value) in values.as_object().expect("fields") {
        full[field] = value.clone();
    }
    json!({ "readings": [
        plain("plain", "43", "PUBLIC", json!([])),
        full,
        plain("older", "41", "PRIVATE", json!([card("major_arcana_04", 1, Locale::En, "UPRIGHT")])),
    ] })
}

/// Rows of cells as RFC 4180 has them, which is held to the letter.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
    let mut characters = text.chars().peekable();
    let (mut all, mut row) = (Vec::new(), Vec::new());
    while characters.peek().is_some() {
        let mut cell = String::new();
        let is_quoted = characters.next_if_eq(&'"').is_some();
        while let Some(&next) = characters.peek() {
            match next {
                '"' if is_quoted => {
                    characters.next();
                    if characters.next_if_eq(&'"').is_none() {
                        break;
                    }
                    cell.push('"');
                }
                ',' | '\r' | '\n' | '"' if !is_quoted => break,
                next => {
                    characters.next();
                    cell.push(next);
                }
            }
        }
        row.push(cell);
        match characters.next() {
            Some(',') => {}
            Some('\r') => {
                assert_eq!(characters.next(), Some('\n'), "a row ends with both");
                all.push(std::mem::take(&mut row));
            }
            other => panic!("{other:?} after a cell"),
        }
    }
    assert!(row.is_empty(), "the last row has no end");
    all
}

/// The cells that a reading of the JSON export has in CSV.
fn cells_of(reading: &Value) -> Vec<(String, String)> {
    let defused = |text: &str| {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if is_formula { format!("'{text}") } else { text.to_owned() }
    };
    let cell = |field: &str, value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => defused(text),
        Value::Array(cards) if field == "cards" => {
            let text = |card: &Value, field: &str| card[field].as_str().expect("text").to_owned();
            let of_card = |card: &Value| {
                let [name, code, orientation] =
                    ["positionName", "code", "orientation"].map(|field| text(card, field));
                format!("{name}: {code} {orientation}")
            };
            cards.iter().map(of_card).collect::<Vec<_>>().join("; ")
        }
        Value::Array(tags) => {
            let tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
            defused(&tags.join(", "))
        }
        other => other.to_string(),
    };
    let fields = reading.as_object().expect("an object");
    fields.iter().map(|(field, value)| (field.clone(), cell(field, value))).collect()
}

on_both_databases! {
    async fn an_export_holds_all_that_the_owner_sees_and_nothing_of_others(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(difficult(&app)).await;
        let response = export(&app, "ada", JSON).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.body, expected(&app));
        // A field is named once.
        assert_eq!(response.text.matches("\"notes\":").count(), 3);

        let csv = export(&app, "ada", CSV).await;
        assert_eq!(csv.status, 200);
        let mut table = read_csv(&csv.text).into_iter();
        let header = table.next().expect("a header");
        let table: Vec<_> = table.collect();
        assert_eq!(table.len(), 3);
        for (row, reading) in table.iter().zip(response.body["readings"].as_array().expect("a list")) {
            let found: BTreeSet<_> =
                header.iter().zip(row).map(|(name, cell)| (name.clone(), cell.clone())).collect();
            assert_eq!(row.len(), header.len());
            assert_eq!(found, cells_of(reading).into_iter().collect());
        }

        let of_bob = export(&app, "bob", JSON).await.body;
        let ids: Vec<&Value> =
            of_bob["readings"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, [&json!(reading_id("bobs"))]);
    }

    async fn an_export_is_a_file_that_is_not_cacheable(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let today = app.app.services.clock.now().date_naive();
        for (path, extension, content_type, text) in [
            (JSON, "json", "application/json", "{\"readings\":[\n]}\n"),
            (CSV, "csv", "text/csv; charset=utf-8; header=present", ""),
        ] {
            let response = export(&app, "ada", path).await;
            let name = format!("attachment; filename=\"wasteland-tarot-readings-{today}.{extension}\"");
            assert_eq!(response.header("content-disposition"), name);
            assert_eq!(response.header("content-type"), content_type);
            assert_eq!(response.header("cache-control"), "private, no-store");
            assert!(response.header("vary").contains("authorization"));
            assert!(!response.header("x-request-id").is_empty());
            if extension == "json" {
                assert_eq!(response.text, text);
            } else {
                assert_eq!(read_csv(&response.text).len(), 1);
            }
        }
    }

    async fn a_batch_takes_two_statements_whatever_its_size(engine: Engine) {
        for batch in [1, 2, 3, 5, 12, 13, 5_000] {
            let statements = Arc::new(AtomicUsize::new(0));
            let observer = {
                let statements = Arc::clone(&statements);
                move |_: &str| {
                    statements.fetch_add(1, Ordering::Relaxed);
                }
            };
            let database = TestDatabase::new(engine, Content::Reference).await;
            let flag = format!("--export-batch={batch}");
            let app = TestApp::start_observed(database, &[&flag], observer).await;
            let ada = user("ada");
            // Three of each time, so that batches end between readings of the same time.
            let readings: Vec<_> =
                (0..12).map(|n| reading(&app, &ada, &format!("r{n:02}"), n / 3)).collect();
            let drawn = readings.iter().map(|one| drawn_card(&app, one, 1, "major_arcana_00"));
            let drawn = drawn.collect();
            let mut all = rows(vec![ada], readings);
            all.drawn_cards = drawn;
            app.insert(all).await;
            statements.store(0, Ordering::Relaxed);
            let response = export(&app, "ada", JSON).await;
            let questions: Vec<String> = response.body["readings"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| {
                    assert_eq!(one["cards"].as_array().map(Vec::len), Some(1));
                    one["question"].as_str().expect("text").to_owned()
                })
                .collect();
            let newest_first: Vec<String> = (0..12).rev().map(|n| format!("r{n:02}")).collect();
            assert_eq!(questions, newest_first, "{batch}");
            // One for the viewer; and where the last batch is full one that finds nothing.
            let expected = 1 + 2 * 12_usize.div_ceil(batch) + usize::from(12 % batch == 0);
            assert_eq!(statements.load(Ordering::Relaxed), expected, "{batch}");
        }
    }

    async fn the_statements_of_an_export_are_as_their_file_says(engine: Engine) {
        let seen: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let observer = {
            let seen = Arc::clone(&seen);
            move |sql: &str| {
                seen.lock().expect("no panic").insert(sql.to_owned());
            }
        };
        let database = TestDatabase::new(engine, Content::Reference).await;
        let flags = ["--export-batch=2", "--slow-query-ms=0"];
        let app = TestApp::start_observed(database, &flags, observer).await;
        app.insert(difficult(&app)).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(rows(vec![admin], Vec::new())).await;
        seen.lock().expect("no panic").clear();
        assert_eq!(export(&app, "ada", JSON).await.status, 200);
        let statements: Vec<_> = seen.lock().expect("no panic").iter().cloned().collect();
        insta::with_settings!({
            snapshot_path => files(engine),
            prepend_module_to_snapshot => false,
            omit_expression => true,
            description => JSON,
        }, {
            insta::assert_snapshot!("export_of_readings", statements.join(";\n\n"));
        });

        // PostgreSQL has too few rows here for an index to be worth its while.
        if engine == Engine::Sqlite {
            let query = "{ admin { slowQueries(limit: 100) { sql plan } } }";
            let data = app.data_as(id("admin"), query).await;
            let recorded = data["admin"]["slowQueries"].as_array().expect("a list");
            let plans: Vec<&str> = recorded
                .iter()
                .filter(|one| one["sql"].as_str().is_some_and(|sql| sql.contains("category_name")))
                .filter_map(|one| one["plan"].as_str())
                .collect();
            assert_eq!(plans.len(), 2, "{recorded:#?}");
            for plan in plans {
                // By one of two indexes, one of which has the ids as well.
                let search = "SEARCH reading_sessions USING INDEX idx_reading_sessions_user_created";
                assert!(plan.contains(search), "{plan}");
                assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{plan}");
            }
        }
    }

    async fn an_export_without_a_token_is_unauthenticated(engine: Engine) {
        let app = TestApp::start(engine).await;
        let gone = users::Model { is_active: false, ..user("gone") };
        app.insert(rows(vec![gone], Vec::new())).await;
        let expired = json!({ "sub": id("gone"), "iat": 1, "exp": 2 });
        let active = "the access token belongs to no active user";
        for (token, message) in [
            (None, "this needs an access token; log in first"),
            (Some(app.token_of(id("gone"))), active),
            (Some(app.token_of(id("nobody"))), active),
            (Some("nonsense".to_owned()), ""),
            (Some(forge(&expired, crate::support::app::SECRET)), ""),
        ] {
            for path in [JSON, CSV] {
                let mut request = app.request(Method::GET, path);
                if let Some(token) = &token {
                    request = request.bearer_auth(token);
                }
                let response = send_request(request).await;
                assert_eq!(response.status, 401, "{}", response.text);
                assert!(response.header("www-authenticate").starts_with("Bearer"));
                let body = response.body_without_request_id();
                let said = body["errors"][0]["message"].clone();
                if !message.is_empty() {
                    assert_eq!(said, message);
                }
                let extensions = json!({ "code": "UNAUTHENTICATED", "requestId": "ID" });
                let error = json!({ "message": said, "extensions": extensions });
                assert_eq!(body, json!({ "errors": [error] }));
            }
        }
    }

    async fn an_export_is_requested_with_get(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let request = app.request(method.clone(), CSV).bearer_auth(app.token_of(id("ada")));
            let response = send_request(request).await;
            assert_eq!((response.status, response.header("allow")), (405, "GET, HEAD"), "{method}");
            let message = &response.body["errors"][0]["message"];
            assert_eq!(message, "the method must be GET or HEAD");
        }
    }

    /// RFC 9110, section 9.3.2.
    async fn head_of_an_export_has_its_headers_and_reads_nothing(engine: Engine) {
        let (app, statements) = start_large(engine, &[]).await;
        let send = async |user: &str, method: Method, path: &str, encoding: &str| {
            let request = app.request(method, path).header("accept-encoding", encoding);
            let request = request.bearer_auth(app.token_of(id(user)));
            request.send().await.expect("the server responds")
        };
        let headers = |response: &Response| {
            let mut headers = response.headers().clone();
            for name in ["date", "x-request-id", "server-timing"] {
                assert!(headers.remove(name).is_some(), "{name}");
            }
            // A property of the message, not of the resource.
            headers.remove("transfer-encoding");
            headers
        };
        let kinds = [JSON, CSV].into_iter().flat_map(|path| [(path, "identity"), (path, "gzip")]);
        let mut heads = Vec::new();
        for (path, encoding) in kinds {
            let head = send("bob", Method::HEAD, path, encoding).await;
            assert_eq!(head.status(), 200);
            let name = head.headers()["content-disposition"].to_str().expect("text");
            assert!(name.starts_with("attachment; filename=\"wasteland-tarot-readings-"), "{name}");
            heads.push((path, encoding, headers(&head)));
            assert!(head.bytes().await.expect("no body").is_empty());
        }
        // One statement for the account of each request, and none for readings.
        assert_eq!(settled(&statements).await, heads.len());
        for (path, encoding, head) in heads {
            let get = loop {
                let get = send("bob", Method::GET, path, encoding).await;
                // The previous export may still run.
                if get.status() != 429 {
                    break get;
                }
            };
            assert_eq!(head, headers(&get), "{path} {encoding}");
            assert!(!get.bytes().await.expect("a body").is_empty());
        }
        assert_eq!(send("nobody", Method::HEAD, JSON, "identity").await.status(), 401);
        // While an export runs, a GET would be refused.
        let running = begin(&app, "ada", JSON).await;
        assert_eq!(send("ada", Method::HEAD, JSON, "identity").await.status(), 429);
        drop(running);
    }

    async fn exports_count_as_requests(engine: Engine) {
        let app = TestApp::start_with(engine, &["--rate-limit=1"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        assert_eq!(export(&app, "ada", JSON).await.status, 200);
        let refused = export(&app, "ada", JSON).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    }
}

/// A text that hardly compresses, so many bytes of it.
fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).expect("less than 90"))
    };
    (0..bytes).map(|_| next()).collect()
}

const LARGE: i64 = 120;
const LARGE_BYTES: usize = 200_000;

/// A server with more readings of Ada's than fit between a server and a client who does not read, a
/// reading a batch; and Bob, who has none.
async fn start_large(engine: Engine, flags: &[&str]) -> (TestApp, Arc<AtomicUsize>) {
    let statements = Arc::new(AtomicUsize::new(0));
    let observer = {
        let statements = Arc::clone(&statements);
        move |_: &str| {
            statements.fetch_add(1, Ordering::Relaxed);
        }
    };
    let database = TestDatabase::new(engine, Content::Reference).await;
    let flags: Vec<&str> = flags.iter().copied().chain(["--export-batch=1"]).collect();
    let app = TestApp::start_observed(database, &flags, observer).await;
    let ada = user("ada");
    let interpretation = noise(LARGE_BYTES);
    let large = |n| reading_sessions::Model {
        interpretation: interpretation.clone(),
        ..reading(&app, &ada, &format!("r{n:03}"), n)
    };
    let readings = (0..LARGE).map(large).collect();
    app.insert(rows(vec![ada.clone(), user("bob")], readings)).await;
    statements.store(0, Ordering::Relaxed);
    (app, statements)
}

/// Waits until the server does nothing more for it.
async fn settled(statements: &AtomicUsize) -> usize {
    loop {
        let before = statements.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        if before > 0 && statements.load(Ordering::Relaxed) == before {
            return before;
        }
    }
}

fn count(json: &[u8]) -> Option<usize> {
    let whole: Value = serde_json::from_slice(json).ok()?;
    whole["readings"].as_array().map(Vec::len)
}

on_both_databases! {
    async fn nothing_is_read_for_a_client_that_does_not_read(engine: Engine) {
        let (app, statements) = start_large(engine, &[]).await;
        let response = begin(&app, "ada", JSON).await;
        let so_far = settled(&statements).await;
        let batches = usize::try_from(LARGE).expect("few");
        assert!(so_far < batches, "{so_far} statements for half of the batches at most");
        // The only connection of the pool is free meanwhile.
        app.data("{ publicStats { users } }").await;
        statements.store(so_far, Ordering::Relaxed);
        let whole = response.bytes().await.expect("all of it");
        assert_eq!(count(&whole), Some(batches));
        assert_eq!(statements.load(Ordering::Relaxed), 1 + 2 * batches + 1);
    }

    async fn an_export_that_fails_in_the_middle_is_not_taken_for_a_whole_one(engine: Engine) {
        let (app, statements) = start_large(engine, &[]).await;
        for (path, encoding) in [(JSON, "identity"), (CSV, "gzip")] {
            let request = app.request(Method::GET, path).bearer_auth(app.token_of(id("ada")));
            let request = request.header("accept-encoding", encoding);
            let response = request.send().await.expect("the server responds");
            assert_eq!(response.status(), 200);
            settled(&statements).await;
            let access = Access::open(&app.database).await;
            access.run("ALTER TABLE reading_cards RENAME TO elsewhere").await;
            assert!(response.bytes().await.is_err(), "{path}");
            access.run("ALTER TABLE elsewhere RENAME TO reading_cards").await;
            access.close().await;
        }
    }

    async fn a_server_that_stops_cuts_exports(engine: Engine) {
        let (app, statements) = start_large(engine, &[]).await;
        let response = begin(&app, "ada", CSV).await;
        settled(&statements).await;
        app.app.stopping.cancel();
        assert!(response.bytes().await.is_err());
    }

    async fn a_client_that_takes_nothing_for_too_long_is_cut_off(engine: Engine) {
        let (app, _) = start_large(engine, &["--export-idle-timeout-ms=200"]).await;
        let response = begin(&app, "ada", JSON).await;
        // Over is over: the next one may begin.
        while begin(&app, "ada", CSV).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(response.bytes().await.is_err());
    }

    async fn a_user_has_one_export_at_a_time_and_the_server_a_few(engine: Engine) {
        let (app, _) = start_large(engine, &["--max-exports=1"]).await;
        let response = begin(&app, "ada", JSON).await;
        let second = export(&app, "ada", CSV).await;
        assert_eq!((second.status, second.header("retry-after")), (429, "6"));
        assert_eq!(
            second.body_without_request_id(),
            json!({ "errors": [{
                "message": "too many exports at the same time; try again later",
                "extensions": { "code": "RATE_LIMITED", "retryAfterMs": 5_001, "requestId": "ID" },
            }] })
        );
        let of_bob = export(&app, "bob", CSV).await;
        assert_eq!(of_bob.status, 503);
        assert_eq!(of_bob.body["errors"][0]["extensions"]["code"], "SERVICE_UNAVAILABLE");
        // A client that disconnects makes room.
        drop(response);
        while begin(&app, "bob", CSV).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
