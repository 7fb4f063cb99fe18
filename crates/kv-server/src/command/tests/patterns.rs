//! Patterns against a plain recursive matcher, and patterns made to be slow.

use proptest::prelude::*;

use crate::command::glob::Glob;

/// The meaning of patterns, without a thought about time.
fn matches_plainly(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => {
            (0..=text.len()).any(|taken| matches_plainly(rest, &text[taken..]))
        }
        ([], _) => text.is_empty(),
        (_, []) => false,
        ([b'?', rest @ ..], [_, tail @ ..]) => matches_plainly(rest, tail),
        ([b'[', class @ ..], [byte, tail @ ..]) => {
            let (negated, mut class) = match class {
                [b'^', class @ ..] => (true, class),
                _ => (false, class),
            };
            let mut found = false;
            let rest = loop {
                class = match class {
                    [] => break class,
                    [b']', rest @ ..] => break rest,
                    [b'\\', one, rest @ ..] => {
                        found |= one == byte;
                        rest
                    }
                    [low, b'-', high, rest @ ..] => {
                        found |= (low.min(high)..=low.max(high)).contains(&byte);
                        rest
                    }
                    [one, rest @ ..] => {
                        found |= one == byte;
                        rest
                    }
                };
            };
            found != negated && matches_plainly(rest, tail)
        }
        ([b'\\', one, rest @ ..] | [one, rest @ ..], [byte, tail @ ..]) => {
            one == byte && matches_plainly(rest, tail)
        }
    }
}

#[track_caller]
fn check(pattern: &str, text: &str, expected: bool) {
    assert_eq!(Glob::new(pattern.as_bytes()).matches(text.as_bytes()), Ok(expected));
}

#[test]
fn each_element_matches_what_it_should() {
    check("", "", true);
    check("", "a", false);
    check("*", "", true);
    check("**", "", true);
    check("a*", "a", true);
    check("*a", "ba", true);
    check("*ab*", "xaab", true);
    check("?", "", false);
    check("h?llo", "hello", true);
    check("h[ae]llo", "hallo", true);
    check("h[^ae]llo", "hallo", false);
    check("h[a-c]llo", "hbllo", true);
    check("h[c-a]llo", "hbllo", true);
    check("h[a-c]llo", "hdllo", false);
    check("[a", "a", true);
    check("[", "a", false);
    check("[]", "a", false);
    check("[^]", "a", true);
    check("a\\", "a\\", true);
    check("\\*", "*", true);
    check("\\*", "a", false);
    check("[\\]]", "]", true);
    check("[a-", "-", true);
}

#[test]
fn case_is_ignored_on_demand() {
    assert_eq!(Glob::ignoring_case(b"MAX[A-C]?*").matches(b"maxby"), Ok(true));
    assert_eq!(Glob::ignoring_case(b"max\\Mem").matches(b"MAXmeM"), Ok(true));
    assert_eq!(Glob::new(b"MAX*").matches(b"maxmemory"), Ok(false));
}

#[test]
fn the_literal_prefix_ends_at_the_first_wildcard() {
    let prefix = |pattern: &str| Glob::new(pattern.as_bytes()).literal_prefix();
    assert_eq!(prefix("user:*"), b"user:");
    assert_eq!(prefix("*"), b"");
    assert_eq!(prefix("a\\*b?c"), b"a*b");
    assert_eq!(prefix("a[bc]"), b"a");
    assert_eq!(prefix("plain"), b"plain");
    assert_eq!(prefix("end\\"), b"end\\");
}

#[test]
fn a_slow_pattern_is_given_up() {
    // Takes the recursive matcher until the end of time.
    let pattern = [&b"*a".repeat(30)[..], b"b"].concat();
    assert_eq!(Glob::new(&pattern).matches(&[b'a'; 60]), Ok(false));
    let pattern = [&b"*"[..], &[b'a'; 30_000], b"b*"].concat();
    assert!(Glob::new(&pattern).matches(&[b'a'; 60_000]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn patterns_mean_what_the_plain_matcher_says(
        pattern in "[ab*?\\[\\]^\\\\-]{0,8}",
        text in "[ab\\]^-]{0,8}",
    ) {
        let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
        let glob = Glob::new(pattern);
        let expected = matches_plainly(pattern, text);
        prop_assert_eq!(glob.matches(text), Ok(expected));
        if expected {
            prop_assert!(text.starts_with(&glob.literal_prefix()));
        }
    }
}
