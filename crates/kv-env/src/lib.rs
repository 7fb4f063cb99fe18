//! The outside world of the kv engine as small ports.
mod names;
mod ports;
mod real;
mod scheduling;
mod system;

pub use ports::{Clock, DirEntry, DirLock, Entropy, Env, Fs, ReadFile, SyncHandle, WriteFile};
pub use real::{RealFs, page_size};
pub use scheduling::schedule_as_background;
pub use system::{SystemClock, SystemEntropy};
