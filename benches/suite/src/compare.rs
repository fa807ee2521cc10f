//! Sides of a comparison, measured in turn: A B A B …, so that changes of the machine's load affect all of
//! them alike.

use std::io::Write as _;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::load::{Run, Script, pgbench, wrk};
use crate::processes::Process;
use crate::statements::{Scripts, Statement};
use crate::workload::{Schedule, Workload, run_workload};

/// Name of the server's side.
pub const SERVER: &str = "server";

const WARM_UP_SECONDS: u64 = 1;
/// Duration of a round of a mixed workload, as a multiple of other rounds.
pub const WORKLOAD_DURATION_FACTOR: u64 = 3;

/// One side of a comparison.
pub struct Side<'a> {
    pub name: String,
    kind: Kind<'a>,
    bytes: Option<usize>,
    statements: Option<usize>,
}

enum Kind<'a> {
    Http { process: &'a Process, script: Script },
    Pgbench { database: Database, scripts: Scripts },
    Workload { process: &'a Process, workload: &'a dyn Workload },
}

/// Measurements of a side.
pub struct Measured {
    pub name: String,
    /// One run per round.
    pub runs: Vec<Run>,
    /// Median bytes of the response bodies.
    pub bytes: Option<usize>,
    /// Maximum SQL statements of a request.
    pub statements: Option<usize>,
    /// Peak memory in bytes.
    pub peak_memory: Option<u64>,
}

impl<'a> Side<'a> {
    /// A program that serves these requests. Each is sent once, to verify its response.
    pub fn http(
        bench: &Bench,
        name: &str,
        process: &'a Process,
        requests: &[Request],
    ) -> Outcome<Self> {
        let mut bytes = Vec::with_capacity(requests.len());
        let mut statements = None;
        for request in requests {
            let response = request.send(&process.address)?;
            bytes.push(response.body.len());
            statements = statements.max(response.cost().map(|cost| cost.statements));
        }
        bytes.sort_unstable();
        let script = Script::write(bench, requests)?;
        Ok(Self {
            name: name.to_owned(),
            kind: Kind::Http { process, script },
            bytes: bytes.get(bytes.len() / 2).copied(),
            statements,
        })
    }

    /// Only the statements of these requests.
    pub fn pgbench(
        bench: &Bench,
        database: Database,
        requests: &[Vec<Statement>],
    ) -> Outcome<Self> {
        Ok(Self {
            name: "pgbench".to_owned(),
            kind: Kind::Pgbench { database, scripts: Scripts::write(bench, requests)? },
            bytes: None,
            statements: requests.iter().map(Vec::len).max(),
        })
    }

    /// A program under a mixed workload, which is the same for all programs in the same round.
    pub fn workload(name: &str, process: &'a Process, workload: &'a dyn Workload) -> Self {
        let kind = Kind::Workload { process, workload };
        Self { name: name.to_owned(), kind, bytes: None, statements: None }
    }

    /// Sets the number of statements of a side whose responses do not report it.
    #[must_use]
    pub const fn with_statements(mut self, statements: usize) -> Self {
        self.statements = Some(statements);
        self
    }

    fn run(&self, bench: &Bench, connections: u32, round: u64) -> Outcome<Run> {
        let seconds = bench.arguments.seconds;
        match &self.kind {
            Kind::Http { process, script } => {
                wrk(bench, process, script, connections, WARM_UP_SECONDS)?;
                wrk(bench, process, script, connections, seconds)
            }
            Kind::Pgbench { database, scripts } => {
                pgbench(bench, *database, scripts, connections, seconds)
            }
            Kind::Workload { process, workload } => {
                // The seed of a warm-up is that of no round.
                let warm_up =
                    Schedule { seconds: WARM_UP_SECONDS, seed: u64::from(u32::MAX) - round };
                run_workload(bench, process, *workload, connections, warm_up)?;
                let measured =
                    Schedule { seconds: WORKLOAD_DURATION_FACTOR * seconds, seed: round };
                Ok(run_workload(bench, process, *workload, connections, measured)?.run)
            }
        }
    }
}

/// Measures all sides, round by round.
pub fn compare(bench: &Bench, sides: &[Side<'_>], connections: u32) -> Outcome<Vec<Measured>> {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); sides.len()];
    for number in 1..=bench.arguments.rounds {
        for (side, runs) in sides.iter().zip(&mut runs) {
            let run = side.run(bench, connections, number as u64)?;
            // Progress; the results go to standard output.
            let rate = run.per_second;
            let _ = writeln!(std::io::stderr(), "   round {number}: {}: {rate:.0}/s", side.name);
            runs.push(run);
        }
    }
    sides
        .iter()
        .zip(runs)
        .map(|(side, runs)| {
            let peak_memory = match &side.kind {
                Kind::Http { process, .. } | Kind::Workload { process, .. } => {
                    Some(process.peak_memory()?)
                }
                Kind::Pgbench { .. } => None,
            };
            Ok(Measured {
                name: side.name.clone(),
                runs,
                bytes: side.bytes,
                statements: side.statements,
                peak_memory,
            })
        })
        .collect()
}

impl Measured {
    /// The median of the rounds.
    pub fn median(&self, value: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(value).collect())
    }

    /// The median of the ratios of each round.
    pub fn ratio(&self, to: &Self, value: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().zip(&to.runs).map(|(run, to)| value(run) / value(to)).collect())
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}
