//! Twenty users, the first five readings of each, the cards of each of those.

use serde_json::json;
use uuid::Uuid;
use wasteland_tarot::graphql::id::GlobalId;

use super::yardsticks::{Scenario, against_pgbench, on_embedded};
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::references::Page;
use crate::report::Section;
use crate::samples::sets_of_users;

/// About 55 KB. references/rows.rs and references/nplusone.sql return the same fields.
const NPLUSONE: &str = "query NPlusOne($ids: [ID!]!) { nodes(ids: $ids) { ... on User { \
    id username displayName readings(first: 5) { pageInfo { hasNextPage endCursor } nodes { \
    id question createdAt spread { name displayName } \
    cards { orientation positionName card { name } } } } } } }";

/// The same with every text and id.
const NPLUSONE_WITH_ALL_TEXTS: &str = "query WholeNPlusOne($ids: [ID!]!) { nodes(ids: $ids) { ... on User { \
    id username displayName readings(first: 5) { pageInfo { hasNextPage endCursor } nodes { \
    id question createdAt spread { name displayName } \
    cards { id position orientation positionName interpretation card { id name suit } } } } } } }";

const USERS: usize = 20;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("nplusone: 20 users, 5 readings of each, their cards");
    let question = question(bench, Database::Full)?;
    question.measure(bench, &mut section)?;
    section.paragraph("With all texts and ids, which come from the same statements:");
    let requests: Vec<Request> =
        question.users.iter().map(|users| request(NPLUSONE_WITH_ALL_TEXTS, users)).collect();
    against_pgbench(bench, &mut section, &requests)?;
    let embedded = self::question(bench, Database::Tenth)?;
    on_embedded(bench, &mut section, &embedded.requests)?;
    Ok(section)
}

/// The query for sets of users of that database.
pub fn question(bench: &Bench, database: Database) -> Outcome<Scenario> {
    let users = sets_of_users(bench, database, USERS)?;
    let requests = users.iter().map(|users| request(NPLUSONE, users)).collect();
    Ok(Scenario { page: Page::NPlusOne, users, requests })
}

/// An anonymous query about these users.
pub fn request(query: &str, users: &[Uuid]) -> Request {
    let ids: Vec<_> = users.iter().map(|id| GlobalId::User(*id).encode().0).collect();
    Request::anonymous(query, &json!({ "ids": ids }))
}
