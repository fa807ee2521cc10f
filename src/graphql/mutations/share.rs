//! Share links.

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

/// Fields of the mutation type on share links.
#[derive(Default)]
pub struct ShareMutation;

#[Object]
impl ShareMutation {
    /// Makes a link by which anybody can read a reading of the viewer's, private or not. A reading may
    /// have 20 that are open. A request may give one password.
    async fn share_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which reading, and for whom.")] input: ShareReadingInput,
    ) -> Option<Result<ShareReadingPayload, ApiError>> {
        Some(share_reading(begin_mutation(context), input).await)
    }

    /// Revokes a link of the viewer's, at once.
    async fn revoke_share(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which link.")] input: RevokeShareInput,
    ) -> Option<Result<RevokeSharePayload, ApiError>> {
        Some(revoke_share(begin_mutation(context), input).await)
    }

    /// Gives the password of a link, for what it leads to and a grant to ask for that again. Anybody
    /// may; a request may give one password. A link without one is open whatever is given.
    async fn unlock_shared_reading(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which link.")] input: UnlockSharedReadingInput,
    ) -> Option<Result<UnlockSharedReadingPayload, ApiError>> {
        Some(unlock_shared_reading(begin_mutation(context), input).await)
    }
}

/// A new link.
#[derive(InputObject)]
struct ShareReadingInput {
    /// A reading of the viewer's.
    reading_id: ID,
    /// What its page is called, at most 100 characters.
    title: Option<String>,
    /// What its page says, at most 300 characters.
    description: Option<String>,
    /// 6 to 128 characters that have to be given to read it; none if nothing or nothing but `""`.
    #[graphql(secret)]
    password: Option<String>,
    /// When it is over; never if nothing is said.
    expires_at: Option<DateTime>,
    /// 1 to 255 characters that the client makes up, so that it can ask again when it lost the answer
    /// and gets the same link. Remembered for a day.
    idempotency_key: Option<String>,
}

/// What became of a new link.
#[derive(SimpleObject, Default)]
struct ShareReadingPayload {
    /// The link. Null, without an error, if the one that was made with this idempotency key was
    /// revoked since.
    share_link: Option<ShareLink>,
    /// The reading.
    reading: Option<Reading>,
    /// What to put right.
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

/// Which link to revoke.
#[derive(InputObject)]
struct RevokeShareInput {
    /// A link of the viewer's.
    id: ID,
}

/// What became of a link.
#[derive(SimpleObject, Default)]
struct RevokeSharePayload {
    /// The id of the link that leads nowhere any more.
    deleted_share_link_id: Option<ID>,
    /// The reading that it led to.
    reading: Option<Reading>,
    /// What to put right.
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

/// A link and its password.
#[derive(InputObject)]
struct UnlockSharedReadingInput {
    /// The last part of the link's address.
    #[graphql(secret)]
    token: String,
    /// Its password.
    #[graphql(secret)]
    password: String,
}

/// What a password opened.
#[derive(SimpleObject, Default)]
struct UnlockSharedReadingPayload {
    /// For `sharedReading(grant:)`: good for 15 minutes and this link only.
    grant: Option<String>,
    /// When the grant ends.
    grant_expires_at: Option<DateTime>,
    /// What the link leads to.
    shared_reading: Option<SharedReading>,
    /// What to put right.
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
