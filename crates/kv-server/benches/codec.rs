//! The codec alone: what the protocol adds to each command.

#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kv_server::{Protocol, Reply, RequestDecoder, RequestLimits};

/// Requests of one pipelined read, as redis-benchmark sends them with `-P 16`.
const PIPELINE: usize = 16;

const LIMITS: RequestLimits = RequestLimits {
    arguments: 1 << 20,
    argument_bytes: 512 << 20,
    request_bytes: 1 << 30,
    requests_per_run: 1024,
    unauthenticated: false,
};

fn decode(criterion: &mut Criterion) {
    let pipelines = [
        ("decode/set", "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000042\r\n$3\r\nxxx\r\n"),
        ("decode/inline", "SET key:000000000042 xxx\r\n"),
    ];
    for (name, one) in pipelines {
        let read = one.repeat(PIPELINE).into_bytes();
        let mut decoder = RequestDecoder::new(LIMITS);
        let mut buffer = Vec::with_capacity(read.len());
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(PIPELINE as u64));
        group.bench_function("pipeline of 16", |bencher| {
            bencher.iter(|| {
                buffer.extend_from_slice(&read);
                decoder.decode(&mut buffer).expect("the requests are well formed");
                let bytes: usize = decoder.requests(&buffer).iter().map(|args| args[1].len()).sum();
                decoder.consume(&mut buffer);
                black_box(bytes)
            });
        });
        group.finish();
    }
}

fn encode(criterion: &mut Criterion) {
    let mut out = Vec::new();
    let replies = [
        ("encode/ok", Reply::OK),
        ("encode/integer", Reply::Integer(1_234_567)),
        ("encode/bulk of 100 bytes", Reply::bulk([b'v'; 100])),
        ("encode/array of 10", Reply::Array(vec![Reply::bulk(b"value"); 10])),
    ];
    for (name, reply) in replies {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                reply.encode(Protocol::Resp2, &mut out);
                black_box(out.len())
            });
        });
    }
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
