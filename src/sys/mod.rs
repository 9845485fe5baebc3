//! The doors to the system: child processes, HTTP, `/proc`, threads; and the small pieces that several folders share.

pub mod backoff;
pub mod beneath;
pub mod bounded;
pub mod exec;
pub mod file_rights;
pub mod http;

pub mod kubernetes;
pub mod lexical;
pub mod panics;
pub mod pattern;
pub mod proc;
pub mod promise;
pub mod regular;
pub mod server;
pub mod service_manager;
pub mod shortage;
#[cfg(test)]
pub mod skipped;
pub mod suggest;
pub mod worker;
