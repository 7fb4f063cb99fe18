//! Which segment files are on disk, compared with what the manifest says of
//! them.

use std::collections::{BTreeMap, BTreeSet};

use kv_core::{DatabaseId, Error, FileKind, Result};
use kv_env::Fs;
use kv_wal::{LogReader, SegmentPosition, read_header};

use crate::manifest::ManifestState;
use crate::names;

/// Where a file header holds the id of the database, of the file, and the random
/// identity.
const DATABASE_ID_OFFSET: u64 = 24;
const FILE_ID_OFFSET: u64 = 40;
const FILE_UID_OFFSET: u64 = 48;

/// The most missing segments that are told apart: a manifest may ask for any
/// number of them.
pub(crate) const MAX_MISSING: usize = 100;

/// The segments of a database on disk.
#[derive(Default)]
pub(crate) struct FoundSegments {
    /// Segments that count, by id.
    pub(crate) live: BTreeMap<u64, String>,
    /// Segments that are not needed any more or were never finished.
    pub(crate) leftover: Vec<String>,
}

/// The segment files and all that is wrong with them as a whole.
#[derive(Default)]
pub(crate) struct SegmentSurvey {
    pub(crate) found: FoundSegments,
    /// Files that must not be there as they are.
    pub(crate) defects: Vec<(String, Error)>,
    /// Files without an intact header, and those of the names under which segments
    /// are made whose header is none that the manifest knows. Either a creation was
    /// cut short, which may show what the disk held before, a segment given up when
    /// its number was still free say, or a segment is damaged or exchanged: the
    /// latter if one is missing.
    pub(crate) unfinished: Vec<(String, Error)>,
    /// Segments that the manifest asks for and that no file shows to be.
    pub(crate) missing: BTreeSet<u64>,
}

/// Sorts the segment files by what their headers say, and refuses if one that
/// the manifest asks for is missing.
pub(crate) fn find_segments(
    fs: &dyn Fs,
    names: &[String],
    database_id: DatabaseId,
    state: &ManifestState,
) -> Result<FoundSegments> {
    let mut survey = survey_segments(fs, names, database_id, state);
    if let Some((_, error)) = survey.defects.into_iter().next() {
        return Err(error);
    }
    if survey.missing.is_empty() {
        let unfinished = survey.unfinished.into_iter().map(|(name, _)| name);
        survey.found.leftover.extend(unfinished);
        return Ok(survey.found);
    }
    let damaged = survey.unfinished.into_iter().next();
    Err(damaged.map_or_else(|| missing(&survey.missing), |(_, error)| error))
}

/// Looks at every segment file, whatever is wrong with the others.
pub(crate) fn survey_segments(
    fs: &dyn Fs,
    names: &[String],
    database_id: DatabaseId,
    state: &ManifestState,
) -> SegmentSurvey {
    let mut survey = SegmentSurvey::default();
    let mut refused = BTreeSet::new();
    let wanted = state.oldest_segment..=state.newest_segment;
    for name in names {
        let mut defect = |offset: u64, what: String| {
            survey.defects.push((name.clone(), Error::corruption(name.clone(), offset, what)));
        };
        let header = match read_header(fs, name, FileKind::Wal) {
            Ok(header) => header,
            Err(error @ Error::Corruption { .. }) => {
                survey.unfinished.push((name.clone(), error));
                continue;
            }
            Err(error) => {
                survey.defects.push((name.clone(), error));
                continue;
            }
        };
        let id = header.file_id;
        if header.database_id != database_id {
            let what = "the segment belongs to another database; move it out of the directory";
            defect(DATABASE_ID_OFFSET, what.into());
        } else if !wanted.contains(&id) {
            let checked = match id > state.newest_segment {
                true => check_never_used(fs, name, id, state.newest_segment),
                false => Ok(()),
            };
            match checked {
                Ok(()) => survey.found.leftover.push(name.clone()),
                Err(error) => survey.defects.push((name.clone(), error)),
            }
        } else if state.segment_uids.get(&id) != Some(&header.file_uid) {
            if [names::ACTIVE_SEGMENT, names::NEXT_SEGMENT].contains(&name.as_str()) {
                let error = Error::corruption(name.clone(), FILE_UID_OFFSET, of_another_copy(id));
                survey.unfinished.push((name.clone(), error));
                continue;
            }
            defect(FILE_UID_OFFSET, of_another_copy(id));
            refused.insert(id);
        } else if let Some(other) = survey.found.live.get(&id) {
            defect(FILE_ID_OFFSET, format!("{other} has the same segment id {id}"));
        } else {
            survey.found.live.insert(id, name.clone());
        }
    }
    survey.defects.extend(exchanged_names(&survey.found.live));
    let is_there = |id: &u64| survey.found.live.contains_key(id) || refused.contains(id);
    survey.missing = wanted.filter(|id| !is_there(id)).take(MAX_MISSING).collect();
    survey
}

/// Segments that have the name of another one. Each will be given that of its own
/// id, and a rename replaces what has the name.
fn exchanged_names(live: &BTreeMap<u64, String>) -> Vec<(String, Error)> {
    let holders: BTreeMap<&str, u64> = live.iter().map(|(&id, name)| (name.as_str(), id)).collect();
    let mut exchanged = Vec::new();
    for (&id, name) in live {
        let own = names::sealed_segment(id);
        if let Some(&other) = holders.get(own.as_str()).filter(|&&other| other != id) {
            let what = format!(
                "this is log segment {other} under the name of log segment {id}, which is called \
                 {name}: give each file the name of its own number"
            );
            let error = Error::corruption(own.clone(), FILE_ID_OFFSET, what);
            exchanged.push((own, error));
        }
    }
    exchanged
}

/// Why a segment of the right id and another identity is refused.
pub(crate) fn of_another_copy(id: u64) -> String {
    format!(
        "this is not the log segment {id} that the manifest knows: it comes from another copy of \
         this database; put back the one that belongs here, or salvage what is left with kv repair"
    )
}

/// A segment takes no record before the manifest knows it, and its successor is
/// not made before either. One that breaks this rule shows that the manifest is
/// an older one than the log goes with: what it does not know must not be
/// removed as leftovers.
fn check_never_used(fs: &dyn Fs, name: &str, id: u64, newest: u64) -> Result<()> {
    let first = LogReader::open(fs, name, FileKind::Wal, SegmentPosition::Last)
        .and_then(|mut reader| reader.next_record().map(|record| record.is_some()));
    let has_record = match first {
        Ok(has_record) => has_record,
        // A creation that was cut short, or whose sync failed, leaves anything.
        Err(Error::Corruption { .. }) => false,
        Err(error) => return Err(error),
    };
    if id == newest + 1 && !has_record {
        return Ok(());
    }
    let what = format!(
        "this is log segment {id}, and the manifest knows none after {newest}: the manifest \
         is damaged or an older copy; restore the one that belongs here from a backup"
    );
    Err(Error::corruption(name, FILE_ID_OFFSET, what))
}

/// The complaint about segments that are not there.
fn missing(ids: &BTreeSet<u64>) -> Error {
    let list: Vec<String> = ids.iter().map(u64::to_string).collect();
    let what = format!(
        "log segment {} is missing; put it back, or salvage what is left with kv repair",
        list.join(", ")
    );
    let first = ids.first().copied().unwrap_or_default();
    Error::corruption(names::sealed_segment(first), 0, what)
}
