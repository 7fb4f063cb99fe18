//! Reading and writing entries.

use std::ops::Bound;
use std::path::Path;

use kv_engine::{Engine, KeyRange};
use serde::Serialize;

use crate::arguments::ScanArguments;
use crate::command::{note_findings, open, options};
use crate::escape::{escape, unescape};
use crate::failure::{Failure, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Entry {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

#[derive(Serialize)]
struct Written {
    seqno: u64,
}

fn bytes(text: &str) -> Result<Vec<u8>, Failure> {
    unescape(text).map_err(Failure::Usage)
}

pub(crate) fn get(dir: &Path, key: &str, output: &mut Output) -> Result<Outcome, Failure> {
    let key = bytes(key)?;
    let engine = open(dir)?;
    note_findings(&engine, output);
    let entry = Entry { key: escape(&key), value: engine.get(&key)?.map(|value| escape(&value)) };
    let outcome = match &entry.value {
        Some(value) => {
            output.record(&entry, |_| value.clone())?;
            Outcome::Done
        }
        None => {
            output.data(&entry)?;
            Outcome::CheckFailed
        }
    };
    engine.close()?;
    Ok(outcome)
}

pub(crate) fn put(
    dir: &Path,
    key: &str,
    value: &str,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let (key, value) = (bytes(key)?, bytes(value)?);
    kv_core::check_key(&key)?;
    let engine = Engine::open(dir, options(dir))?;
    note_findings(&engine, output);
    let seqno = engine.put(&key, &value)?.0;
    output.data(&Written { seqno })?;
    engine.close()?;
    Ok(Outcome::Done)
}

pub(crate) fn delete(dir: &Path, key: &str, output: &mut Output) -> Result<Outcome, Failure> {
    let key = bytes(key)?;
    let engine = open(dir)?;
    note_findings(&engine, output);
    let seqno = engine.delete(&key)?.0;
    output.data(&Written { seqno })?;
    engine.close()?;
    Ok(Outcome::Done)
}

pub(crate) fn scan(arguments: &ScanArguments, output: &mut Output) -> Result<Outcome, Failure> {
    let range = range(arguments)?;
    let engine = open(&arguments.dir)?;
    note_findings(&engine, output);
    let mut scan = engine.scan(range)?;
    if arguments.reverse {
        scan = scan.reverse();
    }
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    while left > 0 && scan.advance()? {
        left -= 1;
        let value = (!arguments.keys).then(|| escape(&scan.value()));
        output.record(&Entry { key: escape(scan.key()), value }, |entry| match &entry.value {
            Some(value) => format!("{}\t{value}", entry.key),
            None => entry.key.clone(),
        })?;
    }
    drop(scan);
    engine.close()?;
    Ok(Outcome::Done)
}

fn range(arguments: &ScanArguments) -> Result<KeyRange, Failure> {
    if let Some(prefix) = &arguments.prefix {
        return Ok(KeyRange::prefix(&bytes(prefix)?));
    }
    let bound = |text: &Option<String>| text.as_deref().map(bytes).transpose();
    Ok(KeyRange {
        start: bound(&arguments.from)?.map_or(Bound::Unbounded, Bound::Included),
        end: bound(&arguments.to)?.map_or(Bound::Unbounded, Bound::Excluded),
    })
}
