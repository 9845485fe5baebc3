//! The variables of http and stream: those that nginx's modules bring along, as data, and those that a configuration
//! defines (`src/http/ngx_http_variables.c`, `src/stream/ngx_stream_variables.c`).

use foldhash::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::directives::{Range, Version};
use crate::findings::problem::SourceSpan;
use crate::values::nearest::nearest;

/// A variable that a module brings along.
#[derive(Debug)]
struct BuiltIn {
    family: &'static str,
    name: &'static str,
    module: &'static str,
    prefix: bool,
    changeable: bool,
    ranges: Vec<Range>,
}

static BUILT_IN: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
    let records = include_str!("variables.tsv").lines().skip(1);
    let record = |line: &'static str| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (family, name, module, flags, ranges) = (next(), next(), next(), next(), next());
        let (prefix, changeable) = (flags.contains("prefix"), flags.contains("changeable"));
        BuiltIn { family, name, module, prefix, changeable, ranges: ranges.split(',').map(Range::read).collect() }
    };
    records.map(record).collect()
});

/// All variables of one protocol.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// By name, and whether it may be defined (again).
    defined: HashMap<Vec<u8>, bool>,
    prefixes: Vec<&'static str>,
    used: Vec<(Vec<u8>, SourceSpan)>,
    seen: HashSet<Vec<u8>>,
}

impl Variables {
    /// Those of a family, `http` or `stream`, that the modules of a build bring along.
    pub(crate) fn of(family: &str, version: Version, has_module: impl Fn(&str) -> bool) -> Self {
        let mut variables = Self::default();
        let holds = |variable: &&BuiltIn| {
            variable.family == family && variable.ranges.iter().any(|range| range.contains(version))
        };
        for variable in BUILT_IN.iter().filter(holds).filter(|variable| has_module(variable.module)) {
            if variable.prefix {
                variables.prefixes.push(variable.name);
            } else {
                variables.defined.insert(variable.name.as_bytes().to_vec(), variable.changeable);
            }
        }
        variables
    }

    /// Defines a variable: `ngx_http_add_variable()`.
    ///
    /// # Errors
    /// nginx's message, if it must not be defined.
    pub(crate) fn define(&mut self, name: &[u8]) -> Result<(), String> {
        if name.is_empty() {
            return Err("invalid variable name \"$\"".to_owned());
        }
        match self.defined.get(&name.to_ascii_lowercase()) {
            Some(false) => Err(format!("the duplicate \"{}\" variable", String::from_utf8_lossy(name))),
            Some(true) => Ok(()),
            None => {
                self.defined.insert(name.to_ascii_lowercase(), true);
                Ok(())
            }
        }
    }

    /// Records the use of a variable: `ngx_http_get_variable_index()`.
    ///
    /// # Errors
    /// nginx's message, if there can be no such variable.
    pub(crate) fn use_at(&mut self, name: &[u8], spot: SourceSpan) -> Result<(), String> {
        if name.is_empty() {
            return Err("invalid variable name \"$\"".to_owned());
        }
        if !self.seen.contains(name) {
            let name = name.to_ascii_lowercase();
            if self.seen.insert(name.clone()) {
                self.used.push((name, spot));
            }
        }
        Ok(())
    }

    /// The variables which are used but not defined, each with its first use, in that order.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &(Vec<u8>, SourceSpan)> {
        let prefixed = |name: &[u8]| self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
        self.used.iter().filter(move |(name, _)| !self.defined.contains_key(name) && !prefixed(name))
    }

    /// The longest name that is defined.
    pub(crate) fn longest(&self) -> Option<&[u8]> {
        self.defined.keys().map(Vec::as_slice).max_by_key(|name| name.len())
    }

    /// The known name nearest to another.
    pub(crate) fn nearest(&self, name: &[u8]) -> Option<String> {
        let known = self.defined.keys().filter_map(|known| std::str::from_utf8(known).ok());
        nearest(&String::from_utf8_lossy(name), known, |_| true).map(ToOwned::to_owned)
    }
}
