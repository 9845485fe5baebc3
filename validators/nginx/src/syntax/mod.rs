//! The syntax of configuration files: text to trees.

mod lua;
pub mod parser;
pub mod tree;
