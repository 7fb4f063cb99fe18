//! The Redis serialisation protocol: requests in, replies out.
//!
//! Pure functions over bytes; sockets are the business of `runtime`.

mod args;
mod decode;
mod encode;
mod error;
mod inline;
mod reply;

pub use args::{Args, OwnedArgs};
pub use decode::{RequestDecoder, RequestLimits, Requests};
pub use error::ProtocolError;
pub use reply::{Protocol, Reply};

pub(crate) use encode::put_header;
