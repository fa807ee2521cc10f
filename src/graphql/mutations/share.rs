//! Mutations of share links.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::{reading_key, share_link_key};
use crate::graphql::context::{RequestContext, begin_mutation};
use crate::graphql::errors::{ApiError, split_user_errors};
use crate::graphql::id::GlobalId;
use crate::graphql::reading::Reading;
use crate::graphql::scalars::DateTime;
use crate::graphql::share::{ShareLink, SharedReading};
use crate::graphql::user_error::UserError;
use crate::services::shares::{self, ShareAccess, ShareInput};

/// Mutations of share links.
#[derive(Default)]
pub struct ShareMutation;

#[Object]
impl ShareMutation {
    /// Create a link through which anybody can read a reading of the viewer, private or not. At
    /// most 20 open links per reading; one password per request.
    async fn share_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Reading to share, and options of the link.")] input: ShareReadingInput,
    ) -> Option<Result<ShareReadingPayload, ApiError>> {
        Some(share_reading(begin_mutation(context), input).await)
    }

    /// Revoke a link of the viewer, with immediate effect.
    async fn revoke_share(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Link to revoke.")] input: RevokeShareInput,
    ) -> Option<Result<RevokeSharePayload, ApiError>> {
        Some(revoke_share(begin_mutation(context), input).await)
    }

    /// Exchange the password of a link for the shared reading and a grant to query it again. No
    /// access token needed; one password per request. A link without a password accepts any.
    async fn unlock_shared_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Link and its password.")] input: UnlockSharedReadingInput,
    ) -> Option<Result<UnlockSharedReadingPayload, ApiError>> {
        Some(unlock_shared_reading(begin_mutation(context), input).await)
    }
}

/// Input of shareReading.
#[derive(InputObject)]
struct ShareReadingInput {
    /// Id of a reading of the viewer.
    reading_id: ID,
    /// Title of the page, at most 100 characters.
    title: Option<String>,
    /// Description of the page, at most 300 characters.
    description: Option<String>,
    /// Password, 6 to 128 characters (default: none; `""` means none).
    #[graphql(secret)]
    password: Option<String>,
    /// Time of expiry (default: never).
    expires_at: Option<DateTime>,
    /// Idempotency key, 1 to 255 characters chosen by the client: a retry with the same key returns
    /// the same link. Valid for a day.
    idempotency_key: Option<String>,
}

/// Result of shareReading.
#[derive(SimpleObject, Default)]
struct ShareReadingPayload {
    /// The new link. Null without an error if a retry finds that it was revoked since.
    share_link: Option<ShareLink>,
    /// The shared reading.
    reading: Option<Reading>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn share_reading(
    request: &RequestContext,
    input: ShareReadingInput,
) -> Result<ShareReadingPayload, ApiError> {
    let viewer = request.viewer_id()?;
    if input.password.as_deref().is_some_and(|password| !password.is_empty()) {
        request.take_password_check()?;
    }
    let share = ShareInput {
        reading: reading_key("readingId", &input.reading_id)?,
        title: input.title,
        description: input.description,
        password: input.password,
        expires_at: input.expires_at.map(|time| time.0),
    };
    let (session, services) = (&request.session, &request.services);
    let key = input.idempotency_key.as_deref();
    let done = shares::share(session, services, viewer, share, key).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => ShareReadingPayload { user_errors, ..Default::default() },
        Ok((share, reading)) => ShareReadingPayload {
            share_link: share.map(ShareLink),
            reading: Some(Reading(Arc::new(reading))),
            user_errors: Vec::new(),
        },
    })
}

/// Input of revokeShare.
#[derive(InputObject)]
struct RevokeShareInput {
    /// Id of a share link of the viewer.
    id: ID,
}

/// Result of revokeShare.
#[derive(SimpleObject, Default)]
struct RevokeSharePayload {
    /// Id of the revoked link.
    deleted_share_link_id: Option<ID>,
    /// The reading of the link.
    reading: Option<Reading>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn revoke_share(
    request: &RequestContext,
    input: RevokeShareInput,
) -> Result<RevokeSharePayload, ApiError> {
    let viewer = request.viewer_id()?;
    let id = share_link_key("id", &input.id)?;
    let done = shares::revoke(&request.session, &request.services, viewer, id).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => RevokeSharePayload { user_errors, ..Default::default() },
        Ok(reading) => RevokeSharePayload {
            deleted_share_link_id: Some(GlobalId::ShareLink(id).encode()),
            reading: Some(Reading(Arc::new(reading))),
            user_errors: Vec::new(),
        },
    })
}

/// Input of unlockSharedReading.
#[derive(InputObject)]
struct UnlockSharedReadingInput {
    /// Token of the link: the last part of its address.
    #[graphql(secret)]
    token: String,
    /// Password of the link.
    #[graphql(secret)]
    password: String,
}

/// Result of unlockSharedReading.
#[derive(SimpleObject, Default)]
struct UnlockSharedReadingPayload {
    /// Grant for `sharedReading(grant:)`, valid for this link for 15 minutes.
    grant: Option<String>,
    /// Expiry of the grant.
    grant_expires_at: Option<DateTime>,
    /// The shared reading.
    shared_reading: Option<SharedReading>,
    /// Errors that a person can fix; empty on success. At most 10.
    user_errors: Vec<UserError>,
}

async fn unlock_shared_reading(
    request: &RequestContext,
    input: UnlockSharedReadingInput,
) -> Result<UnlockSharedReadingPayload, ApiError> {
    request.take_password_check()?;
    let (session, services) = (&request.session, &request.services);
    let address = request.caller.address;
    let done = shares::unlock(session, services, address, &input.token, input.password).await;
    Ok(match split_user_errors(done)? {
        Err(user_errors) => UnlockSharedReadingPayload { user_errors, ..Default::default() },
        Ok(unlocked) => UnlockSharedReadingPayload {
            grant: Some(unlocked.grant.token),
            grant_expires_at: Some(DateTime(unlocked.grant.expires_at)),
            shared_reading: Some(SharedReading(ShareAccess::Open(unlocked.shared))),
            user_errors: Vec::new(),
        },
    })
}
