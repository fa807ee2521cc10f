//! Fair queue of passwords to hash: clients of known networks first, and among equals in turns, so that many
//! passwords of one client delay its own only. Bounded: in an unbounded queue every request would time out.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::fair_queue::FairQueue;
use super::rate_limits::RateLimitKey;
use crate::domain::lock::lock;

/// Client whose password is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashClient {
    key: RateLimitKey,
    standing: Standing,
}

/// Precedence of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Signed in, or in a network from which the user has logged in.
    Known,
    /// Any other.
    Unknown,
}

impl HashClient {
    /// A client in a network from which the user has logged in.
    #[must_use]
    pub fn known(address: IpAddr) -> Self {
        Self { key: RateLimitKey::address(address), standing: Standing::Known }
    }

    /// A client that may be anybody.
    #[must_use]
    pub fn unknown(address: IpAddr) -> Self {
        Self { key: RateLimitKey::address(address), standing: Standing::Unknown }
    }

    /// A signed-in user.
    #[must_use]
    pub const fn user(user: Uuid) -> Self {
        Self { key: RateLimitKey::Account(user), standing: Standing::Known }
    }
}

/// The queue, with as many permits as there are workers.
#[derive(Debug)]
pub(super) struct HashQueue {
    state: Mutex<State>,
    capacity: usize,
}

#[derive(Debug)]
struct State {
    free: usize,
    known: Lane,
    unknown: Lane,
}

/// Waiting requests of clients of one standing.
type Lane = FairQueue<oneshot::Sender<HashPermit>>;

/// A permit to hash one password. When it is dropped, the next request gets it.
#[derive(Debug)]
pub(super) struct HashPermit(Option<Arc<HashQueue>>);

/// As many requests wait as the queue is long, and none of them has a client that waits for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

impl State {
    /// Makes room for a request of that client, at the cost of one that waits for more, or of an unknown one.
    fn make_room(&mut self, client: HashClient) -> bool {
        match client.standing {
            Standing::Known => {
                let own = self.known.len_of(client.key);
                self.unknown.reject_longest(0) || self.known.reject_longest(own + 1)
            }
            Standing::Unknown => {
                let own = self.unknown.len_of(client.key);
                self.unknown.reject_longest(own + 1)
            }
        }
    }

    fn lane(&mut self, standing: Standing) -> &mut Lane {
        match standing {
            Standing::Known => &mut self.known,
            Standing::Unknown => &mut self.unknown,
        }
    }
}

impl HashQueue {
    /// A queue of that length in front of that number of workers.
    pub(super) fn new(workers: usize, capacity: usize) -> Arc<Self> {
        let state = State { free: workers, known: Lane::default(), unknown: Lane::default() };
        Arc::new(Self { state: Mutex::new(state), capacity })
    }

    /// Waits for a permit.
    ///
    /// # Errors
    ///
    /// The queue is full, or the request was rejected in favour of another client's.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        client: HashClient,
    ) -> Result<HashPermit, QueueFull> {
        let (request, permit) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            if state.free > 0 {
                state.free -= 1;
                return Ok(HashPermit(Some(Arc::clone(self))));
            }
            if state.known.len() + state.unknown.len() >= self.capacity {
                // Their clients have gone.
                state.known.retain(|request| !request.is_closed());
                state.unknown.retain(|request| !request.is_closed());
            }
            let is_full = state.known.len() + state.unknown.len() >= self.capacity;
            if is_full && !state.make_room(client) {
                return Err(QueueFull);
            }
            state.lane(client.standing).push(client.key, request);
        }
        permit.await.map_err(|_| QueueFull)
    }

    /// Passes a permit on.
    fn release(self: Arc<Self>) {
        let mut queue = self;
        loop {
            let next = {
                let mut state = lock(&queue.state);
                let next = state.known.pop().or_else(|| state.unknown.pop());
                if next.is_none() {
                    state.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            // A client that has gone meanwhile does not take it.
            let Err(mut returned) = next.send(HashPermit(Some(queue))) else { return };
            let Some(taken) = returned.0.take() else { return };
            queue = taken;
        }
    }
}

impl Drop for HashPermit {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    type Waiting = BoxFuture<'static, Result<HashPermit, QueueFull>>;

    fn client(number: u8) -> HashClient {
        HashClient::unknown(IpAddr::from([198, 51, 100, number]))
    }

    fn known(number: u8) -> HashClient {
        HashClient::known(IpAddr::from([198, 51, 100, number]))
    }

    /// A request that waits.
    fn wait(queue: &Arc<HashQueue>, client: HashClient) -> Waiting {
        let queue = Arc::clone(queue);
        let mut waiting = async move { queue.acquire(client).await }.boxed();
        assert!((&mut waiting).now_or_never().is_none(), "it waits");
        waiting
    }

    /// Serves all waiting requests one by one. Returns their names in order.
    fn serve(held: HashPermit, waiting: Vec<(&'static str, Waiting)>) -> Vec<&'static str> {
        let mut waiting: Vec<_> = waiting.into_iter().map(|(name, it)| (name, Some(it))).collect();
        let mut served = Vec::new();
        let mut permit = Some(held);
        while permit.take().is_some() {
            for (name, request) in &mut waiting {
                let done = request.as_mut().and_then(FutureExt::now_or_never);
                if let Some(done) = done {
                    *request = None;
                    permit = Some(done.expect("not rejected"));
                    served.push(*name);
                    break;
                }
            }
        }
        served
    }

    fn hold(queue: &Arc<HashQueue>) -> HashPermit {
        queue.acquire(client(0)).now_or_never().expect("free").expect("a permit")
    }

    fn is_rejected(waiting: &mut Waiting) -> bool {
        matches!(waiting.now_or_never(), Some(Err(QueueFull)))
    }

    #[test]
    fn clients_are_served_in_turns_and_known_ones_first() {
        let queue = HashQueue::new(1, 10);
        let held = hold(&queue);
        let mut waiting = Vec::new();
        for name in ["a1", "a2", "a3"] {
            waiting.push((name, wait(&queue, client(1))));
        }
        waiting.push(("b1", wait(&queue, client(2))));
        waiting.push(("known 1", wait(&queue, known(3))));
        waiting.push(("known 2", wait(&queue, known(3))));
        waiting.push(("other known", wait(&queue, known(4))));
        let order = ["known 1", "other known", "known 2", "a1", "b1", "a2", "a3"];
        assert_eq!(serve(held, waiting), order);
        drop(hold(&queue));
    }

    #[test]
    fn a_full_queue_rejects_the_client_that_waits_for_most() {
        let queue = HashQueue::new(1, 3);
        let _held = hold(&queue);
        let mut flood: Vec<Waiting> = (0..3).map(|_| wait(&queue, client(1))).collect();
        let refused = queue.acquire(client(1)).now_or_never();
        assert!(matches!(refused, Some(Err(QueueFull))), "its own next one");
        let _other = wait(&queue, client(2));
        assert!(is_rejected(&mut flood[2]) && !is_rejected(&mut flood[1]));
        // One more would leave it with no fewer than the flood has.
        assert!(matches!(queue.acquire(client(2)).now_or_never(), Some(Err(QueueFull))));
        let mut owner = wait(&queue, known(3));
        assert!(is_rejected(&mut flood[1]) && !is_rejected(&mut flood[0]));
        assert!(!is_rejected(&mut owner));
    }

    #[test]
    fn known_clients_displace_unknown_ones_and_never_the_reverse() {
        let queue = HashQueue::new(1, 2);
        let _held = hold(&queue);
        let mut unknown = wait(&queue, client(1));
        let _first = wait(&queue, known(2));
        let mut second = wait(&queue, known(2));
        assert!(is_rejected(&mut unknown));
        assert!(matches!(queue.acquire(client(4)).now_or_never(), Some(Err(QueueFull))));
        // Of two known clients, one that waits for less.
        let _third = wait(&queue, known(3));
        assert!(is_rejected(&mut second));
    }

    #[test]
    fn a_client_that_goes_away_takes_no_permit_and_no_place() {
        let queue = HashQueue::new(1, 1);
        let held = hold(&queue);
        drop(wait(&queue, client(1)));
        let second = wait(&queue, client(2));
        drop(held);
        // The permit was sent to it and comes back.
        drop(second);
        drop(hold(&queue));
    }
}
