//! Replies as a client reads them: a decoder that shares no line with the
//! server's encoder.

use std::fmt;

/// One reply off the wire.
#[derive(Clone, PartialEq)]
pub(crate) enum Wire {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    NilArray,
    Array(Vec<Wire>),
    Map(Vec<(Wire, Wire)>),
    Set(Vec<Wire>),
    Double(f64),
    Boolean(bool),
    Verbatim(Vec<u8>),
}

impl Wire {
    pub(crate) fn bulk(bytes: impl AsRef<[u8]>) -> Wire {
        Wire::Bulk(bytes.as_ref().to_vec())
    }

    pub(crate) fn ok() -> Wire {
        Wire::Simple("OK".to_owned())
    }

    /// The text of an error reply.
    #[track_caller]
    pub(crate) fn error_text(&self) -> &str {
        match self {
            Wire::Error(text) => text,
            other => panic!("expected an error, got {other:?}"),
        }
    }

    /// The text of a bulk, verbatim or simple reply.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        match self {
            Wire::Simple(text) => text.clone(),
            Wire::Bulk(bytes) | Wire::Verbatim(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            other => panic!("expected text, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn integer(&self) -> i64 {
        match self {
            Wire::Integer(number) => *number,
            other => panic!("expected an integer, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn items(&self) -> &[Wire] {
        match self {
            Wire::Array(items) | Wire::Set(items) => items,
            other => panic!("expected an array, got {other:?}"),
        }
    }
}

/// As `redis-cli` would print it, in one line.
impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wire::Simple(text) => write!(formatter, "+{text}"),
            Wire::Error(text) => write!(formatter, "-{text}"),
            Wire::Integer(number) => write!(formatter, ":{number}"),
            Wire::Bulk(bytes) => write!(formatter, "\"{}\"", bytes.escape_ascii()),
            Wire::Nil => write!(formatter, "nil"),
            Wire::NilArray => write!(formatter, "nil array"),
            Wire::Array(items) => formatter.debug_list().entries(items).finish(),
            Wire::Set(items) => formatter.debug_set().entries(items).finish(),
            Wire::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key, value));
                formatter.debug_map().entries(pairs).finish()
            }
            Wire::Double(number) => write!(formatter, ",{number}"),
            Wire::Boolean(flag) => write!(formatter, "#{flag}"),
            Wire::Verbatim(bytes) => write!(formatter, "={}", bytes.escape_ascii()),
        }
    }
}

/// Decodes one reply; `None` if `bytes` ends before it does. The number is the
/// bytes it took.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Wire, usize)> {
    let mut at = 0;
    let wire = decode_at(bytes, &mut at)?;
    Some((wire, at))
}

fn decode_at(bytes: &[u8], at: &mut usize) -> Option<Wire> {
    let line_end = *at + bytes[*at..].windows(2).position(|pair| pair == b"\r\n")?;
    let kind = bytes[*at];
    let line = std::str::from_utf8(&bytes[*at + 1..line_end]).expect("reply lines are text");
    *at = line_end + 2;
    let number = || line.parse::<i64>().unwrap_or_else(|_| panic!("{line:?} is a number"));
    let wire = match kind {
        b'+' => Wire::Simple(line.to_owned()),
        b'-' => Wire::Error(line.to_owned()),
        b':' => Wire::Integer(number()),
        b'_' => Wire::Nil,
        b'#' => Wire::Boolean(line == "t"),
        b',' => Wire::Double(line.parse().expect("a double")),
        b'$' if number() == -1 => Wire::Nil,
        b'*' if number() == -1 => Wire::NilArray,
        b'$' => Wire::Bulk(take(bytes, at, number())?),
        b'=' => Wire::Verbatim(take(bytes, at, number())?.split_off(4)),
        b'*' => Wire::Array(items(bytes, at, number())?),
        b'~' => Wire::Set(items(bytes, at, number())?),
        b'%' => {
            let flat = items(bytes, at, number() * 2)?;
            Wire::Map(flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
        }
        other => panic!("no reply starts with {:?}", other as char),
    };
    Some(wire)
}

fn take(bytes: &[u8], at: &mut usize, len: i64) -> Option<Vec<u8>> {
    let end = *at + usize::try_from(len).expect("a length");
    let ending = bytes.get(end..end + 2)?;
    assert_eq!(ending, b"\r\n", "a bulk ends by its length");
    let taken = bytes[*at..end].to_vec();
    *at = end + 2;
    Some(taken)
}

fn items(bytes: &[u8], at: &mut usize, count: i64) -> Option<Vec<Wire>> {
    (0..count).map(|_| if *at >= bytes.len() { None } else { decode_at(bytes, at) }).collect()
}

/// A request as clients send it: an array of bulk strings.
pub(crate) fn request<I: AsRef<[u8]>>(arguments: impl IntoIterator<Item = I>) -> Vec<u8> {
    let arguments: Vec<I> = arguments.into_iter().collect();
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
