//! What can still be read of a damaged disk, key by key.

use std::collections::BTreeSet;

use crate::keys::{self, COUNTER};
use crate::state::State;
use crate::world::Verdict;

/// Keys that could be read, with their answers.
pub(crate) struct Parts(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Parts {
    /// Asks for each key that was ever written. `get` is `None` for one that cannot
    /// be read, and an error for one that has no right to be.
    pub(crate) fn read(
        keys: &BTreeSet<u16>,
        mut get: impl FnMut(&[u8]) -> Verdict<Option<Option<Vec<u8>>>>,
    ) -> Verdict<Parts> {
        let names = keys.iter().map(|&key| keys::key(key)).chain([COUNTER.to_vec()]);
        let mut found = Vec::new();
        for name in names {
            if let Some(value) = get(&name)? {
                found.push((name, value));
            }
        }
        Ok(Parts(found))
    }

    /// They must belong to one of `states`.
    pub(crate) fn check(&self, states: &[&State]) -> Verdict {
        let agrees = |state: &&State| {
            let expected = |name: &[u8]| state.get(name).map(|value| &value[..]);
            self.0.iter().all(|(name, value)| expected(name) == value.as_deref())
        };
        match states.iter().any(agrees) {
            true => Ok(()),
            false => Err("on a damaged disk, gets answer with what no state has together".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state in which every key has the one byte `value`.
    fn state(keys: &[u16], value: u8) -> State {
        keys.iter().map(|&key| (keys::key(key).into(), [value][..].into())).collect()
    }

    #[test]
    fn what_can_be_read_must_belong_to_one_state() {
        let keys = BTreeSet::from([1, 2, 3]);
        let (old, new) = (state(&[1, 2], 7), state(&[1, 2, 3], 8));
        let answer = |name: &[u8], one: u8, others: u8| {
            let is_first = name == keys::key(1);
            let value = Some(vec![if is_first { one } else { others }]);
            (name != COUNTER).then_some(if name == keys::key(3) { None } else { value })
        };
        let check = |one, others| {
            let parts = Parts::read(&keys, |name| Ok(answer(name, one, others))).unwrap();
            parts.check(&[&old, &new])
        };
        assert!(check(7, 7).is_ok());
        assert!(check(8, 8).is_err(), "a key of that state is missing");
        assert!(check(7, 8).is_err(), "of two states");
    }

    #[test]
    fn an_answer_out_of_order_is_passed_on() {
        assert!(Parts::read(&BTreeSet::new(), |_| Err("a get".into())).is_err());
    }
}
