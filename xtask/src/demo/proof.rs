//! Reads everything back and holds it against the ledgers.

use std::thread;

use super::ledger::{Ledger, Verdict};
use crate::failure::{Context, Failure, Outcome};
use crate::resp::{Client, Reply};

/// Slots asked for in one go.
const SLOTS_PER_REQUEST: usize = 64;

/// The verdict on every slot of every writer.
pub(crate) fn judge_all(port: u16, ledgers: &[Ledger]) -> Outcome<Verdict> {
    let mut total = Verdict::default();
    thread::scope(|scope| {
        let readers: Vec<_> =
            ledgers.iter().map(|ledger| scope.spawn(|| judge_ledger(port, ledger))).collect();
        for reader in readers {
            total.add(reader.join().expect("a reader does not panic")?);
        }
        Ok(total)
    })
}

fn judge_ledger(port: u16, ledger: &Ledger) -> Outcome<Verdict> {
    let mut client = Client::connect(port).context("cannot connect to the server")?;
    let mut verdict = Verdict::default();
    let slots: Vec<usize> = (0..ledger.slots()).collect();
    for chunk in slots.chunks(SLOTS_PER_REQUEST) {
        for &slot in chunk {
            let keys = ledger.keys(slot);
            let mut parts: Vec<&[u8]> = vec![b"MGET"];
            parts.extend(keys.iter().map(Vec::as_slice));
            client.queue(&parts);
        }
        client.send().context("cannot send to the server")?;
        for &slot in chunk {
            let reply = client.receive().context("cannot read back")?;
            ledger.judge(slot, &values(reply)?, &mut verdict);
        }
    }
    Ok(verdict)
}

fn values(reply: Reply) -> Outcome<Vec<Option<Vec<u8>>>> {
    let Reply::Array(items) = reply else {
        return Err(Failure::check(format!("MGET answered {reply:?}")));
    };
    items
        .into_iter()
        .map(|item| match item {
            Reply::Bulk(bytes) => Ok(Some(bytes)),
            Reply::Nil => Ok(None),
            other => Err(Failure::check(format!("MGET answered {other:?}"))),
        })
        .collect()
}
