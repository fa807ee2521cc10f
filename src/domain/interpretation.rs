//! Interpretations of single cards and of whole readings. Deterministic: the same cards, voice, karma
//! and language always give the same text.

use super::card::{Card, Orientation};
use super::locale::Locale;
use super::reading::Karma;
use super::spread::{PositionText, Spread};
use super::voice::Voice;

/// A drawn card in a position of a spread.
#[derive(Debug, Clone, Copy)]
pub struct PlacedCard<'a> {
    /// Card of the deck.
    pub card: &'a Card,
    /// Upright or reversed.
    pub orientation: Orientation,
}

/// Texts of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpretation {
    /// Interpretations of the drawn cards, in their order.
    pub cards: Vec<String>,
    /// Interpretation of the whole reading.
    pub overall: String,
    /// Summary in one line.
    pub summary: String,
}

/// Interpretation of a single upright card by a voice.
#[must_use]
pub fn interpret_card(voice: &Voice, card: &Card, locale: Locale) -> String {
    let (templates, text) = (&voice.texts.get(locale).templates, card.texts.get(locale));
    let variant = variant_of(card);
    let keyword =
        text.keywords.get(variant % text.keywords.len().max(1)).map_or("", String::as_str);
    let slots = [("{card}", text.name.as_str()), ("{keyword}", keyword)];
    join(
        locale,
        &[
            fill(templates.card_opening.of(card.suit), &slots),
            text.upright.clone(),
            fill(&templates.card_closing[variant % templates.card_closing.len()], &slots),
        ],
    )
}

/// Interpretation of a reading. `draws` are in the order of the spread's positions.
#[must_use]
pub fn interpret_reading(
    voice: &Voice,
    spread: &Spread,
    draws: &[PlacedCard<'_>],
    karma: Karma,
    locale: Locale,
) -> Interpretation {
    let templates = &voice.texts.get(locale).templates;
    let cards: Vec<String> = draws
        .iter()
        .zip(&spread.positions)
        .map(|(draw, position)| interpret_draw(voice, *draw, position.texts.get(locale), locale))
        .collect();

    let count = draws.len().to_string();
    let spread_name = spread.texts.get(locale).display_name.as_str();
    // The conclusion uses the last position, which is the outcome in every spread.
    let last = draws.last().map(|draw| draw.card.texts.get(locale));
    let name = last.map_or("", |text| text.name.as_str());
    let keyword = last.and_then(|text| text.keywords.first()).map_or("", String::as_str);
    let slots =
        [("{spread}", spread_name), ("{count}", &count), ("{card}", name), ("{keyword}", keyword)];

    let karma = match karma {
        Karma::Good => &templates.karma_good,
        Karma::Neutral => &templates.karma_neutral,
        Karma::Evil => &templates.karma_evil,
    };
    let overall = join(
        locale,
        &[
            fill(&templates.reading_opening, &slots),
            karma.clone(),
            fill(&templates.reading_closing, &slots),
        ],
    );
    Interpretation { cards, overall, summary: fill(&templates.summary, &slots) }
}

fn interpret_draw(
    voice: &Voice,
    draw: PlacedCard<'_>,
    position: &PositionText,
    locale: Locale,
) -> String {
    let (templates, text) = (&voice.texts.get(locale).templates, draw.card.texts.get(locale));
    let variants = match draw.orientation {
        Orientation::Upright => &templates.drawn_upright,
        Orientation::Reversed => &templates.drawn_reversed,
    };
    let slots = [
        ("{position}", position.name.as_str()),
        ("{card}", text.name.as_str()),
        ("{meaning}", text.meaning(draw.orientation)),
    ];
    fill(&variants[variant_of(draw.card) % variants.len()], &slots)
}

/// Index of the template of a card: neighbouring cards get different sentences.
fn variant_of(card: &Card) -> usize {
    usize::try_from(card.number).unwrap_or(0)
}

fn fill(template: &str, slots: &[(&str, &str)]) -> String {
    let mut text = template.to_owned();
    for (slot, value) in slots {
        text = text.replace(slot, value);
    }
    text
}

fn join(locale: Locale, sentences: &[String]) -> String {
    match locale {
        Locale::En => sentences.join(" "),
        Locale::ZhHant => sentences.concat(),
    }
}
