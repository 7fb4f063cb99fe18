//! Ends connections that have been silent, slow or unauthenticated for too
//! long, and tells the log how the server is. One look at all of them a second
//! costs less than a timer for each read.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::clients::{Client, Phase, Stop};
use super::counters::add;
use super::health::{Health, HealthLog};
use super::server::Server;
use crate::config::Config;

const PERIOD: Duration = Duration::from_secs(1);

/// Looks after the connections; ends only by being dropped.
pub(crate) async fn run(server: Arc<Server>) {
    let mut log = HealthLog::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now_ms = server.clock.uptime_ms();
        look_once(&server, now_ms);
        if let Some(line) = log.look(&Health::of(&server), now_ms) {
            write_log_line(&line);
        }
    }
}

/// Writes a line to the standard error output, if anybody still takes it.
fn write_log_line(line: &str) {
    let _ = writeln!(std::io::stderr(), "kv-server: {line}");
}

fn look_once(server: &Server, now_ms: u64) {
    for client in server.clients.all() {
        if is_overdue(&client, &server.config(), now_ms) {
            add(&server.counters.timeouts, 1);
            client.stop(Stop::Now);
        }
    }
}

fn is_overdue(client: &Client, config: &Config, now_ms: u64) -> bool {
    let is_over = |waited_ms: u64, limit_s: u64| limit_s > 0 && waited_ms > limit_s * 1000;
    let connected_ms = now_ms.saturating_sub(client.connected_at_ms);
    if !client.is_authenticated.load(Relaxed) && is_over(connected_ms, config.auth_timeout_s) {
        return true;
    }
    match client.waiting(now_ms) {
        (Phase::Idle, waited_ms) => is_over(waited_ms, config.idle_timeout_s),
        (Phase::Transfer, waited_ms) => is_over(waited_ms, config.request_timeout_s),
        (Phase::Execution, _) => false,
    }
}
