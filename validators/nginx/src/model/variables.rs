//! The variables of http and stream: those that nginx's modules bring along, as data, and those that a configuration
//! defines (`src/http/ngx_http_variables.c`, `src/stream/ngx_stream_variables.c`).

use std::borrow::Cow;
use std::sync::LazyLock;

use foldhash::{HashMap, HashSet};

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

/// The same by name. Several modules and versions may have one of a name.
static BY_NAME: LazyLock<HashMap<&'static [u8], Vec<&'static BuiltIn>>> = LazyLock::new(|| {
    let mut by_name: HashMap<_, Vec<_>> = HashMap::default();
    BUILT_IN.iter().for_each(|variable| by_name.entry(variable.name.as_bytes()).or_default().push(variable));
    by_name
});

/// All variables of one protocol, by their names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Variables<'s> {
    family: &'static str,
    version: Version,
    /// The modules that the build lacks.
    lacking: HashSet<&'static str>,
    /// The variables that the configuration defines or uses.
    by_name: HashMap<Cow<'s, [u8]>, Variable>,
    /// The number of variables that are used.
    used: u32,
}

/// State of a variable.
#[derive(Debug, Default)]
struct Variable {
    /// Set once the configuration defines it: true if it may be defined again.
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
    pub(crate) fn of(family: &'static str, version: Version, lacking: HashSet<&'static str>) -> Self {
        Self { family, version, lacking, ..Self::default() }
    }

    /// Returns true if a module of this build brings the variable along.
    fn has(&self, variable: &BuiltIn) -> bool {
        variable.family == self.family
            && !self.lacking.contains(variable.module)
            && variable.ranges.iter().any(|range| range.contains(self.version))
    }

    /// The variable of a name in lower case that a module brings along; of several the last one.
    fn built_in(&self, name: &[u8]) -> Option<&'static BuiltIn> {
        let of_name = BY_NAME.get(name).into_iter().flatten().rev().copied();
        of_name.filter(|variable| !variable.prefix).find(|variable| self.has(variable))
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
        let lower = key(Cow::Borrowed(&name));
        let own = self.by_name.get(&*lower).and_then(|variable| variable.defined);
        let is_changeable = own.or_else(|| self.built_in(&lower).map(|variable| variable.changeable));
        if is_changeable == Some(false) {
            return Err(message(&name));
        }
        drop(lower);
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
        let prefixes = BUILT_IN.iter().filter(|variable| variable.prefix && self.has(variable));
        let prefixes: Vec<_> = prefixes.map(|variable| variable.name.as_bytes()).collect();
        let is_known =
            |name: &[u8]| prefixes.iter().any(|prefix| name.starts_with(prefix)) || self.built_in(name).is_some();
        let undefined = self.by_name.iter().filter(|(name, variable)| variable.defined.is_none() && !is_known(name));
        let mut unknown: Vec<_> = undefined.filter_map(|(name, variable)| Some((variable.used?, &**name))).collect();
        unknown.sort_unstable_by_key(|((order, _), _)| *order);
        unknown.into_iter().map(|((_, spot), name)| (name, spot)).collect()
    }

    /// The names that are defined.
    fn defined(&self) -> impl Iterator<Item = &[u8]> {
        let own = self.by_name.iter().filter(|(_, variable)| variable.defined.is_some()).map(|(name, _)| &**name);
        let built_in = BUILT_IN.iter().filter(|variable| !variable.prefix && self.has(variable));
        own.chain(built_in.map(|variable| variable.name.as_bytes()))
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
