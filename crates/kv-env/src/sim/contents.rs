//! The bytes of one simulated file: what reads see, what a power cut surely
//! keeps, and the changes in between.
//!
//! A write is cut into changes of one 512-byte sector each, because a disk
//! writes a sector wholly or not at all. A sector change holds the bytes of
//! the whole sector as the page cache had them after the write, so a later
//! change of a sector includes the earlier ones, and "any subset of the
//! changes" is exactly "each sector old, or as it was after any write since".

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// The unit that a disk writes atomically.
pub(super) const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    /// Oldest first.
    pending: Vec<Pending>,
    is_sealed: bool,
    /// The device has not stored what it was told to: clean pages differ from
    /// the disk.
    is_cache_wrong: bool,
}

/// A change that no successful sync has covered.
#[derive(Debug, Clone)]
struct Pending {
    /// Number of the op that made it.
    op: u64,
    /// A failed sync marked the page clean: no later sync will write it, yet
    /// it may have reached the disk.
    is_given_up: bool,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    /// The sector holds `bytes[start..end]`, and the file reaches at least to
    /// their end.
    Sector { index: usize, bytes: Arc<[u8]>, start: usize, end: usize },
    /// Zeros, and a file that reaches at least to their end. One change, since
    /// half of them missing looks like a shorter file or like all of them.
    Zeros { from: usize, to: usize },
    /// The file has this length.
    Length(usize),
}

/// What new bytes of a file hold where their data was lost.
#[derive(Debug, Clone, Default)]
pub(super) enum Holes {
    /// Zeros, as on ext4 in ordered mode and on xfs.
    #[default]
    Zeros,
    /// Old bytes of another file, as on file systems that write lengths before
    /// data.
    Stale(Arc<Vec<u8>>),
}

impl Contents {
    /// A file whose bytes are durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Contents {
        let bytes = Arc::new(bytes);
        Contents { live: Arc::clone(&bytes), durable: bytes, ..Contents::default() }
    }

    pub(super) fn live(&self) -> &Arc<Vec<u8>> {
        &self.live
    }

    /// What a power cut surely leaves.
    pub(super) fn durable_bytes(&self) -> &Arc<Vec<u8>> {
        &self.durable
    }

    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// True if clean pages may differ from the disk: a failed sync left their
    /// fate unknown, or the device went wrong.
    pub(super) fn has_doubtful_pages(&self) -> bool {
        self.is_cache_wrong || self.pending.iter().any(|pending| pending.is_given_up)
    }

    /// The sectors within `range` that the next sync will write.
    pub(super) fn dirty_sectors(&self, range: &Range<u64>) -> BTreeSet<usize> {
        let within = range.start as usize / SECTOR_BYTES..range.end as usize / SECTOR_BYTES;
        let dirty = self.pending.iter().filter(|pending| !pending.is_given_up);
        dirty
            .flat_map(|pending| {
                let sectors = pending.change.sectors();
                sectors.start.max(within.start)..sectors.end.min(within.end)
            })
            .collect()
    }

    /// The bytes of a sector on the disk; zeros behind the end of the file.
    pub(super) fn durable_sector(&self, sector: usize) -> Vec<u8> {
        let mut bytes = vec![0; SECTOR_BYTES];
        let stored = self.durable.get(sector * SECTOR_BYTES..).unwrap_or_default();
        let len = stored.len().min(SECTOR_BYTES);
        bytes[..len].copy_from_slice(&stored[..len]);
        bytes
    }

    /// Changes a sector on the disk behind the back of the cache; the file
    /// gets no longer.
    pub(super) fn overwrite_durable(&mut self, sector: usize, bytes: &[u8]) {
        if let Some(stored) = Arc::make_mut(&mut self.durable).get_mut(sector * SECTOR_BYTES..) {
            let len = stored.len().min(bytes.len());
            stored[..len].copy_from_slice(&bytes[..len]);
        }
        self.is_cache_wrong = true;
    }

    /// The ops of the pending changes, in their order.
    pub(super) fn pending_ops(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().map(|pending| pending.op)
    }

    pub(super) fn write(&mut self, op: u64, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        let live = Arc::make_mut(&mut self.live);
        let grows = end > live.len();
        if grows {
            live.resize(end, 0);
        }
        live[offset..end].copy_from_slice(bytes);

        let first = offset / SECTOR_BYTES;
        let last = (end - 1) / SECTOR_BYTES;
        let base = first * SECTOR_BYTES;
        let touched_end = ((last + 1) * SECTOR_BYTES).min(live.len());
        let touched: Arc<[u8]> = Arc::from(&live[base..touched_end]);
        for index in first..=last {
            let start = index * SECTOR_BYTES - base;
            let end = (start + SECTOR_BYTES).min(touched.len());
            self.push(op, Change::Sector { index, bytes: Arc::clone(&touched), start, end });
        }
        if grows {
            self.push(op, Change::Length(end));
        }
    }

    pub(super) fn write_zeros(&mut self, op: u64, from: usize, to: usize) {
        let change = Change::Zeros { from, to };
        change.apply(Arc::make_mut(&mut self.live), &Holes::Zeros);
        self.push(op, change);
    }

    pub(super) fn set_len(&mut self, op: u64, len: usize) {
        if len != self.live.len() {
            Arc::make_mut(&mut self.live).resize(len, 0);
            self.push(op, Change::Length(len));
        }
    }

    fn push(&mut self, op: u64, change: Change) {
        self.pending.push(Pending { op, is_given_up: false, change });
    }

    /// A sync that succeeds: everything pending is durable, but for what an
    /// earlier sync has given up.
    pub(super) fn sync(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        let mut given_up: Vec<Pending> = Vec::new();
        for pending in self.pending.drain(..) {
            if pending.is_given_up {
                given_up.push(pending);
            } else {
                pending.change.apply(durable, &Holes::Zeros);
                given_up.retain(|older| !pending.change.supersedes(&older.change));
            }
        }
        self.pending = given_up;
    }

    /// A sync that fails: the pages count as clean although nobody knows which
    /// of them were written.
    pub(super) fn give_up_pages(&mut self) {
        for pending in &mut self.pending {
            pending.is_given_up = true;
        }
    }

    /// Drops the clean pages: for what was given up, and for what the device
    /// did wrong, reads now see the disk.
    /// `is_on_disk` decides the fate of each such change, once and for all.
    /// With `keeps_len` the file seems as long as it was: pages leave the cache,
    /// the inode does not.
    pub(super) fn evict(&mut self, keeps_len: bool, mut is_on_disk: impl FnMut() -> bool) {
        let len = self.live.len();
        let durable = Arc::make_mut(&mut self.durable);
        self.pending.retain(|pending| {
            if pending.is_given_up && is_on_disk() {
                pending.change.apply(durable, &Holes::Zeros);
            }
            !pending.is_given_up
        });
        let mut live = durable.clone();
        for dirty in &self.pending {
            dirty.change.apply(&mut live, &Holes::Zeros);
        }
        if keeps_len {
            live.resize(len, 0);
        }
        self.live = Arc::new(live);
        self.is_cache_wrong = false;
    }

    /// Rot: the bits of `mask` at `offset` flip wherever the byte is stored.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        Arc::make_mut(&mut self.live)[offset] ^= mask;
        if let Some(byte) = Arc::make_mut(&mut self.durable).get_mut(offset) {
            *byte ^= mask;
        }
        for pending in &mut self.pending {
            pending.change.flip(offset, mask);
        }
    }

    /// The file after a power cut that kept the pending changes for which
    /// `survives` holds, given in their order.
    pub(super) fn after_power_cut(&self, survives: &[bool], holes: &Holes) -> Contents {
        let mut bytes = Arc::clone(&self.durable);
        if survives.contains(&true) {
            // Room for everything at once: images are many, and this copy is
            // most of what one costs.
            let mut copy = Vec::with_capacity(self.durable.len().max(self.live.len()));
            copy.extend_from_slice(&self.durable);
            for (pending, _) in self.pending.iter().zip(survives).filter(|(_, fate)| **fate) {
                pending.change.apply(&mut copy, holes);
            }
            bytes = Arc::new(copy);
        }
        Contents {
            live: Arc::clone(&bytes),
            durable: bytes,
            pending: Vec::new(),
            is_sealed: self.is_sealed,
            is_cache_wrong: false,
        }
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>, holes: &Holes) {
        match self {
            Change::Sector { index, bytes, start, end } => {
                let at = index * SECTOR_BYTES;
                let bytes = &bytes[*start..*end];
                grow(file, at, holes);
                grow(file, at + bytes.len(), &Holes::Zeros);
                file[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Change::Zeros { from, to } => {
                grow(file, *from, holes);
                grow(file, *to, &Holes::Zeros);
                file[*from..*to].fill(0);
            }
            Change::Length(len) => {
                file.truncate(*len);
                grow(file, *len, holes);
            }
        }
    }

    /// The sectors whose bytes it writes.
    fn sectors(&self) -> Range<usize> {
        match self {
            Change::Sector { index, .. } => *index..index + 1,
            Change::Zeros { from, to } => from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES),
            Change::Length(_) => 0..0,
        }
    }

    /// Whether nothing of `older` can show on the disk once `self` is there.
    fn supersedes(&self, older: &Change) -> bool {
        match (self, older) {
            (Change::Sector { index, .. }, Change::Sector { index: old, .. }) => index == old,
            (Change::Length(_), Change::Length(_)) => true,
            (Change::Length(len), Change::Sector { index, .. }) => index * SECTOR_BYTES >= *len,
            (Change::Length(len), Change::Zeros { from, .. }) => from >= len,
            _ => false,
        }
    }

    fn flip(&mut self, offset: usize, mask: u8) {
        if let Change::Sector { index, bytes, start, end } = self {
            let at = *index * SECTOR_BYTES;
            if (at..at + (*end - *start)).contains(&offset) {
                let mut sector = bytes[*start..*end].to_vec();
                sector[offset - at] ^= mask;
                (*start, *end) = (0, sector.len());
                *bytes = Arc::from(sector);
            }
        }
    }
}

/// Lengthens `file` to `len` bytes, if it is shorter.
fn grow(file: &mut Vec<u8>, len: usize, holes: &Holes) {
    let from = file.len();
    if len <= from {
        return;
    }
    match holes {
        Holes::Stale(stale) if !stale.is_empty() => {
            file.extend((from..len).map(|offset| stale[offset % stale.len()]));
        }
        _ => file.resize(len, 0),
    }
}
