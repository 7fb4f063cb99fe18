//! The numbers that `SCAN` hands out in place of keys.
//!
//! ```text
//! bits 63-32  the first four bytes of the last key visited, padded with zeros
//! bits 31-0   ticket: a running number, never 0
//! ```
//!
//! The whole key stays in a ring under its ticket. A cursor whose ticket is
//! still there goes on exactly behind its key. One that was overwritten, or
//! handed out before a restart, goes on at the first key with the same four
//! bytes: keys may come twice, but none is left out.

use std::sync::{Mutex, PoisonError};

/// Positions remembered at a time: more scans than that in progress only cost
/// repeated keys. A power of two, so that tickets stay spread when they wrap.
pub(crate) const SLOTS: usize = 16_384;

const TICKET_BITS: u32 = 32;
const HEAD_BYTES: usize = 4;

const _: () = assert!(SLOTS.is_power_of_two());
const _: () = assert!(HEAD_BYTES * 8 + TICKET_BITS as usize == 64);

/// Where a scan goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ScanPosition {
    /// At the first key.
    Start,
    /// Behind this key.
    Behind(Vec<u8>),
    /// At the first key that is not smaller.
    From(Vec<u8>),
}

/// The ring of remembered positions, shared by all connections.
#[derive(Debug)]
pub(crate) struct ScanCursors {
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    ticket: u32,
    slots: Vec<Option<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    ticket: u32,
    database: u8,
    key: Vec<u8>,
}

impl ScanCursors {
    /// A ring without positions. `first_ticket` should differ from start to
    /// start, so that a cursor of an earlier process is not taken for one of
    /// this.
    pub(crate) fn new(first_ticket: u32) -> ScanCursors {
        ScanCursors { ring: Mutex::new(Ring { ticket: first_ticket, slots: Vec::new() }) }
    }

    /// A cursor that goes on behind `key`.
    pub(crate) fn remember(&self, database: u8, key: &[u8]) -> u64 {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.ticket = ring.ticket.wrapping_add(1).max(1);
        let ticket = ring.ticket;
        let slot = slot_of(ticket);
        if ring.slots.len() <= slot {
            ring.slots.resize_with(SLOTS, || None);
        }
        ring.slots[slot] = Some(Remembered { ticket, database, key: key.to_vec() });
        (u64::from(head_of(key)) << TICKET_BITS) | u64::from(ticket)
    }

    /// Where `cursor` goes on in `database`. Any number is a position.
    pub(crate) fn position(&self, database: u8, cursor: u64) -> ScanPosition {
        if cursor == 0 {
            return ScanPosition::Start;
        }
        let ticket = cursor as u32;
        let head = (cursor >> TICKET_BITS) as u32;
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        match ring.slots.get(slot_of(ticket)) {
            Some(Some(held)) if held.ticket == ticket && held.database == database => {
                ScanPosition::Behind(held.key.clone())
            }
            _ => ScanPosition::From(first_key_of(head)),
        }
    }
}

fn slot_of(ticket: u32) -> usize {
    ticket as usize % SLOTS
}

fn head_of(key: &[u8]) -> u32 {
    let mut head = [0; HEAD_BYTES];
    let len = key.len().min(HEAD_BYTES);
    head[..len].copy_from_slice(&key[..len]);
    u32::from_be_bytes(head)
}

/// The smallest key with this head: padding zeros may belong to shorter keys.
fn first_key_of(head: u32) -> Vec<u8> {
    let head = head.to_be_bytes();
    let len = head.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    head[..len].to_vec()
}
