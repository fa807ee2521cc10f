//! The one way to write: a transaction together with the cache invalidation of all servers.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Services;
use super::audit::AuditEntry;
use super::error::ServiceError;
use crate::cache::invalidation::InvalidationEvent;
use crate::db::cache_outbox::{OutboxRow, outbox_insert};
use crate::db::{Session, Transaction};
use crate::domain::lock::lock;

/// A transaction that collects invalidation events and audit entries.
pub struct WriteTransaction {
    transaction: Arc<Transaction>,
    events: Arc<Mutex<Vec<InvalidationEvent>>>,
    audited: Arc<Mutex<Vec<AuditEntry>>>,
}

impl Deref for WriteTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl WriteTransaction {
    /// Adds an event for data that the transaction has changed or is about to change.
    pub fn invalidate(&self, event: InvalidationEvent) {
        lock(&self.events).push(event);
    }

    /// Inserts an entry of the audit log. Its log line is written once the transaction is committed.
    pub async fn audit(&self, entry: AuditEntry, now: DateTime<Utc>) -> Result<(), ServiceError> {
        entry.insert(self, now).await?;
        lock(&self.audited).push(entry);
        Ok(())
    }
}

impl Services {
    /// Runs `work` in one transaction, writes its invalidation events to the outbox in the same
    /// transaction, and purges the caches when the transaction has ended. The purge does not depend on
    /// the outcome: after a connection was lost during the commit, the outcome is unknown. Tokens are revoked only
    /// if it succeeded.
    ///
    /// # Errors
    ///
    /// The errors of [`Session::transaction`].
    pub async fn write<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        session: &Session,
        work: impl FnOnce(WriteTransaction) -> F,
    ) -> Result<T, ServiceError> {
        let (entry_id, events) = (Uuid::now_v7(), Arc::<Mutex<Vec<InvalidationEvent>>>::default());
        let audited = Arc::<Mutex<Vec<AuditEntry>>>::default();
        let (recorded, entries) = (Arc::clone(&events), Arc::clone(&audited));
        let written = session.transaction(|transaction| {
            Box::pin(async {
                let transaction = Arc::new(transaction);
                let write = WriteTransaction {
                    transaction: Arc::clone(&transaction),
                    events: recorded.clone(),
                    audited: entries,
                };
                let value = work(write).await?;
                let events = lock(&recorded).clone();
                if !events.is_empty() {
                    let row =
                        OutboxRow { id: entry_id, changes: InvalidationEvent::to_json(&events) };
                    outbox_insert(&transaction, row, self.clock.now()).await?;
                }
                Ok(value)
            })
        });
        let written = written.await;
        let mut events = std::mem::take(&mut *lock(&events));
        if written.is_ok() {
            lock(&audited).iter().for_each(AuditEntry::log);
            self.token_revocations.apply(&events);
        } else {
            // A revocation that was rolled back must not be applied: its epoch would be above that of new tokens. If
            // it was committed, the next poll finds it.
            events.retain(|event| !matches!(event, InvalidationEvent::TokensRevoked { .. }));
        }
        if !events.is_empty() {
            self.cache.purge_everywhere(entry_id, &events).await;
        }
        written
    }
}
