//! Rate limits by address and account, as token buckets: each refills evenly over its period. The
//! limits are those of one process.

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
use crate::config::admission::SHARED_NETWORK_FACTOR;
use crate::config::rate_limits::{FAILURES_PERIOD, RateLimitSettings};

/// Maximum number of blocked keys in memory.
const BLOCKED_NAMES: u64 = 100_000;

/// Subject of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// A signed-in user.
    Account(Uuid),
    /// A [`client_network`], of requests without an account.
    Address(IpAddr),
    /// All accounts of an address, or of an IPv6 /48 network.
    Accounts(IpAddr),
    /// An IPv6 /48 network, of requests without an account.
    Site(IpAddr),
    /// SHA-256 of a login name, whether or not it belongs to an account.
    Name([u8; 32]),
    /// A share link.
    Share(Uuid),
}

impl RateLimitKey {
    /// Key of a client address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(client_network(address))
    }

    /// Key of a login name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self::Name(Sha256::digest(name).into())
    }
}

/// Key of the client of a request: an account, or the address of a request without one. Around it is a network that it shares with
/// others, to which limits apply as well, [`SHARED_NETWORK_FACTOR`] times as high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientKey {
    key: RateLimitKey,
    network: Option<RateLimitKey>,
}

impl ClientKey {
    /// The sender of a request without an account. Its network is the IPv6 /48: one site, or many small customers.
    #[must_use]
    pub fn anonymous(address: IpAddr) -> Self {
        let network = match client_network(address) {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(RateLimitKey::Site(site(address))),
        };
        Self { key: RateLimitKey::address(address), network }
    }

    /// A signed-in user at an address. Their network is that address, or its IPv6 /48, with all accounts that send from there.
    #[must_use]
    pub fn account(user: Uuid, address: IpAddr) -> Self {
        let network = match client_network(address) {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => site(address),
        };
        Self { key: RateLimitKey::Account(user), network: Some(RateLimitKey::Accounts(network)) }
    }

    /// Key of the account or address.
    #[must_use]
    pub const fn key(&self) -> RateLimitKey {
        self.key
    }

    /// Key of the client and of its network, each with the multiple of what a client may have.
    pub fn subjects(&self) -> impl Iterator<Item = (RateLimitKey, u32)> {
        let network = self.network.map(|network| (network, SHARED_NETWORK_FACTOR));
        std::iter::once((self.key, 1)).chain(network)
    }
}

/// The /48 network of an IPv6 address.
fn site(address: Ipv6Addr) -> IpAddr {
    let [a, b, c, ..] = address.segments();
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
}

/// Network that is one client to all limits: an address, and of IPv6 its /64 network, which is what one household
/// has.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// All rate limits of the process.
pub struct RateLimits {
    requests: ClientLimiter,
    cost: ClientLimiter,
    logins: Limiter,
    failures: Limiter,
    blocked: Cache<RateLimitKey, Instant>,
    registrations: Limiter,
    admin: Limiter,
}

/// State of a limit after a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStatus {
    /// Remaining units.
    pub remaining: u32,
    /// Time until one unit is refilled.
    pub next_after: Duration,
    /// Time until the limit is fully refilled.
    pub reset_after: Duration,
}

/// A limit by key; `None` where it is turned off.
struct Limiter(Option<Bucket>);

/// A limit of clients, and of the networks around them.
struct ClientLimiter {
    clients: Limiter,
    networks: Limiter,
}

/// A keyed token bucket and its size.
struct Bucket {
    limiter: KeyedLimiter,
    limit: NonZeroU32,
}

type KeyedLimiter = RateLimiter<
    RateLimitKey,
    DefaultKeyedStateStore<RateLimitKey>,
    DefaultClock,
    StateInformationMiddleware,
>;

impl Limiter {
    fn new(amount: u32, quota: fn(NonZeroU32) -> Quota) -> Self {
        let bucket = |limit| {
            let limiter = RateLimiter::keyed(quota(limit)).with_middleware();
            Bucket { limiter, limit }
        };
        Self(NonZeroU32::new(amount).map(bucket))
    }

    fn take(
        &self,
        key: RateLimitKey,
        amount: u32,
        resource: &'static str,
    ) -> Result<Option<LimitStatus>, ServiceError> {
        let (Some(Bucket { limiter, limit }), Some(amount)) = (&self.0, NonZeroU32::new(amount))
        else {
            return Ok(None);
        };
        // An amount above the limit takes all of it.
        match limiter.check_key_n(&key, amount.min(*limit)) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                let taken = limit.get().saturating_sub(remaining);
                let next_after = state.quota().replenish_interval();
                Ok(Some(LimitStatus { remaining, next_after, reset_after: next_after * taken }))
            }
            Err(_) => Ok(None),
            Ok(Err(not_until)) => {
                let retry_after = not_until.wait_time_from(limiter.clock().now());
                Err(ServiceError::RateLimited { resource, retry_after })
            }
        }
    }

    fn evict_idle(&self) {
        if let Some(Bucket { limiter, .. }) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

impl ClientLimiter {
    fn per_minute(amount: u32) -> Self {
        Self {
            clients: Limiter::new(amount, Quota::per_minute),
            networks: Limiter::new(amount.saturating_mul(SHARED_NETWORK_FACTOR), Quota::per_minute),
        }
    }

    /// Returns the state of the client's own limit.
    fn take(
        &self,
        client: &ClientKey,
        amount: u32,
        resource: &'static str,
    ) -> Result<Option<LimitStatus>, ServiceError> {
        let status = self.clients.take(client.key, amount, resource)?;
        if let Some(network) = client.network {
            self.networks.take(network, amount, resource)?;
        }
        Ok(status)
    }
}

impl RateLimits {
    /// Limits of these settings.
    #[must_use]
    pub fn new(settings: &RateLimitSettings) -> Self {
        let cost = if settings.rate_limit == 0 { 0 } else { settings.rate_limit_cost };
        Self {
            requests: ClientLimiter::per_minute(settings.rate_limit),
            cost: ClientLimiter::per_minute(cost),
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

    /// Counts a request and returns the state of the limit; `None` where it is turned off.
    ///
    /// # Errors
    ///
    /// `RateLimited` above the limit.
    pub fn check_request(&self, client: &ClientKey) -> Result<Option<LimitStatus>, ServiceError> {
        self.requests.take(client, 1, "requests")
    }

    /// Counts the cost points of an operation and returns the state of the limit; `None` where it is turned
    /// off.
    ///
    /// # Errors
    ///
    /// `RateLimited` above the limit.
    pub fn check_cost(
        &self,
        client: &ClientKey,
        cost: u64,
    ) -> Result<Option<LimitStatus>, ServiceError> {
        self.cost.take(client, u32::try_from(cost).unwrap_or(u32::MAX), "cost points")
    }

    /// Counts an attempt to log in or to unlock a share link.
    ///
    /// # Errors
    ///
    /// `RateLimited` above the limit.
    pub fn check_login_attempt(&self, address: IpAddr) -> Result<(), ServiceError> {
        self.logins.take(RateLimitKey::address(address), 1, "attempts").map(drop)
    }

    /// Rejects a key that is blocked because of wrong passwords.
    ///
    /// # Errors
    ///
    /// `RateLimited` while it is blocked.
    pub fn check_login_failures(&self, key: RateLimitKey) -> Result<(), ServiceError> {
        let remaining = self
            .blocked
            .get(&key)
            .map(|until| until.saturating_duration_since(Instant::now()))
            .filter(|remaining| !remaining.is_zero());
        match remaining {
            None => Ok(()),
            Some(retry_after) => {
                Err(ServiceError::RateLimited { resource: "wrong passwords", retry_after })
            }
        }
    }

    /// Counts a wrong password. At the limit the key is blocked until one unit is refilled.
    pub fn record_login_failure(&self, key: RateLimitKey) {
        let wait = match self.failures.take(key, 1, "wrong passwords") {
            Ok(Some(LimitStatus { remaining: 0, next_after, .. })) => next_after,
            Err(ServiceError::RateLimited { retry_after, .. }) => retry_after,
            _ => return,
        };
        self.blocked.insert(key, Instant::now() + wait);
    }

    /// Counts a registration from an address.
    ///
    /// # Errors
    ///
    /// `RateLimited` above the limit.
    pub fn check_registration(&self, address: IpAddr) -> Result<(), ServiceError> {
        self.registrations.take(RateLimitKey::address(address), 1, "registrations").map(drop)
    }

    /// Counts a mutation of an admin.
    ///
    /// # Errors
    ///
    /// `RateLimited` above the limit.
    pub fn check_admin_mutation(&self, admin: Uuid) -> Result<(), ServiceError> {
        self.admin.take(RateLimitKey::Account(admin), 1, "admin mutations").map(drop)
    }

    /// Evicts keys whose limits are fully refilled.
    pub fn evict_idle(&self) {
        for limiter in [
            &self.requests.clients,
            &self.requests.networks,
            &self.cost.clients,
            &self.cost.networks,
            &self.logins,
            &self.failures,
            &self.registrations,
            &self.admin,
        ] {
            limiter.evict_idle();
        }
    }
}
