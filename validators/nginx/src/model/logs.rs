//! Log formats and buffered logs.

use std::collections::{HashMap, HashSet};

/// The log formats of one protocol, and the parameters of its buffered logs.
#[derive(Debug, Default)]
pub(crate) struct LogFormats {
    pub(crate) names: HashSet<Vec<u8>>,
    /// The same in lower case: a log names its format in any case.
    pub(crate) folded: HashSet<Vec<u8>>,
    pub(crate) buffered: HashMap<Vec<u8>, (i64, i64, i64)>,
}
