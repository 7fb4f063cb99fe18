//! Bytes that nobody wrote: no panic, no large allocation, no endless loop.

use kv_wal::SegmentPosition;
use proptest::prelude::*;

use crate::support::{FIRST_FRAME, is_prefix, log_bytes, read, text};

fn good_log() -> (Vec<u8>, Vec<Vec<u8>>) {
    let records: Vec<_> = [100, 4000, 0, 300, 6000].iter().map(|&len| text(len, len)).collect();
    let bytes = log_bytes(1 << 15, |mut log| {
        for record in &records {
            log.append(record).unwrap();
            log.sync().unwrap();
        }
    });
    (bytes, records)
}

fn position() -> impl Strategy<Value = SegmentPosition> {
    prop_oneof![Just(SegmentPosition::Last), Just(SegmentPosition::Sealed)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 1000 }, ..ProptestConfig::default() })]

    #[test]
    fn a_file_of_random_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        position in position(),
    ) {
        prop_assert!(read(&bytes, position).end.is_err());
    }

    #[test]
    fn random_bytes_behind_a_good_header(
        frames in proptest::collection::vec(any::<u8>(), 0..10_000),
        position in position(),
    ) {
        let (good, _) = good_log();
        let mut bytes = good[..FIRST_FRAME].to_vec();
        bytes.extend(frames);
        prop_assert!(read(&bytes, position).records.is_empty());
    }

    #[test]
    fn random_damage_to_a_good_log(
        damage in proptest::collection::vec((FIRST_FRAME..20_000usize, any::<u8>()), 1..20),
        zeros in FIRST_FRAME..20_000usize,
        zeros_len in 0usize..6000,
        len in FIRST_FRAME..40_000usize,
        position in position(),
    ) {
        let (mut bytes, records) = good_log();
        bytes[zeros..zeros + zeros_len].fill(0);
        for (offset, byte) in damage {
            bytes[offset] = byte;
        }
        bytes.resize(len, 0);
        let reading = read(&bytes, position);
        prop_assert!(is_prefix(&reading.records, &records));
    }
}

/// A header that claims 4 GiB in a file of a few KiB.
#[test]
fn a_length_beyond_the_file_is_damage() {
    let seed = crate::support::header().seed();
    for payload_bytes in [u32::MAX, u32::MAX - 20, 1 << 30, 5000] {
        let mut checked = payload_bytes.to_le_bytes().to_vec();
        checked.extend([0; 4]);
        checked.extend([1, 0, 0, 0]);
        checked.extend(7u32.to_le_bytes());
        let mut bytes = log_bytes(8192, drop);
        let at = FIRST_FRAME + 16;
        bytes[at..at + 4].copy_from_slice(&seed.checksum(0, &checked).to_le_bytes());
        bytes[at + 4..at + 20].copy_from_slice(&checked);
        assert!(read(&bytes, SegmentPosition::Last).is_torn(), "{payload_bytes}");
        assert!(read(&bytes, SegmentPosition::Sealed).is_corruption(), "{payload_bytes}");
    }
}

/// Types and flags that a later version may bring.
#[test]
fn what_is_reserved_is_refused_by_name() {
    let seed = crate::support::header().seed();
    for (at, byte) in [(8, 3u8), (8, 0), (9, 1), (10, 1), (11, 128)] {
        let mut checked = [0u8; 16];
        checked[8] = 1;
        checked[at] = byte;
        checked[12..].copy_from_slice(&seed.checksum(0, b"").to_le_bytes());
        let mut bytes = log_bytes(8192, drop);
        let start = FIRST_FRAME + 16;
        bytes[start..start + 4].copy_from_slice(&seed.checksum(0, &checked).to_le_bytes());
        bytes[start + 4..start + 20].copy_from_slice(&checked);
        let end = read(&bytes, SegmentPosition::Last).end;
        assert!(matches!(end, Err(kv_core::Error::Unsupported { .. })), "{at}: {end:?}");
    }
}
