//! A workload of different requests: clients with a connection each, which send a request, read the
//! response and send the next. wrk can only repeat prepared requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bench::Bench;
use crate::client::{Connection, Cost, HttpResponse, Request};
use crate::load::Run;
use crate::processes::{Process, cpu_with_children};
use crate::{Failure, Outcome};

/// Generator of requests.
pub trait Workload: Sync {
    /// Names of the kinds of requests.
    fn kinds(&self) -> Vec<&'static str>;

    /// The next request, with the index of its kind.
    fn next(&self, rng: &mut StdRng) -> (usize, Request);
}

/// Results of the requests of a kind.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Microseconds of each request, in ascending order at the end.
    pub took: Vec<u32>,
    pub statements: usize,
    pub hits: usize,
    pub misses: usize,
}

/// Results of a workload.
pub struct WorkloadRun {
    pub run: Run,
    /// One tally per kind.
    pub tallies: Vec<Tally>,
}

/// Duration and seed of a workload. The same seed generates the same requests.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub seconds: u64,
    pub seed: u64,
}

/// Runs a workload.
pub fn run_workload(
    bench: &Bench,
    process: &Process,
    workload: &dyn Workload,
    connections: u32,
    Schedule { seconds, seed }: Schedule,
) -> Outcome<WorkloadRun> {
    let kinds = workload.kinds().len();
    let failed = AtomicBool::new(false);
    let postmaster = bench.postmaster()?;
    let (own, postgres) = (process.cpu()?, cpu_with_children(postmaster)?);
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let client = |number: u32| -> Outcome<Vec<Tally>> {
        // Unique for each client and round.
        let mut rng = StdRng::seed_from_u64(seed << 32 | u64::from(number));
        let mut tallies = vec![Tally::default(); kinds];
        let mut connection = Connection::open(&process.address)?;
        while Instant::now() < until && !failed.load(Ordering::Relaxed) {
            let (kind, request) = workload.next(&mut rng);
            let sent = Instant::now();
            let response = connection.send(&request)?;
            let took = sent.elapsed();
            if !response.is_success() || response.has_user_errors() {
                return Err(format!("{request:?} got {response}").into());
            }
            tallies[kind].add(took, &response);
        }
        Ok(tallies)
    };
    // A failure stops all clients.
    let client =
        |number: u32| client(number).inspect_err(|_| failed.store(true, Ordering::Relaxed));
    let all = run_clients(connections, client);
    let elapsed = started.elapsed();
    let (own, postgres) = (process.cpu()? - own, cpu_with_children(postmaster)? - postgres);
    let mut tallies = vec![Tally::default(); kinds];
    for of_client in all {
        for (tally, more) in tallies.iter_mut().zip(of_client?) {
            tally.merge(more);
        }
    }
    let mut whole = Tally::default();
    for tally in &mut tallies {
        tally.took.sort_unstable();
        whole.merge(tally.clone());
    }
    whole.took.sort_unstable();
    let requests = whole.requests();
    if requests < 1.0 {
        return Err("no request succeeded".into());
    }
    let run = Run {
        per_second: requests / elapsed.as_secs_f64(),
        p50: whole.percentile(50),
        p95: whole.percentile(95),
        p99: whole.percentile(99),
        own_cpu: own / requests,
        postgres_cpu: postgres / requests,
    };
    Ok(WorkloadRun { run, tallies })
}

impl Tally {
    fn add(&mut self, took: Duration, response: &HttpResponse) {
        let Cost { statements, hits, misses } = response.cost().unwrap_or_default();
        self.took.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.statements += statements;
        self.hits += hits;
        self.misses += misses;
    }

    fn merge(&mut self, other: Self) {
        self.took.extend(other.took);
        self.statements += other.statements;
        self.hits += other.hits;
        self.misses += other.misses;
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub fn requests(&self) -> f64 {
        self.took.len() as f64
    }

    /// Milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.took, percent)
    }
}

/// Milliseconds below which that percentage of the times lies. These are microseconds in ascending order.
pub fn percentile(times: &[u32], percent: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).map_or(f64::NAN, |took| f64::from(*took) / 1e3)
}

/// Runs that many clients, each with its number, in a thread of its own.
pub fn run_clients<T: Send>(
    number: u32,
    client: impl Fn(u32) -> Outcome<T> + Sync,
) -> Vec<Outcome<T>> {
    std::thread::scope(|scope| {
        let client = &client;
        let running: Vec<_> =
            (0..number).map(|number| scope.spawn(move || client(number))).collect();
        let ended = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(Failure::from("a client panicked")))
        };
        running.into_iter().map(ended).collect()
    })
}
