//! The readings of a seed: who asked what, of which cards, and what became of it.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, index};
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::files::{SeedFiles, Slots, ThemeText};
use super::people::{DEMO, OVERSEER, Person, add_person, locale_of};
use super::times::Times;
use super::{SeedError, SeedPlan, chance, cut, id_at};
use crate::db::entities::columns::{LocalizedText, TextList};
use crate::db::entities::{reading_cards, reading_sessions};
use crate::db::seed::SeedRows;
use crate::domain::card::{Card, Orientation};
use crate::domain::interpretation::{Draw, interpret_reading};
use crate::domain::locale::Locale;
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::Spread;
use crate::domain::voice::Voice;
use crate::services::catalogue::Catalogue;

/// People or readings of a batch.
const BATCH: usize = 500;
/// The weight of the most frequent of things; others have a part of it.
const WEIGHT: u64 = 1 << 32;
/// What the app lets a user make on a UTC day.
const READINGS_A_DAY: u16 = 20;
/// Tries to find a person who may still read today, or a text not used lately. There may be none.
const TRIES: usize = 32;
/// Questions and notes that a person remembers.
const RECENT_TEXTS: usize = 24;
/// These are the demo user's, counted from the end: they have read today, but not alone.
const DEMO_TURNS: [usize; 3] = [1, 3, 5];

const PREFERRED_VOICE_PERCENT: u32 = 70;
const OWN_KARMA_PERCENT: u32 = 85;
const OWN_THEME_PERCENT: u32 = 40;
const FILED_PERCENT: u32 = 85;
const NOTES_PERCENT: u32 = 50;
const FOCUS_PERCENT: u32 = 35;
const MOOD_BEFORE_PERCENT: u32 = 40;
const MOOD_AFTER_PERCENT: u32 = 30;
const PUBLIC_PERCENT: u32 = 35;
const FRIENDS_PERCENT: u32 = 5;
const FAVORITE_PERCENT: u32 = 15;
const ARCHIVED_PERCENT: u32 = 6;
const RATED_PERCENT: u32 = 50;
const FEEDBACK_PERCENT: u32 = 30;
const DEFAULT_RADIATION_PERCENT: u32 = 40;
const TAGS_MAXIMUM: usize = 4;

/// Percent of ratings from 1 to 5.
const SATISFACTION: [(i16, u32); 5] = [(1, 3), (2, 6), (3, 16), (4, 38), (5, 37)];
const RATINGS: std::ops::RangeInclusive<i16> = 1..=5;

const DEFAULT_RADIATION: f64 = 0.5;
/// Above 95 nobody can be asked to draw.
const RADIATION_HUNDREDTHS: std::ops::RangeInclusive<u8> = 0..=95;

const MOODS: [&str; 8] = [
    "hopeful",
    "anxious",
    "reflective",
    "excited",
    "peaceful",
    "confused",
    "grateful",
    "uncertain",
];

/// What readings are made of.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "a field a kind")]
pub struct Deck<'a> {
    pub cards: &'a [Arc<Card>],
    pub spreads: &'a [Arc<Spread>],
    pub voices: &'a [Arc<Voice>],
}

impl<'a> Deck<'a> {
    /// What the catalogue has.
    #[must_use]
    pub fn of(catalogue: &'a Catalogue) -> Self {
        Self { cards: catalogue.cards(), spreads: catalogue.spreads(), voices: catalogue.voices() }
    }
}

/// Makes the rows of a plan, in batches in which they can be written: first the people with their
/// categories, then the readings in the order of their times.
pub struct Generator<'a> {
    plan: SeedPlan,
    deck: Deck<'a>,
    now: DateTime<Utc>,
    rng: StdRng,
    people: Vec<Person>,
    readers: Readers,
    spreads: Vec<&'a Spread>,
    spread_weights: WeightedIndex<u64>,
    times: Times,
    left: usize,
}

impl<'a> Generator<'a> {
    /// Gets ready.
    ///
    /// # Errors
    ///
    /// There are no people, spreads or voices to make readings of, or too few cards.
    pub fn new(plan: SeedPlan, deck: Deck<'a>, now: DateTime<Utc>) -> Result<Self, SeedError> {
        let now = cut(now);
        let spreads: Vec<&Spread> = deck
            .spreads
            .iter()
            .map(AsRef::as_ref)
            .filter(|spread| spread.is_active && !spread.is_premium)
            .filter(|spread| (1..=deck.cards.len()).contains(&spread.card_count()))
            .collect();
        // Small spreads are drawn so much more often that each spread sees as many cards.
        let weights = spreads.iter().map(|spread| WEIGHT / spread.card_count() as u64);
        let spread_weights =
            WeightedIndex::new(weights).map_err(|_| SeedError::Missing("spreads"))?;
        if deck.voices.is_empty() {
            return Err(SeedError::Missing("voices"));
        }
        Ok(Self {
            plan,
            deck,
            now,
            rng: StdRng::seed_from_u64(plan.seed),
            people: Vec::with_capacity(plan.users),
            readers: Readers::new(plan.users)?,
            spreads,
            spread_weights,
            times: Times::new(now, plan.readings),
            left: plan.readings,
        })
    }

    fn add_reading(&mut self, rows: &mut SeedRows, created_at: DateTime<Utc>) {
        let rng = &mut self.rng;
        let number = self.readers.next(rng, created_at.date_naive(), self.left);
        let person = &mut self.people[number];
        let locale = person.locale;
        let spread = self.spreads[self.spread_weights.sample(rng)];
        let voice = voice_of(rng, self.deck.voices, person);
        let karma = karma_of(rng, person);
        let radiation_factor = radiation_factor(rng);
        let id = id_at(rng, created_at);

        let orientations = [Orientation::Upright, Orientation::Reversed];
        let draws: Vec<Draw<'_>> = index::sample(rng, self.deck.cards.len(), spread.card_count())
            .into_iter()
            .map(|index| Draw {
                card: &self.deck.cards[index],
                orientation: orientations[usize::from(rng.random_bool(0.5))],
            })
            .collect();
        let said = interpret_reading(voice, spread, &draws, karma, locale);
        add_drawn_cards(rows, (id, created_at), spread, &draws, said.cards, radiation_factor);

        let (theme, category_id) = theme_of(rng, person);
        let mut words = Words::new(rng, theme, locale, &mut person.recent);
        let after = Afterwards::new(rng, created_at, self.now);
        rows.readings.push(reading_sessions::Model {
            id,
            user_id: person.id,
            spread_template_id: spread.id,
            spread_type: spread.spread_type,
            character_voice: voice.key,
            karma_context: karma,
            question: words.fresh_one_of(rng, &words.texts.questions),
            focus_area: words.maybe_one_of(rng, FOCUS_PERCENT, &words.texts.focus_areas),
            notes: chance(rng, NOTES_PERCENT).then(|| words.fresh_one_of(rng, &words.texts.notes)),
            tags: tags_of(rng, words.texts),
            category_id,
            status: ReadingStatus::Complete,
            radiation_factor,
            interpretation: said.overall,
            summary: said.summary,
            locale,
            mood_before: mood(rng, MOOD_BEFORE_PERCENT),
            mood_after: mood(rng, MOOD_AFTER_PERCENT),
            privacy_level: privacy_level(rng),
            is_favorite: after.is_favorite,
            archived_at: after.archived_at,
            user_satisfaction: after.satisfaction,
            accuracy_rating: after.accuracy,
            helpful_rating: after.helpful,
            user_feedback: after
                .satisfaction
                .and_then(|_| words.maybe_one_of(rng, FEEDBACK_PERCENT, &words.texts.feedback)),
            version: after.version,
            completed_at: Some(created_at),
            created_at,
            updated_at: after.updated_at,
        });
    }
}

impl Iterator for Generator<'_> {
    type Item = SeedRows;

    fn next(&mut self) -> Option<SeedRows> {
        let mut rows = SeedRows::default();
        let people = self.people.len();
        for number in people..self.plan.users.min(people + BATCH) {
            let place = (number, self.plan.users);
            self.people.push(add_person(&mut rows, &mut self.rng, place, self.now));
        }
        if !rows.users.is_empty() {
            return Some(rows);
        }
        while rows.readings.len() < BATCH
            && let Some(time) = self.times.next(&mut self.rng)
        {
            self.add_reading(&mut rows, time);
            self.left -= 1;
        }
        (!rows.readings.is_empty()).then_some(rows)
    }
}

/// Who reads next. Each language has half of the readings; of its people, few read much and many
/// little, by Zipf's law.
struct Readers {
    languages: Vec<Speakers>,
    day: NaiveDate,
    /// By the number of the person: readings on that day.
    on_day: Vec<u16>,
}

/// The people who write one language.
struct Speakers {
    /// Their numbers, the most eager first.
    numbers: Vec<usize>,
    weights: WeightedIndex<u64>,
}

impl Readers {
    fn new(count: usize) -> Result<Self, SeedError> {
        let languages: Vec<_> =
            Locale::ALL.iter().filter_map(|locale| Speakers::new(count, *locale)).collect();
        if languages.is_empty() {
            return Err(SeedError::Missing("people"));
        }
        Ok(Self { languages, day: NaiveDate::MIN, on_day: vec![0; count] })
    }

    /// The number of the reader. `left` counts the readings that are left, this one included.
    fn next(&mut self, rng: &mut StdRng, day: NaiveDate, left: usize) -> usize {
        if self.day != day {
            self.day = day;
            self.on_day.fill(0);
        }
        let mut number = DEMO;
        if !DEMO_TURNS.contains(&left) || self.on_day[DEMO] >= READINGS_A_DAY {
            let speakers = &self.languages[rng.random_range(0..self.languages.len())];
            for _ in 0..TRIES {
                number = speakers.numbers[speakers.weights.sample(rng)];
                if self.on_day[number] < READINGS_A_DAY {
                    break;
                }
            }
        }
        self.on_day[number] = self.on_day[number].saturating_add(1);
        number
    }
}

impl Speakers {
    /// `None` if nobody writes it.
    fn new(count: usize, locale: Locale) -> Option<Self> {
        let mut numbers: Vec<_> =
            (0..count).filter(|number| locale_of(*number) == locale).collect();
        // In the order of the file; only the overseer has other things to do.
        numbers.sort_by_key(|number| *number == OVERSEER);
        let weights = WeightedIndex::new((1..=numbers.len() as u64).map(|rank| WEIGHT / rank));
        Some(Self { weights: weights.ok()?, numbers })
    }
}

/// A theme's texts in one language, and what stands in their slots throughout one reading.
struct Words<'a> {
    texts: &'static ThemeText,
    slots: [(&'static str, &'static str); 3],
    recent: &'a mut VecDeque<&'static str>,
}

impl<'a> Words<'a> {
    fn new(
        rng: &mut StdRng,
        theme: usize,
        locale: Locale,
        recent: &'a mut VecDeque<&'static str>,
    ) -> Self {
        let files = SeedFiles::read();
        let Slots { person, place, thing } = files.slots.get(locale);
        Self {
            texts: files.themes[theme].text(locale),
            slots: [
                ("{person}", pick(rng, person)),
                ("{place}", pick(rng, place)),
                ("{thing}", pick(rng, thing)),
            ],
            recent,
        }
    }

    /// A text that the person has not used lately.
    fn fresh_one_of(&mut self, rng: &mut StdRng, templates: &'static [String]) -> String {
        let mut template = pick(rng, templates);
        for _ in 0..TRIES {
            if !self.recent.contains(&template) {
                break;
            }
            template = pick(rng, templates);
        }
        if self.recent.len() == RECENT_TEXTS {
            self.recent.pop_front();
        }
        self.recent.push_back(template);
        self.fill(template)
    }

    fn maybe_one_of(
        &self,
        rng: &mut StdRng,
        percent: u32,
        templates: &'static [String],
    ) -> Option<String> {
        chance(rng, percent).then(|| self.fill(pick(rng, templates)))
    }

    fn fill(&self, template: &str) -> String {
        let filled = template.to_owned();
        self.slots.iter().fold(filled, |text, (slot, word)| text.replace(slot, word))
    }
}

fn pick(rng: &mut StdRng, texts: &'static [String]) -> &'static str {
    texts.choose(rng).map_or("", String::as_str)
}

fn tags_of(rng: &mut StdRng, texts: &ThemeText) -> TextList {
    let count = rng.random_range(0..=TAGS_MAXIMUM.min(texts.tags.len()));
    TextList(texts.tags.sample(rng, count).cloned().collect())
}

/// What became of a reading after it was made: each write raises the version.
struct Afterwards {
    satisfaction: Option<i16>,
    accuracy: Option<i16>,
    helpful: Option<i16>,
    is_favorite: bool,
    archived_at: Option<DateTime<Utc>>,
    version: i32,
    updated_at: DateTime<Utc>,
}

impl Afterwards {
    fn new(rng: &mut StdRng, created_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let mut after = Self {
            satisfaction: None,
            accuracy: None,
            helpful: None,
            is_favorite: chance(rng, FAVORITE_PERCENT),
            archived_at: None,
            version: 1,
            updated_at: created_at,
        };
        if chance(rng, RATED_PERCENT) {
            after.rate(rng);
            after.write(rng, now);
        }
        let is_archived = chance(rng, ARCHIVED_PERCENT);
        if after.is_favorite || is_archived {
            after.write(rng, now);
        }
        after.archived_at = is_archived.then_some(after.updated_at);
        after
    }

    fn rate(&mut self, rng: &mut StdRng) {
        let weighed = SATISFACTION.choose_weighted(rng, |(_, percent)| *percent);
        let satisfaction = weighed.map_or(*RATINGS.end(), |(rating, _)| *rating);
        self.satisfaction = Some(satisfaction);
        self.accuracy = rating_near(rng, satisfaction);
        self.helpful = rating_near(rng, satisfaction);
    }

    /// Something is changed at some time up to now, but most often soon.
    fn write(&mut self, rng: &mut StdRng, now: DateTime<Utc>) {
        let mut within = (now - self.updated_at).num_microseconds().unwrap_or(0).max(1);
        for _ in 0..2 {
            within = rng.random_range(1..=within);
        }
        self.updated_at += TimeDelta::microseconds(within);
        self.version += 1;
    }
}

fn rating_near(rng: &mut StdRng, satisfaction: i16) -> Option<i16> {
    let rating = satisfaction + rng.random_range(-1..=1);
    chance(rng, 75).then_some(rating.clamp(*RATINGS.start(), *RATINGS.end()))
}

fn voice_of<'a>(rng: &mut StdRng, voices: &'a [Arc<Voice>], person: &Person) -> &'a Voice {
    let any = &voices[rng.random_range(0..voices.len())];
    if chance(rng, PREFERRED_VOICE_PERCENT) {
        voices.iter().find(|voice| voice.key == person.voice).unwrap_or(any)
    } else {
        any
    }
}

fn karma_of(rng: &mut StdRng, person: &Person) -> Karma {
    if chance(rng, OWN_KARMA_PERCENT) {
        Karma::of_score(person.karma_score)
    } else {
        Karma::ALL[rng.random_range(0..Karma::ALL.len())]
    }
}

/// The theme's index, and the person's category for it where the reading is filed.
fn theme_of(rng: &mut StdRng, person: &Person) -> (usize, Option<Uuid>) {
    let own = person.categories.choose(rng).filter(|_| chance(rng, OWN_THEME_PERCENT));
    let any = rng.random_range(0..SeedFiles::read().themes.len());
    let theme = own.map_or(any, |category| category.theme);
    let category = person.categories.iter().find(|category| category.theme == theme);
    (theme, category.filter(|_| chance(rng, FILED_PERCENT)).map(|category| category.id))
}

fn privacy_level(rng: &mut StdRng) -> PrivacyLevel {
    match rng.random_range(0..100) {
        percent if percent < PUBLIC_PERCENT => PrivacyLevel::Public,
        percent if percent < PUBLIC_PERCENT + FRIENDS_PERCENT => PrivacyLevel::Friends,
        _ => PrivacyLevel::Private,
    }
}

fn mood(rng: &mut StdRng, percent: u32) -> Option<String> {
    let mood = MOODS[rng.random_range(0..MOODS.len())];
    chance(rng, percent).then(|| mood.to_owned())
}

fn radiation_factor(rng: &mut StdRng) -> f64 {
    if chance(rng, DEFAULT_RADIATION_PERCENT) {
        DEFAULT_RADIATION
    } else {
        f64::from(rng.random_range(RADIATION_HUNDREDTHS)) / 100.0
    }
}

fn add_drawn_cards(
    rows: &mut SeedRows,
    (reading_id, created_at): (Uuid, DateTime<Utc>),
    spread: &Spread,
    draws: &[Draw<'_>],
    interpretations: Vec<String>,
    radiation_factor: f64,
) {
    let in_order = spread.positions.iter().zip(draws).zip(interpretations).zip(1..);
    rows.drawn_cards.extend(in_order.map(|(((position, draw), interpretation), draw_order)| {
        reading_cards::Model {
            reading_id,
            position_number: position.number,
            card_id: draw.card.id,
            position_name: LocalizedText(position.texts.map(|_, text| text.name.clone())),
            position_meaning: LocalizedText(position.texts.map(|_, text| text.meaning.clone())),
            orientation: draw.orientation,
            draw_order,
            radiation_influence: to_four_digits(draw.card.radiation_level * radiation_factor),
            interpretation,
            created_at,
        }
    }));
}

fn to_four_digits(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
