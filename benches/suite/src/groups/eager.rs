//! The data of `nplusone` in a statement a level against a statement a parent.

use super::nplusone::question;
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::compare::{SERVER, Side, compare};
use crate::references::Implementation;
use crate::report::{Promise, Section};
use crate::statements::observe;

/// Minimum percentage of time that batched loading saves.
const SAVED_PERCENT: f64 = 80.0;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("eager: a statement a level against a statement a parent");
    let question = question(bench, Database::Full)?;
    let statements = observe(bench, Database::Full, &question.requests)?;
    let server = bench.start_server(Database::Full)?;
    let at_once = question.start_reference(bench, Implementation::Rows, &statements, &server)?;
    let one_by_one =
        question.start_reference(bench, Implementation::OneByOne, &statements, &server)?;
    let to_references = question.to_references();
    // One for the users, one for the readings of each, one for the cards of each of five readings.
    let (count, parents) = (statements[0].len(), question.users[0].len());
    let sides = [
        Side::http(bench, "one by one", &one_by_one, &to_references)?
            .with_statements(1 + parents + parents * 5),
        Side::http(bench, "at once", &at_once, &to_references)?.with_statements(count),
        Side::http(bench, SERVER, &server, &question.requests)?,
    ];
    let measured = compare(bench, &sides, 1)?;
    section.paragraph("Both references are written with sqlx and serde; at 1 connection:");
    section.sides_beside(&measured, &measured[0]);
    for side in &measured[1..] {
        let saved = 100.0 * (1.0 - side.ratio(&measured[0], |run| run.p50));
        let what = format!("Time saved by {}", side.name);
        section.promise(&what, Promise::AtLeast(SAVED_PERCENT, " %"), saved);
    }
    Ok(section)
}
