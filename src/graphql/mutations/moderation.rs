//! Mutations of moderation, for admins.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::{reading_key, user_key};
use crate::db::readings::ReadingRow;
use crate::db::users::AdminUserRow;
use crate::graphql::admin::AdminUser;
use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::reading::Reading;
use crate::graphql::user_error::UserError;
use crate::services::error::ServiceError;
use crate::services::moderation::{self, Moderated};

/// Mutations of moderation.
#[derive(Default)]
pub struct ModerationMutation;

#[Object]
impl ModerationMutation {
    /// Deactivate another user: they cannot log in, their sessions and access tokens end, and their
    /// profile, readings and share links are seen by nobody, at once. Nothing is deleted. For admins;
    /// in the audit log.
    async fn admin_deactivate_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "User to deactivate.")] input: AdminDeactivateUserInput,
    ) -> Option<Result<AdminDeactivateUserPayload, ApiError>> {
        Some(deactivate_user(begin_mutation(context), input).await)
    }

    /// Reactivate a user: they can log in again, and what was public is seen again. For admins; in the
    /// audit log.
    async fn admin_reactivate_user(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "User to reactivate.")] input: AdminReactivateUserInput,
    ) -> Option<Result<AdminReactivateUserPayload, ApiError>> {
        Some(reactivate_user(begin_mutation(context), input).await)
    }

    /// Hide a public reading from everyone but its owner and admins. Its privacy level is `PRIVATE` and
    /// its share links are closed until it is unhidden. For admins; in the audit log.
    async fn admin_hide_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Reading to hide.")] input: AdminHideReadingInput,
    ) -> Option<Result<AdminHideReadingPayload, ApiError>> {
        Some(hide_reading(begin_mutation(context), input).await)
    }

    /// Give a hidden reading back the privacy level that its owner has chosen. For admins; in the audit
    /// log.
    async fn admin_unhide_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Reading to unhide.")] input: AdminUnhideReadingInput,
    ) -> Option<Result<AdminUnhideReadingPayload, ApiError>> {
        Some(unhide_reading(begin_mutation(context), input).await)
    }

    /// Delete a public or a hidden reading with its cards and share links, for ever. For admins; in the
    /// audit log.
    async fn admin_delete_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Reading to delete.")] input: AdminDeleteReadingInput,
    ) -> Option<Result<AdminDeleteReadingPayload, ApiError>> {
        Some(delete_reading(begin_mutation(context), input).await)
    }
}

/// Input of adminDeactivateUser.
#[derive(InputObject)]
struct AdminDeactivateUserInput {
    /// Id of the user.
    user_id: ID,
    /// Reason for the audit log, 1 to 500 characters.
    reason: String,
}

/// Result of adminDeactivateUser.
#[derive(SimpleObject, Default)]
struct AdminDeactivateUserPayload {
    /// The user, deactivated.
    admin_user: Option<AdminUser>,
    /// False if the user was deactivated before: nothing was written.
    is_changed: bool,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of adminReactivateUser.
#[derive(InputObject)]
struct AdminReactivateUserInput {
    /// Id of the user.
    user_id: ID,
    /// Reason for the audit log, 1 to 500 characters.
    reason: String,
}

/// Result of adminReactivateUser.
#[derive(SimpleObject, Default)]
struct AdminReactivateUserPayload {
    /// The user, active.
    admin_user: Option<AdminUser>,
    /// False if the user was active before: nothing was written.
    is_changed: bool,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of adminHideReading.
#[derive(InputObject)]
struct AdminHideReadingInput {
    /// Id of the reading.
    reading_id: ID,
    /// Reason for the owner and for the audit log, 1 to 500 characters.
    reason: String,
}

/// Result of adminHideReading.
#[derive(SimpleObject, Default)]
struct AdminHideReadingPayload {
    /// The hidden reading.
    reading: Option<Reading>,
    /// False if the reading was hidden before: nothing was written, and the reason is that of before.
    is_changed: bool,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of adminUnhideReading.
#[derive(InputObject)]
struct AdminUnhideReadingInput {
    /// Id of the reading.
    reading_id: ID,
    /// Reason for the audit log, 1 to 500 characters.
    reason: String,
}

/// Result of adminUnhideReading.
#[derive(SimpleObject, Default)]
struct AdminUnhideReadingPayload {
    /// The reading. Not public if its owner has made it private meanwhile.
    reading: Option<Reading>,
    /// False if the reading was not hidden: nothing was written.
    is_changed: bool,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Input of adminDeleteReading.
#[derive(InputObject)]
struct AdminDeleteReadingInput {
    /// Id of the reading.
    reading_id: ID,
    /// Reason for the audit log, 1 to 500 characters.
    reason: String,
}

/// Result of adminDeleteReading.
#[derive(SimpleObject, Default)]
struct AdminDeleteReadingPayload {
    /// Id of the deleted reading.
    deleted_reading_id: Option<ID>,
    /// False if an admin has deleted the reading before: nothing was written.
    is_changed: bool,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

/// Common parts of a payload.
struct Outcome<T> {
    object: Option<T>,
    is_changed: bool,
    user_errors: Vec<UserError>,
}

impl<T> Outcome<T> {
    fn of<R>(
        result: Result<Moderated<R>, ServiceError>,
        object: impl FnOnce(R) -> T,
    ) -> Result<Self, ApiError> {
        Ok(match split_user_errors(result)? {
            Err(user_errors) => Self { object: None, is_changed: false, user_errors },
            Ok(moderated) => Self {
                object: Some(object(moderated.object)),
                is_changed: moderated.is_changed,
                user_errors: Vec::new(),
            },
        })
    }
}

fn reading_of(row: ReadingRow) -> Reading {
    Reading(Arc::new(row))
}

async fn deactivate_user(
    request: &RequestContext,
    input: AdminDeactivateUserInput,
) -> Result<AdminDeactivateUserPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let user = user_key("userId", &input.user_id)?;
    let (session, services) = (&request.session, &request.services);
    let done = moderation::deactivate_user(session, services, client, user, &input.reason).await;
    let Outcome { object, is_changed, user_errors } =
        Outcome::of(done, |row: AdminUserRow| AdminUser(row))?;
    Ok(AdminDeactivateUserPayload { admin_user: object, is_changed, user_errors })
}

async fn reactivate_user(
    request: &RequestContext,
    input: AdminReactivateUserInput,
) -> Result<AdminReactivateUserPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let user = user_key("userId", &input.user_id)?;
    let (session, services) = (&request.session, &request.services);
    let done = moderation::reactivate_user(session, services, client, user, &input.reason).await;
    let Outcome { object, is_changed, user_errors } =
        Outcome::of(done, |row: AdminUserRow| AdminUser(row))?;
    Ok(AdminReactivateUserPayload { admin_user: object, is_changed, user_errors })
}

async fn hide_reading(
    request: &RequestContext,
    input: AdminHideReadingInput,
) -> Result<AdminHideReadingPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let id = reading_key("readingId", &input.reading_id)?;
    let (session, services) = (&request.session, &request.services);
    let done = moderation::hide_reading(session, services, client, id, &input.reason).await;
    let Outcome { object, is_changed, user_errors } = Outcome::of(done, reading_of)?;
    Ok(AdminHideReadingPayload { reading: object, is_changed, user_errors })
}

async fn unhide_reading(
    request: &RequestContext,
    input: AdminUnhideReadingInput,
) -> Result<AdminUnhideReadingPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let id = reading_key("readingId", &input.reading_id)?;
    let (session, services) = (&request.session, &request.services);
    let done = moderation::unhide_reading(session, services, client, id, &input.reason).await;
    let Outcome { object, is_changed, user_errors } = Outcome::of(done, reading_of)?;
    Ok(AdminUnhideReadingPayload { reading: object, is_changed, user_errors })
}

async fn delete_reading(
    request: &RequestContext,
    input: AdminDeleteReadingInput,
) -> Result<AdminDeleteReadingPayload, ApiError> {
    let client = request.require_admin_client().await?;
    let id = reading_key("readingId", &input.reading_id)?;
    let (session, services) = (&request.session, &request.services);
    let done = moderation::delete_reading(session, services, client, id, &input.reason).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => {
            AdminDeleteReadingPayload { user_errors, ..AdminDeleteReadingPayload::default() }
        }
        Ok(is_changed) => AdminDeleteReadingPayload {
            deleted_reading_id: Some(input.reading_id),
            is_changed,
            user_errors: Vec::new(),
        },
    })
}
