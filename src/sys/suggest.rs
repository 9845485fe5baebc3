//! Suggestions for misspelt names ("did you mean"). Pure.

/// Returns the name among `known` that `given` most likely means.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase());
    let near = known.into_iter().map(|name| (distance(&name), name)).min()?;
    // A distance above a third of the word is another word.
    (near.0 <= (given.chars().count() / 3).max(1)).then_some(near.1)
}

/// Returns `; did you mean …?` for the nearest name, or nothing.
pub fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
