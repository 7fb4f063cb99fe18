//! Files of tables that are open for reading: a bounded number of them.
//!
//! A process has few descriptors, a database may have any number of tables. A
//! mapped table needs none; one that is read by `pread`, for a background job
//! say, is opened by its name when it is read, and the files that were read
//! last stay open.
//!
//! # Why a name may be opened again
//!
//! The name of a table in use belongs to that table: whoever opens one on
//! demand keeps its file under its name until the [`Table`](crate::Table) is
//! dropped. Names are not given twice, and sealed files do not change. What
//! others may have done meanwhile is checked all the same: a file of another
//! length or with another header, which holds the random uid, is not read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use kv_core::{Error, FILE_HEADER_BYTES, FileHeader, Result};
use kv_env::{Fs, ReadFile};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, UnitWeighter};

/// The files of tables that were read last, shared by all tables that
/// [were opened](crate::Table::open_on_demand) with it.
///
/// At most as many are open as it may keep, and one more for each thread that
/// is reading a file which it has let go of.
pub struct OpenFiles {
    fs: Arc<dyn Fs>,
    latest: Cache<u64, Arc<dyn ReadFile>, UnitWeighter, FixedState>,
    next_id: AtomicU64,
}

impl OpenFiles {
    /// Keeps up to `most_files` files of `fs` open.
    pub fn new(fs: Arc<dyn Fs>, most_files: usize) -> Arc<OpenFiles> {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(most_files)
            .weight_capacity(most_files as u64)
            // Several would round the bound up, and what they are for, many
            // threads at once, comes with a system call here.
            .shards(1)
            .build()
            .expect("all that has no default is set");
        // Fixed: the same calls open the same files in every process.
        let (hasher, lifecycle) = (FixedState::default(), DefaultLifecycle::default());
        let latest = Cache::with_options(options, UnitWeighter, hasher, lifecycle);
        Arc::new(OpenFiles { fs, latest, next_id: AtomicU64::new(0) })
    }

    /// How many files it keeps open.
    pub fn count(&self) -> usize {
        self.latest.len()
    }

    /// The file system the files are in.
    pub(crate) fn fs(&self) -> &dyn Fs {
        &*self.fs
    }
}

impl fmt::Debug for OpenFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenFiles")
            .field("count", &self.count())
            .field("most_files", &self.latest.capacity())
            .finish_non_exhaustive()
    }
}

/// How a table gets at its file.
pub(crate) enum FileSource {
    /// It is open for as long as the table is.
    Held(Arc<dyn ReadFile>),
    /// It is opened when it is read.
    OnDemand(FileOnDemand),
}

impl FileSource {
    /// The open file. To be dropped after use, so that the number of open files
    /// stays bounded.
    pub(crate) fn file(&self) -> Result<Arc<dyn ReadFile>> {
        match self {
            FileSource::Held(file) => Ok(Arc::clone(file)),
            FileSource::OnDemand(file) => file.open(),
        }
    }
}

/// A file that is opened when it is read.
pub(crate) struct FileOnDemand {
    files: Arc<OpenFiles>,
    /// Its number in `files`, of this table alone.
    id: u64,
    name: String,
    header: FileHeader,
    file_bytes: u64,
}

impl FileOnDemand {
    /// The file `name`, of which a table with this header was opened.
    pub(crate) fn new(
        files: Arc<OpenFiles>,
        name: &str,
        header: FileHeader,
        file_bytes: u64,
    ) -> FileOnDemand {
        let id = files.next_id.fetch_add(1, Ordering::Relaxed);
        FileOnDemand { files, id, name: name.into(), header, file_bytes }
    }

    /// Keeps `file` among the latest.
    pub(crate) fn keep(&self, file: Arc<dyn ReadFile>) {
        self.files.latest.insert(self.id, file);
    }

    /// Two threads that miss it together open it twice, and one is dropped: a
    /// reader never waits for another one's open.
    fn open(&self) -> Result<Arc<dyn ReadFile>> {
        if let Some(file) = self.files.latest.get(&self.id) {
            return Ok(file);
        }
        let file = self.files.fs.open(&self.name)?;
        self.check_is_same(&file)?;
        self.keep(Arc::clone(&file));
        Ok(file)
    }

    fn check_is_same(&self, file: &Arc<dyn ReadFile>) -> Result<()> {
        let mut bytes = [0; FILE_HEADER_BYTES];
        let is_whole = file.read_exact_at(0, &mut bytes)?;
        if file.len() == self.file_bytes && is_whole && bytes == self.header.encode() {
            return Ok(());
        }
        let what = "another file has taken the name of this table while it was in use; put the \
                    right one back";
        Err(Error::corruption(&*self.name, 0, what))
    }
}

/// A file that nobody reads any more is not kept open: its space comes back
/// once its name is removed.
impl Drop for FileOnDemand {
    fn drop(&mut self) {
        self.files.latest.remove(&self.id);
    }
}
