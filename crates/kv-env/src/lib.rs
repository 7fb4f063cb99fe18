//! The outside world of the kv engine as small ports.
mod ports;

pub use ports::{
    Clock, DirEntry, DirLock, Entropy, Env, Fs, ReadFile, SyncHandle, WriteFile,
};
