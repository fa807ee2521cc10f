//! More requests than the server can serve: 2 and 4 times its capacity.

use super::list::pages;
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::compare::{Side, compare};
use crate::paced::{Pace, PacedRun, run_paced};
use crate::report::{Promise, Section};
use crate::samples::users_with_a_page;
use crate::workload::percentile;

/// Connections of the load: far more than the server executes and queues.
const CONNECTIONS: u32 = 768;
/// Load that is none.
const UNLOADED: f64 = 0.1;
const GOODPUT: f64 = 0.9;
const P99_RATIO: f64 = 3.0;
const REFUSAL_MILLISECONDS: f64 = 10.0;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("overload: requests at 2 and 4 times the capacity");
    let requests = pages(bench, &users_with_a_page(bench, Database::Full)?)?;
    let server = bench.start_server(Database::Full)?;
    let measured = compare(bench, &[Side::http(bench, "capacity", &server, &requests)?], 16)?;
    let capacity = measured[0].median(|run| run.per_second);
    section.sides(&measured);
    let at = |factor: f64| {
        let seconds = 3 * bench.arguments.seconds;
        // The server closes connections on which nothing is sent for long.
        let connections = if factor < 1.0 { CONNECTIONS / 24 } else { CONNECTIONS };
        let pace = Pace { per_second: capacity * factor, connections, seconds };
        run_paced(&server.address, &requests, pace)
    };
    let mut rows = Vec::new();
    let mut runs = Vec::new();
    for factor in [UNLOADED, 0.8, 1.0, 2.0, 4.0] {
        let run = at(factor)?;
        rows.push(row(factor, &run, 3 * bench.arguments.seconds));
        runs.push(run);
    }
    section.paragraph(
        "At a rate of its own, by 768 connections (32 below the capacity) on which a request is sent whether or not the server is ready for it:",
    );
    let head =
        ["of capacity", "served/s", "P50 ms", "P99 ms", "refused/s", "P99 of refusals", "late"];
    section.table(&head, &rows);
    let unloaded = percentile(&runs[0].served, 99);
    for (run, what) in [(&runs[3], "2"), (&runs[4], "4")] {
        let goodput = per_second(&run.served, 3 * bench.arguments.seconds) / capacity;
        let title = format!("Served at {what} times the capacity, of the capacity");
        section.promise(&title, Promise::AtLeast(GOODPUT, ""), goodput);
        let title =
            format!("P99 of what is served at {what} times the capacity, of that without load");
        section.promise(
            &title,
            Promise::AtMost(P99_RATIO, ""),
            percentile(&run.served, 99) / unloaded,
        );
        let title = format!("P99 of a refusal at {what} times the capacity");
        section.promise(
            &title,
            Promise::AtMost(REFUSAL_MILLISECONDS, " ms"),
            percentile(&run.refused, 99),
        );
    }
    Ok(section)
}

fn row(factor: f64, run: &PacedRun, seconds: u64) -> Vec<String> {
    let per_second = |times: &[u32]| format!("{:.0}", per_second(times, seconds));
    let milliseconds = |times: &[u32], percent| format!("{:.2}", percentile(times, percent));
    vec![
        factor.to_string(),
        per_second(&run.served),
        milliseconds(&run.served, 50),
        milliseconds(&run.served, 99),
        per_second(&run.refused),
        milliseconds(&run.refused, 99),
        run.late.to_string(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn per_second(times: &[u32], seconds: u64) -> f64 {
    times.len() as f64 / seconds as f64
}
