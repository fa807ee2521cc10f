//! The one way to write: a transaction together with the cache invalidation of all servers.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use crate::cache::changes::Change;
use crate::db::cache_outbox::{OutboxRow, outbox_insert};
use crate::db::{Session, Transaction};
use crate::domain::lock::lock;

/// A transaction that collects invalidation events.
pub struct WriteTransaction {
    transaction: Arc<Transaction>,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Deref for WriteTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl WriteTransaction {
    /// Adds an event for data that the transaction has changed or is about to change.
    pub fn invalidate(&self, change: Change) {
        lock(&self.changes).push(change);
    }
}

impl Services {
    /// Runs `work` in one transaction, writes its invalidation events to the outbox in the same
    /// transaction, and purges the caches when the transaction has ended. The purge does not depend on
    /// the outcome: after a connection was lost during the commit, the outcome is unknown.
    ///
    /// # Errors
    ///
    /// Those of [`Session::transaction`].
    pub async fn write<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        session: &Session,
        work: impl FnOnce(WriteTransaction) -> F,
    ) -> Result<T, ServiceError> {
        let (note, changes) = (Uuid::now_v7(), Arc::<Mutex<Vec<Change>>>::default());
        let noted = Arc::clone(&changes);
        let written = session.transaction(|transaction| {
            Box::pin(async {
                let transaction = Arc::new(transaction);
                let write = WriteTransaction {
                    transaction: Arc::clone(&transaction),
                    changes: noted.clone(),
                };
                let value = work(write).await?;
                let changes = lock(&noted).clone();
                if !changes.is_empty() {
                    let row = OutboxRow { id: note, changes: Change::say(&changes) };
                    outbox_insert(&transaction, row, self.clock.now()).await?;
                }
                Ok(value)
            })
        });
        let written = written.await;
        let changes = std::mem::take(&mut *lock(&changes));
        if !changes.is_empty() {
            self.cache.purge_everywhere(note, &changes).await;
        }
        written
    }
}
