//! Cached public responses, beside a handler that only sends the same bytes and headers.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::mix::FEED;
use crate::Outcome;
use crate::bench::{Bench, CACHE_ENABLED, Database};
use crate::client::{HttpResponse, Request};
use crate::compare::{SERVER, Side, compare};
use crate::processes::Process;
use crate::references::bytes;
use crate::report::{Promise, Section};

const CLIENTS: u32 = 64;
/// Minimum ratio of the server's requests per second to those of a handler that has the bytes.
const OF_THE_BYTES: f64 = 0.8;

/// The whole deck with its texts.
const DECK: &str = "query Deck { cards(first: 100) { nodes { id code name cardType suit number rank \
    standardName uprightMeaning reversedMeaning keywords radiationLevel threatLevel imageUrl } } }";

pub fn measure(bench: &Bench, section: &mut Section) -> Outcome {
    let url = bench.url(Database::Full);
    let server = bench.start_server_with(&url, &[(CACHE_ENABLED, true.to_string())])?;
    let page = Request::anonymous(FEED, &json!({}));
    let deck = Request::anonymous(DECK, &json!({}));
    let by_hash = registered(&server)?;
    section.paragraph(&format!(
        "Public responses, requested anonymously on {CLIENTS} connections, beside a handler that \
         returns the server's bytes and headers:"
    ));
    let beside = |section: &mut Section, what: &str, request: &Request| {
        beside_the_bytes(bench, section, &server, what, request)
    };
    beside(section, "20 public readings with user, spread and cards", &page)?;
    beside(section, "The same by GET and its hash", &by_hash)?;
    beside(section, "78 cards with their texts", &deck)?;
    for encoding in ["gzip", "br"] {
        let request = page.clone().with_header("accept-encoding", encoding);
        beside(section, &format!("The 20 readings in {encoding}"), &request)?;
    }
    let what = "By GET and hash, with If-None-Match (304)";
    let Some(tag) = by_hash.send(&server.address)?.header("etag").map(str::to_owned) else {
        section.paragraph(&format!("{what}: the response has no ETag: **not met**."));
        return Ok(());
    };
    beside(section, what, &by_hash.with_header("if-none-match", &tag))
}

/// The page of readings by GET, after it was registered under its hash.
fn registered(server: &Process) -> Outcome<Request> {
    let hash = hex::encode(Sha256::digest(FEED));
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let registers = json!({ "query": FEED, "extensions": extensions });
    Request::with_body(registers.to_string()).send(&server.address)?;
    Ok(Request::get(&[
        ("operationName", "Feed".to_owned()),
        ("extensions", extensions.to_string()),
    ]))
}

fn beside_the_bytes(
    bench: &Bench,
    section: &mut Section,
    server: &Process,
    what: &str,
    request: &Request,
) -> Outcome {
    // The first response is cached, and the second is served from the cache.
    request.send(&server.address)?;
    let response = request.send(&server.address)?;
    if let Some(encoding) = request.accepted_encoding()
        && response.header("content-encoding") != Some(encoding)
    {
        return Err(format!("{what}: the response is not compressed with {encoding}").into());
    }
    let handler = bytes::start(bench, &response)?;
    let again = request.send(&handler.address)?;
    if differs(&response, &again) {
        return Err(format!("the handler sends {again} for {response}").into());
    }
    let requests = [request.clone()];
    let sides = [
        Side::http(bench, SERVER, server, &requests)?,
        Side::http(bench, "the same bytes", &handler, &requests)?.with_statements(0),
    ];
    let measured = compare(bench, &sides, CLIENTS)?;
    let [server, handler] = &measured[..] else { return Err("two sides are compared".into()) };
    section.paragraph(&format!("{what}:"));
    section.sides_beside(&measured, handler);
    let ratio = server.ratio(handler, |run| run.per_second);
    section.promise(
        &format!("{what}: requests/s of the handler's"),
        Promise::AtLeast(OF_THE_BYTES, ""),
        ratio,
    );
    Ok(())
}

/// `true` if two responses differ in more than their dates and transfer encodings.
fn differs(one: &HttpResponse, other: &HttpResponse) -> bool {
    let is_same = one.status() == other.status() && one.body == other.body;
    !is_same || headers(one) != headers(other)
}

fn headers(response: &HttpResponse) -> Vec<(String, &str)> {
    let mut headers: Vec<_> = bytes::own_headers(response).collect();
    headers.sort_unstable();
    headers
}
