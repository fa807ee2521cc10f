//! The readings of the demonstration data: owners, questions, drawn cards, and later changes.

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
use super::{SeedError, SeedPlan, chance, id_at, truncated};
use crate::db::entities::columns::{LocalizedText, TextList};
use crate::db::entities::{reading_cards, reading_sessions};
use crate::db::seed::SeedRows;
use crate::domain::card::{Card, Orientation};
use crate::domain::interpretation::{PlacedCard, interpret_reading};
use crate::domain::locale::Locale;
use crate::domain::reading::{Karma, PrivacyLevel, ReadingStatus};
use crate::domain::spread::Spread;
use crate::domain::voice::Voice;
use crate::services::catalogue::Catalogue;

/// People or readings of a batch.
const BATCH: usize = 500;
/// Weight of the most frequent item; others have a fraction of it.
const WEIGHT: u64 = 1 << 32;
/// Maximum readings of a user on a UTC day, as the app allows.
const READINGS_A_DAY: u16 = 20;
/// Attempts to find a person below the daily limit, or a text that was not used recently.
const TRIES: usize = 32;
/// Number of recent questions and notes that a person does not repeat.
const RECENT_TEXTS: usize = 24;
/// Readings of the demonstration user, counted from the end, so that this user has readings of today,
/// between those of others.
const DEMO_TURNS: [usize; 3] = [1, 3, 5];

const PREFERRED_VOICE_PERCENT: u32 = 70;
const OWN_KARMA_PERCENT: u32 = 85;
const OWN_THEME_PERCENT: u32 = 40;
const CATEGORIZED_PERCENT: u32 = 85;
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
/// Radiation factors in hundredths; a draw is not allowed above 95.
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

/// Reference data from which readings are generated.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "a field a kind")]
pub struct Deck<'a> {
    pub cards: &'a [Arc<Card>],
    pub spreads: &'a [Arc<Spread>],
    pub voices: &'a [Arc<Voice>],
}

impl<'a> Deck<'a> {
    /// Reference data of the catalogue.
    #[must_use]
    pub fn of(catalogue: &'a Catalogue) -> Self {
        Self { cards: catalogue.cards(), spreads: catalogue.spreads(), voices: catalogue.voices() }
    }
}

/// Generator of a plan's rows in batches: first the users with their categories, then the readings in the
/// order of their times.
pub struct SeedGenerator<'a> {
    plan: SeedPlan,
    deck: Deck<'a>,
    now: DateTime<Utc>,
    rng: StdRng,
    people: Vec<Person>,
    readers: ReaderPicker,
    spreads: Vec<&'a Spread>,
    spread_weights: WeightedIndex<u64>,
    times: Times,
    left: usize,
}

impl<'a> SeedGenerator<'a> {
    /// A generator at its start.
    ///
    /// # Errors
    ///
    /// `Missing` without people, spreads or voices, or with too few cards.
    pub fn new(plan: SeedPlan, deck: Deck<'a>, now: DateTime<Utc>) -> Result<Self, SeedError> {
        let now = truncated(now);
        let spreads: Vec<&Spread> = deck
            .spreads
            .iter()
            .map(AsRef::as_ref)
            .filter(|spread| spread.is_active && !spread.is_premium)
            .filter(|spread| (1..=deck.cards.len()).contains(&spread.card_count()))
            .collect();
        // The frequency of a spread is inverse to its size, so that all spreads draw as many cards.
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
            readers: ReaderPicker::new(plan.users)?,
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
        let draws: Vec<PlacedCard<'_>> =
            index::sample(rng, self.deck.cards.len(), spread.card_count())
                .into_iter()
                .map(|index| PlacedCard {
                    card: &self.deck.cards[index],
                    orientation: orientations[usize::from(rng.random_bool(0.5))],
                })
                .collect();
        let interpreted = interpret_reading(voice, spread, &draws, karma, locale);
        let reading = ReadingKey { id, created_at, radiation_factor };
        add_drawn_cards(rows, &reading, spread, &draws, interpreted.cards);

        let (theme, category_id) = theme_of(rng, person);
        let mut texts = TextPicker::new(rng, theme, locale, &mut person.recent);
        let history = ReadingHistory::new(rng, created_at, self.now);
        rows.readings.push(reading_sessions::Model {
            id,
            user_id: person.id,
            spread_template_id: spread.id,
            spread_type: spread.spread_type,
            character_voice: voice.key,
            karma_context: karma,
            question: texts.pick_fresh(rng, &texts.theme.questions),
            focus_area: texts.maybe_pick(rng, FOCUS_PERCENT, &texts.theme.focus_areas),
            notes: chance(rng, NOTES_PERCENT).then(|| texts.pick_fresh(rng, &texts.theme.notes)),
            tags: tags_of(rng, texts.theme),
            category_id,
            status: ReadingStatus::Complete,
            radiation_factor,
            interpretation: interpreted.overall,
            summary: interpreted.summary,
            locale,
            mood_before: mood(rng, MOOD_BEFORE_PERCENT),
            mood_after: mood(rng, MOOD_AFTER_PERCENT),
            privacy_level: privacy_level(rng),
            is_favorite: history.is_favorite,
            archived_at: history.archived_at,
            user_satisfaction: history.satisfaction,
            accuracy_rating: history.accuracy,
            helpful_rating: history.helpful,
            user_feedback: history
                .satisfaction
                .and_then(|_| texts.maybe_pick(rng, FEEDBACK_PERCENT, &texts.theme.feedback)),
            version: history.version,
            completed_at: Some(created_at),
            created_at,
            updated_at: history.updated_at,
        });
    }
}

impl Iterator for SeedGenerator<'_> {
    type Item = SeedRows;

    fn next(&mut self) -> Option<SeedRows> {
        let mut rows = SeedRows::default();
        let people = self.people.len();
        for number in people..self.plan.users.min(people + BATCH) {
            let count = self.plan.users;
            self.people.push(add_person(&mut rows, &mut self.rng, number, count, self.now));
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

/// Random choice of the next reading's owner. Each language has half of the readings; within a language the
/// number of readings of a person follows Zipf's law.
struct ReaderPicker {
    languages: Vec<LocaleReaders>,
    day: NaiveDate,
    /// Readings on that day, by the number of the person.
    on_day: Vec<u16>,
}

/// The people of one language.
struct LocaleReaders {
    /// Numbers of the people, the most active first.
    numbers: Vec<usize>,
    weights: WeightedIndex<u64>,
}

impl ReaderPicker {
    fn new(count: usize) -> Result<Self, SeedError> {
        let languages: Vec<_> =
            Locale::ALL.iter().filter_map(|locale| LocaleReaders::new(count, *locale)).collect();
        if languages.is_empty() {
            return Err(SeedError::Missing("people"));
        }
        Ok(Self { languages, day: NaiveDate::MIN, on_day: vec![0; count] })
    }

    /// Number of the next reading's owner. `left` is the number of remaining readings, this one included.
    fn next(&mut self, rng: &mut StdRng, day: NaiveDate, left: usize) -> usize {
        if self.day != day {
            self.day = day;
            self.on_day.fill(0);
        }
        let mut number = DEMO;
        if !DEMO_TURNS.contains(&left) || self.on_day[DEMO] >= READINGS_A_DAY {
            let readers = &self.languages[rng.random_range(0..self.languages.len())];
            for _ in 0..TRIES {
                number = readers.numbers[readers.weights.sample(rng)];
                if self.on_day[number] < READINGS_A_DAY {
                    break;
                }
            }
        }
        self.on_day[number] = self.on_day[number].saturating_add(1);
        number
    }
}

impl LocaleReaders {
    /// `None` without people of that language.
    fn new(count: usize, locale: Locale) -> Option<Self> {
        let mut numbers: Vec<_> =
            (0..count).filter(|number| locale_of(*number) == locale).collect();
        // The order of the file, with the admin as the least active.
        numbers.sort_by_key(|number| *number == OVERSEER);
        let weights = WeightedIndex::new((1..=numbers.len() as u64).map(|rank| WEIGHT / rank));
        Some(Self { weights: weights.ok()?, numbers })
    }
}

/// Random choice of a theme's texts in one language, with the same slot values throughout one reading.
struct TextPicker<'a> {
    theme: &'static ThemeText,
    slots: [(&'static str, &'static str); 3],
    recent: &'a mut VecDeque<&'static str>,
}

impl<'a> TextPicker<'a> {
    fn new(
        rng: &mut StdRng,
        theme: usize,
        locale: Locale,
        recent: &'a mut VecDeque<&'static str>,
    ) -> Self {
        let files = SeedFiles::read();
        let Slots { person, place, thing } = files.slots.get(locale);
        Self {
            theme: files.themes[theme].text(locale),
            slots: [
                ("{person}", pick(rng, person)),
                ("{place}", pick(rng, place)),
                ("{thing}", pick(rng, thing)),
            ],
            recent,
        }
    }

    /// A text that the person has not used recently.
    fn pick_fresh(&mut self, rng: &mut StdRng, templates: &'static [String]) -> String {
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

    fn maybe_pick(
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

/// Changes of a reading after its creation; each write raises the version.
struct ReadingHistory {
    satisfaction: Option<i16>,
    accuracy: Option<i16>,
    helpful: Option<i16>,
    is_favorite: bool,
    archived_at: Option<DateTime<Utc>>,
    version: i32,
    updated_at: DateTime<Utc>,
}

impl ReadingHistory {
    fn new(rng: &mut StdRng, created_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let mut history = Self {
            satisfaction: None,
            accuracy: None,
            helpful: None,
            is_favorite: chance(rng, FAVORITE_PERCENT),
            archived_at: None,
            version: 1,
            updated_at: created_at,
        };
        if chance(rng, RATED_PERCENT) {
            history.rate(rng);
            history.write(rng, now);
        }
        let is_archived = chance(rng, ARCHIVED_PERCENT);
        if history.is_favorite || is_archived {
            history.write(rng, now);
        }
        history.archived_at = is_archived.then_some(history.updated_at);
        history
    }

    fn rate(&mut self, rng: &mut StdRng) {
        let weighed = SATISFACTION.choose_weighted(rng, |(_, percent)| *percent);
        let satisfaction = weighed.map_or(*RATINGS.end(), |(rating, _)| *rating);
        self.satisfaction = Some(satisfaction);
        self.accuracy = rating_near(rng, satisfaction);
        self.helpful = rating_near(rng, satisfaction);
    }

    /// Adds a write at a random time up to `now`, more likely soon after the last one.
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
        Karma::from_score(person.karma_score)
    } else {
        Karma::ALL[rng.random_range(0..Karma::ALL.len())]
    }
}

/// Index of a theme, and the person's category for it if the reading is categorized.
fn theme_of(rng: &mut StdRng, person: &Person) -> (usize, Option<Uuid>) {
    let own = person.categories.choose(rng).filter(|_| chance(rng, OWN_THEME_PERCENT));
    let any = rng.random_range(0..SeedFiles::read().themes.len());
    let theme = own.map_or(any, |category| category.theme);
    let category = person.categories.iter().find(|category| category.theme == theme);
    (theme, category.filter(|_| chance(rng, CATEGORIZED_PERCENT)).map(|category| category.id))
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

/// Values of a reading that its drawn cards share.
struct ReadingKey {
    id: Uuid,
    created_at: DateTime<Utc>,
    radiation_factor: f64,
}

fn add_drawn_cards(
    rows: &mut SeedRows,
    reading: &ReadingKey,
    spread: &Spread,
    draws: &[PlacedCard<'_>],
    interpretations: Vec<String>,
) {
    let in_order = spread.positions.iter().zip(draws).zip(interpretations).zip(1..);
    rows.drawn_cards.extend(in_order.map(|(((position, draw), interpretation), draw_order)| {
        reading_cards::Model {
            reading_id: reading.id,
            position_number: position.number,
            card_id: draw.card.id,
            position_name: LocalizedText(position.texts.map(|_, text| text.name.clone())),
            position_meaning: LocalizedText(position.texts.map(|_, text| text.meaning.clone())),
            orientation: draw.orientation,
            draw_order,
            radiation_influence: to_four_digits(
                draw.card.radiation_level * reading.radiation_factor,
            ),
            interpretation,
            created_at: reading.created_at,
        }
    }));
}

fn to_four_digits(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}
