//! The reference data in memory. It is small and only admins change it, so requests read it without a
//! statement. Maintenance reloads it after a change on another server.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::reference::reference_changed_at;
use crate::db::{DbError, Session, cards, factions, spreads, voices};
use crate::domain::card::{Card, CardText, CardType, Suit};
use crate::domain::faction::{Faction, FactionKey};
use crate::domain::locale::{Locale, Localized};
use crate::domain::spread::{Position, PositionText, Spread, SpreadText};
use crate::domain::voice::{Voice, VoiceKey, VoiceText};

/// Cards, spreads, voices and factions.
#[derive(Debug)]
pub struct Catalogue {
    cards: Vec<Arc<Card>>,
    card_by_id: HashMap<Uuid, Arc<Card>>,
    card_by_code: HashMap<String, Arc<Card>>,
    interpretations: HashMap<(Uuid, VoiceKey), Localized<String>>,
    spreads: Vec<Arc<Spread>>,
    spread_by_id: HashMap<Uuid, Arc<Spread>>,
    voices: Vec<Arc<Voice>>,
    factions: Vec<Arc<Faction>>,
    changed_at: Option<DateTime<Utc>>,
}

impl Catalogue {
    /// Loads all reference data from the database.
    ///
    /// # Errors
    ///
    /// `MissingReferenceData` if an English text is missing.
    pub async fn load(session: &Session) -> Result<Self, DbError> {
        // Read first: a change during the rest of the load then causes another reload.
        let changed_at = reference_changed_at(session).await?;
        let cards = load_cards(session).await?;
        let spreads = load_spreads(session).await?;
        Ok(Self {
            changed_at,
            card_by_id: cards.iter().map(|card| (card.id, Arc::clone(card))).collect(),
            card_by_code: cards.iter().map(|card| (card.code.clone(), Arc::clone(card))).collect(),
            cards,
            interpretations: load_interpretations(session).await?,
            spread_by_id: spreads.iter().map(|spread| (spread.id, Arc::clone(spread))).collect(),
            spreads,
            voices: load_voices(session).await?,
            factions: load_factions(session).await?,
        })
    }

    /// Time of the last change of a card or a spread that is loaded.
    #[must_use]
    pub fn changed_at(&self) -> Option<DateTime<Utc>> {
        self.changed_at
    }

    /// All cards in deck order: by suit, then number.
    #[must_use]
    pub fn cards(&self) -> &[Arc<Card>] {
        &self.cards
    }

    /// Cards of a type in deck order; all cards for `None`.
    pub fn cards_of_type(&self, card_type: Option<CardType>) -> impl Iterator<Item = Arc<Card>> {
        let is_of_type = move |card: &&Arc<Card>| {
            card_type.is_none_or(|card_type| card.suit.card_type() == card_type)
        };
        self.cards.iter().filter(is_of_type).cloned()
    }

    /// The card of that id.
    #[must_use]
    pub fn card(&self, id: Uuid) -> Option<&Arc<Card>> {
        self.card_by_id.get(&id)
    }

    /// The card of that code.
    #[must_use]
    pub fn card_by_code(&self, code: &str) -> Option<&Arc<Card>> {
        self.card_by_code.get(code)
    }

    /// Number of cards of a suit.
    #[must_use]
    pub fn card_count(&self, suit: Suit) -> usize {
        self.cards.iter().filter(|card| card.suit == suit).count()
    }

    /// Interpretation of a card by a voice.
    #[must_use]
    pub fn interpretation(&self, card: Uuid, voice: VoiceKey, locale: Locale) -> Option<&str> {
        self.interpretations.get(&(card, voice)).map(|text| text.get(locale).as_str())
    }

    /// All spreads, inactive ones included, by name.
    #[must_use]
    pub fn spreads(&self) -> &[Arc<Spread>] {
        &self.spreads
    }

    /// Spreads that are available for new readings, by name.
    pub fn active_spreads(&self) -> impl Iterator<Item = Arc<Spread>> {
        self.spreads.iter().filter(|spread| spread.is_active).cloned()
    }

    /// The spread of that id, inactive or not.
    #[must_use]
    pub fn spread(&self, id: Uuid) -> Option<&Arc<Spread>> {
        self.spread_by_id.get(&id)
    }

    /// All voices in their order.
    #[must_use]
    pub fn voices(&self) -> &[Arc<Voice>] {
        &self.voices
    }

    /// The voice of that key.
    #[must_use]
    pub fn voice(&self, key: VoiceKey) -> Option<&Arc<Voice>> {
        self.voices.iter().find(|voice| voice.key == key)
    }

    /// All factions in their order.
    #[must_use]
    pub fn factions(&self) -> &[Arc<Faction>] {
        &self.factions
    }

    /// The faction of that key.
    #[must_use]
    pub fn faction(&self, key: FactionKey) -> Option<&Arc<Faction>> {
        self.factions.iter().find(|faction| faction.key == key)
    }
}

/// Texts in all languages by the key of their owner.
struct TextsByKey<K, T>(HashMap<K, Vec<(Locale, T)>>);

impl<K: std::hash::Hash + Eq + std::fmt::Debug, T> TextsByKey<K, T> {
    fn new(texts: impl IntoIterator<Item = (K, Locale, T)>) -> Self {
        let mut all: HashMap<K, Vec<(Locale, T)>> = HashMap::new();
        for (key, locale, text) in texts {
            all.entry(key).or_default().push((locale, text));
        }
        Self(all)
    }

    fn take(&mut self, key: &K) -> Result<Localized<T>, DbError> {
        self.0.remove(key).and_then(Localized::gather).ok_or_else(|| {
            DbError::MissingReferenceData { what: format!("the English text of {key:?}") }
        })
    }
}

async fn load_cards(session: &Session) -> Result<Vec<Arc<Card>>, DbError> {
    let mut texts = TextsByKey::new(cards::card_texts_all(session).await?.into_iter().map(|row| {
        let text = CardText {
            name: row.name,
            upright: row.upright_meaning,
            reversed: row.reversed_meaning,
            keywords: row.keywords.0,
        };
        (row.card_id, row.locale, text)
    }));
    let mut all = cards::cards_all(session)
        .await?
        .into_iter()
        .map(|row| {
            Ok(Arc::new(Card {
                texts: texts.take(&row.id)?,
                id: row.id,
                code: row.code,
                suit: row.suit,
                number: row.number,
                standard_name: row.standard_name,
                standard_suit: row.standard_suit,
                radiation_level: row.radiation_level,
                threat_level: row.threat_level,
                vault_number: row.vault_number,
                image_url: row.image_url,
            }))
        })
        .collect::<Result<Vec<_>, DbError>>()?;
    // The database orders suits alphabetically; the deck has an order of its own.
    all.sort_by_key(|card| (card.suit, card.number));
    Ok(all)
}

async fn load_interpretations(
    session: &Session,
) -> Result<HashMap<(Uuid, VoiceKey), Localized<String>>, DbError> {
    let rows = cards::card_interpretations_all(session).await?;
    let keys: Vec<_> = rows.iter().map(|row| (row.card_id, row.voice)).collect();
    let mut texts = TextsByKey::new(
        rows.into_iter().map(|row| ((row.card_id, row.voice), row.locale, row.text)),
    );
    let mut all = HashMap::with_capacity(keys.len());
    for key in keys {
        if let std::collections::hash_map::Entry::Vacant(vacant) = all.entry(key) {
            vacant.insert(texts.take(&key)?);
        }
    }
    Ok(all)
}

async fn load_spreads(session: &Session) -> Result<Vec<Arc<Spread>>, DbError> {
    let mut texts =
        TextsByKey::new(spreads::spread_texts_all(session).await?.into_iter().map(|row| {
            let text = SpreadText {
                display_name: row.display_name,
                description: row.description,
                interpretation_guide: row.interpretation_guide,
            };
            (row.spread_id, row.locale, text)
        }));
    let mut position_texts =
        TextsByKey::new(spreads::position_texts_all(session).await?.into_iter().map(|row| {
            let text = PositionText { name: row.name, meaning: row.meaning };
            ((row.spread_id, row.number), row.locale, text)
        }));
    let mut positions: HashMap<Uuid, Vec<Position>> = HashMap::new();
    for row in spreads::positions_all(session).await? {
        let position = Position {
            number: row.number,
            x: row.x,
            y: row.y,
            rotation: row.rotation,
            texts: position_texts.take(&(row.spread_id, row.number))?,
        };
        positions.entry(row.spread_id).or_default().push(position);
    }
    let mut all = spreads::spreads_all(session)
        .await?
        .into_iter()
        .map(|row| {
            Ok(Arc::new(Spread {
                texts: texts.take(&row.id)?,
                positions: positions.remove(&row.id).unwrap_or_default(),
                id: row.id,
                name: row.name,
                spread_type: row.spread_type,
                difficulty: row.difficulty_level,
                faction: row.faction_preference,
                radiation_sensitivity: row.radiation_sensitivity,
                vault_origin: row.vault_origin,
                is_active: row.is_active,
                is_premium: row.is_premium,
                created_at: row.created_at,
            }))
        })
        .collect::<Result<Vec<_>, DbError>>()?;
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

async fn load_voices(session: &Session) -> Result<Vec<Arc<Voice>>, DbError> {
    let mut texts =
        TextsByKey::new(voices::voice_texts_all(session).await?.into_iter().map(|row| {
            let text = VoiceText { display_name: row.display_name, templates: row.templates.0 };
            (row.voice, row.locale, text)
        }));
    let rows = voices::voices_all(session).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Arc::new(Voice {
                texts: texts.take(&row.key)?,
                key: row.key,
                tone: row.tone,
                vocabulary_style: row.vocabulary_style,
                faction: row.faction,
            }))
        })
        .collect()
}

async fn load_factions(session: &Session) -> Result<Vec<Arc<Faction>>, DbError> {
    let mut names = TextsByKey::new(
        factions::faction_texts_all(session)
            .await?
            .into_iter()
            .map(|row| (row.faction, row.locale, row.name)),
    );
    let mut voices: HashMap<FactionKey, Vec<VoiceKey>> = HashMap::new();
    for row in factions::faction_voices_all(session).await? {
        voices.entry(row.faction).or_default().push(row.voice);
    }
    let rows = factions::factions_all(session).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Arc::new(Faction {
                names: names.take(&row.key)?,
                voices: voices.remove(&row.key).unwrap_or_default(),
                key: row.key,
                alignment: row.alignment,
            }))
        })
        .collect()
}
