//! The configuration as far as it has been read: its files, directives, blocks, variables and zones.

pub(crate) mod block;
pub(crate) mod directive;
pub(crate) mod sources;
pub(crate) mod variables;
pub(crate) mod zones;
