//! What else the machine does during a leg: threads that compute, or one that
//! writes.
#![allow(clippy::disallowed_methods, reason = "the probe measures the operating system itself")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Outcome};

/// Rate of the writing neighbour, in bytes a second.
const WRITER_BYTES_PER_SECOND: f64 = 100e6;
/// It starts over at this length, so that the disk does not fill.
const WRITER_FILE_BYTES: u64 = 1 << 30;
const WRITER_CHUNK_BYTES: usize = 1 << 20;

/// What runs beside the measured thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    None,
    /// As many threads as cores, computing at normal priority.
    Busy,
    /// The same in the idle scheduling class, as the engine's background is.
    Idle,
    /// A file written at 100 MB/s and synced per so many bytes; 0 is never.
    Writer {
        sync_every_bytes: u64,
    },
}

/// Runs `measured` beside `neighbours`, which end with it.
pub(crate) fn beside<T>(
    neighbours: Neighbours,
    directory: &Path,
    measured: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    let over = AtomicBool::new(false);
    let count = match neighbours {
        Neighbours::None => 0,
        Neighbours::Busy | Neighbours::Idle => {
            thread::available_parallelism().map_or(1, usize::from)
        }
        Neighbours::Writer { .. } => 1,
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..count).map(|_| scope.spawn(|| disturb(neighbours, directory, &over))).collect();
        let result = measured();
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("a neighbour does not panic")?;
        }
        result
    })
}

fn disturb(neighbours: Neighbours, directory: &Path, over: &AtomicBool) -> Outcome {
    match neighbours {
        Neighbours::None => {}
        Neighbours::Busy => compute(over),
        Neighbours::Idle => {
            kv_env::schedule_as_background();
            compute(over);
        }
        Neighbours::Writer { sync_every_bytes } => {
            let path = directory.join("neighbour.db");
            write_until(&path, sync_every_bytes, over).context(path.display())?;
        }
    }
    Ok(())
}

fn compute(over: &AtomicBool) {
    let mut number = 1_u64;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            number = std::hint::black_box(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
    }
}

fn write_until(path: &Path, sync_every_bytes: u64, over: &AtomicBool) -> std::io::Result<()> {
    let file = File::create(path)?;
    let chunk = vec![0xa5; WRITER_CHUNK_BYTES];
    let started = Instant::now();
    let (mut written, mut unsynced) = (0_u64, 0_u64);
    while !over.load(Ordering::Relaxed) {
        file.write_all_at(&chunk, written % WRITER_FILE_BYTES)?;
        written += chunk.len() as u64;
        unsynced += chunk.len() as u64;
        if sync_every_bytes > 0 && unsynced >= sync_every_bytes {
            file.sync_data()?;
            unsynced = 0;
        }
        let due = Duration::from_secs_f64(written as f64 / WRITER_BYTES_PER_SECOND);
        // Nobody unparks: this waits for the next write to be due.
        thread::park_timeout(due.saturating_sub(started.elapsed()));
    }
    drop(file);
    std::fs::remove_file(path)
}
