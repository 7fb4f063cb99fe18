//! Patterns of `KEYS`, `SCAN` and `CONFIG GET`.
//!
//! `*` any bytes, `?` one byte, `[a-c]` and `[^a-c]` one byte of a class, `\`
//! takes the next byte as it is. An open class ends with the pattern. The
//! matcher does not recurse and gives up after a number of steps, so that no
//! pattern can hold up a server.

use super::error::{CommandError, CommandResult};

/// Steps that one match may take: milliseconds, and far more than any sensible
/// pattern needs, which is about one for each byte of the text.
const MAX_STEPS: u32 = 4_000_000;

/// A pattern to match texts with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glob<'p> {
    pattern: &'p [u8],
    ignore_case: bool,
}

impl<'p> Glob<'p> {
    pub(crate) fn new(pattern: &'p [u8]) -> Glob<'p> {
        Glob { pattern, ignore_case: false }
    }

    /// A pattern that takes small and capital letters for the same.
    pub(crate) fn ignoring_case(pattern: &'p [u8]) -> Glob<'p> {
        Glob { pattern, ignore_case: true }
    }

    /// Bytes that every match starts with; only for patterns that heed case.
    pub(crate) fn literal_prefix(&self) -> Vec<u8> {
        let mut prefix = Vec::new();
        let mut rest = self.pattern;
        loop {
            match rest {
                [] | [b'*' | b'?' | b'[', ..] => return prefix,
                [b'\\', byte, tail @ ..] | [byte, tail @ ..] => {
                    prefix.push(*byte);
                    rest = tail;
                }
            }
        }
    }

    /// True if the whole of `text` matches.
    ///
    /// # Errors
    /// If it would take too many steps to know.
    pub(crate) fn matches(&self, text: &[u8]) -> CommandResult<bool> {
        let (mut at, mut pattern) = (0, self.pattern);
        // Where to go on if the bytes that the last star took were too few.
        let mut retry: Option<(usize, &[u8])> = None;
        for _ in 0..MAX_STEPS {
            if let [b'*', rest @ ..] = pattern {
                if rest.is_empty() {
                    return Ok(true);
                }
                pattern = rest;
                retry = Some((at, rest));
                continue;
            }
            let step = match text.get(at) {
                None if pattern.is_empty() => return Ok(true),
                None => return Ok(false),
                Some(byte) => self.match_one(pattern, *byte),
            };
            match (step, retry) {
                (Some(rest), _) => (at, pattern) = (at + 1, rest),
                (None, None) => return Ok(false),
                (None, Some((started_at, rest))) => {
                    (at, pattern) = (started_at + 1, rest);
                    retry = Some((at, rest));
                }
            }
        }
        Err(CommandError::fixed("ERR the pattern takes too long to match; use fewer stars"))
    }

    /// The pattern behind its first element if that matches `byte`.
    fn match_one(&self, pattern: &'p [u8], byte: u8) -> Option<&'p [u8]> {
        match pattern {
            [] => None,
            [b'?', rest @ ..] => Some(rest),
            [b'[', class @ ..] => self.match_class(class, byte),
            [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
                (self.fold(*literal) == self.fold(byte)).then_some(rest)
            }
        }
    }

    /// Matches the inside of a class and returns the pattern behind it.
    fn match_class(&self, class: &'p [u8], byte: u8) -> Option<&'p [u8]> {
        let (is_negated, mut rest) = match class {
            [b'^', rest @ ..] => (true, rest),
            _ => (false, class),
        };
        let byte = self.fold(byte);
        let mut is_member = false;
        let behind = loop {
            match rest {
                [] => break rest,
                [b']', tail @ ..] => break tail,
                [b'\\', literal, tail @ ..] => {
                    is_member |= self.fold(*literal) == byte;
                    rest = tail;
                }
                [first, b'-', last, tail @ ..] => {
                    let (first, last) = (self.fold(*first), self.fold(*last));
                    is_member |= (first.min(last)..=first.max(last)).contains(&byte);
                    rest = tail;
                }
                [literal, tail @ ..] => {
                    is_member |= self.fold(*literal) == byte;
                    rest = tail;
                }
            }
        };
        (is_member != is_negated).then_some(behind)
    }

    fn fold(&self, byte: u8) -> u8 {
        if self.ignore_case { byte.to_ascii_lowercase() } else { byte }
    }
}
