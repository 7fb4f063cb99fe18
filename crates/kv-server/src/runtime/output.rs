//! The replies of a run on their way to the socket.

use std::io;

use kv_core::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::resp::{Protocol, Reply, put_header};

/// Values from this size on are sent from where they lie, a table or memory
/// table, instead of being copied: a copy costs more than another write call,
/// and a slow reader would make the server hold it.
const SHARED_VALUE_BYTES: usize = 64 << 10;

/// Memory that an idle connection keeps for its next replies, in bytes.
const MAX_IDLE_BYTES: usize = 16 << 10;

/// Encoded replies, with large values left out and remembered by place.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// Values, each with the offset in `bytes` that it goes before.
    values: Vec<(usize, Value)>,
    value_bytes: usize,
}

/// A place to return to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    bytes: usize,
    values: usize,
}

impl Output {
    pub(crate) fn push(&mut self, reply: &Reply, protocol: Protocol) {
        match reply {
            Reply::Bulk(value) if value.len() >= SHARED_VALUE_BYTES => {
                put_header(&mut self.bytes, b'$', value.len() as i64);
                self.values.push((self.bytes.len(), value.clone()));
                self.value_bytes += value.len();
                self.bytes.extend_from_slice(b"\r\n");
            }
            Reply::Array(items) => {
                put_header(&mut self.bytes, b'*', items.len() as i64);
                for item in items {
                    self.push(item, protocol);
                }
            }
            other => other.encode(protocol, &mut self.bytes),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), values: self.values.len() }
    }

    /// Takes back everything behind `mark`, with its memory: there may have been
    /// none for it.
    pub(crate) fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.bytes.shrink_to(MAX_IDLE_BYTES);
        self.values.truncate(mark.values);
        self.value_bytes = self.values.iter().map(|(_, value)| value.len()).sum();
    }

    /// Bytes held in memory for these replies alone.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes that were copied for these replies: all but the large values.
    pub(crate) fn copied_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes to send.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.value_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Sends everything and forgets it, reporting the bytes sent so far after
    /// every step.
    pub(crate) async fn send(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        mut on_progress: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut sent = 0;
        let mut start = 0;
        for (end, value) in &self.values {
            send_all(stream, &self.bytes[start..*end], &mut sent, &mut on_progress).await?;
            send_all(stream, value, &mut sent, &mut on_progress).await?;
            start = *end;
        }
        send_all(stream, &self.bytes[start..], &mut sent, &mut on_progress).await?;
        self.bytes.clear();
        self.bytes.shrink_to(MAX_IDLE_BYTES);
        self.values.clear();
        self.value_bytes = 0;
        Ok(())
    }
}

async fn send_all(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    sent: &mut usize,
    on_progress: &mut impl FnMut(usize),
) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = stream.write(bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[count..];
        *sent += count;
        on_progress(*sent);
    }
    Ok(())
}
