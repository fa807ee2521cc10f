//! The one way to write: a transaction, and what it makes old in the cache.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use super::Services;
use super::error::ServiceError;
use crate::cache::changes::Change;
use crate::db::{Session, Transaction};
use crate::domain::lock::lock;

/// A transaction that knows what it has changed.
pub struct Write {
    transaction: Transaction,
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
    /// Does work in one transaction, and purges what it has changed when the transaction has ended;
    /// however it ended, because of a connection that was lost meanwhile nobody knows.
    ///
    /// # Errors
    ///
    /// Those of [`Session::transaction`].
    pub async fn write<T, F: Future<Output = Result<T, ServiceError>>>(
        &self,
        session: &Session,
        work: impl FnOnce(Write) -> F,
    ) -> Result<T, ServiceError> {
        let changes = Arc::<Mutex<Vec<Change>>>::default();
        let noted = Arc::clone(&changes);
        let written =
            session.transaction(|transaction| work(Write { transaction, changes: noted })).await;
        let changes = std::mem::take(&mut *lock(&changes));
        for change in &changes {
            self.cache.purge(change).await;
        }
        written
    }
}
