//! What the keys of one connection may hold.
//!
//! Nobody else writes these keys and the connection's requests are executed in
//! order, so there is one possible world after each acknowledged request. Only
//! what was not acknowledged leaves a choice:
//!
//! * Requests without a reply: some first part of them happened and the rest
//!   did not (I2), each wholly or not at all (I3).
//! * A request that was answered by an error of unknown outcome happened or
//!   did not. A read may show which, see [`Worlds::advance`].
//!
//! What a restarted server holds must be one of the worlds: nothing
//! acknowledged is missing, no batch is half there, nothing is out of order.

use std::collections::{BTreeMap, BTreeSet};

use super::linear::{Action, State};
use super::request::{Answer, Event, Verb};

/// What each key holds; keys that were never written are not listed.
pub(crate) type World = BTreeMap<String, State>;

/// Unclear requests that are followed in both ways; a load ends long before.
const MAX_WORLDS: usize = 4096;

/// The possible worlds of one connection's keys.
#[derive(Debug, Clone)]
pub(crate) struct Worlds {
    branches: Vec<Branch>,
    /// What the requests of unknown outcome would do, each key and its state.
    doubtful: BTreeSet<(String, State)>,
}

/// A world and what of the doubtful happened in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Branch {
    world: World,
    happened: BTreeSet<(String, State)>,
}

impl Worlds {
    pub(crate) fn new() -> Worlds {
        Worlds { branches: vec![Branch::default()], doubtful: BTreeSet::new() }
    }

    /// Takes one life's requests of the connection, in the order they were
    /// sent, as far as they touch keys for which `is_own` holds, and reads of
    /// such keys by others. Fails with a sentence if a reply contradicts what
    /// came before.
    pub(crate) fn advance<'a>(
        &mut self,
        events: impl Iterator<Item = &'a Event>,
        is_own: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        // Worlds in which the requests without a reply stop happening.
        let mut stopped = Vec::new();
        let is_concerned = |event: &&Event| {
            let is_own = event.request.keys.iter().all(|key| is_own(key));
            is_own && (event.request.verb != Verb::Get || event.is_acknowledged())
        };
        for event in events.filter(is_concerned) {
            match &event.answer {
                Answer::Done(actions) if event.request.verb == Verb::Get => {
                    self.branches.append(&mut stopped);
                    for (key, action) in event.request.keys.iter().zip(actions) {
                        self.show(key, *action)?;
                    }
                }
                Answer::Done(_) => {
                    stopped.clear();
                    self.branches = self.after(event);
                }
                Answer::Refused(_) => {}
                Answer::Unclear(_) => {
                    let after = self.after(event);
                    self.branches.extend(after);
                }
                Answer::None => {
                    stopped.append(&mut self.branches.clone());
                    self.branches = self.after(event);
                }
            }
            self.branches.dedup();
            if self.branches.is_empty() {
                return Err(format!("the reply to {event:?} contradicts the earlier ones"));
            }
            assert!(self.branches.len() <= MAX_WORLDS, "a client stops at its first errors");
        }
        self.branches.append(&mut stopped);
        Ok(())
    }

    /// A read in a life that goes on, by which two things are promised:
    ///
    /// * It shows one of the worlds.
    /// * What it shows is not taken back by a restart: of the worlds that
    ///   differ only those remain in which something doubtful came on top.
    ///
    /// It rules nothing else out. A server that is poisoned by a failed sync
    /// does not show the writes of the failed group, yet they may have reached
    /// the disk: their outcome is unknown until the next open, which may find
    /// them. So the old value now and the new one after the restart is legal,
    /// and the new value now and the old one after the restart is not.
    fn show(&mut self, key: &str, action: Action) -> Result<(), String> {
        let Action::Read(seen) = action else { return Ok(()) };
        if !self.branches.iter().any(|branch| branch.holds(key) == seen) {
            let mut legal: Vec<State> =
                self.branches.iter().map(|branch| branch.holds(key)).collect();
            legal.sort_unstable();
            legal.dedup();
            return Err(format!("a read of {key} shows {seen:?}, legal is one of {legal:?}"));
        }
        let effect = |state| (key.to_owned(), state);
        // It may also be what was there before, as where a doubtful delete is
        // of a key that was not there: then the read shows nothing of it.
        let was_there =
            |branch: &Branch| branch.holds(key) == seen && !branch.happened.contains(&effect(seen));
        let is_doubtful =
            self.doubtful.contains(&effect(seen)) && !self.branches.iter().any(was_there);
        self.branches.retain(|branch| {
            let held = branch.holds(key);
            let is_shown = !is_doubtful || branch.happened.contains(&effect(seen));
            held == seen || is_shown && branch.happened.contains(&effect(held))
        });
        Ok(())
    }

    /// Holds what a restarted server reads back against the worlds and goes on
    /// from there; a sentence if it is none of them.
    pub(crate) fn confirm(&mut self, found: &World) -> Result<(), String> {
        let is_found = |branch: &Branch| found.iter().all(|(key, seen)| branch.holds(key) == *seen);
        if self.branches.iter().any(is_found) {
            self.branches = vec![Branch { world: found.clone(), happened: BTreeSet::new() }];
            self.doubtful.clear();
            return Ok(());
        }
        for (key, seen) in found {
            let mut legal: Vec<State> =
                self.branches.iter().map(|branch| branch.holds(key)).collect();
            if !legal.contains(seen) {
                legal.sort_unstable();
                legal.dedup();
                return Err(format!("{key} holds {seen:?}, legal is one of {legal:?}"));
            }
        }
        let first = &self.branches[0];
        let differs = |key: &&String| {
            self.branches.iter().any(|branch| branch.holds(key) != first.holds(key))
        };
        let differing: Vec<&String> = found.keys().filter(differs).collect();
        Err(format!(
            "a batch is half there or a later request survived an earlier one: {differing:?}"
        ))
    }

    /// The worlds after a request, without those that its reply rules out.
    fn after(&mut self, event: &Event) -> Vec<Branch> {
        let after: Vec<Branch> =
            self.branches.iter().filter_map(|branch| branch.after(event)).collect();
        for branch in &after {
            self.doubtful.extend(branch.happened.iter().cloned());
        }
        after
    }
}

impl Branch {
    fn holds(&self, key: &str) -> State {
        self.world.get(key).copied().flatten()
    }

    fn after(&self, event: &Event) -> Option<Branch> {
        let mut after = self.clone();
        for (at, key) in event.request.keys.iter().enumerate() {
            let action = match &event.answer {
                Answer::Done(actions) => actions[at],
                _ => event.request.action_on(key),
            };
            let state = action.apply(self.holds(key))?;
            after.world.insert(key.clone(), state);
            if !event.is_acknowledged() {
                after.happened.insert((key.clone(), state));
            }
        }
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::{World, Worlds};
    use crate::crash::linear::{Action, NEVER, State};
    use crate::crash::request::{Answer, Event, Request, Verb};

    fn event(verb: Verb, keys: &[&str], number: i64, answer: Option<Answer>) -> Event {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let request = Request { verb, keys, number };
        let done = request.keys.iter().map(|key| request.action_on(key)).collect();
        let answer = answer.unwrap_or(Answer::Done(done));
        Event { client: 0, request, invoked: 1, answered: NEVER, answer }
    }

    fn verdict(events: &[Event], found: &[(&str, State)]) -> Result<(), String> {
        let mut worlds = Worlds::new();
        worlds.advance(events.iter(), |_| true)?;
        let found: World = found.iter().map(|(key, state)| ((*key).to_owned(), *state)).collect();
        worlds.confirm(&found)
    }

    #[test]
    fn acknowledged_requests_must_be_there() {
        let events = [
            event(Verb::Set, &["a"], 1, None),
            event(Verb::Mset, &["a", "b"], 2, None),
            event(Verb::Del, &["b"], 3, None),
        ];
        assert_eq!(verdict(&events, &[("a", Some(2)), ("b", None)]), Ok(()));
        for (name, found) in [
            ("lost", [("a", None), ("b", None)]),
            ("stale", [("a", Some(1)), ("b", None)]),
            ("deleted and back", [("a", Some(2)), ("b", Some(2))]),
            ("invented", [("a", Some(9)), ("b", None)]),
        ] {
            assert!(verdict(&events, &found).is_err(), "{name}");
        }
    }

    #[test]
    fn unanswered_requests_are_there_up_to_one_and_whole() {
        let unanswered = |verb, keys, number| event(verb, keys, number, Some(Answer::None));
        let events = [
            event(Verb::Set, &["a"], 1, None),
            unanswered(Verb::Mset, &["a", "b"], 2),
            unanswered(Verb::Set, &["c"], 3),
        ];
        let cases = [
            ("none", [Some(1), None, None], true),
            ("the first", [Some(2), Some(2), None], true),
            ("both", [Some(2), Some(2), Some(3)], true),
            ("half a batch", [Some(2), None, None], false),
            ("the other half", [Some(1), Some(2), None], false),
            ("the second without the first", [Some(1), None, Some(3)], false),
            ("the acknowledged one lost", [None, None, None], false),
        ];
        for (name, [a, b, c], holds) in cases {
            let result = verdict(&events, &[("a", a), ("b", b), ("c", c)]);
            assert_eq!(result.is_ok(), holds, "{name}: {result:?}");
        }
    }

    #[test]
    fn errors_leave_both_ways_open_or_none() {
        let unclear = Answer::Unclear("MISCONF".into());
        let events =
            [event(Verb::Set, &["a"], 1, Some(unclear)), event(Verb::Set, &["b"], 2, None)];
        assert_eq!(verdict(&events, &[("a", Some(1)), ("b", Some(2))]), Ok(()));
        assert_eq!(verdict(&events, &[("a", None), ("b", Some(2))]), Ok(()));
        assert!(verdict(&events, &[("a", Some(1)), ("b", None)]).is_err());
        let unseen = Answer::Done(vec![Action::Read(None)]);
        let unclear = Answer::Unclear("MISCONF".into());
        let events =
            [event(Verb::Set, &["a"], 1, Some(unclear)), event(Verb::Get, &["a"], 2, Some(unseen))];
        assert_eq!(verdict(&events, &[("a", Some(1))]), Ok(()));
        let misread = Answer::Done(vec![Action::Read(Some(9))]);
        assert!(verdict(&[event(Verb::Get, &["a"], 1, Some(misread))], &[("a", None)]).is_err());
        let refused = Answer::Refused("ERR no space".into());
        let events = [event(Verb::Set, &["a"], 1, Some(refused))];
        assert_eq!(verdict(&events, &[("a", None)]), Ok(()));
        assert!(verdict(&events, &[("a", Some(1))]).is_err());
    }

    #[test]
    fn what_a_poisoned_server_shows_it_keeps() {
        let unclear = |verb, keys: &[&str], number| {
            event(verb, keys, number, Some(Answer::Unclear("MISCONF".into())))
        };
        let read = |key: &str, seen| {
            event(Verb::Get, &[key], 0, Some(Answer::Done(vec![Action::Read(seen)])))
        };
        let start = event(Verb::Set, &["a"], 1, None);
        let doubtful = unclear(Verb::Mset, &["a", "b"], 2);
        let overwriting = unclear(Verb::Set, &["a"], 3);
        let deleting = unclear(Verb::Del, &["a"], 4);
        let found = |a, b| [("a", a), ("b", b)];
        let cases = [
            (
                "unseen, and there after the restart",
                vec![read("a", Some(1))],
                (Some(2), Some(2)),
                true,
            ),
            ("unseen, and not there", vec![read("a", Some(1))], (Some(1), None), true),
            (
                "absent before a doubtful delete, and there after the restart",
                vec![unclear(Verb::Del, &["b"], 5), read("b", None)],
                (Some(2), Some(2)),
                true,
            ),
            ("seen, and there", vec![read("a", Some(2))], (Some(2), Some(2)), true),
            ("seen, and taken back", vec![read("a", Some(2))], (Some(1), None), false),
            (
                "seen in another key, and taken back",
                vec![read("b", Some(2))],
                (Some(1), None),
                false,
            ),
            (
                "seen, then overwritten",
                vec![overwriting.clone(), read("a", Some(2))],
                (Some(3), Some(2)),
                true,
            ),
            (
                "seen overwritten, and half taken back",
                vec![overwriting.clone(), read("a", Some(3))],
                (Some(2), Some(2)),
                false,
            ),
            (
                "seen deleted, and back",
                vec![deleting.clone(), read("a", None)],
                (Some(1), None),
                false,
            ),
            ("unseen, then deleted", vec![deleting, read("a", Some(1))], (None, None), true),
            ("never written", vec![read("a", Some(9))], (Some(1), None), false),
        ];
        for (name, more, (a, b), holds) in cases {
            let events: Vec<Event> =
                [start.clone(), doubtful.clone()].into_iter().chain(more).collect();
            let result = verdict(&events, &found(a, b));
            assert_eq!(result.is_ok(), holds, "{name}: {result:?}");
        }
    }

    #[test]
    fn replies_are_held_against_the_world() {
        let count = |reply| {
            let done = Answer::Done(vec![Action::Increment(Some(reply))]);
            event(Verb::Incr, &["n"], 0, Some(done))
        };
        assert_eq!(verdict(&[count(1), count(2)], &[("n", Some(2))]), Ok(()));
        assert!(verdict(&[count(1), count(3)], &[("n", Some(3))]).is_err());
    }
}
