//! The blocks around a snippet, which another file includes.

use std::fmt;
use std::str::FromStr;

/// A kind of block that may surround a snippet.
struct Surrounding {
    name: &'static str,
    /// The block around it; empty outside of all blocks.
    within: &'static [&'static str],
    /// Its beginning, as a configuration has it.
    opening: &'static str,
}

const SURROUNDINGS: [Surrounding; 9] = [
    Surrounding { name: "events", within: &[], opening: "events {" },
    Surrounding { name: "http", within: &[], opening: "http {" },
    Surrounding { name: "stream", within: &[], opening: "stream {" },
    Surrounding { name: "mail", within: &[], opening: "mail {" },
    Surrounding { name: "server", within: &["http", "stream", "mail"], opening: "server {" },
    Surrounding { name: "upstream", within: &["http", "stream"], opening: "upstream snippet {" },
    Surrounding { name: "location", within: &["server", "location"], opening: "location / {" },
    Surrounding { name: "if", within: &["server", "location"], opening: "if ($uri) {" },
    Surrounding { name: "limit_except", within: &["location"], opening: "limit_except GET {" },
];

/// The blocks around a snippet, from the outside in, such as `http,server,location`; by default none.
///
/// What is missing on the outside is completed: `server` means `http,server`, and `location` means `http,server,location`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(Vec<&'static str>);

/// A text names no blocks around a snippet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseContextError(String);

impl fmt::Display for ParseContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseContextError {}

fn surrounding(name: &str) -> Option<&'static Surrounding> {
    SURROUNDINGS.iter().find(|known| known.name == name)
}

impl FromStr for Context {
    type Err = ParseContextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut blocks: Vec<&'static str> = vec![];
        for name in text.split(',').map(str::trim) {
            let Some(known) = surrounding(name) else {
                let names: Vec<_> = Self::names().collect();
                return Err(ParseContextError(format!("`{name}` is no block; it is one of: {}", names.join(", "))));
            };
            if blocks.is_empty() {
                blocks = outside(known);
            }
            let fits = blocks.last().map_or(known.within.is_empty(), |around| known.within.contains(around));
            if !fits {
                let around = blocks.last().map_or_else(String::new, |around| format!(" within `{around}`"));
                return Err(ParseContextError(format!("nginx has no `{name}`{around}")));
            }
            blocks.push(known.name);
        }
        Ok(Self(blocks))
    }
}

/// The usual blocks around a block.
fn outside(block: &Surrounding) -> Vec<&'static str> {
    let mut blocks = vec![];
    let mut next = block.within.first();
    while let Some(name) = next {
        blocks.insert(0, *name);
        next = surrounding(name).and_then(|known| known.within.first());
    }
    blocks
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Context {
    /// The names of all blocks.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SURROUNDINGS.iter().map(|known| known.name)
    }

    /// True if nothing is around: a whole configuration.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A configuration that includes a file within these blocks, and nothing else.
    pub(crate) fn around(&self, path: &str) -> String {
        let events = if self.0.first() == Some(&"events") { "" } else { "events {}\n" };
        let opening: String = self.0.iter().filter_map(|name| surrounding(name)).map(|known| known.opening).collect();
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{events}{opening}\ninclude \"{path}\";\n{}\n", "}".repeat(self.0.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outside_is_completed() {
        let read = |text: &str| text.parse::<Context>().map(|context| context.to_string());
        assert_eq!(read("http").as_deref(), Ok("http"));
        assert_eq!(read("location").as_deref(), Ok("http,server,location"));
        assert_eq!(read("stream, server").as_deref(), Ok("stream,server"));
        assert_eq!(read("upstream").as_deref(), Ok("http,upstream"));
        assert_eq!(read("http,location"), Err(ParseContextError("nginx has no `location` within `http`".to_owned())));
        assert!(
            read("map").is_err_and(|error| error.to_string().starts_with("`map` is no block; it is one of: events,"))
        );
        assert_eq!(
            "http".parse::<Context>().map(|context| context.around("/a")),
            Ok("events {}\nhttp {\ninclude \"/a\";\n}\n".to_owned())
        );
    }
}
