//! The statements of a configuration, in the notations of most programs: words up to the end of the line or `;`, and blocks in braces. Pure.

/// Deepest nesting of blocks that is followed.
const DEEPEST: usize = 64;
/// Number of words of a block that the block around it keeps.
const KEPT: usize = 8;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// Its words, and the first word of the block around it.
    Plain(Vec<String>, String),
    /// A block that ends here.
    Block(StatementBlock),
}

/// A block: the words before its brace, and its statements; of a block in it, the words before the brace and those inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StatementBlock {
    pub(super) head: Vec<String>,
    pub(super) inner: Vec<Vec<String>>,
}

impl StatementBlock {
    pub(super) fn is(&self, kind: &str) -> bool {
        self.head.first().is_some_and(|first| first == kind)
    }
}

/// Returns the statements of a text.
pub(super) fn read(text: &str) -> Vec<Statement> {
    let mut reader = StatementReader { rest: text, at_line: true, ..StatementReader::default() };
    while let Some(letter) = reader.rest.chars().next() {
        reader.step(letter);
    }
    reader.end();
    reader.found
}

#[derive(Default)]
struct StatementReader<'t> {
    rest: &'t str,
    /// Nothing of the line was read.
    at_line: bool,
    /// No `*/` follows: it is sought once.
    has_no_end: bool,
    words: Vec<String>,
    blocks: Vec<StatementBlock>,
    found: Vec<Statement>,
}

impl StatementReader<'_> {
    fn step(&mut self, letter: char) {
        let is_comment = letter == '#' || self.rest.starts_with("//") || (letter == ';' && self.at_line);
        match letter {
            '\n' => {
                self.end();
                self.skip(1);
                self.at_line = true;
                return;
            }
            _ if is_comment => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
            '/' if self.rest.starts_with("/*") && !self.has_no_end => match self.rest.find("*/") {
                Some(at) => self.skip(at + 2),
                None => self.has_no_end = true,
            },
            letter if letter.is_whitespace() || letter == '=' => {
                self.skip(letter.len_utf8());
                return;
            }
            ';' => {
                self.end();
                self.skip(1);
            }
            '{' => self.open(),
            '}' => self.close(),
            quote @ ('"' | '\'') => self.quoted(quote),
            _ => self.word(),
        }
        self.at_line = false;
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn quoted(&mut self, quote: char) {
        let text = &self.rest[1..];
        // A quotation mark without its pair is an ordinary letter.
        let Some(end) = text.find(quote).filter(|end| !text[..*end].contains('\n')) else { return self.skip(1) };
        self.words.push(text[..end].to_owned());
        self.skip(end + 2);
    }

    /// A word without quotation marks. The braces of `${name}` belong to it.
    fn word(&mut self) {
        let mut is_variable = false;
        let mut before = ' ';
        let end = self.rest.find(|letter: char| {
            is_variable = (letter == '{' && before == '$') || (is_variable && before != '}');
            before = letter;
            !is_variable && (letter.is_whitespace() || matches!(letter, ';' | '{' | '}' | '='))
        });
        let end = end.unwrap_or(self.rest.len());
        self.words.push(self.rest[..end].to_owned());
        self.skip(end);
    }

    fn end(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return;
        }
        let within = self.blocks.last_mut().map(|block| {
            block.inner.push(words.clone());
            block.head.first().cloned().unwrap_or_default()
        });
        self.found.push(Statement::Plain(words, within.unwrap_or_default()));
    }

    fn open(&mut self) {
        let head = std::mem::take(&mut self.words);
        if self.blocks.len() < DEEPEST {
            self.blocks.push(StatementBlock { head, inner: Vec::new() });
        }
        self.skip(1);
    }

    fn close(&mut self) {
        self.end();
        self.skip(1);
        let Some(block) = self.blocks.pop() else { return };
        if let Some(parent) = self.blocks.last_mut()
            && !block.head.is_empty()
        {
            parent.inner.push(block.head.iter().chain(block.inner.iter().flatten()).take(KEPT).cloned().collect());
        }
        self.found.push(Statement::Block(block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Vec<(String, String)> {
        let plain = |statement| match statement {
            Statement::Plain(words, within) => Some((words.join(" "), within)),
            Statement::Block(_) => None,
        };
        read(text).into_iter().filter_map(plain).collect()
    }

    #[test]
    fn statements_end_at_lines_and_semicolons() {
        let text = "a 1; b { c '2 3'; # d 4\n e=5 }\nlog ${h}/x; /* f\n g; */ h // i\n;j\n\"k";
        let found = plain(text);
        let expected = [("a 1", ""), ("c 2 3", "b"), ("e 5", "b"), ("log ${h}/x", ""), ("h", ""), ("k", "")];
        assert_eq!(found, expected.map(|(words, within)| (words.to_owned(), within.to_owned())));
    }

    #[test]
    fn a_block_has_its_statements_and_the_blocks_in_it() {
        let blocks = read("zone \"a\" IN { file \"b\"; allow-update { key k; }; };");
        let expected = StatementBlock {
            head: ["zone", "a", "IN"].map(str::to_owned).into(),
            inner: vec![vec!["file".into(), "b".into()], vec!["allow-update".into(), "key".into(), "k".into()]],
        };
        assert_eq!(blocks.last(), Some(&Statement::Block(expected)));
    }

    #[test]
    fn a_block_keeps_few_words_of_the_blocks_in_it() {
        let text = format!("{}{}{}", "a {".repeat(60), "b; ".repeat(1000), "}".repeat(60));
        let words = read(&text).into_iter().map(|statement| match statement {
            Statement::Plain(words, _) => words.len(),
            Statement::Block(block) => block.inner.iter().map(Vec::len).sum(),
        });
        assert!(words.sum::<usize>() < 2 * 1000 + 60 * (KEPT + 1), "the words, twice, and those that are kept");
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in ["{", "}", "}}}}", "/*", "/* /* b */", "a /* b", "'", "${", "\u{fc}=\u{a0}{;", "a\\\"b"] {
            let _ = read(text);
        }
    }
}
