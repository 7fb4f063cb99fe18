//! Commands that walk over the keys of a database.

use std::ops::{Bound, RangeInclusive};

use super::super::arguments::{integer, is_word};
use super::super::call::Call;
use super::super::data::{DataContext, MAX_WRITE_OVERHEAD_BYTES};
use super::super::error::{CommandError, CommandResult};
use super::super::glob::Glob;
use super::super::outcome::{Outcome, Requirement};
use super::super::reader::Direction;
use super::super::scan_cursor::ScanPosition;
use super::super::value::Stored;
use super::refuse;
use crate::resp::{Args, Reply};

/// Keys that `SCAN` visits by default.
const DEFAULT_COUNT: usize = 10;

/// Keys that `SCAN` may visit without being moved out of the way of others:
/// well below a millisecond's work.
const MAX_SHORT_COUNT: usize = 1_000;

/// Keys that `SCAN` visits at most in one call, whatever `COUNT` says: bounds
/// the time it takes.
const MAX_COUNT: usize = 1_000_000;

/// Bytes of keys behind which `SCAN` ends a call, whatever `COUNT` says: bounds
/// the memory of its reply, as keys may be long.
const MAX_SCAN_BYTES: usize = 16 << 20;

/// Memory that the reply to `KEYS` may take, in bytes.
const MAX_KEYS_BYTES: usize = 512 << 20;

/// Memory that each key in a reply takes beside its bytes, about: the reply
/// itself, and two allocations with their counts.
const KEY_OVERHEAD_BYTES: usize = size_of::<Reply>() + 96;

pub(crate) fn keys(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let pattern = Glob::new(&args[1]);
    let prefix = pattern.literal_prefix();
    let mut found = Vec::new();
    let (mut reply_bytes, mut key_bytes) = (0, 0);
    let room_bytes = data.reply_room().left_bytes();
    let database = data.database();
    for entry in data.live_keys(database, &prefix, Bound::Unbounded, Direction::Forward)? {
        let (key, _) = entry?;
        if pattern.matches(&key)? {
            reply_bytes += key.len() + KEY_OVERHEAD_BYTES;
            if reply_bytes > MAX_KEYS_BYTES {
                return refuse("ERR the reply to KEYS would be over 512 MiB; use SCAN");
            }
            key_bytes += key.len();
            if key_bytes > room_bytes {
                break;
            }
            found.push(Reply::Bulk(key.into()));
        }
    }
    if key_bytes > room_bytes {
        return Err(data.reply_room().refuse());
    }
    Ok(Reply::Array(found))
}

pub(crate) fn dbsize(_: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let database = data.database();
    let mut count = 0;
    for entry in data.live_keys(database, b"", Bound::Unbounded, Direction::Forward)? {
        entry?;
        count += 1;
    }
    Ok(Reply::Integer(count))
}

/// Deletes every key of the databases within the current unit, or, if the batch
/// has no room for that, none.
pub(crate) fn delete_all_keys(
    databases: RangeInclusive<u8>,
    data: &mut DataContext<'_>,
) -> CommandResult<()> {
    let mut room_bytes = data.room_bytes();
    let mut keys = Vec::new();
    for database in databases {
        let entries = data.live_keys(database, b"", Bound::Unbounded, Direction::Forward)?;
        let live = entries.map(|entry| entry.map(|(key, _)| key));
        keys.push((database, collect_deletes(live, &mut room_bytes)?));
    }
    let selected = data.database();
    let result = keys.iter().try_for_each(|(database, keys)| {
        data.select(*database);
        keys.iter().try_for_each(|key| data.delete(key))
    });
    data.select(selected);
    result
}

/// Collects keys for as long as a batch with their deletes has room.
fn collect_deletes(
    keys: impl Iterator<Item = CommandResult<Vec<u8>>>,
    room_bytes: &mut usize,
) -> CommandResult<Vec<Vec<u8>>> {
    let mut collected = Vec::new();
    for key in keys {
        let key = key?;
        let needed = key.len() + MAX_WRITE_OVERHEAD_BYTES;
        *room_bytes = room_bytes.checked_sub(needed).ok_or(CommandError::BATCH_TOO_LARGE)?;
        collected.push(key);
    }
    Ok(collected)
}

/// A key next to a random point between the first and the last key.
///
/// Keys are not equally likely: one beside a wide gap comes more often.
pub(crate) fn randomkey(_: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let Some(first) = next_key(data, Bound::Unbounded, Direction::Forward)? else {
        return Ok(Reply::Nil);
    };
    let last = next_key(data, Bound::Unbounded, Direction::Backward)?;
    let point = key_between(&first, last.as_ref().unwrap_or(&first), data.next_random());
    // Looking both ways gives the first and the last key their chance.
    let is_forward = data.next_random() & 1 == 0;
    let direction = if is_forward { Direction::Forward } else { Direction::Backward };
    let found = next_key(data, Bound::Included(&point), direction)?;
    Ok(Reply::bulk(found.unwrap_or(first)))
}

/// The next live key from `from` on.
fn next_key(
    data: &mut DataContext<'_>,
    from: Bound<&[u8]>,
    direction: Direction,
) -> CommandResult<Option<Vec<u8>>> {
    let database = data.database();
    let mut keys = data.live_keys(database, b"", from, direction)?;
    Ok(keys.next().transpose()?.map(|(key, _)| key))
}

/// The common prefix of two keys and eight bytes between theirs.
fn key_between(first: &[u8], last: &[u8], random: u64) -> Vec<u8> {
    let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
    let head = |key: &[u8]| {
        let mut head = [0; 8];
        let rest = &key[common..];
        let len = rest.len().min(head.len());
        head[..len].copy_from_slice(&rest[..len]);
        u64::from_be_bytes(head)
    };
    let (low, high) = (head(first), head(last));
    // A product of 128 bits spreads the random number over the whole width.
    let width = u128::from(high.saturating_sub(low)) + 1;
    let offset = (u128::from(random) * width) >> 64;
    let point = low + offset as u64;
    [&first[..common], &point.to_be_bytes()].concat()
}

struct ScanOptions<'a> {
    pattern: Option<Glob<'a>>,
    count: usize,
    type_name: Option<&'a [u8]>,
}

impl ScanOptions<'_> {
    fn takes(&self, key: &[u8], stored: &Stored) -> CommandResult<bool> {
        let has_type = self.type_name.is_none_or(|name| is_word(name, stored.value_type.name()));
        Ok(has_type && self.pattern.map_or(Ok(true), |pattern| pattern.matches(key))?)
    }
}

pub(crate) fn scan(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let cursor = parse_cursor(&call.args[1])?;
    let mut options = parse_scan_options(call.args)?;
    if options.count > MAX_SHORT_COUNT && !call.data.may_take_long() {
        // A transaction cannot be moved in its middle; COUNT is only a hint.
        if call.in_transaction {
            options.count = MAX_SHORT_COUNT;
        } else if call.data.has_pending_writes() {
            return Ok(Outcome::Again(Requirement::Commit));
        } else {
            return Ok(Outcome::Again(Requirement::LongRun));
        }
    }
    let database = call.data.database();
    let position = call.server.scan_cursors().position(database, cursor);
    let after = match &position {
        ScanPosition::Start => Bound::Unbounded,
        ScanPosition::Behind(key) => Bound::Excluded(key.as_slice()),
        ScanPosition::From(key) => Bound::Included(key.as_slice()),
    };
    let prefix = options.pattern.map(|pattern| pattern.literal_prefix()).unwrap_or_default();
    let max_bytes = MAX_SCAN_BYTES.min(call.data.reply_room().left_bytes() / 2);
    let (mut found, mut found_bytes) = (Vec::new(), 0);
    let mut last_visited = None;
    let mut is_finished = true;
    for (visited, entry) in
        call.data.live_keys(database, &prefix, after, Direction::Forward)?.enumerate()
    {
        let (key, stored) = entry?;
        if visited == options.count || found_bytes > max_bytes {
            is_finished = false;
            break;
        }
        if options.takes(&key, &stored)? {
            found_bytes += key.len();
            found.push(Reply::bulk(&key));
        }
        last_visited = Some(key);
    }
    let next = match last_visited {
        Some(key) if !is_finished => call.server.scan_cursors().remember(database, &key),
        _ => 0,
    };
    let next = Reply::bulk(next.to_string());
    Ok(Reply::Array(vec![next, Reply::Array(found)]).into())
}

fn parse_cursor(argument: &[u8]) -> CommandResult<u64> {
    // As for Redis, no digits are a zero.
    let digits = if argument.is_empty() { b"0" } else { argument };
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)
        .and_then(|digits| digits.parse().ok())
        .ok_or(CommandError::fixed("ERR invalid cursor"))
}

fn parse_scan_options(args: Args<'_>) -> CommandResult<ScanOptions<'_>> {
    let mut options = ScanOptions { pattern: None, count: DEFAULT_COUNT, type_name: None };
    let mut rest = args.iter_from(2);
    while let Some(word) = rest.next() {
        let argument = rest.next().ok_or(CommandError::SYNTAX)?;
        if is_word(word, "MATCH") {
            options.pattern = Some(Glob::new(argument));
        } else if is_word(word, "COUNT") {
            let count = usize::try_from(integer(argument)?).ok().filter(|count| *count > 0);
            options.count = count.ok_or(CommandError::SYNTAX)?.min(MAX_COUNT);
        } else if is_word(word, "TYPE") {
            options.type_name = Some(argument);
        } else {
            return Err(CommandError::SYNTAX);
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_collected_no_further_than_there_is_room() {
        let mut taken = 0;
        let mut endless = std::iter::repeat_with(|| Ok(vec![b'k'; 68])).inspect(|_| taken += 1);
        let mut room_bytes = 1050;
        let refused = collect_deletes(&mut endless, &mut room_bytes);
        assert_eq!(refused, Err(CommandError::BATCH_TOO_LARGE));
        drop(endless);
        assert_eq!(taken, 11, "one more than ten of a hundred bytes");
        let fits = collect_deletes(std::iter::repeat_n(Ok(vec![b'k'; 68]), 10), &mut 1000);
        assert_eq!(fits.map(|keys| keys.len()), Ok(10));
    }
}
