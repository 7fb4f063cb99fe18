//! The tables that a rewrite writes, and their removal if it fails.

use kv_core::{Error, FileHeader, Kind, Result, SeqNo};
use kv_env::Fs;
use kv_sstable::{TableBuilder, TableOptions, TableSummary};

use crate::cut::Cutter;
use crate::rewrite::RewriteOptions;
use crate::table_meta::{TableMeta, TableOrigin};

/// Builds one table after the other. Dropped before
/// [`finish`](Outputs::finish) it removes every file it has made.
pub(crate) struct Outputs<'a> {
    fs: &'a dyn Fs,
    allocate: &'a mut dyn FnMut() -> Result<FileHeader>,
    options: &'a TableOptions,
    origin: TableOrigin,
    cutter: Cutter<'a>,
    /// The table in work and its id.
    current: Option<(u64, TableBuilder)>,
    finished: Vec<TableMeta>,
    /// Every file created so far. A name gets here only once the file is known
    /// to be ours, so that a clash of names never costs somebody else's file.
    created: Vec<String>,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(
        fs: &'a dyn Fs,
        allocate: &'a mut dyn FnMut() -> Result<FileHeader>,
        options: &'a RewriteOptions,
    ) -> Outputs<'a> {
        let RewriteOptions { table, origin, split_bytes, overlap_limit_bytes, .. } = options;
        let cutter = Cutter::new(&options.grandparents, *split_bytes, *overlap_limit_bytes);
        let (finished, created) = (Vec::new(), Vec::new());
        Outputs {
            fs,
            allocate,
            options: table,
            origin: *origin,
            cutter,
            current: None,
            finished,
            created,
        }
    }

    /// Appends an entry to the current table or begins the next one with it.
    pub(crate) fn add(&mut self, key: &[u8], seqno: SeqNo, kind: Kind, value: &[u8]) -> Result<()> {
        let is_full = match &self.current {
            Some((_, builder)) => self.cutter.is_cut(key, builder.size_bytes_estimate()),
            None => false,
        };
        if is_full {
            self.finish_current()?;
        }
        let builder = match &mut self.current {
            Some((_, builder)) => builder,
            None => {
                self.cutter.begin(key);
                let started = self.create()?;
                &mut self.current.insert(started).1
            }
        };
        builder.add(key, seqno, kind, value)
    }

    /// Completes the last table and keeps all files. Their directory entries
    /// are durable once the caller has synced the directory.
    pub(crate) fn finish(mut self) -> Result<Vec<TableMeta>> {
        self.finish_current()?;
        self.created.clear();
        Ok(std::mem::take(&mut self.finished))
    }

    fn create(&mut self) -> Result<(u64, TableBuilder)> {
        let header = (self.allocate)()?;
        if self.finished.last().is_some_and(|last| last.id >= header.file_id) {
            let what = format!("file id {} was given out twice", header.file_id);
            return Err(Error::InvalidArgument(what));
        }
        let name = self.origin.file_name(header.file_id);
        let builder = TableBuilder::create(self.fs, &name, header, self.options.clone())?;
        self.created.push(name);
        Ok((header.file_id, builder))
    }

    fn finish_current(&mut self) -> Result<()> {
        let Some((id, builder)) = self.current.take() else { return Ok(()) };
        let summary = builder.finish()?;
        let run = self.finished.first().map_or(id, |first| first.id);
        self.finished.push(describe(id, run, self.origin, summary));
        Ok(())
    }
}

impl Drop for Outputs<'_> {
    fn drop(&mut self) {
        self.current = None;
        for name in &self.created {
            // What cannot be removed now is an orphan that recovery removes;
            // the error that led here is the one worth reporting.
            let _ = self.fs.remove(name);
        }
    }
}

fn describe(id: u64, run: u64, origin: TableOrigin, summary: TableSummary) -> TableMeta {
    TableMeta {
        id,
        run,
        origin,
        file_uid: summary.file_uid,
        file_bytes: summary.file_bytes,
        checksum: summary.checksum,
        entries: summary.entries,
        deletes: summary.deletes,
        smallest_key: summary.smallest_key,
        largest_key: summary.largest_key,
        smallest_seqno: summary.smallest_seqno,
        largest_seqno: summary.largest_seqno,
        slice: None,
        properties: Default::default(),
    }
}
