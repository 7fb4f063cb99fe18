//! The lines and branches of each file, from the text format of lcov.

use super::Share;

/// What the tests reached of a file. A function that is compiled for several
/// types counts once: what one of them reaches is reached.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileLines {
    pub(super) path: String,
    pub(super) lines: Share,
    pub(super) branches: Share,
    /// Lines that were never run.
    pub(super) unreached: Vec<usize>,
    /// Lines with a condition that always came out the same.
    pub(super) one_sided: Vec<usize>,
}

/// Reads `SF:path`, `DA:line,count`, `BRDA:line,block,branch,count` and
/// `end_of_record`. Of the lines with branches those that were never run are no
/// lines with a condition.
pub(super) fn parse(lcov: &str) -> Vec<FileLines> {
    let mut files = Vec::new();
    let mut current: Option<FileLines> = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = Some(FileLines { path: path.to_owned(), ..FileLines::default() });
        } else if line == "end_of_record" {
            files.extend(current.take().map(finish));
        } else if let (Some(fields), Some(file)) = (line.strip_prefix("DA:"), &mut current) {
            count(fields, &mut file.lines, &mut file.unreached);
        } else if let (Some(fields), Some(file)) = (line.strip_prefix("BRDA:"), &mut current) {
            count(fields, &mut file.branches, &mut file.one_sided);
        }
    }
    files
}

/// Counts a line or branch by the number of its line, the first field, and its
/// own count, the last; a number without a count goes to `never`.
fn count(fields: &str, share: &mut Share, never: &mut Vec<usize>) {
    let Some((number, rest)) = fields.split_once(',') else { return };
    let (Ok(number), Some(count)) = (number.parse(), rest.rsplit(',').next()) else { return };
    let is_reached = !matches!(count, "0" | "-");
    share.count += 1;
    share.covered += u64::from(is_reached);
    if !is_reached {
        never.push(number);
    }
}

fn finish(mut file: FileLines) -> FileLines {
    let FileLines { unreached, one_sided, .. } = &mut file;
    one_sided.sort_unstable();
    one_sided.dedup();
    one_sided.retain(|number| !unreached.contains(number));
    file
}

#[cfg(test)]
mod tests {
    use super::{FileLines, Share, parse};

    #[test]
    fn lines_that_were_never_run_and_branches_never_taken_are_found() {
        let lcov = "SF:/a.rs\nFN:1,f\nBRDA:3,0,0,-\nBRDA:1,0,0,3\nBRDA:1,0,1,0\nBRDA:1,1,0,0\n\
                    BRDA:2,0,0,-\nDA:1,3\nDA:2,0\nDA:3,7\nDA:10,0\nend_of_record\n\
                    SF:/b.rs\nBRDA:4,0,0,9\nend_of_record\n";
        let share = |covered, count| Share { count, covered };
        let expected = [
            FileLines {
                path: "/a.rs".into(),
                lines: share(2, 4),
                branches: share(1, 5),
                unreached: vec![2, 10],
                one_sided: vec![1, 3],
            },
            FileLines { path: "/b.rs".into(), branches: share(1, 1), ..FileLines::default() },
        ];
        assert_eq!(parse(lcov), expected);
    }
}
