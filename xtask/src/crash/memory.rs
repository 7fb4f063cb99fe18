//! Too little memory: the server in a group that may use 64 MiB, under many
//! connections with large values. It may refuse, and the kernel may kill it;
//! started again in the same group it has everything that it acknowledged.
#![allow(clippy::disallowed_methods, reason = "a tool measures real time and makes a cgroup")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::random::Random;
use super::report::{Report, conduct};
use super::rig::{Rig, Setting};
use super::scratch::Scratch;
use crate::failure::{Context, Failure, Outcome};
use crate::resp::{Client, Reply};
use crate::server_process::Server;

/// What the group may use.
const LIMIT_BYTES: u64 = 64 << 20;
/// Where groups are made: in the hierarchy of version 1, or in that of 2.
const MEMORY_HIERARCHY: &str = "/sys/fs/cgroup/memory";
const UNIFIED_HIERARCHY: &str = "/sys/fs/cgroup";
/// Connections with large values, and such that only begin a request.
const HEAVY_CLIENTS: u64 = 24;
const HALF_REQUESTS: usize = 200;
/// The lengths of large values, in bytes.
const LENGTHS: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 4 << 20];
/// How long they write, unless the server dies before.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Replies of the ordinary load before that, at the most.
const MOST_REPLIES: u64 = 200;
/// Large values that are read back whole; of the others the length is asked.
const READ_WHOLE: usize = 20;

/// So many servers, each with a new database.
pub(crate) fn run(setting: &Setting, cycles: u64) -> Outcome<Report> {
    conduct("memory", setting, |scratch, rig| {
        let (mut kills, mut large) = (0, 0);
        while rig.cycles < cycles {
            rig.setting.interrupt.check()?;
            let (killed, acknowledged) =
                rig.with_new_database(scratch.path(), rig.cycles, |rig| cycle(scratch, rig))?;
            kills += u64::from(killed);
            large += acknowledged;
            rig.cycles += 1;
        }
        rig.remarks.push(format!("{kills} killed by the kernel, {large} large values found again"));
        Ok(())
    })
}

/// Why no group can be made here.
pub(crate) fn obstacle() -> Option<String> {
    MemoryGroup::create().err().map(|failure| format!("no memory group: {}", failure.message))
}

/// A group of processes with little memory; it goes away with this guard,
/// which must outlive them.
struct MemoryGroup {
    path: PathBuf,
    is_unified: bool,
}

impl MemoryGroup {
    fn create() -> Outcome<MemoryGroup> {
        let is_unified = !Path::new(MEMORY_HIERARCHY).is_dir();
        let parent = if is_unified { UNIFIED_HIERARCHY } else { MEMORY_HIERARCHY };
        if is_unified {
            let switch = Path::new(parent).join("cgroup.subtree_control");
            fs::write(&switch, "+memory").context(switch.display())?;
        }
        let path = Path::new(parent).join(format!("kv-crash-{}", process::id()));
        fs::create_dir(&path).context(path.display())?;
        let group = MemoryGroup { path, is_unified };
        let limit = if is_unified { "memory.max" } else { "memory.limit_in_bytes" };
        let limit = group.path.join(limit);
        fs::write(&limit, LIMIT_BYTES.to_string()).context(limit.display())?;
        Ok(group)
    }

    /// The words that start a program in it.
    fn words(&self) -> Vec<OsString> {
        let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
        vec!["sh".into(), "-c".into(), script.into(), self.path.clone().into()]
    }

    /// How many of its processes the kernel has killed.
    fn kills(&self) -> Outcome<u64> {
        let name = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let path = self.path.join(name);
        let text = fs::read_to_string(&path).context(path.display())?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Fails where a process is still in it; then it stays, and is empty
        // when that has ended.
        let _ = fs::remove_dir(&self.path);
    }
}

/// A large value that was acknowledged.
struct Large {
    key: String,
    length: usize,
}

impl Large {
    fn value(key: &str, length: usize) -> Vec<u8> {
        let seed = key.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(131) + u64::from(byte));
        let mut random = Random::new(seed);
        // Not compressible, and not slow to make.
        let block: Vec<u8> = (0..128).flat_map(|_| random.next().to_le_bytes()).collect();
        block.iter().copied().cycle().take(length).collect()
    }
}

/// True if the kernel killed it, and how many large values were found again.
fn cycle(scratch: &Scratch, rig: &mut Rig) -> Outcome<(bool, u64)> {
    let data_dir = scratch.subdirectory("data")?;
    fs::remove_dir_all(&data_dir).context(data_dir.display())?;
    let group = MemoryGroup::create()?;
    let options = json!({
        "memtable_flush_size": rig.random.pick(&["1MiB", "4MiB"]),
        "block_cache_size": "1MiB",
        // The second never refuses: the kernel must.
        "client_memory_limit": rig.random.pick(&["16MiB", "2GiB"]),
    });
    let interrupt = rig.setting.interrupt.clone();
    let plan = rig.plan_with(&options, "sync", &data_dir)?;
    let server = Server::start_under(&group.words(), &plan, &interrupt)?;
    let moment = rig.draw_moment(MOST_REPLIES);
    let seed = rig.random.next();
    let port = server.port();
    let mut large = Vec::new();
    let end = rig.load(port, moment, || {
        large = press(port, seed)?;
        server.kill()
    })?;
    let refusals = ["ERR the memory", "BUSY", "OOM"];
    let is_refusal = |text: &&String| !refusals.iter().any(|start| text.starts_with(start));
    if let Some(text) = end.errors.iter().find(is_refusal) {
        return Err(Failure::check(format!("little memory was answered by {text:?}")));
    }
    rig.advance()?;
    let killed = group.kills()? > 0;
    let server = Server::start_under(&group.words(), &plan, &interrupt)?;
    rig.confirm(&server)?;
    require_all(&server, &large)?;
    server.kill()?;
    Ok((killed, large.len() as u64))
}

/// Large values from many connections until the time is over or the server
/// dead: those that were acknowledged.
fn press(port: u16, seed: u64) -> Outcome<Vec<Large>> {
    let acknowledged = Mutex::new(Vec::new());
    let deadline = Instant::now() + PATIENCE;
    let mut half: Vec<Client> = Vec::new();
    for _ in 0..HALF_REQUESTS {
        // A server that refuses connections does what it should.
        let Ok(mut client) = Client::connect(port) else { break };
        client.queue_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$100000\r\nhalf of it");
        let _ = client.send();
        half.push(client);
    }
    thread::scope(|scope| {
        for client in 0..HEAVY_CLIENTS {
            let acknowledged = &acknowledged;
            scope.spawn(move || write_large(port, client, seed, deadline, acknowledged));
        }
    });
    Ok(acknowledged.into_inner().unwrap_or_else(|error| error.into_inner()))
}

fn write_large(
    port: u16,
    client: u64,
    seed: u64,
    deadline: Instant,
    acknowledged: &Mutex<Vec<Large>>,
) {
    let mut random = Random::new(seed).fork(client);
    let Ok(mut connection) = Client::connect(port) else { return };
    for number in 0.. {
        if Instant::now() > deadline {
            return;
        }
        let key = format!("large:{client}:{number}");
        let length = random.pick(&LENGTHS);
        let value = Large::value(&key, length);
        match connection.call(&[b"SET", key.as_bytes(), &value]) {
            Ok(reply) if reply.is_ok() => {
                let large = Large { key, length };
                acknowledged.lock().unwrap_or_else(|error| error.into_inner()).push(large);
            }
            // Refused in words, which may close the connection.
            Ok(_) => {}
            Err(_) => match Client::connect(port) {
                Ok(another) => connection = another,
                Err(_) => return,
            },
        }
    }
}

fn require_all(server: &Server, large: &[Large]) -> Outcome {
    let mut client = server.connect()?;
    for Large { key, length } in large {
        let found = client.call(&[b"STRLEN", key.as_bytes()]).context("cannot read back")?;
        if found != Reply::Integer(*length as i64) {
            let sentence = format!("{key} of {length} bytes was acknowledged: {found:?}");
            return Err(Failure::check(sentence));
        }
    }
    for Large { key, length } in large.iter().rev().take(READ_WHOLE) {
        let found = client.call(&[b"GET", key.as_bytes()]).context("cannot read back")?;
        if found != Reply::Bulk(Large::value(key, *length)) {
            return Err(Failure::check(format!("{key} holds another value than was written")));
        }
    }
    Ok(())
}
