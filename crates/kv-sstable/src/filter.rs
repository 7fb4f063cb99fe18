//! Blocked Bloom filter: which keys a table certainly does not have.
//!
//! ```text
//!  0  4  line count, u32
//!  4  1  probes per key, 1 to 7
//!  5  1  filter kind, 1 = blocked Bloom
//!  6  2  0
//!  8  8  seed, u64
//! 16  .  lines of 64 bytes, eight u64 each
//! ```
//!
//! A key sets `probes` bits of one line, so a lookup costs one cache miss.
//! With `h` the [`KeyHash`] of the key:
//!
//! ```text
//! a = (h ^ seed) * 0x9E3779B97F4A7C15               mod 2^64
//! line = (a >> 32) * line count >> 32
//! b = (a ^ a >> 32) * 0xD6E8FEB86659FD93            mod 2^64
//! bit of probe i = (b >> (64 - 9 * (i + 1))) mod 512, bit j in word j / 64
//! ```
//!
//! Two secrets keep chosen keys from fooling filters. The hash is seeded by the
//! database: keys with equal hashes cannot be searched for without it. The seed
//! of the filter comes from the random part of the file's identity: keys found
//! to fool one table by trial fool no other.

use kv_core::Decoder;

use crate::defect::Defect;
use crate::key_hash::KeyHash;

const LINE_BYTES: usize = 64;
const LINE_BITS: usize = 8 * LINE_BYTES;
const FILTER_HEADER_BYTES: usize = 16;
const KIND_BLOCKED_BLOOM: u8 = 1;

/// Nine bits a probe, out of 64.
const MAX_PROBES: u8 = 7;

/// Bits of one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

/// A filter in memory.
#[derive(Debug)]
pub(crate) struct Filter {
    lines: Vec<Line>,
    probes: u8,
    seed: u64,
}

impl Filter {
    /// Builds the filter of a set of keys.
    pub(crate) fn of_keys(hashes: &[KeyHash], bits_per_key: u8, seed: u64) -> Filter {
        let bits = hashes.len() * usize::from(bits_per_key);
        let line_count = bits.div_ceil(LINE_BITS).max(1);
        let probes = best_probes(bits_per_key);
        let mut filter = Filter { lines: vec![Line([0; 8]); line_count], probes, seed };
        for hash in hashes {
            let (line, bits) = filter.place(*hash);
            for bit in probed_bits(bits, probes) {
                filter.lines[line].0[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// False if no key with this hash was added.
    #[inline]
    pub(crate) fn may_contain(&self, hash: KeyHash) -> bool {
        let (line, bits) = self.place(hash);
        let words = &self.lines[line].0;
        probed_bits(bits, self.probes).all(|bit| words[bit / 64] >> (bit % 64) & 1 == 1)
    }

    /// Memory it occupies.
    pub(crate) fn size_bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILTER_HEADER_BYTES + self.size_bytes());
        out.extend_from_slice(&(self.lines.len() as u32).to_le_bytes());
        out.extend_from_slice(&[self.probes, KIND_BLOCKED_BLOOM, 0, 0]);
        out.extend_from_slice(&self.seed.to_le_bytes());
        for word in self.lines.iter().flat_map(|line| &line.0) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Length of the stored filter that `bytes` may start with.
    pub(crate) fn stored_len(bytes: &[u8]) -> Option<usize> {
        let mut decoder = Decoder::new(bytes);
        let line_count = decoder.u32()?;
        let [_, kind, _, _] = decoder.array::<4>()?;
        let is_filter = kind == KIND_BLOCKED_BLOOM;
        is_filter.then_some(FILTER_HEADER_BYTES + LINE_BYTES * line_count as usize)
    }

    /// Decodes a stored filter that fills `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Filter, Defect> {
        let mut decoder = Decoder::new(bytes);
        let (Some(line_count), Some([probes, kind, _, _]), Some(seed)) =
            (decoder.u32(), decoder.array::<4>(), decoder.u64())
        else {
            return Err(Defect::Damaged("the filter is shorter than its header"));
        };
        if kind != KIND_BLOCKED_BLOOM {
            return Err(Defect::Unknown("filter kind", u64::from(kind)));
        }
        if !(1..=MAX_PROBES).contains(&probes) {
            return Err(Defect::Damaged("the filter has an impossible number of probes"));
        }
        let (stored_lines, rest) = decoder.rest().as_chunks::<LINE_BYTES>();
        if line_count == 0 || stored_lines.len() != line_count as usize || !rest.is_empty() {
            return Err(Defect::Damaged("the filter has another length than it says"));
        }
        let lines = stored_lines.iter().map(decode_line).collect();
        Ok(Filter { lines, probes, seed })
    }

    /// The line of a key, and the bits that choose its probes.
    #[inline]
    fn place(&self, hash: KeyHash) -> (usize, u64) {
        let mixed = (hash.bits() ^ self.seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let line = ((mixed >> 32) * self.lines.len() as u64) >> 32;
        (line as usize, (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }
}

fn decode_line(bytes: &[u8; LINE_BYTES]) -> Line {
    let (words, _) = bytes.as_chunks::<8>();
    let mut line = Line([0; 8]);
    for (word, stored) in line.0.iter_mut().zip(words) {
        *word = u64::from_le_bytes(*stored);
    }
    line
}

#[inline]
fn probed_bits(bits: u64, probes: u8) -> impl Iterator<Item = usize> {
    (1..=u32::from(probes)).map(move |probe| (bits >> (64 - 9 * probe)) as usize % LINE_BITS)
}

/// The number of probes with the fewest false positives. Lines fill unevenly,
/// so it stays below the `0.69 * bits` of a plain Bloom filter.
fn best_probes(bits_per_key: u8) -> u8 {
    match bits_per_key {
        0..=2 => 1,
        3 => 2,
        4..=5 => 3,
        6..=7 => 4,
        8..=9 => 5,
        10..=11 => 6,
        _ => MAX_PROBES,
    }
}
