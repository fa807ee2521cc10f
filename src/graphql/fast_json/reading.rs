//! How pages of readings, readings and their drawn cards are written.

use std::sync::Arc;

use super::super::id::GlobalId;
use super::super::reading::is_own;
use super::super::reading_lists::ReadingPage;
use super::card::{card_fields, spread_fields, voice_fields};
use super::json::Json;
use super::plan::{Pass, Planner, Selected, Write};
use super::user::{category_fields, user_fields};
use crate::db::drawn_cards::DrawnCardRow;
use crate::db::query::columns::Columns;
use crate::db::readings::ReadingRow;

/// A reading in its list.
pub(super) struct Edge {
    cursor: String,
    reading: Arc<ReadingRow>,
}

pub(super) fn page_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<ReadingPage>> {
    type Field = Write<ReadingPage>;
    Some(match selected.name() {
        "edges" => {
            let edge = planner.object("ReadingEdge", selected, edge_fields)?;
            Field::new(move |page, pass, json| {
                json.list(&page.page.rows, |json, reading| {
                    let cursor = page.cursor_of(reading);
                    let row = Edge { cursor, reading: Arc::clone(reading) };
                    edge.write(&row, pass, json)
                })
            })
        }
        "nodes" => {
            let reading = planner.object("Reading", selected, reading_fields)?;
            Field::new(move |page, pass, json| {
                json.list(&page.page.rows, |json, row| reading.write(row, pass, json))
            })
        }
        "pageInfo" => {
            let info = planner.object("PageInfo", selected, page_info_fields)?;
            Field::new(move |page, pass, json| info.write(page, pass, json))
        }
        "totalCount" => Field::always(|page, _, json| {
            json.optional(page.page.total, |json, total| json.raw(&total.to_string()));
        }),
        _ => return None,
    })
}

fn page_info_fields<'a>(
    _: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<ReadingPage>> {
    fn cursor(json: &mut Json, page: &ReadingPage, row: Option<&Arc<ReadingRow>>) {
        json.optional(row, |json, row| json.plain(&page.cursor_of(row)));
    }
    type Field = Write<ReadingPage>;
    Some(match selected.name() {
        "hasNextPage" => Field::always(|page, _, json| json.bool(page.page.has_next)),
        "hasPreviousPage" => Field::always(|page, _, json| json.bool(page.page.has_previous)),
        "startCursor" => Field::always(|page, _, json| cursor(json, page, page.page.rows.first())),
        "endCursor" => Field::always(|page, _, json| cursor(json, page, page.page.rows.last())),
        _ => return None,
    })
}

fn edge_fields<'a>(planner: &mut Planner<'a>, selected: &Selected<'a>) -> Option<Write<Edge>> {
    type Field = Write<Edge>;
    Some(match selected.name() {
        "cursor" => Field::always(|edge, _, json| json.plain(&edge.cursor)),
        "node" => {
            let reading = planner.object("Reading", selected, reading_fields)?;
            Field::new(move |edge, pass, json| reading.write(&edge.reading, pass, json))
        }
        _ => return None,
    })
}

fn reading_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<Arc<ReadingRow>>> {
    type Field = Write<Arc<ReadingRow>>;
    Some(match selected.name() {
        "id" => Field::always(|row, _, json| json.id(GlobalId::Reading(row.id))),
        "version" => Field::always(|row, _, json| json.integer(row.version)),
        "question" => Field::always(|row, _, json| json.string(&row.question)),
        "spread" => {
            let spread = planner.object("Spread", selected, spread_fields)?;
            Field::new(move |row, pass, json| {
                spread.write(pass.request.catalogue.spread(row.spread_template_id)?, pass, json)
            })
        }
        "spreadType" => Field::always(|row, _, json| json.word(row.spread_type.as_str())),
        "characterVoice" => Field::always(|row, _, json| json.word(row.character_voice.as_str())),
        "voice" => {
            let voice = planner.object("Voice", selected, voice_fields)?;
            Field::new(move |row, pass, json| {
                voice.write(pass.request.catalogue.voice(row.character_voice)?, pass, json)
            })
        }
        "karmaContext" => Field::always(|row, _, json| json.word(row.karma_context.as_str())),
        "tags" => Field::new(|row, _, json| {
            json.list(&row.tags.0, |json, tag| {
                json.string(tag);
                Some(())
            })
        }),
        "privacyLevel" => Field::always(|row, _, json| json.word(row.privacy_level.as_str())),
        "focusArea" => {
            Field::always(|row, _, json| json.optional(row.focus_area.as_deref(), Json::string))
        }
        "radiationFactor" => Field::always(|row, _, json| json.float(row.radiation_factor)),
        "locale" => Field::always(|row, _, json| json.word(row.locale.as_str())),
        "interpretation" => Field::new(|row, _, json| {
            json.string(&row.texts.as_ref()?.interpretation);
            Some(())
        }),
        "summary" => Field::new(|row, _, json| {
            json.string(&row.texts.as_ref()?.summary);
            Some(())
        }),
        "createdAt" => Field::always(|row, _, json| json.time(row.created_at)),
        "updatedAt" => Field::always(|row, _, json| json.time(row.updated_at)),
        "user" => {
            planner.needs.users = true;
            let user = planner.object("User", selected, user_fields)?;
            Field::new(move |row, pass, json| {
                user.write(pass.loaded.users.get(&row.user_id)?, pass, json)
            })
        }
        "cards" => cards(planner, selected)?,
        "category" => {
            planner.needs.categories = true;
            let category = planner.object("Category", selected, category_fields)?;
            own_or_null(move |row, pass, json| {
                if let Some(row) = row.category_id.and_then(|id| pass.loaded.categories.get(&id)) {
                    return category.write(row, pass, json);
                }
                json.null();
                Some(())
            })
        }
        "notes" => own_or_null(|row, _, json| {
            json.optional(row.texts.as_ref()?.notes.as_deref(), Json::string);
            Some(())
        }),
        "feedback" => own_or_null(|row, _, json| {
            json.optional(row.texts.as_ref()?.user_feedback.as_deref(), Json::string);
            Some(())
        }),
        "isFavorite" => own(|row, json| json.bool(row.is_favorite)),
        "archivedAt" => own(|row, json| json.optional(row.archived_at, Json::time)),
        "moodBefore" => own(|row, json| json.optional(row.mood_before.as_deref(), Json::string)),
        "moodAfter" => own(|row, json| json.optional(row.mood_after.as_deref(), Json::string)),
        "satisfactionRating" => {
            own(|row, json| json.optional(row.user_satisfaction, Json::integer))
        }
        "accuracyRating" => own(|row, json| json.optional(row.accuracy_rating, Json::integer)),
        "helpfulRating" => own(|row, json| json.optional(row.helpful_rating, Json::integer)),
        _ => return None,
    })
}

/// A field that is null for everyone but the owner.
fn own_or_null(
    write: impl Fn(&ReadingRow, &Pass<'_>, &mut Json) -> Option<()> + Send + Sync + 'static,
) -> Write<Arc<ReadingRow>> {
    Write::new(move |row: &Arc<ReadingRow>, pass, json| {
        if is_own(pass.request, row) {
            return write(row, pass, json);
        }
        json.null();
        Some(())
    })
}

fn own(write: impl Fn(&ReadingRow, &mut Json) + Send + Sync + 'static) -> Write<Arc<ReadingRow>> {
    own_or_null(move |row, _, json| {
        write(row, json);
        Some(())
    })
}

/// A card in its place in a reading, and in whose voice it speaks.
fn cards<'a>(planner: &mut Planner<'a>, selected: &Selected<'a>) -> Option<Write<Arc<ReadingRow>>> {
    let card = planner.object("DrawnCard", selected, drawn_card_fields)?;
    planner.needs.cards = planner.needs.cards.max(Some(Columns::WithoutTexts));
    Some(Write::new(move |row: &Arc<ReadingRow>, pass, json| {
        let drawn = pass.loaded.cards.get(&row.id);
        json.list(drawn.into_iter().flat_map(|drawn| drawn.iter()), |json, drawn| {
            card.write(drawn, pass, json)
        })
    }))
}

fn drawn_card_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<DrawnCardRow>> {
    type Field = Write<DrawnCardRow>;
    if matches!(selected.name(), "positionName" | "positionMeaning" | "interpretation") {
        planner.needs.cards = Some(Columns::WithTexts);
    }
    Some(match selected.name() {
        "id" => Field::always(|row, _, json| {
            json.id(GlobalId::DrawnCard(row.reading_id, row.position_number));
        }),
        "position" => Field::always(|row, _, json| json.integer(row.position_number)),
        "positionName" => {
            let locale = planner.locale(selected)?;
            Field::new(move |row, _, json| {
                json.string(row.texts.as_ref()?.position_name.get(locale));
                Some(())
            })
        }
        "positionMeaning" => {
            let locale = planner.locale(selected)?;
            Field::new(move |row, _, json| {
                json.string(row.texts.as_ref()?.position_meaning.get(locale));
                Some(())
            })
        }
        "orientation" => Field::always(|row, _, json| json.word(row.orientation.as_str())),
        "card" => {
            let card = planner.object("Card", selected, card_fields)?;
            Field::new(move |row, pass, json| {
                card.write(pass.request.catalogue.card(row.card_id)?, pass, json)
            })
        }
        "meaning" => {
            let locale = planner.locale(selected)?;
            Field::new(move |row, pass, json| {
                let card = pass.request.catalogue.card(row.card_id)?;
                json.string(card.texts.get(locale).meaning(row.orientation));
                Some(())
            })
        }
        "interpretation" => Field::new(|row, _, json| {
            json.string(&row.texts.as_ref()?.interpretation);
            Some(())
        }),
        _ => return None,
    })
}
