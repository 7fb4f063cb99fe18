//! Logs: segments and manifests.

use super::Version;
use super::bytes::{FileHeader, Reader};

/// A data record: its lsn and its payload.
pub(super) struct Record {
    pub(super) lsn: u64,
    pub(super) payload: Vec<u8>,
}

/// The data records of a log, up to the zeros behind the last one.
pub(super) fn records(file: &[u8], magic: &[u8; 8]) -> Vec<Record> {
    let header = FileHeader::read(file, magic);
    let checksum = u32::from_le_bytes(file[92..96].try_into().unwrap());
    assert_eq!(header.checksum(80, &file[80..92]), checksum);
    let mut stream = Vec::new();
    for (number, frame) in file[4096..].chunks(4096).enumerate() {
        let Some((stamp, data)) = frame.split_at_checked(16) else { break };
        if stamp.iter().any(|&byte| byte != 0) {
            let offset = 4096 * (number as u64 + 1);
            let checksum = u32::from_le_bytes(stamp[..4].try_into().unwrap());
            assert_eq!(header.checksum(offset, &stamp[4..]), checksum);
        }
        stream.extend_from_slice(data);
    }
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(head) = stream.get(at..at + 20).filter(|head| head.iter().any(|&b| b != 0)) {
        let mut reader = Reader(head);
        assert_eq!(header.checksum(at as u64, &head[4..]), reader.u32());
        let len = reader.u32() as usize;
        let _unsynced = reader.u32();
        let kind = reader.u8();
        assert_eq!((reader.u8(), reader.u16()), (0, 0));
        let payload = &stream[at + 20..at + 20 + len];
        assert_eq!(header.checksum(at as u64, payload), reader.u32());
        if kind == 2 {
            break;
        }
        assert_eq!(kind, 1);
        records.push(Record { lsn: at as u64, payload: payload.to_vec() });
        at += 20 + len;
    }
    records
}

/// The writes of a batch.
pub(super) fn read_batch(record: Record) -> Vec<Version> {
    let mut reader = Reader(&record.payload);
    let first = reader.u64();
    let count = reader.u32();
    assert_eq!(reader.u8(), 0);
    let mut writes = Vec::new();
    for index in 0..u64::from(count) {
        let kind = reader.u8();
        assert_eq!(reader.varint(), 0, "the keyspace");
        let len = reader.varint() as usize;
        let key = reader.take(len).to_vec();
        let value = (kind == 1).then(|| {
            let len = reader.varint() as usize;
            reader.take(len).to_vec()
        });
        writes.push(Version { key, seqno: first + index, value });
    }
    assert!(reader.0.is_empty());
    writes
}
