//! A page of 20 readings of the signed-in user, with spread, cards and texts.

use serde_json::json;

use crate::Outcome;
use crate::bench::{Bench, CONNECTIONS, Database};
use crate::client::Request;
use crate::compare::{Side, compare};
use crate::report::{Promise, Section};
use crate::samples::users_with_a_page;
use crate::statements::observe;

pub const PAGE: &str = "query Page($n: Int!) { viewer { readings(first: $n) { \
    pageInfo { hasNextPage endCursor } edges { cursor node { \
    id question createdAt karmaContext characterVoice tags isFavorite summary interpretation \
    spread { id name displayName } \
    cards { id position orientation positionName interpretation \
    card { id code name suit imageUrl } } } } } } }";

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("list: a page of 20 readings of the signed-in user");
    let requests: Vec<Request> = users_with_a_page(bench, Database::Full)?
        .into_iter()
        .map(|user| Request::of_user(bench, user, PAGE, &json!({ "n": 20 })))
        .collect::<Outcome<_>>()?;
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
