//! When batches run: on their request's own task, whenever none of its fields can go on. On a task of
//! its own a batch would begin on another thread while fields of its level are still asking, and the
//! later ones would need a statement of their own. Nothing waits for a clock.

use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::cache::scope::{MadeWith, Scope};
use crate::db::{DbError, Session};
use crate::domain::lock::lock;

/// The batches that a request's loaders want to run.
#[derive(Clone, Default)]
pub struct BatchQueue(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl BatchQueue {
    fn add(&self, batch: BoxFuture<'static, ()>) {
        lock(&self.0).push(batch);
    }

    fn take(&self) -> Vec<BoxFuture<'static, ()>> {
        std::mem::take(&mut *lock(&self.0))
    }

    /// Does work that uses the request's loaders; nothing else makes their batches run.
    pub async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
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

/// How the values of many keys are loaded at once.
pub trait Load: Send + Sync + 'static {
    /// What a value is found by.
    type Key: Clone + Eq + Hash + Send + 'static;
    /// What is loaded; cheap to clone.
    type Value: Clone + Send + 'static;

    /// Loads the values of these keys, each there once. A key without a value is left out.
    ///
    /// # Errors
    ///
    /// A statement fails: then it fails for all of the keys.
    fn load(
        &self,
        session: &Session,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>, DbError>> + Send;

    /// What a public answer is made with that uses a key's value, or that there is none: whatever ends
    /// that purges one of these. Nothing of what no public answer uses, and of what the table of cache
    /// hints tells already.
    #[must_use]
    fn made_with(key: &Self::Key, value: Option<&Self::Value>) -> Vec<Scope> {
        let _ = (key, value);
        Vec::new()
    }
}

/// Gathers what the fields of a level ask for, loads it at once, and remembers it for as long as its
/// request lasts.
pub struct RequestLoader<L: Load> {
    batches: BatchQueue,
    shared: Arc<Shared<L>>,
}

struct Shared<L: Load> {
    load: L,
    session: Session,
    made_with: MadeWith,
    /// For which field it mostly loads, as `Type.field`.
    field: &'static str,
    state: Mutex<State<L>>,
}

/// What became of a key.
type Loaded<L> = Result<Option<<L as Load>::Value>, DbError>;

struct State<L: Load> {
    /// What no batch has taken yet.
    wanted: Vec<L::Key>,
    /// Which field wanted the first of it.
    wanted_by: &'static str,
    /// What was asked for so far; nothing while it is loaded.
    known: HashMap<L::Key, Option<Loaded<L>>>,
    /// Fields that wait for any of it.
    waiting: Vec<Waker>,
}

impl<L: Load> RequestLoader<L> {
    pub(super) fn new(
        batches: &BatchQueue,
        (session, made_with): (&Session, &MadeWith),
        field: &'static str,
        load: L,
    ) -> Self {
        let state = State {
            wanted: Vec::new(),
            wanted_by: field,
            known: HashMap::new(),
            waiting: Vec::new(),
        };
        let (session, made_with) = (session.clone(), made_with.clone());
        let shared = Arc::new(Shared { load, session, made_with, field, state: Mutex::new(state) });
        Self { batches: batches.clone(), shared }
    }

    /// The value of a key, `None` if it has none.
    ///
    /// # Errors
    ///
    /// The statement of its batch failed.
    pub async fn load_one(&self, key: L::Key) -> Result<Option<L::Value>, DbError> {
        self.load_one_for(self.shared.field, key).await
    }

    /// The same for another field than that which the loader is mostly for, as `Type.field`: the
    /// statement of a batch is known as that of the field which asked first.
    ///
    /// # Errors
    ///
    /// The statement of its batch failed.
    pub async fn load_one_for(
        &self,
        field: &'static str,
        key: L::Key,
    ) -> Result<Option<L::Value>, DbError> {
        self.want(field, std::slice::from_ref(&key));
        poll_fn(|context| {
            let mut state = lock(&self.shared.state);
            if let Some(Some(loaded)) = state.known.get(&key) {
                return Poll::Ready(loaded.clone());
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The values of several keys; those without one are left out.
    ///
    /// # Errors
    ///
    /// The statement of a batch failed.
    pub async fn load_many(
        &self,
        keys: impl IntoIterator<Item = L::Key>,
    ) -> Result<HashMap<L::Key, L::Value>, DbError> {
        let keys: Vec<L::Key> = keys.into_iter().collect();
        self.want(self.shared.field, &keys);
        let mut values = HashMap::with_capacity(keys.len());
        for key in keys {
            if let Some(value) = self.load_one(key.clone()).await? {
                values.insert(key, value);
            }
        }
        Ok(values)
    }

    /// Forgets what was loaded.
    pub(super) fn forget(&self) {
        lock(&self.shared.state).known.retain(|_, loaded| loaded.is_none());
    }

    /// Notes what nobody has asked for yet, and sees to it that a batch will take it.
    fn want(&self, field: &'static str, keys: &[L::Key]) {
        let mut state = lock(&self.shared.state);
        let has_batch = !state.wanted.is_empty();
        for key in keys {
            if !state.known.contains_key(key) {
                state.known.insert(key.clone(), None);
                state.wanted.push(key.clone());
            }
        }
        if !has_batch && !state.wanted.is_empty() {
            state.wanted_by = field;
            self.batches.add(Box::pin(Arc::clone(&self.shared).run_batch()));
        }
    }
}

impl<L: Load> Shared<L> {
    async fn run_batch(self: Arc<Self>) {
        let (keys, field) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.wanted), state.wanted_by)
        };
        let mut loaded = self.load.load(&self.session.for_field(field), &keys).await;
        let mut state = lock(&self.state);
        for key in keys {
            let value = match &mut loaded {
                Ok(values) => Ok(values.remove(&key)),
                Err(error) => Err(error.clone()),
            };
            if let Ok(value) = &value {
                self.made_with.note(L::made_with(&key, value.as_ref()));
            }
            state.known.insert(key, Some(value));
        }
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
    }
}
