//! The Redis serialisation protocol: requests in, replies out.
//!
//! Pure functions over bytes; sockets are the business of `runtime`.

mod args;
mod encode;
mod reply;

pub use args::{Args, OwnedArgs};
pub use reply::{Protocol, Reply};
