//! What goes wrong on purpose in a history: calls that fail, and a device that
//! does something else than it was told.

use kv_env::{DeviceFault, Failure, Fault, Operation};
use serde::{Deserialize, Serialize};

/// The unit in which devices lose and misplace data.
pub(crate) const SECTOR_BYTES: u64 = 512;

/// Length of a frame of the log: the stamp at its beginning says what had been
/// synced before.
pub(crate) const FRAME_BYTES: u64 = 4096;

/// Which calls shall fail, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What they report.
    pub failure: Failure,
    /// Only calls of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Operation>,
    /// Only files whose name matches; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// How many such calls pass first.
    #[serde(default)]
    pub after: u64,
    /// How many fail; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

impl FaultRule {
    /// The rule as the simulated disk takes it.
    pub(crate) fn fault(&self) -> Fault {
        let mut fault = Fault::new(self.failure).after(self.after);
        if let Some(operation) = self.of {
            fault = fault.of(operation);
        }
        if let Some(pattern) = &self.on {
            fault = fault.on(pattern.clone());
        }
        match self.times {
            Some(times) => fault.times(times),
            None => fault,
        }
    }
}

/// The one call of a history that fails, counted over all its disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailingCall {
    /// Its number, counted from 0.
    pub number: u64,
    /// What it reports.
    pub failure: Failure,
}

/// What the device does wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRule {
    /// What it does.
    pub effect: DeviceEffect,
    /// Only files whose name matches; `*` stands for any characters.
    pub on: String,
    /// The first sector of each such file that is concerned.
    pub sector: u64,
    /// How many sectors are.
    pub sectors: u64,
    /// How many syncs or reads of them pass first.
    #[serde(default)]
    pub after: u64,
    /// On how many it acts; without it, on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

/// See [`DeviceFault`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceEffect {
    /// A sync that succeeds leaves the old bytes where they were.
    LostWrite,
    /// The bytes go to another file, from this sector on.
    MisdirectedWrite(String, u64),
    /// Reads see another file, from this sector on.
    MisdirectedRead(String, u64),
    /// Reads see the bits of this mask flipped in the first byte.
    FlippedBits(u8),
    /// Reads fail, and a map ends the process.
    Unreadable,
}

impl DeviceRule {
    /// The rule as the simulated disk takes it.
    pub(crate) fn fault(&self) -> DeviceFault {
        let start = self.sector * SECTOR_BYTES;
        let range = start..start + self.sectors * SECTOR_BYTES;
        let fault = match &self.effect {
            DeviceEffect::LostWrite => DeviceFault::lost_write(range),
            DeviceEffect::MisdirectedWrite(name, sector) => {
                DeviceFault::misdirected_write(range, name.clone(), sector * SECTOR_BYTES)
            }
            DeviceEffect::MisdirectedRead(name, sector) => {
                DeviceFault::misdirected_read(range, name.clone(), sector * SECTOR_BYTES)
            }
            DeviceEffect::FlippedBits(mask) => DeviceFault::flipped_bits(start, *mask),
            DeviceEffect::Unreadable => DeviceFault::unreadable(range),
        };
        let fault = fault.on(self.on.clone()).after(self.after);
        match self.times {
            Some(times) => fault.times(times),
            None => fault,
        }
    }

    /// Whether it changes what is stored.
    pub(crate) fn damages(&self) -> bool {
        use DeviceEffect::{LostWrite, MisdirectedWrite};
        matches!(self.effect, LostWrite | MisdirectedWrite(..))
    }
}
