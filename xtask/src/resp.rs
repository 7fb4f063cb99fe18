//! A small blocking client of the Redis protocol, version 2.
//!
//! The tools use their own, so that a mistake in the server's parser cannot
//! hide behind the same mistake here.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a reply; a healthy server on this machine answers within
/// milliseconds, a compaction of everything within seconds.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a connection on the loopback device.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest reply that is believed: the longest value of the protocol.
const MAX_BULK_BYTES: i64 = 512 << 20;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

/// One connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to a server on this machine.
    pub(crate) fn connect(port: u16) -> io::Result<Client> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Client { reader: BufReader::new(stream), buffer: Vec::new() })
    }

    /// Sends one command and waits for its reply.
    pub(crate) fn call(&mut self, parts: &[&[u8]]) -> io::Result<Reply> {
        self.queue(parts);
        self.send()?;
        self.receive()
    }

    /// Adds a command to those that the next [`send`](Client::send) sends.
    pub(crate) fn queue(&mut self, parts: &[&[u8]]) {
        // Writing to memory cannot fail.
        let _ = write!(self.buffer, "*{}\r\n", parts.len());
        for part in parts {
            let _ = write!(self.buffer, "${}\r\n", part.len());
            self.buffer.extend_from_slice(part);
            self.buffer.extend_from_slice(b"\r\n");
        }
    }

    /// Adds bytes as they are, which may be no whole command.
    pub(crate) fn queue_raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Sends what was queued.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        let sent = self.reader.get_mut().write_all(&self.buffer);
        self.buffer.clear();
        sent
    }

    /// Waits for the next reply.
    pub(crate) fn receive(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.reader)
    }
}

impl Reply {
    /// True for `+OK`.
    pub(crate) fn is_ok(&self) -> bool {
        matches!(self, Reply::Simple(text) if text == "OK")
    }

    /// The text of a bulk or simple string.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Reply::Simple(text) => Some(text.clone()),
            Reply::Bulk(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

fn read_reply(reader: &mut impl BufRead) -> io::Result<Reply> {
    let line = read_line(reader)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| malformed("empty line"))?;
    match kind {
        "+" => Ok(Reply::Simple(rest.into())),
        "-" => Ok(Reply::Error(rest.into())),
        ":" => Ok(Reply::Integer(number(rest)?)),
        "$" => match number(rest)? {
            -1 => Ok(Reply::Nil),
            length @ 0..=MAX_BULK_BYTES => {
                let mut bytes = vec![0; length as usize + 2];
                reader.read_exact(&mut bytes)?;
                if bytes.split_off(length as usize) != b"\r\n" {
                    return Err(malformed("a string longer than it says"));
                }
                Ok(Reply::Bulk(bytes))
            }
            _ => Err(malformed(rest)),
        },
        "*" => match number(rest)? {
            -1 => Ok(Reply::Nil),
            count => {
                (0..count).map(|_| read_reply(reader)).collect::<io::Result<_>>().map(Reply::Array)
            }
        },
        _ => Err(malformed(&line)),
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\r\n") {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the server closed the connection",
        ));
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).map_err(|_| malformed("not text"))
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| malformed(text))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed reply: {what}"))
}

#[cfg(test)]
mod tests {
    use super::{Reply, read_reply};

    #[test]
    fn replies_are_read_and_garbage_is_refused() {
        let bulk = |text: &str| Reply::Bulk(text.into());
        let cases = [
            ("+OK\r\n", Some(Reply::Simple("OK".into()))),
            ("-ERR no\r\n", Some(Reply::Error("ERR no".into()))),
            (":-7\r\n", Some(Reply::Integer(-7))),
            ("$1\r\nabc", None),
            ("$4\r\na\r\nb\r\n", Some(bulk("a\r\nb"))),
            ("$-1\r\n", Some(Reply::Nil)),
            ("*2\r\n$1\r\na\r\n*0\r\n", Some(Reply::Array(vec![bulk("a"), Reply::Array(vec![])]))),
            ("$9999999999\r\n", None),
            ("?\r\n", None),
            ("\r\n", None),
            ("+OK", None),
        ];
        for (input, expected) in cases {
            let mut reader = input.as_bytes();
            let reply = read_reply(&mut reader).ok().filter(|_| reader.is_empty());
            assert_eq!(reply, expected, "{input:?}");
        }
    }
}
