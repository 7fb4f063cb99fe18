//! `kv`: inspect, verify and operate a database directory.
//!
//! Each command opens the directory, does one thing and goes; a server that
//! has it open is named and left alone. Exit codes: 0 done, 1 a check failed or
//! a key is absent, 2 usage, 3 input or output, 4 corruption, 5 repaired with
//! losses.
#![forbid(unsafe_code)]

mod arguments;
mod command;
mod escape;
mod failure;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    match command::run(&arguments.command, &mut output) {
        Ok(outcome) => outcome.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code().into()
        }
    }
}
