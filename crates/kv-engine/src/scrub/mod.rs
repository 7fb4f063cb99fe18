//! The scrub: reads the database from the disk, slowly, so that rot is found
//! while a backup can still mend it, and not when the key is asked for.
//!
//! 1. A pass begins with the manifest in use, as far as it is durable, and the
//!    sealed segments, whose writes are in no table yet ([`log`]).
//! 2. Then it goes over the tables in the order of their ids, the oldest first.
//! 3. It leaves out what was made after it began: it ends however fast new
//!    tables come. It holds none between two slices: one that a compaction
//!    removes, or a flush does with a segment, is passed over.
//! 4. Where it is, and when the last pass ended, travels in the manifest
//!    ([`place`]): after a restart it goes on there.
//!
//! What it finds is listed, and one thing is mended: a damaged manifest, which the
//! next open would refuse, is replaced by a fresh one while memory knows what it
//! said, and moved to the quarantine. Of a table other keys can still be read, and
//! a compaction that comes upon the damage stops by itself. While a segment is
//! here its writes are in memory too, so a flush saves them. The list is not kept.
//! So a place behind damage is never recorded: the next open begins at the first
//! damaged table, or at the logs, and finds it again.
//!
//! The active segment is not scrubbed. To be read from the device its pages
//! would have to leave memory, and with them the zeros that the writer is about
//! to fill: each page would cost a commit a read. Read from memory, it would
//! show nothing. It is sealed when its memory table is full and at each open.

mod log;
mod place;

use std::sync::Arc;
use std::time::Duration;

use kv_compaction::{TableRef, VersionEdit};
use kv_core::{FileKind, Result};
use kv_sstable::{DamagedPart, TableScrub};

use crate::live_table::LiveTable;
use crate::primitives::atomic::Ordering::Relaxed;
use crate::primitives::{Mutex, MutexGuard, schedule_as_background};
use crate::shared::Shared;
use crate::signals::Wake;

use log::{Log, OpenLog};

pub(crate) use place::ScrubPlace;

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

/// A damaged part of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ScrubFinding {
    /// The file.
    pub file: String,
    /// Where the part starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong with it, and what was done about it, if anything.
    pub what: String,
}

/// Where the scrub is, and what it has found.
pub(crate) struct Scrub {
    /// None between two passes. Held while a slice is read.
    pass: Mutex<Option<Pass>>,
    findings: Mutex<Findings>,
    /// What the next edit of the manifest records.
    place: Mutex<ScrubPlace>,
    /// When an edit is due that records nothing else.
    record_at: Mutex<Duration>,
}

struct Findings {
    list: Vec<ScrubFinding>,
    /// Where the next open has to begin so that it finds them all again: the
    /// least id of a damaged table, 0 for a log.
    first_id: u64,
}

/// A pass over everything.
struct Pass {
    /// When it began, in milliseconds since 1970.
    started_ms: u64,
    /// The logs that are still to be read, taken from the end; `None` before
    /// they are looked for.
    logs: Option<Vec<Log>>,
    /// The log that is begun.
    open_log: Option<OpenLog>,
    /// Tables below this id are done.
    next_id: u64,
    /// Tables from this id on were made after the pass began.
    end_id: u64,
    /// The table of that id, if it is begun.
    open: Option<TableScrub>,
}

impl Pass {
    /// The pass that was at `place` when the database was closed.
    fn resume(place: ScrubPlace) -> Pass {
        Pass {
            started_ms: place.started_ms,
            logs: (place.next_id > 0).then(Vec::new),
            open_log: None,
            next_id: place.next_id,
            end_id: place.end_id,
            open: None,
        }
    }
}

/// What came of a slice.
struct Slice {
    bytes: u64,
    ends_pass: bool,
}

impl Scrub {
    /// Goes on at `place`.
    pub(crate) fn new(place: ScrubPlace, now: Duration) -> Scrub {
        Scrub {
            pass: Mutex::new((!place.is_between_passes()).then(|| Pass::resume(place))),
            findings: Mutex::new(Findings { list: Vec::new(), first_id: u64::MAX }),
            place: Mutex::new(place),
            record_at: Mutex::new(now.saturating_add(place::RECORD_INTERVAL)),
        }
    }

    pub(crate) fn findings(&self) -> Vec<ScrubFinding> {
        self.findings.lock().list.clone()
    }

    pub(crate) fn finding_count(&self) -> u64 {
        self.findings.lock().list.len() as u64
    }

    /// Waits for the end of a slice, and lets none begin.
    pub(crate) fn between_slices(&self) -> MutexGuard<'_, impl Sized> {
        self.pass.lock()
    }

    pub(crate) fn place(&self) -> ScrubPlace {
        *self.place.lock()
    }

    /// Takes over where `pass` is.
    fn set_place(&self, pass: &Pass) {
        let first_id = self.findings.lock().first_id;
        let mut place = self.place.lock();
        place.started_ms = pass.started_ms;
        place.next_id = pass.next_id.min(first_id);
        place.end_id = pass.end_id;
    }

    fn note(&self, (id, file): (u64, &str), part: DamagedPart) {
        let DamagedPart { offset, bytes, what } = part;
        let mut findings = self.findings.lock();
        findings.first_id = findings.first_id.min(id);
        let is_known =
            findings.list.iter().any(|known| known.file == file && known.offset == offset);
        if !is_known && findings.list.len() < MAX_FINDINGS {
            findings.list.push(ScrubFinding { file: file.into(), offset, bytes, what });
        }
    }

    /// Notes damage of a log. That of a manifest holds no place back: an open
    /// refuses it, or finds another one in its place.
    fn note_log(&self, (kind, file): (FileKind, &str), part: DamagedPart) {
        let id = if kind == FileKind::Manifest { u64::MAX } else { 0 };
        self.note((id, file), part);
    }

    /// Adds to the findings in `file` that a fresh one has taken its place.
    pub(crate) fn note_replaced(&self, file: &str, kept_as: Option<&str>) {
        let kept = kept_as.map(|name| format!(", and this is kept as {name}")).unwrap_or_default();
        let mut findings = self.findings.lock();
        for finding in findings.list.iter_mut().filter(|finding| finding.file == file) {
            finding.what.push_str(&format!("; a fresh one has taken its place{kept}"));
        }
    }
}

impl Shared {
    pub(crate) fn run_scrub_thread(&self) {
        schedule_as_background();
        let rate = self.options.scrub_bytes_per_second;
        let interval = Duration::from_secs(self.options.scrub_interval_secs);
        let now = || self.env.clock.monotonic();
        let place = self.scrub.place();
        let until_next = place.until_next_pass(self.env.clock.wall_ms(), interval);
        let mut next_pass = now().saturating_add(until_next);
        if place.is_between_passes() {
            if self.signals.wait_for_scrub(Some(until_next)) == Wake::Closed {
                return;
            }
            next_pass = now().saturating_add(interval);
        }
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
        let slice = self.scrub_slice(MAX_SLICE_BYTES)?;
        Ok(!slice.ends_pass)
    }

    /// Has the place of the scrub written to the manifest, if it is long since
    /// that was done. Space, memory and descriptors that are lacking are left to
    /// work that needs them more.
    fn record_place(&self) -> Result<()> {
        let now = self.env.clock.monotonic();
        {
            let mut record_at = self.scrub.record_at.lock();
            if now < *record_at {
                return Ok(());
            }
            *record_at = now.saturating_add(place::RECORD_INTERVAL);
        }
        let is_known = self.scrub.place() == self.manifest.lock().state().scrub;
        if is_known || self.poison.error().is_some() {
            return Ok(());
        }
        match self.install(&VersionEdit::default()) {
            Err(error) if error.is_out_of_space() || error.is_out_of_resources() => Ok(()),
            Err(error) => {
                Err(self.poison(format!("cannot record the place of the scrub: {error}")))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Checks the next `budget` bytes, and has the place recorded if that is due.
    ///
    /// # Errors
    /// Out of descriptors or memory: nothing is passed over. `Poisoned` if the
    /// place could not be recorded; `Closed`.
    fn scrub_slice(&self, budget: u64) -> Result<Slice> {
        let guard = self.poison_on_panic("a scrub");
        let mut pass = guard.holding(self.scrub.pass.lock());
        self.check_open()?;
        let slice = self.scrub_bytes(&mut pass, budget)?;
        self.record_place()?;
        Ok(slice)
    }

    fn scrub_bytes(&self, place: &mut Option<Pass>, budget: u64) -> Result<Slice> {
        let pass = place.get_or_insert_with(|| {
            Pass::resume(ScrubPlace {
                started_ms: self.env.clock.wall_ms(),
                next_id: 0,
                end_id: self.next_file_id.load(Relaxed),
                completed_ms: 0,
            })
        });
        let mut bytes = 0;
        while bytes < budget {
            if self.scrub_next_log(pass, budget, &mut bytes)? {
                continue;
            }
            let Some(live) = self.table_from(pass.next_id, pass.end_id) else {
                pass.next_id = pass.end_id;
                self.scrub.set_place(pass);
                self.scrub.place.lock().completed_ms = self.env.clock.wall_ms();
                *place = None;
                self.counters.scrub_passes.fetch_add(1, Relaxed);
                return Ok(Slice { bytes, ends_pass: true });
            };
            bytes += self.scrub_table(pass, &live, budget - bytes)?;
        }
        self.scrub.set_place(pass);
        Ok(Slice { bytes, ends_pass: false })
    }

    /// Goes on with the logs of a pass, and adds what was read to `bytes`;
    /// false if none is left.
    fn scrub_next_log(&self, pass: &mut Pass, budget: u64, bytes: &mut u64) -> Result<bool> {
        if let Some(log) = &mut pass.open_log {
            let (read, is_at_end) = self.scrub_log(log, budget - *bytes)?;
            *bytes += read;
            self.counters.scrubbed_log_bytes.fetch_add(read, Relaxed);
            if is_at_end {
                pass.open_log = None;
            }
            return Ok(true);
        }
        let logs = pass.logs.get_or_insert_with(|| self.logs_to_scrub());
        let Some(&next) = logs.last() else { return Ok(false) };
        pass.open_log = self.open_log(next)?;
        logs.pop();
        Ok(true)
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
                    self.scrub.note((meta.id, &meta.file_name()), part);
                    pass.next_id = meta.id + 1;
                    return Ok(0);
                }
            },
        };
        let mut damage = Vec::new();
        let progress = open.step(&live.table, budget, &mut damage);
        for part in damage {
            self.scrub.note((meta.id, &meta.file_name()), part);
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
