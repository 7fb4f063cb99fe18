//! Checking a directory as a whole, and changing nothing in it.
//!
//! 1. With a manifest that an open would accept, each table and segment it
//!    names is compared with what it says ([`tables`], [`log`]).
//! 2. Else every damaged part of every manifest is a problem, and the check
//!    goes on ([`without_manifest`]): with what the intact edits of the newest
//!    readable manifest say, and for all other files with their own headers
//!    and checksums. Each file says on which of the two it was judged.

mod log;
mod report;
mod tables;
mod without_manifest;

use std::collections::HashSet;

use kv_core::Result;
use kv_env::{Env, Fs};

use crate::manifest_load::{Listing, LoadedManifest, load_manifest};
use crate::names;
use crate::recovery::{is_leftover, no_database};
use crate::repair::{ManifestState, lock_source};

pub use report::{Basis, Problem, VerifiedFile, VerifyReport};

/// Reads every file of the database in the directory of `env` and checks it:
/// checksums, order, counts, and that nothing is missing. With `deep`, also
/// every entry of every table against its index and filter.
///
/// Reads from the device, not from memory, and by plain reads, not through a
/// map. Goes on behind damage to the end of every file, also of the manifest,
/// and changes nothing.
///
/// # Errors
/// `Locked` if the database is open; `Io` if there is none, and for the directory.
/// What is wrong with a file is a problem in the report.
pub fn verify_directory(env: &Env, deep: bool) -> Result<VerifyReport> {
    let fs = &*env.fs;
    // A lock file is not left where there is nothing to lock.
    if Listing::read(fs)?.is_empty() {
        return Err(no_database(env));
    }
    let _lock = lock_source(env)?;
    let listing = Listing::read(fs)?;
    let has_data = !listing.segments.is_empty() || !listing.tables.is_empty();
    match load_manifest(env, &listing) {
        Ok(Some(loaded)) => Ok(check_by_manifest(fs, &listing, &loaded, deep)),
        Ok(None) if !has_data => Err(no_database(env)),
        Ok(None) => without_manifest::check(fs, &listing, None, deep),
        Err(error) => without_manifest::check(fs, &listing, Some(&error), deep),
    }
}

fn check_by_manifest(
    fs: &dyn Fs,
    listing: &Listing,
    loaded: &LoadedManifest,
    deep: bool,
) -> VerifyReport {
    let mut report = VerifyReport {
        manifest: loaded.name.clone(),
        manifest_state: ManifestState::Whole,
        foreign: listing.foreign.clone(),
        ..VerifyReport::default()
    };
    for (_, meta) in loaded.version.tables() {
        tables::check_named(fs, loaded.database_id, meta, deep, &mut report);
    }
    let named: HashSet<String> = loaded.table_names().into_iter().collect();
    for (id, name) in listing.tables.iter().filter(|(_, name)| !named.contains(name)) {
        match is_leftover(fs, *id, name, loaded) {
            Ok(true) => report.unused.push(name.clone()),
            Ok(false) => report.foreign.push(name.clone()),
            Err(error) => report.problems.push(Problem::of_error(name, &error)),
        }
    }
    let manifests = listing.manifests.iter().map(|&id| names::manifest(id));
    report.unused.extend(manifests.filter(|name| *name != loaded.name));
    log::check(fs, &listing.segments, loaded, &mut report);
    report
}
