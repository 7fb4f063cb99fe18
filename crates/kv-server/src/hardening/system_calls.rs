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
//! 2. A call by another instruction set, as a 64-bit processor runs 32-bit code,
//!    has numbers of its own. Ours makes none; the kernel ends the process.
//! 3. What is in the list is refused, everything else is allowed.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter_all_threads, sock_filter,
};

/// What is refused whatever its arguments.
const REFUSED: [c_long; 63] = [
    // Programs, and code that no file of ours holds.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    libc::SYS_personality,
    // Other machines: a server is called, it calls nobody.
    libc::SYS_connect,
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

/// Devices obey `ioctl`, and the terminal that the server was started from may be
/// open still: by these it would type what the intruder wants typed.
const REFUSED_DEVICE_CALLS: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

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
    let calls = REFUSED.into_iter().chain(REFUSED_HERE);
    // No rule: whatever the arguments are.
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = calls.map(|call| (call, vec![])).collect();
    let device_rules: Result<_, _> = REFUSED_DEVICE_CALLS.into_iter().map(device_rule).collect();
    rules.insert(libc::SYS_ioctl, device_rules?);
    let refusal = SeccompAction::Errno(libc::EPERM as u32);
    let processor = std::env::consts::ARCH.try_into()?;
    let listed = SeccompFilter::new(rules, SeccompAction::Allow, refusal, processor)?;
    let listed = BpfProgram::try_from(listed)?;
    Ok(without_x32().into_iter().chain(listed).collect())
}

/// Applies to an `ioctl` whose request, its second argument, is `request`. The
/// kernel looks at the lower half of it alone.
fn device_rule(request: u64) -> Result<SeccompRule, BackendError> {
    let (length, operator) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
    SeccompRule::new(vec![SeccompCondition::new(1, length, operator, request)?])
}

/// What stands before the list: three instructions by hand, since a list names
/// single calls and not all from a number on.
fn without_x32() -> [sock_filter; 3] {
    let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    // The number of the call is the first word of what a filter sees.
    let load_number = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let skip_below = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    [
        sock_filter { code: load_number as u16, jt: 0, jf: 0, k: 0 },
        sock_filter { code: skip_below as u16, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: answer as u16, jt: 0, jf: 0, k: refusal },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

    /// Our own processor, as the kernel tells it to filters.
    const OURS: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

    /// 32-bit x86, whose call 11 is `execve`.
    const OLD: u32 = 0x4000_0003;

    /// What the filter says to a call, by the few instructions that it is made of.
    fn judge(number: u32, processor: u32, second_argument: u32) -> u32 {
        let seen = [number, processor, 0, 0, 0, 0, second_argument, 0];
        let program = filter().unwrap();
        let (mut at, mut value) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let jump = |is_met: bool| usize::from(if is_met { jt } else { jf });
            match code {
                0x20 => value = seen[k as usize / 4],
                0x05 => at += k as usize,
                0x15 => at += jump(value == k),
                0x35 => at += jump(value >= k),
                0x06 => return k,
                other => panic!("instruction {other:#x} is unknown to this test"),
            }
        }
    }

    #[test]
    fn what_is_listed_is_refused_and_the_rest_allowed() {
        for call in REFUSED.into_iter().chain(REFUSED_HERE) {
            assert_eq!(judge(call as u32, OURS, 0), REFUSAL, "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_fdatasync, libc::SYS_clone3, libc::SYS_mmap] {
            assert_eq!(judge(call as u32, OURS, 0), libc::SECCOMP_RET_ALLOW, "{call}");
        }
        assert_eq!(judge(X32_BIT - 1, OURS, 0), libc::SECCOMP_RET_ALLOW, "of a later kernel");
        let device = |request: u64| judge(libc::SYS_ioctl as u32, OURS, request as u32);
        assert_eq!(device(libc::FIONBIO), libc::SECCOMP_RET_ALLOW);
        for request in REFUSED_DEVICE_CALLS {
            assert_eq!(device(request), REFUSAL, "{request:#x}");
        }
    }

    #[test]
    fn other_numbers_for_the_same_calls_are_no_way_around() {
        for number in [libc::SYS_execve as u32, 520, 0] {
            assert_eq!(judge(X32_BIT | number, OURS, 0), REFUSAL, "{number}");
        }
        assert_eq!(judge(11, OLD, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn no_call_is_listed_twice() {
        let all = REFUSED.into_iter().chain(REFUSED_HERE);
        let once: std::collections::BTreeSet<c_long> = all.collect();
        assert_eq!(once.len(), REFUSED.len() + REFUSED_HERE.len());
    }
}
