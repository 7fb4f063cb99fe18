//! Values that change their key: `RENAME`, `COPY`, `MOVE`.

use super::super::arguments::{database, is_word};
use super::super::data::DataContext;
use super::super::error::{CommandError, CommandResult};
use super::super::value::Stored;
use super::refuse;
use crate::resp::{Args, Reply};

pub(crate) fn rename(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let stored = data.lookup(&args[1])?.ok_or(CommandError::NO_SUCH_KEY)?;
    if args[1] != args[2] {
        rename_to(args, &stored, data)?;
    }
    Ok(Reply::OK)
}

pub(crate) fn renamenx(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let stored = data.lookup(&args[1])?.ok_or(CommandError::NO_SUCH_KEY)?;
    if args[1] == args[2] || data.exists(&args[2])? {
        return Ok(Reply::Integer(0));
    }
    rename_to(args, &stored, data)?;
    Ok(Reply::Integer(1))
}

fn rename_to(args: Args<'_>, stored: &Stored, data: &mut DataContext<'_>) -> CommandResult<()> {
    data.check_room(2, args.size_bytes() + stored.payload().len())?;
    data.put_stored(data.database(), &args[2], stored)?;
    data.delete(&args[1])
}

pub(crate) fn copy(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let mut target = data.database();
    let mut replace = false;
    let mut rest = args.iter_from(3);
    while let Some(word) = rest.next() {
        if is_word(word, "REPLACE") {
            replace = true;
        } else if is_word(word, "DB") {
            target = database(rest.next().ok_or(CommandError::SYNTAX)?)?;
        } else {
            return Err(CommandError::SYNTAX);
        }
    }
    if target == data.database() && args[1] == args[2] {
        return refuse("ERR source and destination objects are the same");
    }
    let Some(stored) = data.lookup(&args[1])? else { return Ok(Reply::Integer(0)) };
    if !replace && data.lookup_in(target, &args[2])?.is_some() {
        return Ok(Reply::Integer(0));
    }
    data.put_stored(target, &args[2], &stored)?;
    Ok(Reply::Integer(1))
}

pub(crate) fn move_key(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let target = database(&args[2])?;
    if target == data.database() {
        return refuse("ERR source and destination objects are the same");
    }
    let Some(stored) = data.lookup(&args[1])? else { return Ok(Reply::Integer(0)) };
    if data.lookup_in(target, &args[1])?.is_some() {
        return Ok(Reply::Integer(0));
    }
    data.check_room(2, args.size_bytes() + stored.payload().len())?;
    data.put_stored(target, &args[1], &stored)?;
    data.delete(&args[1])?;
    Ok(Reply::Integer(1))
}
