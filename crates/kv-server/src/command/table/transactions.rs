//! Commands that make several commands one, and what of scripting is answered.

use super::rows::commands;
use crate::command::spec::CommandSpec;
use crate::command::{introspection, server_commands, transaction};

pub(super) const COMMANDS: &[CommandSpec] = commands! { Transactions:
    "discard" 1 [NOSCRIPT LOADING STALE FAST ALLOW_BUSY UNQUEUED] () []
        "2.0.0" "O(N) where N is the number of queued commands" ""
        "Drops a transaction." => Control(transaction::discard);
    "exec" 1 [NOSCRIPT LOADING STALE SKIP_SLOWLOG UNQUEUED] () []
        "1.2.0" "Depends on the queued commands." ""
        "Executes a transaction as one atomic batch." => Control(transaction::exec);
    "multi" 1 [NOSCRIPT LOADING STALE FAST ALLOW_BUSY UNQUEUED] () []
        "1.2.0" "O(1)" ""
        "Starts a transaction." => Control(transaction::multi);
    "unwatch" 1 [NOSCRIPT LOADING STALE FAST ALLOW_BUSY] () []
        "2.2.0" "O(1)" ""
        "Forgets all watched keys." => Control(transaction::unwatch);
    "watch" -2 [NOSCRIPT LOADING STALE FAST ALLOW_BUSY UNQUEUED] (1 -1 1 "RO") []
        "2.2.0" "O(N) where N is the number of keys" "key [key ...]"
        "Makes the next transaction depend on keys." => Control(transaction::watch);
};

pub(super) const SCRIPTING: &[CommandSpec] = commands! { Scripting:
    "function" -2 [] () []
        "7.0.0" "Depends on the subcommand." ""
        "A container for commands on functions, which are not supported."
        => Container, FUNCTION;
};

const FUNCTION: &[CommandSpec] = commands! { Scripting:
    "function|flush" -2 [WRITE NOSCRIPT] () []
        "7.0.0" "O(1)" "[ASYNC | SYNC]"
        "Accepted without effect: there are no functions."
        => Control(server_commands::function_flush);
    "function|help" 2 [LOADING STALE] () []
        "7.0.0" "O(1)" ""
        "Prints this help." => Control(introspection::help);
};
