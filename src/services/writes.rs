//! The one way to write: a transaction, and what it makes old in the caches of all servers.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::Services;
use super::error::ServiceError;
use crate::cache::changes::Change;
use crate::db::cache_outbox::{OutboxRow, outbox_insert};
use crate::db::{Session, Transaction};
use crate::domain::lock::lock;

/// A transaction that knows what it has changed.
pub struct Write {
    transaction: Arc<Transaction>,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Deref for Write {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.transaction
    }
}

impl Write {
    /// Says what the transaction has changed or is about to change.
    pub fn changes(&self, change: Change) {
        lock(&self.changes).push(change);
    }
}

impl Services {
    /// Does work in one transaction, notes in it what it has changed, and purges that when the
    /// transaction has ended; however it ended, because of a connection that was lost meanwhile nobody
    /// knows.
    ///
    /// # Errors
    ///
    /// Those of [`Session::transaction`].
    pub async fn write<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        session: &Session,
        work: impl FnOnce(Write) -> F,
    ) -> Result<T, ServiceError> {
        let (note, changes) = (Uuid::now_v7(), Arc::<Mutex<Vec<Change>>>::default());
        let noted = Arc::clone(&changes);
        let written = session.transaction(|transaction| {
            Box::pin(async {
                let transaction = Arc::new(transaction);
                let write = Write { transaction: Arc::clone(&transaction), changes: noted.clone() };
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
