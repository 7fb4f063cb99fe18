//! Keys and values of the histories. A value says where it belongs, so that no
//! mix-up of keys, batches or lengths goes unseen.

use crate::random::mix;

/// The key under which each batch leaves its number.
pub(crate) const COUNTER: &[u8] = b"counter";

/// Bytes of a value that say where it belongs.
const LABEL_BYTES: usize = 16;

/// The key of a number. Many begin alike, and some begin with all of another.
pub(crate) fn key(number: u16) -> Vec<u8> {
    format!("key{:03}", number / 3).repeat(1 + usize::from(number % 3)).into_bytes()
}

/// The value that a batch puts under a key: as much as fits of a label with key
/// and length, the batch number, then the same over again with small changes,
/// which compresses a little.
pub(crate) fn value(key: u16, batch: u64, len: usize) -> Vec<u8> {
    let mut label = [0; LABEL_BYTES];
    label[..4].copy_from_slice(&(mix(u64::from(key), 0) as u32).to_le_bytes());
    label[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    label[8..].copy_from_slice(&batch.to_le_bytes());
    (0..len).map(|at| label[at % LABEL_BYTES].wrapping_add((at / 64) as u8)).collect()
}

/// The number in a value of [`COUNTER`].
pub(crate) fn counter_of(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

/// A key for messages.
pub(crate) fn describe(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// A value for messages: what its label says.
pub(crate) fn describe_value(value: &[u8]) -> String {
    let batch = value.get(8..LABEL_BYTES).and_then(|bytes| bytes.try_into().ok());
    match (batch, counter_of(value)) {
        (Some(batch), _) => {
            format!("{} bytes of batch {}", value.len(), u64::from_le_bytes(batch))
        }
        (None, Some(number)) => format!("the number {number}"),
        (None, None) => format!("{value:02x?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_and_values_of_different_origin_differ() {
        assert_eq!((0..300).map(key).collect::<BTreeSet<_>>().len(), 300);
        let values = [value(1, 7, 40), value(2, 7, 40), value(1, 8, 40), value(1, 7, 41)];
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(describe_value(&value(3, 9, 100)), "100 bytes of batch 9");
        assert_eq!(describe_value(&5u64.to_be_bytes()), "the number 5");
    }
}
