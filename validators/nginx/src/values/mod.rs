//! The values that directives take, as nginx's own functions read them (`src/core`).

pub(crate) mod glob;
pub(crate) mod hash_keys;
pub(crate) mod library;
pub(crate) mod nearest;
pub(crate) mod numbers;
pub(crate) mod regex;
pub(crate) mod url;
