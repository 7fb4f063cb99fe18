//! Keys and values that can be made again from their number, so that whatever
//! is read can be checked without being remembered.

/// A key holds 64 bits in hexadecimal.
pub(crate) const MIN_KEY_BYTES: usize = 16;
/// A value begins with the number of its entry.
pub(crate) const MIN_VALUE_BYTES: usize = 8;

/// Bytes that values are cut from: large enough that two values of one block
/// rarely share a part.
const POOL_BYTES: usize = 1 << 20;
/// Random and compressible bytes take turns in runs of this length.
const RUN_BYTES: usize = 25;

/// Order of the keys as their numbers rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    Rising,
    Random,
}

/// Makes the keys and values of one benchmark.
pub(crate) struct Dataset {
    key_bytes: usize,
    value_bytes: usize,
    pool: Vec<u8>,
}

impl Dataset {
    pub(crate) fn new(key_bytes: usize, value_bytes: usize) -> Dataset {
        let mut random = Random::new(0x5eed);
        let mut pool = Vec::with_capacity(POOL_BYTES + value_bytes);
        while pool.len() < POOL_BYTES + value_bytes {
            pool.extend((0..RUN_BYTES).map(|_| random.next() as u8));
            pool.resize(pool.len() + RUN_BYTES, b' ');
        }
        Dataset { key_bytes, value_bytes, pool }
    }

    /// Size of an entry as its user counts it, in bytes.
    pub(crate) fn entry_bytes(&self) -> u64 {
        (self.key_bytes + self.value_bytes) as u64
    }

    /// Puts the key of entry `number` into `key`. Different numbers have
    /// different keys in either order.
    pub(crate) fn key(&self, order: KeyOrder, number: u64, key: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let placed = match order {
            KeyOrder::Rising => number,
            KeyOrder::Random => mix(number),
        };
        key.clear();
        key.extend((0..16).rev().map(|digit| DIGITS[(placed >> (4 * digit)) as usize & 15]));
        key.resize(self.key_bytes, b'k');
    }

    /// Puts a value of entry `number` into `value`; overwrites use other
    /// generations.
    pub(crate) fn value(&self, number: u64, generation: u64, value: &mut Vec<u8>) {
        let at = mix(number ^ generation.rotate_left(32)) as usize % POOL_BYTES;
        value.clear();
        value.extend_from_slice(&number.to_le_bytes());
        value.extend_from_slice(&self.pool[at..at + self.value_bytes - MIN_VALUE_BYTES]);
    }

    /// True if `value` is one of entry `number`, of any generation.
    pub(crate) fn belongs(&self, number: u64, value: &[u8]) -> bool {
        value.len() == self.value_bytes && value.starts_with(&number.to_le_bytes())
    }
}

/// A bijection of 64-bit numbers without visible order (the finaliser of
/// SplitMix64, Steele et al. 2014).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Reproducible random numbers, one sequence per seed.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: mix(seed) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(1);
        mix(self.state)
    }

    /// A number below `limit`, by the high half of a product.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Dataset, KeyOrder};

    #[test]
    fn keys_differ_and_rise_only_where_asked() {
        let dataset = Dataset::new(20, 100);
        for order in [KeyOrder::Rising, KeyOrder::Random] {
            let mut keys: Vec<Vec<u8>> = Vec::new();
            for number in 0..1000 {
                let mut key = Vec::new();
                dataset.key(order, number, &mut key);
                assert_eq!(key.len(), 20);
                keys.push(key);
            }
            assert_eq!(keys.is_sorted(), order == KeyOrder::Rising);
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), 1000);
        }
    }

    #[test]
    fn values_are_known_again_in_every_generation() {
        let dataset = Dataset::new(16, 100);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        dataset.value(7, 0, &mut first);
        dataset.value(7, 1, &mut second);
        assert_ne!(first, second);
        assert!(dataset.belongs(7, &first) && dataset.belongs(7, &second));
        assert!(!dataset.belongs(8, &first) && !dataset.belongs(7, &first[1..]));
    }
}
