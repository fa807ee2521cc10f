//! Shares of clients in the requests at work and in SQL time. Both are counted for the client and, more loosely, for the
//! network around it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::rate_limits::{ClientKey, RateLimitKey};
use crate::config::admission::{
    AdmissionSettings, REQUESTS_WITHOUT_BUDGET, SQL_BUDGET_BURST_SECONDS,
};

/// Requests at work and recent SQL time of each client.
#[derive(Debug)]
pub(super) struct ClientShares {
    max_requests: u32,
    budget: SqlBudget,
    shares: HashMap<RateLimitKey, Share>,
}

/// SQL time of a client in a second, in milliseconds; infinite without a limit.
#[derive(Debug, Clone, Copy)]
struct SqlBudget(f64);

/// Requests at work and SQL time of a client or a network.
#[derive(Debug)]
struct Share {
    requests: u32,
    /// Multiple of what a client may have.
    factor: u32,
    /// SQL time that is left, in milliseconds; less than 0 if more was used.
    sql_left: f64,
    refilled_at: Instant,
}

/// Which clients may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eligibility {
    /// Those that have SQL time left.
    WithinBudget,
    /// Also others, if they hold little.
    All,
}

impl ClientShares {
    pub(super) fn new(settings: &AdmissionSettings) -> Self {
        let budget = match settings.client_sql_ms_per_second {
            0 => f64::INFINITY,
            milliseconds => f64::from(milliseconds),
        };
        Self {
            max_requests: u32::try_from(settings.max_concurrent_requests_per_client)
                .unwrap_or(u32::MAX),
            budget: SqlBudget(budget),
            shares: HashMap::new(),
        }
    }

    /// `true` if one more request of that client may be executed.
    pub(super) fn may_serve(
        &self,
        client: &ClientKey,
        eligibility: Eligibility,
        now: Instant,
    ) -> bool {
        client.subjects().all(|(key, _)| {
            self.shares.get(&key).is_none_or(|share| {
                let has_budget = self.budget.left(share, now) > 0.0;
                let maximum = if has_budget { self.max_requests } else { REQUESTS_WITHOUT_BUDGET };
                (has_budget || eligibility == Eligibility::All)
                    && share.requests < maximum.saturating_mul(share.factor)
            })
        })
    }

    /// Counts a request that begins.
    pub(super) fn begin(&mut self, client: &ClientKey, now: Instant) {
        self.update(client, now, |share| share.requests += 1);
    }

    /// Counts the end of a request, with its SQL time.
    pub(super) fn end(&mut self, client: &ClientKey, sql_time: Duration, now: Instant) {
        self.update(client, now, |share| {
            share.requests -= 1;
            share.sql_left -= milliseconds(sql_time);
        });
    }

    /// Counts SQL time.
    pub(super) fn charge(&mut self, client: &ClientKey, sql_time: Duration, now: Instant) {
        self.update(client, now, |share| share.sql_left -= milliseconds(sql_time));
    }

    /// Evicts clients that hold nothing and have used nothing lately.
    pub(super) fn evict_idle(&mut self, now: Instant) {
        let budget = self.budget;
        self.shares.retain(|_, share| {
            share.requests > 0 || budget.left(share, now) < budget.full(share.factor)
        });
        self.shares.shrink_to_fit();
    }

    fn update(&mut self, client: &ClientKey, now: Instant, change: impl Fn(&mut Share)) {
        for (key, factor) in client.subjects() {
            let full = self.budget.full(factor);
            let share = self.shares.entry(key).or_insert(Share {
                requests: 0,
                factor,
                sql_left: full,
                refilled_at: now,
            });
            share.sql_left = self.budget.left(share, now);
            share.refilled_at = now;
            change(share);
            // A debt is forgotten in time, also one that an outage of the database has made.
            share.sql_left = share.sql_left.max(-full);
        }
    }
}

impl SqlBudget {
    /// SQL time that is left, in milliseconds.
    fn left(self, share: &Share, now: Instant) -> f64 {
        let full = self.full(share.factor);
        if full.is_infinite() {
            return full;
        }
        let refilled = now.saturating_duration_since(share.refilled_at).as_secs_f64();
        (share.sql_left + refilled * self.0 * f64::from(share.factor)).min(full)
    }

    /// SQL time after a pause, in milliseconds.
    fn full(self, factor: u32) -> f64 {
        self.0 * SQL_BUDGET_BURST_SECONDS * f64::from(factor)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use uuid::Uuid;

    fn shares(max_requests: usize, sql_budget: u32) -> ClientShares {
        ClientShares::new(&AdmissionSettings {
            max_concurrent_requests_per_client: max_requests,
            client_sql_ms_per_second: sql_budget,
            ..AdmissionSettings::default()
        })
    }

    fn anonymous(address: &str) -> ClientKey {
        ClientKey::anonymous(address.parse().expect("an address"))
    }

    #[test]
    fn client_may_hold_the_maximum_and_its_network_four_times_as_much() {
        let (mut shares, now) = (shares(2, 0), Instant::now());
        let address: IpAddr = "192.0.2.1".parse().expect("an address");
        for user in 0..4 {
            let client = ClientKey::account(Uuid::from_u128(user), address);
            for _ in 0..2 {
                assert!(shares.may_serve(&client, Eligibility::WithinBudget, now));
                shares.begin(&client, now);
            }
            assert!(!shares.may_serve(&client, Eligibility::All, now));
        }
        let fifth = ClientKey::account(Uuid::from_u128(5), address);
        assert!(!shares.may_serve(&fifth, Eligibility::All, now), "of the same address");
        assert!(shares.may_serve(&anonymous("192.0.2.1"), Eligibility::WithinBudget, now));
        shares.end(&ClientKey::account(Uuid::nil(), address), Duration::ZERO, now);
        assert!(shares.may_serve(&fifth, Eligibility::WithinBudget, now));
    }

    #[test]
    fn client_without_budget_has_one_request_at_a_time_until_it_is_refilled() {
        let (mut shares, now) = (shares(2, 100), Instant::now());
        let client = anonymous("192.0.2.1");
        shares.begin(&client, now);
        assert!(shares.may_serve(&client, Eligibility::WithinBudget, now));
        shares.charge(&client, Duration::from_millis(200), now);
        assert!(!shares.may_serve(&client, Eligibility::All, now), "one is at work");
        shares.end(&client, Duration::ZERO, now);
        assert!(!shares.may_serve(&client, Eligibility::WithinBudget, now));
        assert!(shares.may_serve(&client, Eligibility::All, now));
        let later = now + Duration::from_millis(10);
        assert!(shares.may_serve(&client, Eligibility::WithinBudget, later));
    }

    #[test]
    fn debt_is_bounded_and_idle_clients_are_evicted() {
        let (mut shares, now) = (shares(2, 100), Instant::now());
        let client = anonymous("2001:db8::1");
        shares.begin(&client, now);
        shares.end(&client, Duration::from_hours(1), now);
        shares.evict_idle(now + Duration::from_millis(3_990));
        assert_eq!(shares.shares.len(), 2, "the /64 and the /48 network");
        shares.evict_idle(now + Duration::from_millis(4_010));
        assert!(shares.shares.is_empty());
    }
}
