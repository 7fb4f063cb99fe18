//! Damage to bytes, as the fuzzer chooses it.

use arbitrary::Arbitrary;

/// One change at one place.
#[derive(Debug, Clone, Arbitrary)]
pub struct Damage {
    /// The place, counted from the start, or from the end if that is asked for.
    pub at: u16,
    /// Whether to count from the end.
    pub from_end: bool,
    /// What happens there.
    pub change: Change,
}

/// What happens at a place.
#[derive(Debug, Clone, Arbitrary)]
pub enum Change {
    /// Bits of one byte flip.
    Flip(u8),
    /// A byte gets another value.
    Byte(u8),
    /// Four bytes get the value of a small number.
    Small(u8),
    /// Four bytes get the value of any number.
    Number(u32),
    /// Bytes appear.
    Insert([u8; 3]),
    /// Bytes vanish.
    Remove(u8),
    /// Bytes become zero.
    Zeros(u8),
    /// All behind it is gone.
    Truncate,
}

impl Damage {
    /// Hurts `bytes`.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let Some(last) = bytes.len().checked_sub(1) else { return };
        let offset = usize::from(self.at) % (last + 1);
        let at = if self.from_end { last - offset } else { offset };
        match self.change {
            Change::Flip(mask) => bytes[at] ^= mask,
            Change::Byte(byte) => bytes[at] = byte,
            Change::Small(number) => overwrite(bytes, at, u32::from(number)),
            Change::Number(number) => overwrite(bytes, at, number),
            Change::Insert(new) => drop(bytes.splice(at..at, new)),
            Change::Remove(len) => drop(bytes.drain(at..end(bytes, at, len))),
            Change::Zeros(len) => {
                let end = end(bytes, at, len);
                bytes[at..end].fill(0);
            }
            Change::Truncate => bytes.truncate(at),
        }
    }

    /// True if at most 32 bits in a row change and no byte moves: what a
    /// checksum of 32 bits always finds.
    pub fn is_burst(&self) -> bool {
        matches!(
            self.change,
            Change::Flip(_) | Change::Byte(_) | Change::Small(_) | Change::Number(_)
        )
    }
}

/// Hurts `bytes` by all of `damages` in turn.
pub fn apply_all(damages: &[Damage], bytes: &mut Vec<u8>) {
    damages.iter().for_each(|damage| damage.apply(bytes));
}

fn end(bytes: &[u8], at: usize, len: u8) -> usize {
    (at + usize::from(len)).min(bytes.len())
}

fn overwrite(bytes: &mut [u8], at: usize, number: u32) {
    let room = (bytes.len() - at).min(4);
    bytes[at..at + room].copy_from_slice(&number.to_le_bytes()[..room]);
}
