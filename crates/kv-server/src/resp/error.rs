//! What a peer can do wrong below the level of commands.

use std::fmt;

/// A violation of the protocol. It is answered with its text, in Redis's
/// words, and the connection is closed: what follows cannot be made sense of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count line of an array does not end.
    CountLineTooLong,
    /// The count of an array is no number or over the limit.
    InvalidArgumentCount,
    /// An array of more arguments than are taken before `AUTH`.
    UnauthenticatedArgumentCount,
    /// An argument does not start with its length line.
    ExpectedArgument {
        /// The byte in place of `$`.
        got: u8,
    },
    /// The length line of an argument does not end.
    LengthLineTooLong,
    /// The length of an argument is no number or over the limit.
    InvalidArgumentLength,
    /// A longer argument than is taken before `AUTH`.
    UnauthenticatedArgumentLength,
    /// No CR LF where an argument must end by its length.
    ArgumentNotTerminated,
    /// A count or length line that ends without CR.
    LineWithoutCarriageReturn,
    /// A request is over its limit as a whole.
    RequestTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// More bytes than are taken before `AUTH`, in all.
    UnauthenticatedTooMuch,
    /// An inline request does not end.
    InlineTooLong,
    /// A quote of an inline request is not closed, or closes inside a word.
    UnbalancedQuotes,
    /// An HTTP request. Closed without a reply.
    CrossProtocol,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Protocol error: ")?;
        formatter.write_str(match self {
            ProtocolError::CountLineTooLong => "too big mbulk count string",
            ProtocolError::InvalidArgumentCount => "invalid multibulk length",
            ProtocolError::UnauthenticatedArgumentCount => "unauthenticated multibulk length",
            ProtocolError::ExpectedArgument { got } => {
                return write!(formatter, "expected '$', got '{}'", got.escape_ascii());
            }
            ProtocolError::LengthLineTooLong => "too big bulk count string",
            ProtocolError::InvalidArgumentLength => "invalid bulk length",
            ProtocolError::UnauthenticatedArgumentLength => "unauthenticated bulk length",
            ProtocolError::ArgumentNotTerminated => "expected CR LF behind a bulk string",
            ProtocolError::LineWithoutCarriageReturn => "expected CR LF behind a length",
            ProtocolError::RequestTooLong { limit } => {
                return write!(formatter, "request is longer than {limit} bytes");
            }
            ProtocolError::UnauthenticatedTooMuch => "too many bytes before authentication",
            ProtocolError::InlineTooLong => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::CrossProtocol => "this is not an HTTP server",
        })
    }
}
