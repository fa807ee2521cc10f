//! Pace of responses with 429. A client that goes on sending above its rate limit would otherwise get as many as the processor
//! can make, at the cost of everybody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::rate_limits::{ClientKey, RateLimitKey};
use crate::config::rate_limits::{REFUSAL_DELAY_MAXIMUM, REFUSAL_PERIOD};
use crate::domain::lock::lock;

/// Earliest time of the next refusal of each address.
#[derive(Debug)]
pub struct RefusalPace {
    /// Time between two refusals of one address; `None` if there is no pace.
    interval: Option<Duration>,
    next: Mutex<HashMap<RateLimitKey, Instant>>,
}

impl RefusalPace {
    /// A pace of so many refusals in a second; 0 is none.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let interval = (per_second > 0).then(|| REFUSAL_PERIOD / per_second);
        Self { interval, next: Mutex::default() }
    }

    /// Time for which a refusal to that address has to wait, at most [`REFUSAL_DELAY_MAXIMUM`]. The first one does not
    /// wait.
    pub fn delay(&self, address: IpAddr, now: Instant) -> Duration {
        let Some(interval) = self.interval else { return Duration::ZERO };
        let latest = now + REFUSAL_DELAY_MAXIMUM;
        let mut next = lock(&self.next);
        let mut take_turn = |(network, factor): (RateLimitKey, u32)| {
            let next = next.entry(network).or_insert(now);
            let turn = (*next).clamp(now, latest);
            *next = turn + interval / factor;
            turn
        };
        let client = ClientKey::anonymous(address);
        let turns = client.subjects().map(&mut take_turn);
        turns.max().map_or(Duration::ZERO, |turn| turn - now)
    }

    /// Evicts addresses whose next refusal would not wait.
    pub fn evict_idle(&self) {
        let now = Instant::now();
        let mut next = lock(&self.next);
        next.retain(|_, next| *next > now);
        next.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(pace: &RefusalPace, addresses: &[&str], now: Instant) -> Vec<u128> {
        let delay = |address: &&str| pace.delay(address.parse().expect("an address"), now);
        addresses.iter().map(delay).map(|delay| delay.as_millis()).collect()
    }

    #[test]
    fn each_address_gets_refusals_at_the_pace_and_the_first_one_at_once() {
        let pace = RefusalPace::new(10);
        let now = Instant::now();
        let flood = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1"];
        assert_eq!(delays(&pace, &flood, now), [0, 100, 0, 200]);
        let later = now + Duration::from_millis(250);
        assert_eq!(delays(&pace, &["192.0.2.1", "192.0.2.2"], later), [50, 0]);
        pace.evict_idle();
        assert!(!lock(&pace.next).is_empty());
    }

    #[test]
    fn a_48_network_of_ipv6_has_the_pace_of_four_addresses() {
        let pace = RefusalPace::new(10);
        let site = ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8::2"];
        assert_eq!(delays(&pace, &site, Instant::now()), [0, 25, 50, 100]);
    }

    #[test]
    fn no_refusal_waits_longer_than_the_maximum() {
        let pace = RefusalPace::new(1);
        let now = Instant::now();
        let delays = delays(&pace, &["192.0.2.1"; 100], now);
        assert_eq!(delays[9], 9_000);
        assert_eq!(delays[99], REFUSAL_DELAY_MAXIMUM.as_millis());
    }

    #[test]
    fn pace_of_0_delays_nothing() {
        let pace = RefusalPace::new(0);
        assert_eq!(delays(&pace, &["192.0.2.1"; 3], Instant::now()), [0, 0, 0]);
        assert!(lock(&pace.next).is_empty());
    }
}
