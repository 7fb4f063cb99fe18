//! The help, word for word: whoever changes it reads it once.

use expect_test::expect;

use crate::tool::kv;

#[test]
fn help() {
    expect![[r#"
        Inspect, verify and operate a kv database directory

        Usage: kv [OPTIONS] <COMMAND>

        Commands:
          get            Print the value of a key; exit code 1 if it is absent
          put            Set a key, durable when the command ends. Creates the database
          del            Remove a key, durable when the command ends
          scan           Print entries in the order of their keys
          stats          Print the figures of the database, and what opening it found
          levels         Draw the levels of the tree and list its tables
          verify         Check every file, changing nothing but the lock file; exit code 1 for problems
          repair         Salvage what can be proven of a damaged database into a new directory
          dump-wal       Print the records of a log segment, or of all segments of a directory
          dump-table     Print the properties and the entries of a table file
          dump-manifest  Print the edits of a manifest, or of the one a directory uses
          compact        Rewrite the whole tree into one level, without what is deleted
          flush          Move everything from the log into tables

        Options:
              --json     Print JSON instead of text: one object, or one line each for entries
          -h, --help     Print help
          -V, --version  Print version

        Keys and values are bytes: printable ones stand for themselves, all others are
        written as \xNN, and a backslash as \\. One that starts with a hyphen and is no
        number stands behind --: kv get data -- -x. Behind --prefix, --from and --to any
        may stand.
        A directory that a server has open is refused; stop the server or send it the
        command (KV.STATS, KV.FLUSH, ...).
        JSON has keys and values in the same form, and identities in hexadecimal.

        Exit codes: 0 done, 1 a check failed or the key is absent, 2 usage,
        3 input or output, 4 corruption, 5 repaired with losses.

        Examples:
          kv put data fruit:apple red
          kv scan data --prefix fruit: --limit 10
          kv verify data --deep --json
          kv dump-wal data
          kv repair data --to rescued
    "#]]
    .assert_eq(&kv(&["--help"]).done());
}

#[test]
fn help_of_scan() {
    expect![[r#"
        Print entries in the order of their keys

        Usage: kv scan [OPTIONS] <DIR>

        Arguments:
          <DIR>  The database directory

        Options:
              --json             Print JSON instead of text: one object, or one line each for entries
              --prefix <PREFIX>  Only keys that start with this
              --from <FROM>      Only keys from this one on
              --to <TO>          Only keys before this one
              --limit <LIMIT>    At most this many entries
              --reverse          From the last key to the first
              --keys             Print keys only
          -h, --help             Print help
    "#]].assert_eq(&kv(&["scan", "--help"]).done());
}

#[test]
fn help_of_every_command_is_there() {
    let help = kv(&["--help"]).done();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        let help = kv(&[command, "--help"]).done();
        assert!(help.contains(&format!("Usage: kv {command}")), "{help}");
    }
    assert!(kv(&["--version"]).done().starts_with("kv "));
}
