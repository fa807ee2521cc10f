//! How people and their folders are written.

use std::sync::Arc;

use super::super::id::GlobalId;
use super::json::Json;
use super::plan::{Planner, Selected, Write};
use crate::db::categories::CategoryRow;
use crate::db::users::UserRow;
use crate::domain::reading::Karma;

/// What everybody may see. Whether the viewer may see more is asked of the database, by the library's
/// way.
pub(super) fn user_fields<'a>(
    _: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<Arc<UserRow>>> {
    type Field = Write<Arc<UserRow>>;
    Some(match selected.name() {
        "id" => Field::always(|user, _, json| json.id(GlobalId::User(user.id))),
        "username" => Field::always(|user, _, json| json.string(&user.username)),
        "displayName" => {
            Field::always(|user, _, json| json.optional(user.display_name.as_deref(), Json::string))
        }
        "bio" => Field::always(|user, _, json| json.optional(user.bio.as_deref(), Json::string)),
        "faction" => Field::always(|user, _, json| json.word(user.faction.as_str())),
        "karma" => {
            Field::always(|user, _, json| json.word(Karma::from_score(user.karma_score).as_str()))
        }
        "createdAt" => Field::always(|user, _, json| json.time(user.created_at)),
        _ => return None,
    })
}

pub(super) fn category_fields<'a>(
    _: &mut Planner<'a>,
    selected: &Selected<'a>,
) -> Option<Write<Arc<CategoryRow>>> {
    type Field = Write<Arc<CategoryRow>>;
    Some(match selected.name() {
        "id" => Field::always(|row, _, json| json.id(GlobalId::Category(row.id))),
        "name" => Field::always(|row, _, json| json.string(&row.name)),
        "color" => Field::always(|row, _, json| json.string(&row.color)),
        "icon" => Field::always(|row, _, json| json.optional(row.icon.as_deref(), Json::string)),
        "description" => {
            Field::always(|row, _, json| json.optional(row.description.as_deref(), Json::string))
        }
        _ => return None,
    })
}
