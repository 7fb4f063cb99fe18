//! Comparing what an engine shows with what it must show, by every way to read.

use std::collections::BTreeSet;
use std::ops::Bound;

use kv_engine::{Engine, Error, KeyRange, Scan};

use crate::keys::{self, COUNTER};
use crate::state::{State, difference};
use crate::step::Direction;

/// Entries that a scan may show before it counts as endless.
const MAX_ENTRIES: usize = 1 << 16;

/// Why a comparison failed.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// A read answered with an error.
    Error(Error),
    /// A read answered with something else than it should.
    Wrong(String),
}

impl From<Error> for ReadFailure {
    fn from(error: Error) -> ReadFailure {
        ReadFailure::Error(error)
    }
}

impl std::fmt::Display for ReadFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadFailure::Error(error) => write!(formatter, "a read failed: {error}"),
            ReadFailure::Wrong(what) => formatter.write_str(what),
        }
    }
}

type Outcome<T = ()> = Result<T, ReadFailure>;

/// The entries of a scan in either direction, as a state.
pub(crate) fn collect(scan: Scan, direction: Direction) -> Outcome<State> {
    let mut scan = match direction {
        Direction::Forward => scan,
        Direction::Backward => scan.reverse(),
    };
    let mut found = State::new();
    let mut last: Option<Vec<u8>> = None;
    while scan.advance()? {
        let key = scan.key();
        let in_order = last.as_deref().is_none_or(|last| match direction {
            Direction::Forward => last < key,
            Direction::Backward => last > key,
        });
        if !in_order || found.len() >= MAX_ENTRIES {
            let what = format!("a {direction:?} scan shows {} out of order", keys::describe(key));
            return Err(ReadFailure::Wrong(what));
        }
        last = Some(key.to_vec());
        found.insert(key.into(), (&scan.value()[..]).into());
    }
    Ok(found)
}

/// Everything, by a forward scan.
pub(crate) fn contents(engine: &Engine) -> Outcome<State> {
    collect(engine.scan(KeyRange::all())?, Direction::Forward)
}

/// Compares every way to read with `state`: the scan backwards, a range in both
/// directions, a snapshot, and a get of each key that was ever written.
pub(crate) fn check_everything(engine: &Engine, state: &State, keys: &BTreeSet<u16>) -> Outcome {
    compare("the scan backwards", state, collect(all(engine)?, Direction::Backward))?;
    let (from, to) = (keys.first().copied().unwrap_or(0), keys.last().copied().unwrap_or(0));
    let middle = (from + to) / 2;
    check_range(engine, state, middle, to, Direction::Forward)?;
    check_range(engine, state, from, middle, Direction::Backward)?;
    for &number in keys {
        check_get(engine, state, &keys::key(number))?;
    }
    check_get(engine, state, COUNTER)?;
    check_get(engine, state, b"never written")
}

fn all(engine: &Engine) -> Outcome<Scan> {
    Ok(engine.snapshot().scan(KeyRange::all()))
}

/// Compares a get with `state`.
pub(crate) fn check_get(engine: &Engine, state: &State, key: &[u8]) -> Outcome {
    let found = engine.get(key)?;
    let expected = state.get(key);
    if found.as_deref() == expected.map(|value| &value[..]) {
        return Ok(());
    }
    let describe = |value: Option<&[u8]>| value.map_or("nothing".into(), keys::describe_value);
    Err(ReadFailure::Wrong(format!(
        "a get of {} finds {}, not {}",
        keys::describe(key),
        describe(found.as_deref()),
        describe(expected.map(|value| &value[..]))
    )))
}

/// Compares a scan of a range with `state`.
pub(crate) fn check_range(
    engine: &Engine,
    state: &State,
    from: u16,
    to: u16,
    direction: Direction,
) -> Outcome {
    let (from, to) = (keys::key(from.min(to)), keys::key(from.max(to)));
    let range = KeyRange::from_bounds(&from[..]..&to[..]);
    let expected: State = state
        .range::<[u8], _>((Bound::Included(&from[..]), Bound::Excluded(&to[..])))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    compare("a range", &expected, collect(engine.scan(range)?, direction))
}

/// Compares the outcome of a scan with `expected`.
pub(crate) fn compare(what: &str, expected: &State, found: Outcome<State>) -> Outcome {
    let found = found?;
    if found == *expected {
        return Ok(());
    }
    Err(ReadFailure::Wrong(format!("{what}: {}", difference(expected, &found))))
}
