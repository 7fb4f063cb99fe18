//! Why a tool stopped, as one sentence and an exit code.

use std::fmt;
use std::io;

/// A claim did not hold, a check failed, or the outside world refused.
pub(crate) const EXIT_CHECK_FAILED: u8 = 1;
/// The command line asks for something that is not offered.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Ended by Ctrl-C: 128 + SIGINT, as shells report it.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// The result of a tool or of a step of it.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Ends a tool: the sentence goes to standard error, the code to the shell.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) exit_code: u8,
}

impl Failure {
    /// A check or claim that does not hold.
    pub(crate) fn check(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), exit_code: EXIT_CHECK_FAILED }
    }

    /// A wrong use of the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), exit_code: EXIT_USAGE }
    }

    /// The user pressed Ctrl-C.
    pub(crate) fn interrupted() -> Failure {
        Failure { message: "interrupted".into(), exit_code: EXIT_INTERRUPTED }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<kv_core::Error> for Failure {
    fn from(error: kv_core::Error) -> Failure {
        Failure::check(error.to_string())
    }
}

/// Says what was attempted when the operating system refuses.
pub(crate) trait Context<T> {
    /// Puts `what` in front of the error.
    fn context(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure::check(format!("{what}: {error}")))
    }
}
