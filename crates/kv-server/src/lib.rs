//! A Redis-protocol server in front of the kv engine.
#![forbid(unsafe_code)]

mod resp;

pub use resp::{
    Args, OwnedArgs, Protocol, ProtocolError, Reply, RequestDecoder, RequestLimits, Requests,
};
