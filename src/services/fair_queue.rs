//! A queue that serves its clients in turns, so that many requests of one client delay its own only.

use std::collections::{HashMap, VecDeque};

use super::rate_limits::RateLimitKey;

/// Waiting requests by client. Invariant: each client in `turns` has a request, and no other has one.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    turns: VecDeque<RateLimitKey>,
    waiting: HashMap<RateLimitKey, VecDeque<T>>,
    len: usize,
}

/// Which of a client's requests is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    /// Under overload: the oldest ones are close to their deadline.
    NewestFirst,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), waiting: HashMap::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Number of requests.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Number of requests of a client.
    pub(super) fn len_of(&self, key: RateLimitKey) -> usize {
        self.waiting.get(&key).map_or(0, VecDeque::len)
    }

    /// Number of requests of the client that has the most.
    pub(super) fn longest(&self) -> usize {
        self.waiting.values().map(VecDeque::len).max().unwrap_or_default()
    }

    pub(super) fn push(&mut self, key: RateLimitKey, request: T) {
        let requests = self.waiting.entry(key).or_default();
        if requests.is_empty() {
            self.turns.push_back(key);
        }
        requests.push_back(request);
        self.len += 1;
    }

    /// The oldest request of the client whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.pop_where(Order::OldestFirst, |_| true)
    }

    /// A request of the first client, in the order of turns, that may be served.
    pub(super) fn pop_where(&mut self, order: Order, may_serve: impl Fn(&T) -> bool) -> Option<T> {
        let first = |key: &RateLimitKey| self.waiting.get(key).and_then(|waiting| waiting.front());
        let turn = self.turns.iter().position(|key| first(key).is_some_and(&may_serve))?;
        let key = self.turns.remove(turn)?;
        let requests = self.waiting.get_mut(&key)?;
        let request = match order {
            Order::OldestFirst => requests.pop_front(),
            Order::NewestFirst => requests.pop_back(),
        };
        if requests.is_empty() {
            self.waiting.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.len -= 1;
        request
    }

    /// Removes the last request of the client with the most, if it has more than `above`. Returns whether there
    /// was one.
    pub(super) fn reject_longest(&mut self, above: usize) -> bool {
        let longest = self.waiting.iter_mut().max_by_key(|(_, requests)| requests.len());
        let Some((key, requests)) = longest.filter(|(_, requests)| requests.len() > above) else {
            return false;
        };
        // Its client learns it from the channel.
        requests.pop_back();
        self.len -= 1;
        if requests.is_empty() {
            let key = *key;
            self.waiting.remove(&key);
            self.turns.retain(|turn| *turn != key);
        }
        true
    }

    /// Keeps the requests for which the function is true.
    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.waiting.retain(|_, requests| {
            requests.retain(|request| keep(request));
            !requests.is_empty()
        });
        self.turns.retain(|key| self.waiting.contains_key(key));
        self.len = self.waiting.values().map(VecDeque::len).sum();
    }
}
