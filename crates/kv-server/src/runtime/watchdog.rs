//! Ends connections that have been silent, slow or unauthenticated for too
//! long, or have had too much waiting for too long, and tells the log how the
//! server is. One look at all of them a second costs less than a timer for each
//! read.

use std::sync::Arc;
use std::time::Duration;

use kv_engine::ScrubFinding;

use super::clients::{Client, Phase, Stop};
use super::counters::add;
use super::health::{Health, HealthLog};
use super::server::Server;
use crate::config::Config;

const PERIOD: Duration = Duration::from_secs(1);

/// Looks after the connections; ends only by being dropped.
pub(crate) async fn run(server: Arc<Server>) {
    let mut health_log = HealthLog::new();
    let mut findings_told = 0;
    loop {
        tokio::time::sleep(PERIOD).await;
        let now_ms = server.clock.uptime_ms();
        look_once(&server, now_ms);
        let findings = server.engine.scrub_findings();
        let new_findings = findings.iter().skip(findings_told).map(describe_finding);
        let health = health_log.look(&Health::of(&server), now_ms);
        let lines = new_findings.chain(health).chain(server.auth_log.look(now_ms));
        lines.for_each(|line| server.log.tell(line));
        findings_told = findings.len();
    }
}

/// A finding as a line for the log.
fn describe_finding(finding: &ScrubFinding) -> String {
    let ScrubFinding { file, offset, bytes, what } = finding;
    format!(
        "scrub: {file} is damaged at offset {offset}, {bytes} bytes ({what}); the other keys can \
         be read, mend it from a backup or by kv repair"
    )
}

fn look_once(server: &Server, now_ms: u64) {
    for client in server.clients.all() {
        let config = server.config();
        let counter = if is_overdue(&client, &config, now_ms) {
            &server.counters.timeouts
        } else if is_over(client.over_soft_limit_ms(now_ms), config.client_output_soft_limit_s) {
            &server.counters.output_limit_disconnections
        } else {
            continue;
        };
        add(counter, 1);
        client.stop(Stop::Now);
    }
}

fn is_over(waited_ms: u64, limit_s: u64) -> bool {
    limit_s > 0 && waited_ms > limit_s * 1000
}

fn is_overdue(client: &Client, config: &Config, now_ms: u64) -> bool {
    if is_over(client.unauthenticated_ms(now_ms), config.auth_timeout_s) {
        return true;
    }
    match client.waiting(now_ms) {
        (Phase::Idle, waited_ms) => is_over(waited_ms, config.idle_timeout_s),
        (Phase::Transfer, waited_ms) => is_over(waited_ms, config.request_timeout_s),
        (Phase::Execution, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clients::Clients;

    /// `RESET` takes a client's authentication away, however long it has been
    /// connected: from then on it has as much time as a new one.
    #[test]
    fn a_client_has_its_time_to_authenticate_again() {
        let config = Config { password: "secret".into(), ..Config::default() };
        let address = "10.0.0.7:1".parse().unwrap();
        let (client, mut session) =
            Clients::default().admit(address, address, 1_000, &config).unwrap();
        let run = |session: &crate::command::Session, now_ms: u64| {
            client.note(Phase::Execution, now_ms);
            client.note_session(session, "ping");
        };
        run(&session, 9_000);
        assert!(!is_overdue(&client, &config, 11_000));
        assert!(is_overdue(&client, &config, 11_001), "a run is no AUTH");
        session.authenticated = true;
        run(&session, 10_000);
        assert!(!is_overdue(&client, &config, 500_000));
        session.authenticated = false;
        run(&session, 500_000);
        run(&session, 505_000);
        assert!(!is_overdue(&client, &config, 510_000));
        assert!(is_overdue(&client, &config, 510_001));
    }
}
