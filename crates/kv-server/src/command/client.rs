//! `CLIENT`: this connection and the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::arguments::{integer, is_word, quote_for_error};
use super::call::Call;
use super::connection::{client_name, printable};
use super::error::{CommandError, CommandResult};
use super::outcome::Outcome;
use super::server::ClientInfo;
use crate::resp::Reply;

pub(crate) fn id(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    Ok(Reply::Integer(call.session.id as i64).into())
}

pub(crate) fn getname(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let name = &call.session.name;
    Ok(if name.is_empty() { Reply::Nil } else { Reply::bulk(name.as_bytes()) }.into())
}

pub(crate) fn setname(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    call.session.name = client_name(&call.args[2])?;
    Ok(Reply::OK.into())
}

pub(crate) fn setinfo(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let (option, text) = (&call.args[2], &call.args[3]);
    let (field, name): (&mut Arc<str>, _) = if is_word(option, "LIB-NAME") {
        (&mut call.session.library_name, "lib-name")
    } else if is_word(option, "LIB-VER") {
        (&mut call.session.library_version, "lib-ver")
    } else {
        let option = quote_for_error(option, 128);
        return Err(CommandError::general(format_args!("Unrecognized option '{option}'")));
    };
    *field = printable(name, text)?;
    Ok(Reply::OK.into())
}

pub(crate) fn info(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let clients = call.server.clients();
    let own = clients.into_iter().find(|client| client.id == call.session.id);
    let line = describe(&current(own.unwrap_or_default(), call));
    Ok(Reply::Verbatim(format!("{line}\n")).into())
}

pub(crate) fn list(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let mut ids: Option<BTreeSet<u64>> = None;
    match call.args.get(2) {
        None => {}
        Some(word) if is_word(word, "TYPE") && call.args.len() == 4 => {
            let is_ours = is_known_type(&call.args[3])?;
            ids = (!is_ours).then(BTreeSet::new);
        }
        Some(word) if is_word(word, "ID") && call.args.len() >= 4 => {
            let parsed = call.args.iter_from(3).map(client_id).collect::<CommandResult<_>>();
            ids = Some(parsed?);
        }
        Some(_) => return Err(CommandError::SYNTAX),
    }
    let mut text = String::new();
    for client in call.server.clients() {
        if ids.as_ref().is_none_or(|ids| ids.contains(&client.id)) {
            text.push_str(&describe(&current(client, call)));
            text.push('\n');
        }
    }
    Ok(Reply::Verbatim(text).into())
}

fn client_id(argument: &[u8]) -> CommandResult<u64> {
    let id = integer(argument).ok().and_then(|id| u64::try_from(id).ok());
    id.filter(|id| *id > 0).ok_or(CommandError::fixed("ERR Invalid client ID"))
}

/// True for `normal`, the only type of connection there is.
fn is_known_type(argument: &[u8]) -> CommandResult<bool> {
    if is_word(argument, "normal") {
        return Ok(true);
    }
    if ["master", "replica", "slave", "pubsub"].iter().any(|name| is_word(argument, name)) {
        return Ok(false);
    }
    let name = quote_for_error(argument, 128);
    Err(CommandError::general(format_args!("Unknown client type '{name}'")))
}

/// Accepted: there is no eviction of clients to be spared from.
pub(crate) fn no_evict(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    accept_switch(call)
}

/// Accepted: accesses are not recorded.
pub(crate) fn no_touch(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    accept_switch(call)
}

fn accept_switch(call: &Call<'_, '_>) -> CommandResult<Outcome> {
    if is_word(&call.args[2], "ON") || is_word(&call.args[2], "OFF") {
        return Ok(Reply::OK.into());
    }
    Err(CommandError::SYNTAX)
}

/// Which connections `CLIENT KILL` closes.
#[derive(Debug, Default)]
struct KillFilter {
    id: Option<u64>,
    address: Option<String>,
    local_address: Option<String>,
    no_other_type: bool,
    spares_self: bool,
}

impl KillFilter {
    fn takes(&self, client: &ClientInfo, own_id: u64) -> bool {
        let address_is = |wanted: &Option<String>, address: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == address)
        };
        self.id.is_none_or(|id| id == client.id)
            && address_is(&self.address, &client.address)
            && address_is(&self.local_address, &client.local_address)
            && !self.no_other_type
            && !(self.spares_self && client.id == own_id)
    }
}

pub(crate) fn kill(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let is_old_form = call.args.len() == 3;
    let filter = if is_old_form {
        let address = String::from_utf8_lossy(&call.args[2]).into_owned();
        KillFilter { address: Some(address), ..KillFilter::default() }
    } else {
        parse_kill_filter(call)?
    };
    let mut killed = 0;
    let mut kills_self = false;
    for client in call.server.clients() {
        if !filter.takes(&client, call.session.id) {
            continue;
        }
        if client.id == call.session.id {
            kills_self = true;
            killed += 1;
        } else {
            killed += i64::from(call.server.kill_client(client.id));
        }
    }
    let reply = match (is_old_form, killed) {
        (false, _) => Reply::Integer(killed),
        (true, 0) => return Err(CommandError::fixed("ERR No such client")),
        (true, _) => Reply::OK,
    };
    Ok(if kills_self { Outcome::Close(reply) } else { Outcome::Reply(reply) })
}

fn parse_kill_filter(call: &Call<'_, '_>) -> CommandResult<KillFilter> {
    let mut filter = KillFilter { spares_self: true, ..KillFilter::default() };
    let mut rest = call.args.iter_from(2);
    while let Some(word) = rest.next() {
        let argument = rest.next().ok_or(CommandError::SYNTAX)?;
        let text = || String::from_utf8_lossy(argument).into_owned();
        if is_word(word, "ID") {
            let id = client_id(argument)
                .map_err(|_| CommandError::fixed("ERR client-id should be greater than 0"))?;
            filter.id = Some(id);
        } else if is_word(word, "TYPE") {
            filter.no_other_type |= !is_known_type(argument)?;
        } else if is_word(word, "ADDR") {
            filter.address = Some(text());
        } else if is_word(word, "LADDR") {
            filter.local_address = Some(text());
        } else if is_word(word, "USER") {
            if !is_word(argument, "default") {
                let user = quote_for_error(argument, 128);
                return Err(CommandError::general(format_args!("No such user '{user}'")));
            }
        } else if is_word(word, "SKIPME") {
            filter.spares_self = match argument {
                yes if is_word(yes, "yes") => true,
                no if is_word(no, "no") => false,
                _ => return Err(CommandError::SYNTAX),
            };
        } else {
            return Err(CommandError::SYNTAX);
        }
    }
    Ok(filter)
}

/// What the server knows of a client, with what this very run has changed.
fn current(mut client: ClientInfo, call: &Call<'_, '_>) -> ClientInfo {
    if client.id == call.session.id || client.id == 0 {
        let session = &*call.session;
        client.id = session.id;
        client.name = session.name.to_string();
        client.database = session.database;
        client.queued = session.queued_commands();
        client.protocol_number = session.protocol.number();
        client.library_name = session.library_name.to_string();
        client.library_version = session.library_version.to_string();
        client.last_command = call.spec.name.to_owned();
    }
    client
}

/// A line of `CLIENT LIST`, with the fields that its readers parse.
fn describe(client: &ClientInfo) -> String {
    let queued = client.queued.map_or(-1, |queued| queued as i64);
    let flags = if client.queued.is_some() { "x" } else { "N" };
    format!(
        "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub=0 psub=0 \
         ssub=0 multi={queued} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} \
         oll=0 omem={} tot-mem={} events=r cmd={} user=default redir=-1 resp={} lib-name={} \
         lib-ver={}",
        client.id,
        client.address,
        client.local_address,
        client.name,
        client.age_s,
        client.idle_s,
        client.database,
        client.input_bytes,
        client.output_bytes,
        client.output_bytes,
        client.input_bytes + client.output_bytes,
        if client.last_command.is_empty() { "NULL" } else { &client.last_command },
        client.protocol_number,
        client.library_name,
        client.library_version,
    )
}
