use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use chrono::{TimeDelta, TimeZone, Timelike};
use unicode_normalization::is_nfc;

use super::*;
use crate::db::entities::reading_cards::Model as DrawnCardRow;
use crate::db::entities::reading_sessions::Model as ReadingRow;
use crate::db::entities::users::Model as UserRow;
use crate::domain::card::Orientation;
use crate::domain::locale::Locale;
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::Spread;
use crate::domain::user::fold_username;
use crate::domain::voice::VoiceKey;
use crate::services::reference::DeckOfFiles;

fn deck_of(files: &DeckOfFiles) -> Deck<'_> {
    Deck { cards: &files.cards, spreads: &files.spreads, voices: &files.voices }
}

fn noon() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 12, 34, 56).unwrap()
}

fn generate(plan: SeedPlan, now: DateTime<Utc>) -> SeedRows {
    let files = DeckOfFiles::read();
    let mut all = SeedRows::default();
    for rows in SeedGenerator::new(plan, deck_of(&files), now).unwrap() {
        all.users.extend(rows.users);
        all.categories.extend(rows.categories);
        all.readings.extend(rows.readings);
        all.drawn_cards.extend(rows.drawn_cards);
    }
    all
}

fn demonstration() -> SeedRows {
    generate(SeedPlan::demonstration(), noon())
}

/// Ten times the demonstration, so that what is rare occurs.
fn large() -> &'static SeedRows {
    static ROWS: OnceLock<SeedRows> = OnceLock::new();
    ROWS.get_or_init(|| generate(SeedPlan { users: 120, readings: 20_000, seed: 1 }, noon()))
}

fn readings_of(rows: &SeedRows, user: Uuid) -> usize {
    rows.readings.iter().filter(|reading| reading.user_id == user).count()
}

fn percent_of(rows: &SeedRows, which: impl Fn(&ReadingRow) -> bool) -> usize {
    rows.readings.iter().filter(|reading| which(reading)).count() * 100 / rows.readings.len()
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

#[test]
fn the_same_plan_and_time_give_the_same_rows() {
    let (one, two) = (demonstration(), demonstration());
    assert_eq!(one.users, two.users);
    assert_eq!(one.categories, two.categories);
    assert_eq!(one.readings, two.readings);
    assert_eq!(one.drawn_cards, two.drawn_cards);
    let other = generate(SeedPlan { seed: 1, ..SeedPlan::demonstration() }, noon());
    assert_ne!(one.users, other.users);
    assert_ne!(one.readings, other.readings);
}

#[test]
fn a_plan_has_its_exact_size_in_batches_that_can_be_written_in_order() {
    let files = DeckOfFiles::read();
    let plan = SeedPlan { users: 1_203, readings: 2_401, seed: 3 };
    let (mut users, mut readings) = (HashSet::new(), 0);
    for rows in SeedGenerator::new(plan, deck_of(&files), noon()).unwrap() {
        assert!(rows.users.len() <= 500 && rows.readings.len() <= 500);
        users.extend(rows.users.iter().map(|user| user.id));
        readings += rows.readings.len();
        assert!(rows.categories.iter().all(|category| users.contains(&category.user_id)));
        assert!(rows.readings.iter().all(|reading| users.contains(&reading.user_id)));
    }
    assert_eq!((users.len(), readings), (plan.users, plan.readings));
}

#[test]
fn small_plans_have_their_exact_size_at_any_hour() {
    for minutes in [0, 1, 2, 59, 60, 24 * 60 - 1] {
        let now =
            noon().with_hour(0).unwrap().with_minute(0).unwrap() + TimeDelta::minutes(minutes);
        for (users, readings) in [(1, 0), (1, 1), (1, 40), (2, 7), (3, 2_000)] {
            let rows = generate(SeedPlan { users, readings, seed: 0 }, now);
            assert_eq!((rows.users.len(), rows.readings.len()), (users, readings));
            assert!(rows.readings.iter().all(|reading| reading.updated_at <= now));
        }
    }
}

#[test]
fn without_people_or_cards_there_is_an_error() {
    let files = DeckOfFiles::read();
    let plan = SeedPlan { users: 0, readings: 1, seed: 0 };
    assert!(matches!(
        SeedGenerator::new(plan, deck_of(&files), noon()),
        Err(SeedError::Missing("people"))
    ));
    let bare = Deck { cards: &[], ..deck_of(&files) };
    assert!(matches!(
        SeedGenerator::new(SeedPlan::demonstration(), bare, noon()),
        Err(SeedError::Missing("spreads"))
    ));
}

#[test]
fn few_people_read_much_and_the_demo_user_is_one_of_them() {
    let rows = demonstration();
    let counts: Vec<usize> = rows.users.iter().map(|user| readings_of(&rows, user.id)).collect();
    let top = counts.iter().copied().max().unwrap();
    assert!(top * 100 > rows.readings.len() * 5);
    assert!(counts[0] >= 120, "{}", counts[0]);
    let below_average = counts.iter().filter(|count| **count < 2_000 / 50).count();
    assert!(below_average > 25, "{below_average}");
}

#[test]
fn the_demo_user_has_read_this_week_and_today() {
    for now in [noon(), noon().with_hour(0).unwrap().with_minute(3).unwrap()] {
        let rows = generate(SeedPlan::demonstration(), now);
        let demo = rows.users[0].id;
        let since = |time: DateTime<Utc>| {
            rows.readings.iter().filter(|one| one.user_id == demo && one.created_at >= time).count()
        };
        assert!(since(now.with_time(chrono::NaiveTime::MIN).unwrap()) >= 3, "{now}");
        assert!(since(now - TimeDelta::days(7)) >= 10, "{now}");
    }
}

#[test]
fn nobody_reads_more_than_the_app_allows_on_a_day() {
    let mut by_day: HashMap<_, usize> = HashMap::new();
    for reading in &large().readings {
        *by_day.entry((reading.user_id, reading.created_at.date_naive())).or_default() += 1;
    }
    assert!(by_day.values().all(|count| *count <= 20));
}

#[test]
fn readings_lean_to_the_evening_and_to_now() {
    let rows = large();
    let now = noon();
    let (first, last) = (rows.readings[0].created_at, rows.readings.last().unwrap().created_at);
    assert!(first > now - TimeDelta::days(180) && last < now);
    let evening = percent_of(rows, |one| (18..23).contains(&one.created_at.hour()));
    let morning = percent_of(rows, |one| (4..9).contains(&one.created_at.hour()));
    assert!(evening > 2 * morning, "{evening} {morning}");
    let newer_half = percent_of(rows, |one| one.created_at > now - TimeDelta::days(90));
    assert!((55..70).contains(&newer_half), "{newer_half}");
}

#[test]
fn ids_are_unique_and_in_the_order_of_time() {
    let rows = large();
    let times: Vec<_> = rows.readings.iter().map(|one| (one.created_at, one.id)).collect();
    assert!(times.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1));
    assert!(times.iter().all(|(time, _)| time.nanosecond() % 1_000 == 0));
    let users: Vec<_> = rows.users.iter().map(|one| (one.created_at, one.id)).collect();
    assert!(users.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1));
    assert!(users.last().unwrap().0 < times[0].0, "everybody joined before anybody read");
    let categories: HashSet<_> = rows.categories.iter().map(|one| one.id).collect();
    assert_eq!(categories.len(), rows.categories.len());
    for reading in &rows.readings {
        assert_eq!(reading.id.get_version_num(), 7);
    }
}

#[test]
fn people_are_within_every_limit() {
    let rows = generate(SeedPlan { users: 50_000, readings: 0, seed: 0 }, noon());
    let unique =
        |key: fn(&UserRow) -> &str| rows.users.iter().map(key).collect::<HashSet<_>>().len();
    assert_eq!(unique(|user| &user.email), rows.users.len());
    assert_eq!(unique(|user| &user.username), rows.users.len());
    for user in &rows.users {
        let local = user.email.strip_suffix("@wasteland.example").unwrap();
        assert!(!local.is_empty() && user.email.is_ascii() && user.email.len() <= 255);
        assert_eq!(user.email, user.email.to_lowercase());
        assert_eq!(user.username, fold_username(&user.username));
        assert!((1..=50).contains(&characters(&user.username)) && !user.username.contains('@'));
        assert!(user.display_name.as_ref().is_none_or(|name| {
            (1..=100).contains(&characters(name)) && !name.contains(|c| "<>{}\\|^~[]`".contains(c))
        }));
        assert!(user.bio.as_ref().is_none_or(|bio| (1..=500).contains(&characters(bio))));
        assert!((0..=100).contains(&user.karma_score));
        assert_eq!(user.password_hash, "!");
    }
    let named = |name| rows.users.iter().filter(|user| user.username == name).collect::<Vec<_>>();
    assert_eq!(named("demo")[0].email, "demo@wasteland.example");
    assert!(named("overseer")[0].is_admin);
    assert_eq!(rows.users.iter().filter(|user| user.is_admin).count(), 1);
}

#[test]
fn some_people_have_categories_and_readings_in_them() {
    let rows = demonstration();
    let mut names = HashSet::new();
    let mut owners: HashMap<Uuid, Uuid> = HashMap::new();
    let mut counts: HashMap<Uuid, usize> = HashMap::new();
    for category in &rows.categories {
        assert!((1..=100).contains(&characters(&category.name)));
        assert!(names.insert((category.user_id, &category.name)), "{}", category.name);
        let hex = category.color.strip_prefix('#').unwrap();
        assert!(hex.len() == 6 && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
        assert!(category.icon.as_ref().is_some_and(|icon| (1..=50).contains(&icon.len())));
        owners.insert(category.id, category.user_id);
        *counts.entry(category.user_id).or_default() += 1;
    }
    assert!((12..=20).contains(&counts.len()), "{}", counts.len());
    assert!(counts.values().all(|count| (2..=4).contains(count)));
    assert!(counts.contains_key(&rows.users[0].id));
    for reading in &rows.readings {
        if let Some(category) = reading.category_id {
            assert_eq!(owners[&category], reading.user_id);
        }
    }
    let filed = rows.readings.iter().filter_map(|reading| reading.category_id);
    assert!(filed.collect::<HashSet<_>>().len() * 10 > rows.categories.len() * 8);
}

#[test]
fn readings_are_within_every_limit() {
    for reading in &large().readings {
        let within = |text: &Option<String>, maximum| {
            text.as_ref().is_none_or(|text| (1..=maximum).contains(&characters(text)))
        };
        assert!((1..=500).contains(&characters(&reading.question)));
        assert!(within(&reading.notes, 1_000) && within(&reading.user_feedback, 1_000));
        assert!(within(&reading.focus_area, 100));
        assert!(within(&reading.mood_before, 50) && within(&reading.mood_after, 50));
        assert!((0.0..=0.95).contains(&reading.radiation_factor));
        let ratings = [reading.user_satisfaction, reading.accuracy_rating, reading.helpful_rating];
        assert!(ratings.iter().flatten().all(|rating| (1..=5).contains(rating)));
        let is_rated = reading.user_satisfaction.is_some();
        assert!(
            is_rated || (ratings[1], ratings[2], &reading.user_feedback) == (None, None, &None)
        );
        assert_eq!(reading.status, ReadingStatus::Complete);
        assert_eq!(reading.completed_at, Some(reading.created_at));
        assert!(reading.updated_at <= noon());
        let was_written = is_rated || reading.is_favorite || reading.archived_at.is_some();
        assert_eq!(reading.version > 1, was_written);
        assert_eq!(reading.updated_at > reading.created_at, was_written);
        assert!((1..=3).contains(&reading.version));
        assert!(reading.archived_at.is_none_or(|time| time == reading.updated_at));
    }
}

#[test]
fn tags_are_unique_composed_and_trimmed() {
    let rows = large();
    for reading in &rows.readings {
        let tags = &reading.tags.0;
        assert!(tags.len() <= 4);
        assert_eq!(tags.iter().collect::<HashSet<_>>().len(), tags.len());
        for tag in tags {
            assert!((1..=50).contains(&characters(tag)) && is_nfc(tag) && tag.trim() == tag);
        }
    }
    for count in 0..=4 {
        assert!(percent_of(rows, |reading| reading.tags.0.len() == count) > 10);
    }
}

#[test]
fn nobody_asks_the_same_twice_in_a_row_of_eight() {
    let rows = demonstration();
    for user in &rows.users {
        let own: Vec<_> = rows.readings.iter().filter(|one| one.user_id == user.id).collect();
        for row in own.windows(8) {
            let questions: HashSet<_> = row.iter().map(|reading| &reading.question).collect();
            assert_eq!(questions.len(), row.len(), "{}", user.username);
        }
    }
}

#[test]
fn no_slot_stays_empty() {
    let rows = large();
    for reading in &rows.readings {
        let texts =
            [Some(&reading.question), Some(&reading.interpretation), Some(&reading.summary)]
                .into_iter()
                .chain(
                    [&reading.notes, &reading.focus_area, &reading.user_feedback]
                        .map(Option::as_ref),
                );
        for text in texts.flatten() {
            assert!(!text.contains(['{', '}']) && !text.trim().is_empty(), "{text}");
        }
    }
    for drawn in &rows.drawn_cards {
        assert!(!drawn.interpretation.contains(['{', '}']), "{}", drawn.interpretation);
    }
}

#[test]
fn shares_are_about_what_they_should_be() {
    let rows = large();
    let about = |expected: usize, which: &dyn Fn(&ReadingRow) -> bool| {
        let found = percent_of(rows, which);
        assert!(found.abs_diff(expected) <= 2, "{found} instead of {expected}");
    };
    about(50, &|reading| reading.locale == Locale::En);
    about(50, &|reading| reading.locale == Locale::ZhHant);
    about(35, &|reading| reading.privacy_level == PrivacyLevel::Public);
    about(5, &|reading| reading.privacy_level == PrivacyLevel::Friends);
    about(60, &|reading| reading.privacy_level == PrivacyLevel::Private);
    about(15, &|reading| reading.is_favorite);
    about(6, &|reading| reading.archived_at.is_some());
    about(50, &|reading| reading.notes.is_some());
    about(50, &|reading| reading.user_satisfaction.is_some());
    about(37, &|reading| reading.user_satisfaction.is_some_and(|rating| rating >= 4));
    let person: HashMap<Uuid, &UserRow> = rows.users.iter().map(|user| (user.id, user)).collect();
    let preferred =
        percent_of(rows, |one| one.character_voice == person[&one.user_id].preferred_voice);
    assert!(preferred > 60, "{preferred}");
    let own = percent_of(rows, |one| {
        one.karma_context == Karma::from_score(person[&one.user_id].karma_score)
    });
    assert!(own > 80, "{own}");
}

#[test]
fn every_voice_and_every_spread_occurs_and_small_spreads_most() {
    let files = DeckOfFiles::read();
    let rows = demonstration();
    let voices: HashSet<VoiceKey> = rows.readings.iter().map(|one| one.character_voice).collect();
    assert_eq!(voices.len(), VoiceKey::ALL.len());
    let uses = |spread: &Spread| {
        rows.readings.iter().filter(|reading| reading.spread_template_id == spread.id).count()
    };
    assert_eq!(files.spreads.len(), 7);
    assert!(files.spreads.iter().all(|spread| uses(spread) > 0));
    let by_size = |cards| files.spreads.iter().find(|one| one.card_count() == cards).unwrap();
    assert!(uses(by_size(1)) > 2 * uses(by_size(3)) && uses(by_size(3)) > 2 * uses(by_size(10)));
}

#[test]
fn positions_are_filled_once_with_different_cards() {
    let files = DeckOfFiles::read();
    let rows = large();
    let mut of_reading: HashMap<Uuid, Vec<&DrawnCardRow>> = HashMap::new();
    for drawn in &rows.drawn_cards {
        of_reading.entry(drawn.reading_id).or_default().push(drawn);
    }
    assert_eq!(of_reading.len(), rows.readings.len());
    for reading in &rows.readings {
        let spread =
            files.spreads.iter().find(|spread| spread.id == reading.spread_template_id).unwrap();
        assert_eq!(reading.spread_type, spread.spread_type);
        let drawn = &of_reading[&reading.id];
        assert!(drawn.iter().zip(1..).all(|(card, number)| card.position_number == number));
        assert_eq!(drawn.len(), spread.card_count());
        assert_eq!(
            drawn.iter().map(|card| card.card_id).collect::<HashSet<_>>().len(),
            drawn.len()
        );
        for (card, position) in drawn.iter().zip(&spread.positions) {
            assert_eq!(card.draw_order, card.position_number);
            assert_eq!(card.created_at, reading.created_at);
            for locale in Locale::ALL {
                let text = position.texts.get(*locale);
                assert_eq!(card.position_name.0.get(*locale), &text.name);
                assert_eq!(card.position_meaning.0.get(*locale), &text.meaning);
            }
        }
    }
}

#[test]
fn the_draw_favours_no_card_and_no_orientation() {
    let files = DeckOfFiles::read();
    let rows = large();
    let factors: HashMap<Uuid, f64> =
        rows.readings.iter().map(|reading| (reading.id, reading.radiation_factor)).collect();
    let average = rows.drawn_cards.len() / files.cards.len();
    for card in &files.cards {
        let draws = rows.drawn_cards.iter().filter(|drawn| drawn.card_id == card.id);
        let mut count = 0_usize;
        for drawn in draws {
            count += 1;
            let influence = card.radiation_level * factors[&drawn.reading_id];
            assert!((drawn.radiation_influence - influence).abs() <= 0.000_051);
            assert!((0.0..=1.0).contains(&drawn.radiation_influence));
        }
        assert!(count.abs_diff(average) < average / 4, "{}: {count} of {average}", card.code);
    }
    let upright =
        rows.drawn_cards.iter().filter(|drawn| drawn.orientation == Orientation::Upright).count();
    let all = rows.drawn_cards.len();
    assert_eq!((upright * 100 + all / 2) / all, 50);
}

#[test]
fn the_first_two_people_get_the_passwords() {
    let files = DeckOfFiles::read();
    let generator = SeedGenerator::new(SeedPlan::demonstration(), deck_of(&files), noon()).unwrap();
    let hashes = ["one".to_owned(), "two".to_owned()];
    let users: Vec<UserRow> =
        with_passwords(generator, hashes).flat_map(|rows| rows.users).collect();
    assert_eq!((users[0].username.as_str(), users[0].password_hash.as_str()), ("demo", "one"));
    assert_eq!((users[1].username.as_str(), users[1].password_hash.as_str()), ("overseer", "two"));
    assert!(users[2..].iter().all(|user| user.password_hash == "!"));
}
