//! The variables of http and stream: those that nginx's modules bring along, as data, and those that a configuration
//! defines (`src/http/ngx_http_variables.c`, `src/stream/ngx_stream_variables.c`).

use std::borrow::Cow;
use std::sync::LazyLock;

use foldhash::HashMap;

use crate::directives::{Range, Version};
use crate::findings::problem::SourceSpan;
use crate::values::hash_keys::lower;
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

/// All variables of one protocol, by their names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Variables<'s> {
    by_name: HashMap<Cow<'s, [u8]>, Variable>,
    prefixes: Vec<&'static str>,
    /// The number of variables that are used.
    used: u32,
}

/// State of a variable.
#[derive(Debug, Default)]
struct Variable {
    /// Set once it is defined: true if it may be defined again.
    defined: Option<bool>,
    /// Its first use, with the number of variables that were used before.
    used: Option<(u32, SourceSpan)>,
}

/// A name in lower case, without a copy if it is so already.
fn key(name: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match name {
        Cow::Borrowed(name) => lower(name),
        Cow::Owned(mut name) => {
            name.make_ascii_lowercase();
            Cow::Owned(name)
        }
    }
}

impl<'s> Variables<'s> {
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
                let state = Variable { defined: Some(variable.changeable), used: None };
                variables.by_name.insert(Cow::Borrowed(variable.name.as_bytes()), state);
            }
        }
        variables
    }

    /// Defines a variable: `ngx_http_add_variable()`.
    ///
    /// # Errors
    /// nginx's message, if it must not be defined.
    pub(crate) fn define(&mut self, name: impl Into<Cow<'s, [u8]>>) -> Result<(), String> {
        let name = name.into();
        if name.is_empty() {
            return Err("invalid variable name \"$\"".to_owned());
        }
        let message = |name: &[u8]| format!("the duplicate \"{}\" variable", String::from_utf8_lossy(name));
        if let Some(Variable { defined: Some(false), .. }) = self.by_name.get(&*key(Cow::Borrowed(&name))) {
            return Err(message(&name));
        }
        self.by_name.entry(key(name)).or_default().defined = Some(true);
        Ok(())
    }

    /// Records the use of a variable: `ngx_http_get_variable_index()`.
    ///
    /// # Errors
    /// nginx's message, if there can be no such variable.
    pub(crate) fn use_at(&mut self, name: impl Into<Cow<'s, [u8]>>, spot: SourceSpan) -> Result<(), String> {
        let name = name.into();
        if name.is_empty() {
            return Err("invalid variable name \"$\"".to_owned());
        }
        let variable = self.by_name.entry(key(name)).or_default();
        if variable.used.is_none() {
            variable.used = Some((self.used, spot));
            self.used += 1;
        }
        Ok(())
    }

    /// The variables which are used but not defined, each with its first use, in that order.
    pub(crate) fn unknown(&self) -> Vec<(&[u8], SourceSpan)> {
        let prefixed = |name: &[u8]| self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()));
        let undefined = self.by_name.iter().filter(|(name, variable)| variable.defined.is_none() && !prefixed(name));
        let mut unknown: Vec<_> = undefined.filter_map(|(name, variable)| Some((variable.used?, &**name))).collect();
        unknown.sort_unstable_by_key(|((order, _), _)| *order);
        unknown.into_iter().map(|((_, spot), name)| (name, spot)).collect()
    }

    /// The names that are defined.
    fn defined(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.iter().filter(|(_, variable)| variable.defined.is_some()).map(|(name, _)| &**name)
    }

    /// The longest name that is defined.
    pub(crate) fn longest(&self) -> Option<&[u8]> {
        self.defined().max_by_key(|name| name.len())
    }

    /// The known name nearest to another.
    pub(crate) fn nearest(&self, name: &[u8]) -> Option<String> {
        let known = self.defined().filter_map(|known| std::str::from_utf8(known).ok());
        nearest(&String::from_utf8_lossy(name), known, |_| true).map(ToOwned::to_owned)
    }
}
