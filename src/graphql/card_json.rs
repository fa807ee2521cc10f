//! Fast JSON of cards, spreads and voices: reference data, which is in memory.

use std::sync::Arc;

use super::enums::VoiceKey;
use super::fast_json::{FieldWriter, JsonWriter, Planner, SelectedField};
use super::id::GlobalId;

use crate::domain::card::Card;
use crate::domain::spread::{Position, Spread};
use crate::domain::voice::Voice;

pub(super) fn card_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<Card>>> {
    type Field = FieldWriter<Arc<Card>>;
    Some(match selected.name() {
        "id" => Field::infallible(|card, _, json| json.id(GlobalId::Card(card.id))),
        "code" => Field::infallible(|card, _, json| json.string(&card.code)),
        "name" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |card, _, json| json.string(&card.texts.get(locale).name))
        }
        "cardType" => {
            Field::infallible(|card, _, json| json.enum_value(card.suit.card_type().as_str()))
        }
        "suit" => Field::infallible(|card, _, json| json.enum_value(card.suit.as_str())),
        "number" => Field::infallible(|card, _, json| json.integer(card.number)),
        "rank" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |card, _, json| json.string(card.rank(locale)))
        }
        "isCourt" => Field::infallible(|card, _, json| json.bool(card.is_court())),
        "standardName" => Field::infallible(|card, _, json| json.string(&card.standard_name)),
        "standardSuit" => Field::infallible(|card, _, json| json.string(&card.standard_suit)),
        "uprightMeaning" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |card, _, json| json.string(&card.texts.get(locale).upright))
        }
        "reversedMeaning" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |card, _, json| json.string(&card.texts.get(locale).reversed))
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
        "radiationLevel" => Field::infallible(|card, _, json| json.float(card.radiation_level)),
        "threatLevel" => Field::infallible(|card, _, json| json.integer(card.threat_level)),
        "vaultNumber" => {
            Field::infallible(|card, _, json| json.optional(card.vault_number, JsonWriter::integer))
        }
        "imageUrl" => Field::infallible(|card, _, json| {
            json.optional(card.image_url.as_deref(), JsonWriter::string);
        }),
        "interpretation" => {
            let voice: VoiceKey = planner.argument(selected, "voice")?;
            let locale = planner.locale(selected)?;
            Field::new(move |card, context, json| {
                let catalogue = &context.request.catalogue;
                json.string(catalogue.interpretation(card.id, voice.into(), locale)?);
                Some(())
            })
        }
        _ => return None,
    })
}

pub(super) fn spread_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<Spread>>> {
    type Field = FieldWriter<Arc<Spread>>;
    Some(match selected.name() {
        "id" => Field::infallible(|spread, _, json| json.id(GlobalId::Spread(spread.id))),
        "name" => Field::infallible(|spread, _, json| json.string(&spread.name)),
        "displayName" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |spread, _, json| {
                json.string(&spread.texts.get(locale).display_name);
            })
        }
        "description" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |spread, _, json| {
                json.string(&spread.texts.get(locale).description);
            })
        }
        "spreadType" => {
            Field::infallible(|spread, _, json| json.enum_value(spread.spread_type.as_str()))
        }
        "cardCount" => {
            Field::infallible(|spread, _, json| json.raw(&spread.card_count().to_string()))
        }
        "difficulty" => {
            Field::infallible(|spread, _, json| json.enum_value(spread.difficulty.as_str()))
        }
        "faction" => Field::infallible(|spread, _, json| {
            json.optional(spread.faction, |json, faction| json.enum_value(faction.as_str()));
        }),
        "estimatedMinutes" => {
            Field::infallible(|spread, _, json| json.raw(&spread.estimated_minutes().to_string()))
        }
        "positions" => {
            let position = planner.object("SpreadPosition", selected, position_fields)?;
            Field::new(move |spread, context, json| {
                json.list(0..spread.positions.len(), |json, index| {
                    position.write(&PositionOf(Arc::clone(spread), index), context, json)
                })
            })
        }
        "isActive" => Field::infallible(|spread, _, json| json.bool(spread.is_active)),
        "isPremium" => Field::infallible(|spread, _, json| json.bool(spread.is_premium)),
        _ => return None,
    })
}

/// A position of a spread, by its index.
struct PositionOf(Arc<Spread>, usize);

impl PositionOf {
    fn position(&self) -> &Position {
        &self.0.positions[self.1]
    }
}

fn position_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<PositionOf>> {
    type Field = FieldWriter<PositionOf>;
    Some(match selected.name() {
        "id" => Field::infallible(|place, _, json| {
            json.id(GlobalId::SpreadPosition(place.0.id, place.position().number));
        }),
        "number" => Field::infallible(|place, _, json| json.integer(place.position().number)),
        "name" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |place, _, json| {
                json.string(&place.position().texts.get(locale).name);
            })
        }
        "meaning" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |place, _, json| {
                json.string(&place.position().texts.get(locale).meaning);
            })
        }
        "x" => {
            Field::infallible(|place, _, json| json.optional(place.position().x, JsonWriter::float))
        }
        "y" => {
            Field::infallible(|place, _, json| json.optional(place.position().y, JsonWriter::float))
        }
        "rotation" => Field::infallible(|place, _, json| {
            json.optional(place.position().rotation, JsonWriter::float);
        }),
        _ => return None,
    })
}

pub(super) fn voice_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<Voice>>> {
    type Field = FieldWriter<Arc<Voice>>;
    Some(match selected.name() {
        "id" => Field::infallible(|voice, _, json| json.id(GlobalId::Voice(voice.key))),
        "key" => Field::infallible(|voice, _, json| json.enum_value(voice.key.as_str())),
        "displayName" => {
            let locale = planner.locale(selected)?;
            Field::infallible(move |voice, _, json| {
                json.string(&voice.texts.get(locale).display_name);
            })
        }
        "tone" => Field::infallible(|voice, _, json| json.string(&voice.tone)),
        "vocabularyStyle" => {
            Field::infallible(|voice, _, json| json.string(&voice.vocabulary_style))
        }
        "faction" => Field::infallible(|voice, _, json| {
            json.optional(voice.faction, |json, faction| json.enum_value(faction.as_str()));
        }),
        _ => return None,
    })
}
