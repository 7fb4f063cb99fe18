//! Keys and values of the load: a value says which key it belongs to and which
//! write made it, so that a mix-up is seen.

use super::linear::State;

/// Digits of the number at the start of a value.
const NUMBER_DIGITS: usize = 19;
/// Filler of most values is shorter than this, in bytes.
const USUAL_FILLER_BYTES: u64 = 300;
/// One value in so many is long.
const LONG_VALUE_ODDS: u64 = 40;
/// Filler of a long value: more than a frame of the log, in bytes.
const LONG_FILLER_BYTES: u64 = 9000;

/// True for keys that are counted up; their values are plain numbers.
pub(crate) fn is_counter(key: &str) -> bool {
    key.contains(":n:")
}

/// The value that write `number` gives to a key that is not a counter.
pub(crate) fn value_of(key: &str, number: i64) -> Vec<u8> {
    let hash = key.bytes().fold(number as u64 ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let is_long = hash >> 32 & 0xFFFF < 0x1_0000 / LONG_VALUE_ODDS;
    let bound = if is_long { LONG_FILLER_BYTES } else { USUAL_FILLER_BYTES };
    let mut value = format!("{number:0NUMBER_DIGITS$}|{key}|").into_bytes();
    let letter = b'a' + (hash % 26) as u8;
    value.resize(value.len() + (hash % bound) as usize, letter);
    value
}

/// What a key holds, from its bytes; an error for bytes that no write gave it.
pub(crate) fn state_of(key: &str, bytes: Option<&[u8]>) -> Result<State, String> {
    let Some(bytes) = bytes else { return Ok(None) };
    let digits = if is_counter(key) { bytes } else { bytes.get(..NUMBER_DIGITS).unwrap_or(bytes) };
    let number: Option<i64> = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    match number {
        Some(number) if is_counter(key) || value_of(key, number) == bytes => Ok(Some(number)),
        _ => {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            Err(format!("{key} holds what was never written to it: {shown:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{state_of, value_of};

    #[test]
    fn values_are_told_from_damaged_and_misplaced_ones() {
        let value = value_of("k:r:1", 42);
        assert_eq!(state_of("k:r:1", Some(&value)), Ok(Some(42)));
        assert_eq!(state_of("k:r:1", None), Ok(None));
        assert_eq!(state_of("k:n:1", Some(b"7")), Ok(Some(7)));
        let mut damaged = value.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let cut = &value[..value.len() - 1];
        for (key, bytes) in
            [("k:r:1", &damaged[..]), ("k:r:2", &value), ("k:r:1", cut), ("k:n:1", &value)]
        {
            assert!(state_of(key, Some(bytes)).is_err(), "{key}");
        }
    }
}
