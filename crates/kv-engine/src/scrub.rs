//! The scrub: reads all tables from the disk, slowly, so that rot is found
//! while a backup can still mend it, and not when the key is asked for.
//!
//! A pass goes over the tables in the order of their ids, the oldest first, and
//! leaves out those that were made after it began: it ends however fast new
//! ones come. It holds no table between two slices: one that a compaction
//! removes is passed over.
//!
//! What it finds is listed and nothing else: other keys can still be read, and
//! a compaction that comes upon the damage stops by itself.
//!
//! The log is not scrubbed: a sealed segment is removed as soon as its memory
//! table is flushed, which does not read it.

use std::sync::Arc;
use std::time::Duration;

use kv_compaction::TableRef;
use kv_core::Result;
use kv_sstable::{DamagedPart, TableScrub};

use crate::live_table::LiveTable;
use crate::primitives::atomic::Ordering::Relaxed;
use crate::primitives::{Mutex, schedule_as_background};
use crate::shared::Shared;
use crate::signals::Wake;

/// The most that is read without a pause, in bytes.
const MAX_SLICE_BYTES: u64 = 1 << 20;

/// The least, in bytes: the smallest read that a device does.
const MIN_SLICE_BYTES: u64 = 4 << 10;

/// Slices per second, where their size allows.
const SLICES_PER_SECOND: u64 = 4;

/// The most findings that are kept: enough to see what is going on; the whole
/// list of a ruined disk is the affair of an offline check.
const MAX_FINDINGS: usize = 100;

/// The time until the next attempt when there was no file descriptor left.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A damaged part of a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ScrubFinding {
    /// The file of the table.
    pub file: String,
    /// Where the part starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Where the scrub is, and what it has found.
pub(crate) struct Scrub {
    /// None between two passes. Held while a slice is read.
    pass: Mutex<Option<Pass>>,
    findings: Mutex<Vec<ScrubFinding>>,
}

/// A pass over all tables.
struct Pass {
    /// Tables below this id are done.
    next_id: u64,
    /// Tables from this id on were made after the pass began.
    end_id: u64,
    /// The table of that id, if it is begun.
    open: Option<TableScrub>,
}

/// What came of a slice.
struct Slice {
    bytes: u64,
    ends_pass: bool,
}

impl Scrub {
    pub(crate) fn new() -> Scrub {
        Scrub { pass: Mutex::new(None), findings: Mutex::new(Vec::new()) }
    }

    pub(crate) fn findings(&self) -> Vec<ScrubFinding> {
        self.findings.lock().clone()
    }

    pub(crate) fn finding_count(&self) -> u64 {
        self.findings.lock().len() as u64
    }

    fn note(&self, file: &str, part: DamagedPart) {
        let DamagedPart { offset, bytes, what } = part;
        let mut findings = self.findings.lock();
        let is_known = findings.iter().any(|known| known.file == file && known.offset == offset);
        if !is_known && findings.len() < MAX_FINDINGS {
            findings.push(ScrubFinding { file: file.into(), offset, bytes, what });
        }
    }
}

impl Shared {
    pub(crate) fn run_scrub_thread(&self) {
        schedule_as_background();
        let rate = self.options.scrub_bytes_per_second;
        let interval = Duration::from_secs(self.options.scrub_interval_secs);
        let now = || self.env.clock.monotonic();
        let mut next_pass = now().saturating_add(interval);
        loop {
            let start = now();
            let next = match self.scrub_slice(slice_bytes(rate)) {
                Ok(Slice { bytes, ends_pass: false }) => next_start(start, bytes, rate),
                Ok(Slice { bytes, ends_pass: true }) => {
                    let next = next_start(start, bytes, rate).max(next_pass);
                    next_pass = next.saturating_add(interval);
                    next
                }
                Err(_) => start.saturating_add(RETRY_INTERVAL),
            };
            let patience = next.saturating_sub(now());
            if self.signals.wait_for_scrub(Some(patience)) == Wake::Closed {
                return;
            }
        }
    }

    pub(crate) fn scrub_step(&self) -> Result<bool> {
        self.check_open()?;
        self.scrub_slice(MAX_SLICE_BYTES).map(|slice| !slice.ends_pass)
    }

    /// Checks the next `budget` bytes.
    ///
    /// # Errors
    /// Out of descriptors or memory: nothing is passed over.
    fn scrub_slice(&self, budget: u64) -> Result<Slice> {
        let _guard = self.poison_on_panic("a scrub");
        let mut place = self.scrub.pass.lock();
        let pass = place.get_or_insert_with(|| Pass {
            next_id: 0,
            end_id: self.next_file_id.load(Relaxed),
            open: None,
        });
        let mut bytes = 0;
        while bytes < budget {
            let Some(live) = self.table_from(pass.next_id, pass.end_id) else {
                *place = None;
                self.counters.scrub_passes.fetch_add(1, Relaxed);
                return Ok(Slice { bytes, ends_pass: true });
            };
            bytes += self.scrub_table(pass, &live, budget - bytes)?;
        }
        Ok(Slice { bytes, ends_pass: false })
    }

    /// The table of the tree with the least id in a range.
    fn table_from(&self, first_id: u64, end_id: u64) -> Option<Arc<LiveTable>> {
        let view = self.view.load();
        let tables = view.version.tables().map(|(_, live)| live);
        tables
            .filter(|live| (first_id..end_id).contains(&live.meta().id))
            .min_by_key(|live| live.meta().id)
            .map(Arc::clone)
    }

    /// Goes on with `live`, which the pass has come to; returns the bytes it
    /// has read, `budget` at most.
    fn scrub_table(&self, pass: &mut Pass, live: &LiveTable, budget: u64) -> Result<u64> {
        let meta = live.meta();
        if pass.next_id != meta.id {
            // The table that was begun is gone, or none was.
            pass.next_id = meta.id;
            pass.open = None;
        }
        let open = match &mut pass.open {
            Some(open) => open,
            closed => match TableScrub::open(&*self.env.fs, &live.table) {
                Ok(open) => closed.insert(open),
                Err(error) if error.is_out_of_resources() => return Err(error),
                Err(error) => {
                    let what = format!("the file cannot be read: {error}");
                    let part = DamagedPart { offset: 0, bytes: meta.file_bytes, what };
                    self.scrub.note(&meta.file_name(), part);
                    pass.next_id = meta.id + 1;
                    return Ok(0);
                }
            },
        };
        let mut damage = Vec::new();
        let progress = open.step(&live.table, budget, &mut damage);
        for part in damage {
            self.scrub.note(&meta.file_name(), part);
        }
        if progress.is_at_end {
            pass.next_id = meta.id + 1;
            pass.open = None;
        }
        self.counters.scrubbed_bytes.fetch_add(progress.bytes, Relaxed);
        Ok(progress.bytes)
    }
}

/// The size of a slice at `rate` bytes per second: small enough that reads of
/// others wait for little.
fn slice_bytes(rate: u64) -> u64 {
    (rate / SLICES_PER_SECOND).clamp(MIN_SLICE_BYTES, MAX_SLICE_BYTES)
}

/// When the slice after one of `bytes` that was begun at `start` may begin, so
/// that no stretch of time sees more than `rate` bytes per second and a slice.
/// Time that was lost is not made up for.
fn next_start(start: Duration, bytes: u64, rate: u64) -> Duration {
    const NANOS_PER_SECOND: u128 = 1_000_000_000;
    let nanos = (u128::from(bytes) * NANOS_PER_SECOND).div_ceil(u128::from(rate.max(1)));
    let pause = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    start.saturating_add(pause)
}

#[cfg(test)]
mod tests {
    use kv_env::{Clock, SimClock};

    use super::*;

    #[test]
    fn no_stretch_of_time_sees_more_than_the_rate_and_a_slice() {
        for rate in [1, 1000, 100_000, 4 << 20, 1 << 40] {
            let (clock, slice) = (SimClock::new(), slice_bytes(rate));
            let mut slices: Vec<(Duration, u64)> = Vec::new();
            for number in 0..200u64 {
                let start = clock.monotonic();
                // The last of a table is smaller; the disk is slow now and then.
                let bytes = if number % 7 == 3 { 1 + slice / 3 } else { slice };
                clock.advance(Duration::from_millis(if number % 11 == 5 { 3000 } else { 2 }));
                slices.push((start, bytes));
                let pause = next_start(start, bytes, rate).saturating_sub(clock.monotonic());
                clock.advance(pause);
            }
            for first in 0..slices.len() {
                let mut total = 0;
                for &(start, bytes) in &slices[first..] {
                    total += u128::from(bytes);
                    let nanos = (start - slices[first].0).as_nanos();
                    let allowed = u128::from(rate) * nanos / 1_000_000_000 + u128::from(slice);
                    assert!(total <= allowed, "rate {rate}: {total} bytes in {nanos} ns");
                }
            }
        }
    }

    #[test]
    fn the_rate_is_reached_and_slices_are_small() {
        assert_eq!(slice_bytes(4 << 20), 1 << 20);
        assert_eq!(slice_bytes(1 << 30), 1 << 20);
        assert_eq!(slice_bytes(1), 4 << 10);
        let quarter = next_start(Duration::from_secs(9), 1 << 20, 4 << 20);
        assert_eq!(quarter, Duration::from_millis(9250));
        assert_eq!(next_start(Duration::MAX, 1, 1), Duration::MAX);
    }
}
