//! Sides of a comparison, measured in turn: A B A B …, so that what changes on the machine meanwhile
//! meets all of them.

use std::io::Write as _;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::Request;
use crate::crowd::{Questions, visit};
use crate::load::{Run, Script, pgbench, wrk};
use crate::processes::Process;
use crate::statements::{Scripts, Statement};

/// The server.
pub const SERVER: &str = "server";

const WARM_UP_SECONDS: u64 = 1;
/// A round in which no request is like another takes so many times as long as others.
pub const CROWD_LASTS: u64 = 3;

/// One of those that are compared.
pub struct Side<'a> {
    pub name: String,
    kind: Kind<'a>,
    bytes: Option<usize>,
    statements: Option<usize>,
}

enum Kind<'a> {
    Http { process: &'a Process, script: Script },
    Pgbench { database: Database, scripts: Scripts },
    Crowd { process: &'a Process, questions: &'a dyn Questions },
}

/// What was measured of a side.
pub struct Measured {
    pub name: String,
    /// One a round.
    pub runs: Vec<Run>,
    /// Of the answers' bodies, the median.
    pub bytes: Option<usize>,
    /// SQL statements of a request, the most.
    pub statements: Option<usize>,
    /// Bytes.
    pub peak_memory: Option<u64>,
}

impl<'a> Side<'a> {
    /// A program that answers these requests. Each is sent once to see that it is answered well.
    pub fn http(
        bench: &Bench,
        name: &str,
        process: &'a Process,
        requests: &[Request],
    ) -> Outcome<Self> {
        let mut bytes = Vec::with_capacity(requests.len());
        let mut statements = None;
        for request in requests {
            let answer = request.send(&process.address)?;
            bytes.push(answer.body.len());
            statements = statements.max(answer.cost().map(|cost| cost.statements));
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

    /// The statements of these requests and nothing else.
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

    /// A program that answers what a crowd asks: the same in the same round, whichever program it is.
    pub fn crowd(name: &str, process: &'a Process, questions: &'a dyn Questions) -> Self {
        let kind = Kind::Crowd { process, questions };
        Self { name: name.to_owned(), kind, bytes: None, statements: None }
    }

    /// A side whose statements the suite knows and the answers do not say.
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
            Kind::Crowd { process, questions } => {
                // What is asked while it warms up is asked in no round.
                let warm_up = (WARM_UP_SECONDS, u64::from(u32::MAX) - round);
                visit(bench, process, *questions, connections, warm_up)?;
                let lasts = (CROWD_LASTS * seconds, round);
                Ok(visit(bench, process, *questions, connections, lasts)?.run)
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
            // For whoever waits; the results go to standard output.
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
                Kind::Http { process, .. } | Kind::Crowd { process, .. } => {
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
