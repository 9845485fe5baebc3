//! Substitution of variables in a template as `envsubst` of GNU gettext does it, with the way back to the template. Pure.

use std::ops::Range;

use crate::check::manifest::Room;

/// Text of a template after the substitution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) text: Vec<u8>,
    /// Parts of the text in order, each with its start in the text, its start in the template, and whether it is verbatim.
    parts: Vec<(usize, usize, bool)>,
}

/// Value of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Substitution<'v> {
    /// This value.
    Value(&'v str),
    /// The reference stays as it is.
    Verbatim,
    /// The value is known in the cluster alone.
    Unknown,
}

/// Reason why a template is not rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotRendered {
    /// The variable of this name has an unknown value.
    Unknown(String),
    /// The text has no room.
    TooLarge,
}

/// Renders a template.
///
/// # Errors
/// At the first variable with an unknown value, or where `room` ends.
pub(super) fn render<'v>(
    template: &[u8],
    value: &dyn Fn(&str) -> Substitution<'v>,
    room: &mut Room,
) -> Result<Rendered, NotRendered> {
    let mut rendered = Rendered::default();
    let mut verbatim = 0;
    for (range, name) in references(template) {
        let text = match value(&name) {
            Substitution::Value(text) => text,
            Substitution::Verbatim => continue,
            Substitution::Unknown => return Err(NotRendered::Unknown(name)),
        };
        rendered.push(&template[verbatim..range.start], verbatim, true, room)?;
        rendered.push(text.as_bytes(), range.start, false, room)?;
        verbatim = range.end;
    }
    rendered.push(&template[verbatim..], verbatim, true, room)?;
    Ok(rendered)
}

impl Rendered {
    fn push(&mut self, text: &[u8], origin: usize, verbatim: bool, room: &mut Room) -> Result<(), NotRendered> {
        if !room.take(text.len()) {
            return Err(NotRendered::TooLarge);
        }
        self.parts.push((self.text.len(), origin, verbatim));
        self.text.extend_from_slice(text);
        Ok(())
    }

    /// Returns the offset in the template from which the byte at `offset` comes; for a value, the start of the reference.
    pub(super) fn origin(&self, offset: usize) -> usize {
        let part = self.parts.partition_point(|(start, ..)| *start <= offset).saturating_sub(1);
        self.parts.get(part).map_or(
            offset,
            |(start, origin, verbatim)| {
                if *verbatim { origin + (offset - start) } else { *origin }
            },
        )
    }
}

/// Returns the references `$NAME` and `${NAME}` of a text (`find_variables()` in gettext's `src/envsubst.c`).
pub(super) fn references(text: &[u8]) -> impl Iterator<Item = (Range<usize>, String)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text.get(at..)?.iter().position(|byte| *byte == b'$')?;
            at = start + 1;
            let braced = text.get(at) == Some(&b'{');
            let begin = at + usize::from(braced);
            let rest = text.get(begin..).unwrap_or_default();
            let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let length = rest.iter().take_while(|byte| is_of_name(byte)).count();
            let named = rest.first().is_some_and(|first| !first.is_ascii_digit()) && length > 0;
            let closed = !braced || rest.get(length) == Some(&b'}');
            if named && closed {
                let end = begin + length + usize::from(braced);
                at = end;
                return Some((start..end, String::from_utf8_lossy(&rest[..length]).into_owned()));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Substitution<'static> {
        match name {
            "PORT" => Substitution::Value("8080"),
            "EMPTY" => Substitution::Value(""),
            "POD_IP" => Substitution::Unknown,
            _ => Substitution::Verbatim,
        }
    }

    #[test]
    fn known_variables_are_replaced_and_others_stay() {
        let template = b"listen ${PORT}; $uri$EMPTY ${bad $PORT_ $1 $";
        let render = |template| render(template, &value, &mut Room::of(100));
        let rendered = render(template).expect("all values are known");
        assert_eq!(rendered.text, b"listen 8080; $uri ${bad $PORT_ $1 $");
        assert_eq!(render(b"${POD_IP}"), Err(NotRendered::Unknown("POD_IP".to_owned())));
    }

    #[test]
    fn a_rendering_ends_where_there_is_no_room() {
        let large = "x".repeat(1_000);
        let value = |_: &str| Substitution::Value(&large);
        let mut room = Room::of(10_000);
        assert_eq!(render(&b"${A}".repeat(1_000), &value, &mut room), Err(NotRendered::TooLarge));
        assert!(room.is_exceeded());
        assert!(render(&b"${A}".repeat(10), &value, &mut Room::of(10_000)).is_ok());
    }

    #[test]
    fn an_offset_leads_back_to_the_template() {
        let template = b"a ${PORT} b$EMPTY c";
        let rendered = render(template, &value, &mut Room::of(100)).expect("all values are known");
        for (what, origin) in [("a", "a"), ("8", "$"), ("0", "$"), ("b", "b"), ("c", "c")] {
            let text = String::from_utf8_lossy(&rendered.text).into_owned();
            let found = rendered.origin(text.find(what).expect("it is there"));
            assert_eq!(&template[found..=found], origin.as_bytes(), "{what}");
        }
    }
}
