//! Share links: the holder of one reads one reading, until it is over or revoked.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{SecondsFormat, TimeDelta};
use futures_util::future::join_all;
use reqwest::Method;
use sea_orm::EntityTrait;
use sea_orm::sea_query::Expr;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use wasteland_tarot::db::entities::{reading_sessions, users};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::locale::Locale;
use wasteland_tarot::graphql::id::GlobalId;
use wasteland_tarot::services::maintenance::{fold_counters, sweep};

use crate::support::app::{
    Engine, SECRET, TestApp, TestResponse, data_of, forge, on_both_databases, send_request,
};
use crate::support::fixtures::{
    card, drawn_cards, id, private, reading, reading_id, spread_id, user,
};
use crate::support::mutations::{
    USER_ERRORS, failure, mutate, not_found, payload, refusal, refusals, unauthenticated,
};

const LINK: &str =
    "id url title description hasPassword expiresAt accessCount lastAccessedAt createdAt";
const SHARED: &str = "status title description content { question spread { id } characterVoice
    karmaContext authorName createdAt interpretation
    cards { position positionName positionMeaning orientation card { code } meaning } }";

/// A server on which Ada has a private reading, `secret`, whose question would be markup, and Bob a
/// public one, `open`.
async fn start(engine: Engine, flags: &[&str]) -> TestApp {
    let app = TestApp::start_with(engine, flags).await;
    let (ada, bob) = (user("ada"), user("bob"));
    let secret = reading_sessions::Model {
        question: "<script>alert('愛' & \"me\")</script>".to_owned(),
        notes: Some("a private note".to_owned()),
        ..private(reading(&app, &ada, "secret", 1))
    };
    let open = reading(&app, &bob, "open", 2);
    let drawn_cards = drawn_cards(&app, &secret, &["major_arcana_13"]);
    app.insert(SeedRows {
        users: vec![users::Model { display_name: Some("艾達 <3".to_owned()), ..ada }, bob],
        readings: vec![secret, open],
        drawn_cards,
        ..SeedRows::default()
    })
    .await;
    app
}

/// A link to Ada's reading.
async fn share(app: &TestApp, more: &Value) -> Value {
    let mut input = json!({ "readingId": reading_id("secret") });
    input.as_object_mut().expect("an input").extend(more.as_object().expect("fields").clone());
    let fields = format!("shareLink {{ {LINK} }} {USER_ERRORS}");
    let mut made = payload(app, id("ada"), "shareReading", input, &fields).await;
    assert_eq!(made["userErrors"], json!([]));
    made["shareLink"].take()
}

/// The last part of a link's address.
fn token_of(link: &Value) -> String {
    let url = link["url"].as_str().expect("an address");
    url.rsplit('/').next().expect("a token").to_owned()
}

/// The reading of a link, without a viewer.
async fn shared(app: &TestApp, token: &str, grant: Option<&str>) -> Value {
    let query = format!(
        "query ($token: String!, $grant: String) {{
            sharedReading(token: $token, grant: $grant) {{ {SHARED} }} }}"
    );
    let response =
        app.query_with_variables(&query, json!({ "token": token, "grant": grant })).await;
    data_of(response)["sharedReading"].take()
}

/// A link that shows nothing but its status.
fn closed(status: &str) -> Value {
    json!({ "status": status, "title": null, "description": null, "content": null })
}

async fn unlock(app: &TestApp, token: &str, password: &str) -> Value {
    let input = json!({ "token": token, "password": password });
    let fields = format!("grant sharedReading {{ {SHARED} }} {USER_ERRORS}");
    data_of(mutate(app, None, "unlockSharedReading", &input, &fields).await)["unlockSharedReading"]
        .take()
}

/// Payload of an unlocking that failed.
fn not_unlocked(field: &str, code: &str, message: &str) -> Value {
    let refused = refusal(&[field], code, message, [None, None]);
    json!({ "grant": null, "sharedReading": null, "userErrors": refused })
}

fn share_closed() -> Value {
    not_unlocked("token", "SHARE_CLOSED", "this link is closed")
}

async fn page(app: &TestApp, token: &str) -> TestResponse {
    send_request(app.request(Method::GET, &format!("/s/{token}"))).await
}

/// A time so many seconds from now, as the server sees it.
fn in_seconds(app: &TestApp, seconds: i64) -> String {
    let time = app.app.services.clock.now() + TimeDelta::seconds(seconds);
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Number of open links of Ada's reading.
async fn open_links(app: &TestApp) -> usize {
    let query = format!("{{ reading(id: {:?}) {{ shareLinks {{ id }} }} }}", reading_id("secret"));
    let data = app.data_as(id("ada"), &query).await;
    data["reading"]["shareLinks"].as_array().expect("links").len()
}

on_both_databases! {
    /// To the microsecond, on both databases: what is beyond is cut off before it is stored.
    async fn the_time_that_a_mutation_returns_is_the_stored_one(engine: Engine) {
        let app = start(engine, &[]).await;
        for (given, stored) in [
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2199-12-31T23:59:59.9999995Z", "2199-12-31T23:59:59.999999Z"),
            ("2200-01-01T01:30:00.123456789+01:30", "2200-01-01T00:00:00.123456Z"),
            ("2200-01-01T00:00:00Z", "2200-01-01T00:00:00.000000Z"),
            ("2200-01-01t00:00:00.1z", "2200-01-01T00:00:00.100000Z"),
        ] {
            let link = share(&app, &json!({ "expiresAt": given })).await;
            assert_eq!(link["expiresAt"], stored, "{given}");
            let query = format!(
                "{{ reading(id: {:?}) {{ shareLinks {{ {LINK} }} }} }}",
                reading_id("secret")
            );
            let data = app.data_as(id("ada"), &query).await;
            let links = data["reading"]["shareLinks"].as_array().expect("links").clone();
            assert!(links.contains(&link), "{given}: {link} is none of {links:?}");
        }
    }

    async fn the_holder_of_a_link_reads_a_private_reading(engine: Engine) {
        let app = start(engine, &[]).await;
        let expires_at = in_seconds(&app, 3600);
        let more = json!({ "title": " T ", "description": "D\nd", "expiresAt": expires_at });
        let link = share(&app, &more).await;
        let token = token_of(&link);
        assert_eq!(
            link,
            json!({
                "id": link["id"], "url": format!("{}/s/{token}", app.url), "title": "T",
                "description": "D\nd", "hasPassword": false, "expiresAt": expires_at,
                "accessCount": 0, "lastAccessedAt": null, "createdAt": link["createdAt"],
            })
        );
        let query = format!(
            "{{ node(id: {}) {{ ... on ShareLink {{ {LINK} }} }}
                reading(id: {:?}) {{ shareLinks {{ {LINK} }} }} }}",
            link["id"],
            reading_id("secret")
        );
        let data = app.data_as(id("ada"), &query).await;
        assert_eq!(data, json!({ "node": link, "reading": { "shareLinks": [link] } }));
        // Nobody finds it otherwise, and the link is the owner's.
        let hidden = json!({ "data": { "node": null, "reading": null } });
        for viewer in [None, Some(id("bob"))] {
            assert_eq!(app.query_as_viewer(viewer, &query).await.body, hidden);
        }
        let card = card(&app, "major_arcana_13");
        assert_eq!(
            shared(&app, &token, None).await,
            json!({
                "status": "OPEN", "title": "T", "description": "D\nd",
                "content": {
                    "question": "<script>alert('愛' & \"me\")</script>",
                    "spread": { "id": spread_id(&app, "single_wasteland") },
                    "characterVoice": "PIP_BOY", "karmaContext": "NEUTRAL",
                    "authorName": "艾達 <3", "createdAt": "2026-05-28T20:26:41.000000Z",
                    "interpretation": "What is said of secret.",
                    "cards": [{
                        "position": 1, "positionName": "Place 1", "positionMeaning": "What place 1",
                        "orientation": "UPRIGHT", "card": { "code": "major_arcana_13" },
                        "meaning": card.texts.get(Locale::En).upright,
                    }],
                },
            })
        );
    }

    async fn a_link_is_16_random_bytes(engine: Engine) {
        let app = start(engine, &[]).await;
        let mut tokens = Vec::new();
        for _ in 0..20 {
            let token = token_of(&share(&app, &json!({})).await);
            tokens.push(URL_SAFE_NO_PAD.decode(token).expect("letters and digits"));
        }
        assert!(tokens.iter().all(|token| token.len() == 16));
        assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 20);
        // Each bit is now set and now not: in 20 fair throws that fails once in 4,000 runs of 128
        // bits, and twice among them hardly ever.
        let stuck = (0..128).filter(|bit| {
            let set = tokens.iter().filter(|token| token[bit / 8] >> (bit % 8) & 1 == 1).count();
            set == 0 || set == tokens.len()
        });
        assert!(stuck.count() < 2);
    }

    async fn a_password_opens_its_own_link_and_no_other(engine: Engine) {
        let app = start(engine, &[]).await;
        let (first, second) = (
            token_of(&share(&app, &json!({ "title": "T", "password": "a secret" })).await),
            token_of(&share(&app, &json!({ "password": "a secret" })).await),
        );
        assert_eq!(shared(&app, &first, None).await, closed("PASSWORD_REQUIRED"));
        assert_eq!(
            unlock(&app, &first, "A secret").await,
            not_unlocked("password", "BAD_CREDENTIALS", "the password is wrong")
        );
        let unlocked = unlock(&app, &first, "a secret").await;
        assert_eq!(unlocked["userErrors"], json!([]));
        assert_eq!(unlocked["sharedReading"]["status"], "OPEN");
        assert_eq!(unlocked["sharedReading"]["title"], "T");
        let grant = unlocked["grant"].as_str().expect("a grant");
        assert_eq!(shared(&app, &first, Some(grant)).await, unlocked["sharedReading"]);
        assert_eq!(shared(&app, &second, Some(grant)).await, closed("PASSWORD_REQUIRED"));
        let access_token = app.token_of(id("ada"));
        for grant in ["", "a secret", &grant[..grant.len() - 1], &access_token] {
            assert_eq!(shared(&app, &first, Some(grant)).await, closed("PASSWORD_REQUIRED"));
        }
        // A grant identifies no viewer.
        let response = app.send(Some(grant), &json!({ "query": "{ viewer { id } }" })).await;
        assert_eq!(response.status, 401);
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn a_grant_is_good_for_a_quarter_of_an_hour(engine: Engine) {
        let app = start(engine, &[]).await;
        let link = share(&app, &json!({ "password": "a secret" })).await;
        let token = token_of(&link);
        let unlocked = unlock(&app, &token, "a secret").await;
        let claims = unlocked["grant"].as_str().and_then(|grant| grant.split('.').nth(1));
        let claims = URL_SAFE_NO_PAD.decode(claims.expect("three parts")).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        let (issued, expires) = (&claims["iat"], claims["exp"].as_i64().expect("a time"));
        assert_eq!(issued.as_i64().map(|issued| expires - issued), Some(900));
        // A quarter of an hour later, and the 5 seconds by which clocks may differ.
        for (age, status) in [(0, "OPEN"), (600, "OPEN"), (910, "PASSWORD_REQUIRED")] {
            let mut old = claims.clone();
            old["exp"] = (expires - age).into();
            let opened = shared(&app, &token, Some(&forge(&old, SECRET))).await;
            assert_eq!(opened["status"], status, "{age}");
        }
        assert_eq!(
            shared(&app, &token, Some(&forge(&claims, "another secret, which is long enough")))
                .await,
            closed("PASSWORD_REQUIRED")
        );
    }

    async fn texts_and_passwords_of_links_have_their_limits(engine: Engine) {
        let app = start(engine, &[]).await;
        let refused = async |more: Value| {
            let mut input = json!({ "readingId": reading_id("secret") });
            input
                .as_object_mut()
                .expect("an input")
                .extend(more.as_object().expect("fields").clone());
            refusals(&app, id("ada"), "shareReading", input).await
        };
        for (field, max) in [("title", 100), ("description", 300)] {
            let longest = "輻".repeat(max);
            assert_eq!(share(&app, &json!({ field: longest })).await[field], longest);
            let message = format!("{field} has {} characters; it must have at most {max}", max + 1);
            assert_eq!(
                refused(json!({ field: "輻".repeat(max + 1) })).await,
                refusal(&[field], "TOO_LONG", &message, [Some(0), i32::try_from(max).ok()])
            );
            let message = format!("{field} has characters that cannot be shown");
            assert_eq!(
                refused(json!({ field: "a\0b" })).await,
                refusal(&[field], "INVALID", &message, [None, None])
            );
        }
        for length in [6, 128] {
            let password = "密".repeat(length);
            let token = token_of(&share(&app, &json!({ "password": password })).await);
            assert_eq!(unlock(&app, &token, &password).await["sharedReading"]["status"], "OPEN");
        }
        // An empty field of a form is no password.
        let open = token_of(&share(&app, &json!({ "password": "" })).await);
        assert_eq!(shared(&app, &open, None).await["status"], "OPEN");
        for (length, counted, code) in [
            (1, "1 character", "TOO_SHORT"),
            (5, "5 characters", "TOO_SHORT"),
            (129, "129 characters", "TOO_LONG"),
        ] {
            let message = format!("password has {counted}; it must have 6 to 128");
            assert_eq!(
                refused(json!({ "password": "密".repeat(length) })).await,
                refusal(&["password"], code, &message, [Some(6), Some(128)])
            );
        }
        let past = refused(json!({ "expiresAt": in_seconds(&app, -1) })).await;
        assert_eq!(past[0]["field"], json!(["input", "expiresAt"]));
        assert_eq!(past[0]["code"], "OUT_OF_RANGE");
    }

    async fn a_link_ends_at_its_time(engine: Engine) {
        let app = start(engine, &[]).await;
        let expires_at = in_seconds(&app, 3600);
        let more = json!({ "title": "T", "expiresAt": expires_at, "password": "a secret" });
        let link = share(&app, &more).await;
        let token = token_of(&link);
        let clock = &app.app.services.clock;
        clock.advance(TimeDelta::seconds(3500));
        let unlocked = unlock(&app, &token, "a secret").await;
        let grant = unlocked["grant"].as_str().expect("a grant").to_owned();
        assert_eq!(open_links(&app).await, 1);
        clock.advance(TimeDelta::seconds(100));
        assert_eq!(shared(&app, &token, Some(&grant)).await, closed("EXPIRED"));
        assert_eq!(unlock(&app, &token, "a secret").await, share_closed());
        assert_eq!(page(&app, &token).await.status, 410);
        assert_eq!(open_links(&app).await, 0);
    }

    async fn a_revoked_link_is_closed_at_once(engine: Engine) {
        let app = start(engine, &[]).await;
        let link = share(&app, &json!({ "title": "T", "password": "a secret" })).await;
        let other = share(&app, &json!({})).await;
        let token = token_of(&link);
        let unlocked = unlock(&app, &token, "a secret").await;
        let grant = unlocked["grant"].as_str().expect("a grant");
        let fields =
            format!("deletedShareLinkId reading {{ id shareLinks {{ id }} }} {USER_ERRORS}");
        let input = json!({ "id": link["id"] });
        assert_eq!(
            payload(&app, id("ada"), "revokeShare", input.clone(), &fields).await,
            json!({
                "deletedShareLinkId": link["id"],
                "reading": { "id": reading_id("secret"), "shareLinks": [{ "id": other["id"] }] },
                "userErrors": [],
            })
        );
        assert_eq!(shared(&app, &token, Some(grant)).await, closed("REVOKED"));
        assert_eq!(unlock(&app, &token, "a secret").await, share_closed());
        assert_eq!(page(&app, &token).await.status, 410);
        assert_eq!(shared(&app, &token_of(&other), None).await["status"], "OPEN");
        let query = format!("{{ node(id: {}) {{ id }} }}", link["id"]);
        assert_eq!(app.data_as(id("ada"), &query).await, json!({ "node": null }));

        let none = GlobalId::ShareLink(id("none")).encode().to_string();
        for (viewer, link) in [("ada", &link["id"]), ("ada", &json!(none)), ("bob", &other["id"])] {
            let input = json!({ "id": link });
            let response = mutate(&app, Some(id(viewer)), "revokeShare", &input, &fields).await;
            assert_eq!(response.body_without_request_id(), not_found("revokeShare", "share link"));
        }
        assert_eq!(shared(&app, &token_of(&other), None).await["status"], "OPEN");
    }

    async fn a_reading_has_twenty_open_links_and_no_more(engine: Engine) {
        let app = start(engine, &["--database-pool-size=8"]).await;
        let first = share(&app, &json!({})).await;
        share(&app, &json!({ "expiresAt": in_seconds(&app, 3600) })).await;
        for _ in 3..20 {
            share(&app, &json!({})).await;
        }
        // Ten at once find one place.
        let input = json!({ "readingId": reading_id("secret") });
        let requests = (0..10).map(|_| refusals(&app, id("ada"), "shareReading", input.clone()));
        let responses = join_all(requests).await;
        let message = "the reading has 20 open links, which is the most";
        let full = refusal(&[], "TOO_MANY", message, [None, Some(20)]);
        assert_eq!(responses.iter().filter(|response| **response == json!([])).count(), 1, "{responses:?}");
        assert_eq!(responses.iter().filter(|response| **response == full).count(), 9, "{responses:?}");
        assert_eq!(open_links(&app).await, 20);
        // One that is revoked or over leaves its place.
        payload(&app, id("ada"), "revokeShare", json!({ "id": first["id"] }), USER_ERRORS).await;
        share(&app, &json!({})).await;
        assert_eq!(refusals(&app, id("ada"), "shareReading", input.clone()).await, full);
        app.app.services.clock.advance(TimeDelta::seconds(3600));
        share(&app, &json!({})).await;
        assert_eq!(refusals(&app, id("ada"), "shareReading", input).await, full);
    }

    async fn a_link_that_never_was_leads_nowhere(engine: Engine) {
        let app = start(engine, &[]).await;
        let link = token_of(&share(&app, &json!({})).await);
        let changed = link.chars().rev().collect::<String>();
        for token in ["", "none", "%", "a\0b", "' OR 1=1 --", &format!("{link} "), &changed] {
            assert_eq!(shared(&app, token, None).await, Value::Null, "{token:?}");
            assert_eq!(unlock(&app, token, "a secret").await, share_closed(), "{token:?}");
        }
        for token in ["none", "%25", "%00", "a%2Fb", "%FF", &changed] {
            let page = page(&app, token).await;
            assert_eq!(page.status, 404, "{token}");
            assert!(page.text.contains("There is no such link."), "{}", page.text);
        }
        // Nor does one of a deleted user.
        users::Entity::update_many()
            .col_expr(users::Column::IsActive, Expr::value(false))
            .exec(&app.database.connect().await)
            .await
            .expect("all are deactivated");
        assert_eq!(shared(&app, &link, None).await, Value::Null);
        assert_eq!(unlock(&app, &link, "").await, share_closed());
        assert_eq!(page(&app, &link).await.status, 404);
    }

    async fn links_are_made_by_the_signed_in_owner_of_the_reading(engine: Engine) {
        let app = start(engine, &[]).await;
        let link = GlobalId::ShareLink(id("link")).encode().to_string();
        let input = json!({ "readingId": reading_id("secret") });
        for (mutation, input) in [("shareReading", &input), ("revokeShare", &json!({ "id": link }))]
        {
            let response = mutate(&app, None, mutation, input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), unauthenticated(mutation));
        }
        for reading in ["open", "secret", "none"] {
            let viewer = if reading == "open" { "ada" } else { "bob" };
            let input = json!({ "readingId": reading_id(reading) });
            let response =
                mutate(&app, Some(id(viewer)), "shareReading", &input, USER_ERRORS).await;
            assert_eq!(response.body_without_request_id(), not_found("shareReading", "reading"));
        }
        let query =
            format!("{{ reading(id: {:?}) {{ shareLinks {{ id }} }} }}", reading_id("open"));
        assert_eq!(app.data_as(id("ada"), &query).await["reading"], json!({ "shareLinks": null }));
        assert_eq!(app.data_as(id("bob"), &query).await["reading"], json!({ "shareLinks": [] }));
    }

    async fn openings_are_counted_and_closed_doors_are_not(engine: Engine) {
        let app = start(engine, &[]).await;
        let (open, locked) =
            (share(&app, &json!({})).await, share(&app, &json!({ "password": "a secret" })).await);
        for _ in 0..2 {
            shared(&app, &token_of(&open), None).await;
        }
        page(&app, &token_of(&open)).await;
        for _ in 0..3 {
            shared(&app, &token_of(&locked), None).await;
            page(&app, &token_of(&locked)).await;
        }
        unlock(&app, &token_of(&locked), "wrong one").await;
        unlock(&app, &token_of(&locked), "a secret").await;
        let counts = async || {
            let query = format!(
                "{{ reading(id: {:?}) {{ shareLinks {{ accessCount lastAccessedAt }} }} }}",
                reading_id("secret")
            );
            app.data_as(id("ada"), &query).await["reading"]["shareLinks"].take()
        };
        let catch_up = async || {
            let session = app.app.database.session();
            fold_counters(&app.app.services, &session).await.expect("the counts are written");
        };
        catch_up().await;
        let counted = counts().await;
        // The newest first.
        assert_eq!(
            [&counted[0]["accessCount"], &counted[1]["accessCount"]],
            [&json!(1), &json!(3)]
        );
        assert!(
            counted[0]["lastAccessedAt"].is_string() && counted[1]["lastAccessedAt"].is_string()
        );
        catch_up().await;
        assert_eq!(counts().await, counted);
        shared(&app, &token_of(&open), None).await;
        catch_up().await;
        assert_eq!(counts().await[1]["accessCount"], 4);
    }

    async fn the_page_of_a_link_shows_the_reading_as_text(engine: Engine) {
        let app = start(engine, &[]).await;
        let link = share(&app, &json!({ "title": "<b>T</b>", "description": "D \"&\" d" })).await;
        let token = token_of(&link);
        let page = page(&app, &token).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("x-robots-tag"), "noindex");
        assert_eq!(page.header("cache-control"), "private, no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        for part in [
            "<meta name=\"robots\" content=\"noindex\">",
            "<title>&lt;b&gt;T&lt;/b&gt;</title>",
            "<meta property=\"og:type\" content=\"article\">",
            "<meta property=\"og:title\" content=\"&lt;b&gt;T&lt;/b&gt;\">",
            "<meta property=\"og:description\" content=\"D &quot;&amp;&quot; d\">",
            &format!("<meta property=\"og:url\" content=\"{}/s/{token}\">", app.url),
            "<meta property=\"og:locale\" content=\"en_US\">",
            "&lt;script&gt;alert(&#39;愛&#39; &amp; &quot;me&quot;)&lt;/script&gt;",
            "<h2>Place 1: Radiation Reaper</h2>",
            "What is said of major_arcana_13.",
            "What is said of secret.",
            "艾達 &lt;3",
        ] {
            assert!(page.text.contains(part), "{part} is not in {}", page.text);
        }
        assert!(!page.text.contains("<script") && !page.text.contains("<b>"), "{}", page.text);
        assert!(!page.text.contains("a private note"), "{}", page.text);
        // Its own style is let in and nothing else.
        let style =
            page.text.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next());
        let hash = STANDARD.encode(Sha256::digest(style.expect("a style")));
        assert_eq!(
            page.header("content-security-policy"),
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            )
        );
    }

    async fn a_page_without_a_title_is_called_by_the_question_in_its_language(engine: Engine) {
        let app = start(engine, &[]).await;
        let chinese = reading_sessions::Model {
            locale: Locale::ZhHant,
            ..private(reading(&app, &user("ada"), "愛情", 5))
        };
        let cards = drawn_cards(&app, &chinese, &["major_arcana_13"]);
        app.insert(SeedRows { readings: vec![chinese], drawn_cards: cards, ..SeedRows::default() })
            .await;
        let token = token_of(&share(&app, &json!({ "readingId": reading_id("愛情") })).await);
        let page = page(&app, &token).await;
        for part in [
            "<html lang=\"zh-Hant\">",
            "<meta property=\"og:title\" content=\"愛情\">",
            "<meta property=\"og:description\" content=\"愛情 in a line.\">",
            "<meta property=\"og:locale\" content=\"zh_TW\">",
            "<h2>位置1: 輻射死神</h2>",
        ] {
            assert!(page.text.contains(part), "{part} is not in {}", page.text);
        }
    }

    async fn the_page_of_a_closed_link_says_nothing_of_the_reading(engine: Engine) {
        let app = start(engine, &[]).await;
        let more = json!({ "title": "a title", "description": "what it is" });
        let with = |field: &str, value: &str| {
            let mut more = more.clone();
            more[field] = value.into();
            more
        };
        let locked = token_of(&share(&app, &with("password", "a secret")).await);
        let over = token_of(&share(&app, &with("expiresAt", &in_seconds(&app, 3600))).await);
        let revoked = share(&app, &more).await;
        payload(&app, id("ada"), "revokeShare", json!({ "id": revoked["id"] }), USER_ERRORS).await;
        app.app.services.clock.advance(TimeDelta::seconds(3600));
        let mut pages = Vec::new();
        for (token, status, text) in [
            (locked, 200, "This reading is protected by a password."),
            (over, 410, "This link is closed."),
            (token_of(&revoked), 410, "This link is closed."),
        ] {
            let page = page(&app, &token).await;
            assert_eq!(page.status, status);
            assert!(page.text.contains(text), "{}", page.text);
            assert!(
                page.text.contains("<meta name=\"robots\" content=\"noindex\">"),
                "{}",
                page.text
            );
            assert_eq!(page.header("x-robots-tag"), "noindex");
            for secret in
                ["script", "愛", "a title", "what it is", "艾達", "ada", "Reaper", "og:", &token]
            {
                assert!(!page.text.contains(secret), "{secret} is in {}", page.text);
            }
            pages.push(page.text);
        }
        assert_eq!(pages[1], pages[2]);
    }

    async fn closed_links_say_so_for_a_month_and_are_then_swept(engine: Engine) {
        let app = start(engine, &[]).await;
        let lasting = token_of(&share(&app, &json!({})).await);
        let over = token_of(&share(&app, &json!({ "expiresAt": in_seconds(&app, 60) })).await);
        let revoked = share(&app, &json!({})).await;
        payload(&app, id("ada"), "revokeShare", json!({ "id": revoked["id"] }), USER_ERRORS).await;
        let revoked = token_of(&revoked);
        let clock = &app.app.services.clock;
        let swept = async |advance: TimeDelta| {
            clock.advance(advance);
            sweep(&app.app.services, &app.app.database.session()).await.expect("the sweep runs");
            let mut statuses = Vec::new();
            for token in [&lasting, &over, &revoked] {
                statuses.push(shared(&app, token, None).await["status"].take());
            }
            statuses
        };
        let month = TimeDelta::days(30);
        let (open, expired, gone) = (json!("OPEN"), json!("EXPIRED"), Value::Null);
        assert_eq!(
            swept(month - TimeDelta::minutes(5)).await,
            [open.clone(), expired.clone(), json!("REVOKED")]
        );
        // The revoked link was closed before the other was over.
        assert_eq!(swept(TimeDelta::minutes(5)).await, [open.clone(), expired, gone.clone()]);
        assert_eq!(swept(TimeDelta::minutes(2)).await, [open, gone.clone(), gone]);
    }

    async fn ten_requests_at_once_with_one_key_make_one_link(engine: Engine) {
        let app = start(engine, &["--database-pool-size=8"]).await;
        let input =
            json!({ "readingId": reading_id("secret"), "title": "T", "idempotencyKey": "k" });
        let fields = format!("shareLink {{ {LINK} }} reading {{ id }} {USER_ERRORS}");
        let requests =
            (0..10).map(|_| payload(&app, id("ada"), "shareReading", input.clone(), &fields));
        let responses = join_all(requests).await;
        assert_eq!(responses[0]["userErrors"], json!([]));
        assert!(responses.iter().all(|response| *response == responses[0]), "{responses:?}");
        assert_eq!(open_links(&app).await, 1);

        // A link with a password is not one without.
        for (field, value) in [("title", "U"), ("password", "a secret")] {
            let mut other = input.clone();
            other[field] = value.into();
            let response = mutate(&app, Some(id("ada")), "shareReading", &other, USER_ERRORS).await;
            let message = "`idempotencyKey` was used before with another input";
            let extensions = json!({ "code": "BAD_USER_INPUT", "argument": "idempotencyKey" });
            assert_eq!(
                response.body_without_request_id(),
                failure("shareReading", message, &extensions)
            );
        }
        let link = json!({ "id": responses[0]["shareLink"]["id"] });
        payload(&app, id("ada"), "revokeShare", link, USER_ERRORS).await;
        let fields = "shareLink { id } userErrors { code }";
        let gone = json!({ "shareLink": null, "userErrors": [] });
        assert_eq!(payload(&app, id("ada"), "shareReading", input.clone(), fields).await, gone);
        app.app.services.clock.advance(TimeDelta::days(1));
        let anew = payload(&app, id("ada"), "shareReading", input, fields).await;
        assert!(anew["shareLink"]["id"].is_string(), "{anew}");
    }

    async fn a_request_tries_one_password(engine: Engine) {
        let app = start(engine, &[]).await;
        let token = token_of(&share(&app, &json!({ "password": "a secret" })).await);
        let query = format!(
            "mutation {{
                a: unlockSharedReading(input: {{ token: {token:?}, password: \"wrong one\" }}) {{
                    ...P }}
                b: unlockSharedReading(input: {{ token: {token:?}, password: \"a secret\" }}) {{
                    ...P }} }}
             fragment P on UnlockSharedReadingPayload {{
                sharedReading {{ status }} userErrors {{ code }} }}"
        );
        let response = app.query(&query).await;
        assert_eq!(
            response.body["data"],
            json!({
                "a": { "sharedReading": null, "userErrors": [{ "code": "BAD_CREDENTIALS" }] },
                "b": null,
            })
        );
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }

    async fn a_link_whose_password_was_guessed_at_too_often_is_closed_for_a_while(engine: Engine) {
        let app = start(engine, &["--login-failure-rate=3"]).await;
        let (guessed, other) = (
            token_of(&share(&app, &json!({ "password": "a secret" })).await),
            token_of(&share(&app, &json!({ "password": "a secret" })).await),
        );
        let wrong = async |times: usize| {
            for _ in 0..times {
                let wrong = unlock(&app, &guessed, "wrong one").await;
                assert_eq!(wrong["userErrors"][0]["code"], "BAD_CREDENTIALS");
            }
        };
        wrong(2).await;
        let open = unlock(&app, &guessed, "a secret").await;
        assert_eq!(open["sharedReading"]["status"], "OPEN");
        // Three an hour are checked; the last one closes the door.
        wrong(1).await;
        let input = json!({ "token": guessed, "password": "a secret" });
        let response = mutate(&app, None, "unlockSharedReading", &input, USER_ERRORS).await;
        assert_eq!(
            response.body["errors"][0]["extensions"]["code"], "RATE_LIMITED",
            "{}",
            response.body
        );
        assert_eq!(unlock(&app, &other, "a secret").await["sharedReading"]["status"], "OPEN");
    }
}
