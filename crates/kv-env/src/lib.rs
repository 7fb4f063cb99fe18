//! The outside world of the kv engine as small ports.
mod fault;
mod fault_fs;
mod names;
mod ports;
mod real;
mod scheduling;
mod sim;
mod system;

pub use fault::{Failure, Fault, Operation};
pub use fault_fs::FaultFs;
pub use ports::{Clock, DirEntry, DirLock, Entropy, Env, Fs, ReadFile, SyncHandle, WriteFile};
pub use real::{RealFs, page_size};
pub use scheduling::schedule_as_background;
pub use sim::{CrashChoice, DirectoryModel, SimClock, SimDisk, SimOptions};
pub use system::{SystemClock, SystemEntropy};
