//! The people of a seed: those of the file and, where more are wanted, numbered namesakes of them.
//! Their rows are made one at a time; what stays in memory of each is what their readings need.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::index;
use uuid::Uuid;

use super::files::{PersonFile, SeedFiles};
use super::{chance, id_at, times};
use crate::db::categories;
use crate::db::entities::users;
use crate::db::seed::SeedRows;
use crate::domain::locale::Locale;
use crate::domain::user::fold_username;
use crate::domain::voice::VoiceKey;
use crate::services::passwords::NO_PASSWORD;

/// The person whose password everybody knows: the first of the file.
pub(super) const DEMO: usize = 0;
/// The admin: the second of the file.
pub(super) const OVERSEER: usize = 1;

/// Days before the first possible reading within which people joined.
const JOINED_WITHIN: TimeDelta = TimeDelta::days(365);
const PREMIUM_PERCENT: u32 = 8;
const VERIFIED_PERCENT: u32 = 85;
/// Every so many people, the demo user being one, keep categories.
const CATEGORIES_EVERY: usize = 3;
const CATEGORIES: std::ops::RangeInclusive<usize> = 2..=4;

/// What readings need to know of a person.
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) locale: Locale,
    pub(super) voice: VoiceKey,
    pub(super) karma_score: i16,
    pub(super) categories: Vec<Category>,
    /// What they asked and noted last, which they do not repeat at once.
    pub(super) recent: VecDeque<&'static str>,
}

/// A person's folder for readings of a theme.
pub(super) struct Category {
    pub(super) id: Uuid,
    /// Index of the theme in the files.
    pub(super) theme: usize,
}

/// The person of the file that the person of that number is or is named after, and which one of
/// that name they are.
fn namesake(files: &SeedFiles, number: usize) -> (&PersonFile, usize) {
    if let Some(person) = files.people.get(number) {
        return (person, 1);
    }
    // There is one demo user and one overseer only.
    let others = &files.people[OVERSEER + 1..];
    let extra = number - files.people.len();
    (&others[extra % others.len()], extra / others.len() + 2)
}

/// The language of the person of that number.
pub(super) fn locale_of(number: usize) -> Locale {
    namesake(SeedFiles::read(), number).0.locale
}

/// Makes a person, adds their rows, and returns what their readings need. `count` is how many
/// people there are in all: they joined one after the other.
pub(super) fn add_person(
    rows: &mut SeedRows,
    rng: &mut StdRng,
    (number, count): (usize, usize),
    now: DateTime<Utc>,
) -> Person {
    let files = SeedFiles::read();
    let (file, nth) = namesake(files, number);
    let joined_at = joined_at(rng, (number, count), now);
    let id = id_at(rng, joined_at);
    let is_first = nth == 1;
    let is_of_the_house = number <= OVERSEER;
    let person = Person {
        id,
        locale: file.locale,
        voice: file.preferred_voice,
        karma_score: if is_first { file.karma_score } else { rng.random_range(0..=100) },
        categories: add_categories(rows, rng, (id, number), file.locale, joined_at),
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
        is_verified: is_of_the_house || chance(rng, VERIFIED_PERCENT),
        is_admin: number == OVERSEER,
        is_premium: !is_of_the_house && chance(rng, PREMIUM_PERCENT),
        failed_logins: 0,
        locked_until: None,
        last_login_at: None,
        created_at: joined_at,
        updated_at: joined_at,
    });
    person
}

/// Each joins in their own share of the time before the first reading, so that ids ascend.
fn joined_at(
    rng: &mut StdRng,
    (number, count): (usize, usize),
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let within = JOINED_WITHIN.num_microseconds().unwrap_or(0).unsigned_abs();
    let share = within / count.max(1) as u64;
    let after = share * number as u64 + rng.random_range(0..share.max(1));
    times::first_time(now) - JOINED_WITHIN + TimeDelta::microseconds(after.cast_signed())
}

/// The username where it can stand in an address, else a number.
fn mailbox(file: &PersonFile, nth: usize, number: usize) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let username = fold_username(&file.username);
    match (username.chars().all(is_plain), nth) {
        (true, 1) => username,
        (true, _) => format!("{username}_{nth}"),
        (false, _) => format!("dweller.{}", number + 1),
    }
}

fn add_categories(
    rows: &mut SeedRows,
    rng: &mut StdRng,
    (user, number): (Uuid, usize),
    locale: Locale,
    joined_at: DateTime<Utc>,
) -> Vec<Category> {
    let files = SeedFiles::read();
    if !number.is_multiple_of(CATEGORIES_EVERY) {
        return Vec::new();
    }
    let wanted = if number == DEMO { *CATEGORIES.end() } else { rng.random_range(CATEGORIES) };
    let chosen = index::sample(rng, files.categories.len(), wanted);
    let mut kept = Vec::with_capacity(wanted);
    for (file, minutes) in chosen.iter().map(|index| &files.categories[index]).zip(1..) {
        let Some(theme) = files.themes.iter().position(|theme| theme.key == file.theme) else {
            continue;
        };
        let created_at = joined_at + TimeDelta::minutes(minutes);
        let id = id_at(rng, created_at);
        let text = file.text(locale);
        rows.categories.push(categories::CategoryRow {
            id,
            user_id: user,
            name: text.name.clone(),
            color: file.color.clone(),
            icon: Some(file.icon.clone()),
            description: text.description.clone(),
            created_at,
            updated_at: created_at,
        });
        kept.push(Category { id, theme });
    }
    kept
}
