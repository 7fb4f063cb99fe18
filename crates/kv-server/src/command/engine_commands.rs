//! Commands on the engine below, beyond those of Redis.

use super::call::Call;
use super::error::CommandResult;
use super::outcome::{Job, Outcome};
use super::server_commands::start_job;
use crate::resp::Reply;

pub(crate) fn flush(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    start_job(call, Job::FlushMemtable)
}

pub(crate) fn compact(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    start_job(call, Job::Compact)
}

pub(crate) fn stats(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    Ok(Reply::Verbatim(call.server.engine_statistics()).into())
}

/// One map per level: its number, tables, bytes and entries.
pub(crate) fn levels(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let levels = call.server.levels().into_iter().map(|level| {
        let fields = [
            ("level", u64::from(level.level)),
            ("tables", level.tables),
            ("bytes", level.bytes),
            ("entries", level.entries),
        ];
        let pair = |(name, number)| (Reply::bulk(name), Reply::Integer(number as i64));
        Reply::Map(fields.map(pair).into())
    });
    Ok(Reply::Array(levels.collect()).into())
}
