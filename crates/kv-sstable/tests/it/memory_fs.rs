//! A directory in memory: just enough to write and read tables.

use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::sync::{Arc, Mutex};

use kv_core::{Error, Pinned, Result};
use kv_env::{DirEntry, DirLock, Fs, ReadFile, SyncHandle, WriteFile};

type Bytes = Arc<Mutex<Vec<u8>>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryFs {
    files: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryFs {
    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].lock().unwrap().clone()
    }

    pub(crate) fn put_file(&self, name: &str, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(name.into(), Arc::new(Mutex::new(bytes)));
    }
}

impl Fs for MemoryFs {
    fn describe(&self) -> String {
        "memory".into()
    }
    fn create(&self, name: &str) -> Result<Box<dyn WriteFile>> {
        let bytes = Bytes::default();
        self.files.lock().unwrap().insert(name.into(), Arc::clone(&bytes));
        Ok(Box::new(Writer { bytes }))
    }
    fn open(&self, name: &str) -> Result<Arc<dyn ReadFile>> {
        match self.files.lock().unwrap().get(name) {
            Some(bytes) => Ok(Arc::new(Reader(bytes.lock().unwrap().clone()))),
            None => Err(Error::io("open", name, IoError::from(ErrorKind::NotFound))),
        }
    }
    fn rename(&self, _from: &str, _to: &str) -> Result<()> {
        unreachable!("tables are never renamed")
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }
    fn truncate(&self, _name: &str, _len: u64) -> Result<()> {
        unreachable!("tables are never cut")
    }
    fn create_dir(&self, _name: &str) -> Result<()> {
        Ok(())
    }
    fn list(&self) -> Result<Vec<DirEntry>> {
        unreachable!("tables are opened by name")
    }
    fn sync_dir(&self) -> Result<()> {
        Ok(())
    }
    fn lock(&self, _name: &str) -> Result<Box<dyn DirLock>> {
        unreachable!("tables need no lock")
    }
    fn free_space(&self) -> Result<u64> {
        Ok(u64::MAX)
    }
}

struct Writer {
    bytes: Bytes,
}

impl WriteFile for Writer {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }
    fn zero_fill(&mut self, _len: u64) -> Result<()> {
        unreachable!("tables are not zero-filled")
    }
    fn position(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }
    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        unreachable!("tables are synced by their builder")
    }
    fn seal(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Reader(Vec<u8>);

impl ReadFile for Reader {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn map(&self) -> Result<Arc<dyn Pinned>> {
        Ok(Arc::new(self.0.clone()))
    }
    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }
}
