//! The command line of the project's own tools; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::run()
}
