//! Statistics of readings: the server's sums beside a recount of all readings.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, DurationRound, NaiveDate, TimeDelta, Timelike, Utc};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use wasteland_tarot::db::entities::{reading_cards, reading_sessions, users};
use wasteland_tarot::db::seed::SeedRows;
use wasteland_tarot::db::statistics::readings_before_and_since;
use wasteland_tarot::domain::card::Orientation;
use wasteland_tarot::domain::reading::{Karma, ReadingStatus};
use wasteland_tarot::domain::statistics::{AdjacentPeriods, Ratings};
use wasteland_tarot::domain::voice::VoiceKey;

use crate::support::app::{TestApp, on_both_databases};
use crate::support::fixtures::{drawn_card, drawn_cards, id, reading, rows, spread, user, user_id};
use crate::support::mutations::payload;
use crate::support::tables::Access;

const OFFSETS: [i32; 5] = [-720, -345, 0, 345, 840];
const SPREADS: [&str; 3] = ["single_wasteland", "vault_tec_spread", "raider_chaos"];
const VOICES: [VoiceKey; 4] =
    [VoiceKey::PipBoy, VoiceKey::Ghoul, VoiceKey::Codsworth, VoiceKey::Raider];
const CODES: [&str; 6] = [
    "major_arcana_00",
    "major_arcana_21",
    "bottle_caps_01",
    "radiation_rods_14",
    "combat_weapons_07",
    "nuka_cola_bottles_10",
];

/// All figures and charts. `DAYS`, `RANGE` and `OFFSET` are put in.
const EVERYTHING: &str = "{ viewer {
    stats(utcOffsetMinutes: OFFSET) {
        totalReadings readingsThisMonth readingsThisWeek readingsLast7Days meanSatisfaction
        favoriteVoice favoriteSpread { name } cardsDrawn karma { karma count } currentStreakDays
    }
    analytics(utcOffsetMinutes: OFFSET) {
        summary(range: RANGE) {
            totalReadings readingsLast7Days readingsLast30Days meanSatisfaction favoriteVoice
            favoriteSpread { name }
        }
        frequency(days: DAYS) { date count }
        spreads(range: RANGE) { spreadType count }
        voices(range: RANGE) { voice count }
        karma(range: RANGE) { karma count }
        satisfaction(days: DAYS) { mean histogram { rating count } trend }
        patterns { busiestWeekday busiestHour readingsPerWeek longestStreakDays }
        topCards(limit: 50) { card { code } draws percentOfDraws upright reversed }
        comparison(days: DAYS) {
            current { readings meanSatisfaction } previous { readings meanSatisfaction } direction
        }
    }
} }";

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// The server's time goes on from there.
fn set_clock(app: &TestApp, now: DateTime<Utc>) {
    let clock = &app.app.services.clock;
    clock.advance(now - clock.now());
}

/// A reading and its cards.
#[derive(Clone)]
struct Made {
    reading: reading_sessions::Model,
    cards: Vec<reading_cards::Model>,
}

fn rows_of(owners: Vec<users::Model>, made: &[Made]) -> SeedRows {
    SeedRows {
        drawn_cards: made.iter().flat_map(|made| made.cards.clone()).collect(),
        ..rows(owners, made.iter().map(|made| made.reading.clone()).collect())
    }
}

/// Readings of up to 130 days before a time, many of them in a few days, on the edges of days and
/// at the same moment. None is made in the minutes in which the server is queried, or so many days
/// before.
fn history(app: &TestApp, owner: &users::Model, seed: u64, now: DateTime<Utc>) -> Vec<Made> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = 150;
    let mut made: Vec<Made> = Vec::new();
    for number in 0..count {
        let days = if rng.random_bool(0.5) { 8 } else { 130 };
        let mut at = now - TimeDelta::days(rng.random_range(0..days));
        let hour = rng.random_range(0..24);
        at =
            at.with_hour(hour).and_then(|at| at.with_minute(rng.random_range(0..20))).expect("one");
        at = match rng.random_range(0..10) {
            // Midnight of some clock, and the last moment before it.
            0..2 => {
                let ahead = TimeDelta::minutes((*OFFSETS.choose(&mut rng).expect("one")).into());
                let day =
                    (at + ahead).date_naive().and_hms_opt(0, 0, 0).expect("midnight").and_utc();
                let edge =
                    if rng.random() { TimeDelta::zero() } else { TimeDelta::microseconds(1) };
                day - ahead - edge
            }
            2 if !made.is_empty() => made[made.len() - 1].reading.created_at,
            _ => at + TimeDelta::microseconds(rng.random_range(0..1_000_000)),
        };
        if at >= now {
            at -= TimeDelta::days(1);
        }
        let rating: i16 = rng.random_range(0..=6);
        let name = format!("{}{number:03}", owner.username);
        let layout = spread(app, SPREADS.choose(&mut rng).expect("one"));
        let status = match rng.random_range(0..12) {
            0 => ReadingStatus::Active,
            1 => ReadingStatus::Paused,
            _ => ReadingStatus::Complete,
        };
        let reading = reading_sessions::Model {
            spread_template_id: layout.id,
            spread_type: layout.spread_type,
            character_voice: *VOICES.choose(&mut rng).expect("one"),
            karma_context: *[Karma::Good, Karma::Evil].choose(&mut rng).expect("one"),
            user_satisfaction: (1..=5).contains(&rating).then_some(rating),
            archived_at: rng.random_bool(0.2).then_some(now),
            status,
            created_at: at,
            ..reading(app, owner, &name, 0)
        };
        let mut codes = CODES;
        codes.shuffle(&mut rng);
        let mut cards = drawn_cards(app, &reading, &codes[..layout.card_count()]);
        for card in &mut cards {
            if rng.random() {
                card.orientation = Orientation::Reversed;
            }
        }
        made.push(Made { reading, cards });
    }
    made
}

fn tenths(value: f64) -> f64 {
    // A computer's 0.05 may be a little less.
    (value * 10.0 + 1e-9).round() / 10.0
}

fn mean(ratings: &[f64]) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "few ratings")]
    let count = ratings.len() as f64;
    (!ratings.is_empty()).then(|| ratings.iter().sum::<f64>() / count)
}

/// Counts of a list of readings by a key, the largest first.
fn counted<K: Ord + Clone>(made: &[&Made], key: impl Fn(&Made) -> K) -> Vec<(K, usize)> {
    let mut all: BTreeMap<K, (usize, DateTime<Utc>)> = BTreeMap::new();
    for made in made {
        let at = made.reading.created_at;
        let tally = all.entry(key(made)).or_insert((0, at));
        *tally = (tally.0 + 1, tally.1.max(at));
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(key, (count, last))| (Reverse(*count), Reverse(*last), key.clone()));
    all.into_iter().map(|(key, (count, _))| (key, count)).collect()
}

fn upper(word: &str) -> String {
    word.to_uppercase()
}

/// The recount of all figures of these readings.
struct Recount<'a> {
    app: &'a TestApp,
    all: Vec<&'a Made>,
    now: DateTime<Utc>,
    ahead: TimeDelta,
    days: i64,
    range: [Option<DateTime<Utc>>; 2],
}

impl<'a> Recount<'a> {
    fn date(&self, at: DateTime<Utc>) -> NaiveDate {
        (at + self.ahead).date_naive()
    }

    fn dates(&self) -> BTreeSet<NaiveDate> {
        self.all.iter().map(|made| self.date(made.reading.created_at)).collect()
    }

    fn that(&self, is: impl Fn(DateTime<Utc>) -> bool) -> Vec<&'a Made> {
        self.all.iter().copied().filter(|made| is(made.reading.created_at)).collect()
    }

    /// Those made between so many days before now and so many.
    fn between(&self, from: i64, to: i64) -> Vec<&'a Made> {
        let [from, to] = [from, to].map(|days| self.now - TimeDelta::days(days));
        self.that(|at| from <= at && at < to)
    }

    fn within_range(&self) -> Vec<&'a Made> {
        let [from, to] = self.range;
        self.that(|at| from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to))
    }

    /// In the order of time.
    fn ratings(made: &[&Made]) -> Vec<f64> {
        let mut rated: Vec<_> = made
            .iter()
            .filter_map(|made| {
                let rating = made.reading.user_satisfaction?;
                Some((made.reading.created_at, made.reading.id, f64::from(rating)))
            })
            .collect();
        rated.sort_by_key(|rated| (rated.0, rated.1));
        rated.into_iter().map(|rated| rated.2).collect()
    }

    fn mean_of(made: &[&Made]) -> Option<f64> {
        mean(&Self::ratings(made)).map(tenths)
    }

    fn favorites(&self, made: &[&Made]) -> (Value, Value) {
        let voice = counted(made, |made| made.reading.character_voice.as_str());
        let spread = counted(made, |made| made.reading.spread_template_id);
        let catalogue = self.app.app.services.catalogue();
        let name = |id: Uuid| catalogue.spread(id).expect("a spread").name.clone();
        (
            voice.first().map_or(Value::Null, |(voice, _)| json!(upper(voice))),
            spread.first().map_or(Value::Null, |(id, _)| json!({ "name": name(*id) })),
        )
    }

    fn karma(made: &[&Made]) -> Value {
        let count =
            |karma: Karma| made.iter().filter(|made| made.reading.karma_context == karma).count();
        json!([
            { "karma": "GOOD", "count": count(Karma::Good) },
            { "karma": "NEUTRAL", "count": count(Karma::Neutral) },
            { "karma": "EVIL", "count": count(Karma::Evil) },
        ])
    }

    fn streak_until(&self, mut day: NaiveDate) -> usize {
        let dates = self.dates();
        let mut days = 0;
        while dates.contains(&day) {
            days += 1;
            day = day.pred_opt().expect("a day before");
        }
        days
    }

    fn stats(&self) -> Value {
        let today = self.date(self.now);
        let (voice, spread) = self.favorites(&self.all);
        let in_month = self.that(|at| {
            let date = self.date(at);
            (date.year(), date.month()) == (today.year(), today.month())
        });
        let in_week = self.that(|at| self.date(at).iso_week() == today.iso_week());
        let streak = match self.streak_until(today) {
            0 => self.streak_until(today.pred_opt().expect("yesterday")),
            days => days,
        };
        json!({
            "totalReadings": self.all.len(),
            "readingsThisMonth": in_month.len(),
            "readingsThisWeek": in_week.len(),
            "readingsLast7Days": self.between(7, 0).len(),
            "meanSatisfaction": Self::mean_of(&self.all),
            "favoriteVoice": voice,
            "favoriteSpread": spread,
            "cardsDrawn": self.all.iter().map(|made| made.cards.len()).sum::<usize>(),
            "karma": Self::karma(&self.all),
            "currentStreakDays": streak,
        })
    }

    fn summary(&self) -> Value {
        let made = self.within_range();
        let since = |days: i64| {
            let from = self.now - TimeDelta::days(days);
            let is_in = |made: &&&Made| (from..self.now).contains(&made.reading.created_at);
            made.iter().filter(is_in).count()
        };
        let (voice, spread) = self.favorites(&made);
        json!({
            "totalReadings": made.len(),
            "readingsLast7Days": since(7),
            "readingsLast30Days": since(30),
            "meanSatisfaction": Self::mean_of(&made),
            "favoriteVoice": voice,
            "favoriteSpread": spread,
        })
    }

    fn frequency(&self) -> Value {
        let today = self.date(self.now);
        let dates = (0..self.days).rev().map(|before| today - TimeDelta::days(before));
        let count = |date| self.that(|at| self.date(at) == date).len();
        dates.map(|date| json!({ "date": date.to_string(), "count": count(date) })).collect()
    }

    fn satisfaction(&self) -> Value {
        let ratings = Self::ratings(&self.between(self.days, 0));
        let (early, late) = ratings.split_at(ratings.len() / 2);
        let trend = (ratings.len() >= 4).then(|| {
            let change = mean(late).expect("two") - mean(early).expect("two");
            match change {
                change if change > 0.3 + 1e-9 => "INCREASING",
                change if change < -0.3 - 1e-9 => "DECREASING",
                _ => "STABLE",
            }
        });
        let count = |rating: i32| {
            let is_it = |other: &&f64| (*other - f64::from(rating)).abs() < 0.5;
            json!({ "rating": rating, "count": ratings.iter().filter(is_it).count() })
        };
        json!({
            "mean": mean(&ratings).map(tenths),
            "histogram": (1..=5).map(count).collect::<Vec<_>>(),
            "trend": trend,
        })
    }

    fn patterns(&self) -> Value {
        const WEEKDAYS: [&str; 7] =
            ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
        let local = |made: &Made| made.reading.created_at + self.ahead;
        let weekdays = counted(&self.all, |made| local(made).weekday().num_days_from_monday());
        let hours = counted(&self.all, |made| local(made).hour());
        let times = self.all.iter().map(|made| made.reading.created_at);
        let a_week = match (times.clone().min(), times.max()) {
            (Some(first), Some(last)) if self.all.len() > 1 => {
                #[expect(clippy::cast_precision_loss, reason = "few readings, not long ago")]
                let (readings, seconds) =
                    (self.all.len() as f64, (last - first).num_seconds() as f64);
                tenths(readings / (seconds / 86_400.0 / 7.0).max(1.0))
            }
            _ => 0.0,
        };
        let longest = self.dates().into_iter().map(|date| self.streak_until(date)).max();
        json!({
            "busiestWeekday": weekdays.first().map(|(day, _)| WEEKDAYS[*day as usize]),
            "busiestHour": hours.first().map(|(hour, _)| *hour),
            "readingsPerWeek": a_week,
            "longestStreakDays": longest.unwrap_or_default(),
        })
    }

    fn top_cards(&self) -> Value {
        let catalogue = self.app.app.services.catalogue();
        let mut all: BTreeMap<String, (u32, u32, DateTime<Utc>)> = BTreeMap::new();
        for made in &self.all {
            for card in &made.cards {
                let code = catalogue.card(card.card_id).expect("a card").code.clone();
                let at = made.reading.created_at;
                let tally = all.entry(code).or_insert((0, 0, at));
                match card.orientation {
                    Orientation::Upright => tally.0 += 1,
                    Orientation::Reversed => tally.1 += 1,
                }
                tally.2 = tally.2.max(at);
            }
        }
        let draws: u32 = all.values().map(|tally| tally.0 + tally.1).sum();
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(code, (upright, reversed, last))| {
            (Reverse(upright + reversed), Reverse(*last), code.clone())
        });
        let card = |(code, (upright, reversed, _)): (String, (u32, u32, _))| {
            json!({
                "card": { "code": code },
                "draws": upright + reversed,
                "percentOfDraws": tenths(f64::from(upright + reversed) * 100.0 / f64::from(draws)),
                "upright": upright,
                "reversed": reversed,
            })
        };
        all.into_iter().map(card).collect()
    }

    fn comparison(&self) -> Value {
        let (current, previous) =
            (self.between(self.days, 0), self.between(2 * self.days, self.days));
        let period = |made: &[&Made]| json!({ "readings": made.len(), "meanSatisfaction": Self::mean_of(made) });
        let direction = match current.len().cmp(&previous.len()) {
            std::cmp::Ordering::Greater => "UP",
            std::cmp::Ordering::Less => "DOWN",
            std::cmp::Ordering::Equal => "SAME",
        };
        json!({
            "current": period(&current),
            "previous": period(&previous),
            "direction": direction,
        })
    }

    fn everything(&self) -> Value {
        let made = self.within_range();
        let spreads = counted(&made, |made| made.reading.spread_type.as_str());
        let spread =
            |(kind, count): (&str, usize)| json!({ "spreadType": upper(kind), "count": count });
        let voices = counted(&made, |made| made.reading.character_voice.as_str());
        let voice =
            |(voice, count): (&str, usize)| json!({ "voice": upper(voice), "count": count });
        json!({
            "stats": self.stats(),
            "analytics": {
                "summary": self.summary(),
                "frequency": self.frequency(),
                "spreads": spreads.into_iter().map(spread).collect::<Vec<_>>(),
                "voices": voices.into_iter().map(voice).collect::<Vec<_>>(),
                "karma": Self::karma(&made),
                "satisfaction": self.satisfaction(),
                "patterns": self.patterns(),
                "topCards": self.top_cards(),
                "comparison": self.comparison(),
            },
        })
    }
}

/// Queries all statistics of a user, and asserts that they match a recount.
async fn assert_recounted(
    app: &TestApp,
    owner: &str,
    made: &[Made],
    now: DateTime<Utc>,
    (offset, days, range): (i32, i64, [Option<DateTime<Utc>>; 2]),
) {
    let moment = |time: Option<DateTime<Utc>>| {
        time.map_or("null".to_owned(), |time| format!("\"{}\"", time.to_rfc3339()))
    };
    let range_text = format!("{{ from: {}, to: {} }}", moment(range[0]), moment(range[1]));
    let query = EVERYTHING
        .replace("OFFSET", &offset.to_string())
        .replace("DAYS", &days.to_string())
        .replace("RANGE", &range_text);
    set_clock(app, now);
    let data = app.data_as(id(owner), &query).await;
    let all = made
        .iter()
        .filter(|made| made.reading.user_id == id(owner))
        .filter(|made| made.reading.status == ReadingStatus::Complete)
        .collect();
    let ahead = TimeDelta::minutes(offset.into());
    let recount = Recount { app, all, now, ahead, days, range };
    assert_eq!(data["viewer"], recount.everything(), "{owner} at {now}: {query}");
}

/// A user with readings of these dates, at noon.
fn with_dates(app: &TestApp, owner: &users::Model, dates: &[&str]) -> Vec<Made> {
    let mut made = Vec::new();
    for (number, date) in dates.iter().enumerate() {
        let name = format!("{}{number:03}", owner.username);
        let reading = reading_sessions::Model {
            created_at: time(&format!("{date}T12:00:00Z")),
            ..reading(app, owner, &name, 0)
        };
        made.push(Made { cards: drawn_cards(app, &reading, &CODES[..1]), reading });
    }
    made
}

on_both_databases! {
    async fn all_figures_equal_a_recount(engine: Engine) {
        let app = TestApp::start(engine).await;
        // The end of a year and of a week, a new year, the end of a month, and a day after a leap day.
        let times = [
            ("a", time("2026-12-31T23:30:00Z")),
            ("b", time("2027-01-01T05:30:00Z")),
            ("c", time("2027-02-28T18:40:00Z")),
            ("d", time("2028-03-01T10:30:00Z")),
        ];
        let people: Vec<_> = times.iter().map(|(name, _)| user(name)).collect();
        let mut made = Vec::new();
        for ((owner, (_, now)), seed) in people.iter().zip(times).zip(2_077..) {
            made.extend(history(&app, owner, seed, now));
        }
        app.insert(rows_of(people, &made)).await;
        for (name, now) in times {
            for (offset, days) in OFFSETS.into_iter().zip([30, 1, 366, 7, 90]) {
                assert_recounted(&app, name, &made, now, (offset, days, [None, None])).await;
            }
            let (before, after) = (now - TimeDelta::days(20), now - TimeDelta::days(3));
            // The second is empty.
            for range in [[Some(before), Some(after)], [Some(after), Some(before)]] {
                assert_recounted(&app, name, &made, now, (60, 14, range)).await;
            }
            for range in [[Some(before), None], [None, Some(before)]] {
                assert_recounted(&app, name, &made, now, (0, 2, range)).await;
            }
        }
    }

    async fn without_readings_and_with_one_figures_equal_a_recount(engine: Engine) {
        let app = TestApp::start(engine).await;
        let now = time("2027-03-01T00:30:00Z");
        let (none, one) = (user("none"), user("one"));
        let made = with_dates(&app, &one, &["2027-02-28"]);
        app.insert(rows_of(vec![none, one], &made)).await;
        for offset in OFFSETS {
            assert_recounted(&app, "none", &made, now, (offset, 30, [None, None])).await;
            assert_recounted(&app, "one", &made, now, (offset, 30, [None, None])).await;
        }
    }

    async fn streaks_end_today_or_yesterday_and_bridge_no_day(engine: Engine) {
        let app = TestApp::start(engine).await;
        set_clock(&app, time("2028-03-01T12:30:00Z"));
        let cases: [(&str, &[&str], i32, i32); 7] = [
            ("today", &["2028-03-01"], 1, 1),
            ("yesterday", &["2028-02-29"], 1, 1),
            ("before", &["2028-02-28"], 0, 1),
            ("leap", &["2028-02-27", "2028-02-28", "2028-02-29", "2028-03-01"], 4, 4),
            ("gap", &["2028-02-27", "2028-02-28", "2028-03-01"], 1, 2),
            ("twice", &["2028-02-29", "2028-02-29", "2028-03-01", "2028-03-01"], 2, 2),
            ("year", &["2027-12-30", "2027-12-31", "2028-01-01", "2028-02-29"], 1, 3),
        ];
        let people: Vec<_> = cases.iter().map(|case| user(case.0)).collect();
        let made: Vec<Made> = people
            .iter()
            .zip(cases)
            .flat_map(|(owner, case)| with_dates(&app, owner, case.1))
            .collect();
        app.insert(rows_of(people, &made)).await;
        for (name, _, current, longest) in cases {
            let query = "{ viewer { stats { currentStreakDays } analytics { patterns { longestStreakDays } } } }";
            let viewer = app.data_as(id(name), query).await["viewer"].take();
            assert_eq!(viewer["stats"], json!({ "currentStreakDays": current }), "{name}");
            let patterns = json!({ "patterns": { "longestStreakDays": longest } });
            assert_eq!(viewer["analytics"], patterns, "{name}");
        }
    }

    async fn of_equal_counts_the_last_used_is_first_and_then_the_name(engine: Engine) {
        let app = TestApp::start(engine).await;
        set_clock(&app, time("2027-03-10T12:30:00Z"));
        let ada = user("ada");
        let at_day = |day: u32, number: u32, voice, spread_name: &str| {
            let layout = spread(&app, spread_name);
            let reading = reading_sessions::Model {
                character_voice: voice,
                spread_template_id: layout.id,
                spread_type: layout.spread_type,
                created_at: time(&format!("2027-03-0{day}T0{day}:00:00Z")),
                ..reading(&app, &ada, &format!("r{number}"), 0)
            };
            let code = CODES[usize::try_from(number).expect("few")];
            Made { cards: vec![drawn_card(&app, &reading, 1, code)], reading }
        };
        let made = [
            at_day(1, 0, VoiceKey::Raider, "raider_chaos"),
            at_day(1, 1, VoiceKey::PipBoy, "single_wasteland"),
            at_day(2, 2, VoiceKey::Ghoul, "celtic_cross"),
            at_day(2, 3, VoiceKey::Codsworth, "celtic_cross"),
            at_day(1, 4, VoiceKey::Codsworth, "vault_tec_spread"),
        ];
        app.insert(rows_of(vec![ada], &made)).await;
        let query = "{ viewer {
            stats { favoriteVoice favoriteSpread { name } }
            analytics {
                voices { voice count } spreads { spreadType count }
                topCards(limit: 3) { card { code } } patterns { busiestWeekday busiestHour }
            }
        } }";
        assert_eq!(
            app.data_as(id("ada"), query).await["viewer"],
            json!({
                "stats": { "favoriteVoice": "CODSWORTH", "favoriteSpread": { "name": "celtic_cross" } },
                "analytics": {
                    "voices": [
                        { "voice": "CODSWORTH", "count": 2 },
                        { "voice": "GHOUL", "count": 1 },
                        { "voice": "PIP_BOY", "count": 1 },
                        { "voice": "RAIDER", "count": 1 },
                    ],
                    "spreads": [
                        { "spreadType": "CELTIC_CROSS", "count": 2 },
                        { "spreadType": "RAIDER_CHAOS", "count": 1 },
                        { "spreadType": "SINGLE_WASTELAND", "count": 1 },
                        { "spreadType": "VAULT_TEC_SPREAD", "count": 1 },
                    ],
                    "topCards": [
                        { "card": { "code": CODES[2] } },
                        { "card": { "code": CODES[3] } },
                        { "card": { "code": CODES[2 - 1 + 3] } },
                    ],
                    "patterns": { "busiestWeekday": "MONDAY", "busiestHour": 1 },
                },
            })
        );
    }

    async fn ratings_are_compared_by_halves_in_the_order_of_time(engine: Engine) {
        let app = TestApp::start(engine).await;
        set_clock(&app, time("2027-03-10T12:30:00Z"));
        // The means of three halves differ by exactly 0.3, and by a little more.
        let cases: [(&str, &[i16], Value, Value); 8] = [
            ("three", &[1, 5, 5], Value::Null, json!(3.7)),
            ("four", &[1, 2, 4, 5], json!("INCREASING"), json!(3.0)),
            ("down", &[5, 4, 2, 1], json!("DECREASING"), json!(3.0)),
            ("same", &[3, 4, 4, 3], json!("STABLE"), json!(3.5)),
            // Of five the middle one is late: 1, 1 and 5, 1, 1.
            ("odd", &[1, 1, 5, 1, 1], json!("INCREASING"), json!(1.8)),
            (
                "third",
                &[3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3],
                json!("STABLE"),
                json!(3.2),
            ),
            ("more", &[3, 3, 3, 4, 3, 3], json!("INCREASING"), json!(3.2)),
            ("less", &[3, 4, 3, 3, 3, 3], json!("DECREASING"), json!(3.2)),
        ];
        let mut made = Vec::new();
        let mut people = Vec::new();
        for (name, ratings, ..) in &cases {
            let owner = user(name);
            for (number, rating) in (0_i64..).zip(*ratings) {
                let reading = reading_sessions::Model {
                    user_satisfaction: Some(*rating),
                    created_at: time("2027-03-01T00:00:00Z") + TimeDelta::hours(number),
                    ..reading(&app, &owner, &format!("{name}{number:02}"), 0)
                };
                made.push(Made { reading, cards: Vec::new() });
            }
            people.push(owner);
        }
        app.insert(rows_of(people, &made)).await;
        for (name, _, trend, mean) in cases {
            let query = "{ viewer { analytics { satisfaction { mean trend } } } }";
            let viewer = app.data_as(id(name), query).await["viewer"].take();
            let expected = json!({ "mean": mean, "trend": trend });
            assert_eq!(viewer["analytics"]["satisfaction"], expected, "{name}");
        }
    }

    async fn windows_hold_their_first_moment_and_not_their_end(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let (start, end) = (time("2028-02-29T00:00:00Z"), time("2028-03-01T00:00:00Z"));
        let moment = TimeDelta::microseconds(1);
        let times = [start - moment, start, start + moment, end - moment, end, end + moment];
        let made: Vec<Made> = (0..)
            .zip(times)
            .map(|(number, created_at)| {
                let reading = reading_sessions::Model {
                    created_at,
                    user_satisfaction: Some(number % 5 + 1),
                    ..reading(&app, &ada, &format!("r{number}"), 0)
                };
                Made { reading, cards: Vec::new() }
            })
            .collect();
        app.insert(rows_of(vec![ada], &made)).await;
        set_clock(&app, time("2028-03-01T12:00:00Z"));
        let query = "{ viewer {
            stats { readingsThisMonth }
            analytics {
                summary(range: { from: \"2028-02-29T00:00:00Z\", to: \"2028-03-01T00:00:00Z\" }) {
                    totalReadings meanSatisfaction
                }
                karma(range: { from: \"2028-02-29T00:00:00.000001Z\", to: \"2028-03-01T00:00:00.000001Z\" }) {
                    count
                }
                frequency(days: 3) { date count }
            }
        } }";
        assert_eq!(
            app.data_as(id("ada"), query).await["viewer"],
            json!({
                "stats": { "readingsThisMonth": 2 },
                "analytics": {
                    "summary": { "totalReadings": 3, "meanSatisfaction": 3.0 },
                    "karma": [{ "count": 0 }, { "count": 3 }, { "count": 0 }],
                    "frequency": [
                        { "date": "2028-02-28", "count": 1 },
                        { "date": "2028-02-29", "count": 3 },
                        { "date": "2028-03-01", "count": 2 },
                    ],
                },
            })
        );
        // Those that roll with the clock end at no time that a test could know beforehand.
        let session = app.app.database.session();
        let periods = AdjacentPeriods { previous_start: start, current_start: start + moment, end };
        let [before, since] = readings_before_and_since(&session, id("ada"), periods)
            .await
            .expect("periods");
        assert_eq!((before.readings, before.ratings), (1, Ratings { sum: 2, count: 1 }));
        assert_eq!((since.readings, since.ratings), (2, Ratings { sum: 7, count: 2 }));
    }

    async fn periods_lie_side_by_side_and_end_with_the_minute(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let earliest = app.app.services.clock.now();
        let a_minute = TimeDelta::minutes(1);
        let query = "{ viewer { analytics { comparison(days: 366) {
            current { from to readings meanSatisfaction } previous { from to readings } direction
        } } } }";
        let mut comparison =
            app.data_as(id("ada"), query).await["viewer"]["analytics"]["comparison"].take();
        let now: DateTime<Utc> =
            comparison["current"]["to"].as_str().and_then(|to| to.parse().ok()).expect("a time");
        // With the minute of the question.
        assert!((earliest..=app.app.services.clock.now() + a_minute).contains(&now), "{now}");
        assert_eq!(now.duration_trunc(a_minute), Ok(now));
        let before = |days| {
            let time = now - TimeDelta::days(days);
            time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
        };
        let expected = json!({
            "current": { "from": before(366), "to": before(0), "readings": 0, "meanSatisfaction": null },
            "previous": { "from": before(732), "to": before(366), "readings": 0 },
            "direction": "SAME",
        });
        assert_eq!(comparison.take(), expected);
    }

    async fn incomplete_readings_are_not_counted_and_archived_ones_are(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let made = with_dates(&app, &ada, &["2027-01-01", "2027-01-02", "2027-01-03", "2027-01-04"]);
        app.insert(rows_of(vec![ada], &made)).await;
        set_clock(&app, time("2027-01-04T12:30:00Z"));
        let access = Access::open(&app.database).await;
        for (status, question) in [("active", "ada000"), ("paused", "ada001")] {
            access
                .run(&format!(
                    "UPDATE reading_sessions SET status = '{status}' WHERE question = '{question}'"
                ))
                .await;
        }
        access
            .run("UPDATE reading_sessions SET archived_at = created_at WHERE question = 'ada002'")
            .await;
        access.close().await;
        // Cards are counted as readings are written, or all anew as here.
        app.insert(SeedRows::default()).await;
        let query = "{ viewer {
            stats { totalReadings readingsThisMonth cardsDrawn currentStreakDays }
            analytics {
                summary { totalReadings } voices { count } frequency(days: 4) { count }
                patterns { longestStreakDays } topCards { draws } comparison { current { readings } }
            }
        } }";
        assert_eq!(
            app.data_as(id("ada"), query).await["viewer"],
            json!({
                "stats": {
                    "totalReadings": 2, "readingsThisMonth": 2, "cardsDrawn": 2, "currentStreakDays": 2,
                },
                "analytics": {
                    "summary": { "totalReadings": 2 },
                    "voices": [{ "count": 2 }],
                    "frequency": [{ "count": 0 }, { "count": 0 }, { "count": 1 }, { "count": 1 }],
                    "patterns": { "longestStreakDays": 2 },
                    "topCards": [{ "draws": 2 }],
                    "comparison": { "current": { "readings": 2 } },
                },
            })
        );
    }

    async fn a_reading_counts_as_soon_as_it_is_made_and_no_more_once_it_is_deleted(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        let query = "{ viewer {
            stats { totalReadings readingsThisWeek cardsDrawn currentStreakDays }
            analytics { topCards { draws percentOfDraws } voices { voice count } }
        } }";
        let none = json!({
            "stats": {
                "totalReadings": 0, "readingsThisWeek": 0, "cardsDrawn": 0, "currentStreakDays": 0,
            },
            "analytics": { "topCards": [], "voices": [] },
        });
        assert_eq!(app.data_as(id("ada"), query).await["viewer"], none);
        let spread = crate::support::fixtures::spread_id(&app, "raider_chaos");
        let input = json!({ "question": "Q?", "spreadId": spread, "characterVoice": "GHOUL" });
        let made = payload(&app, id("ada"), "createReading", input, "reading { id }").await;
        let drawn = json!({ "draws": 1, "percentOfDraws": 25.0 });
        assert_eq!(
            app.data_as(id("ada"), query).await["viewer"],
            json!({
                "stats": {
                    "totalReadings": 1, "readingsThisWeek": 1, "cardsDrawn": 4, "currentStreakDays": 1,
                },
                "analytics": {
                    "topCards": [drawn, drawn, drawn, drawn],
                    "voices": [{ "voice": "GHOUL", "count": 1 }],
                },
            })
        );
        payload(&app, id("ada"), "deleteReading", made["reading"].clone(), "deletedReadingId").await;
        assert_eq!(app.data_as(id("ada"), query).await["viewer"], none);
    }

    async fn only_the_user_and_admins_see_them_and_for_others_nothing_is_read(engine: Engine) {
        let app = TestApp::start_with(engine, &["--cache-enabled=false"]).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        let ada = user("ada");
        let made = with_dates(&app, &ada, &["2027-01-01"]);
        app.insert(rows_of(vec![ada, user("bob"), admin], &made)).await;
        let query = "{ user(username: \"ada\") {
            stats { totalReadings } analytics { summary { totalReadings } topCards { draws } }
        } }";
        let seen = json!({
            "stats": { "totalReadings": 1 },
            "analytics": { "summary": { "totalReadings": 1 }, "topCards": [{ "draws": 1 }] },
        });
        let hidden = json!({ "stats": null, "analytics": null });
        for (viewer, expected) in
            [(None, &hidden), (Some("bob"), &hidden), (Some("ada"), &seen), (Some("admin"), &seen)]
        {
            let response = app.query_as_viewer(viewer.map(id), query).await;
            assert_eq!(response.body, json!({ "data": { "user": expected } }), "{viewer:?}");
            // Strangers' requests read the user and their own account.
            assert_eq!(response.statements() > 2, expected == &seen, "{viewer:?}");
        }
        // Statistics that they may not see are null, with any arguments.
        let query = "{ user(username: \"ada\") { stats(utcOffsetMinutes: 9999) { id } } }";
        let response = app.query_as(id("bob"), query).await;
        assert_eq!(response.body, json!({ "data": { "user": { "stats": null } } }));
    }

    async fn ids_differ_by_user_and_clock_and_are_for_caches_only(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada"), user("bob")], Vec::new())).await;
        let mut ids = BTreeSet::new();
        for viewer in ["ada", "bob"] {
            for offset in ["", "(utcOffsetMinutes: 60)", "(utcOffsetMinutes: -60)"] {
                let query = format!("{{ viewer {{ stats{offset} {{ id }} analytics{offset} {{ id }} }} }}");
                let once = app.data_as(id(viewer), &query).await;
                assert_eq!(app.data_as(id(viewer), &query).await, once);
                for object in ["stats", "analytics"] {
                    ids.insert(once["viewer"][object]["id"].as_str().expect("an id").to_owned());
                }
            }
        }
        assert_eq!(ids.len(), 12);
        for id in ids {
            let response = app.query(&format!("{{ node(id: {id:?}) {{ id }} }}")).await;
            let message = response.body["errors"][0]["message"].as_str().expect("a message");
            assert!(message.ends_with("which is for client caches only"), "{message}");
        }
    }

    async fn arguments_out_of_range_are_rejected_and_blank_one_field(engine: Engine) {
        let app = TestApp::start(engine).await;
        app.insert(rows(vec![user("ada")], Vec::new())).await;
        for (field, argument, refused, allowed, range) in [
            ("stats", "utcOffsetMinutes", [-721, 841], [-720, 840], "-720 to 840"),
            ("analytics", "utcOffsetMinutes", [-721, 841], [-720, 840], "-720 to 840"),
            ("frequency", "days", [0, 367], [1, 366], "1 to 366"),
            ("satisfaction", "days", [0, 367], [1, 366], "1 to 366"),
            ("comparison", "days", [0, 367], [1, 366], "1 to 366"),
            ("topCards", "limit", [-1, 51], [0, 50], "0 to 50"),
        ] {
            let is_chart = field != "stats" && field != "analytics";
            let query = |number: i32| {
                let requests = format!("{field}({argument}: {number}) {{ __typename }}");
                let requests =
                    if is_chart { format!("analytics {{ {requests} patterns {{ busiestHour }} }}") } else { requests };
                format!("{{ viewer {{ {requests} username }} }}")
            };
            for number in allowed {
                let response = app.query_as(id("ada"), &query(number)).await;
                assert_eq!(response.body.get("errors"), None, "{}", response.text);
            }
            for number in refused {
                let response = app.query_as(id("ada"), &query(number)).await;
                let (data, path, column) = if is_chart {
                    let charts = json!({ field: null, "patterns": { "busiestHour": null } });
                    let viewer = json!({ "analytics": charts, "username": "ada" });
                    (viewer, json!(["viewer", "analytics", field]), 24)
                } else {
                    (json!({ field: null, "username": "ada" }), json!(["viewer", field]), 12)
                };
                let expected = json!({
                    "data": { "viewer": data },
                    "errors": [{
                        "message": format!("`{argument}` is {number}; it must be from {range}"),
                        "locations": [{ "line": 1, "column": column }],
                        "path": path,
                        "extensions": {
                            "code": "BAD_USER_INPUT", "argument": argument, "requestId": "ID",
                        },
                    }],
                });
                assert_eq!(response.body_without_request_id(), expected);
            }
        }
    }

    async fn lists_have_the_requested_length(engine: Engine) {
        let app = TestApp::start(engine).await;
        let ada = user("ada");
        let catalogue = app.app.services.catalogue();
        let deck: Vec<&str> = catalogue.cards().iter().map(|card| card.code.as_str()).collect();
        let reading = reading(&app, &ada, "r", 0);
        let cards = drawn_cards(&app, &reading, &deck[..60]);
        app.insert(rows_of(vec![ada], &[Made { reading, cards }])).await;
        for (requests, length) in [("", 10), ("(limit: 0)", 0), ("(limit: 1)", 1), ("(limit: 50)", 50)] {
            let query = format!("{{ viewer {{ analytics {{ topCards{requests} {{ percentOfDraws }} }} }} }}");
            let viewer = app.data_as(id("ada"), &query).await["viewer"].take();
            let cards = vec![json!({ "percentOfDraws": 1.7 }); length];
            assert_eq!(viewer["analytics"]["topCards"], json!(cards), "{query}");
        }
        for (requests, length) in [("", 30), ("(days: 1)", 1), ("(days: 366)", 366)] {
            let query = format!("{{ viewer {{ analytics {{ frequency{requests} {{ count }} }} }} }}");
            let viewer = app.data_as(id("ada"), &query).await["viewer"].take();
            assert_eq!(viewer["analytics"]["frequency"].as_array().map(Vec::len), Some(length));
        }
    }

    async fn figures_take_as_many_statements_of_a_thousand_readings_as_of_one(engine: Engine) {
        let app = TestApp::start(engine).await;
        let now = app.app.services.clock.now();
        let (few, many) = (user("few"), user("many"));
        let mut made = history(&app, &few, 1, now);
        made.truncate(1);
        for part in 0..7 {
            let more = history(&app, &many, part, now).into_iter().map(|mut made| {
                made.reading.id = Uuid::now_v7();
                made.cards.iter_mut().for_each(|card| card.reading_id = made.reading.id);
                made
            });
            made.extend(more);
        }
        assert!(made.len() > 1_000);
        app.insert(rows_of(vec![few, many], &made)).await;
        let one = EVERYTHING.replace("OFFSET", "60").replace("DAYS", "30").replace("RANGE", "{}");
        for viewer in ["few", "many"] {
            let response = app.query_as(id(viewer), &one).await;
            assert_eq!(response.body.get("errors"), None, "{}", response.text);
            // The viewer, two of the figures, one of five charts together, and one of each of the others.
            assert_eq!(response.statements(), 1 + 2 + 1 + 4, "{viewer}");
        }
        // The number of keys bounds the result: here 24 groups of spread, voice and karma.
        let stats = "{ viewer { stats { totalReadings } } }";
        assert!(app.query_as(id("many"), stats).await.rows() <= 1 + 24 + 1);
    }

    /// Each chart is cached under a key of its own. Rows that were read before the lookup of a key may be older than a purge
    /// that the lookup came after, so a later chart of the same counts reads them anew.
    async fn charts_share_the_rows_of_one_batch_and_none_of_an_earlier_one(engine: Engine) {
        let app = TestApp::start_with(engine, &["--cache-enabled=false"]).await;
        let owner = user("owner");
        let made = with_dates(&app, &owner, &["2027-01-01"]);
        app.insert(rows_of(vec![owner], &made)).await;
        let chart = |name: &str| format!("analytics {{ {name} {{ count }} }}");
        let (spreads, voices) = (chart("spreads"), chart("voices"));
        let together = format!("{{ viewer {{ {spreads} a: {voices} }} }}");
        let later = format!("{{ viewer {{ {spreads} readings {{ nodes {{ user {{ {voices} }} }} }} }} }}");
        // The viewer and the counts; then the page and the counts again.
        for (query, statements) in [(together, 2), (later, 4)] {
            let response = app.query_as(id("owner"), &query).await;
            assert_eq!(response.body.get("errors"), None, "{}", response.text);
            assert_eq!(response.statements(), statements, "{query}");
        }
    }

    async fn figures_of_many_users_take_two_statements_for_each_clock(engine: Engine) {
        let app = TestApp::start_with(engine, &["--cache-enabled=false"]).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        let people: Vec<_> = (0..20).map(|n| user(&format!("u{n:02}"))).collect();
        let made: Vec<Made> = people
            .iter()
            .enumerate()
            .flat_map(|(n, owner)| with_dates(&app, owner, &["2027-01-01"; 9][..n % 9]))
            .collect();
        let everybody = people.iter().cloned().chain([admin]).collect();
        app.insert(rows_of(everybody, &made)).await;
        let query = |count: usize, stats: &str| {
            let ids: Vec<_> = people[..count].iter().map(|one| user_id(&one.username)).collect();
            format!("{{ nodes(ids: {ids:?}) {{ ... on User {{ {stats} }} }} }}")
        };
        let stats = "stats { totalReadings cardsDrawn }";
        let one = app.query_as(id("admin"), &query(1, stats)).await;
        let twenty = app.query_as(id("admin"), &query(20, stats)).await;
        let expected: Vec<_> = (0..20)
            .map(|n| json!({ "stats": { "totalReadings": n % 9, "cardsDrawn": n % 9 } }))
            .collect();
        assert_eq!(twenty.body, json!({ "data": { "nodes": expected } }));
        assert_eq!(one.statements(), twenty.statements());
        let clocks = "a: stats { totalReadings } b: stats(utcOffsetMinutes: 60) { totalReadings }";
        let two_clocks = app.query_as(id("admin"), &query(20, clocks)).await;
        assert_eq!(two_clocks.statements(), twenty.statements() + 2);
        // A stranger sees none of it.
        let stranger = app.query_as(id("u00"), &query(20, stats)).await;
        assert_eq!(stranger.body["data"]["nodes"][1], json!({ "stats": null }));
    }

    async fn charts_are_as_dear_as_long_lists(engine: Engine) {
        let app = TestApp::start(engine).await;
        let admin = users::Model { is_admin: true, ..user("admin") };
        app.insert(rows(vec![user("ada"), admin], Vec::new())).await;
        let query = |count: usize| {
            let ids = vec![user_id("ada"); count];
            format!("{{ nodes(ids: {ids:?}) {{ ... on User {{ analytics {{ patterns {{ busiestHour }} }} }} }} }}")
        };
        // A user, the charts, and one with its surcharge and its statement.
        let each = 1 + 1 + 350 + 1 + 10;
        // Of four kinds of ids, and of the viewer's role.
        let statements = 5 * 10;
        let limit = (20_000 - statements) / each;
        assert_eq!(app.query_as(id("ada"), &query(limit)).await.body.get("errors"), None);
        let response = app.query_as(id("ada"), &query(limit + 1)).await;
        let extensions = &response.body["errors"][0]["extensions"];
        assert_eq!(extensions["code"], "COST_LIMIT_EXCEEDED", "{}", response.text);
        assert_eq!(extensions["cost"], (limit + 1) * each + statements);
        // The one of the larger limit.
        let response = app.query_as(id("admin"), &query(limit + 1)).await;
        assert_eq!(response.body.get("errors"), None, "{}", response.text);
    }
}
