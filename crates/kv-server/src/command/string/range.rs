//! Commands on a part of a string.

use super::super::arguments::integer;
use super::super::data::DataContext;
use super::super::error::{CommandError, CommandResult};
use super::super::value::{MAX_STRING_BYTES, Stored};
use crate::resp::{Args, Reply};

pub(crate) fn strlen(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let found = data.lookup_string(&args[1])?;
    Ok(Reply::Integer(found.map_or(0, |stored| stored.payload().len() as i64)))
}

pub(crate) fn append(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let Some(old) = data.lookup_string(&args[1])? else {
        data.put(&args[1], &args[2], None)?;
        return Ok(Reply::Integer(args[2].len() as i64));
    };
    let len = old.payload().len() + args[2].len();
    if len > MAX_STRING_BYTES {
        return Err(CommandError::STRING_TOO_LONG);
    }
    let mut payload = Vec::with_capacity(len);
    payload.extend_from_slice(old.payload());
    payload.extend_from_slice(&args[2]);
    data.put(&args[1], &payload, old.expires_at_ms)?;
    Ok(Reply::Integer(len as i64))
}

pub(crate) fn getrange(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let (first, last) = (integer(&args[2])?, integer(&args[3])?);
    let found = data.lookup_string(&args[1])?;
    let Some(value) = found.map(Stored::into_payload) else { return Ok(Reply::bulk("")) };
    let len = value.len() as i64;
    let from_start = |index: i64| if index < 0 { len.saturating_add(index) } else { index };
    // Both before the start: Redis compares them before it clamps them.
    if first < 0 && last < 0 && first > last {
        return Ok(Reply::bulk(""));
    }
    let first = from_start(first).max(0);
    let last = from_start(last).max(0).min(len - 1);
    if first > last {
        return Ok(Reply::bulk(""));
    }
    Ok(Reply::Bulk(value.slice(first as usize..last as usize + 1)))
}

pub(crate) fn setrange(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let (offset, part) = (integer(&args[2])?, &args[3]);
    let offset =
        usize::try_from(offset).map_err(|_| CommandError::fixed("ERR offset is out of range"))?;
    let old = data.lookup_string(&args[1])?;
    let old_payload = old.as_ref().map_or(&b""[..], Stored::payload);
    if part.is_empty() {
        return Ok(Reply::Integer(old_payload.len() as i64));
    }
    let end = offset.saturating_add(part.len());
    if end > MAX_STRING_BYTES {
        return Err(CommandError::STRING_TOO_LONG);
    }
    let mut payload = Vec::with_capacity(end.max(old_payload.len()));
    payload.extend_from_slice(old_payload);
    payload.resize(end.max(old_payload.len()), 0);
    payload[offset..end].copy_from_slice(part);
    let expires_at_ms = old.as_ref().and_then(|stored| stored.expires_at_ms);
    data.put(&args[1], &payload, expires_at_ms)?;
    Ok(Reply::Integer(payload.len() as i64))
}
