//! Numbers and fields taken from untrusted bytes.

use kv_core::{Decoder, put_varint, varint_len};
use proptest::prelude::*;

proptest! {
    #[test]
    fn varints_survive(value in prop_oneof![any::<u64>(), 0..1000u64]) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        prop_assert_eq!(bytes.len(), varint_len(value));
        let mut decoder = Decoder::new(&bytes);
        prop_assert_eq!(decoder.varint(), Some(value));
        prop_assert!(decoder.is_empty());
    }

    #[test]
    fn a_varint_has_one_form(
        // Empty groups of bits, last or not, are what a second form consists of.
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x80), Just(0)], 0..12),
    ) {
        let mut decoder = Decoder::new(&bytes);
        if let Some(value) = decoder.varint() {
            let mut again = Vec::new();
            put_varint(&mut again, value);
            prop_assert_eq!(&bytes[..decoder.offset()], &again[..]);
        }
    }
}

#[test]
fn fields_beyond_the_end_are_none_and_take_nothing() {
    let mut decoder = Decoder::new(&[5, 1, 2]);
    assert_eq!(decoder.length_prefixed(), None);
    let mut decoder = Decoder::new(&[1, 2, 3]);
    assert_eq!(decoder.u32(), None);
    assert_eq!(decoder.u16(), Some(0x0201));
    assert_eq!((decoder.offset(), decoder.rest()), (2, &[3][..]));
}
