//! The replies of a run on their way to the socket.

use std::io;

use kv_core::Value;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::command::SHARED_VALUE_BYTES;
use crate::resp::{Protocol, Reply, put_header};

/// Memory that an idle connection keeps for its next replies, in bytes.
const MAX_IDLE_BYTES: usize = 16 << 10;

/// Places of large values that it keeps memory for.
const MAX_IDLE_VALUES: usize = 64;

/// Encoded replies, with large values left out and remembered by place.
#[derive(Debug)]
pub(crate) struct Output {
    /// The most bytes that are copied for the replies of one part of a run.
    limit_bytes: usize,
    /// True once there were more: no more are taken.
    is_over: bool,
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
    pub(crate) fn new() -> Output {
        Output {
            limit_bytes: usize::MAX,
            is_over: false,
            bytes: Vec::new(),
            values: Vec::new(),
            value_bytes: 0,
        }
    }

    /// Sets how many bytes may be copied from here on.
    pub(crate) fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// True if replies were over the limit. What is here is not all of them
    /// then, and must not be sent.
    pub(crate) fn is_over_limit(&self) -> bool {
        self.is_over
    }

    /// Notes that a reply was over the limit before it came here.
    pub(crate) fn note_over_limit(&mut self) {
        self.is_over = true;
    }

    pub(crate) fn push(&mut self, reply: &Reply, protocol: Protocol) {
        if !self.is_over {
            self.encode(reply, protocol);
            self.is_over |= self.bytes.len() > self.limit_bytes;
        }
    }

    fn encode(&mut self, reply: &Reply, protocol: Protocol) {
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
        self.is_over = false;
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

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.truncate(Mark { bytes: 0, values: 0 });
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
        self.clear();
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

    #[test]
    fn replies_are_taken_up_to_the_limit_and_no_further() {
        let bulk = Reply::bulk([b'v'; 1000]);
        let wide = Reply::Array(vec![bulk.clone(); 1000]);
        let deep = (0..3).fold(wide.clone(), |inner, _| Reply::Array(vec![inner; 10]));
        for reply in [wide, deep] {
            let mut output = Output::new();
            output.set_limit(10_000);
            let start = output.mark();
            output.push(&reply, Protocol::Resp3);
            assert!(output.is_over_limit());
            assert!(output.held_bytes() <= 2 * 11_100, "{}", output.held_bytes());
            let copied = output.copied_bytes();
            output.push(&bulk, Protocol::Resp3);
            assert_eq!(output.copied_bytes(), copied, "nothing more is taken");
            output.truncate(start);
            (0..9).for_each(|_| output.push(&bulk, Protocol::Resp3));
            assert!(!output.is_over_limit());
        }
    }

    /// Replies that are one large value each.
    fn push_large(output: &mut Output, count: usize) {
        let value = Value::from(vec![b'v'; SHARED_VALUE_BYTES]);
        (0..count).for_each(|_| output.push(&Reply::Bulk(value.clone()), Protocol::Resp3));
    }

    #[test]
    fn places_of_large_values_count_and_are_given_back() {
        let idle_bytes = MAX_IDLE_BYTES + MAX_IDLE_VALUES * size_of::<(usize, Value)>();
        let mut output = Output::new();
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
