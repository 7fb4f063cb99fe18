//! Commands on keys of any type.

use super::rows::commands;
use crate::command::spec::CommandSpec;
use crate::command::{introspection, key, server_commands};

pub(super) const COMMANDS: &[CommandSpec] = commands! { Generic:
    "copy" -3 [WRITE DENYOOM] (1 2 1 "RO access" "OW update") []
        "6.2.0" "O(1)" "source destination [DB destination-db] [REPLACE]"
        "Copies a value to another key." => Data(key::copy);
    "del" -2 [WRITE] (1 -1 1 "RM delete") []
        "1.0.0" "O(N) where N is the number of keys" "key [key ...]"
        "Deletes keys." => Data(key::del);
    "exists" -2 [READONLY FAST] (1 -1 1 "RO") []
        "1.0.0" "O(N) where N is the number of keys" "key [key ...]"
        "Counts how many of the keys exist." => Data(key::exists);
    "expire" -3 [WRITE FAST] (1 1 1 "RW update") []
        "1.0.0" "O(1)" "key seconds [NX | XX | GT | LT]"
        "Sets in how many seconds a key expires." => Data(key::expire);
    "expireat" -3 [WRITE FAST] (1 1 1 "RW update") []
        "1.2.0" "O(1)" "key unix-time-seconds [NX | XX | GT | LT]"
        "Sets the second at which a key expires." => Data(key::expireat);
    "expiretime" 2 [READONLY FAST] (1 1 1 "RO access") []
        "7.0.0" "O(1)" "key"
        "Returns the second at which a key expires." => Data(key::expiretime);
    "keys" 2 [READONLY LONG] () ["@dangerous"]
        "1.0.0" "O(N) where N is the number of keys that start like the pattern" "pattern"
        "Returns all keys that match a pattern." => Data(key::keys);
    "move" 3 [WRITE FAST] (1 1 1 "RW access update") []
        "1.0.0" "O(1)" "key db"
        "Moves a key to another database." => Data(key::move_key);
    "object" -2 [] () []
        "2.2.3" "Depends on the subcommand." ""
        "A container for commands on how values are held." => Container, OBJECT;
    "persist" 2 [WRITE FAST] (1 1 1 "RW update") []
        "2.2.0" "O(1)" "key"
        "Removes the expiry of a key." => Data(key::persist);
    "pexpire" -3 [WRITE FAST] (1 1 1 "RW update") []
        "2.6.0" "O(1)" "key milliseconds [NX | XX | GT | LT]"
        "Sets in how many milliseconds a key expires." => Data(key::pexpire);
    "pexpireat" -3 [WRITE FAST] (1 1 1 "RW update") []
        "2.6.0" "O(1)" "key unix-time-milliseconds [NX | XX | GT | LT]"
        "Sets the millisecond at which a key expires." => Data(key::pexpireat);
    "pexpiretime" 2 [READONLY FAST] (1 1 1 "RO access") []
        "7.0.0" "O(1)" "key"
        "Returns the millisecond at which a key expires." => Data(key::pexpiretime);
    "pttl" 2 [READONLY FAST] (1 1 1 "RO access") []
        "2.6.0" "O(1)" "key"
        "Returns in how many milliseconds a key expires." => Data(key::pttl);
    "randomkey" 1 [READONLY] () []
        "1.0.0" "O(1)" ""
        "Returns some key, not with equal chances." => Data(key::randomkey);
    "rename" 3 [WRITE] (1 2 1 "RW access delete" "OW update") []
        "1.0.0" "O(1)" "key newkey"
        "Renames a key and replaces what has the new name." => Data(key::rename);
    "renamenx" 3 [WRITE FAST] (1 2 1 "RW access delete" "OW insert") []
        "1.0.0" "O(1)" "key newkey"
        "Renames a key if nothing has the new name." => Data(key::renamenx);
    "scan" -2 [READONLY] () []
        "2.8.0" "O(1) for each call, O(N) for all keys"
        "cursor [MATCH pattern] [COUNT count] [TYPE type]"
        "Returns keys little by little, in order." => Control(key::scan);
    "touch" -2 [READONLY FAST] (1 -1 1 "RO") []
        "3.2.1" "O(N) where N is the number of keys" "key [key ...]"
        "Counts how many of the keys exist." => Data(key::exists);
    "ttl" 2 [READONLY FAST] (1 1 1 "RO access") []
        "1.0.0" "O(1)" "key"
        "Returns in how many seconds a key expires." => Data(key::ttl);
    "type" 2 [READONLY FAST] (1 1 1 "RO") []
        "1.0.0" "O(1)" "key"
        "Returns the type of a value." => Data(key::value_type);
    "unlink" -2 [WRITE FAST] (1 -1 1 "RM delete") []
        "4.0.0" "O(N) where N is the number of keys" "key [key ...]"
        "Deletes keys." => Data(key::del);
    "wait" 3 [NOSCRIPT] () ["@connection"]
        "3.0.0" "O(1)" "numreplicas timeout"
        "Returns 0 at once: there are no replicas." => Control(server_commands::wait);
};

const OBJECT: &[CommandSpec] = commands! { Generic:
    "object|encoding" 3 [READONLY] (2 2 1 "RO") []
        "2.2.3" "O(1)" "key"
        "Returns the encoding that Redis would choose." => Data(key::object_encoding);
    "object|freq" 3 [READONLY] (2 2 1 "RO") []
        "4.0.0" "O(1)" "key"
        "Refuses: accesses are not counted." => Data(key::object_freq);
    "object|help" 2 [LOADING STALE] () []
        "6.2.0" "O(1)" ""
        "Prints this help." => Control(introspection::help);
    "object|idletime" 3 [READONLY] (2 2 1 "RO") []
        "2.2.3" "O(1)" "key"
        "Returns 0: accesses are not recorded." => Data(key::object_idletime);
    "object|refcount" 3 [READONLY] (2 2 1 "RO") []
        "2.2.3" "O(1)" "key"
        "Returns 1: values are not shared." => Data(key::object_refcount);
};
