//! The execution of one command.

use super::arguments::is_word;
use super::data::{Access, DataContext};
use super::error::{CommandError, CommandResult};
use super::outcome::{Outcome, Requirement};
use super::server::ServerHandle;
use super::session::Session;
use super::spec::{CommandSpec, Flags, Handler};
use super::table;
use crate::resp::{Args, Reply};

/// A run commits its writes before it executes another command once they are
/// this big: far below the limit of a batch, so that a command that fits a
/// batch of its own fits behind them as well.
const MAX_RUN_BYTES: usize = 1 << 20;

/// A command with everything it may touch.
pub(crate) struct Call<'c, 'r> {
    pub(crate) spec: &'static CommandSpec,
    pub(crate) args: Args<'c>,
    pub(crate) session: &'c mut Session,
    pub(crate) data: &'c mut DataContext<'r>,
    pub(crate) server: &'c dyn ServerHandle,
    /// True while `EXEC` runs what was queued.
    pub(crate) in_transaction: bool,
}

/// Executes one command of a run, or queues it if a transaction is open.
///
/// Every reply of a run leaves after its batch has committed. If the batch
/// meets a conflict, all commands of the run are executed again from the
/// session as it was before, on a new view.
pub(crate) fn execute(
    args: Args<'_>,
    session: &mut Session,
    data: &mut DataContext<'_>,
    server: &dyn ServerHandle,
) -> Outcome {
    match try_execute(args, session, data, server) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Reply(error.into()),
    }
}

fn try_execute(
    args: Args<'_>,
    session: &mut Session,
    data: &mut DataContext<'_>,
    server: &dyn ServerHandle,
) -> CommandResult<Outcome> {
    let spec = match admit(args, session) {
        Ok(spec) => spec,
        Err(error) => return Err(note_refused(error, args, session)),
    };
    if let Some(transaction) = &mut session.transaction
        && !spec.flags.contains(Flags::UNQUEUED)
    {
        if !transaction.push(spec, args) {
            session.note_refused();
            return Err(CommandError::fixed("ERR the transaction is over its limit of 1 GiB"));
        }
        return Ok(Reply::QUEUED.into());
    }
    if let Some(requirement) = unmet_requirement(spec.flags, data) {
        return Ok(Outcome::Again(requirement));
    }
    data.select(session.database);
    data.begin_unit(spec.flags.contains(Flags::WRITE));
    let mut call = Call { spec, args, session, data, server, in_transaction: false };
    let outcome = run_handler(&mut call);
    data.end_unit();
    outcome
}

/// Finds the command and checks what can be checked before anything is done.
fn admit(args: Args<'_>, session: &Session) -> CommandResult<&'static CommandSpec> {
    let spec = table::resolve(args)?;
    if !session.authenticated && !spec.flags.contains(Flags::NO_AUTH) {
        return Err(CommandError::NO_AUTH);
    }
    if session.transaction.is_some() && spec.flags.contains(Flags::NO_MULTI) {
        return Err(CommandError::NOT_IN_TRANSACTION);
    }
    Ok(spec)
}

/// A refused command refuses the transaction that it would have been part of; a
/// refused `EXEC` ends it.
fn note_refused(error: CommandError, args: Args<'_>, session: &mut Session) -> CommandError {
    if !is_word(args.name(), "EXEC") {
        session.note_refused();
        return error;
    }
    session.discard();
    error.as_reason_for_abort()
}

/// What commands with these flags need that the context does not give.
pub(crate) fn unmet_requirement(flags: Flags, data: &DataContext<'_>) -> Option<Requirement> {
    let is_long = flags.contains(Flags::LONG) && !data.may_take_long();
    if data.pending_bytes() > MAX_RUN_BYTES || (is_long && data.has_pending_writes()) {
        return Some(Requirement::Commit);
    }
    if is_long {
        return Some(Requirement::LongRun);
    }
    if flags.contains(Flags::WRITE) && data.access() == Access::ReadOnly {
        return Some(Requirement::UpdateView);
    }
    None
}

/// Runs a command inside the current unit of its data.
pub(crate) fn run_handler(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    if call.session.watches.is_empty() {
        return dispatch(call);
    }
    // A connection that writes a key it watches has broken its own watch.
    call.data.note_written_keys();
    let outcome = dispatch(call);
    for key in call.data.take_written_keys() {
        call.session.watches.note_own_write(&key);
    }
    outcome
}

fn dispatch(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    match call.spec.handler {
        Handler::Data(handler) => handler(call.args, call.data).map(Outcome::Reply),
        Handler::Control(handler) => handler(call),
        Handler::Container => Err(CommandError::wrong_arity(call.spec.name)),
    }
}
