//! When keys expire.

use super::super::arguments::{integer, is_word};
use super::super::data::DataContext;
use super::super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};

/// How a command spells a time.
struct Notation {
    command: &'static str,
    unit_ms: i64,
    is_relative: bool,
}

pub(crate) fn expire(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    set_expiry(args, data, &Notation { command: "expire", unit_ms: 1000, is_relative: true })
}

pub(crate) fn pexpire(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    set_expiry(args, data, &Notation { command: "pexpire", unit_ms: 1, is_relative: true })
}

pub(crate) fn expireat(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    set_expiry(args, data, &Notation { command: "expireat", unit_ms: 1000, is_relative: false })
}

pub(crate) fn pexpireat(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    set_expiry(args, data, &Notation { command: "pexpireat", unit_ms: 1, is_relative: false })
}

fn set_expiry(
    args: Args<'_>,
    data: &mut DataContext<'_>,
    notation: &Notation,
) -> CommandResult<Reply> {
    let condition = Condition::parse(args)?;
    let base_ms = if notation.is_relative { data.now_ms() } else { 0 };
    let at_ms = integer(&args[2])?
        .checked_mul(notation.unit_ms)
        .and_then(|ms| ms.checked_add_unsigned(base_ms))
        .ok_or_else(|| CommandError::invalid_expiry(notation.command))?;
    let Some(stored) = data.lookup(&args[1])? else { return Ok(Reply::Integer(0)) };
    // Times before 1970 are as past as any other.
    let at_ms = at_ms.max(0).unsigned_abs();
    if !condition.allows(stored.expires_at_ms, at_ms) {
        return Ok(Reply::Integer(0));
    }
    if at_ms <= data.now_ms() {
        data.delete(&args[1])?;
    } else {
        let mut stored = stored;
        stored.expires_at_ms = Some(at_ms);
        data.put_stored(data.database(), &args[1], &stored)?;
    }
    Ok(Reply::Integer(1))
}

/// The options `NX`, `XX`, `GT` and `LT`.
#[derive(Debug, Default)]
struct Condition {
    absent: bool,
    present: bool,
    later: bool,
    earlier: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> CommandResult<Condition> {
        let mut condition = Condition::default();
        for word in args.iter_from(3) {
            if is_word(word, "NX") {
                condition.absent = true;
            } else if is_word(word, "XX") {
                condition.present = true;
            } else if is_word(word, "GT") {
                condition.later = true;
            } else if is_word(word, "LT") {
                condition.earlier = true;
            } else {
                let word = super::super::arguments::quote_for_error(word, 128);
                return Err(CommandError::general(format_args!("Unsupported option {word}")));
            }
        }
        if condition.absent && (condition.present || condition.later || condition.earlier) {
            return super::refuse(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            );
        }
        if condition.later && condition.earlier {
            return super::refuse("ERR GT and LT options at the same time are not compatible");
        }
        Ok(condition)
    }

    /// A key without expiry counts as one that expires after all others.
    fn allows(&self, old_ms: Option<u64>, new_ms: u64) -> bool {
        let is_later = old_ms.is_some_and(|old_ms| new_ms > old_ms);
        let is_earlier = old_ms.is_none_or(|old_ms| new_ms < old_ms);
        (!self.absent || old_ms.is_none())
            && (!self.present || old_ms.is_some())
            && (!self.later || is_later)
            && (!self.earlier || is_earlier)
    }
}

pub(crate) fn ttl(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    // Rounded to the nearest second, as Redis does.
    tell_expiry(args, data, |at_ms, now_ms| {
        (at_ms.saturating_sub(now_ms).saturating_add(500)) / 1000
    })
}

pub(crate) fn pttl(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    tell_expiry(args, data, |at_ms, now_ms| at_ms.saturating_sub(now_ms))
}

pub(crate) fn expiretime(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    tell_expiry(args, data, |at_ms, _| (at_ms + 500) / 1000)
}

pub(crate) fn pexpiretime(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    tell_expiry(args, data, |at_ms, _| at_ms)
}

/// -2 without the key, -1 without an expiry.
fn tell_expiry(
    args: Args<'_>,
    data: &mut DataContext<'_>,
    tell: impl Fn(u64, u64) -> u64,
) -> CommandResult<Reply> {
    let number = match data.lookup(&args[1])? {
        None => -2,
        Some(stored) => match stored.expires_at_ms {
            None => -1,
            Some(at_ms) => tell(at_ms, data.now_ms()) as i64,
        },
    };
    Ok(Reply::Integer(number))
}

pub(crate) fn persist(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    match data.lookup(&args[1])? {
        Some(mut stored) if stored.expires_at_ms.is_some() => {
            stored.expires_at_ms = None;
            data.put_stored(data.database(), &args[1], &stored)?;
            Ok(Reply::Integer(1))
        }
        _ => Ok(Reply::Integer(0)),
    }
}
