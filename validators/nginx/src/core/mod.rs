//! Directives outside `http`, `stream` and `mail` (`src/core`, `src/event`), and those that these blocks share.

pub(crate) mod limits;
pub(crate) mod listen;
pub(crate) mod logs;
pub(crate) mod main_conf;
pub(crate) mod maps;
pub(crate) mod resolver;
pub(crate) mod server_names;
pub(crate) mod variables;
