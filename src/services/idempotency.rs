//! Keys by which a client that lost an answer asks again: the second time it gets what the first time
//! made, and nothing new is made.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use super::input::normalized;
use super::logins::hex;
use crate::config::content::IDEMPOTENCY_KEY;
use crate::db::Transaction;
use crate::db::idempotency_keys::{idempotency_key, idempotency_key_claim};

/// A request that may be repeated.
#[derive(Debug)]
pub struct Repeatable {
    scope: String,
    user: Option<Uuid>,
    operation: &'static str,
    key: String,
    request_hash: String,
}

impl Repeatable {
    /// A request of a user with that key and that input, or of somebody who is about to be one, whom
    /// the e-mail address tells apart. Nothing where there is no key.
    ///
    /// # Errors
    ///
    /// The key is empty or too long.
    pub fn new(
        who: Who<'_>,
        operation: &'static str,
        key: Option<&str>,
        input: &impl Serialize,
    ) -> Result<Option<Self>, ServiceError> {
        let Some(key) = key else { return Ok(None) };
        let key = normalized(key);
        let characters = key.chars().count();
        if !IDEMPOTENCY_KEY.contains(&characters) || key.chars().any(char::is_control) {
            let (min, max) = (IDEMPOTENCY_KEY.start(), IDEMPOTENCY_KEY.end());
            return Err(ServiceError::BadInput {
                argument: "idempotencyKey",
                message: format!(
                    "`idempotencyKey` has {characters} characters; it must have {min} to {max}, none of them a control character"
                ),
            });
        }
        let input =
            serde_json::to_vec(input).map_err(|error| ServiceError::Secret(error.into()))?;
        let (scope, user) = match who {
            Who::User(id) => (id.simple().to_string(), Some(id)),
            Who::Newcomer { email } => (hex(&Sha256::digest(email)), None),
        };
        let request_hash = hex(&Sha256::digest(input));
        Ok(Some(Self { scope, user, operation, key, request_hash }))
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Who<'a> {
    /// A user.
    User(Uuid),
    /// Somebody who is about to be one.
    Newcomer {
        /// Folded.
        email: &'a str,
    },
}

/// Keeps the key with the id of what is about to be made. Answers the id of what was made before, if
/// the request is a repetition.
///
/// # Errors
///
/// The key was used with another input, or a statement fails.
pub async fn made_before(
    transaction: &Transaction,
    services: &Services,
    request: Option<&Repeatable>,
    new: Uuid,
) -> Result<Option<Uuid>, ServiceError> {
    let Some(request) = request else { return Ok(None) };
    let now = services.clock.now();
    let row = idempotency_key(
        (request.scope.clone(), request.operation, request.key.clone()),
        (request.user, request.request_hash.clone()),
        new,
        (now, now + services.settings.content.idempotency_lifetime),
    );
    let Some(before) = idempotency_key_claim(transaction, row, now).await? else { return Ok(None) };
    if before.request_hash != request.request_hash {
        return Err(ServiceError::BadInput {
            argument: "idempotencyKey",
            message: "`idempotencyKey` was used before with another input".to_owned(),
        });
    }
    Ok(before.result_id)
}
