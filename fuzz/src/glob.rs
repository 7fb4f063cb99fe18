//! Patterns: against a matcher that keeps a table of all positions.

use arbitrary::Arbitrary;
use kv_server_parts::matches;

use crate::allocation::bounded;

/// A pattern and a text.
#[derive(Debug, Arbitrary)]
pub struct Input {
    ignore_case: bool,
    pattern: Vec<u8>,
    text: Vec<u8>,
}

/// Below these lengths no pattern may take too long.
const SHORT_PATTERN: usize = 200;
const SHORT_TEXT: usize = 1000;

/// Matches both ways and compares.
pub fn run(input: &Input) {
    let Input { ignore_case, pattern, text } = input;
    let input_bytes = pattern.len() + text.len();
    let matched = bounded(input_bytes, || matches(pattern, text, *ignore_case));
    let is_short = pattern.len() <= SHORT_PATTERN && text.len() <= SHORT_TEXT;
    assert!(matched.answer.is_some() || !is_short, "a short pattern takes too long");
    let Some(answer) = matched.answer else { return };
    if is_short {
        let fold = |byte: u8| if *ignore_case { byte.to_ascii_lowercase() } else { byte };
        assert_eq!(answer, reference(pattern, text, &fold));
    }
    if answer && !ignore_case {
        assert!(text.starts_with(&matched.literal_prefix), "the prefix leaves out a match");
    }
}

/// One element of a pattern that takes one byte, or a star.
enum Element {
    Star,
    Any,
    Byte(u8),
    Class { is_negated: bool, ranges: Vec<(u8, u8)> },
}

fn elements(mut pattern: &[u8], fold: &impl Fn(u8) -> u8) -> Vec<Element> {
    let mut elements = Vec::new();
    while let [first, rest @ ..] = pattern {
        pattern = rest;
        elements.push(match (first, rest) {
            (b'*', _) => Element::Star,
            (b'?', _) => Element::Any,
            (b'[', _) => class(&mut pattern, fold),
            (b'\\', [literal, behind @ ..]) => {
                pattern = behind;
                Element::Byte(fold(*literal))
            }
            (literal, _) => Element::Byte(fold(*literal)),
        });
    }
    elements
}

fn class(pattern: &mut &[u8], fold: &impl Fn(u8) -> u8) -> Element {
    let mut rest = *pattern;
    let is_negated = rest.first() == Some(&b'^');
    if is_negated {
        rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        let (range, len) = match rest {
            [] => break,
            [b']', ..] => {
                rest = &rest[1..];
                break;
            }
            [b'\\', literal, ..] => ((*literal, *literal), 2),
            [first, b'-', last, ..] => ((*first, *last), 3),
            [literal, ..] => ((*literal, *literal), 1),
        };
        let (first, last) = (fold(range.0), fold(range.1));
        ranges.push((first.min(last), first.max(last)));
        rest = &rest[len..];
    }
    *pattern = rest;
    Element::Class { is_negated, ranges }
}

fn reference(pattern: &[u8], text: &[u8], fold: &impl Fn(u8) -> u8) -> bool {
    // reached[i]: the elements so far match the first i bytes.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for element in elements(pattern, fold) {
        let mut next = vec![false; text.len() + 1];
        if matches!(element, Element::Star) {
            let first = reached.iter().position(|reached| *reached);
            next[first.unwrap_or(text.len() + 1)..].fill(true);
        }
        for (at, byte) in text.iter().enumerate() {
            next[at + 1] |= reached[at] && takes(&element, fold(*byte));
        }
        reached = next;
    }
    reached[text.len()]
}

fn takes(element: &Element, byte: u8) -> bool {
    match element {
        Element::Star => false,
        Element::Any => true,
        Element::Byte(literal) => *literal == byte,
        Element::Class { is_negated, ranges } => {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != *is_negated
        }
    }
}
