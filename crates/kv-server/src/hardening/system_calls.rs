//! The wall around the kernel: system calls that a process that has been taken
//! over is refused.
//!
//! A filter (seccomp) answers `EPERM` to what no store needs and an intruder looks
//! for first: to run programs, to look into other processes, to become another
//! user, to change mounts, namespaces, modules, or the clock of the machine, to
//! call other machines, and to get at the parts of the kernel in which ways out of
//! a sandbox keep being found. It holds for all threads, for those that come later,
//! and for good.
//!
//! Why a list of what is refused, and not of what is allowed: the C library, the
//! standard library and tokio choose the calls that a server makes, and choose
//! anew with every version. A list of the allowed that lacks one call ends or
//! cripples a server after an update, perhaps only where an error is handled. One
//! of the refused is in nobody's way; its price is that a call which is in no list
//! is open, and the files are shut off all the same.
//!
//! How a call is judged:
//!
//! 1. Numbers from [`X32_BIT`] on are refused. The processor runs them like ours,
//!    but they name the same calls once more: a list of ours would let them pass.
//! 2. `clone3` does not exist, it is told: the C library then makes its threads by
//!    `clone`, whose flags a filter can see.
//! 3. A call by another instruction set, as a 64-bit processor runs 32-bit code,
//!    has numbers of its own. Ours makes none; the kernel ends the process.
//! 4. What is in the list, or has arguments that no server gives it
//!    ([`super::argument_rules`]), is refused; everything else is allowed.

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads, sock_filter,
};

use super::argument_rules::argument_rules;

/// What is refused whatever its arguments.
const REFUSED: [c_long; 65] = [
    // Programs, and code that no file of ours holds.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_personality,
    // Other machines: a server is called, it calls nobody. It sends its replies by
    // calls without an address.
    libc::SYS_connect,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Other users and their powers.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    // Another view of the file system, and files by other ways than their names.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // The kernel and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    // Parts of the kernel that are rich in mistakes, and that we do not use.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// The same, of what only some processors have.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: [c_long; 4] =
    [libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_modify_ldt, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: [c_long; 0] = [];

/// Marks a call of the x32 instruction set: that of x86_64 with short pointers.
/// No other processor has calls with such numbers.
const X32_BIT: u32 = 1 << 30;

/// Refuses the calls to this and all other threads of the process.
///
/// # Errors
/// Why there is no filter, as a clause.
pub(super) fn refuse() -> Result<(), String> {
    let filter = filter().map_err(|error| error.to_string())?;
    apply_filter_all_threads(&filter).map_err(|error| error.to_string())
}

fn filter() -> Result<BpfProgram, BackendError> {
    let mut rules = argument_rules()?;
    // No rule: whatever the arguments are.
    rules.extend(REFUSED.into_iter().chain(REFUSED_HERE).map(|call| (call, vec![])));
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    let processor = std::env::consts::ARCH.try_into()?;
    let listed = SeccompFilter::new(rules, SeccompAction::Allow, refusal, processor)?;
    let listed = BpfProgram::try_from(listed)?;
    Ok(before_the_list().into_iter().chain(listed).collect())
}

/// Instructions by hand: a list names single calls and not all from a number on,
/// and has one answer for all of them.
fn before_the_list() -> [sock_filter; 5] {
    // The number of the call is the first word of what a filter sees.
    let load_number = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let skip_below = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let skip_others = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let error = |number: i32| libc::SECCOMP_RET_ERRNO | number as u32;
    [
        sock_filter { code: load_number as u16, jt: 0, jf: 0, k: 0 },
        sock_filter { code: skip_below as u16, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: answer as u16, jt: 0, jf: 0, k: error(libc::EPERM) },
        sock_filter { code: skip_others as u16, jt: 0, jf: 1, k: libc::SYS_clone3 as u32 },
        sock_filter { code: answer as u16, jt: 0, jf: 0, k: error(libc::ENOSYS) },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::argument_rules::{
        REFUSED_CLONE_FLAGS, REFUSED_DEVICE_CALLS, SOCKET_FAMILIES,
    };
    use super::*;

    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSAL: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

    /// Our own processor, as the kernel tells it to filters.
    const OURS: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

    /// 32-bit x86, whose call 11 is `execve`.
    const OLD: u32 = 0x4000_0003;

    /// What the filter says to a call, by the few instructions that it is made of.
    fn judge(number: u32, processor: u32, arguments: [u64; 6]) -> u32 {
        let halves = arguments.into_iter().flat_map(|argument| [argument, argument >> 32]);
        let seen: Vec<u32> =
            [number, processor, 0, 0].into_iter().chain(halves.map(|half| half as u32)).collect();
        let program = filter().unwrap();
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let jump = |is_met: bool| usize::from(if is_met { jt } else { jf });
            match code {
                0x20 => value = seen[k as usize / 4],
                0x54 => value &= k,
                0x05 => at += k as usize,
                0x15 => at += jump(value == k),
                0x35 => at += jump(value >= k),
                0x06 => return k,
                other => panic!("instruction {other:#x} is unknown to this test"),
            }
        }
    }

    /// What the filter says to a call of ours with this argument.
    fn with(call: c_long, place: usize, argument: u64) -> u32 {
        let mut arguments = [0; 6];
        arguments[place] = argument;
        judge(call as u32, OURS, arguments)
    }

    #[test]
    fn what_is_listed_is_refused_and_the_rest_allowed() {
        for call in REFUSED.into_iter().chain(REFUSED_HERE) {
            assert_eq!(with(call, 0, 0), REFUSAL, "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_fdatasync, libc::SYS_accept4, libc::SYS_mmap] {
            assert_eq!(with(call, 0, 0), ALLOWED, "{call}");
        }
        assert_eq!(judge(X32_BIT - 1, OURS, [0; 6]), ALLOWED, "of a later kernel");
        assert_eq!(with(libc::SYS_ioctl, 1, libc::FIONBIO), ALLOWED);
        for request in REFUSED_DEVICE_CALLS {
            assert_eq!(with(libc::SYS_ioctl, 1, request), REFUSAL, "{request:#x}");
        }
    }

    #[test]
    fn threads_are_made_and_no_namespaces() {
        // As the C library makes a thread.
        let thread = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SYSVSEM
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SETTLS
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_CLEARTID;
        let thread = thread as u64;
        assert_eq!(with(libc::SYS_clone, 0, thread), ALLOWED);
        for flag in REFUSED_CLONE_FLAGS {
            for flags in [flag as u64, thread | flag as u64, u64::MAX << 32 | flag as u64] {
                assert_eq!(with(libc::SYS_clone, 0, flags), REFUSAL, "{flags:#x}");
            }
        }
        // Any other error, and the C library would not go on to `clone`.
        let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        assert_eq!(with(libc::SYS_clone3, 0, 0), absent);
    }

    #[test]
    fn nobody_is_called_and_other_sockets_are_not_to_be_had() {
        for family in SOCKET_FAMILIES {
            assert_eq!(with(libc::SYS_socket, 0, family as u64), ALLOWED, "{family}");
        }
        for family in [libc::AF_UNSPEC, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_ALG, -1] {
            assert_eq!(with(libc::SYS_socket, 0, family as u64), REFUSAL, "{family}");
        }
        assert_eq!(with(libc::SYS_sendto, 3, libc::MSG_NOSIGNAL as u64), ALLOWED);
        for address in [1, 0x7fff_0000_0000, u64::MAX] {
            assert_eq!(with(libc::SYS_sendto, 4, address), REFUSAL, "{address:#x}");
        }
    }

    #[test]
    fn other_numbers_for_the_same_calls_are_no_way_around() {
        for number in [libc::SYS_execve as u32, 520, 0] {
            assert_eq!(judge(X32_BIT | number, OURS, [0; 6]), REFUSAL, "{number}");
        }
        assert_eq!(judge(11, OLD, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    }

    /// Twice in the list, or in the list and with rules: one would take the place of
    /// the other.
    #[test]
    fn no_call_is_listed_twice() {
        let listed = REFUSED.into_iter().chain(REFUSED_HERE);
        let all: Vec<c_long> = listed.chain(argument_rules().unwrap().into_keys()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
