//! The protocol between servers as a small model: several servers with what they keep, the Redis that
//! they share, the notes in the database and a replica, moved step by step in any order, with everything
//! that gets lost on the way. Who may answer what is decided by the real [`Generations`] and [`Peers`].
//!
//! What must hold: what is answered is no older than what was committed when the server last began to
//! look at the notes, and no older than what the server itself has said was written.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::generations::{Generations, Moment, Scopes};
use super::pattern::Pattern;
use super::peers::{LookBegun, Peers};

const KEYS: [&str; 2] = ["user:1:stats", "user:2:stats"];
const SERVERS: usize = 3;
/// Steps say when the last look was too long ago, and not the clock.
const STALENESS: Duration = Duration::from_hours(1);

/// How often a key was written: its value.
type Version = u64;

/// What is left out of the protocol, to see that the model finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Values are shared with the tokens of when they are kept, and not of before they were read.
    LateTokens,
    /// A Redis that starts again is taken for the one that it was.
    ForgetsRuns,
    /// A server that could not tell of its write goes on.
    GoesOnUntold,
    /// Notes of writes that nobody told of are purged here and not where values are shared.
    KeepsShared,
    /// Which notes are to be read is forgotten with the link.
    SkipsNotes,
    /// What a replica has is kept like what the primary has.
    TrustsReplica,
    /// Late fills are not compared with purges.
    IgnoresPurges,
}

#[derive(Clone, Default)]
struct Redis {
    run: u64,
    tokens: HashMap<(u64, usize), u64>,
    values: HashMap<(u64, usize), (Version, u64)>,
    positions: HashMap<u64, usize>,
}

struct Server<'a> {
    generations: &'a Generations,
    peers: Peers,
    kept: HashMap<usize, (Version, Moment)>,
    /// The run of Redis that it is connected to.
    link: Option<u64>,
    words: VecDeque<(Uuid, usize)>,
    position: Option<usize>,
    /// Notes that came before may make old what is being computed.
    is_new: bool,
    look: Option<(LookBegun, usize, [Version; 2])>,
    /// What was committed when the last look that has ended began.
    seen: [Version; 2],
    /// What it has told its clients that they have written.
    told: [Version; 2],
}

impl<'a> Server<'a> {
    fn new(generations: &'a Generations) -> Self {
        let peers = Peers::alone(STALENESS);
        peers.follow();
        Self {
            generations,
            peers,
            kept: HashMap::new(),
            link: None,
            words: VecDeque::new(),
            position: None,
            is_new: true,
            look: None,
            seen: [0; 2],
            told: [0; 2],
        }
    }

    /// With nothing that it knew.
    fn start_again(&mut self) {
        let peers = Peers::alone(STALENESS);
        peers.follow();
        self.peers = peers;
        self.kept.clear();
        self.link = None;
        self.words.clear();
        self.position = None;
        self.is_new = true;
        self.look = None;
        (self.seen, self.told) = ([0; 2], [0; 2]);
    }

    fn purge(&mut self, key: usize) {
        self.generations.purge(&Pattern::of(KEYS[key].to_owned()));
        self.kept.remove(&key);
    }
}

struct Reader {
    server: usize,
    key: usize,
    as_of: Moment,
    /// What it must find at least.
    least: Version,
    token: Option<(u64, u64)>,
    read: Option<(Version, bool)>,
}

struct World<'a> {
    flaw: Flaw,
    committed: [Version; 2],
    notes: Vec<(Uuid, usize)>,
    /// Committed and not told yet.
    untold: Vec<(usize, Uuid, usize, Version)>,
    replica: ([Version; 2], Instant),
    redis: Redis,
    saved: Redis,
    next_token: u64,
    servers: Vec<Server<'a>>,
    readers: Vec<Reader>,
    wrong: Option<String>,
}

impl<'a> World<'a> {
    fn new(flaw: Flaw, generations: &'a [Generations; SERVERS]) -> Self {
        Self {
            flaw,
            committed: [0; 2],
            notes: Vec::new(),
            untold: Vec::new(),
            replica: ([0; 2], Instant::now()),
            redis: Redis::default(),
            saved: Redis::default(),
            next_token: 0,
            servers: generations.iter().map(Server::new).collect(),
            readers: Vec::new(),
            wrong: None,
        }
    }

    fn scopes(key: usize) -> Scopes {
        Scopes::of(KEYS[key])
    }

    /// The space of names in Redis that a run of it has.
    fn space(&self, run: u64) -> u64 {
        if self.flaw == Flaw::ForgetsRuns { 0 } else { run }
    }

    fn is_linked(&self, server: usize) -> Option<u64> {
        self.servers[server].link.filter(|run| *run == self.redis.run).map(|run| self.space(run))
    }

    fn token(&mut self, place: (u64, usize)) -> u64 {
        self.next_token += 1;
        *self.redis.tokens.entry(place).or_insert(self.next_token)
    }

    fn answer(&mut self, reader: &Reader, version: Version, how: &str) {
        if version < reader.least {
            let Reader { server, key, least, .. } = reader;
            self.wrong = Some(format!(
                "server {server} answers {version} of key {key} {how}, and not {least}"
            ));
        }
    }

    fn step(&mut self, (what, server, key): (u8, usize, usize)) {
        let at = usize::from(what);
        match what {
            0..=3 => {
                let known = &self.servers[server];
                self.readers.push(Reader {
                    server,
                    key,
                    as_of: known.generations.now(),
                    least: known.seen[key].max(known.told[key]),
                    token: None,
                    read: None,
                });
            }
            4..=7 => self.find(at),
            8..=11 => self.read(at, key == 1),
            12..=15 => self.keep(),
            16 | 17 => {
                self.committed[key] += 1;
                let note = Uuid::now_v7();
                self.notes.push((note, key));
                self.untold.push((server, note, key, self.committed[key]));
            }
            18 | 19 => self.tell(),
            20 => self.hear(server),
            21 => self.begin_look(server),
            22 => self.end_look(server),
            23 => self.connect(server),
            24 => self.cut(server),
            25 => {
                // It dies, with what it was about to tell, and starts again.
                self.servers[server].start_again();
                self.untold.retain(|(writer, ..)| *writer != server);
                self.readers.retain(|reader| reader.server != server);
            }
            26 => self.replica = (self.committed, Instant::now()),
            27 => self.saved = self.redis.clone(),
            28 => {
                let run = self.redis.run + 1;
                self.redis = Redis { run, ..self.saved.clone() };
                (0..SERVERS).for_each(|server| self.cut(server));
            }
            29 => self.redis = Redis { run: self.redis.run, ..Redis::default() },
            30 => self.redis.tokens.retain(|(_, of), _| *of != key),
            // The last look is too long ago.
            _ => self.servers[server].peers.close(),
        }
    }

    /// A reader looks at what is kept and shared.
    fn find(&mut self, at: usize) {
        let Some(index) =
            self.readers.iter().position(|reader| reader.token.is_none() && reader.read.is_none())
        else {
            return;
        };
        let index = index + at % 4 % (self.readers.len() - index);
        if self.readers[index].token.is_some() || self.readers[index].read.is_some() {
            return;
        }
        let (server, key) = (self.readers[index].server, self.readers[index].key);
        let known = &self.servers[server];
        if !known.peers.is_open() {
            return;
        }
        if let Some((version, as_of)) = known.kept.get(&key).copied()
            && (known.generations.is_current(&Self::scopes(key), as_of)
                || self.flaw == Flaw::IgnoresPurges)
        {
            let reader = self.readers.remove(index);
            self.answer(&reader, version, "from memory");
            return;
        }
        let before = known.generations.now();
        let Some(space) = self.is_linked(server) else { return };
        let token = self.token((space, key));
        self.readers[index].token = Some((space, token));
        if let Some((version, with)) = self.redis.values.get(&(space, key)).copied()
            && with == token
        {
            let reader = self.readers.remove(index);
            self.answer(&reader, version, "from Redis");
            self.servers[server].kept.insert(key, (version, before));
        }
    }

    /// A reader reads the database.
    fn read(&mut self, at: usize, from_replica: bool) {
        let unread = self.readers.iter().filter(|reader| reader.read.is_none()).count();
        let Some(index) = (unread > 0).then(|| at % unread) else { return };
        let reader = self.readers.iter_mut().filter(|reader| reader.read.is_none()).nth(index);
        let Some(reader) = reader else { return };
        let versions = if from_replica { self.replica.0 } else { self.committed };
        reader.read = Some((versions[reader.key], from_replica));
    }

    /// A reader keeps what it has read.
    fn keep(&mut self) {
        let Some(index) = self.readers.iter().position(|reader| reader.read.is_some()) else {
            return;
        };
        let reader = self.readers.remove(index);
        let Reader { server, key, as_of, token, read: Some((version, from_replica)), .. } = reader
        else {
            return;
        };
        let trusts = !from_replica || self.flaw == Flaw::TrustsReplica;
        let known = &mut self.servers[server];
        if trusts || known.generations.has_all(&Self::scopes(key), self.replica.1) {
            known.kept.insert(key, (version, as_of));
        }
        // What a replica has is never shared.
        let token = match (token, self.flaw) {
            (Some((space, _)), Flaw::LateTokens) => Some((space, self.token((space, key)))),
            (token, _) => token,
        };
        if let (true, Some((space, token))) = (trusts, token)
            && self.is_linked(server) == Some(space)
        {
            self.redis.values.insert((space, key), (version, token));
        }
    }

    /// A writer tells of its write.
    fn tell(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        let (server, note, key, version) = self.untold.remove(0);
        if let Some(space) = self.is_linked(server) {
            self.redis.tokens.remove(&(space, key));
            for other in 0..SERVERS {
                if other != server && self.is_linked(other).is_some() {
                    self.servers[other].words.push_back((note, key));
                }
            }
            self.servers[server].peers.hear(note);
        } else if self.flaw != Flaw::GoesOnUntold {
            self.servers[server].peers.close();
        } else {
            self.servers[server].peers.hear(note);
        }
        let known = &mut self.servers[server];
        known.purge(key);
        known.told[key] = known.told[key].max(version);
    }

    fn hear(&mut self, server: usize) {
        let known = &mut self.servers[server];
        if let Some((note, key)) = known.words.pop_front() {
            known.purge(key);
            known.peers.hear(note);
        }
    }

    fn begin_look(&mut self, server: usize) {
        let committed = self.committed;
        let known = &mut self.servers[server];
        if known.link.is_some() {
            known.look = Some((known.peers.begin_look(), self.notes.len(), committed));
        }
    }

    fn end_look(&mut self, server: usize) {
        let Some((begun, end, committed)) = self.servers[server].look.take() else { return };
        // Redis has to answer, and by then what was told has come in.
        let Some(space) = self.is_linked(server) else { return };
        while !self.servers[server].words.is_empty() {
            self.hear(server);
        }
        let from = self.servers[server].position.unwrap_or(end).min(end);
        for index in from..end {
            let (note, key) = self.notes[index];
            if !self.servers[server].peers.has_heard(note) {
                if self.flaw != Flaw::KeepsShared {
                    self.redis.tokens.remove(&(space, key));
                }
                self.servers[server].purge(key);
                self.servers[server].peers.hear(note);
            }
        }
        self.redis.positions.insert(space, end);
        let known = &mut self.servers[server];
        if std::mem::take(&mut known.is_new) {
            (0..KEYS.len()).for_each(|key| known.purge(key));
        }
        known.position = Some(end);
        known.peers.forget_heard(None, &HashSet::new());
        known.peers.end_look(begun);
        if known.peers.is_open() {
            known.seen = committed;
        }
    }

    fn connect(&mut self, server: usize) {
        self.cut(server);
        let run = self.redis.run;
        let space = self.space(run);
        let stored = self.redis.positions.get(&space).copied();
        if stored.is_none() {
            self.redis.tokens.retain(|(of, _), _| *of != space);
        }
        let skips = self.flaw == Flaw::SkipsNotes;
        let known = &mut self.servers[server];
        known.link = Some(run);
        known.peers.forget_all_heard();
        known.position = match (known.position, stored) {
            _ if skips => None,
            (Some(own), Some(stored)) => Some(own.min(stored)),
            (own, stored) => own.or(stored),
        };
    }

    fn cut(&mut self, server: usize) {
        let known = &mut self.servers[server];
        known.link = None;
        known.words.clear();
        known.look = None;
        known.peers.close();
    }
}

/// Plays the steps; answers what is wrong. The order of purges goes on from play to play, because it takes
/// longer to make than to play.
fn play(
    flaw: Flaw,
    generations: &[Generations; SERVERS],
    steps: impl IntoIterator<Item = (u8, usize, usize)>,
) -> Option<String> {
    let mut world = World::new(flaw, generations);
    for server in 0..SERVERS {
        for what in [23, 21, 22] {
            world.step((what, server, 0));
        }
    }
    for step in steps {
        world.step(step);
        if world.wrong.is_some() {
            break;
        }
    }
    world.wrong
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_server_answers_what_is_older_than_its_last_look(
        steps in proptest::collection::vec((0..32_u8, 0..SERVERS, 0..KEYS.len()), 0..400)
    ) {
        prop_assert_eq!(play(Flaw::None, &Default::default(), steps), None);
    }
}

#[test]
fn each_part_of_the_protocol_is_needed() {
    let generations = Default::default();
    for flaw in [
        Flaw::LateTokens,
        Flaw::ForgetsRuns,
        Flaw::GoesOnUntold,
        Flaw::KeepsShared,
        Flaw::SkipsNotes,
        Flaw::TrustsReplica,
        Flaw::IgnoresPurges,
    ] {
        let found = (0..20_000_u64).any(|seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let steps = (0..400).map(|_| {
                let what = rng.random_range(0..32_u8);
                (what, rng.random_range(0..SERVERS), rng.random_range(0..KEYS.len()))
            });
            play(flaw, &generations, steps).is_some()
        });
        assert!(found, "nobody finds out {flaw:?}");
    }
}
