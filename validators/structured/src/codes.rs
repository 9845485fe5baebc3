//! The codes of all findings of this crate: each is described, with an example, in `docs/findings-structured.md`.

use reload_gate_contract::Code;

/// JSON that begins with a byte order mark.
pub const BYTE_ORDER_MARK: Code = Code::new("byte-order-mark");
/// A key that is there twice in one mapping.
pub const DUPLICATE_KEY: Code = Code::new("duplicate-key");
/// An indented line that looks like a setting.
pub const INI_CONTINUATION: Code = Code::new("ini-continuation");
/// A key that is there twice in one section.
pub const INI_DUPLICATE_KEY: Code = Code::new("ini-duplicate-key");
/// A section that is there twice.
pub const INI_DUPLICATE_SECTION: Code = Code::new("ini-duplicate-section");
/// A setting before any section.
pub const INI_NO_SECTION: Code = Code::new("ini-no-section");
/// A value that begins with a quote which is not closed.
pub const INI_QUOTE: Code = Code::new("ini-quote");
/// The name of a section is not written as one.
pub const INI_SECTION: Code = Code::new("ini-section");
/// A line of INI that is nothing.
pub const INI_SYNTAX: Code = Code::new("ini-syntax");
/// A comment in JSON, which has none.
pub const JSON_COMMENT: Code = Code::new("json-comment");
/// A number that JSON writes otherwise.
pub const JSON_NUMBER: Code = Code::new("json-number");
/// A string that JSON writes otherwise.
pub const JSON_STRING: Code = Code::new("json-string");
/// Half of a surrogate pair, which is no character.
pub const JSON_SURROGATE: Code = Code::new("json-surrogate");
/// Something else in JSON at the wrong place.
pub const JSON_SYNTAX: Code = Code::new("json-syntax");
/// A comma behind the last entry.
pub const JSON_TRAILING_COMMA: Code = Code::new("json-trailing-comma");
/// Something behind the one value that a JSON text is.
pub const JSON_TRAILING_TEXT: Code = Code::new("json-trailing-text");
/// A word that is no value of JSON, such as `None` or `NaN`.
pub const JSON_WORD: Code = Code::new("json-word");
/// The text is not UTF-8.
pub const NOT_UTF8: Code = Code::new("not-utf8");
/// A key that the schema wants is missing.
pub const SCHEMA_MISSING: Code = Code::new("schema-missing");
/// A value of another type than the schema wants.
pub const SCHEMA_TYPE: Code = Code::new("schema-type");
/// A key that the schema does not have.
pub const SCHEMA_UNKNOWN: Code = Code::new("schema-unknown");
/// A value of the right type that the schema does not want.
pub const SCHEMA_VALUE: Code = Code::new("schema-value");
/// A key or table of TOML that is there twice.
pub const TOML_DUPLICATE_KEY: Code = Code::new("toml-duplicate-key");
/// Something in TOML at the wrong place.
pub const TOML_SYNTAX: Code = Code::new("toml-syntax");
/// More values, or deeper ones, than anything here reads.
pub const TOO_LARGE: Code = Code::new("too-large");
/// More findings than are reported.
pub const TOO_MANY_FINDINGS: Code = Code::new("too-many-findings");
/// XML that is not well-formed.
pub const XML_SYNTAX: Code = Code::new("xml-syntax");
/// An alias without an anchor.
pub const YAML_ALIAS: Code = Code::new("yaml-alias");
/// Something in YAML at the wrong place.
pub const YAML_SYNTAX: Code = Code::new("yaml-syntax");
/// A tab where YAML wants spaces.
pub const YAML_TAB: Code = Code::new("yaml-tab");

/// All of them, sorted.
pub const ALL: &[Code] = &[
    BYTE_ORDER_MARK,
    DUPLICATE_KEY,
    INI_CONTINUATION,
    INI_DUPLICATE_KEY,
    INI_DUPLICATE_SECTION,
    INI_NO_SECTION,
    INI_QUOTE,
    INI_SECTION,
    INI_SYNTAX,
    JSON_COMMENT,
    JSON_NUMBER,
    JSON_STRING,
    JSON_SURROGATE,
    JSON_SYNTAX,
    JSON_TRAILING_COMMA,
    JSON_TRAILING_TEXT,
    JSON_WORD,
    NOT_UTF8,
    SCHEMA_MISSING,
    SCHEMA_TYPE,
    SCHEMA_UNKNOWN,
    SCHEMA_VALUE,
    TOML_DUPLICATE_KEY,
    TOML_SYNTAX,
    TOO_LARGE,
    TOO_MANY_FINDINGS,
    XML_SYNTAX,
    YAML_ALIAS,
    YAML_SYNTAX,
    YAML_TAB,
];
