//! Error responses: the whole body, each time.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db;
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::domain::error_code::ErrorCode;
use wasteland_tarot::services::tokens::{AccessClaims, TokenIssuer};

use crate::schema::{enum_values_of, types_of};
use crate::support::app::{
    Engine, SECRET, TestApp, TestResponse, forge, on_both_databases, send_request, settings_with,
};
use crate::support::fixtures::{card_id, drawn_card, id, reading, reading_id, rows, user};

/// A body of one error that no field is to blame for, so that nothing was executed.
fn only_error(message: &str, extensions: &Value, location: Option<(u32, u32)>) -> Value {
    let mut error = json!({ "message": message, "extensions": extensions });
    error["extensions"]["requestId"] = "ID".into();
    if let Some((line, column)) = location {
        error["locations"] = json!([{ "line": line, "column": column }]);
    }
    json!({ "errors": [error] })
}

/// A body of one error of the field of this name at the beginning of the document, which is null.
fn field_error(field: &str, message: &str, extensions: &Value) -> Value {
    let mut error = json!({
        "message": message,
        "locations": [{ "line": 1, "column": 3 }],
        "path": [field],
        "extensions": extensions,
    });
    error["extensions"]["requestId"] = "ID".into();
    json!({ "data": { field: null }, "errors": [error] })
}

/// Sends a body that may not even be JSON.
async fn send_text(app: &TestApp, body: &'static str) -> TestResponse {
    let request = app
        .request(reqwest::Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .header("content-type", "application/json")
        .body(body);
    send_request(request).await
}

/// Queries `viewer` with that header.
async fn query_viewer(app: &TestApp, authorization: &str) -> TestResponse {
    let request = app
        .request(reqwest::Method::POST, "/graphql")
        .header("accept", "application/graphql-response+json")
        .header("content-type", "application/json")
        .header("authorization", authorization)
        .body(r#"{"query":"{ viewer { id } }"}"#);
    send_request(request).await
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

/// The claims of a good token of Ada's.
fn claims() -> Value {
    json!({
        "sub": id("ada"), "iss": "wasteland-tarot", "aud": "wasteland-tarot-api",
        "iat": now(), "exp": now() + 900,
    })
}

/// The claims of a good token but for one, which has another value or, where that is null, none.
fn claims_but(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().expect("claims");
    members.remove(claim);
    if !value.is_null() {
        members.insert(claim.to_owned(), value);
    }
    claims
}

on_both_databases! {
    async fn an_id_that_is_none_is_rejected_with_its_value(engine: Engine) {
        let app = TestApp::start(engine).await;
        for field in ["card", "spread", "reading", "node"] {
            let response = app.query(&format!("{{ {field}(id: \"123\") {{ id }} }}")).await;
            assert_eq!(response.status, 200);
            assert_eq!(
                response.body_without_request_id(),
                field_error(
                    field,
                    "`id` is \"123\", which is no id of this server",
                    &json!({ "code": "BAD_USER_INPUT", "argument": "id" })
                )
            );
        }
        // Of a list, the first that is none.
        let good = card_id(&app, "major_arcana_00");
        let response = app.query(&format!("{{ nodes(ids: [{good:?}, \"123\", \"4\"]) {{ id }} }}")).await;
        let mut expected = field_error(
            "nodes",
            "`ids[1]` is \"123\", which is no id of this server",
            &json!({ "code": "BAD_USER_INPUT", "argument": "ids" }),
        );
        expected["data"] = Value::Null;
        assert_eq!(response.body_without_request_id(), expected);
    }

    async fn an_id_of_the_wrong_type_is_rejected_with_both_types(engine: Engine) {
        let app = TestApp::start(engine).await;
        let response = app.query(&format!("{{ card(id: {:?}) {{ id }} }}", reading_id("hope"))).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.body_without_request_id(),
            field_error(
                "card",
                "`id` must be the id of a Card; it is the id of a Reading",
                &json!({ "code": "BAD_USER_INPUT", "argument": "id" })
            )
        );
    }

    async fn a_body_that_is_no_request_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        let body = |message: &str, argument: &str| {
            only_error(message, &json!({ "code": "BAD_USER_INPUT", "argument": argument }), None)
        };
        let missing = "`query` is missing: there is nothing to execute";
        for (text, expected) in [
            ("{}", body(missing, "query")),
            (r#"{"query":null}"#, body(missing, "query")),
            (r#"{"variables":{}}"#, body(missing, "query")),
            (r#"{"query":1}"#, body("`query` must be a string", "query")),
            (
                r#"{"query":"{ suits { id } }","variables":[]}"#,
                body("`variables` must be an object", "variables"),
            ),
            (
                r#"{"query":"{ suits { id } }","operationName":7}"#,
                body("`operationName` must be a string", "operationName"),
            ),
            (
                r#"{"query":"{ suits { id } }","extensions":"x"}"#,
                body("`extensions` must be an object", "extensions"),
            ),
            ("[]", body("batches of requests are off; send one request", "body")),
            ("7", body("the body must be a JSON object", "body")),
            ("null", body("the body must be a JSON object", "body")),
            (
                r#"{"query":"#,
                body("the body is not JSON: EOF while parsing a value at line 1 column 9", "body"),
            ),
            ("", body("the body is empty: send a JSON object with a `query`", "body")),
            (" \r\n", body("the body is empty: send a JSON object with a `query`", "body")),
            ("query", body("the body is not JSON: expected value at line 1 column 1", "body")),
        ] {
            let response = send_text(&app, text).await;
            assert_eq!(response.status, 400, "{text}");
            assert_eq!(response.body_without_request_id(), expected, "{text}");
            assert_eq!(response.statements(), 0, "{text}");
        }
    }

    async fn messages_have_at_most_40_characters_of_a_value(engine: Engine) {
        let app = TestApp::start(engine).await;
        let message = |response: &TestResponse| response.body["errors"][0]["message"].clone();
        for (sent, repeated) in [
            ("é".repeat(40), "é".repeat(40)),
            ("é".repeat(41), format!("{}…", "é".repeat(39))),
            ("x".repeat(10_000), format!("{}…", "x".repeat(39))),
        ] {
            let id = format!("is \"{repeated}\", which is no id of this server");
            for field in ["card", "spread", "reading", "node"] {
                let response = app.query(&format!("{{ {field}(id: {sent:?}) {{ id }} }}")).await;
                assert_eq!(message(&response), format!("`id` {id}"), "{field}");
            }
            let response = app.query(&format!("{{ nodes(ids: [{sent:?}]) {{ id }} }}")).await;
            assert_eq!(message(&response), format!("`ids[0]` {id}"));
            let body = json!({ "query": "query A { __typename }", "operationName": sent });
            let response = app.send(None, &body).await;
            let expected = format!("no operation is named \"{repeated}\"; the document has A");
            assert_eq!(message(&response), expected);
        }
    }

    async fn an_operation_that_is_not_there_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        let two = "query A { suits { id } } query B { voices { id } }";
        let (a, b) = ("A".repeat(80), "B".repeat(80));
        let long = format!("query {a} {{ suits {{ id }} }} query {b} {{ voices {{ id }} }}");
        for (body, message) in [
            (json!({ "query": two, "operationName": "C" }), "no operation is named \"C\"; the document has A, B"),
            (json!({ "query": two }), "several operations: operationName must be one of A, B"),
            (
                json!({ "query": "query A { suits { id } }", "operationName": "B" }),
                "no operation is named \"B\"; the document has A",
            ),
            (
                json!({ "query": "{ suits { id } }", "operationName": "A" }),
                "no operation is named \"A\": the only one has no name",
            ),
            // As many names as fit.
            (
                json!({ "query": long, "operationName": "D" }),
                &format!("no operation is named \"D\"; the document has {}, …", "A".repeat(80)),
            ),
        ] {
            let response = app.send(None, &body).await;
            assert_eq!(response.status, 400, "{body}");
            let extensions = json!({ "code": "BAD_USER_INPUT", "argument": "operationName" });
            assert_eq!(
                response.body_without_request_id(),
                only_error(message, &extensions, None),
                "{body}"
            );
        }
    }

    async fn a_document_that_cannot_be_read_is_rejected_with_its_place(engine: Engine) {
        let app = TestApp::start(engine).await;
        let response = app.query("{ suits { id }").await;
        assert_eq!(response.status, 400);
        let error = &response.body_without_request_id()["errors"][0];
        assert_eq!(
            error["extensions"],
            json!({ "code": "GRAPHQL_PARSE_FAILED", "requestId": "ID" })
        );
        // The bracket that is open, not the end of the document.
        for (document, message, column) in [
            ("{ suits { id }", "`{` is not closed by `}`", 1),
            ("{ suits { id ", "`{` is not closed by `}`", 9),
            ("{ cards(first: 1 { nodes { code } } }", "`(` is not closed by `)`", 8),
            ("{ nodes(ids: [\"a\") { id } }", "`[` is not closed by `]`", 14),
            ("{ suits { id } } }", "closing bracket without an opening one", 18),
        ] {
            let body = app.query(document).await.body_without_request_id();
            let extensions = json!({ "code": "GRAPHQL_PARSE_FAILED" });
            assert_eq!(body, only_error(message, &extensions, Some((1, column))), "{document}");
        }
    }

    async fn a_field_that_does_not_exist_is_rejected_with_its_place(engine: Engine) {
        let app = TestApp::start_with(engine, &["--introspection=false"]).await;
        let response = app.query("{\n  suits { nane }\n}").await;
        assert_eq!(response.status, 400);
        // No "did you mean": in production messages reveal nothing of the schema.
        assert_eq!(
            response.body_without_request_id(),
            only_error(
                "type `SuitInfo` does not have a field `nane`",
                &json!({ "code": "GRAPHQL_VALIDATION_FAILED" }),
                Some((2, 11))
            )
        );
    }

    async fn a_required_variable_that_is_missing_is_rejected_by_name(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($id: ID!) { card(id: $id) { id } }";
        for variables in [json!({}), json!({ "id": null }), json!({ "ID": "x" })] {
            let response = app.query_with_variables(query, variables).await;
            assert_eq!(response.status, 400);
            assert_eq!(
                response.body_without_request_id(),
                only_error(
                    "`$id` must have a value",
                    &json!({ "code": "BAD_USER_INPUT", "argument": "variables" }),
                    None
                )
            );
        }
    }

    async fn a_variable_of_the_wrong_type_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        let query = "query ($first: Int) { cards(first: $first) { totalCount } }";
        for value in [json!("ten"), json!(1.5), json!([1, 2]), json!({ "a": 1 }), json!(true)] {
            let response = app.query_with_variables(query, json!({ "first": value })).await;
            assert_eq!(response.status, 400, "{value} {}", response.text);
            assert_eq!(
                response.body_without_request_id(),
                only_error(
                    "`$first` must be an integer of 32 bits",
                    &json!({ "code": "BAD_USER_INPUT", "argument": "variables" }),
                    None
                ),
                "{value}"
            );
        }
        let query = "query ($locale: Locale!) { voices { displayName(locale: $locale) } }";
        let response = app.query_with_variables(query, json!({ "locale": "FR" })).await;
        assert_eq!(response.status, 400, "{}", response.text);
        assert_eq!(
            response.body_without_request_id(),
            only_error(
                "`$locale` must be a value of the enum `Locale`: EN, ZH_HANT",
                &json!({ "code": "BAD_USER_INPUT", "argument": "variables" }),
                None
            )
        );
    }

    async fn a_rejection_stays_below_two_kilobytes(engine: Engine) {
        let app = TestApp::start(engine).await;
        for length in [1, 20, 100, 400] {
            for letter in ["x", "愛"] {
                let fields: Vec<_> = (0..15)
                    .map(|n| match letter {
                        "x" => format!("f{n}{}", letter.repeat(length)),
                        _ => format!("a{n}: cards(sort: {:?}) {{ totalCount }}", letter.repeat(length)),
                    })
                    .collect();
                let response = app.query(&format!("{{ {} }}", fields.join(" "))).await;
                assert_eq!(response.status, 400);
                let errors = response.body["errors"].as_array().expect("errors");
                assert!((1..=10).contains(&errors.len()));
                let bytes = response.body.to_string().len();
                assert!(bytes < 2_000, "{bytes} bytes: {}", response.body);
            }
        }
    }

    async fn ten_errors_are_reported_and_no_more(engine: Engine) {
        let app = TestApp::start(engine).await;
        let fields =
            |count| -> String { (0..count).map(|n| format!(" f{n}")).collect::<Vec<_>>().concat() };
        for (count, reported) in [(9, 9), (10, 10), (11, 10), (25, 10)] {
            let response = app.query(&format!("{{{} }}", fields(count))).await;
            let errors = response.body["errors"].as_array().expect("errors");
            assert_eq!(errors.len(), reported, "{count}");
        }
        // Errors of fields as well; the other fields still arrive.
        let fields: String = (0..12)
            .map(|n| format!(" c{n}: card(id: \"x\") {{ id }}"))
            .collect::<Vec<_>>()
            .concat();
        let response = app.query(&format!("{{{fields} spreads {{ totalCount }} }}")).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.body["errors"].as_array().map(Vec::len), Some(10));
        assert_eq!(response.body["data"]["spreads"], json!({ "totalCount": 7 }));
    }

    async fn a_message_is_cut_to_two_hundred_characters(engine: Engine) {
        let app = TestApp::start(engine).await;
        let long = "x".repeat(256);
        let messages = [
            app.query(&format!("{{ {long} }}")).await,
            app.query(&format!("query (${long}: ID!) {{ card(id: ${long}) {{ id }} }}")).await,
        ];
        for response in messages {
            let message = response.body["errors"][0]["message"].as_str().expect("a message");
            assert_eq!(message.chars().count(), 200, "{message}");
            assert!(message.ends_with('…'), "{message}");
        }
        // At the limit nothing is cut.
        let at_limit = "x".repeat(200 - "type `Query` does not have a field ``".len());
        let response = app.query(&format!("{{ {at_limit} }}")).await;
        assert_eq!(
            response.body["errors"][0]["message"],
            format!("type `Query` does not have a field `{at_limit}`")
        );
    }

    async fn an_expired_token_is_rejected_as_expired(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let expired = forge(&claims_but("exp", json!(now() - 60)), SECRET);
        let response = query_viewer(&app, &format!("Bearer {expired}")).await;
        assert_eq!(response.status, 401);
        assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        assert_eq!(
            response.body_without_request_id(),
            only_error("the access token has expired", &json!({ "code": "UNAUTHENTICATED" }), None)
        );
        assert_eq!(response.statements(), 0);
    }

    async fn a_token_that_is_not_ours_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let good = forge(&claims(), SECRET);
        let response = query_viewer(&app, &format!("Bearer {good}")).await;
        assert_eq!(response.status, 200, "the forger can make good ones: {}", response.text);

        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let sign = |algorithm| {
            jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).expect("a token")
        };
        let unsigned = |header: &Value, signature: &str| {
            let part = |value: &Value| BASE64.encode(value.to_string());
            format!("{}.{}.{signature}", part(header), part(&claims()))
        };
        let (body, signature) = good.rsplit_once('.').expect("a signature");
        let (header, _) = body.split_once('.').expect("a header");
        let other_claims = BASE64.encode(claims_but("sub", json!(id("bob"))).to_string());
        for (what, token) in [
            ("another key", forge(&claims(), "a secret that somebody else made up, long")),
            ("an empty key", forge(&claims(), "")),
            ("HS512", sign(Algorithm::HS512)),
            ("HS384", sign(Algorithm::HS384)),
            ("no algorithm", unsigned(&json!({ "alg": "none", "typ": "JWT" }), "")),
            ("no algorithm, a signature", unsigned(&json!({ "alg": "none" }), signature)),
            ("no algorithm in capitals", unsigned(&json!({ "alg": "NONE" }), "")),
            ("another's claims", format!("{header}.{other_claims}.{signature}")),
            ("no signature", format!("{body}.")),
            ("another audience", forge(&claims_but("aud", json!("another")), SECRET)),
            ("no audience", forge(&claims_but("aud", Value::Null), SECRET)),
            ("another issuer", forge(&claims_but("iss", json!("another")), SECRET)),
            ("no issuer", forge(&claims_but("iss", Value::Null), SECRET)),
            ("an end in words", forge(&claims_but("exp", json!("tomorrow")), SECRET)),
            ("an end as text", forge(&claims_but("exp", json!((now() + 900).to_string())), SECRET)),
            ("no end", forge(&claims_but("exp", Value::Null), SECRET)),
            ("no subject", forge(&claims_but("sub", Value::Null), SECRET)),
            ("a subject that is no user", forge(&claims_but("sub", json!("ada")), SECRET)),
            ("garbage", "garbage".to_owned()),
            ("two dots", "a.b.c".to_owned()),
            ("nothing", String::new()),
        ] {
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!(response.status, 401, "{what}");
            assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
            let mut body = response.body_without_request_id();
            if token.is_empty() {
                // A scheme without a token may be rejected for its header.
                body["errors"][0]["message"] = "the access token is not valid".into();
            }
            assert_eq!(
                body,
                only_error(
                    "the access token is not valid",
                    &json!({ "code": "UNAUTHENTICATED" }),
                    None
                ),
                "{what}"
            );
        }
    }

    /// RFC 7515, section 4.1.11: a critical extension has to be understood, and none is.
    async fn a_token_with_a_critical_extension_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let critical: [&[&str]; 4] = [&["b64"], &["exp"], &["http://a.example/unknown"], &[]];
        for names in critical {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let header = Header { crit: Some(names), ..Header::default() };
            let token = jsonwebtoken::encode(&header, &claims(), &key).expect("a token");
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!(response.status, 401, "{header:?}");
            assert_eq!(
                response.body_without_request_id(),
                only_error(
                    "the access token is not valid",
                    &json!({ "code": "UNAUTHENTICATED" }),
                    None
                )
            );
        }
        // Other members of the header are ignored (section 4).
        let header = Header { kid: Some("some".to_owned()), ..Header::default() };
        let token = jsonwebtoken::encode(&header, &claims(), &key).expect("a token");
        assert_eq!(query_viewer(&app, &format!("Bearer {token}")).await.status, 200);
    }

    /// RFC 7519, section 4.1.5, with the tolerance of clocks that `exp` has.
    async fn a_token_is_rejected_until_it_begins(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        for begins in [now() - 60, now(), now() + 5] {
            let token = forge(&claims_but("nbf", json!(begins)), SECRET);
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!(response.status, 200, "{}", response.text);
        }
        for (begins, message) in [
            (json!(now() + 600), "the access token is not valid yet"),
            (json!(u64::MAX), "the access token is not valid yet"),
            (json!("tomorrow"), "the access token is not valid"),
        ] {
            let token = forge(&claims_but("nbf", begins.clone()), SECRET);
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!((response.status, response.statements()), (401, 0), "{begins}");
            assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
            let expected = only_error(message, &json!({ "code": "UNAUTHENTICATED" }), None);
            assert_eq!(response.body_without_request_id(), expected, "{begins}");
        }
    }

    async fn a_token_that_was_issued_in_the_future_is_rejected(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        for issued in [0, now() - 60, now(), now() + 5] {
            let token = forge(&claims_but("iat", json!(issued)), SECRET);
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!(response.status, 200, "{}", response.text);
        }
        for issued in [now() + 600, i64::MAX.cast_unsigned()] {
            let token = forge(&claims_but("iat", json!(issued)), SECRET);
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!((response.status, response.statements()), (401, 0), "{issued}");
            assert_eq!(
                response.body_without_request_id(),
                only_error(
                    "the access token is not valid yet",
                    &json!({ "code": "UNAUTHENTICATED" }),
                    None
                )
            );
        }
    }

    async fn tokens_of_a_previous_key_are_valid_while_it_is_listed(engine: Engine) {
        const OLD: &str = "a key of before that only the tests know";
        const NEW: &str = "a key of now that only the tests know";
        let token_of = |key: &str| {
            let settings = settings_with(&[&format!("--jwt-secret={key}")]);
            let claims = AccessClaims { user: id("ada"), login: None, epoch: 0 };
            let token = TokenIssuer::new(&settings.auth).issue_access_token(claims, db::now());
            token.expect("a token").token
        };
        let (old, new) = (token_of(OLD), token_of(NEW));
        let header = |token: &str| jsonwebtoken::decode_header(token).expect("a header");
        assert!(header(&old).kid.is_some() && header(&old).kid != header(&new).kid);
        let current = |key: &str| format!("--jwt-secret={key}");
        let (of_old, of_new) = (current(OLD), current(NEW));
        let previous = format!("--jwt-previous-secrets=a key that was there before both,{OLD}");
        for (flags, statuses) in [
            (vec![&*of_old], [200, 401]),
            (vec![&*of_new], [401, 200]),
            (vec![&*of_new, &previous], [200, 200]),
        ] {
            let app = TestApp::start_with(engine, &flags).await;
            app.insert(rows(vec![user("ada")], Vec::new())).await;
            for (token, status) in [&old, &new].into_iter().zip(statuses) {
                let response = query_viewer(&app, &format!("Bearer {token}")).await;
                assert_eq!(response.status, status, "{flags:?} {}", response.text);
            }
            // A token without the id of its key, of an earlier version.
            let token = forge(&claims(), OLD);
            let response = query_viewer(&app, &format!("Bearer {token}")).await;
            assert_eq!(response.status, statuses[0]);
        }
    }

    async fn a_header_without_a_bearer_token_is_rejected_and_never_anonymous(engine: Engine) {
        let app = TestApp::start(engine).await;
        let good = forge(&claims(), SECRET);
        for header in [good.clone(), format!("Basic {good}"), "Bearer".to_owned()] {
            let response = query_viewer(&app, &header).await;
            assert_eq!(response.status, 401, "{header}");
            assert_eq!(
                response.body_without_request_id(),
                only_error(
                    "the `authorization` header must be `Bearer` and a token",
                    &json!({ "code": "UNAUTHENTICATED" }),
                    None
                ),
                "{header}"
            );
        }
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let response = query_viewer(&app, &format!("bearer {good}")).await;
        assert_eq!(response.status, 200, "the scheme may be written in any case");
    }

    async fn a_costly_query_of_a_token_without_a_user_is_unauthenticated(engine: Engine) {
        // Only here is the token's user read before anything is executed.
        let app = TestApp::start(engine).await;
        let query = "{ publicReadings(first: 100) { nodes { user { readings(first: 100) { nodes {
            cards { id } } } } } } }";
        let response = app.query_as(id("none"), query).await;
        assert_eq!(response.status, 401);
        assert_eq!(response.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        assert_eq!(
            response.body_without_request_id(),
            only_error(
                "the access token belongs to no active user",
                &json!({ "code": "UNAUTHENTICATED" }),
                None
            )
        );
    }

    async fn one_failing_field_does_not_blank_its_siblings(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let hope = reading(&app, &ada, "hope", 1);
        let drawn = drawn_card(&app, &hope, 1, "major_arcana_00");
        app.insert(SeedRows {
            users: vec![ada],
            readings: vec![hope],
            drawn_cards: vec![drawn],
            ..SeedRows::default()
        })
        .await;
        let connection = app.database.connect().await;
        connection
            .execute_unprepared("DROP TABLE reading_cards")
            .await
            .expect("the table is dropped");

        let query = format!(
            "{{ reading(id: {0:?}) {{ cards {{ id }} }} again: reading(id: {0:?}) {{ question }}
                card(id: {1:?}) {{ name }} spreads {{ totalCount }} }}",
            reading_id("hope"),
            card_id(&app, "major_arcana_00")
        );
        let response = app.query(&query).await;
        assert_eq!(response.status, 200);
        let column = query.find("cards").expect("the field") + 1;
        assert_eq!(
            response.body_without_request_id(),
            json!({
                "data": {
                    "reading": null,
                    "again": { "question": "hope" },
                    "card": { "name": "Vault Newbie" },
                    "spreads": { "totalCount": 7 },
                },
                // Nothing of the table, the statement or the database.
                "errors": [{
                    "message": "something went wrong on our side",
                    "locations": [{ "line": 1, "column": column }],
                    "path": ["reading", "cards"],
                    "extensions": { "code": "INTERNAL_SERVER_ERROR", "requestId": "ID" },
                }],
            })
        );
    }

    async fn a_field_that_fails_in_an_item_has_its_whole_path(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let readings: Vec<_> =
            ["hope", "love", "war"].iter().zip(1..).map(|(name, at)| reading(&app, &ada, name, at)).collect();
        app.insert(rows(vec![ada], readings)).await;
        let connection = app.database.connect().await;
        connection
            .execute_unprepared("DROP TABLE reading_cards")
            .await
            .expect("the table is dropped");
        // Several items fail, at once and each in two fields: the same error each time.
        let query = "{ publicReadings { edges { node { question } } nodes { a: cards { id } cards { id } } } }";
        for _ in 0..3 {
            let response = app.query(query).await;
            assert_eq!(response.status, 200);
            let column = query.find("a: cards").expect("the field") + 1;
            assert_eq!(
                response.body_without_request_id(),
                json!({
                    "data": null,
                    "errors": [{
                        "message": "something went wrong on our side",
                        "locations": [{ "line": 1, "column": column }],
                        "path": ["publicReadings", "nodes", 0, "a"],
                        "extensions": { "code": "INTERNAL_SERVER_ERROR", "requestId": "ID" },
                    }],
                })
            );
        }
    }

    async fn a_value_that_our_rules_forbid_nulls_its_field_alone(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let query = "query ($days: Int!) { viewer { analytics {
            frequency(days: $days) { count } karma { count } spreads { count } } } }";
        let body = json!({ "query": query, "variables": { "days": 400 } });
        let response = app.send(Some(&app.token_of(id("ada"))), &body).await;
        let analytics = &response.body["data"]["viewer"]["analytics"];
        assert_eq!(analytics["frequency"], Value::Null, "{}", response.text);
        assert_eq!(analytics["karma"].as_array().map(Vec::len), Some(3), "{}", response.text);
        assert_eq!(analytics["spreads"], json!([]));
        let errors = response.body["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0]["path"], json!(["viewer", "analytics", "frequency"]));
        assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT");
    }

    async fn a_list_that_cannot_be_read_says_nothing_of_the_inside(engine: Engine) {
        let app = TestApp::start(engine).await;
        let connection = app.database.connect().await;
        for table in ["hidden_readings", "reading_shares", "reading_cards", "reading_sessions"] {
            let drop_table = format!("DROP TABLE {table}");
            connection.execute_unprepared(&drop_table).await.expect("the table is dropped");
        }
        let response = app.query("{ publicReadings { nodes { id } } }").await;
        assert_eq!(response.status, 200);
        let mut expected = field_error(
            "publicReadings",
            "something went wrong on our side",
            &json!({ "code": "INTERNAL_SERVER_ERROR" }),
        );
        expected["data"] = Value::Null;
        assert_eq!(response.body_without_request_id(), expected);
    }
}

/// The database is a server's, so only PostgreSQL can lose it while it is in use.
#[tokio::test]
async fn a_database_that_is_gone_is_an_unavailable_service_and_the_server_lives() {
    let test = "a_database_that_is_gone_is_an_unavailable_service_and_the_server_lives";
    if !Engine::has_postgres(test) {
        return;
    }
    let app = TestApp::start(Engine::Postgres).await;
    app.insert(rows(vec![user("ada")], Vec::new())).await;
    app.data_as(id("ada"), "{ viewer { username } }").await;
    app.database.remove_now().await;

    for _ in 0..2 {
        let response = app.query_as(id("ada"), "{ viewer { username } suits { cardCount } }").await;
        assert_eq!(response.status, 200);
        let mut expected = field_error(
            "viewer",
            "the database cannot be reached",
            &json!({ "code": "SERVICE_UNAVAILABLE", "retryAfterMs": 1_000 }),
        );
        // Data in memory is returned as before.
        expected["data"]["suits"] = [22, 14, 14, 14, 14].map(|n| json!({ "cardCount": n })).into();
        assert_eq!(response.body_without_request_id(), expected);
    }
    let live = send_request(app.request(reqwest::Method::GET, "/health/live")).await;
    assert_eq!(live.status, 200);
    let ready = send_request(app.request(reqwest::Method::GET, "/health/ready")).await;
    assert_eq!(ready.status, 503);
}

/// A statement ended by PostgreSQL gives the same error as one that the server gives up.
#[tokio::test]
async fn a_statement_that_waits_too_long_is_a_timeout() {
    let test = "a_statement_that_waits_too_long_is_a_timeout";
    if !Engine::has_postgres(test) {
        return;
    }
    for flag in ["--database-lock-timeout-ms=50", "--database-statement-timeout-ms=50"] {
        let app = TestApp::start_with(Engine::Postgres, &[flag]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let other = app.database.connect().await;
        let transaction = other.begin().await.expect("a transaction");
        let lock = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";
        transaction.execute_unprepared(lock).await.expect("the table is locked");
        let response = app.query_as(id("ada"), "{ viewer { username } }").await;
        assert_eq!(response.status, 200);
        let expected =
            field_error("viewer", "the database took too long", &json!({ "code": "TIMEOUT" }));
        assert_eq!(response.body_without_request_id(), expected, "{flag}");
        transaction.rollback().await.expect("rolled back");
        app.data_as(id("ada"), "{ viewer { username } }").await;
    }
}

/// A well-formed id without an object finds nothing, and that is no error.
#[tokio::test]
async fn an_id_that_nothing_has_is_null() {
    let app = TestApp::start(Engine::Sqlite).await;
    let none = wasteland_tarot::graphql::id::GlobalId::Card(Uuid::nil()).encode();
    let data = app.data(&format!("{{ card(id: {:?}) {{ id }} }}", none.as_str())).await;
    assert_eq!(data, json!({ "card": null }));
}

/// Codes in the first column of the table below that heading of docs/errors.md, in order.
fn documented_codes(heading: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/errors.md");
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).expect("the heading");
    let section = section.split("\n## ").next().expect("a section");
    let first_cells =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    first_cells
        .flat_map(|cell| cell.split(|c: char| c != '_' && !c.is_ascii_uppercase()))
        .filter(|code| !code.is_empty())
        .collect()
}

#[test]
fn every_error_code_is_documented_and_no_other() {
    let mut documented = documented_codes("`errors`");
    documented.sort_unstable();
    let mut codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(documented, codes);
}

#[test]
fn every_user_error_code_is_documented_and_no_other() {
    let mut documented = documented_codes("`userErrors`");
    documented.sort_unstable();
    let types = types_of(include_str!("../../schema.graphql"));
    let mut codes = enum_values_of(&types["UserErrorCode"]);
    codes.sort_unstable();
    assert_eq!(documented, codes);
}
