//! Judges structured text, and keeps the place of everything in it: text in, trees and findings out.
//!
//! [`yaml`] reads YAML and JSON into a tree whose nodes know their bytes, lines and columns, and finds for each byte of
//! a scalar's value the place where it is written. So a file within a manifest is reported at the manifest's own lines.
//!
//! ```
//! use reload_gate_structured::yaml;
//!
//! let text = "data:\n  nginx.conf: |\n    events {}\n    htp {}\n";
//! let root = yaml::parse(text).unwrap().unwrap();
//! let file = root.get("data").and_then(|data| data.get("nginx.conf")).unwrap();
//! assert_eq!(file.as_str(), Some("events {}\nhtp {}\n"));
//! let written = file.locate(text, "events {}\n".len()).unwrap();
//! assert!(text[written..].starts_with("htp {}"));
//! ```

pub mod codes;
pub mod ini;
pub mod json;
pub mod json_schema;
pub mod program;
pub mod toml;
pub mod xml;
pub mod yaml;

mod text;

pub use text::decode_utf16;
