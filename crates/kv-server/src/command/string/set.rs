//! `SET` and `GETEX` with their options.

use super::super::arguments::is_word;
use super::super::data::DataContext;
use super::super::error::{CommandError, CommandResult};
use super::expiry_option::ExpiryOption;
use crate::resp::{Args, Reply};

/// `SET` writes only if the key is in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

#[derive(Debug, Default)]
struct SetOptions<'a> {
    condition: Option<Condition>,
    get: bool,
    keep_ttl: bool,
    expiry: Option<ExpiryOption<'a>>,
}

/// Without options this reads nothing: the batch stays unconditional.
pub(crate) fn set(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    if args.len() == 3 {
        data.put(&args[1], &args[2], None)?;
        return Ok(Reply::OK);
    }
    let options = parse_set_options(args)?;
    let now_ms = data.now_ms();
    let expires_at_ms = options.expiry.map(|expiry| expiry.at_ms("set", now_ms)).transpose()?;
    let must_read = options.get || options.keep_ttl || options.condition.is_some();
    if !must_read {
        data.put(&args[1], &args[2], expires_at_ms)?;
        return Ok(Reply::OK);
    }
    let old = if options.get { data.lookup_string(&args[1])? } else { data.lookup(&args[1])? };
    let is_met = match options.condition {
        None => true,
        Some(Condition::Absent) => old.is_none(),
        Some(Condition::Present) => old.is_some(),
    };
    if is_met {
        let kept = old.as_ref().filter(|_| options.keep_ttl);
        let expires_at_ms = expires_at_ms.or(kept.and_then(|stored| stored.expires_at_ms));
        data.put(&args[1], &args[2], expires_at_ms)?;
    }
    Ok(match old {
        Some(stored) if options.get => Reply::Bulk(stored.into_payload()),
        None if options.get => Reply::Nil,
        _ if is_met => Reply::OK,
        _ => Reply::Nil,
    })
}

pub(crate) fn setex(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    set_for(ExpiryOption::Seconds(&args[2]), "setex", args, data)
}

pub(crate) fn psetex(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    set_for(ExpiryOption::Milliseconds(&args[2]), "psetex", args, data)
}

fn set_for(
    expiry: ExpiryOption<'_>,
    name: &'static str,
    args: Args<'_>,
    data: &mut DataContext<'_>,
) -> CommandResult<Reply> {
    let expires_at_ms = expiry.at_ms(name, data.now_ms())?;
    data.put(&args[1], &args[3], Some(expires_at_ms))?;
    Ok(Reply::OK)
}

pub(crate) fn getex(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let (persist, expiry) = parse_getex_options(args)?;
    // A key that is not there makes wrong expiry times harmless, as in Redis.
    let Some(stored) = data.lookup_string(&args[1])? else { return Ok(Reply::Nil) };
    if let Some(expiry) = expiry {
        let at_ms = expiry.at_ms("getex", data.now_ms())?;
        if at_ms <= data.now_ms() {
            data.delete(&args[1])?;
        } else {
            data.put(&args[1], stored.payload(), Some(at_ms))?;
        }
    } else if persist && stored.expires_at_ms.is_some() {
        data.put(&args[1], stored.payload(), None)?;
    }
    Ok(Reply::Bulk(stored.into_payload()))
}

fn parse_set_options(args: Args<'_>) -> CommandResult<SetOptions<'_>> {
    let mut options = SetOptions::default();
    let mut rest = args.iter_from(3);
    while let Some(word) = rest.next() {
        let condition = options.condition;
        if is_word(word, "NX") && condition != Some(Condition::Present) {
            options.condition = Some(Condition::Absent);
        } else if is_word(word, "XX") && condition != Some(Condition::Absent) {
            options.condition = Some(Condition::Present);
        } else if is_word(word, "GET") {
            options.get = true;
        } else if is_word(word, "KEEPTTL") && options.expiry.is_none() {
            options.keep_ttl = true;
        } else {
            let expiry = ExpiryOption::parse(word, &mut rest, options.expiry);
            options.expiry =
                Some(expiry.filter(|_| !options.keep_ttl).ok_or(CommandError::SYNTAX)?);
        }
    }
    Ok(options)
}

fn parse_getex_options(args: Args<'_>) -> CommandResult<(bool, Option<ExpiryOption<'_>>)> {
    let mut persist = false;
    let mut expiry = None;
    let mut rest = args.iter_from(2);
    while let Some(word) = rest.next() {
        if is_word(word, "PERSIST") && expiry.is_none() {
            persist = true;
        } else {
            let parsed = ExpiryOption::parse(word, &mut rest, expiry);
            expiry = Some(parsed.filter(|_| !persist).ok_or(CommandError::SYNTAX)?);
        }
    }
    Ok((persist, expiry))
}
