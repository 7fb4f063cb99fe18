//! Commands on connections.

use super::rows::commands;
use crate::command::spec::CommandSpec;
use crate::command::{client, connection, introspection};

pub(super) const COMMANDS: &[CommandSpec] = commands! { Connection:
    "auth" -2 [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] () []
        "1.0.0" "O(1)" "[username] password"
        "Authenticates the connection." => Control(connection::auth);
    "client" -2 [] () []
        "2.4.0" "Depends on the subcommand." ""
        "A container for commands on connections." => Container, CLIENT;
    "echo" 2 [LOADING STALE FAST] () []
        "1.0.0" "O(1)" "message"
        "Returns the given string." => Control(connection::echo);
    "hello" -1 [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] () []
        "6.0.0" "O(1)" "[protover [AUTH username password] [SETNAME clientname]]"
        "Agrees on the protocol version, and on name and user." => Control(connection::hello);
    "ping" -1 [FAST] () []
        "1.0.0" "O(1)" "[message]"
        "Returns PONG or the given string." => Control(connection::ping);
    "quit" -1 [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY UNQUEUED] () []
        "1.0.0" "O(1)" ""
        "Closes the connection behind its replies." => Control(connection::quit);
    "reset" 1 [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY UNQUEUED] () []
        "6.2.0" "O(1)" ""
        "Makes the connection as it was when it was new." => Control(connection::reset);
    "select" 2 [LOADING STALE FAST] () []
        "1.0.0" "O(1)" "index"
        "Changes the database of the connection." => Control(connection::select);
};

const CLIENT: &[CommandSpec] = commands! { Connection:
    "client|getname" 2 [NOSCRIPT LOADING STALE] () []
        "2.6.9" "O(1)" ""
        "Returns the name of the connection." => Control(client::getname);
    "client|help" 2 [LOADING STALE] () []
        "5.0.0" "O(1)" ""
        "Prints this help." => Control(introspection::help);
    "client|id" 2 [NOSCRIPT LOADING STALE] () []
        "5.0.0" "O(1)" ""
        "Returns the number of the connection." => Control(client::id);
    "client|info" 2 [NOSCRIPT LOADING STALE] () []
        "6.2.0" "O(N) where N is the number of connections" ""
        "Describes the connection." => Control(client::info);
    "client|kill" -3 [ADMIN NOSCRIPT LOADING STALE] () []
        "2.4.0" "O(N) where N is the number of connections"
        "(address | option value [option value ...])"
        "Closes connections." => Control(client::kill);
    "client|list" -2 [ADMIN NOSCRIPT LOADING STALE] () []
        "2.4.0" "O(N) where N is the number of connections"
        "[TYPE (NORMAL | MASTER | REPLICA | PUBSUB)] [ID client-id [client-id ...]]"
        "Describes all connections." => Control(client::list);
    "client|no-evict" 3 [ADMIN NOSCRIPT LOADING STALE] () []
        "7.0.0" "O(1)" "(ON | OFF)"
        "Accepted without effect: connections are not evicted." => Control(client::no_evict);
    "client|no-touch" 3 [NOSCRIPT LOADING STALE] () []
        "7.2.0" "O(1)" "(ON | OFF)"
        "Accepted without effect: accesses are not recorded." => Control(client::no_touch);
    "client|setinfo" 4 [NOSCRIPT LOADING STALE] () []
        "7.2.0" "O(1)" "(LIB-NAME libname | LIB-VER libver)"
        "Names the client library." => Control(client::setinfo);
    "client|setname" 3 [NOSCRIPT LOADING STALE] () []
        "2.6.9" "O(1)" "connection-name"
        "Names the connection." => Control(client::setname);
};
