//! Commands on the server, its configuration and its command table.

use super::rows::commands;
use crate::command::spec::CommandSpec;
use crate::command::{introspection, key, server_commands};

pub(super) const COMMANDS: &[CommandSpec] = commands! { Server:
    "command" -1 [LOADING STALE] () ["@connection"]
        "2.8.13" "O(N) where N is the number of commands" ""
        "Describes all commands." => Control(introspection::command), COMMAND;
    "config" -2 [] () []
        "2.0.0" "Depends on the subcommand." ""
        "A container for commands on the configuration." => Container, CONFIG;
    "dbsize" 1 [READONLY FAST LONG] () ["@keyspace"]
        "1.0.0" "O(N) where N is the number of keys in the database" ""
        "Counts the keys of the database." => Data(key::dbsize);
    "flushall" -1 [WRITE LONG] () ["@keyspace" "@dangerous"]
        "1.0.0" "O(N) where N is the number of keys in all databases" "[ASYNC | SYNC]"
        "Deletes all keys of all databases." => Control(server_commands::flushall);
    "flushdb" -1 [WRITE LONG] () ["@keyspace" "@dangerous"]
        "1.0.0" "O(N) where N is the number of keys in the database" "[ASYNC | SYNC]"
        "Deletes all keys of the database." => Control(server_commands::flushdb);
    "info" -1 [LOADING STALE] () ["@dangerous"]
        "1.0.0" "O(1)" "[section [section ...]]"
        "Tells about the server." => Control(server_commands::info);
    "shutdown" -1 [ADMIN NOSCRIPT LOADING STALE NO_MULTI ALLOW_BUSY] () []
        "1.0.0" "O(1)" "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]"
        "Makes everything durable and stops the server." => Control(server_commands::shutdown);
    "time" 1 [LOADING STALE FAST] () []
        "2.6.0" "O(1)" ""
        "Returns the server's time, in whole milliseconds." => Control(server_commands::time);
};

const COMMAND: &[CommandSpec] = commands! { Server:
    "command|count" 2 [LOADING STALE] () ["@connection"]
        "2.8.13" "O(1)" ""
        "Counts the commands." => Control(introspection::count);
    "command|docs" -2 [LOADING STALE] () ["@connection"]
        "7.0.0" "O(N) where N is the number of commands to look up"
        "[command-name [command-name ...]]"
        "Documents commands." => Control(introspection::docs);
    "command|getkeys" -4 [LOADING STALE] () ["@connection"]
        "2.8.13" "O(N) where N is the number of arguments" "command [arg [arg ...]]"
        "Returns the keys among the arguments of a command." => Control(introspection::getkeys);
    "command|getkeysandflags" -4 [LOADING STALE] () ["@connection"]
        "7.0.0" "O(N) where N is the number of arguments" "command [arg [arg ...]]"
        "Returns the keys of a command and what it does to them."
        => Control(introspection::getkeysandflags);
    "command|help" 2 [LOADING STALE] () ["@connection"]
        "5.0.0" "O(1)" ""
        "Prints this help." => Control(introspection::help);
    "command|info" -2 [LOADING STALE] () ["@connection"]
        "2.8.13" "O(N) where N is the number of commands to look up"
        "[command-name [command-name ...]]"
        "Describes commands." => Control(introspection::info);
    "command|list" -2 [LOADING STALE] () ["@connection"]
        "7.0.0" "O(N) where N is the number of commands"
        "[FILTERBY (MODULE module-name | ACLCAT category | PATTERN pattern)]"
        "Lists the names of commands." => Control(introspection::list);
};

const CONFIG: &[CommandSpec] = commands! { Server:
    "config|get" -3 [ADMIN NOSCRIPT LOADING STALE] () []
        "2.0.0" "O(N) where N is the number of parameters" "pattern [pattern ...]"
        "Returns parameters of the configuration." => Control(server_commands::config_get);
    "config|help" 2 [LOADING STALE] () []
        "5.0.0" "O(1)" ""
        "Prints this help." => Control(introspection::help);
    "config|resetstat" 2 [ADMIN NOSCRIPT LOADING STALE] () []
        "2.0.0" "O(1)" ""
        "Zeroes the counters of INFO." => Control(server_commands::config_resetstat);
    "config|rewrite" 2 [ADMIN NOSCRIPT LOADING STALE] () []
        "2.8.0" "O(1)" ""
        "Refused: the server does not write its configuration file." => Control(server_commands::config_rewrite);
    "config|set" -4 [ADMIN NOSCRIPT LOADING STALE] () []
        "2.0.0" "O(N) where N is the number of parameters"
        "parameter value [parameter value ...]"
        "Changes parameters of the configuration, all or none."
        => Control(server_commands::config_set);
};
