//! Open files of a simulated disk.

use std::sync::Arc;

use kv_core::{Error, Pinned, Result};

use crate::fault::Operation;
use crate::ports::{ReadFile, SyncHandle, WriteFile};

use super::Shared;
use super::directory::FileNumber;
use super::machine::{Handle, Machine};
use super::op::Op;
use super::random::mix;

/// What all handles share: which file, and what it was called when opened.
#[derive(Clone)]
pub(super) struct SimFile {
    shared: Arc<Shared>,
    file: FileNumber,
    name: String,
    /// Lets the machine know that the file is open.
    _handle: Arc<Handle>,
}

impl SimFile {
    pub(super) fn new(
        shared: &Arc<Shared>,
        file: FileNumber,
        name: &str,
        handle: Arc<Handle>,
    ) -> SimFile {
        SimFile { shared: Arc::clone(shared), file, name: name.to_owned(), _handle: handle }
    }

    /// Runs `action` on the machine, with the name that the file has now.
    fn with<T>(&self, action: impl FnOnce(&mut Machine, &str) -> Result<T>) -> Result<T> {
        let mut machine = self.shared.machine.lock();
        let name = machine.name_of(self.file, &self.name);
        action(&mut machine, &name)
    }
}

impl SyncHandle for SimFile {
    fn sync(&self) -> Result<()> {
        self.with(|machine, name| machine.sync(name, self.file))
    }
}

pub(super) struct SimWriteFile {
    file: SimFile,
    position: u64,
    /// Length of the file: the position, or the end of the zeros behind it.
    end: u64,
}

impl SimWriteFile {
    pub(super) fn new(file: SimFile) -> SimWriteFile {
        SimWriteFile { file, position: 0, end: 0 }
    }
}

fn check_not_sealed(machine: &Machine, file: FileNumber, name: &str) -> Result<()> {
    if machine.contents(file).is_sealed() {
        return Err(Error::InvalidArgument(format!("{name} is sealed")));
    }
    Ok(())
}

impl WriteFile for SimWriteFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let file = self.file.file;
        self.file.with(|machine, name| {
            check_not_sealed(machine, file, name)?;
            if bytes.is_empty() {
                return Ok(());
            }
            let mut offset = self.position as usize;
            let (first, rest) = bytes.split_at(machine.first_write(offset, bytes.len()));
            for part in [first, rest].into_iter().filter(|part| !part.is_empty()) {
                let op = Op::Write { file, offset, bytes: Arc::from(part) };
                machine.perform(Operation::Append, name, op)?;
                offset += part.len();
            }
            Ok(())
        })?;
        self.position += bytes.len() as u64;
        self.end = self.end.max(self.position);
        Ok(())
    }

    fn zero_fill(&mut self, len: u64) -> Result<()> {
        let file = self.file.file;
        self.file.with(|machine, name| {
            check_not_sealed(machine, file, name)?;
            if len <= self.end {
                return Ok(());
            }
            let op = Op::WriteZeros { file, from: self.end as usize, to: len as usize };
            machine.perform(Operation::ZeroFill, name, op)
        })?;
        self.end = self.end.max(len);
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::new(self.file.clone())
    }

    fn seal(&mut self) -> Result<()> {
        let (file, len) = (self.file.file, self.position as usize);
        self.file.with(|machine, name| {
            check_not_sealed(machine, file, name)?;
            machine.perform(Operation::Truncate, name, Op::SetLength { file, len })?;
            machine.sync(name, file)?;
            machine.perform(Operation::Seal, name, Op::Seal { file })
        })?;
        self.end = self.position;
        Ok(())
    }
}

pub(super) struct SimReadFile {
    file: SimFile,
    len: u64,
}

impl SimReadFile {
    pub(super) fn new(file: SimFile, len: u64) -> SimReadFile {
        SimReadFile { file, len }
    }
}

/// A map: the bytes as they were when it was made.
struct SimMap(Arc<Vec<u8>>);

impl Pinned for SimMap {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl ReadFile for SimReadFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.with(|machine, name| machine.read(name, self.file.file, offset, buffer))
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn map(&self) -> Result<Arc<dyn Pinned>> {
        self.file.with(|machine, name| {
            machine.allow(Operation::Map, name)?;
            let bytes = machine.bytes_to_map(name, self.file.file)?;
            if bytes.len() as u64 != self.len {
                let kind = std::io::ErrorKind::InvalidData;
                let error = std::io::Error::new(kind, "its length changed while open");
                return Err(Error::io(Operation::Map.verb(), name, error));
            }
            let map: Arc<dyn Pinned> = Arc::new(SimMap(bytes));
            machine.note_map(name, self.file.file, Arc::downgrade(&map));
            Ok(map)
        })
    }

    fn drop_cache(&self) -> Result<()> {
        let file = self.file.file;
        self.file.with(|machine, name| {
            machine.allow(Operation::DropCache, name)?;
            if machine.contents(file).has_doubtful_pages() {
                let seed = mix(machine.seed, machine.op_count());
                machine.record(name, Op::Evict { file, seed }, false);
            }
            Ok(())
        })
    }
}
