//! Builds the fuzz targets with a stable compiler and without cargo-fuzz.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// What cargo-fuzz hands to the compiler, without a sanitizer: coverage of
/// edges in counters that libFuzzer reads, and the operands of comparisons.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Ccodegen-units=1",
];

/// C++ compilers, in the order in which the build script of libfuzzer-sys
/// finds them.
const COMPILERS: [&str; 3] = ["c++", "g++", "clang++"];

/// True if libFuzzer can be built here.
pub(super) fn has_cpp_compiler() -> bool {
    let chosen = std::env::var("CXX").ok();
    let candidates = chosen.iter().map(String::as_str).chain(COMPILERS);
    candidates.into_iter().any(|compiler| {
        let command = Command::new(compiler)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        command.is_ok_and(|status| status.success())
    })
}

/// Builds all targets and returns the directory of the programs.
pub(super) fn build() -> Outcome<PathBuf> {
    let host = host_triple()?;
    let target_directory = source_root().join("target/fuzz");
    // With `--target` the flags stay away from build scripts and macros.
    let status = Command::new(cargo_program())
        .args(["build", "--locked", "--release", "--bins", "--target", &host])
        .arg("--target-dir")
        .arg(&target_directory)
        .current_dir(source_root().join("fuzz"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", FLAGS.join(" "))
        .status()
        .context("cannot start cargo build")?;
    if !status.success() {
        return Err(Failure::check("the fuzz targets do not build"));
    }
    Ok(target_directory.join(host).join("release"))
}

fn host_triple() -> Outcome<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::check("rustc -vV names no host"))
}
