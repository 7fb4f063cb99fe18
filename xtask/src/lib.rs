//! The project's own tools, run as `cargo xtask TOOL`: `tidy`, `ci`, `demo`,
//! `bench`, `blackbox`, `probe`, `crash`, `sim`, `museum`, `sanitize`, `fuzz` and
//! `coverage`.
//!
//! A library, so that the rules of [`check_workspace`] are also a test of
//! `cargo test`. Invariant: nothing of the product depends on this crate.

mod bench;
mod blackbox;
mod child_lines;
mod ci;
mod cli;
mod coverage;
mod crash;
mod demo;
mod failure;
mod fuzz;
mod interrupt;
mod machine;
mod museum;
mod pause;
mod probe;
mod resp;
mod sanitize;
mod screen;
mod server_build;
mod server_process;
mod sim;
mod test_report;
mod tidy;
mod workspace;

pub use cli::run;
pub use tidy::{Violation, check_workspace};
