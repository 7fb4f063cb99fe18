//! Calls that a server makes, and that are refused with arguments that it never
//! gives them.
//!
//! A filter sees the arguments as numbers and cannot follow a pointer. So `clone3`,
//! whose flags lie in memory, is in no rule here, and `sendmsg`, whose address does,
//! is refused whatever its arguments ([`super::system_calls`]).

use std::collections::BTreeMap;

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// Devices obey `ioctl`, and the terminal that the server was started from may be
/// open still: by these it would type what the intruder wants typed.
pub(super) const REFUSED_DEVICE_CALLS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Threads are made by `clone`; these flags make namespaces, in which an intruder
/// would be root and get at what root gets at.
pub(super) const REFUSED_CLONE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// What a server listens on, and what stays on this machine. Any other family of
/// sockets is one more part of the kernel to find mistakes in.
pub(super) const SOCKET_FAMILIES: [i32; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];

/// The rules of each call. One that applies refuses it.
///
/// # Errors
/// If the filter knows no such condition.
pub(super) fn argument_rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let devices = REFUSED_DEVICE_CALLS
        .map(|request| SeccompRule::new(vec![half(1, SeccompCmpOp::Eq, request)?]));
    let flags = REFUSED_CLONE_FLAGS.map(|flag| {
        let flag = flag as u64;
        SeccompRule::new(vec![half(0, SeccompCmpOp::MaskedEq(flag), flag)?])
    });
    let other_families: Result<_, _> = SOCKET_FAMILIES
        .map(|family| half(0, SeccompCmpOp::Ne, family as u64))
        .into_iter()
        .collect();
    // A reply goes to whoever has called, and needs no address. With one a packet,
    // or the first bytes of a connection, would go to any machine.
    let address = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, NO_ADDRESS)?;
    Ok(BTreeMap::from([
        (libc::SYS_ioctl, devices.into_iter().collect::<Result<_, _>>()?),
        (libc::SYS_clone, flags.into_iter().collect::<Result<_, _>>()?),
        (libc::SYS_socket, vec![SeccompRule::new(other_families?)?]),
        (libc::SYS_sendto, vec![SeccompRule::new(vec![address])?]),
    ]))
}

/// The null pointer.
const NO_ADDRESS: u64 = 0;

/// A condition on the lower half of an argument, which is all that the kernel looks
/// at where it takes a number of 32 bits.
fn half(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
