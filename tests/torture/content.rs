//! One content of a source, with the answer that it makes the application give.

use sha2::{Digest as _, Sha256};

use crate::program::{Place, Program};

/// The quality of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quality {
    Good,
    /// The program itself refuses it.
    Broken,
    /// The program would take it; only the checker refuses it.
    Forbidden,
    /// The checker never ends with it.
    Hanging,
    /// Good; the checker leaves processes behind.
    Forking,
    /// Good; the checker writes in the watched directory.
    Touching,
}

impl Quality {
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Good | Self::Forking | Self::Touching)
    }

    /// Returns true if the program would serve it, although it is not good.
    pub(crate) const fn is_bad_and_loads(self) -> bool {
        matches!(self, Self::Forbidden | Self::Hanging)
    }

    /// The word in the first line of the main file, for the checker.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Broken => "broken",
            Self::Forbidden => "forbidden",
            Self::Hanging => "hanging",
            Self::Forking => "forking",
            Self::Touching => "touching",
        }
    }
}

/// One content.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) quality: Quality,
    /// The answer of an application that runs it.
    pub(crate) answer: String,
    /// The names of its files with their contents; the main file comes last.
    pub(crate) files: Vec<(&'static str, String)>,
}

impl Content {
    pub(crate) fn new(program: Program, place: &Place, number: u64, quality: Quality) -> Self {
        let body = format!("{}-{number}", if quality.is_good() { "good" } else { "bad" });
        let files = program.files(place, number, &body, quality);
        Self { quality, answer: program.answer(number, &body), files }
    }

    /// The files as the volume takes them.
    pub(crate) fn borrowed(&self) -> Vec<(&str, &str)> {
        self.files.iter().map(|(name, text)| (*name, text.as_str())).collect()
    }

    /// The digest as the gate's status has it (`src/flow/tree.rs`), computed anew.
    pub(crate) fn digest(&self) -> String {
        let mut files = self.borrowed();
        files.sort_unstable();
        let mut whole = Sha256::new();
        for (name, text) in files {
            whole.update((name.len() as u64).to_le_bytes());
            whole.update(name);
            whole.update((text.len() as u64).to_le_bytes());
            whole.update(Sha256::digest(text));
        }
        whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
