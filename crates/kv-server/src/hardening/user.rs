//! Whether root may run the server.
//!
//! A mistake in a server is worth as much as the user who runs it. So root is
//! refused where strangers can reach the server, unless he insists; on loopback,
//! where developers and containers start servers as root all the time, he is told.

use std::net::IpAddr;

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RootVerdict {
    Fine,
    Told,
    Refused,
}

/// What root is told.
pub(super) const NOTICE: &str = "running as root, which a server does not need: start it as a user \
                                 of its own, or set allow_root";

/// Decides about a start.
pub(super) fn judge(is_root: bool, listen: IpAddr, allow_root: bool) -> RootVerdict {
    match (is_root, allow_root) {
        (false, _) | (true, true) => RootVerdict::Fine,
        (true, false) if listen.is_loopback() => RootVerdict::Told,
        (true, false) => RootVerdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_refused_where_others_can_reach_him() {
        let loopback = ["127.0.0.1", "127.9.9.9", "::1"];
        // The last one would be fine, but only its form says so.
        let others = ["0.0.0.0", "::", "10.0.0.1", "fe80::1", "::ffff:127.0.0.1"];
        let verdicts = |is_root, addresses: &[&str], allow_root| {
            let judge = |address: &&str| judge(is_root, address.parse().unwrap(), allow_root);
            addresses.iter().map(judge).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(true, &loopback, false), [RootVerdict::Told; 3]);
        assert_eq!(verdicts(true, &others, false), [RootVerdict::Refused; 5]);
        assert_eq!(verdicts(true, &loopback, true), [RootVerdict::Fine; 3]);
        assert_eq!(verdicts(true, &others, true), [RootVerdict::Fine; 5]);
        for allow_root in [false, true] {
            assert_eq!(verdicts(false, &loopback, allow_root), [RootVerdict::Fine; 3]);
            assert_eq!(verdicts(false, &others, allow_root), [RootVerdict::Fine; 5]);
        }
    }
}
