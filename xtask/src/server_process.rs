//! A running kv-server: started on a free port, killed or stopped, never left
//! behind.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::child_lines::forward_lines;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::resp::{Client, Reply};

/// How often a starting server is asked again when it prints nothing.
const READY_POLL: Duration = Duration::from_millis(20);
/// Polls until a server that does not answer is given up: half a minute.
const READY_POLLS: u32 = 1500;

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerPlan {
    pub(crate) binary: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) durability: &'static str,
}

/// A server process and what it has printed. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
    port: u16,
}

impl Server {
    /// Starts the server and waits until it answers a PING.
    pub(crate) fn start(plan: &ServerPlan, interrupt: &Interrupt) -> Outcome<Server> {
        Server::start_under(&[], plan, interrupt)
    }

    /// Starts the server as the last argument of another command, which must
    /// become the server and not stay its parent.
    pub(crate) fn start_under(
        tracer: &[OsString],
        plan: &ServerPlan,
        interrupt: &Interrupt,
    ) -> Outcome<Server> {
        let port = free_port()?;
        let words = [tracer, &[plan.binary.clone().into()]].concat();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        // Settings of the user's own server must not reach this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_server_setting(name)) {
            command.env_remove(name);
        }
        // Root is told that a server does not need him: not by every server here.
        command.env("KV_ALLOW_ROOT", "true");
        let mut child = command
            .arg("--config")
            .arg(&plan.config)
            .arg("--data-dir")
            .arg(&plan.data_dir)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--durability", plan.durability])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C reaches us alone, and we stop it in order.
            .process_group(0)
            .spawn()
            .context(format_args!("cannot start {}", plan.binary.display()))?;
        let (sender, lines) = channel();
        if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
            forward_lines(output, sender.clone());
            forward_lines(errors, sender);
        }
        let mut server = Server { child, lines, printed: Vec::new(), port };
        server.wait_until_ready(interrupt)?;
        Ok(server)
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Outcome<Client> {
        Client::connect(self.port).context("cannot connect to the server")
    }

    /// What it has printed so far.
    pub(crate) fn printed(&mut self) -> &[String] {
        self.printed.extend(self.lines.try_iter());
        &self.printed
    }

    /// SIGKILL: no destructor, no last sync.
    pub(crate) fn kill(self) -> Outcome {
        self.kill_for_status().map(drop)
    }

    /// The same; says how it ended, which it may have done before.
    pub(crate) fn kill_for_status(mut self) -> Outcome<ExitStatus> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait().context("cannot wait for the server")
    }

    /// Asks it to stop in order and waits for its end.
    pub(crate) fn stop(mut self) -> Outcome<ExitStatus> {
        let mut client = self.connect()?;
        // The reply is the closed connection.
        let _ = client.call(&[b"SHUTDOWN"]);
        self.child.wait().context("cannot wait for the server")
    }

    /// Waits until it has ended, by itself or because it was asked to: how, and
    /// what it had printed. Fails if it is still there after `patience`.
    pub(crate) fn ended(mut self, patience: Duration) -> Outcome<(ExitStatus, String)> {
        // Its output is closed when it ends.
        loop {
            match self.lines.recv_timeout(patience) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let printed = self.printed.join("\n");
                    return Err(Failure::check(format!("the server does not end: {printed}")));
                }
            }
        }
        let status = self.child.wait().context("cannot wait for the server")?;
        Ok((status, self.printed.join("\n")))
    }

    fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Outcome {
        for _ in 0..READY_POLLS {
            interrupt.check()?;
            match self.lines.recv_timeout(READY_POLL) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended_early()),
            }
            // Its start line is on the way when it answers: wait for both.
            if !self.printed.is_empty() && answers_ping(self.port) {
                return Ok(());
            }
        }
        Err(Failure::check(format!("the server does not answer: {}", self.printed().join("\n"))))
    }

    fn ended_early(&mut self) -> Failure {
        let status =
            self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let printed = self.printed().join("\n");
        Failure::check(format!("the server ended before it was ready ({status}): {printed}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True for the environment variables that the server reads.
fn is_server_setting(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"KV_")
}

/// A port that nobody listens on.
fn free_port() -> Outcome<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

fn answers_ping(port: u16) -> bool {
    Client::connect(port)
        .and_then(|mut client| client.call(&[b"PING"]))
        .is_ok_and(|reply| reply == Reply::Simple("PONG".into()))
}

/// Names of the regular files in a database directory, sorted; empty if it
/// does not exist.
#[allow(clippy::disallowed_methods, reason = "a tool looks at the directory from outside")]
pub(crate) fn file_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
