//! Clients that disconnect in the middle of mutations, many at once, again and again: acknowledged
//! writes are there as acknowledged, and others are there whole or not at all.
//!
//! `DISCONNECT_ROUNDS` is the number of rounds, 5 by default; `DISCONNECT_SEED` repeats what the clients
//! of another storm did. `scripts/disconnects` runs it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use wasteland_tarot::services::maintenance;

use crate::support::app::{Engine, RawConnection, TestApp, data_of, on_both_databases, raw_post};
use crate::support::fixtures::{id, rows, spread_id, user};
use crate::support::tables::Access;
use crate::transactions::{OPEN_TRANSACTIONS, assert_counters_agree};

const ROUNDS: u32 = 5;
const CLIENTS: u32 = 200;
/// At a time, and more than there are connections to the database.
const CLIENTS_AT_ONCE: usize = 40;
const USERS: [&str; 4] = ["ada", "bob", "cleo", "dora"];
/// Selected fields of a reading.
const FIELDS: &str = "id version question notes tags satisfactionRating interpretation
    cards { position interpretation orientation card { id } }";

/// When a client goes.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// With so many bytes of the request unsent.
    Unsent(usize),
    /// As soon as the request is sent.
    AfterSending,
    /// So much later.
    Later(Duration),
    /// With the response.
    TestResponse,
}

/// A client's request.
#[derive(Debug, Clone)]
enum Wish {
    /// A reading with that question.
    Create(String),
    /// Other notes and another rating for the reading with that question.
    Update { question: String, notes: String, rating: i32 },
}

struct Client {
    owner: &'static str,
    wish: Wish,
    leaving: Leaving,
    is_rude: bool,
}

/// State of an acknowledged reading.
struct Acknowledged {
    owner: &'static str,
    /// From the last response.
    reading: Value,
    /// State after the change that was not acknowledged, if it came through.
    or: Option<Value>,
    is_checked: bool,
}

/// Counts of outcomes.
#[derive(Debug, Default)]
struct Figures {
    sent: u32,
    acknowledged: u32,
    refused: u32,
    disconnected: u32,
}

struct Storm {
    app: TestApp,
    access: Access,
    random: StdRng,
    questions: Vec<String>,
    /// By question.
    acknowledged: BTreeMap<String, Acknowledged>,
    figures: Figures,
}

/// A number from the environment.
fn setting<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name} is {text}: {error}")))
}

impl Storm {
    async fn begin(engine: Engine, seed: u64) -> Self {
        let flags = ["--database-pool-size=4", "--daily-readings=65535"];
        let app = TestApp::start_with(engine, &flags).await;
        app.insert(rows(USERS.map(user).into(), Vec::new())).await;
        let access = Access::open(&app.database).await;
        Self {
            app,
            access,
            random: StdRng::seed_from_u64(seed),
            questions: Vec::new(),
            acknowledged: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    fn client(&mut self) -> Client {
        let random = &mut self.random;
        let leaving = match random.random_range(0..10) {
            0 => Leaving::Unsent(random.random_range(1..400)),
            1..=2 => Leaving::AfterSending,
            3..=5 => Leaving::Later(Duration::from_micros(random.random_range(0..30_000))),
            _ => Leaving::TestResponse,
        };
        let is_rude = random.random();
        // Each reading is changed once, so that it has one possible new state.
        let fresh = |acknowledged: &&mut Acknowledged| {
            acknowledged.or.is_none() && acknowledged.reading["version"] == 1
        };
        if random.random_range(0..3) == 0
            && let Some(acknowledged) = self.acknowledged.values_mut().find(fresh)
        {
            let question =
                acknowledged.reading["question"].as_str().expect("a question").to_owned();
            let (notes, rating) = (format!("notes on {question}"), random.random_range(1..=5));
            let mut changed = acknowledged.reading.clone();
            changed["version"] = 2.into();
            changed["notes"] = notes.clone().into();
            changed["satisfactionRating"] = rating.into();
            acknowledged.or = Some(changed);
            acknowledged.is_checked = false;
            let wish = Wish::Update { question, notes, rating };
            return Client { owner: acknowledged.owner, wish, leaving, is_rude };
        }
        let question = format!("question {}", self.questions.len());
        self.questions.push(question.clone());
        let owner = USERS[random.random_range(0..USERS.len())];
        Client { owner, wish: Wish::Create(question), leaving, is_rude }
    }

    fn document(&self, wish: &Wish) -> String {
        match wish {
            Wish::Create(question) => format!(
                "mutation {{ createReading(input: {{ question: {question:?}, spreadId: {:?},
                    tags: [\"storm\"] }}) {{ reading {{ {FIELDS} }} }} }}",
                spread_id(&self.app, "vault_tec_spread")
            ),
            Wish::Update { question, notes, rating } => format!(
                "mutation {{ updateReading(input: {{ id: {}, notes: {notes:?},
                    satisfactionRating: {rating}, expectedVersion: 1 }}) {{
                    reading {{ {FIELDS} }} userErrors {{ code }} }} }}",
                self.acknowledged[question].reading["id"]
            ),
        }
    }

    /// One client's visit; the response body, if the client waits for it.
    async fn visit(&self, client: &Client) -> Option<Value> {
        let token = format!("authorization: Bearer {}\r\n", self.app.token_of(id(client.owner)));
        let body = json!({ "query": self.document(&client.wish) }).to_string();
        let request = raw_post(&token, &body);
        let mut connection = RawConnection::open(&self.app).await;
        let unsent = if let Leaving::Unsent(bytes) = client.leaving { bytes } else { 0 };
        connection.write(&request[..request.len() - unsent]).await;
        match client.leaving {
            Leaving::Unsent(_) | Leaving::AfterSending => {}
            Leaving::Later(pause) => tokio::time::sleep(pause).await,
            Leaving::TestResponse => return Some(connection.read_response().await.json()),
        }
        if client.is_rude {
            connection.reset();
        }
        None
    }

    async fn round(&mut self) {
        let clients: Vec<Client> = (0..CLIENTS).map(|_| self.client()).collect();
        let visits = stream::iter(&clients).map(|client| self.visit(client));
        let visits = visits.buffered(CLIENTS_AT_ONCE).collect::<Vec<_>>();
        // The counters are folded meanwhile, as always.
        let session = self.app.app.database.session();
        let folding = maintenance::fold_counters(&self.app.app.services, &session);
        let (responses, folded) = futures_util::join!(visits, folding);
        folded.expect("the counters are folded");
        for (client, response) in clients.into_iter().zip(responses) {
            self.record(&client, response);
        }
        // The server finishes the writes that it has begun, though their clients disconnected.
        self.app.app.writes.close();
        self.app.app.writes.wait().await;
        self.app.app.writes.reopen();
    }

    fn record(&mut self, client: &Client, response: Option<Value>) {
        self.figures.sent += 1;
        let Some(response) = response else {
            self.figures.disconnected += 1;
            return;
        };
        let (field, question) = match &client.wish {
            Wish::Create(question) => ("createReading", question),
            Wish::Update { question, .. } => ("updateReading", question),
        };
        let reading = &response["data"][field]["reading"];
        if reading.is_null() {
            // Too busy: the outcome is unknown.
            let code = &response["errors"][0]["extensions"]["code"];
            assert!(code == "TIMEOUT" || code == "SERVICE_UNAVAILABLE", "{response}");
            self.figures.refused += 1;
            return;
        }
        self.figures.acknowledged += 1;
        assert_eq!(reading["question"], **question);
        if let Some(Acknowledged { or: Some(expected), .. }) = self.acknowledged.get(question) {
            assert_eq!(reading, expected);
        }
        let acknowledged = Acknowledged {
            owner: client.owner,
            reading: reading.clone(),
            or: None,
            is_checked: false,
        };
        self.acknowledged.insert(question.clone(), acknowledged);
    }

    /// Writes acknowledged since the last check are there, as acknowledged.
    async fn assert_nothing_new_is_lost(&mut self) {
        for owner in USERS {
            let mut own: Vec<&mut Acknowledged> = self
                .acknowledged
                .values_mut()
                .filter(|acknowledged| acknowledged.owner == owner && !acknowledged.is_checked)
                .collect();
            let token = self.app.token_of(id(owner));
            for acknowledged in own.chunks_mut(50) {
                let ids: Vec<&Value> =
                    acknowledged.iter().map(|acknowledged| &acknowledged.reading["id"]).collect();
                let query = format!(
                    "query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...R }} }}
                     fragment R on Reading {{ {FIELDS} }}"
                );
                let body = json!({ "query": query, "variables": { "ids": ids } });
                let data = data_of(self.app.send(Some(&token), &body).await);
                let found = data["nodes"].as_array().expect("nodes");
                assert_eq!(found.len(), acknowledged.len());
                for (acknowledged, found) in acknowledged.iter_mut().zip(found) {
                    if acknowledged.or.as_ref() == Some(found) {
                        acknowledged.reading = found.clone();
                        acknowledged.or = None;
                    }
                    assert_eq!(*found, acknowledged.reading);
                    // Until a change that may still come has come.
                    acknowledged.is_checked = acknowledged.or.is_none();
                }
            }
        }
    }

    /// All of it agrees with itself, as one glance at the database shows.
    async fn assert_everything_is_whole(&self) {
        let access = &self.access;
        let begin =
            if access.is_sqlite() { "BEGIN" } else { "BEGIN ISOLATION LEVEL REPEATABLE READ" };
        access.run(begin).await;
        let mut rows_of: BTreeMap<String, u32> = BTreeMap::new();
        for question in access.texts("SELECT question AS text FROM reading_sessions").await {
            *rows_of.entry(question).or_default() += 1;
        }
        for none in [
            "SELECT count(*) AS number FROM reading_sessions WHERE
                (SELECT count(*) FROM reading_cards WHERE reading_id = reading_sessions.id) <> 3",
            "SELECT count(*) AS number FROM users WHERE
                (SELECT coalesce(sum(n), 0) FROM daily_usage WHERE user_id = users.id) <>
                (SELECT count(*) FROM reading_sessions WHERE user_id = users.id)",
            "SELECT CAST((SELECT readings FROM site_stats)
                + (SELECT coalesce(sum(readings), 0) FROM counter_deltas)
                - (SELECT count(*) FROM reading_sessions) AS bigint) AS number",
        ] {
            assert_eq!(access.number(none).await, 0, "{none}");
        }
        access.run("COMMIT").await;
        let twice: Vec<_> = rows_of.iter().filter(|(_, rows)| **rows > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let lost: Vec<_> =
            self.acknowledged.keys().filter(|sent| !rows_of.contains_key(*sent)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let sent: BTreeSet<&String> = self.questions.iter().collect();
        let unsent: Vec<_> = rows_of.keys().filter(|question| !sent.contains(question)).collect();
        assert!(unsent.is_empty(), "{unsent:?}");
    }

    /// No connection is left in a transaction, and on each of them what is written is there for
    /// others to see.
    async fn assert_the_server_is_sound(&mut self) {
        if !self.access.is_sqlite() {
            // A request whose client left before it was read may only now be at work.
            for _ in 0..1_000 {
                if self.access.number(OPEN_TRANSACTIONS).await == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(self.access.number(OPEN_TRANSACTIONS).await, 0);
        }
        let clients: Vec<Client> = (0..8)
            .map(|_| {
                let question = format!("question {}", self.questions.len());
                self.questions.push(question.clone());
                let (wish, leaving) = (Wish::Create(question), Leaving::TestResponse);
                Client { owner: USERS[0], wish, leaving, is_rude: false }
            })
            .collect();
        let responses = join_all(clients.iter().map(|client| self.visit(client))).await;
        for (client, response) in clients.iter().zip(responses) {
            let response = response.expect("a response");
            assert_eq!(response.get("errors"), None, "{response}");
            self.record(client, Some(response));
        }
    }
}

on_both_databases! {
    async fn clients_that_leave_in_the_middle_lose_nothing_that_was_acknowledged(engine: Engine) {
        let seed = setting("DISCONNECT_SEED").unwrap_or_else(rand::random);
        let rounds = setting("DISCONNECT_ROUNDS").unwrap_or(ROUNDS);
        println!("DISCONNECT_SEED={seed} DISCONNECT_ROUNDS={rounds}");
        let mut storm = Storm::begin(engine, seed).await;
        for _ in 0..rounds {
            storm.round().await;
            storm.assert_the_server_is_sound().await;
            storm.assert_nothing_new_is_lost().await;
            storm.assert_everything_is_whole().await;
        }
        // Once more all of it: later writes changed nothing acknowledged before.
        storm.acknowledged.values_mut().for_each(|acknowledged| acknowledged.is_checked = false);
        storm.assert_nothing_new_is_lost().await;
        let written = "SELECT count(*) AS number FROM reading_sessions";
        let written = storm.access.number(written).await;
        println!("{engine:?}: {:?}, {written} readings are there", storm.figures);
        // The storm was one: some requests got a response, some clients left, and some of these
        // left something behind.
        let Figures { acknowledged, disconnected, refused, sent } = storm.figures;
        assert!(acknowledged > sent / 3 && disconnected > sent / 10 && refused < sent / 3);
        assert!(usize::try_from(written).is_ok_and(|written| written > storm.acknowledged.len()));
        assert_counters_agree(&storm.app).await;
    }
}
