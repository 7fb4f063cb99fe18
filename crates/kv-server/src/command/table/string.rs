//! Commands on strings.

use super::rows::commands;
use crate::command::spec::CommandSpec;
use crate::command::string;

pub(super) const COMMANDS: &[CommandSpec] = commands! { String:
    "append" 3 [WRITE DENYOOM FAST] (1 1 1 "RW insert") []
        "2.0.0" "O(N) where N is the length of the result" "key value"
        "Appends to a string." => Data(string::append);
    "decr" 2 [WRITE DENYOOM FAST] (1 1 1 "RW access update") []
        "1.0.0" "O(1)" "key"
        "Subtracts one from a number." => Data(string::decr);
    "decrby" 3 [WRITE DENYOOM FAST] (1 1 1 "RW access update") []
        "1.0.0" "O(1)" "key decrement"
        "Subtracts from a number." => Data(string::decrby);
    "get" 2 [READONLY FAST] (1 1 1 "RO access") []
        "1.0.0" "O(1)" "key"
        "Returns a string." => Data(string::get);
    "getdel" 2 [WRITE FAST] (1 1 1 "RW access delete") []
        "6.2.0" "O(1)" "key"
        "Returns a string and deletes it." => Data(string::getdel);
    "getex" -2 [WRITE FAST] (1 1 1 "RW access update") []
        "6.2.0" "O(1)"
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
         PXAT unix-time-milliseconds | PERSIST]"
        "Returns a string and changes its expiry." => Data(string::getex);
    "getrange" 4 [READONLY] (1 1 1 "RO access") []
        "2.4.0" "O(N) where N is the length of the result" "key start end"
        "Returns a part of a string." => Data(string::getrange);
    "getset" 3 [WRITE DENYOOM FAST] (1 1 1 "RW access update") []
        "1.0.0" "O(1)" "key value"
        "Sets a string and returns what it was." => Data(string::getset);
    "incr" 2 [WRITE DENYOOM FAST] (1 1 1 "RW access update") []
        "1.0.0" "O(1)" "key"
        "Adds one to a number." => Data(string::incr);
    "incrby" 3 [WRITE DENYOOM FAST] (1 1 1 "RW access update") []
        "1.0.0" "O(1)" "key increment"
        "Adds to a number." => Data(string::incrby);
    "incrbyfloat" 3 [WRITE DENYOOM FAST] (1 1 1 "RW access update") []
        "2.6.0" "O(1)" "key float"
        "Adds to a number with a fraction." => Data(string::incrbyfloat);
    "lcs" -3 [READONLY LONG] (1 2 1 "RO access") []
        "7.0.0" "O(N*M) where N and M are the lengths of the strings"
        "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]"
        "Finds the longest common subsequence of two strings." => Data(string::lcs);
    "mget" -2 [READONLY FAST] (1 -1 1 "RO access") []
        "1.0.0" "O(N) where N is the number of keys" "key [key ...]"
        "Returns strings." => Data(string::mget);
    "mset" -3 [WRITE DENYOOM] (1 -1 2 "OW update") []
        "1.0.1" "O(N) where N is the number of keys" "key value [key value ...]"
        "Sets strings, all at once." => Data(string::mset);
    "msetnx" -3 [WRITE DENYOOM] (1 -1 2 "OW insert") []
        "1.0.1" "O(N) where N is the number of keys" "key value [key value ...]"
        "Sets strings if none of the keys exists." => Data(string::msetnx);
    "psetex" 4 [WRITE DENYOOM] (1 1 1 "OW update") []
        "2.6.0" "O(1)" "key milliseconds value"
        "Sets a string that expires." => Data(string::psetex);
    "set" -3 [WRITE DENYOOM] (1 1 1 "RW access update variable_flags") []
        "1.0.0" "O(1)"
        "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
         PXAT unix-time-milliseconds | KEEPTTL]"
        "Sets a string." => Data(string::set);
    "setex" 4 [WRITE DENYOOM] (1 1 1 "OW update") []
        "2.0.0" "O(1)" "key seconds value"
        "Sets a string that expires." => Data(string::setex);
    "setnx" 3 [WRITE DENYOOM FAST] (1 1 1 "OW insert") []
        "1.0.0" "O(1)" "key value"
        "Sets a string if the key does not exist." => Data(string::setnx);
    "setrange" 4 [WRITE DENYOOM] (1 1 1 "RW update") []
        "2.2.0" "O(N) where N is the length of the result" "key offset value"
        "Overwrites a part of a string." => Data(string::setrange);
    "strlen" 2 [READONLY FAST] (1 1 1 "RO") []
        "2.2.0" "O(1)" "key"
        "Returns the length of a string." => Data(string::strlen);
    "substr" 4 [READONLY] (1 1 1 "RO access") []
        "1.0.0" "O(N) where N is the length of the result" "key start end"
        "Returns a part of a string." => Data(string::getrange);
};
