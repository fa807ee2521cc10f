//! Several servers on one database: each sees the writes of the others, whatever the state of the
//! Redis between them, and no response is an error or staler than allowed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;
use wasteland_tarot::db::users::Role;
use wasteland_tarot::services::accounts::promote;
use wasteland_tarot::services::maintenance::fold_counters;

use crate::accounts::{self, PASSWORD, mutate, user_with_password};
use crate::sessions::assert_is_revoked;
use crate::support::app::{
    Engine, TestApp, TestDatabase, TestResponse, on_both_databases, send_request,
};
use crate::support::fixtures::{card_id, id, reading, rows, spread_id, user, user_id};
use crate::support::mutations::{USER_ERRORS, payload};
use crate::support::postgres_cluster::free_port;
use crate::support::redis_server::{CuttableProxy, RedisServer, has_redis, programs};

const STATS: &str = "{ viewer { stats { totalReadings } } }";

/// Interval of the outbox poller.
const POLL: &str = "--outbox-poll-ms=40";
/// Maximum age of a cached value.
const STALENESS: Duration = Duration::from_millis(400);

/// Three servers on one database.
struct World {
    // First, so that they are dropped before their database.
    servers: Vec<TestApp>,
    owner: TestApp,
}

impl World {
    /// Each with a Redis at that address, if there is one.
    async fn start(engine: Engine, redis: &[Option<String>]) -> Self {
        Self::start_with(engine, redis, &[]).await
    }

    /// The same with further settings.
    async fn start_with(engine: Engine, redis: &[Option<String>], further: &[&str]) -> Self {
        let owner = TestApp::start(engine).await;
        let (ada, bob) = (user("ada"), user("bob"));
        let admin = users::Model { is_admin: true, ..user("admin") };
        let readings = vec![reading(&owner, &ada, "q:one", 1), reading(&owner, &bob, "q:two", 2)];
        owner.insert(rows(vec![ada, bob, admin], readings)).await;
        let clock = &owner.app.services.clock;
        clock.stop();
        let mut servers = Vec::new();
        for url in redis {
            let staleness = format!("--cache-staleness-ms={}", STALENESS.as_millis());
            let url = url.as_ref().map(|url| format!("--redis-url={url}"));
            let mut flags = vec![
                POLL,
                &staleness,
                "--redis-retry-ms=20",
                "--redis-timeout-ms=300",
                "--daily-readings=1000",
            ];
            flags.extend(url.as_deref());
            flags.extend(further);
            let database = TestDatabase::at(owner.database.url.clone());
            let server = TestApp::start_on(database, &flags).await;
            let own = &server.app.services.clock;
            own.stop();
            own.advance(clock.now() - own.now());
            servers.push(server.with_outbox_poller().await);
        }
        let world = Self { servers, owner };
        for server in 0..redis.len() {
            world.wait_until_cached(server).await;
        }
        world
    }

    /// Another server on the database.
    async fn start_another(&self) -> TestApp {
        let staleness = format!("--cache-staleness-ms={}", STALENESS.as_millis());
        let database = TestDatabase::at(self.owner.database.url.clone());
        TestApp::start_on(database, &[POLL, &staleness]).await.with_outbox_poller().await
    }

    async fn query(&self, server: usize, who: &str) -> TestResponse {
        let response = self.servers[server].query_as(id(who), STATS).await;
        assert_eq!(response.status, 200, "{}", response.text);
        assert_eq!(response.body.get("errors"), None, "{}", response.text);
        response
    }

    /// Total of somebody's readings from one server.
    async fn total(&self, server: usize, who: &str) -> i64 {
        let total = &self.query(server, who).await.body["data"]["viewer"]["stats"]["totalReadings"];
        total.as_i64().expect("a number")
    }

    /// Waits until a server returns cached values.
    async fn wait_until_cached(&self, server: usize) {
        for _ in 0..2_000 {
            self.query(server, "admin").await;
            if is_cached(&self.query(server, "admin").await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("server {server} never caches anything");
    }

    async fn create_reading(&self, server: usize, who: &str) {
        let app = &self.servers[server];
        let input = json!({ "question": "?", "spreadId": spread_id(app, "single_wasteland") });
        let made = payload(app, id(who), "createReading", input, USER_ERRORS).await;
        assert_eq!(made["userErrors"], json!([]));
    }

    /// Waits until no cached value may be older than the last write.
    async fn wait_out_staleness(&self) {
        tokio::time::sleep(STALENESS).await;
    }
}

/// Ways in which the access tokens of a user end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Revocation {
    LogoutEverywhere,
    PasswordChange,
    Promotion,
    AdminLock,
}

impl Revocation {
    const ALL: [Self; 4] =
        [Self::LogoutEverywhere, Self::PasswordChange, Self::Promotion, Self::AdminLock];

    /// False for the command line.
    fn is_by_a_server(self) -> bool {
        self != Self::Promotion
    }

    /// Revokes the token of a user, on the first server.
    async fn run(self, world: &World, token: &str) {
        let app = &world.servers[0];
        let own = async |name: &str, input: Value| {
            let response = mutate(app, Some(token), (name, "__typename"), &input).await;
            assert_eq!(accounts::payload(name, response)["userErrors"], json!([]));
        };
        match self {
            Self::LogoutEverywhere => own("logout", json!({ "everywhere": true })).await,
            Self::PasswordChange => {
                let input = json!({ "currentPassword": PASSWORD, "newPassword": PASSWORD });
                own("changePassword", input).await;
            }
            Self::AdminLock => {
                let input = json!({ "userId": user_id("eve") });
                payload(app, id("admin"), "adminLockUser", input, USER_ERRORS).await;
            }
            Self::Promotion => {
                let command = &world.owner.app;
                let (session, services) = (command.database.session(), &command.services);
                let promoted = promote(&session, services, "eve", Role::Premium).await;
                assert!(promoted.expect("promoted"));
            }
        }
    }
}

fn is_cached(response: &TestResponse) -> bool {
    response.header("server-timing").contains("cache;desc=\"1 hits, 0 misses\"")
}

/// Redis, and three servers that share it.
async fn sharing(engine: Engine, test: &str) -> Option<(RedisServer, World)> {
    if !has_redis(test) {
        return None;
    }
    let redis = RedisServer::start().await;
    let urls = [(); 3].map(|()| Some(redis.url()));
    let world = World::start(engine, &urls).await;
    Some((redis, world))
}

on_both_databases! {
    async fn servers_without_redis_see_writes_of_others(engine: Engine) {
        let world = World::start(engine, &[None, None]).await;
        for server in 0..2 {
            assert_eq!(world.total(server, "ada").await, 1);
            assert!(is_cached(&world.query(server, "ada").await));
        }
        world.create_reading(0, "ada").await;
        assert_eq!(world.total(0, "ada").await, 2, "who writes finds it at once");
        world.wait_out_staleness().await;
        assert_eq!(world.total(1, "ada").await, 2);
        assert!(is_cached(&world.query(1, "ada").await));
    }

    async fn a_card_that_is_edited_on_one_server_is_edited_on_all(engine: Engine) {
        let world = World::start(engine, &[None, None]).await;
        let name = "{ cardByCode(code: \"major_arcana_00\") { name } }";
        let app = &world.servers[0];
        let input = json!({ "id": card_id(app, "major_arcana_00"), "name": "The Newcomer" });
        payload(app, id("admin"), "adminUpdateCard", input, USER_ERRORS).await;
        for server in &world.servers {
            while server.data(name).await["cardByCode"]["name"] != "The Newcomer" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn an_invalidation_by_an_admin_reaches_all_servers(engine: Engine) {
        let world = World::start(engine, &[None, None]).await;
        world.query(1, "ada").await;
        let drop = "mutation { adminInvalidateCache(pattern: \"user:*\") { removedEntries } }";
        let dropped = world.servers[0].data_as(id("admin"), drop).await;
        assert_eq!(dropped["adminInvalidateCache"]["removedEntries"], 1, "the admin's own");
        world.wait_out_staleness().await;
        assert!(!is_cached(&world.query(1, "ada").await));
    }

    /// They commit in another order than they began.
    async fn no_write_of_many_concurrent_ones_is_missed(engine: Engine) {
        let world = World::start(engine, &[None, None]).await;
        for round in 1..=5 {
            let writes = ["ada", "bob", "admin"].map(|who| {
                let world = &world;
                async move {
                    for server in [0, 1, 0] {
                        world.create_reading(server, who).await;
                        world.total(1 - server, who).await;
                    }
                }
            });
            futures_util::future::join_all(writes).await;
            world.wait_out_staleness().await;
            for server in 0..2 {
                assert_eq!(world.total(server, "ada").await, 1 + 3 * round);
                assert_eq!(world.total(server, "admin").await, 3 * round);
            }
        }
    }

    /// Known on all servers within the bound of the invalidations, without a statement for a request.
    async fn a_deactivated_user_is_gone_on_all_servers(engine: Engine) {
        let caching = ["--response-cache-bytes=16777216"];
        let world = World::start_with(engine, &[None, None], &caching).await;
        let query = "{ publicReadings { totalCount nodes { user { username } } }
            user(username: \"ada\") { username } publicStats { users } }";
        let seen = async || {
            let mut seen = Vec::new();
            for server in &world.servers {
                seen.push(server.data(query).await);
            }
            seen
        };
        let all = json!({
            "publicReadings": { "totalCount": 2, "nodes": [
                { "user": { "username": "bob" } }, { "user": { "username": "ada" } },
            ] },
            "user": { "username": "ada" },
            "publicStats": { "users": 3 },
        });
        let without = json!({
            "publicReadings": { "totalCount": 1, "nodes": [{ "user": { "username": "bob" } }] },
            "user": null,
            "publicStats": { "users": 2 },
        });
        // The second time from the caches.
        for _ in 0..2 {
            assert_eq!(seen().await, [all.clone(), all.clone()]);
        }
        assert_eq!(world.servers[1].query(query).await.statements(), 0);
        for (mutation, expected) in
            [("adminDeactivateUser", without), ("adminReactivateUser", all)]
        {
            let input = json!({ "userId": user_id("ada"), "reason": "Spam." });
            let done = payload(&world.servers[0], id("admin"), mutation, input, USER_ERRORS).await;
            assert_eq!(done["userErrors"], json!([]));
            assert_eq!(world.servers[0].data(query).await, expected);
            world.wait_out_staleness().await;
            assert_eq!(seen().await, [expected.clone(), expected]);
        }
    }

    async fn a_revoked_access_token_ends_on_all_servers(engine: Engine) {
        let world = World::start(engine, &[None, None]).await;
        world.owner.insert(rows(vec![user_with_password("eve").await], Vec::new())).await;
        let eve = id("eve");
        let query = json!({ "query": "{ viewer { username } }" });
        let viewer = json!({ "data": { "viewer": { "username": "eve" } } });
        for revocation in Revocation::ALL {
            let [here, there] = [&world.servers[0], &world.servers[1]];
            let token = here.token_of(eve);
            for server in [here, there] {
                let response = server.send(Some(&token), &query).await;
                assert_eq!((&response.body, response.statements()), (&viewer, 1), "{revocation:?}");
            }
            revocation.run(&world, &token).await;
            if revocation.is_by_a_server() {
                assert_is_revoked(&here.send(Some(&token), &query).await);
            }
            world.wait_out_staleness().await;
            for server in [here, there] {
                let response = server.send(Some(&token), &query).await;
                assert_is_revoked(&response);
                assert_eq!(response.statements(), 0, "{revocation:?}");
                let export = server.request(Method::GET, "/export/readings.json");
                assert_is_revoked(&send_request(export.bearer_auth(&token)).await);
            }
            // A server that starts now: before and after its first poll.
            let started = world.start_another().await;
            assert_is_revoked(&started.send(Some(&token), &query).await);
            while !started.app.services.cache.freshness_gate().is_open() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let response = started.send(Some(&token), &query).await;
            assert_is_revoked(&response);
            assert_eq!(response.statements(), 0, "{revocation:?}");
            // A token of the new epoch.
            let token = here.token_of(eve);
            for server in [here, there, &started] {
                assert_eq!(server.send(Some(&token), &query).await.body, viewer, "{revocation:?}");
            }
        }
    }

    async fn a_revoked_access_token_ends_while_redis_is_away(engine: Engine) {
        let Some((mut redis, world)) = sharing(engine, "revoked").await else { return };
        redis.kill();
        let token = world.servers[0].token_of(id("ada"));
        Revocation::LogoutEverywhere.run(&world, &token).await;
        world.wait_out_staleness().await;
        let query = json!({ "query": "{ viewer { username } }" });
        for server in &world.servers {
            assert_is_revoked(&server.send(Some(&token), &query).await);
        }
        redis.start_again().await;
        for server in &world.servers {
            while !server.app.services.cache.freshness_gate().is_open() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_is_revoked(&server.send(Some(&token), &query).await);
        }
    }

    async fn operators_see_how_far_behind_a_server_can_be(engine: Engine) {
        let world = World::start(engine, &[None]).await;
        let query = "{ admin { cacheStats { invalidationLagMs } } }";
        let lag = &world.servers[0].data_as(id("admin"), query).await["admin"]["cacheStats"];
        let lag = lag["invalidationLagMs"].as_f64().expect("a number");
        assert!((0.0..STALENESS.as_secs_f64() * 1_000.0).contains(&lag), "{lag}");
        let alone = TestApp::start(engine).await;
        alone.insert(rows(vec![users::Model { is_admin: true, ..user("admin") }], vec![])).await;
        let lag = &alone.data_as(id("admin"), query).await["admin"]["cacheStats"];
        assert_eq!(lag["invalidationLagMs"], Value::Null);
    }

    async fn servers_share_computed_values(engine: Engine) {
        let Some((redis, world)) = sharing(engine, "servers_share").await else { return };
        assert_eq!(world.total(0, "ada").await, 1);
        for server in 1..3 {
            let response = world.query(server, "ada").await;
            assert!(is_cached(&response), "{}", response.header("server-timing"));
            assert_eq!(response.statements(), 1, "only the viewer is read");
        }
        let values = redis.keys().await.into_iter().filter(|key| key.contains(":value:"));
        assert_eq!(values.count(), 2, "of ada and of the admin");
        world.create_reading(1, "ada").await;
        assert_eq!(world.total(1, "ada").await, 2);
        world.wait_out_staleness().await;
        for server in 0..3 {
            assert_eq!(world.total(server, "ada").await, 2);
        }
    }

    /// Each of the servers, and those that were there before Redis was.
    async fn without_redis_nothing_fails_and_nothing_is_stale(engine: Engine) {
        let Some((mut redis, world)) = sharing(engine, "without_redis").await else { return };
        let mut total = 1;
        for way in ["killed", "frozen"] {
            for server in 0..3 {
                assert_eq!(world.total(server, "ada").await, total);
            }
            match way {
                "killed" => redis.kill(),
                _ => redis.freeze(),
            }
            for writer in 0..3 {
                world.create_reading(writer, "ada").await;
                total += 1;
                assert_eq!(world.total(writer, "ada").await, total, "{way}");
                world.wait_out_staleness().await;
                for server in 0..3 {
                    assert_eq!(world.total(server, "ada").await, total, "{way}");
                }
            }
            assert!(!is_cached(&world.query(0, "ada").await));
            match way {
                "killed" => redis.start_again().await,
                _ => redis.thaw(),
            }
            for server in 0..3 {
                world.wait_until_cached(server).await;
                assert_eq!(world.total(server, "ada").await, total, "{way}");
            }
        }
    }

    /// Of one that cannot be reached, with the data that it had, and of another one, with that one's data.
    async fn a_redis_that_became_a_replica_is_bypassed_until_it_is_a_primary_again(engine: Engine) {
        if !has_redis("became_a_replica") {
            return;
        }
        for program in programs() {
            let redis = RedisServer::start_program(program.clone()).await;
            let primary = RedisServer::start_program(program).await;
            let world = World::start(engine, &[(); 3].map(|()| Some(redis.url()))).await;
            let mut total = 1;
            let (nobody, another) = (free_port().to_string(), primary.port().to_string());
            for of in [&nobody, &another] {
                for server in 0..3 {
                    assert_eq!(world.total(server, "ada").await, total);
                }
                assert!(is_cached(&world.query(0, "ada").await));
                redis.run::<()>(&["REPLICAOF", "127.0.0.1", of]).await;
                for writer in 0..3 {
                    world.create_reading(writer, "ada").await;
                    total += 1;
                    assert_eq!(world.total(writer, "ada").await, total, "{of}");
                    world.wait_out_staleness().await;
                    for server in 0..3 {
                        assert_eq!(world.total(server, "ada").await, total, "{of}");
                    }
                }
                assert!(!is_cached(&world.query(0, "ada").await));
                redis.run::<()>(&["REPLICAOF", "NO", "ONE"]).await;
                for server in 0..3 {
                    world.wait_until_cached(server).await;
                    assert_eq!(world.total(server, "ada").await, total, "{of}");
                }
                // Shared again.
                world.create_reading(0, "ada").await;
                total += 1;
                for server in 0..3 {
                    world.wait_out_staleness().await;
                    assert_eq!(world.total(server, "ada").await, total, "{of}");
                }
            }
        }
    }

    /// Its data is from its last save: values that were fresh then, and are stale now.
    async fn a_redis_restarted_with_older_state_is_not_trusted(engine: Engine) {
        let Some((mut redis, world)) = sharing(engine, "older_state").await else { return };
        assert_eq!(world.total(0, "ada").await, 1);
        redis.run::<()>(&["SAVE"]).await;
        world.create_reading(1, "ada").await;
        redis.kill();
        redis.start_again().await;
        assert!(!redis.keys().await.is_empty(), "it has what it saved");
        for server in 0..3 {
            world.wait_until_cached(server).await;
            assert_eq!(world.total(server, "ada").await, 2);
        }
    }

    async fn an_emptied_or_corrupt_redis_is_ignored(engine: Engine) {
        let Some((redis, world)) = sharing(engine, "junk").await else { return };
        assert_eq!(world.total(0, "ada").await, 1);
        world.create_reading(0, "ada").await;
        assert_eq!(world.total(0, "ada").await, 2);
        redis.run::<()>(&["FLUSHALL"]).await;
        assert_eq!(world.total(1, "ada").await, 2);
        assert_eq!(world.total(2, "bob").await, 1);
        let value_of = async |who: &str| {
            let keys = redis.keys().await;
            let is_value = |key: &&String| {
                key.contains(":value:") && key.contains(&id(who).to_string())
            };
            keys.iter().find(is_value).cloned().expect("it is shared")
        };
        let (ada, bob) = (value_of("ada").await, value_of("bob").await);
        // One user's entry under another user's key is invalid.
        redis.run::<i64>(&["COPY", &ada, &bob, "REPLACE"]).await;
        assert_eq!(world.total(0, "bob").await, 1);
        // In one step: a server may write the key in between.
        let replace_by_a_list =
            "redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 'junk')";
        for key in redis.keys().await {
            redis.run::<i64>(&["EVAL", replace_by_a_list, "1", &key]).await;
        }
        for server in 0..3 {
            world.servers[server].clear_cache().await;
            assert_eq!(world.total(server, "ada").await, 2);
            assert_eq!(world.total(server, "bob").await, 1);
        }
        for key in redis.keys().await {
            redis.run::<()>(&["SET", &key, "{\"header\":{},\"value\":-1}"]).await;
        }
        for server in 0..3 {
            world.servers[server].clear_cache().await;
            assert_eq!(world.total(server, "ada").await, 2);
            assert_eq!(world.total(server, "bob").await, 1);
        }
        redis.run::<()>(&["FLUSHALL"]).await;
        world.create_reading(2, "bob").await;
        world.wait_out_staleness().await;
        for server in 0..3 {
            assert_eq!(world.total(server, "bob").await, 2);
        }
    }

    async fn a_server_cut_off_from_redis_returns_nothing_stale(engine: Engine) {
        if !has_redis("line_is_cut") {
            return;
        }
        let redis = RedisServer::start().await;
        let line = CuttableProxy::to(&redis).await;
        let urls = [Some(line.url()), Some(redis.url()), Some(redis.url())];
        let world = World::start(engine, &urls).await;
        for server in 0..3 {
            assert_eq!(world.total(server, "ada").await, 1);
        }
        line.cut(true);
        world.create_reading(1, "ada").await;
        world.wait_out_staleness().await;
        for server in 0..3 {
            assert_eq!(world.total(server, "ada").await, 2);
        }
        assert!(!is_cached(&world.query(0, "ada").await), "it trusts no cached value");
        assert!(is_cached(&world.query(2, "ada").await), "the others go on");
        // The others see its writes in the outbox.
        world.create_reading(0, "ada").await;
        assert_eq!(world.total(0, "ada").await, 3);
        world.wait_out_staleness().await;
        for server in 0..3 {
            assert_eq!(world.total(server, "ada").await, 3);
        }
        line.cut(false);
        world.wait_until_cached(0).await;
        assert_eq!(world.total(0, "ada").await, 3);
    }

    /// It has committed, and dies before it publishes.
    async fn a_writer_that_dies_before_it_publishes_leaves_nothing_stale(engine: Engine) {
        let Some((redis, world)) = sharing(engine, "dies").await else { return };
        for server in 0..3 {
            assert_eq!(world.total(server, "ada").await, 1);
        }
        let database = TestDatabase::at(world.servers[0].database.url.clone());
        let url = format!("--redis-url={}", redis.url());
        // Without Redis it publishes nothing.
        let dying = TestApp::start_on(database, &[&url]).await;
        let input = json!({ "question": "?", "spreadId": spread_id(&dying, "single_wasteland") });
        payload(&dying, id("ada"), "createReading", input, USER_ERRORS).await;
        drop(dying);
        world.wait_out_staleness().await;
        for server in 0..3 {
            assert_eq!(world.total(server, "ada").await, 2);
        }
    }

    /// Faults and writes in any order. Reads after a while return the last writes.
    async fn servers_agree_whatever_happens_to_redis(engine: Engine) {
        let Some((mut redis, world)) = sharing(engine, "whatever").await else { return };
        let mut rng = StdRng::seed_from_u64(11);
        let mut totals = [("ada", 1), ("bob", 1)];
        let mut fault = 0;
        for _ in 0..25 {
            match fault {
                1 => redis.start_again().await,
                2 => redis.thaw(),
                _ => {}
            }
            fault = rng.random_range(0..5);
            match fault {
                1 => redis.kill(),
                2 => redis.freeze(),
                3 => redis.run::<()>(&["FLUSHALL"]).await,
                _ => {}
            }
            for _ in 0..rng.random_range(1..4) {
                let (who, total) = &mut totals[rng.random_range(0..2)];
                let server = rng.random_range(0..3);
                world.create_reading(server, who).await;
                *total += 1;
                assert_eq!(world.total(server, who).await, *total, "who writes finds it at once");
            }
            world.wait_out_staleness().await;
            for (who, total) in totals {
                let server = rng.random_range(0..3);
                assert_eq!(world.total(server, who).await, total);
            }
        }
        if fault == 2 {
            redis.thaw();
        }
    }

    async fn counters_that_one_server_folds_are_new_on_all(engine: Engine) {
        let world = World::start(engine, &[None, None]).await;
        let query = "{ publicStats { readings } }";
        let before = world.servers[1].data(query).await;
        world.create_reading(0, "ada").await;
        let app = &world.servers[0].app;
        let folded = fold_counters(&app.services, &app.database.session()).await;
        folded.expect("the counters are folded");
        world.wait_out_staleness().await;
        assert_ne!(world.servers[1].data(query).await, before);
    }
}
