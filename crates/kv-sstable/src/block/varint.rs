//! Varints, decoded without a loop where there is room for it.

use kv_core::Decoder;

const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);

/// Takes the varint at `*at` of `bytes`. Agrees with [`Decoder::varint`] on
/// every input.
#[inline]
pub(super) fn take_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let rest = bytes.get(*at..)?;
    let first = *rest.first()?;
    if first < 0x80 {
        *at += 1;
        return Some(u64::from(first));
    }
    let Some(word) = rest.first_chunk::<8>() else { return take_slowly(rest, at) };
    let word = u64::from_le_bytes(*word);
    let ends = !word & HIGH_BITS;
    if ends == 0 {
        return take_slowly(rest, at);
    }
    // The bytes up to the first without its high bit, then their groups of
    // seven bits pushed together: pairs, fours, all eight.
    let word = word & (ends ^ (ends - 1));
    let len = (ends.trailing_zeros() as usize + 1) / 8;
    let word = word & 0x7f7f_7f7f_7f7f_7f7f;
    let word = word & 0x007f_007f_007f_007f | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = word & 0x0000_3fff_0000_3fff | (word & 0x3fff_0000_3fff_0000) >> 2;
    let word = word & 0x0000_0000_0fff_ffff | (word & 0x0fff_ffff_0000_0000) >> 4;
    if word >> (7 * (len - 1)) == 0 {
        return None;
    }
    *at += len;
    Some(word)
}

#[cold]
fn take_slowly(rest: &[u8], at: &mut usize) -> Option<u64> {
    let mut decoder = Decoder::new(rest);
    let value = decoder.varint();
    *at += decoder.offset();
    value
}

#[cfg(test)]
mod tests {
    use kv_core::put_varint;
    use proptest::prelude::*;

    use super::*;

    /// Mostly bytes where forms end, go on or are overlong.
    fn any_byte() -> impl Strategy<Value = u8> {
        prop_oneof![Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]
    }

    proptest! {
        #[test]
        fn agrees_with_the_decoder(bytes in proptest::collection::vec(any_byte(), 0..14)) {
            let mut decoder = Decoder::new(&bytes);
            let expected = decoder.varint();
            let mut at = 0;
            prop_assert_eq!(take_varint(&bytes, &mut at), expected);
            if expected.is_some() {
                prop_assert_eq!(at, decoder.offset());
            }
        }

        #[test]
        fn takes_what_was_put(value: u64, shift in 0u32..64, room in 0usize..10) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let len = bytes.len();
            bytes.resize(len + room, 0xff);
            let mut at = 0;
            prop_assert_eq!(take_varint(&bytes, &mut at), Some(value));
            prop_assert_eq!(at, len);
        }
    }
}
