//! Bytes as text, the same way everywhere.

/// `bytes` as text: printable ASCII stands for itself, a backslash is doubled,
/// and every other byte is `\xNN` with two hexadecimal digits.
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}
