//! The log: a reader on forged segments, and an engine that replays them.

use arbitrary::Arbitrary;
use kv_core::{DecodedBatch, FileKind, Kind, WriteBatch};
use kv_env::SimDisk;
use kv_wal::{LogReader, SegmentPosition, Tail};

use crate::allocation::{bounded, own};
use crate::assert_is_damage;
use crate::damage::{Damage, apply_all};
use crate::log_forge::{FRAME_BYTES, Lies, LogForge};
use crate::specimen::{ACTIVE_SEGMENT, Specimen, State, contents};

/// A segment.
#[derive(Debug, Arbitrary)]
pub struct Recipe {
    /// Pages that were filled with zeros beforehand.
    prewritten_pages: u8,
    /// Pages of the file at least.
    file_pages: u8,
    batches: Vec<Batch>,
    is_finished: bool,
    /// Damage that no checksum knows of.
    damages: Vec<Damage>,
    /// Bytes in place of all this.
    raw: Option<Vec<u8>>,
}

#[derive(Debug, Arbitrary)]
struct Batch {
    writes: Vec<Write>,
    /// Bytes to lengthen the last value by, in sixteens.
    padding: u8,
    lies: Option<Lies>,
    /// Damage that the checksum covers.
    damages: Vec<Damage>,
}

#[derive(Debug, Arbitrary)]
struct Write {
    key: [u8; 2],
    value: Option<Vec<u8>>,
}

/// What a reader made of a segment.
#[derive(Debug, PartialEq)]
struct Reading {
    payloads: Vec<Vec<u8>>,
    tail: Option<Tail>,
}

/// Reads a forged segment, alone and as part of a database.
pub fn run(recipe: &Recipe) {
    thread_local!(static SPECIMEN: Specimen = Specimen::new());
    SPECIMEN.with(|specimen| examine(specimen, recipe));
}

fn examine(specimen: &Specimen, recipe: &Recipe) {
    let (bytes, payloads) = recipe.write(specimen);
    let reading = read(&bytes, SegmentPosition::Last);
    let sealed = read(&bytes, SegmentPosition::Sealed);
    if sealed.tail.is_some() {
        assert!(matches!(sealed.tail, Some(Tail::Clean | Tail::EndMark)));
        assert_eq!(sealed, reading, "what needs no judgement is judged alike");
    }
    if recipe.is_harmless() {
        assert_eq!(reading.payloads, payloads);
        let expected = if recipe.is_finished { Tail::EndMark } else { Tail::Clean };
        assert_eq!(reading.tail, Some(expected));
    }
    if recipe.is_honest() && matches!(&recipe.damages[..], [damage] if damage.is_burst()) {
        assert!(payloads.starts_with(&reading.payloads), "a payload that was never written");
    }
    if let Some(Tail::Torn { file_offset, .. }) = reading.tail {
        let cut = read(&bytes[..file_offset as usize], SegmentPosition::Sealed);
        assert_eq!(cut, Reading { tail: Some(Tail::Clean), payloads: reading.payloads.clone() });
    }
    replay(specimen, &bytes, &reading);
}

impl Recipe {
    fn is_honest(&self) -> bool {
        self.raw.is_none() && self.batches.iter().all(|batch| batch.lies.is_none())
    }

    fn is_harmless(&self) -> bool {
        self.is_honest() && self.damages.is_empty()
    }

    /// The file, and what is in its records.
    fn write(&self, specimen: &Specimen) -> (Vec<u8>, Vec<Vec<u8>>) {
        if let Some(raw) = &self.raw {
            return (raw.clone(), Vec::new());
        }
        let prewritten_bytes = usize::from(self.prewritten_pages) * FRAME_BYTES;
        let mut forge = LogForge::new(specimen.segment, prewritten_bytes as u64);
        let mut payloads = Vec::new();
        let mut seqno = specimen.next_seqno;
        for batch in &self.batches {
            let payload = batch.encode(&mut seqno);
            forge.append(&payload, batch.lies.as_ref().unwrap_or(&Lies::default()));
            payloads.push(payload);
        }
        if self.is_finished {
            forge.finish();
        }
        // A finished log ends with its mark.
        let pages = if self.is_finished { 0 } else { self.file_pages % 8 };
        let mut bytes = forge.seal(usize::from(pages) * FRAME_BYTES);
        apply_all(&self.damages, &mut bytes);
        (bytes, payloads)
    }
}

impl Batch {
    fn encode(&self, seqno: &mut u64) -> Vec<u8> {
        let mut batch = WriteBatch::new();
        let last = self.writes.len().saturating_sub(1);
        for (index, write) in self.writes.iter().enumerate() {
            let added = match &write.value {
                Some(value) => {
                    let mut value = value.clone();
                    let padding = if index == last { 16 * usize::from(self.padding) } else { 0 };
                    value.resize(value.len() + padding, b'p');
                    batch.put(&write.key, &value)
                }
                None => batch.delete(&write.key),
            };
            added.expect("the writes are small");
        }
        let mut payload = batch.seal(kv_core::SeqNo(*seqno)).to_vec();
        *seqno += u64::from(batch.count());
        apply_all(&self.damages, &mut payload);
        payload
    }
}

fn read(bytes: &[u8], position: SegmentPosition) -> Reading {
    let disk = SimDisk::new(0);
    disk.write_file(ACTIVE_SEGMENT, bytes);
    let fs = disk.fs();
    let mut reading = Reading { payloads: Vec::new(), tail: None };
    bounded(bytes.len(), || {
        let mut reader = match LogReader::open(&*fs, ACTIVE_SEGMENT, FileKind::Wal, position) {
            Ok(reader) => reader,
            Err(error) => return assert_is_damage(&error),
        };
        loop {
            match reader.next_record() {
                Ok(Some(record)) => own(|| reading.payloads.push(record.payload.to_vec())),
                Ok(None) => break,
                Err(error) => {
                    assert_is_damage(&error);
                    assert!(reader.next_record().is_err(), "an error stays");
                    return;
                }
            }
        }
        assert!(reader.next_record().expect("the end stays").is_none());
        assert!(reader.good_file_bytes() <= bytes.len() as u64);
        reading.tail = reader.tail();
        assert!(reading.tail.is_some(), "the end is judged");
    });
    reading
}

/// An engine that accepts the segment holds what its batches say.
fn replay(specimen: &Specimen, bytes: &[u8], reading: &Reading) {
    let disk = specimen.with_file(ACTIVE_SEGMENT, bytes);
    let Some(engine) = specimen.examine(&disk) else { return };
    let mut state = specimen.flushed.clone();
    for payload in &reading.payloads {
        let batch = DecodedBatch::decode(payload, ACTIVE_SEGMENT, 0).expect("it was accepted");
        // What the tables hold is not replayed.
        if batch.last_seqno().0 >= specimen.next_seqno {
            apply(&batch, &mut state);
        }
    }
    assert_eq!(contents(&engine).expect("the tables are sound"), state);
    engine.close().expect("the disk is sound");
    let again = specimen.examine(&disk).expect("what was opened and closed opens again");
    assert_eq!(contents(&again).expect("the tables are sound"), state);
    assert_eq!(disk.violations(), Vec::<String>::new());
}

fn apply(batch: &DecodedBatch<'_>, state: &mut State) {
    for op in &batch.ops {
        match op.kind {
            Kind::Put => drop(state.insert(op.key.to_vec(), op.value.to_vec())),
            Kind::Delete => drop(state.remove(op.key)),
        }
    }
}
