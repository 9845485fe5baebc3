//! Numbers of arguments.

use super::table::number;

/// The numbers of arguments that a directive takes, and whether a block in braces follows them.
///
/// These are the argument bits of `ngx_command_t.type` (`src/core/ngx_conf_file.h`): `NGX_CONF_NOARGS`, `TAKE1` to
/// `TAKE7` and their combinations are a set of numbers; `FLAG`, `1MORE`, `2MORE` and `ANY` are ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    counts: ArgumentCounts,
    block: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArgumentCounts {
    /// Bit n is set if n arguments are taken.
    Exactly(u8),
    /// One argument, which should be `on` or `off`.
    Flag,
    AtLeast(usize),
}

impl Arity {
    /// True if nginx takes that many arguments (the directive's name is not one of them).
    ///
    /// At most seven where nginx counts them one by one: it calls any greater number invalid.
    #[must_use]
    pub fn accepts(self, arguments: usize) -> bool {
        match self.counts {
            ArgumentCounts::Exactly(bits) => arguments < 8 && bits & (1 << arguments) != 0,
            ArgumentCounts::Flag => arguments == 1,
            ArgumentCounts::AtLeast(least) => arguments >= least,
        }
    }

    /// True if a block must follow (`NGX_CONF_BLOCK`); if not, a semicolon must.
    #[must_use]
    pub const fn is_block(self) -> bool {
        self.block
    }

    /// Reads the column of the table: `0`, `1,2`, `flag`, `1+`, `any`, each with `{` behind it if a block follows.
    pub(super) fn read(text: &str) -> Self {
        let (counts, block) = text.strip_suffix('{').map_or((text, false), |counts| (counts, true));
        let counts = match counts {
            "flag" => ArgumentCounts::Flag,
            "any" => ArgumentCounts::AtLeast(0),
            "1+" => ArgumentCounts::AtLeast(1),
            "2+" => ArgumentCounts::AtLeast(2),
            "-" => ArgumentCounts::Exactly(0),
            list => ArgumentCounts::Exactly(list.split(',').fold(0, |bits, n| bits | 1u8 << number::<u32>(n))),
        };
        Self { counts, block }
    }
}
