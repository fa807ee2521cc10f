//! The value cache: a cached value is never other than the computed one, and operators see hit
//! rates.

use futures_util::future::join_all;
use serde_json::{Value, json};

use wasteland_tarot::db::entities::users;

use crate::support::app::{Engine, TestApp, TestResponse, data_of, on_both_databases};
use crate::support::fixtures::{id, reading, rows, spread_id, user};
use crate::support::mutations::{USER_ERRORS, payload, refusal};

const STATS: &str = "{ viewer { stats { totalReadings } } }";

/// The hits and misses of a response.
fn lookups(response: &TestResponse) -> String {
    let timing = response.header("server-timing");
    let counted = timing.split_once("cache;desc=\"").and_then(|(_, rest)| rest.split_once('"'));
    counted.map(|(counted, _)| counted.to_owned()).unwrap_or_default()
}

pub async fn start(engine: Engine, flags: &[&str]) -> TestApp {
    let app = TestApp::start_with(engine, flags).await;
    let admin = users::Model { is_admin: true, ..user("admin") };
    let (ada, bob) = (user("ada"), user("bob"));
    let readings = vec![reading(&app, &ada, "q:one", 1), reading(&app, &bob, "q:two", 2)];
    app.insert(rows(vec![ada, bob, admin], readings)).await;
    app
}

pub async fn create_reading(app: &TestApp, who: &str) {
    let input = json!({
        "question": "?", "spreadId": spread_id(app, "single_wasteland"),
    });
    let made = payload(app, id(who), "createReading", input, USER_ERRORS).await;
    assert_eq!(made["userErrors"], json!([]));
}

on_both_databases! {
    async fn a_cached_value_is_not_computed_again_until_it_changes(engine: Engine) {
        let app = start(engine, &[]).await;
        app.app.services.clock.stop();
        let fetch = async |who| app.query_as(id(who), STATS).await;
        let total = |response: &TestResponse| response.body["data"]["viewer"]["stats"].clone();

        let first = fetch("ada").await;
        assert_eq!(total(&first), json!({ "totalReadings": 1 }));
        assert_eq!(lookups(&first), "0 hits, 1 misses");
        let again = fetch("ada").await;
        assert_eq!(total(&again), total(&first));
        assert_eq!(lookups(&again), "1 hits, 0 misses");
        // The viewer is read all the same.
        assert_eq!((first.statements(), again.statements()), (3, 1));
        assert_eq!(lookups(&fetch("bob").await), "0 hits, 1 misses");

        create_reading(&app, "ada").await;
        let after = fetch("ada").await;
        assert_eq!(total(&after), json!({ "totalReadings": 2 }));
        assert_eq!(lookups(&after), "0 hits, 1 misses");
        assert_eq!(lookups(&fetch("bob").await), "1 hits, 0 misses");
    }

    async fn a_disabled_cache_changes_no_response_and_counts_nothing(engine: Engine) {
        let app = start(engine, &["--cache-enabled=false"]).await;
        for _ in 0..2 {
            let response = app.query_as(id("ada"), STATS).await;
            assert_eq!(response.statements(), 3);
            assert_eq!(lookups(&response), "");
        }
    }

    async fn operators_see_hit_rates(engine: Engine) {
        let app = start(engine, &["--cache-ttl-jitter=0"]).await;
        app.app.services.clock.stop();
        for _ in 0..3 {
            app.data_as(id("ada"), STATS).await;
        }
        app.data("{ publicStats { users } cards(first: 1) { nodes { code } } }").await;
        let fields = "size maxSize defaultTtlSeconds hits misses hitRate evictions
            policies { name keyPattern ttlSeconds entries hits misses hitRate }";
        let query = format!("{{ admin {{ cacheStats {{ {fields} }} }} }}");
        let policy = |name, key_pattern, ttl, [entries, hits, misses]: [i32; 3], rate: Value| {
            json!({
                "name": name, "keyPattern": key_pattern, "ttlSeconds": ttl, "entries": entries,
                "hits": hits, "misses": misses, "hitRate": rate,
            })
        };
        assert_eq!(
            app.data_as(id("admin"), &query).await["admin"]["cacheStats"],
            json!({
                "size": 3, "maxSize": 1_000, "defaultTtlSeconds": 300, "hits": 2, "misses": 3,
                "hitRate": 0.4, "evictions": 0,
                "policies": [
                    policy("analytics", "analytics:{user_id}:{type}", 300, [0; 3], Value::Null),
                    policy("spreads list", "spreads:list:{filters}", 1_800, [0; 3], Value::Null),
                    policy("cards list", "cards:list:{type}", 3_600, [1, 0, 1], 0.0.into()),
                    policy("user stats", "user:{user_id}:stats", 300, [1, 2, 1], (2.0 / 3.0).into()),
                    policy("public data", "public:{type}:{id}", 3_600, [1, 0, 1], 0.0.into()),
                ],
            })
        );
    }

    async fn an_admin_invalidates_by_pattern(engine: Engine) {
        let app = start(engine, &[]).await;
        app.app.services.clock.stop();
        for who in ["ada", "bob"] {
            app.data_as(id(who), STATS).await;
        }
        let drop = async |who: &str, pattern: &str| {
            let query = "mutation ($pattern: String!) { adminInvalidateCache(pattern: $pattern) {
                removedEntries userErrors { field message code min max resetsAt lockedUntil } } }";
            let token = app.token_of(id(who));
            let body = json!({ "query": query, "variables": { "pattern": pattern } });
            app.send(Some(&token), &body).await
        };
        let dropped = data_of(drop("admin", &format!("user:{}:*", id("ada"))).await);
        assert_eq!(
            dropped,
            json!({ "adminInvalidateCache": { "removedEntries": 1, "userErrors": [] } })
        );
        assert_eq!(lookups(&app.query_as(id("bob"), STATS).await), "1 hits, 0 misses");
        assert_eq!(lookups(&app.query_as(id("ada"), STATS).await), "0 hits, 1 misses");

        let refused = data_of(drop("admin", "user:1*").await);
        let mut expected = refusal(&["pattern"], "INVALID", "\"1*\" holds a `*`; a `*` stands for a whole part", [None; 2]);
        expected[0]["field"] = json!(["pattern"]);
        assert_eq!(
            refused,
            json!({ "adminInvalidateCache": { "removedEntries": 0, "userErrors": expected } })
        );
        let forbidden = drop("ada", "*").await;
        assert_eq!(forbidden.body["errors"][0]["extensions"]["code"], "FORBIDDEN");
        assert_eq!(lookups(&app.query_as(id("bob"), STATS).await), "1 hits, 0 misses");
    }

    /// A request that waits for another's computation holds no connection meanwhile: there is only
    /// one.
    async fn many_requests_for_one_value_on_one_connection_all_get_it(engine: Engine) {
        let app = start(engine, &["--database-pool-size=1", "--database-max-overflow=0"]).await;
        let query = "{ viewer { username
            stats { totalReadings } west: stats(utcOffsetMinutes: -60) { totalReadings }
            analytics { summary { totalReadings } voices { count } topCards { draws } } } }";
        let requests = (0..50).map(|number| {
            let who = if number % 2 == 0 { "ada" } else { "bob" };
            app.data_as(id(who), query)
        });
        for response in join_all(requests).await {
            assert_eq!(response["viewer"]["stats"]["totalReadings"], 1);
            assert_eq!(response["viewer"]["west"]["totalReadings"], 1);
        }
    }
}
