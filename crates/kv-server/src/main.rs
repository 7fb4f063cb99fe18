//! The server program: flags, configuration, start, run, exit code.

use std::fmt::Display;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use kv_server::{
    Overrides, Password, RunningServer, StartError, harden_process, load_config,
    raise_descriptor_limit, show_config,
};

/// A Redis-protocol server in front of the kv engine.
///
/// Settings come from the flags, the environment (KV_LISTEN, KV_DATA_DIR, and
/// so on for every key), the configuration file, and built-in defaults, in this
/// order. Passwords belong into a file (KV_PASSWORD_FILE), not into an argument.
/// Exit codes: 0 stopped as asked, 1 stopped by a second signal, 2 wrong usage
/// or configuration, 3 the operating system refused (port, permission, disk,
/// sandbox), 4 the database is damaged or of a newer version, 5 it is open in
/// another process.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file [default: config/config.json, if it is there]
    #[arg(long, value_name = "FILE", env = "KV_CONFIG")]
    config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:6380]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Directory of the database [default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// When a write is acknowledged: sync, interval or os [default: sync]
    #[arg(long, value_name = "WHEN")]
    durability: Option<String>,
    /// Let root serve an address that other machines can reach
    #[arg(long)]
    allow_root: bool,
    /// Read a password from the standard input, print the digest that the
    /// configuration takes in its place, and exit
    // Not `exclusive`: that counts what the environment says as well.
    #[arg(long, conflicts_with_all = ["listen", "data_dir", "durability", "allow_root", "check"])]
    hash_password: bool,
    /// Check the configuration, show what it amounts to, and exit
    #[arg(long)]
    check: bool,
}

impl Arguments {
    fn into_overrides(self) -> Overrides {
        let flags = [
            ("--listen", "listen", self.listen),
            ("--data-dir", "data_dir", self.data_dir),
            ("--durability", "durability", self.durability),
            ("--allow-root", "allow_root", self.allow_root.then(|| true.to_string())),
        ];
        let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)));
        Overrides { file: self.config, flags: given.collect() }
    }
}

/// Exit code for wrong usage, as clap has it.
const EXIT_USAGE: u8 = 2;

/// Exit code where the operating system refuses.
const EXIT_SYSTEM: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.hash_password {
        return hash_password();
    }
    let is_check = arguments.check;
    let overrides = arguments.into_overrides();
    let done = if is_check { check(&overrides) } else { run(&overrides) };
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(error.exit_code())
    })
}

fn run(overrides: &Overrides) -> Result<ExitCode, StartError> {
    let mut loaded = load_config(overrides, std::env::vars_os())?;
    raise_descriptor_limit();
    loaded.notices.extend(harden_process(&loaded.config)?);
    let server = RunningServer::start(loaded)?;
    say(&server.start_line());
    server.run()?;
    say("kv-server stopped; the database is closed");
    Ok(ExitCode::SUCCESS)
}

/// Shows what the configuration amounts to.
fn check(overrides: &Overrides) -> Result<ExitCode, StartError> {
    let loaded = load_config(overrides, std::env::vars_os())?;
    let mut text = format!("configuration is fine: {}\n", loaded.source);
    for (key, value) in show_config(&loaded.config) {
        text.push_str(&format!("  {key} = {value}\n"));
    }
    loaded.notices.iter().for_each(complain);
    Ok(print("configuration", &text))
}

/// Prints the digest of the password in the one line of the standard input:
/// arguments and environment could be seen by others.
fn hash_password() -> ExitCode {
    if std::io::stdin().is_terminal() {
        complain("type the password, then Enter and Ctrl-D; it is shown as you type");
    }
    let mut text = String::new();
    let is_read = std::io::stdin().read_to_string(&mut text).is_ok();
    match is_read.then(|| Password::from_plain_line(&text)).flatten() {
        Some(password) => print("digest", &format!("{}\n", password.to_digest_text())),
        None => {
            complain("the standard input must hold one line, the password, of at most 1024 bytes");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Writes what the program was asked for, which is no success unless it is written.
fn print(what: &str, text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("the {what} cannot be written: {error}"));
            ExitCode::from(EXIT_SYSTEM)
        }
    }
}

/// Writes a line to the standard output. Whoever reads it may have gone; that is
/// no reason to end.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The same to the standard error output.
fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "kv-server: {line}");
}
