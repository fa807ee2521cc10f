//! The feed, with the first readings of each reading's user.

use serde_json::json;

use super::yardsticks::against_pgbench;
use crate::Outcome;
use crate::bench::Bench;
use crate::client::Request;
use crate::report::Section;

const NESTED: &str = "query Nested { publicReadings(first: 20) { nodes { user { username \
    readings(first: 5) { nodes { question } } } } } }";

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("nested: 20 public readings, 5 readings of the user of each");
    against_pgbench(bench, &mut section, &[Request::anonymous(NESTED, &json!({}))])?;
    Ok(section)
}
