//! More requests than the server can serve: 2 and 4 times its capacity.

use std::time::Duration;

use super::list::pages;
use super::nplusone;
use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::compare::{Measured, Side, compare};
use crate::cpu::{CORES, Cpu, CpuTimes};
use crate::load::{Run, pause};
use crate::paced::{Pace, PacedRun, run_paced};
use crate::report::{Promise, Section};
use crate::samples::users_with_a_page;
use crate::workload::percentile;

/// Connections of the load: far more than the server executes and queues.
const CONNECTIONS: u32 = 768;
/// Connections of the clients that measure the capacity.
const CLOSED_LOOP_CONNECTIONS: u32 = 16;
/// Load factor of the baseline.
const UNLOADED: f64 = 0.1;
/// Pause until overload has ended.
const RECOVERY_PAUSE: Duration = Duration::from_secs(3);
const GOODPUT: f64 = 0.9;
const P99_RATIO: f64 = 3.0;
const REFUSAL_MILLISECONDS: f64 = 10.0;

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("overload: requests at 2 and 4 times the capacity");
    section.paragraph(
        "At a rate of its own, by 768 connections (32 below the capacity) on which a request is sent whether or not the server is ready for it.",
    );
    let list = pages(bench, &users_with_a_page(bench, Database::Full)?)?;
    measure(bench, &mut section, "Pages of 20 readings:", &list)?;
    let nested = nplusone::question(bench, Database::Full)?.requests;
    measure(bench, &mut section, "20 users, 5 readings of each, their cards:", &nested)?;
    Ok(section)
}

fn measure(bench: &Bench, section: &mut Section, title: &str, requests: &[Request]) -> Outcome {
    let server = bench.start_server(Database::Full)?;
    let side = || Side::http(bench, "capacity", &server, requests);
    let capacity = || -> Outcome<Measured> {
        let mut measured = compare(bench, &[side()?], CLOSED_LOOP_CONNECTIONS)?;
        measured.pop().ok_or_else(|| "no side was measured".into())
    };
    let seconds = 3 * bench.arguments.seconds;
    let mut before = capacity()?;
    let mut runs = Vec::new();
    for factor in [UNLOADED, 0.8, 1.0, 2.0, 4.0] {
        // The server closes connections on which nothing is sent for long.
        let connections = if factor < 1.0 { CONNECTIONS / 24 } else { CONNECTIONS };
        let per_second = factor * before.median(|run| run.per_second);
        let times = CpuTimes::now(bench, &server)?;
        let run = run_paced(&server.address, requests, Pace { per_second, connections, seconds })?;
        let cores = times.until(&CpuTimes::now(bench, &server)?);
        pause(RECOVERY_PAUSE);
        // The speed of the machine may change: the capacity is measured before and after each run.
        let after = capacity()?;
        let capacity = Capacity::between(&before, &after);
        runs.push(Overload { factor, seconds, run, cores, capacity });
        before = after;
    }
    section.paragraph(title);
    section.sides(&[before]);
    let head = [
        "of capacity",
        "capacity/s",
        "served/s",
        "P50 ms",
        "P99 ms",
        "refused/s",
        "P99 of refusals",
        "late",
        CORES,
    ];
    let rows: Vec<_> = runs.iter().map(Overload::row).collect();
    section.table(&head, &rows);
    for overload in &runs[3..] {
        overload.judge(&runs[0], section);
    }
    Ok(())
}

/// Throughput of closed-loop clients.
struct Capacity {
    per_second: f64,
    /// For each core that server and database use.
    per_core: f64,
}

impl Capacity {
    fn between(before: &Measured, after: &Measured) -> Self {
        let mean =
            |value: fn(&Run) -> f64| f64::midpoint(before.median(value), after.median(value));
        Self {
            per_second: mean(|run| run.per_second),
            per_core: mean(|run| 1e6 / (run.own_cpu + run.postgres_cpu)),
        }
    }
}

/// A run at a multiple of the capacity.
struct Overload {
    factor: f64,
    seconds: u64,
    run: PacedRun,
    cores: Cpu,
    capacity: Capacity,
}

impl Overload {
    fn row(&self) -> Vec<String> {
        let Self { factor, run, cores, capacity, .. } = self;
        let milliseconds = |times: &[u32], percent| format!("{:.2}", percentile(times, percent));
        vec![
            factor.to_string(),
            format!("{:.0}", capacity.per_second),
            format!("{:.0}", self.per_second(&run.served)),
            milliseconds(&run.served, 50),
            milliseconds(&run.served, 99),
            format!("{:.0}", self.per_second(&run.refused)),
            milliseconds(&run.refused, 99),
            run.late.to_string(),
            cores.to_string(),
        ]
    }

    fn judge(&self, unloaded: &Self, section: &mut Section) {
        let Self { factor, run, cores, capacity, .. } = self;
        let served = self.per_second(&run.served);
        let mut promise = |what: &str, promise, value| {
            section.promise(&format!("{what} at {factor} times the capacity"), promise, value);
        };
        let goodput = Promise::AtLeast(GOODPUT, "");
        promise("Served, of the capacity,", goodput, served / capacity.per_second);
        // Clients share the cores with the server, so goodput is compared for each core as well.
        let per_core = served / (cores.server + cores.postgres);
        let goodput = Promise::AtLeast(GOODPUT, "");
        promise(
            "Served for each core of server and database, of that at the capacity,",
            goodput,
            per_core / capacity.per_core,
        );
        let ratio = percentile(&run.served, 99) / percentile(&unloaded.run.served, 99);
        promise(
            "P99 of what is served, of that without load,",
            Promise::AtMost(P99_RATIO, ""),
            ratio,
        );
        promise(
            "P99 of a refusal",
            Promise::AtMost(REFUSAL_MILLISECONDS, " ms"),
            percentile(&run.refused, 99),
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    fn per_second(&self, times: &[u32]) -> f64 {
        times.len() as f64 / self.seconds as f64
    }
}
