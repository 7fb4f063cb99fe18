//! The options `EX`, `PX`, `EXAT` and `PXAT`.

use super::super::arguments::{integer, is_word};
use super::super::error::{CommandError, CommandResult};

/// When a value shall expire, with the number not read yet: a syntax error
/// anywhere in the command comes before an error in the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpiryOption<'a> {
    Seconds(&'a [u8]),
    Milliseconds(&'a [u8]),
    AtSeconds(&'a [u8]),
    AtMilliseconds(&'a [u8]),
}

impl<'a> ExpiryOption<'a> {
    /// Reads the option `word` and its number from `rest`; `None` for another
    /// word, without a number, or if `earlier` is another of the four.
    pub(super) fn parse(
        word: &[u8],
        rest: &mut impl Iterator<Item = &'a [u8]>,
        earlier: Option<ExpiryOption<'a>>,
    ) -> Option<ExpiryOption<'a>> {
        let kind = if is_word(word, "EX") {
            ExpiryOption::Seconds
        } else if is_word(word, "PX") {
            ExpiryOption::Milliseconds
        } else if is_word(word, "EXAT") {
            ExpiryOption::AtSeconds
        } else if is_word(word, "PXAT") {
            ExpiryOption::AtMilliseconds
        } else {
            return None;
        };
        let option = kind(rest.next()?);
        let same_kind = |earlier: ExpiryOption<'_>| {
            std::mem::discriminant(&earlier) == std::mem::discriminant(&option)
        };
        earlier.is_none_or(same_kind).then_some(option)
    }

    /// The time of expiry in milliseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// If the number is none, not positive, or out of range; `command` is
    /// named then.
    pub(super) fn at_ms(self, command: &'static str, now_ms: u64) -> CommandResult<u64> {
        let (number, unit_ms, base_ms) = match self {
            ExpiryOption::Seconds(number) => (number, 1000, now_ms),
            ExpiryOption::Milliseconds(number) => (number, 1, now_ms),
            ExpiryOption::AtSeconds(number) => (number, 1000, 0),
            ExpiryOption::AtMilliseconds(number) => (number, 1, 0),
        };
        let number = integer(number)?;
        let at_ms = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add_unsigned(base_ms));
        match at_ms {
            Some(at_ms) if number > 0 => Ok(at_ms.unsigned_abs()),
            _ => Err(CommandError::invalid_expiry(command)),
        }
    }
}
