//! Categories: a user's own folders for readings.

use serde::Serialize;
use uuid::Uuid;

use super::Services;
use super::accounts::lock_viewer;
use super::error::ServiceError;
use super::idempotency::{IdempotentRequest, KeyOwner, claim_idempotency_key};
use super::validation::{Lines, Validator};
use crate::cache::invalidation::InvalidationEvent;
use crate::config::content::{CATEGORIES, CATEGORY_DESCRIPTION, CATEGORY_ICON, CATEGORY_NAME};
use crate::db::Session;
use crate::db::categories::{
    CategoryRow, categories_by_id, categories_of_user, category_change, category_delete,
    category_insert, category_locked,
};
use crate::db::reading_writes::readings_clear_category;
use crate::db::users::{UserRow, ViewerLock};
use crate::domain::user_error::{UserError, UserErrorCode};

/// Input of a new category.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "a field an input")]
pub struct CategoryInput {
    pub name: String,
    pub color: String,
    pub icon: Option<String>,
    pub description: Option<String>,
}

/// Creates a category. Returns it, or the one that an earlier request with the same idempotency key
/// created, and the viewer.
///
/// # Errors
///
/// `UserErrors` for invalid input, a taken name or too many categories.
pub async fn create(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    input: CategoryInput,
    idempotency_key: Option<&str>,
) -> Result<(Option<CategoryRow>, UserRow), ServiceError> {
    let idempotent =
        IdempotentRequest::new(KeyOwner::User(viewer), "createCategory", idempotency_key, &input)?;
    let now = services.clock.now();
    let mut validator = Validator::default();
    let category = CategoryRow {
        id: Uuid::now_v7(),
        user_id: viewer,
        name: validator.text("name", &input.name, &CATEGORY_NAME, Lines::Single),
        color: color(&mut validator, &input.color),
        icon: validator.optional_text("icon", input.icon.as_deref(), &CATEGORY_ICON, Lines::Single),
        description: validator.optional_text(
            "description",
            input.description.as_deref(),
            &CATEGORY_DESCRIPTION,
            Lines::Multiple,
        ),
        created_at: now,
        updated_at: now,
    };
    validator.finish()?;
    let idempotent = idempotent.as_ref();
    let created = session.transaction(|transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        if let Some(before) =
            claim_idempotency_key(&transaction, services, idempotent, category.id).await?
        {
            let before = categories_by_id(&transaction, viewer, &[before]).await?;
            return Ok((before.into_iter().next(), user));
        }
        if categories_of_user(&transaction, viewer).await?.len() >= CATEGORIES {
            let message = format!("you have {CATEGORIES} categories, which is the most");
            let error = UserError::whole_input(UserErrorCode::TooMany, message);
            return Err(error.within(None, i32::try_from(CATEGORIES).ok()).into());
        }
        if !category_insert(&transaction, category.clone()).await? {
            return Err(taken());
        }
        Ok((Some(category), user))
    });
    created.await
}

fn taken() -> ServiceError {
    ServiceError::user_error("name", UserErrorCode::Taken, "you have a category of this name")
}

fn color(validator: &mut Validator, color: &str) -> String {
    let color = color.trim().to_lowercase();
    let is_color = color.strip_prefix('#').is_some_and(|digits| {
        digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    if !is_color {
        let message = "color must be of the form #rrggbb";
        validator.reject(UserError::new("color", UserErrorCode::Invalid, message));
    }
    color
}

/// Changes of a category: `None` leaves a field unchanged, `Some(None)` clears it.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "a field an input")]
pub struct CategoryUpdate {
    pub name: Option<Option<String>>,
    pub color: Option<Option<String>>,
    pub icon: Option<Option<String>>,
    pub description: Option<Option<String>>,
}

/// Changes a category of the viewer.
///
/// # Errors
///
/// `UserErrors` for invalid input or a taken name, `NotFound` if the viewer has no such category.
pub async fn update(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    id: Uuid,
    update: CategoryUpdate,
) -> Result<CategoryRow, ServiceError> {
    let now = services.clock.now();
    let mut validator = Validator::default();
    let name = validator
        .required("name", update.name)
        .map(|name| validator.text("name", &name, &CATEGORY_NAME, Lines::Single));
    let color = validator.required("color", update.color).map(|one| color(&mut validator, &one));
    let icon = update.icon.map(|icon| {
        validator.optional_text("icon", icon.as_deref(), &CATEGORY_ICON, Lines::Single)
    });
    let description = update.description.map(|text| {
        let characters = &CATEGORY_DESCRIPTION;
        validator.optional_text("description", text.as_deref(), characters, Lines::Multiple)
    });
    validator.finish()?;
    let changed = session.transaction(|transaction| async move {
        lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        let before = categories_by_id(&transaction, viewer, &[id]).await?.into_iter().next();
        let before = before.ok_or(ServiceError::NotFound("category"))?;
        let after = CategoryRow {
            name: name.unwrap_or(before.name),
            color: color.unwrap_or(before.color),
            icon: icon.unwrap_or(before.icon),
            description: description.unwrap_or(before.description),
            updated_at: now,
            ..before
        };
        if !category_change(&transaction, &after, now).await? {
            return Err(taken());
        }
        Ok(after)
    });
    changed.await
}

/// Deletes a category of the viewer; its readings stay. Returns the number of its readings, and the viewer.
///
/// # Errors
///
/// `NotFound` if the viewer has no such category.
pub async fn delete(
    session: &Session,
    services: &Services,
    viewer: Uuid,
    id: Uuid,
) -> Result<(u64, UserRow), ServiceError> {
    let now = services.clock.now();
    let deleted = services.write(session, |transaction| async move {
        let user = lock_viewer(&transaction, viewer, ViewerLock::Serialized).await?;
        let category = category_locked(&transaction, viewer, id).await?;
        category.ok_or(ServiceError::NotFound("category"))?;
        transaction.invalidate(InvalidationEvent::ReadingsChanged { owner: viewer });
        let readings = readings_clear_category(&transaction, viewer, id, now).await?;
        category_delete(&transaction, viewer, id).await?;
        Ok((readings, user))
    });
    deleted.await
}
