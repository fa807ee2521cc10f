//! A mutation is one transaction, which is committed whole or not at all, on one connection, which
//! never goes back to the pool while a transaction is open on it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::services::maintenance;

use crate::schema::mutation_names;
use crate::support::app::{
    Content, Engine, RawConnection, TestApp, TestDatabase, TestResponse, data_of,
    on_both_databases, raw_post,
};
use crate::support::fixtures::{
    card_id, category_id, id, reading_id, rows, spread_id, user, user_id,
};
use crate::support::tables::{Access, Tables, differences};
use crate::support::world::{PASSWORD, share_id, write_world};

/// A mutation that succeeds, and its writes: statement and table of each.
struct Case {
    mutation: &'static str,
    viewer: Option<Uuid>,
    document: String,
    writes: &'static [(&'static str, &'static str)],
}

const INSERT: &str = "INSERT";
const UPDATE: &str = "UPDATE";
const DELETE: &str = "DELETE";

impl Case {
    fn new(
        mutation: &'static str,
        viewer: Option<&str>,
        input: &str,
        writes: &'static [(&'static str, &'static str)],
    ) -> Self {
        let document = format!(
            "mutation {{ {mutation}(input: {{ {input} }}) {{ userErrors {{ message }} }} }}"
        );
        Self { mutation, viewer: viewer.map(id), document, writes }
    }
}

/// Mutations that invalidate nothing cached and revoke no access token.
const WITHOUT_OUTBOX_ENTRY: [&str; 9] = [
    "login",
    "refreshSession",
    "logout",
    "createCategory",
    "updateCategory",
    "shareReading",
    "revokeShare",
    "unlockSharedReading",
    "adminUnlockUser",
];

impl Case {
    /// The last write: an outbox entry with its invalidations, for other servers.
    fn outbox_entry(&self) -> Option<(&'static str, &'static str)> {
        let has_outbox_entry =
            !self.writes.is_empty() && !WITHOUT_OUTBOX_ENTRY.contains(&self.mutation);
        has_outbox_entry.then_some((INSERT, "cache_outbox"))
    }
}

/// Logs in and returns the refresh token.
async fn log_in(app: &TestApp, name: &str) -> String {
    let query = format!(
        "mutation {{ login(input: {{ login: {name:?}, password: {PASSWORD:?} }}) {{
            session {{ refreshToken }} }} }}"
    );
    let data = data_of(app.query(&query).await);
    data["login"]["session"]["refreshToken"].as_str().expect("a token").to_owned()
}

/// Mutations of accounts and sessions.
async fn account_cases(app: &TestApp) -> Vec<Case> {
    let mut tokens = Vec::new();
    for name in ["ada", "ada", "ada", "ada", "bob"] {
        tokens.push(log_in(app, name).await);
    }
    let refresh = async |token: &str| {
        let query = format!(
            "mutation {{ refreshSession(input: {{ refreshToken: {token:?} }}) {{
                session {{ refreshToken }} }} }}"
        );
        let data = data_of(app.query(&query).await);
        data["refreshSession"]["session"]["refreshToken"].as_str().expect("a token").to_owned()
    };
    // A successor whose siblings end, because the grace period of its predecessor is over.
    let late = refresh(&tokens[3]).await;
    app.app.services.clock.advance(TimeDelta::seconds(31));
    // Used a second time within its grace period.
    refresh(&tokens[1]).await;
    let password = format!("password: {PASSWORD:?}");
    vec![
        Case::new(
            "register",
            None,
            &format!(
                "email: \"new@example.com\", username: \"new\", {password}, idempotencyKey: \"k\""
            ),
            &[
                (INSERT, "idempotency_keys"),
                (INSERT, "users"),
                (INSERT, "counter_deltas"),
                (INSERT, "login_sessions"),
                (INSERT, "refresh_tokens"),
            ],
        ),
        Case::new(
            "login",
            None,
            &format!("login: \"ada\", {password}"),
            &[
                (UPDATE, "users"),
                (INSERT, "audit_log"),
                (INSERT, "login_sessions"),
                (INSERT, "refresh_tokens"),
            ],
        ),
        Case::new(
            "refreshSession",
            None,
            &format!("refreshToken: {:?}", tokens[0]),
            &[(UPDATE, "refresh_tokens"), (INSERT, "refresh_tokens")],
        ),
        Case::new(
            "refreshSession",
            None,
            &format!("refreshToken: {:?}", tokens[1]),
            &[(INSERT, "refresh_tokens")],
        ),
        Case::new(
            "refreshSession",
            None,
            &format!("refreshToken: {late:?}"),
            &[(UPDATE, "refresh_tokens"), (UPDATE, "refresh_tokens"), (INSERT, "refresh_tokens")],
        ),
        Case::new(
            "logout",
            Some("ada"),
            &format!("refreshToken: {:?}", tokens[2]),
            &[(UPDATE, "login_sessions")],
        ),
        Case::new(
            "changePassword",
            Some("ada"),
            &format!("currentPassword: {PASSWORD:?}, newPassword: {PASSWORD:?}"),
            &[
                (UPDATE, "users"),
                (INSERT, "token_revocations"),
                (UPDATE, "login_sessions"),
                (INSERT, "login_sessions"),
                (INSERT, "refresh_tokens"),
            ],
        ),
        Case::new("updateProfile", Some("ada"), "username: \"countess\"", &[(UPDATE, "users")]),
    ]
}

/// Mutations of readings and their dependents, in an order in which each finds its objects.
fn reading_cases(app: &TestApp) -> Vec<Case> {
    let ada = Some("ada");
    let (public, private) = (reading_id("q:pub"), reading_id("q:prv"));
    let (spread, work) = (spread_id(app, "vault_tec_spread"), category_id("c:work"));
    let key = "idempotencyKey: \"k\"";
    let tags: &[_] = &[(UPDATE, "reading_sessions")];
    vec![
        Case::new("drawCards", None, "count: 3", &[]),
        Case::new(
            "createReading",
            ada,
            &format!("question: \"Why?\", spreadId: {spread:?}, categoryId: {work:?}, {key}"),
            &[
                (INSERT, "idempotency_keys"),
                (INSERT, "daily_usage"),
                (INSERT, "reading_sessions"),
                (INSERT, "reading_cards"),
                (INSERT, "user_card_stats"),
                (INSERT, "counter_deltas"),
            ],
        ),
        Case::new(
            "updateReading",
            ada,
            &format!("id: {public:?}, satisfactionRating: 1"),
            &[(UPDATE, "reading_sessions"), (INSERT, "counter_deltas")],
        ),
        Case::new("setReadingTags", ada, &format!("id: {public:?}, tags: [\"a\", \"b\"]"), tags),
        Case::new("renameTag", ada, "from: \"a\", to: \"c\"", tags),
        Case::new("mergeTags", ada, "from: [\"b\", \"c\"], to: \"d\"", tags),
        Case::new("deleteTags", ada, "tags: [\"d\"]", tags),
        Case::new(
            "createCategory",
            ada,
            &format!("name: \"new\", color: \"#123456\", {key}"),
            &[(INSERT, "idempotency_keys"), (INSERT, "reading_categories")],
        ),
        Case::new(
            "updateCategory",
            ada,
            &format!("id: {work:?}, name: \"other\""),
            &[(UPDATE, "reading_categories")],
        ),
        Case::new(
            "deleteCategory",
            ada,
            &format!("id: {work:?}"),
            &[(UPDATE, "reading_sessions"), (DELETE, "reading_categories")],
        ),
        Case::new(
            "shareReading",
            ada,
            &format!("readingId: {private:?}, {key}"),
            &[(INSERT, "idempotency_keys"), (INSERT, "reading_shares")],
        ),
        Case::new("unlockSharedReading", None, "token: \"s:pub\", password: \"any\"", &[]),
        Case::new(
            "revokeShare",
            ada,
            &format!("id: {:?}", share_id("s:pub")),
            &[(UPDATE, "reading_shares")],
        ),
        Case::new(
            "deleteReading",
            ada,
            &format!("id: {public:?}"),
            &[
                (INSERT, "counter_deltas"),
                (DELETE, "reading_sessions"),
                (INSERT, "user_card_stats"),
                (UPDATE, "user_card_stats"),
            ],
        ),
    ]
}

/// Mutations of moderation.
fn moderation_cases() -> Vec<Case> {
    let admin = Some("admin");
    let reason = "reason: \"Spam.\"";
    vec![
        Case::new(
            "adminHideReading",
            admin,
            &format!("readingId: {:?}, {reason}", reading_id("q:bob-pub")),
            &[(INSERT, "hidden_readings"), (UPDATE, "reading_sessions"), (INSERT, "audit_log")],
        ),
        Case::new(
            "adminUnhideReading",
            admin,
            &format!("readingId: {:?}, {reason}", reading_id("q:bob-pub")),
            &[(DELETE, "hidden_readings"), (UPDATE, "reading_sessions"), (INSERT, "audit_log")],
        ),
        Case::new(
            "adminDeactivateUser",
            admin,
            &format!("userId: {:?}, {reason}", user_id("bob")),
            &[
                (INSERT, "token_revocations"),
                (UPDATE, "login_sessions"),
                (INSERT, "counter_deltas"),
                (DELETE, "counter_deltas"),
                (UPDATE, "card_stats"),
                (UPDATE, "spread_stats"),
                (UPDATE, "site_stats"),
                (UPDATE, "users"),
                (INSERT, "audit_log"),
            ],
        ),
        Case::new(
            "adminReactivateUser",
            admin,
            &format!("userId: {:?}, {reason}", user_id("bob")),
            &[
                (INSERT, "counter_deltas"),
                (DELETE, "counter_deltas"),
                (UPDATE, "card_stats"),
                (UPDATE, "spread_stats"),
                (UPDATE, "site_stats"),
                (UPDATE, "users"),
                (INSERT, "audit_log"),
            ],
        ),
        Case::new(
            "adminDeleteReading",
            admin,
            &format!("readingId: {:?}, {reason}", reading_id("q:bob-pub")),
            &[
                (INSERT, "counter_deltas"),
                (DELETE, "reading_sessions"),
                (INSERT, "user_card_stats"),
                (UPDATE, "user_card_stats"),
                (INSERT, "audit_log"),
                (DELETE, "counter_deltas"),
                (UPDATE, "card_stats"),
                (UPDATE, "spread_stats"),
                (UPDATE, "site_stats"),
            ],
        ),
    ]
}

/// Mutations of operators, and the end of an account.
fn last_cases(app: &TestApp) -> Vec<Case> {
    let admin = Some("admin");
    let card = card_id(app, "major_arcana_00");
    let spread = spread_id(app, "vault_tec_spread");
    let position = |number| format!("{{ number: {number}, name: \"N\", meaning: \"M\" }}");
    vec![
        Case::new(
            "adminUpdateCard",
            admin,
            &format!("id: {card:?}, name: \"Other\", threatLevel: 9"),
            &[(UPDATE, "wasteland_cards"), (UPDATE, "card_texts"), (INSERT, "audit_log")],
        ),
        Case::new(
            "adminUpdateSpread",
            admin,
            &format!(
                "id: {spread:?}, displayName: \"Other\", isPremium: true, positions: [{}, {}]",
                position(1),
                position(2)
            ),
            &[
                (UPDATE, "spread_templates"),
                (UPDATE, "spread_texts"),
                (DELETE, "spread_positions"),
                (INSERT, "spread_positions"),
                (INSERT, "spread_position_texts"),
                (UPDATE, "spread_templates"),
                (INSERT, "audit_log"),
            ],
        ),
        Case::new(
            "adminLockUser",
            admin,
            &format!("userId: {:?}", user_id("ada")),
            &[
                (UPDATE, "users"),
                (INSERT, "token_revocations"),
                (UPDATE, "login_sessions"),
                (INSERT, "audit_log"),
            ],
        ),
        Case::new(
            "adminUnlockUser",
            admin,
            &format!("userId: {:?}", user_id("ada")),
            &[(UPDATE, "users"), (INSERT, "audit_log")],
        ),
        Case::new(
            "deleteAccount",
            Some("ada"),
            &format!("password: {PASSWORD:?}"),
            &[(INSERT, "counter_deltas"), (DELETE, "users")],
        ),
    ]
}

/// The table that a statement writes, if any.
fn write_of(sql: &str) -> Option<(String, String)> {
    let (event, rest) = [("INSERT INTO ", INSERT), ("UPDATE ", UPDATE), ("DELETE FROM ", DELETE)]
        .into_iter()
        .find_map(|(start, event)| sql.strip_prefix(start).map(|rest| (event, rest)))?;
    let table = rest.strip_prefix('"')?.split('"').next()?;
    Some((event.to_owned(), table.to_owned()))
}

/// A server with caches.
async fn start_watched(
    engine: Engine,
    flags: &[&str],
) -> (TestApp, Arc<Mutex<Vec<(String, String)>>>) {
    let written = Arc::new(Mutex::new(Vec::new()));
    let database = TestDatabase::new(engine, Content::Reference).await;
    let seen = Arc::clone(&written);
    let watch = move |sql: &str| seen.lock().expect("a list").extend(write_of(sql));
    let app = TestApp::start_observed(database, flags, watch).await;
    (app, written)
}

/// Moment of the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// While the statement runs.
    Statement,
    /// When the transaction is to be committed.
    Commit,
}

/// Has the database refuse such statements on that table, until it is mended.
async fn break_table(access: &Access, (event, table): (&str, &str), at: Break) {
    let sql = match (access.is_sqlite(), at) {
        (true, Break::Statement) => format!(
            "CREATE TRIGGER broken BEFORE {event} ON {table} BEGIN
                SELECT RAISE(ABORT, 'broken'); END"
        ),
        (true, Break::Commit) => format!(
            "CREATE TABLE nothing_there (id integer PRIMARY KEY);
             CREATE TABLE wants_something (id integer REFERENCES nothing_there (id)
                DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER broken AFTER {event} ON {table} BEGIN
                INSERT INTO wants_something VALUES (1); END"
        ),
        (false, Break::Statement) => format!(
            "CREATE TRIGGER broken BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
        (false, Break::Commit) => format!(
            "CREATE CONSTRAINT TRIGGER broken AFTER {event} ON {table}
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
    };
    access.run(&sql).await;
}

async fn mend_table(access: &Access, table: &str) {
    if access.is_sqlite() {
        access
            .run(
                "DROP TRIGGER broken; DROP TABLE IF EXISTS wants_something;
                 DROP TABLE IF EXISTS nothing_there",
            )
            .await;
    } else {
        access.run(&format!("DROP TRIGGER broken ON {table}")).await;
    }
}

/// The function that the triggers of PostgreSQL call.
async fn prepare(access: &Access) {
    if !access.is_sqlite() {
        access
            .run(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
                    AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$",
            )
            .await;
    }
}

async fn fetch(app: &TestApp, case: &Case) -> TestResponse {
    app.query_as_viewer(case.viewer, &case.document).await
}

/// Sends the mutation while that write fails, and asserts that nothing is left of it.
async fn assert_nothing_is_left(
    app: &TestApp,
    access: &Access,
    case: &Case,
    (write, at): ((&str, &str), Break),
    before: &Tables,
) {
    // Selects data in the server's memory as well.
    const STILL: &str = "{ viewer { username } cards(first: 1) { nodes { name threatLevel } }
        spreads { nodes { displayName isPremium positions { name } } } }";
    let seen = app.data_as(id("admin"), STILL).await;
    break_table(access, write, at).await;
    let response = fetch(app, case).await;
    mend_table(access, write.1).await;
    assert_eq!(
        response.body_without_request_id(),
        json!({
            "data": { case.mutation: null },
            "errors": [{
                "message": "something went wrong on our side",
                "locations": [{ "line": 1, "column": 12 }],
                "path": [case.mutation],
                "extensions": { "code": "INTERNAL_SERVER_ERROR", "requestId": "ID" },
            }],
        }),
        "{}, {write:?} refused, {at:?}",
        case.mutation
    );
    let left = differences(before, &access.all().await);
    assert!(left.is_empty(), "{}, {write:?} refused, {at:?}: {left:#?}", case.mutation);
    // The only connection of the pool still works, or there is another one.
    assert_eq!(app.data_as(id("admin"), STILL).await, seen);
}

on_both_databases! {
    async fn a_mutation_that_fails_at_any_of_its_writes_leaves_nothing(engine: Engine) {
        let (app, written) = start_watched(engine, &[]).await;
        write_world(&app).await;
        let mut cases = account_cases(&app).await;
        cases.extend(reading_cases(&app));
        cases.extend(moderation_cases());
        cases.extend(last_cases(&app));
        let covered: BTreeSet<String> =
            cases.iter().map(|case| case.mutation.to_owned()).collect();
        let mut all = mutation_names();
        // It writes nothing to the database, and takes no input.
        assert!(all.remove("adminInvalidateCache"));
        assert_eq!(covered, all);

        let access = Access::open(&app.database).await;
        prepare(&access).await;
        for case in &cases {
            // Moderation folds the deltas of the cases before.
            let (session, services) = (app.app.database.session(), &app.app.services);
            maintenance::fold_counters(services, &session).await.expect("folded");
            let before = access.all().await;
            let writes: Vec<_> = case.writes.iter().copied().chain(case.outbox_entry()).collect();
            let refused: BTreeSet<_> = writes.iter().copied().collect();
            for write in refused {
                let at = Break::Statement;
                assert_nothing_is_left(&app, &access, case, (write, at), &before).await;
            }
            if let Some(last) = writes.last() {
                let at = Break::Commit;
                assert_nothing_is_left(&app, &access, case, (*last, at), &before).await;
            }
            // And whole it is done, with these writes and no others.
            written.lock().expect("a list").clear();
            let data = data_of(fetch(&app, case).await);
            assert_eq!(data, json!({ case.mutation: { "userErrors": [] } }));
            let written = written.lock().expect("a list").clone();
            let expected: Vec<_> = writes
                .iter()
                .map(|(event, table)| ((*event).to_owned(), (*table).to_owned()))
                .collect();
            assert_eq!(written, expected, "{}", case.document);
            let changed = differences(&before, &access.all().await);
            assert_eq!(changed.is_empty(), case.writes.is_empty(), "{changed:#?}");
        }
    }
}

/// Makes each drawn card take about a second to write.
fn slow(access: &Access) -> &'static str {
    if access.is_sqlite() {
        return "CREATE TRIGGER slow BEFORE INSERT ON reading_cards BEGIN
            SELECT count(*) FROM wasteland_cards a, wasteland_cards b, wasteland_cards c,
                wasteland_cards d WHERE a.number + b.number + c.number + d.number > 50; END";
    }
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN PERFORM pg_sleep(1); RETURN new; END $$;
     CREATE TRIGGER slow BEFORE INSERT ON reading_cards FOR EACH ROW EXECUTE FUNCTION slow()"
}

/// Connections of the server that are in a transaction, at work or not.
pub const OPEN_TRANSACTIONS: &str = "SELECT count(*) AS number FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        AND backend_type = 'client backend'";

/// Sends a mutation as that user, and returns its payload.
async fn done(app: &TestApp, viewer: Uuid, document: &str) -> Value {
    let data = app.data_as(viewer, document).await;
    let (_, payload) = data.as_object().and_then(|data| data.iter().next()).expect("a payload");
    assert_eq!(payload["userErrors"], json!([]), "{document}");
    payload.clone()
}

/// A reading's life from its beginning to its end, on spreads and cards that everybody uses.
async fn write_flow(app: &TestApp, viewer: Uuid, name: &str) {
    let spread = spread_id(app, "celtic_cross");
    let fetch = async |mutation: &str, input: String, fields: &str| {
        let query = format!(
            "mutation {{ {mutation}(input: {{ {input} }}) {{ {fields} userErrors {{ message }} }} }}"
        );
        done(app, viewer, &query).await
    };
    let color = format!("name: {name:?}, color: \"#123456\"");
    let category =
        fetch("createCategory", color, "category { id }").await["category"]["id"].clone();
    let input = format!(
        "question: {name:?}, spreadId: {spread:?}, categoryId: {category}, tags: [\"all\", {name:?}],
            idempotencyKey: {name:?}"
    );
    let reading =
        fetch("createReading", input, "reading { id cards { id } }").await["reading"].clone();
    assert_eq!(reading["cards"].as_array().map(Vec::len), Some(10));
    let id = &reading["id"];
    let update = format!("id: {id}, satisfactionRating: 4, categoryId: {category}");
    fetch("updateReading", update, "reading { version }").await;
    let tags = format!("id: {id}, tags: [\"all\", {name:?}, \"more {name}\"]");
    fetch("setReadingTags", tags, "viewer { tags { totalCount } }").await;
    fetch("renameTag", format!("from: {name:?}, to: \"new {name}\""), "changedReadingCount").await;
    fetch("deleteTags", format!("tags: [\"more {name}\"]"), "changedReadingCount").await;
    let share = fetch("shareReading", format!("readingId: {id}"), "shareLink { id url }").await;
    let share = &share["shareLink"];
    let token = share["url"].as_str().and_then(|url| url.rsplit('/').next()).expect("a token");
    app.data(&format!("{{ sharedReading(token: {token:?}) {{ content {{ question }} }} }}")).await;
    fetch("updateProfile", format!("bio: {name:?}"), "user { bio }").await;
    fetch("revokeShare", format!("id: {}", share["id"]), "deletedShareLinkId").await;
    fetch("deleteCategory", format!("id: {category}"), "changedReadingCount").await;
    fetch("deleteReading", format!("id: {id}"), "viewer { categories { name } }").await;
}

/// Limits that are out of the way where many write at once: the tests assert that nobody waits for
/// ever, and not how long.
const PATIENT: [&str; 5] = [
    "--database-lock-timeout-ms=120000",
    "--database-statement-timeout-ms=120000",
    "--database-deadline-ms=120000",
    "--request-timeout-ms=120000",
    "--daily-readings=60000",
];

async fn start_patient(engine: Engine, flags: &[&str]) -> TestApp {
    let flags: Vec<&str> = PATIENT.iter().chain(flags).copied().collect();
    TestApp::start_with(engine, &flags).await
}

async fn assert_nobody_was_deadlocked(app: &TestApp) {
    let access = Access::open(&app.database).await;
    if !access.is_sqlite() {
        // A backend publishes its counts at the latest when it ends.
        let others = "FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        access.run(&format!("SELECT pg_terminate_backend(pid) {others}")).await;
        access.wait_for(&format!("SELECT count(*) AS number {others}"), 0).await;
        let deadlocks = "SELECT deadlocks AS number FROM pg_stat_database
            WHERE datname = current_database()";
        assert_eq!(access.number(deadlocks).await, 0);
    }
    access.close().await;
}

/// Readings that are there without a trace of themselves in the counters, or the other way round.
pub async fn assert_counters_agree(app: &TestApp) {
    let session = app.app.database.session();
    maintenance::fold_counters(&app.app.services, &session).await.expect("the counters are folded");
    let access = Access::open(&app.database).await;
    for (counted, there) in [
        (
            "SELECT readings AS number FROM site_stats",
            "SELECT count(*) AS number FROM reading_sessions WHERE user_id IN
                (SELECT id FROM users WHERE is_active)",
        ),
        (
            "SELECT users AS number FROM site_stats",
            "SELECT count(*) AS number FROM users WHERE is_active",
        ),
        (
            "SELECT CAST(coalesce(sum(draw_count), 0) AS bigint) AS number FROM card_stats",
            "SELECT count(*) AS number FROM reading_cards WHERE reading_id IN
                (SELECT id FROM reading_sessions WHERE user_id IN
                    (SELECT id FROM users WHERE is_active))",
        ),
        (
            "SELECT CAST(coalesce(sum(usage_count), 0) AS bigint) AS number FROM spread_stats",
            "SELECT count(*) AS number FROM reading_sessions WHERE user_id IN
                (SELECT id FROM users WHERE is_active)",
        ),
        (
            "SELECT CAST(coalesce(sum(rating_sum), 0) AS bigint) AS number FROM spread_stats",
            "SELECT CAST(coalesce(sum(user_satisfaction), 0) AS bigint) AS number
                FROM reading_sessions WHERE user_id IN (SELECT id FROM users WHERE is_active)",
        ),
    ] {
        assert_eq!(access.number(counted).await, access.number(there).await, "{counted}");
    }
    access.close().await;
}

on_both_databases! {
    async fn whole_flows_of_many_finish_on_one_connection(engine: Engine) {
        // A request that held one connection while it waited for a second would wait for ever.
        let app = start_patient(engine, &[]).await;
        let names: Vec<String> = (0..8).map(|n| format!("u{n}")).collect();
        let users = names.iter().map(|name| user(name)).collect();
        app.insert(rows(users, Vec::new())).await;
        join_all(names.iter().map(|name| write_flow(&app, id(name), name))).await;
        assert_counters_agree(&app).await;
    }

    async fn thirty_writers_on_the_same_cards_spreads_and_tags_never_deadlock(engine: Engine) {
        let app = start_patient(engine, &["--database-pool-size=10"]).await;
        write_world(&app).await;
        let names = ["u0", "u1", "u2", "u3"];
        app.insert(rows(names.map(user).into(), Vec::new())).await;
        let writers = (0..30).map(|n| {
            let (app, viewer) = (&app, id(names[n % names.len()]));
            async move { write_flow(app, viewer, &format!("w{n}")).await }
        });
        // Meanwhile counters are folded and somebody's account ends, with all that was theirs.
        let maintenance = async {
            for _ in 0..5 {
                let session = app.app.database.session();
                maintenance::fold_counters(&app.app.services, &session).await.expect("folded");
                maintenance::sweep(&app.app.services, &session).await.expect("swept");
            }
        };
        let ending = async {
            let delete = format!(
                "mutation {{ deleteAccount(input: {{ password: {PASSWORD:?} }}) {{
                    deletedUserId userErrors {{ message }} }} }}"
            );
            let payload = done(&app, id("ada"), &delete).await;
            assert_eq!(payload["deletedUserId"], user_id("ada"));
        };
        futures_util::join!(join_all(writers), maintenance, ending);
        assert_counters_agree(&app).await;
        assert_nobody_was_deadlocked(&app).await;
    }

    async fn an_account_that_ends_among_its_own_writes_takes_all_of_them_along(engine: Engine) {
        let app = start_patient(engine, &["--database-pool-size=10"]).await;
        write_world(&app).await;
        let spread = spread_id(&app, "celtic_cross");
        let writes = [
            format!("createReading(input: {{ question: \"?\", spreadId: {spread:?} }}) {{ reading {{ id }} }}"),
            format!("updateReading(input: {{ id: {:?}, satisfactionRating: 2 }}) {{ reading {{ id }} }}", reading_id("q:pub")),
            format!("deleteReading(input: {{ id: {:?} }}) {{ viewer {{ id }} }}", reading_id("q:prv")),
            "renameTag(input: { from: \"tag q:friends\", to: \"new\" }) { viewer { id } }".to_owned(),
            format!("deleteCategory(input: {{ id: {:?} }}) {{ viewer {{ id }} }}", category_id("c:work")),
            format!("shareReading(input: {{ readingId: {:?} }}) {{ reading {{ id }} }}", reading_id("q:friends")),
            format!("revokeShare(input: {{ id: {:?} }}) {{ reading {{ id }} }}", share_id("s:pub")),
            "updateProfile(input: { username: \"countess\" }) { user { id } }".to_owned(),
            "logout(input: { everywhere: true }) { loggedOut }".to_owned(),
        ];
        log_in(&app, "ada").await;
        let mutations = writes.iter().cycle().take(27).map(|write| {
            let (app, document) = (&app, format!("mutation {{ {write} }}"));
            async move { app.query_as(id("ada"), &document).await }
        });
        let delete = format!(
            "mutation {{ deleteAccount(input: {{ password: {PASSWORD:?} }}) {{ deletedUserId }} }}"
        );
        let (responses, deleted) = futures_util::join!(join_all(mutations), app.query_as(id("ada"), &delete));
        assert_eq!(
            data_of(deleted),
            json!({ "deleteAccount": { "deletedUserId": user_id("ada") } })
        );
        // Requests that came too late found nobody; one that found its object gone was second to a
        // deletion.
        for response in responses {
            let code = &response.body["errors"][0]["extensions"]["code"];
            let is_expected = code.is_null() || code == "UNAUTHENTICATED" || code == "NOT_FOUND";
            assert!(is_expected, "{}", response.text);
        }
        let access = Access::open(&app.database).await;
        for (table, column) in [
            ("reading_sessions", "user_id"), ("reading_categories", "user_id"),
            ("daily_usage", "user_id"), ("login_sessions", "user_id"),
            ("refresh_tokens", "user_id"), ("idempotency_keys", "user_id"), ("users", "id"),
        ] {
            let left = format!(
                "SELECT count(*) AS number FROM {table}
                    WHERE {column} NOT IN (SELECT id FROM users WHERE username <> 'ada')"
            );
            assert_eq!(access.number(&left).await, 0, "{table}");
        }
        access.close().await;
        assert_counters_agree(&app).await;
        assert_nobody_was_deadlocked(&app).await;
    }

    async fn two_new_names_of_a_user_at_once_are_taken_one_after_the_other(engine: Engine) {
        let app = start_patient(engine, &["--database-pool-size=3"]).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let access = Access::open(&app.database).await;
        let rename = async |name: &str| {
            let query = format!(
                "mutation {{ updateProfile(input: {{ username: {name:?} }}) {{
                    userErrors {{ message }} }} }}"
            );
            done(&app, id("ada"), &query).await
        };
        let connection = app.database.connect().await;
        let transaction = connection.begin().await.expect("a transaction");
        if !access.is_sqlite() {
            // Lets both read the row and neither change it, so that they are in the middle together.
            transaction
                .execute_unprepared("SELECT FROM users FOR NO KEY UPDATE")
                .await
                .expect("the row is held");
        }
        let let_go = async {
            if !access.is_sqlite() {
                access.wait_for("SELECT count(*) AS number FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'", 2).await;
            }
            transaction.commit().await.expect("the row is let go");
        };
        futures_util::join!(rename("countess"), rename("lovelace"), let_go);
        connection.close().await.expect("the connection closes");
        access.close().await;
        assert_nobody_was_deadlocked(&app).await;
    }

    async fn a_statement_that_is_given_up_takes_its_transaction_along(engine: Engine) {
        let flags = ["--database-deadline-ms=300", "--database-statement-timeout-ms=60000"];
        let app = TestApp::start_with(engine, &flags).await;
        write_world(&app).await;
        let access = Access::open(&app.database).await;
        let before = access.all().await;
        access.run(slow(&access)).await;
        if access.is_sqlite() {
            // The statement that is given up goes on until it is done, and nobody else writes meanwhile.
            access.run("PRAGMA busy_timeout = 60000").await;
        }
        let spread = spread_id(&app, "single_wasteland");
        let create = format!(
            "mutation {{ createReading(input: {{ question: \"Slow?\", spreadId: {spread:?} }}) {{
                userErrors {{ message }} }} }}"
        );
        let response = app.query_as(id("ada"), &create).await;
        assert_eq!(response.body["data"], json!({ "createReading": null }));
        assert_eq!(response.body["errors"][0]["extensions"]["code"], "TIMEOUT");
        // The pool is one connection, and the one that nobody waits for any more is none of it.
        assert_eq!(app.data_as(id("ada"), "{ viewer { username } }").await["viewer"]["username"], "ada");
        if !access.is_sqlite() {
            access.wait_for(OPEN_TRANSACTIONS, 0).await;
        }
        access.run(if access.is_sqlite() { "DROP TRIGGER slow" } else { "DROP TRIGGER slow ON reading_cards" }).await;
        let left = differences(&before, &access.all().await);
        assert!(left.is_empty(), "{left:#?}");
        access.close().await;
        assert_eq!(done(&app, id("ada"), &create).await, json!({ "userErrors": [] }));
    }

    async fn a_mutation_finishes_after_its_client_disconnected(engine: Engine) {
        let flags = ["--database-deadline-ms=60000", "--database-statement-timeout-ms=60000"];
        let (app, written) = start_watched(engine, &flags).await;
        write_world(&app).await;
        let access = Access::open(&app.database).await;
        access.run(slow(&access)).await;
        let spread = spread_id(&app, "single_wasteland");
        let create = format!(
            "mutation {{ createReading(input: {{ question: \"Still?\", spreadId: {spread:?} }}) {{
                userErrors {{ message }} }} }}"
        );
        let mut leaving = RawConnection::open(&app).await;
        let token = format!("authorization: Bearer {}\r\n", app.token_of(id("ada")));
        leaving.write(raw_post(&token, &json!({ "query": create }).to_string())).await;
        // It leaves in the middle: the cards are being written, which takes a while.
        let cards = (INSERT.to_owned(), "reading_cards".to_owned());
        while !written.lock().expect("a list").contains(&cards) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(leaving);
        app.app.writes.close();
        app.app.writes.wait().await;
        let made = "SELECT count(*) AS number FROM reading_cards WHERE reading_id IN
            (SELECT id FROM reading_sessions WHERE question = 'Still?')";
        assert_eq!(access.number(made).await, 1);
        assert_eq!(access.number("SELECT CAST(sum(n) AS bigint) AS number FROM daily_usage").await, 1);
        access.close().await;
    }

    async fn of_two_concurrent_renames_to_one_name_the_second_is_rejected(
        engine: Engine,
    ) {
        let app = start_patient(engine, &[]).await;
        app.insert(rows(vec![user("ada"), user("bob")], Vec::new())).await;
        let access = Access::open(&app.database).await;
        let begin = if access.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" };
        // Nobody else sees the name before the commit.
        access.run(begin).await;
        access.run("UPDATE users SET username = 'countess' WHERE username = 'bob'").await;
        let rename = app.query_as(
            id("ada"),
            "mutation { updateProfile(input: { username: \"countess\" }) {
                user { username } userErrors { field code message } } }",
        );
        let commit = async {
            let waiting = "SELECT count(*) AS number FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
            if !access.is_sqlite() {
                access.wait_for(waiting, 1).await;
            }
            access.run("COMMIT").await;
        };
        let (renamed, ()) = futures_util::join!(rename, commit);
        assert_eq!(
            renamed.body,
            json!({ "data": { "updateProfile": {
                "user": null,
                "userErrors": [{
                    "field": ["input", "username"],
                    "code": "TAKEN",
                    "message": "this username is taken",
                }],
            } } })
        );
        access.close().await;
    }
}
