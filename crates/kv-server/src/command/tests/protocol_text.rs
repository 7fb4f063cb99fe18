//! Replies as the scripts write them, read from their encoded bytes.
//!
//! ```text
//! +OK   -ERR text   :1   "bulk"   nil   nil-array   #t   ,1.5   =txt:text
//! *2    %1   ~1     followed by their elements, two spaces deeper
//! ```

/// The text of all replies in `bytes`, one element to a line.
pub(super) fn render(bytes: &[u8]) -> String {
    let mut rest = bytes;
    let mut text = String::new();
    while !rest.is_empty() {
        render_one(&mut rest, 0, &mut text);
    }
    text
}

fn render_one(rest: &mut &[u8], depth: usize, text: &mut String) {
    let line = take_line(rest);
    let (kind, line) = (line[0], &line[1..]);
    let number = || std::str::from_utf8(line).unwrap().parse::<i64>().unwrap();
    text.push_str(&"  ".repeat(depth));
    match kind {
        b'$' if number() < 0 => text.push_str("nil\n"),
        b'*' if number() < 0 => text.push_str("nil-array\n"),
        b'_' => text.push_str("nil\n"),
        b'$' => {
            let bulk = take_bytes(rest, number() as usize);
            text.push_str(&format!("{}\n", quote(bulk)));
        }
        b'=' => {
            let bulk = take_bytes(rest, number() as usize);
            text.push_str(&format!("={}\n", quote(bulk)));
        }
        b'*' | b'~' | b'%' => {
            let elements = number() as usize * if kind == b'%' { 2 } else { 1 };
            text.push_str(&format!("{}{}\n", kind as char, number()));
            for _ in 0..elements {
                render_one(rest, depth + 1, text);
            }
        }
        b'+' | b'-' | b':' | b'#' | b',' => {
            text.push_str(&format!("{}{}\n", kind as char, String::from_utf8_lossy(line)));
        }
        other => panic!("unknown reply type {:?}", other as char),
    }
}

fn take_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
    let (line, tail) = rest.split_at(end);
    *rest = &tail[2..];
    line
}

fn take_bytes<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (bytes, tail) = rest.split_at(len);
    assert_eq!(&tail[..2], b"\r\n");
    *rest = &tail[2..];
    bytes
}

/// Bytes in double quotes, with escapes that the request side reads too.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(*byte as char),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}
