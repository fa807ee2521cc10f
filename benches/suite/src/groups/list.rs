//! A page of 20 readings of the signed-in user, with spread, cards and texts.

use serde_json::json;
use uuid::Uuid;

use super::yardsticks::{Scenario, against_pgbench, on_embedded};
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::references::Page;
use crate::report::Section;
use crate::samples::users_with_a_page;

/// About 21 KB. references/rows.rs and references/list.sql return the same fields.
pub const PAGE: &str = "query Page($n: Int!) { viewer { readings(first: $n) { \
    pageInfo { hasNextPage endCursor } edges { cursor node { \
    id question createdAt karmaContext characterVoice tags isFavorite summary \
    spread { name displayName } \
    cards { position orientation positionName card { code name suit } } } } } } }";

/// The same with every text and id.
const WHOLE_PAGE: &str = "query WholePage($n: Int!) { viewer { readings(first: $n) { \
    pageInfo { hasNextPage endCursor } edges { cursor node { \
    id question createdAt karmaContext characterVoice tags isFavorite summary interpretation \
    spread { id name displayName } \
    cards { id position orientation positionName interpretation \
    card { id code name suit imageUrl } } } } } } }";

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("list: a page of 20 readings of the signed-in user");
    let users = users_with_a_page(bench, Database::Full)?;
    let question = Scenario {
        page: Page::List,
        requests: pages(bench, &users)?,
        users: users.iter().map(|user| vec![*user]).collect(),
    };
    question.measure(bench, &mut section)?;
    section.paragraph("With all texts and ids, which come from the same statements:");
    let requests = requests(bench, WHOLE_PAGE, &users)?;
    against_pgbench(bench, &mut section, &requests)?;
    let users = users_with_a_page(bench, Database::Tenth)?;
    on_embedded(bench, &mut section, &pages(bench, &users)?)?;
    Ok(section)
}

/// The page of each of these users.
pub fn pages(bench: &Bench, users: &[Uuid]) -> Outcome<Vec<Request>> {
    requests(bench, PAGE, users)
}

fn requests(bench: &Bench, query: &str, users: &[Uuid]) -> Outcome<Vec<Request>> {
    users
        .iter()
        .map(|user| Request::authenticated(bench, *user, query, &json!({ "n": 20 })))
        .collect()
}
