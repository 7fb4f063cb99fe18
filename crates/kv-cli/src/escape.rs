//! Bytes as text: printable ASCII stands for itself, all else is `\xNN`.

pub(crate) use kv_engine::escape_bytes as escape;

/// The bytes of `text`; characters beyond ASCII count as their UTF-8 bytes.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
        } else if let Some(tail) = rest.strip_prefix(b"\\") {
            bytes.push(b'\\');
            rest = tail;
        } else if let Some((digits, tail)) =
            rest.strip_prefix(b"x").and_then(|hex| hex.split_first_chunk::<2>())
        {
            let digits = std::str::from_utf8(digits).ok();
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or_else(|| complaint(text))?);
            rest = tail;
        } else {
            return Err(complaint(text));
        }
    }
    Ok(bytes)
}

fn complaint(text: &str) -> String {
    format!("'{text}': a backslash must be followed by another one or by x and two hex digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_text_form() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unescape(&escape(&all)).unwrap(), all);
        assert_eq!(unescape("grün").unwrap(), "grün".as_bytes());
    }

    #[test]
    fn half_an_escape_is_refused() {
        for text in ["\\", "\\x", "\\x1", "\\xzz", "\\n"] {
            assert!(unescape(text).is_err(), "{text}");
        }
    }
}
