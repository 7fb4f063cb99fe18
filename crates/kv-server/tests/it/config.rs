//! The configuration: layers, every kind of mistake with its sentence, and
//! what is generated from the key table.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use expect_test::{expect, expect_file};
use kv_server::{Config, LoadedConfig, Overrides, load_config, show_config};

struct Source<'a> {
    file: Option<&'a str>,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [(&'static str, &'static str, &'a str)],
}

const NO_VARIABLES: std::iter::Empty<(OsString, OsString)> = std::iter::empty();

const NOTHING: Source<'_> = Source { file: None, environment: &[], flags: &[] };

fn load(source: Source<'_>) -> Result<LoadedConfig, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    if let Some(text) = source.file {
        std::fs::write(&path, text).unwrap();
    }
    let flags = source.flags.iter().map(|(flag, key, value)| (*flag, *key, (*value).to_owned()));
    let overrides = Overrides { file: source.file.map(|_| path.clone()), flags: flags.collect() };
    let environment = source.environment.iter();
    let environment = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // The names of temporary directories differ from run to run.
    let hide = |text: String| text.replace(path.to_str().unwrap(), "config.json");
    match load_config(&overrides, environment) {
        Ok(loaded) => Ok(LoadedConfig { source: hide(loaded.source), ..loaded }),
        Err(error) => Err(hide(error.to_string())),
    }
}

fn from_file(text: &str) -> Config {
    load(Source { file: Some(text), ..NOTHING }).unwrap().config
}

fn shown(config: &Config, key: &str) -> String {
    let all = show_config(config);
    all.into_iter().find(|(name, _)| *name == key).unwrap().1
}

#[test]
fn without_a_file_the_defaults_hold() {
    let loaded = load(NOTHING).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.source, "built-in defaults");
}

#[test]
fn the_file_of_the_original_design_is_accepted_as_it_is() {
    let config = from_file(
        r#"{"memtable_flush_size":1000,"wal_batch_size":100,"wal_flush_interval_ms":10,
            "compaction_sstable_threshold":4}"#,
    );
    assert_eq!(config.memtable_flush_size, kv_engine::FlushSize::Entries(1000));
    assert_eq!(config.wal_batch_size, 100);
    assert_eq!(config.wal_flush_interval_ms, 10);
    assert_eq!(config.compaction_sstable_threshold, 4);
}

#[test]
fn numbers_count_entries_and_texts_count_bytes() {
    let size = |text: &str| shown(&from_file(text), "memtable_flush_size");
    assert_eq!(size(r#"{"memtable_flush_size": 1000}"#), "1000");
    assert_eq!(size(r#"{"memtable_flush_size": "64MiB"}"#), "64MiB");
    assert_eq!(size(r#"{"memtable_flush_size": "65536 B"}"#), "64KiB");
    assert_eq!(shown(&from_file(r#"{"block_cache_size": 1025}"#), "block_cache_size"), "1025B");
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let loaded = load(Source {
        file: Some(r#"{"wal_batch_size": 1, "durability": "os", "listen": "127.0.0.1:1"}"#),
        environment: &[
            ("KV_DURABILITY", "interval"),
            ("KV_LISTEN", "localhost:2"),
            ("KV_CONFIG", "names the file and is no key"),
            ("KV_REST_API_URL", "of another program"),
            ("PATH", "/bin"),
        ],
        flags: &[("--listen", "listen", "[::1]:3")],
    })
    .unwrap();
    assert_eq!(shown(&loaded.config, "wal_batch_size"), "1");
    assert_eq!(shown(&loaded.config, "durability"), "interval");
    assert_eq!(shown(&loaded.config, "listen"), "[::1]:3");
    expect!["config.json + KV_DURABILITY + KV_LISTEN + --listen"].assert_eq(&loaded.source);
}

#[test]
fn every_key_can_be_set_in_the_environment() {
    for (key, _) in show_config(&Config::default()) {
        let value = match key {
            "listen" => "127.0.0.1:7",
            "data_dir" => "elsewhere",
            "durability" => "os",
            "sandbox" => "required",
            "allow_root" => "true",
            _ => "70000",
        };
        let name = format!("KV_{}", key.to_uppercase());
        let environment = &[(name.as_str(), value)];
        // Where 70,000 is out of range the error shows that the key was found.
        match load(Source { environment, ..NOTHING }) {
            Ok(loaded) => assert_ne!(loaded.config, Config::default(), "{key}"),
            Err(error) => assert!(
                error.starts_with(&format!("environment variable {name}: {key} is"))
                    || (key == "password_file" && error.starts_with("70000: cannot be read")),
                "{error}"
            ),
        }
    }
}

#[test]
fn a_password_is_text_and_never_shown() {
    let environment = &[("KV_PASSWORD", "12345"), ("KV_LISTEN", "0.0.0.0:1")];
    let loaded = load(Source { environment, ..NOTHING }).unwrap();
    assert!(loaded.config.password.is(b"12345"));
    assert_eq!(shown(&loaded.config, "password"), "(hidden)");
}

#[test]
fn a_scrub_is_off_without_a_rate_or_an_interval() {
    let scrub = |text: &str| {
        let options = from_file(text).engine_options();
        options.validate().unwrap();
        (options.scrub_bytes_per_second, options.scrub_interval_secs)
    };
    assert_eq!(scrub("{}"), (4 << 20, 604_800));
    assert_eq!(scrub(r#"{"scrub_bytes_per_second": "1MiB"}"#), (1 << 20, 604_800));
    assert_eq!(scrub(r#"{"scrub_interval_secs": 60}"#), (4 << 20, 60));
    assert_eq!(scrub(r#"{"scrub_bytes_per_second": 0}"#).0, 0);
    assert_eq!(scrub(r#"{"scrub_interval_secs": 0}"#).0, 0);
}

#[test]
fn mistakes_in_the_file_are_named() {
    let mistakes = [
        r#"{"memtable_flush_sise": 1}"#,
        r#"{"replicas": 3}"#,
        r#"{"wal_batch_size": "many"}"#,
        r#"{"wal_batch_size": 0}"#,
        r#"{"wal_batch_size": 1.5}"#,
        r#"{"wal_batch_size": "10"}"#,
        r#"{"memtable_flush_size": "64MB"}"#,
        r#"{"memtable_flush_size": "1B"}"#,
        r#"{"memtable_flush_size": 0}"#,
        r#"{"memtable_flush_size": true}"#,
        r#"{"max_request_bytes": "99999999999GiB"}"#,
        r#"{"durability": "always-ish"}"#,
        r#"{"listen": "6380"}"#,
        r#"{"listen": null}"#,
        r#"{"data_dir": ""}"#,
        r#"{"password": 12345}"#,
        r#"{"password": "sha256:of-my-own:making"}"#,
        r#"{"allow_root": "perhaps"}"#,
        r#"{"sandbox": "on"}"#,
        r#"{"max_clients_per_address": "half"}"#,
        r#"{"max_clients_per_address": 0}"#,
        r#"{"wal_batch_size": 1, "wal_batch_size": 2}"#,
        r#"{"wal_batch_size": }"#,
        "[]",
        "",
        "{} x",
    ];
    let told = mistakes.map(|text| load(Source { file: Some(text), ..NOTHING }).unwrap_err());
    expect![[r#"
        config.json: unknown key "memtable_flush_sise"; did you mean "memtable_flush_size"?
        config.json: unknown key "replicas"; the README lists all keys
        config.json: wal_batch_size is "many"; allowed: a whole number from 1 to 1000000
        config.json: wal_batch_size is 0; allowed: a whole number from 1 to 1000000
        config.json: wal_batch_size is 1.5; allowed: a whole number from 1 to 1000000
        config.json: wal_batch_size is "10"; allowed: a whole number from 1 to 1000000
        config.json: memtable_flush_size is "64MB"; allowed: a number of entries from 1 on, or a size such as "64MiB" (units B, KiB, MiB, GiB) from 1KiB on
        config.json: memtable_flush_size is "1B"; allowed: a number of entries from 1 on, or a size such as "64MiB" (units B, KiB, MiB, GiB) from 1KiB on
        config.json: memtable_flush_size is 0; allowed: a number of entries from 1 on, or a size such as "64MiB" (units B, KiB, MiB, GiB) from 1KiB on
        config.json: memtable_flush_size is true; allowed: a number of entries from 1 on, or a size such as "64MiB" (units B, KiB, MiB, GiB) from 1KiB on
        config.json: max_request_bytes is "99999999999GiB"; allowed: a number of bytes or a size such as "64MiB" (units B, KiB, MiB, GiB), from 64KiB to 1GiB
        config.json: durability is "always-ish"; allowed: "sync", "interval" or "os"
        config.json: listen is "6380"; allowed: an IP address and a port, such as "127.0.0.1:6380" or "[::1]:6380"
        config.json: listen is null; allowed: an IP address and a port, such as "127.0.0.1:6380" or "[::1]:6380"
        config.json: data_dir is ""; allowed: a path
        config.json: password is not one that can be used; allowed: a text of at most 1024 bytes, or its digest as kv-server --hash-password prints it
        config.json: password is not one that can be used; allowed: a text of at most 1024 bytes, or its digest as kv-server --hash-password prints it
        config.json: allow_root is "perhaps"; allowed: true or false
        config.json: sandbox is "on"; allowed: "off", "best_effort" or "required"
        config.json: max_clients_per_address is "half"; allowed: "auto" or a whole number from 1 to 1000000
        config.json: max_clients_per_address is 0; allowed: "auto" or a whole number from 1 to 1000000
        config.json: not a valid configuration: key "wal_batch_size" is given twice at line 1 column 38
        config.json: not a valid configuration: expected value at line 1 column 20
        config.json: not a valid configuration: invalid type: sequence, expected an object with the configuration keys at line 1 column 0
        config.json: not a valid configuration: EOF while parsing a value at line 1 column 0
        config.json: not a valid configuration: trailing characters at line 1 column 4"#]].assert_eq(&told.join("\n"));
}

#[test]
fn mistakes_elsewhere_name_their_source() {
    let mistakes = [
        Source { environment: &[("KV_WAL_BATCHSIZE", "1")], ..NOTHING },
        Source { environment: &[("KV_WAL_BATCH_SIZE", "-1")], ..NOTHING },
        Source { flags: &[("--durability", "durability", "never")], ..NOTHING },
        Source { flags: &[("--listen", "listen", "0.0.0.0:6380")], ..NOTHING },
    ];
    let told = mistakes.map(|source| load(source).unwrap_err());
    expect![[r#"
        environment variable KV_WAL_BATCHSIZE: unknown key "wal_batchsize"; did you mean "wal_batch_size"?
        environment variable KV_WAL_BATCH_SIZE: wal_batch_size is "-1"; allowed: a whole number from 1 to 1000000
        flag --durability: durability is "never"; allowed: "sync", "interval" or "os"
        listen is 0.0.0.0:6380, which other machines can reach, and there is no password; set password_file (a file of mode 0600) or password, or listen on 127.0.0.1"#]].assert_eq(&told.join("\n"));
}

/// A password that is passed over would be a server that is open to everybody.
#[test]
fn a_variable_that_is_no_text_is_an_error_if_it_is_ours() {
    let bytes = || OsString::from_vec(vec![b'p', 0xff]);
    let with = |name: &str| load_config(&Overrides::default(), [(name, bytes())].into_iter());
    for theirs in ["KV_REST_API_TOKEN", "PASSWORD"] {
        assert_eq!(with(theirs).unwrap().config, Config::default(), "{theirs}");
    }
    let told = ["KV_PASSWORD", "KV_DATA_DIR"].map(|name| with(name).unwrap_err().to_string());
    expect![[r#"
        environment variable KV_PASSWORD: the value is not UTF-8 text; set it to one that is
        environment variable KV_DATA_DIR: the value is not UTF-8 text; set it to one that is"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn a_long_value_is_not_told_in_full() {
    let told = |source| load(source).unwrap_err().len();
    let value = "é".repeat(100_000);
    let file = format!(r#"{{"durability": "{value}"}}"#);
    assert!(told(Source { file: Some(&file), ..NOTHING }) < 500);
    assert!(told(Source { environment: &[("KV_DURABILITY", &value)], ..NOTHING }) < 500);
}

/// What the operator is told about a file with this text and mode.
fn notices(text: &str, mode: u32) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    let overrides = Overrides { file: Some(path.clone()), flags: vec![] };
    let notices = load_config(&overrides, NO_VARIABLES).unwrap().notices;
    let hide = |text: String| text.replace(path.to_str().unwrap(), "config.json");
    notices.into_iter().map(hide).collect()
}

#[test]
fn a_password_in_a_file_that_others_can_read_is_told() {
    let plain = r#"{"password": "secret"}"#;
    for mode in [0o600, 0o400, 0o700] {
        assert_eq!(notices(plain, mode), [""; 0], "{mode:o}");
    }
    for mode in [0o640, 0o604, 0o644, 0o444] {
        let told = notices(plain, mode);
        assert!(told.len() == 1 && told[0].contains(&format!("(mode {mode:04o})")), "{told:?}");
    }
    let digest = kv_server::Password::from_plain("secret").to_digest_text();
    for text in ["{}", r#"{"password": ""}"#, &format!(r#"{{"password": "{digest}"}}"#)] {
        assert_eq!(notices(text, 0o644), [""; 0], "{text}");
    }
    expect!["config.json holds the password as it is, and others than its owner can read it (mode 0644): chmod 600 config.json, or let password be the digest that kv-server --hash-password prints, or name a file with password_file"].assert_eq(&notices(plain, 0o644)[0]);
}

#[test]
fn a_named_file_must_be_there_and_readable() {
    let told = ["/nowhere/config.json", "/proc"].map(|file| {
        let overrides = Overrides { file: Some(PathBuf::from(file)), flags: vec![] };
        load_config(&overrides, NO_VARIABLES).unwrap_err().to_string()
    });
    expect![[r#"
        /nowhere/config.json: cannot be read: No such file or directory; check the path and its permissions
        /proc: cannot be read: Is a directory; check the path and its permissions"#]].assert_eq(&told.join("\n"));
}

fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_files_of_the_repository_are_valid() {
    for name in ["config.json", "demo.json"] {
        let file = repository_root().join("config").join(name);
        let overrides = Overrides { file: Some(file), flags: vec![] };
        let loaded = load_config(&overrides, NO_VARIABLES).unwrap();
        match name {
            "config.json" => assert_eq!(loaded.config, Config::default()),
            _ => assert_ne!(loaded.config, Config::default()),
        }
    }
}

#[test]
fn schema_and_readme_are_up_to_date() {
    let mut schema = serde_json::to_string_pretty(&kv_server::json_schema()).unwrap();
    schema.push('\n');
    expect_file![repository_root().join("config/config.schema.json")].assert_eq(&schema);

    let readme_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&readme_path).unwrap();
    let (before, rest) = readme.split_once("<!-- keys -->\n").expect("the mark before the table");
    let (_, after) = rest.split_once("<!-- end of keys -->").expect("the mark behind the table");
    let table = kv_server::markdown_table();
    let wanted = format!("{before}<!-- keys -->\n{table}<!-- end of keys -->{after}");
    expect_file![readme_path].assert_eq(&wanted);
}
