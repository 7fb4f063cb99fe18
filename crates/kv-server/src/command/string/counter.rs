//! Strings as numbers.

use super::super::arguments::{integer, parse_integer};
use super::super::data::DataContext;
use super::super::error::{CommandError, CommandResult};
use super::extended::Extended;
use super::float::{format_extended, parse_extended};
use crate::resp::{Args, Reply};

pub(crate) fn incr(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    add(args, data, 1)
}

pub(crate) fn decr(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    add(args, data, -1)
}

pub(crate) fn incrby(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    add(args, data, integer(&args[2])?)
}

pub(crate) fn decrby(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let decrement = integer(&args[2])?
        .checked_neg()
        .ok_or(CommandError::fixed("ERR decrement would overflow"))?;
    add(args, data, decrement)
}

fn add(args: Args<'_>, data: &mut DataContext<'_>, difference: i64) -> CommandResult<Reply> {
    let old = data.lookup_string(&args[1])?;
    let number = match &old {
        Some(stored) => parse_integer(stored.payload()).ok_or(CommandError::NOT_INTEGER)?,
        None => 0,
    };
    let sum = number.checked_add(difference).ok_or(CommandError::OVERFLOW)?;
    let expires_at_ms = old.and_then(|stored| stored.expires_at_ms);
    data.put(&args[1], sum.to_string().as_bytes(), expires_at_ms)?;
    Ok(Reply::Integer(sum))
}

pub(crate) fn incrbyfloat(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let old = data.lookup_string(&args[1])?;
    let number = match &old {
        Some(stored) => parse_extended(stored.payload()).ok_or(CommandError::NOT_FLOAT)?,
        None => Extended::ZERO,
    };
    let difference = parse_extended(&args[2]).ok_or(CommandError::NOT_FLOAT)?;
    let sum = number.plus(difference).ok_or(CommandError::NOT_FINITE)?;
    let text = format_extended(sum);
    let expires_at_ms = old.and_then(|stored| stored.expires_at_ms);
    data.put(&args[1], text.as_bytes(), expires_at_ms)?;
    Ok(Reply::bulk(text))
}
