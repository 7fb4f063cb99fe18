//! The password: where it may come from, and that nobody is told.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect;
use kv_server::{Overrides, load_config};

use crate::client::{Client, info};
use crate::process::{Program, check_refused, command, run};
use crate::wire::Wire;

/// What `--hash-password` says to a text: exit code, output, errors.
fn hash_password(text: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kv-server"))
        .arg("--hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_digest_opens_to_its_password_and_not_to_itself() {
    let (code, digest, errors) = hash_password("correct horse\n");
    assert_eq!((code, errors.as_str()), (0, ""));
    let digest = digest.trim_end();
    assert!(digest.starts_with("sha256:") && !digest.contains("horse"), "{digest}");
    let directory = tempfile::tempdir().unwrap();
    let mut with_digest = command(directory.path());
    with_digest.env("KV_PASSWORD", digest);
    let program = Program::spawn(with_digest);
    let mut client = program.connect();
    assert!(client.call(["AUTH", digest]).error_text().starts_with("WRONGPASS"));
    assert_eq!(client.call(["AUTH", "correct horse"]), Wire::ok());
    for no_password in ["", "\n", "two\nlines\n"] {
        let (code, output, errors) = hash_password(no_password);
        assert_eq!((code, output.as_str()), (2, ""));
        assert!(errors.contains("must hold one line"), "{errors}");
    }
    // What is not written must not look like a success.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut hashing = Command::new("sh");
    hashing.args(["-c", "echo secret | \"$0\" --hash-password"]);
    hashing.arg(env!("CARGO_BIN_EXE_kv-server")).stdout(full).stderr(Stdio::piped());
    let ended = hashing.spawn().unwrap().wait_with_output().unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{errors}");
    assert!(errors.contains("the digest cannot be written: No space left"), "{errors}");
    for other in [&["--listen", "127.0.0.1:0"][..], &["--check"], &["--allow-root"]] {
        let mut both = Command::new(env!("CARGO_BIN_EXE_kv-server"));
        both.arg("--hash-password").args(other).stdin(Stdio::null());
        let (code, _, errors) = run(both);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("cannot be used with"), "{errors}");
    }
}

/// The environment of a server is no reason not to hash its next password.
#[test]
fn a_digest_is_made_whatever_the_environment_says() {
    let mut hashing = Command::new("sh");
    hashing
        .args(["-c", "echo secret | \"$0\" --hash-password"])
        .arg(env!("CARGO_BIN_EXE_kv-server"))
        .env("KV_CONFIG", "/nowhere/config.json");
    let (code, digest, errors) = run(hashing);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(digest.starts_with("sha256:"), "{digest}");
}

#[test]
fn nobody_is_told_a_password_or_its_digest() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let (_, digest, _) = hash_password("tr0ub4dor");
    std::fs::write(&file, &digest).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let mut secretive = command(directory.path());
    secretive.env("KV_PASSWORD_FILE", &file);
    let mut program = Program::spawn(secretive);
    let mut client = program.connect();
    let wrong = client.call(["AUTH", "tr0ub4dor&3"]);
    let wrong_user = client.call(["AUTH", "tr0ub4dor", "tr0ub4dor"]);
    assert_eq!(client.call(["AUTH", "tr0ub4dor"]), Wire::ok());
    let mut told = vec![format!("{wrong:?} {wrong_user:?}"), program.start_line.clone()];
    for question in
        ["INFO everything", "CONFIG GET *", "CLIENT LIST", "CONFIG SET password sha256:"]
    {
        told.push(format!("{:?}", client.say(question)));
    }
    let pid = program.id();
    told.push(std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap());
    program.signal("-TERM");
    told.push(program.remaining_errors());
    let parts: Vec<&str> = digest.trim_end().split(':').skip(1).chain(["tr0ub4dor"]).collect();
    for (text, part) in told.iter().flat_map(|text| parts.iter().map(move |part| (text, part))) {
        assert!(!text.contains(part), "{text}");
    }
    let config = kv_server::Config { password: "tr0ub4dor".into(), ..Default::default() };
    assert!(!format!("{config:?}").contains("tr0ub4dor"));
}

/// What becomes of a password file with this text and mode.
fn loaded(directory: &Path, text: impl AsRef<[u8]>, mode: u32) -> Result<bool, String> {
    let file = directory.join("password");
    // It may be there from the last time, and for nobody to write.
    let _ = std::fs::remove_file(&file);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    load(&[("KV_PASSWORD_FILE", file.to_str().unwrap())], directory)
}

/// Loads from the environment; whether the password is `secret`.
fn load(variables: &[(&str, &str)], directory: &Path) -> Result<bool, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    match load_config(&Overrides::default(), variables) {
        Ok(loaded) => Ok(loaded.config.password.is(b"secret")),
        // The names of temporary directories differ from run to run.
        Err(error) => Err(error.to_string().replace(directory.to_str().unwrap(), "/etc")),
    }
}

#[test]
fn a_password_file_is_for_its_owner_and_holds_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for mode in [0o400, 0o600, 0o640] {
        assert_eq!(loaded(root, "secret\n", mode), Ok(true), "{mode:o}");
    }
    let digest = kv_server::Password::from_plain("secret").to_digest_text();
    assert_eq!(loaded(root, &digest, 0o600), Ok(true));
    assert_eq!(loaded(root, "other", 0o600), Ok(false));
    assert_eq!(load(&[("KV_PASSWORD_FILE", "")], root), Ok(false));
    let file = root.join("password");
    let file = file.to_str().unwrap();
    let mut told: Vec<_> =
        [0o644, 0o660, 0o604, 0o602].map(|mode| loaded(root, "secret", mode).unwrap_err()).into();
    for text in ["", "two\nlines\n", "sha256:secret", &"secret".repeat(1000)] {
        told.push(loaded(root, text, 0o600).unwrap_err());
    }
    told.push(loaded(root, b"secret\xff", 0o600).unwrap_err());
    let both = [("KV_PASSWORD_FILE", file), ("KV_PASSWORD", "secret")];
    told.push(load(&both, root).unwrap_err());
    std::fs::remove_file(file).unwrap();
    told.push(load(&[("KV_PASSWORD_FILE", file)], root).unwrap_err());
    told.push(load(&[("KV_PASSWORD_FILE", root.to_str().unwrap())], root).unwrap_err());
    assert!(told.iter().all(|sentence| !sentence.contains("secret")), "{told:?}");
    expect![[r#"
        password_file /etc/password: others than its owner can get at it (mode 0644); chmod 600 /etc/password
        password_file /etc/password: others than its owner can get at it (mode 0660); chmod 600 /etc/password
        password_file /etc/password: others than its owner can get at it (mode 0604); chmod 600 /etc/password
        password_file /etc/password: others than its owner can get at it (mode 0602); chmod 600 /etc/password
        password_file /etc/password: it must hold one line of UTF-8 text, the password or its digest
        password_file /etc/password: it must hold one line of UTF-8 text, the password or its digest
        password_file /etc/password: it must hold a text of at most 1024 bytes, or its digest as kv-server --hash-password prints it
        password_file /etc/password: it must hold a text of at most 1024 bytes, or its digest as kv-server --hash-password prints it
        password_file /etc/password: it must hold one line of UTF-8 text, the password or its digest
        both password and password_file (/etc/password) are set, and one of them would be ignored; remove one
        /etc/password: cannot be read: No such file or directory; check the path and its permissions
        /etc: cannot be read: is a directory; check the path and its permissions"#]].assert_eq(&told.join("\n"));
}

/// It is told in the log of a start and by a check, and nothing of the password.
#[test]
fn a_configuration_that_shows_its_password_to_others_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.json");
    std::fs::write(&file, r#"{"password": "tr0ub4dor"}"#).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let with_file = || {
        let mut command = command(directory.path());
        command.args(["--config", "config.json"]);
        command
    };
    let mut program = Program::spawn(with_file());
    let line = program.error_line("config.json");
    assert!(line.contains("(mode 0644): chmod 600 config.json") && !line.contains("tr0ub4dor"));
    program.signal("-TERM");
    assert!(!program.remaining_errors().contains("config.json"), "it is told once");
    let mut check = with_file();
    check.arg("--check");
    let (code, output, errors) = run(check);
    assert!(code == 0 && output.starts_with("configuration is fine"), "{output}{errors}");
    assert!(errors.contains("chmod 600 config.json") && !errors.contains("tr0ub4dor"), "{errors}");
}

/// The start itself is refused, too.
#[test]
fn a_password_file_that_others_can_read_is_no_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "secret").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut exposed = command(directory.path());
    exposed.env("KV_PASSWORD_FILE", &file);
    check_refused(exposed, 2, "chmod 600");
    assert!(!directory.path().join("data").exists(), "nothing was created");
}

#[test]
fn wrong_passwords_are_logged_with_their_address_but_not_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut with_password = command(directory.path());
    with_password.env("KV_PASSWORD", "secret");
    let mut program = Program::spawn(with_password);
    let mut strangers: Vec<Client> = (0..15).map(|_| program.connect()).collect();
    strangers.iter_mut().for_each(|stranger| stranger.send(b"AUTH guess\r\n"));
    for stranger in &mut strangers {
        assert!(stranger.reply().error_text().starts_with("WRONGPASS"));
    }
    let mut addresses: Vec<String> = strangers.iter().map(Client::local_address).collect();
    for _ in 0..10 {
        let line = program.error_line("auth");
        let address = line.strip_prefix("kv-server: auth: wrong password from ").unwrap();
        let place = addresses.iter().position(|known| known == address).expect("a stranger's");
        addresses.swap_remove(place);
    }
    let mut client = program.connect();
    assert_eq!(client.say("AUTH secret"), Wire::ok());
    assert_eq!(info(&mut client, "total_auth_failures"), "15");
    program.signal("-TERM");
    let rest = program.remaining_errors();
    assert!(!rest.contains("auth: wrong password"), "{rest}");
}
