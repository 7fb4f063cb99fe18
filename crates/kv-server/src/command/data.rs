//! What commands of one run read and write: a view of the engine under the
//! writes that the run has pending.
//!
//! 1. A run is a series of commands of one connection that commits as one
//!    batch. Its commands read their predecessors' writes from here, before
//!    anybody else can see them.
//! 2. A *unit* is what must be atomic: one command, or a whole `EXEC`. The keys
//!    that a unit reads from the engine become expectations of the batch if
//!    the unit writes anything; a unit that only reads leaves none behind.
//! 3. Blind writes go straight into the batch. The first read behind a write
//!    indexes the batch, and from then on every write goes into the index too:
//!    a pipeline of plain `SET`s never pays for it.
//! 4. Nothing here knows the time or makes up a number: both come with
//!    [`RunContext`], so that the same commands on the same data give the same
//!    batch.

use std::collections::BTreeMap;
use std::ops::Bound;

use kv_core::{Expectation, Kind, MAX_BATCH_BYTES, Value, WriteBatch};

use super::error::{CommandError, CommandResult};
use super::merge::merge_pending;
use super::reader::{Direction, Entries, Reader};
use super::reply_room::{ReplyLimits, ReplyRoom};
use super::value::{
    MAX_STRING_BYTES, MAX_USER_KEY_BYTES, Stored, ValueType, has_expiry, key_range, put_key,
    put_string, split_key,
};

/// What one write adds to a batch besides key and payload, at most: database,
/// tag and header here, lengths and kind there.
pub(crate) const MAX_WRITE_OVERHEAD_BYTES: usize = 32;

/// The circumstances of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunContext {
    /// The time that all commands of the run see, in milliseconds since
    /// 1970-01-01 UTC.
    pub(crate) now_ms: u64,
    /// Where commands that choose at random start from.
    pub(crate) seed: u64,
    /// Whether the reader may serve commands that write.
    pub(crate) access: Access,
    /// True where a command may take seconds without holding up others.
    pub(crate) may_take_long: bool,
    /// How long the reply to a unit may be. It decides about no write.
    pub(crate) reply_limits: ReplyLimits,
}

/// What a reader is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// A published view: replies to reads may leave at once.
    ReadOnly,
    /// Applied, possibly unpublished state. Replies may leave only when what
    /// they show is durable: with the run's own batch, or behind an empty one.
    Update,
}

/// The last pending write of each engine key: its value, or `None` for a
/// delete.
pub(crate) type PendingIndex = BTreeMap<Vec<u8>, Option<Value>>;

/// A view under the pending writes of a run.
pub(crate) struct DataContext<'r> {
    reader: &'r dyn Reader,
    context: RunContext,
    random: u64,
    database: u8,
    batch: WriteBatch,
    index: Option<PendingIndex>,
    unit_started_at: u32,
    written_keys: Option<Vec<Vec<u8>>>,
    records_reads: bool,
    reads: Vec<Expectation>,
    sets_expiry: bool,
    reply_room: ReplyRoom,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'r> DataContext<'r> {
    /// A run without pending writes.
    pub(crate) fn new(reader: &'r dyn Reader, context: RunContext) -> DataContext<'r> {
        DataContext {
            reader,
            context,
            random: context.seed,
            database: 0,
            batch: WriteBatch::new(),
            index: None,
            unit_started_at: 0,
            written_keys: None,
            records_reads: false,
            reads: Vec::new(),
            sets_expiry: false,
            reply_room: ReplyRoom::new(context.reply_limits),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// The batch to commit: all writes of the run and what they rely on.
    pub(crate) fn into_batch(self) -> WriteBatch {
        self.batch
    }

    /// True if the run has written a value that will expire.
    pub(crate) fn sets_expiry(&self) -> bool {
        self.sets_expiry
    }

    /// Size of the pending writes, in bytes; 0 if there are none.
    pub(crate) fn pending_bytes(&self) -> usize {
        if self.batch.is_empty() { 0 } else { self.batch.size_bytes() }
    }

    pub(crate) fn has_pending_writes(&self) -> bool {
        !self.batch.is_empty()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.context.now_ms
    }

    pub(crate) fn access(&self) -> Access {
        self.context.access
    }

    pub(crate) fn may_take_long(&self) -> bool {
        self.context.may_take_long
    }

    /// Where the reply of the current unit is counted.
    pub(crate) fn reply_room(&mut self) -> &mut ReplyRoom {
        &mut self.reply_room
    }

    /// The database that keys belong to from here on.
    pub(crate) fn select(&mut self, database: u8) {
        self.database = database;
    }

    pub(crate) fn database(&self) -> u8 {
        self.database
    }

    /// The next number of the run's random sequence (SplitMix64).
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Starts a unit; `may_write` if its reads have to be remembered.
    pub(crate) fn begin_unit(&mut self, may_write: bool) {
        self.unit_started_at = self.batch.count();
        self.records_reads = may_write;
        self.reads.clear();
        self.reply_room.begin_unit();
    }

    /// Ends a unit: if it wrote, the batch depends on what it read.
    pub(crate) fn end_unit(&mut self) {
        if self.unit_has_written() {
            for expectation in self.reads.drain(..) {
                self.batch.expect(expectation);
            }
        }
        self.records_reads = false;
    }

    pub(crate) fn unit_has_written(&self) -> bool {
        self.batch.count() > self.unit_started_at
    }

    /// Keeps the engine keys written from here on.
    pub(crate) fn note_written_keys(&mut self) {
        self.written_keys = Some(Vec::new());
    }

    /// The engine keys written since they are kept, which ends here.
    pub(crate) fn take_written_keys(&mut self) -> Vec<Vec<u8>> {
        self.written_keys.take().unwrap_or_default()
    }

    /// The live value of a key of the selected database.
    pub(crate) fn lookup(&mut self, user_key: &[u8]) -> CommandResult<Option<Stored>> {
        self.lookup_in(self.database, user_key)
    }

    /// The live string of a key of the selected database.
    ///
    /// # Errors
    /// `WRONGTYPE` for a value of another type.
    pub(crate) fn lookup_string(&mut self, user_key: &[u8]) -> CommandResult<Option<Stored>> {
        match self.lookup(user_key)? {
            Some(stored) if stored.value_type != ValueType::String => Err(CommandError::WRONG_TYPE),
            found => Ok(found),
        }
    }

    /// The live value of a key of any database.
    pub(crate) fn lookup_in(
        &mut self,
        database: u8,
        user_key: &[u8],
    ) -> CommandResult<Option<Stored>> {
        Ok(self.lookup_expired_too(database, user_key)?.filter(|stored| !self.is_expired(stored)))
    }

    /// The value of a key even if it has expired and only waits for removal.
    pub(crate) fn lookup_expired_too(
        &mut self,
        database: u8,
        user_key: &[u8],
    ) -> CommandResult<Option<Stored>> {
        if user_key.len() > MAX_USER_KEY_BYTES {
            return Ok(None);
        }
        self.key.clear();
        put_key(&mut self.key, database, user_key);
        let found = self.read_key()?;
        found.map(decode).transpose()
    }

    /// True if a key of the selected database has a live value.
    pub(crate) fn exists(&mut self, user_key: &[u8]) -> CommandResult<bool> {
        Ok(self.lookup(user_key)?.is_some())
    }

    pub(crate) fn is_expired(&self, stored: &Stored) -> bool {
        stored.is_expired(self.context.now_ms)
    }

    /// Sets a string of the selected database.
    pub(crate) fn put(
        &mut self,
        user_key: &[u8],
        payload: &[u8],
        expires_at_ms: Option<u64>,
    ) -> CommandResult<()> {
        self.check_write(user_key, payload.len())?;
        self.value.clear();
        put_string(&mut self.value, expires_at_ms, payload);
        self.put_value(self.database, user_key)
    }

    /// Sets a key of any database to a value that was read, with its expiry.
    pub(crate) fn put_stored(
        &mut self,
        database: u8,
        user_key: &[u8],
        stored: &Stored,
    ) -> CommandResult<()> {
        self.check_write(user_key, stored.payload().len())?;
        self.value.clear();
        stored.encode(&mut self.value);
        self.put_value(database, user_key)
    }

    /// Sets a key to the bytes in `self.value`.
    fn put_value(&mut self, database: u8, user_key: &[u8]) -> CommandResult<()> {
        self.key.clear();
        put_key(&mut self.key, database, user_key);
        self.batch.put(&self.key, &self.value)?;
        self.sets_expiry |= has_expiry(&self.value);
        if let Some(index) = &mut self.index {
            index.insert(self.key.clone(), Some(Value::copy_of(&self.value)));
        }
        self.note_written_key();
        // One huge value must not keep its memory for the rest of the run.
        self.value.clear();
        self.value.shrink_to(MAX_IDLE_SCRATCH_BYTES);
        Ok(())
    }

    /// Deletes a key of the selected database, whatever it holds.
    pub(crate) fn delete(&mut self, user_key: &[u8]) -> CommandResult<()> {
        check_key(user_key)?;
        self.key.clear();
        put_key(&mut self.key, self.database, user_key);
        self.batch.delete(&self.key)?;
        if let Some(index) = &mut self.index {
            index.insert(self.key.clone(), None);
        }
        self.note_written_key();
        Ok(())
    }

    fn note_written_key(&mut self) {
        if let Some(keys) = &mut self.written_keys {
            keys.push(self.key.clone());
        }
    }

    /// Fails if a key or a payload of `payload_bytes` bytes is over its limit.
    pub(crate) fn check_write(&self, user_key: &[u8], payload_bytes: usize) -> CommandResult<()> {
        check_key(user_key)?;
        if payload_bytes > MAX_STRING_BYTES {
            return Err(CommandError::STRING_TOO_LONG);
        }
        Ok(())
    }

    /// Fails if writes of `bytes` bytes of keys and payloads in `count`
    /// operations do not fit into the batch, so that a command writes all of
    /// its keys or none.
    pub(crate) fn check_room(&self, count: usize, bytes: usize) -> CommandResult<()> {
        let needed = count.saturating_mul(MAX_WRITE_OVERHEAD_BYTES).saturating_add(bytes);
        if needed > self.room_bytes() {
            return Err(CommandError::BATCH_TOO_LARGE);
        }
        Ok(())
    }

    /// Bytes that the batch may still grow by.
    pub(crate) fn room_bytes(&self) -> usize {
        MAX_BATCH_BYTES - self.batch.size_bytes()
    }

    /// What the engine has of an engine key, for `WATCH`. The key must not
    /// have a pending write.
    pub(crate) fn expectation(&self, key: &[u8]) -> CommandResult<Expectation> {
        Ok(self.reader.get_for_update(key)?.1)
    }

    /// True if nothing has written the key since, in the engine or pending.
    pub(crate) fn is_unchanged(&self, expectation: &Expectation) -> CommandResult<bool> {
        Ok(self.reader.is_unchanged(expectation)?)
    }

    /// True if the run has a pending write of an engine key.
    pub(crate) fn has_pending_write(&mut self, key: &[u8]) -> bool {
        if self.batch.is_empty() {
            return false;
        }
        self.index().contains_key(key)
    }

    /// Live keys of a database that start with `prefix`, from `from` on in the
    /// direction of the scan, with their values.
    ///
    /// Keys that a scan does not meet cannot be expected: another client may
    /// create one before the batch commits.
    pub(crate) fn live_keys(
        &mut self,
        database: u8,
        prefix: &[u8],
        from: Bound<&[u8]>,
        direction: Direction,
    ) -> CommandResult<impl Iterator<Item = CommandResult<(Vec<u8>, Stored)>> + '_> {
        let (start, end) = key_range(database, prefix, from, direction);
        let now_ms = self.context.now_ms;
        let entries = self.scan(as_slice(&start), as_slice(&end), direction)?;
        Ok(entries.filter_map(move |entry| {
            let (key, value) = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            let (_, user_key) = split_key(&key)?;
            match decode(value) {
                Ok(stored) if stored.is_expired(now_ms) => None,
                Ok(stored) => Some(Ok((user_key.to_vec(), stored))),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    fn scan(
        &mut self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        direction: Direction,
    ) -> CommandResult<Entries<'_>> {
        if is_empty_range(start, end) {
            return Ok(Box::new(std::iter::empty()));
        }
        let entries = self.reader.scan(start, end, direction)?;
        if self.batch.is_empty() {
            return Ok(entries);
        }
        let pending = self.index().range::<[u8], _>((start, end));
        Ok(merge_pending(entries, pending, direction))
    }

    /// The pending writes, indexed from here on.
    fn index(&mut self) -> &PendingIndex {
        self.index.get_or_insert_with(|| index_of(&self.batch))
    }

    /// Reads the key in `self.key`: pending first, then the engine.
    fn read_key(&mut self) -> CommandResult<Option<Value>> {
        if !self.batch.is_empty() {
            let index = self.index.get_or_insert_with(|| index_of(&self.batch));
            if let Some(write) = index.get(self.key.as_slice()) {
                return Ok(write.clone());
            }
        }
        if !self.records_reads {
            return Ok(self.reader.get(&self.key)?);
        }
        let (value, expectation) = self.reader.get_for_update(&self.key)?;
        self.reads.push(expectation);
        Ok(value)
    }
}

/// Scratch memory that a run keeps between its writes, in bytes: more than
/// nearly every value, little for a connection.
const MAX_IDLE_SCRATCH_BYTES: usize = 64 << 10;

fn check_key(user_key: &[u8]) -> CommandResult<()> {
    if user_key.len() > MAX_USER_KEY_BYTES {
        return Err(CommandError::general(format_args!(
            "key of {} bytes is over the limit of {MAX_USER_KEY_BYTES} bytes",
            user_key.len()
        )));
    }
    Ok(())
}

fn decode(value: Value) -> CommandResult<Stored> {
    Stored::decode(value)
        .ok_or(CommandError::fixed("ERR the stored value was not written by this server"))
}

fn index_of(batch: &WriteBatch) -> PendingIndex {
    let pending = batch.ops().map(|op| {
        let value = (op.kind == Kind::Put).then(|| Value::copy_of(op.value));
        (op.key.to_vec(), value)
    });
    pending.collect()
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

fn is_empty_range(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}
