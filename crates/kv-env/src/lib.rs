//! The outside world of the kv engine as small ports: files, time, randomness.
//!
//! * The ports are [`Fs`] with [`WriteFile`], [`ReadFile`] and [`SyncHandle`],
//!   [`Clock`] and [`Entropy`]; [`Env`] holds one of each.
//! * [`Env::real`] is the operating system: one directory, opened once, whose
//!   files are reached without following links.
//! * [`SimDisk`] is a disk in memory that can lose power at any op, and says
//!   what it would have held for each thing the power cut may have torn.
//! * [`FaultFs`] makes chosen calls of either of them fail, or wait for something
//!   else.
//!
//! What this crate is not: it does not know what is in a file, and it has no
//! threads of its own.
//!
//! A log that is synced before it answers loses nothing, wherever the power
//! fails:
//!
//! ```
//! use kv_env::SimDisk;
//!
//! let disk = SimDisk::new(1);
//! let fs = disk.fs();
//! let mut log = fs.create("wal.log")?;
//! fs.sync_dir()?;
//! let mut answered = Vec::new();
//! for number in 1..=3_u8 {
//!     log.append(&[number; 700])?;
//!     log.sync()?;
//!     answered.push((disk.op_count(), 700 * usize::from(number)));
//! }
//! for op in 0..=disk.op_count() {
//!     let promised = answered.iter().rfind(|(at, _)| *at <= op).map_or(0, |(_, len)| *len);
//!     for (choice, image) in disk.images(op) {
//!         let bytes = image.read_file("wal.log").unwrap_or_default();
//!         let kept = bytes.iter().take_while(|byte| **byte != 0).count();
//!         assert!(kept >= promised, "op {op}, {choice:?}: {:#?}", disk.history());
//!     }
//! }
//! # Ok::<(), kv_core::Error>(())
//! ```
//!
//! Invariants:
//! * What differs between the backends cannot be told through the ports: one
//!   property test drives both and compares every answer.
//! * No name leads out of the database directory.
//! * A failed sync is never tried again, and a sealed file never changes.
//! * The simulated disk never destroys a synced byte, and a rename leaves the
//!   old name or the new one.
//! * This is the only crate that maps files; its `unsafe` is one map and one
//!   scheduling call, each in a file that says so in its first line.

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
pub use real::{RealFs, RealOptions, page_size};
pub use scheduling::schedule_as_background;
pub use sim::{CrashChoice, DeviceFault, DirectoryModel, SimClock, SimDisk, SimOptions, StraySync};
pub use system::{SystemClock, SystemEntropy};
