//! Reading past damage where the end of the table is in doubt: the file shrinks
//! while it is read, goes on for long without a footer, or two of its checksums
//! contradict each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use kv_core::{Error, OwnedEntry, Pinned, Result};
use kv_env::ReadFile;
use kv_sstable::{Compression, TableDamage, TableSalvage};

use crate::forge::Parts;
use crate::support::{FILE_ID, accounts, header, put, salvaged, small_blocks, table_bytes};

const FOOTER_BYTES: usize = 64;

/// A file of some bytes that says it is longer, or becomes shorter.
struct OddFile {
    bytes: Vec<u8>,
    /// What it says; whatever is missing reads as `Z`.
    len: u64,
    /// From this read on it ends at `cut`.
    whole_reads: u64,
    cut: u64,
    reads: AtomicU64,
    largest_read: AtomicUsize,
}

impl OddFile {
    fn new(bytes: &[u8], len: u64) -> OddFile {
        OddFile {
            bytes: bytes.to_vec(),
            len,
            whole_reads: u64::MAX,
            cut: 0,
            reads: AtomicU64::new(0),
            largest_read: AtomicUsize::new(0),
        }
    }

    fn shrinking(bytes: &[u8], whole_reads: u64, cut: usize) -> OddFile {
        let whole = OddFile::new(bytes, bytes.len() as u64);
        OddFile { whole_reads, cut: cut as u64, ..whole }
    }
}

impl ReadFile for OddFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.largest_read.fetch_max(buffer.len(), Relaxed);
        let is_cut = self.reads.fetch_add(1, Relaxed) >= self.whole_reads;
        let end = if is_cut { self.cut } else { self.len };
        let len = (buffer.len() as u64).min(end.saturating_sub(offset)) as usize;
        buffer[..len].fill(b'Z');
        let start = (offset as usize).min(self.bytes.len());
        let known = (self.bytes.len() - start).min(len);
        buffer[..known].copy_from_slice(&self.bytes[start..start + known]);
        Ok(len)
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        Err(Error::InvalidArgument("nobody maps a damaged table".into()))
    }

    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }
}

/// The entries that were found, and the damage that cost any.
fn salvage(file: OddFile) -> (Vec<OwnedEntry>, Vec<TableDamage>) {
    let mut table = TableSalvage::open(Arc::new(file), header(FILE_ID)).unwrap();
    let entries = salvaged(&mut table);
    let lossy = table.damage().iter().filter(|damage| damage.holds_entries);
    (entries, lossy.cloned().collect())
}

/// Where a section of the table starts, by its place in the footer.
fn section_offset(table: &[u8], at: usize) -> usize {
    let footer = &table[table.len() - FOOTER_BYTES..];
    u64::from_le_bytes(footer[at..at + 8].try_into().unwrap()) as usize
}

fn data_end(table: &[u8]) -> usize {
    section_offset(table, 0)
}

/// Whichever read is the first to find the file cut, what is missing then is
/// told, and what was read before stays.
#[test]
fn a_file_that_shrinks_while_it_is_read_costs_what_is_gone_and_is_told() {
    let whole = accounts(40);
    for compression in [Compression::None, Compression::Lz4] {
        let bytes = table_bytes(&small_blocks(compression), &whole);
        let mut without_footer = bytes.clone();
        without_footer[bytes.len() - FOOTER_BYTES..].fill(b'Z');
        for table in [&bytes, &without_footer] {
            let cuts = (0..bytes.len()).step_by(37).chain([bytes.len() - 1]);
            for (cut, whole_reads) in cuts.flat_map(|cut| (0..30).map(move |reads| (cut, reads))) {
                let (entries, lossy) = salvage(OddFile::shrinking(table, whole_reads, cut));
                let what = format!("{compression:?}, cut to {cut} after {whole_reads} reads");
                assert!(entries.iter().all(|entry| whole.contains(entry)), "{what}");
                let is_told = !lossy.is_empty();
                assert!(entries == whole || is_told, "{what}: {} entries", entries.len());
            }
        }
    }
}

/// Whatever follows the blocks of a table without a footer is not taken for its
/// index if it is far too long for one, and is never read as one piece.
#[test]
fn a_long_end_without_a_footer_takes_no_memory() {
    let whole = accounts(40);
    let bytes = table_bytes(&small_blocks(Compression::None), &whole);
    let file = Arc::new(OddFile::new(&bytes[..data_end(&bytes)], 65 << 20));
    let mut table = TableSalvage::open(Arc::clone(&file) as Arc<dyn ReadFile>, header(FILE_ID));
    let table = table.as_mut().unwrap();
    while table.advance().unwrap() {}
    assert_eq!(table.entries(), whole.len() as u64);
    let lossy: Vec<_> = table.damage().iter().filter(|damage| damage.holds_entries).collect();
    let [damage] = &lossy[..] else { panic!("{lossy:?}") };
    assert!(damage.what.contains("the end of the table is missing"), "{damage:?}");
    assert!(file.largest_read.load(Relaxed) <= 256 << 10);
}

/// The index and the trailer of a block each have its checksum, and either is a
/// proof.
#[test]
fn the_checksum_of_a_block_may_hold_in_either_of_its_places() {
    let whole = accounts(60);
    let parts = Parts::of(&table_bytes(&small_blocks(Compression::None), &whole));
    let in_index = 8 + 4 * parts.blocks.len() + 4;
    let bytes = parts.seal_with(|index| index[in_index] ^= 1, |_| {});
    let salvaged = |bytes: &[u8]| salvage(OddFile::new(bytes, bytes.len() as u64));
    assert_eq!(salvaged(&bytes), (whole.clone(), vec![]));
    let trailer_end: usize =
        80 + parts.blocks[..2].iter().map(|block| block.len() + 4).sum::<usize>();
    let mut neither = bytes;
    neither[trailer_end - 1] ^= 1;
    let (entries, lossy) = salvaged(&neither);
    assert!(entries.len() < whole.len() && entries.starts_with(&whole[..2]));
    let [damage] = &lossy[..] else { panic!("{lossy:?}") };
    assert_eq!(damage.what, "the block fails its checksum");
}

/// The footer still says where the blocks end, and the properties what the last
/// key was: both bound what is missing.
#[test]
fn a_lost_last_block_is_bounded_without_an_index_too() {
    lose_the_last_block(&accounts(60));
    // One large entry, whose head says that it ends where the blocks do.
    let large = |key: &str| put(key, 1, vec![b'v'; 200_000]);
    lose_the_last_block(&[large("a"), large("b")]);
}

fn lose_the_last_block(whole: &[OwnedEntry]) {
    let mut bytes = table_bytes(&small_blocks(Compression::None), whole);
    let (data_end, index) = (data_end(&bytes), section_offset(&bytes, 16));
    let last = Parts::of(&bytes).blocks.pop().unwrap().len() + 4;
    bytes[index + 9] ^= 1;
    bytes[data_end - last / 2] ^= 1;
    let (entries, lossy) = salvage(OddFile::new(&bytes, bytes.len() as u64));
    assert!(whole.starts_with(&entries) && entries.len() < whole.len());
    let [damage] = &lossy[..] else { panic!("{lossy:?}") };
    assert_eq!((damage.offset, damage.bytes), ((data_end - last) as u64, last as u64));
    assert_eq!(damage.from_key, entries.last().map(|entry| entry.key.clone()));
    assert_eq!(damage.to_key, whole.last().map(|entry| entry.key.clone()));
}

/// The head of a large entry says where it ends, behind the cut.
#[test]
fn a_table_cut_within_a_large_entry_keeps_the_entries_before_it() {
    let large = |key: &str| put(key, 1, vec![b'v'; 200_000]);
    let whole = [large("a"), large("b"), put("c", 2, "small")];
    let bytes = table_bytes(&small_blocks(Compression::None), &whole);
    for (cut, kept) in [(100_000, 0), (300_000, 1)] {
        let (entries, lossy) = salvage(OddFile::new(&bytes[..cut], cut as u64));
        assert!(entries == whole[..kept], "cut to {cut}: {} entries", entries.len());
        let [damage] = &lossy[..] else { panic!("{lossy:?}") };
        assert_eq!((damage.offset + damage.bytes, &damage.to_key), (cut as u64, &None));
    }
}
