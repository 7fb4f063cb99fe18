//! Commands on the server as a whole.

use std::collections::BTreeSet;

use super::arguments::{is_word, quote_for_error};
use super::call::Call;
use super::error::{CommandError, CommandResult};
use super::glob::Glob;
use super::key::delete_all_keys;
use super::outcome::{Job, Outcome, Requirement};
use super::server::{ConfigureError, InfoSection};
use super::value::DATABASES;
use crate::resp::Reply;

pub(crate) fn info(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let takes = |section: &InfoSection| {
        let mut words = call.args.iter_from(1);
        (call.args.len() == 1 && section.is_default)
            || words.any(|word| {
                is_word(word, section.name)
                    || is_word(word, "all")
                    || is_word(word, "everything")
                    || (section.is_default && is_word(word, "default"))
            })
    };
    let sections = call.server.info_sections().iter().filter(|section| takes(section));
    let texts: Vec<String> = sections
        .map(|section| format!("# {}\r\n{}", section.title, call.server.info(section.name)))
        .collect();
    Ok(Reply::Verbatim(texts.join("\r\n")).into())
}

pub(crate) fn time(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let now_ms = call.data.now_ms();
    let parts = [now_ms / 1000, now_ms % 1000 * 1000];
    let parts = parts.iter().map(|part| Reply::bulk(part.to_string())).collect();
    Ok(Reply::Array(parts).into())
}

pub(crate) fn flushdb(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let database = call.data.database();
    delete_all(call, Some(database))
}

pub(crate) fn flushall(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    delete_all(call, None)
}

/// Within a transaction the deletes join its batch. Alone they may be more
/// than a batch can hold, and become a job.
fn delete_all(call: &mut Call<'_, '_>, database: Option<u8>) -> CommandResult<Outcome> {
    match call.args.get(1) {
        None => {}
        Some(word) if call.args.len() == 2 && (is_word(word, "ASYNC") || is_word(word, "SYNC")) => {
        }
        Some(_) => return Err(CommandError::SYNTAX),
    }
    if !call.in_transaction {
        return start_job(call, Job::DeleteAll { database });
    }
    let databases = database.map_or(0..=DATABASES - 1, |database| database..=database);
    delete_all_keys(databases, call.data)?;
    Ok(Reply::OK.into())
}

/// Starts a job once what the run has written is in the engine.
pub(crate) fn start_job(call: &Call<'_, '_>, job: Job) -> CommandResult<Outcome> {
    if call.data.has_pending_writes() {
        return Ok(Outcome::Again(Requirement::Commit));
    }
    Ok(Outcome::Job(job))
}

pub(crate) fn shutdown(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let (mut save, mut nosave, mut abort, mut other) = (false, false, false, false);
    for word in call.args.iter_from(1) {
        if is_word(word, "SAVE") {
            save = true;
        } else if is_word(word, "NOSAVE") {
            nosave = true;
        } else if is_word(word, "ABORT") {
            abort = true;
        } else if is_word(word, "NOW") || is_word(word, "FORCE") {
            other = true;
        } else {
            return Err(CommandError::SYNTAX);
        }
    }
    if (save && nosave) || (abort && (save || nosave || other)) {
        return Err(CommandError::SYNTAX);
    }
    if abort {
        return Err(CommandError::fixed("ERR No shutdown in progress."));
    }
    start_job(call, Job::Shutdown)
}

pub(crate) fn config_get(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let mut found = Vec::new();
    for (name, value) in call.server.configuration() {
        for pattern in call.args.iter_from(2) {
            if Glob::ignoring_case(pattern).matches(name.as_bytes())? {
                // A name without wildcards comes back as the client spelled it.
                let is_spelled = name.as_bytes().eq_ignore_ascii_case(pattern);
                let name = if is_spelled { pattern } else { name.as_bytes() };
                found.push((Reply::bulk(name), Reply::bulk(&value)));
                break;
            }
        }
    }
    Ok(Reply::Map(found).into())
}

pub(crate) fn config_set(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    if !call.args.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(call.spec.name));
    }
    let mut names = BTreeSet::new();
    let mut parameters = Vec::new();
    for (spelled, value) in call.args.iter_from(2).step_by(2).zip(call.args.iter_from(3).step_by(2))
    {
        let name = String::from_utf8_lossy(spelled).to_ascii_lowercase();
        if !names.insert(name.clone()) {
            return Err(refused(spelled, "duplicate parameter"));
        }
        // Replacing what is no text would set a password that nobody has chosen.
        let value = std::str::from_utf8(value)
            .map_err(|_| refused(spelled, "the value is not UTF-8 text"))?;
        parameters.push((name, value.to_owned()));
    }
    let Err(error) = call.server.configure(&parameters) else { return Ok(Reply::OK.into()) };
    // The client gets its own spelling back.
    let spelled = |name: &str| {
        let mut names = call.args.iter_from(2).step_by(2);
        names.find(|spelled| is_word(spelled, name)).unwrap_or_default()
    };
    Err(match error {
        ConfigureError::Unknown { name } => CommandError::general(format_args!(
            "Unknown option or number of arguments for CONFIG SET - '{}'",
            quote_for_error(spelled(&name), 128)
        )),
        ConfigureError::Refused { name, reason } => refused(spelled(&name), &reason),
    })
}

fn refused(name: &[u8], reason: &str) -> CommandError {
    let name = quote_for_error(name, 128);
    CommandError::general(format_args!(
        "CONFIG SET failed (possibly related to argument '{name}') - {reason}"
    ))
}

pub(crate) fn config_resetstat(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    call.server.reset_statistics();
    Ok(Reply::OK.into())
}

pub(crate) fn config_rewrite(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    call.server.rewrite_configuration().map_err(CommandError::general)?;
    Ok(Reply::OK.into())
}

/// There are no functions to delete.
pub(crate) fn function_flush(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    match call.args.get(2) {
        None => Ok(Reply::OK.into()),
        Some(word) if call.args.len() == 3 && (is_word(word, "ASYNC") || is_word(word, "SYNC")) => {
            Ok(Reply::OK.into())
        }
        Some(_) => Err(CommandError::fixed("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
    }
}

/// There are no replicas to wait for.
pub(crate) fn wait(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    super::arguments::integer(&call.args[1])?;
    let timeout = super::arguments::integer(&call.args[2])
        .map_err(|_| CommandError::fixed("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(CommandError::fixed("ERR timeout is negative"));
    }
    Ok(Reply::Integer(0).into())
}
