//! Commands on keys, whatever they hold.

mod copy;
mod expiry;
mod object;
mod scan;

use super::data::DataContext;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};

pub(crate) use copy::{copy, move_key, rename, renamenx};
pub(crate) use expiry::{
    expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl,
};
pub(crate) use object::{object_encoding, object_freq, object_idletime, object_refcount};
pub(crate) use scan::{dbsize, delete_all_keys, keys, randomkey, scan};

pub(crate) fn del(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let mut deleted = 0;
    for key in args.iter_from(1) {
        if data.exists(key)? {
            data.delete(key)?;
            deleted += 1;
        }
    }
    Ok(Reply::Integer(deleted))
}

/// `EXISTS` and `TOUCH`: a key named twice counts twice.
pub(crate) fn exists(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let mut existing = 0;
    for key in args.iter_from(1) {
        existing += i64::from(data.exists(key)?);
    }
    Ok(Reply::Integer(existing))
}

pub(crate) fn value_type(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let found = data.lookup(&args[1])?;
    Ok(Reply::Simple(found.map_or("none", |stored| stored.value_type.name()).into()))
}

/// An error reply that depends on nothing.
fn refuse<T>(text: &'static str) -> CommandResult<T> {
    Err(CommandError::fixed(text))
}
