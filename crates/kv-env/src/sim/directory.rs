//! The directory entries of a simulated disk: what is seen now, what a power
//! cut surely keeps, and the changes in between.
//!
//! Each change survives or is lost on its own, in any combination, but for
//! one rule: no change destroys an entry that it did not destroy when it was
//! made. So a rename leaves the old name or the new one, never neither, even
//! where the creation that reused its old name is kept and the rename is not.

use std::collections::{BTreeMap, BTreeSet};

/// Number of a file on its disk; names come and go, numbers are never reused.
pub(super) type FileNumber = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(FileNumber),
    Directory,
}

type Entries = BTreeMap<String, Entry>;

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    live: Entries,
    durable: Entries,
    /// Oldest first.
    pending: Vec<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    /// Number of the op that made it.
    op: u64,
    /// A failed sync covered it: no later sync will write it, yet it may have
    /// reached the disk.
    is_given_up: bool,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    Create { name: String, file: FileNumber },
    CreateDirectory { name: String },
    Remove { name: String, file: FileNumber },
    Rename { from: String, to: String, file: FileNumber, replaced: Option<FileNumber> },
}

impl Directory {
    pub(super) fn live(&self) -> &BTreeMap<String, Entry> {
        &self.live
    }

    pub(super) fn entry(&self, name: &str) -> Option<Entry> {
        self.live.get(name).copied()
    }

    /// The name of a file that still has one.
    pub(super) fn name_of(&self, file: FileNumber) -> Option<&str> {
        let (name, _) = self.live.iter().find(|(_, entry)| **entry == Entry::File(file))?;
        Some(name)
    }

    /// The ops of the pending changes, in their order.
    pub(super) fn pending_ops(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().map(|pending| pending.op)
    }

    /// The files that some power cut could leave with a name, and those that
    /// have one now.
    pub(super) fn reachable_files(&self) -> BTreeSet<FileNumber> {
        let named =
            self.live.values().chain(self.durable.values()).filter_map(|entry| match entry {
                Entry::File(file) => Some(*file),
                Entry::Directory => None,
            });
        named.chain(self.pending.iter().filter_map(|pending| pending.change.file())).collect()
    }

    pub(super) fn create(&mut self, op: u64, name: &str, file: FileNumber) {
        self.push(op, Change::Create { name: name.to_owned(), file });
    }

    pub(super) fn create_directory(&mut self, op: u64, name: &str) {
        self.push(op, Change::CreateDirectory { name: name.to_owned() });
    }

    pub(super) fn remove(&mut self, op: u64, name: &str, file: FileNumber) {
        self.push(op, Change::Remove { name: name.to_owned(), file });
    }

    pub(super) fn rename(&mut self, op: u64, from: &str, to: &str, file: FileNumber) {
        let replaced = match self.entry(to) {
            Some(Entry::File(replaced)) => Some(replaced),
            _ => None,
        };
        let (from, to) = (from.to_owned(), to.to_owned());
        self.push(op, Change::Rename { from, to, file, replaced });
    }

    /// Gives `file` a durable name at once, as if it had always been there.
    pub(super) fn plant(&mut self, name: &str, file: FileNumber) {
        for entries in [&mut self.live, &mut self.durable] {
            entries.insert(name.to_owned(), Entry::File(file));
        }
        self.pending.retain(|pending| !pending.change.names(name));
    }

    fn push(&mut self, op: u64, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(Pending { op, is_given_up: false, change });
    }

    /// A sync that succeeds: everything pending is durable, but for what an
    /// earlier sync has given up.
    ///
    /// To repeat a sync is no way to make up for one that failed. What was given
    /// up is settled only by a later change of the same name or file that is
    /// synced in its turn: an entry that is on the disk for certain leaves its
    /// name to nobody else, and a rename leaves the old name or the new one.
    pub(super) fn sync(&mut self) {
        let mut given_up: Vec<Pending> = Vec::new();
        for pending in self.pending.drain(..) {
            if pending.is_given_up {
                given_up.push(pending);
                continue;
            }
            let mut led_to_it = led_to(&pending.change, &given_up).into_iter();
            given_up.retain(|older| {
                let is_settled = led_to_it.next().unwrap_or(false);
                if is_settled {
                    older.change.apply(&mut self.durable);
                }
                !is_settled
            });
            pending.change.apply(&mut self.durable);
            let file = pending.change.file();
            given_up.retain(|older| file.is_none() || older.change.file() != file);
        }
        self.pending = given_up;
    }

    /// A sync that fails: nobody knows which changes were written, and no
    /// later sync will write them.
    pub(super) fn give_up_changes(&mut self) {
        for pending in &mut self.pending {
            pending.is_given_up = true;
        }
    }

    /// The directory after a power cut that kept the pending changes for which
    /// `survives` holds, given in their order.
    pub(super) fn after_power_cut(&self, survives: &[bool]) -> Directory {
        let mut entries = self.durable.clone();
        for (pending, survives) in self.pending.iter().zip(survives) {
            if *survives {
                pending.change.apply(&mut entries);
            }
        }
        Directory { live: entries.clone(), durable: entries, pending: Vec::new() }
    }
}

impl Change {
    fn apply(&self, entries: &mut Entries) {
        match self {
            Change::Create { name, file } => place(entries, name, *file, None),
            Change::CreateDirectory { name } => {
                entries.entry(name.clone()).or_insert(Entry::Directory);
            }
            Change::Remove { name, file } => {
                if entries.get(name) == Some(&Entry::File(*file)) {
                    entries.remove(name);
                }
            }
            Change::Rename { to, file, replaced, .. } => place(entries, to, *file, *replaced),
        }
    }

    fn file(&self) -> Option<FileNumber> {
        match self {
            Change::Create { file, .. }
            | Change::Remove { file, .. }
            | Change::Rename { file, .. } => Some(*file),
            Change::CreateDirectory { .. } => None,
        }
    }

    fn shares_a_name(&self, other: &Change) -> bool {
        match other {
            Change::Create { name, .. }
            | Change::CreateDirectory { name }
            | Change::Remove { name, .. } => self.names(name),
            Change::Rename { from, to, .. } => self.names(from) || self.names(to),
        }
    }

    fn names(&self, wanted: &str) -> bool {
        match self {
            Change::Create { name, .. }
            | Change::CreateDirectory { name }
            | Change::Remove { name, .. } => name == wanted,
            Change::Rename { from, to, .. } => from == wanted || to == wanted,
        }
    }
}

/// Which of the `older` changes led to `later`: those of the same name, and
/// those that led to these.
fn led_to(later: &Change, older: &[Pending]) -> Vec<bool> {
    let mut known = vec![later];
    let mut led: Vec<bool> = older
        .iter()
        .rev()
        .map(|older| {
            let leads = known.iter().any(|change| older.change.shares_a_name(change));
            if leads {
                known.push(&older.change);
            }
            leads
        })
        .collect();
    led.reverse();
    led
}

/// Moves `file` to `name`, unless that would destroy an entry other than
/// `replaced` or needs a sub-directory that is not there.
fn place(entries: &mut Entries, name: &str, file: FileNumber, replaced: Option<FileNumber>) {
    let has_parent = match name.split_once('/') {
        Some((parent, _)) => entries.get(parent) == Some(&Entry::Directory),
        None => true,
    };
    let is_free = match entries.get(name) {
        None => true,
        Some(Entry::File(holder)) => *holder == file || Some(*holder) == replaced,
        Some(Entry::Directory) => false,
    };
    if has_parent && is_free {
        entries.retain(|_, entry| *entry != Entry::File(file));
        entries.insert(name.to_owned(), Entry::File(file));
    }
}
