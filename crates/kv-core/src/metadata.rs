//! The one place where bincode meets a file: small checksummed records.
//!
//! ```text
//! 0  1  record version, chosen by the caller
//! 1  4  payload length, u32
//! 5  n  payload: bincode 2, standard configuration
//! .  4  CRC-32C of all before it, seeded with the file and the offset
//! ```
//!
//! The payload is decoded only after the checksum holds, and what it allocates
//! is bounded by its length.

use serde::{Serialize, de::DeserializeOwned};

use crate::checksum::ChecksumSeed;
use crate::codec::Decoder;
use crate::error::{Error, Result};

/// Largest payload of a metadata record: a version edit that names 100,000
/// tables of 200 bytes each, three times over.
pub const MAX_METADATA_BYTES: usize = 64 << 20;

/// Encodes `record` as stored at `offset` of a file.
///
/// # Errors
/// `TooLarge` if the payload is over [`MAX_METADATA_BYTES`].
pub fn encode_metadata<T: Serialize>(
    version: u8,
    record: &T,
    seed: ChecksumSeed,
    offset: u64,
) -> Result<Vec<u8>> {
    let payload = bincode::serde::encode_to_vec(record, bincode::config::standard())
        .map_err(|error| Error::InvalidArgument(format!("cannot encode metadata: {error}")))?;
    crate::limits::check("metadata record", payload.len(), MAX_METADATA_BYTES)?;
    let mut out = Vec::with_capacity(payload.len() + 9);
    out.push(version);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&payload);
    let crc = seed.checksum(offset, &out);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(out)
}

/// Decodes a record of `version` that fills `bytes` and stands at `offset`.
///
/// # Errors
/// `Corruption` for anything but the bytes that [`encode_metadata`] wrote,
/// `Unsupported` for an intact record of another version.
pub fn decode_metadata<T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
    seed: ChecksumSeed,
    offset: u64,
    file: &str,
) -> Result<T> {
    let corrupt = |what: &str| Error::corruption(file, offset, what);
    let (checked, crc) =
        bytes.split_last_chunk::<4>().ok_or_else(|| corrupt("the metadata record is too short"))?;
    if seed.checksum(offset, checked) != u32::from_le_bytes(*crc) {
        return Err(corrupt("the metadata record fails its checksum"));
    }
    let mut decoder = Decoder::new(checked);
    let found = decoder.u8().ok_or_else(|| corrupt("the metadata record is empty"))?;
    if found != version {
        let what = format!("metadata record version {found} is not {version}");
        return Err(Error::Unsupported { file: file.into(), what });
    }
    let len = decoder.u32().ok_or_else(|| corrupt("the metadata record has no length"))?;
    let payload = decoder.rest();
    if payload.len() != len as usize {
        return Err(corrupt("the metadata record has another length than it says"));
    }
    match decode_payload::<T>(payload) {
        Ok((record, used)) if used == payload.len() => Ok(record),
        Ok(_) => Err(corrupt("the metadata record has bytes left over")),
        Err(error) => Err(corrupt(&format!("the metadata record cannot be decoded: {error}"))),
    }
}

/// The memory of the fields of a record over that of their stored form, at
/// most: a number of eight bytes may be stored in one.
const FIELD_GROWTH: usize = 8;

const SMALL_PAYLOAD_BYTES: usize = 4 << 10;
const MEDIUM_PAYLOAD_BYTES: usize = 64 << 10;
const LARGE_PAYLOAD_BYTES: usize = 1 << 20;

const SMALL_LIMIT: usize = FIELD_GROWTH * SMALL_PAYLOAD_BYTES;
const MEDIUM_LIMIT: usize = FIELD_GROWTH * MEDIUM_PAYLOAD_BYTES;
const LARGE_LIMIT: usize = FIELD_GROWTH * LARGE_PAYLOAD_BYTES;
const LARGEST_LIMIT: usize = FIELD_GROWTH * MAX_METADATA_BYTES;

/// Decodes a payload, and how much of it that took. bincode takes the memory of
/// an owned text by the length it announces, before it looks for the bytes; its
/// limit is a constant, so there is one for each size of payload. Fields that
/// are decoded by [`bounded_bytes`](crate::bounded_bytes) and its like borrow
/// from the payload first and stay far below.
fn decode_payload<T: DeserializeOwned>(
    payload: &[u8],
) -> std::result::Result<(T, usize), bincode::error::DecodeError> {
    let len = payload.len();
    if len <= SMALL_PAYLOAD_BYTES {
        decode_limited::<T, SMALL_LIMIT>(payload)
    } else if len <= MEDIUM_PAYLOAD_BYTES {
        decode_limited::<T, MEDIUM_LIMIT>(payload)
    } else if len <= LARGE_PAYLOAD_BYTES {
        decode_limited::<T, LARGE_LIMIT>(payload)
    } else {
        decode_limited::<T, LARGEST_LIMIT>(payload)
    }
}

fn decode_limited<T: DeserializeOwned, const LIMIT: usize>(
    payload: &[u8],
) -> std::result::Result<(T, usize), bincode::error::DecodeError> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    bincode::serde::borrow_decode_from_slice(payload, config)
}
