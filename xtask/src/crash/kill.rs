//! SIGKILL in the middle of a load, restart, check, and on with the same data.
//!
//! The operating system keeps what the process had written, so every
//! durability is held to its promise here, with other options in each life.

use super::report::{Report, conduct};
use super::rig::{Durabilities, Setting, require_healthy};
use crate::failure::Outcome;

/// Replies after which the server dies at the latest: 200 ms or less.
const MOST_REPLIES: u64 = 600;

/// So many kills, one database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("kill", setting, |scratch, rig| {
        let data_dir = scratch.subdirectory("data")?;
        let mut server = rig.start(&data_dir, Durabilities::Any)?;
        while rig.cycles < cycles {
            let moment = rig.draw_moment(MOST_REPLIES);
            let end = rig.load(server.port(), moment, || server.kill())?;
            require_healthy(&end)?;
            rig.advance()?;
            server = rig.start(&data_dir, Durabilities::Any)?;
            rig.confirm(&server)?;
            rig.cycles += 1;
        }
        Ok(())
    })
}
