//! Commands on strings.

mod counter;
mod expiry_option;
mod extended;
mod float;
mod lcs;
mod range;
mod set;

use super::data::DataContext;
use super::error::{CommandError, CommandResult};
use super::value::ValueType;
use crate::resp::{Args, Reply};

pub(crate) use counter::{decr, decrby, incr, incrby, incrbyfloat};
pub(crate) use lcs::lcs;
pub(crate) use range::{append, getrange, setrange, strlen};
pub(crate) use set::{getex, psetex, set, setex};

pub(crate) fn get(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let found = data.lookup_string(&args[1])?;
    Ok(found.map_or(Reply::Nil, |stored| Reply::Bulk(stored.into_payload())))
}

pub(crate) fn setnx(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    if data.exists(&args[1])? {
        return Ok(Reply::Integer(0));
    }
    data.put(&args[1], &args[2], None)?;
    Ok(Reply::Integer(1))
}

pub(crate) fn getset(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let old = get(args, data)?;
    data.put(&args[1], &args[2], None)?;
    Ok(old)
}

pub(crate) fn getdel(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let old = get(args, data)?;
    if old != Reply::Nil {
        data.delete(&args[1])?;
    }
    Ok(old)
}

pub(crate) fn mget(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let values = args.iter_from(1).map(|key| {
        Ok(match data.lookup(key)? {
            Some(stored) if stored.value_type == ValueType::String => {
                Reply::Bulk(data.reply_room().keep(stored.into_payload())?)
            }
            _ => Reply::Nil,
        })
    });
    Ok(Reply::Array(values.collect::<CommandResult<_>>()?))
}

pub(crate) fn mset(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    check_pairs("mset", args)?;
    put_pairs(args, data)?;
    Ok(Reply::OK)
}

pub(crate) fn msetnx(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    check_pairs("msetnx", args)?;
    for key in args.iter_from(1).step_by(2) {
        if data.exists(key)? {
            return Ok(Reply::Integer(0));
        }
    }
    put_pairs(args, data)?;
    Ok(Reply::Integer(1))
}

fn check_pairs(name: &'static str, args: Args<'_>) -> CommandResult<()> {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(name));
    }
    Ok(())
}

/// Sets all pairs or, if they cannot all be set, none.
fn put_pairs(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<()> {
    let mut pairs = args.iter_from(1).step_by(2).zip(args.iter_from(2).step_by(2));
    data.check_room(args.len() / 2, args.size_bytes())?;
    for (key, value) in pairs.clone() {
        data.check_write(key, value.len())?;
    }
    pairs.try_for_each(|(key, value)| data.put(key, value, None))
}
