//! Open-loop load: requests are sent at their times, whether or not earlier ones were answered.

use std::cell::Cell;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep_until;

use crate::Outcome;
use crate::client::{AsyncConnection, Request};

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

/// Sends the requests in turn at that pace, from one thread: on the server's own machine, a thread for each connection
/// would take more CPU time than the server. Each client has a connection, and a share of the requests' times.
///
/// The thread has real-time priority: its own wait for a core is not latency of the server.
///
/// # Errors
///
/// A response is neither a success nor a refusal, or this process may not set priorities.
pub fn run_paced(address: &str, requests: &[Request], pace: Pace) -> Outcome<PacedRun> {
    let _priority = RealTimePriority::set()?;
    let load = Load {
        messages: requests.iter().map(|request| request.message(address)).collect(),
        next: Cell::new(0),
        pace,
        started: Instant::now() + Duration::from_millis(200),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clients = (0..pace.connections).map(|number| load.run_client(address, number));
    let mut whole = PacedRun::default();
    for run in runtime.block_on(join_all(clients)) {
        whole.merge(run?);
    }
    whole.served.sort_unstable();
    whole.refused.sort_unstable();
    Ok(whole)
}

/// Real-time priority of this thread. When it is dropped, the thread has the usual one again.
struct RealTimePriority {
    thread: String,
}

impl RealTimePriority {
    fn set() -> Outcome<Self> {
        let path = std::fs::read_link("/proc/thread-self")?;
        let thread = path.file_name().and_then(|name| name.to_str()).ok_or("no thread number")?;
        let priority = Self { thread: thread.to_owned() };
        priority.change(&["--fifo", "1"])?;
        Ok(priority)
    }

    fn change(&self, [policy, priority]: &[&str; 2]) -> Outcome {
        let mut command = Command::new("chrt");
        command.args([policy, "--pid", priority, &self.thread]).stderr(Stdio::inherit());
        let set = command.status()?.success();
        set.then_some(()).ok_or_else(|| "real-time priority needs the capability SYS_NICE".into())
    }
}

impl Drop for RealTimePriority {
    fn drop(&mut self) {
        let _ = self.change(&["--other", "0"]);
    }
}

/// Requests and schedule of all clients.
struct Load {
    messages: Vec<String>,
    /// Number of the next request.
    next: Cell<usize>,
    pace: Pace,
    started: Instant,
}

impl Load {
    async fn run_client(&self, address: &str, number: u32) -> Outcome<PacedRun> {
        let Pace { per_second, connections, seconds } = self.pace;
        let interval = Duration::from_secs_f64(1.0 / per_second);
        let measured_from = self.started + WARM_UP;
        let until = measured_from + Duration::from_secs(seconds);
        let mut connection = AsyncConnection::open(address).await?;
        let mut run = PacedRun::default();
        let own = |turn: u32| self.started + interval * (turn * connections + number);
        for at in (0..).map(own).take_while(|at| *at < until) {
            if Instant::now() > at + interval * connections {
                run.late += usize::from(at >= measured_from);
                continue;
            }
            sleep_until(at.into()).await;
            let message = &self.messages[self.next.get() % self.messages.len()];
            self.next.set(self.next.get() + 1);
            let sent = Instant::now();
            let response = connection.send(message).await?;
            let took = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
            let times = match response.status() {
                REFUSED => &mut run.refused,
                _ if response.is_success() => &mut run.served,
                _ => return Err(format!("{message} got {response}").into()),
            };
            if at >= measured_from {
                times.push(took);
            }
        }
        Ok(run)
    }
}
