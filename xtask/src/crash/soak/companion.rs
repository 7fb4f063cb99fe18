//! Tools of ours that run beside the experiments, each as a process of its own
//! with a group of its own: whatever it starts ends with it.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time")]

use std::collections::VecDeque;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::child_lines::forward_lines;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::pause::pause;
use crate::workspace::source_root;

/// How often it is looked whether the user or the clock wants an end.
const POLL: Duration = Duration::from_millis(200);
/// Polls that a companion which was asked to end has for that.
const POLLS_TO_END: u32 = 50;
/// Lines kept of what it prints: the last ones.
const LINES_KEPT: usize = 60;
/// It gives way to the experiments, whose moments should not wait for it.
const NICENESS: &str = "10";

/// One call of a tool of ours.
#[derive(Debug, Clone)]
pub(super) struct Companion {
    /// The tool and its options.
    pub(super) arguments: Vec<String>,
    /// Options it must know; else it is skipped.
    pub(super) needs: &'static [&'static str],
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Passed,
    Failed,
    /// Its time was over before its work.
    Late,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Performance {
    pub(super) ending: Ending,
    /// The end of what it printed.
    pub(super) printed: String,
    pub(super) seconds: f64,
}

impl Performance {
    /// What a tool says of what it left undone.
    pub(super) fn notice(&self) -> Option<&str> {
        self.printed.lines().find_map(|line| line.strip_prefix("NOTICE: "))
    }
}

impl Companion {
    pub(super) fn words(&self) -> String {
        self.arguments.join(" ")
    }

    /// Why it cannot run here.
    pub(super) fn obstacle(&self) -> Outcome<Option<String>> {
        let tool = &self.arguments[0];
        let own = std::env::current_exe().context("where this program is")?;
        let help = Command::new(own).args([tool, "--help"]).output().context(tool)?;
        let text = String::from_utf8_lossy(&help.stdout);
        let missing = self.needs.iter().find(|option| !text.contains(**option));
        Ok(match (help.status.success(), missing) {
            (false, _) => Some("there is no such tool here".into()),
            (true, Some(option)) => Some(format!("it has no option {option}")),
            (true, None) => None,
        })
    }

    /// Runs it to its end, or to the moment when its time is over; `tell` is
    /// called for each line it prints.
    pub(super) fn run(
        &self,
        interrupt: &Interrupt,
        deadline: Instant,
        mut tell: impl FnMut(&str) -> Outcome,
    ) -> Outcome<Performance> {
        let started = Instant::now();
        let own = std::env::current_exe().context("where this program is")?;
        let mut child = Command::new("nice")
            .args(["-n", NICENESS])
            .arg(own)
            .args(&self.arguments)
            .current_dir(source_root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context(self.words())?;
        let (sender, lines) = channel();
        if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
            forward_lines(output, sender.clone());
            forward_lines(errors, sender);
        }
        let mut group = Group { child };
        let mut kept = VecDeque::new();
        let ending = loop {
            match lines.recv_timeout(POLL) {
                Ok(line) => {
                    tell(&line)?;
                    if kept.len() == LINES_KEPT {
                        kept.pop_front();
                    }
                    kept.push_back(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = group.child.wait().context(self.words())?;
                    break if status.success() { Ending::Passed } else { Ending::Failed };
                }
            }
            interrupt.check()?;
            if Instant::now() > deadline {
                break Ending::Late;
            }
        };
        drop(group);
        let printed = kept.into_iter().collect::<Vec<_>>().join("\n");
        Ok(Performance { ending, printed, seconds: started.elapsed().as_secs_f64() })
    }
}

/// A child and all that it started, which end with this guard.
struct Group {
    child: Child,
}

impl Group {
    fn signal(&self, signal: Signal) -> Outcome {
        // The child has not been waited for, so the id is still its own.
        let id = Pid::from_raw(self.child.id() as i32)
            .ok_or_else(|| Failure::check("a child without an id"))?;
        kill_process_group(id, signal).map_err(std::io::Error::from).context("cannot end it")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Each of these fails only where the processes have ended by themselves.
        let _ = self.signal(Signal::TERM);
        for _ in 0..POLLS_TO_END {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(POLL);
        }
        let _ = self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
