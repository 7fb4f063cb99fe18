//! The notation of the table's rows.

/// Makes a slice of command specs of one group. A row reads
///
/// ```text
/// "name" arity [FLAGS] (first last step "access"..) ["@category"..]
///     "since" "complexity" "syntax" "summary" => Handler(function);
/// ```
///
/// with `()` for a command without keys and `=> Container, SUBCOMMANDS` (or
/// `=> Handler(function), SUBCOMMANDS`) for one with subcommands.
macro_rules! commands {
    ($group:ident: $(
        $name:literal $arity:literal [$($flag:ident)*] ($($keys:tt)*) [$($category:literal)*]
        $since:literal $complexity:literal $syntax:literal $summary:literal
        => $handler:ident $(($function:path))? $(, $subcommands:ident)?;
    )*) => {
        &[$($crate::command::spec::CommandSpec {
            name: $name,
            arity: $arity,
            flags: $crate::command::spec::Flags::NONE
                $(.and($crate::command::spec::Flags::$flag))*,
            keys: $crate::command::table::rows::keys!($($keys)*),
            group: $crate::command::spec::Group::$group,
            categories: &[$($category),*],
            since: $since,
            complexity: $complexity,
            syntax: $syntax,
            summary: $summary,
            handler: $crate::command::spec::Handler::$handler $(($function))?,
            subcommands: $crate::command::table::rows::subcommands!($($subcommands)?),
        },)*]
    };
}

macro_rules! keys {
    () => {
        $crate::command::spec::Keys::NONE
    };
    ($first:literal $last:literal $step:literal $($access:literal)*) => {
        $crate::command::spec::Keys {
            first: $first, last: $last, step: $step, access: &[$($access),*],
        }
    };
}

macro_rules! subcommands {
    () => {
        &[]
    };
    ($subcommands:ident) => {
        $subcommands
    };
}

pub(super) use {commands, keys, subcommands};
