//! Faults to inject: which call shall fail, and how. Shared by the simulated
//! disk and by the wrapper around any file system.

use kv_core::Error;
use rustix::io::Errno;

/// The calls of the ports, as faults and counters name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Operation {
    /// `Fs::create`.
    Create,
    /// `Fs::open`.
    Open,
    /// `Fs::rename`; its file name is the old one.
    Rename,
    /// `Fs::remove`.
    Remove,
    /// `Fs::truncate`, and the cut of `WriteFile::seal`.
    Truncate,
    /// `Fs::create_dir`.
    CreateDir,
    /// `Fs::list`.
    List,
    /// `Fs::sync_dir`.
    SyncDir,
    /// `Fs::lock`.
    Lock,
    /// `Fs::free_space`.
    FreeSpace,
    /// `Fs::reserve`; on a simulated disk the growth of the file, after its
    /// creation.
    Reserve,
    /// `WriteFile::append`.
    Append,
    /// `WriteFile::zero_fill`.
    ZeroFill,
    /// `WriteFile::sync`, `SyncHandle::sync`, and the syncs of `seal` and
    /// `truncate`.
    Sync,
    /// `WriteFile::seal`; on a simulated disk its last step, the change of
    /// mode.
    Seal,
    /// `ReadFile::read_at`.
    Read,
    /// `ReadFile::map`.
    Map,
    /// `ReadFile::drop_cache`.
    DropCache,
}

impl Operation {
    /// As a verb, for messages.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Open => "open",
            Operation::Rename => "rename",
            Operation::Remove => "remove",
            Operation::Truncate => "truncate",
            Operation::CreateDir => "create directory",
            Operation::List => "list",
            Operation::SyncDir => "sync directory",
            Operation::Lock => "lock",
            Operation::FreeSpace => "read the free space of",
            Operation::Reserve => "reserve space in",
            Operation::Append => "append to",
            Operation::ZeroFill => "fill with zeros",
            Operation::Sync => "sync",
            Operation::Seal => "seal",
            Operation::Read => "read",
            Operation::Map => "map",
            Operation::DropCache => "drop the cache of",
        }
    }
}

/// What the failing call reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Failure {
    /// The device failed (`EIO`).
    Device,
    /// The file system is full (`ENOSPC`).
    NoSpace,
    /// Too many open files (`EMFILE`).
    TooManyOpenFiles,
    /// Not enough memory (`ENOMEM`), as a map reports that finds no room.
    OutOfMemory,
    /// The user's share of the file system is used up (`EDQUOT`).
    Quota,
    /// The file system is mounted read-only (`EROFS`), as Linux does by itself
    /// after an error.
    ReadOnly,
    /// The server of a network file system has forgotten the file (`ESTALE`).
    Stale,
    /// A permission is missing (`EACCES`).
    AccessDenied,
    /// The file would be larger than the process or the file system may make
    /// one (`EFBIG`).
    FileTooLarge,
    /// A signal broke the call off (`EINTR`). Reads and writes of the real
    /// backend go on by themselves after it; its syncs report it.
    Interrupted,
    /// The call panics instead of returning, for tests of what a panic in
    /// background work leaves behind. The file system itself stays usable: no
    /// lock of it is held any more when the caller unwinds. On a simulated
    /// disk the op has failed before. A call that is made while a panic
    /// unwinds fails like [`Device`](Failure::Device): a second panic would
    /// end the process.
    Panic,
}

impl Failure {
    /// The error that the failing call returns.
    ///
    /// # Panics
    /// If that is the failure. Callers hold no lock but one whose guard is
    /// dropped while the panic unwinds, and nothing of theirs half done.
    pub(crate) fn error(self, operation: Operation, path: String) -> Error {
        let errno = match self {
            Failure::Device => Errno::IO,
            Failure::Panic if std::thread::panicking() => Errno::IO,
            Failure::NoSpace => Errno::NOSPC,
            Failure::TooManyOpenFiles => Errno::MFILE,
            Failure::OutOfMemory => Errno::NOMEM,
            Failure::Quota => Errno::DQUOT,
            Failure::ReadOnly => Errno::ROFS,
            Failure::Stale => Errno::STALE,
            Failure::AccessDenied => Errno::ACCESS,
            Failure::FileTooLarge => Errno::FBIG,
            Failure::Interrupted => Errno::INTR,
            Failure::Panic => panic!("injected fault: {} {path} panics", operation.verb()),
        };
        Error::io(operation.verb(), path, errno.into())
    }
}

/// A rule that makes calls fail. Without restrictions it matches every call
/// for ever; each method narrows it.
///
/// ```
/// use kv_env::{Failure, Fault, Operation};
/// // The third append to any table finds the disk full, and only that one.
/// Fault::new(Failure::NoSpace).of(Operation::Append).on("sst_*").after(2).times(1);
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    failure: Failure,
    operation: Option<Operation>,
    pattern: Option<String>,
    op: Option<u64>,
    countdown: Countdown,
}

/// Which of the calls that a rule matches it acts on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Countdown {
    /// Calls that pass first.
    pub(crate) skipped: u64,
    /// Calls to act on after that; `None` is no limit.
    pub(crate) times: Option<u64>,
}

impl Countdown {
    /// Counts a call; true if the rule acts on it.
    pub(crate) fn fires(&mut self) -> bool {
        if self.times == Some(0) {
            return false;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

impl Fault {
    /// A fault of every call.
    pub fn new(failure: Failure) -> Fault {
        let countdown = Countdown::default();
        Fault { failure, operation: None, pattern: None, op: None, countdown }
    }

    /// Only calls of this kind.
    pub fn of(self, operation: Operation) -> Fault {
        Fault { operation: Some(operation), ..self }
    }

    /// Only files whose name matches; `*` stands for any characters.
    pub fn on(self, pattern: impl Into<String>) -> Fault {
        Fault { pattern: Some(pattern.into()), ..self }
    }

    /// Only the op of this number in the log of a simulated disk.
    pub fn at_op(self, op: u64) -> Fault {
        Fault { op: Some(op), ..self }
    }

    /// Lets this many matching calls pass first.
    pub fn after(mut self, calls: u64) -> Fault {
        self.countdown.skipped = calls;
        self
    }

    /// Fails this many calls and then no more.
    pub fn times(mut self, calls: u64) -> Fault {
        self.countdown.times = Some(calls);
        self
    }

    fn matches(&self, op: Option<u64>, operation: Operation, name: &str) -> bool {
        self.op.is_none_or(|wanted| op == Some(wanted))
            && self.operation.is_none_or(|wanted| operation == wanted)
            && self.pattern.as_ref().is_none_or(|pattern| matches_pattern(pattern, name))
    }
}

/// The faults that wait for their call.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    faults: Vec<Fault>,
    calls: u64,
}

impl FaultPlan {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Calls that could have been made to fail so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// How the call shall fail, if it shall. `op` is its number in an op log,
    /// where it has one.
    pub(crate) fn failure(
        &mut self,
        op: Option<u64>,
        operation: Operation,
        name: &str,
    ) -> Option<Failure> {
        self.calls += 1;
        let mut failure = None;
        for fault in &mut self.faults {
            if failure.is_none() && fault.matches(op, operation, name) && fault.countdown.fires() {
                failure = Some(fault.failure);
            }
        }
        failure
    }
}

/// Whether `name` matches `pattern`, in which `*` stands for any characters.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    (0..=name.len())
        .filter(|&at| name.is_char_boundary(at))
        .any(|at| matches_pattern(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expected) in [
            ("wal.log", "wal.log", true),
            ("wal.log", "wal.logs", false),
            ("*", "", true),
            ("sst_*", "sst_000001.db", true),
            ("sst_*", "a_sst_", false),
            ("*.db", "sst_000001.db", true),
            ("*_0*1*", "sst_000001.db", true),
            ("*_2*", "sst_000001.db", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_fault_skips_and_counts_only_calls_that_match() {
        let mut plan = FaultPlan::default();
        plan.add(Fault::new(Failure::Device).of(Operation::Append).on("a*").after(1).times(2));
        let calls = ["ab", "b", "ac", "b", "ad", "ae"];
        let failing: Vec<&str> = calls
            .into_iter()
            .filter(|name| plan.failure(None, Operation::Append, name).is_some())
            .collect();
        assert_eq!(failing, ["ac", "ad"]);
        assert_eq!(plan.failure(None, Operation::Sync, "ab"), None);
    }
}
