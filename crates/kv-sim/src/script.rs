//! A history as a text file: a line of settings, then a line for each step.
//!
//! ```text
//! # Why it is here.
//! {"memtable":{"entries":3}}
//! {"write":{"durability":"sync","changes":[{"put":[1,100]}]}}
//! {"cut":{"keeps":"none"}}
//! ```

use std::fmt;
use std::str::FromStr;

use crate::settings::Settings;
use crate::step::Step;

/// A whole history, ready to be run. It is a plain list: any part of it can be
/// taken out, and what is left is a history as well.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Why it is worth running: the comment at its top.
    pub about: String,
    /// Disk and engine.
    pub settings: Settings,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.about.lines() {
            writeln!(formatter, "# {line}")?;
        }
        writeln!(formatter, "{}", changed_settings(&self.settings))?;
        for step in &self.steps {
            writeln!(formatter, "{}", line_of(step))?;
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        let mut has_settings = false;
        for (index, line) in text.lines().enumerate() {
            let at = |error: serde_json::Error| format!("line {}: {error}", index + 1);
            if let Some(comment) = line.strip_prefix('#') {
                if !script.about.is_empty() {
                    script.about.push('\n');
                }
                script.about.push_str(comment.trim());
            } else if line.trim().is_empty() {
            } else if has_settings {
                script.steps.push(serde_json::from_str(line).map_err(at)?);
            } else {
                script.settings = serde_json::from_str(line).map_err(at)?;
                has_settings = true;
            }
        }
        if has_settings { Ok(script) } else { Err("there is no line of settings".into()) }
    }
}

/// One step as one line.
pub(crate) fn line_of(step: &Step) -> String {
    serde_json::to_string(step).expect("steps are plain data")
}

/// Settings as one line, without those that have their defaults.
fn changed_settings(settings: &Settings) -> String {
    let fields = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        other => unreachable!("settings are plain data: {other:?}"),
    };
    let defaults = fields(&Settings::default());
    let mut changed = fields(settings);
    changed.retain(|name, value| defaults.get(name) != Some(value));
    serde_json::Value::Object(changed).to_string()
}

#[cfg(test)]
mod tests {
    use kv_engine::Durability;

    use super::*;
    use kv_env::CrashChoice;

    use crate::step::{Batch, Change, Cut};

    #[test]
    fn a_script_reads_back_what_it_wrote() {
        let batch = Batch {
            durability: Durability::Os,
            changes: vec![Change::Put(1, 100), Change::Delete(2)],
            bare: false,
        };
        let script = Script {
            about: "first line\nsecond line".into(),
            settings: Settings { lz4: true, ..Settings::default() },
            steps: vec![
                Step::Write(batch),
                Step::Settle,
                Step::Cut(Cut { ops_back: 2, keeps: CrashChoice::Only(3) }),
            ],
        };
        let text = script.to_string();
        assert_eq!(text.parse(), Ok(script));
        assert!(text.contains("{\"lz4\":true}\n"), "{text}");
        assert!(text.contains("{\"put\":[1,100]}"), "{text}");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = "{}\n\"settle\"\n\"settel\"\n".parse::<Script>().unwrap_err();
        assert!(error.starts_with("line 3: "), "{error}");
        assert!("# nothing\n".parse::<Script>().is_err());
    }
}
