//! `LCS`: the longest common subsequence of two strings.

use super::super::arguments::{integer, is_word};
use super::super::data::DataContext;
use super::super::error::{CommandError, CommandResult};
use super::super::value::{Stored, ValueType};
use crate::resp::{Args, Reply};

/// Largest table of lengths, in bytes: two strings of 4,000 bytes. Redis takes
/// eight times as much, but here many may run at a time.
const MAX_TABLE_BYTES: usize = 64 << 20;

#[derive(Debug, Default)]
struct Options {
    only_len: bool,
    matches: bool,
    min_match_len: i64,
    with_match_len: bool,
}

/// Two ranges of equal bytes, ends included, and their length.
struct Match {
    first: (usize, usize),
    second: (usize, usize),
    len: usize,
}

pub(crate) fn lcs(args: Args<'_>, data: &mut DataContext<'_>) -> CommandResult<Reply> {
    let options = parse_options(args)?;
    let first = lookup(data, &args[1])?;
    let second = lookup(data, &args[2])?;
    let first = first.as_ref().map_or(&b""[..], Stored::payload);
    let second = second.as_ref().map_or(&b""[..], Stored::payload);
    if options.only_len && options.matches {
        return Err(CommandError::fixed(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    let lengths = Lengths::of(first, second)?;
    if options.only_len {
        return Ok(Reply::Integer(i64::from(lengths.at(first.len(), second.len()))));
    }
    let (common, matches) = lengths.walk_back(first, second);
    if !options.matches {
        return Ok(Reply::bulk(common));
    }
    Ok(Reply::Map(vec![
        (Reply::bulk("matches"), Reply::Array(describe(&matches, &options))),
        (Reply::bulk("len"), Reply::Integer(common.len() as i64)),
    ]))
}

fn lookup(data: &mut DataContext<'_>, key: &[u8]) -> CommandResult<Option<Stored>> {
    match data.lookup(key)? {
        Some(stored) if stored.value_type != ValueType::String => {
            Err(CommandError::fixed("ERR The specified keys must contain string values"))
        }
        found => Ok(found),
    }
}

fn parse_options(args: Args<'_>) -> CommandResult<Options> {
    let mut options = Options::default();
    let mut rest = args.iter_from(3);
    while let Some(word) = rest.next() {
        if is_word(word, "IDX") {
            options.matches = true;
        } else if is_word(word, "LEN") {
            options.only_len = true;
        } else if is_word(word, "WITHMATCHLEN") {
            options.with_match_len = true;
        } else if is_word(word, "MINMATCHLEN") {
            let len = rest.next().ok_or(CommandError::SYNTAX)?;
            options.min_match_len = integer(len)?.max(0);
        } else {
            return Err(CommandError::SYNTAX);
        }
    }
    Ok(options)
}

/// Length of the longest common subsequence of every two prefixes.
struct Lengths {
    cells: Vec<u32>,
    row_len: usize,
}

impl Lengths {
    fn of(first: &[u8], second: &[u8]) -> CommandResult<Lengths> {
        let row_len = second.len() + 1;
        let cells = (first.len() + 1).checked_mul(row_len);
        let cells = cells.filter(|cells| *cells <= MAX_TABLE_BYTES / size_of::<u32>()).ok_or(
            CommandError::fixed(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ),
        )?;
        let mut lengths = Lengths { cells: vec![0; cells], row_len };
        for row in 1..=first.len() {
            for column in 1..=second.len() {
                lengths.cells[row * row_len + column] = if first[row - 1] == second[column - 1] {
                    lengths.at(row - 1, column - 1) + 1
                } else {
                    lengths.at(row - 1, column).max(lengths.at(row, column - 1))
                };
            }
        }
        Ok(lengths)
    }

    fn at(&self, row: usize, column: usize) -> u32 {
        self.cells[row * self.row_len + column]
    }

    /// The subsequence, and the runs it is made of from last to first.
    fn walk_back(&self, first: &[u8], second: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let mut common = Vec::new();
        let mut matches: Vec<Match> = Vec::new();
        let (mut row, mut column) = (first.len(), second.len());
        while row > 0 && column > 0 {
            if first[row - 1] == second[column - 1] {
                (row, column) = (row - 1, column - 1);
                common.push(first[row]);
                match matches.last_mut() {
                    Some(run) if run.first.0 == row + 1 && run.second.0 == column + 1 => {
                        (run.first.0, run.second.0, run.len) = (row, column, run.len + 1);
                    }
                    _ => {
                        let (first, second) = ((row, row), (column, column));
                        matches.push(Match { first, second, len: 1 });
                    }
                }
            } else if self.at(row - 1, column) > self.at(row, column - 1) {
                row -= 1;
            } else {
                column -= 1;
            }
        }
        common.reverse();
        (common, matches)
    }
}

fn describe(matches: &[Match], options: &Options) -> Vec<Reply> {
    let range = |(start, end): (usize, usize)| {
        Reply::Array(vec![Reply::Integer(start as i64), Reply::Integer(end as i64)])
    };
    let long_enough = matches.iter().filter(|run| run.len as i64 >= options.min_match_len);
    long_enough
        .map(|run| {
            let mut parts = vec![range(run.first), range(run.second)];
            if options.with_match_len {
                parts.push(Reply::Integer(run.len as i64));
            }
            Reply::Array(parts)
        })
        .collect()
}
