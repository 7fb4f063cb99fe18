//! Work on the data that no single batch can hold, as steps that each make one
//! batch: the caller commits it and goes on at the next key.

use std::ops::Bound;

use kv_core::{Result, WriteBatch};

use super::reader::{Direction, Reader};
use super::value::{DATABASES, end_of_database, has_expiry, is_expired_entry, put_key, split_key};

/// One step of a walk over the keys.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// To be committed before the next step.
    pub(crate) batch: WriteBatch,
    /// Where the next step starts; `None` at the end.
    pub(crate) next: Option<Vec<u8>>,
    /// Live keys met, by database, and those among them that will expire.
    pub(crate) live: KeyCounts,
    pub(crate) will_expire: KeyCounts,
}

/// Number of keys by database.
pub(crate) type KeyCounts = [u64; DATABASES as usize];

/// Deletes up to `limit` keys of a database, or of all, from `from` on.
///
/// The deletes depend on nothing: a key that another client sets meanwhile may
/// be deleted with the rest or stay, as if it had come before or after.
pub(crate) fn delete_step(
    reader: &dyn Reader,
    database: Option<u8>,
    from: Option<&[u8]>,
    limit: usize,
) -> Result<Step> {
    let (first, last) = match database {
        Some(database) => (database, database),
        None => (0, DATABASES - 1),
    };
    let mut start = Vec::new();
    put_key(&mut start, first, b"");
    let start = from.unwrap_or(&start);
    let end = end_of_database(last);
    let mut step = Step::default();
    for (count, entry) in entries(reader, start, &end)?.enumerate() {
        let (key, _) = entry?;
        if count == limit {
            step.next = Some(key);
            break;
        }
        step.batch.delete(&key)?;
    }
    Ok(step)
}

/// Looks at up to `limit` keys from `from` on, deletes those that have
/// expired, and counts the others.
///
/// A key that is set again meanwhile makes the batch a conflict: the step may
/// be left out then, the next round meets what is still expired.
pub(crate) fn sweep_step(
    reader: &dyn Reader,
    now_ms: u64,
    from: Option<&[u8]>,
    limit: usize,
) -> Result<Step> {
    let mut start = Vec::new();
    put_key(&mut start, 0, b"");
    let end = end_of_database(DATABASES - 1);
    let mut step = Step::default();
    for (count, entry) in entries(reader, from.unwrap_or(&start), &end)?.enumerate() {
        let (key, value) = entry?;
        if count == limit {
            step.next = Some(key);
            break;
        }
        if !is_expired_entry(&key, &value, now_ms) {
            count_entry(&key, &value, &mut step.live, &mut step.will_expire);
            continue;
        }
        let (current, expectation) = reader.get_for_update(&key)?;
        if current.is_some_and(|value| is_expired_entry(&key, &value, now_ms)) {
            step.batch.delete(&key)?;
            step.batch.expect(expectation);
        }
    }
    Ok(step)
}

/// Counts a live entry, and whether it will expire, for its database.
pub(crate) fn count_entry(
    key: &[u8],
    value: &[u8],
    live: &mut KeyCounts,
    will_expire: &mut KeyCounts,
) {
    let Some((database, _)) = split_key(key) else { return };
    let Some(count) = live.get_mut(usize::from(database)) else { return };
    *count += 1;
    will_expire[usize::from(database)] += u64::from(has_expiry(value));
}

fn entries<'r>(
    reader: &'r dyn Reader,
    start: &[u8],
    end: &[u8],
) -> Result<super::reader::Entries<'r>> {
    reader.scan(Bound::Included(start), Bound::Excluded(end), Direction::Forward)
}
