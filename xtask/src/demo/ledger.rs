//! What one writer has tried and what was acknowledged: the measure that a
//! restarted server is held against.
//!
//! A writer owns its slots. A slot is one key, or a few keys that are always
//! written together; each write of a slot carries a higher turn than the last.
//! So two numbers per slot say everything: the store must hold a turn between
//! the last acknowledged and the last attempted one, the same in all keys of
//! the slot.

/// How the keys of a slot are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// One key, by SET.
    Single,
    /// Several keys in one MSET.
    Mset,
    /// Several keys in MULTI … EXEC.
    Exec,
}

/// Keys written together by MSET or EXEC.
pub(crate) const KEYS_PER_BATCH: usize = 4;
/// Length of a value, in bytes: a turn in decimal and filler.
const VALUE_BYTES: usize = 100;

/// The account of one writer.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    writer: usize,
    acknowledged: Vec<u64>,
    attempted: Vec<u64>,
}

/// What the keys of all slots hold, held against the ledger.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Slots whose acknowledged turn is there, or a later attempted one.
    pub(crate) kept: u64,
    /// Slots that lost an acknowledged turn.
    pub(crate) lost: u64,
    /// Slots whose keys hold different turns.
    pub(crate) torn: u64,
    /// Slots that hold what was never written.
    pub(crate) invented: u64,
}

impl Ledger {
    pub(crate) fn new(writer: usize, slots: usize) -> Ledger {
        Ledger { writer, acknowledged: vec![0; slots], attempted: vec![0; slots] }
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.attempted.len()
    }

    /// Begins the next write of a slot and returns its turn.
    pub(crate) fn attempt(&mut self, slot: usize) -> u64 {
        self.attempted[slot] += 1;
        self.attempted[slot]
    }

    /// The server has acknowledged the last attempt.
    pub(crate) fn acknowledge(&mut self, slot: usize) {
        self.acknowledged[slot] = self.attempted[slot];
    }

    /// The keys of a slot.
    pub(crate) fn keys(&self, slot: usize) -> Vec<Vec<u8>> {
        let name = format!("demo:{:02}:{slot:06}", self.writer);
        match kind_of(slot) {
            SlotKind::Single => vec![name.into_bytes()],
            SlotKind::Mset | SlotKind::Exec => {
                (0..KEYS_PER_BATCH).map(|part| format!("{name}:{part}").into_bytes()).collect()
            }
        }
    }

    /// Judges what the keys of a slot hold.
    pub(crate) fn judge(&self, slot: usize, values: &[Option<Vec<u8>>], verdict: &mut Verdict) {
        let turns: Vec<Option<u64>> =
            values.iter().map(|value| value.as_deref().map_or(Some(0), turn_of)).collect();
        let first = turns.first().copied().flatten();
        let counter = match first {
            _ if turns.iter().any(Option::is_none) => &mut verdict.invented,
            _ if turns.iter().any(|&turn| turn != first) => &mut verdict.torn,
            Some(turn) if turn < self.acknowledged[slot] => &mut verdict.lost,
            Some(turn) if turn > self.attempted[slot] => &mut verdict.invented,
            _ => &mut verdict.kept,
        };
        *counter += 1;
    }
}

impl Verdict {
    /// Adds another writer's.
    pub(crate) fn add(&mut self, other: Verdict) {
        self.kept += other.kept;
        self.lost += other.lost;
        self.torn += other.torn;
        self.invented += other.invented;
    }
}

/// The kinds take turns, so that every writer writes all of them.
pub(crate) fn kind_of(slot: usize) -> SlotKind {
    [SlotKind::Single, SlotKind::Mset, SlotKind::Exec][slot % 3]
}

/// The value of a turn.
pub(crate) fn value_of(turn: u64) -> Vec<u8> {
    let mut value = format!("{turn:020}|").into_bytes();
    value.resize(VALUE_BYTES, b'v');
    value
}

/// The turn that a value carries; `None` for anything [`value_of`] never made.
fn turn_of(value: &[u8]) -> Option<u64> {
    let turn = std::str::from_utf8(value.get(..20)?).ok()?.parse().ok()?;
    (value == value_of(turn)).then_some(turn)
}

#[cfg(test)]
mod tests {
    use super::{KEYS_PER_BATCH, Ledger, Verdict, value_of};

    const BATCH_SLOT: usize = 1;

    fn verdict(turns: [u64; KEYS_PER_BATCH]) -> Verdict {
        let mut ledger = Ledger::new(0, 3);
        for _ in 0..3 {
            ledger.attempt(BATCH_SLOT);
            ledger.acknowledge(BATCH_SLOT);
        }
        ledger.attempt(BATCH_SLOT);
        let values = turns.map(|turn| (turn > 0).then(|| value_of(turn)));
        let mut verdict = Verdict::default();
        ledger.judge(BATCH_SLOT, &values, &mut verdict);
        verdict
    }

    #[test]
    fn the_last_acknowledged_turn_or_the_one_in_flight_is_right() {
        let kept = Verdict { kept: 1, ..Verdict::default() };
        let lost = Verdict { lost: 1, ..Verdict::default() };
        let torn = Verdict { torn: 1, ..Verdict::default() };
        let invented = Verdict { invented: 1, ..Verdict::default() };
        let cases = [
            ([3; 4], kept),
            ([4; 4], kept),
            ([2; 4], lost),
            ([0; 4], lost),
            ([3, 4, 3, 3], torn),
            ([3, 3, 3, 0], torn),
            ([5; 4], invented),
        ];
        for (turns, expected) in cases {
            assert_eq!(verdict(turns), expected, "{turns:?}");
        }
    }

    #[test]
    fn damaged_values_are_told_from_written_ones() {
        let mut verdict = Verdict::default();
        let mut damaged = value_of(0);
        damaged[50] ^= 1;
        Ledger::new(0, 1).judge(0, &[Some(damaged)], &mut verdict);
        assert_eq!(verdict, Verdict { invented: 1, ..Verdict::default() });
    }
}
