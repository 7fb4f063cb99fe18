//! Reading arguments the way Redis does.

use super::error::{CommandError, CommandResult};

/// The number that bytes spell in canonical decimal: no sign but `-`, no
/// leading zeros, no spaces.
pub(crate) fn parse_integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let is_canonical = match digits {
        [b'0'] => bytes.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    // 19 digits and a sign: more cannot fit, and the parser need not see them.
    if !is_canonical || bytes.len() > 20 {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// An argument that must be an integer.
pub(crate) fn integer(argument: &[u8]) -> CommandResult<i64> {
    parse_integer(argument).ok_or(CommandError::NOT_INTEGER)
}

/// True if an argument is this keyword, in any case.
pub(crate) fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// A database number, as `SELECT` and `COPY` take it.
pub(crate) fn database(argument: &[u8]) -> CommandResult<u8> {
    let number = i32::try_from(integer(argument)?).map_err(|_| {
        CommandError::fixed(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        )
    })?;
    u8::try_from(number)
        .ok()
        .filter(|number| *number < super::value::DATABASES)
        .ok_or(CommandError::BAD_DATABASE)
}

/// At most `limit` bytes of what a client sent, up to its first zero byte, fit
/// for an error text.
pub(crate) fn quote_for_error(bytes: &[u8], limit: usize) -> String {
    let shown = &bytes[..bytes.len().min(limit)];
    let end = shown.iter().position(|byte| *byte == 0).unwrap_or(shown.len());
    String::from_utf8_lossy(&shown[..end]).into_owned()
}
