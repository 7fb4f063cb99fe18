//! The rewrite: what it writes, and that nothing stays behind when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use kv_compaction::{
    Grandparent, KeyCoverage, KeySpan, Policy, RetentionRule, RewriteContext, RewriteOptions,
    Rewritten, rewrite,
};
use kv_core::{Cursor, Error, FileHeader, Kind, OwnedEntry, Result, SeqNo, VecCursor};
use kv_env::{Failure, Fault, FaultFs, Fs, Operation, SimDisk};
use kv_sstable::CursorPurpose;

use crate::store::{header, open, table_options};

fn put(key: &str, seqno: u64) -> OwnedEntry {
    let value = format!("value of {key} at {seqno}").into_bytes();
    OwnedEntry { key: key.into(), seqno: SeqNo(seqno), kind: Kind::Put, value }
}

fn delete(key: &str, seqno: u64) -> OwnedEntry {
    OwnedEntry { key: key.into(), seqno: SeqNo(seqno), kind: Kind::Delete, value: vec![] }
}

/// `count` keys in order, some with two versions, some deleted.
fn many(count: u64) -> Vec<OwnedEntry> {
    let versions = |number: u64| {
        let key = format!("key{number:05}");
        let newest =
            if number % 7 == 3 { delete(&key, 10_000 + number) } else { put(&key, number) };
        let older = number.is_multiple_of(5).then(|| put(&key, 1));
        std::iter::once(newest).chain(older)
    };
    (1..=count).flat_map(versions).collect()
}

fn options() -> RewriteOptions {
    let mut options = RewriteOptions::flush(table_options(), &Policy::default());
    options.split_bytes = 1 << 20;
    options
}

/// Expired are the values of the keys it names.
struct Expired(&'static [&'static str]);

impl RetentionRule for Expired {
    fn is_expired(&self, key: &[u8], _value: &[u8]) -> bool {
        self.0.iter().any(|expired| expired.as_bytes() == key)
    }
}

/// Rewrites to tables from id 1 on.
fn run(
    fs: &dyn Fs,
    input: impl Cursor,
    options: &RewriteOptions,
    retention: Option<&dyn RetentionRule>,
    cancel: &AtomicBool,
) -> Result<Option<Rewritten>> {
    let mut next_id = 0;
    let mut allocate = || {
        next_id += 1;
        Ok(header(next_id))
    };
    let context = RewriteContext { fs, allocate: &mut allocate, retention, cancel };
    rewrite(input, options, context)
}

fn run_to_end(
    fs: &dyn Fs,
    input: Vec<OwnedEntry>,
    options: &RewriteOptions,
    retention: Option<&dyn RetentionRule>,
) -> Rewritten {
    run(fs, VecCursor::new(input), options, retention, &AtomicBool::new(false)).unwrap().unwrap()
}

/// The entries of the tables as `key@seqno`, deletes with a minus.
fn contents(fs: &dyn Fs, rewritten: &Rewritten) -> String {
    let mut words = Vec::new();
    for meta in &rewritten.tables {
        let mut cursor = open(fs, meta).unwrap().table.cursor(CursorPurpose::Background);
        cursor.seek_to_first().unwrap();
        while cursor.valid() {
            let sign = if cursor.kind() == Kind::Delete { "-" } else { "" };
            words.push(format!("{sign}{}@{}", cursor.key().escape_ascii(), cursor.seqno()));
            cursor.next().unwrap();
        }
    }
    words.join(" ")
}

fn names(fs: &dyn Fs) -> Vec<String> {
    fs.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

fn sample() -> Vec<OwnedEntry> {
    vec![put("a", 5), put("a", 2), delete("b", 7), put("b", 3), put("c", 4), delete("d", 6)]
}

#[test]
fn the_newest_version_of_each_key_is_kept() {
    let fs = SimDisk::new(1).fs();
    let done = run_to_end(&*fs, sample(), &options(), None);
    assert_eq!(contents(&*fs, &done), "a@5 -b@7 c@4 -d@6");
    assert_eq!((done.entries_read, done.entries_written), (6, 4));
    assert_eq!((done.older_versions_dropped, done.deletes_dropped), (2, 0));
    let meta = &done.tables[0];
    assert_eq!((meta.entries, meta.deletes, meta.run), (4, 2, 1));
    assert_eq!((meta.smallest_seqno, meta.largest_seqno), (SeqNo(4), SeqNo(7)));
    assert_eq!(done.bytes_written(), fs.open("sst_000001.db").unwrap().len());
}

#[test]
fn deletes_go_only_where_nothing_below_can_hold_their_key() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.below = KeyCoverage::of(vec![KeySpan::new("c", "f")]);
    let done = run_to_end(&*fs, sample(), &options, None);
    assert_eq!(contents(&*fs, &done), "a@5 c@4 -d@6");
    assert_eq!(done.deletes_dropped, 1);
}

#[test]
fn expired_values_are_dropped_or_turn_into_deletes() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.below = KeyCoverage::of(vec![KeySpan::new("c", "f")]);
    let rule = Expired(&["a", "c", "d"]);
    let done = run_to_end(&*fs, sample(), &options, Some(&rule));
    assert_eq!(contents(&*fs, &done), "-c@4 -d@6", "the older version of a must not come back");
    assert_eq!((done.values_expired, done.deletes_dropped), (2, 1));
}

#[test]
fn sequence_numbers_are_forgotten_only_at_the_bottom_and_only_if_asked() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.below = KeyCoverage::of(vec![KeySpan::new("c", "f")]);
    options.forget_seqnos = true;
    let done = run_to_end(&*fs, sample(), &options, None);
    assert_eq!(contents(&*fs, &done), "a@0 c@4 -d@6");
}

#[test]
fn nothing_left_is_no_table() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.below = KeyCoverage::NOTHING;
    let done = run_to_end(&*fs, vec![delete("a", 1), delete("b", 2)], &options, None);
    assert_eq!((done.tables.len(), done.deletes_dropped), (0, 2));
    assert_eq!(run_to_end(&*fs, vec![], &options, None), Rewritten::default());
    assert_eq!(names(&*fs), [] as [&str; 0]);
}

#[test]
fn output_is_cut_by_size_into_one_run() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.split_bytes = 4096;
    let done = run_to_end(&*fs, many(1000), &options, None);
    let tables = &done.tables;
    assert!(tables.len() > 5, "{} tables", tables.len());
    assert!(tables.iter().all(|meta| meta.run == 1));
    assert!(tables.windows(2).all(|pair| pair[0].largest_key < pair[1].smallest_key));
    assert_eq!(tables.iter().map(|meta| meta.entries).sum::<u64>(), 1000);
    for meta in &tables[..tables.len() - 1] {
        assert!((3500..5500).contains(&meta.file_bytes), "{} bytes", meta.file_bytes);
    }
}

#[test]
fn output_is_cut_where_it_would_overlap_too_much() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.overlap_limit_bytes = 250;
    options.grandparents = (0..100)
        .map(|hundred| Grandparent {
            largest_key: format!("key{hundred:03}99").into_bytes(),
            file_bytes: 100,
        })
        .collect();
    let done = run_to_end(&*fs, many(1000), &options, None);
    let firsts: Vec<_> = done.tables.iter().map(|meta| meta.smallest_key.clone()).collect();
    let expected = ["key00001", "key00300", "key00600", "key00900"];
    assert_eq!(firsts, expected.map(|key| key.as_bytes().to_vec()));
}

/// Sets a flag, or looks at it, when the given entry is reached.
struct Watched {
    inner: VecCursor,
    entries: u64,
    cancel_at: u64,
    cancel: Arc<AtomicBool>,
    read_after: Arc<AtomicU64>,
}

impl Cursor for Watched {
    fn valid(&self) -> bool {
        self.inner.valid()
    }
    fn key(&self) -> &[u8] {
        self.inner.key()
    }
    fn seqno(&self) -> SeqNo {
        self.inner.seqno()
    }
    fn kind(&self) -> Kind {
        self.inner.kind()
    }
    fn value(&self) -> &[u8] {
        self.inner.value()
    }
    fn seek_to_first(&mut self) -> Result<()> {
        self.inner.seek_to_first()
    }
    fn seek_to_last(&mut self) -> Result<()> {
        self.inner.seek_to_last()
    }
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.inner.seek(key)
    }
    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.inner.seek_before(key)
    }
    fn next(&mut self) -> Result<()> {
        self.entries += 1;
        if self.cancel.load(Relaxed) {
            self.read_after.fetch_add(1, Relaxed);
        }
        if self.entries == self.cancel_at {
            self.cancel.store(true, Relaxed);
        }
        self.inner.next()
    }
    fn prev(&mut self) -> Result<()> {
        self.inner.prev()
    }
}

#[test]
fn a_cancel_stops_at_the_next_entry_and_leaves_nothing() {
    let mut options = options();
    options.split_bytes = 2048;
    for cancel_at in 1..100 {
        let fs = SimDisk::new(1).fs();
        let (cancel, read_after) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let input = Watched {
            inner: VecCursor::new(many(200)),
            entries: 0,
            cancel_at,
            cancel: Arc::clone(&cancel),
            read_after: Arc::clone(&read_after),
        };
        assert_eq!(run(&*fs, input, &options, None, &cancel).unwrap(), None);
        assert_eq!(read_after.load(Relaxed), 0);
        assert_eq!(names(&*fs), [] as [&str; 0]);
    }
}

fn fails_as_corrupt(input: impl Cursor, options: &RewriteOptions, expected: &str) {
    let fs = SimDisk::new(1).fs();
    match run(&*fs, input, options, None, &AtomicBool::new(false)) {
        Err(Error::Corruption { what, file, .. }) => {
            assert_eq!((what.as_str(), file.as_str()), (expected, "memory table"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names(&*fs), [] as [&str; 0]);
}

#[test]
fn an_input_with_another_number_of_entries_is_refused() {
    let mut options = options();
    options.expected_entries = Some(7);
    fails_as_corrupt(VecCursor::new(sample()), &options, "6 entries were read where 7 are");
    options.expected_entries = Some(6);
    run_to_end(&*SimDisk::new(1).fs(), sample(), &options, None);
}

/// Entries as given, in order or not.
struct Unsorted(Vec<OwnedEntry>, usize);

impl Cursor for Unsorted {
    fn valid(&self) -> bool {
        self.1 < self.0.len()
    }
    fn key(&self) -> &[u8] {
        &self.0[self.1].key
    }
    fn seqno(&self) -> SeqNo {
        self.0[self.1].seqno
    }
    fn kind(&self) -> Kind {
        self.0[self.1].kind
    }
    fn value(&self) -> &[u8] {
        &self.0[self.1].value
    }
    fn seek_to_first(&mut self) -> Result<()> {
        Ok(())
    }
    fn seek_to_last(&mut self) -> Result<()> {
        unreachable!("a rewrite goes forwards")
    }
    fn seek(&mut self, _key: &[u8]) -> Result<()> {
        unreachable!("a rewrite reads all")
    }
    fn seek_before(&mut self, _key: &[u8]) -> Result<()> {
        unreachable!("a rewrite goes forwards")
    }
    fn next(&mut self) -> Result<()> {
        self.1 += 1;
        Ok(())
    }
    fn prev(&mut self) -> Result<()> {
        unreachable!("a rewrite goes forwards")
    }
}

#[test]
fn an_input_out_of_order_is_refused() {
    let keys = Unsorted(vec![put("a", 1), put("c", 2), put("b", 3)], 0);
    fails_as_corrupt(keys, &options(), "key \"b\" is out of order");
    let versions = Unsorted(vec![put("a", 1), put("a", 2)], 0);
    fails_as_corrupt(versions, &options(), "key \"a\" is out of order");
}

#[test]
fn a_damaged_input_is_never_passed_on() {
    let disk = SimDisk::new(1);
    let fs = disk.fs();
    let input = run_to_end(&*fs, many(300), &options(), None);
    let meta = input.tables[0].clone();
    let (from, end) = (80, meta.file_bytes);
    let mut found = 0;
    for offset in (from..end).step_by(97) {
        disk.corrupt(&meta.file_name(), offset, 0x10);
        if let Ok(table) = open(&*fs, &meta) {
            let cursor = table.table.cursor(CursorPurpose::Background);
            let mut next_id = 100;
            let mut allocate = || {
                next_id += 1;
                Ok(header(next_id))
            };
            let cancel = AtomicBool::new(false);
            let context = RewriteContext {
                fs: &*fs,
                allocate: &mut allocate,
                retention: None,
                cancel: &cancel,
            };
            let outcome = rewrite(cursor, &options(), context);
            assert!(matches!(outcome, Err(Error::Corruption { .. })), "byte {offset}");
            found += 1;
        }
        assert_eq!(names(&*fs), [meta.file_name()], "byte {offset}");
        disk.corrupt(&meta.file_name(), offset, 0x10);
    }
    assert!(found > 20, "only {found} places were in data blocks");
}

#[test]
fn a_fault_at_any_call_leaves_no_file_behind() {
    let mut options = options();
    options.split_bytes = 8192;
    options.table.sync_every_bytes = 1024;
    let attempt =
        |fs: &dyn Fs| run(fs, VecCursor::new(many(600)), &options, None, &AtomicBool::new(false));
    let quiet = FaultFs::new(SimDisk::new(1).fs());
    let done = attempt(&quiet).unwrap().unwrap();
    assert!(done.tables.len() > 2);
    let mut failures = 0;
    for (operation, count) in quiet.counts() {
        for call in 0..count {
            for (failure, times) in [(Failure::Device, 1), (Failure::NoSpace, u64::MAX)] {
                let disk = SimDisk::new(1);
                let fs = FaultFs::new(disk.fs());
                fs.inject(Fault::new(failure).of(operation).after(call).times(times));
                assert!(matches!(attempt(&fs), Err(Error::Io { .. })), "{operation:?} {call}");
                assert_eq!(names(&*disk.fs()), [] as [&str; 0], "{operation:?} {call}");
                assert_eq!(disk.violations(), [] as [&str; 0]);
                failures += 1;
            }
        }
    }
    assert!(failures > 20, "only {failures} calls");
}

#[test]
fn files_that_cannot_be_removed_do_not_hide_the_first_error() {
    let disk = SimDisk::new(1);
    let fs = FaultFs::new(disk.fs());
    fs.inject(Fault::new(Failure::NoSpace).of(Operation::Seal));
    fs.inject(Fault::new(Failure::Device).of(Operation::Remove));
    let outcome = run(&fs, VecCursor::new(many(9)), &options(), None, &AtomicBool::new(false));
    assert!(outcome.unwrap_err().is_out_of_space());
    assert_eq!(names(&*disk.fs()), ["sst_000001.db"], "an orphan for recovery");
}

#[test]
fn a_clash_of_names_never_costs_the_other_file() {
    let disk = SimDisk::new(1);
    disk.write_file("sst_000001.db", b"somebody else's");
    let outcome =
        run(&*disk.fs(), VecCursor::new(many(9)), &options(), None, &AtomicBool::new(false));
    assert!(matches!(outcome, Err(Error::Io { .. })), "{outcome:?}");
    assert_eq!(disk.read_file("sst_000001.db").as_deref(), Some(&b"somebody else's"[..]));
}

#[test]
fn ids_that_run_out_or_repeat_end_the_rewrite() {
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.split_bytes = 1024;
    let cancel = AtomicBool::new(false);
    let attempt = |allocate: &mut dyn FnMut() -> Result<FileHeader>| {
        let context = RewriteContext { fs: &*fs, allocate, retention: None, cancel: &cancel };
        rewrite(VecCursor::new(many(100)), &options, context).unwrap_err()
    };
    assert!(matches!(attempt(&mut || Err(Error::Closed)), Error::Closed));
    assert!(matches!(attempt(&mut || Ok(header(5))), Error::InvalidArgument(_)));
    assert_eq!(names(&*fs), [] as [&str; 0]);
}

#[test]
fn a_panic_of_the_retention_rule_leaves_nothing() {
    struct Panics;
    impl RetentionRule for Panics {
        fn is_expired(&self, key: &[u8], _value: &[u8]) -> bool {
            assert!(key < &b"key00150"[..], "the rule has a bug");
            false
        }
    }
    let fs = SimDisk::new(1).fs();
    let mut options = options();
    options.split_bytes = 1024;
    let attempt = std::panic::AssertUnwindSafe(|| {
        run(&*fs, VecCursor::new(many(300)), &options, Some(&Panics), &AtomicBool::new(false))
    });
    assert!(std::panic::catch_unwind(attempt).is_err());
    assert_eq!(names(&*fs), [] as [&str; 0]);
}
