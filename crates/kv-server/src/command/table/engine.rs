//! Commands of kv that Redis does not have.

use super::rows::commands;
use crate::command::engine_commands;
use crate::command::spec::CommandSpec;

pub(super) const COMMANDS: &[CommandSpec] = commands! { Engine:
    "kv.compact" 1 [ADMIN NOSCRIPT NO_MULTI] () []
        "0.1.0" "O(N) where N is the size of the database" ""
        "Compacts the whole tree." => Control(engine_commands::compact);
    "kv.flush" 1 [ADMIN NOSCRIPT NO_MULTI] () []
        "0.1.0" "O(N) where N is the size of the memory table" ""
        "Writes the memory table to a table file." => Control(engine_commands::flush);
    "kv.levels" 1 [ADMIN NOSCRIPT LOADING STALE] () []
        "0.1.0" "O(1)" ""
        "Returns the shape of the tree, level by level." => Control(engine_commands::levels);
    "kv.stats" 1 [ADMIN NOSCRIPT LOADING STALE] () []
        "0.1.0" "O(1)" ""
        "Returns the engine's statistics as JSON." => Control(engine_commands::stats);
};
