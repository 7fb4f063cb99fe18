//! The protocol read the slow and plain way: all bytes at hand, one request
//! after the other, everything copied. And replies, to check what is encoded.

use kv_server_parts::{ProtocolError, RequestLimits};

/// A request: its arguments.
pub type Request = Vec<Vec<u8>>;

const MAX_LINE_BYTES: usize = 64 << 10;

/// Why a request cannot be taken off the front.
enum Stop {
    /// Bytes are missing.
    Starved,
    Error(ProtocolError),
}

/// All requests of `bytes`, and the error that ends them.
pub fn requests(limits: &RequestLimits, bytes: &[u8]) -> (Vec<Request>, Option<ProtocolError>) {
    let mut requests = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match request(limits, &mut rest) {
            Ok(request) => requests.extend(request),
            Err(Stop::Starved) => break,
            Err(Stop::Error(error)) => return (requests, Some(error)),
        }
    }
    (requests, None)
}

/// Takes one request; `None` for an empty one.
fn request(limits: &RequestLimits, rest: &mut &[u8]) -> Result<Option<Request>, Stop> {
    if rest[0] != b'*' {
        return inline(limits, rest);
    }
    let start = rest.len();
    let line = length_line(rest, ProtocolError::CountLineTooLong)?;
    let count = length(line).ok_or(Stop::Error(ProtocolError::InvalidArgumentCount))?;
    if count > limits.arguments as i64 {
        return Err(Stop::Error(match limits.unauthenticated {
            true => ProtocolError::UnauthenticatedArgumentCount,
            false => ProtocolError::InvalidArgumentCount,
        }));
    }
    let mut arguments = Vec::new();
    for _ in 0..count.max(0) {
        arguments.push(argument(limits, rest, start)?);
        check_length(limits, start - rest.len())?;
    }
    Ok((!arguments.is_empty()).then_some(arguments))
}

fn argument(limits: &RequestLimits, rest: &mut &[u8], start: usize) -> Result<Vec<u8>, Stop> {
    match rest.first() {
        None => return Err(Stop::Starved),
        Some(b'$') => {}
        Some(got) => return Err(Stop::Error(ProtocolError::ExpectedArgument { got: *got })),
    }
    let line = length_line(rest, ProtocolError::LengthLineTooLong)?;
    let len = match length(line).and_then(|len| usize::try_from(len).ok()) {
        Some(len) if len <= limits.argument_bytes => len,
        Some(_) if limits.unauthenticated => {
            return Err(Stop::Error(ProtocolError::UnauthenticatedArgumentLength));
        }
        _ => return Err(Stop::Error(ProtocolError::InvalidArgumentLength)),
    };
    check_length(limits, start - rest.len() + len)?;
    if rest.len() < len + 2 {
        return Err(Stop::Starved);
    }
    let (argument, behind) = rest.split_at(len);
    if !behind.starts_with(b"\r\n") {
        return Err(Stop::Error(ProtocolError::ArgumentNotTerminated));
    }
    *rest = &behind[2..];
    Ok(argument.to_vec())
}

/// Refuses a request of more bytes than are taken.
fn check_length(limits: &RequestLimits, request_bytes: usize) -> Result<(), Stop> {
    let limit = limits.request_bytes;
    if request_bytes > limit {
        return Err(Stop::Error(ProtocolError::RequestTooLong { limit }));
    }
    Ok(())
}

/// Takes a line without its `\n`.
fn line<'a>(rest: &mut &'a [u8], error: ProtocolError) -> Result<&'a [u8], Stop> {
    let near = &rest[..rest.len().min(MAX_LINE_BYTES)];
    match near.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = &rest[..end];
            *rest = &rest[end + 1..];
            Ok(line)
        }
        None if near.len() == MAX_LINE_BYTES => Err(Stop::Error(error)),
        None => Err(Stop::Starved),
    }
}

/// Takes a line that ends in `\r\n`, and returns what is behind its first byte.
fn length_line<'a>(rest: &mut &'a [u8], error: ProtocolError) -> Result<&'a [u8], Stop> {
    match line(rest, error)? {
        [_, digits @ .., b'\r'] => Ok(digits),
        _ => Err(Stop::Error(ProtocolError::LineWithoutCarriageReturn)),
    }
}

fn length(digits: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(digits).ok()?;
    let number: i64 = text.parse().ok()?;
    let magnitude = text.trim_start_matches('-');
    (number.to_string() == text && magnitude.len() <= 18).then_some(number)
}

fn inline(limits: &RequestLimits, rest: &mut &[u8]) -> Result<Option<Request>, Stop> {
    let start = rest.len();
    let line = line(rest, ProtocolError::InlineTooLong)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words = words(line).ok_or(Stop::Error(ProtocolError::UnbalancedQuotes))?;
    if words.len() > limits.arguments {
        return Err(Stop::Error(ProtocolError::UnauthenticatedArgumentCount));
    }
    match words.first() {
        None => Ok(None),
        Some(name) if [&b"post"[..], b"host:"].contains(&&*name.to_ascii_lowercase()) => {
            Err(Stop::Error(ProtocolError::CrossProtocol))
        }
        Some(_) => check_length(limits, start - rest.len()).map(|()| Some(words)),
    }
}

fn is_space(byte: u8) -> bool {
    byte == 0 || byte == 0x0b || byte.is_ascii_whitespace()
}

fn words(line: &[u8]) -> Option<Request> {
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    loop {
        while bytes.next_if(|byte| is_space(*byte)).is_some() {}
        if bytes.peek().is_none() {
            return Some(words);
        }
        let mut word = Vec::new();
        while let Some(byte) = bytes.next_if(|byte| !is_space(*byte)) {
            match byte {
                b'"' | b'\'' => {
                    quoted(&mut bytes, byte, &mut word)?;
                    if bytes.peek().is_some_and(|next| !is_space(*next)) {
                        return None;
                    }
                }
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
}

type Bytes<'a> = std::iter::Peekable<std::iter::Copied<std::slice::Iter<'a, u8>>>;

fn quoted(bytes: &mut Bytes<'_>, quote: u8, word: &mut Vec<u8>) -> Option<()> {
    loop {
        let byte = bytes.next()?;
        if byte == quote {
            return Some(());
        }
        let escaped = bytes.peek().copied();
        word.push(match (byte, quote, escaped) {
            (b'\\', b'\'', Some(b'\'')) => bytes.next()?,
            (b'\\', b'"', Some(b'x')) => match hex(bytes.clone()) {
                Some(byte) => {
                    bytes.nth(2)?;
                    byte
                }
                None => bytes.next()?,
            },
            (b'\\', b'"', Some(_)) => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => other,
            },
            _ => byte,
        });
    }
}

/// The byte that `x` and two digits stand for.
fn hex(mut bytes: Bytes<'_>) -> Option<u8> {
    bytes.next()?;
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
    Some((high * 16 + low) as u8)
}

/// Takes one reply off the front; `None` if `bytes` do not start with a whole
/// and well-formed one.
pub fn take_reply(bytes: &mut &[u8]) -> Option<()> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (kind, text) = bytes[..end].split_first()?;
    *bytes = &bytes[end + 2..];
    let count = || std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    match kind {
        b'+' | b'-' => (!text.contains(&b'\n') && !text.contains(&b'\r')).then_some(()),
        b':' => count().map(drop),
        b'_' => text.is_empty().then_some(()),
        b'#' => matches!(text, b"t" | b"f").then_some(()),
        b',' => std::str::from_utf8(text).ok()?.parse::<f64>().ok().map(drop),
        b'$' | b'=' => match usize::try_from(count()?) {
            Ok(len) => {
                let behind = bytes.get(len..)?.strip_prefix(b"\r\n")?;
                *bytes = behind;
                Some(())
            }
            Err(_) => (text == b"-1").then_some(()),
        },
        b'*' | b'~' | b'%' => {
            let items = count()? * if *kind == b'%' { 2 } else { 1 };
            (items >= -1).then_some(())?;
            (0..items).try_for_each(|_| take_reply(bytes))
        }
        _ => None,
    }
}
