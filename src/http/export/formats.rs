//! Formats of an export: one JSON document, or CSV (RFC 4180) for spreadsheets.

use bytes::Bytes;
use serde::Serialize;

use crate::db::drawn_cards::DrawnCardRow;
use crate::db::exports::ExportedReading;
use crate::graphql::id::GlobalId;
use crate::graphql::scalars::DateTime;
use crate::services::catalogue::Catalogue;

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `{"readings":[…]}`.
    Json,
    /// A header row and one row for each reading.
    Csv,
}

impl Format {
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

/// Writer of readings into a buffer, which the caller empties from time to time.
pub(super) struct Writer {
    format: Format,
    text: Vec<u8>,
    is_first: bool,
}

/// First character of the file: without it spreadsheets do not read it as UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        let mut writer = Self { format, text: Vec::new(), is_first: true };
        match format {
            Format::Json => writer.raw("{\"readings\":["),
            Format::Csv => {
                writer.raw(BYTE_ORDER_MARK);
                writer.row(&COLUMNS.map(str::to_owned));
            }
        }
        writer
    }

    pub(super) const fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.text).into()
    }

    pub(super) fn write(&mut self, catalogue: &Catalogue, whole: &ExportedReading) {
        let exported = Exported::of(catalogue, whole);
        match self.format {
            Format::Json => {
                self.raw(if self.is_first { "\n" } else { ",\n" });
                // Text and numbers, written to memory: this cannot fail.
                let _ = serde_json::to_writer(&mut self.text, &exported);
            }
            Format::Csv => self.row(&exported.cells()),
        }
        self.is_first = false;
    }

    pub(super) fn end(&mut self) {
        if self.format == Format::Json {
            self.raw("\n]}\n");
        }
    }

    fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    fn row(&mut self, cells: &[String; COLUMNS.len()]) {
        for (number, cell) in cells.iter().enumerate() {
            if number > 0 {
                self.raw(",");
            }
            self.raw(&quoted(cell));
        }
        self.raw("\r\n");
    }
}

/// An exported reading. Names of fields, ids and enum values are those of the API.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported<'a> {
    id: String,
    version: i32,
    created_at: String,
    updated_at: String,
    question: &'a str,
    focus_area: Option<&'a str>,
    spread: Option<&'a str>,
    spread_type: String,
    character_voice: String,
    karma_context: String,
    locale: String,
    radiation_factor: f64,
    privacy_level: String,
    is_favorite: bool,
    archived_at: Option<String>,
    category: Option<&'a str>,
    tags: &'a [String],
    notes: Option<&'a str>,
    mood_before: Option<&'a str>,
    mood_after: Option<&'a str>,
    satisfaction_rating: Option<i16>,
    accuracy_rating: Option<i16>,
    helpful_rating: Option<i16>,
    feedback: Option<&'a str>,
    summary: &'a str,
    interpretation: &'a str,
    cards: Vec<ExportedCard<'a>>,
}

/// A drawn card of an exported reading, with texts in the language of the reading.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedCard<'a> {
    position: i16,
    position_name: &'a str,
    position_meaning: &'a str,
    code: Option<&'a str>,
    name: Option<&'a str>,
    orientation: String,
    interpretation: &'a str,
}

/// Names of the CSV columns, in their order.
const COLUMNS: [&str; 27] = [
    "id",
    "version",
    "createdAt",
    "updatedAt",
    "question",
    "focusArea",
    "spread",
    "spreadType",
    "characterVoice",
    "karmaContext",
    "locale",
    "radiationFactor",
    "privacyLevel",
    "isFavorite",
    "archivedAt",
    "category",
    "tags",
    "notes",
    "moodBefore",
    "moodAfter",
    "satisfactionRating",
    "accuracyRating",
    "helpfulRating",
    "feedback",
    "summary",
    "interpretation",
    "cards",
];

impl<'a> Exported<'a> {
    fn of(
        catalogue: &'a Catalogue,
        ExportedReading { reading, category, cards }: &'a ExportedReading,
    ) -> Self {
        let texts = reading.texts.as_ref();
        let enum_value = |name: &str| name.to_ascii_uppercase();
        Self {
            id: GlobalId::Reading(reading.id).encode().to_string(),
            version: reading.version,
            created_at: DateTime(reading.created_at).to_string(),
            updated_at: DateTime(reading.updated_at).to_string(),
            question: &reading.question,
            focus_area: reading.focus_area.as_deref(),
            spread: catalogue.spread(reading.spread_template_id).map(|spread| spread.name.as_str()),
            spread_type: enum_value(reading.spread_type.as_str()),
            character_voice: enum_value(reading.character_voice.as_str()),
            karma_context: enum_value(reading.karma_context.as_str()),
            locale: enum_value(reading.locale.as_str()),
            radiation_factor: reading.radiation_factor,
            privacy_level: enum_value(reading.privacy_level.as_str()),
            is_favorite: reading.is_favorite,
            archived_at: reading.archived_at.map(|time| DateTime(time).to_string()),
            category: category.as_deref(),
            tags: &reading.tags.0,
            notes: texts.and_then(|texts| texts.notes.as_deref()),
            mood_before: reading.mood_before.as_deref(),
            mood_after: reading.mood_after.as_deref(),
            satisfaction_rating: reading.user_satisfaction,
            accuracy_rating: reading.accuracy_rating,
            helpful_rating: reading.helpful_rating,
            feedback: texts.and_then(|texts| texts.user_feedback.as_deref()),
            summary: reading.summary.as_deref().unwrap_or_default(),
            interpretation: texts.map_or("", |texts| &texts.interpretation),
            cards: cards
                .iter()
                .map(|drawn| ExportedCard::of(catalogue, drawn, reading.locale))
                .collect(),
        }
    }

    /// Cells of the CSV row. Texts of users are defused; numbers and enum values need no defusing.
    fn cells(&self) -> [String; COLUMNS.len()] {
        let text = |text: Option<&str>| defused(text.unwrap_or_default());
        let rating = |rating: Option<i16>| rating.map(|rating| rating.to_string());
        let cards: Vec<String> = self.cards.iter().map(ExportedCard::cell).collect();
        [
            self.id.clone(),
            self.version.to_string(),
            self.created_at.clone(),
            self.updated_at.clone(),
            text(Some(self.question)),
            text(self.focus_area),
            text(self.spread),
            self.spread_type.clone(),
            self.character_voice.clone(),
            self.karma_context.clone(),
            self.locale.clone(),
            self.radiation_factor.to_string(),
            self.privacy_level.clone(),
            self.is_favorite.to_string(),
            self.archived_at.clone().unwrap_or_default(),
            text(self.category),
            text(Some(&self.tags.join(", "))),
            text(self.notes),
            text(self.mood_before),
            text(self.mood_after),
            rating(self.satisfaction_rating).unwrap_or_default(),
            rating(self.accuracy_rating).unwrap_or_default(),
            rating(self.helpful_rating).unwrap_or_default(),
            text(self.feedback),
            text(Some(self.summary)),
            text(Some(self.interpretation)),
            text(Some(&cards.join("; "))),
        ]
    }
}

impl<'a> ExportedCard<'a> {
    fn of(
        catalogue: &'a Catalogue,
        drawn: &'a DrawnCardRow,
        locale: crate::domain::locale::Locale,
    ) -> Self {
        let card = catalogue.card(drawn.card_id);
        let (name, meaning) = (&drawn.position_name, &drawn.position_meaning);
        Self {
            position: drawn.position_number,
            position_name: name.as_ref().map_or("", |name| name.get(locale)),
            position_meaning: meaning.as_ref().map_or("", |meaning| meaning.get(locale)),
            code: card.map(|card| card.code.as_str()),
            name: card.map(|card| card.texts.get(locale).name.as_str()),
            orientation: drawn.orientation.as_str().to_ascii_uppercase(),
            interpretation: drawn.interpretation.as_deref().unwrap_or_default(),
        }
    }

    fn cell(&self) -> String {
        let Self { position_name, orientation, .. } = self;
        format!("{position_name}: {} {orientation}", self.code.unwrap_or_default())
    }
}

/// A text that no spreadsheet executes: one that looks like a formula gets an apostrophe before it.
fn defused(text: &str) -> String {
    // Spreadsheets with Chinese settings accept the full-width forms as well.
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']) {
        return format!("'{text}");
    }
    text.to_owned()
}

/// A cell, quoted where RFC 4180 demands it.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\r', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
