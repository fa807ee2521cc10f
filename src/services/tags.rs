//! Tags of all readings of a user: listing, renaming, merging and deleting them.

use std::cmp::Reverse;

use uuid::Uuid;

use super::Services;
use super::accounts::lock_viewer;
use super::error::ServiceError;
use super::validation::{Lines, Validator};
use crate::cache::invalidation::InvalidationEvent;
use crate::config::content::TAG;
use crate::config::limits::QUOTED_CHARACTERS;
use crate::db::Session;
use crate::db::reading_writes::{TagRow, tags_of_user, tags_replace};
use crate::db::users::{UserRow, ViewerLock};
use crate::domain::search::Search;
use crate::domain::truncated::truncated;
use crate::domain::user_error::{UserError, UserErrorCode};

/// Order of tags. Ties are ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagOrder {
    /// Number of readings, descending; then most recently used first.
    MostUsed,
    /// Name.
    Name,
    /// Most recently used first.
    RecentlyUsed,
}

/// Tags whose names contain the search term, in that order.
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

/// Result of [`replace`].
pub struct TagReplacement {
    /// The replacing tag, if there is one.
    pub tag: Option<TagRow>,
    /// Names of the removed tags.
    pub deleted: Vec<String>,
    /// Number of changed readings.
    pub readings: u64,
    /// The owner of the readings.
    pub viewer: UserRow,
}

/// Tags to replace, and their field in the input.
#[derive(Debug, Clone, Copy)]
pub struct SourceTags<'a> {
    /// Name of the field.
    pub field: &'a str,
    /// Names of the tags.
    pub tags: &'a [String],
    /// `true` if the field is a list, so that an error names an index too.
    pub is_list: bool,
}

/// Replaces tags by one tag, or removes them, in all readings of the viewer.
///
/// # Errors
///
/// `UserErrors` for an invalid tag, or one that no reading has.
pub async fn replace(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    SourceTags { field: from_field, tags: from, is_list }: SourceTags<'_>,
    to: Option<&str>,
) -> Result<TagReplacement, ServiceError> {
    let mut validator = Validator::default();
    let to = to.map(|to| validator.text("to", to, &TAG, Lines::Single));
    let from: Vec<String> = if is_list {
        let tag = |(index, tag): (usize, &String)| {
            validator.text_at(&[from_field, &index.to_string()], tag, &TAG, Lines::Single)
        };
        from.iter().enumerate().map(tag).collect()
    } else {
        from.iter().map(|tag| validator.text(from_field, tag, &TAG, Lines::Single)).collect()
    };
    if from.is_empty() {
        let message = format!("{from_field} is missing");
        validator.reject(UserError::new(from_field, UserErrorCode::Required, message));
    }
    validator.finish()?;
    // The replacing tag may be among the replaced ones; it stays.
    let mut gone: Vec<String> =
        from.iter().filter(|tag| Some(*tag) != to.as_ref()).cloned().collect();
    gone.sort();
    gone.dedup();
    let now = services.clock.now();
    let replaced = services.write(session, |transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        let before = tags_of_user(&transaction, viewer).await?;
        let is_known = |tag: &String| before.iter().any(|row| row.name == *tag);
        let mut validator = Validator::default();
        for (index, tag) in from.iter().enumerate().filter(|(_, tag)| !is_known(tag)) {
            let tag = truncated(tag, QUOTED_CHARACTERS);
            let message = format!("none of your readings has the tag {tag:?}");
            let mut error = UserError::new(from_field, UserErrorCode::NotFound, message);
            if is_list {
                error.field.push(index.to_string());
            }
            validator.reject(error);
        }
        validator.finish()?;
        let readings = if gone.is_empty() {
            0
        } else {
            transaction.invalidate(InvalidationEvent::ReadingsChanged { owner: viewer });
            tags_replace(&transaction, viewer, &gone, to.as_deref(), now).await?
        };
        let after = tags_of_user(&transaction, viewer).await?;
        let tag = after.into_iter().find(|row| Some(&row.name) == to.as_ref());
        Ok(TagReplacement { tag, deleted: gone, readings, viewer: user })
    });
    replaced.await
}
