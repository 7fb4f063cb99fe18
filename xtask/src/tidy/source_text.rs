//! Rust source split into what is code and what is comment.
//!
//! Rules look for words; a word inside a string literal must not trigger them.
//! Both halves keep every byte position and line of the source: whatever does
//! not belong to a half is blank in it. Literals are blank in both.

/// The two halves of one source file.
pub(crate) struct SourceText {
    pub(crate) code: String,
    pub(crate) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl SourceText {
    /// Splits `source`. Unfinished comments and literals run to the end.
    pub(crate) fn parse(source: &str) -> SourceText {
        let bytes = source.as_bytes();
        let mut code = Vec::with_capacity(bytes.len());
        let mut comments = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let (part, length) = next_part(&bytes[at..], at.checked_sub(1).map(|at| bytes[at]));
            for &byte in &bytes[at..(at + length).min(bytes.len())] {
                let blank = if byte == b'\n' { b'\n' } else { b' ' };
                code.push(if part == Part::Code { byte } else { blank });
                comments.push(if part == Part::Comment { byte } else { blank });
            }
            at += length;
        }
        SourceText { code: into_text(code), comments: into_text(comments) }
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What `rest` begins with and how many bytes of it belong to that.
fn next_part(rest: &[u8], before: Option<u8>) -> (Part, usize) {
    match rest {
        [b'/', b'/', ..] => (Part::Comment, line_length(rest)),
        [b'/', b'*', ..] => (Part::Comment, block_comment_length(rest)),
        [b'"', ..] => (Part::Literal, string_length(rest)),
        [b'\'', ..] => match char_length(rest) {
            Some(length) => (Part::Literal, length),
            None => (Part::Code, 1),
        },
        [b'r' | b'b' | b'c', ..] if !before.is_some_and(is_word_byte) => {
            match prefixed_literal_length(rest) {
                Some(length) => (Part::Literal, length),
                None => (Part::Code, 1),
            }
        }
        _ => (Part::Code, 1),
    }
}

/// True for bytes that make up identifiers.
pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn line_length(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_length(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of a literal that starts with its opening quote and knows escapes.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a character literal; `None` for a lifetime or label.
fn char_length(rest: &[u8]) -> Option<usize> {
    let mut at = if rest.get(1) == Some(&b'\\') {
        // The escaped character itself may be a quote.
        3
    } else {
        let first = *rest.get(1)?;
        let width = if first < 0x80 { 1 } else { first.leading_ones() as usize };
        return (rest.get(1 + width) == Some(&b'\'')).then_some(2 + width);
    };
    while *rest.get(at)? != b'\'' {
        at += 1;
    }
    Some(at + 1)
}

/// Length of `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`, `c"…"`, `cr"…"`.
fn prefixed_literal_length(rest: &[u8]) -> Option<usize> {
    let letters = rest.iter().take_while(|byte| matches!(byte, b'r' | b'b' | b'c')).count();
    let raw = rest[..letters].ends_with(b"r");
    match rest.get(letters)? {
        b'"' if raw => Some(letters + raw_string_length(&rest[letters..], 0)?),
        b'"' => Some(letters + string_length(&rest[letters..])),
        b'\'' if rest[..letters] == *b"b" => Some(letters + char_length(&rest[letters..])?),
        b'#' if raw => {
            let hashes = rest[letters..].iter().take_while(|&&byte| byte == b'#').count();
            let quoted = &rest[letters + hashes..];
            Some(letters + hashes + raw_string_length(quoted, hashes)?)
        }
        _ => None,
    }
}

fn raw_string_length(quoted: &[u8], hashes: usize) -> Option<usize> {
    if quoted.first() != Some(&b'"') {
        return None;
    }
    let closing = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let length = quoted[1..].windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(quoted.len(), |length| 1 + length + closing.len()))
}

#[cfg(test)]
mod tests {
    use super::SourceText;

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn code_comments_and_literals_are_told_apart() {
        let cases = [
            ("let a = 1; // note", "let a = 1;", "// note"),
            ("a /* x /* y */ z */ b", "a b", "/* x /* y */ z */"),
            (r#"f("// no \" {", b)"#, "f( , b)", ""),
            (r###"f(r#"a " // {"#, br"\", 1)"###, "f( , , 1)", ""),
            ("g('\\'', '{', b'}', 'é') + x", "g( , , , ) + x", ""),
            ("fn h<'a>(x: &'a str) {}", "fn h<'a>(x: &'a str) {}", ""),
            ("'outer: loop { break 'outer }", "'outer: loop { break 'outer }", ""),
            ("for r in bar { cb(r) }", "for r in bar { cb(r) }", ""),
            ("r#type = 1", "r#type = 1", ""),
            ("let s = \"open {", "let s =", ""),
        ];
        for (source, code, comments) in cases {
            let text = SourceText::parse(source);
            assert_eq!(words(&text.code), code, "code of {source}");
            assert_eq!(words(&text.comments), comments, "comments of {source}");
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        let text = SourceText::parse("a\n\"x\ny\"\n/* c\nd */ e\n");
        assert_eq!(text.code.lines().count(), 5);
        assert_eq!(text.code.lines().nth(4).map(str::trim), Some("e"));
        assert_eq!(text.comments.lines().nth(4).map(str::trim), Some("d */"));
    }
}
