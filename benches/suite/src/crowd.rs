//! A load in which no request is like another: clients who each keep a connection, ask, read the answer
//! and ask the next. wrk can only repeat what was written for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bench::Bench;
use crate::client::{Answer, Connection, Cost, Request};
use crate::load::Run;
use crate::processes::{Process, cpu_with_children};
use crate::{Failure, Outcome};

/// What the clients ask.
pub trait Questions: Sync {
    /// The kinds of questions.
    fn kinds(&self) -> Vec<&'static str>;

    /// The next question and the index of its kind.
    fn next(&self, rng: &mut StdRng) -> (usize, Request);
}

/// What came of the questions of a kind.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Microseconds of each request, in ascending order once all are there.
    pub took: Vec<u32>,
    pub statements: usize,
    pub hits: usize,
    pub misses: usize,
}

/// What came of a load.
pub struct Visits {
    pub run: Run,
    /// One a kind.
    pub tallies: Vec<Tally>,
}

/// Asks for so many seconds. The questions are the same whenever the seed is.
pub fn visit(
    bench: &Bench,
    process: &Process,
    questions: &dyn Questions,
    connections: u32,
    (seconds, seed): (u64, u64),
) -> Outcome<Visits> {
    let kinds = questions.kinds().len();
    let failed = AtomicBool::new(false);
    let postmaster = bench.postmaster()?;
    let (own, postgres) = (process.cpu()?, cpu_with_children(postmaster)?);
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let client = |number: u32| -> Outcome<Vec<Tally>> {
        // A seed of its own, and not one that another client has in another round.
        let mut rng = StdRng::seed_from_u64(seed << 32 | u64::from(number));
        let mut tallies = vec![Tally::default(); kinds];
        let mut connection = Connection::open(&process.address)?;
        while Instant::now() < until && !failed.load(Ordering::Relaxed) {
            let (kind, request) = questions.next(&mut rng);
            let asked = Instant::now();
            let answer = connection.ask(&request)?;
            let took = asked.elapsed();
            if !answer.is_good() || answer.has_user_errors() {
                return Err(format!("{request:?} was answered {answer}").into());
            }
            tallies[kind].add(took, &answer);
        }
        Ok(tallies)
    };
    // One that fails ends the others.
    let client =
        |number: u32| client(number).inspect_err(|_| failed.store(true, Ordering::Relaxed));
    let all: Vec<Outcome<Vec<Tally>>> = std::thread::scope(|scope| {
        let client = &client;
        let running: Vec<_> =
            (0..connections).map(|number| scope.spawn(move || client(number))).collect();
        let ended = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(Failure::from("a client panicked")))
        };
        running.into_iter().map(ended).collect()
    });
    let elapsed = started.elapsed();
    let (own, postgres) = (process.cpu()? - own, cpu_with_children(postmaster)? - postgres);
    let mut tallies = vec![Tally::default(); kinds];
    for of_client in all {
        for (tally, more) in tallies.iter_mut().zip(of_client?) {
            tally.take(more);
        }
    }
    let mut whole = Tally::default();
    for tally in &mut tallies {
        tally.took.sort_unstable();
        whole.take(tally.clone());
    }
    whole.took.sort_unstable();
    let requests = whole.requests();
    if requests < 1.0 {
        return Err("nothing was answered".into());
    }
    let run = Run {
        per_second: requests / elapsed.as_secs_f64(),
        p50: whole.percentile(50),
        p95: whole.percentile(95),
        p99: whole.percentile(99),
        own_cpu: own / requests,
        postgres_cpu: postgres / requests,
    };
    Ok(Visits { run, tallies })
}

impl Tally {
    fn add(&mut self, took: Duration, answer: &Answer) {
        let Cost { statements, hits, misses } = answer.cost().unwrap_or_default();
        self.took.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.statements += statements;
        self.hits += hits;
        self.misses += misses;
    }

    fn take(&mut self, other: Self) {
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
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).map_or(f64::NAN, |took| f64::from(*took) / 1e3)
    }
}
