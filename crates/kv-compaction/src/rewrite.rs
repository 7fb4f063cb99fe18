//! The mechanism of flushes and compactions: entries in, tables out.
//!
//! 1. Walk the input in order. Of each key keep the newest version.
//! 2. Decide its [`fate`]: deletes and expired values go where nothing deeper
//!    can hold the key.
//! 3. Write what stays, cut into tables.
//! 4. Compare the count of entries with what the manifest says was there.
//!
//! An error of the input, a wrong order or a wrong count ends the rewrite:
//! damage is never passed on under a fresh checksum. An error, a cancel or a
//! panic removes what was written.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use kv_core::{Cursor, Error, FileHeader, Kind, Result, SeqNo};
use kv_env::Fs;
use kv_sstable::TableOptions;

use crate::key_span::KeyCoverage;
use crate::outputs::Outputs;
use crate::plan::{Grandparent, Plan};
use crate::policy::Policy;
use crate::retention::{Fate, RetentionRule, fate};
use crate::table_meta::{TableMeta, TableOrigin};

/// What to write.
#[derive(Debug, Clone)]
pub struct RewriteOptions {
    /// How tables are written.
    pub table: TableOptions,
    /// Who writes them; decides their names.
    pub origin: TableOrigin,
    /// Size at which a table ends, in bytes.
    pub split_bytes: u64,
    /// The keys that may have older versions deeper than the output.
    pub below: KeyCoverage,
    /// The tables of the level below the output, by key.
    pub grandparents: Vec<Grandparent>,
    /// How many bytes of those one table may overlap.
    pub overlap_limit_bytes: u64,
    /// Entries the input must have; `None` if nobody knows.
    pub expected_entries: Option<u64>,
    /// Writes sequence number 0 where nothing deeper can hold the key: saves
    /// three to seven bytes an entry, but a transaction can no longer tell
    /// when the key was written. Default false.
    pub forget_seqnos: bool,
    /// What is rewritten, for messages.
    pub input_name: String,
}

impl RewriteOptions {
    /// For a flush: level 0 is cut by size alone and keeps every delete.
    pub fn flush(table: TableOptions, policy: &Policy) -> RewriteOptions {
        RewriteOptions {
            table,
            origin: TableOrigin::Flush,
            split_bytes: policy.table_bytes,
            below: KeyCoverage::Everything,
            grandparents: Vec::new(),
            overlap_limit_bytes: u64::MAX,
            expected_entries: None,
            forget_seqnos: false,
            input_name: "memory table".into(),
        }
    }

    /// For a plan that is no trivial move.
    pub fn compaction(table: TableOptions, policy: &Policy, plan: &Plan) -> RewriteOptions {
        RewriteOptions {
            origin: TableOrigin::Compaction,
            below: plan.below.clone(),
            grandparents: plan.grandparents.clone(),
            overlap_limit_bytes: policy.overlap_limit_bytes(),
            expected_entries: Some(plan.input_entries),
            input_name: plan.to_string(),
            ..RewriteOptions::flush(table, policy)
        }
    }
}

/// Where to write, and who is asked on the way.
pub struct RewriteContext<'a> {
    /// The database directory.
    pub fs: &'a dyn Fs,
    /// Gives out the identity of the next table; ids rise.
    pub allocate: &'a mut dyn FnMut() -> Result<FileHeader>,
    /// Tells which values have expired.
    pub retention: Option<&'a dyn RetentionRule>,
    /// Set from elsewhere to stop the rewrite at the next entry.
    pub cancel: &'a AtomicBool,
}

/// What a rewrite has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewritten {
    /// The new tables in the order of their keys; none if nothing was left.
    pub tables: Vec<TableMeta>,
    /// Entries of the input.
    pub entries_read: u64,
    /// Entries of the tables.
    pub entries_written: u64,
    /// Versions left out because the input had a newer one of the same key.
    pub older_versions_dropped: u64,
    /// Deletes left out because nothing deeper could hold their key.
    pub deletes_dropped: u64,
    /// Values that had expired: left out, or written as deletes.
    pub values_expired: u64,
}

impl Rewritten {
    /// Size of the tables, in bytes.
    pub fn bytes_written(&self) -> u64 {
        self.tables.iter().map(|meta| meta.file_bytes).sum()
    }
}

/// Writes the entries of `input` to tables; `None` if it was cancelled.
///
/// The tables are complete and synced, their directory entries are not: sync
/// the directory before an edit names them. To slow a rewrite down or to count
/// along, wrap the input.
///
/// # Errors
/// Any error of the input or of the file system; `Corruption` if the input is
/// out of order or has another number of entries than expected. No file stays
/// behind, unless removing it fails as well.
pub fn rewrite(
    mut input: impl Cursor,
    options: &RewriteOptions,
    context: RewriteContext<'_>,
) -> Result<Option<Rewritten>> {
    let RewriteContext { fs, allocate, retention, cancel } = context;
    let mut outputs = Outputs::new(fs, allocate, options);
    let mut done = Rewritten::default();
    let mut previous = Previous::default();
    input.seek_to_first()?;
    while input.valid() {
        if cancel.load(Relaxed) {
            return Ok(None);
        }
        done.entries_read += 1;
        let is_newest = previous.advance(&input, options)?;
        if is_newest {
            let is_expired = input.kind() == Kind::Put
                && retention.is_some_and(|rule| rule.is_expired(input.key(), input.value()));
            write_newest(&input, is_expired, options, &mut outputs, &mut done)?;
        } else {
            done.older_versions_dropped += 1;
        }
        input.next()?;
    }
    if options.expected_entries.is_some_and(|expected| expected != done.entries_read) {
        let expected = options.expected_entries.unwrap_or_default();
        let what = format!("{} entries were read where {expected} are", done.entries_read);
        return Err(Error::corruption(options.input_name.as_str(), 0, what));
    }
    done.tables = outputs.finish()?;
    Ok(Some(done))
}

/// Writes the newest version of a key, or not.
fn write_newest(
    entry: &impl Cursor,
    is_expired: bool,
    options: &RewriteOptions,
    outputs: &mut Outputs<'_>,
    done: &mut Rewritten,
) -> Result<()> {
    let is_kept_for_sure = entry.kind() == Kind::Put && !is_expired && !options.forget_seqnos;
    let may_be_below = is_kept_for_sure || options.below.may_hold(entry.key());
    let seqno = match may_be_below || !options.forget_seqnos {
        true => entry.seqno(),
        false => SeqNo::ZERO,
    };
    done.values_expired += u64::from(is_expired);
    match fate(entry.kind(), is_expired, may_be_below) {
        Fate::Keep => outputs.add(entry.key(), seqno, entry.kind(), entry.value())?,
        Fate::KeepAsDelete => outputs.add(entry.key(), seqno, Kind::Delete, &[])?,
        Fate::Drop => {
            done.deletes_dropped += u64::from(entry.kind() == Kind::Delete);
            return Ok(());
        }
    }
    done.entries_written += 1;
    Ok(())
}

/// The entry before the current one.
#[derive(Default)]
struct Previous {
    key: Vec<u8>,
    /// `None` before the first entry.
    seqno: Option<SeqNo>,
}

impl Previous {
    /// Goes on to the entry of `input`; true if it is the first of its key.
    fn advance(&mut self, input: &impl Cursor, options: &RewriteOptions) -> Result<bool> {
        let (key, seqno) = (input.key(), input.seqno());
        let order = match self.seqno {
            Some(_) => key.cmp(&self.key),
            None => Ordering::Greater,
        };
        let is_in_order = match order {
            Ordering::Less => false,
            Ordering::Equal => self.seqno >= Some(seqno),
            Ordering::Greater => true,
        };
        if !is_in_order {
            let what = format!("key \"{}\" is out of order", key.escape_ascii());
            return Err(Error::corruption(options.input_name.as_str(), 0, what));
        }
        if order == Ordering::Greater {
            self.key.clear();
            self.key.extend_from_slice(key);
        }
        self.seqno = Some(seqno);
        Ok(order == Ordering::Greater)
    }
}
