//! How many connections come from where: one address must not take all places.
//!
//! An IPv6 client has as many addresses as it likes, all in a network of its own,
//! so that network counts as one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::config::Config;

/// The connections of each address that has any.
#[derive(Debug, Default)]
pub(crate) struct PerAddress {
    /// Keyed by what a stranger chooses: the standard map hashes with a secret of
    /// the process.
    counts: HashMap<IpAddr, u64>,
}

impl PerAddress {
    /// Counts one more connection from `address`; false if that would be one too
    /// many.
    pub(crate) fn take(&mut self, address: IpAddr, config: &Config) -> bool {
        let origin = origin(address);
        let count = self.counts.get(&origin).copied().unwrap_or(0);
        let has_room = count < limit(origin, config);
        if has_room {
            self.counts.insert(origin, count + 1);
        }
        has_room
    }

    /// Counts one connection less.
    pub(crate) fn give_back(&mut self, address: IpAddr) {
        let origin = origin(address);
        if let Some(count) = self.counts.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&origin);
            }
        }
    }
}

/// What counts as one address.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [first, second, third, fourth, ..] = address.segments();
            Ipv6Addr::new(first, second, third, fourth, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

/// The most connections from `origin`. If nothing is set, half of all: a client
/// that never closes its connections, or one that means ill, leaves the others
/// the rest, and many clients behind one gateway have room. On loopback everybody
/// has the same address.
fn limit(origin: IpAddr, config: &Config) -> u64 {
    match config.max_clients_per_address {
        Some(limit) => limit,
        None if origin.is_loopback() => config.max_clients,
        None => config.max_clients.div_ceil(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of ten connections from these addresses in turn are taken.
    fn taken(addresses: &[&str], per_address: Option<u64>) -> usize {
        let config =
            Config { max_clients: 9, max_clients_per_address: per_address, ..Config::default() };
        let mut counted = PerAddress::default();
        let addresses = addresses.iter().cycle().take(10);
        addresses.filter(|address| counted.take(address.parse().unwrap(), &config)).count()
    }

    #[test]
    fn one_address_has_half_of_all_places_and_loopback_all() {
        assert_eq!(taken(&["10.0.0.7"], None), 5);
        assert_eq!(taken(&["10.0.0.7", "10.0.0.8"], None), 10, "all together are not counted here");
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(taken(&[loopback], None), 9, "{loopback}");
            assert_eq!(taken(&[loopback], Some(2)), 2, "{loopback}");
        }
        assert_eq!(taken(&["10.0.0.7"], Some(2)), 2);
    }

    #[test]
    fn other_names_of_an_address_are_no_other_address() {
        assert_eq!(taken(&["10.0.0.7", "::ffff:10.0.0.7"], Some(2)), 2);
        assert_eq!(taken(&["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3"], Some(2)), 2);
        assert_eq!(taken(&["2001:db8::1", "2001:db8:0:1::1"], Some(2)), 4);
    }

    #[test]
    fn a_place_that_is_given_back_is_free_again() {
        let config = Config { max_clients_per_address: Some(1), ..Config::default() };
        let mut counted = PerAddress::default();
        let [first, second] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        assert!(counted.take(first, &config) && !counted.take(second, &config));
        counted.give_back(first);
        assert!(counted.counts.is_empty() && counted.take(second, &config));
    }
}
