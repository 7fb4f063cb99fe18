//! What the keys of one connection may hold.
//!
//! Nobody else writes these keys and the connection's requests are executed in
//! order, so there is one possible world after each acknowledged request. Only
//! what was not acknowledged leaves a choice:
//!
//! * Requests without a reply: some first part of them happened and the rest
//!   did not (I2), each wholly or not at all (I3).
//! * A request that was answered by an error of unknown outcome happened or
//!   did not.
//!
//! What a restarted server holds must be one of the worlds: nothing
//! acknowledged is missing, no batch is half there, nothing is out of order.

use std::collections::BTreeMap;

use super::linear::State;
use super::request::{Answer, Event, Verb};

/// What each key holds; keys that were never written are not listed.
pub(crate) type World = BTreeMap<String, State>;

/// Unclear requests that are followed in both ways; a load ends long before.
const MAX_WORLDS: usize = 4096;

/// The possible worlds of one connection's keys.
#[derive(Debug, Clone)]
pub(crate) struct Worlds {
    worlds: Vec<World>,
}

impl Worlds {
    pub(crate) fn new() -> Worlds {
        Worlds { worlds: vec![World::new()] }
    }

    /// Takes one life's requests of the connection, in the order they were
    /// sent, as far as they touch keys for which `is_own` holds. Fails with a
    /// sentence if a reply contradicts what came before.
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
                // A read rules nothing out: what is unclear may be unseen now
                // and come true at the next open.
                Answer::Done(_) if event.request.verb == Verb::Get => {
                    if self.after(event).is_empty() {
                        return Err(format!("{event:?} reads what cannot be there"));
                    }
                }
                Answer::Done(_) => {
                    stopped.clear();
                    self.worlds = self.after(event);
                }
                Answer::Refused(_) => {}
                Answer::Unclear(_) => {
                    let after = self.after(event);
                    self.worlds.extend(after);
                }
                Answer::None => {
                    stopped.append(&mut self.worlds.clone());
                    self.worlds = self.after(event);
                }
            }
            self.worlds.dedup();
            if self.worlds.is_empty() {
                return Err(format!("the reply to {event:?} contradicts the earlier ones"));
            }
            assert!(self.worlds.len() <= MAX_WORLDS, "a client stops at its first errors");
        }
        self.worlds.append(&mut stopped);
        Ok(())
    }

    /// Holds what a server reads back against the worlds and goes on from
    /// there; a sentence if it is none of them.
    pub(crate) fn confirm(&mut self, found: &World) -> Result<(), String> {
        let holds = |world: &World, key: &String| world.get(key).copied().flatten();
        let is_found = |world: &World| found.iter().all(|(key, seen)| holds(world, key) == *seen);
        if self.worlds.iter().any(is_found) {
            self.worlds = vec![found.clone()];
            return Ok(());
        }
        for (key, seen) in found {
            let mut legal: Vec<State> = self.worlds.iter().map(|world| holds(world, key)).collect();
            if !legal.contains(seen) {
                legal.sort_unstable();
                legal.dedup();
                return Err(format!("{key} holds {seen:?}, legal is one of {legal:?}"));
            }
        }
        let differing: Vec<&String> = found
            .keys()
            .filter(|key| {
                self.worlds.iter().any(|world| holds(world, key) != holds(&self.worlds[0], key))
            })
            .collect();
        Err(format!(
            "a batch is half there or a later request survived an earlier one: {differing:?}"
        ))
    }

    /// The worlds after a request, without those that its reply rules out.
    fn after(&self, event: &Event) -> Vec<World> {
        self.worlds.iter().filter_map(|world| apply(world, event)).collect()
    }
}

fn apply(world: &World, event: &Event) -> Option<World> {
    let mut after = world.clone();
    for (at, key) in event.request.keys.iter().enumerate() {
        let action = match &event.answer {
            Answer::Done(actions) => actions[at],
            _ => event.request.action_on(key),
        };
        let before = world.get(key).copied().flatten();
        after.insert(key.clone(), action.apply(before)?);
    }
    Some(after)
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
    fn replies_are_held_against_the_world() {
        let count = |reply| {
            let done = Answer::Done(vec![Action::Increment(Some(reply))]);
            event(Verb::Incr, &["n"], 0, Some(done))
        };
        assert_eq!(verdict(&[count(1), count(2)], &[("n", Some(2))]), Ok(()));
        assert!(verdict(&[count(1), count(3)], &[("n", Some(3))]).is_err());
    }
}
