//! The configuration as far as it has been read: its files, directives and blocks, and the state of each protocol.

pub(crate) mod block;
pub(crate) mod context;
pub(crate) mod directive;
pub(crate) mod families;
pub(crate) mod growth;
pub(crate) mod http;
pub(crate) mod location;
pub(crate) mod logs;
pub(crate) mod mail;
pub(crate) mod main_conf;
pub(crate) mod ports;
pub(crate) mod server_names;
pub(crate) mod sources;
pub(crate) mod stream;
pub(crate) mod upstreams;
pub(crate) mod variables;
pub(crate) mod zones;
