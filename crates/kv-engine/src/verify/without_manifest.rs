//! Checking a directory whose manifest an open would refuse.
//!
//! What is left of the manifests is gathered as a repair does it. A table that
//! an intact edit names is compared with that edit; an edit that is lost may
//! have replaced the table since, so one that is not there may be missed in
//! vain, and the problem says so.

use std::collections::BTreeSet;

use kv_core::{DatabaseId, Error, FileKind, Result};
use kv_env::Fs;

use crate::lenient;
use crate::manifest_load::Listing;
use crate::repair::{Catalog, FileUse, RepairReport, RepairedFile};
use crate::verify::report::{Problem, VerifyReport};
use crate::verify::{log, tables};

/// Checks all files; `refusal` is why the manifest is refused, if there is one.
pub(super) fn check(
    fs: &dyn Fs,
    listing: &Listing,
    refusal: Option<&Error>,
    deep: bool,
) -> Result<VerifyReport> {
    let mut seen = RepairReport::default();
    let catalog = Catalog::salvage(fs, listing, "", &mut seen)?;
    let mut report = VerifyReport {
        manifest: catalog.manifest.clone(),
        manifest_state: catalog.state,
        foreign: listing.foreign.clone(),
        ..VerifyReport::default()
    };
    add_manifest_problems(&seen.files, refusal, &mut report);
    let database_id = match catalog.database_id {
        Some(id) => id,
        None => most_common_database(fs, listing),
    };
    check_tables(fs, listing, &catalog, database_id, deep, &mut report);
    log::check_alone(fs, &listing.segments, database_id, &catalog.numbers, &mut report);
    Ok(report)
}

/// Lists every damaged part of every manifest.
fn add_manifest_problems(
    manifests: &[RepairedFile],
    refusal: Option<&Error>,
    report: &mut VerifyReport,
) {
    for manifest in manifests {
        let name = &manifest.name;
        if manifest.used == FileUse::Missing {
            let what = "there is no manifest, but log segments or tables";
            report.problems.push(Problem::of_missing(name, what.into()));
        }
        if let Some(Error::Unsupported { file, .. }) = refusal
            && file == name
        {
            // What a later version wrote is not damaged.
            continue;
        }
        let damage = manifest.damage.iter();
        let damage =
            damage.map(|range| Problem::of_range(name, range.offset, range.bytes, &range.reason));
        report.problems.extend(damage);
    }
    let is_told = |error: &Error| report.problems.iter().any(|problem| problem.covers(error));
    match refusal {
        Some(error) if !is_told(error) => {
            let file = match error {
                Error::Corruption { file, .. } | Error::Unsupported { file, .. } => file,
                Error::Io { path, .. } => path,
                _ => &report.manifest,
            };
            report.problems.insert(0, Problem::of_error(file, error));
        }
        None if report.problems.is_empty() => {
            let newest = manifests.first().map_or("", |manifest| manifest.name.as_str());
            let what = "no manifest holds its whole snapshot, but there are log segments or tables";
            report.problems.push(Problem::of_missing(newest, what.into()));
        }
        _ => {}
    }
}

fn check_tables(
    fs: &dyn Fs,
    listing: &Listing,
    catalog: &Catalog,
    database_id: DatabaseId,
    deep: bool,
    report: &mut VerifyReport,
) {
    let mut found = BTreeSet::new();
    for (number, name) in &listing.tables {
        match catalog.tables.get(number).filter(|meta| meta.file_name() == *name) {
            Some(meta) => {
                found.insert(*number);
                tables::check_named(fs, database_id, meta, deep, report);
            }
            None if catalog.removed.contains(number) => report.unused.push(name.clone()),
            None => tables::check_alone(fs, (*number, name), database_id, deep, report),
        }
    }
    for meta in catalog.tables.values().filter(|meta| !found.contains(&meta.id)) {
        let name = meta.file_name();
        let what = format!(
            "{name} is missing, unless an edit of the manifest that cannot be read has \
             replaced it"
        );
        report.problems.push(Problem::of_missing(&name, what));
    }
}

/// The database that most files belong to.
fn most_common_database(fs: &dyn Fs, listing: &Listing) -> DatabaseId {
    let segments = listing.segments.iter().map(|name| (FileKind::Wal, name));
    let tables = listing.tables.iter().map(|(_, name)| (FileKind::Table, name));
    let headers = segments.chain(tables).filter_map(|(kind, name)| {
        let file = lenient::open(fs, name).ok()?;
        lenient::read_header(&*file, kind, name).ok()?.header()
    });
    let ids: Vec<DatabaseId> = headers.map(|header| header.database_id).collect();
    lenient::most_common(&ids).unwrap_or_default()
}
