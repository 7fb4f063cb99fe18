//! What the demo and the black-box test show: plain words, progress bars, claims with their verdict.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Redraw rate of a bar that nobody moves.
const TICK: Duration = Duration::from_millis(100);

/// The screen, and how many claims have failed on it.
pub(crate) struct Screen {
    steps: usize,
    claims: usize,
    failed: Vec<String>,
    colours: bool,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { steps: 0, claims: 0, failed: Vec::new(), colours: stdout().is_terminal() }
    }

    /// Opens the next numbered step.
    pub(crate) fn step(&mut self, title: &str) {
        self.steps += 1;
        println!("\n{}", self.painted("1", &format!("{}. {title}", self.steps)));
    }

    /// A sentence of explanation or a figure.
    pub(crate) fn say(&self, sentence: &str) {
        for line in sentence.lines() {
            println!("   {line}");
        }
    }

    /// A statement that must hold, with a mark that says whether it does.
    pub(crate) fn claim(&mut self, holds: bool, statement: &str) {
        self.claims += 1;
        let mark =
            if holds { self.painted("32", "✓") } else { self.painted("31", "✗ FAILED:") };
        println!("   {mark} {statement}");
        if !holds {
            self.failed.push(statement.to_owned());
        }
    }

    /// A bar that counts to `length`; invisible where no terminal is.
    pub(crate) fn bar(&self, length: u64, unit: &str) -> ProgressBar {
        let template = format!(
            "   {{bar:40.cyan/blue}} {{human_pos}} / {{human_len}} {unit}  {{per_sec}}  {{msg}}"
        );
        let style = ProgressStyle::with_template(&template).expect("the template is valid");
        let bar = ProgressBar::new(length).with_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        bar.enable_steady_tick(TICK);
        bar
    }

    /// A spinner for something of unknown length.
    pub(crate) fn spinner(&self, message: &str) -> ProgressBar {
        let style =
            ProgressStyle::with_template("   {spinner} {msg}").expect("the template is valid");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(message.to_owned());
        bar.enable_steady_tick(TICK);
        bar
    }

    /// Claims made so far, and the statements that did not hold.
    pub(crate) fn verdict(&self) -> (usize, &[String]) {
        (self.claims, &self.failed)
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
