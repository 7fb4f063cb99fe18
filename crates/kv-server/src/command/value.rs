//! How a user's key and value are stored in the engine.
//!
//! ```text
//! key     database u8 | tag u8, 1 = value record | user key
//! value   header u8   | expiry u64 big endian, if flagged | payload
//!         bits 0-3 of the header are the type (1 = string), bit 7 says that
//!         an expiry follows: milliseconds since 1970-01-01 UTC
//! ```
//!
//! Tags other than 1 are for the elements of collections. Keys of one database
//! lie together and in the order of the user's keys.

use std::ops::Bound;

use kv_core::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Value};

use super::reader::Direction;

/// Databases that `SELECT` may name: Redis's default.
pub(crate) const DATABASES: u8 = 16;

/// Longest key of a user, in bytes: database and tag stand before it.
pub(crate) const MAX_USER_KEY_BYTES: usize = MAX_KEY_BYTES - KEY_PREFIX_BYTES;

/// Longest string value, in bytes.
pub(crate) const MAX_STRING_BYTES: usize = MAX_VALUE_BYTES - MAX_HEADER_BYTES;

const KEY_PREFIX_BYTES: usize = 2;
const MAX_HEADER_BYTES: usize = 1 + EXPIRY_BYTES;
const EXPIRY_BYTES: usize = 8;
const TAG_RECORD: u8 = 1;
const TYPE_MASK: u8 = 0x0f;
const TYPE_STRING: u8 = 1;
const HAS_EXPIRY: u8 = 0x80;

/// Appends the engine key of a user's key.
pub(crate) fn put_key(out: &mut Vec<u8>, database: u8, user_key: &[u8]) {
    out.reserve(KEY_PREFIX_BYTES + user_key.len());
    out.extend_from_slice(&[database, TAG_RECORD]);
    out.extend_from_slice(user_key);
}

/// Database and user key of an engine key; `None` if it is not a value record.
pub(crate) fn split_key(key: &[u8]) -> Option<(u8, &[u8])> {
    match key {
        [database, TAG_RECORD, user_key @ ..] => Some((*database, user_key)),
        _ => None,
    }
}

/// The engine key behind all value records of a database.
pub(crate) fn end_of_database(database: u8) -> [u8; KEY_PREFIX_BYTES] {
    [database, TAG_RECORD + 1]
}

/// The first engine key behind every key that starts with `prefix`; `None` if
/// there is no such key.
pub(crate) fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Engine keys of `database` whose user key starts with `prefix`, from `from`
/// on in the direction of a scan.
pub(crate) fn key_range(
    database: u8,
    prefix: &[u8],
    from: Bound<&[u8]>,
    direction: Direction,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let engine_key = |user_key: &[u8]| {
        let mut key = Vec::new();
        put_key(&mut key, database, user_key);
        key
    };
    let first = engine_key(prefix);
    let end = end_of_prefix(&first).expect("the tag is below 255");
    let from = from.map(engine_key);
    match direction {
        Direction::Forward => {
            let is_before = matches!(&from,
                Bound::Included(key) | Bound::Excluded(key) if *key < first);
            let starts_anywhere = from == Bound::Unbounded || is_before;
            let start = if starts_anywhere { Bound::Included(first) } else { from };
            (start, Bound::Excluded(end))
        }
        Direction::Backward => {
            let is_behind = matches!(&from,
                Bound::Included(key) | Bound::Excluded(key) if *key >= end);
            let starts_anywhere = from == Bound::Unbounded || is_behind;
            let last = if starts_anywhere { Bound::Excluded(end) } else { from };
            (Bound::Included(first), last)
        }
    }
}

/// What a stored value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueType {
    String,
    /// A type number that this version does not know.
    Unknown(u8),
}

impl ValueType {
    /// The answer of `TYPE`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ValueType::String => "string",
            ValueType::Unknown(_) => "unknown",
        }
    }

    fn number(self) -> u8 {
        match self {
            ValueType::String => TYPE_STRING,
            ValueType::Unknown(number) => number,
        }
    }
}

/// A stored value with its header read.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) value_type: ValueType,
    /// When it expires, in milliseconds since 1970-01-01 UTC.
    pub(crate) expires_at_ms: Option<u64>,
    bytes: Value,
    payload_at: usize,
}

impl Stored {
    /// Reads the header; `None` if the bytes are not a value of this server.
    pub(crate) fn decode(bytes: Value) -> Option<Stored> {
        let (value_type, expires_at_ms, payload_at) = decode_header(&bytes)?;
        Some(Stored { value_type, expires_at_ms, bytes, payload_at })
    }

    /// The value without its header.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at..]
    }

    /// The value without its header, not copied.
    pub(crate) fn into_payload(self) -> Value {
        let len = self.bytes.len();
        self.bytes.slice(self.payload_at..len)
    }

    /// Appends the stored form of the value, with the expiry it has now.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_record(out, self.value_type, self.expires_at_ms, self.payload());
    }

    /// True if nobody may see the value at `now_ms`.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        is_past(self.expires_at_ms, now_ms)
    }
}

/// Appends the stored form of a string.
pub(crate) fn put_string(out: &mut Vec<u8>, expires_at_ms: Option<u64>, payload: &[u8]) {
    put_record(out, ValueType::String, expires_at_ms, payload);
}

fn put_record(
    out: &mut Vec<u8>,
    value_type: ValueType,
    expires_at_ms: Option<u64>,
    payload: &[u8],
) {
    out.reserve(MAX_HEADER_BYTES + payload.len());
    match expires_at_ms {
        None => out.push(value_type.number()),
        Some(at_ms) => {
            out.push(value_type.number() | HAS_EXPIRY);
            out.extend_from_slice(&at_ms.to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// True if an entry of the engine is a value of this server that has expired:
/// compaction and the sweep may drop it.
pub(crate) fn is_expired_entry(key: &[u8], value: &[u8], now_ms: u64) -> bool {
    split_key(key).is_some()
        && decode_header(value).is_some_and(|(_, expires, _)| is_past(expires, now_ms))
}

/// True if an expiry, if there is one, lies before `now_ms`.
pub(crate) fn is_past(expires_at_ms: Option<u64>, now_ms: u64) -> bool {
    expires_at_ms.is_some_and(|at_ms| at_ms < now_ms)
}

fn decode_header(bytes: &[u8]) -> Option<(ValueType, Option<u64>, usize)> {
    let (header, rest) = bytes.split_first()?;
    if header & !(TYPE_MASK | HAS_EXPIRY) != 0 {
        return None;
    }
    let value_type = match header & TYPE_MASK {
        TYPE_STRING => ValueType::String,
        0 => return None,
        number => ValueType::Unknown(number),
    };
    if header & HAS_EXPIRY == 0 {
        return Some((value_type, None, 1));
    }
    let expiry = rest.first_chunk::<EXPIRY_BYTES>()?;
    Some((value_type, Some(u64::from_be_bytes(*expiry)), MAX_HEADER_BYTES))
}

/// True if a stored value will expire at some time.
pub(crate) fn has_expiry(value: &[u8]) -> bool {
    matches!(decode_header(value), Some((_, Some(_), _)))
}
