//! Which names the ports accept: both backends ask here, so they agree.

use kv_core::{Error, Result};

/// Longest path component: `NAME_MAX` of every file system of interest.
const MAX_NAME_BYTES: usize = 255;

/// A name of the database directory, split and checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    /// The sub-directory, if the name has two components.
    pub(crate) directory: Option<&'a str>,
    /// The last component.
    pub(crate) file: &'a str,
}

impl<'a> Name<'a> {
    /// Splits `name` into at most one sub-directory and a component. Anything
    /// that could leave the database directory is refused here.
    pub(crate) fn parse(name: &'a str) -> Result<Name<'a>> {
        let (directory, file) = match name.split_once('/') {
            Some((directory, file)) => (Some(directory), file),
            None => (None, name),
        };
        if is_component(file) && directory.is_none_or(is_component) {
            return Ok(Name { directory, file });
        }
        Err(Error::InvalidArgument(format!(
            "{name:?} is no name inside a database directory; use `name` or `directory/name`"
        )))
    }

    /// As [`parse`](Name::parse), for what must be a single component.
    pub(crate) fn parse_component(name: &'a str) -> Result<&'a str> {
        match Name::parse(name)? {
            Name { directory: None, file } => Ok(file),
            _ => Err(Error::InvalidArgument(format!(
                "{name:?} has more than one component; sub-directories do not nest"
            ))),
        }
    }
}

fn is_component(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= MAX_NAME_BYTES
        && part != "."
        && part != ".."
        && !part.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_stay_inside_pass() {
        for good in ["a", "wal.log", "..a", "quarantine/wal.log", ".hidden"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        for bad in ["", ".", "..", "/", "/etc", "a/", "../a", "a/..", "a/b/c", "a\0b", "./a", &long]
        {
            assert!(matches!(Name::parse(bad), Err(Error::InvalidArgument(_))), "{bad:?}");
        }
        assert!(Name::parse_component("a/b").is_err());
    }
}
