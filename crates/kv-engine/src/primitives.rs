//! Locks, atomics, queues and threads, in one place.
//!
//! Normally they are those of parking_lot, crossbeam, arc-swap and the standard
//! library, and this module costs nothing. With the feature `shuttle`, which is
//! for tests only, they are those of a scheduler that runs one thread at a time
//! and picks the next one wherever threads can meet: the same engine, under
//! thousands of orders of its threads, each of which can be played again.
//!
//! Not in here: plain counters, reference counts and one-time cells. Threads
//! that meet there have nothing to tell each other.

#[cfg(feature = "shuttle")]
mod modelled;

#[cfg(feature = "shuttle")]
pub(crate) use modelled::{ArcSwap, Condvar, Mutex, MutexGuard, SegQueue, schedule_as_background};
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{sync::atomic, thread};

#[cfg(not(feature = "shuttle"))]
pub(crate) use arc_swap::ArcSwap;
#[cfg(not(feature = "shuttle"))]
pub(crate) use crossbeam_queue::SegQueue;
#[cfg(not(feature = "shuttle"))]
pub(crate) use kv_env::schedule_as_background;
#[cfg(not(feature = "shuttle"))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{sync::atomic, thread};
