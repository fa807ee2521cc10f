//! The adaptive concurrency limit: it falls when latency rises above that of a server with little load, and grows
//! while it does not. (A gradient limit, as Netflix's concurrency-limits has it.)

use std::time::Duration;

use crate::config::admission::{
    BASELINE_WINDOWS, CONCURRENCY_MINIMUM, LATENCY_TOLERANCE, LIMIT_WINDOW_REQUESTS,
};

/// Weight of a new limit beside the one before.
const SMOOTHING: f64 = 0.2;

/// Largest decrease by one window, before smoothing.
const GRADIENT_MINIMUM: f64 = 0.5;

/// Weight of a window with little load in the baseline.
const BASELINE_WEIGHT: f64 = 0.3;

/// Maximum number of requests that are executed at once.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    limit: f64,
    maximum: f64,
    /// Mean latency with little load, in seconds; `None` before the first window.
    baseline: Option<f64>,
    /// Windows since the baseline was measured.
    baseline_age: u32,
    /// Mean latency of the last window, in seconds.
    latency: Option<f64>,
    window: Window,
}

/// Completed requests since the last adjustment.
#[derive(Debug, Default)]
struct Window {
    requests: u32,
    /// Sum of the latencies, in seconds.
    latency: f64,
    /// Highest number of requests at once.
    concurrency: usize,
}

impl ConcurrencyLimit {
    /// A limit that begins at its maximum.
    pub(super) fn new(maximum: usize) -> Self {
        let maximum = as_f64(maximum);
        Self {
            limit: maximum,
            maximum,
            baseline: None,
            baseline_age: 0,
            latency: None,
            window: Window::default(),
        }
    }

    /// Requests that may be executed at once.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between the bounds"
    )]
    pub(super) fn get(&self) -> usize {
        if self.is_probing() { CONCURRENCY_MINIMUM } else { self.limit as usize }
    }

    /// Requests that are completed in a time at the limit; 0 if nothing is known of their latency.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and nothing is negative"
    )]
    pub(super) fn completed_in(&self, time: Duration) -> usize {
        let latency = self.latency.map(|latency| latency.max(f64::MIN_POSITIVE));
        latency.map_or(0, |latency| (self.limit * time.as_secs_f64() / latency) as usize)
    }

    /// Load is kept low from time to time, until the baseline was measured anew: requests may have become heavier.
    fn is_probing(&self) -> bool {
        self.baseline_age >= BASELINE_WINDOWS
    }

    /// Records a request that was completed, and adjusts the limit at the end of a window. `concurrency` is the
    /// number of requests at that time, the completed one included.
    pub(super) fn record(&mut self, latency: Duration, concurrency: usize) {
        let window = &mut self.window;
        window.requests += 1;
        window.latency += latency.as_secs_f64();
        window.concurrency = window.concurrency.max(concurrency);
        if window.requests >= LIMIT_WINDOW_REQUESTS {
            let window = std::mem::take(window);
            self.adjust(window.latency / f64::from(window.requests), window.concurrency);
        }
    }

    fn adjust(&mut self, latency: f64, concurrency: usize) {
        let was_probing = self.is_probing();
        self.latency = Some(latency);
        self.baseline_age += 1;
        let baseline = self.baseline.get_or_insert(latency);
        if concurrency <= CONCURRENCY_MINIMUM || latency < *baseline {
            *baseline += BASELINE_WEIGHT * (latency - *baseline);
            self.baseline_age = 0;
        }
        if was_probing {
            return;
        }
        let gradient = (LATENCY_TOLERANCE * *baseline / latency.max(f64::MIN_POSITIVE))
            .clamp(GRADIENT_MINIMUM, 1.0);
        // A limit that is not reached says nothing about a higher one.
        let growth = if as_f64(concurrency) * 2.0 > self.limit { self.limit.sqrt() } else { 0.0 };
        let target = self.limit * gradient + growth;
        self.limit += SMOOTHING * (target - self.limit);
        self.limit = self.limit.clamp(as_f64(CONCURRENCY_MINIMUM), self.maximum);
    }
}

#[expect(clippy::cast_precision_loss, reason = "settings bound it far below 2^52")]
fn as_f64(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of requests with that latency, as many at once as the limit allows, up to `clients`.
    fn run(
        limit: &mut ConcurrencyLimit,
        windows: u32,
        clients: usize,
        milliseconds: impl Fn(usize) -> u64,
    ) {
        for _ in 0..windows * LIMIT_WINDOW_REQUESTS {
            let concurrency = clients.min(limit.get());
            limit.record(Duration::from_millis(milliseconds(concurrency)), concurrency);
        }
    }

    /// Latency of a server with two cores, each of which takes 10 ms for a request.
    fn two_cores(concurrency: usize) -> u64 {
        10 * (concurrency as u64).max(2) / 2
    }

    #[test]
    fn limit_falls_to_what_two_cores_need_and_grows_again() {
        let mut limit = ConcurrencyLimit::new(64);
        run(&mut limit, 10, 2, two_cores);
        assert_eq!(limit.get(), 64, "little load does not lower it");
        run(&mut limit, 100, 1_000, two_cores);
        assert!((4..=10).contains(&limit.get()), "{limit:?}");
        run(&mut limit, 200, 1_000, |_| 10);
        assert_eq!(limit.get(), 64, "latency that does not rise with the load");
    }

    #[test]
    fn throughput_follows_the_latency() {
        let mut limit = ConcurrencyLimit::new(8);
        let time = Duration::from_millis(5);
        assert_eq!(limit.completed_in(time), 0);
        run(&mut limit, 1, 2, |_| 3);
        assert_eq!(limit.completed_in(time), 13);
        run(&mut limit, 1, 2, |_| 0);
        assert_eq!(limit.completed_in(time), usize::MAX);
    }

    #[test]
    fn slower_requests_become_the_baseline() {
        let mut limit = ConcurrencyLimit::new(64);
        run(&mut limit, 10, 2, |_| 1);
        // Heavier requests, of which many can be executed at once.
        run(&mut limit, 1_000, 1_000, |_| 100);
        assert_eq!(limit.get(), 64, "{limit:?}");
    }

    #[test]
    fn limit_stays_within_its_bounds() {
        let mut limit = ConcurrencyLimit::new(8);
        run(&mut limit, 1, 1, |_| 1);
        run(&mut limit, 50, 1_000, |concurrency| 1_000 * concurrency as u64);
        assert!((CONCURRENCY_MINIMUM..=8).contains(&limit.get()));
        run(&mut limit, 500, 1_000, |_| 0);
        assert_eq!(limit.get(), 8);
    }
}
