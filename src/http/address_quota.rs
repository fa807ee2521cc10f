//! A resource of which each client address may hold a share: connections, and bytes of responses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ipnet::{IpNet, Ipv6Net};

use crate::config::connections::WIDE_NETWORK_FACTOR;
use crate::domain::lock::lock;

/// Amounts that client addresses hold of a resource, each up to a maximum. IPv6 is counted by /64, which is
/// what one household has, and more loosely by /48, which is what somebody can have who wants many of them.
pub struct AddressQuota {
    maximum: usize,
    held: Mutex<HashMap<IpNet, usize>>,
}

/// A part of a quota, given back when it is dropped.
pub struct AddressShare {
    quota: Arc<AddressQuota>,
    address: IpAddr,
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
        let address = address.to_canonical();
        let mut held = lock(&self.held);
        let has_room = networks(address).all(|(network, factor)| {
            let before = held.get(&network).copied().unwrap_or_default();
            before.saturating_add(amount) <= self.maximum.saturating_mul(factor)
        });
        if !has_room {
            return None;
        }
        for (network, _) in networks(address) {
            *held.entry(network).or_default() += amount;
        }
        Some(AddressShare { quota: Arc::clone(self), address, amount })
    }
}

impl Drop for AddressShare {
    fn drop(&mut self) {
        let mut held = lock(&self.quota.held);
        for (network, _) in networks(self.address) {
            if let Some(amount) = held.get_mut(&network) {
                *amount -= self.amount;
                if *amount == 0 {
                    held.remove(&network);
                }
            }
        }
    }
}

/// Networks of a canonical address that are counted, each with its multiple of the maximum.
fn networks(address: IpAddr) -> impl Iterator<Item = (IpNet, usize)> {
    let network = |length| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Ipv6Net::new(address, length).ok().map(|net| net.trunc().into()),
    };
    let narrow = network(64).unwrap_or(address.into());
    let wide = network(48).map(|network| (network, WIDE_NETWORK_FACTOR));
    std::iter::once((narrow, 1)).chain(wide)
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
