//! The simulated disk as a file system.

use std::io;
use std::sync::Arc;

use kv_core::{Error, Result};
use parking_lot::MutexGuard;

use crate::fault::Operation;
use crate::names::Name;
use crate::ports::{DirEntry, DirLock, Fs, ReadFile, WriteFile};

use super::Shared;
use super::directory::{Entry, FileNumber};
use super::files::{SimFile, SimReadFile, SimWriteFile};
use super::machine::{Handle, Machine};
use super::op::{Op, SyncOutcome};

/// The process id that simulated lock files carry.
const SIM_PROCESS_ID: u32 = 1;

/// Free space where no capacity was set.
const UNLIMITED_BYTES: u64 = 1 << 40;

#[derive(Debug)]
pub(super) struct SimFs {
    pub(super) shared: Arc<Shared>,
}

impl SimFs {
    /// The machine, if it still runs.
    fn running(&self, operation: Operation, name: &str) -> Result<MutexGuard<'_, Machine>> {
        let machine = self.shared.machine.lock();
        machine.check_running(operation, name)?;
        Ok(machine)
    }

    /// The machine, if this call, which changes nothing, is to succeed.
    fn allowed(&self, operation: Operation, name: &str) -> Result<MutexGuard<'_, Machine>> {
        let mut machine = self.shared.machine.lock();
        machine.allow(operation, name)?;
        Ok(machine)
    }
}

fn error(operation: Operation, name: &str, kind: io::ErrorKind) -> Error {
    Error::io(operation.verb(), name, kind.into())
}

/// Checks that the sub-directory of `name`, if it has one, is there.
fn check_parent(machine: &Machine, operation: Operation, name: &str) -> Result<()> {
    let Some(parent) = Name::parse(name)?.directory else { return Ok(()) };
    match machine.state().directory().entry(parent) {
        Some(Entry::Directory) => Ok(()),
        Some(Entry::File(_)) => Err(error(operation, name, io::ErrorKind::NotADirectory)),
        None => Err(error(operation, name, io::ErrorKind::NotFound)),
    }
}

/// The file called `name`; where a directory has that name, an error of kind
/// `if_directory`.
fn find(
    machine: &Machine,
    operation: Operation,
    name: &str,
    if_directory: io::ErrorKind,
) -> Result<FileNumber> {
    check_parent(machine, operation, name)?;
    match machine.state().directory().entry(name) {
        Some(Entry::File(file)) => Ok(file),
        Some(Entry::Directory) => Err(error(operation, name, if_directory)),
        None => Err(error(operation, name, io::ErrorKind::NotFound)),
    }
}

impl Fs for SimFs {
    fn describe(&self) -> String {
        "simulated disk".to_owned()
    }

    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let mut machine = self.running(Operation::Create, name)?;
        check_parent(&machine, Operation::Create, name)?;
        if machine.state().directory().entry(name).is_some() {
            return Err(error(Operation::Create, name, io::ErrorKind::AlreadyExists));
        }
        let file = machine.state().next_file();
        machine.perform(Operation::Create, name, Op::Create { file })?;
        let handle = machine.open(file, Handle::Write);
        Ok(Box::new(SimWriteFile::new(SimFile::new(&self.shared, file, name, handle))))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        let mut machine = self.allowed(Operation::Open, name)?;
        let file = find(&machine, Operation::Open, name, io::ErrorKind::InvalidInput)?;
        let len = machine.contents(file).len() as u64;
        let handle = machine.open(file, Handle::Read);
        Ok(Arc::new(SimReadFile::new(SimFile::new(&self.shared, file, name, handle), len)))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut machine = self.running(Operation::Rename, from)?;
        check_parent(&machine, Operation::Rename, from)?;
        check_parent(&machine, Operation::Rename, to)?;
        find(&machine, Operation::Rename, from, io::ErrorKind::IsADirectory)?;
        if machine.state().directory().entry(to) == Some(Entry::Directory) {
            return Err(error(Operation::Rename, from, io::ErrorKind::IsADirectory));
        }
        machine.perform(Operation::Rename, from, Op::Rename { to: to.to_owned() })
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut machine = self.running(Operation::Remove, name)?;
        find(&machine, Operation::Remove, name, io::ErrorKind::IsADirectory)?;
        machine.perform(Operation::Remove, name, Op::Remove)
    }

    fn truncate(&self, name: &str, len: u64) -> Result<()> {
        let mut machine = self.running(Operation::Truncate, name)?;
        let file = find(&machine, Operation::Truncate, name, io::ErrorKind::IsADirectory)?;
        let contents = machine.contents(file);
        if contents.is_sealed() {
            return Err(error(Operation::Truncate, name, io::ErrorKind::PermissionDenied));
        }
        if len > contents.len() as u64 {
            return Err(Error::InvalidArgument(format!(
                "cannot cut {name} to {len} bytes: it has {}",
                contents.len()
            )));
        }
        let op = Op::SetLength { file, len: len as usize };
        machine.perform(Operation::Truncate, name, op)?;
        machine.sync(name, file)
    }

    fn create_dir(&self, name: &str) -> Result<()> {
        let name = Name::parse_component(name)?;
        let mut machine = self.running(Operation::CreateDir, name)?;
        match machine.state().directory().entry(name) {
            Some(Entry::Directory) => Ok(()),
            Some(Entry::File(_)) => {
                Err(error(Operation::CreateDir, name, io::ErrorKind::AlreadyExists))
            }
            None => machine.perform(Operation::CreateDir, name, Op::CreateDirectory),
        }
    }

    fn list(&self) -> Result<Vec<DirEntry>> {
        let machine = self.allowed(Operation::List, "")?;
        let top_level =
            machine.state().directory().live().iter().filter(|(name, _)| !name.contains('/'));
        Ok(top_level
            .map(|(name, entry)| match entry {
                Entry::File(file) => DirEntry {
                    name: name.clone(),
                    len: machine.contents(*file).len() as u64,
                    is_regular_file: true,
                },
                Entry::Directory => DirEntry { name: name.clone(), len: 0, is_regular_file: false },
            })
            .collect())
    }

    fn sync_dir(&self) -> Result<()> {
        let op = Op::SyncDirectory { outcome: SyncOutcome::Durable };
        self.shared.machine.lock().perform(Operation::SyncDir, "", op)
    }

    fn lock(&self, name: &str) -> Result<Box<dyn DirLock>> {
        let name = Name::parse_component(name)?;
        let mut machine = self.allowed(Operation::Lock, name)?;
        if machine.locked.contains(name) {
            let holder_pid = Some(SIM_PROCESS_ID);
            return Err(Error::Locked { path: self.describe(), holder_pid });
        }
        let file = match machine.state().directory().entry(name) {
            Some(Entry::File(file)) => file,
            Some(Entry::Directory) => {
                return Err(error(Operation::Lock, name, io::ErrorKind::IsADirectory));
            }
            None => {
                let file = machine.state().next_file();
                machine.perform(Operation::Create, name, Op::Create { file })?;
                file
            }
        };
        let text = format!("{SIM_PROCESS_ID}\n");
        let bytes = Arc::from(text.as_bytes());
        machine.perform(Operation::Append, name, Op::Write { file, offset: 0, bytes })?;
        machine.perform(Operation::Truncate, name, Op::SetLength { file, len: text.len() })?;
        machine.locked.insert(name.to_owned());
        Ok(Box::new(SimLock { shared: Arc::clone(&self.shared), name: name.to_owned() }))
    }

    fn free_space(&self) -> Result<u64> {
        let machine = self.allowed(Operation::FreeSpace, "")?;
        Ok(machine
            .capacity
            .map_or(UNLIMITED_BYTES, |capacity| capacity.saturating_sub(machine.used_bytes())))
    }

    fn reserve(&self, name: &str, bytes: u64) -> Result<()> {
        let mut machine = self.running(Operation::Reserve, name)?;
        check_parent(&machine, Operation::Reserve, name)?;
        let (file, is_new) = match machine.state().directory().entry(name) {
            Some(Entry::File(file)) => (file, false),
            Some(Entry::Directory) => {
                return Err(error(Operation::Reserve, name, io::ErrorKind::IsADirectory));
            }
            None => (machine.state().next_file(), true),
        };
        if is_new {
            machine.perform(Operation::Create, name, Op::Create { file })?;
        } else if machine.contents(file).is_sealed() {
            return Err(error(Operation::Reserve, name, io::ErrorKind::PermissionDenied));
        }
        let (from, to) = (machine.contents(file).len(), bytes as usize);
        if to <= from {
            return machine.allow(Operation::Reserve, name);
        }
        let reserved = machine.perform(Operation::Reserve, name, Op::WriteZeros { file, from, to });
        if reserved.is_err() {
            // If this fails as well there is nothing more to be done.
            let _ = if is_new {
                machine.perform(Operation::Remove, name, Op::Remove)
            } else {
                machine.perform(Operation::Truncate, name, Op::SetLength { file, len: from })
            };
        }
        reserved
    }
}

struct SimLock {
    shared: Arc<Shared>,
    name: String,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.shared.machine.lock().locked.remove(&self.name);
    }
}
