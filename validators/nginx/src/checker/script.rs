//! Values with variables in them: `ngx_http_script_compile()` in `src/http/ngx_http_script.c`, and the same in stream.

use std::borrow::Cow;
use std::rc::Rc;

use crate::checker::Checker;
use crate::findings::codes;
use crate::findings::problem::{Checked, Problem, SourceSpan};
use crate::model::block::BlockId;
use crate::model::directive::Directive;
use crate::values::regex::Regex;

/// The number of `$` in a value: nginx compiles only a value that has one.
pub(crate) fn variables(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'$').count()
}

/// A part of a value with variables.
enum ScriptPart<'t> {
    Variable(&'t [u8]),
    /// Text, or a capture (`$1` to `$9`) of a regular expression.
    Other,
}

/// Reads the next part of a value.
///
/// # Errors
/// nginx's message.
fn next<'t>(text: &'t [u8], at: &mut usize, captures: bool) -> Result<ScriptPart<'t>, String> {
    if text[*at] != b'$' {
        let rest = &text[*at..];
        *at += rest.iter().position(|byte| *byte == b'$').unwrap_or(rest.len());
        return Ok(ScriptPart::Other);
    }
    *at += 1;
    let bracket = match text.get(*at) {
        Some(b'1'..=b'9') if captures => {
            *at += 1;
            return Ok(ScriptPart::Other);
        }
        Some(b'{') => {
            *at += 1;
            true
        }
        _ => false,
    };
    if *at == text.len() {
        return Err("invalid variable name".to_owned());
    }
    let rest = &text[*at..];
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let name = &rest[..length];
    *at += length;
    if bracket {
        if rest.get(length) != Some(&b'}') {
            let name = String::from_utf8_lossy(name);
            return Err(format!("the closing bracket in \"{name}\" variable is missing"));
        }
        *at += 1;
    }
    if name.is_empty() { Err("invalid variable name".to_owned()) } else { Ok(ScriptPart::Variable(name)) }
}

impl<'s> Checker<'s> {
    /// Compiles the word `at` of a directive. True if there are variables or captures in it.
    pub(crate) fn compile(&mut self, directive: &Directive<'s>, at: usize, block: BlockId) -> Checked<bool> {
        self.compile_text(directive, at, directive.word(at), block)
    }

    /// Compiles a part of the word `at` of a directive.
    pub(crate) fn compile_text(
        &mut self,
        directive: &Directive<'s>,
        at: usize,
        text: &'s [u8],
        block: BlockId,
    ) -> Checked<bool> {
        if variables(text) == 0 {
            return Ok(false);
        }
        self.compile_at(text, directive.exact(at), directive.spot(at), block)
    }

    /// Compiles a value at one place, reporting its errors at another, as nginx does.
    pub(crate) fn compile_at(
        &mut self,
        text: &'s [u8],
        used: SourceSpan,
        blamed: SourceSpan,
        block: BlockId,
    ) -> Checked<bool> {
        if variables(text) == 0 {
            return Ok(false);
        }
        let refuse = |message| Box::new(Problem::error(codes::INVALID_VARIABLE, message, blamed));
        let mut at = 0;
        while at < text.len() {
            if let ScriptPart::Variable(name) = next(text, &mut at, true).map_err(refuse)? {
                self.variables(block).use_at(name, used).map_err(refuse)?;
            }
        }
        Ok(true)
    }

    /// The names of the variables in a log format, in which `$1` is a variable as any other.
    pub(crate) fn log_variables(text: &[u8]) -> Result<Vec<&[u8]>, (String, usize)> {
        let mut names = vec![];
        let mut at = 0;
        while at < text.len() {
            let from = at;
            if let ScriptPart::Variable(name) = next(text, &mut at, false).map_err(|message| (message, from))? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The variable which a word such as `$name` names, in the places where nginx wants one to be defined.
    pub(crate) fn define(&mut self, directive: &Directive<'s>, at: usize, block: BlockId) -> Checked {
        let Some(name) = directive.word(at).strip_prefix(b"$") else {
            let message = format!("invalid variable name \"{}\"", directive.text(at));
            return directive.refuse(at, codes::INVALID_VARIABLE, message);
        };
        let defined = self.variables(block).define(name);
        defined.map_err(|message| {
            let duplicate = message.starts_with("the duplicate");
            directive.problem(at, if duplicate { codes::DUPLICATE_VARIABLE } else { codes::INVALID_VARIABLE }, message)
        })
    }

    /// Defines all variables that are whole words of a third-party directive: it may set any of them.
    pub(crate) fn define_any(&mut self, directive: &Directive<'s>, block: BlockId) {
        for (_, word) in directive.arguments() {
            if let Some(name) = word.strip_prefix(b"$") {
                // What nginx itself has stays as it is.
                let _ = self.variables(block).define(name);
            }
        }
    }

    /// Records the use of a variable.
    pub(crate) fn use_variable(
        &mut self,
        directive: &Directive<'s>,
        at: usize,
        name: impl Into<Cow<'s, [u8]>>,
        block: BlockId,
    ) -> Checked {
        let used = self.variables(block).use_at(name, directive.exact(at));
        used.map_err(|message| directive.problem(at, codes::INVALID_VARIABLE, message))
    }

    /// Compiles a regular expression and defines its named groups as variables: `ngx_http_regex_compile()`.
    pub(crate) fn regex(
        &mut self,
        directive: &Directive<'s>,
        at: usize,
        pattern: &[u8],
        caseless: bool,
        block: BlockId,
    ) -> Checked<Rc<Regex>> {
        let regex = self.plain_regex(directive, at, pattern, caseless)?;
        for name in &regex.names {
            let name = name.as_bytes().to_vec();
            let defined = self.variables(block).define(name.clone());
            defined.map_err(|message| directive.problem(at, codes::DUPLICATE_VARIABLE, message))?;
            self.use_variable(directive, at, name, block)?;
        }
        Ok(regex)
    }

    /// Compiles a regular expression: `ngx_regex_compile()`.
    pub(crate) fn plain_regex(
        &mut self,
        directive: &Directive<'s>,
        at: usize,
        pattern: &[u8],
        caseless: bool,
    ) -> Checked<Rc<Regex>> {
        let compiled = self.regexes.compile(pattern, caseless, self.options.version);
        let regex = compiled.map_err(|message| directive.problem(at, codes::INVALID_REGEX, message))?;
        if let Some(message) = &regex.doubt {
            let problem = directive.problem(at, codes::INVALID_REGEX, message.clone());
            self.warn(problem.help("write it so that PCRE2 before and after 10.43 takes it: only some versions do"));
        }
        Ok(regex)
    }
}
