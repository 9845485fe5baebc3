//! Types of arguments.

use super::table::number;

/// Type of a directive's arguments: its `set` function, and the data that this function uses.
///
/// The generic ones are in `src/core/ngx_conf_file.c` (`ngx_conf_set_flag_slot`, …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentType {
    /// `on` or `off`.
    Flag,
    /// Any string.
    Str,
    /// Any string, and any number of such lines.
    StrArray,
    /// Two strings, and any number of such lines.
    Keyval,
    /// A number without sign, within bounds if there are any.
    Num(Option<Bounds>),
    /// A size: bytes, `k` or `m`.
    Size,
    /// An offset: bytes, `k`, `m` or `g`.
    Off,
    /// A time with units down to `ms`; seconds where it has none.
    Msec,
    /// A time with units down to `s`; seconds where it has none.
    Sec,
    /// A number of buffers and the size of one.
    Bufs,
    /// One of these words, in any case.
    Enum(Box<[&'static str]>),
    /// Some of these words, in any case.
    Bitmask(Box<[&'static str]>),
    /// A function of its own, by the name it has in nginx.
    Custom(&'static str),
}

/// The bounds of a number (`ngx_conf_check_num_bounds`), both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub low: i64,
    /// The greatest, if there is one.
    pub high: Option<i64>,
}

impl ArgumentType {
    /// The name of the setter, where it is one of the directive's own.
    #[must_use]
    pub const fn setter(&self) -> Option<&'static str> {
        match self {
            Self::Custom(name) => Some(name),
            _ => None,
        }
    }

    /// Reads two columns of the table: the setter, and what its last field points to.
    pub(super) fn read(setter: &'static str, detail: &'static str) -> Self {
        let words = || detail.split(' ').collect();
        match setter {
            "ngx_conf_set_flag_slot" => Self::Flag,
            "ngx_conf_set_str_slot" => Self::Str,
            "ngx_conf_set_str_array_slot" => Self::StrArray,
            "ngx_conf_set_keyval_slot" => Self::Keyval,
            "ngx_conf_set_num_slot" => Self::Num(detail.split_once("..").map(Bounds::read)),
            "ngx_conf_set_size_slot" => Self::Size,
            "ngx_conf_set_off_slot" => Self::Off,
            "ngx_conf_set_msec_slot" => Self::Msec,
            "ngx_conf_set_sec_slot" => Self::Sec,
            "ngx_conf_set_bufs_slot" => Self::Bufs,
            "ngx_conf_set_enum_slot" => Self::Enum(words()),
            "ngx_conf_set_bitmask_slot" => Self::Bitmask(words()),
            custom => Self::Custom(custom),
        }
    }
}

impl Bounds {
    fn read((low, high): (&str, &str)) -> Self {
        Self { low: number(low), high: (!high.is_empty()).then(|| number(high)) }
    }
}
