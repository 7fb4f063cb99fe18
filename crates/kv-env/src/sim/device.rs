//! What a device does wrong while it reports success, or to a part of a file
//! only: lost and misdirected writes, misdirected reads, flipped bits, and
//! sectors that cannot be read.
//!
//! A write fault acts when a successful sync hands sectors to the device. The
//! cache does not know: reads go on to see what was written until the file's
//! cache is dropped or the disk is looked at after a power cut. A read fault
//! acts on reads and maps, and changes nothing that is stored.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use crate::fault::{Countdown, matches_pattern};

use super::contents::SECTOR_BYTES;
use super::directory::{Entry, FileNumber};
use super::op::{Landing, Stray};
use super::state::State;

/// A rule that makes the device itself fail, for
/// [`SimDisk::inject_device`](super::SimDisk::inject_device). It concerns a
/// byte range of every file, for ever; each method narrows it.
///
/// ```
/// use kv_env::{CrashChoice, DeviceFault, SimDisk};
///
/// let disk = SimDisk::new(1);
/// disk.inject_device(DeviceFault::lost_write(512..1024).on("sst_*").times(1));
/// let mut table = disk.fs().create("sst_1.db")?;
/// table.append(&[7; 2048])?;
/// table.sync()?;
/// disk.fs().sync_dir()?;
/// assert_eq!(disk.read_file("sst_1.db").unwrap(), [7; 2048], "it is in the cache");
/// let image = disk.crash(CrashChoice::None);
/// assert_eq!(image.read_file("sst_1.db").unwrap()[512..1024], [0; 512]);
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DeviceFault {
    kind: Kind,
    range: Range<u64>,
    pattern: Option<String>,
    countdown: Countdown,
}

#[derive(Debug, Clone)]
enum Kind {
    LostWrite,
    MisdirectedWrite(Place),
    MisdirectedRead(Place),
    FlippedBits { mask: u8 },
    Unreadable,
}

/// Where in a file.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    offset: u64,
}

impl DeviceFault {
    /// A sync that succeeds does not write the sectors in `range`: their old
    /// bytes come back, zeros where the file was shorter. Its length is kept.
    ///
    /// # Panics
    /// If an end of `range` is no multiple of 512.
    pub fn lost_write(range: Range<u64>) -> DeviceFault {
        DeviceFault::of_sectors(Kind::LostWrite, range)
    }

    /// As [`lost_write`](DeviceFault::lost_write), and the bytes land from
    /// `offset` on in the file that is called `name` at the time, as far as
    /// that reaches on the disk. It may be the same file.
    ///
    /// # Panics
    /// If an end of `range`, or `offset`, is no multiple of 512.
    pub fn misdirected_write(
        range: Range<u64>,
        name: impl Into<String>,
        offset: u64,
    ) -> DeviceFault {
        assert!(is_aligned(offset), "{offset} is no multiple of {SECTOR_BYTES}");
        let place = Place { name: name.into(), offset };
        DeviceFault::of_sectors(Kind::MisdirectedWrite(place), range)
    }

    /// Reads of bytes in `range` return those from `offset` on of the file
    /// that is called `name` at the time, zeros behind its end.
    pub fn misdirected_read(
        range: Range<u64>,
        name: impl Into<String>,
        offset: u64,
    ) -> DeviceFault {
        DeviceFault::new(Kind::MisdirectedRead(Place { name: name.into(), offset }), range)
    }

    /// Reads of the byte at `offset` see the bits of `mask` flipped.
    pub fn flipped_bits(offset: u64, mask: u8) -> DeviceFault {
        DeviceFault::new(Kind::FlippedBits { mask }, offset..offset + 1)
    }

    /// Reads that touch `range` fail (`EIO`). A map cannot report that: mapping
    /// such a file stops the machine, as SIGBUS ends a process that touches
    /// such a page. [`SimDisk::kill`](super::SimDisk::kill) gives what is left.
    pub fn unreadable(range: Range<u64>) -> DeviceFault {
        DeviceFault::new(Kind::Unreadable, range)
    }

    /// Only files whose name matches; `*` stands for any characters.
    pub fn on(self, pattern: impl Into<String>) -> DeviceFault {
        DeviceFault { pattern: Some(pattern.into()), ..self }
    }

    /// Lets this many syncs or reads that it concerns pass first.
    pub fn after(mut self, calls: u64) -> DeviceFault {
        self.countdown.skipped = calls;
        self
    }

    /// Acts on this many syncs or reads and then no more.
    pub fn times(mut self, calls: u64) -> DeviceFault {
        self.countdown.times = Some(calls);
        self
    }

    fn new(kind: Kind, range: Range<u64>) -> DeviceFault {
        DeviceFault { kind, range, pattern: None, countdown: Countdown::default() }
    }

    fn of_sectors(kind: Kind, range: Range<u64>) -> DeviceFault {
        let ends_are_aligned = is_aligned(range.start) && is_aligned(range.end);
        assert!(ends_are_aligned, "{range:?} is not made of {SECTOR_BYTES}-byte sectors");
        DeviceFault::new(kind, range)
    }

    fn concerns(&self, name: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| matches_pattern(pattern, name))
    }
}

fn is_aligned(offset: u64) -> bool {
    offset.is_multiple_of(SECTOR_BYTES as u64)
}

/// A sync by which the device stored something else than it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StraySync {
    /// Its number.
    pub op: u64,
    /// The file that was synced.
    pub file: String,
    /// The files that its bytes have gone to instead, if to any.
    pub landings: BTreeSet<String>,
}

/// The faults of the device that wait for their sync or read.
#[derive(Debug, Default)]
pub(super) struct DevicePlan {
    faults: Vec<DeviceFault>,
}

/// What one read sees instead of the bytes stored in `range`.
#[derive(Debug)]
pub(super) struct ReadDamage {
    pub(super) range: Range<u64>,
    pub(super) effect: Effect,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Error,
    Flip { mask: u8 },
    Elsewhere { name: String, offset: u64 },
}

impl DevicePlan {
    pub(super) fn add(&mut self, fault: DeviceFault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// The sectors that a successful sync of `file` puts in a wrong place.
    pub(super) fn strays(&mut self, name: &str, file: FileNumber, state: &State) -> Vec<Stray> {
        let mut strays = Vec::new();
        for fault in &mut self.faults {
            let place = match &fault.kind {
                Kind::LostWrite => None,
                Kind::MisdirectedWrite(place) => Some(place),
                _ => continue,
            };
            if !fault.concerns(name) {
                continue;
            }
            let sectors: BTreeSet<usize> = state.contents(file).dirty_sectors(&fault.range);
            if sectors.is_empty() || !fault.countdown.fires() {
                continue;
            }
            let first = fault.range.start as usize / SECTOR_BYTES;
            strays.extend(sectors.into_iter().map(|sector| {
                let landing = place.and_then(|place| {
                    let Some(Entry::File(file)) = state.directory().entry(&place.name) else {
                        return None;
                    };
                    let sector = place.offset as usize / SECTOR_BYTES + sector - first;
                    Some(Landing { file, name: place.name.clone(), sector })
                });
                Stray { sector, landing }
            }));
        }
        strays
    }

    /// What goes wrong with a read of `range`.
    pub(super) fn damage(&mut self, name: &str, range: &Range<u64>) -> Vec<ReadDamage> {
        let mut damage = Vec::new();
        for fault in &mut self.faults {
            let hit = fault.range.start.max(range.start)..fault.range.end.min(range.end);
            if hit.is_empty() || !fault.concerns(name) {
                continue;
            }
            let effect = match &fault.kind {
                Kind::LostWrite | Kind::MisdirectedWrite(_) => continue,
                Kind::Unreadable => Effect::Error,
                Kind::FlippedBits { mask } => Effect::Flip { mask: *mask },
                Kind::MisdirectedRead(place) => Effect::Elsewhere {
                    name: place.name.clone(),
                    offset: place.offset + (hit.start - fault.range.start),
                },
            };
            if fault.countdown.fires() {
                damage.push(ReadDamage { range: hit, effect });
            }
        }
        damage
    }
}

impl ReadDamage {
    /// Changes `buffer`, which holds the bytes from `start` on, to what the
    /// read sees. Errors change nothing.
    pub(super) fn apply(&self, buffer: &mut [u8], start: u64, state: &State) {
        let at = (self.range.start - start) as usize..(self.range.end - start) as usize;
        let hit = &mut buffer[at];
        match &self.effect {
            Effect::Error => {}
            Effect::Flip { mask } => hit.iter_mut().for_each(|byte| *byte ^= mask),
            Effect::Elsewhere { name, offset } => {
                let other = state.file(name).map(|file| state.contents(file).live().as_slice());
                let from = usize::try_from(*offset).unwrap_or(usize::MAX);
                let other = other.and_then(|bytes| bytes.get(from..)).unwrap_or_default();
                let there = other.len().min(hit.len());
                hit[..there].copy_from_slice(&other[..there]);
                hit[there..].fill(0);
            }
        }
    }
}

impl fmt::Display for ReadDamage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.range;
        match &self.effect {
            Effect::Error => write!(formatter, "bytes {start} to {end} cannot be read"),
            Effect::Flip { mask } => write!(formatter, "bits {mask:#04x} at {start} flipped"),
            Effect::Elsewhere { name, offset } => {
                write!(formatter, "bytes {start} to {end} come from {offset} of {name}")
            }
        }
    }
}
