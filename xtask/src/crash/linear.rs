//! Is the history of one key linearizable?
//!
//! A history is a set of operations, each with the moments of its request and
//! of its reply. It is linearizable if every operation can be given a single
//! moment in between at which it takes effect, such that all replies come out
//! as they did. An operation without a reply took effect at some moment after
//! its request, or never.
//!
//! The search is that of Wing and Gong (1993) with the memory of Lowe (2017).
//! It takes one operation after the other, in every order that real time
//! allows, and remembers each pair of "which operations are taken" and "what
//! the key holds then": meeting a pair again leads nowhere new. Two facts keep
//! it small:
//!
//! * A client's operations are executed in the order in which it sent them, so
//!   "which are taken" is one number per client.
//! * Keys are independent: a history is linearizable if that of every key is
//!   (Herlihy and Wing, 1990), so each is searched on its own.
//!
//! A restart of the server divides a history: nothing before it can take
//! effect after it. So one life of the server is searched at a time, from all
//! states the key may have had at its start to all it may have at its end.

use std::collections::{BTreeSet, HashSet};

/// What a key holds: nothing, or the number that its value carries.
pub(crate) type State = Option<i64>;

/// The moment of a reply that never came.
pub(crate) const NEVER: u64 = u64::MAX;

/// What an operation does to a key and what its reply said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Write(State),
    /// The number after it, where the reply was seen.
    Increment(Option<i64>),
    /// Whether the key was there, where the reply was seen.
    Delete(Option<bool>),
    Read(State),
}

/// One operation of a client on one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) action: Action,
    /// Moment before the request was sent.
    pub(crate) invoked: u64,
    /// Moment after the reply was read, or [`NEVER`].
    pub(crate) answered: u64,
}

impl Action {
    /// What the key holds afterwards; `None` if the reply contradicts `state`.
    pub(crate) fn apply(self, state: State) -> Option<State> {
        match self {
            Action::Write(written) => Some(written),
            Action::Increment(reply) => {
                let after = state.unwrap_or(0) + 1;
                reply.is_none_or(|seen| seen == after).then_some(Some(after))
            }
            Action::Delete(reply) => {
                reply.is_none_or(|seen| seen == state.is_some()).then_some(None)
            }
            Action::Read(seen) => (seen == state).then_some(state),
        }
    }
}

/// A point of the search: operations taken of each client, and the key.
type Point = (Vec<usize>, State);

/// All states the key may be in after `history`, if it may be in any of
/// `starts` before. Empty: the history is not linearizable.
///
/// The operations of one client must stand in the order they were sent.
pub(crate) fn possible_ends(starts: &BTreeSet<State>, history: &[Operation]) -> BTreeSet<State> {
    let queues = queues(history);
    let clients = queues.len();
    let mut ends = BTreeSet::new();
    let mut open: Vec<Point> = starts.iter().map(|state| (vec![0; clients], *state)).collect();
    let mut met: HashSet<Point> = open.iter().cloned().collect();
    while let Some((taken, state)) = open.pop() {
        let heads = || queues.iter().zip(&taken).filter_map(|(queue, &at)| queue.get(at));
        if heads().next().is_none() {
            ends.insert(state);
            continue;
        }
        // Who was asked after another's reply cannot come before that other.
        let first_reply = heads().map(|(_, deadline)| *deadline).min().unwrap_or(NEVER);
        for (head, _) in heads().filter(|(head, _)| head.invoked < first_reply) {
            let skipped = (head.answered == NEVER).then_some(state);
            for after in head.action.apply(state).into_iter().chain(skipped) {
                let mut point = (taken.clone(), after);
                point.0[head.client] += 1;
                if met.insert(point.clone()) {
                    open.push(point);
                }
            }
        }
    }
    ends
}

/// The operations of each client, each with the moment by which it is taken or
/// never happened: the first reply to it or to a later one of the same client.
fn queues(history: &[Operation]) -> Vec<Vec<(Operation, u64)>> {
    let clients = history.iter().map(|operation| operation.client + 1).max().unwrap_or(0);
    let mut queues = vec![Vec::new(); clients];
    for operation in history {
        queues[operation.client].push((*operation, operation.answered));
    }
    for queue in &mut queues {
        let mut first_reply = NEVER;
        for (_, deadline) in queue.iter_mut().rev() {
            first_reply = first_reply.min(*deadline);
            *deadline = first_reply;
        }
    }
    queues
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Action, NEVER, Operation, State, possible_ends};

    /// `(client, action, invoked, answered)`
    type Row = (usize, Action, u64, u64);

    fn ends(start: State, rows: &[Row]) -> Vec<State> {
        let history: Vec<Operation> = rows
            .iter()
            .map(|&(client, action, invoked, answered)| Operation {
                client,
                action,
                invoked,
                answered,
            })
            .collect();
        possible_ends(&BTreeSet::from([start]), &history).into_iter().collect()
    }

    const W1: Action = Action::Write(Some(1));
    const W2: Action = Action::Write(Some(2));

    fn read(number: i64) -> Action {
        Action::Read(Some(number))
    }

    #[test]
    fn what_may_happen_is_accepted() {
        let cases: [(&str, &[Row], &[State]); 7] = [
            ("one after the other", &[(0, W1, 1, 2), (1, read(1), 3, 4)], &[Some(1)]),
            (
                "concurrent writes end either way",
                &[(0, W1, 1, 4), (1, W2, 2, 3)],
                &[Some(1), Some(2)],
            ),
            ("an unanswered write may be there or not", &[(0, W1, 1, NEVER)], &[None, Some(1)]),
            (
                "an unanswered write that was read is there",
                &[(0, W1, 1, NEVER), (1, read(1), 2, 3)],
                &[Some(1)],
            ),
            (
                "a read beside a write sees old or new",
                &[(0, W1, 1, 2), (0, W2, 3, 8), (1, read(1), 4, 5), (1, read(2), 6, 7)],
                &[Some(2)],
            ),
            (
                "increments in any order, one unanswered",
                &[
                    (0, Action::Increment(Some(2)), 1, 5),
                    (1, Action::Increment(Some(1)), 2, 4),
                    (2, Action::Increment(None), 3, NEVER),
                ],
                &[Some(2), Some(3)],
            ),
            (
                "delete sees what was there",
                &[(0, W1, 1, 2), (0, Action::Delete(Some(true)), 3, 4)],
                &[None],
            ),
        ];
        for (name, rows, expected) in cases {
            assert_eq!(ends(None, rows), expected, "{name}");
        }
    }

    #[test]
    fn what_may_not_happen_is_rejected() {
        let cases: [(&str, &[Row]); 8] = [
            (
                "a lost write behind one without a reply",
                &[(0, W1, 1, NEVER), (0, W2, 2, 3), (1, Action::Read(None), 4, 5)],
            ),
            ("lost write", &[(0, W1, 1, 2), (1, Action::Read(None), 3, 4)]),
            ("stale read", &[(0, W1, 1, 2), (0, W2, 3, 4), (1, read(1), 5, 6)]),
            (
                "a read that goes back",
                &[(0, W1, 1, 2), (0, W2, 3, 9), (1, read(2), 4, 5), (2, read(1), 6, 7)],
            ),
            ("a value nobody wrote", &[(0, W1, 1, 2), (1, read(7), 3, 4)]),
            (
                "lost increment",
                &[(0, Action::Increment(Some(1)), 1, 2), (1, Action::Increment(Some(1)), 1, 2)],
            ),
            ("read before it was asked for", &[(1, read(1), 1, 2), (0, W1, 3, 4)]),
            (
                "an unanswered write that was overwritten comes back",
                &[(0, W1, 1, NEVER), (1, read(1), 2, 3), (2, W2, 4, 5), (1, read(1), 6, 7)],
            ),
        ];
        for (name, rows) in cases {
            assert_eq!(ends(None, rows), [], "{name}");
        }
    }

    #[test]
    fn lives_are_joined_by_the_states_between_them() {
        let unanswered = [(0, W1, 1, NEVER)];
        let between: BTreeSet<State> = ends(None, &unanswered).into_iter().collect();
        let reading =
            |seen| [Operation { client: 0, action: Action::Read(seen), invoked: 2, answered: 3 }];
        assert_eq!(possible_ends(&between, &reading(Some(1))), BTreeSet::from([Some(1)]));
        assert_eq!(possible_ends(&between, &reading(None)), BTreeSet::from([None]));
        assert!(possible_ends(&between, &reading(Some(2))).is_empty());
    }

    #[test]
    fn a_long_busy_history_is_searched_quickly() {
        // Eight clients, all in flight at once, a thousand times.
        let rows: Vec<Row> = (0..1000_u64)
            .flat_map(|round| {
                (0..8_usize).map(move |client| {
                    let reply = round as i64 * 8 + client as i64 + 1;
                    (client, Action::Increment(Some(reply)), round * 10, round * 10 + 9)
                })
            })
            .collect();
        assert_eq!(ends(None, &rows), [Some(8000)]);
    }
}
