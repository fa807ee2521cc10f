//! Clients that do no harm: cheap reads at fixed times, each client from an address of its own.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Outcome;
use crate::bench::{Bench, Database};
use crate::client::{Connection, Request};
use crate::load::pause;
use crate::samples::{query, users_with_a_page};
use crate::workload::run_clients;

const CLIENTS: u8 = 4;
/// Time between two requests of a client.
const INTERVAL: Duration = Duration::from_millis(100);
/// Number of users of which anonymous requests ask.
const USERS: usize = 500;

const USER: &str = "query User($name: String!) {
    user(username: $name) { username displayName createdAt } }";
const PAGE: &str = "{ viewer { readings(first: 20) { nodes { id question } } } }";

/// The clients' requests.
pub struct Others {
    /// Anonymous ones.
    users: Vec<Request>,
    /// One for each client.
    pages: Vec<Request>,
}

/// Measurements of all clients.
#[derive(Default)]
pub struct OthersRun {
    /// Times of the responses in microseconds, in ascending order.
    pub served: Vec<u32>,
    /// Requests without a response, and responses that are no success.
    pub errors: Vec<String>,
}

impl Others {
    pub fn new(bench: &Bench) -> Outcome<Self> {
        let names = format!("SELECT username FROM users WHERE is_active ORDER BY id LIMIT {USERS}");
        let names = query(bench, Database::Full, &names)?;
        let user = |name: &String| Request::anonymous(USER, &json!({ "name": name }));
        let readers = users_with_a_page(bench, Database::Full)?;
        let page = |client: u8| {
            let reader = readers[usize::from(client) % readers.len()];
            Request::authenticated(bench, reader, PAGE, &json!({}))
        };
        let pages = (0..CLIENTS).map(page).collect::<Outcome<_>>()?;
        Ok(Self { users: names.iter().map(user).collect(), pages })
    }

    /// Sends the requests for that long.
    pub fn run(&self, address: &str, duration: Duration) -> Outcome<OthersRun> {
        let started = Instant::now() + Duration::from_millis(200);
        let client = |number: u32| -> Outcome<OthersRun> {
            let mut client = Client::new(self, address, u8::try_from(number)?);
            // Not all at the same moment.
            let first = started + INTERVAL * number / u32::from(CLIENTS);
            let times = (0..).map(|turn| first + INTERVAL * turn);
            for (turn, at) in (0..).zip(times.take_while(|at| *at < started + duration)) {
                client.send_at(at, turn);
            }
            Ok(client.run)
        };
        let mut whole = OthersRun::default();
        for run in run_clients(CLIENTS.into(), client) {
            let run = run?;
            whole.served.extend(run.served);
            whole.errors.extend(run.errors);
        }
        whole.served.sort_unstable();
        Ok(whole)
    }
}

struct Client<'a> {
    requests: &'a Others,
    address: &'a str,
    number: u8,
    from: Ipv4Addr,
    /// Keep-alive connection of the signed-in user.
    kept: Option<Connection>,
    run: OthersRun,
}

impl<'a> Client<'a> {
    fn new(requests: &'a Others, address: &'a str, number: u8) -> Self {
        let from = Ipv4Addr::new(127, 0, 1, 1 + number);
        Self { requests, address, number, from, kept: None, run: OthersRun::default() }
    }

    /// A request at its time, or as soon as the one before it is answered. The time that it takes counts
    /// from its time.
    fn send_at(&mut self, at: Instant, turn: usize) {
        let now = Instant::now();
        let mut begun = at;
        if now < at {
            pause(at - now);
            begun = Instant::now();
        }
        match self.send(turn) {
            Ok(()) => {
                let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
                self.run.served.push(took);
            }
            Err(error) => {
                self.kept = None;
                self.run.errors.push(error.to_string());
            }
        }
    }

    /// In turn a visitor on a new connection, and the signed-in user on a kept one.
    fn send(&mut self, turn: usize) -> Outcome {
        let response = if turn.is_multiple_of(2) {
            let users = &self.requests.users;
            let user =
                &users[(turn / 2 * usize::from(CLIENTS) + usize::from(self.number)) % users.len()];
            Connection::open_from(self.from, self.address)?.send(user)?
        } else {
            if self.kept.is_none() {
                self.kept = Some(Connection::open_from(self.from, self.address)?);
            }
            let kept = self.kept.as_mut().ok_or("no connection")?;
            kept.send(&self.requests.pages[usize::from(self.number)])?
        };
        if response.is_success() { Ok(()) } else { Err(response.to_string().into()) }
    }
}
