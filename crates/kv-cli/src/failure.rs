//! What can go wrong, as an exit code and a sentence.

use kv_engine::Error;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done = 0,
    CheckFailed = 1,
    Usage = 2,
    InputOutput = 3,
    Corruption = 4,
    RepairedWithLosses = 5,
}

impl From<Outcome> for std::process::ExitCode {
    fn from(outcome: Outcome) -> Self {
        (outcome as u8).into()
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line cannot be served as given.
    Usage(String),
    /// The engine refused.
    Engine(Error),
    /// Nobody reads the output.
    Output(std::io::Error),
}

impl Failure {
    /// True if whoever read the output has seen enough of it.
    pub(crate) fn is_reader_gone(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn exit_code(&self) -> Outcome {
        match self {
            Failure::Usage(_) => Outcome::Usage,
            Failure::Engine(error) => match error {
                Error::Corruption { .. } | Error::Unsupported { .. } => Outcome::Corruption,
                Error::InvalidArgument(_) | Error::TooLarge { .. } => Outcome::Usage,
                _ => Outcome::InputOutput,
            },
            // `kv scan | head` is not a failure of the scan.
            Failure::Output(_) if self.is_reader_gone() => Outcome::Done,
            Failure::Output(_) => Outcome::InputOutput,
        }
    }

    /// The name of the kind, for JSON.
    pub(crate) fn kind(&self) -> &'static str {
        match self.exit_code() {
            Outcome::Done => "output_closed",
            Outcome::CheckFailed => "check_failed",
            Outcome::Usage => "usage",
            Outcome::InputOutput => "input_output",
            Outcome::Corruption => "corruption",
            Outcome::RepairedWithLosses => "repaired_with_losses",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Usage(sentence) => formatter.write_str(sentence),
            Failure::Engine(error) => error.fmt(formatter),
            Failure::Output(error) => write!(formatter, "cannot write the output: {error}"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Engine(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Output(error)
    }
}
