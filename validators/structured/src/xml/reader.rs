//! The grammar of XML, in the order of the text (<https://www.w3.org/TR/xml/#sec-documents>).

use std::collections::{BTreeSet, HashMap};

use reload_gate_contract::Span;

use super::entities::{Definition, Entities, Use, character};
use super::names::{is_char, is_space, name, prefix};
use super::{MOST_NAMES, Read, XmlFault};

/// Help for a `&` that begins no reference.
const REFERENCE: &str = "write `&amp;` for `&`, and `&lt;` for `<`";

/// Reader of a document, or of the text of an entity.
pub(super) struct XmlReader<'t> {
    text: &'t str,
    at: usize,
    /// Where the names of the open elements begin. It is the only thing whose size follows that of the text, so it is kept small.
    open: Vec<u32>,
    /// The number of open elements that declare a prefix.
    prefixes: HashMap<&'t str, u32>,
    /// The prefixes that open elements declare, with the number of elements around them.
    declared: Vec<(u32, &'t str)>,
    /// `None` within an entity, whose references are collected.
    entities: Option<Entities<'t>>,
    references: BTreeSet<(Use, &'t str)>,
}

impl<'t> XmlReader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { entities: Some(Entities::default()), ..Self::fragment(text) }
    }

    /// A reader of the text of an entity.
    pub(super) fn fragment(text: &'t str) -> Self {
        let (open, prefixes, declared) = (Vec::new(), HashMap::new(), Vec::new());
        Self { text, at: 0, open, prefixes, declared, entities: None, references: BTreeSet::new() }
    }

    /// Reads an entity for contents, and returns the references in it.
    pub(super) fn content_of_entity(mut self) -> Read<BTreeSet<(Use, &'t str)>> {
        self.content()?;
        Ok(self.references)
    }

    /// Reads an entity for values, and returns the references in it.
    pub(super) fn value_of_entity(mut self) -> Read<BTreeSet<(Use, &'t str)>> {
        while let Some(c) = self.peek() {
            if c == '&' { self.reference(Use::Value)? } else { self.any_char(c)? }
        }
        Ok(self.references)
    }

    /// Reads a whole document.
    pub(super) fn document(mut self) -> Read {
        if u32::try_from(self.text.len()).is_err() {
            return Err(XmlFault::too_large(self.span(0), "the text has more bytes than this checker reads"));
        }
        self.skip("\u{feff}");
        if self.rest().starts_with("<?xml") && self.rest()[5..].starts_with(is_space) {
            self.declaration()?;
        }
        self.around("before the first element")?;
        if self.rest().starts_with("<!DOCTYPE") {
            self.document_type()?;
            self.around("before the first element")?;
        }
        let root = match self.peek() {
            Some('<') => self.at + 1,
            Some(c) => return Err(self.unexpected(c, "before the first element")),
            None => return Err(XmlFault::new(self.span(0), "the text ends before the first element")),
        };
        self.start_tag()?;
        if !self.open.is_empty() {
            self.content()?;
        }
        self.around("after the last element")?;
        match self.peek() {
            None => Ok(()),
            Some('<') => {
                let message = format!("a second element beside `{}`: a document has one", name(&self.text[root..]));
                Err(XmlFault::new(self.span(1), message))
            }
            Some(c) => Err(self.unexpected(c, "after the last element")),
        }
    }

    /// `<?xml version="1.0" encoding="…" standalone="…"?>`
    fn declaration(&mut self) -> Read {
        self.at += "<?xml".len();
        let mut had_space = false;
        for key in ["version", "encoding", "standalone"] {
            had_space |= self.spaces();
            if !self.rest().starts_with(key) {
                if key == "version" {
                    return Err(self.expected("`version`"));
                }
                continue;
            }
            if !had_space {
                return Err(self.expected("a space"));
            }
            self.at += key.len();
            self.equals()?;
            self.literal("value")?;
            had_space = false;
        }
        self.spaces();
        if self.skip("?>") { Ok(()) } else { Err(self.expected("`?>`")) }
    }

    /// Comments, processing instructions and white space around the element of a document.
    fn around(&mut self, place: &str) -> Read {
        loop {
            self.spaces();
            match self.rest() {
                rest if rest.starts_with("<!--") => self.comment()?,
                rest if rest.starts_with("<?") => self.instruction()?,
                rest if rest.starts_with("<![") => return Err(self.unexpected('<', place)),
                _ => return Ok(()),
            }
        }
    }

    /// Everything up to the end of the element that is open, or to the end of an entity.
    fn content(&mut self) -> Read {
        let outside = self.open.len().saturating_sub(1);
        while let Some(c) = self.peek() {
            match c {
                '<' => self.markup()?,
                '&' => self.reference(Use::Content)?,
                ']' if self.rest().starts_with("]]>") => {
                    let fault = XmlFault::new(self.span(3), "`]]>` outside of a CDATA section");
                    return Err(fault.help("write `]]&gt;`"));
                }
                c => self.any_char(c)?,
            }
            if self.entities.is_some() && self.open.len() == outside {
                return Ok(());
            }
        }
        match self.open.last() {
            Some(start) => {
                let start = *start as usize;
                let name = name(&self.text[start..]);
                let span = Span { start, end: start + name.len() };
                Err(XmlFault::new(span, format!("the element `{name}` is not closed")))
            }
            None => Ok(()),
        }
    }

    fn markup(&mut self) -> Read {
        match self.rest() {
            rest if rest.starts_with("</") => self.end_tag(),
            rest if rest.starts_with("<!--") => self.comment(),
            rest if rest.starts_with("<![CDATA[") => self.section("<![CDATA[", "]]>", "CDATA section"),
            rest if rest.starts_with("<?") => self.instruction(),
            _ => self.start_tag(),
        }
    }

    fn start_tag(&mut self) -> Read {
        self.at += 1;
        let start = self.at;
        let element = self.name("the name of an element")?;
        // Where the names of the attributes begin.
        let mut attributes: Vec<u32> = Vec::new();
        let depth = self.position(start)?;
        self.open.push(depth);
        let is_empty = loop {
            let had_space = self.spaces();
            if self.skip("/>") {
                break true;
            }
            if self.skip(">") {
                break false;
            }
            if !had_space {
                return Err(self.expected("a space"));
            }
            let at = self.position(self.at)?;
            let attribute = self.name("the name of an attribute")?;
            attributes.push(at);
            self.equals()?;
            self.value()?;
            if let Some(prefix) = attribute.strip_prefix("xmlns:") {
                self.declare(prefix, at as usize)?;
            }
        };
        self.distinct(&mut attributes)?;
        for start in [start].into_iter().chain(attributes.iter().map(|at| *at as usize)) {
            self.is_declared(name(&self.text[start..]), start)?;
        }
        if is_empty {
            self.close();
        }
        debug_assert!(!element.is_empty(), "a name has a character");
        Ok(())
    }

    fn end_tag(&mut self) -> Read {
        self.at += 2;
        let start = self.at;
        let ended = self.name("the name of an element")?;
        let open = self.open.last().map(|open| name(&self.text[*open as usize..]));
        if open != Some(ended) {
            let span = Span { start: start - 2, end: self.at };
            return Err(match open {
                Some(open) => XmlFault::new(span, format!("expected the end tag `</{open}>`, not `</{ended}>`"))
                    .help(format!("close the element `{open}` before this one")),
                None => XmlFault::new(span, format!("there is no element `{ended}` to end")),
            });
        }
        self.spaces();
        if !self.skip(">") {
            return Err(self.expected("`>`"));
        }
        self.close();
        Ok(())
    }

    /// Leaves an element, and the prefixes that it has declared.
    fn close(&mut self) {
        let depth = self.open.len();
        self.open.pop();
        while let Some((_, prefix)) = self.declared.pop_if(|(declared, _)| *declared as usize >= depth) {
            if let Some(count) = self.prefixes.get_mut(prefix) {
                *count -= 1;
                if *count == 0 {
                    self.prefixes.remove(prefix);
                }
            }
        }
    }

    fn declare(&mut self, prefix: &'t str, start: usize) -> Read {
        if self.prefixes.len() == MOST_NAMES {
            let span = Span { start, end: self.at };
            return Err(XmlFault::too_large(span, "more prefixes than this checker reads"));
        }
        *self.prefixes.entry(prefix).or_default() += 1;
        self.declared.push((self.position(self.open.len())?, prefix));
        Ok(())
    }

    /// Checks that the prefix of a name is declared. That of a name in an entity may be declared where it is used.
    fn is_declared(&self, name: &str, start: usize) -> Read {
        let Some(prefix) = prefix(name) else { return Ok(()) };
        if matches!(prefix, "xml" | "xmlns") || self.entities.is_none() || self.prefixes.contains_key(prefix) {
            return Ok(());
        }
        let span = Span { start, end: start + prefix.len() };
        let fault = XmlFault::new(span, format!("the prefix `{prefix}` is not declared"));
        Err(fault.help(format!("declare it: `xmlns:{prefix}=\"…\"`")))
    }

    /// Checks that no two attributes of an element have the same name.
    fn distinct(&self, attributes: &mut [u32]) -> Read {
        let at = |start: &u32| name(&self.text[*start as usize..]);
        attributes.sort_unstable_by_key(|start| (at(start), *start));
        let second = attributes.windows(2).filter(|pair| at(&pair[0]) == at(&pair[1])).map(|pair| pair[1]).min();
        let Some(start) = second else { return Ok(()) };
        let name = at(&start);
        let span = Span { start: start as usize, end: start as usize + name.len() };
        Err(XmlFault::new(span, format!("duplicate attribute `{name}`")))
    }

    /// The value of an attribute.
    fn value(&mut self) -> Read {
        let quote = self.quote("a value in quotes")?;
        let start = self.at;
        self.at += 1;
        while let Some(c) = self.peek() {
            match c {
                _ if c == quote => {
                    self.at += 1;
                    return Ok(());
                }
                '<' => return Err(XmlFault::new(self.span(1), "`<` within a value").help("write `&lt;`")),
                '&' => self.reference(Use::Value)?,
                c => self.any_char(c)?,
            }
        }
        Err(XmlFault::new(Span { start, end: start + 1 }, "this value is not closed"))
    }

    /// A text in quotes in which nothing has a meaning; the place of its content.
    fn literal(&mut self, what: &str) -> Read<Span> {
        let quote = self.quote(&format!("a {what} in quotes"))?;
        let start = self.at;
        self.at += 1;
        while let Some(c) = self.peek() {
            if c == quote {
                self.at += 1;
                return Ok(Span { start: start + 1, end: self.at - 1 });
            }
            self.any_char(c)?;
        }
        Err(XmlFault::new(Span { start, end: start + 1 }, format!("this {what} is not closed")))
    }

    fn quote(&mut self, expected: &str) -> Read<char> {
        self.peek().filter(|c| matches!(c, '"' | '\'')).ok_or_else(|| self.expected(expected))
    }

    /// A reference to a character or an entity.
    fn reference(&mut self, place: Use) -> Read {
        let start = self.at;
        let rest = &self.rest()[1..];
        if rest.starts_with('#') {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '#').unwrap_or(rest.len());
            let end = if rest[end..].starts_with(';') { end + 2 } else { end + 1 };
            let whole = &self.rest()[..end];
            if character(whole).is_none() {
                let span = Span { start, end: start + end };
                return Err(XmlFault::new(span, format!("`{whole:.16}` is no character of XML")));
            }
            self.at += whole.len();
            return Ok(());
        }
        let entity = name(rest);
        if entity.is_empty() || !rest[entity.len()..].starts_with(';') {
            return Err(XmlFault::new(self.span(1), "unexpected `&`").help(REFERENCE));
        }
        self.at += entity.len() + 2;
        let span = Span { start, end: self.at };
        match &mut self.entities {
            Some(entities) => entities.refer(self.text, entity, place, span),
            None => {
                self.references.insert((place, entity));
                Ok(())
            }
        }
    }

    fn comment(&mut self) -> Read {
        let start = self.at;
        self.at += "<!--".len();
        while let Some(c) = self.peek() {
            if self.skip("-->") {
                return Ok(());
            }
            if self.rest().starts_with("--") {
                return Err(XmlFault::new(self.span(2), "`--` within a comment"));
            }
            self.any_char(c)?;
        }
        Err(XmlFault::new(Span { start, end: start + 4 }, "this comment is not closed"))
    }

    fn instruction(&mut self) -> Read {
        let target = name(&self.rest()[2..]);
        match target {
            "xml" => {
                return Err(XmlFault::new(self.span(5), "the XML declaration is not at the beginning of the text"));
            }
            "" => {
                self.at += 2;
                return Err(self.expected("the name of an instruction"));
            }
            _ => {}
        }
        self.section("<?", "?>", "processing instruction")
    }

    /// A part in which nothing has a meaning.
    fn section(&mut self, begin: &str, end: &str, what: &str) -> Read {
        let start = self.at;
        self.at += begin.len();
        while let Some(c) = self.peek() {
            if self.skip(end) {
                return Ok(());
            }
            self.any_char(c)?;
        }
        Err(XmlFault::new(Span { start, end: start + begin.len() }, format!("this {what} is not closed")))
    }

    /// `<!DOCTYPE name PUBLIC "…" "…" [ … ]>`
    fn document_type(&mut self) -> Read {
        let start = self.at;
        let unclosed =
            || XmlFault::new(Span { start, end: start + "<!DOCTYPE".len() }, "this document type is not closed");
        self.at += "<!DOCTYPE".len();
        self.spaces();
        self.name("the name of an element")?;
        self.spaces();
        if self.external()? {
            self.declared_elsewhere();
        }
        self.spaces();
        if self.skip("[") {
            loop {
                self.spaces();
                match self.rest() {
                    "" => return Err(unclosed()),
                    rest if rest.starts_with(']') => break self.at += 1,
                    rest if rest.starts_with("<!--") => self.comment()?,
                    rest if rest.starts_with("<?") => self.instruction()?,
                    rest if rest.starts_with("<!ENTITY") => {
                        self.entity().map_err(|fault| self.or_end(fault, unclosed))?;
                    }
                    rest if rest.starts_with("<!") => {
                        self.other_declaration().map_err(|fault| self.or_end(fault, unclosed))?;
                    }
                    rest if rest.starts_with('%') => self.parameter_reference()?,
                    rest => return Err(self.unexpected(rest.chars().next().unwrap_or(' '), "in the document type")),
                }
            }
        }
        self.spaces();
        match self.peek() {
            Some('>') => self.at += 1,
            Some(_) => return Err(self.expected("`>`")),
            None => return Err(unclosed()),
        }
        Ok(())
    }

    /// At the end of the text the fault is that of what is not closed.
    fn or_end(&self, fault: Box<XmlFault>, unclosed: impl Fn() -> Box<XmlFault>) -> Box<XmlFault> {
        if self.peek().is_none() { unclosed() } else { fault }
    }

    fn declared_elsewhere(&mut self) {
        if let Some(entities) = &mut self.entities {
            entities.incomplete = true;
        }
    }

    /// `SYSTEM "…"` or `PUBLIC "…" "…"`; false if there is none.
    fn external(&mut self) -> Read<bool> {
        let literals = match self.rest() {
            rest if rest.starts_with("SYSTEM") => 1,
            rest if rest.starts_with("PUBLIC") => 2,
            _ => return Ok(false),
        };
        self.at += "SYSTEM".len();
        for _ in 0..literals {
            self.spaces();
            self.literal("name of a file")?;
        }
        Ok(true)
    }

    /// `<!ENTITY name "…">`, or a parameter entity with `%` before its name.
    fn entity(&mut self) -> Read {
        let start = self.at;
        self.at += "<!ENTITY".len();
        self.spaces();
        let is_parameter = self.skip("%");
        self.spaces();
        let entity = self.name("the name of an entity")?;
        self.spaces();
        let definition = if self.external()? {
            self.spaces();
            let is_unparsed = self.skip("NDATA");
            if is_unparsed {
                self.spaces();
                self.name("the name of a notation")?;
            }
            if is_unparsed { Definition::Unparsed } else { Definition::External }
        } else {
            let Span { start, end } = self.literal("value")?;
            self.literal_references(start, end)?;
            Definition::Internal { start, end }
        };
        self.spaces();
        if !self.skip(">") {
            return Err(self.expected("`>`"));
        }
        let span = Span { start, end: self.at };
        match &mut self.entities {
            Some(entities) if !is_parameter => entities.declare(entity, definition, span),
            _ => Ok(()),
        }
    }

    /// Checks the references in the value of an entity, which may be declared later.
    fn literal_references(&mut self, start: usize, end: usize) -> Read {
        let mut reader = Self::fragment(&self.text[..end]);
        reader.at = start;
        while let Some(offset) = reader.rest().find('&') {
            reader.at += offset;
            reader.reference(Use::Value)?;
        }
        Ok(())
    }

    /// `<!ELEMENT …>`, `<!ATTLIST …>` or `<!NOTATION …>`: it says nothing about whether the text is well-formed.
    fn other_declaration(&mut self) -> Read {
        self.at += 2;
        self.name("`ELEMENT`, `ATTLIST`, `ENTITY` or `NOTATION`")?;
        while let Some(c) = self.peek() {
            match c {
                '>' => {
                    self.at += 1;
                    return Ok(());
                }
                '"' | '\'' => drop(self.literal("value")?),
                c => self.any_char(c)?,
            }
        }
        Err(self.expected("`>`"))
    }

    fn parameter_reference(&mut self) -> Read {
        self.at += 1;
        self.name("the name of an entity")?;
        // Its text may declare anything.
        self.declared_elsewhere();
        if self.skip(";") { Ok(()) } else { Err(self.expected("`;`")) }
    }

    fn equals(&mut self) -> Read {
        self.spaces();
        if !self.skip("=") {
            return Err(self.expected("`=`"));
        }
        self.spaces();
        Ok(())
    }

    fn name(&mut self, expected: &str) -> Read<&'t str> {
        let name = name(&self.text[self.at..]);
        if name.is_empty() {
            return Err(self.expected(expected));
        }
        self.at += name.len();
        Ok(name)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_there = self.rest().starts_with(text);
        if is_there {
            self.at += text.len();
        }
        is_there
    }

    /// Skips white space; false if there is none.
    fn spaces(&mut self) -> bool {
        let before = self.at;
        self.at = self.text.len() - self.rest().trim_start_matches(is_space).len();
        self.at > before
    }

    /// Takes a character that must be one of XML.
    fn any_char(&mut self, c: char) -> Read {
        if !is_char(c) {
            let message = format!("the character U+{:04X} is not allowed in XML", u32::from(c));
            return Err(XmlFault::new(self.span(c.len_utf8()), message));
        }
        self.at += c.len_utf8();
        Ok(())
    }

    /// A place in the text as it is remembered.
    fn position(&self, at: usize) -> Read<u32> {
        u32::try_from(at)
            .map_err(|_| XmlFault::too_large(self.span(0), "the text has more bytes than this checker reads"))
    }

    fn span(&self, length: usize) -> Span {
        Span { start: self.at, end: (self.at + length).min(self.text.len()) }
    }

    fn unexpected(&self, c: char, place: &str) -> Box<XmlFault> {
        XmlFault::new(self.span(c.len_utf8()), format!("unexpected `{}` {place}", c.escape_debug()))
    }

    fn expected(&self, expected: &str) -> Box<XmlFault> {
        match self.peek() {
            Some(c) => {
                let word = name(self.rest());
                let shown = if word.is_empty() { c.escape_debug().to_string() } else { format!("{word:.40}") };
                XmlFault::new(self.span(c.len_utf8()), format!("unexpected `{shown}`, expected {expected}"))
            }
            None => XmlFault::new(self.span(0), format!("the text ends, expected {expected}")),
        }
    }
}
