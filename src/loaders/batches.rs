//! When batches run: on their request's own task, whenever none of its fields can go on. On a task of
//! its own a batch would begin on another thread while fields of its level are still asking, and the
//! later ones would need a statement of their own.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

/// The batches that a request's loaders want to run.
#[derive(Clone, Default)]
pub struct Batches(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Batches {
    pub(super) fn add(&self, batch: BoxFuture<'static, ()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
    }

    fn take(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does work that uses the request's loaders; nothing else makes their batches run.
    pub async fn run_beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut running = FuturesUnordered::new();
        poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = work.as_mut().poll(context) {
                    return Poll::Ready(result);
                }
                running.extend(self.take());
                if running.poll_next_unpin(context) != Poll::Ready(Some(())) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}
