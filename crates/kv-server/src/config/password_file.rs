//! A password that is kept in a file of its own: what service managers and
//! containers hand secrets over in.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{ConfigError, describe};
use super::password::{MAX_PASSWORD_BYTES, Password, only_line};

/// What nobody but the owner, and his group for reading, may do with the file.
const FORBIDDEN_MODE: u32 = 0o027;

/// Reads the one line of `path`: a password or its digest.
///
/// # Errors
/// [`ConfigError`] if it cannot be read, if others can, and if it does not hold
/// one line. Nothing of its contents is shown.
#[allow(clippy::disallowed_methods, reason = "the edge reads its own configuration")]
pub(crate) fn read(path: &Path) -> Result<Password, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::Unreadable {
        file: path.to_path_buf(),
        reason: describe(&error),
    };
    let refused = |what: String| ConfigError::BadPasswordFile { file: path.to_path_buf(), what };
    let file = File::open(path).map_err(unreadable)?;
    let status = file.metadata().map_err(unreadable)?;
    if status.is_dir() {
        return Err(unreadable(ErrorKind::IsADirectory.into()));
    }
    if status.mode() & FORBIDDEN_MODE != 0 {
        let mode = status.mode() & 0o777;
        let path = path.display();
        return Err(refused(format!(
            "others than its owner can get at it (mode {mode:04o}); chmod 600 {path}"
        )));
    }
    let mut bytes = Vec::new();
    // A digest is shorter than the longest password; with one byte more both
    // show that they are too long, however long the file is.
    let longest = MAX_PASSWORD_BYTES as u64 + 3;
    file.take(longest).read_to_end(&mut bytes).map_err(unreadable)?;
    let line = std::str::from_utf8(&bytes).ok().and_then(only_line).ok_or_else(|| {
        refused("it must hold one line of UTF-8 text, the password or its digest".to_owned())
    })?;
    Password::parse(line).ok_or_else(|| refused(format!("it must hold {}", Password::allowed())))
}
