//! Pages far down a list against its first page, and the cost of a count.

use serde_json::{Value, json};

use crate::Outcome;
use crate::bench::{Bench, CONNECTIONS, Database};
use crate::client::Request;
use crate::compare::{Side, compare};
use crate::report::{Promise, Section};
use crate::samples::{count, cursor_after, heaviest_user};

const FEED: &str = "query Feed($after: String) { publicReadings(first: 20, after: $after) { \
    pageInfo { hasNextPage endCursor } nodes { id question createdAt summary } } }";
const FEED_WITH_TOTAL: &str = "query FeedWithTotal { publicReadings(first: 20) { totalCount \
    pageInfo { hasNextPage endCursor } nodes { id question createdAt summary } } }";
const OWN: &str = "query Own($after: String) { viewer { readings(first: 20, after: $after) { \
    pageInfo { hasNextPage endCursor } nodes { id question createdAt summary } } } }";
const OWN_WITH_TOTAL: &str = "query OwnWithTotal { viewer { readings(first: 20) { totalCount \
    pageInfo { hasNextPage endCursor } nodes { id question createdAt summary } } } }";

const PAGE_ROWS: usize = 20;
/// 100,000 rows in.
const DEEP_PAGE: usize = 5_000;
/// Maximum ratio of the cost of a deep page to that of the first.
const GROWTH: f64 = 1.2;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("deep: pages far down a list");
    let server = bench.start_server(Database::Full)?;

    let public = "privacy_level = 'public' AND archived_at IS NULL";
    let rows = count(bench, Database::Full, public)?;
    let skipped = ((DEEP_PAGE - 1) * PAGE_ROWS).min(rows.saturating_sub(PAGE_ROWS + 1));
    let list = "publicReadings:CREATED_AT:DESC";
    let ask_after = |skipped: usize| -> Outcome<Vec<Request>> {
        let after = cursor_after(bench, Database::Full, list, public, skipped)?;
        Ok(vec![Request::anonymous(FEED, &json!({ "after": after }))])
    };
    let first = [Request::anonymous(FEED, &json!({}))];
    let name = format!("feed, page {}", skipped / PAGE_ROWS + 1);
    let sides = [
        Side::http(bench, "feed, page 1", &server, &first)?,
        Side::http(bench, "feed, page 2", &server, &ask_after(PAGE_ROWS)?)?,
        Side::http(bench, &name, &server, &ask_after(skipped)?)?,
    ];
    section.paragraph("Page 2 shows what a cursor costs anywhere.");
    measure(bench, &mut section, &sides)?;

    let user = heaviest_user(bench, Database::Full)?;
    let own = format!("user_id = '{user}' AND archived_at IS NULL");
    let rows = count(bench, Database::Full, &own)?;
    let list = "User.readings:CREATED_AT:DESC";
    let ask = |query: &str, variables: &Value| -> Outcome<Vec<Request>> {
        Ok(vec![Request::authenticated(bench, user, query, variables)?])
    };
    let ask_after = |skipped: usize| -> Outcome<Vec<Request>> {
        let after = cursor_after(bench, Database::Full, list, &own, skipped)?;
        ask(OWN, &json!({ "after": after }))
    };
    let name = format!("own, last page of {}", rows.div_ceil(PAGE_ROWS));
    let sides = [
        Side::http(bench, "own, page 1", &server, &ask(OWN, &json!({}))?)?,
        Side::http(bench, "own, page 2", &server, &ask_after(PAGE_ROWS)?)?,
        Side::http(bench, &name, &server, &ask_after(rows.saturating_sub(PAGE_ROWS))?)?,
    ];
    measure(bench, &mut section, &sides)?;

    let nothing = json!({});
    let sides = [
        Side::http(bench, "feed", &server, &[Request::anonymous(FEED, &nothing)])?,
        Side::http(
            bench,
            "feed with totalCount",
            &server,
            &[Request::anonymous(FEED_WITH_TOTAL, &nothing)],
        )?,
        Side::http(bench, "own", &server, &ask(OWN, &nothing)?)?,
        Side::http(bench, "own with totalCount", &server, &ask(OWN_WITH_TOTAL, &nothing)?)?,
    ];
    section.paragraph(
        "`totalCount` is counted where it is selected and costs nothing where it is not. What \
         selecting it costs, at 1 connection:",
    );
    section.sides(&compare(bench, &sides, 1)?);
    Ok(section)
}

fn measure(bench: &Bench, section: &mut Section, sides: &[Side<'_>]) -> Outcome {
    let alone = compare(bench, sides, 1)?;
    let [first, .., deep] = &alone[..] else { return Err("sides are compared".into()) };
    section.paragraph("At 1 connection:");
    section.sides_beside(&alone, first);
    let ratio = deep.ratio(first, |run| run.p50);
    section.promise("Median time of the first page's", Promise::AtMost(GROWTH, ""), ratio);

    let many = compare(bench, sides, CONNECTIONS)?;
    let [first, .., deep] = &many[..] else { return Err("sides are compared".into()) };
    section.paragraph("At 16 connections:");
    section.sides_beside(&many, first);
    let ratio = first.ratio(deep, |run| run.per_second);
    section.promise(
        "Time for each request of the first page's",
        Promise::AtMost(GROWTH, ""),
        ratio,
    );
    Ok(())
}
