//! Tags over all readings of a user: renaming, merging and deleting them.

use std::cmp::Reverse;

use uuid::Uuid;

use super::Services;
use super::accounts::lock_viewer;
use super::error::ServiceError;
use super::input::{Checks, Lines};
use crate::cache::changes::Change;
use crate::config::content::TAG;
use crate::db::Session;
use crate::db::reading_writes::{TagRow, tags_of_user, tags_replace};
use crate::db::users::{UserRow, ViewerLock};
use crate::domain::search::Search;
use crate::domain::user_error::{UserError, UserErrorCode};

/// How tags are ordered. What is equal is ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagOrder {
    /// The one on most readings first, and of those the one used last.
    MostUsed,
    /// By name.
    Name,
    /// The one used last first.
    RecentlyUsed,
}

/// Those of a user's tags whose names hold that text, in that order.
#[must_use]
pub fn list(all: &[TagRow], search: Option<&str>, order: TagOrder) -> Vec<TagRow> {
    let mut tags = all.to_vec();
    if let Some(search) = search {
        let search = Search::new(search);
        tags.retain(|tag| search.is_in([tag.name.as_str()]));
    }
    match order {
        TagOrder::MostUsed => tags.sort_by(|one, other| {
            let key = |tag: &TagRow| Reverse((tag.readings, tag.last_used_at));
            key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
        }),
        TagOrder::Name => tags.sort_by(|one, other| one.name.cmp(&other.name)),
        TagOrder::RecentlyUsed => tags.sort_by(|one, other| {
            let key = |tag: &TagRow| Reverse(tag.last_used_at);
            key(one).cmp(&key(other)).then_with(|| one.name.cmp(&other.name))
        }),
    }
    tags
}

/// What became of a change of tags.
pub struct Replaced {
    /// The tag that is there now, if there is to be one.
    pub tag: Option<TagRow>,
    /// The tags that are there no more.
    pub deleted: Vec<String>,
    /// How many readings were changed.
    pub readings: u64,
    /// Whose they are.
    pub viewer: UserRow,
}

/// The tags that are to be there no more.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// The field of the input that has them.
    pub field: &'a str,
    /// Them.
    pub tags: &'a [String],
    /// Whether the field is a list.
    pub is_list: bool,
}

/// Puts one tag in the place of others in all readings of the viewer's.
///
/// # Errors
///
/// A tag is refused or on none of the readings, or a statement fails.
pub async fn replace(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    From { field: from_field, tags: from, is_list }: From<'_>,
    to: Option<&str>,
) -> Result<Replaced, ServiceError> {
    let mut checks = Checks::default();
    let to = to.map(|to| checks.text("to", to, &TAG, Lines::One));
    let from: Vec<String> = if is_list {
        let tag = |(index, tag): (usize, &String)| {
            checks.text_at(&[from_field, &index.to_string()], tag, &TAG, Lines::One)
        };
        from.iter().enumerate().map(tag).collect()
    } else {
        from.iter().map(|tag| checks.text(from_field, tag, &TAG, Lines::One)).collect()
    };
    if from.is_empty() {
        let message = format!("{from_field} is missing");
        checks.refuse(UserError::new(from_field, UserErrorCode::Required, message));
    }
    checks.finish()?;
    // A tag that is to stay is not replaced by itself.
    let mut gone: Vec<String> =
        from.iter().filter(|tag| Some(*tag) != to.as_ref()).cloned().collect();
    gone.sort();
    gone.dedup();
    let now = services.clock.now();
    let replaced = services.write(session, |transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        let before = tags_of_user(&transaction, viewer).await?;
        let is_known = |tag: &String| before.iter().any(|row| row.name == *tag);
        let mut checks = Checks::default();
        for (index, tag) in from.iter().enumerate().filter(|(_, tag)| !is_known(tag)) {
            let message = format!("none of your readings has the tag {tag:?}");
            let mut error = UserError::new(from_field, UserErrorCode::NotFound, message);
            if is_list {
                error.field.push(index.to_string());
            }
            checks.refuse(error);
        }
        checks.finish()?;
        let readings = if gone.is_empty() {
            0
        } else {
            transaction.changes(Change::ReadingsChanged { owner: viewer });
            tags_replace(&transaction, viewer, &gone, to.as_deref(), now).await?
        };
        let after = tags_of_user(&transaction, viewer).await?;
        let tag = after.into_iter().find(|row| Some(&row.name) == to.as_ref());
        Ok(Replaced { tag, deleted: gone, readings, viewer: user })
    });
    replaced.await
}
