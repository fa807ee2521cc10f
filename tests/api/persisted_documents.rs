//! Documents that clients name instead of sending them: automatic persisted queries by Apollo's
//! protocol, and trusted documents by appendix A of GraphQL over HTTP.

use std::fs;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::cli::{self, execute, folder};
use crate::documents::stored_documents;
use crate::http::{bad, refusal};
use crate::support::app::{Engine, TestApp, TestResponse, forge, send_request};

const RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";
/// Overhead of a stored text, in bytes, counted with it.
const TEXT_OVERHEAD_BYTES: usize = 256;

async fn start(flags: &[&str]) -> TestApp {
    TestApp::start_with(Engine::Sqlite, flags).await
}

/// As clients name a document.
pub fn hash_of(text: &str) -> String {
    let digits: Vec<_> = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// The member of a request with which Apollo's clients name a document.
fn extensions(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

/// Ways to send a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Post,
    Get,
}

/// Sends these members of a request, in a body or in the query string.
async fn send(app: &TestApp, (by, accept): (By, &str), members: &Value) -> TestResponse {
    send_as(app, None, (by, accept), members).await
}

async fn send_as(
    app: &TestApp,
    token: Option<&str>,
    (by, accept): (By, &str),
    members: &Value,
) -> TestResponse {
    let request = match by {
        By::Post => app
            .request(Method::POST, "/graphql")
            .header("content-type", "application/json")
            .body(members.to_string()),
        By::Get => {
            let parameters = members.as_object().expect("members").iter();
            let parameters: Vec<(&String, String)> = parameters
                .map(|(name, value)| {
                    (name, value.as_str().map_or(value.to_string(), str::to_owned))
                })
                .collect();
            let query = serde_urlencoded::to_string(parameters).expect("text");
            app.request(Method::GET, &format!("/graphql?{query}"))
        }
    };
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    send_request(request.header("accept", accept)).await
}

const WAYS: [(By, &str); 4] =
    [(By::Post, RESPONSE), (By::Post, JSON), (By::Get, RESPONSE), (By::Get, JSON)];

/// Registers a text, which must be executed.
async fn register(app: &TestApp, text: &str) {
    let members = json!({ "query": text, "extensions": extensions(&hash_of(text)) });
    let response = send(app, (By::Post, RESPONSE), &members).await;
    assert_eq!((response.status, response.body.get("errors")), (200, None), "{text}");
}

/// Sends the hash alone.
async fn fetch(app: &TestApp, text: &str) -> TestResponse {
    send(app, (By::Post, RESPONSE), &json!({ "extensions": extensions(&hash_of(text)) })).await
}

/// The status of a response to a document at fault, and its body.
fn at_fault(accept: &str, body: Value) -> (u16, Value) {
    (if accept == RESPONSE { 400 } else { 200 }, body)
}

fn not_found_body() -> Value {
    refusal("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND", &json!({}))
}

fn not_found(accept: &str) -> (u16, Value) {
    at_fault(accept, not_found_body())
}

fn not_trusted() -> (u16, Value) {
    let message =
        "only trusted documents are executed; send the `documentId` of one without `query`";
    (403, refusal(message, "FORBIDDEN", &json!({})))
}

/// The status, and the whole body without the request id.
fn outcome(response: &TestResponse) -> (u16, Value) {
    let is_good = response.body.get("errors").is_none();
    let body = if is_good { response.body.clone() } else { response.body_without_request_id() };
    (response.status, body)
}

async fn is_persisted(app: &TestApp, text: &str) -> bool {
    let response = fetch(app, text).await;
    let is_persisted = response.status == 200;
    if !is_persisted {
        assert_eq!(outcome(&response), not_found(RESPONSE), "{text}");
    }
    is_persisted
}

// Automatic persisted queries

#[tokio::test]
async fn a_text_that_came_with_its_hash_is_executed_by_the_hash_alone() {
    let app = start(&[]).await;
    for (number, way) in WAYS.into_iter().enumerate() {
        let text = format!("query Number{number} {{ __typename }}");
        let by_hash = json!({ "extensions": extensions(&hash_of(&text)) });
        let with_text = json!({ "query": text, "extensions": extensions(&hash_of(&text)) });
        let unknown = send(&app, way, &by_hash).await;
        assert_eq!(outcome(&unknown), not_found(way.1), "{way:?}");
        assert_eq!(unknown.header("content-type"), format!("{}; charset=utf-8", way.1));
        assert_eq!(unknown.header("cache-control"), "private, no-store");
        for members in [&with_text, &by_hash, &with_text] {
            let response = send(&app, way, members).await;
            let expected = (200, json!({ "data": { "__typename": "Query" } }));
            assert_eq!(outcome(&response), expected, "{way:?} {members}");
        }
        // In every way to send it.
        for other in WAYS {
            assert_eq!(send(&app, other, &by_hash).await.status, 200, "{way:?} {other:?}");
        }
    }
}

#[tokio::test]
async fn variables_and_an_operation_name_go_with_a_hash() {
    let app = start(&[]).await;
    let text =
        "query A { __typename } query B($code: String!) { cardByCode(code: $code) { code } }";
    let members = |code: &str| {
        json!({
            "operationName": "B",
            "variables": { "code": code },
            "extensions": extensions(&hash_of(text)),
        })
    };
    let mut first = members("major_arcana_00");
    first["query"] = text.into();
    for (members, code) in [
        (first, "major_arcana_00"),
        (members("major_arcana_01"), "major_arcana_01"),
        (members("major_arcana_02"), "major_arcana_02"),
    ] {
        for way in [WAYS[0], WAYS[2]] {
            let response = send(&app, way, &members).await;
            assert_eq!(response.body, json!({ "data": { "cardByCode": { "code": code } } }));
        }
    }
    let without_name = json!({ "extensions": extensions(&hash_of(text)) });
    let message = "several operations: operationName must be one of A, B";
    assert_eq!(
        outcome(&send(&app, WAYS[0], &without_name).await),
        (400, bad("operationName", message))
    );
}

#[tokio::test]
async fn a_text_that_came_without_its_hash_is_not_found() {
    let app = start(&[]).await;
    for _ in 0..3 {
        assert_eq!(app.query("{ __typename }").await.status, 200);
    }
    assert!(!is_persisted(&app, "{ __typename }").await);
}

#[tokio::test]
async fn a_hash_of_another_text_is_rejected_and_nothing_is_persisted() {
    let app = start(&[]).await;
    let (text, other) = ("{ __typename }", "{ __typename } ");
    for way in WAYS {
        let members = json!({ "query": text, "extensions": extensions(&hash_of(other)) });
        let message = "`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`";
        assert_eq!(outcome(&send(&app, way, &members).await), (400, bad("extensions", message)));
    }
    assert!(!is_persisted(&app, text).await && !is_persisted(&app, other).await);
    // Nor is anything persisted replaced.
    register(&app, other).await;
    let members = json!({ "query": "{ nope }", "extensions": extensions(&hash_of(other)) });
    assert_eq!(send(&app, WAYS[0], &members).await.status, 400);
    assert_eq!(fetch(&app, other).await.body, json!({ "data": { "__typename": "Query" } }));
}

#[tokio::test]
async fn invalid_persisted_query_extensions_are_rejected() {
    let app = start(&[]).await;
    let text = "{ __typename }";
    let hash = hash_of(text);
    let with_version = |version: Value| json!({ "version": version, "sha256Hash": hash });
    let with_hash = |hash: Value| json!({ "version": 1, "sha256Hash": hash });
    let version = "`extensions.persistedQuery.version` must be 1";
    let digits =
        "`extensions.persistedQuery.sha256Hash` must be 64 hexadecimal digits in lower case";
    let object = "`extensions.persistedQuery` must be an object";
    let cases = [
        (json!(hash), object),
        (json!([with_version(json!(1))]), object),
        (json!(1), object),
        (json!(false), object),
        (json!({}), version),
        (json!({ "sha256Hash": hash }), version),
        (with_version(json!(0)), version),
        (with_version(json!(2)), version),
        (with_version(json!(-1)), version),
        (with_version(json!(1.5)), version),
        (with_version(json!("1")), version),
        (with_version(json!(null)), version),
        (json!({ "version": 1 }), digits),
        (with_hash(json!(null)), digits),
        (with_hash(json!(1)), digits),
        (with_hash(json!("")), digits),
        (with_hash(json!(hash[1..])), digits),
        (with_hash(json!(format!("{hash}0"))), digits),
        (with_hash(json!(format!("{hash}00"))), digits),
        (with_hash(json!(hash.to_uppercase())), digits),
        (with_hash(json!(format!("g{}", &hash[1..]))), digits),
        (with_hash(json!(format!("é{}", &hash[2..]))), digits),
        (with_hash(json!(format!("sha256:sha256:{hash}"))), digits),
        (with_hash(json!(format!("SHA256:{hash}"))), digits),
        (with_hash(json!(format!("sha256:{}", hash.to_uppercase()))), digits),
        (with_hash(json!("sha256:")), digits),
    ];
    for (persisted_query, message) in cases {
        for way in WAYS {
            let extensions = json!({ "persistedQuery": persisted_query });
            for members in [
                json!({ "extensions": extensions }),
                json!({ "query": text, "extensions": extensions }),
            ] {
                let response = send(&app, way, &members).await;
                assert_eq!(outcome(&response), (400, bad("extensions", message)), "{members}");
            }
        }
    }
    assert!(!is_persisted(&app, text).await);
}

#[tokio::test]
async fn null_is_absent_and_what_clients_add_of_their_own_is_passed_over() {
    let app = start(&[]).await;
    let text = "{ __typename }";
    let absent = json!({ "persistedQuery": null });
    let response = send(&app, WAYS[0], &json!({ "query": text, "extensions": absent })).await;
    assert_eq!(response.status, 200);
    let missing = bad("query", "`query` is missing: there is nothing to execute");
    assert_eq!(
        outcome(&send(&app, WAYS[0], &json!({ "extensions": absent })).await),
        (400, missing)
    );
    // As urql sends it when the server did not know the hash.
    let mut members = json!({ "query": text, "extensions": extensions(&hash_of(text)) });
    members["extensions"]["persistedQuery"]["miss"] = true.into();
    members["extensions"]["clientLibrary"] = json!({ "name": "some" });
    assert_eq!(send(&app, WAYS[0], &members).await.status, 200);
    assert!(is_persisted(&app, text).await);
}

#[tokio::test]
async fn a_document_that_the_guard_rejects_is_not_persisted() {
    let app = start(&[]).await;
    let aliases = |count: usize| {
        let fields: Vec<_> = (0..count).map(|number| format!("a{number}: __typename")).collect();
        format!("{{ {} }}", fields.join(" "))
    };
    let of_length = |length: usize| format!("{:length$}", "{ __typename }");
    for (good, wrong, code) in [
        ("{ __typename }".to_owned(), "{ __typename".to_owned(), "GRAPHQL_PARSE_FAILED"),
        (aliases(30), aliases(31), "QUERY_TOO_LARGE"),
        (of_length(16_384), of_length(16_385), "QUERY_TOO_LARGE"),
    ] {
        let members =
            |text: &str| json!({ "query": text, "extensions": extensions(&hash_of(text)) });
        for _ in 0..2 {
            let response = send(&app, WAYS[0], &members(&wrong)).await;
            assert_eq!(response.status, 400);
            assert_eq!(response.body["errors"][0]["extensions"]["code"], code);
        }
        assert!(!is_persisted(&app, &wrong).await);
        register(&app, &good).await;
        assert!(is_persisted(&app, &good).await);
    }
}

#[tokio::test]
async fn a_persisted_document_is_limited_as_any_other() {
    let app = start(&["--introspection=false"]).await;
    let schema = "{ __schema { queryType { name } } }";
    let nope = "{ nope }";
    let off = ("introspection is disabled", "GRAPHQL_VALIDATION_FAILED");
    let invalid = ("type `Query` does not have a field `nope`", "GRAPHQL_VALIDATION_FAILED");
    // A document that is not valid is not registered.
    let unknown = ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND");
    for (text, by_text, by_hash) in [(schema, off, off), (nope, invalid, unknown)] {
        let extensions = extensions(&hash_of(text));
        for (members, (message, code)) in [
            (json!({ "query": text, "extensions": extensions }), by_text),
            (json!({ "extensions": extensions }), by_hash),
        ] {
            let response = send(&app, WAYS[0], &members).await;
            assert_eq!(response.status, 400);
            let error = &response.body["errors"][0];
            assert_eq!(error["message"], message);
            assert_eq!(error["extensions"]["code"], code);
        }
    }
}

#[tokio::test]
async fn a_mutation_is_rejected_over_get_by_its_hash_too() {
    let app = start(&[]).await;
    let text = "mutation { __typename }";
    let refused = (405, bad("method", "only queries are executed over GET"));
    let by_hash = json!({ "extensions": extensions(&hash_of(text)) });
    let by_id = json!({ "documentId": format!("sha256:{}", hash_of(text)) });
    register(&app, text).await;
    for accept in [RESPONSE, JSON] {
        for members in [&by_hash, &by_id] {
            let response = send(&app, (By::Get, accept), members).await;
            assert_eq!((outcome(&response), response.header("allow")), (refused.clone(), "POST"));
            let response = send(&app, (By::Post, accept), members).await;
            assert_eq!(response.body, json!({ "data": { "__typename": "Mutation" } }));
        }
    }
}

#[tokio::test]
async fn a_text_is_persisted_if_it_fits_and_not_if_a_byte_is_missing() {
    let text = "query AText { __typename }";
    let bytes = text.len() + TEXT_OVERHEAD_BYTES;
    for (maximum, has_room) in [(bytes, true), (bytes - 1, false)] {
        let app = start(&[&format!("--persisted-documents-bytes={maximum}")]).await;
        // Executed it is in any case.
        register(&app, text).await;
        assert_eq!(is_persisted(&app, text).await, has_room, "{maximum}");
    }
}

#[tokio::test]
async fn the_least_recently_used_document_is_evicted() {
    let texts: Vec<_> = (1..=4).map(|number| format!("query N{number} {{ __typename }}")).collect();
    let [one, two, three, four] = &texts[..] else { panic!("four") };
    let room = 3 * (one.len() + TEXT_OVERHEAD_BYTES);
    let app = start(&[&format!("--persisted-documents-bytes={room}")]).await;
    for text in [one, two, three] {
        register(&app, text).await;
    }
    for text in [one, two, three, one] {
        assert!(is_persisted(&app, text).await, "{text}");
    }
    register(&app, four).await;
    assert!(!is_persisted(&app, two).await);
    for text in [one, three, four] {
        assert!(is_persisted(&app, text).await, "{text}");
    }
    // A client that misses it sends it again.
    register(&app, two).await;
    assert!(is_persisted(&app, two).await);
    assert!(!is_persisted(&app, one).await);
}

#[tokio::test]
async fn a_persisted_text_outlives_its_parsed_document() {
    let app = start(&["--parsed-documents-bytes=1"]).await;
    let text = "{ cardByCode(code: \"major_arcana_00\") { code } }";
    register(&app, text).await;
    let expected = json!({ "data": { "cardByCode": { "code": "major_arcana_00" } } });
    for _ in 0..3 {
        assert_eq!(fetch(&app, text).await.body, expected);
    }
}

#[tokio::test]
async fn a_client_with_an_old_token_can_log_in_by_a_hash() {
    let app = start(&[]).await;
    let token = forge(&json!({ "sub": "nobody" }), "another secret, which is long enough too");
    let login =
        "mutation { refreshSession(input: { refreshToken: \"old\" }) { userErrors { code } } }";
    let query = "{ __typename }";
    let members = |text: &str, with_text: bool| {
        let mut members = json!({ "extensions": extensions(&hash_of(text)) });
        if with_text {
            members["query"] = text.into();
        }
        members
    };
    let send = async |members: &Value| send_as(&app, Some(&token), WAYS[0], members).await;
    // Only the text shows the kind of operation, so the server requests the text first.
    for text in [login, query] {
        assert_eq!(outcome(&send(&members(text, false)).await), not_found(RESPONSE));
    }
    for with_text in [true, false] {
        let response = send(&members(login, with_text)).await;
        let expected =
            json!({ "refreshSession": { "userErrors": [{ "code": "SESSION_EXPIRED" }] } });
        assert_eq!((response.status, &response.body["data"]), (200, &expected));
        let response = send(&members(query, with_text)).await;
        assert_eq!(response.status, 401);
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
}

// Document identifiers

#[tokio::test]
async fn a_registered_document_is_found_by_its_identifier() {
    let app = start(&[]).await;
    let text = "query ById { __typename }";
    let hash = hash_of(text);
    for way in WAYS {
        let members = json!({ "documentId": format!("sha256:{hash}") });
        assert_eq!(outcome(&send(&app, way, &members).await), not_found(way.1));
    }
    register(&app, text).await;
    for way in WAYS {
        for id in [format!("sha256:{hash}"), hash.clone()] {
            let response = send(&app, way, &json!({ "documentId": id })).await;
            assert_eq!(outcome(&response), (200, json!({ "data": { "__typename": "Query" } })));
        }
    }
}

#[tokio::test]
async fn identifiers_of_other_kinds_lead_to_nothing_and_others_are_none() {
    let app = start(&[]).await;
    let hash = hash_of("{ __typename }");
    let md5 = "9e107d9d372bb6826bd81d3542a419d6";
    for id in [md5, "AllCards", "a-._~Z9", "x-app:7", "x-a.b:c~d", &hash[1..], &hash.to_uppercase()]
    {
        for way in WAYS {
            let response = send(&app, way, &json!({ "documentId": id })).await;
            assert_eq!(outcome(&response), not_found(way.1), "{id}");
        }
    }
    let malformed = [
        "sha256:".to_owned(),
        format!("sha256:{}", &hash[1..]),
        format!("sha256:{hash}0"),
        format!("sha256:{}", hash.to_uppercase()),
        format!("SHA256:{hash}"),
        format!("sha256:sha256:{hash}"),
        format!("md5:{md5}"),
        "x-:a".to_owned(),
        "x-a:".to_owned(),
        "x-a:b:c".to_owned(),
        ":a".to_owned(),
        "all cards".to_owned(),
        "{ __typename }".to_owned(),
        "ä".to_owned(),
    ];
    let message = "`documentId` must be `sha256:` and 64 hexadecimal digits in lower case";
    for id in malformed {
        for way in WAYS {
            let response = send(&app, way, &json!({ "documentId": id })).await;
            assert_eq!(outcome(&response), (400, bad("documentId", message)), "{id:?}");
        }
    }
    for id in [json!(1), json!({}), json!([hash]), json!(true)] {
        let response = send(&app, WAYS[0], &json!({ "documentId": id })).await;
        assert_eq!(outcome(&response), (400, bad("documentId", "`documentId` must be a string")));
    }
    let absent = json!({ "query": "{ __typename }", "documentId": null });
    assert_eq!(send(&app, WAYS[0], &absent).await.status, 200);
}

/// GraphQL over HTTP, section "GET": the empty string is no parameter. In a body that is null.
#[tokio::test]
async fn an_empty_identifier_in_a_query_string_is_absent() {
    let app = start(&[]).await;
    let text = "{ __typename }";
    register(&app, text).await;
    let typename = (200, json!({ "data": { "__typename": "Query" } }));
    let missing = bad("query", "`query` is missing: there is nothing to execute");
    let malformed = "`documentId` must be `sha256:` and 64 hexadecimal digits in lower case";
    let alone =
        "`documentId` names the whole document; send no `query` and no `persistedQuery` with it";
    for way in WAYS {
        let is_get = way.0 == By::Get;
        for (members, of_get, of_post) in [
            (json!({ "documentId": "", "query": text }), typename.clone(), alone),
            (
                json!({ "documentId": "", "extensions": extensions(&hash_of(text)) }),
                typename.clone(),
                alone,
            ),
            (json!({ "documentId": "" }), (400, missing.clone()), malformed),
        ] {
            let response = send(&app, way, &members).await;
            let expected = if is_get { of_get } else { (400, bad("documentId", of_post)) };
            assert_eq!(outcome(&response), expected, "{way:?} {members}");
        }
    }
}

/// GraphQL over HTTP, appendix A: `sha256:` and the hash. Code generators write it into their manifests, whatever
/// protocol a client then speaks.
#[tokio::test]
async fn a_persisted_query_may_be_named_with_the_prefix_of_identifiers() {
    let app = start(&[]).await;
    let typename = (200, json!({ "data": { "__typename": "Query" } }));
    for (number, way) in WAYS.into_iter().enumerate() {
        let text = format!("query Prefixed{number} {{ __typename }}");
        let prefixed = extensions(&format!("sha256:{}", hash_of(&text)));
        let by_hash = json!({ "extensions": prefixed });
        assert_eq!(outcome(&send(&app, way, &by_hash).await), not_found(way.1));
        let with_text = json!({ "query": text, "extensions": prefixed });
        assert_eq!(outcome(&send(&app, way, &with_text).await), typename);
        // It is the same document with and without the prefix.
        let plain = json!({ "extensions": extensions(&hash_of(&text)) });
        for members in [by_hash, plain] {
            assert_eq!(outcome(&send(&app, way, &members).await), typename, "{members}");
        }
    }
    let members = json!({
        "query": "{ __typename }",
        "extensions": extensions(&format!("sha256:{}", hash_of("{ another }"))),
    });
    let message = "`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`";
    assert_eq!(outcome(&send(&app, WAYS[0], &members).await), (400, bad("extensions", message)));
}

#[tokio::test]
async fn an_identifier_stands_alone() {
    let app = start(&[]).await;
    let text = "{ __typename }";
    register(&app, text).await;
    let (id, extensions) = (format!("sha256:{}", hash_of(text)), extensions(&hash_of(text)));
    let message =
        "`documentId` names the whole document; send no `query` and no `persistedQuery` with it";
    for way in WAYS {
        for members in [
            json!({ "documentId": id, "query": text }),
            json!({ "documentId": id, "query": "" }),
            json!({ "documentId": id, "extensions": extensions }),
            json!({ "documentId": id, "query": text, "extensions": extensions }),
        ] {
            let response = send(&app, way, &members).await;
            assert_eq!(outcome(&response), (400, bad("documentId", message)), "{members}");
        }
        let other = json!({ "documentId": id, "extensions": { "some": "value" } });
        assert_eq!(send(&app, way, &other).await.status, 200);
    }
}

// Trusted documents

/// A folder with a manifest, and its path.
fn written(manifest: &str) -> (TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join("manifest.json");
    fs::write(&path, manifest).expect("written");
    (folder, path)
}

/// A server that trusts these documents.
async fn start_trusting(manifest: &Value, flags: &[&str]) -> TestApp {
    let (_folder, path) = written(&manifest.to_string());
    let trusted = format!("--trusted-documents={}", path.display());
    start(&[&[trusted.as_str()], flags].concat()).await
}

const TYPENAME: &str = "query Trusted { __typename }";
const CARD: &str = "query Card($code: String!, $locale: Locale) { cardByCode(code: $code) { name(locale: $locale) } }";
const MUTATION: &str = "mutation Trusted { __typename }";

/// As Relay's compiler and GraphQL Code Generator write it; with the prefix of the identifiers and
/// without.
fn manifest() -> Value {
    json!({
        hash_of(TYPENAME): TYPENAME,
        format!("sha256:{}", hash_of(CARD)): CARD,
        hash_of(MUTATION): MUTATION,
    })
}

/// As Apollo's `generate-persisted-query-manifest` writes it.
fn apollo_manifest() -> Value {
    let operation = |text: &str, name: &str, kind: &str| json!({ "id": hash_of(text), "body": text, "name": name, "type": kind });
    json!({
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [
            operation(TYPENAME, "Trusted", "query"),
            operation(CARD, "Card", "query"),
            operation(MUTATION, "Trusted", "mutation"),
        ],
    })
}

async fn assert_trusted_documents_are_executed(app: &TestApp) {
    for way in WAYS {
        for members in [
            json!({ "documentId": format!("sha256:{}", hash_of(TYPENAME)) }),
            json!({ "documentId": hash_of(TYPENAME) }),
            // Apollo's clients name the documents of their manifest in this way.
            json!({ "extensions": extensions(&hash_of(TYPENAME)) }),
        ] {
            let response = send(app, way, &members).await;
            let expected = (200, json!({ "data": { "__typename": "Query" } }));
            assert_eq!(outcome(&response), expected, "{way:?} {members}");
        }
        let members = json!({
            "documentId": format!("sha256:{}", hash_of(CARD)),
            "operationName": "Card",
            "variables": { "code": "major_arcana_04" },
        });
        let expected = json!({ "data": { "cardByCode": { "name": "The Overseer" } } });
        assert_eq!(send(app, way, &members).await.body, expected);
    }
    let mutation = json!({ "documentId": format!("sha256:{}", hash_of(MUTATION)) });
    assert_eq!(send(app, WAYS[2], &mutation).await.status, 405);
    let expected = json!({ "data": { "__typename": "Mutation" } });
    assert_eq!(send(app, WAYS[0], &mutation).await.body, expected);
}

#[tokio::test]
async fn trusted_documents_are_executed_by_their_identifier_beside_all_others() {
    for manifest in [manifest(), apollo_manifest()] {
        // They need no room among those that clients register.
        let app = start_trusting(&manifest, &["--persisted-documents-bytes=1"]).await;
        assert_trusted_documents_are_executed(&app).await;
        for way in WAYS {
            let id = format!("sha256:{}", hash_of("{ __typename }"));
            let response = send(&app, way, &json!({ "documentId": id })).await;
            assert_eq!(outcome(&response), not_found(way.1));
        }
        assert_eq!(app.query("{ __typename }").await.status, 200);
        register(&app, TYPENAME).await;
    }
    let app = start_trusting(&manifest(), &[]).await;
    register(&app, "{ __typename }").await;
    assert!(is_persisted(&app, "{ __typename }").await);
}

#[tokio::test]
async fn nothing_else_is_executed_where_only_trusted_documents_are() {
    for manifest in [manifest(), apollo_manifest()] {
        let app = start_trusting(&manifest, &["--trusted-documents-only=true"]).await;
        let stored = stored_documents("tests/api/documents/accepted");
        let introspection = &stored["introspection-graphiql"].query;
        for text in [
            "{ __typename }",
            "{ __schema { queryType { name } } }",
            introspection,
            "{ nope }",
            "{",
            "",
            // Clients name a trusted document.
            TYPENAME,
        ] {
            for way in WAYS {
                let extensions = extensions(&hash_of(text));
                let by_text = json!({ "query": text });
                assert_eq!(outcome(&send(&app, way, &by_text).await), not_trusted(), "{text}");
                let with_hash = json!({ "query": text, "extensions": extensions });
                assert_eq!(outcome(&send(&app, way, &with_hash).await), not_trusted(), "{text}");
                if text != TYPENAME {
                    let by_hash = json!({ "extensions": extensions });
                    assert_eq!(outcome(&send(&app, way, &by_hash).await), not_found(way.1));
                    let by_id = json!({ "documentId": format!("sha256:{}", hash_of(text)) });
                    assert_eq!(outcome(&send(&app, way, &by_id).await), not_found(way.1));
                }
            }
        }
        let mutation = json!({ "query": "mutation { __typename }" });
        assert_eq!(outcome(&send(&app, WAYS[0], &mutation).await), not_trusted());
        assert_trusted_documents_are_executed(&app).await;
    }
}

#[tokio::test]
async fn an_empty_manifest_trusts_nothing() {
    let app = start_trusting(&json!({}), &["--trusted-documents-only=true"]).await;
    assert_eq!(outcome(&app.query("{ __typename }").await), not_trusted());
    assert!(!is_persisted(&app, "{ __typename }").await);
}

#[tokio::test]
async fn documents_of_real_clients_and_those_with_defaults_can_be_trusted() {
    let stored = stored_documents("tests/api/documents/accepted");
    let mut texts: Vec<String> = stored.into_values().map(|document| document.query).collect();
    assert!(texts.len() >= 35, "{} documents", texts.len());
    texts.extend(
        [
            // A variable that may be left out, where there is a default, and one with a default.
            "query ($locale: Locale) { voices { displayName(locale: $locale) } }",
            "query ($locale: Locale = null) { voices { displayName(locale: $locale) } }",
            "query ($ids: [ID!] = [], $one: ID = \"1\") { nodes(ids: $ids) { id } node(id: $one) { id } }",
            "query A($a: ID!) { node(id: $a) { id } } mutation B { __typename }",
        ]
        .map(str::to_owned),
    );
    let manifest: Value = texts.iter().map(|text| (hash_of(text), json!(text))).collect();
    let app = start_trusting(&manifest, &["--trusted-documents-only=true"]).await;
    for text in texts {
        let response = fetch(&app, &text).await;
        let code = &response.body["errors"][0]["extensions"]["code"];
        assert!(code != "PERSISTED_QUERY_NOT_FOUND" && code != "FORBIDDEN", "{text}: {code}");
    }
}

// Starting

/// Message of the program about that manifest, after its path.
fn start_refused(manifest: &str) -> String {
    let (folder, path) = written(manifest);
    let path = path.to_str().expect("a plain path");
    // With and without other documents.
    let mut lines = ["false", "true"].map(|only| {
        let environment = [("TRUSTED_DOCUMENTS", path), ("TRUSTED_DOCUMENTS_ONLY", only)];
        let line = cli::refusal(&execute(folder.path(), &environment, &["serve"]));
        let start = format!("TRUSTED_DOCUMENTS={path}: ");
        line.strip_prefix(&start).unwrap_or_else(|| panic!("{line}")).to_owned()
    });
    assert_eq!(lines[0], lines[1]);
    let files = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1, "something was made beside the manifest");
    std::mem::take(&mut lines[0])
}

#[test]
fn a_file_that_is_no_manifest_is_one_line() {
    let object = "it must be a JSON object of hashes and documents";
    let apollo = "beside `operations` must stand the format \"apollo-persisted-query-manifest\" \
                  and the version 1";
    for (manifest, expected) in [
        ("", "it is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "it is not JSON: EOF while parsing an object at line 1 column 1"),
        ("{} {}", "it is not JSON: trailing characters at line 1 column 4"),
        ("[]", object),
        ("null", object),
        ("\"text\"", object),
        (r#"{"operations":[]}"#, apollo),
        (r#"{"format":"other","version":1,"operations":[]}"#, apollo),
        (r#"{"format":"apollo-persisted-query-manifest","version":2,"operations":[]}"#, apollo),
        (
            r#"{"format":"apollo-persisted-query-manifest","version":1,"operations":{}}"#,
            "`operations` must be a list",
        ),
    ] {
        assert_eq!(start_refused(manifest), expected, "{manifest}");
    }
    let folder = folder();
    let missing = folder.path().join("missing.json");
    for path in [&missing, folder.path()] {
        let path = path.to_str().expect("a plain path");
        let environment = [("TRUSTED_DOCUMENTS", path)];
        let line = cli::refusal(&execute(folder.path(), &environment, &["serve"]));
        let expected = "the path of an existing file";
        assert_eq!(line, format!("TRUSTED_DOCUMENTS={path:?} (environment): {expected}"));
    }
}

#[test]
fn a_document_that_cannot_be_trusted_is_one_line_that_names_it() {
    let key = "its key must be 64 hexadecimal digits in lower case, with or without `sha256:` \
               before them";
    let hash = hash_of("{ __typename }");
    for (entry, text, expected) in [
        ("AllCards", json!("{ __typename }"), key),
        ("9e107d9d372bb6826bd81d3542a419d6", json!("{ __typename }"), key),
        (&hash.to_uppercase(), json!("{ __typename }"), key),
        ("a\nb", json!("{ __typename }"), key),
        (&hash, json!("{ __typename } "), "its key is not the SHA-256 of its document"),
        (&hash, json!({ "text": "{ __typename }" }), "its document must be a text"),
        (&hash, json!(null), "its document must be a text"),
    ] {
        let good = hash_of(TYPENAME);
        let line = start_refused(&json!({ good: TYPENAME, entry: text }).to_string());
        assert_eq!(line, format!("entry {entry:?}: {expected}"));
    }
    let aliases: Vec<_> = (0..31).map(|number| format!("a{number}: __typename")).collect();
    let aliases = format!("{{ {} }}", aliases.join(" "));
    for (text, expected) in [
        ("", ": a document needs an operation"),
        ("{ __typename", ", at line 1 and column 1: `{` is not closed by `}`"),
        ("fragment A on Card { id }", ": a document needs an operation"),
        (
            &aliases,
            ", at line 1 and column 473: request is too large (aliases: at least 31, maximum: 30)",
        ),
        (
            "{\n  unheardOf }",
            ", at line 2 and column 3: type `Query` does not have a field `unheardOf`",
        ),
        (
            "query { card { id } }",
            ", at line 1 and column 9: the required argument `Query.card(id:)` is not provided",
        ),
        ("query ($id: ID!) { __typename }", ", at line 1 and column 8: unused variable: `$id`"),
        (
            "subscription { __typename }",
            ", at line 1 and column 1: `subscription` root operation type is not defined",
        ),
    ] {
        let key = format!("sha256:{}", hash_of(text));
        let line = start_refused(&json!({ key.as_str(): text }).to_string());
        let start = format!("entry {key:?}: its document is refused");
        assert_eq!(line, format!("{start}{expected}"), "{text}");
    }
}

#[test]
fn an_operation_of_apollos_that_cannot_be_trusted_is_one_line_that_names_it() {
    let hash = hash_of(TYPENAME);
    for (operation, entry, expected) in [
        (json!({ "id": hash }), hash.as_str(), "its document must be a text"),
        (
            json!({ "id": hash, "body": MUTATION }),
            &hash,
            "its key is not the SHA-256 of its document",
        ),
        (
            json!({ "body": TYPENAME }),
            "operations[1]",
            "its key must be 64 hexadecimal digits in lower case, with or without `sha256:` before them",
        ),
        (json!(1), "operations[1]", "its document must be a text"),
    ] {
        let mut manifest = apollo_manifest();
        manifest["operations"][1] = operation;
        let line = start_refused(&manifest.to_string());
        assert_eq!(line, format!("entry {entry:?}: {expected}"));
    }
}

#[test]
fn only_trusted_documents_without_any_is_one_line() {
    let folder = folder();
    let environment = [("TRUSTED_DOCUMENTS_ONLY", "true")];
    let line = cli::refusal(&execute(folder.path(), &environment, &["serve"]));
    let expected = "TRUSTED_DOCUMENTS_ONLY=\"true\" (without TRUSTED_DOCUMENTS): \
                    requires TRUSTED_DOCUMENTS, because no other document is executed";
    assert_eq!(line, expected);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was made");
}
