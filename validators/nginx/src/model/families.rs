//! The modules that hand requests on to upstreams, and the directives which they have in common.

/// The directives of a module that hands requests on.
pub(crate) struct Family {
    pub(crate) module: &'static str,
    /// Its bit in [`Block::families`](crate::model::block::Block::families).
    pub(crate) bit: u8,
    pub(crate) pass: &'static str,
    /// The scheme of an address to which it speaks TLS.
    pub(crate) tls: Option<&'static str>,
    /// Headers or parameters.
    pub(crate) list: &'static str,
    /// nginx's hash of their names.
    pub(crate) hash: &'static str,
    pub(crate) buffers: &'static str,
    pub(crate) buffer_size: &'static str,
    pub(crate) busy_buffers_size: &'static str,
    pub(crate) temp_file_write_size: &'static str,
    pub(crate) max_temp_file_size: &'static str,
    pub(crate) cache: &'static str,
    pub(crate) cache_key: &'static str,
    pub(crate) store: &'static str,
}

macro_rules! family {
    ($bit:literal, $module:literal, $list:literal, $hash:literal, $tls:expr) => {
        Family {
            module: $module,
            bit: 1 << $bit,
            pass: concat!($module, "_pass"),
            tls: $tls,
            list: concat!($module, "_", $list),
            hash: concat!($module, "_", $hash, "_hash"),
            buffers: concat!($module, "_buffers"),
            buffer_size: concat!($module, "_buffer_size"),
            busy_buffers_size: concat!($module, "_busy_buffers_size"),
            temp_file_write_size: concat!($module, "_temp_file_write_size"),
            max_temp_file_size: concat!($module, "_max_temp_file_size"),
            cache: concat!($module, "_cache"),
            cache_key: concat!($module, "_cache_key"),
            store: concat!($module, "_store"),
        }
    };
}

pub(crate) const FAMILIES: [Family; 5] = [
    family!(0, "proxy", "set_header", "headers", Some("https://")),
    family!(1, "fastcgi", "param", "params", None),
    family!(2, "uwsgi", "param", "params", Some("suwsgi://")),
    family!(3, "scgi", "param", "params", None),
    family!(4, "grpc", "set_header", "headers", Some("grpcs://")),
];

/// The bit of the family that a directive belongs to; none, if to none.
pub(crate) fn family(name: &str) -> u8 {
    let fits = |family: &&Family| name.strip_prefix(family.module).is_some_and(|rest| rest.starts_with('_'));
    FAMILIES.iter().find(fits).map_or(0, |family| family.bit)
}
