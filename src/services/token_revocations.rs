//! Revocation of access tokens before they expire. Each user has an epoch, each token the epoch in which it was
//! issued, and a new epoch ends all tokens of earlier ones.
//!
//! Requests read no epoch from the database: each server has those in memory that began within the lifetime of a
//! token. They arrive as invalidation events, and a server that starts, or may have missed some, reads them. While
//! it may lack some, the freshness gate is closed, and the caller asks the database instead.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::error::ServiceError;
use super::tokens::AccessClaims;
use super::write_transaction::WriteTransaction;
use crate::cache::invalidation::InvalidationEvent;
use crate::config::auth::AuthSettings;
use crate::db::token_revocations::{token_epoch_begin, token_epochs_since};
use crate::db::{DbError, Session};

/// Epochs of users whose tokens were revoked a short time ago.
#[derive(Debug)]
pub struct TokenRevocations {
    epochs: RwLock<HashMap<Uuid, Epoch>>,
    /// Time after which every token of an earlier epoch has expired.
    retention: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    number: i32,
    applied_at: Instant,
}

impl TokenRevocations {
    /// No revocations.
    #[must_use]
    pub fn new(settings: &AuthSettings) -> Self {
        // Twice the lifetime, because the clocks of servers differ.
        Self { epochs: RwLock::default(), retention: settings.access_token_lifetime * 2 }
    }

    /// Epoch of a user, as far as it is known here.
    #[must_use]
    pub fn epoch(&self, user: Uuid) -> i32 {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        epochs.get(&user).map_or(0, |epoch| epoch.number)
    }

    /// True if a token is known to be revoked.
    #[must_use]
    pub fn is_revoked(&self, access: &AccessClaims) -> bool {
        access.epoch < self.epoch(access.user)
    }

    /// Applies events of this server or of another one.
    pub fn apply(&self, events: &[InvalidationEvent]) {
        for event in events {
            if let InvalidationEvent::TokensRevoked { user, epoch } = event {
                self.begin(*user, *epoch);
            }
        }
    }

    /// Reads the epochs that may be missing here.
    pub async fn load(&self, session: &Session, now: DateTime<Utc>) -> Result<(), DbError> {
        for row in token_epochs_since(session, now - self.retention).await? {
            self.begin(row.user_id, row.epoch);
        }
        Ok(())
    }

    /// Removes epochs before which no token is valid any more.
    pub fn evict_expired(&self) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        epochs.retain(|_, epoch| epoch.applied_at.elapsed() < self.retention);
    }

    /// Events may arrive in any order.
    fn begin(&self, user: Uuid, number: i32) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        let begun = Epoch { number, applied_at: Instant::now() };
        let epoch = epochs.entry(user).or_insert(begun);
        if epoch.number < number {
            *epoch = begun;
        }
    }
}

/// Revokes all access tokens of a user, on all servers. Every transaction that ends the sessions of a user or
/// changes what they may do calls it.
pub async fn revoke_access_tokens(
    transaction: &WriteTransaction,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<(), ServiceError> {
    let epoch = token_epoch_begin(transaction, user, now).await?;
    transaction.invalidate(InvalidationEvent::TokensRevoked { user, epoch });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_epoch_is_revoked_in_whatever_order_events_arrive() {
        let revocations =
            TokenRevocations { epochs: RwLock::default(), retention: Duration::from_mins(1) };
        let user = Uuid::max();
        let access = |epoch| AccessClaims { user, login: None, epoch };
        assert!(!revocations.is_revoked(&access(0)));
        for epoch in [2, 1] {
            revocations.apply(&[InvalidationEvent::TokensRevoked { user, epoch }]);
            assert!(revocations.is_revoked(&access(1)));
            assert!(!revocations.is_revoked(&access(2)));
        }
        let other = AccessClaims { user: Uuid::nil(), login: None, epoch: 0 };
        assert!(!revocations.is_revoked(&other));
        revocations.evict_expired();
        assert!(revocations.is_revoked(&access(1)));
    }

    #[test]
    fn an_epoch_is_forgotten_when_all_earlier_tokens_have_expired() {
        let revocations = TokenRevocations { epochs: RwLock::default(), retention: Duration::ZERO };
        revocations.apply(&[InvalidationEvent::TokensRevoked { user: Uuid::max(), epoch: 1 }]);
        revocations.evict_expired();
        assert_eq!(revocations.epoch(Uuid::max()), 0);
    }
}
