//! The port through which commands read: a view of the engine, or a map in
//! tests.

use std::ops::Bound;

use kv_core::{Expectation, Result, Value};

/// A state of the engine that does not move under a run.
///
/// Keys and values are the engine's: with database, tag and value header.
pub(crate) trait Reader {
    /// The newest value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Value>>;

    /// The newest value of `key`, and what a batch has to expect in order to
    /// rely on it.
    fn get_for_update(&self, key: &[u8]) -> Result<(Option<Value>, Expectation)>;

    /// True if nothing has written the key since `expectation` was taken,
    /// perhaps in an older view. When in doubt, false.
    fn is_unchanged(&self, expectation: &Expectation) -> Result<bool>;

    /// The entries between two keys, in order or in reverse order.
    fn scan(
        &self,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Entries<'_>>;
}

/// Keys and values as a scan yields them.
pub(crate) type Entries<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Value)>> + 'a>;

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Rising keys.
    Forward,
    /// Falling keys.
    Backward,
}
