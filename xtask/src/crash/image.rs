//! A file system in an image file, mounted again and again.

use std::path::{Path, PathBuf};

use super::scratch::{Mount, Scratch, format, sparse_file};
use crate::failure::Outcome;

/// An image, where it is mounted, and how.
pub(crate) struct Image {
    file: PathBuf,
    point: PathBuf,
    options: &'static str,
}

impl Image {
    /// A new file system of type `kind` in the scratch directory, of which there
    /// is one at a time. It claims so many bytes.
    pub(crate) fn create(
        scratch: &Scratch,
        kind: &str,
        bytes: u64,
        options: &'static str,
    ) -> Outcome<Image> {
        Image::create_in(scratch.path(), scratch, kind, bytes, options)
    }

    /// The same, its file in another directory.
    pub(crate) fn create_in(
        directory: &Path,
        scratch: &Scratch,
        kind: &str,
        bytes: u64,
        options: &'static str,
    ) -> Outcome<Image> {
        let file = directory.join("disk.img");
        sparse_file(&file, bytes)?;
        format(kind, &file)?;
        Ok(Image { file, point: scratch.path().join("disk"), options })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Mounts it. It must not be mounted.
    pub(crate) fn mount(&self) -> Outcome<Mount> {
        Mount::image(&self.file, &self.point, self.options)
    }
}
