//! Clients that disconnect in the middle of mutations, many at once, again and again: what was
//! acknowledged is there as it was acknowledged, and what was not is there whole or not at all.
//!
//! `DISCONNECT_ROUNDS` says how many rounds, 5 if nothing is said; `DISCONNECT_SEED` repeats what the clients
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
/// What an answer tells of a reading.
const FIELDS: &str = "id version question notes tags satisfactionRating interpretation
    cards { position interpretation orientation card { id } }";

/// When a client goes.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// With so many bytes of the request unsent.
    Unsent(usize),
    /// As soon as the request is sent.
    Sent,
    /// So much later.
    Later(Duration),
    /// With the answer.
    Answered,
}

/// What a client asks for.
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

/// What is known of an acknowledged reading.
struct Known {
    owner: &'static str,
    /// As the last answer told.
    reading: Value,
    /// What a change that was not acknowledged makes of it, if it came through.
    or: Option<Value>,
    is_checked: bool,
}

/// How it went.
#[derive(Debug, Default)]
struct Figures {
    asked: u32,
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
    known: BTreeMap<String, Known>,
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
            known: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    fn client(&mut self) -> Client {
        let random = &mut self.random;
        let leaving = match random.random_range(0..10) {
            0 => Leaving::Unsent(random.random_range(1..400)),
            1..=2 => Leaving::Sent,
            3..=5 => Leaving::Later(Duration::from_micros(random.random_range(0..30_000))),
            _ => Leaving::Answered,
        };
        let is_rude = random.random();
        // Each reading is changed once, so that what may have become of it is one thing.
        let fresh = |known: &&mut Known| known.or.is_none() && known.reading["version"] == 1;
        if random.random_range(0..3) == 0
            && let Some(known) = self.known.values_mut().find(fresh)
        {
            let question = known.reading["question"].as_str().expect("a question").to_owned();
            let (notes, rating) = (format!("notes on {question}"), random.random_range(1..=5));
            let mut changed = known.reading.clone();
            changed["version"] = 2.into();
            changed["notes"] = notes.clone().into();
            changed["satisfactionRating"] = rating.into();
            known.or = Some(changed);
            known.is_checked = false;
            let wish = Wish::Update { question, notes, rating };
            return Client { owner: known.owner, wish, leaving, is_rude };
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
                self.known[question].reading["id"]
            ),
        }
    }

    /// One client's visit; the answer's body, if it is waited for.
    async fn visit(&self, client: &Client) -> Option<Value> {
        let token = format!("authorization: Bearer {}\r\n", self.app.token_of(id(client.owner)));
        let body = json!({ "query": self.document(&client.wish) }).to_string();
        let request = raw_post(&token, &body);
        let mut connection = RawConnection::open(&self.app).await;
        let unsent = if let Leaving::Unsent(bytes) = client.leaving { bytes } else { 0 };
        connection.write(&request[..request.len() - unsent]).await;
        match client.leaving {
            Leaving::Unsent(_) | Leaving::Sent => {}
            Leaving::Later(pause) => tokio::time::sleep(pause).await,
            Leaving::Answered => return Some(connection.answer().await.json()),
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
        // Somebody else is busy with what they write, as always.
        let session = self.app.app.database.session();
        let folding = maintenance::fold_counters(&self.app.app.services, &session);
        let (answers, folded) = futures_util::join!(visits, folding);
        folded.expect("the counters are folded");
        for (client, answer) in clients.into_iter().zip(answers) {
            self.note(&client, answer);
        }
        // What was in the server's hands is finished, though its client left.
        self.app.app.writes.close();
        self.app.app.writes.wait().await;
        self.app.app.writes.reopen();
    }

    fn note(&mut self, client: &Client, answer: Option<Value>) {
        self.figures.asked += 1;
        let Some(answer) = answer else {
            self.figures.disconnected += 1;
            return;
        };
        let (field, question) = match &client.wish {
            Wish::Create(question) => ("createReading", question),
            Wish::Update { question, .. } => ("updateReading", question),
        };
        let reading = &answer["data"][field]["reading"];
        if reading.is_null() {
            // Too busy: whether it came through is not said.
            let code = &answer["errors"][0]["extensions"]["code"];
            assert!(code == "TIMEOUT" || code == "SERVICE_UNAVAILABLE", "{answer}");
            self.figures.refused += 1;
            return;
        }
        self.figures.acknowledged += 1;
        assert_eq!(reading["question"], **question);
        if let Some(Known { or: Some(expected), .. }) = self.known.get(question) {
            assert_eq!(reading, expected);
        }
        let known =
            Known { owner: client.owner, reading: reading.clone(), or: None, is_checked: false };
        self.known.insert(question.clone(), known);
    }

    /// What was acknowledged since the last time is there, as it was acknowledged.
    async fn assert_nothing_new_is_lost(&mut self) {
        for owner in USERS {
            let mut own: Vec<&mut Known> = self
                .known
                .values_mut()
                .filter(|known| known.owner == owner && !known.is_checked)
                .collect();
            let token = self.app.token_of(id(owner));
            for known in own.chunks_mut(50) {
                let ids: Vec<&Value> = known.iter().map(|known| &known.reading["id"]).collect();
                let query = format!(
                    "query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...R }} }}
                     fragment R on Reading {{ {FIELDS} }}"
                );
                let body = json!({ "query": query, "variables": { "ids": ids } });
                let data = data_of(self.app.send(Some(&token), &body).await);
                let found = data["nodes"].as_array().expect("nodes");
                assert_eq!(found.len(), known.len());
                for (known, found) in known.iter_mut().zip(found) {
                    if known.or.as_ref() == Some(found) {
                        known.reading = found.clone();
                        known.or = None;
                    }
                    assert_eq!(*found, known.reading);
                    // Until a change that may still come has come.
                    known.is_checked = known.or.is_none();
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
            self.known.keys().filter(|asked| !rows_of.contains_key(*asked)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let asked: BTreeSet<&String> = self.questions.iter().collect();
        let unasked: Vec<_> = rows_of.keys().filter(|question| !asked.contains(question)).collect();
        assert!(unasked.is_empty(), "{unasked:?}");
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
                let (wish, leaving) = (Wish::Create(question), Leaving::Answered);
                Client { owner: USERS[0], wish, leaving, is_rude: false }
            })
            .collect();
        let answers = join_all(clients.iter().map(|client| self.visit(client))).await;
        for (client, answer) in clients.iter().zip(answers) {
            let answer = answer.expect("an answer");
            assert_eq!(answer.get("errors"), None, "{answer}");
            self.note(client, Some(answer));
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
        // Once more all of it: what came later did nothing to what was there.
        storm.known.values_mut().for_each(|known| known.is_checked = false);
        storm.assert_nothing_new_is_lost().await;
        let written = "SELECT count(*) AS number FROM reading_sessions";
        let written = storm.access.number(written).await;
        println!("{engine:?}: {:?}, {written} readings are there", storm.figures);
        // The storm was one: some were answered, some left, and some of these left something behind.
        let Figures { acknowledged, disconnected, refused, asked } = storm.figures;
        assert!(acknowledged > asked / 3 && disconnected > asked / 10 && refused < asked / 3);
        assert!(usize::try_from(written).is_ok_and(|written| written > storm.known.len()));
        assert_counters_agree(&storm.app).await;
    }
}
