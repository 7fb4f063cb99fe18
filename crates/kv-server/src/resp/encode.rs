//! The pieces that replies are made of, appended to a buffer without any
//! allocation of their own.

use super::reply::Protocol;

/// Digits of the longest `i64`, with its sign.
const MAX_INTEGER_BYTES: usize = 20;

/// `<kind><number>\r\n`: integers, and the length line of all that follows it.
pub(crate) fn put_header(out: &mut Vec<u8>, kind: u8, number: i64) {
    out.push(kind);
    put_integer(out, number);
    out.extend_from_slice(b"\r\n");
}

/// `<kind><text>\r\n`. A line break inside would let a reply be read as two,
/// so it becomes a space; error texts quote what the client sent.
pub(crate) fn put_line(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// `<kind><len>\r\n<bytes>\r\n`
pub(crate) fn put_bulk(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.reserve(bytes.len() + MAX_INTEGER_BYTES + 5);
    put_header(out, kind, bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The shortest decimal text that reads back as the same number.
pub(crate) fn put_double(out: &mut Vec<u8>, number: f64, protocol: Protocol) {
    let text = if number.is_nan() {
        "nan".to_owned()
    } else if number.is_infinite() {
        (if number > 0.0 { "inf" } else { "-inf" }).to_owned()
    } else {
        number.to_string()
    };
    match protocol {
        Protocol::Resp2 => put_bulk(out, b'$', text.as_bytes()),
        Protocol::Resp3 => put_line(out, b',', &text),
    }
}

/// Appends `number` in decimal.
pub(crate) fn put_integer(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; MAX_INTEGER_BYTES];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}
