//! Batches: what is encoded is decoded, and nothing else is.

use kv_core::{
    DecodedBatch, Error, Kind, MAX_KEY_BYTES, MAX_VALUE_BYTES, SeqNo, WriteBatch, put_varint,
};
use proptest::prelude::*;

type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn encode(writes: &Writes, first: u64) -> Vec<u8> {
    let mut batch = WriteBatch::new();
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(key, value).unwrap(),
            None => batch.delete(key).unwrap(),
        }
    }
    batch.seal(SeqNo(first)).to_vec()
}

fn writes() -> impl Strategy<Value = Writes> {
    let bytes = |len| prop::collection::vec(any::<u8>(), 0..len);
    prop::collection::vec((bytes(300), prop::option::of(bytes(300))), 0..20)
}

proptest! {
    #[test]
    fn a_batch_survives_its_encoding(writes in writes(), first in 1..u64::from(u32::MAX)) {
        let payload = encode(&writes, first);
        let decoded = DecodedBatch::decode(&payload, "wal.log", 0).unwrap();
        prop_assert_eq!(decoded.first_seqno, SeqNo(first));
        prop_assert_eq!(decoded.ops.len(), writes.len());
        prop_assert_eq!(decoded.ops.is_empty(), writes.is_empty());
        let read: Writes = decoded
            .ops
            .iter()
            .map(|op| (op.key.to_vec(), (op.kind == Kind::Put).then(|| op.value.to_vec())))
            .collect();
        prop_assert_eq!(read, writes);
    }

    #[test]
    fn a_cut_batch_is_refused(writes in writes(), keep in 0.0..1.0f64) {
        let payload = encode(&writes, 1);
        let cut = (payload.len() as f64 * keep) as usize;
        prop_assert!(DecodedBatch::decode(&payload[..cut], "wal.log", 0).is_err());
    }

    #[test]
    fn any_bytes_are_a_batch_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = DecodedBatch::decode(&bytes, "wal.log", 0);
    }
}

#[test]
fn golden_bytes() {
    let writes = vec![(b"key".to_vec(), Some(b"value".to_vec())), (b"gone".to_vec(), None)];
    let expected = b"\x07\0\0\0\0\0\0\0\x02\0\0\0\0\x01\0\x03key\x05value\0\0\x04gone";
    assert_eq!(encode(&writes, 7), expected);
}

#[test]
fn reserved_kinds_and_flags_are_refused() {
    let mut payload = encode(&vec![(b"k".to_vec(), None)], 1);
    payload[13] = 2;
    assert!(matches!(DecodedBatch::decode(&payload, "f", 0), Err(Error::Corruption { .. })));
    payload[12] = 1;
    assert!(matches!(DecodedBatch::decode(&payload, "f", 0), Err(Error::Unsupported { .. })));
}

/// What no batch could be given, no record may hold: a memory table that took
/// it would panic, and a keyspace that is not asked for would be the wrong one.
#[test]
fn keys_over_the_limit_and_other_keyspaces_are_refused() {
    let payload = |keyspace: u64, key_bytes: usize| {
        let mut payload = encode(&vec![], 1);
        payload[8] = 1;
        payload.push(Kind::Delete as u8);
        put_varint(&mut payload, keyspace);
        put_varint(&mut payload, key_bytes as u64);
        payload.resize(payload.len() + key_bytes, b'k');
        payload
    };
    let decode = |payload: &[u8]| DecodedBatch::decode(payload, "f", 0).map(drop);
    assert!(decode(&payload(0, MAX_KEY_BYTES)).is_ok());
    let too_long = decode(&payload(0, MAX_KEY_BYTES + 1));
    assert!(matches!(too_long, Err(Error::Corruption { offset: 13, .. })), "{too_long:?}");
    let foreign = decode(&payload(1, 3));
    assert!(matches!(foreign, Err(Error::Unsupported { .. })), "{foreign:?}");
}

/// The zeros of the value come from the system as they are asked for, and nobody
/// touches them: they take no memory.
#[test]
fn values_over_the_limit_are_refused() {
    let payload = |value_bytes: usize| {
        let mut head = encode(&vec![], 1);
        head[8] = 1;
        head.push(Kind::Put as u8);
        [0, 1].into_iter().for_each(|field| put_varint(&mut head, field));
        head.push(b'k');
        put_varint(&mut head, value_bytes as u64);
        let mut payload = vec![0; head.len() + value_bytes];
        payload[..head.len()].copy_from_slice(&head);
        payload
    };
    let longest = payload(MAX_VALUE_BYTES);
    let ops = DecodedBatch::decode(&longest, "f", 0).unwrap().ops;
    assert_eq!(ops.iter().next().unwrap().value.len(), MAX_VALUE_BYTES);
    let too_long = payload(MAX_VALUE_BYTES + 1);
    let refused = DecodedBatch::decode(&too_long, "f", 20).map(drop);
    assert!(matches!(refused, Err(Error::Corruption { offset: 33, .. })), "{refused:?}");
}

/// The numbers of a batch's writes must exist: an overflow would make the
/// oldest writes of the newest.
#[test]
fn a_batch_whose_numbers_run_out_is_refused() {
    let writes = vec![(b"k".to_vec(), None), (b"l".to_vec(), None)];
    let last = SeqNo::MAX.0 - 2;
    let payload = encode(&writes, last);
    let decoded = DecodedBatch::decode(&payload, "f", 0).unwrap();
    assert_eq!((decoded.first_seqno.0, decoded.last_seqno().0), (last, last + 1));
    for first in [last + 1, SeqNo::MAX.0, u64::MAX - 1, u64::MAX] {
        let mut payload = payload.clone();
        payload[..8].copy_from_slice(&first.to_le_bytes());
        let error = DecodedBatch::decode(&payload, "f", 20).unwrap_err();
        let expected = "corruption in f at offset 20: batch: sequence number out of range";
        assert_eq!(error.to_string(), expected, "{first}");
    }
}

#[test]
fn another_number_of_writes_than_announced_is_refused() {
    let payload = encode(&vec![(b"k".to_vec(), None), (b"l".to_vec(), None)], 1);
    for count in [0, 1, 3, 1 << 24] {
        let mut payload = payload.clone();
        payload[8..12].copy_from_slice(&u32::to_le_bytes(count));
        let error = DecodedBatch::decode(&payload, "f", 0).unwrap_err();
        assert!(matches!(error, Error::Corruption { offset: 8, .. }), "{count}: {error}");
    }
}

#[test]
fn a_refused_write_leaves_the_batch_as_it_was() {
    let mut batch = WriteBatch::new();
    batch.put(b"kept", b"1").unwrap();
    let before = batch.clone();
    assert!(batch.delete(&vec![0; MAX_KEY_BYTES + 1]).is_err());
    assert_eq!(batch, before);
    batch.clear();
    assert_eq!(batch, WriteBatch::new());
}
