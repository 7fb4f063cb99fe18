//! The server program: flags, configuration, start, run, exit code.

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
    #[arg(long, exclusive = true)]
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
    match run(arguments.into_overrides(), is_check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv-server: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(overrides: Overrides, is_check: bool) -> Result<(), StartError> {
    let mut loaded = load_config(&overrides, std::env::vars_os())?;
    if is_check {
        println!("configuration is fine: {}", loaded.source);
        for (key, value) in show_config(&loaded.config) {
            println!("  {key} = {value}");
        }
        loaded.notices.iter().for_each(|notice| eprintln!("kv-server: {notice}"));
        return Ok(());
    }
    raise_descriptor_limit();
    loaded.notices.extend(harden_process(&loaded.config)?);
    let server = RunningServer::start(loaded)?;
    say(&server.start_line());
    server.run()?;
    say("kv-server stopped; the database is closed");
    Ok(())
}

/// Prints the digest of the password in the one line of the standard input:
/// arguments and environment could be seen by others.
fn hash_password() -> ExitCode {
    if std::io::stdin().is_terminal() {
        eprintln!("kv-server: type the password, then Enter and Ctrl-D; it is shown as you type");
    }
    let mut text = String::new();
    let is_read = std::io::stdin().read_to_string(&mut text).is_ok();
    match is_read.then(|| Password::from_plain_line(&text)).flatten() {
        Some(password) => match writeln!(std::io::stdout(), "{}", password.to_digest_text()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("kv-server: the digest cannot be written: {error}");
                ExitCode::from(EXIT_SYSTEM)
            }
        },
        None => {
            eprintln!(
                "kv-server: the standard input must hold one line, the password, of at most 1024 \
                 bytes"
            );
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Writes a line to the standard output. Whoever reads it may have gone; that is
/// no reason to end.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
