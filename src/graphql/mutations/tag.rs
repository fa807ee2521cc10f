//! Mutations of tags over all readings of the viewer.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::tag::{Tag, tag_id};
use crate::graphql::user::User;
use crate::graphql::user_error::UserError;
use crate::services::tags::{self, SourceTags};

/// Mutations of tags over all readings of the viewer.
#[derive(Default)]
pub struct TagMutation;

#[Object]
impl TagMutation {
    /// Rename a tag on all readings of the viewer. If the new name is already in use, the tags are
    /// merged.
    async fn rename_tag(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Tag to rename.")] input: RenameTagInput,
    ) -> Option<Result<RenameTagPayload, ApiError>> {
        let request = begin_mutation(context);
        let tags = [input.from];
        let from = SourceTags { field: "from", tags: &tags, is_list: false };
        Some(replace(request, from, Some(&input.to)).await.map(|replaced| {
            let Replaced { tag, deleted_tag_ids, changed_reading_count, viewer, user_errors } =
                replaced;
            RenameTagPayload { tag, deleted_tag_ids, changed_reading_count, viewer, user_errors }
        }))
    }

    /// Replace several tags by one on all readings of the viewer. Nothing is changed if one of them
    /// is on no reading.
    async fn merge_tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Tags to merge.")] input: MergeTagsInput,
    ) -> Option<Result<MergeTagsPayload, ApiError>> {
        let request = begin_mutation(context);
        let from = SourceTags { field: "from", tags: &input.from, is_list: true };
        Some(replace(request, from, Some(&input.to)).await.map(|replaced| {
            let Replaced { tag, deleted_tag_ids, changed_reading_count, viewer, user_errors } =
                replaced;
            MergeTagsPayload { tag, deleted_tag_ids, changed_reading_count, viewer, user_errors }
        }))
    }

    /// Remove tags from all readings of the viewer. Nothing is changed if one of them is on no
    /// reading.
    async fn delete_tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Tags to delete.")] input: DeleteTagsInput,
    ) -> Option<Result<DeleteTagsPayload, ApiError>> {
        let request = begin_mutation(context);
        let from = SourceTags { field: "tags", tags: &input.tags, is_list: true };
        Some(replace(request, from, None).await.map(|replaced| {
            let Replaced { deleted_tag_ids, changed_reading_count, viewer, user_errors, .. } =
                replaced;
            DeleteTagsPayload { deleted_tag_ids, changed_reading_count, viewer, user_errors }
        }))
    }
}

/// Input of renameTag.
#[derive(InputObject)]
struct RenameTagInput {
    /// Name of the tag.
    from: String,
    /// New name, 1 to 50 characters.
    to: String,
}

/// Result of renameTag.
#[derive(SimpleObject)]
struct RenameTagPayload {
    /// The renamed tag.
    tag: Option<Tag>,
    /// Ids of the tags that no longer exist.
    deleted_tag_ids: Vec<ID>,
    /// Number of changed readings.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of mergeTags.
#[derive(InputObject)]
struct MergeTagsInput {
    /// Names of the tags, at most 250.
    from: Vec<String>,
    /// Name of the tag that replaces them, 1 to 50 characters.
    to: String,
}

/// Result of mergeTags.
#[derive(SimpleObject)]
struct MergeTagsPayload {
    /// The tag that replaces the others.
    tag: Option<Tag>,
    /// Ids of the tags that no longer exist.
    deleted_tag_ids: Vec<ID>,
    /// Number of changed readings.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of deleteTags.
#[derive(InputObject)]
struct DeleteTagsInput {
    /// Names of the tags, at most 250.
    tags: Vec<String>,
}

/// Result of deleteTags.
#[derive(SimpleObject)]
struct DeleteTagsPayload {
    /// Ids of the tags that no longer exist.
    deleted_tag_ids: Vec<ID>,
    /// Number of changed readings.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

#[derive(Default)]
struct Replaced {
    tag: Option<Tag>,
    deleted_tag_ids: Vec<ID>,
    changed_reading_count: u64,
    viewer: Option<User>,
    user_errors: Vec<UserError>,
}

async fn replace(
    request: &RequestContext,
    from: SourceTags<'_>,
    to: Option<&str>,
) -> Result<Replaced, ApiError> {
    let viewer = request.viewer_id()?;
    let done = tags::replace(&request.session, &request.services, viewer, from, to).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => Replaced { user_errors, ..Replaced::default() },
        Ok(replaced) => Replaced {
            tag: replaced.tag.map(|row| Tag { owner: viewer, row }),
            deleted_tag_ids: replaced.deleted.iter().map(|name| tag_id(viewer, name)).collect(),
            changed_reading_count: replaced.readings,
            viewer: Some(User(Arc::new(replaced.viewer))),
            user_errors: Vec::new(),
        },
    })
}
