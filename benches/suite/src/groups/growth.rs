//! The same queries on a database ten times the size, and with more parents.

use serde_json::json;

use super::list::pages;
use super::nplusone::request;
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::compare::{Side, compare};
use crate::report::{Promise, Section};
use crate::samples::{sets_of_users, users_with_a_page};

const FEED: &str = "query Feed { publicReadings(first: 20) { \
    pageInfo { hasNextPage endCursor } nodes { id question createdAt summary } } }";
const PARENTS: &str = "query Parents($ids: [ID!]!) { nodes(ids: $ids) { ... on User { \
    username readings(first: 5) { nodes { question } } } } }";

/// Maximum ratio of the cost with ten times the rows.
const GROWTH: f64 = 1.3;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("growth: ten times the rows, and more parents");
    let full = bench.start_server(Database::Full)?;
    let tenth = bench.start_server(Database::Tenth)?;
    let pages_of = |database| pages(bench, &users_with_a_page(bench, database)?);
    let feed = [Request::anonymous(FEED, &json!({}))];
    let comparisons = [
        [
            Side::http(bench, "list, tenth", &tenth, &pages_of(Database::Tenth)?)?,
            Side::http(bench, "list, full", &full, &pages_of(Database::Full)?)?,
        ],
        [
            Side::http(bench, "feed, tenth", &tenth, &feed)?,
            Side::http(bench, "feed, full", &full, &feed)?,
        ],
    ];
    section.paragraph("At 1 connection:");
    for sides in &comparisons {
        let measured = compare(bench, sides, 1)?;
        section.sides_beside(&measured, &measured[0]);
        let ratio = measured[1].ratio(&measured[0], |run| run.p50);
        section.promise("Median time of the tenth's", Promise::AtMost(GROWTH, ""), ratio);
    }

    let mut sides = Vec::new();
    for parents in [1, 20, 100] {
        let sets = sets_of_users(bench, Database::Full, parents)?;
        let requests: Vec<Request> = sets.iter().map(|users| request(PARENTS, users)).collect();
        sides.push(Side::http(bench, &format!("{parents} parents"), &full, &requests)?);
    }
    section.paragraph("Users with 5 readings of each, in as many statements for 100 as for 1:");
    let measured = compare(bench, &sides, 1)?;
    section.sides_beside(&measured, &measured[0]);
    Ok(section)
}
