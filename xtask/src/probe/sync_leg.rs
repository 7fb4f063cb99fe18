//! One leg of the probe: write a little, fdatasync, again and again.
#![allow(clippy::disallowed_methods, reason = "the probe measures the operating system itself")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::fs::{FallocateFlags, fallocate};

use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;

/// Length of a file that is prepared ahead; writing starts over at its end.
const PREPARED_BYTES: u64 = 64 << 20;

/// How the file is made ready for the writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preparation {
    /// Every write makes the file longer.
    Append,
    /// Space is reserved, its extents are unwritten.
    Fallocate,
    /// Zeros are on disk already.
    Prewritten,
}

/// Writes of `write_bytes` with an fdatasync each for `duration`; the time of
/// each pair, in nanoseconds.
pub(crate) fn run(
    directory: &Path,
    preparation: Preparation,
    write_bytes: usize,
    duration: Duration,
    interrupt: &Interrupt,
) -> Outcome<Histogram<u64>> {
    let path = directory.join("probe.log");
    let file = prepare(&path, preparation).context(path.display())?;
    let buffer = vec![0x5a; write_bytes];
    let mut took_ns = Histogram::new_with_bounds(1, 60_000_000_000, 3)
        .map_err(|error| Failure::check(error.to_string()))?;
    let mut position = 0;
    let started = Instant::now();
    while started.elapsed() < duration {
        interrupt.check()?;
        let begun = Instant::now();
        file.write_all_at(&buffer, position).context("write")?;
        file.sync_data().context("fdatasync")?;
        took_ns.saturating_record(begun.elapsed().as_nanos() as u64);
        position += write_bytes as u64;
        if preparation != Preparation::Append && position + write_bytes as u64 > PREPARED_BYTES {
            position = 0;
        }
    }
    drop(file);
    std::fs::remove_file(&path).context(path.display())?;
    Ok(took_ns)
}

fn prepare(path: &Path, preparation: Preparation) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    match preparation {
        Preparation::Append => {}
        Preparation::Fallocate => fallocate(&file, FallocateFlags::empty(), 0, PREPARED_BYTES)?,
        Preparation::Prewritten => {
            let zeros = vec![0; 1 << 20];
            for position in (0..PREPARED_BYTES).step_by(zeros.len()) {
                file.write_all_at(&zeros, position)?;
            }
        }
    }
    file.sync_all()?;
    Ok(file)
}
