//! redis-benchmark against the server: it must end without an error.

use super::external;
use crate::failure::Outcome;
use crate::screen::Screen;

const TESTS: &str = "ping,set,get,incr,mset";
/// Requests of each test for one client that waits for every reply: some
/// thousand syncs of the log.
const FEW_REQUESTS: u32 = 2_000;
/// Requests of each test with pipelining or many clients.
const MANY_REQUESTS: u32 = 20_000;

/// Runs every combination of pipeline depth and number of clients.
pub(crate) fn check(port: u16, screen: &mut Screen) -> Outcome {
    for (pipeline, clients, requests) in [
        (1, 1, FEW_REQUESTS),
        (1, 50, MANY_REQUESTS),
        (16, 1, MANY_REQUESTS),
        (16, 50, MANY_REQUESTS),
    ] {
        let [port, pipeline, clients, requests] =
            [u32::from(port), pipeline, clients, requests].map(|number| number.to_string());
        let arguments = [
            "-p", &port, "-t", TESTS, "-P", &pipeline, "-c", &clients, "-n", &requests, "-d",
            "100", "-r", "100000", "--csv",
        ];
        let printed = external::run("redis-benchmark", &arguments, b"")?;
        let rates = rates(&printed.output);
        let complaints = format!("{}{}", printed.output, printed.errors).contains("rror");
        // PING is measured twice (inline and bulk), the other four once.
        let holds = printed.success && !complaints && rates.len() == 6;
        screen.claim(holds, &format!("redis-benchmark -P {pipeline} -c {clients}, requests/s:"));
        let figures: Vec<String> =
            rates.iter().map(|(test, rate)| format!("{test} {rate:.0}")).collect();
        screen.say(&format!("  {}", figures.join("   ")));
        if !holds {
            screen.say(&format!("{}{}", printed.output, printed.errors));
        }
    }
    Ok(())
}

/// Test and requests a second from the lines `"SET","12345.67",…`.
fn rates(csv: &str) -> Vec<(&str, f64)> {
    csv.lines()
        .filter_map(|line| {
            let mut cells = line.split(',').map(|cell| cell.trim_matches('"'));
            Some((cells.next()?, cells.next()?.parse().ok()?))
        })
        .map(|(test, rate)| (test.split(' ').next().unwrap_or(test), rate))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::rates;

    #[test]
    fn rates_are_read_from_csv() {
        let csv =
            "\"test\",\"rps\",\"avg\"\n\"SET\",\"123.5\",\"1\"\n\"MSET (10 keys)\",\"7.0\",\"2\"\n";
        assert_eq!(rates(csv), [("SET", 123.5), ("MSET", 7.0)]);
    }
}
