//! A resource of which each client address may hold a share: connections, and bytes of responses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::domain::lock::lock;
use crate::services::rate_limits::{ClientKey, RateLimitKey};

/// Amounts that client addresses hold of a resource, each up to a maximum. IPv6 is counted by /64, which is
/// what one household has, and more loosely by /48, which is what somebody can have who wants many of them.
pub struct AddressQuota {
    maximum: usize,
    held: Mutex<HashMap<RateLimitKey, usize>>,
}

/// A part of a quota, given back when it is dropped.
pub struct AddressShare {
    quota: Arc<AddressQuota>,
    client: ClientKey,
    amount: usize,
}

impl AddressQuota {
    /// A quota of which each address may hold so much.
    #[must_use]
    pub fn new(maximum: usize) -> Arc<Self> {
        Arc::new(Self { maximum, held: Mutex::default() })
    }

    /// Takes an amount for an address; `None` if one of its networks would hold too much.
    pub fn acquire(self: &Arc<Self>, address: IpAddr, amount: usize) -> Option<AddressShare> {
        let client = ClientKey::anonymous(address);
        let mut held = lock(&self.held);
        if !self.has_room_in(&held, &client, amount) {
            return None;
        }
        for (network, _) in client.subjects() {
            *held.entry(network).or_default() += amount;
        }
        Some(AddressShare { quota: Arc::clone(self), client, amount })
    }

    /// Returns `true` if an address could take an amount now.
    pub fn has_room(&self, address: IpAddr, amount: usize) -> bool {
        self.has_room_in(&lock(&self.held), &ClientKey::anonymous(address), amount)
    }

    fn has_room_in(
        &self,
        held: &HashMap<RateLimitKey, usize>,
        client: &ClientKey,
        amount: usize,
    ) -> bool {
        client.subjects().all(|(network, factor)| {
            let before = held.get(&network).copied().unwrap_or_default();
            before.saturating_add(amount) <= self.maximum.saturating_mul(factor as usize)
        })
    }
}

impl Drop for AddressShare {
    fn drop(&mut self) {
        let mut held = lock(&self.quota.held);
        for (network, _) in self.client.subjects() {
            if let Some(amount) = held.get_mut(&network) {
                *amount -= self.amount;
                if *amount == 0 {
                    held.remove(&network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(quota: &Arc<AddressQuota>, address: &str, amount: usize) -> Option<AddressShare> {
        quota.acquire(address.parse().expect("an address"), amount)
    }

    #[test]
    fn each_ipv4_address_may_hold_the_maximum_and_gives_it_back() {
        let quota = AddressQuota::new(3);
        let held = [acquire(&quota, "192.0.2.1", 2), acquire(&quota, "::ffff:192.0.2.1", 1)];
        assert!(held.iter().all(Option::is_some));
        assert!(acquire(&quota, "192.0.2.1", 1).is_none());
        assert!(!quota.has_room("192.0.2.1".parse().expect("an address"), 1));
        assert!(quota.has_room("192.0.2.2".parse().expect("an address"), 3));
        assert!(acquire(&quota, "192.0.2.2", 4).is_none());
        assert!(acquire(&quota, "192.0.2.2", 3).is_some());
        drop(held);
        assert!(acquire(&quota, "192.0.2.1", 3).is_some());
        assert!(lock(&quota.held).is_empty());
    }

    #[test]
    fn a_64_network_of_ipv6_is_one_address_and_a_48_network_four() {
        let quota = AddressQuota::new(2);
        let mut held = Vec::new();
        for network in 0..4 {
            for host in 1..=2 {
                held.push(acquire(&quota, &format!("2001:db8:0:{network}::{host}"), 1));
            }
            assert!(acquire(&quota, &format!("2001:db8:0:{network}::3"), 1).is_none());
        }
        assert!(held.iter().all(Option::is_some));
        assert!(acquire(&quota, "2001:db8:0:4::1", 1).is_none());
        assert!(acquire(&quota, "2001:db8:1::1", 1).is_some());
        held.pop();
        assert!(acquire(&quota, "2001:db8:0:4::1", 1).is_some());
    }
}
