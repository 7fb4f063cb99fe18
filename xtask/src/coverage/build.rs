#[cfg(test)]
mod tests {
    use super::{BuildMessage, started_program, test_program};

    #[test]
    fn of_all_that_cargo_builds_the_tests_are_run() {
        let message = |test: bool| -> BuildMessage {
            let text = format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/kv/crates/kv-wal/Cargo.toml",
                "executable":"/t/it-1","profile":{{"opt_level":"1","test":{test}}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let program = test_program(message(true)).unwrap();
        assert_eq!((program.package.as_str(), program.path.to_str()), ("kv-wal", Some("/t/it-1")));
        assert!(test_program(message(false)).is_none(), "a program that tests start");
        assert_eq!(started_program(message(false)).unwrap().to_str(), Some("/t/it-1"));
        assert!(started_program(message(true)).is_none());
        let finished = r#"{"reason":"build-finished","success":true}"#;
        assert!(serde_json::from_str::<BuildMessage>(finished).is_err());
    }
}
