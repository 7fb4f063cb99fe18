//! The op log: every change of a simulated disk is one numbered op, and a
//! state of the disk is a fold of `State::apply` over them.

use std::fmt;
use std::sync::Arc;

use super::directory::FileNumber;
use super::random::mix;

/// A change of a disk. Everything that chance decides is decided when the op
/// is made and written into it, so that applying it again gives the same.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create {
        file: FileNumber,
    },
    CreateDirectory,
    Rename {
        to: String,
    },
    Remove,
    Write {
        file: FileNumber,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    WriteZeros {
        file: FileNumber,
        from: usize,
        to: usize,
    },
    SetLength {
        file: FileNumber,
        len: usize,
    },
    Seal {
        file: FileNumber,
    },
    Sync {
        file: FileNumber,
        outcome: SyncOutcome,
        /// Sectors that a sync does not put where they belong although it
        /// reports success.
        strays: Vec<Stray>,
    },
    SyncDirectory {
        outcome: SyncOutcome,
    },
    /// Clean pages leave the cache; `seed` decides which of the pages that a
    /// failed sync gave up are found on the disk.
    Evict {
        file: FileNumber,
        seed: u64,
    },
    /// Rot, made by a test.
    Flip {
        file: FileNumber,
        offset: usize,
        mask: u8,
    },
    /// A durable file, put there by a test.
    Plant {
        file: FileNumber,
        bytes: Arc<[u8]>,
    },
    /// A call that failed without a trace.
    Nothing,
}

/// A sector whose own place keeps its old bytes.
#[derive(Debug, Clone)]
pub(super) struct Stray {
    pub(super) sector: usize,
    /// Where its bytes are written to, if to anywhere.
    pub(super) landing: Option<Landing>,
}

/// The place of another sector, or of another file, that bytes have gone to.
#[derive(Debug, Clone)]
pub(super) struct Landing {
    pub(super) file: FileNumber,
    /// What the file is called at the time.
    pub(super) name: String,
    pub(super) sector: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncOutcome {
    /// Everything before it is durable.
    Durable,
    /// It failed: any part may be durable, and no later sync will help.
    Failed,
    /// It failed, and the cache went back to what the disk holds, of which
    /// `seed` decides.
    Reverted { seed: u64 },
    /// It reported success and did nothing.
    Lied,
}

impl Op {
    pub(super) fn sync(file: FileNumber, outcome: SyncOutcome) -> Op {
        Op::Sync { file, outcome, strays: Vec::new() }
    }

    /// What is left of the op when its call fails. A write leaves some of its
    /// bytes, as many as `seed` says.
    pub(super) fn failed(self, seed: u64, reverts: bool) -> Op {
        match self {
            Op::Write { file, offset, bytes } => {
                let written = (mix(seed, 0) % (bytes.len() as u64 + 1)) as usize;
                Op::Write { file, offset, bytes: Arc::from(&bytes[..written]) }
            }
            Op::WriteZeros { file, from, to } => {
                let written = (mix(seed, 0) % ((to - from) as u64 + 1)) as usize;
                Op::WriteZeros { file, from, to: from + written }
            }
            Op::Sync { file, .. } if reverts => Op::sync(file, SyncOutcome::Reverted { seed }),
            Op::Sync { file, .. } => Op::sync(file, SyncOutcome::Failed),
            Op::SyncDirectory { .. } => Op::SyncDirectory { outcome: SyncOutcome::Failed },
            _ => Op::Nothing,
        }
    }

    /// The op as a disk runs it that lies about syncs.
    pub(super) fn lied(self) -> Op {
        match self {
            Op::Sync { file, .. } => Op::sync(file, SyncOutcome::Lied),
            Op::SyncDirectory { .. } => Op::SyncDirectory { outcome: SyncOutcome::Lied },
            other => other,
        }
    }

    /// The file whose bytes it changes, if it writes to one.
    pub(super) fn written_file(&self) -> Option<FileNumber> {
        match self {
            Op::Write { file, .. } | Op::WriteZeros { file, .. } | Op::SetLength { file, .. } => {
                Some(*file)
            }
            _ => None,
        }
    }

    /// True for a sync, of a file or of the directory, that failed.
    pub(super) fn is_failed_sync(&self) -> bool {
        use SyncOutcome::{Failed, Reverted};
        match self {
            Op::Sync { outcome, .. } | Op::SyncDirectory { outcome } => {
                matches!(outcome, Failed | Reverted { .. })
            }
            _ => false,
        }
    }

    /// True for a sync that succeeded and did not put everything where it
    /// belongs.
    pub(super) fn went_astray(&self) -> bool {
        !self.strays().is_empty()
    }

    /// What a sync did not put where it belongs.
    pub(super) fn strays(&self) -> &[Stray] {
        match self {
            Op::Sync { strays, .. } => strays,
            _ => &[],
        }
    }

    /// Where a write would end, if it is one.
    pub(super) fn write_end(&self) -> Option<(FileNumber, usize)> {
        match self {
            Op::Write { file, offset, bytes } => Some((*file, offset + bytes.len())),
            Op::WriteZeros { file, to, .. } => Some((*file, *to)),
            _ => None,
        }
    }

    /// A write cut short at the offset `end`.
    pub(super) fn cut_at(self, end: usize) -> Op {
        match self {
            Op::Write { file, offset, bytes } => {
                let kept = end.saturating_sub(offset).min(bytes.len());
                Op::Write { file, offset, bytes: Arc::from(&bytes[..kept]) }
            }
            Op::WriteZeros { file, from, to } => {
                Op::WriteZeros { file, from, to: end.clamp(from, to) }
            }
            other => other,
        }
    }
}

/// An op, and the name it was done to.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) op: Op,
    pub(super) name: String,
    pub(super) failed: bool,
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.op {
            Op::Create { .. } => write!(formatter, "create {name}"),
            Op::CreateDirectory => write!(formatter, "create directory {name}"),
            Op::Rename { to } => write!(formatter, "rename {name} to {to}"),
            Op::Remove => write!(formatter, "remove {name}"),
            Op::Write { offset, bytes, .. } => {
                write!(formatter, "write {} bytes at {offset} of {name}", bytes.len())
            }
            Op::WriteZeros { from, to, .. } => {
                write!(formatter, "write zeros from {from} to {to} of {name}")
            }
            Op::SetLength { len, .. } => write!(formatter, "set the length of {name} to {len}"),
            Op::Seal { .. } => write!(formatter, "seal {name}"),
            Op::Sync { .. } => write!(formatter, "sync {name}"),
            Op::SyncDirectory { .. } => write!(formatter, "sync the directory"),
            Op::Evict { .. } => write!(formatter, "drop the cache of {name}"),
            Op::Flip { offset, mask, .. } => {
                write!(formatter, "flip bits {mask:#04x} at {offset} of {name}")
            }
            Op::Plant { bytes, .. } => write!(formatter, "put {} bytes as {name}", bytes.len()),
            Op::Nothing => write!(formatter, "a call on {name} without a trace"),
        }?;
        match &self.op {
            Op::Sync { outcome, .. } | Op::SyncDirectory { outcome }
                if *outcome != SyncOutcome::Durable =>
            {
                write!(formatter, " ({outcome:?})")?;
            }
            Op::Sync { strays, .. } => {
                for Stray { sector, landing } in strays {
                    match landing {
                        None => write!(formatter, "; sector {sector} was lost")?,
                        Some(Landing { file, sector: to, .. }) => {
                            write!(formatter, "; sector {sector} went to {to} of file {file}")?;
                        }
                    }
                }
            }
            _ => {}
        }
        if self.failed { write!(formatter, ": failed") } else { Ok(()) }
    }
}
