//! Why a command failed, in the words that Redis clients match on.

use std::borrow::Cow;
use std::fmt::Display;

use crate::resp::Reply;

/// The text of an error reply, code word first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandError(Cow<'static, str>);

/// What a command handler returns.
pub(crate) type CommandResult<T> = Result<T, CommandError>;

impl CommandError {
    pub(crate) const WRONG_TYPE: CommandError =
        CommandError::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub(crate) const SYNTAX: CommandError = CommandError::fixed("ERR syntax error");
    pub(crate) const NOT_INTEGER: CommandError =
        CommandError::fixed("ERR value is not an integer or out of range");
    pub(crate) const NOT_FLOAT: CommandError =
        CommandError::fixed("ERR value is not a valid float");
    pub(crate) const NO_SUCH_KEY: CommandError = CommandError::fixed("ERR no such key");
    pub(crate) const OVERFLOW: CommandError =
        CommandError::fixed("ERR increment or decrement would overflow");
    pub(crate) const NOT_FINITE: CommandError =
        CommandError::fixed("ERR increment would produce NaN or Infinity");
    pub(crate) const STRING_TOO_LONG: CommandError =
        CommandError::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    pub(crate) const NO_AUTH: CommandError = CommandError::fixed("NOAUTH Authentication required.");
    pub(crate) const BAD_DATABASE: CommandError =
        CommandError::fixed("ERR DB index is out of range");

    pub(crate) const BATCH_TOO_LARGE: CommandError =
        CommandError::fixed("ERR the writes of one command or transaction are limited to 1 GiB");

    pub(crate) const NOT_IN_TRANSACTION: CommandError =
        CommandError::fixed("ERR Command not allowed inside a transaction");

    /// An error whose text never changes.
    pub(crate) const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text))
    }

    /// An error with the general code `ERR`.
    pub(crate) fn general(text: impl Display) -> CommandError {
        CommandError(Cow::Owned(format!("ERR {text}")))
    }

    /// `name` is the command as its table spells it: `get`, `config|set`.
    pub(crate) fn wrong_arity(name: &str) -> CommandError {
        CommandError::general(format_args!("wrong number of arguments for '{name}' command"))
    }

    /// An expiry that is not positive or does not fit the clock.
    pub(crate) fn invalid_expiry(name: &str) -> CommandError {
        CommandError::general(format_args!("invalid expire time in '{name}' command"))
    }

    /// The error of an `EXEC` that is refused with this one.
    pub(crate) fn as_reason_for_abort(&self) -> CommandError {
        let reason = self.0.strip_prefix("ERR ").unwrap_or(&self.0);
        CommandError(Cow::Owned(format!("EXECABORT Transaction discarded because of: {reason}")))
    }
}

impl From<kv_core::Error> for CommandError {
    fn from(error: kv_core::Error) -> CommandError {
        CommandError::general(error)
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Reply {
        Reply::Error(error.0)
    }
}
