//! Writes of the log on their way into tables of the new directory.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kv_compaction::{Policy, RewriteContext, RewriteOptions, Rewritten, TableMeta, rewrite};
use kv_core::{Cursor, DatabaseId, DecodedBatch, Error, FileHeader, FileKind, Result, SeqNo};
use kv_env::Env;
use kv_memtable::{ArenaPool, Memtable, MemtableWriter};
use kv_sstable::TableOptions;

/// Memory for writes before they become a table.
const MEMTABLE_BYTES: usize = 64 << 20;

/// Gives the tables of the new database their identities.
pub(super) struct Output<'a> {
    pub(super) env: &'a Env,
    pub(super) database_id: DatabaseId,
    pub(super) table: TableOptions,
    pub(super) next_file_id: u64,
}

impl Output<'_> {
    /// Writes `input` to tables.
    pub(super) fn write(
        &mut self,
        input: impl Cursor,
        shape: impl FnOnce(TableOptions, &Policy) -> RewriteOptions,
    ) -> Result<Rewritten> {
        let options = shape(self.table.clone(), &Policy::default());
        let (env, database_id) = (self.env, self.database_id);
        let next_file_id = &mut self.next_file_id;
        let mut allocate = || {
            let file_id = *next_file_id;
            *next_file_id += 1;
            let file_uid = env.entropy.random_id();
            Ok(FileHeader { kind: FileKind::Table, database_id, file_id, file_uid })
        };
        let never = AtomicBool::new(false);
        let context = RewriteContext {
            fs: &*env.fs,
            allocate: &mut allocate,
            retention: None,
            cancel: &never,
        };
        rewrite(input, &options, context)?.ok_or(Error::Closed)
    }
}

/// Gathers writes in memory and lets them go to tables.
pub(super) struct Spill<'a> {
    output: Output<'a>,
    pool: ArenaPool,
    memtable: Arc<Memtable>,
    writer: MemtableWriter,
    tables: Vec<TableMeta>,
}

impl<'a> Spill<'a> {
    pub(super) fn new(output: Output<'a>) -> Spill<'a> {
        let pool = ArenaPool::new(MEMTABLE_BYTES);
        let (memtable, writer) = Memtable::create(&pool, SeqNo::ZERO);
        Spill { output, pool, memtable, writer, tables: Vec::new() }
    }

    /// Adds the writes of a batch.
    pub(super) fn add(&mut self, batch: &DecodedBatch<'_>) -> Result<()> {
        // A memory table takes rising numbers only; segments of different
        // times may not have them.
        let is_in_order = batch.first_seqno > self.memtable.last_seqno();
        if !is_in_order || self.memtable.bytes() >= MEMTABLE_BYTES {
            self.write_out()?;
        }
        let mut seqno = batch.first_seqno;
        for op in &batch.ops {
            self.writer.insert(seqno, op.kind, op.key, op.value);
            seqno = seqno.plus(1);
        }
        Ok(())
    }

    /// The tables, with all writes; and the means to write more.
    pub(super) fn finish(mut self) -> Result<(Vec<TableMeta>, Output<'a>)> {
        self.write_out()?;
        Ok((self.tables, self.output))
    }

    fn write_out(&mut self) -> Result<()> {
        if self.memtable.is_empty() {
            return Ok(());
        }
        let rewritten = self.output.write(self.memtable.cursor(), RewriteOptions::flush)?;
        self.tables.extend(rewritten.tables);
        let (memtable, writer) = Memtable::create(&self.pool, SeqNo::ZERO);
        (self.memtable, self.writer) = (memtable, writer);
        Ok(())
    }
}
