//! The coherence protocol as a small model: several servers with their caches, the Redis that they share, the outbox and
//! a replica, moved step by step in any order, with everything that can be lost on the way. The real [`PurgeEpochs`] and
//! [`FreshnessGate`] decide which values may be returned.
//!
//! The claim: a returned value is no older than what was committed when the server's last completed poll began, and no
//! older than what the server itself has acknowledged to its clients.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use uuid::Uuid;

use super::freshness_gate::{FreshnessGate, RunningPoll};
use super::pattern::Pattern;
use super::purge_epochs::{KeyPrefixes, PurgeEpoch, PurgeEpochs};

const KEYS: [&str; 2] = ["user:1:stats", "user:2:stats"];
const SERVERS: usize = 3;
/// Steps expire the last poll, and not the clock.
const STALENESS: Duration = Duration::from_hours(1);

/// Number of writes of a key: its value.
type Version = u64;

/// A part of the protocol that is missing, which the model must detect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Values are stored in Redis with the tokens at that time, and not with those before the read.
    LateTokens,
    /// A server that could not publish an invalidation stays open.
    StaysOpenUnpublished,
    /// Unpublished outbox entries are applied to the local cache and not to Redis.
    SkipsRedisPurge,
    /// The outbox position is lost with the connection.
    LosesPosition,
    /// Values of a replica are cached like values of the primary.
    TrustsReplica,
    /// The state of a replica is looked up after the read, and not before.
    LateReplicaState,
    /// Epochs are not compared with purges.
    IgnoresPurges,
}

/// A Redis key of the model: one of a run of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RedisKey {
    run: u64,
    key: usize,
}

#[derive(Clone, Copy)]
struct RedisValue {
    version: Version,
    token: u64,
}

#[derive(Clone, Default)]
struct Redis {
    run: u64,
    tokens: HashMap<RedisKey, u64>,
    values: HashMap<RedisKey, RedisValue>,
    positions: HashMap<u64, usize>,
}

#[derive(Clone, Copy)]
struct OutboxEntry {
    id: Uuid,
    key: usize,
}

/// A write that is committed and not published yet.
struct UnpublishedWrite {
    server: usize,
    entry: OutboxEntry,
    version: Version,
}

struct Replica {
    versions: [Version; 2],
    as_of: Instant,
}

/// State of a server's cache before a poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LocalCache {
    Applied,
    MayLackEntries,
}

struct Poll {
    running: RunningPoll,
    /// Length of the outbox when the poll began.
    end: usize,
    committed: [Version; 2],
}

#[derive(Clone, Copy)]
struct CachedVersion {
    version: Version,
    epoch: PurgeEpoch,
}

struct Server<'a> {
    purge_epochs: &'a PurgeEpochs,
    gate: FreshnessGate,
    cached: HashMap<usize, CachedVersion>,
    /// The run of Redis that the server is connected to.
    connected_run: Option<u64>,
    messages: VecDeque<OutboxEntry>,
    position: Option<usize>,
    local: LocalCache,
    poll: Option<Poll>,
    /// Versions that were committed when the last completed poll began.
    polled: [Version; 2],
    /// Versions that the server has acknowledged to its clients.
    acknowledged: [Version; 2],
}

impl<'a> Server<'a> {
    fn new(purge_epochs: &'a PurgeEpochs) -> Self {
        let gate = FreshnessGate::new(STALENESS);
        gate.start_polling();
        Self {
            purge_epochs,
            gate,
            cached: HashMap::new(),
            connected_run: None,
            messages: VecDeque::new(),
            position: None,
            local: LocalCache::MayLackEntries,
            poll: None,
            polled: [0; 2],
            acknowledged: [0; 2],
        }
    }

    fn purge(&mut self, key: usize) {
        self.purge_epochs.purge(&Pattern::of(KEYS[key].to_owned()));
        self.cached.remove(&key);
    }
}

/// Source of a version that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Database {
    Primary,
    Replica,
}

struct Reader {
    server: usize,
    key: usize,
    epoch: PurgeEpoch,
    /// The oldest version that the reader may get.
    minimum: Version,
    /// Time up to which the replica had all commits before the read.
    replica_as_of: Instant,
    /// Token in Redis before the read, with its run.
    token: Option<(u64, u64)>,
    read: Option<(Version, Database)>,
}

impl Reader {
    fn is_new(&self) -> bool {
        self.token.is_none() && self.read.is_none()
    }
}

/// Action of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    StartReader,
    LookUp,
    ReadDatabase,
    Store,
    Commit,
    Publish,
    /// Redis does not execute the invalidation of a writer, whose connection stays.
    FailToPublish,
    Receive,
    BeginPoll,
    CompletePoll,
    Connect,
    Disconnect,
    /// The server dies with its unpublished writes, and a new process starts.
    Restart,
    Replicate,
    SaveRedis,
    /// Redis starts again with its saved state.
    RestartRedis,
    FlushRedis,
    EvictTokens,
    /// The last completed poll becomes older than the staleness limit.
    ExpirePoll,
}

/// What Redis does with an invalidation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Publication {
    Executed,
    Lost,
}

/// Numbers of actions: frequent ones have several.
const ACTIONS: u8 = 32;

/// A step: an action of a server on a key. The number also selects among readers.
#[derive(Debug, Clone, Copy)]
struct Step {
    number: u8,
    server: usize,
    key: usize,
}

impl Step {
    fn action(self) -> Action {
        match self.number {
            0..=3 => Action::StartReader,
            4..=7 => Action::LookUp,
            8..=11 => Action::ReadDatabase,
            12..=15 => Action::Store,
            16 | 17 => Action::Commit,
            18 => Action::Publish,
            19 => Action::FailToPublish,
            20 => Action::Receive,
            21 => Action::BeginPoll,
            22 => Action::CompletePoll,
            23 => Action::Connect,
            24 => Action::Disconnect,
            25 => Action::Restart,
            26 => Action::Replicate,
            27 => Action::SaveRedis,
            28 => Action::RestartRedis,
            29 => Action::FlushRedis,
            30 => Action::EvictTokens,
            _ => Action::ExpirePoll,
        }
    }
}

struct World<'a> {
    flaw: Flaw,
    committed: [Version; 2],
    outbox: Vec<OutboxEntry>,
    unpublished: Vec<UnpublishedWrite>,
    replica: Replica,
    redis: Redis,
    saved_redis: Redis,
    next_token: u64,
    servers: Vec<Server<'a>>,
    readers: Vec<Reader>,
    violation: Option<String>,
}

impl<'a> World<'a> {
    fn new(flaw: Flaw, purge_epochs: &'a [PurgeEpochs; SERVERS]) -> Self {
        Self {
            flaw,
            committed: [0; 2],
            outbox: Vec::new(),
            unpublished: Vec::new(),
            replica: Replica { versions: [0; 2], as_of: Instant::now() },
            redis: Redis::default(),
            saved_redis: Redis::default(),
            next_token: 0,
            servers: purge_epochs.iter().map(Server::new).collect(),
            readers: Vec::new(),
            violation: None,
        }
    }

    fn prefixes(key: usize) -> KeyPrefixes {
        KeyPrefixes::of(KEYS[key])
    }

    /// The run in the names of the Redis keys of a server, if its connection is alive.
    fn connected_run(&self, server: usize) -> Option<u64> {
        self.servers[server].connected_run.filter(|run| *run == self.redis.run)
    }

    fn token(&mut self, redis_key: RedisKey) -> u64 {
        self.next_token += 1;
        *self.redis.tokens.entry(redis_key).or_insert(self.next_token)
    }

    fn check_returned(&mut self, reader: &Reader, version: Version, source: &str) {
        if version < reader.minimum {
            let Reader { server, key, minimum, .. } = reader;
            self.violation = Some(format!(
                "server {server} returned version {version} of key {key} from {source}, not {minimum}"
            ));
        }
    }

    fn step(&mut self, step: Step) {
        let Step { number, server, key } = step;
        let choice = usize::from(number);
        match step.action() {
            Action::StartReader => self.start_reader(server, key),
            Action::LookUp => self.look_up(choice),
            Action::ReadDatabase => {
                self.read(choice, if key == 1 { Database::Replica } else { Database::Primary });
            }
            Action::Store => self.store(),
            Action::Commit => {
                self.committed[key] += 1;
                let (entry, version) =
                    (OutboxEntry { id: Uuid::now_v7(), key }, self.committed[key]);
                self.outbox.push(entry);
                self.unpublished.push(UnpublishedWrite { server, entry, version });
            }
            Action::Publish => self.publish(Publication::Executed),
            Action::FailToPublish => self.publish(Publication::Lost),
            Action::Receive => self.receive(server),
            Action::BeginPoll => self.begin_poll(server),
            Action::CompletePoll => self.complete_poll(server),
            Action::Connect => self.connect(server),
            Action::Disconnect => self.disconnect(server),
            Action::Restart => {
                self.servers[server] = Server::new(self.servers[server].purge_epochs);
                self.unpublished.retain(|write| write.server != server);
                self.readers.retain(|reader| reader.server != server);
            }
            Action::Replicate => {
                self.replica = Replica { versions: self.committed, as_of: Instant::now() };
            }
            Action::SaveRedis => self.saved_redis = self.redis.clone(),
            Action::RestartRedis => {
                let run = self.redis.run + 1;
                self.redis = Redis { run, ..self.saved_redis.clone() };
                (0..SERVERS).for_each(|server| self.disconnect(server));
            }
            Action::FlushRedis => self.redis = Redis { run: self.redis.run, ..Redis::default() },
            Action::EvictTokens => self.redis.tokens.retain(|evicted, _| evicted.key != key),
            Action::ExpirePoll => self.servers[server].gate.close(),
        }
    }

    fn start_reader(&mut self, server: usize, key: usize) {
        let state = &self.servers[server];
        self.readers.push(Reader {
            server,
            key,
            epoch: state.purge_epochs.current(),
            minimum: state.polled[key].max(state.acknowledged[key]),
            replica_as_of: self.replica.as_of,
            token: None,
            read: None,
        });
    }

    /// A reader looks up its key in memory and in Redis.
    fn look_up(&mut self, choice: usize) {
        let Some(first) = self.readers.iter().position(Reader::is_new) else { return };
        let index = first + choice % 4 % (self.readers.len() - first);
        if !self.readers[index].is_new() {
            return;
        }
        let (server, key) = (self.readers[index].server, self.readers[index].key);
        let state = &self.servers[server];
        if !state.gate.is_open() {
            return;
        }
        if let Some(CachedVersion { version, epoch }) = state.cached.get(&key).copied()
            && (state.purge_epochs.is_current(&Self::prefixes(key), epoch)
                || self.flaw == Flaw::IgnoresPurges)
        {
            let reader = self.readers.remove(index);
            self.check_returned(&reader, version, "memory");
            return;
        }
        let epoch = state.purge_epochs.current();
        let Some(run) = self.connected_run(server) else { return };
        let redis_key = RedisKey { run, key };
        let token = self.token(redis_key);
        self.readers[index].token = Some((run, token));
        if let Some(found) = self.redis.values.get(&redis_key).copied()
            && found.token == token
        {
            let reader = self.readers.remove(index);
            self.check_returned(&reader, found.version, "Redis");
            let cached = CachedVersion { version: found.version, epoch };
            self.servers[server].cached.insert(key, cached);
        }
    }

    /// A reader reads the database.
    fn read(&mut self, choice: usize, database: Database) {
        let versions = match database {
            Database::Primary => self.committed,
            Database::Replica => self.replica.versions,
        };
        let unread = self.readers.iter().filter(|reader| reader.read.is_none()).count();
        let Some(index) = (unread > 0).then(|| choice % unread) else { return };
        let reader = self.readers.iter_mut().filter(|reader| reader.read.is_none()).nth(index);
        let Some(reader) = reader else { return };
        reader.read = Some((versions[reader.key], database));
    }

    /// A reader caches the version that it has read.
    fn store(&mut self) {
        let Some(index) = self.readers.iter().position(|reader| reader.read.is_some()) else {
            return;
        };
        let reader = self.readers.remove(index);
        let Reader { server, key, epoch, replica_as_of, token, read: Some(read), .. } = reader
        else {
            return;
        };
        let (version, database) = read;
        let late = self.flaw == Flaw::LateReplicaState;
        let replica_as_of = if late { self.replica.as_of } else { replica_as_of };
        let is_trusted = database == Database::Primary || self.flaw == Flaw::TrustsReplica;
        let state = &mut self.servers[server];
        let prefixes = Self::prefixes(key);
        if is_trusted || state.purge_epochs.is_current_at(&prefixes, replica_as_of) {
            state.cached.insert(key, CachedVersion { version, epoch });
        }
        // Versions of a replica are never stored in Redis.
        let token = match (token, self.flaw) {
            (Some((run, _)), Flaw::LateTokens) => Some((run, self.token(RedisKey { run, key }))),
            (token, _) => token,
        };
        if let (true, Some((run, token))) = (is_trusted, token)
            && self.connected_run(server) == Some(run)
        {
            self.redis.values.insert(RedisKey { run, key }, RedisValue { version, token });
        }
    }

    /// A writer purges and publishes its write, and acknowledges it to its client.
    fn publish(&mut self, publication: Publication) {
        if self.unpublished.is_empty() {
            return;
        }
        let UnpublishedWrite { server, entry, version } = self.unpublished.remove(0);
        let key = entry.key;
        let run = self.connected_run(server).filter(|_| publication == Publication::Executed);
        if let Some(run) = run {
            self.redis.tokens.remove(&RedisKey { run, key });
            for other in 0..SERVERS {
                if other != server && self.connected_run(other).is_some() {
                    self.servers[other].messages.push_back(entry);
                }
            }
            self.servers[server].gate.mark_applied(entry.id);
        } else if self.flaw == Flaw::StaysOpenUnpublished {
            self.servers[server].gate.mark_applied(entry.id);
        } else {
            self.servers[server].gate.close();
        }
        let state = &mut self.servers[server];
        state.purge(key);
        state.acknowledged[key] = state.acknowledged[key].max(version);
    }

    fn receive(&mut self, server: usize) {
        let state = &mut self.servers[server];
        if let Some(OutboxEntry { id, key }) = state.messages.pop_front() {
            state.purge(key);
            state.gate.mark_applied(id);
        }
    }

    fn begin_poll(&mut self, server: usize) {
        let (committed, end) = (self.committed, self.outbox.len());
        let state = &mut self.servers[server];
        if state.connected_run.is_some() {
            state.poll = Some(Poll { running: state.gate.begin_poll(), end, committed });
        }
    }

    fn complete_poll(&mut self, server: usize) {
        let Some(Poll { running, end, committed }) = self.servers[server].poll.take() else {
            return;
        };
        // Redis replies to a ping, and all messages before that have been received.
        let Some(run) = self.connected_run(server) else { return };
        while !self.servers[server].messages.is_empty() {
            self.receive(server);
        }
        let start = self.servers[server].position.unwrap_or(end).min(end);
        for index in start..end {
            let OutboxEntry { id, key } = self.outbox[index];
            if !self.servers[server].gate.is_applied(id) {
                if self.flaw != Flaw::SkipsRedisPurge {
                    self.redis.tokens.remove(&RedisKey { run, key });
                }
                self.servers[server].purge(key);
                self.servers[server].gate.mark_applied(id);
            }
        }
        self.redis.positions.insert(run, end);
        let state = &mut self.servers[server];
        if std::mem::replace(&mut state.local, LocalCache::Applied) == LocalCache::MayLackEntries {
            (0..KEYS.len()).for_each(|key| state.purge(key));
        }
        state.position = Some(end);
        state.gate.prune_applied(None, &HashSet::new());
        state.gate.complete_poll(running);
        if state.gate.is_open() {
            state.polled = committed;
        }
    }

    fn connect(&mut self, server: usize) {
        self.disconnect(server);
        let run = self.redis.run;
        let applied = self.redis.positions.get(&run).copied();
        if applied.is_none() {
            self.redis.tokens.retain(|token, _| token.run != run);
        }
        let loses_position = self.flaw == Flaw::LosesPosition;
        let state = &mut self.servers[server];
        state.connected_run = Some(run);
        state.gate.clear_applied();
        state.position = match (state.position, applied) {
            _ if loses_position => None,
            (Some(own), Some(applied)) => Some(own.min(applied)),
            (own, applied) => own.or(applied),
        };
    }

    fn disconnect(&mut self, server: usize) {
        let state = &mut self.servers[server];
        state.connected_run = None;
        state.messages.clear();
        state.poll = None;
        state.gate.close();
    }
}

/// Plays the steps. Returns the first violation.
fn play(
    flaw: Flaw,
    purge_epochs: &[PurgeEpochs; SERVERS],
    steps: impl IntoIterator<Item = Step>,
) -> Option<String> {
    let mut world = World::new(flaw, purge_epochs);
    for server in 0..SERVERS {
        world.connect(server);
        world.begin_poll(server);
        world.complete_poll(server);
    }
    for step in steps {
        world.step(step);
        if world.violation.is_some() {
            break;
        }
    }
    world.violation
}

fn step() -> impl Strategy<Value = Step> {
    let parts = (0..ACTIONS, 0..SERVERS, 0..KEYS.len());
    parts.prop_map(|(number, server, key)| Step { number, server, key })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_server_returns_a_value_older_than_its_last_poll(
        steps in proptest::collection::vec(step(), 0..400)
    ) {
        prop_assert_eq!(play(Flaw::None, &Default::default(), steps), None);
    }
}

/// A schedule that returns a stale value if a part of the protocol is missing. Chance meets most of them too rarely.
struct Counterexample {
    flaw: Flaw,
    key: usize,
    schedule: Vec<ServerAction>,
}

#[derive(Clone, Copy)]
struct ServerAction {
    server: usize,
    action: Action,
}

fn on<const N: usize>(server: usize, actions: [Action; N]) -> impl Iterator<Item = ServerAction> {
    actions.into_iter().map(move |action| ServerAction { server, action })
}

impl Counterexample {
    fn new(
        flaw: Flaw,
        database: Database,
        schedule: impl IntoIterator<Item = ServerAction>,
    ) -> Self {
        let key = usize::from(database == Database::Replica);
        Self { flaw, key, schedule: schedule.into_iter().collect() }
    }

    /// Plays the schedule. Returns the first violation.
    fn play(&self, flaw: Flaw) -> Option<String> {
        let steps = self.schedule.iter().map(|ServerAction { server, action }| {
            // Purges and states of replicas are compared in microseconds.
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(2) {}
            let step = |number| Step { number, server: *server, key: self.key };
            let step = (0..ACTIONS).map(step).find(|step| step.action() == *action);
            step.expect("a number of each action")
        });
        play(flaw, &Default::default(), steps)
    }
}

fn counterexamples() -> Vec<Counterexample> {
    use Action::{
        BeginPoll, Commit, CompletePoll, Connect, Disconnect, FailToPublish, LookUp, Publish,
        ReadDatabase, Replicate, StartReader, Store,
    };
    let cache = || on(0, [StartReader, LookUp, ReadDatabase, Store]);
    let read = || on(0, [StartReader, LookUp]);
    let overtaken = || on(0, [StartReader, LookUp, ReadDatabase, Commit, Publish, Store]);
    let unpublished = || cache().chain(on(0, [Commit, FailToPublish]));
    let poll = || on(0, [BeginPoll, CompletePoll]);
    let cut_off = cache()
        .chain(on(0, [Disconnect]))
        .chain(on(1, [Commit, Publish]))
        .chain(on(0, [Connect]))
        .chain(poll());
    let read_replica = || on(0, [Commit, Publish, StartReader, ReadDatabase]);
    let late_replica = read_replica().chain(on(0, [Replicate, Store]));
    let (primary, replica) = (Database::Primary, Database::Replica);
    vec![
        Counterexample::new(Flaw::LateTokens, primary, overtaken().chain(read())),
        Counterexample::new(Flaw::IgnoresPurges, primary, overtaken().chain(read())),
        Counterexample::new(Flaw::StaysOpenUnpublished, primary, unpublished().chain(read())),
        Counterexample::new(
            Flaw::SkipsRedisPurge,
            primary,
            unpublished().chain(poll()).chain(read()),
        ),
        Counterexample::new(Flaw::LosesPosition, primary, cut_off.chain(read())),
        Counterexample::new(
            Flaw::TrustsReplica,
            replica,
            read_replica().chain(on(0, [Store])).chain(read()),
        ),
        Counterexample::new(Flaw::LateReplicaState, replica, late_replica.chain(read())),
    ]
}

#[test]
fn each_part_of_the_protocol_is_necessary() {
    for counterexample in counterexamples() {
        let flaw = counterexample.flaw;
        assert_eq!(counterexample.play(Flaw::None), None, "{flaw:?}");
        assert!(counterexample.play(flaw).is_some(), "{flaw:?} is not detected");
    }
}
