//! Reads the data, once.

use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::LazyLock;

use super::module::{MODULES, Module};
use super::{Arity, Contexts, Directive, Value, version};

/// All entries of all modules, sorted by name, then in the order of their modules.
pub(super) struct Table {
    pub(super) rows: Vec<Directive>,
    by_name: HashMap<&'static str, Range<usize>>,
}

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let modules = MODULES.iter().map(|module| (module.name, module)).collect();
    let own = records(include_str!("nginx.tsv"));
    let third_party = records(include_str!("third-party.tsv"));
    let mut rows: Vec<_> = own.chain(third_party).map(|record| directive(record, &modules)).collect();
    rows.sort_by_key(|row| row.name);
    let mut by_name = HashMap::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        by_name.entry(row.name).or_insert(index..index).end = index + 1;
    }
    Table { rows, by_name }
});

impl Table {
    pub(super) fn named(&self, name: &str) -> &[Directive] {
        self.by_name.get(name).map_or(&[], |rows| &self.rows[rows.clone()])
    }
}

fn directive(record: [&'static str; 7], modules: &HashMap<&str, &'static Module>) -> Directive {
    let [name, module, contexts, arity, setter, detail, versions] = record;
    Directive {
        name,
        module: modules.get(module).expect("a directive's module is in the list of modules"),
        contexts: Contexts::read(contexts),
        arity: Arity::read(arity),
        value: Value::read(setter, detail),
        post: detail.strip_prefix("post "),
        replaced_by: detail.strip_prefix("deprecated "),
        ranges: versions.split(',').map(version::Range::read).collect(),
    }
}

/// The lines of a table of tab-separated values, without its header.
pub(super) fn records<const COLUMNS: usize>(text: &'static str) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    text.lines().skip(1).map(|line| {
        let mut columns = line.split('\t');
        let record = std::array::from_fn(|_| columns.next().expect("a line has a value for every column"));
        assert_eq!(columns.next(), None, "a line has no more values than columns");
        record
    })
}

/// A number in the data.
pub(super) fn number<N: FromStr<Err = std::num::ParseIntError>>(text: &str) -> N {
    text.parse().expect("a number in the data is one")
}
