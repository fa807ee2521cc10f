//! Locks of which whoever held them may have panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks it, whatever became of others who did. Only for what is never changed in two steps: what a
/// panic leaves behind is whole then.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
