//! A connection: whatever it is sent, each command gets one well-formed reply,
//! and commands in one run answer as they do one by one.

use kv_server_parts::{Connection, OwnedArgs, RequestDecoder, RequestLimits};

use crate::allocation::{FIXED_BYTES, GROWTH, bounded_by};
use crate::resp_reference::take_reply;

const LIMITS: RequestLimits = RequestLimits {
    arguments: 1 << 10,
    argument_bytes: 1 << 16,
    request_bytes: 1 << 18,
    requests_per_run: 1 << 10,
    unauthenticated: false,
};

/// Offsets above this would be answered too, with half a gigabyte of zeros.
const MAX_OFFSET_DIGITS: usize = 6;

/// What a command may take for each of its arguments: it may name a value of
/// the longest length that offsets reach, of which there are then the one in
/// the database, the one being made of it, and the one in the reply.
const ARGUMENT_BYTES: usize = 3 * 1_100_000;

/// Commands that answer by chance.
const RANDOM: [&[u8]; 2] = [b"randomkey", b"lolwut"];

/// Executes all requests of `data`.
pub fn run(data: &[u8]) {
    let commands = requests(data);
    let mut whole = Connection::default();
    let arguments: usize = commands.iter().map(|command| command.as_args().len()).sum();
    let limit = GROWTH * data.len() + arguments * ARGUMENT_BYTES + FIXED_BYTES;
    let answers = bounded_by(limit, || whole.run(&commands));
    assert!(answers.replies.len() <= commands.len());
    assert!(answers.is_closed || answers.replies.len() == commands.len());
    for (reply, protocol) in &answers.replies {
        let mut bytes = Vec::new();
        reply.encode(*protocol, &mut bytes);
        let mut rest = &bytes[..];
        let is_whole = take_reply(&mut rest).is_some() && rest.is_empty();
        assert!(is_whole, "not one reply: {}", bytes.escape_ascii());
    }
    if commands.iter().any(is_random) {
        return;
    }
    let mut single = Connection::default();
    for (command, (expected, _)) in commands.iter().zip(&answers.replies) {
        let answers = single.run(std::slice::from_ref(command));
        let reply = answers.replies.first().map(|(reply, _)| reply);
        assert_eq!(reply, Some(expected), "one by one differs from all at once");
        if answers.is_closed {
            break;
        }
    }
    assert_eq!(single.contents(), whole.contents(), "one by one differs from all at once");
}

fn requests(data: &[u8]) -> Vec<OwnedArgs> {
    let mut buffer = data.to_vec();
    let mut decoder = RequestDecoder::new(LIMITS);
    // What is before an error is executed.
    let _ = decoder.decode(&mut buffer);
    let requests = decoder.requests(&buffer);
    requests.iter().map(|args| args.to_owned()).filter(|args| !is_expensive(args)).collect()
}

fn is_expensive(args: &OwnedArgs) -> bool {
    let args = args.as_args();
    args.name().eq_ignore_ascii_case(b"setrange")
        && args.get(2).is_some_and(|offset| offset.len() > MAX_OFFSET_DIGITS)
}

fn is_random(args: &OwnedArgs) -> bool {
    let name = args.as_args().name().to_ascii_lowercase();
    RANDOM.contains(&name.as_slice())
}
