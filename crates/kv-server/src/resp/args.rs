//! The arguments of one command, as slices of the bytes they arrived in.

use std::ops::{Index, Range};

/// Where an argument lies in the buffer of its command. Eight bytes: the least
/// argument takes six on the wire, and a request may be made of those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes from `start` to `end`.
    ///
    /// # Panics
    /// If they lie behind the first 4 GiB: the decoder stays far before.
    pub(crate) fn new(start: usize, end: usize) -> Span {
        let place = |at: usize| u32::try_from(at).expect("requests are far shorter than 4 GiB");
        Span { start: place(start), end: place(end) }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The same bytes, once `bytes` before them are gone.
    pub(crate) fn without(self, bytes: usize) -> Span {
        let Range { start, end } = self.range();
        Span::new(start - bytes, end - bytes)
    }
}

/// The arguments of one command; argument 0 is its name. Borrowed from the
/// read buffer: nothing is copied between the socket and the command.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// `spans` lie inside `bytes` and there is at least one: the decoder
    /// hands out nothing else.
    pub(crate) fn new(bytes: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { bytes, spans }
    }

    /// Number of arguments, with the name.
    #[allow(clippy::len_without_is_empty, reason = "a command has a name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The command's name as the client spelled it.
    pub fn name(&self) -> &'a [u8] {
        self.slice(self.spans[0])
    }

    /// Argument `index`, if there are that many.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| self.slice(*span))
    }

    /// All arguments from `first` on.
    pub fn iter_from(
        &self,
        first: usize,
    ) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let Args { bytes, spans } = *self;
        spans[first.min(spans.len())..].iter().map(|span| &bytes[span.range()])
    }

    /// Bytes of all arguments together.
    pub fn size_bytes(&self) -> usize {
        self.spans.iter().map(|span| span.range().len()).sum()
    }

    /// A copy that outlives the read buffer, as `MULTI` queues it.
    pub fn to_owned(&self) -> OwnedArgs {
        let mut owned = OwnedArgs { bytes: Vec::with_capacity(self.size_bytes()), spans: vec![] };
        for argument in self.iter_from(0) {
            owned.push(argument);
        }
        owned
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.range()]
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    /// # Panics
    /// If there is no such argument: arity was checked before.
    fn index(&self, index: usize) -> &[u8] {
        self.slice(self.spans[index])
    }
}

/// Arguments with their own memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// The command made of `arguments`; the first is its name.
    pub fn of<I: AsRef<[u8]>>(arguments: impl IntoIterator<Item = I>) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        for argument in arguments {
            owned.push(argument.as_ref());
        }
        owned
    }

    /// The arguments, borrowed.
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }

    fn push(&mut self, argument: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(argument);
        self.spans.push(Span::new(start, self.bytes.len()));
    }
}
