//! Tests of the server from outside: bytes in, bytes out.

mod codec;
mod wire;
