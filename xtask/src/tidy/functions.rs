//! Where functions begin and end, by counting braces in code.

use super::source_text::is_word_byte;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FunctionSpan {
    pub(crate) name: String,
    /// Line of the `fn` keyword, from 1.
    pub(crate) first_line: usize,
    /// From the `fn` keyword to the closing brace, both counted.
    pub(crate) line_count: usize,
}

/// All functions in `code`, which holds no comments and no literals. Nested
/// ones are listed apart and also count towards the one around them.
pub(crate) fn functions(code: &str) -> Vec<FunctionSpan> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for at in word_positions(code, "fn") {
        let Some(name) = next_word(&code[at + 2..]) else { continue };
        let Some(open) = body_start(bytes, at) else { continue };
        let close = matching_brace(bytes, open).unwrap_or(bytes.len());
        let first_line = line_of(code, at);
        let line_count = line_of(code, close) - first_line + 1;
        found.push(FunctionSpan { name: name.into(), first_line, line_count });
    }
    found
}

/// Byte positions of `word` where it is not part of a longer one.
pub(crate) fn word_positions<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(at + word.len()).copied();
        !before.is_some_and(is_word_byte) && !after.is_some_and(is_word_byte)
    })
}

/// Line of a byte position, from 1.
pub(crate) fn line_of(text: &str, position: usize) -> usize {
    1 + text.as_bytes()[..position.min(text.len())].iter().filter(|&&byte| byte == b'\n').count()
}

/// The identifier that follows directly; function pointer types have none.
fn next_word(rest: &str) -> Option<&str> {
    let rest = rest.trim_start();
    let length = rest.bytes().take_while(|&byte| is_word_byte(byte)).count();
    (length > 0).then(|| &rest[..length])
}

/// The body's opening brace, or `None` for a declaration that ends in `;`.
fn body_start(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

fn matching_brace(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functions;
    use crate::tidy::source_text::SourceText;

    #[test]
    fn bodies_are_measured_and_declarations_are_not() {
        let source = "\
trait T { fn declared(&self, a: [u8; 3]); }
fn one() {}
pub async fn three<F: Fn(fn(u8) -> u8)>(f: F) -> [u8; 2] {
    let brace = \"}\"; // }
}
fn outer() {
    fn inner() {
    }
}
";
        let spans: Vec<_> = functions(&SourceText::parse(source).code)
            .into_iter()
            .map(|span| (span.name, span.first_line, span.line_count))
            .collect();
        let expected = [("one", 2, 1), ("three", 3, 3), ("outer", 6, 4), ("inner", 7, 2)];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(name, line, count)| (name.to_owned(), line, count))
            .collect();
        assert_eq!(spans, expected);
    }
}
