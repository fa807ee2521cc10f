//! Idempotency keys: a client that lost the response repeats its request with the same key and gets the
//! object that the first request created.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use super::validation::normalized;
use crate::config::content::IDEMPOTENCY_KEY;
use crate::db::Transaction;
use crate::db::idempotency_keys::{IdempotencyKeyRow, idempotency_key_claim};
use crate::domain::counted::counted;

/// A request with an idempotency key.
#[derive(Debug)]
pub struct IdempotentRequest {
    scope: String,
    user: Option<Uuid>,
    operation: &'static str,
    key: String,
    request_hash: String,
}

impl IdempotentRequest {
    /// A request of `owner` with that key and that input; `None` without a key.
    ///
    /// # Errors
    ///
    /// `BadInput` if the key is empty, too long or has control characters.
    pub fn new(
        owner: KeyOwner<'_>,
        operation: &'static str,
        key: Option<&str>,
        input: &impl Serialize,
    ) -> Result<Option<Self>, ServiceError> {
        let Some(key) = key else { return Ok(None) };
        let key = normalized(key);
        let characters = key.chars().count();
        if !IDEMPOTENCY_KEY.contains(&characters) || key.chars().any(char::is_control) {
            let (min, max) = (IDEMPOTENCY_KEY.start(), IDEMPOTENCY_KEY.end());
            let counted = counted(characters, "character");
            return Err(ServiceError::BadInput {
                argument: "idempotencyKey",
                message: format!(
                    "`idempotencyKey` has {counted}; it must have {min} to {max}, none of them a control character"
                ),
            });
        }
        let input =
            serde_json::to_vec(input).map_err(|error| ServiceError::Crypto(error.into()))?;
        let (scope, user) = match owner {
            KeyOwner::User(id) => (id.simple().to_string(), Some(id)),
            KeyOwner::Unregistered { email } => (hex::encode(Sha256::digest(email)), None),
        };
        let request_hash = hex::encode(Sha256::digest(input));
        Ok(Some(Self { scope, user, operation, key, request_hash }))
    }
}

/// Owner of an idempotency key: keys of different owners are independent.
#[derive(Debug, Clone, Copy)]
pub enum KeyOwner<'a> {
    /// A user.
    User(Uuid),
    /// Somebody who registers.
    Unregistered {
        /// Folded e-mail address.
        email: &'a str,
    },
}

/// Stores the key with the id of the object that is about to be created. Returns the id of the object
/// that an earlier request with this key created, if there was one.
///
/// # Errors
///
/// `BadInput` if the key was used with another input.
pub async fn claim_idempotency_key(
    transaction: &Transaction,
    services: &Services,
    request: Option<&IdempotentRequest>,
    new_id: Uuid,
) -> Result<Option<Uuid>, ServiceError> {
    let Some(request) = request else { return Ok(None) };
    let now = services.clock.now();
    let row = IdempotencyKeyRow {
        scope: request.scope.clone(),
        operation: request.operation.to_owned(),
        key: request.key.clone(),
        user_id: request.user,
        request_hash: request.request_hash.clone(),
        // The id of the result is chosen before the result is written.
        result_id: Some(new_id),
        expires_at: now + services.settings.content.idempotency_lifetime,
        created_at: now,
    };
    let Some(before) = idempotency_key_claim(transaction, row, now).await? else { return Ok(None) };
    if before.request_hash != request.request_hash {
        return Err(ServiceError::BadInput {
            argument: "idempotencyKey",
            message: "`idempotencyKey` was used before with another input".to_owned(),
        });
    }
    Ok(before.result_id)
}
