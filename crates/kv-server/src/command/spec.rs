//! What the command table says about one command.

use super::call::Call;
use super::data::DataContext;
use super::error::CommandResult;
use super::outcome::Outcome;
use crate::resp::{Args, Reply};

/// One row of the command table.
#[derive(Debug)]
pub(crate) struct CommandSpec {
    /// `get`; for a subcommand `config|get`.
    pub(crate) name: &'static str,
    /// Number of arguments with the name; negative for "that many or more".
    pub(crate) arity: i32,
    pub(crate) flags: Flags,
    pub(crate) keys: Keys,
    pub(crate) group: Group,
    /// Categories beyond those that follow from group and flags.
    pub(crate) categories: &'static [&'static str],
    /// The first version of Redis, or of kv for `kv.*`, that has the command.
    pub(crate) since: &'static str,
    pub(crate) complexity: &'static str,
    /// The arguments behind the name, in the notation of the documentation.
    pub(crate) syntax: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) handler: Handler,
    pub(crate) subcommands: &'static [CommandSpec],
}

/// Who executes a command.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handler {
    /// Depends on nothing but data, time and seed.
    Data(fn(Args<'_>, &mut DataContext<'_>) -> CommandResult<Reply>),
    /// Sees the connection and the server as well.
    Control(fn(&mut Call<'_, '_>) -> CommandResult<Outcome>),
    /// Does nothing without a subcommand.
    Container,
}

/// Where the keys are among the arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    /// Index of the first key; 0 for a command without keys.
    pub(crate) first: i32,
    /// Index of the last key; negative counts from the end, -1 is the last.
    pub(crate) last: i32,
    /// Distance from key to key.
    pub(crate) step: i32,
    /// What is done to the keys, as `COMMAND INFO` flags: one entry for all of
    /// them, or one for each.
    pub(crate) access: &'static [&'static str],
}

impl Keys {
    pub(crate) const NONE: Keys = Keys { first: 0, last: 0, step: 0, access: &[] };

    /// Indices of the keys among `count` arguments.
    pub(crate) fn indices(&self, count: usize) -> Vec<usize> {
        if self.first == 0 {
            return Vec::new();
        }
        let last = if self.last < 0 { count as i32 + self.last } else { self.last };
        (self.first..=last.min(count as i32 - 1))
            .step_by(self.step as usize)
            .map(|index| index as usize)
            .collect()
    }
}

/// The groups of the documentation. Each is a category of access lists too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Connection,
    Server,
    Generic,
    String,
    Transactions,
    Scripting,
    Engine,
}

impl Group {
    /// As `COMMAND DOCS` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Generic => "generic",
            Group::String => "string",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Engine => "engine",
        }
    }
}

/// Properties of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(crate) const NONE: Flags = Flags(0);
    pub(crate) const WRITE: Flags = Flags(1);
    pub(crate) const READONLY: Flags = Flags(1 << 1);
    pub(crate) const DENYOOM: Flags = Flags(1 << 2);
    pub(crate) const ADMIN: Flags = Flags(1 << 3);
    pub(crate) const NOSCRIPT: Flags = Flags(1 << 4);
    pub(crate) const LOADING: Flags = Flags(1 << 5);
    pub(crate) const STALE: Flags = Flags(1 << 6);
    pub(crate) const SKIP_SLOWLOG: Flags = Flags(1 << 7);
    pub(crate) const FAST: Flags = Flags(1 << 8);
    pub(crate) const NO_AUTH: Flags = Flags(1 << 9);
    pub(crate) const ALLOW_BUSY: Flags = Flags(1 << 10);
    pub(crate) const NO_MULTI: Flags = Flags(1 << 11);
    /// Ours: may look at every key of a database.
    pub(crate) const LONG: Flags = Flags(1 << 12);
    /// Ours: executed at once even between `MULTI` and `EXEC`.
    pub(crate) const UNQUEUED: Flags = Flags(1 << 13);

    /// Names in the order in which `COMMAND INFO` lists them. Ours are left out.
    const NAMES: [(Flags, &'static str); 12] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::ALLOW_BUSY, "allow_busy"),
    ];

    /// The flags of both.
    pub(crate) const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    pub(crate) fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names of the flags that Redis knows.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let known = Flags::NAMES.into_iter();
        known.filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}

impl CommandSpec {
    /// The name a client types last: `get` of `config|get`.
    pub(crate) fn own_name(&self) -> &'static str {
        self.name.rsplit('|').next().unwrap_or(self.name)
    }

    pub(crate) fn takes(&self, count: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { count == least } else { count >= least }
    }

    pub(crate) fn is_container(&self) -> bool {
        !self.subcommands.is_empty()
    }

    /// Categories of access lists, with their `@`, in the order of Redis.
    pub(crate) fn acl_categories(&self) -> Vec<&'static str> {
        let has = |flag| self.flags.contains(flag);
        let implied = [
            ("@write", has(Flags::WRITE)),
            ("@read", has(Flags::READONLY)),
            ("@admin", has(Flags::ADMIN)),
            ("@dangerous", has(Flags::ADMIN)),
            ("@fast", has(Flags::FAST)),
            ("@slow", !has(Flags::FAST)),
        ];
        let is_in = |category: &&'static str| {
            implied.iter().any(|(name, is_in)| name == category && *is_in)
                || self.categories.contains(category)
                || self.group_category() == Some(*category)
        };
        ACL_CATEGORIES.into_iter().filter(is_in).collect()
    }

    fn group_category(&self) -> Option<&'static str> {
        match self.group {
            _ if self.is_container() => None,
            Group::Connection => Some("@connection"),
            Group::String => Some("@string"),
            Group::Generic if self.name != "wait" => Some("@keyspace"),
            Group::Transactions => Some("@transaction"),
            Group::Scripting => Some("@scripting"),
            Group::Generic | Group::Server | Group::Engine => None,
        }
    }
}

/// The categories that the table uses, in the order of Redis.
const ACL_CATEGORIES: [&str; 11] = [
    "@keyspace",
    "@read",
    "@write",
    "@string",
    "@admin",
    "@fast",
    "@slow",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];
