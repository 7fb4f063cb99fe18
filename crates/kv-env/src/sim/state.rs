//! The state of a simulated disk as a value: files and directory entries.
//! `apply` is a function of the state and the op alone.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::contents::{Contents, Holes};
use super::directory::{Directory, Entry, FileNumber};
use super::op::{Op, Record, Stray, SyncOutcome};
use super::random::Random;

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    directory: Directory,
    files: BTreeMap<FileNumber, Contents>,
    /// Bytes of the file removed last: what a recycled sector may still hold.
    freed: Arc<Vec<u8>>,
}

/// A change that a power cut keeps or loses as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit {
    /// Number of the op that made it.
    pub(super) op: u64,
    pub(super) subject: Subject,
}

/// What a unit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Directory,
    File(FileNumber),
}

/// Hashes of bytes that many images share: images differ in few files, and to
/// hash all of each would be most of what one costs.
#[derive(Debug, Default)]
pub(super) struct KnownHashes(Vec<Hashed>);

/// Keeps the bytes alive, so that no others take their place in memory.
#[derive(Debug)]
struct Hashed {
    bytes: Arc<Vec<u8>>,
    hash: u64,
}

impl Hashed {
    fn new(bytes: &Arc<Vec<u8>>) -> Hashed {
        Hashed { bytes: Arc::clone(bytes), hash: xxh3_64(bytes) }
    }
}

impl KnownHashes {
    fn hash_of(&self, bytes: &Arc<Vec<u8>>) -> u64 {
        let known = self.0.iter().find(|known| Arc::ptr_eq(&known.bytes, bytes));
        known.map_or_else(|| xxh3_64(bytes), |known| known.hash)
    }
}

impl State {
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The contents of a file, which exist as long as the disk does.
    pub(super) fn contents(&self, file: FileNumber) -> &Contents {
        self.files.get(&file).expect("a file number comes from this disk")
    }

    fn contents_mut(&mut self, file: FileNumber) -> &mut Contents {
        self.files.get_mut(&file).expect("a file number comes from this disk")
    }

    /// The file that `name` stands for now.
    pub(super) fn file(&self, name: &str) -> Option<FileNumber> {
        match self.directory.entry(name)? {
            Entry::File(file) => Some(file),
            Entry::Directory => None,
        }
    }

    /// The number of the next file to be created.
    pub(super) fn next_file(&self) -> FileNumber {
        self.files.last_key_value().map_or(0, |(last, _)| last + 1)
    }

    /// Bytes of all files that have a name, and of those in `open`.
    pub(super) fn used_bytes(&self, open: BTreeSet<FileNumber>) -> u64 {
        let named = self.directory.live().values().filter_map(|entry| match entry {
            Entry::File(file) => Some(*file),
            Entry::Directory => None,
        });
        let mut holders = open;
        holders.extend(named);
        holders.iter().map(|file| self.contents(*file).len() as u64).sum()
    }

    fn named_files(&self) -> impl Iterator<Item = (&str, &Contents)> {
        self.directory.live().iter().filter_map(|(name, entry)| match entry {
            Entry::File(file) => Some((name.as_str(), self.contents(*file))),
            Entry::Directory => None,
        })
    }

    /// Does the op of this number.
    pub(super) fn apply(&mut self, number: u64, record: &Record) {
        let name = &record.name;
        match &record.op {
            Op::Create { file } => {
                self.files.insert(*file, Contents::default());
                self.directory.create(number, name, *file);
            }
            Op::CreateDirectory => self.directory.create_directory(number, name),
            Op::Rename { to } => {
                if let Some(file) = self.file(name) {
                    self.directory.rename(number, name, to, file);
                }
            }
            Op::Remove => {
                if let Some(file) = self.file(name) {
                    self.freed = Arc::clone(self.contents(file).live());
                    self.directory.remove(number, name, file);
                }
            }
            Op::Write { file, offset, bytes } => {
                self.contents_mut(*file).write(number, *offset, bytes);
            }
            Op::WriteZeros { file, from, to } => {
                self.contents_mut(*file).write_zeros(number, *from, *to);
            }
            Op::SetLength { file, len } => self.contents_mut(*file).set_len(number, *len),
            Op::Seal { file } => self.contents_mut(*file).seal(),
            Op::Sync { file, outcome: SyncOutcome::Durable, strays } if !strays.is_empty() => {
                self.sync_astray(*file, strays);
            }
            Op::Sync { file, outcome, .. } => sync(self.contents_mut(*file), *outcome),
            Op::SyncDirectory { outcome } => match outcome {
                SyncOutcome::Durable => self.directory.sync(),
                SyncOutcome::Failed | SyncOutcome::Reverted { .. } => {
                    self.directory.give_up_changes();
                }
                SyncOutcome::Lied => {}
            },
            Op::Evict { file, seed } => evict(self.contents_mut(*file), *seed, true),
            Op::Flip { file, offset, mask } => self.contents_mut(*file).flip(*offset, *mask),
            Op::Plant { file, bytes } => {
                self.files.insert(*file, Contents::durable(bytes.to_vec()));
                self.directory.plant(name, *file);
            }
            Op::Nothing => {}
        }
    }

    /// A sync that succeeds, but for some sectors that do not end up in their
    /// place.
    fn sync_astray(&mut self, file: FileNumber, strays: &[Stray]) {
        let old: Vec<Vec<u8>> =
            strays.iter().map(|stray| self.contents(file).durable_sector(stray.sector)).collect();
        self.contents_mut(file).sync();
        for (Stray { sector, landing }, old) in strays.iter().zip(old) {
            let new = self.contents(file).durable_sector(*sector);
            self.contents_mut(file).overwrite_durable(*sector, &old);
            if let Some(landing) = landing {
                self.contents_mut(landing.file).overwrite_durable(landing.sector, &new);
            }
        }
    }

    /// Everything that a power cut now could keep or lose, in the order in
    /// which it was made.
    pub(super) fn units(&self) -> Vec<Unit> {
        let mut units: Vec<Unit> = self
            .directory
            .pending_ops()
            .map(|op| Unit { op, subject: Subject::Directory })
            .collect();
        for file in self.directory.reachable_files() {
            let ops = self.contents(file).pending_ops();
            units.extend(ops.map(|op| Unit { op, subject: Subject::File(file) }));
        }
        // Stable, so the changes of one op keep their order.
        units.sort_by_key(|unit| unit.op);
        units
    }

    /// The disk after a power cut that kept exactly the units for which
    /// `survives` holds.
    pub(super) fn after_power_cut(
        &self,
        units: &[Unit],
        survives: &[bool],
        stale_bytes: bool,
    ) -> State {
        let mut fates: BTreeMap<Subject, Vec<bool>> = BTreeMap::new();
        for (unit, survives) in units.iter().zip(survives) {
            fates.entry(unit.subject).or_default().push(*survives);
        }
        let fate = |subject| fates.get(&subject).map_or(&[][..], Vec::as_slice);
        let holes = if stale_bytes { Holes::Stale(Arc::clone(&self.freed)) } else { Holes::Zeros };
        let directory = self.directory.after_power_cut(fate(Subject::Directory));
        let files = directory
            .reachable_files()
            .into_iter()
            .map(|file| {
                let fate = fate(Subject::File(file));
                (file, self.contents(file).after_power_cut(fate, &holes))
            })
            .collect();
        State { directory, files, freed: Arc::clone(&self.freed) }
    }

    /// A hash of the names and bytes that can be read now.
    pub(super) fn fingerprint(&self, known: &KnownHashes) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.directory.live().keys().for_each(|name| name.hash(&mut hasher));
        for (name, contents) in self.named_files() {
            let bytes = known.hash_of(contents.live());
            (name, contents.len(), bytes, contents.is_sealed()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The hashes of what a power cut surely leaves of each file.
    pub(super) fn durable_hashes(&self) -> KnownHashes {
        let files = self.directory.reachable_files().into_iter();
        KnownHashes(files.map(|file| Hashed::new(self.contents(file).durable_bytes())).collect())
    }

    /// Forgets files that no name can lead to any more, unless `is_open`.
    pub(super) fn forget_unreachable(&mut self, is_open: impl Fn(FileNumber) -> bool) {
        let reachable = self.directory.reachable_files();
        let newest = self.files.last_key_value().map(|(file, _)| *file);
        // The newest stays so that its number is not used again.
        self.files
            .retain(|file, _| reachable.contains(file) || is_open(*file) || Some(*file) == newest);
    }
}

fn sync(contents: &mut Contents, outcome: SyncOutcome) {
    match outcome {
        SyncOutcome::Durable => contents.sync(),
        SyncOutcome::Failed => contents.give_up_pages(),
        SyncOutcome::Reverted { seed } => {
            contents.give_up_pages();
            evict(contents, seed, false);
        }
        SyncOutcome::Lied => {}
    }
}

fn evict(contents: &mut Contents, seed: u64, keeps_len: bool) {
    let mut random = Random::new(seed);
    contents.evict(keeps_len, || random.below(2) == 0);
}
