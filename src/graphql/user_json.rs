//! Fast JSON of users and their categories.

use std::sync::Arc;

use super::fast_json::{FieldWriter, JsonWriter, Planner, SelectedField};
use super::id::GlobalId;

use crate::db::categories::CategoryRow;
use crate::db::users::UserRow;
use crate::domain::reading::Karma;

/// The public fields of a user. The others are resolved by the library: their visibility depends on a
/// statement.
pub(super) fn user_fields<'a>(
    _: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<UserRow>>> {
    type Field = FieldWriter<Arc<UserRow>>;
    Some(match selected.name() {
        "id" => Field::infallible(|user, _, json| json.id(GlobalId::User(user.id))),
        "username" => Field::infallible(|user, _, json| json.string(&user.username)),
        "displayName" => Field::infallible(|user, _, json| {
            json.optional(user.display_name.as_deref(), JsonWriter::string);
        }),
        "bio" => Field::infallible(|user, _, json| {
            json.optional(user.bio.as_deref(), JsonWriter::string);
        }),
        "faction" => Field::infallible(|user, _, json| json.enum_value(user.faction.as_str())),
        "karma" => Field::infallible(|user, _, json| {
            json.enum_value(Karma::from_score(user.karma_score).as_str());
        }),
        "createdAt" => Field::infallible(|user, _, json| json.time(user.created_at)),
        _ => return None,
    })
}

pub(super) fn category_fields<'a>(
    _: &mut Planner<'a>,
    selected: &SelectedField<'a>,
) -> Option<FieldWriter<Arc<CategoryRow>>> {
    type Field = FieldWriter<Arc<CategoryRow>>;
    Some(match selected.name() {
        "id" => Field::infallible(|row, _, json| json.id(GlobalId::Category(row.id))),
        "name" => Field::infallible(|row, _, json| json.string(&row.name)),
        "color" => Field::infallible(|row, _, json| json.string(&row.color)),
        "icon" => {
            Field::infallible(|row, _, json| json.optional(row.icon.as_deref(), JsonWriter::string))
        }
        "description" => Field::infallible(|row, _, json| {
            json.optional(row.description.as_deref(), JsonWriter::string);
        }),
        _ => return None,
    })
}
