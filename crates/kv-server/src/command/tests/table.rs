//! The command table, row by row.

use std::collections::BTreeSet;

use super::driver::{Driver, START_MS};
use super::store::Store;
use super::test_server::TestServer;
use crate::command::Session;
use crate::command::spec::{CommandSpec, Flags, Handler};
use crate::command::table;
use crate::resp::{OwnedArgs, Reply};

fn all_with_subcommands() -> impl Iterator<Item = &'static CommandSpec> {
    table::all().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
}

/// The name as a client sends it, and `count` arguments in all.
fn call(spec: &CommandSpec, count: usize) -> OwnedArgs {
    let words = spec.name.split('|').map(str::to_owned);
    OwnedArgs::of(words.chain(std::iter::repeat("1".to_owned())).take(count))
}

fn reply(arguments: &OwnedArgs) -> Option<Reply> {
    let mut store = Store::default();
    let server = TestServer::new();
    let mut session = Session::new(1, true);
    let mut driver = Driver {
        store: &mut store,
        server: &server,
        session: &mut session,
        now_ms: START_MS,
        seed: 1,
    };
    driver.run(std::slice::from_ref(arguments)).replies.pop().map(|(reply, _)| reply)
}

#[test]
fn names_are_unique_lower_case_and_found_in_any_case() {
    let mut names = BTreeSet::new();
    for spec in all_with_subcommands() {
        assert!(names.insert(spec.name), "{} is there twice", spec.name);
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        let found = table::find_full(spec.name.to_ascii_uppercase().as_bytes());
        assert_eq!(found.map(|found| found.name), Some(spec.name));
    }
    assert!(names.len() > 90);
}

#[test]
fn rows_agree_with_themselves() {
    for spec in all_with_subcommands() {
        let name = spec.name;
        let has = |flag| spec.flags.contains(flag);
        assert!(!(has(Flags::WRITE) && has(Flags::READONLY)), "{name} writes and does not");
        assert_eq!(spec.keys.first == 0, spec.keys.access.is_empty(), "{name}: keys and access");
        let key_specs = spec.keys.access.len();
        let positions = (spec.keys.last - spec.keys.first + 1) as usize;
        assert!(key_specs <= 1 || key_specs == positions, "{name}: access of each key");
        let writes_keys = spec.keys.access.iter().any(|access| !access.starts_with("RO"));
        assert!(!writes_keys || has(Flags::WRITE), "{name} writes a key without the flag");
        let is_container = matches!(spec.handler, Handler::Container);
        assert!(!is_container || spec.is_container(), "{name} has nothing to contain");
        for subcommand in spec.subcommands {
            assert_eq!(subcommand.name.split('|').next(), Some(name));
            assert_eq!(subcommand.group, spec.group);
        }
        let names: Vec<_> = spec.subcommands.iter().map(|sub| sub.name).collect();
        assert!(names.is_sorted(), "{name}: subcommands in order");
        assert!(spec.summary.ends_with('.') && !spec.summary.contains('|'), "{name}: summary");
        assert!(!spec.since.is_empty() && !spec.complexity.is_empty());
    }
}

#[test]
fn commands_of_a_group_are_in_order() {
    let commands: Vec<_> = table::all().map(|spec| (spec.group, spec.name)).collect();
    for pair in commands.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1, "{pair:?}");
    }
}

#[test]
fn wrong_numbers_of_arguments_are_refused_by_name() {
    for spec in all_with_subcommands() {
        let own = 1 + spec.name.matches('|').count();
        let least = spec.arity.unsigned_abs() as usize;
        assert!(least >= own, "{}: its own name counts", spec.name);
        let text = format!("ERR wrong number of arguments for '{}' command", spec.name);
        let expected = match spec.name {
            "exec" => format!("EXECABORT Transaction discarded because of: {}", &text[4..]),
            _ => text,
        };
        let mut wrong = vec![];
        if least > own {
            wrong.push(least - 1);
        }
        if spec.arity > 0 {
            wrong.push(least + 1);
        }
        for count in wrong {
            let refused = reply(&call(spec, count));
            assert_eq!(refused, Some(Reply::error(expected.clone())), "{count} arguments");
        }
    }
}

#[test]
fn the_right_number_of_arguments_is_not_refused_for_its_number() {
    for spec in all_with_subcommands() {
        let least = spec.arity.unsigned_abs() as usize;
        let got = reply(&call(spec, least));
        let is_container = matches!(spec.handler, Handler::Container);
        let refusal = format!("ERR wrong number of arguments for '{}' command", spec.name);
        // Pairs are a matter of the handler.
        let needs_pairs = ["config|set"].contains(&spec.name);
        if !is_container && !needs_pairs {
            assert_ne!(got, Some(Reply::error(refusal)), "{}", spec.name);
        }
    }
}

/// A command without the write flag runs on a view that cannot be written, and
/// the driver checks that it leaves no writes there.
#[test]
fn commands_without_the_write_flag_do_not_write() {
    for spec in all_with_subcommands() {
        let least = spec.arity.unsigned_abs() as usize;
        for count in least..least + 3 {
            reply(&call(spec, count));
        }
    }
}

#[test]
fn keys_are_found_among_the_arguments() {
    let indices =
        |name: &str, count| table::find_full(name.as_bytes()).unwrap().keys.indices(count);
    assert_eq!(indices("get", 2), [1]);
    assert_eq!(indices("mset", 7), [1, 3, 5]);
    assert_eq!(indices("del", 4), [1, 2, 3]);
    assert_eq!(indices("rename", 3), [1, 2]);
    assert_eq!(indices("object|encoding", 3), [2]);
    assert_eq!(indices("lcs", 5), [1, 2]);
    assert_eq!(indices("ping", 2), [0; 0]);
}
