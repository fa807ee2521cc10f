//! Public answers that the server keeps, beside a handler that does nothing but answer with the same
//! bytes and headers.

use std::fmt::Write as _;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::mix::FEED;
use crate::Outcome;
use crate::bench::{Bench, CACHE_ENABLED, Database};
use crate::client::{Answer, Request};
use crate::compare::{SERVER, Side, compare};
use crate::processes::Process;
use crate::references::bytes;
use crate::report::{Promise, Section};

const CLIENTS: u32 = 64;
/// The least that the server may reach of what a handler does that has the bytes.
const OF_THE_BYTES: f64 = 0.8;

/// The whole deck with its texts.
const DECK: &str = "query Deck { cards(first: 100) { nodes { id code name cardType suit number rank \
    standardName uprightMeaning reversedMeaning keywords radiationLevel threatLevel imageUrl } } }";

pub fn measure(bench: &Bench, section: &mut Section) -> Outcome {
    let url = bench.url(Database::Full);
    let server = bench.start_server_with(&url, &[(CACHE_ENABLED, true.to_string())])?;
    let page = Request::of_nobody(FEED, &json!({}));
    let deck = Request::of_nobody(DECK, &json!({}));
    let by_hash = registered(&server)?;
    section.paragraph(&format!(
        "Public responses, requested anonymously on {CLIENTS} connections, beside a handler that \
         returns the server's bytes and headers:"
    ));
    let beside = |section: &mut Section, what: &str, request: &Request| {
        beside_the_bytes(bench, section, &server, (what, request))
    };
    beside(section, "20 public readings with user, spread and cards", &page)?;
    beside(section, "The same by GET and its hash", &by_hash)?;
    beside(section, "78 cards with their texts", &deck)?;
    for encoding in ["gzip", "br"] {
        let request = page.clone().with_header("accept-encoding", encoding);
        beside(section, &format!("The 20 readings in {encoding}"), &request)?;
    }
    let what = "By GET and hash, by who has them already (304)";
    let Some(tag) = by_hash.send(&server.address)?.header("etag").map(str::to_owned) else {
        section.paragraph(&format!("{what}: the response has no ETag: **not met**."));
        return Ok(());
    };
    beside(section, what, &by_hash.with_header("if-none-match", &tag))
}

/// The page of readings by GET, after it was registered under its hash.
fn registered(server: &Process) -> Outcome<Request> {
    let mut hash = String::new();
    for byte in Sha256::digest(FEED) {
        let _ = write!(hash, "{byte:02x}");
    }
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
    let registers = json!({ "query": FEED, "extensions": extensions });
    Request::of_body(registers.to_string()).send(&server.address)?;
    Ok(Request::get(&[
        ("operationName", "Feed".to_owned()),
        ("extensions", extensions.to_string()),
    ]))
}

fn beside_the_bytes(
    bench: &Bench,
    section: &mut Section,
    server: &Process,
    (what, request): (&str, &Request),
) -> Outcome {
    // The first one is kept, and the next comes from what is kept.
    request.send(&server.address)?;
    let answer = request.send(&server.address)?;
    if let Some(encoding) = request.accepted_encoding()
        && answer.header("content-encoding") != Some(encoding)
    {
        return Err(format!("{what} is not answered in {encoding}").into());
    }
    let handler = bytes::start(bench, &answer)?;
    let again = request.send(&handler.address)?;
    if differs(&answer, &again) {
        return Err(format!("the handler answers {again} for {answer}").into());
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

/// Whether two answers are not the same, their dates and how the bytes come apart.
fn differs(one: &Answer, other: &Answer) -> bool {
    let is_same = one.status() == other.status() && one.body == other.body;
    !is_same || headers(one) != headers(other)
}

fn headers(answer: &Answer) -> Vec<(String, &str)> {
    let mut headers: Vec<_> = bytes::own_headers(answer).collect();
    headers.sort_unstable();
    headers
}
