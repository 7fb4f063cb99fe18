//! Opening: from the files of a directory to a running engine.
//!
//! 1. Lock the directory.
//! 2. Read the highest valid manifest; without one, create the database if the
//!    directory holds nothing of ours, else refuse.
//! 3. Open every table the manifest names; refuse if one is missing or is not
//!    what it should be.
//! 4. Find and replay the log segments; copy a torn tail of the last one aside,
//!    and make durable what was read. If they are many, what they hold is left to
//!    the flush.
//! 5. Write a new manifest, which says where each unfinished segment ends, and
//!    remove the old one: recovery never appends to a file that it found.
//! 6. Cut the old segments there, give them their sealed names, make the new
//!    active segment and record it.
//! 7. Remove leftovers.
//! 8. If the log is far too long, flush before anybody can close the engine again.
//!
//! Up to step 5 no file of the database is changed; a crash at any point leads
//! to the same state.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use kv_compaction::{Busy, Version};
use kv_core::{DatabaseId, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Result};
use kv_env::{DirLock, Env, Fs};
use kv_memtable::ArenaPool;
use kv_sstable::ReadMode;
use kv_wal::LogWriter;

use crate::commit::{CommitQueue, Writer};
use crate::install::opened_segment;
use crate::live_table::{LiveTable, Tables};
use crate::manifest::{FILE_ID_RESERVE, Manifest, ManifestState};
use crate::manifest_load::{Listing, LoadedManifest, load_manifest};
use crate::names;
use crate::options::Options;
use crate::poison::Poison;
use crate::primitives::atomic::{AtomicBool, AtomicU64};
use crate::primitives::{ArcSwap, Mutex};
use crate::replay::{MANY_SEGMENTS, Replayed, cut, replay};
use crate::report::RecoveryReport;
use crate::rewrite::CancelFlag;
use crate::scrub::Scrub;
use crate::segment_survey::{FoundSegments, find_segments};
use crate::segments::Segments;
use crate::shared::Shared;
use crate::signals::Signals;
use crate::space::{Space, hold_reserve, make_room_to_open};
use crate::stats::Counters;
use crate::sync::SyncQueue;
use crate::view::View;

/// Memory of dropped memory tables that is kept for the next ones: about two
/// of the default size.
const POOL_BYTES: usize = 128 << 20;

/// The segments of a log beyond which an open does not leave them to the
/// background: opens and closes follow each other too fast for it, or an engine
/// without threads is never given the time. The flush then makes an open some
/// milliseconds longer, and as much as a second where a memory table is nearly full.
const TOO_MANY_SEGMENTS: usize = 4 * MANY_SEGMENTS;

/// Opens the database in the directory of `env`.
pub(crate) fn recover(env: Env, mut options: Options) -> Result<Shared> {
    if !env.fs.trusts_maps() {
        options.read_mode = ReadMode::Pread;
    }
    // Nothing is created in a directory that is refused.
    let listing = Listing::read(&*env.fs)?;
    if listing.is_empty() && !options.create_if_missing {
        return Err(no_database(&env));
    }
    let lock = env.fs.lock(names::LOCK)?;
    let listing = Listing::read(&*env.fs)?;
    make_room_to_open(&*env.fs, &options)?;
    let loaded = match load_manifest(&env, &listing)? {
        Some(loaded) => loaded,
        None => new_database(&env, &options, &listing)?,
    };
    let tables = Tables::new(&env, &options);
    let version = Arc::new(open_tables(&tables, &loaded, &listing)?);
    let found = find_segments(&*env.fs, &listing.segments, loaded.database_id, &loaded.state)?;
    let pool = ArenaPool::new(POOL_BYTES);
    let replayed = replay(&env, &found.live, &loaded, &options, &pool)?;

    let manifest_id = loaded.highest_id + 1;
    let mut manifest = Manifest::create(
        &env,
        manifest_id,
        loaded.database_id,
        recovered_state(&loaded, &replayed),
        Arc::clone(&version),
    )?;
    let superseded: Vec<String> = listing.manifests.iter().copied().map(names::manifest).collect();
    remove_all(&env, &superseded)?;
    let started = start_segment(&env, &options, &mut manifest, &found, &replayed)?;
    let orphans = orphan_tables(&*env.fs, &listing, &loaded)?;
    remove_all(&env, &orphans)?;
    // Manifests change at every open: only what is out of the ordinary counts.
    let removed = orphans.into_iter().chain(found.leftover).collect();
    let report = report(&loaded, &listing, &replayed, removed);
    let shared = assemble(Parts {
        env,
        options,
        lock,
        tables,
        pool,
        version,
        replayed,
        manifest,
        started,
        report,
    });
    if shared.segments.count() > TOO_MANY_SEGMENTS {
        shared.flush_replayed();
    }
    Ok(shared)
}

/// The state of a database that is about to be created.
fn new_database(env: &Env, options: &Options, listing: &Listing) -> Result<LoadedManifest> {
    let directory = env.fs.describe();
    if !listing.segments.is_empty() || !listing.tables.is_empty() {
        let what = "no valid manifest, but log segments or tables: restore the manifest from a \
                    backup, or salvage what is there with kv repair";
        return Err(Error::corruption(directory, 0, what));
    }
    if !options.create_if_missing {
        return Err(no_database(env));
    }
    Ok(LoadedManifest {
        highest_id: listing.manifests.iter().copied().max().unwrap_or(0),
        name: String::new(),
        database_id: DatabaseId(env.entropy.random_id()),
        state: ManifestState {
            // One more than that of the newest, 0: there is none yet.
            oldest_segment: 1,
            next_file_id: 1,
            ..ManifestState::default()
        },
        version: Version::new(),
        clean: true,
    })
}

/// What every call says that wants a database to be there.
pub(crate) fn no_database(env: &Env) -> Error {
    let missing = io::Error::new(io::ErrorKind::NotFound, "there is no database here");
    Error::io("open", env.fs.describe(), missing)
}

/// Opens every table of the manifest, or says which are missing.
fn open_tables(
    tables: &Tables,
    loaded: &LoadedManifest,
    listing: &Listing,
) -> Result<Version<LiveTable>> {
    let found: HashSet<&str> = listing.tables.iter().map(|(_, name)| name.as_str()).collect();
    let named = loaded.table_names().into_iter();
    let missing: Vec<String> = named.filter(|name| !found.contains(name.as_str())).collect();
    if let Some(first) = missing.first() {
        let what = format!(
            "missing: {}; put the files back, or salvage what is left with kv repair",
            missing.join(", ")
        );
        return Err(Error::corruption(first.clone(), 0, what));
    }
    loaded.version.try_map(|meta| tables.open(meta, loaded.database_id))
}

fn recovered_state(loaded: &LoadedManifest, replayed: &Replayed) -> ManifestState {
    let mut state = loaded.state.clone();
    let next_segment = state.newest_segment + 1;
    state.segment_ends = replayed.ends.clone();
    // If nothing in the log is needed it starts over with the next segment.
    state.forget_segments_before(replayed.first_needed.unwrap_or(next_segment));
    // Never an id that a table has, whatever was reserved.
    let ids = loaded.version.tables().map(|(_, meta)| meta.id + 1);
    state.next_file_id = ids.fold(state.next_file_id, u64::max) + FILE_ID_RESERVE;
    state
}

/// The log as it goes on.
struct Started {
    segment: u64,
    log: LogWriter,
    /// Every segment on disk.
    names: BTreeMap<u64, String>,
    /// False if the disk is full.
    is_reserved: bool,
}

/// Cuts the old segments where their logs end, seals their names and makes the
/// new active one.
fn start_segment(
    env: &Env,
    options: &Options,
    manifest: &mut Manifest,
    found: &FoundSegments,
    replayed: &Replayed,
) -> Result<Started> {
    // First: one of them may have the name that a segment is about to be given,
    // or that of the new one.
    remove_all(env, &found.leftover)?;
    let mut names = BTreeMap::new();
    let mut is_renamed = false;
    for (&id, name) in &found.live {
        if let Some(&end) = replayed.ends.get(&id) {
            cut(&*env.fs, name, end)?;
        }
        let sealed = names::sealed_segment(id);
        if *name != sealed {
            env.fs.rename(name, &sealed)?;
            is_renamed = true;
        }
        names.insert(id, sealed);
    }
    if is_renamed {
        // The new segment takes the only durable name of the last one.
        env.fs.sync_dir()?;
    }
    let id = manifest.state().newest_segment + 1;
    let header = FileHeader {
        kind: FileKind::Wal,
        database_id: manifest.database_id(),
        file_id: id,
        file_uid: env.entropy.random_id(),
    };
    let zeros = options.memtable_flush_size.segment_bytes();
    let log = LogWriter::create(&*env.fs, names::ACTIVE_SEGMENT, header, zeros);
    // What cannot be removed is a leftover of the next open, and so is this.
    let log = log.inspect_err(|_| drop(env.fs.remove(names::ACTIVE_SEGMENT)))?;
    let is_reserved = hold_reserve(&*env.fs, options)?;
    env.fs.sync_dir()?;
    let version = Arc::clone(manifest.version());
    manifest.commit(&opened_segment(id, header.file_uid), version)?;
    names.insert(id, names::ACTIVE_SEGMENT.into());
    let oldest = manifest.state().oldest_segment;
    let unneeded: Vec<String> =
        names.iter().filter(|&(&id, _)| id < oldest).map(|(_, name)| name.clone()).collect();
    remove_all(env, &unneeded)?;
    names.retain(|&id, _| id >= oldest);
    Ok(Started { segment: id, log, names, is_reserved })
}

/// Tables that nothing refers to and that are ours.
fn orphan_tables(fs: &dyn Fs, listing: &Listing, loaded: &LoadedManifest) -> Result<Vec<String>> {
    let named: HashSet<String> = loaded.table_names().into_iter().collect();
    let mut orphans = Vec::new();
    for (id, name) in &listing.tables {
        if !named.contains(name) && is_leftover(fs, *id, name, loaded)? {
            orphans.push(name.clone());
        }
    }
    Ok(orphans)
}

/// Whether a table that the manifest does not name is ours: so its number says,
/// and its header does not say otherwise.
pub(crate) fn is_leftover(
    fs: &dyn Fs,
    id: u64,
    name: &str,
    loaded: &LoadedManifest,
) -> Result<bool> {
    Ok(id < loaded.state.next_file_id && !is_of_another_database(fs, name, loaded.database_id)?)
}

fn is_of_another_database(fs: &dyn Fs, name: &str, database_id: DatabaseId) -> Result<bool> {
    let mut bytes = [0; FILE_HEADER_BYTES];
    let len = fs.open(name)?.read_at(0, &mut bytes)?;
    let header = FileHeader::decode(FileKind::Table, name, &bytes[..len]);
    Ok(header.is_ok_and(|header| header.database_id != database_id))
}

/// Removes files, and makes that durable; one that is gone is no error.
fn remove_all(env: &Env, names: &[String]) -> Result<()> {
    for name in names {
        match env.fs.remove(name) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    if names.is_empty() { Ok(()) } else { env.fs.sync_dir() }
}

fn report(
    loaded: &LoadedManifest,
    listing: &Listing,
    replayed: &Replayed,
    removed: Vec<String>,
) -> RecoveryReport {
    let mut accounted: HashSet<String> = loaded.table_names().into_iter().collect();
    accounted.extend(removed.iter().cloned());
    let tables = listing.tables.iter().map(|(_, name)| name);
    let foreign_tables = tables.filter(|name| !accounted.contains(*name));
    let foreign = listing.foreign.iter().chain(foreign_tables).cloned().collect();
    RecoveryReport {
        created: loaded.name.is_empty(),
        clean_shutdown: loaded.clean,
        manifest: loaded.name.clone(),
        tables: loaded.version.table_count() as u64,
        segments: replayed.segments.clone(),
        batches_replayed: replayed.batches,
        writes_replayed: replayed.writes,
        last_seqno: replayed.last_seqno,
        removed,
        foreign,
    }
}

struct Parts {
    env: Env,
    options: Options,
    lock: Box<dyn DirLock>,
    tables: Tables,
    pool: ArenaPool,
    version: Arc<Version<LiveTable>>,
    replayed: Replayed,
    manifest: Manifest,
    started: Started,
    report: RecoveryReport,
}

fn assemble(parts: Parts) -> Shared {
    let state = parts.manifest.state().clone();
    let (replayed, started) = (parts.replayed, parts.started);
    let writer = Writer {
        log: started.log,
        segment: started.segment,
        memtable: replayed.writer,
        next_seqno: replayed.last_seqno.plus(1),
        segment_requested: false,
        is_stalled: false,
    };
    let signals = Arc::new(Signals::new());
    parts.tables.announce_garbage(&signals);
    let view = View {
        active: replayed.active,
        frozen: replayed.frozen,
        version: parts.version,
        flushed_through: state.flushed_through,
    };
    let policy = parts.options.policy();
    let scrub = Scrub::new(state.scrub, parts.env.clock.monotonic());
    Shared {
        env: parts.env,
        policy,
        view: ArcSwap::from_pointee(view),
        view_change: Mutex::new(()),
        applied: AtomicU64::new(replayed.last_seqno.0),
        sync: SyncQueue::new(&writer),
        commit: CommitQueue::new(writer),
        manifest: Mutex::new(parts.manifest),
        directory: Mutex::new(()),
        callers_work: Mutex::new(()),
        segments: Segments::new(started.names),
        busy: Mutex::new(Busy::default()),
        // Ids below the reserve of the last open may be in use by leftovers.
        next_file_id: AtomicU64::new(state.next_file_id - FILE_ID_RESERVE),
        tables: parts.tables,
        pool: parts.pool,
        signals,
        poison: Poison::default(),
        scrub,
        space: Space::new(&parts.options, started.is_reserved),
        closed: AtomicBool::new(false),
        is_log_marked: AtomicBool::new(false),
        cancel: CancelFlag::new(false),
        counters: Counters::default(),
        report: parts.report,
        lock: Mutex::new(Some(parts.lock)),
        options: parts.options,
    }
}
