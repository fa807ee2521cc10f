//! Batched loads of one request. A batch runs on the task of its request, as soon as none of the
//! request's fields can make progress. On a task of its own it would start on another thread while
//! fields of the same level are still enqueueing keys, and the later keys would need a second
//! statement. No timer is involved.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::LoaderBuilder;
use crate::cache::cache_tag::{CacheTag, CacheTags};
use crate::db::{DbError, Session};
use crate::domain::lock::lock;

/// Queue of the batches that a request's loaders have to run.
#[derive(Clone, Default)]
pub struct BatchQueue(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl BatchQueue {
    fn push(&self, batch: BoxFuture<'static, ()>) {
        lock(&self.0).push(batch);
    }

    fn drain(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut *lock(&self.0))
    }

    /// Runs a future that uses the request's loaders, together with their batches. Batches run nowhere
    /// else.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut running = FuturesUnordered::new();
        poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = work.as_mut().poll(context) {
                    return Poll::Ready(result);
                }
                running.extend(self.drain());
                if running.poll_next_unpin(context) != Poll::Ready(Some(())) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// A statement that loads the values of many keys.
pub trait Load: Send + Sync + 'static {
    /// Key of a value.
    type Key: Clone + Eq + Hash + Send + 'static;
    /// Loaded value; cheap to clone.
    type Value: Clone + Send + 'static;

    /// Loads the values of these keys, which are distinct. Keys without a value are left out.
    ///
    /// # Errors
    ///
    /// A failed statement, which is the result of each of the keys.
    fn load(
        &self,
        session: &Session,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>, DbError>> + Send;

    /// Cache tags of a public response that uses the value of this key, or its absence. Empty if only
    /// private responses use it, or if the table of cache hints lists it.
    #[must_use]
    fn cache_tags(key: &Self::Key, value: Option<&Self::Value>) -> Vec<CacheTag> {
        let _ = (key, value);
        Vec::new()
    }
}

/// A `DataLoader` of one request: collects the keys that the fields of a level enqueue, loads them in
/// one batch, and caches the values until the request ends.
pub struct RequestLoader<L: Load> {
    batch_queue: BatchQueue,
    inner: Arc<Inner<L>>,
}

struct Inner<L: Load> {
    load: L,
    session: Session,
    cache_tags: CacheTags,
    /// Default name of the loading field in statement statistics, as `Type.field`.
    field: &'static str,
    state: Mutex<State<L>>,
}

/// Result of one key; `None` inside for a key without a value.
pub type LoadedValue<V> = Result<Option<V>, DbError>;

type KeyResult<L> = LoadedValue<<L as Load>::Value>;

struct State<L: Load> {
    /// Keys that no batch has taken yet.
    pending: Vec<L::Key>,
    /// Field that enqueued the first pending key.
    pending_field: &'static str,
    /// Results by key; `None` while its batch is pending or running.
    results: HashMap<L::Key, Option<KeyResult<L>>>,
    /// Fields that wait for a batch.
    wakers: Vec<Waker>,
}

/// State of a loader, whatever it loads.
pub trait LoaderState: Send + Sync {
    /// Drops the cached results. Keys in a batch stay, because fields wait for them.
    fn clear_results(&self);

    /// Ready when no key is pending.
    fn poll_loaded(&self, context: &mut task::Context<'_>) -> Poll<()>;
}

impl<L: Load> RequestLoader<L> {
    pub(super) fn new(builder: &LoaderBuilder<'_>, field: &'static str, load: L) -> Self {
        let state = State {
            pending: Vec::new(),
            pending_field: field,
            results: HashMap::new(),
            wakers: Vec::new(),
        };
        let inner = Arc::new(Inner {
            load,
            session: builder.session.clone(),
            cache_tags: builder.cache_tags.clone(),
            field,
            state: Mutex::new(state),
        });
        Self { batch_queue: builder.batch_queue.clone(), inner }
    }

    /// The state of the loader, without its types.
    #[must_use]
    pub fn state(&self) -> Arc<dyn LoaderState> {
        Arc::clone(&self.inner) as _
    }

    /// The value of a key; `None` if it has none.
    pub async fn load_one(&self, key: L::Key) -> Result<Option<L::Value>, DbError> {
        self.load_one_for(self.inner.field, key).await
    }

    /// The value of a key, loaded for another field than the default, as `Type.field`. A batch's statement
    /// is attributed to the field that enqueued its first key.
    pub async fn load_one_for(
        &self,
        field: &'static str,
        key: L::Key,
    ) -> Result<Option<L::Value>, DbError> {
        self.enqueue(field, std::slice::from_ref(&key));
        poll_fn(|context| {
            let mut state = lock(&self.inner.state);
            if let Some(Some(result)) = state.results.get(&key) {
                return Poll::Ready(result.clone());
            }
            state.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Result of a key that was loaded; `None` if it was not yet.
    #[must_use]
    pub fn loaded(&self, key: &L::Key) -> Option<LoadedValue<L::Value>> {
        lock(&self.inner.state).results.get(key)?.clone()
    }

    /// The values of several keys; keys without a value are left out.
    pub async fn load_many(
        &self,
        keys: impl IntoIterator<Item = L::Key>,
    ) -> Result<HashMap<L::Key, L::Value>, DbError> {
        let keys: Vec<L::Key> = keys.into_iter().collect();
        self.enqueue(self.inner.field, &keys);
        let mut values = HashMap::with_capacity(keys.len());
        for key in keys {
            if let Some(value) = self.load_one(key.clone()).await? {
                values.insert(key, value);
            }
        }
        Ok(values)
    }

    /// Adds keys without a result to the pending batch, and queues that batch if it is new.
    pub fn enqueue(&self, field: &'static str, keys: &[L::Key]) {
        let mut state = lock(&self.inner.state);
        let has_batch = !state.pending.is_empty();
        for key in keys {
            if !state.results.contains_key(key) {
                state.results.insert(key.clone(), None);
                state.pending.push(key.clone());
            }
        }
        if !has_batch && !state.pending.is_empty() {
            state.pending_field = field;
            self.batch_queue.push(Box::pin(Arc::clone(&self.inner).run_batch()));
        }
    }
}

impl<L: Load> LoaderState for Inner<L> {
    fn clear_results(&self) {
        lock(&self.state).results.retain(|_, result| result.is_none());
    }

    fn poll_loaded(&self, context: &mut task::Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.results.values().all(Option::is_some) {
            return Poll::Ready(());
        }
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }
}

impl<L: Load> Inner<L> {
    async fn run_batch(self: Arc<Self>) {
        let (keys, field) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.pending), state.pending_field)
        };
        let mut loaded = self.load.load(&self.session.for_field(field), &keys).await;
        let mut state = lock(&self.state);
        for key in keys {
            let value = match &mut loaded {
                Ok(values) => Ok(values.remove(&key)),
                Err(error) => Err(error.clone()),
            };
            if let Ok(value) = &value {
                self.cache_tags.record(L::cache_tags(&key, value.as_ref()));
            }
            state.results.insert(key, Some(value));
        }
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }
}
