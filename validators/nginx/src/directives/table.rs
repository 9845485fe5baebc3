//! Reads the data, as far as it is asked for.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{LazyLock, OnceLock};

use super::module::MODULES;
use super::{ArgumentType, Arity, Contexts, Definition, version};

/// Each name with its entries. A configuration uses a few of the names, so that only theirs are read.
static TABLE: LazyLock<HashMap<&'static str, Entries>> = LazyLock::new(|| {
    let mut table = HashMap::<_, Entries>::with_capacity(2048);
    for text in [include_str!("nginx.tsv"), include_str!("third-party.tsv"), include_str!("plus.tsv")] {
        for line in text.lines().skip(1) {
            let name = line.split_once('\t').map_or(line, |(name, _)| name);
            table.entry(name).or_default().lines.push(line);
        }
    }
    table
});

/// The entries of one name, in the order of their modules.
#[derive(Default)]
struct Entries {
    lines: Vec<&'static str>,
    read: OnceLock<Box<[Definition]>>,
}

/// The entries of that name.
pub(super) fn named(name: &str) -> &'static [Definition] {
    let read =
        |entries: &'static Entries| &**entries.read.get_or_init(|| entries.lines.iter().map(directive).collect());
    TABLE.get(name).map_or(&[], read)
}

/// All names, sorted.
pub(super) static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut names: Vec<_> = TABLE.keys().copied().collect();
    names.sort_unstable();
    names
});

fn directive(line: &&'static str) -> Definition {
    let [name, module, contexts, arity, setter, detail, versions] = record(line);
    Definition {
        name,
        module: MODULES
            .iter()
            .find(|known| known.name == module)
            .expect("a directive's module is in the list of modules"),
        contexts: Contexts::read(contexts),
        arity: Arity::read(arity),
        value: ArgumentType::read(setter, detail),
        post: detail.strip_prefix("post "),
        replaced_by: detail.strip_prefix("deprecated "),
        ranges: versions.split(',').map(version::Range::read).collect(),
    }
}

/// The lines of a table of tab-separated values, without its header.
pub(super) fn records<const COLUMNS: usize>(text: &'static str) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    text.lines().skip(1).map(record)
}

fn record<const COLUMNS: usize>(line: &'static str) -> [&'static str; COLUMNS] {
    let mut columns = line.split('\t');
    let record = std::array::from_fn(|_| columns.next().expect("a line has a value for every column"));
    assert_eq!(columns.next(), None, "a line has no more values than columns");
    record
}

/// A number in the data.
pub(super) fn number<N: FromStr<Err = std::num::ParseIntError>>(text: &str) -> N {
    text.parse().expect("a number in the data is one")
}
