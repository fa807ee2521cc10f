//! The users of the demonstration data: the people of the file and, for larger plans, numbered namesakes.
//! Rows are generated one at a time; only what readings need of a person stays in memory.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::index;
use uuid::Uuid;

use super::files::{PersonFile, SeedFiles};
use super::{chance, id_at, times};
use crate::db::categories::CategoryRow;
use crate::db::entities::users;
use crate::db::seed::SeedRows;
use crate::domain::locale::Locale;
use crate::domain::user::fold_username;
use crate::domain::voice::VoiceKey;
use crate::services::passwords::NO_PASSWORD;

/// The demonstration user with the public password: the first of the file.
pub(super) const DEMO: usize = 0;
/// The admin: the second of the file.
pub(super) const OVERSEER: usize = 1;

/// Period before the first possible reading in which people joined.
const JOINED_WITHIN: TimeDelta = TimeDelta::days(365);
const PREMIUM_PERCENT: u32 = 8;
const VERIFIED_PERCENT: u32 = 85;
/// Every third person, the demonstration user included, has categories.
const CATEGORIES_EVERY: usize = 3;
const CATEGORIES: std::ops::RangeInclusive<usize> = 2..=4;

/// Data of a person that readings need.
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) locale: Locale,
    pub(super) voice: VoiceKey,
    pub(super) karma_score: i16,
    pub(super) categories: Vec<Category>,
    /// Recent questions and notes, which are not repeated at once.
    pub(super) recent: VecDeque<&'static str>,
}

/// A person's category for readings of a theme.
pub(super) struct Category {
    pub(super) id: Uuid,
    /// Index of the theme in the files.
    pub(super) theme: usize,
}

/// Template of a person.
struct Namesake {
    /// Person of the file.
    file: &'static PersonFile,
    /// Ordinal among the people with that name, from 1.
    nth: usize,
}

/// Template of the person of that number.
fn namesake(number: usize) -> Namesake {
    let files = SeedFiles::read();
    if let Some(file) = files.people.get(number) {
        return Namesake { file, nth: 1 };
    }
    // The demonstration user and the overseer have no namesakes.
    let others = &files.people[OVERSEER + 1..];
    let extra = number - files.people.len();
    Namesake { file: &others[extra % others.len()], nth: extra / others.len() + 2 }
}

/// Language of the person of that number.
pub(super) fn locale_of(number: usize) -> Locale {
    namesake(number).file.locale
}

/// Generates the person of that number out of `count`, adds their rows, and returns the data that their
/// readings need. People join in the order of their numbers.
pub(super) fn add_person(
    rows: &mut SeedRows,
    rng: &mut StdRng,
    number: usize,
    count: usize,
    now: DateTime<Utc>,
) -> Person {
    let Namesake { file, nth } = namesake(number);
    let joined_at = joined_at(rng, number, count, now);
    let id = id_at(rng, joined_at);
    let is_first = nth == 1;
    let is_staff = number <= OVERSEER;
    let person = Person {
        id,
        locale: file.locale,
        voice: file.preferred_voice,
        karma_score: if is_first { file.karma_score } else { rng.random_range(0..=100) },
        categories: add_categories(
            rows,
            rng,
            &NewUser { id, number, locale: file.locale, joined_at },
        ),
        recent: VecDeque::new(),
    };
    rows.users.push(users::Model {
        id,
        email: format!("{}@wasteland.example", mailbox(file, nth, number)),
        username: if is_first {
            fold_username(&file.username)
        } else {
            fold_username(&format!("{}_{nth}", file.username))
        },
        display_name: file
            .display_name
            .as_ref()
            .map(|name| if is_first { name.clone() } else { format!("{name} {nth}") }),
        password_hash: NO_PASSWORD.to_owned(),
        bio: file.bio.clone().filter(|_| is_first),
        faction: file.faction,
        karma_score: person.karma_score,
        preferred_voice: file.preferred_voice,
        is_active: true,
        is_verified: is_staff || chance(rng, VERIFIED_PERCENT),
        is_admin: number == OVERSEER,
        is_premium: !is_staff && chance(rng, PREMIUM_PERCENT),
        failed_logins: 0,
        locked_until: None,
        last_login_at: None,
        created_at: joined_at,
        updated_at: joined_at,
    });
    person
}

/// Time of registration: each person has a share of the period before the first reading, so that ids
/// ascend.
fn joined_at(rng: &mut StdRng, number: usize, count: usize, now: DateTime<Utc>) -> DateTime<Utc> {
    let within = JOINED_WITHIN.num_microseconds().unwrap_or(0).unsigned_abs();
    let share = within / count.max(1) as u64;
    let after = share * number as u64 + rng.random_range(0..share.max(1));
    times::first_time(now) - JOINED_WITHIN + TimeDelta::microseconds(after.cast_signed())
}

/// Local part of the e-mail address: the username if it is plain ASCII, otherwise a number.
fn mailbox(file: &PersonFile, nth: usize, number: usize) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let username = fold_username(&file.username);
    match (username.chars().all(is_plain), nth) {
        (true, 1) => username,
        (true, _) => format!("{username}_{nth}"),
        (false, _) => format!("dweller.{}", number + 1),
    }
}

/// A user whose row was generated.
struct NewUser {
    id: Uuid,
    number: usize,
    locale: Locale,
    joined_at: DateTime<Utc>,
}

fn add_categories(rows: &mut SeedRows, rng: &mut StdRng, user: &NewUser) -> Vec<Category> {
    let files = SeedFiles::read();
    if !user.number.is_multiple_of(CATEGORIES_EVERY) {
        return Vec::new();
    }
    let count = if user.number == DEMO { *CATEGORIES.end() } else { rng.random_range(CATEGORIES) };
    let chosen = index::sample(rng, files.categories.len(), count);
    let mut categories = Vec::with_capacity(count);
    for (file, minutes) in chosen.iter().map(|index| &files.categories[index]).zip(1..) {
        let Some(theme) = files.themes.iter().position(|theme| theme.key == file.theme) else {
            continue;
        };
        let created_at = user.joined_at + TimeDelta::minutes(minutes);
        let id = id_at(rng, created_at);
        let text = file.text(user.locale);
        rows.categories.push(CategoryRow {
            id,
            user_id: user.id,
            name: text.name.clone(),
            color: file.color.clone(),
            icon: Some(file.icon.clone()),
            description: text.description.clone(),
            created_at,
            updated_at: created_at,
        });
        categories.push(Category { id, theme });
    }
    categories
}
