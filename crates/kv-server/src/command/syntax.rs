//! Arguments for `COMMAND DOCS`, read from the notation of the table:
//!
//! ```text
//! key            an argument
//! NX             a word to be typed as it is
//! MATCH pattern  an argument announced by a word
//! [a | b]        one of these, or none
//! (a | b)        one of these
//! key [key ...]  one or more
//! ```

use crate::resp::Reply;

/// Arguments as `COMMAND DOCS` describes them.
pub(crate) fn describe_arguments(syntax: &'static str) -> Vec<Reply> {
    parse(syntax).iter().map(Argument::describe).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    kind: Kind,
    /// The word that announces it, or that it is.
    word: Option<&'static str>,
    is_optional: bool,
    is_multiple: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Value(&'static str),
    Word,
    /// All of these, in order.
    Block(Vec<Argument>),
    OneOf(Vec<Argument>),
    /// Stands for a repetition of what is before it; only while parsing.
    Dots,
}

impl Argument {
    fn new(kind: Kind) -> Argument {
        Argument { kind, word: None, is_optional: false, is_multiple: false }
    }

    fn name(&self) -> String {
        match &self.kind {
            Kind::Value(name) => (*name).to_owned(),
            Kind::Word | Kind::Dots => self.word.unwrap_or_default().to_ascii_lowercase(),
            Kind::Block(parts) | Kind::OneOf(parts) => {
                parts.iter().map(Argument::name).collect::<Vec<_>>().join("_")
            }
        }
    }

    fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Value(name) => value_type(name),
            Kind::Word | Kind::Dots => "pure-token",
            Kind::Block(_) => "block",
            Kind::OneOf(_) => "oneof",
        }
    }

    fn describe(&self) -> Reply {
        let mut fields = vec![
            (Reply::bulk("name"), Reply::bulk(self.name())),
            (Reply::bulk("type"), Reply::bulk(self.type_name())),
        ];
        if self.type_name() == "key" {
            fields.push((Reply::bulk("key_spec_index"), Reply::Integer(0)));
        }
        if let Some(word) = self.word {
            fields.push((Reply::bulk("token"), Reply::bulk(word)));
        }
        let flags = [("optional", self.is_optional), ("multiple", self.is_multiple)];
        let flags: Vec<Reply> = flags
            .into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(name, _)| Reply::Simple(name.into()))
            .collect();
        if !flags.is_empty() {
            fields.push((Reply::bulk("flags"), Reply::Set(flags)));
        }
        if let Kind::Block(parts) | Kind::OneOf(parts) = &self.kind {
            let parts = parts.iter().map(Argument::describe).collect();
            fields.push((Reply::bulk("arguments"), Reply::Array(parts)));
        }
        Reply::Map(fields)
    }
}

/// What clients may take an argument for.
fn value_type(name: &str) -> &'static str {
    match name {
        "key" | "newkey" | "source" | "destination" | "key1" | "key2" => "key",
        "pattern" => "pattern",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "float" => "double",
        "seconds" | "milliseconds" | "start" | "end" | "offset" | "increment" | "decrement"
        | "cursor" | "count" | "index" | "db" | "destination-db" | "len" | "numreplicas"
        | "timeout" | "protover" | "client-id" => "integer",
        _ => "string",
    }
}

fn parse(syntax: &'static str) -> Vec<Argument> {
    let mut tokens = tokens(syntax).into_iter().peekable();
    let mut alternatives = parse_alternatives(&mut tokens);
    assert!(
        alternatives.len() == 1 && tokens.next().is_none(),
        "brackets of a command's syntax are balanced"
    );
    alternatives.remove(0)
}

fn tokens(syntax: &'static str) -> Vec<&'static str> {
    let mut tokens = Vec::new();
    for word in syntax.split_whitespace() {
        let mut rest = word;
        while let Some(inner) = rest.strip_prefix(['[', '(']) {
            tokens.push(&rest[..1]);
            rest = inner;
        }
        let word = rest.trim_end_matches([']', ')']);
        if !word.is_empty() {
            tokens.push(word);
        }
        tokens.extend(rest[word.len()..].char_indices().map(|(at, _)| {
            let at = word.len() + at;
            &rest[at..=at]
        }));
    }
    tokens
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<&'static str>>;

/// Alternatives up to a closing bracket, which is taken, or the end.
fn parse_alternatives(tokens: &mut Tokens) -> Vec<Vec<Argument>> {
    let mut done = Vec::new();
    let mut current: Vec<Argument> = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            "]" | ")" => break,
            "|" => done.push(merge_words(std::mem::take(&mut current))),
            "..." => current.push(Argument::new(Kind::Dots)),
            "(" => current.push(one_of(parse_alternatives(tokens))),
            "[" => push_optional(&mut current, parse_alternatives(tokens)),
            word if word.starts_with(|c: char| c.is_ascii_uppercase()) => {
                current.push(Argument { word: Some(word), ..Argument::new(Kind::Word) });
            }
            name => current.push(Argument::new(Kind::Value(name))),
        }
    }
    done.push(merge_words(current));
    done
}

/// `[key ...]` behind `key` makes that one or more; anything else in brackets
/// is optional.
fn push_optional(before: &mut Vec<Argument>, alternatives: Vec<Vec<Argument>>) {
    if let [repeated] = alternatives.as_slice()
        && let [repeated @ .., Argument { kind: Kind::Dots, .. }] = repeated.as_slice()
    {
        assert!(before.ends_with(repeated), "what repeats stands there once before");
        before.truncate(before.len() - repeated.len());
        let mut argument = block(repeated.to_vec());
        argument.is_multiple = true;
        before.push(argument);
        return;
    }
    let mut argument = one_of(alternatives);
    argument.is_optional = true;
    before.push(argument);
}

fn one_of(mut alternatives: Vec<Vec<Argument>>) -> Argument {
    if alternatives.len() == 1 {
        return block(alternatives.remove(0));
    }
    Argument::new(Kind::OneOf(alternatives.into_iter().map(block).collect()))
}

fn block(mut parts: Vec<Argument>) -> Argument {
    if parts.len() == 1 { parts.remove(0) } else { Argument::new(Kind::Block(parts)) }
}

/// Joins words with the arguments they announce.
fn merge_words(arguments: Vec<Argument>) -> Vec<Argument> {
    let mut merged = Vec::new();
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        let mut announced = Vec::new();
        while argument.kind == Kind::Word
            && rest.peek().is_some_and(|next| next.kind != Kind::Word && !next.is_optional)
        {
            announced.extend(rest.next());
        }
        if announced.is_empty() {
            merged.push(argument);
        } else {
            merged.push(Argument { word: argument.word, ..block(announced) });
        }
    }
    merged
}
