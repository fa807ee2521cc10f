//! Tags over all readings of the viewer's.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::tag::{Tag, tag_id};
use crate::graphql::user::User;
use crate::graphql::user_error::UserError;
use crate::services::tags::{self, SourceTags};

/// Fields of the mutation type on tags.
#[derive(Default)]
pub struct TagMutation;

#[Object]
impl TagMutation {
    /// Renames a tag on all readings of the viewer's. If the new name is a tag already, the two are
    /// merged.
    async fn rename_tag(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tag.")] input: RenameTagInput,
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

    /// Puts one tag in the place of others on all readings of the viewer's. If one of them is on no
    /// reading nothing is changed.
    async fn merge_tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tags.")] input: MergeTagsInput,
    ) -> Option<Result<MergeTagsPayload, ApiError>> {
        let request = begin_mutation(context);
        let from = SourceTags { field: "from", tags: &input.from, is_list: true };
        Some(replace(request, from, Some(&input.to)).await.map(|replaced| {
            let Replaced { tag, deleted_tag_ids, changed_reading_count, viewer, user_errors } =
                replaced;
            MergeTagsPayload { tag, deleted_tag_ids, changed_reading_count, viewer, user_errors }
        }))
    }

    /// Takes tags off all readings of the viewer's. If one of them is on no reading nothing is changed.
    async fn delete_tags(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tags.")] input: DeleteTagsInput,
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

/// A tag and its new name.
#[derive(InputObject)]
struct RenameTagInput {
    /// The tag.
    from: String,
    /// Its new name, 1 to 50 characters.
    to: String,
}

/// What became of a tag.
#[derive(SimpleObject)]
struct RenameTagPayload {
    /// The tag under its new name.
    tag: Option<Tag>,
    /// The ids of the tags that are there no more.
    deleted_tag_ids: Vec<ID>,
    /// How many readings were changed.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

/// Tags and the one that is to be in their place.
#[derive(InputObject)]
struct MergeTagsInput {
    /// At most 250 tags.
    from: Vec<String>,
    /// The one in their place, 1 to 50 characters.
    to: String,
}

/// What became of tags.
#[derive(SimpleObject)]
struct MergeTagsPayload {
    /// The tag in their place.
    tag: Option<Tag>,
    /// The ids of the tags that are there no more.
    deleted_tag_ids: Vec<ID>,
    /// How many readings were changed.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

/// Tags to take off.
#[derive(InputObject)]
struct DeleteTagsInput {
    /// At most 250 tags.
    tags: Vec<String>,
}

/// What became of tags.
#[derive(SimpleObject)]
struct DeleteTagsPayload {
    /// The ids of the tags that are there no more.
    deleted_tag_ids: Vec<ID>,
    /// How many readings were changed.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
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
