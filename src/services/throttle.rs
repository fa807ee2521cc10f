//! How often one address or account may ask: each limit fills up again evenly over its period.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::ServiceError;
use crate::config::throttle::ThrottleSettings;

/// Names whose passwords were wrong too often are remembered for as long as their limit's period.
const FAILURES_PERIOD: Duration = Duration::from_hours(1);
/// And so many of them.
const BLOCKED_NAMES: u64 = 100_000;

/// Who asks, or for whose password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A signed-in user.
    Account(Uuid),
    /// An address; of IPv6 the network that one household has.
    Address(IpAddr),
    /// A login name, whether there is such a user or not, as a hash.
    Name([u8; 32]),
    /// A share link.
    Share(Uuid),
}

impl Key {
    /// An address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }

    /// A login name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self::Name(Sha256::digest(name).into())
    }
}

/// The limits of one process.
pub struct Throttle {
    requests: Limiter,
    cost: Limiter,
    logins: Limiter,
    failures: Limiter,
    blocked: Cache<Key, Instant>,
    registrations: Limiter,
    admin: Limiter,
}

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// How much may still be asked for at once.
    pub amount: u32,
    /// When one more is back.
    pub until_next: Duration,
    /// When all of it is back.
    pub whole_after: Duration,
}

/// A limit; nothing where it is off.
struct Limiter(Option<(KeyedLimiter, NonZeroU32)>);

type KeyedLimiter =
    RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

impl Limiter {
    fn new(amount: u32, quota: fn(NonZeroU32) -> Quota) -> Self {
        let limiter = |amount| RateLimiter::keyed(quota(amount)).with_middleware();
        Self(NonZeroU32::new(amount).map(|amount| (limiter(amount), amount)))
    }

    fn take(
        &self,
        key: Key,
        amount: u32,
        what: &'static str,
    ) -> Result<Option<Remaining>, ServiceError> {
        let (Some((limiter, most)), Some(amount)) = (&self.0, NonZeroU32::new(amount)) else {
            return Ok(None);
        };
        // What is larger than the whole limit takes all of it.
        match limiter.check_key_n(&key, amount.min(*most)) {
            Ok(Ok(state)) => {
                let amount = state.remaining_burst_capacity();
                let taken = most.get().saturating_sub(amount);
                let until_next = state.quota().replenish_interval();
                Ok(Some(Remaining { amount, until_next, whole_after: until_next * taken }))
            }
            Err(_) => Ok(None),
            Ok(Err(not_until)) => {
                let retry_after = not_until.wait_time_from(DefaultClock::default().now());
                Err(ServiceError::Throttled { what, retry_after })
            }
        }
    }

    fn forget_idle(&self) {
        if let Some((limiter, _)) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

impl Throttle {
    /// With these settings.
    #[must_use]
    pub fn new(settings: &ThrottleSettings) -> Self {
        let cost = if settings.rate_limit == 0 { 0 } else { settings.rate_limit_cost };
        Self {
            requests: Limiter::new(settings.rate_limit, Quota::per_minute),
            cost: Limiter::new(cost, Quota::per_minute),
            logins: Limiter::new(settings.login_rate, Quota::per_minute),
            failures: Limiter::new(settings.login_failure_rate, Quota::per_hour),
            blocked: Cache::builder()
                .max_capacity(BLOCKED_NAMES)
                .time_to_live(FAILURES_PERIOD)
                .build(),
            registrations: Limiter::new(settings.registration_rate, Quota::per_hour),
            admin: Limiter::new(settings.admin_rate, Quota::per_minute),
        }
    }

    /// Counts a request, and answers what is left; nothing where there is no limit.
    ///
    /// # Errors
    ///
    /// There were too many.
    pub fn request(&self, key: Key) -> Result<Option<Remaining>, ServiceError> {
        self.requests.take(key, 1, "requests")
    }

    /// Counts what an operation costs.
    ///
    /// # Errors
    ///
    /// It was too much in a while.
    pub fn cost(&self, key: Key, cost: u64) -> Result<(), ServiceError> {
        self.cost.take(key, u32::try_from(cost).unwrap_or(u32::MAX), "cost points").map(drop)
    }

    /// Counts an attempt to log in or to unlock from an address.
    ///
    /// # Errors
    ///
    /// There were too many.
    pub fn attempt(&self, address: IpAddr) -> Result<(), ServiceError> {
        self.logins.take(Key::address(address), 1, "attempts").map(drop)
    }

    /// Refuses while there were too many wrong passwords.
    ///
    /// # Errors
    ///
    /// There were.
    pub fn known_failures(&self, of: Key) -> Result<(), ServiceError> {
        let left = self
            .blocked
            .get(&of)
            .map(|until| until.saturating_duration_since(Instant::now()))
            .filter(|left| !left.is_zero());
        match left {
            None => Ok(()),
            Some(retry_after) => {
                Err(ServiceError::Throttled { what: "wrong passwords", retry_after })
            }
        }
    }

    /// Counts a wrong password. After the last one that may be no more are looked at for a while.
    pub fn wrong_password(&self, of: Key) {
        let wait = match self.failures.take(of, 1, "wrong passwords") {
            Ok(Some(Remaining { amount: 0, until_next, .. })) => until_next,
            Err(ServiceError::Throttled { retry_after, .. }) => retry_after,
            _ => return,
        };
        self.blocked.insert(of, Instant::now() + wait);
    }

    /// Counts a registration.
    ///
    /// # Errors
    ///
    /// There were too many from that address.
    pub fn registration(&self, address: IpAddr) -> Result<(), ServiceError> {
        self.registrations.take(Key::address(address), 1, "registrations").map(drop)
    }

    /// Counts a mutation of an admin's.
    ///
    /// # Errors
    ///
    /// There were too many.
    pub fn admin(&self, admin: Uuid) -> Result<(), ServiceError> {
        self.admin.take(Key::Account(admin), 1, "admin mutations").map(drop)
    }

    /// Forgets those who have not asked for a while.
    pub fn forget_idle(&self) {
        for limiter in [
            &self.requests,
            &self.cost,
            &self.logins,
            &self.failures,
            &self.registrations,
            &self.admin,
        ] {
            limiter.forget_idle();
        }
    }
}
