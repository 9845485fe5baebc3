//! Growth of long lists.

/// Smallest number of elements that a list grows by.
const LEAST: usize = 16;

/// Adds an element. A list with as many elements as a configuration has directives grows by a quarter: with room for twice as many,
/// as that of [`Vec::push`], it would take up to twice its size.
pub(crate) fn push<T>(list: &mut Vec<T>, element: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(LEAST));
    }
    list.push(element);
}
