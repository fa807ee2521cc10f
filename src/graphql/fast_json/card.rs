//! How cards, spreads and voices are written: reference data, which is in memory.

use std::sync::Arc;

use super::super::enums::VoiceKey;
use super::super::id::GlobalId;
use super::json::Json;
use super::plan::{Planner, Selected, Write};
use crate::domain::card::Card;
use crate::domain::spread::{Position, Spread};
use crate::domain::voice::Voice;

pub(super) fn card_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<Arc<Card>>> {
    type Field = Write<Arc<Card>>;
    Some(match selected.name() {
        "id" => Field::always(|card, _, json| json.id(GlobalId::Card(card.id))),
        "code" => Field::always(|card, _, json| json.string(&card.code)),
        "name" => {
            let locale = planner.locale(selected)?;
            Field::always(move |card, _, json| json.string(&card.texts.get(locale).name))
        }
        "cardType" => Field::always(|card, _, json| json.word(card.suit.card_type().as_str())),
        "suit" => Field::always(|card, _, json| json.word(card.suit.as_str())),
        "number" => Field::always(|card, _, json| json.integer(card.number)),
        "rank" => {
            let locale = planner.locale(selected)?;
            Field::always(move |card, _, json| json.string(card.rank(locale)))
        }
        "isCourt" => Field::always(|card, _, json| json.bool(card.is_court())),
        "standardName" => Field::always(|card, _, json| json.string(&card.standard_name)),
        "standardSuit" => Field::always(|card, _, json| json.string(&card.standard_suit)),
        "uprightMeaning" => {
            let locale = planner.locale(selected)?;
            Field::always(move |card, _, json| json.string(&card.texts.get(locale).upright))
        }
        "reversedMeaning" => {
            let locale = planner.locale(selected)?;
            Field::always(move |card, _, json| json.string(&card.texts.get(locale).reversed))
        }
        "keywords" => {
            let locale = planner.locale(selected)?;
            Field::new(move |card, _, json| {
                json.list(&card.texts.get(locale).keywords, |json, keyword| {
                    json.string(keyword);
                    Some(())
                })
            })
        }
        "radiationLevel" => Field::always(|card, _, json| json.float(card.radiation_level)),
        "threatLevel" => Field::always(|card, _, json| json.integer(card.threat_level)),
        "vaultNumber" => {
            Field::always(|card, _, json| json.optional(card.vault_number, Json::integer))
        }
        "imageUrl" => {
            Field::always(|card, _, json| json.optional(card.image_url.as_deref(), Json::string))
        }
        "interpretation" => {
            let voice: VoiceKey = planner.argument(selected, "voice")?;
            let locale = planner.locale(selected)?;
            Field::new(move |card, pass, json| {
                let catalogue = &pass.request.catalogue;
                json.string(catalogue.interpretation(card.id, voice.into(), locale)?);
                Some(())
            })
        }
        _ => return None,
    })
}

pub(super) fn spread_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<Arc<Spread>>> {
    type Field = Write<Arc<Spread>>;
    Some(match selected.name() {
        "id" => Field::always(|spread, _, json| json.id(GlobalId::Spread(spread.id))),
        "name" => Field::always(|spread, _, json| json.string(&spread.name)),
        "displayName" => {
            let locale = planner.locale(selected)?;
            Field::always(move |spread, _, json| {
                json.string(&spread.texts.get(locale).display_name);
            })
        }
        "description" => {
            let locale = planner.locale(selected)?;
            Field::always(move |spread, _, json| json.string(&spread.texts.get(locale).description))
        }
        "spreadType" => Field::always(|spread, _, json| json.word(spread.spread_type.as_str())),
        "cardCount" => Field::always(|spread, _, json| json.raw(&spread.card_count().to_string())),
        "difficulty" => Field::always(|spread, _, json| json.word(spread.difficulty.as_str())),
        "faction" => Field::always(|spread, _, json| {
            json.optional(spread.faction, |json, faction| json.word(faction.as_str()));
        }),
        "estimatedMinutes" => {
            Field::always(|spread, _, json| json.raw(&spread.estimated_minutes().to_string()))
        }
        "positions" => {
            let position = planner.object("SpreadPosition", selected, position_fields)?;
            Field::new(move |spread, pass, json| {
                json.list(0..spread.positions.len(), |json, index| {
                    position.write(&PositionOf(Arc::clone(spread), index), pass, json)
                })
            })
        }
        "isActive" => Field::always(|spread, _, json| json.bool(spread.is_active)),
        "isPremium" => Field::always(|spread, _, json| json.bool(spread.is_premium)),
        _ => return None,
    })
}

/// A place of a spread.
struct PositionOf(Arc<Spread>, usize);

impl PositionOf {
    fn position(&self) -> &Position {
        &self.0.positions[self.1]
    }
}

fn position_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<PositionOf>> {
    type Field = Write<PositionOf>;
    Some(match selected.name() {
        "id" => Field::always(|place, _, json| {
            json.id(GlobalId::SpreadPosition(place.0.id, place.position().number));
        }),
        "number" => Field::always(|place, _, json| json.integer(place.position().number)),
        "name" => {
            let locale = planner.locale(selected)?;
            Field::always(move |place, _, json| {
                json.string(&place.position().texts.get(locale).name);
            })
        }
        "meaning" => {
            let locale = planner.locale(selected)?;
            Field::always(move |place, _, json| {
                json.string(&place.position().texts.get(locale).meaning);
            })
        }
        "x" => Field::always(|place, _, json| json.optional(place.position().x, Json::float)),
        "y" => Field::always(|place, _, json| json.optional(place.position().y, Json::float)),
        "rotation" => {
            Field::always(|place, _, json| json.optional(place.position().rotation, Json::float))
        }
        _ => return None,
    })
}

pub(super) fn voice_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<Arc<Voice>>> {
    type Field = Write<Arc<Voice>>;
    Some(match selected.name() {
        "id" => Field::always(|voice, _, json| json.id(GlobalId::Voice(voice.key))),
        "key" => Field::always(|voice, _, json| json.word(voice.key.as_str())),
        "displayName" => {
            let locale = planner.locale(selected)?;
            Field::always(move |voice, _, json| json.string(&voice.texts.get(locale).display_name))
        }
        "tone" => Field::always(|voice, _, json| json.string(&voice.tone)),
        "vocabularyStyle" => Field::always(|voice, _, json| json.string(&voice.vocabulary_style)),
        "faction" => Field::always(|voice, _, json| {
            json.optional(voice.faction, |json, faction| json.word(faction.as_str()));
        }),
        _ => return None,
    })
}
