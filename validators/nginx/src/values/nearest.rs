//! Suggestions for misspelt names.

/// The name nearest to `name` among those that fit, if one is near enough to have been meant.
pub(crate) fn nearest<'n>(
    name: &str,
    known: impl Iterator<Item = &'n str>,
    fits: impl Fn(&str) -> bool,
) -> Option<&'n str> {
    // A short name is near to many others.
    let allowed = match name.len() {
        0..=7 => 1,
        8..=15 => 2,
        _ => 3,
    };
    // A distance is dear, so that lengths and letters are compared first, and whether a name fits is asked last.
    let letters = |name: &str| name.bytes().fold(0_u64, |set, byte| set | 1 << (byte & 63));
    let wanted = letters(name);
    let alike = |known: &&str| {
        let lacks = |a: u64, b: u64| (a & !b).count_ones() as usize <= allowed;
        lacks(letters(known), wanted) && lacks(wanted, letters(known))
    };
    let near = known.filter(|known| known.len().abs_diff(name.len()) <= allowed).filter(alike);
    let scored = near.map(|known| (strsim::osa_distance(known, name), known));
    scored.filter(|(distance, known)| *distance <= allowed && fits(known)).min().map(|(_, best)| best)
}
