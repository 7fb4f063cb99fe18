//! The pattern matcher of `KEYS` and `SCAN`.

#[path = "../../../crates/kv-server/src/command/error.rs"]
mod error;
#[path = "../../../crates/kv-server/src/command/glob.rs"]
mod glob;

use glob::Glob;

/// What the matcher says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Whether the whole text matches; `None` if that takes too many steps.
    pub answer: Option<bool>,
    /// What every match starts with.
    pub literal_prefix: Vec<u8>,
}

/// Matches `text` with `pattern`.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> Matched {
    let glob = if ignore_case { Glob::ignoring_case(pattern) } else { Glob::new(pattern) };
    Matched { answer: glob.matches(text).ok(), literal_prefix: glob.literal_prefix() }
}
