//! Requests: however the bytes are cut, they mean the same, and that is what a
//! plain parser makes of them.

use kv_server_parts::{ProtocolError, RequestDecoder, RequestLimits};

use crate::allocation::bounded;
use crate::resp_reference::{self, Request};

/// Limits that inputs of a few kilobytes reach.
const LIMITS: [RequestLimits; 3] = [
    RequestLimits {
        arguments: 1 << 20,
        argument_bytes: 512 << 20,
        request_bytes: 1 << 30,
        requests_per_run: 1024,
        unauthenticated: false,
    },
    RequestLimits {
        arguments: 10,
        argument_bytes: 64,
        request_bytes: 200,
        requests_per_run: 1,
        unauthenticated: true,
    },
    RequestLimits {
        arguments: 4,
        argument_bytes: 30,
        request_bytes: 60,
        requests_per_run: 3,
        unauthenticated: false,
    },
];

/// Decodes what is behind the first byte, which chooses the limits and how the
/// rest is cut.
pub fn run(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let limits = LIMITS[usize::from(*choice) % LIMITS.len()];
    let step = 1 + usize::from(*choice) / LIMITS.len();
    let expected = resp_reference::requests(&limits, bytes);
    assert_eq!(decode(limits, bytes, bytes.len().max(1)), expected, "all at once");
    assert_eq!(decode(limits, bytes, step), expected, "in pieces of {step}");
    assert_eq!(decode(limits, bytes, 1), expected, "byte by byte");
}

/// Decodes `bytes` as they come in pieces of `step`, as a connection does.
fn decode(
    limits: RequestLimits,
    bytes: &[u8],
    step: usize,
) -> (Vec<Request>, Option<ProtocolError>) {
    let mut decoder = RequestDecoder::new(limits);
    let mut buffer = Vec::with_capacity(bytes.len());
    let mut requests = Vec::new();
    for piece in bytes.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            let result = bounded(buffer.len(), || decoder.decode(&mut buffer));
            let found = decoder.requests(&buffer);
            requests.extend(
                found.iter().map(|args| args.iter_from(0).map(<[u8]>::to_vec).collect::<Request>()),
            );
            let count = found.len();
            assert!(count <= limits.requests_per_run);
            if let Err(error) = result {
                return (requests, Some(error));
            }
            decoder.consume(&mut buffer);
            if count == 0 {
                break;
            }
        }
        assert_eq!(decoder.is_inside_request(&buffer), !buffer.is_empty());
    }
    (requests, None)
}
