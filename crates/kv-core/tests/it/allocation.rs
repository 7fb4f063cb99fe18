// unsafe: a global allocator, which notes sizes and otherwise leaves all to the system's.
//! How much memory a call takes at once.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Noting = Noting;

struct Noting;

// SAFETY: every call goes to the system's allocator with its arguments as they
// are; noting allocates nothing.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    /// Not left to the default, which would touch every byte.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The largest piece of memory, in bytes, that this thread takes during `call`.
pub(crate) fn largest_allocation<T>(call: impl FnOnce() -> T) -> (usize, T) {
    LARGEST.set(0);
    let result = call();
    (LARGEST.get(), result)
}
