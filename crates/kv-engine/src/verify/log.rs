//! Checking the segments of the log: by what the manifest says of them, or by
//! themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use kv_core::{DatabaseId, DecodedBatch, Error, FILE_HEADER_BYTES, FileHeader, FileKind, Result};
use kv_env::{Fs, ReadFile};
use kv_wal::{SalvageReader, Salvaged, read_header};

use crate::lenient::{self, FoundHeader};
use crate::manifest::ManifestState;
use crate::manifest_load::LoadedManifest;
use crate::names;
use crate::replay::Sequence;
use crate::segment_reader::{LogEnd, SegmentReader};
use crate::segment_survey::{MAX_MISSING, of_another_copy, survey_segments};
use crate::verify::report::{Basis, Problem, VerifiedFile, VerifyReport};

/// Where a file header holds the ids of database and file, and the random identity.
const DATABASE_ID_OFFSET: u64 = 24;
const FILE_ID_OFFSET: u64 = 40;
const FILE_UID_OFFSET: u64 = 48;

/// Checks the log that a whole manifest describes.
pub(super) fn check(
    fs: &dyn Fs,
    segments: &[String],
    loaded: &LoadedManifest,
    report: &mut VerifyReport,
) {
    let survey = survey_segments(fs, segments, loaded.database_id, &loaded.state);
    for (name, error) in &survey.defects {
        report.problems.push(Problem::of_error(name, error));
    }
    if survey.missing.is_empty() {
        report.unused.extend(survey.unfinished.into_iter().map(|(name, _)| name));
    } else {
        let damaged = survey.unfinished.len();
        for (name, error) in &survey.unfinished {
            report.add_problems(name, error, damage(fs, name).unwrap_or_default());
        }
        // Those with a damaged header are listed under their names.
        for &id in survey.missing.iter().skip(damaged) {
            let what = format!("log segment {id} is missing");
            report.problems.push(Problem::of_missing(&names::sealed_segment(id), what));
        }
    }
    report.unused.extend(survey.found.leftover);
    let live = &survey.found.live;
    let found = LogEnd::find(fs, live, &loaded.state, loaded.clean);
    let log = Log {
        fs,
        state: &loaded.state,
        judged_by: Basis::Manifest,
        end: found.unwrap_or_else(|_| LogEnd::behind_damage(live, loaded.clean)),
    };
    let sequence = Sequence::after(loaded.state.flushed_through);
    log.check(live, loaded.state.oldest_segment, sequence, report);
}

/// Checks the segments without a whole manifest: `known` is what is left of it.
pub(super) fn check_alone(
    fs: &dyn Fs,
    segments: &[String],
    database_id: DatabaseId,
    known: &ManifestState,
    report: &mut VerifyReport,
) {
    let mut live = BTreeMap::new();
    let mut damaged = 0;
    for name in segments {
        let header = match read_header(fs, name, FileKind::Wal) {
            Ok(header) => header,
            Err(error) => {
                damaged += 1;
                report.add_problems(name, &error, damage(fs, name).unwrap_or_default());
                continue;
            }
        };
        let (id, uid) = (header.file_id, known.segment_uids.get(&header.file_id));
        let defect = if header.database_id != database_id {
            let what = "the segment belongs to another database; move it out of the directory";
            Some((DATABASE_ID_OFFSET, 16, what.into()))
        } else if uid.is_some_and(|uid| *uid != header.file_uid) {
            Some((FILE_UID_OFFSET, 16, of_another_copy(id)))
        } else {
            let other = live.get(&id);
            other.map(|other| (FILE_ID_OFFSET, 8, format!("{other} has the same segment id {id}")))
        };
        match defect {
            Some((offset, bytes, what)) => {
                report.problems.push(Problem::of_range(name, offset, bytes, &what));
            }
            None => drop(live.insert(id, name.clone())),
        }
    }
    let asked_for = known.segment_uids.keys().copied().filter(|id| *id >= known.oldest_segment);
    let missing = asked_for.filter(|id| !live.contains_key(id));
    for id in missing.skip(damaged).take(MAX_MISSING) {
        let what = format!(
            "log segment {id} is missing, unless an edit of the manifest that cannot be read \
             says that it is no longer needed"
        );
        report.problems.push(Problem::of_missing(&names::sealed_segment(id), what));
    }
    let found = LogEnd::find(fs, &live, known, false);
    let log = Log {
        fs,
        state: known,
        judged_by: Basis::FileAlone,
        end: found.unwrap_or_else(|_| LogEnd::behind_damage(&live, false)),
    };
    let first = live.keys().next().copied().unwrap_or_default();
    log.check(&live, first, Sequence::behind_damage(), report);
}

/// The log, to be read from its oldest segment to its newest.
struct Log<'a> {
    fs: &'a dyn Fs,
    state: &'a ManifestState,
    judged_by: Basis,
    end: LogEnd,
}

impl Log<'_> {
    fn check(
        &self,
        segments: &BTreeMap<u64, String>,
        first: u64,
        mut sequence: Sequence,
        report: &mut VerifyReport,
    ) {
        let mut expected = first;
        for (&id, name) in segments {
            if id != expected {
                // That one in between is missing is known.
                sequence = Sequence::behind_damage();
            }
            expected = id.saturating_add(1);
            match self.check_segment(id, name, &mut sequence) {
                Ok(file) => report.files.push(file),
                Err(error) => {
                    sequence = Sequence::behind_damage();
                    let damage = damage(self.fs, name).unwrap_or_default();
                    report.add_problems(name, &error, damage);
                }
            }
        }
    }

    fn check_segment(&self, id: u64, name: &str, sequence: &mut Sequence) -> Result<VerifiedFile> {
        let mut reader = match self.judged_by {
            Basis::Manifest => SegmentReader::open(self.fs, id, name, self.state)?,
            Basis::FileAlone => SegmentReader::open_by_itself(self.fs, id, name, self.state)?,
        };
        let mut items = 0;
        while let Some(record) = reader.next_record()? {
            let batch = DecodedBatch::decode(record.payload, name, record.file_offset)?;
            sequence.check(&batch, name, record.file_offset)?;
            items += 1;
        }
        reader.check_end(&self.end)?;
        let torn_bytes = reader.torn_bytes().unwrap_or(0);
        Ok(VerifiedFile {
            name: name.into(),
            judged_by: self.judged_by,
            items,
            torn_bytes,
            damaged_stamps: reader.damaged_stamps(),
        })
    }
}

/// All damaged parts of a segment.
fn damage(fs: &dyn Fs, name: &str) -> Result<Vec<Problem>> {
    let file = lenient::open(fs, name)?;
    let found = lenient::read_header(&*file, FileKind::Wal, name)?;
    let mut problems = Vec::new();
    if !matches!(found, FoundHeader::Intact(_)) {
        let what = "the header of the file is damaged";
        problems.push(Problem::of_range(name, 0, FILE_HEADER_BYTES as u64, what));
    }
    if let Some(header) = found.header() {
        problems.extend(damaged_records(Arc::clone(&file) as Arc<dyn ReadFile>, name, header)?);
    }
    let unreadable = file.unreadable().into_iter();
    problems.extend(
        unreadable.map(|range| Problem::of_device(name, range.start, range.end - range.start)),
    );
    Ok(problems)
}

fn damaged_records(
    file: Arc<dyn ReadFile>,
    name: &str,
    header: FileHeader,
) -> Result<Vec<Problem>, Error> {
    let mut reader = SalvageReader::new(file, name, header)?;
    let mut problems = Vec::new();
    while let Some(part) = reader.next_part()? {
        if let Salvaged::Gap(gap) = part {
            problems.push(Problem::of_range(name, gap.file_offset, gap.bytes, gap.what));
        }
    }
    Ok(problems)
}
