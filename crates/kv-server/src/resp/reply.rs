//! What a command answers, and how it looks in each protocol version.

use std::borrow::Cow;

use kv_core::Value;

use super::encode::{put_bulk, put_double, put_header, put_line};

/// The version a connection speaks: RESP2 until `HELLO 3` asks for RESP3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Every Redis client of the last decade.
    #[default]
    Resp2,
    /// Adds maps, sets, doubles, booleans, one null, and verbatim text.
    Resp3,
}

impl Protocol {
    /// The number that `HELLO` and `CLIENT LIST` show.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// One reply. Commands build it once; [`Reply::encode`] knows how the richer
/// shapes of RESP3 degrade for a RESP2 client.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A short status such as `OK`; must not hold CR or LF.
    Simple(Cow<'static, str>),
    /// The whole error text with its code: `ERR syntax error`.
    Error(Cow<'static, str>),
    /// A signed 64-bit number.
    Integer(i64),
    /// Any bytes. A value read from the engine is not copied before encoding.
    Bulk(Value),
    /// No value.
    Nil,
    /// No array: the reply of an `EXEC` whose watched keys changed.
    NilArray,
    /// Replies in order.
    Array(Vec<Reply>),
    /// Pairs in order; a flat array of keys and values in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Members without order; an array in RESP2.
    Set(Vec<Reply>),
    /// A floating point number; its decimal text as a bulk in RESP2.
    Double(f64),
    /// True or false; 1 or 0 in RESP2.
    Boolean(bool),
    /// Text made for people to read, such as `INFO`; a bulk in RESP2.
    Verbatim(String),
}

impl Reply {
    /// `+OK`
    pub const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));
    /// `+QUEUED`, the answer to every command between `MULTI` and `EXEC`.
    pub const QUEUED: Reply = Reply::Simple(Cow::Borrowed("QUEUED"));

    /// An error reply from its whole text.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply::Error(text.into())
    }

    /// A bulk reply with a copy of `bytes`.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(Value::copy_of(bytes.as_ref()))
    }

    /// True for [`Reply::Error`].
    pub fn is_error(&self) -> bool {
        matches!(self, Reply::Error(_))
    }

    /// Appends the reply as `protocol` spells it.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        match self {
            Reply::Simple(text) => put_line(out, b'+', text),
            Reply::Error(text) => put_line(out, b'-', text),
            Reply::Integer(number) => put_header(out, b':', *number),
            Reply::Bulk(bytes) => put_bulk(out, b'$', bytes),
            Reply::Nil => out.extend_from_slice(match protocol {
                Protocol::Resp2 => b"$-1\r\n",
                Protocol::Resp3 => b"_\r\n",
            }),
            Reply::NilArray => out.extend_from_slice(match protocol {
                Protocol::Resp2 => b"*-1\r\n",
                Protocol::Resp3 => b"_\r\n",
            }),
            Reply::Array(items) => encode_all(b'*', items, protocol, out),
            Reply::Set(items) => {
                let kind = if protocol == Protocol::Resp3 { b'~' } else { b'*' };
                encode_all(kind, items, protocol, out);
            }
            Reply::Map(pairs) => {
                match protocol {
                    Protocol::Resp2 => put_header(out, b'*', pairs.len() as i64 * 2),
                    Protocol::Resp3 => put_header(out, b'%', pairs.len() as i64),
                }
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
            Reply::Double(number) => put_double(out, *number, protocol),
            Reply::Boolean(flag) => match protocol {
                Protocol::Resp2 => put_header(out, b':', i64::from(*flag)),
                Protocol::Resp3 => {
                    out.extend_from_slice(if *flag { b"#t\r\n" } else { b"#f\r\n" });
                }
            },
            Reply::Verbatim(text) => match protocol {
                Protocol::Resp2 => put_bulk(out, b'$', text.as_bytes()),
                Protocol::Resp3 => {
                    put_header(out, b'=', text.len() as i64 + 4);
                    out.extend_from_slice(b"txt:");
                    out.extend_from_slice(text.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
            },
        }
    }
}

fn encode_all(kind: u8, items: &[Reply], protocol: Protocol, out: &mut Vec<u8>) {
    put_header(out, kind, items.len() as i64);
    for item in items {
        item.encode(protocol, out);
    }
}
