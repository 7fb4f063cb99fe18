//! The records of a file, as they stand.

use std::io;
use std::path::{Path, PathBuf};

use kv_core::{Cursor, DecodedBatch, FileKind, Kind};
use kv_engine::{Error, current_manifest, open_table_file, read_manifest_edits, segment_names};
use kv_env::{Env, RealOptions};
use kv_sstable::CursorPurpose;
use kv_wal::{LogReader, SegmentPosition, Tail, read_header};
use serde::Serialize;

use crate::escape::escape;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

#[derive(Serialize)]
struct Write {
    kind: &'static str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

#[derive(Serialize)]
struct WalRecord {
    segment: String,
    offset: u64,
    first_seqno: u64,
    writes: Vec<Write>,
}

#[derive(Serialize)]
struct WalEnd {
    segment: String,
    id: u64,
    records: u64,
    end: &'static str,
    torn_bytes: u64,
}

#[derive(Serialize)]
struct TableEntry {
    seqno: u64,
    #[serde(flatten)]
    write: Write,
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Put => "put",
        Kind::Delete => "delete",
    }
}

fn write_text(write: &Write) -> String {
    match &write.value {
        Some(value) => format!("{} {} = {value}", write.kind, write.key),
        None => format!("{} {}", write.kind, write.key),
    }
}

/// The directory of `path` and the file's name in it; no name for a directory.
fn locate(path: &Path) -> Result<(Env, Option<String>), Failure> {
    let options = RealOptions { read_only: true, ..RealOptions::default() };
    if path.is_dir() {
        return Ok((Env::real_with(path, options)?, None));
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        return Err(Failure::Usage(format!("{} names no file", path.display())));
    };
    let parent: PathBuf = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    };
    Ok((Env::real_with(&parent, options)?, Some(name.into())))
}

fn nothing_there(path: &Path, what: &str) -> Error {
    let missing = io::Error::new(io::ErrorKind::NotFound, what);
    Error::io("dump", path.display().to_string(), missing)
}

pub(crate) fn wal(path: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    let (env, name) = locate(path)?;
    let names = match name {
        Some(name) => vec![name],
        None => oldest_first(&env, segment_names(&env)?),
    };
    if names.is_empty() {
        return Err(nothing_there(path, "there is no database here, or one without a log").into());
    }
    for name in names {
        dump_segment(&env, &name, output)?;
    }
    Ok(Outcome::Done)
}

/// Sorts segments by their ids; one whose header cannot be read comes last, so
/// that all others are printed before it fails.
fn oldest_first(env: &Env, mut names: Vec<String>) -> Vec<String> {
    names.sort_by_cached_key(|name| {
        read_header(&*env.fs, name, FileKind::Wal).map_or(u64::MAX, |header| header.file_id)
    });
    names
}

fn dump_segment(env: &Env, name: &str, output: &mut Output) -> Result<(), Failure> {
    let mut reader = LogReader::open(&*env.fs, name, FileKind::Wal, SegmentPosition::Last)?;
    let id = reader.header().file_id;
    let mut records = 0;
    while let Some(record) = reader.next_record()? {
        records += 1;
        let batch = DecodedBatch::decode(record.payload, name, record.file_offset)?;
        let writes = batch.ops.iter().map(|op| Write {
            kind: kind_name(op.kind),
            key: escape(op.key),
            value: (op.kind == Kind::Put).then(|| escape(op.value)),
        });
        let record = WalRecord {
            segment: name.into(),
            offset: record.file_offset,
            first_seqno: batch.first_seqno.0,
            writes: writes.collect(),
        };
        output.record(&record, |record| {
            let writes: Vec<String> = record.writes.iter().map(write_text).collect();
            format!(
                "{} @{} seqno {}: {}",
                record.segment,
                record.offset,
                record.first_seqno,
                writes.join("; ")
            )
        })?;
    }
    let (end, torn_bytes) = match reader.tail() {
        Some(Tail::EndMark) => ("closed", 0),
        Some(Tail::Torn { discarded_bytes, .. }) => ("torn", discarded_bytes),
        _ => ("open", 0),
    };
    let end = WalEnd { segment: name.into(), id, records, end, torn_bytes };
    output.record(&end, |end| {
        let torn = if end.torn_bytes == 0 {
            String::new()
        } else {
            format!(", {} bytes torn", end.torn_bytes)
        };
        format!(
            "{}: segment {}, {} records, end {}{torn}",
            end.segment, end.id, end.records, end.end
        )
    })
}

pub(crate) fn table(
    file: &Path,
    properties_only: bool,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let (env, name) = locate(file)?;
    let Some(name) = name else {
        let sentence = format!("{} is a directory; name a table file", file.display());
        return Err(Failure::Usage(sentence));
    };
    let table = open_table_file(&*env.fs, &name)?;
    let properties = table.properties();
    output.record(&readable(properties), |_| {
        format!(
            "{name}: {} entries ({} deletes) in {} blocks, {} to {}, seqno {} to {}",
            properties.entries,
            properties.deletes,
            properties.blocks,
            escape(&properties.smallest_key),
            escape(&properties.largest_key),
            properties.smallest_seqno,
            properties.largest_seqno
        )
    })?;
    if properties_only {
        return Ok(Outcome::Done);
    }
    let mut cursor = table.cursor(CursorPurpose::Background);
    cursor.seek_to_first()?;
    while cursor.valid() {
        let write = Write {
            kind: kind_name(cursor.kind()),
            key: escape(cursor.key()),
            value: (cursor.kind() == Kind::Put).then(|| escape(cursor.value())),
        };
        let entry = TableEntry { seqno: cursor.seqno().0, write };
        output
            .record(&entry, |entry| format!("{:>8} {}", entry.seqno, write_text(&entry.write)))?;
        cursor.next()?;
    }
    Ok(Outcome::Done)
}

pub(crate) fn manifest(path: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    let (env, name) = locate(path)?;
    let name = match name {
        Some(name) => name,
        None => current_manifest(&env)?.ok_or_else(|| {
            nothing_there(path, "there is no database here, or one without a manifest")
        })?,
    };
    for (number, edit) in read_manifest_edits(&*env.fs, &name)?.iter().enumerate() {
        output.record(&readable(edit), |_| {
            let mut parts = vec![format!("{name} edit {number}:")];
            let tables = edit.added.iter();
            parts.extend(tables.map(|(level, meta)| format!("add L{level} {}", meta.file_name())));
            parts.extend(edit.removed.iter().map(|(level, id)| format!("remove L{level} {id}")));
            let numbers = [
                ("flushed through", edit.flushed_through.map(|seqno| seqno.0)),
                ("oldest segment", edit.oldest_segment),
                ("newest segment", edit.newest_segment),
                ("next file", edit.next_file_id),
            ];
            let numbers = numbers.into_iter().filter_map(|(what, number)| Some((what, number?)));
            parts.extend(numbers.map(|(what, number)| format!("{what} {number}")));
            let properties = edit.properties.iter();
            parts.extend(properties.map(|(name, value)| format!("{name} {}", escape(value))));
            parts.join(" ")
        })?;
    }
    Ok(Outcome::Done)
}

/// The JSON of a record with its bytes as text: keys and properties escaped as
/// everywhere, identities in hexadecimal.
fn readable<T: Serialize>(record: &T) -> serde_json::Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    make_readable(&mut value);
    value
}

fn make_readable(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "smallest_key" | "largest_key" => with_bytes(field, escape),
                    "file_uid" | "database" => with_bytes(field, hexadecimal),
                    "segment_uids" => {
                        let pairs = field.as_array_mut().into_iter().flatten();
                        let uids = pairs.filter_map(|pair| pair.get_mut(1));
                        uids.for_each(|uid| with_bytes(uid, hexadecimal));
                    }
                    "properties" | "more" => {
                        let values = field.as_object_mut().into_iter().flatten();
                        values.for_each(|(_, value)| with_bytes(value, escape));
                    }
                    _ => make_readable(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_readable),
        _ => {}
    }
}

/// Replaces an array of bytes by what `text` makes of them.
fn with_bytes(value: &mut serde_json::Value, text: fn(&[u8]) -> String) {
    let byte = |item: &serde_json::Value| item.as_u64().and_then(|byte| u8::try_from(byte).ok());
    let bytes: Option<Vec<u8>> =
        value.as_array().and_then(|items| items.iter().map(byte).collect());
    if let Some(bytes) = bytes {
        *value = serde_json::Value::String(text(&bytes));
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
