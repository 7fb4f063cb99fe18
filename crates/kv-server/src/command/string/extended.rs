//! Floating point with 64 bits of precision, as `INCRBYFLOAT` has it.
//!
//! Redis computes in the 80-bit format of x87 and prints 17 decimals. Doubles
//! would print `10.59999999999999964` where clients expect `10.6`, so the sum
//! is made here, bit for bit like the hardware's: round to nearest, ties to
//! even, gradual underflow.

/// `mantissa * 2^exponent`, negative or not.
///
/// Except for zero and numbers below the smallest normal one, the highest bit
/// of the mantissa is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) is_negative: bool,
    pub(super) mantissa: u64,
    pub(super) exponent: i32,
}

/// Exponent of the largest finite numbers.
const MAX_EXPONENT: i32 = 16_320;
/// Exponent of the smallest normal numbers and of all below them.
const MIN_EXPONENT: i32 = -16_445;

impl Extended {
    pub(super) const ZERO: Extended =
        Extended { is_negative: false, mantissa: 0, exponent: MIN_EXPONENT };

    /// What `inf` is read as; no sum has a result with it.
    pub(super) const INFINITY: Extended =
        Extended { is_negative: false, mantissa: 1 << 63, exponent: i32::MAX };

    /// The number nearest to `mantissa * 2^exponent`, where `more` says that
    /// the true mantissa is a fraction larger. `None` beyond the largest.
    pub(super) fn nearest(
        is_negative: bool,
        mantissa: u128,
        more: bool,
        exponent: i32,
    ) -> Option<Extended> {
        if mantissa == 0 {
            return Some(Extended { is_negative, ..Extended::ZERO });
        }
        let bits = 128 - mantissa.leading_zeros() as i32;
        // Bits to cut off: down to 64, or more where the exponent is at its end.
        let cut = (bits - 64).max(MIN_EXPONENT - exponent);
        let (kept, exponent) = if cut <= 0 {
            (mantissa << -cut, exponent + cut)
        } else {
            (round_off(mantissa, cut, more), exponent + cut)
        };
        // Rounding up may have carried into a 65th bit, which is then alone.
        let (kept, exponent) =
            if kept >> 64 != 0 { (kept >> 1, exponent + 1) } else { (kept, exponent) };
        (exponent <= MAX_EXPONENT).then_some(Extended {
            is_negative,
            mantissa: kept as u64,
            exponent,
        })
    }

    /// The sum; `None` if it is not finite.
    pub(super) fn plus(self, other: Extended) -> Option<Extended> {
        if self.exponent == i32::MAX || other.exponent == i32::MAX {
            return None;
        }
        let magnitude = |number: &Extended| (number.exponent, number.mantissa);
        let (large, small) =
            if magnitude(&self) >= magnitude(&other) { (self, other) } else { (other, self) };
        // Room for a carry above and for 63 bits of the smaller number below.
        let wide_large = u128::from(large.mantissa) << 63;
        let wide_small = u128::from(small.mantissa) << 63;
        let distance = (large.exponent - small.exponent) as u32;
        let moved = wide_small.checked_shr(distance).unwrap_or(0);
        let more = moved.checked_shl(distance).unwrap_or(0) != wide_small;
        let exponent = large.exponent - 63;
        if large.is_negative == small.is_negative {
            return Extended::nearest(large.is_negative, wide_large + moved, more, exponent);
        }
        let difference = wide_large - moved - u128::from(more);
        let is_negative = large.is_negative && difference != 0;
        Extended::nearest(is_negative, difference, more, exponent)
    }
}

/// `mantissa / 2^cut`, rounded to the nearest, ties to even.
fn round_off(mantissa: u128, cut: i32, more: bool) -> u128 {
    if cut > 128 {
        return 0;
    }
    let half = 1u128 << (cut - 1);
    let kept = if cut == 128 { 0 } else { mantissa >> cut };
    let rest = mantissa & (half | (half - 1));
    let is_up = rest > half || (rest == half && (more || kept & 1 == 1));
    kept + u128::from(is_up)
}
