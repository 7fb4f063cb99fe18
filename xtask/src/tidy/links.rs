//! Relative links of Markdown files lead to something that exists.

use std::collections::BTreeSet;

use super::Violation;
use crate::workspace::TextFile;

/// Checks every document; `exists` answers for paths relative to the root.
pub(crate) fn check(documents: &[TextFile], exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for document in documents {
        for (line, target) in links(&document.text) {
            if let Some(message) = broken(documents, document, &target, &exists) {
                violations.push(Violation::new("link", &document.path, message).at(line));
            }
        }
    }
    violations
}

/// Why a link leads nowhere, if it does.
fn broken(
    documents: &[TextFile],
    from: &TextFile,
    target: &str,
    exists: &impl Fn(&str) -> bool,
) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { from.path.clone() } else { resolve(&from.path, file) };
    if !exists(&path) {
        return Some(format!("{target} leads to {path}, which does not exist"));
    }
    let document = documents.iter().find(|document| document.path == path)?;
    let known = anchor.is_empty() || anchors(&document.text).contains(anchor);
    (!known).then(|| format!("{path} has no heading #{anchor}"))
}

/// `[text](target)` and `[name]: target` outside of code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        let line = without_code(line);
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some(end) = rest.find(')') {
                let target = rest[..end].split_whitespace().next().unwrap_or_default();
                found.push((number, target.trim_matches(['<', '>']).to_owned()));
            }
        }
        if let Some((name, target)) = line.split_once("]: ")
            && name.starts_with('[')
        {
            found.push((number, target.trim().to_owned()));
        }
    }
    found
}

/// Lines outside fenced code, numbered from 1.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        (!fenced && !is_fence).then_some((index + 1, line))
    })
}

/// The line with `code spans` removed.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// The anchors a Markdown viewer makes of the headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose_lines(text).filter_map(|(_, line)| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// `link` as seen from the directory of `from`, both relative to the root.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = if link.starts_with('/') {
        Vec::new()
    } else {
        from.rsplit_once('/').map_or(Vec::new(), |(directory, _)| directory.split('/').collect())
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::TextFile;

    #[test]
    fn broken_links_are_found_and_others_left_alone() {
        let other =
            TextFile { path: "docs/OTHER.md".into(), text: "## The 2 words, again\n".into() };
        let cases = [
            ("[a](OTHER.md)", true),
            ("[a](./OTHER.md#the-2-words-again)", true),
            ("[a](OTHER.md#missing)", false),
            ("[a](../docs/OTHER.md \"title\")", true),
            ("[a](../OTHER.md)", false),
            ("[a](missing.md)", false),
            ("[a]: missing.md", false),
            ("[a](https://example.org/x.md)", true),
            ("`[a](missing.md)`", true),
            ("```\n[a](missing.md)\n```", true),
            ("# Here\n[a](#here)", true),
            ("# Here\n[a](#there)", false),
        ];
        for (text, good) in cases {
            let document = TextFile { path: "docs/A.md".into(), text: text.into() };
            let other = TextFile { path: other.path.clone(), text: other.text.clone() };
            let violations =
                check(&[document, other], |path| ["docs/A.md", "docs/OTHER.md"].contains(&path));
            assert_eq!(violations.is_empty(), good, "{text}: {violations:?}");
        }
    }
}
