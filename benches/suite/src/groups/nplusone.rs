//! Twenty users, the first five readings of each, the cards of each of those.

use serde_json::json;
use uuid::Uuid;
use wasteland_tarot::graphql::id::GlobalId;

use crate::Outcome;
use crate::bench::{Bench, CONNECTIONS, Database};
use crate::client::Request;
use crate::compare::{Side, compare};
use crate::report::{Promise, Section};
use crate::samples::sets_of_users;
use crate::statements::observe;

pub const KILLER: &str = "query Killer($ids: [ID!]!) { nodes(ids: $ids) { ... on User { \
    id username displayName readings(first: 5) { pageInfo { hasNextPage endCursor } nodes { \
    id question createdAt spread { name displayName } \
    cards { id position orientation positionName interpretation card { id name suit } } } } } } }";

pub fn killer(users: &[Uuid]) -> Request {
    let ids: Vec<_> = users.iter().map(|id| GlobalId::User(*id).encode().to_string()).collect();
    Request::of_nobody(KILLER, &json!({ "ids": ids }))
}

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("nplusone: 20 users, 5 readings of each, their cards");
    let requests: Vec<Request> =
        sets_of_users(bench, Database::Full, 20)?.iter().map(|users| killer(users)).collect();
    let statements = observe(bench, Database::Full, &requests)?;
    let server = bench.start_server(Database::Full)?;
    let sides = [
        Side::http(bench, "server", &server, &requests)?,
        Side::pgbench(bench, Database::Full, "", &statements)?,
    ];
    let measured = compare(bench, &sides, CONNECTIONS)?;
    section.sides(&measured, "pgbench");
    let ratio = measured[0].ratio(&measured[1], |run| run.per_second);
    section.promise("Requests/s of pgbench's", Promise::AtLeast(0.7, ""), ratio);
    Ok(section)
}
