//! The demo: the whole store at work, in plain words, with every claim checked.
//!
//! 1. A small load: the log is the only file that grows.
//! 2. A large concurrent load: memory tables spill into tables, compaction
//!    merges them.
//! 3. kill -9 in mid-load, restart, and a proof over every key, several times.
//! 4. Figures, an orderly stop, clean-up.

mod figures;
mod files;
mod ledger;
mod load;
mod proof;
mod shape;

use clap::Args;
use indicatif::ProgressBar;

use self::figures::Figures;
use self::files::FileWatch;
use self::ledger::{Ledger, Verdict};
use self::load::LoadReport;
use crate::failure::{Context, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::resp::Reply;
use crate::screen::Screen;
use crate::server_build::ServerChoice;
use crate::server_process::{Server, ServerPlan};
use crate::workspace::source_root;

/// Keys of the small load: below any sensible memory table.
const SMALL_LOAD_KEYS: u64 = 200;
/// Slots of each writer: few enough that keys are overwritten in every load,
/// many enough that a load fills tables of different keys.
const SLOTS_PER_WRITER: usize = 600;
/// Longest wait for a compaction that has not ended with the load: turns of
/// one further small load each.
const COMPACTION_PATIENCE: usize = 50;

/// Options of the demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoOptions {
    #[command(flatten)]
    server: ServerChoice,
    /// Clients that write at the same time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    writers: u16,
    /// Keys that the large load writes
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// How often the server is killed in mid-load
    #[arg(long, default_value_t = 3)]
    kills: u32,
}

/// A server under demonstration.
struct Demo {
    options: DemoOptions,
    plan: ServerPlan,
    screen: Screen,
    interrupt: Interrupt,
    ledgers: Vec<Ledger>,
}

/// `cargo xtask demo`.
pub(crate) fn run(options: DemoOptions) -> Outcome {
    let interrupt = Interrupt::install()?;
    println!("Building the server, if it is not up to date …");
    let binary = options.server.binary()?;
    interrupt.check()?;
    // Removed when it goes out of scope, also after a failure or Ctrl-C.
    let directory = tempfile::Builder::new()
        .prefix("kv-demo-")
        .tempdir()
        .context("cannot create a temporary directory")?;
    let plan = ServerPlan {
        binary,
        config: source_root().join("config/demo.json"),
        data_dir: directory.path().join("data"),
        durability: "sync",
    };
    let ledgers = (0..usize::from(options.writers))
        .map(|writer| Ledger::new(writer, SLOTS_PER_WRITER))
        .collect();
    let mut demo = Demo { options, plan, screen: Screen::new(), interrupt, ledgers };
    let outcome = demo.run();
    directory.close().context("cannot remove the temporary directory")?;
    outcome?;
    demo.conclude()
}

impl Demo {
    fn run(&mut self) -> Outcome {
        self.screen.step("Start: a fresh database in a temporary directory");
        let mut server = self.start_server()?;
        self.small_load(&server)?;
        let (report, figures) = self.large_load(&server)?;
        for round in 1..=self.options.kills {
            server = self.kill_and_recover(server, round)?;
        }
        self.figures(&report, &figures, &server)?;
        self.screen.step("Orderly stop and clean-up");
        let status = server.stop()?;
        self.screen.claim(status.success(), "the server stops in order, with exit code 0");
        Ok(())
    }

    fn start_server(&mut self) -> Outcome<Server> {
        let mut server = Server::start(&self.plan, &self.interrupt)?;
        let pid = server.pid();
        self.screen.say(&format!("server process {pid} on port {}; it says:", server.port()));
        let said: Vec<String> = server.printed().iter().map(|line| format!("  {line}")).collect();
        self.screen.say(&said.join("\n"));
        Ok(server)
    }

    fn small_load(&mut self, server: &Server) -> Outcome {
        self.screen.step(&format!("A small load: {SMALL_LOAD_KEYS} keys, one client"));
        let mut client = server.connect()?;
        let bar = self.screen.bar(SMALL_LOAD_KEYS, "keys");
        for key in 0..SMALL_LOAD_KEYS {
            self.interrupt.check()?;
            let name = format!("small:{key:04}");
            let reply = client
                .call(&[b"SET", name.as_bytes(), b"a small value"])
                .context("cannot write")?;
            if !reply.is_ok() {
                return Err(Failure::check(format!("SET answered {reply:?}")));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let counts = FileWatch::new(&self.plan.data_dir).look();
        self.screen.say("Each was acknowledged only after fdatasync of the write-ahead log.");
        self.screen.claim(
            counts.segments == 1 && self.plan.data_dir.join("wal.log").is_file(),
            "the data is in wal.log",
        );
        self.screen.claim(
            counts.flushed + counts.compacted == 0,
            "no table file exists: a small data set is its log and its memory table",
        );
        Ok(())
    }

    fn large_load(&mut self, server: &Server) -> Outcome<(LoadReport, Figures)> {
        let keys = self.options.keys;
        let writers = self.ledgers.len();
        self.screen.step(&format!("A large load: {keys} keys, {writers} clients at once"));
        self.screen.say("One part by SET, one in MSETs of four keys, one in MULTI … EXEC of four.");
        let mut files = FileWatch::new(&self.plan.data_dir);
        let bar = self.screen.bar(keys, "keys");
        let report = load::run(server.port(), &mut self.ledgers, keys, &self.interrupt, |done| {
            show_progress(&bar, &mut files, done);
            Ok(())
        })?
        .require_unbroken()?;
        bar.finish_and_clear();
        self.wait_for_compaction(server, &mut files)?;
        let ever = files.ever();
        let now = files.look();
        self.screen.say(&format!(
            "{:.0} keys/s, every one durable; {} tables flushed and {} written by compactions; {} files left",
            report.keys_per_second(),
            ever.flushed,
            ever.compacted,
            now.flushed + now.compacted,
        ));
        self.screen.claim(ever.flushed > 0, "full memory tables became sst_….db files");
        self.screen.claim(ever.compacted > 0, "compaction merged them into compacted_….db files");
        self.screen.claim(
            now.flushed + now.compacted < ever.flushed + ever.compacted,
            "tables that were merged away are gone",
        );
        self.screen.say("The shape of the tree:");
        self.screen.say(&shape::draw(&figures::levels(&mut server.connect()?)?));
        let figures = Figures::read(&mut server.connect()?)?;
        self.screen.claim(
            figures.wal_syncs * 2 < report.commands,
            &format!(
                "group commit: {} commands were made durable by {} fdatasyncs",
                report.commands, figures.wal_syncs
            ),
        );
        self.prove(server, "every key reads back as it was written")?;
        Ok((report, figures))
    }

    /// Compaction runs beside the load and may still be at work at its end: a
    /// little more load gives it the time, without a clock.
    fn wait_for_compaction(&mut self, server: &Server, files: &mut FileWatch) -> Outcome {
        let spinner = self.screen.spinner("compaction is at work");
        for _ in 0..COMPACTION_PATIENCE {
            let now = files.look();
            let ever = files.ever();
            if ever.compacted > 0 && now.flushed < ever.flushed {
                break;
            }
            load::run(server.port(), &mut self.ledgers, 500, &self.interrupt, |_| Ok(()))?
                .require_unbroken()?;
        }
        spinner.finish_and_clear();
        Ok(())
    }

    fn kill_and_recover(&mut self, server: Server, round: u32) -> Outcome<Server> {
        let kills = self.options.kills;
        self.screen.step(&format!("kill -9 in mid-load ({round} of {kills}), restart, proof"));
        // Another moment in each round, so that log, flush and compaction are
        // hit in different states.
        let deadline = self.options.keys / 10 * u64::from(round);
        let bar = self.screen.bar(deadline, "keys");
        let mut files = FileWatch::new(&self.plan.data_dir);
        let (port, pid) = (server.port(), server.pid());
        let mut victim = Some(server);
        let report = load::run(port, &mut self.ledgers, u64::MAX, &self.interrupt, |done| {
            show_progress(&bar, &mut files, done.min(deadline));
            match victim.take_if(|_| done >= deadline) {
                Some(server) => server.kill(),
                None => Ok(()),
            }
        })?;
        bar.finish_and_clear();
        if let Some(server) = victim {
            drop(server);
            return Err(Failure::check("the writers ended before the server was killed"));
        }
        self.screen.say(&format!(
            "process {pid} killed with {} writers in the middle of a command, {} keys acknowledged",
            report.broken.len(),
            report.keys,
        ));
        self.screen.claim(
            report.broken.len() == self.ledgers.len(),
            "the kill hit every writer while it was writing",
        );
        let server = self.start_server()?;
        self.prove(&server, "every acknowledged write is there, and no batch is half there")?;
        Ok(server)
    }

    fn prove(&mut self, server: &Server, statement: &str) -> Outcome {
        let spinner = self.screen.spinner("reading everything back");
        let verdict = proof::judge_all(server.port(), &self.ledgers)?;
        spinner.finish_and_clear();
        let Verdict { kept, lost, torn, invented } = verdict;
        let holds = lost + torn + invented == 0 && kept > 0;
        let detail = format!("{kept} right, {lost} lost, {torn} half there, {invented} damaged");
        self.screen.claim(holds, &format!("{statement} (keys and batches: {detail})"));
        Ok(())
    }

    fn figures(&mut self, report: &LoadReport, figures: &Figures, server: &Server) -> Outcome {
        self.screen.step("Figures of the large load");
        let latency = &report.latency_us;
        self.screen.say(&format!(
            "{} commands, {} keys in {:.2} s = {:.0} keys/s, each command acknowledged after fdatasync",
            report.commands,
            report.keys,
            report.elapsed.as_secs_f64(),
            report.keys_per_second(),
        ));
        self.screen.say(&format!(
            "a command took p50 {} µs, p99 {} µs, at most {} µs",
            latency.value_at_quantile(0.5),
            latency.value_at_quantile(0.99),
            latency.max(),
        ));
        self.screen.say(&format!(
            "{} fdatasyncs of the log, {} flushes, {} compactions; writers stalled {} times",
            figures.wal_syncs, figures.flushes, figures.compactions, figures.stalls,
        ));
        let mut client = server.connect()?;
        if let Reply::Integer(count) = client.call(&[b"DBSIZE"]).context("DBSIZE")? {
            self.screen.say(&format!("{count} keys in the database after all restarts"));
        }
        Ok(())
    }

    /// The last word: success only if every claim held.
    fn conclude(&self) -> Outcome {
        let (claims, failed) = self.screen.verdict();
        if failed.is_empty() {
            println!("\nAll {claims} claims hold. Nothing is left behind.");
            return Ok(());
        }
        let list = failed.join("\n  ");
        Err(Failure::check(format!("{} of {claims} claims failed:\n  {list}", failed.len())))
    }
}

fn show_progress(bar: &ProgressBar, files: &mut FileWatch, done: u64) {
    let counts = files.look();
    bar.set_position(done);
    bar.set_message(format!(
        "{} log, {} sst_, {} compacted_",
        counts.segments, counts.flushed, counts.compacted
    ));
}
