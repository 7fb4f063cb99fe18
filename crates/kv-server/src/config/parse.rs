//! From the text or JSON of a value to a field, and back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kv_engine::{Durability, FlushSize, ReadMode};
use serde_json::Value;

use super::error::{ConfigError, Origin};
use super::keys::{Field, Key};
use super::{Config, Password, SandboxMode};

/// Units of sizes, largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Characters of a refused value that its error shows.
const MAX_SHOWN_CHARACTERS: usize = 128;

/// A value as it was written.
#[derive(Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// In the file, where numbers and texts differ.
    Json(&'a Value),
    /// In the environment, a flag or a command, where all is text.
    Text(&'a str),
}

impl Raw<'_> {
    fn show(self) -> String {
        match self {
            Raw::Json(value) => shorten(value.to_string()),
            Raw::Text(text) => format!("{:?}", shorten(text.to_owned())),
        }
    }

    /// The value if it is a whole number, written as one.
    fn number(self) -> Option<u64> {
        match self {
            Raw::Json(value) => value.as_u64(),
            Raw::Text(text) => text.trim().parse().ok(),
        }
    }

    /// The value if it is a number of bytes or a text with a unit.
    fn size(self) -> Option<u64> {
        self.number().or_else(|| parse_size(self.text()?))
    }

    fn is_auto(self) -> bool {
        self.text().is_some_and(|text| text.trim().eq_ignore_ascii_case(AUTO))
    }

    fn text(&self) -> Option<&str> {
        match self {
            Raw::Json(value) => value.as_str(),
            Raw::Text(text) => Some(text),
        }
    }
}

fn shorten(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN_CHARACTERS) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

impl Key {
    /// Puts a written value into its field.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`]; `config` is as before.
    pub(crate) fn assign(
        &self,
        config: &mut Config,
        raw: Raw<'_>,
        origin: &Origin,
    ) -> Result<(), ConfigError> {
        self.try_assign(config, raw).ok_or_else(|| ConfigError::BadValue {
            origin: origin.clone(),
            key: self.name,
            value: match self.field {
                Field::Secret { .. } => "not one that can be used".to_owned(),
                _ => raw.show(),
            },
            allowed: self.field.allowed(),
        })
    }

    fn try_assign(&self, config: &mut Config, raw: Raw<'_>) -> Option<()> {
        match &self.field {
            Field::Count { min, max, at } => {
                *at(config) = raw.number().filter(|number| (min..=max).contains(&number))?;
            }
            Field::Size { min, max, at } => {
                *at(config) = raw.size().filter(|size| (min..=max).contains(&size))?;
            }
            Field::FlushSize { at } => *at(config) = parse_flush_size(raw)?,
            Field::Durability { at } => *at(config) = parse_durability(raw.text()?)?,
            Field::ReadMode { at } => *at(config) = parse_read_mode(raw.text()?)?,
            Field::AutoSize { at, .. } | Field::AutoCount { at, .. } if raw.is_auto() => {
                *at(config) = None;
            }
            Field::AutoSize { max, at } => {
                *at(config) = Some(raw.size().filter(|size| size <= max)?);
            }
            Field::AutoCount { min, max, at } => {
                *at(config) = Some(raw.number().filter(|number| (min..=max).contains(&number))?);
            }
            Field::Address { at } => *at(config) = parse_address(raw.text()?)?,
            Field::Directory { at } => {
                *at(config) = PathBuf::from(raw.text().filter(|text| !text.is_empty())?);
            }
            Field::File { at } => {
                let text = raw.text()?;
                *at(config) = (!text.is_empty()).then(|| PathBuf::from(text));
            }
            Field::Switch { at } => *at(config) = parse_switch(raw)?,
            Field::Sandbox { at } => *at(config) = parse_sandbox(raw.text()?)?,
            Field::Secret { at } => *at(config) = Password::parse(raw.text()?)?,
        }
        Some(())
    }
}

impl Field {
    /// What a value may be, for people.
    pub(crate) fn allowed(&self) -> String {
        match self {
            Field::Count { min, max, .. } => format!("a whole number from {min} to {max}"),
            Field::Size { min, max, .. } => format!(
                "a number of bytes or a size such as \"64MiB\" (units B, KiB, MiB, GiB), \
                 from {} to {}",
                show_size(*min),
                show_size(*max)
            ),
            Field::FlushSize { .. } => "a number of entries from 1 on, or a size such as \
                 \"64MiB\" (units B, KiB, MiB, GiB) from 1KiB on"
                .to_owned(),
            Field::Durability { .. } => "\"sync\", \"interval\" or \"os\"".to_owned(),
            Field::ReadMode { .. } => "\"map\" or \"pread\"".to_owned(),
            Field::AutoSize { max, .. } => format!(
                "\"auto\", a number of bytes or a size such as \"64MiB\" (units B, KiB, MiB, \
                 GiB), from 0B to {}",
                show_size(*max)
            ),
            Field::AutoCount { min, max, .. } => {
                format!("\"auto\" or a whole number from {min} to {max}")
            }
            Field::Address { .. } => {
                "an IP address and a port, such as \"127.0.0.1:6380\" or \"[::1]:6380\"".to_owned()
            }
            Field::Directory { .. } => "a path".to_owned(),
            Field::File { .. } => "a path, or nothing".to_owned(),
            Field::Switch { .. } => "true or false".to_owned(),
            Field::Sandbox { .. } => "\"off\", \"best_effort\" or \"required\"".to_owned(),
            Field::Secret { .. } => Password::allowed(),
        }
    }
}

/// Smallest memory table in bytes that the engine takes.
pub(crate) const MIN_FLUSH_BYTES: u64 = 1 << 10;

fn parse_flush_size(raw: Raw<'_>) -> Option<FlushSize> {
    if let Some(entries) = raw.number() {
        return (entries > 0).then_some(FlushSize::Entries(entries));
    }
    let bytes = parse_size(raw.text()?).filter(|bytes| *bytes >= MIN_FLUSH_BYTES)?;
    Some(FlushSize::Bytes(bytes))
}

/// `64MiB`, `512 B`: a whole number with a unit.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The size in the largest unit that shows it exactly.
pub(crate) fn show_size(bytes: u64) -> String {
    let exact = UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    let (name, factor) = exact.unwrap_or(&UNITS[UNITS.len() - 1]);
    format!("{}{name}", bytes / factor)
}

/// The three words, and what Redis calls the same settings.
fn parse_durability(text: &str) -> Option<Durability> {
    match text.to_ascii_lowercase().as_str() {
        "sync" | "always" => Some(Durability::Sync),
        "interval" | "everysec" => Some(Durability::Interval),
        "os" | "no" => Some(Durability::Os),
        _ => None,
    }
}

/// The word that sets `durability`.
pub(crate) fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "sync",
        Durability::Interval => "interval",
        Durability::Os => "os",
    }
}

fn parse_read_mode(text: &str) -> Option<ReadMode> {
    [ReadMode::Map, ReadMode::Pread]
        .into_iter()
        .find(|mode| text.eq_ignore_ascii_case(read_mode_name(*mode)))
}

/// The word that sets `mode`.
pub(crate) fn read_mode_name(mode: ReadMode) -> &'static str {
    match mode {
        ReadMode::Map => "map",
        ReadMode::Pread => "pread",
    }
}

fn parse_switch(raw: Raw<'_>) -> Option<bool> {
    match raw {
        Raw::Json(value) => value.as_bool(),
        Raw::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => None,
        },
    }
}

fn parse_sandbox(text: &str) -> Option<SandboxMode> {
    SandboxMode::ALL.into_iter().find(|mode| text.eq_ignore_ascii_case(mode.name()))
}

/// The word for a size that is derived from other settings.
pub(crate) const AUTO: &str = "auto";

/// `ADDRESS:PORT`; `localhost` is the one name that needs no resolver.
fn parse_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
        None => text.parse().ok(),
    }
}
