//! One session in several tabs of a browser: tabs share a refresh token, use it at the same time, and store
//! whichever response arrives last.
//!
//! `TABS_SEED` repeats the schedule of a failure, and `TABS_SCHEDULES` plays more of them.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;

use wasteland_tarot::db::entities::{login_sessions, refresh_tokens};

use crate::sessions::{Pair, hash, is_over, log_in, log_out, refreshed, start};
use crate::support::app::{Engine, TestApp, on_both_databases};

/// Tabs of a browser.
const TABS: usize = 50;
/// Longest way of a request to the server, and of a response back, in milliseconds.
const DELAY_MS: i64 = 40;
/// Schedules that are played on each database.
const SCHEDULES: u64 = 2;
/// Times at which all tabs refresh in one schedule.
const BURSTS: usize = 5;
/// Milliseconds between two bursts: within the grace period of 30 s, just before and just after its end,
/// and later.
const PAUSES_MS: [i64; 6] = [200, 5_000, 29_000, 31_000, 900_000, 86_400_000];

/// Hashes of the tokens of live sessions that can be exchanged for the first time.
async fn unused(app: &TestApp) -> Vec<String> {
    let connection = app.database.connect().await;
    let sessions = login_sessions::Entity::find()
        .filter(login_sessions::Column::RevokedAt.is_null())
        .all(&connection)
        .await
        .expect("the sessions are read");
    let sessions = sessions.into_iter().map(|session| session.id);
    let live = refresh_tokens::Entity::find()
        .filter(refresh_tokens::Column::FamilyId.is_in(sessions))
        .filter(refresh_tokens::Column::UsedAt.is_null())
        .filter(refresh_tokens::Column::RevokedAt.is_null())
        .all(&connection)
        .await
        .expect("the tokens are read");
    let mut hashes: Vec<String> = live.into_iter().map(|token| token.token_hash).collect();
    hashes.sort();
    hashes
}

fn hashes<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Vec<String> {
    let mut hashes: Vec<String> = pairs.into_iter().map(|pair| hash(&pair.refresh)).collect();
    hashes.sort();
    hashes
}

fn advance(app: &TestApp, seconds: i64) {
    app.app.services.clock.advance(TimeDelta::seconds(seconds));
}

/// Server of a user, with a stopped clock.
async fn start_stopped(engine: Engine, flags: &[&str]) -> TestApp {
    let app = start(engine, &["ada"], flags).await;
    app.app.services.clock.stop();
    app
}

on_both_databases! {
    async fn each_of_two_successors_is_live_within_the_grace(engine: Engine) {
        let app = start_stopped(engine, &[]).await;
        let first = log_in(&app, "ada").await;
        let one = refreshed(&app, &first.refresh).await;
        advance(&app, 30);
        let other = refreshed(&app, &first.refresh).await;
        assert_eq!(unused(&app).await, hashes([&one, &other]));
        let one = refreshed(&app, &one.refresh).await;
        let other = refreshed(&app, &other.refresh).await;
        assert_eq!(unused(&app).await, hashes([&one, &other]));
        // The used token is good until its own time is over, whatever became of its successors.
        let third = refreshed(&app, &first.refresh).await;
        assert_eq!(unused(&app).await, hashes([&one, &other, &third]));
    }

    async fn either_of_two_successors_goes_on_and_ends_the_other_after_the_grace(engine: Engine) {
        let app = start_stopped(engine, &[]).await;
        for goes_on in [0, 1] {
            let elsewhere = log_in(&app, "ada").await;
            let first = log_in(&app, "ada").await;
            let made = [
                refreshed(&app, &first.refresh).await,
                refreshed(&app, &first.refresh).await,
            ];
            advance(&app, 31);
            let next = refreshed(&app, &made[goes_on].refresh).await;
            assert_eq!(unused(&app).await, hashes([&elsewhere, &next]));
            advance(&app, 31);
            let next = refreshed(&app, &next.refresh).await;
            assert_eq!(unused(&app).await, hashes([&elsewhere, &next]));
            // Two parties have tokens of the session, and one of them may be a thief.
            assert!(is_over(&app, &made[1 - goes_on].refresh).await);
            assert!(is_over(&app, &next.refresh).await);
            refreshed(&app, &elsewhere.refresh).await;
            let everywhere = json!({ "refreshToken": elsewhere.refresh, "everywhere": true });
            log_out(&app, None, &everywhere).await;
        }
    }

    async fn a_successor_that_is_used_after_the_grace_ends_all_other_branches(engine: Engine) {
        let app = start_stopped(engine, &[]).await;
        let first = log_in(&app, "ada").await;
        let idle = refreshed(&app, &first.refresh).await;
        let used = refreshed(&app, &first.refresh).await;
        advance(&app, 20);
        // Within the grace, so that all branches stay.
        let branch = refreshed(&app, &used.refresh).await;
        assert_eq!(unused(&app).await, hashes([&idle, &branch]));
        advance(&app, 11);
        let next = refreshed(&app, &idle.refresh).await;
        assert_eq!(unused(&app).await, hashes([&next]));
        // The time of grace of `used` is not over, and its branch has ended all the same.
        assert!(is_over(&app, &used.refresh).await);
        assert!(is_over(&app, &next.refresh).await);
    }

    async fn reuse_after_the_grace_ends_the_session(engine: Engine) {
        let app = start_stopped(engine, &[]).await;
        for seconds in [30, 31] {
            let first = log_in(&app, "ada").await;
            let made = [
                refreshed(&app, &first.refresh).await,
                refreshed(&app, &first.refresh).await,
            ];
            advance(&app, seconds);
            assert_eq!(is_over(&app, &first.refresh).await, seconds > 30, "{seconds}");
            for pair in made {
                assert_eq!(is_over(&app, &pair.refresh).await, seconds > 30, "{seconds}");
            }
        }
    }

    async fn a_second_use_does_not_prolong_the_grace(engine: Engine) {
        let app = start_stopped(engine, &[]).await;
        let first = log_in(&app, "ada").await;
        refreshed(&app, &first.refresh).await;
        advance(&app, 20);
        let second = refreshed(&app, &first.refresh).await;
        advance(&app, 11);
        assert!(is_over(&app, &first.refresh).await);
        assert!(is_over(&app, &second.refresh).await);
    }

    async fn a_grace_of_one_second_is_that(engine: Engine) {
        let app = start_stopped(engine, &["--refresh-grace-seconds=1"]).await;
        let first = log_in(&app, "ada").await;
        refreshed(&app, &first.refresh).await;
        advance(&app, 1);
        refreshed(&app, &first.refresh).await;
        advance(&app, 1);
        assert!(is_over(&app, &first.refresh).await);
    }

    async fn fifty_uses_at_once_make_fifty_live_successors(engine: Engine) {
        let app = start_stopped(engine, &["--database-pool-size=8"]).await;
        let first = log_in(&app, "ada").await;
        let pairs = join_all((0..TABS).map(|_| refreshed(&app, &first.refresh))).await;
        assert_eq!(unused(&app).await, hashes(&pairs));
        let next = join_all(pairs.iter().map(|pair| refreshed(&app, &pair.refresh))).await;
        assert_eq!(unused(&app).await, hashes(&next));
        advance(&app, 31);
        let last = refreshed(&app, &next[17].refresh).await;
        assert_eq!(unused(&app).await, hashes([&last]));
    }

    async fn fifty_tabs_that_refresh_at_once_stay_signed_in(engine: Engine) {
        let seed = seed();
        println!("TABS_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let app = start(engine, &["ada"], &["--database-pool-size=8"]).await;
        let stored = Mutex::new(log_in(&app, "ada").await.refresh);
        let (app, stored) = (&app, &stored);
        for _ in 0..BURSTS {
            let ways = (0..TABS).map(|_| [(); 3].map(|()| random.random_range(0..=DELAY_MS)));
            let ways: Vec<[i64; 3]> = ways.collect();
            join_all(ways.into_iter().map(|[sent, there, back]| async move {
                pause(sent).await;
                let token = stored.lock().expect("no tab failed").clone();
                pause(there).await;
                let pair = refreshed(app, &token).await;
                pause(back).await;
                *stored.lock().expect("no tab failed") = pair.refresh;
            }))
            .await;
            advance(app, 901);
        }
    }

    /// Time is simulated, so that a seed has one outcome.
    async fn no_schedule_of_fifty_tabs_signs_anybody_out(engine: Engine) {
        let seed = seed();
        let schedules = number("TABS_SCHEDULES").unwrap_or(SCHEDULES);
        for seed in seed..seed + schedules {
            println!("TABS_SEED={seed}");
            let app = start_stopped(engine, &[]).await;
            let first = log_in(&app, "ada").await.refresh;
            let began = app.app.services.clock.now();
            let mut browser = Browser { stored: first, app: &app, began };
            let mut random = StdRng::seed_from_u64(seed);
            let mut at = 0;
            for _ in 0..BURSTS {
                let requests: Vec<Request> =
                    (0..TABS).map(|_| Request::random(&mut random, at)).collect();
                at = browser.play(requests).await + PAUSES_MS.choose(&mut random).expect("one");
            }
            // A quiet time ends all branches but the one in use.
            browser.set_time(at + 31_000);
            let last = refreshed(&app, &browser.stored).await;
            browser.set_time(at + 62_000);
            let last = refreshed(&app, &last.refresh).await;
            assert_eq!(unused(&app).await, hashes([&last]), "TABS_SEED={seed}");
        }
    }
}

async fn pause(milliseconds: i64) {
    let milliseconds = u64::try_from(milliseconds).expect("a delay");
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

fn seed() -> u64 {
    number("TABS_SEED").unwrap_or_else(|| rand::random::<u32>().into())
}

/// Refresh of one tab, in milliseconds since the beginning.
#[derive(Debug, Clone, Copy)]
struct Request {
    sent: i64,
    reaches_server: i64,
    /// `None` of a response that is lost.
    reaches_tab: Option<i64>,
}

impl Request {
    fn random(random: &mut StdRng, from: i64) -> Self {
        let mut way = || random.random_range(0..=DELAY_MS);
        let sent = from + way();
        let reaches_server = sent + way();
        let reaches_tab = reaches_server + way();
        let is_lost = random.random_bool(0.1);
        Self { sent, reaches_server, reaches_tab: (!is_lost).then_some(reaches_tab) }
    }
}

/// Stages of a request, in their order at equal times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Send,
    Exchange,
    Store,
}

/// A browser whose tabs share one stored token.
struct Browser<'a> {
    app: &'a TestApp,
    began: DateTime<Utc>,
    stored: String,
}

impl Browser<'_> {
    fn set_time(&self, milliseconds: i64) {
        let clock = &self.app.app.services.clock;
        clock.advance(self.began + TimeDelta::milliseconds(milliseconds) - clock.now());
    }

    /// Plays requests step by step. Returns the time of the last one.
    async fn play(&mut self, mut requests: Vec<Request>) -> i64 {
        // A client whose last request got no response repeats it; here its response arrives.
        let last = requests.iter_mut().max_by_key(|request| request.sent).expect("requests");
        last.reaches_tab = last.reaches_tab.or(Some(last.reaches_server));
        let mut steps = BTreeSet::new();
        for (tab, request) in requests.iter().enumerate() {
            steps.insert((request.sent, Step::Send, tab));
            steps.insert((request.reaches_server, Step::Exchange, tab));
            if let Some(at) = request.reaches_tab {
                steps.insert((at, Step::Store, tab));
            }
        }
        let mut carried = vec![String::new(); requests.len()];
        let mut end = 0;
        for (at, step, tab) in steps {
            self.set_time(at);
            end = at;
            match step {
                Step::Send => carried[tab].clone_from(&self.stored),
                Step::Exchange => {
                    carried[tab] = refreshed(self.app, &carried[tab]).await.refresh;
                }
                Step::Store => self.stored.clone_from(&carried[tab]),
            }
        }
        end
    }
}
