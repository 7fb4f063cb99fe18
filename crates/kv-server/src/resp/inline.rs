//! Inline requests: a line of words, quoted as in `redis-cli`.
//!
//! `"..."` knows `\n \r \t \b \a \xHH` and `\` before any other character;
//! `'...'` knows `\'` only. A closing quote must end its word.

use std::ops::Range;

use super::args::Span;
use super::error::ProtocolError;

/// Splits the bytes of `line` into words and pushes their spans. A word never
/// grows by unquoting, so it is written over its own quoted form.
pub(crate) fn split(
    bytes: &mut [u8],
    line: Range<usize>,
    spans: &mut Vec<Span>,
) -> Result<(), ProtocolError> {
    let mut at = line.start;
    loop {
        while at < line.end && is_space(bytes[at]) {
            at += 1;
        }
        if at == line.end {
            return Ok(());
        }
        let start = at;
        let mut end = at;
        while at < line.end && !is_space(bytes[at]) {
            match bytes[at] {
                quote @ (b'"' | b'\'') => {
                    at = unquote(bytes, at + 1, line.end, quote, &mut end)?;
                    if at < line.end && !is_space(bytes[at]) {
                        return Err(ProtocolError::UnbalancedQuotes);
                    }
                }
                byte => {
                    bytes[end] = byte;
                    end += 1;
                    at += 1;
                }
            }
        }
        spans.push(Span::new(start, end));
    }
}

/// Unquotes from `at` to the closing `quote`, appending at `end`; returns the
/// place behind the quote.
fn unquote(
    bytes: &mut [u8],
    mut at: usize,
    line_end: usize,
    quote: u8,
    end: &mut usize,
) -> Result<usize, ProtocolError> {
    loop {
        let (byte, consumed) = match (&bytes[at..line_end], quote) {
            ([byte, ..], _) if *byte == quote => return Ok(at + 1),
            ([b'\\', b'\'', ..], b'\'') => (b'\'', 2),
            ([b'\\', b'x', high, low, ..], b'"')
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex_digit(*high) << 4 | hex_digit(*low), 4)
            }
            ([b'\\', escaped, ..], b'"') => (unescape(*escaped), 2),
            ([byte, ..], _) => (*byte, 1),
            ([], _) => return Err(ProtocolError::UnbalancedQuotes),
        };
        bytes[*end] = byte;
        *end += 1;
        at += consumed;
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0)
}

/// True for the words that start a line of an HTTP request but no command: a
/// browser lured into posting to our port must not have its body executed.
pub(crate) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}
