//! `OBJECT`: how a value is held, in the terms of Redis.

use super::super::arguments::parse_integer;
use super::super::data::DataContext;
use super::super::error::CommandResult;
use super::super::value::{Stored, ValueType};
use super::refuse;
use crate::resp::{Args, Reply};

/// Longest string that Redis embeds in its object, in bytes.
const MAX_EMBEDDED_BYTES: usize = 44;

pub(crate) fn object_encoding(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    tell(args, data, |stored| {
        let payload = stored.payload();
        Reply::bulk(match stored.value_type {
            ValueType::Unknown(_) => "unknown",
            ValueType::String if parse_integer(payload).is_some() => "int",
            ValueType::String if payload.len() <= MAX_EMBEDDED_BYTES => "embstr",
            ValueType::String => "raw",
        })
    })
}

pub(crate) fn object_refcount(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    tell(args, data, |_| Reply::Integer(1))
}

/// Accesses are not recorded: every key was used just now.
pub(crate) fn object_idletime(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    tell(args, data, |_| Reply::Integer(0))
}

pub(crate) fn object_freq(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    if !data.exists(&args[2])? {
        return Ok(Reply::Nil);
    }
    refuse(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. \
         Please note that when switching between policies at runtime LRU and LFU data \
         will take some time to adjust.",
    )
}

fn tell(
    args: Args<'_>,
    data: &mut DataContext<'_>,
    tell: impl Fn(&Stored) -> Reply,
) -> CommandResult<Reply> {
    Ok(data.lookup(&args[2])?.map_or(Reply::Nil, |stored| tell(&stored)))
}
