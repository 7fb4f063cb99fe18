//! The sections of `INFO`.
//!
//! Names are Redis's where the meaning is the same, so that monitoring tools
//! find them; what only an engine like ours has is in section `engine`.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use kv_engine::{KeyRange, ScrubFinding};

use super::handle::REDIS_VERSION;
use super::health::Health;
use super::process;
use super::server::Server;
use super::sweep::KeyspaceCounts;
use crate::command::{InfoSection, count_entry};
use crate::config::durability_name;

const fn shown(name: &'static str, title: &'static str) -> InfoSection {
    InfoSection { name, title, is_default: true }
}

/// All sections in order.
pub(crate) const SECTIONS: [InfoSection; 10] = [
    shown("server", "Server"),
    shown("clients", "Clients"),
    shown("memory", "Memory"),
    shown("persistence", "Persistence"),
    shown("stats", "Stats"),
    shown("replication", "Replication"),
    shown("cpu", "CPU"),
    shown("cluster", "Cluster"),
    shown("keyspace", "Keyspace"),
    shown("engine", "Engine"),
];

/// Keys that `INFO` counts itself: about a millisecond. In larger databases it
/// tells what the last round of the expiry sweep has counted.
const MAX_COUNTED_KEYS: usize = 10_000;

/// Findings of the scrub that are listed; `scrub_findings` counts them all.
const MAX_FINDINGS: usize = 10;

/// The lines of a section; nothing for an unknown one.
pub(crate) fn section(server: &Server, name: &str) -> String {
    let mut lines = Lines::default();
    match name {
        "server" => write_server(server, &mut lines),
        "clients" => write_clients(server, &mut lines),
        "memory" => write_memory(server, &mut lines),
        "persistence" => write_persistence(server, &mut lines),
        "stats" => write_stats(server, &mut lines),
        "replication" => {
            lines.add("role", "master");
            lines.add("connected_slaves", 0);
            lines.add("master_repl_offset", 0);
        }
        "cpu" => write_cpu(&mut lines),
        "cluster" => lines.add("cluster_enabled", 0),
        "keyspace" => write_keyspace(server, &mut lines),
        "engine" => write_engine(server, &mut lines),
        _ => {}
    }
    lines.text
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, name: impl std::fmt::Display, value: impl std::fmt::Display) {
        let written = write!(self.text, "{name}:{value}\r\n");
        written.expect("a string takes everything");
    }
}

fn write_server(server: &Server, lines: &mut Lines) {
    let uptime_s = server.clock.uptime_ms() / 1000;
    lines.add("redis_version", REDIS_VERSION);
    lines.add("kv_version", env!("CARGO_PKG_VERSION"));
    lines.add("redis_mode", "standalone");
    lines.add("os", std::env::consts::OS);
    lines.add("arch_bits", usize::BITS);
    lines.add("process_id", std::process::id());
    lines.add("tcp_port", server.address.port());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86_400);
    lines.add("config_source", &server.config_source);
    lines.add("data_dir", server.config().data_dir.display());
}

fn write_clients(server: &Server, lines: &mut Lines) {
    let clients = server.clients.all();
    let largest = |bytes: fn(&super::clients::Client) -> usize| {
        clients.iter().map(|client| bytes(client)).max().unwrap_or(0)
    };
    lines.add("connected_clients", clients.len());
    lines.add("maxclients", server.config().max_clients);
    lines.add("client_recent_max_input_buffer", largest(|client| client.input_bytes.load(Relaxed)));
    lines.add(
        "client_recent_max_output_buffer",
        largest(|client| client.output_bytes.load(Relaxed)),
    );
    lines.add("blocked_clients", 0);
}

fn write_memory(server: &Server, lines: &mut Lines) {
    let resident = process::resident_bytes().unwrap_or(0);
    lines.add("used_memory", resident);
    lines.add("used_memory_rss", resident);
    lines.add("used_memory_clients_reserved", server.memory.reserved_bytes());
    lines.add("used_memory_memtables", server.engine.stats().memtable_bytes);
    lines.add("maxmemory", 0);
    lines.add("maxmemory_policy", "noeviction");
}

fn write_persistence(server: &Server, lines: &mut Lines) {
    let stats = server.engine.stats();
    lines.add("loading", 0);
    lines.add("durability", durability_name(server.config().durability));
    lines.add("aof_enabled", 1);
    lines.add("rdb_bgsave_in_progress", 0);
    lines.add("aof_rewrite_in_progress", 0);
    let refuses_writes = stats.poisoned || stats.disk_full;
    lines.add("aof_last_write_status", if refuses_writes { "err" } else { "ok" });
    let health = Health::of(server);
    lines.add("health", health.word());
    lines.add("health_cause", health.cause());
    lines.add("disk_full", u8::from(stats.disk_full));
    lines.add("commits_in_flight", server.stall.in_flight());
    lines.add("wal_syncs", stats.wal_syncs);
    lines.add("wal_segments", stats.wal_segments);
    lines.add("recovery", server.engine.recovery_report());
}

fn write_stats(server: &Server, lines: &mut Lines) {
    let counters = &server.counters;
    for (name, counter) in [
        ("total_connections_received", &counters.connections),
        ("total_commands_processed", &counters.commands),
        ("total_runs_executed", &counters.runs),
        ("total_runs_repeated_after_conflict", &counters.runs_repeated),
        ("total_net_input_bytes", &counters.bytes_in),
        ("total_net_output_bytes", &counters.bytes_out),
        ("rejected_connections", &counters.connections_refused),
        ("expired_keys", &counters.keys_swept),
        ("total_error_replies", &counters.error_replies),
        ("total_protocol_errors", &counters.protocol_errors),
        ("total_auth_failures", &counters.auth_failures),
        ("total_client_timeouts", &counters.timeouts),
        ("client_output_buffer_limit_disconnections", &counters.output_limit_disconnections),
    ] {
        lines.add(name, counter.load(Relaxed));
    }
    lines.add("evicted_keys", 0);
}

fn write_cpu(lines: &mut Lines) {
    if let Some((user_s, system_s)) = process::cpu_seconds() {
        lines.add("used_cpu_sys", format_args!("{system_s:.2}"));
        lines.add("used_cpu_user", format_args!("{user_s:.2}"));
    }
}

fn write_keyspace(server: &Server, lines: &mut Lines) {
    let counted = count_keys(server);
    let is_exact = counted.is_some();
    let last_round = || server.sweep.last_round().unwrap_or_default();
    let counts = counted.unwrap_or_else(last_round);
    let rows = counts.keys.iter().zip(&counts.will_expire).enumerate();
    for (database, (keys, expires)) in rows.filter(|(_, (keys, _))| **keys > 0) {
        let row = format_args!("keys={keys},expires={expires},avg_ttl=0");
        lines.add(format_args!("db{database}"), row);
    }
    if !is_exact {
        lines.add("counted", "by_last_sweep");
    }
}

/// Counts all keys; `None` if there are many.
fn count_keys(server: &Server) -> Option<KeyspaceCounts> {
    let mut counts = KeyspaceCounts::default();
    let mut scan = server.engine.snapshot().scan(KeyRange::all());
    let mut met = 0;
    while scan.advance().ok()? {
        met += 1;
        if met > MAX_COUNTED_KEYS {
            return None;
        }
        count_entry(scan.key(), &scan.value(), &mut counts.keys, &mut counts.will_expire);
    }
    Some(counts)
}

fn write_engine(server: &Server, lines: &mut Lines) {
    let stats = serde_json::to_value(server.engine.stats());
    let Ok(serde_json::Value::Object(fields)) = stats else { return };
    for (name, value) in fields {
        lines.add(name, value);
    }
    for (index, finding) in server.engine.scrub_findings().iter().take(MAX_FINDINGS).enumerate() {
        let ScrubFinding { file, offset, bytes, what } = finding;
        let row = format_args!("file={file},offset={offset},bytes={bytes},what={what}");
        lines.add(format_args!("scrub_finding_{index}"), row);
    }
}
