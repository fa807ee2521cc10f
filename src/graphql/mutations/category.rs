//! The viewer's own folders.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::category_key;
use crate::graphql::category::Category;
use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::id::GlobalId;
use crate::graphql::user::User;
use crate::graphql::user_error::UserError;
use crate::services::categories::{self, CategoryInput, CategoryUpdate};

/// Fields of the mutation type on categories.
#[derive(Default)]
pub struct CategoryMutation;

#[Object]
impl CategoryMutation {
    /// Makes a category of the viewer's. A user may have 100.
    async fn create_category(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The category.")] input: CreateCategoryInput,
    ) -> Option<Result<CreateCategoryPayload, ApiError>> {
        Some(create_category(begin_mutation(context), input).await)
    }

    /// Changes a category of the viewer's. What is absent stays; null clears, where that is possible.
    async fn update_category(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateCategoryInput,
    ) -> Option<Result<UpdateCategoryPayload, ApiError>> {
        Some(update_category(begin_mutation(context), input).await)
    }

    /// Deletes a category of the viewer's. Its readings stay, without a category.
    async fn delete_category(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which category.")] input: DeleteCategoryInput,
    ) -> Option<Result<DeleteCategoryPayload, ApiError>> {
        Some(delete_category(begin_mutation(context), input).await)
    }
}

/// A new category.
#[derive(InputObject)]
struct CreateCategoryInput {
    /// 1 to 100 characters; no two of one user are alike.
    name: String,
    /// `#rrggbb`.
    color: String,
    /// The name of an icon, at most 50 characters.
    icon: Option<String>,
    /// What it is for, at most 500 characters.
    description: Option<String>,
    /// 1 to 255 characters that the client makes up, so that it can ask again when it lost the answer
    /// and gets the same category. Remembered for a day.
    idempotency_key: Option<String>,
}

/// What became of a new category.
#[derive(SimpleObject, Default)]
struct CreateCategoryPayload {
    /// The category. Null, without an error, if the one that was made with this idempotency key was
    /// deleted since.
    category: Option<Category>,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn create_category(
    request: &RequestContext,
    input: CreateCategoryInput,
) -> Result<CreateCategoryPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let CreateCategoryInput { name, color, icon, description, idempotency_key } = input;
    let category = CategoryInput { name, color, icon, description };
    let (session, services) = (&request.session, &request.services);
    let key = idempotency_key.as_deref();
    let done = categories::create(session, services, viewer, category, key).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => CreateCategoryPayload { user_errors, ..Default::default() },
        Ok((category, viewer)) => CreateCategoryPayload {
            category: category.map(|row| Category(Arc::new(row))),
            viewer: Some(User(Arc::new(viewer))),
            user_errors: Vec::new(),
        },
    })
}

/// What to change of a category. What is absent stays; null clears, where that is possible.
#[derive(InputObject)]
struct UpdateCategoryInput {
    /// Which category.
    id: ID,
    /// 1 to 100 characters; no two of one user are alike.
    name: MaybeUndefined<String>,
    /// `#rrggbb`.
    color: MaybeUndefined<String>,
    /// The name of an icon, at most 50 characters.
    icon: MaybeUndefined<String>,
    /// What it is for, at most 500 characters.
    description: MaybeUndefined<String>,
}

/// What became of a change of a category.
#[derive(SimpleObject, Default)]
struct UpdateCategoryPayload {
    /// The category as it is now.
    category: Option<Category>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn update_category(
    request: &RequestContext,
    input: UpdateCategoryInput,
) -> Result<UpdateCategoryPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let id = category_key("id", &input.id)?;
    let update = CategoryUpdate {
        name: input.name.into(),
        color: input.color.into(),
        icon: input.icon.into(),
        description: input.description.into(),
    };
    let (session, services) = (&request.session, &request.services);
    let done = categories::update(session, services, viewer, id, update).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => UpdateCategoryPayload { category: None, user_errors },
        Ok(row) => UpdateCategoryPayload {
            category: Some(Category(Arc::new(row))),
            user_errors: Vec::new(),
        },
    })
}

/// Which category to delete.
#[derive(InputObject)]
struct DeleteCategoryInput {
    /// A category of the viewer's.
    id: ID,
}

/// What became of a category.
#[derive(SimpleObject, Default)]
struct DeleteCategoryPayload {
    /// The id of the category that is there no more.
    deleted_category_id: Option<ID>,
    /// How many readings it held.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// What to put right.
    user_errors: Vec<UserError>,
}

async fn delete_category(
    request: &RequestContext,
    input: DeleteCategoryInput,
) -> Result<DeleteCategoryPayload, ApiError> {
    let viewer = request.viewer_id()?;
    let id = category_key("id", &input.id)?;
    let done = categories::delete(&request.session, &request.services, viewer, id).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => DeleteCategoryPayload { user_errors, ..Default::default() },
        Ok((readings, viewer)) => DeleteCategoryPayload {
            deleted_category_id: Some(GlobalId::Category(id).encode()),
            changed_reading_count: readings,
            viewer: Some(User(Arc::new(viewer))),
            user_errors: Vec::new(),
        },
    })
}
