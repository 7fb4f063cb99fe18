//! `COMMAND`: the command table as clients read it.

use std::collections::BTreeSet;

use super::arguments::is_word;
use super::call::Call;
use super::error::{CommandError, CommandResult};
use super::glob::Glob;
use super::key_specs::key_specs;
use super::outcome::Outcome;
use super::reply_room::nested_bytes;
use super::spec::CommandSpec;
use super::syntax::describe_arguments;
use super::table;
use crate::resp::{Args, OwnedArgs, Reply};

pub(crate) fn command(_: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    Ok(Reply::Array(table::all().map(describe).collect()).into())
}

pub(crate) fn count(_: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    Ok(Reply::Integer(table::all().count() as i64).into())
}

pub(crate) fn info(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    if call.args.len() == 2 {
        return command(call);
    }
    let room = call.data.reply_room();
    let infos = call.args.iter_from(2).map(|name| {
        let Some(spec) = table::find_full(name) else { return Ok(Reply::Nil) };
        let info = describe(spec);
        room.take(nested_bytes(&info))?;
        Ok(info)
    });
    Ok(Reply::Array(infos.collect::<CommandResult<_>>()?).into())
}

fn describe(spec: &CommandSpec) -> Reply {
    let simple = |text: &'static str| Reply::Simple(text.into());
    Reply::Array(vec![
        Reply::bulk(spec.name),
        Reply::Integer(i64::from(spec.arity)),
        Reply::Set(spec.flags.names().map(simple).collect()),
        Reply::Integer(i64::from(spec.keys.first)),
        Reply::Integer(i64::from(spec.keys.last)),
        Reply::Integer(i64::from(spec.keys.step)),
        Reply::Set(spec.acl_categories().into_iter().map(simple).collect()),
        Reply::Array(Vec::new()),
        Reply::Array(key_specs(&spec.keys)),
        Reply::Array(spec.subcommands.iter().map(describe).collect()),
    ])
}

pub(crate) fn docs(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let docs = |spec: &'static CommandSpec| (Reply::bulk(spec.name), describe_docs(spec));
    if call.args.len() == 2 {
        return Ok(Reply::Map(table::all().map(docs).collect()).into());
    }
    // Once for each: a map has every key once, and a request may repeat a name
    // any number of times.
    let mut seen = BTreeSet::new();
    let named = call.args.iter_from(2).filter_map(table::find_full);
    let found = named.filter(|spec| seen.insert(spec.name)).map(docs);
    Ok(Reply::Map(found.collect()).into())
}

fn describe_docs(spec: &'static CommandSpec) -> Reply {
    let mut docs = vec![
        (Reply::bulk("summary"), Reply::bulk(spec.summary)),
        (Reply::bulk("since"), Reply::bulk(spec.since)),
        (Reply::bulk("group"), Reply::bulk(spec.group.name())),
        (Reply::bulk("complexity"), Reply::bulk(spec.complexity)),
    ];
    let arguments = describe_arguments(spec.syntax);
    if !arguments.is_empty() {
        docs.push((Reply::bulk("arguments"), Reply::Array(arguments)));
    }
    if spec.is_container() {
        let subcommands = spec.subcommands.iter();
        let subcommands =
            subcommands.map(|sub| (Reply::bulk(sub.name), describe_docs(sub))).collect();
        docs.push((Reply::bulk("subcommands"), Reply::Map(subcommands)));
    }
    Reply::Map(docs)
}

pub(crate) fn list(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let filter = match (call.args.get(2), call.args.get(3), call.args.get(4)) {
        (None, ..) => Filter::All,
        (Some(word), Some(kind), Some(argument))
            if call.args.len() == 5 && is_word(word, "FILTERBY") =>
        {
            Filter::parse(kind, argument)?
        }
        _ => return Err(CommandError::SYNTAX),
    };
    let mut names = Vec::new();
    for spec in table::all() {
        for spec in std::iter::once(spec).chain(spec.subcommands) {
            if filter.takes(spec)? {
                names.push(Reply::bulk(spec.name));
            }
        }
    }
    Ok(Reply::Array(names).into())
}

enum Filter<'a> {
    All,
    /// No command comes from a module.
    Nothing,
    Category(&'a [u8]),
    Pattern(Glob<'a>),
}

impl<'a> Filter<'a> {
    fn parse(kind: &[u8], argument: &'a [u8]) -> CommandResult<Filter<'a>> {
        if is_word(kind, "MODULE") {
            Ok(Filter::Nothing)
        } else if is_word(kind, "ACLCAT") {
            Ok(Filter::Category(argument))
        } else if is_word(kind, "PATTERN") {
            Ok(Filter::Pattern(Glob::ignoring_case(argument)))
        } else {
            Err(CommandError::SYNTAX)
        }
    }

    fn takes(&self, spec: &CommandSpec) -> CommandResult<bool> {
        match self {
            Filter::All => Ok(true),
            Filter::Nothing => Ok(false),
            Filter::Category(name) => {
                let categories = spec.acl_categories();
                Ok(categories.iter().any(|category| is_word(name, &category[1..])))
            }
            Filter::Pattern(pattern) => pattern.matches(spec.name.as_bytes()),
        }
    }
}

pub(crate) fn getkeys(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let (_, keys) = keys_of(call.args)?;
    Ok(Reply::Array(keys.into_iter().map(|(key, _)| Reply::bulk(key)).collect()).into())
}

pub(crate) fn getkeysandflags(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let (spec, keys) = keys_of(call.args)?;
    let is_get = call.args.iter_from(5).any(|word| is_word(word, "GET"));
    let with_flags = keys.into_iter().map(|(key, position)| {
        let access = spec.keys.access;
        let flags = match access.get(position).or(access.last()).copied().unwrap_or_default() {
            // Only SET has them, and only its option GET makes it read.
            flags if flags.ends_with(VARIABLE_FLAGS) && !is_get => "OW update",
            flags => flags.trim_end_matches(VARIABLE_FLAGS),
        };
        let flags = flags.split(' ').map(|flag| Reply::Simple(flag.into())).collect();
        Reply::Array(vec![Reply::bulk(key), Reply::Set(flags)])
    });
    Ok(Reply::Array(with_flags.collect()).into())
}

/// Marks flags that depend on the options of the command.
const VARIABLE_FLAGS: &str = " variable_flags";

type NumberedKeys = Vec<(Vec<u8>, usize)>;

/// The keys of the command behind `COMMAND GETKEYS`, numbered.
fn keys_of(args: Args<'_>) -> CommandResult<(&'static CommandSpec, NumberedKeys)> {
    let inner = OwnedArgs::of(args.iter_from(2));
    let inner = inner.as_args();
    let invalid = CommandError::fixed("ERR Invalid command specified");
    let command = table::find(inner.name()).ok_or(invalid.clone())?;
    let spec = match inner.get(1) {
        Some(name) if command.is_container() => {
            table::find_subcommand(command, name).ok_or(invalid)?
        }
        _ => command,
    };
    if spec.keys.first == 0 {
        return Err(CommandError::fixed("ERR The command has no key arguments"));
    }
    if !spec.takes(inner.len()) {
        return Err(CommandError::fixed("ERR Invalid number of arguments specified for command"));
    }
    let indices = spec.keys.indices(inner.len()).into_iter();
    let keys = indices.enumerate().map(|(position, index)| (inner[index].to_vec(), position));
    Ok((spec, keys.collect()))
}

/// The `HELP` of any command with subcommands.
pub(crate) fn help(call: &mut Call<'_, '_>) -> CommandResult<Outcome> {
    let command = table::find(call.args.name())
        .ok_or(CommandError::fixed("ERR a subcommand belongs to a command"))?;
    let name = command.name.to_ascii_uppercase();
    let mut lines =
        vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for spec in command.subcommands {
        let usage = format!("{} {}", spec.own_name().to_ascii_uppercase(), spec.syntax);
        lines.push(usage.trim_end().to_owned());
        lines.push(format!("    {}", spec.summary));
    }
    let lines = lines.into_iter().map(|line| Reply::Simple(line.into()));
    Ok(Reply::Array(lines.collect()).into())
}
