//! Commands on the connection itself.

use std::sync::Arc;

use super::arguments::{database, is_word, parse_integer, quote_for_error};
use super::call::Call;
use super::error::{CommandError, CommandResult};
use super::outcome::Outcome;
use super::session::Session;
use crate::resp::{Protocol, Reply};

/// The user that a password without a name belongs to.
const DEFAULT_USER: &[u8] = b"default";

pub(crate) fn ping(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    match call.args.len() {
        1 => Ok(Reply::Simple("PONG".into()).into()),
        2 => Ok(Reply::bulk(&call.args[1]).into()),
        _ => Err(CommandError::wrong_arity(call.spec.name)),
    }
}

pub(crate) fn echo(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    Ok(Reply::bulk(&call.args[1]).into())
}

pub(crate) fn select(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    call.session.database = database(&call.args[1])?;
    Ok(Reply::OK.into())
}

pub(crate) fn quit(_: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    Ok(Outcome::Close(Reply::OK))
}

/// Makes the connection what it was when it was new.
pub(crate) fn reset(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let fresh = Session::new(call.session.id, !call.server.is_password_required());
    *call.session = Session {
        auth_failures: call.session.auth_failures,
        library_name: Arc::clone(&call.session.library_name),
        library_version: Arc::clone(&call.session.library_version),
        ..fresh
    };
    Ok(Reply::Simple("RESET".into()).into())
}

pub(crate) fn auth(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let args = call.args;
    let (user, password) = match args.len() {
        2 if !call.server.is_password_required() => {
            return Err(CommandError::fixed(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ));
        }
        2 => (DEFAULT_USER, &args[1]),
        3 => (&args[1], &args[2]),
        _ => return Err(CommandError::SYNTAX),
    };
    authenticate(call, user, password)?;
    call.session.authenticated = true;
    Ok(Reply::OK.into())
}

fn authenticate(call: &mut Call<'_, '_>, user: &[u8], password: &[u8]) -> CommandResult<()> {
    // Without a password the default user has every password, as in Redis.
    let is_open = !call.server.is_password_required() && user == DEFAULT_USER;
    if is_open || call.server.is_password_right(user, password) {
        return Ok(());
    }
    call.session.auth_failures = call.session.auth_failures.saturating_add(1);
    Err(CommandError::fixed("WRONGPASS invalid username-password pair or user is disabled."))
}

pub(crate) fn hello(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let protocol = match call.args.get(1) {
        None => call.session.protocol,
        Some(version) => match parse_integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => {
                return Err(CommandError::fixed("NOPROTO unsupported protocol version"));
            }
            None => {
                return Err(CommandError::fixed(
                    "ERR Protocol version is not an integer or out of range",
                ));
            }
        },
    };
    // Everything is checked before anything is changed.
    let mut authenticated = call.session.authenticated;
    let mut name = None;
    let mut rest = call.args.iter_from(2);
    while let Some(word) = rest.next() {
        if is_word(word, "AUTH") && rest.len() >= 2 {
            let (user, password) = (rest.next().unwrap_or(b""), rest.next().unwrap_or(b""));
            authenticate(call, user, password)?;
            authenticated = true;
        } else if is_word(word, "SETNAME") && rest.len() >= 1 {
            name = Some(client_name(rest.next().unwrap_or(b""))?);
        } else {
            let word = quote_for_error(word, 128);
            return Err(CommandError::general(format_args!(
                "Syntax error in HELLO option '{word}'"
            )));
        }
    }
    if !authenticated {
        return Err(CommandError::fixed(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    call.session.authenticated = true;
    call.session.protocol = protocol;
    if let Some(name) = name {
        call.session.name = name;
    }
    Ok(describe_server(call).into())
}

fn describe_server(call: &Call<'_, '_>) -> Reply {
    Reply::Map(vec![
        (Reply::bulk("server"), Reply::bulk("redis")),
        (Reply::bulk("version"), Reply::bulk(call.server.redis_version())),
        (Reply::bulk("proto"), Reply::Integer(call.session.protocol.number())),
        (Reply::bulk("id"), Reply::Integer(call.session.id as i64)),
        (Reply::bulk("mode"), Reply::bulk("standalone")),
        (Reply::bulk("role"), Reply::bulk("master")),
        (Reply::bulk("modules"), Reply::Array(Vec::new())),
    ])
}

/// The longest name of a connection or of its library, in bytes. It is in each
/// `CLIENT LIST`, and does not count as memory of its client.
const MAX_NAME_BYTES: usize = 512;

/// A name of a connection, fit to stand in a line of `CLIENT LIST`.
pub(crate) fn client_name(name: &[u8]) -> CommandResult<Arc<str>> {
    printable("Client names", name)
}

/// Text without spaces and control characters; errors call it `what`.
pub(crate) fn printable(what: &str, text: &[u8]) -> CommandResult<Arc<str>> {
    if text.len() > MAX_NAME_BYTES {
        let limit = format_args!("{what} cannot be longer than {MAX_NAME_BYTES} bytes.");
        return Err(CommandError::general(limit));
    }
    let is_printable = text.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(text).ok().filter(|_| is_printable);
    text.map(Arc::from).ok_or_else(|| {
        CommandError::general(format_args!(
            "{what} cannot contain spaces, newlines or special characters."
        ))
    })
}
