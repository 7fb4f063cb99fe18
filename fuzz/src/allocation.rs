// unsafe: a global allocator, which counts and otherwise leaves all to the system's.
//! How much memory a decoder takes, asserted.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// True while what is allocated belongs to the target, not to the decoder.
static IS_OWN: AtomicBool = AtomicBool::new(false);
/// How much that is, of what lives.
static OWN: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

/// What a decoder may take whatever its input: buffers of fixed size.
pub const FIXED_BYTES: usize = 1 << 20;

/// What it may take of its input.
pub const GROWTH: usize = 4;

fn grown(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if !IS_OWN.load(Ordering::Relaxed) {
        PEAK.fetch_max(live.saturating_sub(OWN.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with its arguments as they
// are; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Both exist while one is copied into the other.
        grown(new_size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Runs `decode` and asserts that it never holds more than four times its
/// input and a mebibyte at once.
pub fn bounded<T>(input_bytes: usize, decode: impl FnOnce() -> T) -> T {
    bounded_by(GROWTH * input_bytes + FIXED_BYTES, decode)
}

/// Runs `decode` and asserts that it never holds more than `limit` bytes at
/// once. Only one thread may allocate meanwhile.
pub fn bounded_by<T>(limit: usize, decode: impl FnOnce() -> T) -> T {
    let before = LIVE.load(Ordering::Relaxed);
    OWN.store(0, Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = decode();
    let taken = PEAK.load(Ordering::Relaxed) - before;
    assert!(taken <= limit, "took {taken} bytes, {limit} at most");
    result
}

/// Gathers what a decoder gave, inside [`bounded`]: what stays of this in
/// memory is the target's own and does not count until the bound is left.
pub fn own<T>(gather: impl FnOnce() -> T) -> T {
    let before = LIVE.load(Ordering::Relaxed);
    IS_OWN.store(true, Ordering::Relaxed);
    let result = gather();
    IS_OWN.store(false, Ordering::Relaxed);
    let kept = LIVE.load(Ordering::Relaxed).saturating_sub(before);
    OWN.fetch_add(kept, Ordering::Relaxed);
    result
}
