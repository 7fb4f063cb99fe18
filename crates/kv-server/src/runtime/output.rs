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

/// Places of large values that it keeps memory for.
const MAX_IDLE_VALUES: usize = 64;

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
        self.values.truncate(mark.values);
        self.shrink();
        self.value_bytes = self.values.iter().map(|(_, value)| value.len()).sum();
    }

    /// Gives back what replies of the usual size do not need.
    fn shrink(&mut self) {
        self.bytes.shrink_to(MAX_IDLE_BYTES);
        self.values.shrink_to(MAX_IDLE_VALUES);
    }

    /// Bytes held in memory for these replies alone: for large values, which lie
    /// elsewhere, those of their places.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.values.capacity() * size_of::<(usize, Value)>()
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
        self.values.clear();
        self.shrink();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Replies that are one large value each.
    fn push_large(output: &mut Output, count: usize) {
        let value = Value::from(vec![b'v'; SHARED_VALUE_BYTES]);
        (0..count).for_each(|_| output.push(&Reply::Bulk(value.clone()), Protocol::Resp3));
    }

    #[test]
    fn places_of_large_values_count_and_are_given_back() {
        let idle_bytes = MAX_IDLE_BYTES + MAX_IDLE_VALUES * size_of::<(usize, Value)>();
        let mut output = Output::default();
        let start = output.mark();
        push_large(&mut output, 10_000);
        let places_bytes = 10_000 * size_of::<(usize, Value)>();
        assert!(output.held_bytes() >= output.copied_bytes() + places_bytes);
        output.truncate(start);
        assert!(output.held_bytes() <= idle_bytes, "{}", output.held_bytes());

        push_large(&mut output, 1000);
        let (expected, mut sent) = (output.len(), 0);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut sink = tokio::io::sink();
        runtime.block_on(output.send(&mut sink, |so_far| sent = so_far)).unwrap();
        assert_eq!((sent, output.len()), (expected, 0));
        assert!(output.held_bytes() <= idle_bytes, "{}", output.held_bytes());
    }
}
