//! Decimal text of [`Extended`] numbers.

use super::extended::Extended;

/// Longest text that is read as a number, in bytes: Redis's buffer.
const MAX_TEXT_BYTES: usize = 5 * 1024 - 1;

/// Decimals that are printed.
const DECIMALS: u32 = 17;

/// Powers of ten beyond which every number of [`MAX_TEXT_BYTES`] digits is out
/// of range, whichever way.
const MAX_POWER: i64 = 20_000;

/// Reads decimal text with an optional sign, point and exponent, or `inf`.
/// `None` for anything else, and for numbers too large or too small.
pub(super) fn parse_extended(text: &[u8]) -> Option<Extended> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity") {
        return Some(Extended { is_negative, ..Extended::INFINITY });
    }
    let (digits, power) = split_decimal(text)?;
    let mut number = Natural::from_digits(digits);
    if number.is_zero() {
        return Some(Extended { is_negative, ..Extended::ZERO });
    }
    if power.abs() > MAX_POWER {
        return None;
    }
    let (exponent, more) = if power >= 0 {
        number.multiply_by_power_of_ten(power as u32);
        (0, false)
    } else {
        // Enough bits for a quotient of more than 65, four for each decimal.
        let shift = 66 + 4 * power.unsigned_abs() as u32;
        number.shift_left(shift);
        (-(shift as i32), number.divide_by_power_of_ten(power.unsigned_abs() as u32))
    };
    let (mantissa, dropped, cut_more) = number.leading_bits();
    let parsed = Extended::nearest(
        is_negative,
        mantissa,
        more || cut_more,
        exponent + i32::try_from(dropped).ok()?,
    )?;
    // A number that is not zero must not be read as zero.
    (parsed.mantissa != 0).then_some(parsed)
}

/// Digits without the point, and the power of ten they are multiplied with.
fn split_decimal(text: &[u8]) -> Option<(impl Iterator<Item = u8> + '_, i64)> {
    let exponent_at = text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e'));
    let (decimal, exponent) = match exponent_at {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let point = decimal.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&decimal[..at], &decimal[at + 1..]),
        None => (decimal, &decimal[decimal.len()..]),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let digits = whole.iter().chain(fraction).map(|byte| byte - b'0');
    Some((digits, exponent - fraction.len() as i64))
}

/// The number behind `e`; what does not fit is as good as [`MAX_POWER`] twice.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0i64, |number, digit| (number * 10 + i64::from(digit - b'0')).min(2 * MAX_POWER));
    Some(sign * number)
}

/// Decimal text with at most [`DECIMALS`] decimals and no zeros at its end.
pub(super) fn format_extended(number: Extended) -> String {
    let (mut digits, decimals) = if number.exponent >= 0 {
        let mut natural = Natural::from_u64(number.mantissa);
        natural.shift_left(number.exponent as u32);
        (natural.into_decimal(), 0)
    } else {
        (scaled(number).to_string(), DECIMALS as usize)
    };
    if digits.len() <= decimals {
        digits.insert_str(0, &"0".repeat(decimals + 1 - digits.len()));
    }
    if decimals > 0 {
        digits.insert(digits.len() - decimals, '.');
        let kept = digits.trim_end_matches('0').trim_end_matches('.').len();
        digits.truncate(kept);
    }
    if number.is_negative && digits != "0" {
        digits.insert(0, '-');
    }
    digits
}

/// The number, which has a fraction, times `10^DECIMALS`, rounded to even.
fn scaled(number: Extended) -> u128 {
    let product = u128::from(number.mantissa) * 10u128.pow(DECIMALS);
    let cut = number.exponent.unsigned_abs();
    let half = 1u128.checked_shl(cut - 1).unwrap_or(0);
    if half == 0 {
        return 0;
    }
    let kept = product.checked_shr(cut).unwrap_or(0);
    let rest = product & (half | (half - 1));
    kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
}

/// A natural number of any size: 32-bit digits, lowest first, no zeros on top.
struct Natural {
    limbs: Vec<u32>,
}

const BILLION_POWER: u32 = 9;
const BILLION: u32 = 10u32.pow(BILLION_POWER);

impl Natural {
    fn from_u64(number: u64) -> Natural {
        let mut natural = Natural { limbs: vec![number as u32, (number >> 32) as u32] };
        natural.trim();
        natural
    }

    fn from_digits(digits: impl Iterator<Item = u8>) -> Natural {
        let mut natural = Natural { limbs: Vec::new() };
        for digit in digits {
            natural.multiply_add(10, u32::from(digit));
        }
        natural
    }

    fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    fn trim(&mut self) {
        let len = self.limbs.iter().rposition(|limb| *limb != 0).map_or(0, |last| last + 1);
        self.limbs.truncate(len);
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.limbs {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.limbs.push(carry as u32);
        }
    }

    fn multiply_by_power_of_ten(&mut self, power: u32) {
        for _ in 0..power / BILLION_POWER {
            self.multiply_add(BILLION, 0);
        }
        self.multiply_add(10u32.pow(power % BILLION_POWER), 0);
    }

    /// Divides and returns the remainder.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for limb in self.limbs.iter_mut().rev() {
            rest = (rest << 32) | u64::from(*limb);
            *limb = (rest / u64::from(divisor)) as u32;
            rest %= u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    /// Divides; true if anything was left over.
    fn divide_by_power_of_ten(&mut self, power: u32) -> bool {
        let mut more = false;
        for _ in 0..power / BILLION_POWER {
            more |= self.divide(BILLION) != 0;
        }
        more | (self.divide(10u32.pow(power % BILLION_POWER)) != 0)
    }

    fn shift_left(&mut self, bits: u32) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (bits % 32), 0);
        self.limbs.splice(0..0, std::iter::repeat_n(0, bits as usize / 32));
    }

    /// The highest limbs as one number of more than 96 bits where there are as
    /// many, the number of bits below it, and whether any of those is set.
    fn leading_bits(&self) -> (u128, usize, bool) {
        let below = self.limbs.len().saturating_sub(4);
        let leading = self.limbs[below..]
            .iter()
            .rev()
            .fold(0u128, |number, limb| (number << 32) | u128::from(*limb));
        (leading, below * 32, self.limbs[..below].iter().any(|limb| *limb != 0))
    }

    fn into_decimal(mut self) -> String {
        let mut groups = Vec::new();
        while !self.is_zero() {
            groups.push(self.divide(BILLION));
        }
        let Some(highest) = groups.pop() else { return "0".to_owned() };
        let rest = groups.iter().rev().map(|group| format!("{group:09}"));
        std::iter::once(highest.to_string()).chain(rest).collect()
    }
}
