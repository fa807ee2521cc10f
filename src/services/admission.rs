//! Admission: for which requests the server works, which wait, and which are refused. A concurrency limit bounds the requests at
//! work. Others wait in a fair queue, in which a client that holds much waits behind those that hold little.
//!
//! A request is admitted before a new document of it is parsed, and again before its execution. Responses from the cache are
//! not counted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::client_shares::{ClientShares, Eligibility};
use super::concurrency_limit::ConcurrencyLimit;
use super::fair_queue::{FairQueue, Order};
use super::overload::Overload;
use super::rate_limits::ClientKey;
use crate::config::admission::{AdmissionSettings, OVERLOAD_QUEUE_TIME, OVERLOAD_WARNING_INTERVAL};
use crate::domain::lock::lock;

/// Admission of requests to be executed. One for the process.
#[derive(Debug)]
pub struct Admission {
    settings: AdmissionSettings,
    state: Mutex<State>,
}

/// Figures of admission at one moment, and counters since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionStats {
    /// Requests that may be executed at once, at present.
    pub limit: usize,
    /// Requests that are executed.
    pub at_work: usize,
    /// Requests that wait.
    pub queued: usize,
    /// Requests that were admitted for execution.
    pub admitted: u64,
    /// Requests that were refused at once, displaced by others, or waited too long.
    pub refused: u64,
    /// `true` under overload: from a full queue or a wait that was too long, until less than a tenth of the requests is refused.
    pub is_overloaded: bool,
}

/// Kind of work that a permit covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Parsing of a document that is not in the cache.
    Parsing,
    /// Execution of an operation.
    Execution,
}

/// The queue is full, or the request has waited too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is overloaded")]
pub struct Overloaded;

#[derive(Debug)]
struct State {
    limit: ConcurrencyLimit,
    at_work: usize,
    queue: FairQueue<QueuedRequest>,
    shares: ClientShares,
    overload: Overload,
    warned_at: Option<Instant>,
    admitted: u64,
    refused: u64,
}

#[derive(Debug)]
struct QueuedRequest {
    client: ClientKey,
    work: Work,
    permit: oneshot::Sender<Permit>,
}

/// A permit to execute a request. When it is dropped, the next request gets it.
#[derive(Debug)]
pub struct Permit {
    /// `None` once its place was given to another request.
    admission: Option<Arc<Admission>>,
    client: ClientKey,
    admitted_at: Instant,
    /// `None` for a request that was cancelled, and for work without statements.
    sql_time: Option<Duration>,
}

impl Admission {
    /// Admission with these settings.
    #[must_use]
    pub fn new(settings: &AdmissionSettings) -> Arc<Self> {
        let state = State {
            limit: ConcurrencyLimit::new(settings.max_concurrent_requests),
            at_work: 0,
            queue: FairQueue::default(),
            shares: ClientShares::new(settings),
            overload: Overload::default(),
            warned_at: None,
            admitted: 0,
            refused: 0,
        };
        Arc::new(Self { settings: settings.clone(), state: Mutex::new(state) })
    }

    /// Waits for a permit to do that work for a request of that client.
    ///
    /// # Errors
    ///
    /// [`Overloaded`]: at once if the queue is full and the client has its share of it, later if the request is displaced
    /// by another client's or has waited for `QUEUE_TIMEOUT_MS`.
    pub async fn admit(
        self: &Arc<Self>,
        client: ClientKey,
        work: Work,
    ) -> Result<Permit, Overloaded> {
        let queued = {
            let now = Instant::now();
            let mut state = lock(&self.state);
            state.overload.update(now);
            // Where there is room, only clients wait that may not be served.
            if state.has_room() && state.shares.may_serve(&client, Eligibility::All, now) {
                state.begin(&client, work, now);
                return Ok(self.permit(client, now));
            }
            if !self.make_place(&mut state, &client, now) {
                return Err(Overloaded);
            }
            let (permit, queued) = oneshot::channel();
            state.queue.push(client.key(), QueuedRequest { client, work, permit });
            queued
        };
        if let Ok(Ok(permit)) = timeout(self.settings.queue_timeout, queued).await {
            return Ok(permit);
        }
        let mut state = lock(&self.state);
        if !state.has_room() {
            state.begin_overload(Instant::now());
        }
        state.refuse();
        Err(Overloaded)
    }

    /// Refuses a request of that client that [`Self::admit`] would refuse at once: it need not be read. `None` is a client
    /// that is not identified yet, and has no place in the queue.
    ///
    /// # Errors
    ///
    /// [`Overloaded`].
    pub fn check(&self, client: Option<&ClientKey>) -> Result<(), Overloaded> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.overload.update(now);
        if !state.is_full(self.settings.max_queued_requests) {
            return Ok(());
        }
        let own = client.map_or(0, |client| state.queue.len_of(client.key()));
        if state.queue.longest() > own + 1 {
            return Ok(());
        }
        state.refuse();
        Err(Overloaded)
    }

    /// Counts SQL time of a client outside of admitted requests.
    pub fn charge(&self, client: &ClientKey, sql_time: Duration) {
        lock(&self.state).shares.charge(client, sql_time, Instant::now());
    }

    /// Current figures.
    #[must_use]
    pub fn stats(&self) -> AdmissionStats {
        let mut state = lock(&self.state);
        AdmissionStats {
            limit: state.limit.get(),
            at_work: state.at_work,
            queued: state.queue.len(),
            admitted: state.admitted,
            refused: state.refused,
            is_overloaded: state.overload.update(Instant::now()),
        }
    }

    /// Evicts clients that hold nothing and have used nothing lately.
    pub fn evict_idle(&self) {
        let mut state = lock(&self.state);
        state.queue.retain(|request| !request.permit.is_closed());
        state.shares.evict_idle(Instant::now());
    }

    fn permit(self: &Arc<Self>, client: ClientKey, now: Instant) -> Permit {
        let admission = Some(Arc::clone(self));
        Permit { admission, client, admitted_at: now, sql_time: None }
    }

    /// Makes a place in the queue, at the cost of a client that waits for more. Returns `false` if there is none.
    fn make_place(&self, state: &mut State, client: &ClientKey, now: Instant) -> bool {
        let AdmissionSettings { max_queued_requests, max_queued_requests_per_client, .. } =
            self.settings;
        let own = state.queue.len_of(client.key());
        if state.queue.len() >= state.places(max_queued_requests) {
            state.queue.retain(|request| !request.permit.is_closed());
            if state.queue.len() >= max_queued_requests && !state.has_room() {
                state.begin_overload(now);
            }
        }
        let places = state.places(max_queued_requests);
        while state.queue.len() > places && state.queue.reject_longest(0) {}
        let is_full = state.queue.len() >= places && !state.queue.reject_longest(own + 1);
        if own >= max_queued_requests_per_client || is_full {
            state.refuse();
            return false;
        }
        true
    }

    /// Gives the places at work to queued requests.
    fn dispatch(self: &Arc<Self>, state: &mut State, now: Instant) {
        while state.has_room() {
            let Some(QueuedRequest { client, work, permit }) = state.next(now) else { return };
            state.begin(&client, work, now);
            if let Err(mut returned) = permit.send(self.permit(client, now)) {
                // Its client has gone.
                returned.admission = None;
                state.end(&client, Duration::ZERO, now);
            }
        }
    }
}

impl State {
    fn has_room(&self) -> bool {
        self.at_work < self.limit.get()
    }

    fn begin(&mut self, client: &ClientKey, work: Work, now: Instant) {
        self.at_work += 1;
        self.admitted += u64::from(work == Work::Execution);
        self.overload.count_admitted();
        self.shares.begin(client, now);
    }

    fn end(&mut self, client: &ClientKey, sql_time: Duration, now: Instant) {
        self.at_work -= 1;
        self.shares.end(client, sql_time, now);
    }

    /// The next request to execute, of clients with SQL time left first.
    fn next(&mut self, now: Instant) -> Option<QueuedRequest> {
        let order = if self.overload.is_active() { Order::NewestFirst } else { Order::OldestFirst };
        let Self { queue, shares, .. } = self;
        [Eligibility::WithinBudget, Eligibility::All].into_iter().find_map(|eligibility| {
            queue.pop_where(order, |request| shares.may_serve(&request.client, eligibility, now))
        })
    }

    /// Length of the queue. Under overload it is short, so that what is served is served soon.
    fn places(&self, maximum: usize) -> usize {
        if !self.overload.is_active() {
            return maximum;
        }
        let short = self.limit.completed_in(OVERLOAD_QUEUE_TIME).max(self.limit.get() / 2);
        short.min(maximum)
    }

    /// `true` under overload if requests are executed and queued up to the limits.
    fn is_full(&self, maximum: usize) -> bool {
        self.overload.is_active() && !self.has_room() && self.queue.len() >= self.places(maximum)
    }

    fn begin_overload(&mut self, now: Instant) {
        self.overload.begin(now);
        if self.warned_at.is_some_and(|at| now - at < OVERLOAD_WARNING_INTERVAL) {
            return;
        }
        self.warned_at = Some(now);
        tracing::warn!(
            limit = self.limit.get(),
            queued = self.queue.len(),
            "requests wait too long or are too many: the server is overloaded and refuses some"
        );
    }

    fn refuse(&mut self) {
        self.refused += 1;
        self.overload.count_refused();
    }
}

impl Permit {
    /// Returns the permit of a completed request, with its SQL time.
    pub fn complete(mut self, sql_time: Duration) {
        self.sql_time = Some(sql_time);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(admission) = self.admission.take() else { return };
        let now = Instant::now();
        let held = now - self.admitted_at;
        let mut state = lock(&admission.state);
        if self.sql_time.is_some() {
            let concurrency = state.at_work;
            state.limit.record(held, concurrency);
        }
        // Charge the whole duration where the SQL time is unknown (a cancelled request) or none (parsing).
        state.end(&self.client, self.sql_time.unwrap_or(held), now);
        admission.dispatch(&mut state, now);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    type Waiting = BoxFuture<'static, Result<Permit, Overloaded>>;

    fn admission(places: usize, of_client: usize) -> Arc<Admission> {
        Admission::new(&AdmissionSettings {
            max_concurrent_requests: 4,
            max_queued_requests: places,
            max_concurrent_requests_per_client: of_client,
            ..AdmissionSettings::default()
        })
    }

    fn client(number: u8) -> ClientKey {
        ClientKey::anonymous(IpAddr::from([198, 51, 100, number]))
    }

    fn admit(admission: &Arc<Admission>, number: u8) -> Waiting {
        let admission = Arc::clone(admission);
        let mut waiting =
            async move { admission.admit(client(number), Work::Execution).await }.boxed();
        // Enters the queue.
        let first = (&mut waiting).now_or_never();
        match first {
            Some(result) => async move { result }.boxed(),
            None => waiting,
        }
    }

    fn hold(admission: &Arc<Admission>, number: u8) -> Permit {
        admit(admission, number).now_or_never().expect("at once").expect("admitted")
    }

    fn is_waiting(waiting: &mut Waiting) -> bool {
        waiting.now_or_never().is_none()
    }

    #[tokio::test]
    async fn clients_are_served_in_turns() {
        let admission = admission(10, 4);
        let mut held: Vec<_> = (0..4).map(|_| hold(&admission, 0)).collect();
        let mut flood: Vec<_> = (0..3).map(|_| admit(&admission, 1)).collect();
        let other = admit(&admission, 2);
        held.pop();
        let first = flood.remove(0).await.expect("its turn");
        held.pop();
        let other = other.await.expect("after one of the flood");
        assert!(flood.iter_mut().all(is_waiting));
        drop((first, other, held));
        for waiting in flood {
            waiting.await.expect("served at last");
        }
        assert_eq!(admission.stats().at_work, 0);
    }

    #[tokio::test]
    async fn one_client_has_its_maximum_and_others_are_served() {
        let admission = admission(10, 2);
        let held = [hold(&admission, 1), hold(&admission, 1)];
        let mut third = admit(&admission, 1);
        assert!(is_waiting(&mut third));
        let _other = hold(&admission, 2);
        drop(held);
        third.await.expect("admitted");
    }

    #[tokio::test]
    async fn client_that_has_used_its_sql_time_waits_behind_others() {
        let admission = admission(10, 4);
        let mut held: Vec<_> = (0..4).map(|_| hold(&admission, 0)).collect();
        admission.charge(&client(1), Duration::from_mins(1));
        let mut heavy = [admit(&admission, 1), admit(&admission, 1)];
        let light = admit(&admission, 2);
        held.pop();
        let light = light.await.expect("first, although it came later");
        drop(light);
        let [first, second] = &mut heavy;
        let first = first.await.expect("when nobody else waits");
        held.clear();
        assert!(is_waiting(second), "one at a time");
        drop(first);
        second.await.expect("served at last");
    }

    #[tokio::test]
    async fn full_queue_is_overload_which_refuses_at_once_until_it_is_over() {
        let admission = admission(6, 4);
        let held: Vec<_> = (1..=4).map(|number| hold(&admission, number)).collect();
        let mut waiting: Vec<_> = (1..=6).map(|number| admit(&admission, number)).collect();
        assert!(waiting.iter_mut().all(is_waiting));
        assert!(!admission.stats().is_overloaded);
        assert_eq!(admission.check(Some(&client(7))), Ok(()));
        assert_eq!(admission.check(None), Ok(()));

        let refused = admit(&admission, 7).now_or_never().expect("at once");
        assert!(refused.is_err());
        assert!(admission.stats().is_overloaded);
        assert_eq!(admission.check(Some(&client(7))), Err(Overloaded));
        assert_eq!(admission.check(None), Err(Overloaded));
        // Half as many wait as are at work, the others are refused.
        assert_eq!(waiting.iter_mut().filter_map(FutureExt::now_or_never).count(), 4);
        assert_eq!(admission.stats().queued, 2);
        drop(held);
        assert_eq!(admission.check(Some(&client(7))), Ok(()));
        assert_eq!(admission.check(None), Ok(()));
    }

    #[tokio::test]
    async fn flood_that_fills_the_queue_is_refused_and_others_are_not() {
        let admission = admission(4, 4);
        let _held: Vec<_> = (0..4).map(|_| hold(&admission, 1)).collect();
        let _flood: Vec<_> = (0..4).map(|_| admit(&admission, 1)).collect();
        assert!(admit(&admission, 1).now_or_never().is_some_and(|result| result.is_err()));
        assert_eq!(admission.stats().queued, 2);
        assert_eq!(admission.check(Some(&client(1))), Err(Overloaded));
        assert_eq!(admission.check(Some(&client(2))), Ok(()));
        assert_eq!(admission.check(None), Ok(()));
    }

    #[tokio::test]
    async fn flood_is_displaced_by_others() {
        let admission = admission(4, 4);
        let _held: Vec<_> = (0..4).map(|_| hold(&admission, 1)).collect();
        let mut flood: Vec<_> = (0..4).map(|_| admit(&admission, 1)).collect();
        let mut other = admit(&admission, 2);
        assert!(is_waiting(&mut other));
        // The queue is half as long as the concurrency limit now, and each has a half of it.
        let refused = flood.split_off(1);
        assert!(is_waiting(&mut flood[0]));
        for request in refused {
            assert!(request.now_or_never().is_some_and(|result| result.is_err()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn request_waits_for_the_timeout_and_a_cancelled_one_leaves_no_trace() {
        let admission = admission(10, 4);
        let held: Vec<_> = (0..4).map(|_| hold(&admission, 0)).collect();
        let begun = tokio::time::Instant::now();
        assert!(admit(&admission, 1).await.is_err());
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
        drop(admit(&admission, 2));
        let third = admit(&admission, 3);
        drop(held);
        drop(third.await.expect("the ones before it have gone"));
        let stats = admission.stats();
        assert_eq!((stats.at_work, stats.queued, stats.refused), (0, 0, 1));
        assert!(stats.is_overloaded, "waits are too long");
    }
}
