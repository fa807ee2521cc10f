//! Fast JSON of pages of readings, readings and their drawn cards.

use std::sync::Arc;

use async_graphql::ContextSelectionSet;
use bytes::Bytes;

use super::card_json::{card_fields, spread_fields, voice_fields};
use super::fast_json::{self, FieldWriter, JsonWriter, Planner, Root, SelectedField, WriteContext};
use super::id::GlobalId;
use super::reading::is_own;
use super::reading_lists::ReadingPage;

use super::user_json::{category_fields, user_fields};
use crate::db::drawn_cards::DrawnCardRow;
use crate::db::query::columns::Columns;
use crate::db::readings::ReadingRow;

/// The JSON of a page of readings; `None` if the library has to resolve it.
pub(super) async fn page_of_readings(
    context: &ContextSelectionSet<'_>,
    page: &ReadingPage,
) -> Option<Bytes> {
    let root = Root { type_name: "ReadingConnection", plan_field: page_fields };
    fast_json::write_page(context, root, page, &page.page.rows).await
}

/// A reading with its cursor.
struct Edge {
    cursor: String,
    reading: Arc<ReadingRow>,
}

fn page_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<ReadingPage>> {
    type Field = FieldWriter<ReadingPage>;
    Some(match selected.name() {
        "edges" => {
            let edge = planner.object("ReadingEdge", selected, edge_fields)?;
            Field::new(move |page, context, json| {
                json.list(&page.page.rows, |json, reading| {
                    let cursor = page.cursor_of(reading);
                    let row = Edge { cursor, reading: Arc::clone(reading) };
                    edge.write(&row, context, json)
                })
            })
        }
        "nodes" => {
            let reading = planner.object("Reading", selected, reading_fields)?;
            Field::new(move |page, context, json| {
                json.list(&page.page.rows, |json, row| reading.write(row, context, json))
            })
        }
        "pageInfo" => {
            let info = planner.object("PageInfo", selected, page_info_fields)?;
            Field::new(move |page, context, json| info.write(page, context, json))
        }
        "totalCount" => Field::infallible(|page, _, json| {
            json.optional(page.page.total, |json, total| json.raw(&total.count.to_string()));
        }),
        "totalCountIsExact" => Field::infallible(|page, _, json| json.bool(page.total_is_exact())),
        "searchNotice" => Field::infallible(|page, _, json| {
            json.optional(page.search_notice, |json, notice| json.unescaped(notice.name()));
        }),
        _ => return None,
    })
}

fn page_info_fields<'a>(
    _: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<ReadingPage>> {
    fn cursor(json: &mut JsonWriter, page: &ReadingPage, row: Option<&Arc<ReadingRow>>) {
        json.optional(row, |json, row| json.unescaped(&page.cursor_of(row)));
    }
    type Field = FieldWriter<ReadingPage>;
    Some(match selected.name() {
        "hasNextPage" => Field::infallible(|page, _, json| json.bool(page.page.has_next)),
        "hasPreviousPage" => Field::infallible(|page, _, json| json.bool(page.page.has_previous)),
        "startCursor" => {
            Field::infallible(|page, _, json| cursor(json, page, page.page.rows.first()))
        }
        "endCursor" => Field::infallible(|page, _, json| cursor(json, page, page.page.rows.last())),
        _ => return None,
    })
}

fn edge_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Edge>> {
    type Field = FieldWriter<Edge>;
    Some(match selected.name() {
        "cursor" => Field::infallible(|edge, _, json| json.unescaped(&edge.cursor)),
        "node" => {
            let reading = planner.object("Reading", selected, reading_fields)?;
            Field::new(move |edge, context, json| reading.write(&edge.reading, context, json))
        }
        _ => return None,
    })
}

fn reading_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<ReadingRow>>> {
    type Field = FieldWriter<Arc<ReadingRow>>;
    Some(match selected.name() {
        "id" => Field::infallible(|row, _, json| json.id(GlobalId::Reading(row.id))),
        "version" => Field::infallible(|row, _, json| json.integer(row.version)),
        "question" => Field::infallible(|row, _, json| json.string(&row.question)),
        "spread" => {
            let spread = planner.object("Spread", selected, spread_fields)?;
            Field::new(move |row, context, json| {
                spread.write(
                    context.request.catalogue.spread(row.spread_template_id)?,
                    context,
                    json,
                )
            })
        }
        "spreadType" => Field::infallible(|row, _, json| json.enum_value(row.spread_type.as_str())),
        "characterVoice" => {
            Field::infallible(|row, _, json| json.enum_value(row.character_voice.as_str()))
        }
        "voice" => {
            let voice = planner.object("Voice", selected, voice_fields)?;
            Field::new(move |row, context, json| {
                voice.write(context.request.catalogue.voice(row.character_voice)?, context, json)
            })
        }
        "karmaContext" => {
            Field::infallible(|row, _, json| json.enum_value(row.karma_context.as_str()))
        }
        "tags" => Field::new(|row, _, json| {
            json.list(&row.tags.0, |json, tag| {
                json.string(tag);
                Some(())
            })
        }),
        "privacyLevel" => {
            Field::infallible(|row, _, json| json.enum_value(row.privacy_level.as_str()))
        }
        "focusArea" => Field::infallible(|row, _, json| {
            json.optional(row.focus_area.as_deref(), JsonWriter::string);
        }),
        "radiationFactor" => Field::infallible(|row, _, json| json.float(row.radiation_factor)),
        "locale" => Field::infallible(|row, _, json| json.enum_value(row.locale.as_str())),
        "interpretation" => Field::new(|row, _, json| {
            json.string(&row.texts.as_ref()?.interpretation);
            Some(())
        }),
        "summary" => Field::new(|row, _, json| {
            json.string(&row.texts.as_ref()?.summary);
            Some(())
        }),
        "createdAt" => Field::infallible(|row, _, json| json.time(row.created_at)),
        "updatedAt" => Field::infallible(|row, _, json| json.time(row.updated_at)),
        "user" => {
            planner.required.users = true;
            let user = planner.object("User", selected, user_fields)?;
            Field::new(move |row, context, json| {
                user.write(context.loaded.users.get(&row.user_id)?, context, json)
            })
        }
        "cards" => cards(planner, selected)?,
        _ => return own_reading_fields(planner, selected),
    })
}

/// Fields of a reading that are null for everyone but the owner.
fn own_reading_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<ReadingRow>>> {
    Some(match selected.name() {
        "category" => {
            planner.required.categories = true;
            let category = planner.object("Category", selected, category_fields)?;
            own_or_null(move |row, context, json| {
                if let Some(row) = row.category_id.and_then(|id| context.loaded.categories.get(&id))
                {
                    return category.write(row, context, json);
                }
                json.null();
                Some(())
            })
        }
        "notes" => own_or_null(|row, _, json| {
            json.optional(row.texts.as_ref()?.notes.as_deref(), JsonWriter::string);
            Some(())
        }),
        "feedback" => own_or_null(|row, _, json| {
            json.optional(row.texts.as_ref()?.user_feedback.as_deref(), JsonWriter::string);
            Some(())
        }),
        "isFavorite" => own(|row, json| json.bool(row.is_favorite)),
        "archivedAt" => own(|row, json| json.optional(row.archived_at, JsonWriter::time)),
        "moodBefore" => {
            own(|row, json| json.optional(row.mood_before.as_deref(), JsonWriter::string))
        }
        "moodAfter" => {
            own(|row, json| json.optional(row.mood_after.as_deref(), JsonWriter::string))
        }
        "satisfactionRating" => {
            own(|row, json| json.optional(row.user_satisfaction, JsonWriter::integer))
        }
        "accuracyRating" => {
            own(|row, json| json.optional(row.accuracy_rating, JsonWriter::integer))
        }
        "helpfulRating" => own(|row, json| json.optional(row.helpful_rating, JsonWriter::integer)),
        _ => return None,
    })
}

/// A field that is null for everyone but the owner.
fn own_or_null(
    write: impl Fn(&ReadingRow, &WriteContext<'_>, &mut JsonWriter) -> Option<()>
    + Send
    + Sync
    + 'static,
) -> FieldWriter<Arc<ReadingRow>> {
    FieldWriter::new(move |row: &Arc<ReadingRow>, context, json| {
        if is_own(context.request, row) {
            return write(row, context, json);
        }
        json.null();
        Some(())
    })
}

fn own(
    write: impl Fn(&ReadingRow, &mut JsonWriter) + Send + Sync + 'static,
) -> FieldWriter<Arc<ReadingRow>> {
    own_or_null(move |row, _, json| {
        write(row, json);
        Some(())
    })
}

fn cards<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<ReadingRow>>> {
    let card = planner.object("DrawnCard", selected, drawn_card_fields)?;
    planner.required.cards = planner.required.cards.max(Some(Columns::WithoutTexts));
    Some(FieldWriter::new(move |row: &Arc<ReadingRow>, context, json| {
        let drawn = context.loaded.cards.get(&row.id);
        json.list(drawn.into_iter().flat_map(|drawn| drawn.iter()), |json, drawn| {
            card.write(drawn, context, json)
        })
    }))
}

fn drawn_card_fields<'a>(
    planner: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<DrawnCardRow>> {
    type Field = FieldWriter<DrawnCardRow>;
    if matches!(selected.name(), "positionName" | "positionMeaning" | "interpretation") {
        planner.required.cards = Some(Columns::WithTexts);
    }
    Some(match selected.name() {
        "id" => Field::infallible(|row, _, json| {
            json.id(GlobalId::DrawnCard(row.reading_id, row.position_number));
        }),
        "position" => Field::infallible(|row, _, json| json.integer(row.position_number)),
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
        "orientation" => {
            Field::infallible(|row, _, json| json.enum_value(row.orientation.as_str()))
        }
        "card" => {
            let card = planner.object("Card", selected, card_fields)?;
            Field::new(move |row, context, json| {
                card.write(context.request.catalogue.card(row.card_id)?, context, json)
            })
        }
        "meaning" => {
            let locale = planner.locale(selected)?;
            Field::new(move |row, context, json| {
                let card = context.request.catalogue.card(row.card_id)?;
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
