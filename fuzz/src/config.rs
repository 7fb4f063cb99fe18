//! The configuration: a file, variables and flags, whatever they say.
#![allow(clippy::disallowed_methods, reason = "the server reads its file itself")]

use std::path::PathBuf;

use arbitrary::Arbitrary;
use kv_server_parts::{Config, Overrides, load_config, show_config};

use crate::allocation::bounded;

/// What a configuration is put together from.
#[derive(Debug, Arbitrary)]
pub struct Input {
    /// Variables: the number of a key, or a name of its own.
    variables: Vec<(Result<u8, String>, String)>,
    /// The file, behind all else so that seeds can be text.
    file: Vec<u8>,
}

/// A password that no error may show.
const SECRET: &str = "correct horse battery";

/// Loads it and shows it, and loads what was shown.
pub fn run(input: &Input) {
    let path = std::env::temp_dir().join(format!("kv-fuzz-config-{}.json", std::process::id()));
    std::fs::write(&path, &input.file).expect("the directory for temporary files takes a file");
    let names: Vec<&str> = show_config(&Config::default()).iter().map(|(name, _)| *name).collect();
    let variables = input.variables.iter().map(|(name, value)| {
        let name = match name {
            Ok(number) => names[usize::from(*number) % names.len()].to_uppercase(),
            Err(name) => name.clone(),
        };
        (format!("KV_{name}"), value.clone())
    });
    let is_theirs = has_secret(&input.file)
        || variables.clone().any(|(name, value)| name.contains(SECRET) || value.contains(SECRET));
    let password = [("KV_PASSWORD".to_owned(), SECRET.to_owned())];
    let variables: Vec<_> = variables.chain(password).collect();
    let given = variables.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    match bounded(given + input.file.len(), || load(&path, &variables)) {
        Ok(config) => {
            let shown = show_config(&config);
            assert!(shown.iter().all(|(_, value)| value != SECRET));
            assert_shown_is_loaded(&config, &shown);
        }
        Err(sentence) => {
            assert!(!sentence.is_empty());
            assert!(is_theirs || !sentence.contains(SECRET), "the password is shown: {sentence}");
        }
    }
}

/// Whether the fuzzer has come upon the password by itself.
fn has_secret(file: &[u8]) -> bool {
    file.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

fn load(path: &PathBuf, variables: &[(String, String)]) -> Result<Config, String> {
    let overrides = Overrides { file: Some(path.clone()), flags: Vec::new() };
    let loaded = load_config(&overrides, variables.iter().cloned());
    loaded.map(|loaded| loaded.config).map_err(|error| error.to_string())
}

/// What is shown of a configuration, given as variables, is that configuration.
fn assert_shown_is_loaded(config: &Config, shown: &[(&'static str, String)]) {
    let variables = shown.iter().map(|(name, value)| {
        let value = match *name {
            "password" => config.password.to_digest_text(),
            // Its password is in the one above.
            "password_file" => String::new(),
            _ => value.clone(),
        };
        (format!("KV_{}", name.to_uppercase()), value)
    });
    let path = std::env::temp_dir().join(format!("kv-fuzz-empty-{}.json", std::process::id()));
    std::fs::write(&path, b"{}").expect("the directory for temporary files takes a file");
    let again = load(&path, &variables.collect::<Vec<_>>());
    assert_eq!(again.as_ref(), Ok(config), "shown: {shown:?}");
}
