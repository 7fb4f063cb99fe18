//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.
//!
//! A transaction is one unit: its writes are in one batch, and if it writes,
//! everything that it read must still be so when the batch commits. Watched
//! keys are checked against the run's view first, because a change since
//! `WATCH` ends the transaction, while a change since the view only means that
//! the run is executed again.

use super::call::{Call, run_handler, unmet_requirement};
use super::data::{Access, DataContext};
use super::error::{CommandError, CommandResult};
use super::outcome::{Outcome, Requirement};
use super::session::{Transaction, WatchedKey, Watches};
use super::spec::Flags;
use super::value::{is_past, put_key, split_key};
use crate::resp::Reply;

pub(crate) fn multi(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    if call.session.transaction.is_some() {
        return Err(CommandError::fixed("ERR MULTI calls can not be nested"));
    }
    call.session.transaction = Some(Transaction::default());
    Ok(Reply::OK.into())
}

pub(crate) fn discard(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    if call.session.transaction.is_none() {
        return Err(CommandError::fixed("ERR DISCARD without MULTI"));
    }
    call.session.discard();
    Ok(Reply::OK.into())
}

pub(crate) fn unwatch(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    call.session.watches = Default::default();
    Ok(Reply::OK.into())
}

pub(crate) fn watch(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    if call.session.transaction.is_some() {
        return Err(CommandError::fixed("ERR WATCH inside MULTI is not allowed"));
    }
    let database = call.data.database();
    for user_key in call.args.iter_from(1) {
        let mut key = Vec::new();
        put_key(&mut key, database, user_key);
        if call.session.watches.contains(&key) {
            continue;
        }
        // A published view lags behind and makes no expectations.
        if call.data.access() == Access::ReadOnly {
            return Ok(Outcome::Again(Requirement::UpdateView));
        }
        // What is only pending has no place in the engine's order yet.
        if call.data.has_pending_write(&key) {
            return Ok(Outcome::Again(Requirement::Commit));
        }
        let stored = call.data.lookup_expired_too(database, user_key)?;
        let was_expired = stored.as_ref().is_some_and(|stored| call.data.is_expired(stored));
        let expires_at_ms = stored.and_then(|stored| stored.expires_at_ms);
        let expectation = call.data.expectation(&key)?;
        call.session.watches.add(key, WatchedKey { expectation, expires_at_ms, was_expired });
    }
    Ok(Reply::OK.into())
}

pub(crate) fn exec(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let Some(transaction) = &call.session.transaction else {
        return Err(CommandError::fixed("ERR EXEC without MULTI"));
    };
    if transaction.is_refused() {
        call.session.discard();
        return Err(CommandError::fixed(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    let flags = transaction
        .commands()
        .iter()
        .fold(Flags::NONE, |flags, command| flags.and(command.spec.flags));
    // Watched keys have to be compared with the state that they were taken from.
    let needed = if call.session.watches.is_empty() { flags } else { flags.and(Flags::WRITE) };
    if let Some(requirement) = unmet_requirement(needed, call.data) {
        return Ok(Outcome::Again(requirement));
    }
    let transaction = transaction.clone();
    let watches = std::mem::take(&mut call.session.watches);
    call.session.discard();
    let may_write = flags.contains(Flags::WRITE);
    call.data.begin_unit(may_write);
    if watches.is_broken() || !are_unchanged(&watches, call.data)? {
        return Ok(Reply::NilArray.into());
    }
    Ok(execute_all(&transaction, call))
}

fn execute_all(transaction: &Transaction, call: &mut Call<'_, '_>) -> Outcome {
    let mut replies = Vec::with_capacity(transaction.commands().len());
    let mut closes = false;
    for command in transaction.commands() {
        call.data.select(call.session.database);
        let held_before = call.data.reply_room().held_bytes();
        let mut queued = Call {
            spec: command.spec,
            args: command.args.as_args(),
            session: call.session,
            data: call.data,
            server: call.server,
            in_transaction: true,
        };
        let reply = match run_handler(&mut queued) {
            Ok(Outcome::Reply(reply)) => reply,
            Ok(Outcome::Close(reply)) => {
                closes = true;
                reply
            }
            Ok(Outcome::Job(_) | Outcome::Again(_)) => CommandError::NOT_IN_TRANSACTION.into(),
            Err(error) => error.into(),
        };
        // Behind the limit they are not kept, and never sent.
        replies.extend(call.data.reply_room().keep_reply(reply, held_before));
    }
    let reply = Reply::Array(replies);
    if closes { Outcome::Close(reply) } else { Outcome::Reply(reply) }
}

/// True if no watched key has changed since it was watched. As the keys are
/// read for that, a transaction that writes depends on them from here on.
fn are_unchanged(watches: &Watches, data: &mut DataContext<'_>) -> CommandResult<bool> {
    for (key, watched) in watches.iter() {
        let Some((database, user_key)) = split_key(key) else { continue };
        let is_live = data.lookup_in(database, user_key)?.is_some();
        let was_removed_only = watched.was_expired && !is_live;
        if !was_removed_only {
            // A key that has expired since may be gone without a write: a
            // compaction leaves it out.
            let has_expired = !watched.was_expired && is_past(watched.expires_at_ms, data.now_ms());
            if has_expired || !data.is_unchanged(&watched.expectation)? {
                return Ok(false);
            }
            let stored = data.lookup_expired_too(database, user_key)?;
            if stored.is_some_and(|stored| data.is_expired(&stored)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
