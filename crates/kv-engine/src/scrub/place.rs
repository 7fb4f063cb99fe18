//! Where the scrub is, as it travels from one open to the next.
//!
//! The manifest carries it, as a property of edits that are written anyway. Only
//! if none is written for [`RECORD_INTERVAL`] does the scrub write one.

use std::collections::BTreeMap;
use std::time::Duration;

use kv_compaction::VersionEdit;

/// The least time between two edits that hold nothing else: what a kill of the
/// process makes the next scrub read again.
pub(super) const RECORD_INTERVAL: Duration = Duration::from_secs(300);

/// Name of the property. Its value is text: the four numbers of a
/// [`ScrubPlace`] in decimal, with a space between two. Text holds no zeros,
/// which in a manifest look like a torn write.
const PROPERTY: &str = "scrub";

/// The place of the scrub in its newest pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ScrubPlace {
    /// When the pass began, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// Tables below this id are done.
    pub(crate) next_id: u64,
    /// Tables from this id on were made after the pass began; 0 if there never
    /// was a pass.
    pub(crate) end_id: u64,
    /// When the last pass that came to its end did so, in milliseconds since
    /// 1970; 0 if none did.
    pub(crate) completed_ms: u64,
}

impl ScrubPlace {
    /// True between two passes.
    pub(crate) fn is_between_passes(&self) -> bool {
        self.next_id >= self.end_id
    }

    /// How long after `now_ms` the next pass may begin, with `interval` from
    /// start to start. A clock that was set back makes it wait for one interval
    /// and no more.
    pub(crate) fn until_next_pass(&self, now_ms: u64, interval: Duration) -> Duration {
        if self.end_id == 0 {
            return Duration::ZERO;
        }
        let since = Duration::from_millis(now_ms.saturating_sub(self.started_ms));
        interval.saturating_sub(since)
    }

    /// What an edit says of it; `None` if it says nothing that can be read: the
    /// scrub starts over then.
    pub(crate) fn of_edit(edit: &VersionEdit) -> Option<ScrubPlace> {
        let text = std::str::from_utf8(edit.properties.get(PROPERTY)?).ok()?;
        let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        let [started_ms, next_id, end_id, completed_ms] = numbers.ok()?[..] else { return None };
        Some(ScrubPlace { started_ms, next_id, end_id, completed_ms })
    }

    /// The properties of an edit that says it.
    pub(crate) fn properties(&self) -> BTreeMap<String, Vec<u8>> {
        if *self == ScrubPlace::default() {
            return BTreeMap::new();
        }
        let ScrubPlace { started_ms, next_id, end_id, completed_ms } = self;
        let text = format!("{started_ms} {next_id} {end_id} {completed_ms}");
        BTreeMap::from([(PROPERTY.into(), text.into_bytes())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    #[test]
    fn an_edit_keeps_the_place() {
        let place = ScrubPlace { started_ms: 7, next_id: 3, end_id: 9, completed_ms: 2 };
        let mut edit = VersionEdit { properties: place.properties(), ..VersionEdit::default() };
        assert_eq!(edit.properties["scrub"], b"7 3 9 2");
        assert_eq!(ScrubPlace::of_edit(&edit), Some(place));
        assert!(ScrubPlace::default().properties().is_empty());
        for strange in [&b"7 3 9"[..], b"7 3 9 2 1", b"a b c d", b"", b"\xff", b"-1 2 3 4"] {
            edit.properties.insert("scrub".into(), strange.to_vec());
            assert_eq!(ScrubPlace::of_edit(&edit), None, "{strange:?}");
        }
    }

    #[test]
    fn a_weekly_pass_is_neither_started_nor_put_off_by_daily_restarts() {
        let over = ScrubPlace { started_ms: DAY_MS, next_id: 5, end_id: 5, completed_ms: DAY_MS };
        let wait = |now_ms| over.until_next_pass(now_ms, WEEK).as_millis() as u64;
        for days in 1..=8 {
            assert_eq!(wait(days * DAY_MS), (8 - days) * DAY_MS);
        }
        assert_eq!(wait(100 * DAY_MS), 0);
        assert_eq!(wait(0), 7 * DAY_MS, "the clock went back");
        assert_eq!(ScrubPlace::default().until_next_pass(0, WEEK), Duration::ZERO);
    }
}
