//! Overload state. Overload begins when the queue is full, or when a request waits too long while all permits are in use. It
//! lasts while a considerable share of the requests is refused: the short queue under overload refuses some under any load.

use std::time::Instant;

use crate::config::admission::{OVERLOAD_PERIOD, OVERLOAD_REFUSED_SHARE};

/// Overload state of the server.
#[derive(Debug, Default)]
pub(super) struct Overload(Option<Period>);

/// A period of overload, which is followed by another one if too many of its requests were refused.
#[derive(Debug)]
struct Period {
    ends_at: Instant,
    admitted: u32,
    refused: u32,
}

impl Period {
    fn starting_at(now: Instant) -> Self {
        Self { ends_at: now + OVERLOAD_PERIOD, admitted: 0, refused: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.ends_at
    }

    fn refused_share(&self) -> f64 {
        f64::from(self.refused) / f64::from(self.refused + self.admitted).max(1.0)
    }
}

impl Overload {
    /// Starts a period, unless one is active.
    pub(super) fn begin(&mut self, now: Instant) {
        self.0.get_or_insert_with(|| Period::starting_at(now));
    }

    /// Ends an expired period, and starts the next one if enough requests were refused. Returns `true` under overload.
    pub(super) fn update(&mut self, now: Instant) -> bool {
        if let Some(period) = self.0.take_if(|period| period.is_over(now))
            && now < period.ends_at + OVERLOAD_PERIOD
            && period.refused_share() >= OVERLOAD_REFUSED_SHARE
        {
            self.begin(now);
        }
        self.is_active()
    }

    /// `true` if the last update left a period active.
    pub(super) fn is_active(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn count_admitted(&mut self) {
        if let Some(period) = &mut self.0 {
            period.admitted = period.admitted.saturating_add(1);
        }
    }

    pub(super) fn count_refused(&mut self) {
        if let Some(period) = &mut self.0 {
            period.refused = period.refused.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Overload after a period with so many requests.
    fn after_a_period(admitted: u32, refused: u32) -> (Overload, Instant) {
        let mut overload = Overload::default();
        let begun = Instant::now();
        overload.begin(begun);
        (0..admitted).for_each(|_| overload.count_admitted());
        (0..refused).for_each(|_| overload.count_refused());
        (overload, begun + OVERLOAD_PERIOD)
    }

    #[test]
    fn overload_lasts_while_a_tenth_of_the_requests_is_refused() {
        let (mut overload, end) = after_a_period(90, 10);
        assert!(overload.update(end));
        // Nothing was refused in the second period.
        overload.count_admitted();
        assert!(!overload.update(end + OVERLOAD_PERIOD));
        let (mut overload, end) = after_a_period(91, 10);
        assert!(!overload.update(end));
    }

    #[test]
    fn overload_ends_without_requests() {
        let (mut overload, end) = after_a_period(0, 0);
        assert!(!overload.update(end));
        let (mut overload, end) = after_a_period(0, 10);
        assert!(!overload.update(end + OVERLOAD_PERIOD), "they were refused long ago");
    }
}
