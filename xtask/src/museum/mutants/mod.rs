//! The exhibits: small changes that put a known bug of a storage engine into
//! this one.
//!
//! Each stands for something that has cost real users of real engines their
//! data, or for a rule of this one whose violation would. A mutant whose
//! original text is no longer there exactly once stops the museum: code that
//! moves takes its mutants along.

mod checks;
mod order;
mod recovery;
mod sync;
mod threads;
mod tree;

/// The word in a mutant's code that is true while it is on show.
pub(super) const SWITCH: &str = "MUTANT";

/// Who has to catch a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hunt {
    /// The crash simulation.
    Simulation,
    /// A test of kv-engine, by the start of its name: for what only a file of
    /// another time, or a look in the middle of a call, can show.
    Test(&'static str),
    /// A test of kv-engine that tries out orders of its threads, by the start of
    /// its name.
    Schedules(&'static str),
}

/// One change of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mutant {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// Who has to catch it.
    pub(super) hunt: Hunt,
    /// What goes wrong, and where it has gone wrong before.
    pub(super) bug: &'static str,
    /// The file, below `crates/`.
    pub(super) file: &'static str,
    /// The text that is replaced; it stands in the file exactly once.
    pub(super) original: &'static str,
    /// What replaces it: the bug where [`SWITCH`] is true, the original else.
    pub(super) code: &'static str,
}

/// All of them, in the order in which they are shown.
pub(super) fn all() -> Vec<Mutant> {
    let rooms: [&[Mutant]; 6] = [
        &sync::MUTANTS,
        &order::MUTANTS,
        &recovery::MUTANTS,
        &checks::MUTANTS,
        &tree::MUTANTS,
        &threads::MUTANTS,
    ];
    rooms.concat()
}
