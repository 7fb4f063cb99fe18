//! The black-box test: the real server binary, driven by programs of others.
//!
//! What is missing on this machine is skipped with a printed notice; what is
//! there must work.

mod external;
mod redis_benchmark;
mod redis_cli;
mod redis_py;

use clap::Args;

use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::screen::Screen;
use crate::server_build::ServerChoice;
use crate::server_process::{Server, ServerPlan};
use crate::workspace::source_root;

/// Options of the black-box test.
#[derive(Debug, Clone, Args)]
pub(crate) struct BlackboxOptions {
    #[command(flatten)]
    pub(crate) server: ServerChoice,
}

/// `cargo xtask blackbox`.
pub(crate) fn run(options: &BlackboxOptions) -> Outcome {
    let interrupt = Interrupt::install()?;
    let binary = options.server.binary()?;
    let directory = tempfile::Builder::new()
        .prefix("kv-blackbox-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let plan = ServerPlan {
        binary,
        config: source_root().join("config/config.json"),
        data_dir: directory.path().join("data"),
        durability: "sync",
    };
    let mut screen = Screen::new();
    let server = Server::start(&plan, &interrupt)?;
    if external::is_installed("redis-cli") && external::is_installed("redis-benchmark") {
        screen.step("redis-cli");
        redis_cli::check(server.port(), &mut screen)?;
        interrupt.check()?;
        screen.step("redis-benchmark");
        redis_benchmark::check(server.port(), &mut screen)?;
        interrupt.check()?;
        screen.step("The store's own commands");
        redis_cli::check_own_commands(server.port(), &mut screen)?;
    } else {
        println!("NOTICE: redis-cli and redis-benchmark are skipped: install redis-tools");
    }
    interrupt.check()?;
    screen.step("redis-py");
    redis_py::check(server.port(), directory.path(), &mut screen)?;
    screen.step("Stop and start again");
    let keys = server.connect()?.call(&[b"DBSIZE"]).context("DBSIZE")?;
    screen.claim(server.stop()?.success(), "the server stops in order, with exit code 0");
    let server = Server::start(&plan, &interrupt)?;
    let found = server.connect()?.call(&[b"DBSIZE"]).context("DBSIZE")?;
    screen.claim(found == keys, "all keys are there after the restart");
    server.stop()?;
    match screen.verdict() {
        (_, []) => Ok(()),
        (_, failed) => Err(Failure::check(format!("black-box test: {}", failed.join("; ")))),
    }
}
