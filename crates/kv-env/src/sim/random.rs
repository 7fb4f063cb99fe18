//! Deterministic randomness: the same seed gives the same run everywhere.

use parking_lot::Mutex;

use crate::ports::Entropy;

/// One step of the splitmix64 generator (Steele, Lea and Flood, 2014), used as
/// a hash of two numbers.
pub(super) fn mix(seed: u64, salt: u64) -> u64 {
    let mut word = seed.wrapping_add(salt.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A sequence of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Random {
    seed: u64,
    drawn: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { seed, drawn: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.drawn += 1;
        mix(self.seed, self.drawn)
    }

    /// A number below `bound`, which must not be zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Identities drawn from a seed.
#[derive(Debug)]
pub(super) struct SimEntropy {
    random: Mutex<Random>,
}

impl SimEntropy {
    pub(super) fn new(seed: u64) -> SimEntropy {
        SimEntropy { random: Mutex::new(Random::new(seed)) }
    }
}

impl Entropy for SimEntropy {
    fn random_id(&self) -> [u8; 16] {
        let mut random = self.random.lock();
        let mut id = [0; 16];
        for half in id.chunks_exact_mut(8) {
            half.copy_from_slice(&random.next().to_le_bytes());
        }
        id
    }
}
