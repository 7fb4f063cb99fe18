//! The codec: golden bytes, round trips, and the same result however the
//! bytes are cut.

use expect_test::{Expect, expect};
use kv_server::{Protocol, ProtocolError, Reply, RequestDecoder, RequestLimits};
use proptest::prelude::*;

use crate::wire::{self, Wire, request};

const LIMITS: RequestLimits = RequestLimits {
    arguments: 1 << 20,
    argument_bytes: 1 << 20,
    request_bytes: 2 << 20,
    requests_per_run: 1024,
    unauthenticated: false,
};

const UNAUTHENTICATED: RequestLimits = RequestLimits {
    arguments: 10,
    argument_bytes: 16 << 10,
    request_bytes: 64 << 10,
    requests_per_run: 1,
    unauthenticated: true,
};

type Decoded = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Decodes `bytes` as they come in pieces that end at `cuts`.
fn decode_in_pieces(limits: RequestLimits, bytes: &[u8], cuts: &[usize]) -> Decoded {
    let mut decoder = RequestDecoder::new(limits);
    let mut buffer = Vec::new();
    let mut requests = Vec::new();
    let mut fed = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        buffer.extend_from_slice(&bytes[fed..end]);
        fed = end;
        loop {
            let result = decoder.decode(&mut buffer);
            let before = requests.len();
            for args in decoder.requests(&buffer).iter() {
                requests.push(args.iter_from(0).map(<[u8]>::to_vec).collect());
            }
            if let Err(error) = result {
                return (requests, Some(error));
            }
            decoder.consume(&mut buffer);
            if requests.len() == before {
                break;
            }
        }
    }
    assert_eq!(
        decoder.is_inside_request(&buffer),
        !buffer.is_empty(),
        "what is left over belongs to an unfinished request"
    );
    (requests, None)
}

fn show((requests, error): Decoded) -> String {
    let mut lines: Vec<String> = requests
        .iter()
        .map(|request| {
            let words = request.iter().map(|word| format!("[{}]", word.escape_ascii()));
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines.extend(error.map(|error| format!("-ERR {error}")));
    lines.join("\n")
}

fn check(input: &[u8], expected: Expect) {
    expected.assert_eq(&show(decode_in_pieces(LIMITS, input, &[])));
    let everywhere: Vec<usize> = (0..input.len().min(300)).collect();
    expected.assert_eq(&show(decode_in_pieces(LIMITS, input, &everywhere)));
}

#[test]
fn requests_as_clients_write_them() {
    check(b"*1\r\n$4\r\nPING\r\n", expect!["[PING]"]);
    check(b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", expect!["[GET] []"]);
    check(b"*2\r\n$3\r\nGET\r\n$4\r\n\0\r\n\xff\r\n", expect![[r"[GET] [\x00\r\n\xff]"]]);
    check(
        b"PING\r\n*1\r\n$4\r\nPING\r\nPING\n",
        expect![[r"
            [PING]
            [PING]
            [PING]"]],
    );
    check(b"*0\r\n*-1\r\n*-10\r\n\r\n   \r\nPING\r\n", expect!["[PING]"]);
}

#[test]
fn inline_requests_are_unquoted() {
    check(b"SET key 'a value'\r\n", expect!["[SET] [key] [a value]"]);
    check(b"  SET\tkey  \"\\x41\\n\\\"\\q\" \r\n", expect![[r#"[SET] [key] [A\n\"q]"#]]);
    check(b"ECHO \"\\a\\b\\n\\r\\t\"\r\n", expect![[r"[ECHO] [\x07\x08\n\r\t]"]]);
    check(b"SET '' \"\" 'it\\'s'\r\n", expect![[r"[SET] [] [] [it\'s]"]]);
    check(b"SET a\"b c\" d\r\n", expect!["[SET] [ab c] [d]"]);
    check(b"SET \"\\xg1\\x4\"\r\n", expect!["[SET] [xg1x4]"]);
    check(b"ECHO 'open\r\n", expect!["-ERR Protocol error: unbalanced quotes in request"]);
    check(b"ECHO \"a\"b\r\n", expect!["-ERR Protocol error: unbalanced quotes in request"]);
    check(b"ECHO \"a\\\r\n", expect!["-ERR Protocol error: unbalanced quotes in request"]);
}

#[test]
fn escapes_of_both_cases_of_hexadecimal_digits_are_read() {
    check(b"SET \"\\xfF\\xAb\\x0a\" \"\\b\"\r\n", expect![[r"[SET] [\xff\xab\n] [\x08]"]]);
    // The quote ends with the line, in the middle of an escape.
    for open in [&b"\"\\"[..], b"\"\\x", b"\"\\x4", b"'\\", b"\"", b"'"] {
        let expected = expect!["-ERR Protocol error: unbalanced quotes in request"];
        check(&[b"ECHO ", open, b"\r\n"].concat(), expected);
    }
}

#[test]
fn a_limit_that_was_passed_is_named() {
    let error = ProtocolError::RequestTooLong { limit: 4096 };
    assert_eq!(error.to_string(), "Protocol error: request is longer than 4096 bytes");
    let error = ProtocolError::UnauthenticatedTooMuch;
    assert_eq!(error.to_string(), "Protocol error: too many bytes before authentication");
}

#[test]
fn violations_end_the_stream_behind_what_was_complete() {
    let cases: &[(&[u8], Expect)] = &[
        (b"*x\r\n", expect!["-ERR Protocol error: invalid multibulk length"]),
        (b"*01\r\n", expect!["-ERR Protocol error: invalid multibulk length"]),
        (b"*99999999999999999999\r\n", expect!["-ERR Protocol error: invalid multibulk length"]),
        (b"*1048577\r\n", expect!["-ERR Protocol error: invalid multibulk length"]),
        // A request has no depth at all.
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", expect!["-ERR Protocol error: expected '$', got '*'"]),
        (b"*1\r\n%1\r\n", expect!["-ERR Protocol error: expected '$', got '%'"]),
        (b"*1\r\nPING\r\n", expect!["-ERR Protocol error: expected '$', got 'P'"]),
        (b"*1\r\n\0", expect![[r"-ERR Protocol error: expected '$', got '\x00'"]]),
        (b"*1\r\n$-1\r\n", expect!["-ERR Protocol error: invalid bulk length"]),
        (b"*1\r\n$1048577\r\n", expect!["-ERR Protocol error: invalid bulk length"]),
        (b"*1\r\n$ 4\r\n", expect!["-ERR Protocol error: invalid bulk length"]),
        (b"*1\r\n$\r\n", expect!["-ERR Protocol error: invalid bulk length"]),
        (b"*1\n", expect!["-ERR Protocol error: expected CR LF behind a length"]),
        (
            b"*1\r\n$4\r\nPINGxx",
            expect!["-ERR Protocol error: expected CR LF behind a bulk string"],
        ),
        (
            b"PING\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n:1\r\n",
            expect![[r"
                [PING]
                -ERR Protocol error: expected '$', got ':'"]],
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nPING\r\n",
            expect![[r"
                [GET] [/] [HTTP/1.1]
                -ERR Protocol error: this is not an HTTP server"]],
        ),
        (b"POST / HTTP/1.1\r\n", expect!["-ERR Protocol error: this is not an HTTP server"]),
    ];
    for (input, expected) in cases {
        expected.assert_eq(&show(decode_in_pieces(LIMITS, input, &[])));
        let everywhere: Vec<usize> = (0..input.len()).collect();
        expected.assert_eq(&show(decode_in_pieces(LIMITS, input, &everywhere)));
    }
}

#[test]
fn lines_that_do_not_end_are_refused_at_64_kib() {
    let endless = |first: &[u8]| {
        let mut input = first.to_vec();
        input.resize(first.len() + (64 << 10), b'1');
        input
    };
    check(&endless(b"PING "), expect!["-ERR Protocol error: too big inline request"]);
    check(&endless(b"*"), expect!["-ERR Protocol error: too big mbulk count string"]);
    check(&endless(b"*1\r\n$"), expect!["-ERR Protocol error: too big bulk count string"]);
}

#[test]
fn a_request_is_limited_as_a_whole() {
    let argument = vec![b'x'; 1 << 20];
    let just_fits = request([b"a".as_slice(), &argument, &argument[..(1 << 20) - 64]]);
    assert_eq!(decode_in_pieces(LIMITS, &just_fits, &[]).1, None);
    let too_long = request([b"a".as_slice(), &argument, &argument]);
    let refused = decode_in_pieces(LIMITS, &too_long, &[70_000, 1_100_000]).1;
    assert_eq!(refused, Some(ProtocolError::RequestTooLong { limit: 2 << 20 }));
}

/// The last argument of a request and a line of words count as well, whether
/// they arrive in one piece or not.
#[test]
fn the_limit_of_a_request_does_not_depend_on_how_it_arrives() {
    let limits = RequestLimits { request_bytes: 60, ..LIMITS };
    let array = |len: usize| request([b"ECHO".as_slice(), &vec![b'x'; len]]);
    let inline = |len: usize| [b"ECHO ".as_slice(), &vec![b'x'; len], b"\r\n"].concat();
    let cases = [(array(39), true), (array(40), false), (inline(53), true), (inline(54), false)];
    for (input, fits) in cases {
        assert_eq!(input.len() <= 60, fits);
        let whole = decode_in_pieces(limits, &input, &[]);
        let refusal = (!fits).then_some(ProtocolError::RequestTooLong { limit: 60 });
        assert_eq!(whole.1, refusal, "{}", input.escape_ascii());
        let everywhere: Vec<usize> = (0..input.len()).collect();
        assert_eq!(decode_in_pieces(limits, &input, &everywhere), whole);
    }
}

#[test]
fn before_auth_little_is_taken() {
    let decode = |input: &[u8]| show(decode_in_pieces(UNAUTHENTICATED, input, &[]));
    expect!["-ERR Protocol error: unauthenticated multibulk length"]
        .assert_eq(&decode(b"*11\r\n$4\r\nPING\r\n"));
    expect!["-ERR Protocol error: unauthenticated bulk length"]
        .assert_eq(&decode(b"*2\r\n$16385\r\n"));
    expect!["-ERR Protocol error: unauthenticated multibulk length"]
        .assert_eq(&decode(b"a b c d e f g h i j k\r\n"));
    expect!["[AUTH] [secret]"].assert_eq(&decode(b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"));
}

/// Who has authenticated may send more, from the next request on.
#[test]
fn limits_change_between_requests() {
    let long = request([b"ECHO".as_slice(), &[b'x'; 20 << 10]]);
    let mut decoder = RequestDecoder::new(UNAUTHENTICATED);
    let mut buffer = long.clone();
    let refused = decoder.decode(&mut buffer);
    assert_eq!(refused, Err(ProtocolError::UnauthenticatedArgumentLength));
    let mut decoder = RequestDecoder::new(UNAUTHENTICATED);
    let mut buffer = b"AUTH secret\r\n".to_vec();
    decoder.decode(&mut buffer).expect("it is short");
    decoder.consume(&mut buffer);
    decoder.set_limits(LIMITS);
    buffer.extend_from_slice(&long);
    decoder.decode(&mut buffer).expect("that long a request may be now");
    assert_eq!(decoder.requests(&buffer).get(0).get(1).map(<[u8]>::len), Some(20 << 10));
}

#[test]
fn no_memory_is_taken_for_announced_lengths() {
    let mut decoder = RequestDecoder::new(LIMITS);
    let mut buffer = b"*1048576\r\n$1048576\r\n".to_vec();
    decoder.decode(&mut buffer).expect("so far it is well formed");
    assert!(decoder.requests(&buffer).is_empty());
    assert_eq!(decoder.missing_bytes(&buffer), (1 << 20) + 2);
}

/// The places of arguments take at most four times what the arguments take, and
/// a mebibyte: a run of short words in lines ends before, and goes on once it is
/// consumed.
#[test]
fn the_places_of_arguments_are_bounded() {
    let line = [&b"a ".repeat(1000)[..], b"\n"].concat();
    let mut decoder = RequestDecoder::new(LIMITS);
    let mut buffer = line.repeat(1000);
    let (input_bytes, mut requests) = (buffer.len(), 0);
    loop {
        decoder.decode(&mut buffer).expect("it is well formed");
        let found = decoder.requests(&buffer);
        if found.is_empty() {
            break;
        }
        requests += found.len();
        assert!(found.iter().all(|args| args.len() == 1000));
        // Five thousand, in a vector that doubles: room for 8192 of eight bytes.
        assert!(decoder.held_bytes() <= 64 << 10, "{} bytes", decoder.held_bytes());
        decoder.consume(&mut buffer);
    }
    assert_eq!((requests, buffer.len()), (1000, 0));
    assert!(input_bytes > 1 << 20);
    let mut array = [&b"*100000\r\n"[..], &b"$0\r\n\r\n".repeat(100_000)].concat();
    decoder.decode(&mut array).expect("it is well formed");
    assert_eq!(decoder.requests(&array).get(0).len(), 100_000);
    assert!(decoder.held_bytes() <= 3 * array.len(), "{} bytes", decoder.held_bytes());
    decoder.consume(&mut array);
    assert!(decoder.held_bytes() <= 64 << 10, "{} bytes are kept", decoder.held_bytes());
}

#[test]
fn replies_in_both_protocols() {
    let reply = |reply: Reply| {
        let mut out = Vec::new();
        reply.encode(Protocol::Resp2, &mut out);
        out.extend_from_slice(b" | ");
        reply.encode(Protocol::Resp3, &mut out);
        out.escape_ascii().to_string()
    };
    let pair = || (Reply::bulk("a"), Reply::Integer(-1));
    expect![[r"+OK\r\n | +OK\r\n"]].assert_eq(&reply(Reply::OK));
    expect![[r"-ERR a  b\r\n | -ERR a  b\r\n"]].assert_eq(&reply(Reply::error("ERR a\r\nb")));
    expect![[r":-9223372036854775808\r\n | :-9223372036854775808\r\n"]]
        .assert_eq(&reply(Reply::Integer(i64::MIN)));
    expect![[r"$2\r\n\x00\r\r\n | $2\r\n\x00\r\r\n"]].assert_eq(&reply(Reply::bulk(b"\0\r")));
    expect![[r"$0\r\n\r\n | $0\r\n\r\n"]].assert_eq(&reply(Reply::bulk("")));
    expect![[r"$-1\r\n | _\r\n"]].assert_eq(&reply(Reply::Nil));
    expect![[r"*-1\r\n | _\r\n"]].assert_eq(&reply(Reply::NilArray));
    expect![[r"*2\r\n$-1\r\n*0\r\n | *2\r\n_\r\n*0\r\n"]]
        .assert_eq(&reply(Reply::Array(vec![Reply::Nil, Reply::Array(vec![])])));
    expect![[r"*2\r\n$1\r\na\r\n:-1\r\n | %1\r\n$1\r\na\r\n:-1\r\n"]]
        .assert_eq(&reply(Reply::Map(vec![pair()])));
    expect![[r"*1\r\n:0\r\n | ~1\r\n:0\r\n"]]
        .assert_eq(&reply(Reply::Set(vec![Reply::Integer(0)])));
    expect![[r"$3\r\n1.5\r\n | ,1.5\r\n"]].assert_eq(&reply(Reply::Double(1.5)));
    expect![[r"$4\r\n-inf\r\n | ,-inf\r\n"]].assert_eq(&reply(Reply::Double(f64::NEG_INFINITY)));
    expect![[r"$3\r\ninf\r\n | ,inf\r\n"]].assert_eq(&reply(Reply::Double(f64::INFINITY)));
    expect![[r"$3\r\nnan\r\n | ,nan\r\n"]].assert_eq(&reply(Reply::Double(f64::NAN)));
    expect![[r":1\r\n | #t\r\n"]].assert_eq(&reply(Reply::Boolean(true)));
    expect![[r"$1\r\nx\r\n | =5\r\ntxt:x\r\n"]].assert_eq(&reply(Reply::Verbatim("x".into())));
}

/// What a client of `protocol` reads.
fn as_read(reply: &Reply, protocol: Protocol) -> Wire {
    let all = |items: &[Reply]| items.iter().map(|item| as_read(item, protocol)).collect();
    match (reply, protocol) {
        (Reply::Simple(text), _) => Wire::Simple(text.to_string()),
        (Reply::Error(text), _) => Wire::Error(text.to_string()),
        (Reply::Integer(number), _) => Wire::Integer(*number),
        (Reply::Bulk(bytes), _) => Wire::bulk(&**bytes),
        (Reply::NilArray, Protocol::Resp2) => Wire::NilArray,
        (Reply::Nil | Reply::NilArray, _) => Wire::Nil,
        (Reply::Array(items), _) | (Reply::Set(items), Protocol::Resp2) => Wire::Array(all(items)),
        (Reply::Set(items), Protocol::Resp3) => Wire::Set(all(items)),
        (Reply::Map(pairs), Protocol::Resp2) => Wire::Array(
            pairs
                .iter()
                .flat_map(|(key, value)| [key, value])
                .map(|item| as_read(item, protocol))
                .collect(),
        ),
        (Reply::Map(pairs), Protocol::Resp3) => Wire::Map(
            pairs
                .iter()
                .map(|(key, value)| (as_read(key, protocol), as_read(value, protocol)))
                .collect(),
        ),
        (Reply::Double(number), Protocol::Resp2) => Wire::bulk(number.to_string()),
        (Reply::Double(number), Protocol::Resp3) => Wire::Double(*number),
        (Reply::Boolean(flag), Protocol::Resp2) => Wire::Integer(i64::from(*flag)),
        (Reply::Boolean(flag), Protocol::Resp3) => Wire::Boolean(*flag),
        (Reply::Verbatim(text), Protocol::Resp2) => Wire::bulk(text),
        (Reply::Verbatim(text), Protocol::Resp3) => Wire::Verbatim(text.clone().into_bytes()),
    }
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| Reply::Simple(text.into())),
        "[ -~]{0,12}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Reply::bulk),
        Just(Reply::Nil),
        Just(Reply::NilArray),
        (-1e300..1e300).prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        "\\PC{0,12}".prop_map(Reply::Verbatim),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Reply::Array),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Reply::Set),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Reply::Map),
        ]
    })
}

fn any_requests() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let argument = proptest::collection::vec(any::<u8>(), 0..30);
    let request = proptest::collection::vec(argument, 1..6);
    proptest::collection::vec(request, 0..8)
}

/// Bytes that are nearly a series of requests.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => any_requests().prop_map(|requests| requests.iter().flat_map(request).collect()),
        2 => "[A-Za-z \"'\\\\]{0,20}(\r\n|\n)".prop_map(String::into_bytes),
        1 => "[*$]-?[0-9]{0,3}\r\n".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn sorted_cuts(cuts: &[prop::sample::Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #[test]
    fn replies_survive_the_wire(reply in any_reply()) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut out = Vec::new();
            reply.encode(protocol, &mut out);
            prop_assert_eq!(wire::decode(&out), Some((as_read(&reply, protocol), out.len())));
        }
    }

    #[test]
    fn requests_survive_the_wire(
        requests in any_requests(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(request).collect();
        let cuts = sorted_cuts(&cuts, bytes.len());
        prop_assert_eq!(decode_in_pieces(LIMITS, &bytes, &cuts), (requests, None));
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        bytes in any_stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        requests_per_run in 1..4_usize,
    ) {
        let whole = decode_in_pieces(LIMITS, &bytes, &[]);
        let cuts = sorted_cuts(&cuts, bytes.len());
        prop_assert_eq!(&decode_in_pieces(LIMITS, &bytes, &cuts), &whole);
        let short_runs = RequestLimits { requests_per_run, ..LIMITS };
        prop_assert_eq!(decode_in_pieces(short_runs, &bytes, &cuts), whole);
    }
}
