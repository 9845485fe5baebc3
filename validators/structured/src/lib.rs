//! Judges structured text, and knows where everything in it stands: text in, trees and findings out.
//!
//! [`yaml`] reads YAML and JSON into a tree whose nodes know their bytes, lines and columns, and tells for each byte of
//! a scalar's meaning where it is written. A file within a manifest is thereby found at the manifest's own lines.
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
pub mod toml;
pub mod yaml;

mod text;
