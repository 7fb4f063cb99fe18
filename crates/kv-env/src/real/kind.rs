//! What kind of file system a directory is on.

use std::os::fd::AsFd;

use rustix::io::Errno;

/// As far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileSystemKind {
    /// Disks of this machine, and memory.
    Local,
    /// A program that plays a file system (FUSE): it may serve a local disk or
    /// anything else.
    UserSpace,
    /// Served by another machine. Locks may not exclude its other clients, a
    /// sync may not reach its disk, and a map may fail at any access.
    Network(&'static str),
}

/// Numbers by which Linux names file systems (`statfs(2)`).
const NUMBERS: [(u32, FileSystemKind); 10] = [
    (0x6573_5546, FileSystemKind::UserSpace),
    (0x0000_6969, FileSystemKind::Network("NFS")),
    (0x0000_517B, FileSystemKind::Network("SMB")),
    (0xFF53_4D42, FileSystemKind::Network("CIFS")),
    (0xFE53_4D42, FileSystemKind::Network("SMB")),
    (0x5346_414F, FileSystemKind::Network("AFS")),
    (0x7375_7245, FileSystemKind::Network("Coda")),
    (0x00C3_6400, FileSystemKind::Network("Ceph")),
    (0x0BD0_0BD0, FileSystemKind::Network("Lustre")),
    (0x0102_1997, FileSystemKind::Network("9P")),
];

impl FileSystemKind {
    /// The kind of the file system that holds `directory`.
    pub(super) fn of(directory: impl AsFd) -> Result<FileSystemKind, Errno> {
        // The kernel's numbers have 32 bits; the field is wider in places.
        Ok(FileSystemKind::from_number(rustix::fs::fstatfs(directory)?.f_type as u32))
    }

    fn from_number(number: u32) -> FileSystemKind {
        let known = NUMBERS.iter().find(|(known, _)| *known == number);
        known.map_or(FileSystemKind::Local, |(_, kind)| *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        const EXT4: u32 = 0xEF53;
        assert_eq!(FileSystemKind::from_number(EXT4), FileSystemKind::Local);
        assert_eq!(FileSystemKind::from_number(0x6969), FileSystemKind::Network("NFS"));
        assert_eq!(FileSystemKind::from_number(0xFF53_4D42), FileSystemKind::Network("CIFS"));
        assert_eq!(FileSystemKind::from_number(0x6573_5546), FileSystemKind::UserSpace);
        let numbers = std::collections::BTreeSet::from(NUMBERS.map(|(number, _)| number));
        assert_eq!(numbers.len(), NUMBERS.len());
    }
}
