//! One anonymous address that attacks, within the server's default limits, while others read.

mod connections;
mod documents;
mod http2;
mod others;
mod streams;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use others::{Others, OthersRun};

use crate::bench::{Bench, Database};
use crate::cpu::{CORES, Cpu, CpuTimes};
use crate::load::pause;
use crate::processes::Process;
use crate::report::{Promise, Section, megabytes};
use crate::workload::{percentile, run_clients};
use crate::{Failure, Outcome};

const P95_RATIO: f64 = 2.0;
const PEAK_MEGABYTES: f64 = 256.0;
/// Cores that a server at rest and its database use.
const REST: f64 = 0.02;
const REST_INTERVAL: Duration = Duration::from_secs(1);
/// Time after which a server that is not at rest is attacked nevertheless.
const REST_TIMEOUT: Duration = Duration::from_secs(30);

/// Numbers of an attacker's requests and connections, by result.
type Counts = BTreeMap<String, usize>;

/// A kind of attack.
struct Attack {
    name: &'static str,
    /// Attacks until the target is given up.
    run: fn(&Target<'_>) -> Outcome<Counts>,
}

const ATTACKS: [Attack; 3] = [
    Attack { name: "dear documents", run: documents::run },
    Attack { name: "connections", run: connections::run },
    Attack { name: "unread responses", run: streams::run },
];

/// The attacked server.
struct Target<'a> {
    address: &'a str,
    /// Address of the attacker.
    from: Ipv4Addr,
    duration: Duration,
    is_over: AtomicBool,
}

impl Target<'_> {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Measurements of a phase.
struct Phase {
    name: &'static str,
    others: OthersRun,
    /// Most memory of the server, in bytes.
    peak: u64,
    cores: Cpu,
    counts: Counts,
}

pub fn run(bench: &Bench) -> Outcome<Section> {
    let mut section = Section::new("attacks: one anonymous address against the default limits");
    let others = Others::new(bench)?;
    let server = bench.start_default_server(Database::Full)?;
    let duration = Duration::from_secs(3 * bench.arguments.seconds);
    // Fills caches and prepares statements.
    others.run(&server.address, duration / 3)?;
    let quiet = phase(bench, &server, "none", || {
        Ok((others.run(&server.address, duration)?, Counts::new()))
    })?;
    let mut phases = vec![quiet];
    for (attack, host) in ATTACKS.iter().zip(2..) {
        // The limits of an address start anew.
        let from = Ipv4Addr::new(127, 0, 0, host);
        let is_over = AtomicBool::new(false);
        let target = Target { address: &server.address, from, duration, is_over };
        phases.push(phase(bench, &server, attack.name, || attacked(attack, &target, &others))?);
    }
    section.paragraph(&format!(
        "4 other clients with addresses of their own send 10 requests a second each, for {} s; the server has the defaults of production:",
        duration.as_secs()
    ));
    let head = [
        "attack",
        "requests",
        "errors",
        "P50 ms",
        "P95 ms",
        "P99 ms",
        "of P95",
        "peak MB",
        CORES,
        "the attacker's, by result",
    ];
    let rows: Vec<_> = phases.iter().map(|phase| phase.row(&phases[0])).collect();
    section.table(&head, &rows);
    for phase in &phases[1..] {
        phase.judge(&phases[0], &mut section);
    }
    Ok(section)
}

/// Runs a phase on a server at rest.
fn phase(
    bench: &Bench,
    server: &Process,
    name: &'static str,
    run: impl FnOnce() -> Outcome<(OthersRun, Counts)>,
) -> Outcome<Phase> {
    wait_for_rest(bench, server)?;
    server.reset_peak_memory()?;
    let before = CpuTimes::now(bench, server)?;
    let (others, counts) = run()?;
    let cores = before.until(&CpuTimes::now(bench, server)?);
    Ok(Phase { name, others, peak: server.peak_memory()?, cores, counts })
}

/// Others read while the server is attacked.
fn attacked(attack: &Attack, target: &Target<'_>, others: &Others) -> Outcome<(OthersRun, Counts)> {
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| (attack.run)(target));
        let run = others.run(target.address, target.duration);
        target.is_over.store(true, Ordering::Relaxed);
        let counts = attacker.join().map_err(|_| Failure::from("the attacker panicked"))??;
        Ok((run?, counts))
    })
}

fn wait_for_rest(bench: &Bench, server: &Process) -> Outcome {
    let until = Instant::now() + REST_TIMEOUT;
    let mut before = CpuTimes::now(bench, server)?;
    while Instant::now() < until {
        pause(REST_INTERVAL);
        let now = CpuTimes::now(bench, server)?;
        let cores = before.until(&now);
        if cores.server + cores.postgres < REST {
            break;
        }
        before = now;
    }
    Ok(())
}

impl Phase {
    fn p95_of(&self, quiet: &Self) -> f64 {
        percentile(&self.others.served, 95) / percentile(&quiet.others.served, 95)
    }

    fn row(&self, quiet: &Self) -> Vec<String> {
        let milliseconds = |percent| format!("{:.2}", percentile(&self.others.served, percent));
        let counts: Vec<_> =
            self.counts.iter().map(|(result, n)| format!("{result}: {n}")).collect();
        vec![
            self.name.to_owned(),
            (self.others.served.len() + self.others.errors.len()).to_string(),
            self.others.errors.len().to_string(),
            milliseconds(50),
            milliseconds(95),
            milliseconds(99),
            format!("{:.2}", self.p95_of(quiet)),
            format!("{:.1}", megabytes(self.peak)),
            self.cores.to_string(),
            counts.join(", "),
        ]
    }

    fn judge(&self, quiet: &Self, section: &mut Section) {
        let name = self.name;
        if let Some(error) = self.others.errors.first() {
            section.paragraph(&format!("First error of the others during \"{name}\": {error}"));
        }
        let promise = Promise::AtMost(P95_RATIO, "");
        let what = format!("\"{name}\": P95 of the others, of that without an attack");
        section.promise(&what, promise, self.p95_of(quiet));
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let errors = self.others.errors.len() as f64;
        section.promise(
            &format!("\"{name}\": errors of the others"),
            Promise::AtMost(0.0, ""),
            errors,
        );
        section.promise(
            &format!("\"{name}\": peak memory of the server"),
            Promise::AtMost(PEAK_MEGABYTES, " MB"),
            megabytes(self.peak),
        );
    }
}

/// Runs the clients of an attacker, and adds up their counts.
fn run_attackers(
    connections: u32,
    client: impl Fn(u32) -> Outcome<Counts> + Sync,
) -> Outcome<Counts> {
    let mut all = Counts::new();
    for counts in run_clients(connections, client) {
        for (result, number) in counts? {
            *all.entry(result).or_default() += number;
        }
    }
    Ok(all)
}

fn count(counts: &mut Counts, result: impl Into<String>) {
    *counts.entry(result.into()).or_default() += 1;
}
