//! The grammar of file names. Names are for people; identity is the id in a
//! file's header.

/// Lock file, with the process id of the holder.
pub(crate) const LOCK: &str = "LOCK";
/// The active segment.
pub(crate) const ACTIVE_SEGMENT: &str = "wal.log";
/// The segment prepared to follow the active one. Under this name it may
/// already hold records: the writer does not wait for the rename.
pub(crate) const NEXT_SEGMENT: &str = "wal_next.log";
/// Space held back for work that a full disk must not stop.
pub(crate) const RESERVE: &str = "RESERVE";
/// Damaged bytes that recovery, repair or the scrub set aside.
pub(crate) const QUARANTINE: &str = "quarantine";

/// The highest number that a file may have: more than anybody comes to, and so far
/// from the end of what 64 bits hold that the ones after it can be counted.
pub(crate) const MAX_NUMBER: u64 = 1 << 56;

/// What a name of ours says about its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileName {
    Lock,
    Reserve,
    /// `wal.log`, `wal_next.log` or `wal_000012.log`.
    Segment,
    Manifest(u64),
    /// `sst_000013.db` or `compacted_000021.db`.
    Table(u64),
    Quarantine,
}

impl FileName {
    /// Reads a name; `None` for a name that is not ours.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        match name {
            LOCK => return Some(FileName::Lock),
            ACTIVE_SEGMENT | NEXT_SEGMENT => return Some(FileName::Segment),
            RESERVE => return Some(FileName::Reserve),
            QUARANTINE => return Some(FileName::Quarantine),
            _ => {}
        }
        if let Some(number) = name.strip_prefix("MANIFEST_") {
            return parse_number(number).map(FileName::Manifest);
        }
        if let Some(stem) = name.strip_suffix(".log") {
            return parse_number(stem.strip_prefix("wal_")?).map(|_| FileName::Segment);
        }
        let stem = name.strip_suffix(".db")?;
        let number = stem.strip_prefix("sst_").or_else(|| stem.strip_prefix("compacted_"))?;
        parse_number(number).map(FileName::Table)
    }
}

/// Six digits at least, more where needed, nothing else.
fn parse_number(digits: &str) -> Option<u64> {
    let canonical = digits.len() == 6 || (digits.len() > 6 && !digits.starts_with('0'));
    (canonical && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|&number| number <= MAX_NUMBER)
}

pub(crate) fn sealed_segment(id: u64) -> String {
    format!("wal_{id:06}.log")
}

pub(crate) fn manifest(id: u64) -> String {
    format!("MANIFEST_{id:06}")
}

/// Where the file `name` goes when all of it is set aside.
pub(crate) fn in_quarantine(name: &str) -> String {
    format!("{QUARANTINE}/{name}")
}

/// Where a part of the file `name` goes that starts at `offset`.
pub(crate) fn part_in_quarantine(name: &str, offset: u64) -> String {
    in_quarantine(&format!("{name}.{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strangers_are_left_alone() {
        assert_eq!(FileName::parse(&sealed_segment(12)), Some(FileName::Segment));
        assert_eq!(FileName::parse(&manifest(1)), Some(FileName::Manifest(1)));
        assert_eq!(FileName::parse("sst_000013.db"), Some(FileName::Table(13)));
        assert_eq!(FileName::parse("compacted_1234567.db"), Some(FileName::Table(1_234_567)));
        assert_eq!(FileName::parse(&manifest(MAX_NUMBER)), Some(FileName::Manifest(MAX_NUMBER)));
        let endless = manifest(u64::MAX);
        for stranger in
            ["notes.txt", "sst_13.db", "sst_0000013.db", "wal_12x456.log", "sst_.db", &endless]
        {
            assert_eq!(FileName::parse(stranger), None, "{stranger}");
        }
    }
}
