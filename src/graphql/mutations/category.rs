//! Mutations of the viewer's categories.

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

/// Mutations of categories.
#[derive(Default)]
pub struct CategoryMutation;

#[Object]
impl CategoryMutation {
    /// Create a category of the viewer, who may have 100.
    async fn create_category(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Category to create.")] input: CreateCategoryInput,
    ) -> Option<Result<CreateCategoryPayload, ApiError>> {
        Some(create_category(begin_mutation(context), input).await)
    }

    /// Change a category of the viewer. Absent fields are unchanged; null clears a field where that
    /// is allowed.
    async fn update_category(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Fields to change.")] input: UpdateCategoryInput,
    ) -> Option<Result<UpdateCategoryPayload, ApiError>> {
        Some(update_category(begin_mutation(context), input).await)
    }

    /// Delete a category of the viewer. Its readings remain, without a category.
    async fn delete_category(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Category to delete.")] input: DeleteCategoryInput,
    ) -> Option<Result<DeleteCategoryPayload, ApiError>> {
        Some(delete_category(begin_mutation(context), input).await)
    }
}

/// Input of createCategory.
#[derive(InputObject)]
struct CreateCategoryInput {
    /// Name, 1 to 100 characters, unique among the user's categories.
    name: String,
    /// Colour as `#rrggbb`.
    color: String,
    /// Name of an icon, at most 50 characters.
    icon: Option<String>,
    /// Description, at most 500 characters.
    description: Option<String>,
    /// Idempotency key, 1 to 255 characters chosen by the client: a retry with the same key returns
    /// the same category. Valid for a day.
    idempotency_key: Option<String>,
}

/// Result of createCategory.
#[derive(SimpleObject, Default)]
struct CreateCategoryPayload {
    /// The new category. Null without an error if a retry finds that it was deleted since.
    category: Option<Category>,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
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

/// Input of updateCategory. Absent fields are unchanged; null clears a field where that is allowed.
#[derive(InputObject)]
struct UpdateCategoryInput {
    /// Id of the category.
    id: ID,
    /// Name, 1 to 100 characters, unique among the user's categories.
    name: MaybeUndefined<String>,
    /// Colour as `#rrggbb`.
    color: MaybeUndefined<String>,
    /// Name of an icon, at most 50 characters.
    icon: MaybeUndefined<String>,
    /// Description, at most 500 characters.
    description: MaybeUndefined<String>,
}

/// Result of updateCategory.
#[derive(SimpleObject, Default)]
struct UpdateCategoryPayload {
    /// The updated category.
    category: Option<Category>,
    /// Errors that a person can fix; empty on success. At most 10.
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

/// Input of deleteCategory.
#[derive(InputObject)]
struct DeleteCategoryInput {
    /// Id of the category.
    id: ID,
}

/// Result of deleteCategory.
#[derive(SimpleObject, Default)]
struct DeleteCategoryPayload {
    /// Id of the deleted category.
    deleted_category_id: Option<ID>,
    /// Number of readings that it held.
    changed_reading_count: u64,
    /// The viewer.
    viewer: Option<User>,
    /// Errors that a person can fix; empty on success. At most 10.
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
