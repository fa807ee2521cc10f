//! Load at a rate of its own: requests are sent at their times, whether or not earlier ones were answered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::client::{Connection, Request};
use crate::load::pause;
use crate::workload::run_clients;

/// Time at the beginning that is not measured: the server learns of the load.
const WARM_UP: Duration = Duration::from_secs(1);

/// Status of a refused request.
const REFUSED: u16 = 503;

/// Requests at a constant rate, over many connections.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Requests of all connections in a second.
    pub per_second: f64,
    pub connections: u32,
    pub seconds: u64,
}

/// Times of the responses in microseconds, in ascending order.
#[derive(Debug, Clone, Default)]
pub struct PacedRun {
    pub served: Vec<u32>,
    pub refused: Vec<u32>,
    /// Requests that could not be sent at their time, because their connection waited for a response.
    pub late: usize,
}

impl PacedRun {
    fn merge(&mut self, other: Self) {
        self.served.extend(other.served);
        self.refused.extend(other.refused);
        self.late += other.late;
    }
}

/// Sends the requests in turn at that pace. Each client has a connection, and a share of the requests' times.
///
/// # Errors
///
/// A response is neither a success nor a refusal.
pub fn run_paced(address: &str, requests: &[Request], pace: Pace) -> Outcome<PacedRun> {
    let Pace { per_second, connections, seconds } = pace;
    let interval = Duration::from_secs_f64(1.0 / per_second);
    let started = Instant::now() + Duration::from_millis(200);
    let measured_from = started + WARM_UP;
    let until = measured_from + Duration::from_secs(seconds);
    let next_request = AtomicUsize::new(0);
    let client = |number: u32| -> Outcome<PacedRun> {
        let mut connection = Connection::open(address)?;
        let mut run = PacedRun::default();
        let own = |turn: u32| started + interval * (turn * connections + number);
        for at in (0..).map(own).take_while(|at| *at < until) {
            let now = Instant::now();
            if now < at {
                pause(at - now);
            } else if now > at + interval * connections {
                run.late += usize::from(at >= measured_from);
                continue;
            }
            let request = next_request.fetch_add(1, Ordering::Relaxed) % requests.len();
            let sent = Instant::now();
            let response = connection.send(&requests[request])?;
            let took = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
            if at < measured_from && (response.is_success() || response.status() == REFUSED) {
                continue;
            }
            if response.is_success() {
                run.served.push(took);
            } else if response.status() == REFUSED {
                run.refused.push(took);
            } else {
                return Err(format!("{:?} got {response}", requests[request]).into());
            }
        }
        Ok(run)
    };
    let mut whole = PacedRun::default();
    for run in run_clients(connections, client) {
        whole.merge(run?);
    }
    whole.served.sort_unstable();
    whole.refused.sort_unstable();
    Ok(whole)
}
