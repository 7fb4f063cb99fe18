//! The command table: the one place that says what commands there are.
//!
//! Lookup, arity errors, key extraction, `COMMAND`, access categories and
//! `docs/COMMANDS.md` all come from its rows.

mod connection;
mod engine;
mod generic;
mod rows;
mod server;
mod string;
mod transactions;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::arguments::quote_for_error;
use super::error::{CommandError, CommandResult};
use super::spec::CommandSpec;
use crate::resp::Args;

const GROUPS: [&[CommandSpec]; 7] = [
    connection::COMMANDS,
    server::COMMANDS,
    generic::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
    transactions::SCRIPTING,
    engine::COMMANDS,
];

/// Longer than every name: a longer one need not be looked up.
const MAX_NAME_BYTES: usize = 32;

static BY_NAME: LazyLock<HashMap<&'static [u8], &'static CommandSpec>> =
    LazyLock::new(|| all().map(|spec| (spec.name.as_bytes(), spec)).collect());

/// All commands, without their subcommands.
pub(crate) fn all() -> impl Iterator<Item = &'static CommandSpec> {
    GROUPS.into_iter().flatten()
}

/// The command of this name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut lower = [0; MAX_NAME_BYTES];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    BY_NAME.get(&*lower).copied()
}

/// The command named `config|get`, or `config`, in any case.
pub(crate) fn find_full(name: &[u8]) -> Option<&'static CommandSpec> {
    match name.iter().position(|byte| *byte == b'|') {
        None => find(name),
        Some(bar) => find_subcommand(find(&name[..bar])?, &name[bar + 1..]),
    }
}

/// The subcommand of this name, in any case.
pub(crate) fn find_subcommand(command: &CommandSpec, name: &[u8]) -> Option<&'static CommandSpec> {
    let mut subcommands = command.subcommands.iter();
    subcommands.find(|spec| spec.own_name().as_bytes().eq_ignore_ascii_case(name))
}

/// The command or subcommand that arguments name, with their number checked.
///
/// # Errors
/// Unknown names and wrong numbers of arguments, as Redis words them.
pub(crate) fn resolve(args: Args<'_>) -> CommandResult<&'static CommandSpec> {
    let command = find(args.name()).ok_or_else(|| unknown_command(args))?;
    let spec = match args.get(1) {
        Some(name) if command.is_container() => {
            find_subcommand(command, name).ok_or_else(|| unknown_subcommand(command, name))?
        }
        _ => command,
    };
    if !spec.takes(args.len()) {
        return Err(CommandError::wrong_arity(spec.name));
    }
    Ok(spec)
}

/// The name of the command that arguments call, as the table spells it; empty
/// for an unknown one.
pub(crate) fn command_name(args: Args<'_>) -> &'static str {
    let Some(command) = find(args.name()) else { return "" };
    let subcommand = args.get(1).and_then(|name| find_subcommand(command, name));
    subcommand.unwrap_or(command).name
}

/// Bytes of an unknown command that its error quotes: of the name, and of all
/// arguments together.
const MAX_QUOTED_BYTES: usize = 128;

fn unknown_command(args: Args<'_>) -> CommandError {
    let name = quote_for_error(args.name(), MAX_QUOTED_BYTES);
    let mut quoted = String::new();
    for argument in args.iter_from(1) {
        if quoted.len() >= MAX_QUOTED_BYTES {
            break;
        }
        let argument = quote_for_error(argument, MAX_QUOTED_BYTES - quoted.len());
        quoted.push_str(&format!("'{argument}' "));
    }
    CommandError::general(format_args!(
        "unknown command '{name}', with args beginning with: {quoted}"
    ))
}

fn unknown_subcommand(command: &CommandSpec, name: &[u8]) -> CommandError {
    let name = quote_for_error(name, MAX_QUOTED_BYTES);
    let help = command.name.to_ascii_uppercase();
    CommandError::general(format_args!("unknown subcommand '{name}'. Try {help} HELP."))
}
