//! The names that a file of TOML has defined, in memory that does not grow with their lengths or values.
//!
//! A name is the hash of the path to it. Of each one its kind is known, which decides what may be defined in it later
//! (<https://toml.io/en/v1.1.0>, "Keys" and "Table").

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use reload_gate_contract::Span;

/// A dotted key: its parts with their places.
pub(super) type DottedKey<'t> = Vec<(Cow<'t, str>, Span)>;

/// Kind of the thing with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// A value, which nothing can be added to.
    Value,
    /// A table with a header of its own.
    Table,
    /// A table that only headers of tables in it have named so far.
    Implicit,
    /// A table that dotted keys have made.
    Dotted,
    /// A table of which `[[name]]` adds elements.
    Elements,
}

/// Reason why a name cannot be defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is there already, or in a table that is complete.
    Twice,
    /// A part of its path is a value.
    InValue,
}

/// A table in which names are defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableId {
    hash: u64,
    /// It is in braces, so nothing is added to it once they are closed.
    inline: bool,
}

/// All names so far.
#[derive(Debug, Default)]
pub(super) struct TakenNames {
    hasher: RandomState,
    /// Names that are no [`NameKind::Elements`].
    known: BTreeMap<u64, NameKind>,
    /// The number of elements by the name of their table.
    elements: BTreeMap<u64, u32>,
    /// Names in tables in braces that are open.
    inline: BTreeMap<u64, NameKind>,
    open: usize,
    /// Number of all tables in braces.
    tables: u64,
}

impl TakenNames {
    /// The table of the whole file.
    pub(super) const ROOT: TableId = TableId { hash: 0, inline: false };

    fn within(&self, table: u64, name: &str) -> u64 {
        self.hasher.hash_one((table, name))
    }

    fn kind(&self, name: u64) -> Option<NameKind> {
        self.known.get(&name).copied().or_else(|| self.elements.contains_key(&name).then_some(NameKind::Elements))
    }

    /// Opens a table in braces.
    pub(super) fn open(&mut self) -> TableId {
        self.open += 1;
        self.tables += 1;
        TableId { hash: self.hasher.hash_one(self.tables), inline: true }
    }

    /// Closes the table in braces that was opened last.
    pub(super) fn close(&mut self) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.inline.clear();
        }
    }

    /// Closes all tables in braces, after a fault in one.
    pub(super) fn close_all(&mut self) {
        self.open = 0;
        self.inline.clear();
    }

    /// A table of its own, after a header that cannot be one.
    pub(super) fn lost(&mut self) -> TableId {
        self.tables += 1;
        TableId { hash: self.hasher.hash_one(self.tables), inline: false }
    }

    /// The table of the newest element of `[[name]]`.
    fn element(&self, name: u64) -> u64 {
        self.hasher.hash_one((name, self.elements.get(&name)))
    }

    /// Defines the table of a header, with the place of the part that is wrong if it cannot be.
    pub(super) fn header(&mut self, key: &DottedKey<'_>, is_element: bool) -> Result<TableId, (Taken, Span)> {
        let mut table = Self::ROOT.hash;
        let Some(((last, place), path)) = key.split_last() else { return Ok(Self::ROOT) };
        for (name, place) in path {
            let name = self.within(table, name);
            table = match self.kind(name) {
                Some(NameKind::Value) => return Err((Taken::InValue, *place)),
                Some(NameKind::Elements) => self.element(name),
                Some(NameKind::Table | NameKind::Implicit | NameKind::Dotted) => name,
                None => {
                    self.known.insert(name, NameKind::Implicit);
                    name
                }
            };
        }
        let name = self.within(table, last);
        match (self.kind(name), is_element) {
            (None | Some(NameKind::Elements), true) => {
                *self.elements.entry(name).or_default() += 1;
                Ok(TableId { hash: self.element(name), inline: false })
            }
            (None | Some(NameKind::Implicit), false) => {
                self.known.insert(name, NameKind::Table);
                Ok(TableId { hash: name, inline: false })
            }
            _ => Err((Taken::Twice, *place)),
        }
    }

    /// Defines a value in a table, with the place of the part that is wrong if it cannot be.
    pub(super) fn value(&mut self, table: TableId, key: &DottedKey<'_>) -> Result<(), (Taken, Span)> {
        let Some(((last, place), path)) = key.split_last() else { return Ok(()) };
        let mut hash = table.hash;
        // The table of the value may be extended.
        let mut is_open = true;
        for (name, place) in path {
            let name = self.within(hash, name);
            (hash, is_open) = match self.kind_in(table, name) {
                Some(NameKind::Value) => return Err((Taken::InValue, *place)),
                Some(NameKind::Table) => return Err((Taken::Twice, *place)),
                Some(NameKind::Elements) => (self.element(name), false),
                Some(NameKind::Implicit | NameKind::Dotted) | None => {
                    self.insert(table, name, NameKind::Dotted);
                    (name, true)
                }
            };
        }
        let name = self.within(hash, last);
        if !is_open || self.kind_in(table, name).is_some() {
            return Err((Taken::Twice, *place));
        }
        self.insert(table, name, NameKind::Value);
        Ok(())
    }

    fn kind_in(&self, table: TableId, name: u64) -> Option<NameKind> {
        if table.inline { self.inline.get(&name).copied() } else { self.kind(name) }
    }

    fn insert(&mut self, table: TableId, name: u64, kind: NameKind) {
        let known = if table.inline { &mut self.inline } else { &mut self.known };
        known.insert(name, kind);
    }
}
