//! Builds the server binary with Cargo and says where it is.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace::{cargo_program, source_root};

/// Which server to run.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerChoice {
    /// Run this kv-server binary instead of building one
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Cargo profile to build the server with
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
}

/// A Cargo profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    Release,
    Dev,
}

/// The part of Cargo's JSON messages that names a built program.
#[derive(Deserialize)]
struct BuildMessage {
    executable: Option<PathBuf>,
}

impl ServerChoice {
    /// The binary, built if none was named. Cargo's own output goes to the
    /// screen; nothing is built that is up to date.
    pub(crate) fn binary(&self) -> Outcome<PathBuf> {
        if let Some(path) = &self.server {
            return match path.is_file() {
                true => Ok(path.clone()),
                false => Err(Failure::usage(format!("--server {}: no such file", path.display()))),
            };
        }
        let profile = match self.profile {
            Profile::Release => "release",
            Profile::Dev => "dev",
        };
        let output = Command::new(cargo_program())
            .args(["build", "--locked", "--package", "kv-server", "--bin", "kv-server"])
            .args(["--profile", profile, "--message-format", "json-render-diagnostics"])
            .current_dir(source_root())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo build")?;
        if !output.status.success() {
            return Err(Failure::check("the server does not build"));
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<BuildMessage>(line).ok()?.executable)
            .next_back()
            .ok_or_else(|| Failure::check("cargo build named no kv-server program"))
    }
}
