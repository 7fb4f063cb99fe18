//! Requests: arrays of bulk strings, or inline lines as people type them.
//!
//! ```text
//! *<arguments>\r\n  { $<len>\r\n <bytes> \r\n } ...      an array request
//! SET key "a value"\r\n                                  an inline request
//! ```
//!
//! The decoder is incremental: it remembers how far it came, so a request that
//! arrives byte by byte is scanned once. It owns no bytes. Arguments are spans
//! of the caller's buffer, and nothing is ever allocated for an announced
//! length: memory follows the bytes that have arrived.
//!
//! Recipe per read:
//! 1. append what the socket had to the buffer;
//! 2. [`RequestDecoder::decode`] collects the complete requests;
//! 3. execute [`RequestDecoder::requests`];
//! 4. [`RequestDecoder::consume`] drops their bytes from the buffer;
//! 5. if decode reported an error, answer it and close.

use std::ops::Range;

use super::args::{Args, Span};
use super::error::ProtocolError;
use super::inline;

/// What a request may be made of. Tighter before a client has authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// The most arguments of one request.
    pub arguments: usize,
    /// The longest argument, in bytes.
    pub argument_bytes: usize,
    /// The longest request, in bytes as sent.
    pub request_bytes: usize,
    /// The most requests that one decode collects.
    pub requests_per_run: usize,
    /// True while the client must authenticate first: error texts say so.
    pub unauthenticated: bool,
}

/// The longest inline request and the longest length line, in bytes: Redis's
/// `PROTO_INLINE_MAX_SIZE`.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Arguments whose places an idle connection keeps memory for, and behind
/// which a run of requests ends: else a run of lines like `a a a` would take
/// four times its own bytes for their places.
const MAX_IDLE_SPANS: usize = 4096;

/// The longest request there is, whatever the limits say, and the place behind
/// which no run goes on.
const MAX_REQUEST_BYTES: usize = 1 << 30;

// A run, the request that it ends in, and a buffer that was read beyond it.
const _: () = assert!(3 * MAX_REQUEST_BYTES < u32::MAX as usize);

/// Collects requests from a growing buffer.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: RequestLimits,
    /// First byte that was not looked at yet.
    position: usize,
    /// Where the unfinished request, or the next one, begins.
    request_start: usize,
    /// Where the search for the end of the current line goes on.
    line_scanned: usize,
    /// Arguments of all complete requests, then those of the unfinished one.
    spans: Vec<Span>,
    /// For each complete request the end of its arguments in `spans`.
    ends: Vec<usize>,
    /// What is missing of the unfinished array request.
    missing: Option<Missing>,
}

/// What an array request still lacks.
#[derive(Debug, Clone, Copy)]
struct Missing {
    arguments: usize,
    /// Length of the argument whose length line was read already.
    argument_bytes: Option<usize>,
}

/// Either progress was made, or more bytes are needed.
enum Step {
    Done,
    Starved,
}

impl RequestDecoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: RequestLimits) -> RequestDecoder {
        RequestDecoder {
            limits,
            position: 0,
            request_start: 0,
            line_scanned: 0,
            spans: Vec::new(),
            ends: Vec::new(),
            missing: None,
        }
    }

    /// Changes the limits from the next request on.
    pub fn set_limits(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Collects the complete requests of `bytes`, or a run of them: call it
    /// again once those are consumed. `bytes` holds what it held at the last
    /// call and any number of new bytes behind it. Inline requests are unquoted
    /// in place, hence `mut`.
    ///
    /// # Errors
    /// The first violation of the protocol. The requests before it are
    /// complete and must be executed; nothing behind it can be decoded.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<(), ProtocolError> {
        while self.has_room() {
            let step = match self.missing {
                Some(missing) => self.decode_argument(bytes, missing)?,
                None if self.position == bytes.len() => Step::Starved,
                None if self.position > MAX_REQUEST_BYTES => {
                    // Requests without arguments that nobody has consumed.
                    return Err(ProtocolError::RequestTooLong { limit: MAX_REQUEST_BYTES });
                }
                None if bytes[self.position] == b'*' => self.decode_array_header(bytes)?,
                None => self.decode_inline(bytes)?,
            };
            if matches!(step, Step::Starved) {
                break;
            }
        }
        Ok(())
    }

    /// True until the run is as long as it may be.
    fn has_room(&self) -> bool {
        let arguments = self.ends.last().copied().unwrap_or(0);
        self.ends.len() < self.limits.requests_per_run
            && arguments < MAX_IDLE_SPANS
            && (self.ends.is_empty() || self.request_start <= MAX_REQUEST_BYTES)
    }

    /// The complete requests, in order.
    pub fn requests<'a>(&'a self, bytes: &'a [u8]) -> Requests<'a> {
        Requests { bytes, spans: &self.spans, ends: &self.ends }
    }

    /// Forgets the complete requests and removes their bytes from `bytes`, and
    /// those of requests without arguments, which are never collected. True if
    /// there were any.
    pub fn consume(&mut self, bytes: &mut Vec<u8>) -> bool {
        let gone = self.request_start;
        if gone == 0 {
            // At each read of a long request: what it has so far is not moved.
            return false;
        }
        if gone == bytes.len() {
            bytes.clear();
        } else {
            bytes.drain(..gone);
        }
        self.spans.drain(..self.ends.last().copied().unwrap_or(0));
        self.ends.clear();
        self.spans.shrink_to(MAX_IDLE_SPANS);
        for span in &mut self.spans {
            *span = span.without(gone);
        }
        self.position -= gone;
        self.line_scanned = self.line_scanned.saturating_sub(gone);
        self.request_start = 0;
        true
    }

    /// Memory for the places of arguments, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    /// True if a request has begun but is not complete.
    pub fn is_inside_request(&self, bytes: &[u8]) -> bool {
        self.missing.is_some() || self.request_start < bytes.len()
    }

    /// How many bytes behind `bytes` the unfinished argument needs for sure.
    pub fn missing_bytes(&self, bytes: &[u8]) -> usize {
        let expected = self.missing.and_then(|missing| missing.argument_bytes);
        expected.map_or(0, |len| (self.position + len + 2).saturating_sub(bytes.len()))
    }

    fn decode_array_header(&mut self, bytes: &[u8]) -> Result<Step, ProtocolError> {
        let Some(line) = self.take_line(bytes, ProtocolError::CountLineTooLong)? else {
            return Ok(Step::Starved);
        };
        let count = parse_length(&bytes[line.start + 1..line.end])
            .ok_or(ProtocolError::InvalidArgumentCount)?;
        let Ok(arguments) = usize::try_from(count) else {
            // Redis takes a negative count for a request without arguments.
            self.request_start = self.position;
            return Ok(Step::Done);
        };
        if arguments > self.limits.arguments {
            return Err(match self.limits.unauthenticated {
                true => ProtocolError::UnauthenticatedArgumentCount,
                false => ProtocolError::InvalidArgumentCount,
            });
        }
        match arguments {
            0 => self.request_start = self.position,
            _ => self.missing = Some(Missing { arguments, argument_bytes: None }),
        }
        Ok(Step::Done)
    }

    fn decode_argument(&mut self, bytes: &[u8], missing: Missing) -> Result<Step, ProtocolError> {
        let len = match missing.argument_bytes {
            Some(len) => len,
            None => {
                let Some(&kind) = bytes.get(self.position) else {
                    return Ok(Step::Starved);
                };
                if kind != b'$' {
                    return Err(ProtocolError::ExpectedArgument { got: kind });
                }
                let Some(line) = self.take_line(bytes, ProtocolError::LengthLineTooLong)? else {
                    return Ok(Step::Starved);
                };
                let len = self.argument_len(&bytes[line.start + 1..line.end])?;
                // Before the argument is there, however the bytes arrive.
                self.check_request_bytes(self.position.saturating_add(len))?;
                self.missing = Some(Missing { argument_bytes: Some(len), ..missing });
                len
            }
        };
        let start = self.position;
        let Some(ending) = bytes[start..].get(len..len + 2) else {
            return Ok(Step::Starved);
        };
        if ending != b"\r\n" {
            return Err(ProtocolError::ArgumentNotTerminated);
        }
        self.spans.push(Span::new(start, start + len));
        self.position = start + len + 2;
        self.missing = match missing.arguments - 1 {
            0 => None,
            arguments => Some(Missing { arguments, argument_bytes: None }),
        };
        match self.missing {
            None => self.finish_request()?,
            Some(_) => self.check_request_bytes(self.position)?,
        }
        Ok(Step::Done)
    }

    fn argument_len(&self, digits: &[u8]) -> Result<usize, ProtocolError> {
        let len = parse_length(digits).and_then(|len| usize::try_from(len).ok());
        match len {
            Some(len) if len <= self.limits.argument_bytes => Ok(len),
            Some(_) if self.limits.unauthenticated => {
                Err(ProtocolError::UnauthenticatedArgumentLength)
            }
            _ => Err(ProtocolError::InvalidArgumentLength),
        }
    }

    fn decode_inline(&mut self, bytes: &mut [u8]) -> Result<Step, ProtocolError> {
        let Some(line) = self.take_inline_line(bytes)? else {
            return Ok(Step::Starved);
        };
        let first = self.spans.len();
        inline::split(bytes, line, &mut self.spans)?;
        let arguments = self.spans.len() - first;
        if arguments > self.limits.arguments {
            return Err(ProtocolError::UnauthenticatedArgumentCount);
        }
        match self.spans.get(first) {
            None => self.request_start = self.position,
            Some(name) if inline::is_http(&bytes[name.range()]) => {
                return Err(ProtocolError::CrossProtocol);
            }
            Some(_) => self.finish_request()?,
        }
        Ok(Step::Done)
    }

    fn finish_request(&mut self) -> Result<(), ProtocolError> {
        self.check_request_bytes(self.position)?;
        self.ends.push(self.spans.len());
        self.request_start = self.position;
        Ok(())
    }

    /// Refuses a request that reaches to `end` or beyond if it is too long.
    fn check_request_bytes(&self, end: usize) -> Result<(), ProtocolError> {
        let limit = self.limits.request_bytes.min(MAX_REQUEST_BYTES);
        if end - self.request_start > limit {
            return Err(ProtocolError::RequestTooLong { limit });
        }
        Ok(())
    }

    /// Takes `...\r\n` at the position; the span excludes the line end.
    fn take_line(
        &mut self,
        bytes: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<Range<usize>>, ProtocolError> {
        let start = self.position;
        let Some(newline) = self.find_newline(bytes, too_long)? else {
            return Ok(None);
        };
        if bytes[newline - 1] != b'\r' {
            return Err(ProtocolError::LineWithoutCarriageReturn);
        }
        Ok(Some(start..newline - 1))
    }

    /// Takes `...\n` or `...\r\n` at the position.
    fn take_inline_line(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, ProtocolError> {
        let start = self.position;
        let Some(newline) = self.find_newline(bytes, ProtocolError::InlineTooLong)? else {
            return Ok(None);
        };
        let has_return = newline > start && bytes[newline - 1] == b'\r';
        Ok(Some(start..newline - usize::from(has_return)))
    }

    /// Finds the `\n` of the line at the position and steps behind it.
    fn find_newline(
        &mut self,
        bytes: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let start = self.position;
        let from = self.line_scanned.max(start);
        let end = bytes.len().min(start + MAX_LINE_BYTES);
        let Some(found) = bytes[from..end].iter().position(|&byte| byte == b'\n') else {
            self.line_scanned = end;
            return if end - start == MAX_LINE_BYTES { Err(too_long) } else { Ok(None) };
        };
        self.position = from + found + 1;
        Ok(Some(from + found))
    }
}

/// The complete requests of one decode.
#[derive(Clone, Copy)]
pub struct Requests<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    ends: &'a [usize],
}

impl<'a> Requests<'a> {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Request `index`.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn get(&self, index: usize) -> Args<'a> {
        let first = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Args::new(self.bytes, &self.spans[first..self.ends[index]])
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = Args<'a>> + use<'a> {
        let requests = *self;
        (0..requests.len()).map(move |index| requests.get(index))
    }
}

/// A decimal number as Redis writes it: no plus, no leading zeros, no spaces.
fn parse_length(digits: &[u8]) -> Option<i64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let malformed = digits.is_empty()
        || digits.len() > 18
        || !digits.iter().all(u8::is_ascii_digit)
        || (digits[0] == b'0' && (digits.len() > 1 || negative));
    if malformed {
        return None;
    }
    let magnitude = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        arguments: 4,
        argument_bytes: 100,
        request_bytes: 200,
        requests_per_run: 4,
        unauthenticated: false,
    };

    /// A decoder behind `bytes` bytes of requests without arguments, and a buffer
    /// of them and of `next`. Nobody looks at the bytes before, so they take no
    /// memory.
    fn behind(bytes: usize, next: &[u8]) -> (RequestDecoder, Vec<u8>) {
        let mut buffer = vec![0; bytes + next.len()];
        buffer[bytes..].copy_from_slice(next);
        let mut decoder = RequestDecoder::new(LIMITS);
        (decoder.position, decoder.request_start) = (bytes, bytes);
        (decoder, buffer)
    }

    /// The places of arguments have 32 bits: whoever never consumes is stopped
    /// long before they run out.
    #[test]
    fn a_buffer_that_is_never_consumed_ends() {
        let (mut decoder, mut buffer) = behind(MAX_REQUEST_BYTES, b"PING\r\nPING\r\n");
        assert_eq!(decoder.decode(&mut buffer), Ok(()));
        assert_eq!(decoder.requests(&buffer).len(), 1, "the run ends behind that place");
        assert_eq!(decoder.requests(&buffer).get(0).name(), b"PING");
        let (mut decoder, mut buffer) = behind(MAX_REQUEST_BYTES + 1, b"PING\r\n");
        let refused = ProtocolError::RequestTooLong { limit: MAX_REQUEST_BYTES };
        assert_eq!(decoder.decode(&mut buffer), Err(refused));
        assert!(decoder.requests(&buffer).is_empty());
    }
}
